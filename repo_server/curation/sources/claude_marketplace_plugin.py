"""What a Claude plugin holds: its skills, and everything else that it would install (pure).

    SKILL.md                      the plugin is one skill
    skills/NAME/SKILL.md          its skills; more may be listed in plugin.json and in the marketplace's entry
    hooks/ commands/ agents/ .mcp.json .lsp.json …      not skills: left out, and named to the reviewer

With ``strict: false`` the marketplace's entry is the whole definition: only the skills that it lists count, and a
plugin.json that declares components as well is a contradiction, which Claude refuses to load and we to import.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from repo_server.curation.sources.base import fact, observation
from repo_server.curation.sources.claude_marketplace_listing import Plugin, parse_skill_list
from signing.errors import ConflictError, FormatError, NotFoundError
from signing.format.finding import Finding, Severity
from signing.format.manifest import SKILL_NAME, parse_member_path, twin_key

MANIFEST: Final = ".claude-plugin/plugin.json"
_SHOWN: Final = 40
_ELSEWHERE: Final = (".agents/skills", ".claude/skills")
# The key under which a component is declared, where it stands when it is not, and what it does to whoever installs it.
_COMPONENTS: Final[tuple[tuple[str, tuple[str, ...], str], ...]] = (
    ("hooks", ("hooks/",), "hooks, which run programs without being asked"),
    ("mcpServers", (".mcp.json",), "MCP servers, which are programs or hosts with tools of their own"),
    ("lspServers", (".lsp.json",), "language servers, which are programs"),
    ("commands", ("commands/",), "commands, which are instructions"),
    ("agents", ("agents/",), "agents, which are instructions"),
    ("monitors", ("monitors/",), "monitors, which run in the background"),
    ("outputStyles", ("output-styles/",), "output styles, which change how every answer is written"),
    ("workflows", ("workflows/",), "workflows"),
    ("themes", ("themes/",), "themes"),
    ("bin", ("bin/",), "programs put on the search path"),
    ("settings", ("settings.json",), "settings of the agent"),
)


@dataclass(frozen=True, slots=True)
class SkillFolder:
    """A skill of a plugin: its folder's name, and its path in the plugin ("" when the plugin is the skill)."""

    name: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The skills of a plugin, and what a reviewer should know about how they were found."""

    skills: tuple[SkillFolder, ...]
    observations: tuple[Finding, ...] = ()

    def choose(self, plugin: str, wanted: str) -> SkillFolder:
        """Return the skill ``wanted``, by name or path; the only one, when none is named.

        Raises:
            NotFoundError: there is none. ConflictError: there are several; they are named.
            FormatError: its folder has a name that cannot be seen.
        """
        found = [s for s in self.skills if wanted in {"", s.path, s.name}]
        if len(found) > 1 and any(s.path == wanted != "" for s in found):
            found = [s for s in found if s.path == wanted]
        if len(found) == 1:
            if found[0].path:  # it becomes part of an address, so it must be one that can be seen
                parse_member_path(found[0].path, where=f"plugin {plugin}")
            return found[0]
        names = [fact(name) for name in self.spellings()]
        listed = ", ".join(names[:_SHOWN]) + (
            f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        )
        where = f"plugin {plugin}"
        if found:
            hint = f"write #{plugin}/SKILL, with one of these names"
            raise ConflictError(f"has several skills: {listed}", where=where, hint=hint, matches=names)
        if not names:
            raise NotFoundError("has no skills; what else it has is not imported", where=where)
        raise NotFoundError("has no such skill", where=where, hint=f"it has {listed}")

    def spellings(self) -> Iterator[str]:
        """Return how each skill is addressed: by its name, or by its path when another has that name too."""
        names = [twin_key(skill.name) for skill in self.skills]
        for skill in self.skills:
            yield skill.path if names.count(twin_key(skill.name)) > 1 and skill.path else skill.name


def find_skills(paths: Collection[str], plugin: Plugin, manifest: Mapping[str, Any]) -> Contents:
    """Return the skills of a plugin whose files are ``paths`` and whose plugin.json says ``manifest``.

    Raises:
        FormatError: a list names a folder that holds no skill, or the two definitions contradict each other.
    """
    where = f"plugin {plugin.name}"
    if not plugin.strict and (
        both := [key for key, _, _ in _COMPONENTS if key in manifest] + ["skills"] * ("skills" in manifest)
    ):
        hint = "an agent refuses such a plugin; tell its marketplace"
        raise FormatError(
            f"is not strict, but its plugin.json declares {', '.join(both)}", where=where, hint=hint
        )
    holding = {path.rpartition("/")[0] for path in paths if path.rpartition("/")[2] == SKILL_NAME}
    declared = plugin.skills or ()
    if "skills" in manifest:
        declared += parse_skill_list(manifest["skills"], where=f"{where}: {MANIFEST}")
    found: dict[str, SkillFolder] = {}
    for path in declared:
        below = [path] if path in holding else _children(path, holding)
        if not below:
            raise FormatError(f"lists the skill {fact(path)}, which is not there", where=where)
        found |= {each: _skill(each, plugin) for each in below}
    if plugin.strict or plugin.skills is None:
        found |= {path: _skill(path, plugin) for path in _children("skills", holding)}
    if found:
        return Contents(skills=tuple(sorted(found.values(), key=lambda skill: skill.path)))
    if "" in holding:
        return Contents(skills=(_skill("", plugin),))
    elsewhere = [path for folder in _ELSEWHERE for path in _children(folder, holding)]
    message = "the plugin does not declare this folder as a skill: an agent that installs the plugin does not load it"
    return Contents(
        skills=tuple(_skill(path, plugin) for path in elsewhere),
        observations=(observation("undeclared", Severity.LOOK, message),),
    )


def left_out(
    paths: Collection[str], plugin: Plugin, manifest: Mapping[str, Any], taken: SkillFolder
) -> tuple[Finding, ...]:
    """Return one observation for each kind of thing that the plugin installs besides the skill ``taken``."""
    inside = f"{taken.path}/" if taken.path else ""  # when the plugin is the skill, nothing is beside it
    found = []
    if not inside:
        message = "the plugin's own folder is the skill, so everything in the plugin came with it"
        found.append(observation("whole-plugin", Severity.LOOK, message))
    documents = ((MANIFEST, manifest), ("the marketplace's entry", plugin.entry))
    for key, places, what in _COMPONENTS:
        beside = [path for path in sorted(paths) if path.startswith(places)]
        named = [path for path in beside if not path.startswith(inside)]
        named += [
            f"{name} in {where}" for where, document in documents for name in _declared(document.get(key))
        ]
        if named:
            shown = ", ".join(fact(name)[:200] for name in named[:_SHOWN])
            more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
            message = f"the plugin also has {what}; they were not taken: {shown}"[:1_800] + more
            found.append(observation(f"left-out-{key.lower()}", Severity.LOOK, message))
    return tuple(found)


def _declared(value: object) -> list[str]:
    """Return the names of what a definition declares in place: paths, or the keys of an object."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return sorted(value)
    if isinstance(value, list):
        return [item if isinstance(item, str) else "an entry" for item in value]
    return []


def _children(folder: str, holding: Collection[str]) -> list[str]:
    return sorted(path for path in holding if path and path.rpartition("/")[0] == folder)


def _skill(path: str, plugin: Plugin) -> SkillFolder:
    return SkillFolder(path.rpartition("/")[2] or plugin.name, path)
