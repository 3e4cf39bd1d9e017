"""A key signs what was reviewed and nothing else, whatever stands in the database."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from tuf.api.metadata import Metadata, TargetFile, Targets

from repo_server.db.models import CandidateRow, MetadataRow, ProposalRow, ProposalState
from repo_server.db.session import snapshot, transaction
from repo_server.publishing.proposals import open_proposals, proposal_standing
from repo_server.publishing.releases import subject_of
from repo_server.publishing.state import current, current_targets
from signing.errors import (
    ConflictError,
    FormatError,
    NotEntitledError,
    RejectedError,
    ThresholdError,
    WrongSubjectError,
)
from signing.metadata import build_target, parse, render, sign
from signing.roles import delegated_role_of
from tests.support.world import World, now, skill_md


def ready(world: World, pin: str, files: dict[str, bytes] | None = None) -> str:
    """A candidate that alice has reviewed."""
    candidate = world.import_skill(pin, files)
    world.review(candidate)
    return candidate


def proposals_of(world: World, candidate: str) -> list[ProposalRow]:
    with snapshot(world.repository.engine) as session:
        return open_proposals(session, f"candidate:{candidate}")


def signatures(world: World, candidate: str) -> set[str]:
    """Who has signed every proposal of a candidate."""
    with snapshot(world.repository.engine) as session:
        found = [
            set(proposal_standing(session, row).signed)
            for row in open_proposals(session, f"candidate:{candidate}")
        ]
    return set.intersection(*found) if found else set()


def state_of(world: World, candidate: str) -> str:
    with snapshot(world.repository.engine) as session:
        return session.get_one(CandidateRow, candidate).state


def named_now(world: World, role: str) -> dict[str, TargetFile]:
    with snapshot(world.repository.engine) as session:
        return dict(current_targets(session, role).targets)


def all_bytes(world: World) -> dict[int, bytes]:
    with snapshot(world.repository.engine) as session:
        return {row.id: row.content for row in session.scalars(select(ProposalRow))}


# ------------------------------------------------------------------------------------------ the true path


def test_a_release_touches_exactly_its_bins(world: World) -> None:
    before = {path.name for path in (world.public / "metadata").iterdir()}
    candidate = ready(world, "pdf-tools==2.0")
    world.sign(candidate, by="alice")
    rows = proposals_of(world, candidate)
    added = {}
    for row in rows:
        targets = parse(row.content, Targets, where=row.role).signed.targets
        added |= dict.fromkeys(set(targets) - set(named_now(world, row.role)), row.role)
    assert set(added) == {
        "skills/pdf-tools/2.0/pdf-tools-2.0.tar.gz",
        "skills/pdf-tools/2.0/review.dsse.json",
    }
    assert {row.role for row in rows} == set(added.values())
    assert all(delegated_role_of(path) == "skills" for path in added)
    world.sign(candidate, by="bob")
    world.publish()
    new = {path.name for path in (world.public / "metadata").glob("*.json")} - before
    touched = {name.split(".", 1)[1] for name in new}
    assert touched == {*(f"{row.role}.json" for row in rows), "snapshot.json"}


def test_stacked_proposals_publish_in_order(crowded: World) -> None:
    candidates = [ready(crowded, f"{name}==1.0") for name in ("one", "two", "three")]
    for name in ("alice", "bob"):
        for candidate in candidates:
            crowded.sign(candidate, by=name)
    assert [str(pin) for pin in crowded.publish().releases] == ["one==1.0", "two==1.0", "three==1.0"]
    names = {path.split("/")[1] for role in ("skills-0", "skills-1") for path in named_now(crowded, role)}
    assert names == {"one", "two", "three"}


def test_what_is_stacked_on_an_unfinished_proposal_waits(crowded: World) -> None:
    first, second = ready(crowded, "one==1.0"), ready(crowded, "two==1.0")
    crowded.sign(first, by="alice")
    crowded.sign(second, by="alice")
    with pytest.raises(ThresholdError):
        crowded.publish()
    crowded.sign(first, by="bob")
    published = crowded.publish()
    assert [str(pin) for pin in published.releases] == ["one==1.0"]
    assert published.pending == ((f"candidate:{second}", ("bob",)),)
    crowded.sign(second, by="bob")
    assert [str(pin) for pin in crowded.publish().releases] == ["two==1.0"]


def test_signing_twice_does_not_count_twice(world: World) -> None:
    candidate = ready(world, "pdf-tools==2.0")
    world.sign(candidate, by="alice")
    world.sign(candidate, by="alice")
    assert signatures(world, candidate) == {"alice"}
    assert state_of(world, candidate) == "reviewed"
    with pytest.raises(ThresholdError) as refused:
        world.publish()
    assert refused.value.facts["signed"] == 1


def test_signatures_of_others_survive(world: World) -> None:
    candidate = ready(world, "pdf-tools==2.0")
    world.sign(candidate, by="alice")
    before = {row.id: parse(row.content, Targets, where=row.role) for row in proposals_of(world, candidate)}
    world.sign(candidate, by="bob")
    for row in proposals_of(world, candidate):
        now_signed = parse(row.content, Targets, where=row.role).signatures
        for keyid, signature in before[row.id].signatures.items():
            assert now_signed[keyid] == signature
    assert signatures(world, candidate) == {"alice", "bob"}
    assert state_of(world, candidate) == "signed"


@pytest.mark.parametrize("who", ["mallory", "olga", "online", "root-1"])
def test_only_curators_sign_releases(world: World, who: str) -> None:
    candidate = ready(world, "pdf-tools==2.0")
    world.sign(candidate, by="alice")
    before = all_bytes(world)
    with pytest.raises(NotEntitledError):
        world.sign(candidate, by=who)
    assert all_bytes(world) == before


# ------------------------------------------------------------------------------- a database that was changed


def _add_target(targets: Targets) -> None:
    path = "skills/evil/1.0/evil-1.0.tar.gz"
    targets.targets[path] = build_target(path, b"evil")


def _remove_target(targets: Targets) -> None:
    targets.targets.pop(next(path for path in targets.targets if "web-search" in path))


def _remove_new_target(targets: Targets) -> None:
    targets.targets.pop(next(path for path in targets.targets if "pdf-tools" in path))


def _change_custom(targets: Targets) -> None:
    path = next(path for path in targets.targets if "pdf-tools" in path and path.endswith(".tar.gz"))
    target = targets.targets[path]
    assert target.custom is not None
    fields = {"custom": {**target.custom, "kind": "soul"}}
    targets.targets[path] = TargetFile(target.length, target.hashes, path, fields)


def _change_digest(targets: Targets) -> None:
    path = next(path for path in targets.targets if "pdf-tools" in path)
    targets.targets[path] = build_target(path, b"other bytes")


def _change_expiry(targets: Targets) -> None:
    targets.expires += timedelta(days=365)


def _in_the_past(targets: Targets) -> None:
    targets.expires = now().replace(microsecond=0) - timedelta(days=1)


def _change_version(targets: Targets) -> None:
    targets.version += 10


def _add_delegations(targets: Targets) -> None:
    key = Metadata[Targets].from_bytes(_SKILLS[0]).signed
    targets.delegations = key.delegations


_SKILLS: list[bytes] = []
TAMPERINGS: list[Callable[[Targets], None]] = [
    _add_target,
    _remove_target,
    _remove_new_target,
    _change_custom,
    _change_digest,
    _change_expiry,
    _in_the_past,
    _change_version,
    _add_delegations,
]


@pytest.fixture(scope="module")
def half_signed(
    _crowded_template: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[World, str]]:
    """web-search==1.0 published, and a proposal for pdf-tools==2.0 that alice has signed."""
    world = _crowded_template.copy_to(tmp_path_factory.mktemp("half-signed"))
    world.publish_skill("web-search==1.0")
    candidate = ready(world, "pdf-tools==2.0")
    world.sign(candidate, by="alice")
    yield world, candidate
    world.close()


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda f: f.__name__.strip("_"))
def test_a_tampered_proposal_is_refused_and_nothing_is_signed(
    half_signed: tuple[World, str], tmp_path: Path, tamper: Callable[[Targets], None]
) -> None:
    crowded, candidate = half_signed[0].copy_to(tmp_path / "copy"), half_signed[1]
    with snapshot(crowded.repository.engine) as session:
        _SKILLS[:] = [current(session, "skills").content]
    tampered = 0
    with transaction(crowded.repository.engine) as session:
        for row in open_proposals(session, f"candidate:{candidate}"):
            metadata = parse(row.content, Targets, where=row.role)
            try:
                tamper(metadata.signed)
            except StopIteration:  # this bin has no such target
                continue
            row.content = render(metadata)
            tampered += 1
    assert tampered
    before = all_bytes(crowded)
    with pytest.raises(WrongSubjectError):
        crowded.sign(candidate, by="bob")
    assert all_bytes(crowded) == before
    with pytest.raises(RejectedError):
        crowded.publish()
    assert not any(
        "pdf-tools" in path for role in ("skills-0", "skills-1") for path in named_now(crowded, role)
    )


def test_proposals_that_another_candidate_left_under_this_name_are_refused(crowded: World) -> None:
    mine, other = ready(crowded, "pdf-tools==2.0"), ready(crowded, "other==1.0")
    crowded.sign(other, by="alice")
    with transaction(crowded.repository.engine) as session:
        for row in open_proposals(session, f"candidate:{other}"):
            row.subject = f"candidate:{mine}"
    before = all_bytes(crowded)
    with pytest.raises(WrongSubjectError):
        crowded.sign(mine, by="bob")
    assert all_bytes(crowded) == before


def test_a_proposal_that_vanished_is_not_called_complete(crowded: World) -> None:
    """Both bins of a release are needed: a bundle without its review would be published otherwise."""
    candidate = _of_two_bins(crowded)
    for name in ("alice", "bob"):
        crowded.sign(candidate, by=name)
    with transaction(crowded.repository.engine) as session:
        open_proposals(session, f"candidate:{candidate}")[0].state = ProposalState.DROPPED
    with pytest.raises(WrongSubjectError):
        crowded.sign(candidate, by="alice")
    with pytest.raises(WrongSubjectError):
        crowded.publish()


def test_targets_added_to_what_is_published_do_not_travel_into_new_signatures(crowded: World) -> None:
    """Who can write the database could let two curators vouch for a target that they never saw."""
    crowded.publish_skill("web-search==1.0")
    candidate = ready(crowded, "pdf-tools==2.0")
    with transaction(crowded.repository.engine) as session:
        for role in ("skills-0", "skills-1"):
            row = current(session, role)
            metadata = parse(row.content, Targets, where=role)
            _add_target(metadata.signed)
            row.content = render(metadata)
    with pytest.raises(RejectedError):
        crowded.sign(candidate, by="alice")
    assert not any(b"evil" in content for content in all_bytes(crowded).values())


def test_a_forged_chain_below_the_anchor_does_not_vouch_for_a_base(crowded: World) -> None:
    """Not even when the delegating metadata in the database was replaced too: the anchor is the beginning."""
    crowded.publish_skill("web-search==1.0")
    candidate = ready(crowded, "pdf-tools==2.0")
    with transaction(crowded.repository.engine) as session:
        for role in ("skills-0", "skills-1"):
            row = current(session, role)
            metadata = parse(row.content, Targets, where=role)
            _add_target(metadata.signed)
            metadata.signatures.clear()
            sign(metadata, crowded.signers["mallory"])
            row.content = render(metadata)
        row = current(session, "skills")
        skills = parse(row.content, Targets, where="skills")
        delegations = skills.signed.delegations
        assert delegations is not None
        assert delegations.succinct_roles is not None
        mallory = crowded.signers["mallory"].public_key
        delegations.keys[mallory.keyid] = mallory
        delegations.succinct_roles.keyids.append(mallory.keyid)
        delegations.succinct_roles.threshold = 1
        row.content = render(skills)
    with pytest.raises(RejectedError):
        crowded.sign(candidate, by="alice")
    assert not any(b"evil" in content for content in all_bytes(crowded).values())


def test_targets_added_to_an_earlier_proposal_do_not_travel_into_later_signatures(crowded: World) -> None:
    first, second = ready(crowded, "one==1.0"), ready(crowded, "two==1.0")
    crowded.sign(first, by="alice")
    with transaction(crowded.repository.engine) as session:
        for row in open_proposals(session, f"candidate:{first}"):
            metadata = parse(row.content, Targets, where=row.role)
            _add_target(metadata.signed)
            row.content = render(metadata)
    with pytest.raises(ConflictError, match="has not signed"):  # alice's signature is void as well
        crowded.sign(second, by="alice")
    with pytest.raises(WrongSubjectError):
        crowded.sign(first, by="alice")
    assert signatures(crowded, second) == set()


def test_signing_a_later_proposal_does_not_vouch_for_an_earlier_one_unseen(crowded: World) -> None:
    """A bin that continues another's proposal names its targets too: bob would sign what only alice has seen."""
    first = ready(crowded, "one==1.0")
    crowded.sign(first, by="alice")
    second = ready(crowded, "two==1.0")
    before = all_bytes(crowded)
    with pytest.raises(ConflictError, match="continues one"):
        crowded.sign(second, by="bob")
    assert all_bytes(crowded) == before
    crowded.sign(first, by="bob")
    crowded.sign(second, by="bob")
    crowded.sign(second, by="alice")
    assert len(crowded.publish().releases) == 2


