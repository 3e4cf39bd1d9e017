"""How far a program can be kept from the rest of the machine here (edge).

| kind | network | other files | processes that it leaves behind |
|---|---|---|---|
| bubblewrap | cut | cannot be seen, but the program's own | die with it |
| namespaces (``unshare``) | cut | can be read and written as by us | die with it |
| nothing | open | can be read and written as by us | die when they stay in its group |

What is there is tried, not assumed: a kernel or a container may forbid namespaces though the program exists.
"""

import enum
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

_TRIAL_SECONDS: Final = 10
_SYSTEM: Final = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"),
    *("/etc/ld.so.cache", "/etc/alternatives"),
)
# Folders that bubblewrap makes in memory. Left open, they could be filled with half of this machine's memory, where no
# limit counts it. What is mounted below them stays as it is.
_SEALED: Final = tuple(word for place in ("/tmp", "/dev", "/") for word in ("--remount-ro", place))  # noqa: S108


class Confinement(enum.StrEnum):
    """What keeps a program in."""

    BUBBLEWRAP = "bubblewrap"
    NAMESPACES = "namespaces"
    NOTHING = "nothing"

    @property
    def cuts_network(self) -> bool:
        """Whether a program has no network, not even the loopback of this machine."""
        return self is not Confinement.NOTHING

    @property
    def hides_files(self) -> bool:
        """Whether a program sees no files but its own."""
        return self is Confinement.BUBBLEWRAP

    def around(self, argv: list[str], *, scratch: Path, readable: Iterable[Path]) -> list[str]:
        """Return the argument list that runs ``argv`` confined.

        Args:
            argv: the program.
            scratch: the one folder that it may write to.
            readable: what it needs besides the system's own programs and libraries.
        """
        if self is Confinement.NAMESPACES:
            return [*_unshare(), *argv]
        if self is Confinement.BUBBLEWRAP:
            own = ["--bind", str(scratch), str(scratch), "--chdir", str(scratch)]
            return [*_bubblewrap(), *_shown(readable), *own, *_SEALED, *argv]
        return argv


@cache
def best_confinement() -> Confinement:
    """Return the strongest confinement that works on this machine."""
    if shutil.which("bwrap") is not None and _works([*_bubblewrap(), *_SEALED, "true"]):
        return Confinement.BUBBLEWRAP
    if shutil.which("unshare") is not None and _works([*_unshare(), "true"]):
        return Confinement.NAMESPACES
    return Confinement.NOTHING


def interpreter_paths(python: Path) -> Iterator[Path]:
    """Yield what the interpreter ``python`` needs: programs, libraries, settings, along the links to the real one.

    Not the folder above them, which may be somebody's home.
    """
    for path in _links(python):
        prefix = path.parent.parent
        needed = [path.parent, prefix / "lib", prefix / "lib64", prefix / "pyvenv.cfg"]
        yield from (place for place in needed if place.exists())


def _links(path: Path) -> Iterator[Path]:
    seen: set[Path] = set()
    while path not in seen:
        yield path
        seen.add(path)
        if path.is_symlink():
            path = Path(os.path.normpath(path.parent / path.readlink()))


def _works(argv: list[str]) -> bool:
    try:
        done = subprocess.run(argv, capture_output=True, check=False, timeout=_TRIAL_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _program(name: str) -> str:
    return shutil.which(name) or name  # whole, because it is started with another PATH than ours


def _unshare() -> list[str]:
    return [_program("unshare"), "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "--"]


def _bubblewrap() -> list[str]:
    words = [_program("bwrap"), "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    for path in _SYSTEM:
        words += ["--ro-bind-try", path, path]
    # The empty /tmp comes before what is shown, which may lie in it.
    return [*words, "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108 - inside the namespace


def _shown(paths: Iterable[Path]) -> Iterator[str]:
    # Parents before what lies in them, or a later bind would hide an earlier one.
    for path in sorted({os.path.abspath(path) for path in paths}):  # noqa: PTH100 - keeps links as they are
        if not path.startswith("/usr/"):
            yield from ("--ro-bind", path, path)
