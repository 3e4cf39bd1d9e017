"""The published index of each package repository, read as its builder signed it."""

from sqlalchemy.orm import Session
from tuf.api.metadata import Targets

from repo_server.publishing.alone import continued_alone, published_alone
from repo_server.publishing.vouched import vouched_targets
from repo_server.repository import Repository
from signing.errors import NotFoundError, WrongSubjectError
from signing.format.digest import Sha256
from signing.format.pkg.index import RepoIndex
from signing.format.pkg.names import PackageRepo
from signing.roles import TARGETS, is_pkg


def appointed_repos(repository: Repository, session: Session) -> list[PackageRepo]:
    """Return the package repositories for which curators have appointed a builder.

    Raises:
        BadSignatureError, FormatError: what is published is not what curators signed.
    """
    delegations = vouched_targets(session, TARGETS, anchor=repository.anchor).delegations
    roles = (delegations.roles or {}) if delegations is not None else {}
    return sorted(PackageRepo.of_role(role) for role in roles if is_pkg(role))


def published_index(repository: Repository, session: Session, repo: PackageRepo) -> RepoIndex | None:
    """Return what ``repo`` holds now; None before its builder's first build, be it the first builder or a later one.

    Raises:
        BadSignatureError, FormatError, NotFoundError: the database or the blobs are not what was signed.
        WrongSubjectError: what was signed is about another repository.
    """
    return _index(repository, published_alone(repository, session, repo.role), repo)


def continued_index(repository: Repository, session: Session, repo: PackageRepo) -> RepoIndex | None:
    """Return what the next build of ``repo`` follows, also when its builder was replaced; None before the first.

    Raises:
        BadSignatureError, FormatError, NotFoundError: as for `published_index`.
    """
    return _index(repository, continued_alone(repository, session, repo.role), repo)


def _index(repository: Repository, targets: Targets | None, repo: PackageRepo) -> RepoIndex | None:
    if targets is None:
        return None
    target = targets.targets.get(repo.index_path)
    if target is None:
        raise NotFoundError(f"{repo.role} names no index", hint="restore the repository from a backup")
    index = RepoIndex.parse(repository.blobs.load(Sha256(target.hashes["sha256"])))
    if index.repo != repo:
        raise WrongSubjectError(f"is an index of {index.repo}", where=repo.index_path)
    return index
