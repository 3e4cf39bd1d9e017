"""A skill on ClawHub.

    clawhub:@owner/slug            the latest version
    clawhub:@owner/slug@1.0.1      that version

A slug without its owner can be somebody else's, so the owner is demanded. The archive must hold exactly the files of
the version's list, byte for byte. That catches damage and a half-changed release; it is no proof of origin, because
list and archive come from one server, which signs neither. A skill that ClawHub only points at (hand-off) is taken
from GitHub at the commit that ClawHub names, and verified as `github_api` says. ClawHub's verdicts are passed on to
the reviewer by `clawhub_evidence`: a bad one counts, a good one does not.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from repo_server.curation.limits import Limits
from repo_server.curation.sources.address import parse_upstream_version
from repo_server.curation.sources.base import (
    Fetched,
    Hit,
    SourceSettings,
    claims_of,
    no_licence,
    number_at,
    object_at,
    objects_at,
    observation,
    plain_fact,
    reading,
    suggest_version,
    text_at,
)
from repo_server.curation.sources.clawhub_api import Registry
from repo_server.curation.sources.clawhub_evidence import Evidence
from repo_server.curation.sources.fingerprints import clawhub_content_hash
from repo_server.curation.sources.github import fetched_folder
from repo_server.curation.sources.github_api import BASES as GITHUB
from repo_server.curation.sources.github_api import RepositoryName, Snapshot
from repo_server.curation.sources.http import Web
from repo_server.curation.tree import Entry, SourceTree
from repo_server.curation.unpack import unpack_zip
from signing.errors import DigestMismatchError, FormatError, NotFoundError, WrongSubjectError
from signing.format.canonical import parse_json
from signing.format.digest import Sha256, check_sha256, parse_sha256, sha256_of
from signing.format.finding import Finding, Severity
from signing.format.manifest import parse_member_path

_META: Final = "_meta.json"
_WHERE: Final = "address"
_OWNER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,62}[A-Za-z0-9])?", re.ASCII)
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,126}[a-z0-9])?", re.ASCII)
_MOMENT = re.compile(r"[0-9A-Za-z:.+-]{0,40}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ClawHubAddress:
    """A skill on ClawHub, of one owner; the latest version when ``version`` is None."""

    owner: str
    slug: str
    version: str | None

    def __str__(self) -> str:
        return f"clawhub:@{self.owner}/{self.slug}" + (f"@{self.version}" if self.version else "")

    @property
    def recorded(self) -> str:
        """How a signed, public review names it."""
        return str(self)


class ClawHub:
    """Skills on ClawHub, through its API v1."""

    scheme: Final = "clawhub"
    example: Final = "clawhub:@owner/slug@1.0.1"
    bases: Final[Mapping[str, str]] = MappingProxyType({"clawhub": "https://clawhub.ai", **GITHUB})

    def parse(self, rest: str) -> ClawHubAddress:
        """Return ``@owner/slug`` or ``@owner/slug@version`` as an address.

        Raises:
            FormatError: it is neither.
        """
        owner, slash, more = rest.removeprefix("@").partition("/")
        slug, at, version = more.partition("@")
        if not rest.startswith("@") or not slash:
            raise FormatError(
                "a ClawHub skill is addressed by its owner too",
                where=_WHERE,
                hint="write clawhub:@owner/slug; the same slug can belong to several publishers",
            )
        if not _OWNER.fullmatch(owner) or not _SLUG.fullmatch(slug):
            raise FormatError("is not clawhub:@owner/slug or clawhub:@owner/slug@version", where=_WHERE)
        return ClawHubAddress(owner, slug, parse_upstream_version(version, where=_WHERE) if at else None)

    def fetch(
        self, address: ClawHubAddress, *, limits: Limits, settings: SourceSettings, now: datetime
    ) -> Fetched:
        """Return one version of a skill.

        Raises:
            NotFoundError: no such skill or version, or deleted.
            ConflictError: several publishers have this slug.
            DigestMismatchError: the archive is not what the version's list of files says.
            WrongSubjectError: the answer is about another skill.
            PolicyError: the registry withholds it.
            FormatError: an answer or the archive is malformed.
            TransportError: the registry is unreachable, too slow, overloaded or failing.
        """
        with (
            reading(str(address)),
            Web(settings.bases_of(self.bases), limits=limits, settings=settings) as web,
        ):
            registry = Registry.of(web, owner=address.owner, slug=address.slug, limits=limits)
            skill = registry.skill()
            latest = text_at(object_at(skill, "latestVersion"), "version")
            if address.version or latest:
                version = address.version or parse_upstream_version(
                    latest, where="clawhub skill.latestVersion"
                )
                return _hosted(registry, address, skill, version, now=now)
            return _handed_off(web, registry, address, skill, limits=limits, now=now)

    def search(self, query: str, *, limits: Limits, settings: SourceSettings) -> tuple[Hit, ...]:
        """Return what ClawHub finds.

        Raises:
            RejectedError, TransportError: see `fetch`.
        """
        with (
            reading("clawhub search"),
            Web(settings.bases_of(self.bases), limits=limits, settings=settings) as web,
        ):
            found = Registry.search(web, query, limits)
            return tuple(_hit(item) for item in objects_at(found, "results")[: limits.max_hits])


SOURCE: Final = ClawHub()


def _hosted(
    registry: Registry, address: ClawHubAddress, skill: dict[str, Any], version: str, *, now: datetime
) -> Fetched:
    detail = registry.version(version)
    listed = _listed(detail)
    archive = registry.download(version)
    if not isinstance(archive, bytes):
        raise FormatError("hands a version off to GitHub that has files of its own", where="clawhub download")
    entries = unpack_zip(archive, registry.limits)
    meta = {} if _META in listed else _take_meta(entries, address, version)
    tree = SourceTree.of(entries)
    _check_files(tree, listed)
    evidence = Evidence(registry, skill, tree, version)
    licence = plain_fact(text_at(detail, "license"))
    resolved = {
        "version": version,
        "archive_sha256": sha256_of(archive),
        "files_sha256": tree.digest,
        **meta,
        **evidence.facts(detail),
    }
    return Fetched(
        tree=tree,
        source="clawhub",
        address=str(replace(address, version=version)),
        resolved=resolved,
        publisher=f"@{address.owner}",
        licence=licence,
        suggested_version=suggest_version(version),
        observations=(*evidence.observations(detail), *_licence_observations(tree, licence)),
        fetched_at=now,
    )


def _handed_off(
    web: Web,
    registry: Registry,
    address: ClawHubAddress,
    skill: dict[str, Any],
    *,
    limits: Limits,
    now: datetime,
) -> Fetched:
    """Return a skill of which ClawHub has no files, from the commit on GitHub that it names."""
    handoff = registry.download(None)
    if isinstance(handoff, bytes):
        raise NotFoundError("has no published version", where=str(address))
    where = "clawhub hand-off"
    repository = RepositoryName.parse(text_at(handoff, "repo"), where=f"{where}: repo")
    commit, path = text_at(handoff, "commit"), text_at(handoff, "path").strip("/")
    if path:
        parse_member_path(path, where=f"{where}: path")
    if not re.fullmatch(r"[0-9a-f]{40}", commit, re.ASCII):
        raise FormatError("names no commit", where=where)
    snapshot = Snapshot.of(web, repository, commit, limits=limits)
    folder = snapshot.folder(path)
    fetched = fetched_folder(snapshot, folder, now=now)
    claimed = text_at(handoff, "contentHash")
    computed = clawhub_content_hash({name: file.content for name, file in folder.tree.files.items()})
    if claimed and computed and claimed != computed:
        raise DigestMismatchError(
            "the files of the commit are not those that ClawHub scanned",
            where=str(address),
            hint=f"look at both; the repository can be imported for itself: {fetched.address}",
        )
    evidence = Evidence(registry, skill, folder.tree, None)
    compared = "matches" if claimed and computed else "not compared"
    return replace(
        fetched,
        source="clawhub",
        address=str(address),
        resolved={**fetched.resolved, "path": path, "content_hash": compared, **evidence.facts({})},
        publisher=f"@{address.owner} ({fetched.publisher})",
        observations=(*fetched.observations, *evidence.observations({})),
    )


def _take_meta(entries: list[Entry], address: ClawHubAddress, version: str) -> dict[str, str]:
    """Remove the registry's own file from ``entries`` and return what it says."""
    found = [index for index, entry in enumerate(entries) if entry[0] == _META]
    if not found:
        return {}
    document = parse_json(entries.pop(found[0])[1], where=_META, max_bytes=1 << 16)
    if not isinstance(document, dict):
        raise FormatError("is not an object", where=_META)
    if (document.get("slug"), document.get("version")) != (address.slug, version):
        raise WrongSubjectError("the archive says it is another skill or version", where=_META)
    published_at = document.get("publishedAt", "")
    if isinstance(published_at, bool) or not isinstance(published_at, int | str):
        raise FormatError("is not a moment", where=f"{_META}: publishedAt")
    if not _MOMENT.fullmatch(str(published_at)):
        raise FormatError("is not a moment", where=f"{_META}: publishedAt")
    return {"published_at": str(published_at), "owner_id": plain_fact(text_at(document, "ownerId"))}


