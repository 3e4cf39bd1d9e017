"""Renewing changes versions and ends, and needs the same people as before."""

import pytest

from repo_server.db.session import snapshot, transaction
from repo_server.publishing.proposals import open_proposals
from repo_server.publishing.renewals import RENEWABLE, give_renewal, plan_renewal
from repo_server.publishing.state import current_targets
from signing.errors import NotEntitledError, ThresholdError, UsageError, WrongSubjectError
from signing.format.names import Pin
from signing.metadata import build_target, parse, render
from tests.support.world import World, now

PEOPLE = {
    "targets": ("alice", "bob"),
    "skills": ("alice", "bob"),
    "profiles": ("olga",),
    "revocations": ("bob",),
}


def renew(world: World, role: str, *, by: str) -> None:
    with transaction(world.repository.engine) as session:
        give_renewal(world.repository, session, role, world.signers[by], now=now())


@pytest.mark.parametrize("role", RENEWABLE)
def test_a_renewed_role_says_the_same_for_longer(world: World, role: str) -> None:
    with snapshot(world.repository.engine) as session:
        before = current_targets(session, role)
    for name in PEOPLE[role]:
        renew(world, role, by=name)
    assert world.publish().renewed == (role,)
    with snapshot(world.repository.engine) as session:
        after = current_targets(session, role)
    assert (after.version, after.targets, after.delegations) == (
        before.version + 1,
        before.targets,
        before.delegations,
    )
    assert after.expires >= before.expires
    with (
        world.serve() as server,
        world.client(server.url, world.folder / "client").session(now()) as looked,
    ):
        looked.release(Pin.parse("web-search==1.0"))
        looked.profile(Pin.parse("base==1"))
        looked.revocations()


def test_half_a_renewal_is_not_published(world: World) -> None:
    renew(world, "skills", by="alice")
    with pytest.raises(ThresholdError):
        world.publish()


@pytest.mark.parametrize(
    ("role", "who"), [("skills", "olga"), ("profiles", "alice"), ("revocations", "online")]
)
def test_only_a_role_s_holders_renew_it(world: World, role: str, who: str) -> None:
    with pytest.raises(NotEntitledError):
        renew(world, role, by=who)


@pytest.mark.parametrize("role", ["root", "snapshot", "timestamp", "skills-0", "nothing"])
def test_other_roles_are_not_renewed_like_this(world: World, role: str) -> None:
    with pytest.raises(UsageError):
        renew(world, role, by="alice")


def test_a_renewal_that_adds_something_is_not_signed(world: World) -> None:
    with transaction(world.repository.engine) as session:
        plan_renewal(world.repository, session, "skills", now=now())
        row = next(row for row in open_proposals(session) if row.role == "skills-1")
        metadata = parse(row.content, type(current_targets(session, "skills")), where="skills-1")
        metadata.signed.targets["skills/evil/1.0/x"] = build_target("skills/evil/1.0/x", b"evil")
        row.content = render(metadata)
    with pytest.raises(WrongSubjectError):
        renew(world, "skills", by="bob")
