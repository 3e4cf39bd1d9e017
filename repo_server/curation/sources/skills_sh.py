"""A skill that skills.sh lists, taken from where it is kept: a repository on GitHub.

    skills-sh:owner/repo/skill          at the default branch
    skills-sh:owner/repo/skill@ref      at a branch, tag or commit

    GET /api/search?q=…&limit=…                       what it lists
    GET /api/download/OWNER/REPO/SKILL                its snapshot of the files, with a hash
    GET /api/v1/skills/audit/OWNER/REPO/SKILL         what other people's scanners said

skills.sh is a directory: it names a repository and a skill, and the skill is the folder whose SKILL.md has that name,
wherever it is (``skills/``, ``.agents/skills/``, ``.claude/skills/``). The files come from GitHub, verified as
`github_api` says; the snapshot is compared and the audits are passed on, and neither is what is reviewed.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from repo_server.curation.frontmatter import read_front_matter
from repo_server.curation.limits import Limits
from repo_server.curation.sources.base import (
    Fetched,
    Hit,
    SourceSettings,
    fact,
    number_at,
    objects_at,
    observation,
    plain_fact,
    reading,
    text_at,
)
from repo_server.curation.sources.fingerprints import skills_sh_snapshot
from repo_server.curation.sources.github import fetched_folder
from repo_server.curation.sources.github_api import BASES as GITHUB
from repo_server.curation.sources.github_api import RepositoryName, Snapshot, parse_ref
from repo_server.curation.sources.http import Web
from repo_server.curation.tree import SourceTree
from signing.errors import ConflictError, FormatError, NotFoundError, PolicyError
from signing.format.finding import Finding, Severity
from signing.format.manifest import SKILL_NAME

_WHERE: Final = "address"
_SKILL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?", re.ASCII)
_MAX_READ: Final = 60
_MAX_AUDITS: Final = 20
_GOOD: Final = {"pass", "passed", "clean", "safe"}
_BAD: Final = {"fail", "failed", "malicious", "critical"}


@dataclass(frozen=True, slots=True)
class SkillsShAddress:
    """A skill of a repository, at a ref or at its default branch."""

    repository: RepositoryName
    skill: str
    ref: str | None

    def __str__(self) -> str:
        return f"skills-sh:{self.repository}/{self.skill}" + (f"@{self.ref}" if self.ref else "")

    @property
    def recorded(self) -> str:
        """How a signed, public review names it."""
        return str(self)


class SkillsSh:
    """Skills that skills.sh lists."""

    scheme: Final = "skills-sh"
    example: Final = "skills-sh:owner/repo/skill"
    bases: Final[Mapping[str, str]] = MappingProxyType({"skills-sh": "https://skills.sh", **GITHUB})

    def parse(self, rest: str) -> SkillsShAddress:
        """Return ``owner/repo/skill`` or ``owner/repo/skill@ref`` as an address.

        Raises:
            FormatError: it is neither.
        """
        target, at, ref = rest.partition("@")
        name, _, skill = target.rpartition("/")
        repository = RepositoryName.parse(name, where=_WHERE)
        if not _SKILL.fullmatch(skill):
            raise FormatError("is not skills-sh:owner/repo/skill", where=_WHERE)
        return SkillsShAddress(repository, skill, parse_ref(ref, where=_WHERE) if at else None)

    def fetch(
        self, address: SkillsShAddress, *, limits: Limits, settings: SourceSettings, now: datetime
    ) -> Fetched:
        """Return the skill, from its repository.

        Raises:
            NotFoundError: there is no such repository, ref or skill.
            ConflictError: several different folders hold a skill of this name.
            DigestMismatchError, WrongSubjectError, FormatError, TransportError: see `github_api`.
        """
        with (
            reading(str(address)),
            Web(settings.bases_of(self.bases), limits=limits, settings=settings) as web,
        ):
            snapshot = Snapshot.of(web, address.repository, address.ref, limits=limits)
            folder = snapshot.folder(_folder_of(snapshot, address))
            fetched = fetched_folder(snapshot, folder, now=now)
            listed = replace(address, ref=None)
            state, compared = _compared(web, listed, folder.tree, limits)
            audits, judged = _audited(web, listed)
        return replace(
            fetched,
            source="skills-sh",
            address=str(replace(address, repository=snapshot.name, ref=snapshot.commit)),
            resolved={**fetched.resolved, "path": folder.path, "snapshot": state, "audits": audits},
            observations=(*fetched.observations, *compared, *judged),
        )

    def search(self, query: str, *, limits: Limits, settings: SourceSettings) -> tuple[Hit, ...]:
        """Return what skills.sh finds.

        Raises:
            RejectedError, TransportError: the answer is not one, or there is none.
        """
        with (
            reading("skills.sh search"),
            Web(settings.bases_of(self.bases), limits=limits, settings=settings) as web,
        ):
            parameters = {"q": query, "limit": str(limits.max_hits)}
            found = web.json(web.at("skills-sh", "/api/search"), parameters, what="skills.sh search")
            return tuple(_hit(item) for item in objects_at(found, "skills")[: limits.max_hits])


SOURCE: Final = SkillsSh()


def _folder_of(snapshot: Snapshot, address: SkillsShAddress) -> str:
    """Return the folder whose SKILL.md has the skill's name.

    Raises:
        NotFoundError: there is none. ConflictError: there are several, with different files.
    """
    folders = snapshot.skill_folders()
    if len(folders) > _MAX_READ:  # read only those that are called like it
        folders = [path for path in folders if path.rpartition("/")[2] == address.skill]
    found = [path for path in folders if _name_in(snapshot, path) == address.skill]
    if not found:
        where = [fact(path) for path in folders[:10]]
        hint = f"skills are in: {', '.join(where)}" if where else "the repository has no SKILL.md"
        raise NotFoundError(f"no SKILL.md is named {address.skill}", where=str(address), hint=hint)
    # Copies for several agents are common; if they are the same tree, it does not matter which is taken.
    if len({snapshot.tree_id_of(path) for path in found}) > 1:
        shown = [fact(path) or "." for path in found[:10]]
        raise ConflictError(
            f"several folders hold different skills of this name: {', '.join(shown)}",
            where=str(address),
            hint=f"name one: github:{address.repository}/{shown[0]}@{snapshot.commit}",
            matches=shown,
        )
    return found[0]


def _name_in(snapshot: Snapshot, path: str) -> str:
    front, _ = read_front_matter(snapshot.file(f"{path}/{SKILL_NAME}".lstrip("/")))
    return front.name


def _compared(
    web: Web, address: SkillsShAddress, tree: SourceTree, limits: Limits
) -> tuple[str, list[Finding]]:
    """Return how the directory's snapshot compares with the files, and what to tell the reviewer."""
    what = "skills.sh download"
    url = web.at("skills-sh", f"/api/download/{address.repository}/{address.skill}")
    try:
        document = web.json(url, what=what, max_bytes=2 * limits.max_total_bytes)
    except NotFoundError:
        return "none", [observation("not-listed", Severity.LOOK, "skills.sh has no snapshot of this skill")]
    theirs = text_at(document, "hash")
    shown = {
        text_at(item, "path"): text_at(item, "contents").encode() for item in objects_at(document, "files")
    }
    if skills_sh_snapshot(shown) not in {theirs, None}:
        message = "skills.sh's snapshot does not have the hash that it says it has"
        return "inconsistent", [observation("snapshot", Severity.LOOK, message)]
    ours = skills_sh_snapshot({path: file.content for path, file in tree.files.items()})
    if ours is None or not theirs:
        return "not comparable", [
            observation("snapshot", Severity.NOTE, "skills.sh's snapshot cannot be compared")
        ]
    if ours == theirs:
        return "matches", []
    message = (
        "skills.sh shows other files than the repository holds at this commit: what people read there is not what "
        "is imported here; its snapshot may be older"
    )
    return "differs", [observation("snapshot", Severity.LOOK, message)]


