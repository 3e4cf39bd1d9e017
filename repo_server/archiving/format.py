"""``ARCHIVE.json``: what an archive holds, so that what is missing or cut off can be named.

    {"anchor_sha256":"8c…","ends":"2026-11-24T12:00:00Z",
     "files":[{"path":"pkg/by-sha256/5d….pkg","sha256":"5d…","size":1824},…],
     "packages":["FreeBSD:14:amd64/latest"],"profiles":[],"root":2,
     "schema":"https://skills.clawdie.si/schema/archive/v1","snapshot":7,"timestamp":31}

    skills/metadata/1.root.json … timestamp.json, 7.snapshot.json, 3.targets.json, 2.skills-0a.json …
    skills/targets/skills/web-search/1.2.0/<sha256>.web-search-1.2.0.tar.gz
    pkg/by-sha256/<sha256>.pkg
    pkg/serials/FreeBSD:14:amd64/latest/7/data.pkg

Nobody signs this file, and nothing is believed because it stands here: whoever takes an archive in computes from the signed
metadata what it has to hold, and compares. There is no time and no name of a machine in it, so one state gives one archive.

``profiles`` are those for which alone it is complete; an empty list means all skills. ``packages`` are the repositories
that are in it as a whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from signing.errors import FormatError
from signing.format.canonical import canonical, parse_canonical
from signing.format.digest import Sha256, parse_sha256
from signing.format.fields import Fields
from signing.format.moment import parse_moment, render_moment
from signing.format.names import Pin
from signing.format.pkg.index import MAX_PACKAGE_BYTES
from signing.format.pkg.names import PackageRepo

INDEX_NAME: Final = "ARCHIVE.json"
SCHEMA: Final = "https://skills.clawdie.si/schema/archive/v1"
MAX_INDEX_BYTES: Final = 64 << 20
METADATA: Final = "skills/metadata/"
TARGETS: Final = "skills/targets/"
BY_SHA256: Final = "pkg/by-sha256/"
SERIALS: Final = "pkg/serials/"
_MAX_FILES: Final = 400_000
# Four of these make a file, and a few the head: more would be other JSON, which takes 50 times its size in memory.
_MARKS: Final = (b",", b"{", b"[")
_MAX_MARKS: Final = 4 * _MAX_FILES + 8_000
_MAX_CHOSEN: Final = 1_000
_MAX_VERSION: Final = 2**53 - 1


@dataclass(frozen=True, slots=True)
class FileFact:
    """How large a file is, and what it is."""

    size: int
    sha256: Sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is wanted. Without ``profiles`` all skills; ``repos`` are whole package repositories, None all of them."""

    profiles: tuple[Pin, ...] = ()
    repos: tuple[PackageRepo, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveIndex:
    """What an archive says that it holds."""

    anchor_sha256: Sha256
    versions: Mapping[str, int]
    ends: datetime
    choice: Choice
    files: Mapping[str, FileFact]

    @property
    def size(self) -> int:
        """How many bytes the files are."""
        return sum(fact.size for fact in self.files.values())

    def render(self) -> bytes:
        """Return the canonical bytes.

        Raises:
            FormatError: nobody would read it: it names too many files.
        """
        data = canonical(
            {
                "schema": SCHEMA,
                "anchor_sha256": self.anchor_sha256,
                "ends": render_moment(self.ends),
                "profiles": [str(pin) for pin in self.choice.profiles],
                "packages": [str(repo) for repo in self.choice.repos or ()],
                **{role: self.versions[role] for role in ("root", "snapshot", "timestamp")},
                "files": [
                    {"path": path, "sha256": fact.sha256, "size": fact.size}
                    for path, fact in sorted(self.files.items())
                ],
            }
        )
        if len(self.files) > _MAX_FILES or len(data) > MAX_INDEX_BYTES:
            raise FormatError(f"{len(self.files)} files are too many for one archive", where=INDEX_NAME)
        return data

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the index written as ``data``; that its paths are clean is for whoever opens them.

        Raises:
            FormatError: not one, too large for one, or it names a file twice.
        """
        if len(data) <= MAX_INDEX_BYTES and sum(data.count(mark) for mark in _MARKS) > _MAX_MARKS:
            raise FormatError(f"lists more than {_MAX_FILES} files", where=INDEX_NAME)
        fields = Fields.of(
            parse_canonical(data, where=INDEX_NAME, max_bytes=MAX_INDEX_BYTES), where=INDEX_NAME
        )
        fields.constant("schema", SCHEMA)
        files = fields.items("files", _file, maximum=_MAX_FILES)
        index = cls(
            anchor_sha256=parse_sha256(fields.take("anchor_sha256"), where=fields.place("anchor_sha256")),
            versions={
                role: fields.integer(role, maximum=_MAX_VERSION) for role in ("root", "snapshot", "timestamp")
            },
            ends=parse_moment(fields.take("ends"), where=fields.place("ends")),
            choice=Choice(
                profiles=fields.items(
                    "profiles", lambda item, where: Pin.parse(item, where=where), maximum=_MAX_CHOSEN
                ),
                repos=fields.items(
                    "packages", lambda item, where: PackageRepo.parse(item, where=where), maximum=_MAX_CHOSEN
                ),
            ),
            files=dict(files),
        )
        fields.done()
        if len(index.files) != len(files):
            raise FormatError("names a file twice", where=f"{INDEX_NAME}.files")
        return index


def _file(value: Any, where: str) -> tuple[str, FileFact]:
    fields = Fields.of(value, where=where)
    path = fields.text("path", max_length=1024)
    fact = FileFact(
        fields.integer("size", maximum=MAX_PACKAGE_BYTES), parse_sha256(fields.take("sha256"), where=where)
    )
    fields.done()
    return path, fact
