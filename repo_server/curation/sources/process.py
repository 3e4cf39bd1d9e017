"""Running one program under limits (edge): time, bytes printed, bytes written below its folder.

Output goes to files, not to pipes: nothing can block, nothing has to be read by threads, and the size can be
watched from outside. The program leads its own process group, and the whole group is killed at the end, so that
what it started (git starts ssh, remote-https, index-pack) does not survive it.
"""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from repo_server.curation.limits import Deadline
from signing.errors import FormatError, HostError

_POLL_SECONDS = 0.05
_MAX_ERRORS = 1 << 16
_NAME_BYTES = 1 << 10  # or millions of empty files would be nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a program ended and what it said."""

    status: int
    output: bytes
    errors: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """Runs programs in one scratch folder."""

    folder: Path
    environment: Mapping[str, str]
    deadline: Deadline
    max_disk_bytes: int

    def run(self, argv: Sequence[str], *, max_output: int, given: bytes = b"") -> Outcome:
        """Return how ``argv`` ended, fed with ``given``.

        Raises:
            HostError: there is no such program.
            TransportError: the deadline passed.
            FormatError: it printed more than ``max_output`` bytes, or filled the folder.
        """
        fed, printed, errors = (self.folder / name for name in ("stdin", "stdout", "stderr"))
        fed.write_bytes(given)
        with fed.open("rb") as stdin, printed.open("wb") as stdout, errors.open("wb") as stderr:
            try:
                process = subprocess.Popen(
                    list(argv),
                    stdin=stdin,
                    stdout=stdout,
                    stderr=stderr,
                    env=dict(self.environment),
                    cwd=self.folder,
                    start_new_session=True,
                )
            except OSError as error:
                raise HostError(
                    f"cannot start {argv[0]}: {error.strerror}", hint=f"install {argv[0]}"
                ) from error
            try:
                self._watch(process, printed, max_output)
            finally:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if printed.stat().st_size > max_output:
            raise _too_much()
        with errors.open("rb") as stream:
            said = stream.read(_MAX_ERRORS).decode("utf-8", errors="replace")
        return Outcome(status=process.returncode, output=printed.read_bytes(), errors=said)

    def _watch(self, process: subprocess.Popen[bytes], printed: Path, max_output: int) -> None:
        while True:
            try:
                process.wait(timeout=min(_POLL_SECONDS, self.deadline.remaining()))
            except subprocess.TimeoutExpired:
                if printed.stat().st_size > max_output or _is_larger(self.folder, self.max_disk_bytes):
                    raise _too_much() from None
            else:
                return


def _is_larger(folder: Path, most: int) -> bool:
    """Return whether what lies below ``folder`` takes more than ``most`` bytes, a name taking some too.

    A folder that hides what is in it, or lies deeper than can be reached, counts as too large.
    """
    total = 0
    folders = [os.fspath(folder)]
    while folders and total <= most:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):
                        total += max(entry.stat(follow_symlinks=False).st_size, _NAME_BYTES)
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
        except (FileNotFoundError, NotADirectoryError):  # programs remove temporary files while we look
            continue
        except OSError:
            return True
    return total > most


def _too_much() -> FormatError:
    return FormatError("is far larger than a skill may be", where="git", hint="point at a smaller repository")
