"""A skill of browse.sh: a list of mutable blobs.

    browse-sh:shop.example/search-products-a1b2c3

    GET /api/skills[?q=…]                   the catalogue
    GET /api/skills/HOST/TASK               what it is, when it was updated
    GET /api/skills/HOST/TASK/files         {"skillId":…,"files":[{"path":"SKILL.md","url":"https://…blob…"}]}
    GET https://gh0lfhlmyzhg6tww.public.blob.vercel-storage.com/…       the blobs

There is no version, no digest and no signature, and a blob can be replaced at any moment: the only pin is the digest
of what was fetched, so every blob's address and the digest of all files are recorded, and a reviewer is told. Every
listed file is fetched or the import fails. Blobs are fetched from the blob store only, which is the one that the npm
package ``browse`` (0.9.3) asks; a list that points anywhere else, the catalogue's own server included, is refused before
the first blob is asked for.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

from repo_server.curation.limits import Limits
from repo_server.curation.sources.base import (
    Fetched,
    Hit,
    SourceSettings,
    claims_of,
    objects_at,
    observation,
    plain_fact,
    reading,
    suggest_version,
    text_at,
)
from repo_server.curation.sources.http import Web
from repo_server.curation.tree import Entry, SourceTree
from signing.errors import FormatError, TransportError, WrongSubjectError
from signing.format.finding import Finding, Severity
from signing.format.manifest import SKILL_NAME, check_no_twins, parse_member_path

_BLOBS: Final = "browse-sh-blobs"
MAX_FILES: Final = 100  # browse's own client takes no more either
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?", re.ASCII)
_TASK = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?", re.ASCII)
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:T.*)?", re.ASCII)
_MAX_URL = 1_000


@dataclass(frozen=True, slots=True)
class BrowseShAddress:
    """A task on a web site."""

    host: str
    task: str

    def __str__(self) -> str:
        return f"browse-sh:{self.slug}"

    @property
    def slug(self) -> str:
        """Its name there."""
        return f"{self.host}/{self.task}"

    @property
    def recorded(self) -> str:
        """How a signed, public review names it."""
        return str(self)


class BrowseSh:
    """The source."""

    scheme: Final = "browse-sh"
    example: Final = "browse-sh:shop.example/search-products-a1b2c3"
    bases: Final = MappingProxyType(
        {
            "browse-sh": "https://browse.sh",
            _BLOBS: "https://gh0lfhlmyzhg6tww.public.blob.vercel-storage.com",
        }
    )

    def parse(self, rest: str) -> BrowseShAddress:
        """Return the address that follows ``browse-sh:``.

        Raises:
            FormatError: not HOST/TASK.
        """
        host, _, task = rest.partition("/")
        if not _HOST.fullmatch(host) or ".." in host or not _TASK.fullmatch(task):
            raise FormatError(
                "is not HOST/TASK", where="address", hint=f"write {self.example}; it has no versions"
            )
        return BrowseShAddress(host, task)

    def fetch(
        self, address: BrowseShAddress, *, limits: Limits, settings: SourceSettings, now: datetime
    ) -> Fetched:
        """Return what the blobs hold at this moment.

        Raises:
            NotFoundError: no such skill, or a listed file is missing.
            WrongSubjectError: the answer is about another skill.
            FormatError: an answer, a path or a file is malformed, or there are too many of them.
            TransportError: unreachable, or a blob is said to be on another server.
            ConflictError, PolicyError: see `Web`.
        """
        path = f"/api/skills/{quote(address.host, safe='')}/{quote(address.task, safe='')}"
        with (
            reading(str(address)),
            Web(settings.bases_of(self.bases), limits=limits, settings=settings) as web,
        ):
            detail = web.json(web.at("browse-sh", path), what="browse.sh skill")
            listing = web.json(web.at("browse-sh", f"{path}/files"), what="browse.sh files")
            if (detail.get("slug"), listing.get("skillId")) != (address.slug, address.slug):
                raise WrongSubjectError("the catalogue answers about another skill", where=str(address))
            urls = _listed(listing, web)
            entries = _take(web, urls, limits)
        tree = SourceTree.of(entries)
        claims = claims_of(tree)
        updated = text_at(detail, "updated")
        return Fetched(
            tree=tree,
            source="browse-sh",
            address=str(address),
            resolved={
                "files_sha256": tree.digest,
                "updated": plain_fact(updated)[:40],
                **{f"blob_{number:03}": url for number, url in enumerate(urls.values())},
            },
            publisher=plain_fact(text_at(detail, "source")),
            licence=claims.licence,
            suggested_version=_version(updated) or claims.version,
            observations=(_unpinned(), *claims.observations),
            fetched_at=now,
        )

    def search(self, query: str, *, limits: Limits, settings: SourceSettings) -> tuple[Hit, ...]:
        """Return what the catalogue finds.

        Raises:
            RejectedError, TransportError: the answer is not one, or there is none.
        """
        with (
            reading("browse.sh search"),
            Web(settings.bases_of(self.bases), limits=limits, settings=settings) as web,
        ):
            found = web.json(web.at("browse-sh", "/api/skills"), {"q": query}, what="browse.sh search")
        return tuple(_hit(item) for item in objects_at(found, "skills")[: limits.max_hits])


SOURCE: Final = BrowseSh()


def _listed(listing: Mapping[str, Any], web: Web) -> dict[str, str]:
    """Return path and address of every file, after a look at all of them: nothing is fetched of a bad list."""
    files = objects_at(listing, "files")
    if len(files) > MAX_FILES:
        raise FormatError(f"lists more than {MAX_FILES} files", where="browse.sh files")
    listed: list[tuple[str, str]] = []
    for index, item in enumerate(files):
        where = f"browse.sh files[{index}]"
        path, url = parse_member_path(item.get("path"), where=where), text_at(item, "url")
        if not url or len(url) > _MAX_URL or not (url.isascii() and url.isprintable()):
            raise FormatError("has no address", where=where)
        if not web.allows(url, only=_BLOBS):
            hint = "nothing was fetched; a mirror of the blob store is named in [sources] as browse-sh-blobs"
            raise TransportError(
                f"is said to be at {plain_fact(url)[:200]}, another server", where=where, hint=hint
            )
        listed.append((path, url))
    check_no_twins(parse_member_path(path) for path, _ in listed)
    if SKILL_NAME not in dict(listed):
        raise FormatError(f"lists no {SKILL_NAME}", where="browse.sh files")
    return dict(listed)


def _take(web: Web, urls: Mapping[str, str], limits: Limits) -> list[Entry]:
    entries: list[Entry] = []
    left = limits.max_total_bytes
    for path, url in urls.items():
        # No digest vouches for a blob, so a web page in its place must be noticed here.
        content = web.get(url, what=path, max_bytes=min(limits.max_file_bytes, left), only=_BLOBS).file(path)
        left -= len(content)
        entries.append((path, content, False))
    return entries


def _unpinned() -> Finding:
    message = (
        "browse.sh has neither versions nor digests: what was fetched is pinned by our own digest only, and what "
        "stands there can be replaced at any time"
    )
    return observation("unpinned", Severity.LOOK, message)


def _version(updated: str) -> str | None:
    """Return the day of the last update as a version: later is newer, and PEP 440 allows it."""
    match = _DATE.fullmatch(updated[:40])
    return suggest_version(".".join(match.groups())) if match else None


def _hit(item: Mapping[str, Any]) -> Hit:
    slug = text_at(item, "slug")
    try:
        address = str(SOURCE.parse(slug))
    except FormatError:
        address = ""
    return Hit(
        address=address,
        name=text_at(item, "title") or text_at(item, "name"),
        summary=text_at(item, "description"),
        publisher=text_at(item, "hostname"),
        facts={"updated": text_at(item, "updated"), "method": text_at(item, "recommendedMethod")},
    )
