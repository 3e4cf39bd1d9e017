"""May this index come after that one? (pure)

check_follows(index, previous, repo, now=…)     number, date, what is kept, what is gone, what goes back
check_comes_back(index, old)                    that a rollback brings back what it says, and nothing else
"""

from datetime import datetime, timedelta
from typing import Final

from repo_server.pkgrepo.going_back import going_back, gone_after
from signing.errors import ConflictError, NotFoundError, RollbackError, WrongSubjectError
from signing.format.pkg.closure import open_dependencies
from signing.format.pkg.index import RepoIndex
from signing.format.pkg.names import PackageRepo

# pkg compares whole seconds, and the files of one catalogue are a second apart (reference/freebsd-pkg §1.3).
MIN_STEP: Final = timedelta(seconds=3)
_CLOCK_SLACK: Final = timedelta(minutes=10)
_NAMED: Final = 5


def check_follows(index: RepoIndex, previous: RepoIndex | None, repo: PackageRepo, *, now: datetime) -> None:
    """Return None when ``index`` may come after ``previous``.

    Raises:
        WrongSubjectError: it is about another repository, keeps packages that were never published here, or does not
            say rightly what is gone.
        NotFoundError: it lists nothing, or something that needs what it does not list.
        ConflictError, RollbackError: serial, time or a version does not follow.
    """
    if index.repo != repo or (previous is not None and index.repository != previous.repository):
        raise WrongSubjectError(f"is an index of {index.repository}, {index.repo}", where=repo.index_path)
    _check_number_and_date(index, previous, now=now)
    _check_whole(index)
    _check_kept(index, previous)
    if previous is not None and index.intent is None and (back := going_back(previous, index.packages)):
        raise RollbackError(
            f"{len(back)} package(s) go back: {', '.join(map(str, back[:_NAMED]))}",
            hint="build the newer ones; or, if it is meant: --allow-downgrade REASON, or pkg rollback",
        )
    if index.gone != gone_after(previous, index.packages):
        # Whoever leaves a name out here brings an old version of it back with the next build.
        raise WrongSubjectError("does not say what is gone since the last serial", where=repo.index_path)


def check_comes_back(index: RepoIndex, old: RepoIndex) -> None:
    """Return None when the rollback ``index`` holds what ``old`` held, as it says.

    Raises:
        WrongSubjectError: under the name of a rollback, it lists something else.
    """
    if (index.packages, index.catalogue, index.fingerprints) != (
        old.packages,
        old.catalogue,
        old.fingerprints,
    ):
        raise WrongSubjectError(
            f"says that it brings back serial {old.serial}, and holds something else",
            where=index.repo.index_path,
        )


def _check_number_and_date(index: RepoIndex, previous: RepoIndex | None, *, now: datetime) -> None:
    following = 1 if previous is None else previous.serial + 1
    if index.serial != following:
        raise ConflictError(
            f"serial {index.serial} is handed in, the next one is {following}",
            hint="somebody published meanwhile: run the same command again",
        )
    place, clock = index.repo.index_path, "check the build host's clock"
    if index.created > now + _CLOCK_SLACK:
        raise RollbackError("was made in the future", where=place, hint=clock)
    if previous is not None and index.created < previous.created + MIN_STEP:
        # Clients ask "is there anything newer than …": a build that is not newer is never fetched.
        said = f"was made at {index.created}, serial {previous.serial} at {previous.created}"
        raise RollbackError(said, where=place, hint=clock)


def _check_whole(index: RepoIndex) -> None:
    if not index.packages:
        raise NotFoundError("lists no package: every client would lose all", where=index.repo.index_path)
    if lacking := open_dependencies(index.packages):
        asking, wanted = lacking[0]
        raise NotFoundError(
            f"{asking} needs {wanted.name}, which it does not list", where=index.repo.index_path
        )


def _check_kept(index: RepoIndex, previous: RepoIndex | None) -> None:
    # To the letter: under another name it would escape a revocation, and without its dependencies every check of them.
    known = set(previous.all_packages()) if previous is not None and index.kept else set()
    if strange := [package for package in index.kept if package not in known]:
        last = f"serial {previous.serial} does" if previous is not None else "builds that there never were do"
        raise WrongSubjectError(f"keeps {strange[0].pin}, which {last} not hold", where=index.repo.index_path)
