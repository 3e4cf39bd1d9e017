"""Sessions with the installed commands: words in; stdout, stderr and exit status out.

desk = Desk(tmp_path)
desk.run("skillrepo", "init", "r", "--dev")                    # expects 0
desk.run("skillrepo", "publish", status=2, env={…})
document = desk.json("skillrepo", "--repo", "r", "status")     # adds --json
"""

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent
SECONDS = 180  # the end of a hung command, not a measure of a slow machine


@dataclass(frozen=True)
class Answer:
    words: tuple[str, ...]
    status: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        found = json.loads(self.stdout)
        assert isinstance(found, dict)
        return found


class Desk:
    """A folder to work in, without a terminal and without our settings from outside."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.transcript: list[Answer] = []

    def environment(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("SKILLREPO_", "HIVE_"))
        }
        return {**kept, "LC_ALL": "C.UTF-8", "TERM": "xterm", "COLUMNS": "120", **(env or {})}

    def run(
        self,
        *words: str,
        status: int | None = 0,
        env: Mapping[str, str] | None = None,
        given: str = "",
        pass_fds: Sequence[int] = (),
    ) -> Answer:
        """Run a command and return its answer; its exit status must be ``status`` unless that is None."""
        done = subprocess.run(
            [str(BIN / words[0]), *words[1:]],
            cwd=self.folder,
            env=self.environment(env),
            input=given,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            pass_fds=pass_fds,
            check=False,
        )
        answer = Answer(words, done.returncode, done.stdout, done.stderr)
        self.transcript.append(answer)
        assert "Traceback" not in done.stderr, done.stderr
        assert status is None or done.returncode == status, (words, done.returncode, done.stderr)
        return answer

    def json(self, *words: str, status: int = 0, env: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Run a command with --json and return its one object."""
        document = self.run(*words, "--json", status=status, env=env).document
        assert document["ok"] is (status == 0)
        return document

    @contextlib.contextmanager
    def serving(self, *words: str) -> Iterator[str]:
        """Run ``skillrepo … serve --port 0`` and yield its address."""
        process = subprocess.Popen(
            [str(BIN / words[0]), *words[1:]],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield _address(process)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()

    def talk(
        self, *words: str, answers: Sequence[tuple[str, str]], env: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        """Run a command at a terminal; wait for each prompt and type its answer. Return status and screen."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.folder)
            os.execve(BIN / words[0], [str(BIN / words[0]), *words[1:]], self.environment(env))
        return converse(pid, terminal, answers)


def converse(pid: int, terminal: int, answers: Sequence[Sequence[str]]) -> tuple[int, str]:
    """Wait for each prompt on ``terminal`` and type its answer; return the exit status of ``pid`` and the screen."""
    screen = ""
    end = time.monotonic() + SECONDS
    waiting = list(answers)
    searched = 0
    try:
        while time.monotonic() < end:
            ready, _, _ = select.select([terminal], [], [], 0.2)
            if ready:
                try:
                    data = os.read(terminal, 65536)
                except OSError:  # Linux says it like this when the other side has closed
                    break
                if not data:
                    break
                screen += data.decode(errors="replace")
            if waiting and waiting[0][0] in screen[searched:]:
                searched += screen[searched:].index(waiting[0][0]) + len(waiting[0][0])
                os.write(terminal, (waiting.pop(0)[1] + "\n").encode())
        else:
            os.kill(pid, signal.SIGKILL)
    finally:
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
    assert not waiting, f"never asked for {waiting[0][0]!r}:\n{screen}"
    return os.waitstatus_to_exitcode(status), screen


def _address(process: "subprocess.Popen[str]") -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("serving "):
            return line.split()[1]
    raise AssertionError(f"the service ended with {process.wait()}")


def skill_folder(folder: Path, name: str, body: str = "Do the work.", **files: bytes) -> Path:
    """A folder with a SKILL.md that has nothing wrong with it."""
    folder.mkdir(parents=True, exist_ok=True)
    text = f"---\nname: {name}\ndescription: Does the work.\nlicense: MIT\n---\n{body}\n"
    (folder / "SKILL.md").write_text(text)
    for path, content in files.items():
        (folder / path).write_bytes(content)
    return folder