def _of_two_bins(world: World) -> str:
    """A reviewed candidate whose bundle and review fall into different bins."""
    for number in range(1, 20):
        candidate = ready(world, f"pair==1.{number}")
        world.sign(candidate, by="alice")
        if len(proposals_of(world, candidate)) == 2:
            return candidate
        world.review(candidate, by="bob")  # drops the proposals
    raise AssertionError("twenty releases in one bin")


# --------------------------------------------------------------------------------------------- moving bases


def test_a_stale_proposal_is_made_anew(crowded: World) -> None:
    stale = ready(crowded, "one==1.0")
    crowded.sign(stale, by="alice")
    with transaction(crowded.repository.engine) as session:  # put aside, as if another machine had been first
        for row in open_proposals(session):
            row.state = ProposalState.DROPPED
    for name in ("notes", "pdf-tools", "web-search", "calendar"):
        crowded.publish_skill(f"{name}==1.0")
    with transaction(crowded.repository.engine) as session:
        for row in session.scalars(select(ProposalRow).where(ProposalRow.subject == f"candidate:{stale}")):
            row.state = ProposalState.OPEN
    crowded.sign(stale, by="bob")
    assert signatures(crowded, stale) == {"bob"}  # alice signed something that cannot be published any more
    crowded.sign(stale, by="alice")
    assert [str(pin) for pin in crowded.publish().releases] == ["one==1.0"]


