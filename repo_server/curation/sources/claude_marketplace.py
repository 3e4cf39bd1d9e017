"""One skill of one plugin of a Claude marketplace.

    claude-marketplace:owner/repo#plugin                 the plugin has one skill
    claude-marketplace:owner/repo#plugin/skill           it has several; a path in it, when two have one name
    claude-marketplace:owner/repo@v2#plugin/skill        the list as it is at a branch, tag or commit

A marketplace is a file in a repository on GitHub (`claude_marketplace_listing`); its plugins are folders of that
repository, or other repositories. Whatever the list says, files are taken at a commit only and verified against it:
a pinned ``sha`` is taken exactly, a branch or nothing is resolved, recorded, and a reviewer is told. Of a plugin,
only the skill's folder is taken; hooks, MCP servers, commands, agents and the like are named and left out.

A search lists what can be imported: ``skillrepo search claude-marketplace "owner/repo words"``, or
``"owner/repo#plugin"`` for the skills of one plugin, wherever it is kept.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

from repo_server.curation.limits import Deadline, Limits
from repo_server.curation.sources import git
from repo_server.curation.sources.address import parse_git_address
from repo_server.curation.sources.base import (
    Fetched,
    Hit,
    SourceSettings,
    claims_of,
    fact,
    observation,
    plain_fact,
    reading,
    suggest_version,
    text_at,
)
from repo_server.curation.sources.claude_marketplace_files import OnGitHost, OnGitHub, PluginFiles
from repo_server.curation.sources.claude_marketplace_listing import (
    MAX_BYTES,
    PATH,
    GitHosts,
    Marketplace,
    Place,
    Plugin,
)
from repo_server.curation.sources.claude_marketplace_plugin import (
    MANIFEST,
    Contents,
    SkillFolder,
    find_skills,
    left_out,
)
from repo_server.curation.sources.github_api import BASES, RepositoryName, Snapshot, parse_ref
from repo_server.curation.sources.http import Answer, Web
from signing.errors import FormatError, NotFoundError, RejectedError, UsageError
from signing.format.finding import Finding, Severity
from signing.format.manifest import parse_member_path

_WEB: Final = "github"
_OTHERS: Final = {
    "gitlab": "https://gitlab.com",
    "codeberg": "https://codeberg.org",
    "bitbucket": "https://bitbucket.org",
}
_MAX_NAME: Final = 100
_NO_LICENCE: Final = {"source.no-licence", "source.licence-of-repository"}


@dataclass(frozen=True, slots=True)
class PluginAddress:
    """A skill (``skill`` may be empty: the only one) of a plugin of a marketplace, at a ref or as it is now."""

    repository: RepositoryName
    ref: str | None
    plugin: str
    skill: str = ""

    def __str__(self) -> str:
        at = f"@{self.ref}" if self.ref else ""
        return f"claude-marketplace:{self.repository}{at}#{self.plugin}" + (
            f"/{self.skill}" if self.skill else ""
        )

    @property
    def recorded(self) -> str:
        """How a signed, public review names it."""
        return str(self)


class ClaudeMarketplace:
    """The source."""

    scheme: Final = "claude-marketplace"
    example: Final = "claude-marketplace:owner/repo#plugin/skill"
    bases: Final[Mapping[str, str]] = MappingProxyType({**BASES, _WEB: "https://github.com", **_OTHERS})

    def parse(self, rest: str) -> PluginAddress:
        """Return the address that follows ``claude-marketplace:``.

        Raises:
            FormatError: not OWNER/REPO[@REF]#PLUGIN[/SKILL].
        """
        where = "address"
        target, _, wanted = rest.partition("#")
        name, at, ref = target.partition("@")
        plugin, slash, skill = wanted.partition("/")
        repository = RepositoryName.parse(name, where=where)
        if at:
            parse_ref(ref, where=where)
        if not plugin or len(plugin) > _MAX_NAME:
            raise FormatError("names no plugin", where=where, hint=f"write {self.example}")
        parse_member_path(plugin, where=where)
        if slash:
            parse_member_path(skill, where=where)
        return PluginAddress(repository, ref if at else None, plugin, skill)

    def fetch(
        self, address: PluginAddress, *, limits: Limits, settings: SourceSettings, now: datetime
    ) -> Fetched:
        """Return the skill at the address.

        Raises:
            NotFoundError: there is no such marketplace, plugin, skill, repository or commit.
            ConflictError: the plugin has several skills, and none was named.
            WrongSubjectError, DigestMismatchError: what came is not what the commit holds.
            PolicyError: the plugin's files are on a host that is not declared.
            FormatError: the list, the plugin or the skill is malformed.
            TransportError, HostError: it could not be had.
        """
        with ExitStack() as stack:
            desk = _Desk.opened(stack, address, limits, settings)
            with reading(str(address)):
                plugin = desk.marketplace.plugin(address.plugin, desk.hosts)
                files = desk.files(stack, plugin)
                inside = _Inside.of(files, plugin)
                skill = inside.contents.choose(plugin.name, address.skill)
                fetched = files.fetched(skill.path, now)
        return _with_plugin(fetched, desk, inside, skill)

    def search(self, query: str, *, limits: Limits, settings: SourceSettings) -> tuple[Hit, ...]:
        """Return the skills of a marketplace's own plugins and the plugins that are kept elsewhere.

        Raises:
            UsageError: the query does not begin with ``owner/repo``.
            SkillRepoError: see `fetch`.
        """
        target, *words = query.split() or [""]
        try:
            # Any plugin's name serves to read what stands before it.
            address = self.parse(target if "#" in target else f"{target}#-")
        except FormatError as error:
            hint = "write owner/repo, owner/repo and words, or owner/repo#plugin"
            raise UsageError("a search lists one marketplace", hint=hint) from error
        with ExitStack() as stack:
            desk = _Desk.opened(stack, address, limits, settings)
            with reading(f"claude-marketplace {address.repository}"):
                if "#" in target:
                    plugin = desk.marketplace.plugin(address.plugin, desk.hosts)
                    hits: Iterable[Hit] = desk.hits_in(plugin, desk.files(stack, plugin))
                else:
                    hits = desk.hits(stack)
                wanted = [word.casefold() for word in words]
                found = (hit for hit in hits if all(word in _text(hit) for word in wanted))
                return tuple(islice(found, limits.max_hits))


SOURCE: Final = ClaudeMarketplace()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Desk:
    """A marketplace at a commit, and the way to its plugins."""

    repository: RepositoryName
    snapshot: Snapshot
    marketplace: Marketplace
    hosts: GitHosts
    web: Web
    limits: Limits

    @classmethod
    def opened(
        cls, stack: ExitStack, address: PluginAddress, limits: Limits, settings: SourceSettings
    ) -> "_Desk":
        """Return the marketplace at ``address``."""
        bases = settings.bases_of(SOURCE.bases)
        web = stack.enter_context(Web({key: bases[key] for key in BASES}, limits=limits, settings=settings))
        snapshot = Snapshot.of(web, address.repository, address.ref, limits=limits)
        try:
            content = snapshot.file(PATH, max_bytes=MAX_BYTES)
        except NotFoundError as error:
            error.hint = error.hint or f"a Claude marketplace has a file {PATH}"
            raise
        others = {SOURCE.bases[key]: bases[key].rstrip("/") for key in _OTHERS}
        return cls(
            repository=address.repository,
            snapshot=snapshot,
            marketplace=Marketplace.parse(content),
            # A list may name the mirror itself.
            hosts=GitHosts(
                github=tuple(dict.fromkeys((SOURCE.bases[_WEB], bases[_WEB].rstrip("/")))),
                others={**others, **{url: url for url in others.values()}},
            ),
            web=web,
            limits=limits,
        )

    def files(self, stack: ExitStack, plugin: Plugin) -> PluginFiles:
        """Return the plugin's folder, at the commit that the list pins, or else at the one that is there now."""
        place = plugin.place
        if place.url:
            if not place.commit:
                message = f"names no commit of {place.shown}, which is not on GitHub"
                hint = "find one with `git ls-remote URL`, then: skillrepo import git+URL@COMMIT#folder"
                raise FormatError(message, where=f"plugin {plugin.name}", hint=hint)
            address = parse_git_address(f"{place.asked}@{place.commit}")
            return OnGitHost(
                stack.enter_context(git.opened(address, limits=self.limits)), place.url, place.path
            )
        if place.repository is None:
            return OnGitHub(self.snapshot, place.path)
        ref = place.commit or place.ref or None
        return OnGitHub(Snapshot.of(self.web, place.repository, ref, limits=self.limits), place.path)

    def hits(self, stack: ExitStack) -> Iterator[Hit]:
        """Return what can be imported, entry by entry; one that cannot is listed without an address."""
        deadline = Deadline.after(self.limits.seconds)
        for entry in self.marketplace.entries:
            deadline.remaining()
            try:
                plugin = self.marketplace.parse_entry(entry, self.hosts)
                if plugin.place.repository is None and not plugin.place.url:
                    yield from self.hits_in(plugin, self.files(stack, plugin))
                else:
                    yield self._hit(plugin, "", {"kept in": f"{plugin.place.shown} {_pin(plugin.place)}"})
            except (RejectedError, NotFoundError) as error:
                name, summary = text_at(entry, "name"), text_at(entry, "description")
                yield Hit(address="", name=name, summary=summary, facts={"cannot be imported": error.message})

    def hits_in(self, plugin: Plugin, files: PluginFiles) -> Iterator[Hit]:
        """Return the skills of one plugin."""
        for spelling in _Inside.of(files, plugin).contents.spellings():
            yield self._hit(plugin, spelling, {"commit": self.snapshot.commit})

    def _hit(self, plugin: Plugin, skill: str, facts: Mapping[str, str]) -> Hit:
        address = PluginAddress(self.repository, self.snapshot.commit, plugin.name, skill)
        return Hit(
            address=_importable(address),
            name=f"{plugin.name}/{skill}" if skill else plugin.name,
            summary=plugin.description,
            publisher=plugin.place.url or f"github.com/{(plugin.place.repository or self.repository).owner}",
            facts={"version": plugin.version, **facts} if plugin.version else facts,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inside:
    """A plugin, looked into."""

    plugin: Plugin
    paths: Collection[str]
    manifest: Mapping[str, Any]
    contents: Contents

    @classmethod
    def of(cls, files: PluginFiles, plugin: Plugin) -> "_Inside":
        """Return what is in ``plugin``; plugin.json may be missing."""
        paths = files.paths()
        manifest: Mapping[str, Any] = {}
        if MANIFEST in paths:
            where = f"plugin {plugin.name}: {MANIFEST}"
            manifest = Answer(status=200, headers={}, body=files.file(MANIFEST)).json(where)
        return cls(
            plugin=plugin, paths=paths, manifest=manifest, contents=find_skills(paths, plugin, manifest)
        )


def _with_plugin(fetched: Fetched, desk: _Desk, inside: _Inside, skill: SkillFolder) -> Fetched:
    """Return ``fetched`` with what the plugin and the marketplace add to it."""
    plugin, manifest = inside.plugin, inside.manifest
    observations = [*fetched.observations, *inside.contents.observations, *_pinning(plugin.place, fetched)]
    observations += left_out(inside.paths, plugin, manifest, skill)
    licence = fetched.licence
    said = plain_fact(text_at(manifest, "license") or plugin.licence)
    if said and not claims_of(fetched.tree).licence:
        message = f"SKILL.md gives no licence; the plugin says {said}"
        licence, observations = said, [o for o in observations if o.check not in _NO_LICENCE]
        observations.append(observation("licence-of-plugin", Severity.NOTE, message))
    version = text_at(manifest, "version") or plugin.version
    spelling = dict(zip(inside.contents.skills, inside.contents.spellings(), strict=True))[skill]
    return replace(
        fetched,
        source=SOURCE.scheme,
        address=str(PluginAddress(desk.repository, desk.snapshot.commit, plugin.name, spelling)),
        resolved={
            **fetched.resolved,
            "marketplace": str(desk.repository),
            "marketplace_commit": desk.snapshot.commit,
            "source_form": plugin.place.form,
            "plugin_version": plain_fact(version)[:80],
        },
        licence=licence,
        suggested_version=fetched.suggested_version or suggest_version(version),
        observations=tuple(observations),
    )


def _pinning(place: Place, fetched: Fetched) -> Iterator[Finding]:
    if place.form == "path" or place.commit:
        return
    what = f"only {fact(place.ref)}" if place.ref else "only the repository"
    message = (
        f"the marketplace names no commit of {place.shown}, {what}: {fetched.resolved['commit'][:12]} was there now, "
        "and others may be given something else"
    )
    yield observation("unpinned", Severity.LOOK, message)


def _pin(place: Place) -> str:
    return f"at commit {place.commit}" if place.commit else f"at {place.ref}" if place.ref else "at no commit"


def _importable(address: PluginAddress) -> str:
    """Return ``address`` as it can be typed, or nothing when the list's names cannot be."""
    text = str(address)
    try:
        return text if SOURCE.parse(text.partition(":")[2]) == address else ""
    except FormatError:
        return ""


def _text(hit: Hit) -> str:
    return f"{hit.name} {hit.summary} {hit.address}".casefold()