def _check_files(tree: SourceTree, listed: dict[str, tuple[int, Sha256]]) -> None:
    """Compare ``tree`` with the version's list: the same files, the same sizes, the same digests."""
    for path, file in tree.files.items():
        if path not in listed:
            raise _mismatch("is in the archive, but not in the version's list of files", path)
        size, sha256 = listed[path]
        if len(file.content) != size:
            raise _mismatch(f"has {len(file.content)} bytes, listed are {size}", path)
        check_sha256(file.content, sha256, where=path)
    if missing := sorted(set(listed) - set(tree.files)):
        raise _mismatch("is in the version's list of files, but not in the archive", missing[0])


def _listed(detail: dict[str, Any]) -> dict[str, tuple[int, Sha256]]:
    listed: dict[str, tuple[int, Sha256]] = {}
    for index, item in enumerate(objects_at(detail, "files")):
        where = f"clawhub version.files[{index}]"
        path, size = text_at(item, "path"), number_at(item, "size")
        if not path or path in listed:
            raise FormatError("is no file, or is listed twice", where=where)
        if size is None:
            raise FormatError("has no size", where=where)
        listed[path] = (size, parse_sha256(item.get("sha256"), where=f"{where}.sha256"))
    return listed


def _mismatch(message: str, path: str) -> DigestMismatchError:
    hint = "fetch again; if it repeats, do not use it and tell the registry"
    return DigestMismatchError(message, where=plain_fact(path), hint=hint)


def _licence_observations(tree: SourceTree, licence: str) -> list[Finding]:
    if not licence:
        return [no_licence()]
    own = plain_fact(claims_of(tree).licence)
    if own and own != licence:
        message = (
            f"ClawHub says the licence is {licence}, SKILL.md says {own}; ask the author which one holds"
        )
        return [observation("licence-differs", Severity.NOTE, message)]
    return []


def _hit(item: dict[str, Any]) -> Hit:
    owner = text_at(item, "ownerHandle") or text_at(object_at(item, "owner"), "handle")
    slug, version = text_at(item, "slug"), text_at(item, "version")
    address = f"@{owner}/{slug}" + (f"@{version}" if version else "")
    try:
        address = str(SOURCE.parse(address))
    except FormatError:
        address = ""
    downloads = number_at(item, "downloads")
    return Hit(
        address=address,
        name=slug,
        summary=text_at(item, "summary"),
        publisher=f"@{owner}",
        facts={} if downloads is None else {"downloads": str(downloads)},
    )
