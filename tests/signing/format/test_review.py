"""Reviews: what was found and decided, about exactly one bundle."""

import json
from datetime import timedelta

import pytest

from signing.errors import FormatError, WrongSubjectError
from signing.format.digest import sha256_of
from signing.format.names import Pin
from signing.format.review import Decision, Review, Severity
from signing.format.statement import Statement, Subject
from tests.signing.format.samples import (
    BLOCKING,
    BUNDLE,
    NOTE,
    NOW,
    PIN,
    TREE,
    places,
    review,
    spelled,
    spoiled,
    waiver,
    walk,
)

FULL = review(findings=(BLOCKING, NOTE), waivers=(waiver(),))
STATEMENT = FULL.to_statement()


def read(statement: Statement, **changes: object) -> Review:
    about = {"pin": PIN, "bundle_sha256": BUNDLE, "tree_sha256": TREE, **changes}
    return Review.from_statement(statement, **about)


def read_spoiled(spoil) -> Review:
    rendered = spoiled(STATEMENT.render(), lambda document: spoil(document["predicate"]))
    return read(Statement.parse(rendered))


@pytest.mark.parametrize(
    "given",
    [
        FULL,
        review(),
        review(previous=None),
        review(findings=()),
        review(decision=Decision.REJECT),
        review(findings=(BLOCKING,), waivers=(waiver(), waiver(days=1))),
    ],
    ids=["full", "plain", "first", "nothing found", "rejecting", "two waivers"],
)
def test_a_printed_review_is_read_back_unchanged(given):
    assert read(Statement.parse(given.to_statement().render())) == given


# --- about something else -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "about",
    [
        {"pin": Pin.parse("web-search==1.2.1")},
        {"pin": Pin.parse("web-searcher==1.2.0")},
        {"bundle_sha256": sha256_of(b"another archive")},
        {"tree_sha256": sha256_of(b"another tree")},
        {"bundle_sha256": TREE, "tree_sha256": BUNDLE},
    ],
    ids=["version", "name", "archive", "tree", "swapped"],
)
def test_a_review_of_something_else_is_refused(about):
    with pytest.raises(WrongSubjectError):
        read(STATEMENT, **about)


def test_another_kind_of_claim_about_this_bundle_is_refused():
    other = Statement(
        subjects=STATEMENT.subjects,
        predicate_type="https://slsa.dev/provenance/v1",
        predicate=STATEMENT.predicate,
    )
    with pytest.raises(WrongSubjectError, match="not a review"):
        read(other)


@pytest.mark.parametrize(
    "subjects",
    [
        STATEMENT.subjects[:1],
        STATEMENT.subjects[1:],
        STATEMENT.subjects[::-1],
        (*STATEMENT.subjects, Subject(name="also", sha256=TREE)),
        (STATEMENT.subjects[0], STATEMENT.subjects[0]),
    ],
    ids=["no tree", "no archive", "reversed", "one more", "twice the archive"],
)
def test_other_subjects_than_archive_and_tree_are_refused(subjects):
    other = Statement(
        subjects=subjects, predicate_type=STATEMENT.predicate_type, predicate=STATEMENT.predicate
    )
    with pytest.raises(WrongSubjectError):
        read(other)


# --- the predicate's spelling ---------------------------------------------------------------------------

PREDICATE = json.loads(STATEMENT.render())["predicate"]
CLOSED = [at for at in places(PREDICATE) if at[-1:] != ("resolved",)]


@pytest.mark.parametrize("at", CLOSED, ids=lambda at: spelled("review", at))
def test_an_unknown_key_is_refused_at_its_place(at):
    with pytest.raises(FormatError, match="unknown key 'approved'") as caught:
        read_spoiled(lambda predicate: walk(predicate, at).update(approved=True))
    assert caught.value.where == spelled("review", at)


