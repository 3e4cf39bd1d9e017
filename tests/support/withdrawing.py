"""Withdrawing and reinstating as curators do it, without the command around it."""

from datetime import datetime

from repo_server.curation.candidates import Origin, stage
from repo_server.curation.tree import SourceTree
from repo_server.db.session import transaction
from repo_server.publishing import reinstatements, withdrawals
from repo_server.publishing.origins import releases_from
from repo_server.publishing.withdrawals import Draft
from signing.format.manifest import Kind
from signing.format.names import HolderName, Pin, parse_skill_name
from signing.format.scope import Scope
from signing.format.withdrawal import Harm, Withdrawal, Withdrawn
from tests.support.world import World, now, skill_md


def import_from(world: World, pin: str, *, source: str = "clawhub", publisher: str = "@owner") -> str:
    """Stage a candidate that came from a publisher, and return its id."""
    wanted = Pin.parse(pin)
    origin = Origin(
        source=source,
        address=f"{source}:{publisher}/{wanted.name}",
        resolved={},
        publisher=publisher,
        licence="",
        observations=(),
    )
    tree = SourceTree.of([("SKILL.md", skill_md(wanted.name), False)])
    with transaction(world.repository.engine) as session:
        return stage(
            world.repository, session, tree, pin=wanted, kind=Kind.SKILL, origin=origin, now=now()
        ).id


def publish_from(world: World, pin: str, *, source: str = "clawhub", publisher: str = "@owner") -> None:
    candidate = import_from(world, pin, source=source, publisher=publisher)
    world.review(candidate)
    for name in ("alice", "bob"):
        world.sign(candidate, by=name)
    world.publish()


def scope_of(world: World, what: str) -> Scope:
    """``sha256:…``, ``NAME==VERSION``, ``SOURCE:PUBLISHER`` or ``NAME``."""
    if what.startswith("sha256:"):
        return Scope(sha256=what.removeprefix("sha256:"))
    if "==" in what:
        pin = Pin.parse(what)
        return Scope(name=pin.name, version=pin.version)
    if ":" in what:
        with transaction(world.repository.engine) as session:
            return Scope(publisher=what, releases=releases_from(world.repository, session, what))
    return Scope(name=parse_skill_name(what))


def draft(
    world: World,
    what: str,
    *,
    by: str = "bob",
    state: Withdrawn = Withdrawn.REVOKED,
    at: datetime | None = None,
) -> Draft:
    scope = scope_of(world, what)
    with transaction(world.repository.engine) as session:
        return withdrawals.draft_withdrawal(
            world.repository,
            session,
            scope,
            state=state,
            severity=Harm.HIGH if state is Withdrawn.REVOKED else None,
            reason="leaks the query",
            by=HolderName(by),
            now=at or now(),
        )


def sign(world: World, drafted: Draft, *, by: str, at: datetime | None = None) -> str:
    """Sign the list of a draft and return its subject."""
    with transaction(world.repository.engine) as session:
        subject = withdrawals.keep_list(
            world.repository, session, drafted.revocations.render(), now=at or now()
        )
        withdrawals.give_list(
            world.repository,
            session,
            subject.partition(":")[2],
            world.signers[by],
            entry=drafted.entry,
            now=at or now(),
        )
    return subject


def withdraw(
    world: World,
    what: str,
    *,
    by: str = "bob",
    state: Withdrawn = Withdrawn.REVOKED,
    at: datetime | None = None,
) -> Withdrawal:
    """Withdraw ``what``, and publish."""
    drafted = draft(world, what, by=by, state=state, at=at)
    sign(world, drafted, by=by, at=at)
    world.publish(at=at)
    return drafted.entry


def reinstate(
    world: World, what: str, *, by: str, reason: str | None = None, at: datetime | None = None
) -> Withdrawal:
    """Sign the reinstatement of ``what`` as ``by``, and publish the list with it."""
    with transaction(world.repository.engine) as session:
        entry = reinstatements.find_withdrawal(world.repository, session, what, now=at or now())
        _, envelope = reinstatements.draft_reinstatement(
            world.repository, session, entry, reason=reason, by=HolderName(by), now=at or now()
        )
        drafted = reinstatements.sign_reinstatement(
            world.repository, session, entry, envelope, world.signers[by], now=at or now()
        )
    sign(world, drafted, by=by, at=at)
    world.publish(at=at)
    return drafted.entry
