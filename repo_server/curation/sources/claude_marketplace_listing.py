"""The list of plugins of a Claude marketplace: ``.claude-plugin/marketplace.json`` (pure).

    {"name":…,"owner":{…},"metadata":{"pluginRoot":"./plugins"},"plugins":[
      {"name":…,"source":"./plugins/x",…}                                        a folder of this repository
      {"name":…,"source":{"source":"github","repo":"owner/repo","ref":…,"sha":…}}
      {"name":…,"source":{"source":"url","url":"https://…/x.git","sha":…,"path":…}}
      {"name":…,"source":{"source":"git-subdir","url":…,"path":…,"ref":…,"sha":…}}
      {"name":…,"source":"./","strict":false,"skills":["./skills/a","./skills/b"]}]}

An entry is judged when it is asked for, so that a bad one does not hide the others. A path stays inside its
repository, a ``sha`` is a whole commit id, and a repository is one on GitHub or on one of the git hosts that the
source declares: a list written by a stranger does not choose which servers a curator's machine talks to.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from repo_server.curation.sources.base import fact, object_at, objects_at, plain_fact, text_at
from repo_server.curation.sources.github_api import RepositoryName, parse_ref
from repo_server.curation.sources.gitobjects import is_object_id
from repo_server.curation.sources.http import Answer
from signing.errors import FormatError, NotFoundError, PolicyError
from signing.format.manifest import parse_member_path, twin_key

PATH: Final = ".claude-plugin/marketplace.json"
MAX_BYTES: Final = 4 << 20
_MAX_PLUGINS: Final = 5_000
_MAX_SKILLS: Final = 1_000
_SHORTHAND = re.compile(r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+", re.ASCII)
_URL = re.compile(r"[A-Za-z0-9:/@._~+-]{1,500}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the files of a plugin are.

    ``repository`` is on GitHub, ``url`` on another git host (``asked``: the same, or on its mirror); with neither it is
    the marketplace's own repository.
    ``path`` is the plugin's folder in it ("" for all of it), ``commit`` the one that the list pins, if it does.
    """

    form: str
    path: str = ""
    repository: RepositoryName | None = None
    url: str = ""
    asked: str = ""
    ref: str = ""
    commit: str = ""

    @property
    def shown(self) -> str:
        """The repository, for messages."""
        return str(self.repository or self.url or "this repository")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One entry. ``skills`` is None when the entry lists none; ``entry`` is for what else it declares."""

    name: str
    description: str
    version: str
    licence: str
    strict: bool
    skills: tuple[str, ...] | None
    place: Place
    entry: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class GitHosts:
    """The hosts that an entry may name: base URL as written there, and the base URL that is really asked."""

    github: tuple[str, ...]
    others: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Marketplace:
    """The list, with its entries not yet judged."""

    name: str
    entries: tuple[Mapping[str, Any], ...]
    plugin_root: str

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Return the list written as ``content``.

        Raises:
            FormatError: it is none, or endless.
        """
        document = Answer(status=200, headers={}, body=content).json(PATH)
        entries = objects_at(document, "plugins")
        if len(entries) > _MAX_PLUGINS:
            raise FormatError(f"lists more than {_MAX_PLUGINS} plugins", where=PATH)
        root = text_at(object_at(document, "metadata"), "pluginRoot")
        return cls(
            name=fact(text_at(document, "name")),
            entries=tuple(entries),
            plugin_root=parse_inner_path(root, where=f"{PATH}: pluginRoot") if root else "",
        )

    def plugin(self, name: str, hosts: GitHosts) -> Plugin:
        """Return the one plugin called ``name``.

        Raises:
            NotFoundError: there is none.
            FormatError: there are two, or twins in other letters; or the entry is malformed.
            PolicyError: its files are on a host that is not declared.
        """
        found = [entry for entry in self.entries if twin_key(text_at(entry, "name")) == twin_key(name)]
        if len(found) > 1:
            raise FormatError(f"lists {name} twice, or in other letters", where=PATH)
        if not found or found[0]["name"] != name:
            names = ", ".join(plain_fact(text_at(entry, "name"))[:80] for entry in self.entries[:30])
            raise NotFoundError(f"lists no plugin {name}", where=PATH, hint=f"it lists {names or 'nothing'}")
        return self.parse_entry(found[0], hosts)

    def parse_entry(self, entry: Mapping[str, Any], hosts: GitHosts) -> Plugin:
        """Return ``entry`` as a plugin.

        Raises:
            FormatError: it is malformed. PolicyError: its files are on a host that is not declared.
        """
        where = f"{PATH}: {plain_fact(text_at(entry, 'name'))[:80]}"
        strict = entry.get("strict", True)
        if not isinstance(strict, bool):
            raise FormatError("strict is neither true nor false", where=where)
        skills = entry.get("skills")
        return Plugin(
            name=text_at(entry, "name"),
            description=text_at(entry, "description"),
            version=text_at(entry, "version"),
            licence=text_at(entry, "license"),
            strict=strict,
            skills=None if skills is None else parse_skill_list(skills, where=where),
            place=self._place(entry.get("source"), hosts, f"{where}: source"),
            entry=entry,
        )

    def _place(self, source: object, hosts: GitHosts, where: str) -> Place:
        if isinstance(source, str):
            path = parse_inner_path(source, where=where)
            if not source.startswith(".") and self.plugin_root:
                path = parse_inner_path(f"{self.plugin_root}/{path}", where=where)
            return Place(form="path", path=path)
        if not isinstance(source, dict):
            raise FormatError("is neither a path nor an object", where=where)
        form, commit, ref = text_at(source, "source"), source.get("sha", ""), source.get("ref", "")
        if form not in {"github", "url", "git-subdir"}:
            hint = "only files in git repositories are imported: a package has no commit to take them at"
            raise FormatError(f"is of the form {plain_fact(form)[:80] or 'none'}", where=where, hint=hint)
        if commit != "" and not is_object_id(commit):
            raise FormatError("sha is not a commit: 40 lower-case hexadecimal digits", where=where)
        if ref != "":
            ref = parse_ref(text_at(source, "ref"), where=f"{where}.ref")
        path = source.get("path", "")
        if not isinstance(path, str) or (form == "git-subdir" and not path):
            raise FormatError("has no path", where=where)
        text = text_at(source, "repo" if form == "github" else "url")
        repository, asked = _repository(text, form, hosts, where)
        return Place(
            form=form,
            path=parse_inner_path(path, where=where),
            repository=repository,
            url=text if asked else "",
            asked=asked,
            ref=ref,
            commit=commit,
        )


