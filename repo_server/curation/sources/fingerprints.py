r"""The hashes by which marketplaces name a set of files, to compare with what they say (pure).

    ClawHub fingerprint    sha256 of "path:sha256" lines joined by \n; files below a dotted name left out
    ClawHub content hash   sha256 of "path\0size\0sha256" lines joined by \n (of skills that GitHub keeps)
    skills.sh snapshot     sha256 of path and content of every file, run together without any separator

All are in the order of JavaScript's ``localeCompare``, in which ``assets/x`` stands before ``LICENSE`` and that
before ``SKILL.md``. None covers what may be executed, and the last is ambiguous. They prove nothing; a difference
tells that upstream speaks of other files than the ones that were received.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

# The primary order of the Unicode collation (CLDR root) for ASCII; letters differ by case only at the end.
_ORDER: Final = "\t\n\v\f\r _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789abcdefghijklmnopqrstuvwxyz"
_WEIGHT: Final = {character: weight for weight, character in enumerate(_ORDER)}


def locale_key(path: str) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Return a key that sorts ASCII paths like ``localeCompare``.

    Raises:
        KeyError: the path is not printable ASCII; its place depends on the release of a Unicode table.
    """
    return tuple(_WEIGHT[character] for character in path.lower()), tuple(map(str.isupper, path))


def clawhub_fingerprint(files: Mapping[str, bytes]) -> str | None:
    """Return ClawHub's fingerprint of ``files``, or None when their order cannot be told."""
    ordered = _ordered(path for path in files if not _dotted(path))
    if ordered is None:
        return None
    return _sha256("\n".join(f"{path}:{_sha256(files[path])}" for path in ordered).encode())


def clawhub_content_hash(files: Mapping[str, bytes]) -> str | None:
    """Return ClawHub's content hash of ``files``, or None when their order cannot be told."""
    ordered = _ordered(files)
    if ordered is None:
        return None
    lines = (f"{path}\0{len(files[path])}\0{_sha256(files[path])}" for path in ordered)
    return _sha256("\n".join(lines).encode())


def skills_sh_snapshot(files: Mapping[str, bytes]) -> str | None:
    """Return the skills.sh snapshot hash of ``files``, or None when their order cannot be told."""
    ordered = _ordered(files)
    if ordered is None:
        return None
    return _sha256(b"".join(path.encode() + files[path] for path in ordered))


def _ordered(paths: Iterable[str]) -> list[str] | None:
    try:
        return sorted(paths, key=locale_key)
    except KeyError:
        return None


def _dotted(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
