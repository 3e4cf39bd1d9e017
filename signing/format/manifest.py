r"""The manifest: the complete list of a bundle's files.

    {"files":[{"mode":"0644","path":"SKILL.md","sha256":"9f…","size":812},
              {"mode":"0755","path":"scripts/fetch.py","sha256":"c0…","size":2210}],
     "kind":"skill","name":"web-search","schema":"https://skills.clawdie.si/schema/manifest/v1","version":"1.2.0"}

It is canonical JSON; its sha256 is the **tree digest**, which names the unpacked tree in stores, locks and
audit records. What it does not list is not part of the bundle; there is no ignore list and no option.

Laws, held by tests/signing/format/test_manifest.py: ``parse(render(m)) == m``; ``render(parse(b)) == b`` or
``parse(b)`` raises FormatError.
"""

import enum
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NewType, Self

from signing.errors import FormatError
from signing.format.canonical import canonical, parse_canonical
from signing.format.digest import Sha256, parse_sha256, sha256_of
from signing.format.fields import Fields
from signing.format.names import Pin, parse_skill_name, parse_version

SCHEMA = "https://skills.clawdie.si/schema/manifest/v1"
MANIFEST_NAME = "MANIFEST.json"
SKILL_NAME = "SKILL.md"

# The largest bundle seen in any public collection has 130 files or 5.6 MB (reference: sizes, for limits).
MAX_FILES = 1_000
MAX_FILE_BYTES = 16 << 20
MAX_TOTAL_BYTES = 32 << 20
MAX_PATH_BYTES = 200
MAX_DEPTH = 10
MAX_MANIFEST_BYTES = 1 << 20

MemberPath = NewType("MemberPath", str)


class Kind(enum.StrEnum):
    """What a bundle is for. A soul is an identity layer: instructions too, so held to the same rules."""

    SKILL = "skill"
    SOUL = "soul"