def parse_inner_path(text: str, *, where: str) -> str:
    """Return ``text``, which may begin with ``./`` and end with ``/``, as a path inside a repository; "" is its root.

    Raises:
        FormatError: it is absolute, leads outside, or is no clean path.
    """
    path = text.removeprefix("./").removesuffix("/")
    return (
        ""
        if path in {"", "."} and text.startswith(".")
        else parse_member_path(path, where=where)
        if text
        else ""
    )


def parse_skill_list(value: object, *, where: str) -> tuple[str, ...]:
    """Return a list of skill paths, or a single one, as paths inside the plugin.

    Raises:
        FormatError: it is none, names one twice, or leads outside.
    """
    paths = [value] if isinstance(value, str) else value
    if not isinstance(paths, list) or len(paths) > _MAX_SKILLS or not all(isinstance(p, str) for p in paths):
        raise FormatError("skills is not a list of paths", where=where)
    parsed = tuple(parse_inner_path(path, where=f"{where}: skills") for path in paths)
    if len({twin_key(path) for path in parsed}) != len(parsed):
        raise FormatError("skills names one folder twice, or in other letters", where=where)
    return parsed


def _repository(text: str, form: str, hosts: GitHosts, where: str) -> tuple[RepositoryName | None, str]:
    """Return the repository on GitHub, or the URL that is asked on another declared host."""
    if form == "github" or _SHORTHAND.fullmatch(text):
        return RepositoryName.parse(text, where=where), ""
    if not _URL.fullmatch(text) or "/../" in text or "/./" in text:
        raise FormatError("has no url of a git repository", where=where)
    for base in hosts.github:
        if text.startswith(f"{base}/"):
            name = text.removeprefix(f"{base}/").removesuffix("/").removesuffix(".git")
            return RepositoryName.parse(name, where=where), ""
    for base, asked in hosts.others.items():
        if text.startswith(f"{base}/"):
            return None, asked + text.removeprefix(base)
    hint = "nothing was asked there; if you trust the host: skillrepo import git+URL@COMMIT#folder"
    raise PolicyError(
        f"is at {text[:200]}, a host that is not declared for this source", where=where, hint=hint
    )
