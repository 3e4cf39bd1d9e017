"""A second curator whose engines are others: what is signed then, what is asked, what is kept, what is refused."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import repo_server.curation.engines as engines_module
from repo_server.cli import cli
from repo_server.curation.candidates import find
from repo_server.curation.deciding import REVIEWED, Verdict, decide
from repo_server.curation.examination import examine, load_review
from repo_server.curation.seconding import (
    MAX_DIFFERENCES,
    MAX_REASON,
    Differing,
    engine_differences,
    plan_seconding,
)
from repo_server.db import log
from repo_server.db.session import snapshot, transaction
from repo_server.repository import Repository
from signing.console import Console
from signing.errors import BlockedError, ConflictError, FormatError, PolicyError, UsageError
from signing.format.digest import Sha256, sha256_of
from signing.format.envelope import Envelope
from signing.format.finding import EngineReport, Finding, Severity
from signing.format.review import Decision, Review
from signing.keys import envelope_signers, holder_of
from tests.repo_server.desk.scene import Scene
from tests.support.world import PASSPHRASE, World, now

WHY = "no wheels for this system; read the places myself"


def finding(
    rule: str, severity: Severity = Severity.LOOK, name: str = "cisco", message: str = "odd"
) -> Finding:
    return Finding(check=f"engine.{name}.{rule}", severity=severity, path="SKILL.md", line=3, message=message)


def report(
    *findings: Finding, name: str = "cisco", version: str = "2.3.2", failure: str = ""
) -> EngineReport:
    return EngineReport(
        name=name, version=version, policy_sha256=sha256_of(b"rules"), findings=findings, failure=failure
    )


OPEN_NET = finding("network-not-cut", Severity.NOTE, message="ran with the network open")
ABSENT = report(finding("absent"), failure="not installed: skillrepo engine install cisco")
BLOCKING = finding("EVIL", Severity.BLOCK)
CLEAN = report()


def approve(
    world: World,
    candidate: str,
    *,
    by: str,
    reports: Sequence[EngineReport],
    why: str = "",
    waive: Sequence[str] = (),
    seconds: bool = False,
) -> Review:
    with transaction(world.repository.engine) as session:
        row = find(session, candidate)
        seen = examine(world.repository, session, row, reports=reports)
        plan = plan_seconding(seen, load_review(world.repository, row)[1]) if seconds else None
        verdict = Verdict(
            decision=Decision.APPROVE, reason=f"read by {by}", waive=dict.fromkeys(waive, "an example")
        )
        return decide(
            world.repository,
            session,
            seen,
            verdict,
            signer=world.signers[by],
            now=now(),
            policy_sha256=world.repository.policy.digest if world.repository.policy else None,
            seconding=plan,
            engines_differ=why,
        )


def standing(world: World, candidate: str) -> tuple[Sha256, Review, set[str]]:
    """Return the digest of the review that stands, what it says, and who signed it."""
    with snapshot(world.repository.engine) as session:
        row = find(session, candidate)
        envelope, review = load_review(world.repository, row)
        keys = [world.signers[name].public_key for name in ("alice", "bob")]
        return (
            Sha256(row.review_sha256 or ""),
            review,
            {holder_of(key) for key in envelope_signers(envelope, keys)},
        )


def last_record(world: World, candidate: str) -> dict[str, Any]:
    with snapshot(world.repository.engine) as session:
        return dict([r for r in log.about(session, candidate) if r.event == REVIEWED][-1].facts)


# ------------------------------------------------------------------------- what differs


@pytest.mark.parametrize(
    ("theirs", "mine"),
    [
        ((CLEAN,), (CLEAN,)),
        ((report(finding("A")),), (report(OPEN_NET, finding("A")),)),
        ((report(finding("A"), OPEN_NET),), (report(finding("A")),)),
        ((report(finding("A"), finding("B")),), (report(finding("B"), finding("A")),)),
        ((ABSENT,), (ABSENT,)),
        ((), ()),
    ],
    ids=["clean", "unconfined here", "unconfined there", "another order", "absent on both", "none"],
)
def test_how_an_engine_was_confined_is_no_difference(
    theirs: tuple[EngineReport, ...], mine: tuple[EngineReport, ...]
) -> None:
    assert engine_differences(theirs, mine, by="alice") == ()


@pytest.mark.parametrize(
    ("theirs", "mine", "words"),
    [
        ((CLEAN,), (), "cisco: did not look here; alice's report of it has 0 findings"),
        ((), (report(BLOCKING),), "cisco: is not in alice's review; here it has 1 finding, 1 blocking"),
        ((CLEAN,), (ABSENT,), "ran to its end at alice's, failed (not installed"),
        ((CLEAN,), (report(version="2.4.0"),), "version 2.3.2 at alice's, 2.4.0 here"),
        ((CLEAN,), (replace(CLEAN, policy_sha256=sha256_of(b"")),), "other rules or options"),
        ((report(finding("A")),), (CLEAN,), "only alice's finds: look engine.cisco.A SKILL.md:3 odd"),
        ((CLEAN,), (report(finding("A")),), "only here is found: look engine.cisco.A"),
        # The id does not cover the weight: the same finding, made light of.
        (
            (report(replace(BLOCKING, severity=Severity.NOTE)),),
            (report(BLOCKING),),
            "only here is found: block",
        ),
        # Nobody passes something grave off as the note about the network.
        ((report(replace(OPEN_NET, severity=Severity.BLOCK)),), (CLEAN,), "only alice's finds: block"),
        ((CLEAN, CLEAN), (CLEAN,), "more than one report"),
        ((report(name="other"),), (CLEAN,), "cisco: is not in alice's review"),
    ],
    ids=str,
)
def test_every_other_difference_is_put_in_words(
    theirs: tuple[EngineReport, ...], mine: tuple[EngineReport, ...], words: str
) -> None:
    assert any(words in line for line in engine_differences(theirs, mine, by="alice"))


def test_words_of_engines_are_shown_like_those_of_strangers() -> None:
    hostile = report(finding("A", message="\x1b[2J\u202eall good\n" * 500))
    [line] = engine_differences((hostile,), (CLEAN,), by="alice")
    assert "<U+001B>" in line
    assert "<U+202E>" in line
    assert line.isprintable()
    assert len(line) <= 1_000
    many = report(*(finding(f"R{number}") for number in range(200)))
    lines = engine_differences((many,), (CLEAN,), by="alice")
    assert len(lines) == MAX_DIFFERENCES
    assert lines[-1] == "and 151 differences more"


# ------------------------------------------------------------------------- what is signed


def test_the_same_findings_under_another_confinement_are_seconded(world: World) -> None:
    candidate = world.import_skill("pdf-tools==1.0")
    approve(world, candidate, by="alice", reports=[report(finding("A"))])
    before, review, _ = standing(world, candidate)
    made = approve(world, candidate, by="bob", reports=[report(finding("A"), OPEN_NET)], seconds=True)
    after, _, signers = standing(world, candidate)
    assert (made.to_statement(), signers) == (review.to_statement(), {"alice", "bob"})
    assert before != after
    assert "engines_differ" not in last_record(world, candidate)
    world.sign(candidate, by="alice")
    world.sign(candidate, by="bob")
    assert [str(pin) for pin in world.publish().releases] == ["pdf-tools==1.0"]


@pytest.mark.parametrize(
    "mine", [(), (ABSENT,), (report(finding("A")),)], ids=["not run", "absent", "finds something"]
)
def test_other_engines_are_seconded_for_a_reason_that_is_kept(
    world: World, mine: tuple[EngineReport, ...]
) -> None:
    candidate = world.import_skill("pdf-tools==1.0")
    approve(world, candidate, by="alice", reports=[CLEAN])
    kept = standing(world, candidate)
    for nothing in ("", "  "):
        with pytest.raises(BlockedError, match="say something else here than in alice's review") as caught:
            approve(world, candidate, by="bob", reports=mine, seconds=True, why=nothing)
        assert "--engine-differs" in caught.value.hint
        assert standing(world, candidate) == kept
    approve(world, candidate, by="bob", reports=mine, seconds=True, why=WHY)
    _, review, signers = standing(world, candidate)
    assert (review.to_statement(), signers) == (kept[1].to_statement(), {"alice", "bob"})
    facts = last_record(world, candidate)
    assert (facts["by"], facts["engines_differ"]) == ("bob", WHY)
    assert facts["engine_differences"] == list(engine_differences([CLEAN], mine, by="alice"))


def test_what_blocks_at_the_seconds_is_never_signed_away(world: World) -> None:
    """A statement without the finding does not get the second signature; one with it gets both."""
    candidate = world.import_skill("pdf-tools==1.0")
    approve(world, candidate, by="alice", reports=[CLEAN])
    kept = standing(world, candidate)
    with pytest.raises(BlockedError, match=r"leaves out: block engine\.cisco\.EVIL"):
        approve(world, candidate, by="bob", reports=[report(BLOCKING)], seconds=True, why=WHY)
    with pytest.raises(BlockedError):
        approve(world, candidate, by="bob", reports=[report(BLOCKING)])
    assert standing(world, candidate) == kept
    approve(world, candidate, by="bob", reports=[report(BLOCKING)], waive=[BLOCKING.id])
    assert standing(world, candidate)[2] == {"bob"}
    # Now it is the first one whose engines differ: who signs answers for the finding too.
    with pytest.raises(BlockedError):
        approve(world, candidate, by="alice", reports=[CLEAN], seconds=True, why="a false alarm, I looked")
    approve(
        world,
        candidate,
        by="alice",
        reports=[CLEAN],
        seconds=True,
        why="a false alarm, I looked",
        waive=[BLOCKING.id],
    )
    _, review, signers = standing(world, candidate)
    assert signers == {"alice", "bob"}
    assert [item.id for item in review.findings if item.severity is Severity.BLOCK] == [BLOCKING.id]


def test_a_reason_does_not_cover_what_can_be_looked_up(world: World) -> None:
    """Engines are the reviewer's word. The surface is not: a plan made of another review signs nothing."""
    candidate = world.import_skill("pdf-tools==1.0")
    approve(world, candidate, by="alice", reports=[CLEAN])
    kept = standing(world, candidate)
    with transaction(world.repository.engine) as session:
        row = find(session, candidate)
        seen = examine(world.repository, session, row)
        lie = replace(kept[1], surface=replace(kept[1].surface, hosts=("quiet.example",)))
        plan = plan_seconding(replace(seen, surface=lie.surface), lie)
        with pytest.raises(ConflictError, match="says something else"):
            decide(
                world.repository,
                session,
                seen,
                Verdict(decision=Decision.APPROVE, reason="read"),
                signer=world.signers["bob"],
                now=now(),
                seconding=plan,
                engines_differ=WHY,
            )
    assert standing(world, candidate) == kept


