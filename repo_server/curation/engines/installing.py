"""Installing engines (edge): each in its own environment, from a lock with hashes, whole or not at all.

DIR/cisco/                      the environment, which nothing of ours imports from
DIR/cisco/installed.json        written last: engine, version, digest of the lock, digest of all files

The environment is built beside its place and renamed into it, by one process at a time; what a killed one has left
is cleared away by the next. An environment that was changed since is not run. Only wheels are taken: building a package would
run its code at installation, outside of all limits. The index is not trusted with anything, because every file
has its hash in the lock.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from repo_server.curation.engines.environment import environment_sha256
from repo_server.curation.textsafe import excerpt
from repo_server.storage.durable import sync_folder, write_durably
from signing.errors import ConflictError, HostError, NotFoundError
from signing.format.digest import Sha256, sha256_of

MARKER: Final = "installed.json"
_SECONDS: Final = 900
_MAX_MARKER: Final = 10_000
_OLD: Final = "old"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installable:
    """An engine that can be installed. ``lock`` is a requirements file with hashes of the complete set."""

    name: str
    version: str
    package: str
    lock: Path

    @property
    def lock_sha256(self) -> Sha256:
        """The digest of the lock."""
        return sha256_of(self.lock.read_bytes())

    def python(self, folder: Path) -> Path:
        """Return the interpreter of the engine's environment."""
        return folder / self.name / "bin" / "python"

    def marker(self, place: Path) -> dict[str, str]:
        """Return what is written down when the installation in ``place`` is complete.

        Raises:
            OSError: it cannot be read.
        """
        return self.pinned() | {"files_sha256": environment_sha256(place, besides=MARKER)}

    def pinned(self) -> dict[str, str]:
        """Return what of it is known before anything is installed."""
        return {"engine": self.name, "version": self.version, "lock_sha256": self.lock_sha256}


def absence_of(engine: Installable, folder: Path) -> str:
    """Return why the engine cannot be run from ``folder``; empty when it is installed as it is pinned."""
    hint = f"skillrepo engine install {engine.name}"
    found = _marker(folder / engine.name)
    if found is None:
        return f"not installed: {hint}"
    if not isinstance(found, dict) or not engine.pinned().items() <= found.items():
        return f"installed from another lock than the pinned one: {hint}"
    try:
        whole = found == engine.marker(folder / engine.name)
    except (OSError, RecursionError):
        whole = False
    return (
        ""
        if whole
        else f"its files are not those that were installed: find out who changed them, then {hint}"
    )


def install(engine: Installable, folder: Path) -> Path:
    """Install ``engine`` below ``folder``, in place of what is there, and return its environment.

    Raises:
        HostError: it cannot be had or made; what was there is still there.
        ConflictError: another process is at it.
    """
    place = folder / engine.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(engine, folder):
            _check_ours(place)
            with tempfile.TemporaryDirectory(prefix=_prefix(engine), dir=folder) as scratch:
                new, old = Path(scratch) / "new", Path(scratch) / _OLD
                _run([sys.executable, "-I", "-m", "venv", str(new)], "making its environment")
                _run([*_pip(new), "--requirement", str(engine.lock)], f"installing {engine.package}")
                write_durably(new / MARKER, json.dumps(engine.marker(new), indent=1).encode() + b"\n")
                try:
                    if place.exists():
                        place.rename(old)
                    new.rename(place)
                finally:  # also when somebody presses Ctrl-C between the two
                    _put_back(old, place)
                sync_folder(folder)
    except OSError as error:
        raise HostError(f"cannot install {engine.name} in {folder}: {error.strerror}") from error
    return place


def remove(engine: Installable, folder: Path) -> None:
    """Remove the environment of ``engine`` below ``folder``.

    Raises:
        NotFoundError: it is not installed there. HostError: it cannot be removed, or is something else.
        ConflictError: another process is at it.
    """
    place = folder / engine.name
    if not place.exists():
        raise NotFoundError(f"{engine.name} is not installed in {folder}")
    try:
        with _alone(engine, folder):
            _check_ours(place)
            shutil.rmtree(place)
    except OSError as error:
        raise HostError(f"cannot remove {place}: {error.strerror}") from error


@contextmanager
def _alone(engine: Installable, folder: Path) -> Iterator[None]:
    """Keep others out of ``folder``, and clear away what a killed installation has left there."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError(
                f"an engine is being installed in {folder} by another process", hint="wait until it has ended"
            ) from error
        for left in folder.glob(f"{_prefix(engine)}*"):
            _put_back(left / _OLD, folder / engine.name)
            shutil.rmtree(left)
        yield
    finally:
        os.close(descriptor)


def _prefix(engine: Installable) -> str:
    return f".{engine.name}-new-"


def _put_back(old: Path, place: Path) -> None:
    """Give the environment that was there its place again, if nothing came in its stead."""
    if old.exists() and not place.exists():
        old.rename(place)


def _check_ours(place: Path) -> None:
    """Raise HostError when ``place`` holds something that was not made here: it would be removed."""
    if place.is_symlink() or (place.exists() and _marker(place) is None):
        raise HostError(
            f"{place} was not made by skillrepo engine install", hint="move it away, or choose another folder"
        )


def _marker(place: Path) -> object | None:
    with suppress(OSError, ValueError, RecursionError), (place / MARKER).open("rb") as stream:
        found: object = json.loads(stream.read(_MAX_MARKER))
        return found
    return None


def _pip(environment: Path) -> list[str]:
    return [
        *(str(environment / "bin" / "python"), "-I", "-m", "pip", "install", "--quiet", "--no-input"),
        *("--disable-pip-version-check", "--require-hashes", "--no-deps", "--only-binary", ":all:"),
    ]


def _run(argv: Sequence[str], what: str) -> None:
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise HostError(f"{what} did not end within {_SECONDS} seconds") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no words"]
        raise HostError(
            f"{what} failed: {excerpt(said[-1], limit=300)}",
            hint="it needs wheels for this system and this Python, and an index that has them",
        )