def _audited(web: Web, address: SkillsShAddress) -> tuple[str, list[Finding]]:
    """Return what other people's scanners said, and what of it the reviewer must look at."""
    url = web.at("skills-sh", f"/api/v1/skills/audit/{address.repository}/{address.skill}")
    try:
        document = web.json(url, what="skills.sh audit")
    except (NotFoundError, PolicyError):  # not audited, or only for those with an account
        return "none", [observation("no-audit", Severity.NOTE, "skills.sh gives no audit of this skill")]
    found = [
        (plain_fact(text_at(item, "slug"))[:60], plain_fact(text_at(item, "status"))[:40] or "unknown")
        for item in objects_at(document, "audits")[:_MAX_AUDITS]
    ]
    return ", ".join(f"{who} {status}" for who, status in found) or "none", list(_judged(found))


def _judged(audits: list[tuple[str, str]]) -> Iterator[Finding]:
    for who, status in audits:
        if status.lower() not in _GOOD:
            severity = Severity.BLOCK if status.lower() in _BAD else Severity.LOOK
            message = f"{who}, as skills.sh shows it, says {status}; find out why before deciding otherwise"
            yield observation("audit", severity, message)


def _hit(item: dict[str, Any]) -> Hit:
    source, skill, installs = text_at(item, "source"), text_at(item, "skillId"), number_at(item, "installs")
    try:
        address = str(SOURCE.parse(f"{source}/{skill}"))
    except FormatError:
        address = ""
    return Hit(
        address=address,
        name=text_at(item, "name") or skill,
        publisher=f"github.com/{source.partition('/')[0]}",
        facts={} if installs is None else {"installs": str(installs)},
    )
