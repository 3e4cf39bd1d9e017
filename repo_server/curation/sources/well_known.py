"""A skill that a site offers to agents itself (agent skills discovery).

    well-known:https://tools.example#csv-summarizer           /.well-known/agent-skills/index.json    v0.2
    well-known:https://tools.example/team#csv-summarizer      /team/.well-known/agent-skills/index.json

    v0.2   {"$schema":"…/discovery/0.2.0/schema.json","skills":[{"name":…,"type":"skill-md"|"archive",
            "description":…,"url":…,"digest":"sha256:…"}]}
    v0.1   /.well-known/skills/index.json   {"skills":[{"name":…,"description":…,"files":["SKILL.md",…]}]}

v0.2 is preferred, and its digest is enforced before anything is unpacked. v0.1 has no digests, so it is read only
when the site says plainly (404) that it has no v0.2 index: falling back after an error, a wrong digest or a missing
name would let whoever can cause one of these choose the weaker form.

Everything stays on the one origin that the address names; a ``url`` or a redirect to another is refused. A digest
guards the way only: index and file come from the same site, and neither is signed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit

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
    text_at,
)
from repo_server.curation.sources.http import Web
from repo_server.curation.tree import Entry, SourceTree
from repo_server.curation.unpack import unpack
from signing.errors import FormatError, NotFoundError, TransportError, UsageError
from signing.format.digest import Sha256, check_sha256, parse_sha256
from signing.format.finding import Finding, Severity
from signing.format.manifest import SKILL_NAME, check_no_twins, parse_member_path, twin_key
from signing.format.names import parse_skill_name

SCHEMA: Final = "https://schemas.agentskills.io/discovery/0.2.0/schema.json"
V0_2: Final = "/.well-known/agent-skills/"
V0_1: Final = "/.well-known/skills/"
_KEY: Final = "well-known"
_INDEX: Final = "index.json"
_MAX_ENTRIES: Final = 10_000
_MAX_URL: Final = 1_000
_NOT_FOUND: Final = 404
_BASE = re.compile(r"https?://[A-Za-z0-9.\[\]:-]{1,260}(?:/[A-Za-z0-9._~-]{1,100}){0,10}", re.ASCII)


@dataclass(frozen=True, slots=True)
class WellKnownAddress:
    """A skill of a site. ``base`` is what stands before ``/.well-known/``, without a slash at its end."""

    base: str
    name: str

    def __str__(self) -> str:
        return f"well-known:{self.base}#{self.name}"

    @property
    def recorded(self) -> str:
        """How a signed, public review names it."""
        return str(self)


@dataclass(frozen=True, slots=True)
class _Offer:
    """What was fetched, and what vouches for it."""

    entries: list[Entry]
    resolved: Mapping[str, str]
    observations: tuple[Finding, ...] = ()


class WellKnown:
    """The source. Its one server is the one in the address, unless a mirror is set for all of them."""

    scheme: Final = _KEY
    example: Final = "well-known:https://tools.example#csv-summarizer"
    bases: Final = MappingProxyType({_KEY: ""})

    def parse(self, rest: str) -> WellKnownAddress:
        """Return the address that follows ``well-known:``.

        Raises:
            FormatError: not https://host[/prefix]#NAME.
        """
        base, _, name = rest.partition("#")
        return WellKnownAddress(_parse_base(base), parse_skill_name(name, where="address"))

    def fetch(
        self, address: WellKnownAddress, *, limits: Limits, settings: SourceSettings, now: datetime
    ) -> Fetched:
        """Return the skill as the site offers it now.

        Raises:
            NotFoundError: the site has no index, or no such skill in it.
            DigestMismatchError: what the index points at is not what it says.
            FormatError: the index, the file or the archive is malformed.
            TransportError: the site is unreachable, or leads elsewhere.
            ConflictError, PolicyError: see `Web`.
        """
        with reading(str(address)), self._web(address.base, limits, settings) as web:
            index = _fetch_v0_2(web)
            if index is not None:
                offer = _take_v0_2(web, index, address, limits)
            else:
                offer = _take_v0_1(web, _fetch_v0_1(web), address, limits)
        tree = SourceTree.of(offer.entries)
        claims = claims_of(tree)
        return Fetched(
            tree=tree,
            source=_KEY,
            address=str(address),
            resolved={**offer.resolved, "files_sha256": tree.digest},
            publisher=urlsplit(address.base).netloc,
            licence=claims.licence,
            suggested_version=claims.version,
            observations=(*offer.observations, *claims.observations),
            fetched_at=now,
        )

    def search(self, query: str, *, limits: Limits, settings: SourceSettings) -> tuple[Hit, ...]:
        """Return what a site offers: ``query`` is its base URL, and words that must all occur, if any.

        Raises:
            UsageError: the query names no site.
            NotFoundError, RejectedError, TransportError: there is no index, or it is none.
        """
        site, *words = query.split() or [""]
        try:
            base = _parse_base(site)
        except FormatError as error:
            raise UsageError(
                "name the site first", hint="search well-known 'https://tools.example csv'"
            ) from error
        with reading(f"well-known {base}"), self._web(base, limits, settings) as web:
            index = _fetch_v0_2(web)
            items = _items(index if index is not None else _fetch_v0_1(web))
        hits = [_hit(base, item) for item in items]
        wanted = [word.casefold() for word in words]
        found = (
            hit for hit in hits if all(word in f"{hit.name} {hit.summary}".casefold() for word in wanted)
        )
        return tuple(found)[: limits.max_hits]

    def _web(self, base: str, limits: Limits, settings: SourceSettings) -> Web:
        return Web({_KEY: settings.bases.get(_KEY) or base}, limits=limits, settings=settings)


SOURCE: Final = WellKnown()


def _parse_base(text: str) -> str:
    """Return the part of an address before ``#``; `Web` judges plain http."""
    base = text.removesuffix("/")
    parts = base.split("/")
    if not _BASE.fullmatch(base) or any(part in {".", ".."} for part in parts):
        hint = f"write {WellKnown.example}"
        raise FormatError("is not https://host or https://host/prefix", where="address", hint=hint)
    try:
        _ = urlsplit(base).port
    except ValueError as error:
        raise FormatError("is not a URL", where="address") from error
    return base