def test_the_first_ones_reports_never_end_in_a_statement_of_the_seconds(world: World) -> None:
    """The review was replaced after it was shown: bob ran none of what would stand in his name."""
    candidate = world.import_skill("pdf-tools==1.0")
    approve(world, candidate, by="alice", reports=[report(finding("A"))])
    shown = standing(world, candidate)[1]
    approve(world, candidate, by="alice", reports=[CLEAN])
    kept = standing(world, candidate)
    with transaction(world.repository.engine) as session:
        seen = examine(world.repository, session, find(session, candidate))
        with pytest.raises(ConflictError, match="does not stand any more"):
            decide(
                world.repository,
                session,
                seen,
                Verdict(decision=Decision.APPROVE, reason="read"),
                signer=world.signers["bob"],
                now=now(),
                seconding=plan_seconding(seen, shown),
                engines_differ=WHY,
            )
    assert standing(world, candidate) == kept


@pytest.mark.parametrize("theirs", [(), (ABSENT,)], ids=["without it", "it failed"])
def test_an_engine_that_the_policy_demands_must_be_in_the_statement(
    world: World, theirs: tuple[EngineReport, ...]
) -> None:
    (world.repository.folder / "policy.toml").write_text('[review]\nrequired_engines = ["cisco"]\n')
    world.repository.engine.dispose()
    world = World(world.folder, Repository.open(world.repository.folder), world.signers)
    candidate = world.import_skill("pdf-tools==1.0")
    approve(world, candidate, by="alice", reports=theirs)
    kept = standing(world, candidate)
    for mine in ((CLEAN,), theirs):
        with pytest.raises(PolicyError, match="which the policy demands"):
            approve(world, candidate, by="bob", reports=mine, seconds=True, why=WHY)
    assert standing(world, candidate) == kept
    approve(world, candidate, by="bob", reports=[CLEAN])  # a statement of bob's own, with the engine
    approve(world, candidate, by="alice", reports=[ABSENT], seconds=True, why=WHY)
    assert standing(world, candidate)[2] == {"alice", "bob"}
    world.sign(candidate, by="alice")
    world.close()