def test_what_continued_a_dropped_proposal_is_dropped_and_signed_again(crowded: World) -> None:
    first, second = ready(crowded, "one==1.0"), ready(crowded, "two==1.0")
    for name in ("alice", "bob"):
        for candidate in (first, second):
            crowded.sign(candidate, by=name)
    crowded.review(first, by="bob")
    assert proposals_of(crowded, first) == []
    if proposals_of(crowded, second):  # they met in no bin: nothing of the second was touched
        assert signatures(crowded, second) == {"alice", "bob"}
    else:
        assert state_of(crowded, second) == "reviewed"
    for name in ("alice", "bob"):
        for candidate in (first, second):
            crowded.sign(candidate, by=name)
    assert len(crowded.publish().releases) == 2


def test_two_candidates_for_one_version_cannot_both_be_signed(crowded: World) -> None:
    mine = ready(crowded, "one==1.0")
    other = ready(crowded, "one==1.0", {"SKILL.md": skill_md("one", body="Something else.")})
    assert mine != other
    crowded.sign(mine, by="alice")
    with pytest.raises(FormatError, match="other bytes"):
        crowded.sign(other, by="alice")
    crowded.sign(mine, by="bob")
    crowded.publish()
    with pytest.raises(ConflictError, match=r"one==1\.0 is published"):
        crowded.sign(other, by="alice")


