"""The tree of a skill: what would be published, before it has a name and a version of ours.

`SourceTree.of` is the only way to make one, and every source and every archive goes through it. So whoever
holds a SourceTree knows: clean relative paths, no twins on any file system, within the limits of the bundle
format, SKILL.md at the root, and no MANIFEST.json (that name belongs to the bundle).

The **tree's digest** is the sha256 of the canonical JSON list of path, mode, sha256 and size. Unlike a bundle's
tree digest it does not cover name and version, so the same files have the same digest wherever they come from.
"""

from collections.abc import Iterable, Mapping
from dataclasses import InitVar, dataclass
from functools import partial
from types import MappingProxyType
from typing import NoReturn, Self, final

from signing.errors import FormatError
from signing.format.archive import Bundle, SourceFile
from signing.format.canonical import canonical
from signing.format.digest import Sha256, sha256_of
from signing.format.manifest import (
    MANIFEST_NAME,
    MAX_FILE_BYTES,
    MAX_FILES,
    MAX_TOTAL_BYTES,
    SKILL_NAME,
    Kind,
    MemberPath,
    Mode,
    check_no_twins,
    parse_member_path,
)
from signing.format.names import Pin

Entry = tuple[str, bytes, bool]  # path, content, executable


class _Seal:
    """The one instance of this class opens the constructor."""


_SEAL = _Seal()


@final
@dataclass(frozen=True, slots=True)
class SourceTree:
    """The files of a candidate: well-formed and complete, vouched for by nobody."""

    files: Mapping[MemberPath, SourceFile]
    seal: InitVar[_Seal]

    def __post_init__(self, seal: _Seal) -> None:
        if seal is not _SEAL:
            raise TypeError("SourceTree comes from SourceTree.of()")

    def __reduce__(self) -> NoReturn:
        raise TypeError("keep the files and check them again")

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Self:
        """Return the tree of ``entries``.

        Raises:
            FormatError: they may not stand together in a bundle.
        """
        listed: list[tuple[MemberPath, SourceFile]] = []
        total = 0
        for path, content, executable in entries:
            member = parse_member_path(path, where="files")
            # Before the check for twins, which would say the same in words that help less.
            if member == MANIFEST_NAME:
                raise FormatError(
                    "is reserved for the bundle's own list of files",
                    where=MANIFEST_NAME,
                    hint="rename or remove it; importing a published bundle again is not possible",
                )
            total += len(content)
            _check_size(member, len(content), total, count=len(listed) + 1)
            mode = Mode.EXECUTABLE if executable else Mode.PLAIN
            listed.append((member, SourceFile(content=content, mode=mode)))
        # On the list, not on a dict: in a dict, the second of two SKILL.md has silently replaced the first.
        check_no_twins(path for path, _ in listed)
        files = dict(sorted(listed, key=lambda item: item[0]))
        if SKILL_NAME not in files:
            raise FormatError(
                f"no {SKILL_NAME} at the root",
                where="files",
                hint="point at the folder that holds SKILL.md (exactly this spelling)",
            )
        return cls(MappingProxyType(files), _SEAL)

    @property
    def digest(self) -> Sha256:
        """The sha256 of the list of files, independent of name and version."""
        return sha256_of(
            canonical(
                [
                    {
                        "path": path,
                        "mode": file.mode.value,
                        "sha256": sha256_of(file.content),
                        "size": len(file.content),
                    }
                    for path, file in self.files.items()
                ]
            )
        )

    @property
    def skill_md(self) -> bytes:
        """The content of SKILL.md."""
        return self.files[MemberPath(SKILL_NAME)].content

    def to_bundle(self, pin: Pin, kind: Kind) -> Bundle:
        """Return the bundle that publishes this tree as ``pin``."""
        return Bundle.build(pin=pin, kind=kind, files=self.files)


def text_of(content: bytes) -> str | None:
    """Return ``content`` as text, or None when it is binary or in another encoding than UTF-8."""
    if b"\0" in content:
        return None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _check_size(path: MemberPath, size: int, total: int, *, count: int) -> None:
    refuse = partial(FormatError, where=path, hint="a skill is text and small scripts; leave data files out")
    if count > MAX_FILES:
        raise refuse(f"more than {MAX_FILES} files")
    if size > MAX_FILE_BYTES:
        raise refuse(f"larger than {MAX_FILE_BYTES} bytes")
    if total > MAX_TOTAL_BYTES:
        raise refuse(f"files add up to more than {MAX_TOTAL_BYTES} bytes")
