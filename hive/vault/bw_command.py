"""Running one `bw` at a time (edge): in a private folder, with an environment made from nothing, under limits.

    STATE/bw/          0700   ours alone; its lock is held by the driver and by every `bw` it started
      data/            0700   what `bw` keeps: while logged in, the API key's secret and ciphertext of items
      home/            0700   HOME and TMPDIR of the child

The child inherits no variable: BW_CLEANEXIT turns failures into successes, BW_QUIET and BW_RAW change what is
printed, NODE_OPTIONS runs code, proxies read along. Credentials are in the environment of the one child that
needs them, never in an argument, a file or a message.
"""

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from hive.vault.bw_answers import MAX_ANSWER_BYTES
from hive.vault.secret import Secret
from repo_client.handles import Directory
from signing.errors import HostError, TransportError

SECONDS: Final = 180.0
LOCK_SECONDS: Final = 600.0
_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
_PIECE: Final = 1 << 16
_MAX_ERRORS: Final = 1 << 16
_PATIENCE: Final = 30.0
_OURS_ALONE: Final = 0o700
_NOTHING: Final[Mapping[str, Secret]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """How a `bw` ended and what it printed; the latter may hold secrets and appears in no repr."""

    status: int
    out: bytes = field(repr=False)
    err: bytes = field(repr=False)

    @property
    def words(self) -> str:
        """What it printed, errors first, for recognising why it failed."""
        return f"{self.err.decode('utf-8', 'replace')}\n{self.out.decode('utf-8', 'replace')}"


class BwProgram:
    """The `bw` of this host in its private folder, which is locked while this is open. A context manager."""

    def __init__(self, program: Path, folder: Directory, environment: Mapping[str, str]) -> None:
        self._program = program
        self._folder = folder
        self._environment = dict(environment)

    @classmethod
    def open(cls, program: str, folder: Path, *, ca_file: Path | None, seconds: float = LOCK_SECONDS) -> Self:
        """Return the program with its folder, made and locked.

        Raises:
            HostError: there is no such program, or the folder is not private.
            ConflictError: another process drives `bw` for ``seconds``.
            UnsafePathError: the folder is a link.
        """
        found = _find(program)
        place = _private_folder(folder)
        try:
            place.lock(seconds=seconds)
            for name in ("data", "home"):
                with place.descend(name, create=True, mode=_OURS_ALONE) as inner:
                    _check_private(inner)
        except BaseException:
            place.close()
            raise
        environment = {
            "PATH": f"{found.parent}:{_PATH}",
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "home"),
            "LC_ALL": "C.UTF-8",
            "BITWARDENCLI_APPDATA_DIR": str(folder / "data"),
            "BW_NOINTERACTION": "true",
        }
        if ca_file is not None:
            environment["NODE_EXTRA_CA_CERTS"] = str(ca_file)
        return cls(found, place, environment)

    def close(self) -> None:
        """Let others drive `bw`."""
        self._folder.close()

    def run(
        self, *arguments: str, secrets: Mapping[str, Secret] = _NOTHING, seconds: float = SECONDS
    ) -> Said:
        """Run ``bw ARGUMENTS`` with ``secrets`` in its environment and return how it ended.

        Raises:
            HostError: it cannot be started, or prints more than anybody would read.
            TransportError: it took longer than ``seconds``.
        """
        environment = {
            **self._environment,
            **{name: os.fsdecode(secret.reveal()) for name, secret in secrets.items()},
        }
        try:
            process = subprocess.Popen(
                [str(self._program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                cwd=self._environment["HOME"],
                start_new_session=True,
                # With its lock: when we are killed, what we started still works in the folder, and a second
                # `bw` beside it would read a vault that is being emptied and filled (trap 6).
                pass_fds=(self._folder.fileno(),),
            )
        except OSError as error:
            raise HostError(f"cannot start bw: {error.strerror}", where=str(self._program)) from None
        finally:
            environment.clear()
        with _killed_at_the_end(process):
            out, err = _listen(process, arguments[0], time.monotonic() + seconds)
            return Said(status=process.wait(_PATIENCE), out=out, err=err)


@contextlib.contextmanager
def _killed_at_the_end(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _listen(process: "subprocess.Popen[bytes]", step: str, end: float) -> tuple[bytes, bytes]:
    """Return what the process prints until it closes both its outputs."""
    if process.stdout is None or process.stderr is None:
        raise HostError("bw has no output")
    said = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    out, err = said.values()
    with selectors.DefaultSelector() as selector:
        for descriptor in said:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            remaining = end - time.monotonic()
            if remaining <= 0:
                raise TransportError(f"bw {step} took too long", hint="is the vault reachable? try again")
            for key, _ in selector.select(remaining):
                piece = os.read(key.fd, _PIECE)
                said[key.fd] += piece
                if not piece:
                    selector.unregister(key.fd)
            if len(out) > MAX_ANSWER_BYTES or len(err) > _MAX_ERRORS:
                raise HostError(f"bw {step} prints more than anybody would read")
    return bytes(out), bytes(err)


def _find(program: str) -> Path:
    found = shutil.which(program, path=_PATH)
    if found is None:
        raise HostError(
            f"there is no program {program!r}",
            hint="npm install @bitwarden/cli@2026.6.0, then set bw to its path",
        )
    path = Path(found).absolute()
    node = shutil.which("node", path=f"{path.parent}:{_PATH}")
    for executable in (path, path.resolve(), *([Path(node).resolve()] if node else ())):
        # It wins over BITWARDENCLI_APPDATA_DIR: whoever made it would hold the login.
        if os.path.lexists(executable.parent / "bw-data"):
            raise HostError(
                "a folder bw-data stands beside the program, and bw would keep the login there",
                where=str(executable.parent),
                hint="remove it",
            )
    return path


def _private_folder(folder: Path) -> Directory:
    try:
        folder.mkdir(mode=_OURS_ALONE, parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(f"cannot make the vault's folder: {error.strerror}", where=str(folder)) from None
    place = Directory.open(folder)
    try:
        _check_private(place)
    except BaseException:
        place.close()
        raise
    return place


def _check_private(folder: Directory) -> None:
    status = folder.status()
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise HostError(
            "the vault's folder is not yours alone", where=folder.label, hint="chown it and chmod 0700"
        )
