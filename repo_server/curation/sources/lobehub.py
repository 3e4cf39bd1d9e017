"""A skill of LobeHub's market, or one of its old agent templates.

    lobehub:github.owner.repo.skill@1.0.1       GET /api/v1/skills/ID/versions          which versions there are
                                                GET /api/v1/skills/ID?version=V         digests, licence, repository
                                                GET /api/v1/skills/ID/download?version=V  the ZIP file
    lobehub:agent/sql-explainer                 GET /ID.json of the chat-agents index   a system prompt, no files

A skill's archive must hold SKILL.md and exactly the files of ``resources``, byte for byte. That catches damage and
a half-changed release; it is no proof of origin, because one server says both and signs neither. SKILL.md itself has
no digest there: it is compared with ``content``, what visitors of the market are shown, and a difference blocks.
``isValidated`` and ``isOfficial`` are recorded and believed by nobody.

A template has no version and no digest at all. It becomes a SKILL.md in `lobehub_agent`, and is pinned by the
digests of what was answered and of what was made of it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

from repo_server.curation.limits import Limits
from repo_server.curation.sources.address import parse_upstream_version
from repo_server.curation.sources.base import (
    Fetched,
    Hit,
    SourceSettings,
    left_out,
    no_licence,
    object_at,
    objects_at,
    observation,
    plain_fact,
    reading,
    suggest_version,
    text_at,
)
from repo_server.curation.sources.http import Web
from repo_server.curation.sources.lobehub_agent import parse_agent, render_skill_md
from repo_server.curation.sources.lobehub_market import (
    check_resources,
    latest_version,
    market_observations,
    published_versions,
    said,
    version_names,
)
from repo_server.curation.tree import SourceTree
from repo_server.curation.unpack import unpack_zip
from signing.errors import FormatError, NotFoundError, WrongSubjectError
from signing.format.digest import sha256_of
from signing.format.finding import Severity
from signing.format.manifest import SKILL_NAME

_IDENTIFIER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,198}[A-Za-z0-9])?", re.ASCII)
_AGENT = "agent/"
_API = "/api/v1/skills"
_MOMENT = re.compile(r"[0-9A-Za-z:.+-]{1,40}", re.ASCII)


@dataclass(frozen=True, slots=True)
class LobeHubAddress:
    """A skill of the market, or (``agent``) a template; the latest version when ``version`` is None."""

    identifier: str
    version: str | None = None
    agent: bool = False

    def __str__(self) -> str:
        kind = _AGENT if self.agent else ""
        return f"lobehub:{kind}{self.identifier}" + (f"@{self.version}" if self.version else "")

    @property
    def recorded(self) -> str:
        """How a signed, public review names it."""
        return str(self)


class LobeHub:
    """The source."""

    scheme: Final = "lobehub"
    example: Final = "lobehub:github.owner.repo.skill@1.0.0"
    bases: Final = MappingProxyType(
        {"lobehub": "https://market.lobehub.com", "lobehub-agents": "https://chat-agents.lobehub.com"}
    )

    def parse(self, rest: str) -> LobeHubAddress:
        """Return the address that follows ``lobehub:``.

        Raises:
            FormatError: not IDENTIFIER, IDENTIFIER@VERSION or agent/IDENTIFIER.
        """
        agent = rest.startswith(_AGENT)
        identifier, at, version = rest.removeprefix(_AGENT).partition("@")
        if not _IDENTIFIER.fullmatch(identifier):
            hint = "write lobehub:github.owner.repo.skill, or lobehub:agent/identifier for an agent template"
            raise FormatError("is not a LobeHub identifier", where="address", hint=hint)
        if at and agent:
            raise FormatError("an agent template has no versions", where="address", hint="leave @… out")
        if at:
            parse_upstream_version(version, where="address")
        return LobeHubAddress(identifier, version or None, agent)

    def fetch(
        self, address: LobeHubAddress, *, limits: Limits, settings: SourceSettings, now: datetime
    ) -> Fetched:
        """Return one version of a skill, or a template as a skill.

        Raises:
            NotFoundError: no such skill, version or template.
            DigestMismatchError: the archive is not what the version's list of files says.
            WrongSubjectError: the answer is about something else.
            FormatError: an answer or the archive is malformed.
            ConflictError, PolicyError, TransportError: see `Web`.
        """
        with (
            reading(str(address)),
            Web(settings.bases_of(self.bases), limits=limits, settings=settings) as web,
        ):
            if address.agent:
                return _fetch_agent(web, address, now)
            return _fetch_skill(web, address, limits, now)

    def search(self, query: str, *, limits: Limits, settings: SourceSettings) -> tuple[Hit, ...]:
        """Return the skills of the market, then the templates whose texts hold every word of ``query``.

        Raises:
            RejectedError, TransportError: one of the two answers is not one, or there is none.
        """
        with (
            reading("lobehub search"),
            Web(settings.bases_of(self.bases), limits=limits, settings=settings) as web,
        ):
            asked = {"q": query, "pageSize": str(limits.max_hits)}
            skills = web.json(web.at("lobehub", _API), asked, what="lobehub search")
            agents = web.json(web.at("lobehub-agents", "/index.json"), what="lobehub agents")
        hits = [_skill_hit(item) for item in objects_at(skills, "items")[: limits.max_hits]]
        words = query.casefold().split()
        for agent in objects_at(agents, "agents"):
            if len(hits) >= limits.max_hits:
                break
            hit = _agent_hit(agent)
            text = f"{hit.name} {hit.summary} {text_at(agent, 'identifier')}".casefold()
            if all(word in text for word in words):
                hits.append(hit)
        return tuple(hits)


SOURCE: Final = LobeHub()


def _fetch_skill(web: Web, address: LobeHubAddress, limits: Limits, now: datetime) -> Fetched:
    path = f"{_API}/{quote(address.identifier, safe='')}"
    published = published_versions(
        web.json(web.at("lobehub", f"{path}/versions"), what="lobehub versions"), str(address)
    )
    version = address.version or latest_version(published, str(address))
    if version not in published:
        hint = f"published are: {version_names(published)}"
        raise NotFoundError(f"has no version {version}", where=str(address), hint=hint)
    asked = {"version": version}
    detail = web.json(web.at("lobehub", path), asked, what="lobehub skill")
    if (detail.get("identifier"), detail.get("version")) != (address.identifier, version):
        raise WrongSubjectError("the market answers about another skill or version", where=str(address))
    archive = web.get(
        web.at("lobehub", f"{path}/download"),
        asked,
        what="lobehub download",
        max_bytes=limits.max_archive_bytes,
    ).body
    tree = SourceTree.of(unpack_zip(archive, limits))
    check_resources(tree, detail)
    licence = plain_fact(text_at(object_at(detail, "license"), "name") or text_at(detail, "license"))
    moment = text_at(published[version], "createdAt")
    return Fetched(
        tree=tree,
        source="lobehub",
        address=str(LobeHubAddress(address.identifier, version)),
        resolved={
            "version": version,
            "archive_sha256": sha256_of(archive),
            "files_sha256": tree.digest,
            "published_at": moment if _MOMENT.fullmatch(moment) else "",
            "repository": plain_fact(text_at(object_at(detail, "github"), "url")),
            "validated": said(detail, "isValidated"),
            "official": said(detail, "isOfficial"),
        },
        publisher=_publisher(detail),
        licence=licence,
        suggested_version=suggest_version(version),
        observations=tuple(market_observations(detail, tree, licence)),
        fetched_at=now,
    )


def _fetch_agent(web: Web, address: LobeHubAddress, now: datetime) -> Fetched:
    url = web.at("lobehub-agents", f"/{quote(address.identifier, safe='')}.json")
    answer = web.get(url, what="lobehub agent", max_bytes=1 << 20)
    agent = parse_agent(answer.json("lobehub agent"), identifier=address.identifier)
    tree = SourceTree.of([(SKILL_NAME, render_skill_md(agent), False)])
    converted = "a system prompt became this SKILL.md; it was written for another program, and has no version"
    observations = [observation("converted", Severity.LOOK, converted), no_licence()]
    if agent.name != agent.identifier:
        message = (
            f"LobeHub calls it {agent.identifier}, which cannot be a skill's name; it became {agent.name}"
        )
        observations.append(observation("renamed", Severity.NOTE, message))
    return Fetched(
        tree=tree,
        source="lobehub",
        address=str(address),
        resolved={"agent_sha256": sha256_of(answer.body), "files_sha256": tree.digest},
        publisher=plain_fact(agent.metadata.get("author", "")),
        # It has no version. The day it was made is one that does not change when it does: then the same version
        # comes with other bytes, which is refused where it matters.
        suggested_version=_date_version(agent.metadata.get("created", "")),
        observations=(*observations, *left_out(agent.left_out)),
        fetched_at=now,
    )


def _date_version(text: str) -> str | None:
    return (
        suggest_version(text[:10].replace("-", "."))
        if re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text)
        else None
    )


def _skill_hit(item: Mapping[str, Any]) -> Hit:
    identifier, version = text_at(item, "identifier"), text_at(item, "version")
    known = _IDENTIFIER.fullmatch(identifier) is not None
    return Hit(
        address=str(LobeHubAddress(identifier)) if known else "",
        name=text_at(item, "name"),
        summary=text_at(item, "description"),
        publisher=text_at(item, "author"),
        facts={
            "version": version,
            "licence": text_at(item, "license"),
            "validated": said(item, "isValidated"),
            "official": said(item, "isOfficial"),
        },
    )


def _agent_hit(item: Mapping[str, Any]) -> Hit:
    identifier, meta = text_at(item, "identifier"), object_at(item, "meta")
    known = _IDENTIFIER.fullmatch(identifier) is not None
    return Hit(
        address=str(LobeHubAddress(identifier, agent=True)) if known else "",
        name=text_at(meta, "title"),
        summary=text_at(meta, "description"),
        publisher=text_at(item, "author"),
        facts={"kind": "agent template"},
    )


def _publisher(detail: Mapping[str, Any]) -> str:
    return plain_fact(text_at(object_at(detail, "author"), "name") or text_at(detail, "author"))
