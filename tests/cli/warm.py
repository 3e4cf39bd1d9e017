"""Sessions like those of `Desk`, run quickly: one process imports the commands once and forks for each of them.

What a command is given and what it gives are those of the script; only Python's start is saved.
"""

import gc
import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Self

from tests.cli.session import SECONDS, Answer, Desk, converse

MODULES = {"skillrepo": "repo_server.cli", "skillrepo-client": "repo_client.cli", "hive": "hive.cli"}
WARM = (
    *(
        f"repo_server.cli.{name}"
        for name in ("importing", "reviewing", "signing", "profiles", "looking", "withdrawing")
    ),
    *(f"repo_server.cli.{name}" for name in ("setup", "ceremony", "serving")),
    *(f"hive.cli.{name}" for name in ("tenants", "birth", "policy", "optin", "audit")),
    *("repo_server.curation.sources", "repo_server.curation.checks", "repo_server.curation.examination"),
    *(
        "repo_server.publishing.publish",
        "repo_server.publishing.renewals",
        "repo_client.commands",
        "rich.text",
        "sqlalchemy.dialects.sqlite",
    ),
)


class WarmDesk:
    """A `Desk` whose commands are forks of one warm process."""

    _process: ClassVar["subprocess.Popen[str] | None"] = None

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.folder = desk.folder
        self.transcript = desk.transcript

    def __enter__(self) -> Self:
        if WarmDesk._process is None:
            WarmDesk._process = subprocess.Popen(
                [sys.executable, "-m", "tests.cli.warm"],
                cwd=Path(__file__).parents[2],
                env=self._desk.environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        """The process is kept for the next; `close` ends it."""

    @classmethod
    def close(cls) -> None:
        if cls._process is not None:
            cls._process.communicate(timeout=10)
            cls._process = None

    def run(
        self, *words: str, status: int | None = 0, env: Mapping[str, str] | None = None, given: str = ""
    ) -> Answer:
        """Run a command and return its answer; its exit status must be ``status`` unless that is None."""
        found, stdout, stderr = self._ask("run", words, env, given)
        answer = Answer(words, found, stdout, stderr)
        self.transcript.append(answer)
        assert "Traceback" not in stderr, stderr
        assert status is None or found == status, (words, found, stderr)
        return answer

    def json(self, *words: str, status: int = 0, env: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Run a command with --json and return its one object."""
        document = self.run(*words, "--json", status=status, env=env).document
        assert document["ok"] is (status == 0)
        return document

    def talk(
        self, *words: str, answers: Sequence[tuple[str, str]], env: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        """Run a command at a terminal; wait for each prompt and type its answer. Return status and screen."""
        status, screen, fault = self._ask("talk", words, env, answers)
        assert not fault, fault
        return status, screen

    def serving(self, *words: str) -> AbstractContextManager[str]:
        """Run ``skillrepo … serve --port 0`` by its script and yield its address."""
        return self._desk.serving(*words)

    def _ask(self, how: str, words: Sequence[str], env: Mapping[str, str] | None, more: Any) -> list[Any]:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([how, str(self.folder), words, env or {}, more]) + "\n")
        process.stdin.flush()
        answer: list[Any] = json.loads(process.stdout.readline())
        return answer


def _command(folder: str, words: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    """Be the script of ``words[0]``, in a child of the warm process whose descriptors 0 to 2 are set."""
    status = 99
    signal.alarm(SECONDS)
    try:
        os.chdir(folder)
        os.environ.update(env)
        # Opened anew: at a terminal a stream is buffered by lines, and nothing that the parent read is in it.
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
        sys.argv = list(words)
        import_module(MODULES[words[0]]).main()
    except SystemExit as error:
        sys.stdout.flush()
        sys.stderr.flush()
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - a bug of ours is shown as the script shows it
        traceback.print_exc()
    finally:
        os._exit(status)


def _run(folder: str, words: Sequence[str], env: Mapping[str, str], given: str) -> tuple[int, str, str]:
    files = [tempfile.TemporaryFile() for _ in range(3)]  # noqa: SIM115
    files[0].write(given.encode())
    files[0].seek(0)
    child = os.fork()
    if child == 0:
        for number, stream in enumerate(files):
            os.dup2(stream.fileno(), number)
        _command(folder, words, env)
    _, status = os.waitpid(child, 0)
    texts = []
    for stream in files[1:]:
        stream.seek(0)
        texts.append(stream.read().decode())
    for stream in files:
        stream.close()
    return os.waitstatus_to_exitcode(status), texts[0], texts[1]


def _talk(
    folder: str, words: Sequence[str], env: Mapping[str, str], answers: Sequence[Sequence[str]]
) -> tuple[int, str, str]:
    pid, terminal = pty.fork()
    if pid == 0:
        _command(folder, words, env)
    try:
        return *converse(pid, terminal, answers), ""
    except AssertionError as fault:
        return -1, "", str(fault)


def _serve() -> None:
    for module in (*MODULES.values(), *WARM):
        import_module(module)
    gc.freeze()  # a collection in a child would copy every page that it looks at
    for line in sys.stdin:
        how, *request = json.loads(line)
        print(json.dumps({"run": _run, "talk": _talk}[how](*request)), flush=True)


if __name__ == "__main__":
    _serve()