# ------------------------------------------------------------------------- what is handed in


def test_the_reason_reaches_the_log_of_a_repository_elsewhere(world: World, tmp_path: Path) -> None:
    with Scene(world, tmp_path).serving() as scene:
        alice = scene.desk("alice")
        candidate = scene.stage(alice, "pdf-tools==1.0")
        scene.review(alice, candidate, by="alice")
        bob = scene.desk("bob")
        with transaction(bob.repository.engine) as session:
            row = find(session, candidate)
            replaces = Sha256(row.review_sha256 or "")
            seen = examine(bob.repository, session, row, reports=[report(finding("A"))])
            plan = plan_seconding(seen, load_review(bob.repository, row)[1])
            differing = plan.check(WHY)
            decide(
                bob.repository,
                session,
                seen,
                Verdict(decision=Decision.APPROVE, reason="read"),
                signer=world.signers["bob"],
                now=now(),
                seconding=plan,
                engines_differ=WHY,
            )
        assert differing is not None
        bob.hand_in_review(candidate, replaces=replaces, differing=differing)
    assert standing(world, candidate)[2] == {"alice", "bob"}
    facts = last_record(world, candidate)
    assert facts["engines_differ"] == WHY
    assert facts["engine_differences"] == list(differing.differences)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {"reason": "x"},
        {"reason": " ", "differences": []},
        {"reason": "x" * (MAX_REASON + 1), "differences": []},
        {"reason": "x", "differences": ["x" * 1_001]},
        {"reason": "x", "differences": [1]},
        {"reason": "x", "differences": ["x"] * (MAX_DIFFERENCES + 1)},
        {"reason": "x", "differences": [], "more": 1},
    ],
    ids=["null", "list", "half", "no reason", "long reason", "long line", "number", "many", "unknown"],
)
def test_what_is_handed_in_is_read_strictly(value: object) -> None:
    with pytest.raises(FormatError, match="body"):
        Differing.from_json(value, "body")


