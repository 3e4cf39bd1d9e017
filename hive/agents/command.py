"""One command at work for a lane (edge): fed a job, its output counted, its descendants ended with it.

An argument list, never a shell; a session and process group of its own; no variable of ours in its environment.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from signing.errors import HostError

_GRACE: Final = 2.0  # seconds between SIGTERM and SIGKILL
_PATIENCE: Final = 10.0  # seconds after SIGKILL
_TICK: Final = 0.02
_PRIVATE: Final = "HIVE_"  # our variables; one of them may be the token


class Command:
    """A running command. Call `end` in every case: it also ends what the command left behind."""

    def __init__(self, words: Sequence[str], given: bytes, *, output_limit: int) -> None:
        """Start it.

        Raises:
            HostError: it cannot be started.
        """
        self.output = bytearray()
        self.too_much = threading.Event()
        self._room = output_limit
        self._status: int | None = None
        self._counting = threading.Lock()
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_PRIVATE)}
        try:
            self._process = subprocess.Popen(
                list(words),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise HostError(f"cannot start {words[0]}: {error.strerror}") from error
        self._threads = [
            threading.Thread(target=self._feed, args=(given,), daemon=True),
            threading.Thread(
                target=self._drain, args=(self._process.stdout, self.output.extend), daemon=True
            ),
            threading.Thread(target=self._drain, args=(self._process.stderr, _pass_on), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def has_ended(self) -> bool:
        """Return whether it ended. It is not reaped: its process group keeps its number until `end`."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, flags) is not None

    def end(self, *, gently: bool) -> int:
        """End it and whatever it started, and return its status; a negative one is the signal that ended it."""
        if self._status is not None:
            return self._status  # it is reaped: its number may be somebody else's by now
        if gently and not self.has_ended():
            self._signal(signal.SIGTERM)
            until = time.monotonic() + _GRACE
            while not self.has_ended() and time.monotonic() < until:
                time.sleep(_TICK)
        self._signal(signal.SIGKILL)
        try:
            self._status = self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            # It took on another user's rights, or hangs in the kernel. The lease is not held for its sake.
            _pass_on(f"process {self._process.pid} cannot be ended; it runs on\n".encode())
            self._status = -signal.SIGKILL
        for thread in self._threads:
            thread.join(1.0)  # a descendant that left the session may hold a pipe; it is not waited for
        return self._status

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _feed(self, data: bytes) -> None:
        pipe = self._process.stdin
        if pipe is not None:
            with contextlib.suppress(OSError), pipe:
                pipe.write(data)

    def _drain(self, pipe: Any, keep: Callable[[bytes], Any]) -> None:
        with pipe:
            while chunk := os.read(pipe.fileno(), 1 << 16):
                with self._counting:
                    self._room -= len(chunk)
                    if self._room < 0:
                        self.too_much.set()
                        return
                keep(chunk)


def _pass_on(chunk: bytes) -> None:
    sys.stderr.buffer.write(chunk)
    sys.stderr.buffer.flush()
