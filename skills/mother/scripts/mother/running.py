"""COMMAND as a process: fed the job, its output counted, its descendants ended with it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from mother.talk import pass_on, say

GRACE = 2.0  # seconds between SIGTERM and SIGKILL for a command that is asked to stop
PATIENCE = 10.0  # seconds for a killed command to be gone
TICK = 0.02  # seconds between two looks at a running command
CHUNK = 1 << 16
_OURS = "HIVE_"


class Running:
    """One command in a session of its own. Call `end` in every case: it also ends what the command left behind."""

    def __init__(self, command: Sequence[str], given: bytes, *, output_limit: int) -> None:
        """Start it and write ``given`` to its standard input.

        Raises:
            OSError, RuntimeError: it cannot be started, or not watched; then it does not run.
        """
        self.output = bytearray()
        self.too_much = threading.Event()
        self._room = output_limit
        self._counting = threading.Lock()
        self._status: int | None = None
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if not name.startswith(_OURS)},
            start_new_session=True,
        )
        self._threads: list[threading.Thread] = []
        try:
            self._start(self._feed, given)
            self._start(self._drain, self._process.stdout, self.output.extend)
            self._start(self._drain, self._process.stderr, pass_on)
        except RuntimeError:
            self.end(gently=False)
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
                with contextlib.suppress(OSError):
                    pipe.close()  # type: ignore[union-attr]
            raise

    def exited(self) -> bool:
        """Say whether the command has ended, without reaping it: its process group keeps its number until `end`."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, flags) is not None

    def end(self, *, gently: bool) -> int:
        """End the command and whatever it started, and return its exit status (negative: the signal)."""
        if self._status is not None:
            return self._status  # it is reaped: its number may be somebody else's by now
        if gently and not self.exited():
            self._signal(signal.SIGTERM)
            patience = time.monotonic() + GRACE
            while not self.exited() and time.monotonic() < patience:
                time.sleep(TICK)
        self._signal(signal.SIGKILL)
        try:
            self._status = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            # It took on another user's rights, or hangs in the kernel. The lease is not held for its sake.
            say(f"process {self._process.pid} cannot be ended; it runs on")
            self._status = -signal.SIGKILL
        for thread in self._threads:
            thread.join(1.0)  # a descendant that left the session may hold a pipe; it is not waited for
        return self._status

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _start(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _feed(self, data: bytes) -> None:
        with contextlib.suppress(OSError), self._process.stdin as pipe:  # type: ignore[union-attr]
            pipe.write(data)

    def _drain(self, pipe: Any, keep: Callable[[bytes], Any]) -> None:
        with pipe:
            while chunk := os.read(pipe.fileno(), CHUNK):
                with self._counting:
                    self._room -= len(chunk)
                    if self._room < 0:
                        self.too_much.set()
                        return
                keep(chunk)