def test_an_unreviewed_candidate_cannot_be_signed(world: World) -> None:
    candidate = world.import_skill("pdf-tools==2.0")
    with pytest.raises(Exception, match="not reviewed"):
        world.sign(candidate, by="alice")
    assert all(row.subject != f"candidate:{candidate}" for row in _all_rows(world))


def test_a_published_candidate_cannot_be_signed_again(world: World) -> None:
    candidate = ready(world, "pdf-tools==2.0")
    for name in ("alice", "bob"):
        world.sign(candidate, by=name)
    world.publish()
    with pytest.raises(ConflictError):
        world.sign(candidate, by="alice")


def _all_rows(world: World) -> list[ProposalRow]:
    with snapshot(world.repository.engine) as session:
        return list(session.scalars(select(ProposalRow)))


@pytest.mark.parametrize("days", [0, 179])
def test_an_old_proposal_can_still_be_signed_until_it_expires(world: World, days: int) -> None:
    start = now()
    candidate = ready(world, "pdf-tools==2.0")
    world.sign(candidate, by="alice", at=start)
    later: datetime = start + timedelta(days=days)
    world.sign(candidate, by="bob", at=later)
    assert signatures(world, candidate) == {"alice", "bob"}


def test_versions_of_metadata_are_never_written_twice(crowded: World) -> None:
    crowded.publish_skill("one==1.0")
    crowded.publish_skill("two==1.0")
    with snapshot(crowded.repository.engine) as session:
        rows = session.execute(select(MetadataRow.role, MetadataRow.version)).all()
    by_role: dict[str, list[int]] = {}
    for role, version in rows:
        by_role.setdefault(role, []).append(version)
    for versions in by_role.values():
        assert sorted(versions) == list(range(1, len(versions) + 1))


def test_the_subject_of_a_candidate_is_its_id(world: World, tmp_path: Path) -> None:
    del tmp_path
    candidate = world.import_skill("pdf-tools==2.0")
    with snapshot(world.repository.engine) as session:
        assert subject_of(session.get_one(CandidateRow, candidate)) == f"candidate:{candidate}"
