"""A folder of a repository on GitHub, taken at a commit.

    github:owner/repo/skills/name@v1.2        branch, tag or commit; without one: the default branch
    github:owner/repo                         the repository itself is the skill

What is recorded names the commit. `github_api` says what is verified. A search lists the skills of one repository:
``skillrepo search github "owner/repo words"``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from repo_server.curation.frontmatter import read_front_matter
from repo_server.curation.limits import Limits
from repo_server.curation.sources.base import (
    Fetched,
    Hit,
    SourceSettings,
    claims_of,
    no_licence,
    observation,
)
from repo_server.curation.sources.github_api import BASES, Folder, RepositoryName, Snapshot, parse_ref
from repo_server.curation.sources.http import Web
from signing.errors import FormatError, UsageError
from signing.format.finding import Finding, Severity
from signing.format.manifest import SKILL_NAME, parse_member_path

_WHERE: Final = "address"
_NO_LICENCE: Final = {"", "NOASSERTION"}
_MAX_DESCRIBED: Final = 30


@dataclass(frozen=True, slots=True)
class GitHubAddress:
    """A folder of a repository (``path`` may be empty) at a ref, or at the default branch."""

    repository: RepositoryName
    path: str
    ref: str | None

    def __str__(self) -> str:
        folder = f"/{self.path}" if self.path else ""
        return f"github:{self.repository}{folder}" + (f"@{self.ref}" if self.ref else "")

    @property
    def recorded(self) -> str:
        """How a signed, public review names it."""
        return str(self)


class GitHub:
    """Skills in repositories on GitHub."""

    scheme: Final = "github"
    example: Final = "github:owner/repo/skills/name@v1.2"
    bases: Final[Mapping[str, str]] = BASES

    def parse(self, rest: str) -> GitHubAddress:
        """Return ``owner/repo``, ``owner/repo/folder``, either with ``@ref``, as an address.

        Raises:
            FormatError: it is none.
        """
        target, at, ref = rest.partition("@")
        owner, _, more = target.partition("/")
        name, slash, path = more.partition("/")
        repository = RepositoryName.parse(f"{owner}/{name}", where=_WHERE)
        if slash:
            parse_member_path(path, where=_WHERE)
        if at:
            parse_ref(ref, where=_WHERE)
        return GitHubAddress(repository, path, ref if at else None)

    def fetch(
        self, address: GitHubAddress, *, limits: Limits, settings: SourceSettings, now: datetime
    ) -> Fetched:
        """Return the folder at the address.

        Raises:
            NotFoundError: there is no such repository, ref or folder.
            WrongSubjectError: the repository was renamed.
            DigestMismatchError: what came is not what the commit holds.
            FormatError: it holds something that cannot be part of a skill, or an answer is malformed.
            TransportError: GitHub is unreachable, too slow, or our allowance is used up.
        """
        with Web(settings.bases_of(self.bases), limits=limits, settings=settings) as web:
            snapshot = Snapshot.of(web, address.repository, address.ref, limits=limits)
            folder = snapshot.folder(address.path)
        return fetched_folder(snapshot, folder, now=now)

    def search(self, query: str, *, limits: Limits, settings: SourceSettings) -> tuple[Hit, ...]:
        """Return the skills of one repository whose folder or front matter holds every word.

        Raises:
            UsageError: the query does not begin with ``owner/repo``.
            SkillRepoError: see `fetch`.
        """
        target, *words = query.split() or [""]
        try:
            address = self.parse(target)
        except FormatError as error:
            raise UsageError(
                "a search on GitHub lists the skills of one repository",
                hint="write owner/repo, or owner/repo and words",
            ) from error
        with Web(settings.bases_of(self.bases), limits=limits, settings=settings) as web:
            snapshot = Snapshot.of(web, address.repository, address.ref, limits=limits)
            below = f"{address.path}/" if address.path else ""
            folders = [path for path in snapshot.skill_folders() if f"{path}/".startswith(below)]
            hits = (
                _hit(snapshot, path, described=index < _MAX_DESCRIBED) for index, path in enumerate(folders)
            )
            return tuple(hit for hit in hits if _holds(hit, words))[: limits.max_hits]


SOURCE: Final = GitHub()


def fetched_folder(snapshot: Snapshot, folder: Folder, *, now: datetime) -> Fetched:
    """Return a folder of a repository as a source's answer; other sources over GitHub add to it."""
    claims = claims_of(folder.tree)
    licence, observations = claims.licence, [*folder.observations]
    if not licence:
        licence, missing = _licence_of_repository(snapshot)
        observations.append(missing)
    return Fetched(
        tree=folder.tree,
        source="github",
        address=str(GitHubAddress(folder.repository, folder.path, folder.commit)),
        resolved=folder.resolved,
        publisher=f"github.com/{folder.repository.owner}",
        licence=licence,
        suggested_version=claims.version,
        observations=tuple(observations),
        fetched_at=now,
    )


def _licence_of_repository(snapshot: Snapshot) -> tuple[str, Finding]:
    if snapshot.licence in _NO_LICENCE:
        return "", no_licence()
    message = f"SKILL.md gives no licence; GitHub says that the repository's is {snapshot.licence}"
    return snapshot.licence, observation("licence-of-repository", Severity.NOTE, message)


def _hit(snapshot: Snapshot, path: str, *, described: bool) -> Hit:
    try:
        address = str(SOURCE.parse(f"{snapshot.name}/{path}@{snapshot.commit}".replace("/@", "@")))
    except FormatError:
        address = ""
    name, summary = path.rpartition("/")[2] or snapshot.name.name, ""
    if described:
        front, _ = read_front_matter(snapshot.file(f"{path}/{SKILL_NAME}".lstrip("/")))
        name, summary = front.name or name, front.description
    return Hit(
        address=address,
        name=name,
        summary=summary,
        publisher=f"github.com/{snapshot.name.owner}",
        facts={"commit": snapshot.commit},
    )


def _holds(hit: Hit, words: list[str]) -> bool:
    text = f"{hit.address} {hit.name} {hit.summary}".lower()
    return all(word.lower() in text for word in words)