# ------------------------------------------------------------------------- the command


@pytest.fixture
def says(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[dict[str, Any], str]]:
    """Run ``skillrepo review`` as somebody whose engines report this; return answer and conversation."""
    people = world.folder / "people"
    (people / "trust-anchor.json").write_bytes(world.anchor)
    passphrase = tmp_path / "passphrase"
    passphrase.write_text(PASSPHRASE)
    passphrase.chmod(0o600)
    options = ("--repo", str(world.repository.folder), "--keys", str(people))

    def run(
        *words: str, by: str, reports: Sequence[EngineReport], typed: str = ""
    ) -> tuple[dict[str, Any], str]:
        monkeypatch.setattr(engines_module, "run_engines", lambda *_, **__: tuple(reports))
        monkeypatch.setattr(Console, "can_ask", lambda _: bool(typed))
        done = CliRunner().invoke(
            cli,
            [
                *(*options, "--passphrase-file", str(passphrase), "review", *words, "--as", by),
                *(() if typed else ("--json",)),
            ],
            standalone_mode=False,
            input=typed,
        )
        if done.exception is not None:
            raise done.exception
        return {} if typed else json.loads(done.stdout), done.stderr

    return run


Says = Callable[..., tuple[dict[str, Any], str]]


def test_the_command_shows_what_differs_and_wants_a_reason(world: World, says: Says) -> None:
    candidate = world.import_skill("pdf-tools==1.0")
    decision = (candidate, "--approve", "--reason", "read it")
    says(*decision, by="alice", reports=[CLEAN])
    kept = standing(world, candidate)
    looked, _ = says(candidate, by="bob", reports=[ABSENT])
    assert looked["engine_differences"] == list(engine_differences([CLEAN], [ABSENT], by="alice"))
    with pytest.raises(BlockedError, match="say something else here"):
        says(*decision, by="bob", reports=[ABSENT])
    assert standing(world, candidate) == kept
    answer, _ = says(*decision, "--engine-differs", WHY, by="bob", reports=[ABSENT])
    assert (answer["by"], answer["reviewer"], answer["engines_differ"]["reason"]) == ("bob", "alice", WHY)
    assert standing(world, candidate)[2] == {"alice", "bob"}


def test_the_command_seconds_without_a_word_where_engines_agree(world: World, says: Says) -> None:
    candidate = world.import_skill("pdf-tools==1.0")
    decision = (candidate, "--approve", "--reason", "read it")
    says(*decision, by="alice", reports=[report(finding("A"))])
    answer, said = says(*decision, by="bob", reports=[report(finding("A"), OPEN_NET)])
    assert answer["engines_differ"] is None
    assert "takes the place" not in said
    assert standing(world, candidate)[2] == {"alice", "bob"}


