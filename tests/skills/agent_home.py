"""An agent's home folder and lock record, and the mother script run in it as a real process."""

import functools
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

SKILLS = Path(__file__).resolve().parents[2] / "skills"
MOTHER = SKILLS / "mother" / "scripts" / "mother"
TOKEN = "tok-7f3a9c51-never-shown"
SOUL = "# SOUL\n\nLayers: clawdie-base 1.0.0, tier-paid 1.0.0\n"
DIGEST = "ab" * 32


@functools.cache
def load_mother() -> Any:
    """Return the names of all of mother's modules in one, for tables of cases that need no process each."""
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, str(MOTHER.parent))
    try:
        modules = [import_module(f"mother.{path.stem}") for path in MOTHER.glob("[a-z]*.py")]
    finally:
        sys.path.remove(str(MOTHER.parent))
        sys.dont_write_bytecode = writes
    return SimpleNamespace(**{name: value for module in modules for name, value in vars(module).items()})


@dataclass
class Done:
    status: int
    lines: list[dict[str, Any]]
    stderr: str
    seconds: float

    @property
    def answer(self) -> dict[str, Any]:
        assert len(self.lines) == 1, self.lines
        return self.lines[0]

    @property
    def code(self) -> str:
        assert self.answer["ok"] is False
        return self.answer["error"]["code"]


class AgentHome:
    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        self.soul = self.home / "SOUL.md"
        self.soul.write_text(SOUL)
        self.soul.chmod(0o444)
        self.lock = folder / "lock.json"
        self.record: dict[str, Any] = {
            "tenant": "acme",
            "profile": {"name": "support-agent", "version": "3"},
            "layers": [{"name": "clawdie-base", "version": "1.0.0", "tree_sha256": DIGEST}],
            "skills": [{"name": "mother", "version": "1.0.0", "tree_sha256": DIGEST}],
            "capabilities": ["image-render", "web-search"],
            "soul_sha256": hashlib.sha256(SOUL.encode()).hexdigest(),
            "packages": [{"name": "python311"}],
        }
        self.write_lock()
        self.secrets = self.home / ".env"
        self.write_secrets(f"# from the host\nHIVE_URL='{url}'\nHIVE_TOKEN=\"{TOKEN}\"\nOTHER=x1\n")

    def write_lock(self) -> None:
        self.lock.write_text(json.dumps(self.record))
        self.lock.chmod(0o644)

    def write_secrets(self, text: str, mode: int = 0o600) -> None:
        self.secrets.write_text(text)
        self.secrets.chmod(mode)

    def environment(self) -> dict[str, str]:
        # A proxy and a variable of our own: neither may have an effect.
        more = {"HOME": str(self.home), "http_proxy": "http://127.0.0.1:9", "HIVE_PLANTED": "1"}
        return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **more}

    def argv(self, verb: str, *options: str, command: list[str] | None = None) -> list[str]:
        lock = [] if verb == "secrets" else ["--lock", str(self.lock)]
        tail = ["--", *command] if command else []
        return [sys.executable, "-I", "-B", "-W", "error", str(MOTHER), verb, *lock, *options, *tail]

    def mother(self, verb: str, *options: str, command: list[str] | None = None) -> Done:
        began = time.monotonic()
        done = subprocess.run(
            self.argv(verb, *options, command=command),
            env=self.environment(),
            cwd=self.folder,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return self.checked(done.returncode, done.stdout, done.stderr, time.monotonic() - began)

    def start(self, verb: str, *options: str, command: list[str]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self.argv(verb, *options, command=command),
            env=self.environment(),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def finish(self, process: "subprocess.Popen[bytes]") -> Done:
        began = time.monotonic()
        try:
            stdout, stderr = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()  # else its pipes are the next test's trouble
            raise
        return self.checked(process.returncode, stdout, stderr, time.monotonic() - began)

    @staticmethod
    def checked(status: int, stdout: bytes, stderr: bytes, seconds: float) -> Done:
        """Every run of every test is held to this: the token is nowhere, and there is no traceback."""
        for stream in (stdout, stderr):
            assert TOKEN.encode() not in stream
            assert b"Traceback" not in stream
        return Done(status, [json.loads(line) for line in stdout.splitlines()], stderr.decode(), seconds)


def wait_until(happened: Callable[[], object], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Say whether a process runs (a zombie does not)."""
    done = subprocess.run(["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip()[:1] not in {"", "Z"}
