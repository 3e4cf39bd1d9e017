"""Running a command of the host with bounds: on its time, its output, and what it gets (edge).

Never a shell, never our environment. Its input is fed piece by piece; when a piece cannot be had, the command is killed
before it sees the end of its input. Every byte must be taken out of the pipe before the command has ended. Whatever way
out is taken, the command and all that it started in its session are dead then; except for a command whose purpose is to
start something that stays.
"""

import contextlib
import fcntl
import os
import selectors
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from signing.errors import HostError

EMPTY_FOLDER: Final = "/var/empty"
# pkg takes any of its settings from the environment; so it gets none of ours, and no folder with repositories.
ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "PATH": "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin",
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "REPOS_DIR": EMPTY_FOLDER,
    }
)
_PIECE: Final = 1 << 16
_TICK: Final = 0.05
_SHOWN: Final = 500
_PATIENCE: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLimits:
    """How long a command may take, in seconds, and how much it may print, in bytes.

    ``gap`` is the longest time in which nothing is read; ``finish`` how long it may work after the last byte, which is
    when scripts run. ``total`` bounds all of it: who reads a byte a minute would else be waited for for a year.
    """

    gap: float = 120.0
    finish: float = 1800.0
    total: float = 7200.0
    output: int = 1 << 20


def run_command(
    command: Sequence[str],
    pieces: Iterator[bytes] | None = None,
    *,
    limits: CommandLimits | None = None,
    stays: bool = False,
    started: Callable[[int], None] | None = None,
) -> bytes:
    """Run ``command`` with ``pieces`` as its input and return what it printed, errors included.

    Args:
        command: the words, the program's absolute path first.
        pieces: its input; none is an empty one.
        limits: on its time and its output.
        stays: what a command that ended by itself has started lives on: the processes of a jail, for one.
        started: is told the number of its process group, in which it lives on when this process is killed.

    Raises:
        HostError: it cannot be started, failed, read not all of its input, took too long, or printed too much.
        SkillRepoError: whatever ``pieces`` raises; the command was killed before the end of its input.
    """
    feeding = _Feeding(
        command, pieces if pieces is not None else iter(()), limits or CommandLimits(), stays=stays
    )
    return feeding.run(started)


class _Feeding:
    """One run of the command: its input is fed, its output bounded, and it is killed before any way out."""

    def __init__(
        self, command: Sequence[str], pieces: Iterator[bytes], limits: CommandLimits, *, stays: bool
    ) -> None:
        self._command, self._pieces, self._limits = list(command), pieces, limits
        self._stays = stays
        self._said = bytearray()
        self._piece = memoryview(b"")
        self._fed = False

    def run(self, started: Callable[[int], None] | None = None) -> bytes:
        with contextlib.ExitStack() as stack:
            # The reading end stays open here too: what was not read is counted there when the command has ended,
            # and closing it early is no way to get rid of the bytes unnoticed.
            reading, writing = os.pipe()
            stack.callback(os.close, reading)
            ends = stack.enter_context(contextlib.ExitStack())
            ends.callback(os.close, writing)
            process = self._start(reading)
            stack.callback(_close, process)
            # Callbacks run backwards: first it is killed, then its input ends. What is cut off never ends for it.
            stack.callback(_kill, process)
            if started is not None:
                started(process.pid)
            self._feed(process, writing, ends)
            status = process.wait() if self._stays else _kill(process)
            said = ascii(self._said[-_SHOWN:].decode("utf-8", "replace"))[1:-1]
            if status != 0:
                raise HostError(f"the command failed with status {status}: {said}", where=self._command[0])
            # It may have ended before we came to see that there is nothing more to give.
            fed = self._fed or (not self._piece and next(self._pieces, None) is None)
            if not fed or _unread(reading):
                raise HostError(f"the command did not read all of its input: {said}", where=self._command[0])
            return bytes(self._said)

    def _start(self, reading: int) -> "subprocess.Popen[bytes]":
        try:
            return subprocess.Popen(
                self._command,
                stdin=reading,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=dict(ENVIRONMENT),
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise HostError(f"cannot start: {error.strerror}", where=self._command[0]) from error

    def _feed(self, process: "subprocess.Popen[bytes]", writing: int, ends: contextlib.ExitStack) -> None:
        """Feed and listen until the command has ended.

        Raises:
            HostError: it was too slow, or printed too much.
        """
        printing = _descriptor(process)
        for descriptor in (writing, printing):
            os.set_blocking(descriptor, False)
        with selectors.DefaultSelector() as selector:
            selector.register(writing, selectors.EVENT_WRITE)
            selector.register(printing, selectors.EVENT_READ)
            end = time.monotonic() + self._limits.total
            until = time.monotonic() + self._limits.gap
            while not _has_ended(process):
                if time.monotonic() > min(until, end):
                    raise HostError("the command took too long", where=self._command[0])
                for key, _ in selector.select(_TICK):
                    if key.fd == printing:
                        if not self._listen(printing):
                            selector.unregister(printing)
                    elif self._write(writing):
                        until = time.monotonic() + self._limits.gap
                    else:
                        selector.unregister(writing)
                        ends.close()
                        self._fed = True
                        until = time.monotonic() + self._limits.finish
            with contextlib.suppress(BlockingIOError):  # whom it left behind may hold its output open
                while self._listen(printing):
                    pass

    def _write(self, writing: int) -> bool:
        """Write what the pipe takes; return False when there is nothing more to write."""
        if not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                return False
            self._piece = memoryview(piece)
        with contextlib.suppress(BlockingIOError):
            self._piece = self._piece[os.write(writing, self._piece[:_PIECE]) :]
        return True

    def _listen(self, printing: int) -> bool:
        """Read what was printed; return False at its end.

        Raises:
            HostError: more than anybody would read.
        """
        said = os.read(printing, _PIECE)
        self._said += said
        if len(self._said) > self._limits.output:
            raise HostError("the command prints too much", where=self._command[0])
        return bool(said)


def _descriptor(process: "subprocess.Popen[bytes]") -> int:
    if process.stdout is None:
        raise HostError("the command has no output")
    return process.stdout.fileno()


def _has_ended(process: "subprocess.Popen[bytes]") -> bool:
    """Return whether the command has ended; it is not reaped, so that nobody else gets its number meanwhile."""
    if process.returncode is not None:
        return True
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _kill(process: "subprocess.Popen[bytes]") -> int:
    """Kill the command and all that it started, if they still run; return the command's exit status."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired as error:
            raise HostError("the command cannot be killed", hint="look for hanging file systems") from error
    return process.returncode


def _close(process: "subprocess.Popen[bytes]") -> None:
    if process.stdout is not None:
        process.stdout.close()


def _unread(reading: int) -> bool:
    return any(fcntl.ioctl(reading, termios.FIONREAD, bytes(4)))