def test_the_command_replaces_only_when_told(world: World, says: Says) -> None:
    candidate = world.import_skill("pdf-tools==1.0")
    decision = (candidate, "--approve", "--reason", "read it")
    says(*decision, by="alice", reports=[CLEAN])
    answer, said = says(*decision, "--replace", by="bob", reports=[report(finding("A"))])
    assert answer["reviewer"] == "bob"
    assert "says something else (engines) and takes the place of that review" in said
    assert standing(world, candidate)[2] == {"bob"}


def test_the_command_makes_a_review_of_ones_own_where_an_engine_blocks(world: World, says: Says) -> None:
    candidate = world.import_skill("pdf-tools==1.0")
    decision = (candidate, "--approve", "--reason", "read it")
    says(*decision, by="alice", reports=[CLEAN])
    kept = standing(world, candidate)
    waive = ("--waive", f"{BLOCKING.id}=an example")
    with pytest.raises(BlockedError, match="leaves out"):
        says(*decision, *waive, "--engine-differs", WHY, by="bob", reports=[report(BLOCKING)])
    assert standing(world, candidate) == kept
    _, said = says(*decision, *waive, by="bob", reports=[report(BLOCKING)])
    assert "takes the place of that review" in said
    with pytest.raises(BlockedError, match="EVIL"):
        says(*decision, *waive, by="alice", reports=[CLEAN])
    says(*decision, *waive, "--engine-differs", "a false alarm", by="alice", reports=[CLEAN])
    assert standing(world, candidate)[2] == {"alice", "bob"}


@pytest.mark.parametrize(
    ("typed", "signers"),
    [
        (f"approve\ny\n{WHY}\nan example\nread\n", {"alice", "bob"}),
        ("approve\nn\nread\n", {"bob"}),
        ("later\n", {"alice"}),
    ],
    ids=["signs it", "own", "later"],
)
def test_a_person_is_asked_about_engines(world: World, says: Says, typed: str, signers: set[str]) -> None:
    candidate = world.import_skill("pdf-tools==1.0")
    waive = ("--waive", f"{BLOCKING.id}=an example")
    says(candidate, "--approve", "--reason", "read", *waive, by="alice", reports=[report(BLOCKING)])
    _, said = says(candidate, by="bob", reports=[ABSENT], typed=typed)
    assert "alice approved this; engines say something else here:" in said
    assert standing(world, candidate)[2] == signers
    assert last_record(world, candidate).get("engines_differ") == (WHY if len(signers) > 1 else None)


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (("--approve", "--reason", "x", "--engine-differs", "y", "--replace"), "choose"),
        (("--approve", "--reason", "x", "--engine-differs", " "), "needs a reason"),
        (("--reject", "--reason", "x", "--engine-differs", "y"), "go with --approve"),
        (("--approve", "--reason", "x", "--engine-differs", "y"), "somebody else's approval"),
    ],
    ids=["both", "empty", "reject", "nothing stands"],
)
def test_flags_that_mean_nothing_are_refused(
    world: World, says: Says, words: tuple[str, ...], match: str
) -> None:
    candidate = world.import_skill("pdf-tools==1.0")
    with pytest.raises(UsageError, match=match):
        says(candidate, *words, by="alice", reports=[])
    with snapshot(world.repository.engine) as session:
        assert find(session, candidate).review_sha256 is None


def test_a_stranger_is_not_seconded(world: World) -> None:
    """Whoever can write the database, and has no curator's key, gets no signature on what they made up."""
    candidate = world.import_skill("pdf-tools==1.0")
    approve(world, candidate, by="alice", reports=[CLEAN])
    digest, review, _ = standing(world, candidate)
    envelope = Envelope.parse(world.repository.blobs.load(digest))
    unsigned = replace(envelope, signatures=())
    forged = world.signers["mallory"].sign_envelope(unsigned)
    with transaction(world.repository.engine) as session:
        find(session, candidate).review_sha256 = world.repository.blobs.store(forged.render())
    with pytest.raises(ConflictError):
        approve(world, candidate, by="bob", reports=[CLEAN], seconds=True)
    assert review.reviewer == "alice"
    assert standing(world, candidate)[2] == set()