@pytest.mark.parametrize(
    ("at", "key"),
    [(at, key) for at in CLOSED for key in walk(PREDICATE, at)],
    ids=lambda part: spelled("", part) if isinstance(part, tuple) else part,
)
def test_a_missing_key_is_refused_at_its_place(at, key):
    with pytest.raises(FormatError) as caught:
        read_spoiled(lambda predicate: walk(predicate, at).pop(key))
    assert caught.value.where == spelled("review", (*at, key))


SPOILS = {
    "a third decision": (lambda p: p.update(decision="maybe"), "review.decision"),
    "a decision in upper case": (lambda p: p.update(decision="APPROVE"), "review.decision"),
    "a decision true": (lambda p: p.update(decision=True), "review.decision"),
    "previous in another spelling": (lambda p: p.update(previous="1.00"), "review.previous"),
    "reviewer": (lambda p: p.update(reviewer="Alice"), "review.reviewer"),
    "time": (lambda p: p.update(reviewed_at="today"), "review.reviewed_at"),
    "severity": (
        lambda p: p["engines"][0]["findings"][0].update(severity="info"),
        "review.engines[0].findings[0].severity",
    ),
    "line true": (
        lambda p: p["engines"][0]["findings"][0].update(line=True),
        "review.engines[0].findings[0].line",
    ),
    "policy digest": (lambda p: p["engines"][0].update(policy_sha256=""), "review.engines[0].policy_sha256"),
    "waiver without end": (lambda p: p["waivers"][0].update(until=None), "review.waivers[0].until"),
    "waived by nobody": (lambda p: p["waivers"][0].update(by=""), "review.waivers[0].by"),
    "host is a number": (lambda p: p["surface"].update(hosts=[1]), "review.surface.hosts[0]"),
    "resolved to a number": (
        lambda p: p["candidate"].update(resolved={"a": 1}),
        "review.candidate.resolved.a",
    ),
}


@pytest.mark.parametrize(("spoil", "where"), SPOILS.values(), ids=SPOILS)
def test_a_malformed_review_is_refused_at_its_place(spoil, where):
    with pytest.raises(FormatError) as caught:
        read_spoiled(spoil)
    assert caught.value.where == where


@pytest.mark.parametrize("field", ["check", "path", "message", "excerpt"])
def test_a_finding_cannot_be_reworded_under_the_id_that_was_waived(field):
    with pytest.raises(FormatError, match="not the id") as caught:
        read_spoiled(lambda p: p["engines"][0]["findings"][0].update({field: "harmless"}))
    assert caught.value.where == "review.engines[0].findings[0].id"


# --- waivers --------------------------------------------------------------------------------------------


def test_a_blocking_finding_stands_until_somebody_answers_for_it():
    assert review(findings=(BLOCKING, NOTE)).unwaived(NOW) == (BLOCKING,)
    assert FULL.unwaived(NOW) == ()


def test_a_waiver_ends_at_its_moment():
    until = NOW + timedelta(days=30)
    assert FULL.unwaived(until - timedelta(seconds=1)) == ()
    assert FULL.unwaived(until) == (BLOCKING,)
    assert FULL.unwaived(until + timedelta(seconds=1)) == (BLOCKING,)


def test_a_waiver_for_another_finding_waives_nothing():
    assert review(findings=(BLOCKING,), waivers=(waiver(NOTE),)).unwaived(NOW) == (BLOCKING,)


def test_an_expired_waiver_beside_a_valid_one_does_no_harm():
    given = review(findings=(BLOCKING,), waivers=(waiver(days=-1), waiver(days=1)))
    assert given.unwaived(NOW) == ()


@pytest.mark.parametrize("severity", [Severity.LOOK, Severity.NOTE])
def test_what_does_not_block_needs_no_waiver(severity):
    finding = type(NOTE)(check="a.b", severity=severity, path="x", line=0, message="m")
    assert review(findings=(finding,)).unwaived(NOW) == ()


def test_an_id_stays_while_the_finding_does():
    again = type(BLOCKING)(
        check=BLOCKING.check, severity=BLOCKING.severity, path="SKILL.md", line=3, message="names an address"
    )
    assert again.id == BLOCKING.id != NOTE.id
