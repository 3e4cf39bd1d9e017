"""The way back to an earlier serial, at a desk here or behind https: plan it, look at it, sign it, hand it in (edge).

    plan = plan_rollback(desk, repo, keys, to=5, reason=…, clock=clock)     nothing is signed or sent yet
    done = carry_out(desk, plan, keys, clock=clock)                         serial 8, with the packages of serial 5

It goes the way of every build: the desk checks it again from its bytes, and what is served then is fetched and compared.
Both serials are read as their builder signed them, from the builder's own anchor; so a server cannot offer packages for
a comeback that were never published. Killed anywhere, run it again: either the new serial is served, or nothing changed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from repo_server.pkgrepo.going_back import going_back
from repo_server.pkgrepo.serials import GRACE, keep_of, rolled_back
from repo_server.pkgrepo.submitting import (
    Keys,
    PackageDesk,
    Standing,
    Tell,
    blob_of,
    check_continues,
    hand_in_next,
    still_there,
)
from signing.errors import NotFoundError
from signing.format.pkg.index import RepoIndex
from signing.format.pkg.names import PackageRepo


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRollback:
    """What would be published: ``index``, which follows ``previous`` and holds the packages of serial ``to``."""

    standing: Standing
    previous: RepoIndex
    index: RepoIndex
    to: int

    def render(self) -> str:
        """Return what changes, for people."""
        before = {str(package.pin) for package in self.previous.packages}
        after = {str(package.pin) for package in self.index.packages}
        older = len(going_back(self.previous, self.index.packages))
        return (
            f"{self.index.repo}: serial {self.index.serial} holds the {len(after)} packages of serial {self.to}"
            f" (build {self.index.build['name']})\n"
            f"  against serial {self.previous.serial}: {len(after - before)} packages come back, {len(before - after)} go;"
            f" {older} {'is' if older == 1 else 'are'} older then than now"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack:
    """What became of it; ``accepted`` is empty where the answer was lost, and what is served was looked at instead."""

    index: RepoIndex
    accepted: Mapping[str, Any]
    pkg_site_checked: bool


def plan_rollback(
    desk: PackageDesk,
    repo: PackageRepo,
    keys: Keys,
    *,
    to: int,
    reason: str,
    clock: Callable[[], datetime],
    tell: Tell = lambda _: None,
) -> PlannedRollback:
    """Return the serial that would bring back the packages of serial ``to``.

    Raises:
        NotFoundError: nothing is published, there is no such serial, or its bytes are not there any more.
        NotEntitledError: the key of ``keys`` does not build this repository.
        BadSignatureError: a builder signed it whose key was replaced.
        ConflictError: it is not older than what is published, or holds the same.
        SkillRepoError: see `PackageDesk`.
    """
    now = clock()
    desk.complete()
    standing = desk.standing(repo, since=now - GRACE, now=now)
    check_continues(standing, repo, keys)
    previous = standing.index
    if previous is None:
        raise NotFoundError(f"nothing is published in {repo}", hint="publish a build: skillrepo pkg publish")
    old = desk.serial(repo, to, now=now)
    kept = keep_of(old.packages, standing.history or (previous,), now=now)
    index = rolled_back(old, previous, by=keys.holder, reason=reason, now=now, kept=kept)
    needed = {file.sha256: file.size for file in index.catalogue}
    needed |= {package.sha256: package.size for package in index.packages}
    missing = desk.missing(repo, needed | {package.sha256: package.size for package in index.kept})
    if gone := sorted(missing & set(needed)):
        raise NotFoundError(
            f"{len(gone)} file(s) of serial {to} are not there any more, first: {gone[0][:16]}…",
            hint="build these packages again and publish them: skillrepo pkg publish --allow-downgrade REASON",
        )
    return PlannedRollback(
        standing=standing,
        previous=previous,
        index=replace(index, kept=still_there(index.kept, missing, tell)),
        to=to,
    )


def carry_out(
    desk: PackageDesk,
    plan: PlannedRollback,
    keys: Keys,
    *,
    clock: Callable[[], datetime],
    tell: Tell = lambda _: None,
) -> RolledBack:
    """Sign what was planned, publish it, and look at what is served then.

    Raises:
        ConflictError: another serial was published meanwhile. SkillRepoError: see `PackageDesk`.
    """
    desk.send(plan.index.repo, [blob_of(plan.index.render())], tell=tell)
    accepted, looked_at = hand_in_next(desk, plan.standing, plan.index, keys, clock=clock)
    return RolledBack(index=plan.index, accepted=accepted, pkg_site_checked=looked_at)