def _fetch_v0_2(web: Web) -> dict[str, Any] | None:
    """Return the v0.2 index, or None when the site says that it has none."""
    where = "well-known v0.2 index"
    try:
        index = web.json(web.at(_KEY, V0_2 + _INDEX), what=where)
    except NotFoundError as error:
        if error.facts.get("status") != _NOT_FOUND:  # 410: there was one, and it was withdrawn
            raise
        return None
    if index.get("$schema") != SCHEMA:
        said = plain_fact(text_at(index, "$schema"))[:200]
        raise FormatError(f"is of another schema than v0.2: {said or 'none is named'}", where=where)
    return index


def _fetch_v0_1(web: Web) -> dict[str, Any]:
    return web.json(web.at(_KEY, V0_1 + _INDEX), what="well-known v0.1 index")


def _items(index: Mapping[str, Any]) -> list[dict[str, Any]]:
    items = objects_at(index, "skills")
    if len(items) > _MAX_ENTRIES:
        raise FormatError(f"lists more than {_MAX_ENTRIES} skills", where="well-known index")
    return items


def _entry(index: Mapping[str, Any], address: WellKnownAddress) -> dict[str, Any]:
    """Return the one entry of this name. Two of them, or a twin in other letters, would be a choice."""
    items = _items(index)
    found = [item for item in items if twin_key(text_at(item, "name")) == address.name]
    if not found:
        names = ", ".join(plain_fact(text_at(item, "name"))[:80] for item in items[:20]) or "nothing"
        raise NotFoundError("is not in the site's index", where=str(address), hint=f"it offers {names}")
    if len(found) > 1 or found[0]["name"] != address.name:
        raise FormatError("stands in the index twice, or in other letters", where=str(address))
    return found[0]


def _take_v0_2(web: Web, index: Mapping[str, Any], address: WellKnownAddress, limits: Limits) -> _Offer:
    entry = _entry(index, address)
    kind, digest = entry.get("type"), _parse_digest(entry.get("digest"))
    if kind not in {"skill-md", "archive"}:
        raise FormatError(f"is of a type that is not known: {plain_fact(str(kind))[:80]}", where=str(address))
    url = _resolved_url(web, text_at(entry, "url"), str(address))
    most = limits.max_archive_bytes if kind == "archive" else limits.max_file_bytes
    body = web.get(url, what=str(address), max_bytes=most).body
    check_sha256(body, digest, where=str(address))
    entries: list[Entry] = unpack(body, limits) if kind == "archive" else [(SKILL_NAME, body, False)]
    return _Offer(entries, {"discovery": "v0.2", "url": text_at(entry, "url"), "sha256": digest})


def _parse_digest(value: object) -> Sha256:
    where = "well-known digest"
    if not isinstance(value, str) or not value.startswith("sha256:"):
        raise FormatError("is not sha256:…", where=where)
    return parse_sha256(value.removeprefix("sha256:"), where=where)


def _resolved_url(web: Web, reference: str, where: str) -> str:
    """Return the URL that ``reference`` means in the index (RFC 3986), if it is on the same origin."""
    if not 0 < len(reference) <= _MAX_URL or not (reference.isascii() and reference.isprintable()):
        raise FormatError("has no url", where=where)
    # Browsers read a backslash as a slash, and "//host" is another host: what decides is where it leads.
    try:
        url = urljoin(web.at(_KEY, V0_2 + _INDEX), reference)
    except ValueError as error:
        raise FormatError("has no url", where=where) from error
    if "\\" in reference or " " in reference or not web.allows(url):
        hint = "index and files must be on one origin; nothing was fetched"
        raise TransportError(f"leads to another server: {plain_fact(url)[:200]}", where=where, hint=hint)
    return urlsplit(url)._replace(fragment="").geturl()


def _take_v0_1(web: Web, index: Mapping[str, Any], address: WellKnownAddress, limits: Limits) -> _Offer:
    files = _entry(index, address).get("files")
    if not isinstance(files, list) or not files:
        raise FormatError("has no list of files", where=str(address))
    if len(files) > limits.max_files:
        raise FormatError(f"lists more than {limits.max_files} files", where=str(address))
    paths = [parse_member_path(path, where=f"{address} files[{number}]") for number, path in enumerate(files)]
    check_no_twins(paths)
    entries: list[Entry] = []
    left = limits.max_total_bytes
    for path in paths:
        url = web.at(_KEY, f"{V0_1}{address.name}/{quote(path)}")
        # No digest vouches for it, so a web page in its place must be noticed here.
        content = web.get(url, what=path, max_bytes=min(limits.max_file_bytes, left)).file(path)
        left -= len(content)
        entries.append((path, content, False))
    message = "the site offers it in the old form (v0.1) without digests; it is pinned by our own digest only"
    return _Offer(entries, {"discovery": "v0.1"}, (observation("unpinned", Severity.LOOK, message),))


def _hit(base: str, item: Mapping[str, Any]) -> Hit:
    name = text_at(item, "name")
    try:
        address = str(WellKnownAddress(base, parse_skill_name(name)))
    except FormatError:
        address = ""
    return Hit(
        address=address,
        name=name,
        summary=text_at(item, "description"),
        publisher=urlsplit(base).netloc,
        facts={"type": text_at(item, "type") or "files"},
    )