class Mode(enum.StrEnum):
    """The two modes a file may have."""

    PLAIN = "0644"
    EXECUTABLE = "0755"

    @property
    def bits(self) -> int:
        """The mode as a number."""
        return int(self.value, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One file of a bundle."""

    path: MemberPath
    size: int
    mode: Mode
    sha256: Sha256

    def to_json(self) -> dict[str, Any]:
        """Return the entry as it stands in the manifest."""
        return {"path": self.path, "size": self.size, "mode": self.mode.value, "sha256": self.sha256}

    @classmethod
    def from_json(cls, value: object, where: str) -> Self:
        """Return the entry written as ``value``."""
        fields = Fields.of(value, where=where)
        path = parse_member_path(fields.text("path"), where=fields.place("path"))
        size = fields.integer("size", maximum=MAX_FILE_BYTES)
        mode = fields.text("mode")
        if mode not in {item.value for item in Mode}:
            raise FormatError("mode must be 0644 or 0755", where=fields.place("mode"))
        digest = parse_sha256(fields.take("sha256"), where=fields.place("sha256"))
        fields.done()
        return cls(path=path, size=size, mode=Mode(mode), sha256=digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The complete, sorted list of a bundle's files, with its name, version and kind."""

    kind: Kind
    pin: Pin
    files: tuple[FileEntry, ...]
    # A birth asks for it many times, and it cannot change.
    _digest: list[Sha256] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_file_set([entry.path for entry in self.files])
        if sum(entry.size for entry in self.files) > MAX_TOTAL_BYTES:
            raise FormatError(f"files add up to more than {MAX_TOTAL_BYTES} bytes", where="manifest.files")

    def render(self) -> bytes:
        """Return the canonical bytes."""
        return canonical(
            {
                "schema": SCHEMA,
                "kind": self.kind.value,
                "name": self.pin.name,
                "version": self.pin.version,
                "files": [entry.to_json() for entry in self.files],
            }
        )

    @property
    def tree_digest(self) -> Sha256:
        """The sha256 of the canonical bytes."""
        if not self._digest:
            self._digest.append(sha256_of(self.render()))
        return self._digest[0]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the manifest written as ``data``.

        Raises:
            FormatError: not a canonical manifest, or one that lists paths that may not stand together.
        """
        where = MANIFEST_NAME
        fields = Fields.of(parse_canonical(data, where=where, max_bytes=MAX_MANIFEST_BYTES), where=where)
        fields.constant("schema", SCHEMA)
        kind = fields.text("kind")
        if kind not in {item.value for item in Kind}:
            raise FormatError("kind must be skill or soul", where=fields.place("kind"))
        pin = Pin(
            parse_skill_name(fields.take("name"), where=fields.place("name")),
            parse_version(fields.take("version"), where=fields.place("version")),
        )
        files = fields.items("files", FileEntry.from_json, maximum=MAX_FILES)
        fields.done()
        manifest = cls(kind=Kind(kind), pin=pin, files=files)
        manifest._digest.append(sha256_of(data))  # these are its canonical bytes, or they had been refused
        return manifest


def check_file_set(paths: list[MemberPath]) -> None:
    """Return None when ``paths`` may stand together in one bundle.

    Raises:
        FormatError: not sorted, listed twice, twins on some file system, a file that is also a folder,
            more than MAX_FILES, or no SKILL.md at the root.
    """
    if len(paths) > MAX_FILES:
        raise FormatError(f"more than {MAX_FILES} files", where="manifest.files")
    if sorted(paths) != paths:
        raise FormatError("files are not sorted by path", where="manifest.files")
    if SKILL_NAME not in paths:
        raise FormatError("no SKILL.md at the root", where="manifest.files")
    check_no_twins(paths)


def check_no_twins(paths: Iterable[MemberPath]) -> None:
    """Raise FormatError when two of ``paths``, or their folders, are one name on some file system.

    macOS and Windows fold case, and macOS normalises Unicode: SKILL.md beside skill.md is reviewed as two
    files and installed as one.
    """
    spelled: dict[str, str] = {twin_key(MANIFEST_NAME): MANIFEST_NAME}
    folders: set[str] = set()
    files: set[str] = {MANIFEST_NAME}  # it stands in every archive, so nothing may stand below it either
    for path in paths:
        parts = path.split("/")
        prefixes = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        for prefix in prefixes:
            known = spelled.setdefault(twin_key(prefix), prefix)
            if known != prefix:
                raise FormatError(f"{prefix!r} and {known!r} are twins on some file systems", where="files")
        if path in files:
            raise FormatError(f"{path!r} appears twice", where="files")
        files.add(path)
        folders.update(prefixes[:-1])
    if both := sorted(files & folders):
        raise FormatError(f"{both[0]!r} is a file and a folder", where="files")


def twin_key(path: str) -> str:
    """Return what a case-folding, normalising file system makes of ``path``."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", path).casefold())


def parse_member_path(text: object, *, where: str = "path") -> MemberPath:
    """Return ``text`` as the path of a file inside a bundle.

    Relative, NFC, parts separated by single slashes; no ``.`` or ``..``, no backslash or colon (other
    systems' separators and streams), no control, format, private or unassigned character, no part that
    starts or ends with a space or ends with a dot.

    Raises:
        FormatError: anything else.
    """
    if not isinstance(text, str) or not text:
        raise FormatError("not a path", where=where)
    shown = ascii(text[:80])
    if len(text.encode(errors="replace")) > MAX_PATH_BYTES:
        raise FormatError(f"{shown}… is longer than {MAX_PATH_BYTES} bytes", where=where)
    for character in text:
        if unicodedata.category(character) in {"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"}:
            raise FormatError(f"{shown} holds an invisible or unassigned character", where=where)
        if character in "\\:" or (character.isspace() and character != " "):
            raise FormatError(f"{shown} holds {character!r}", where=where)
    if unicodedata.normalize("NFC", text) != text:
        raise FormatError(f"{shown} is not in Unicode normal form C", where=where)
    parts = text.split("/")
    if len(parts) > MAX_DEPTH:
        raise FormatError(f"{shown} is nested deeper than {MAX_DEPTH}", where=where)
    for part in parts:
        if part in {"", ".", ".."} or part != part.strip(" ") or part.endswith("."):
            raise FormatError(f"{shown} is not a clean relative path", where=where)
    return MemberPath(text)
