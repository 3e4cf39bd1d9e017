"""Two jail hosts as two trees of processes: own settings, state, jails and services; the real commands."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_BIN = Path(sys.executable).parent
_SECONDS = 40.0


def agent_user() -> int:
    """The user that agents run as, never root."""
    return os.getuid() or 1001


def wait_until(true: Callable[[], bool], what: str, *, logs: Sequence[Path]) -> None:
    end = time.monotonic() + _SECONDS
    while not true():
        if time.monotonic() >= end:
            said = "\n".join(path.read_text()[-2000:] for path in logs)
            raise AssertionError(f"not within {_SECONDS:g} s: {what}\n{said}")
        time.sleep(0.005)


@dataclass
class JailHost:
    """One host. Whatever it says goes to its own log."""

    name: str
    folder: Path

    @classmethod
    def settle(cls, folder: Path, name: str, *, anchor: bytes, **settings: str) -> "JailHost":
        """Write the settings of a host of this name."""
        folder.mkdir(mode=0o700)
        (folder / "anchor.json").write_bytes(anchor)
        values = {
            "host": name,
            "trust_anchor": str(folder / "anchor.json"),
            "state": str(folder / "state"),
            "jail_root_base": str(folder / "jails"),
            "abi": "FreeBSD:14:amd64",
            "jail_uid": str(agent_user()),
            "jail_gid": str(os.getgid() or 1001),
            **settings,
        }
        text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
        (folder / "hive.toml").write_text(text)
        (folder / "hive.toml").chmod(0o600)
        return cls(name, folder)

    def _words(self, *words: str) -> list[str]:
        return [str(_BIN / "hive"), "--config", str(self.folder / "hive.toml"), *words]

    def call(self, *words: str) -> tuple[int, dict[str, Any]]:
        done = subprocess.run(
            self._words("--json", *words), capture_output=True, timeout=_SECONDS, check=False
        )
        with (self.folder / "log").open("ab") as log:
            log.write(done.stderr)
        return done.returncode, json.loads(done.stdout)

    def run(self, *words: str) -> dict[str, Any]:
        status, answer = self.call(*words)
        assert status == 0, (words, answer)
        return answer

    @contextmanager
    def running(self, *words: str) -> "Iterator[subprocess.Popen[bytes]]":
        """Run a service until the block ends."""
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                self._words(*words), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            yield process
        finally:
            end(process)

    def root(self, tenant: str) -> Path:
        return self.folder / "jails" / tenant / "root"

    def runs(self, tenant: str) -> bool:
        return (self.folder / "jails" / tenant / "running").exists()

    def environment(self, tenant: str) -> dict[str, str]:
        text = (self.root(tenant) / "usr/home/agent/.env").read_text()
        pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
        return {name: value.strip("'\"") for name, _, value in pairs}

    def log(self) -> str:
        return (self.folder / "log").read_text()


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a service that this test started, and wait for that."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def kill(process: "subprocess.Popen[bytes]") -> None:
    """End it as a power cut does."""
    process.kill()
    process.wait()
