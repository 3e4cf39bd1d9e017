"""The list of what is withdrawn: what an entry covers and keeps, one spelling, and a head that shows what is lost."""

import json
from dataclasses import replace
from typing import Any

import pytest

from signing.errors import FormatError, WrongSubjectError
from signing.format.digest import sha256_of
from signing.format.envelope import Envelope, EnvelopeSignature
from signing.format.names import HolderName, Pin, parse_skill_name, parse_version
from signing.format.reinstatement import Reinstatement
from signing.format.revocations import MAX_LIST_BYTES, Revocations
from signing.format.scope import NamedRelease, Scope, parse_publisher
from signing.format.withdrawal import Harm, NamedProfile, Withdrawal, Withdrawn
from tests.signing.format.samples import NOW, spoiled

BUNDLE, TREE, OTHER = sha256_of(b"bundle"), sha256_of(b"tree"), sha256_of(b"other")
PIN = Pin.parse("web-search==1.2.0")
NAME, VERSION = parse_skill_name("web-search"), parse_version("1.2.0")
RELEASE = NamedRelease(pin=PIN, bundle_sha256=BUNDLE, tree_sha256=TREE)
KEPT = NamedProfile(pin=Pin.parse("base==1"), sha256=OTHER)


def entry(**fields: Any) -> Withdrawal:
    return Withdrawal(
        **{
            "state": Withdrawn.REVOKED,
            "scope": Scope(name=NAME),
            "severity": Harm.HIGH,
            "reason": "leaks the query",
            "by": HolderName("alice"),
            "at": NOW,
            **fields,
        }
    )


BY_DIGEST = entry(scope=Scope(sha256=TREE))
BY_NAME = entry()
BY_VERSION = entry(scope=Scope(name=NAME, version=VERSION), severity=Harm.LOW)
BY_PUBLISHER = entry(scope=Scope(publisher="clawhub:@owner", releases=(RELEASE,)))
YANKED = entry(state=Withdrawn.YANKED, severity=None, kept_by=(KEPT,))
QUARANTINED = entry(state=Withdrawn.QUARANTINED, severity=None)
STATEMENT = Reinstatement(
    withdrawal=BY_NAME.id, reason="a false alarm", by=HolderName("alice"), at=NOW
).to_envelope()
LIFTED = BY_NAME.with_lifting(STATEMENT.with_signature(EnvelopeSignature(keyid=OTHER, signature=b"s" * 64)))
ALL = (BY_DIGEST, LIFTED, BY_VERSION, BY_PUBLISHER, YANKED, QUARANTINED)
RENDERED = Revocations(entries=ALL).render()


@pytest.mark.parametrize("given", [Revocations(), Revocations(entries=ALL)], ids=["empty", "each kind"])
def test_a_printed_list_is_read_back_unchanged(given):
    assert Revocations.parse(given.render()) == given


def test_an_empty_list_is_what_it_was_in_the_first_repositories():
    assert Revocations().render() == (
        b'{"entries":[],"schema":"https://skills.clawdie.si/schema/revocations/v1"}'
    )


@pytest.mark.parametrize(
    ("given", "pin", "bundle", "tree", "covered"),
    [
        (BY_DIGEST, "renamed==9", OTHER, TREE, True),
        (BY_DIGEST, "renamed==9", TREE, OTHER, True),  # a digest is a digest, of the archive or of the tree
        (BY_DIGEST, "web-search==1.2.0", BUNDLE, OTHER, False),
        (BY_NAME, "web-search==99", OTHER, OTHER, True),
        (BY_NAME, "web-searcher==1.2.0", BUNDLE, TREE, False),
        (BY_VERSION, "web-search==1.2.0", OTHER, OTHER, True),
        (BY_VERSION, "web-search==1.2.1", BUNDLE, TREE, False),
        (BY_VERSION, "web==1.2.0", BUNDLE, TREE, False),
        (BY_PUBLISHER, "web-search==1.2.0", OTHER, OTHER, True),
        (BY_PUBLISHER, "renamed==9", BUNDLE, OTHER, True),
        (BY_PUBLISHER, "renamed==9", OTHER, TREE, True),
        (BY_PUBLISHER, "web-search==1.2.1", OTHER, OTHER, False),
    ],
)
def test_what_an_entry_covers(given, pin, bundle, tree, covered):
    assert given.scope.covers(Pin.parse(pin), bundle_sha256=bundle, tree_sha256=tree) is covered


def test_only_the_profiles_that_are_named_go_on():
    assert YANKED.keeps(OTHER)
    assert not YANKED.keeps(TREE)
    assert not BY_NAME.keeps(OTHER)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"version": VERSION},
        {"sha256": TREE, "name": NAME},
        {"sha256": TREE, "version": VERSION},
        {"publisher": "clawhub:@owner", "name": NAME},
        {"name": NAME, "releases": (RELEASE,)},
        {"publisher": "clawhub:@owner", "releases": (RELEASE, RELEASE)},
    ],
    ids=[
        "nothing",
        "version alone",
        "digest and name",
        "digest and version",
        "publisher and name",
        "releases",
        "twice",
    ],
)
def test_a_scope_with_no_or_two_meanings_is_refused(fields):
    with pytest.raises(FormatError):
        Scope(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"severity": None},
        {"state": Withdrawn.YANKED},
        {"state": Withdrawn.QUARANTINED},
        {"kept_by": (KEPT,)},
        {"state": Withdrawn.YANKED, "severity": None, "kept_by": (KEPT, KEPT)},
    ],
    ids=["revoked, not how bad", "yanked, how bad", "quarantined, how bad", "revoked, kept", "kept twice"],
)
def test_an_entry_that_says_two_things_is_refused(fields):
    with pytest.raises(FormatError):
        entry(**fields)


# --- ids and heads -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"state": Withdrawn.QUARANTINED, "severity": None},
        {"scope": Scope(name=NAME, version=VERSION)},
        {"severity": Harm.LOW},
        {"reason": "nothing much"},
        {"by": HolderName("bob")},
        {"at": NOW.replace(year=NOW.year + 1)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_an_entry_says_is_in_its_id(change):
    assert entry(**change).id != BY_NAME.id


def test_an_entry_stays_itself_when_it_is_lifted():
    assert LIFTED.id == BY_NAME.id
    assert replace(YANKED, kept_by=()).id != YANKED.id


def test_the_head_is_computed_as_it_is_documented():
    head = sha256_of(b"")
    assert Revocations().head() == head
    head = sha256_of((head + BY_DIGEST.id).encode())
    assert Revocations(entries=(BY_DIGEST,)).head() == head
    assert Revocations(entries=ALL).head(1) == head


@pytest.mark.parametrize(
    ("entries", "continues"),
    [
        ((BY_DIGEST, BY_NAME), True),
        ((BY_DIGEST, LIFTED), True),
        ((BY_DIGEST, BY_NAME, YANKED), True),
        ((BY_DIGEST,), False),
        ((), False),
        ((BY_NAME, BY_DIGEST), False),
        ((YANKED, BY_DIGEST, BY_NAME), False),
        ((BY_DIGEST, BY_VERSION), False),
        ((BY_DIGEST, BY_VERSION, BY_NAME), False),
    ],
)
def test_a_list_continues_another_by_beginning_with_it(entries, continues):
    before = Revocations(entries=(BY_DIGEST, BY_NAME))
    assert Revocations(entries=entries).continues(count=2, head=before.head()) is continues


def test_every_list_continues_nothing():
    assert Revocations().continues(count=0, head=Revocations().head())
    assert Revocations(entries=ALL).continues(count=0, head=Revocations().head())


def test_an_entry_is_added_at_the_end_and_once():
    grown = Revocations(entries=(BY_DIGEST,)).with_entry(BY_NAME)
    assert grown.entries == (BY_DIGEST, BY_NAME)
    with pytest.raises(FormatError, match="twice"):
        grown.with_entry(BY_DIGEST)
    assert grown.with_lifting(LIFTED).entries == (BY_DIGEST, LIFTED)


# --- reinstatements ----------------------------------------------------------------------------------


def test_a_reinstatement_says_what_it_lifts():
    found = Reinstatement.parse(STATEMENT, withdrawal=BY_NAME.id)
    assert (found.withdrawal, found.reason, found.by, found.at) == (BY_NAME.id, "a false alarm", "alice", NOW)


def test_a_reinstatement_of_another_entry_is_refused():
    with pytest.raises(WrongSubjectError):
        Reinstatement.parse(STATEMENT, withdrawal=BY_VERSION.id)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (
            lambda d: d.update(predicateType="https://skills.clawdie.si/attestations/review/v1"),
            WrongSubjectError,
        ),
        (lambda d: d["subject"].append({"name": "more", "digest": {"sha256": TREE}}), WrongSubjectError),
        (lambda d: d["subject"][0].update(name="tree"), WrongSubjectError),
        (lambda d: d["predicate"].pop("reason"), FormatError),
        (lambda d: d["predicate"].update(until="2027"), FormatError),
    ],
    ids=["another claim", "two subjects", "another subject", "no reason", "unknown key"],
)
def test_another_statement_lifts_nothing(change, error):
    envelope = replace(STATEMENT, payload=spoiled(STATEMENT.payload, change))
    with pytest.raises(error):
        Reinstatement.parse(envelope, withdrawal=BY_NAME.id)


def test_another_payload_type_lifts_nothing():
    with pytest.raises(WrongSubjectError):
        Reinstatement.parse(
            Envelope(payload_type="text/plain", payload=STATEMENT.payload), withdrawal=BY_NAME.id
        )


# --- one spelling ------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["state", "scope", "severity", "reason", "by", "at", "kept_by", "lifted"])
def test_a_missing_key_is_refused_at_its_place_even_when_it_may_be_null(key):
    with pytest.raises(FormatError, match="missing") as caught:
        Revocations.parse(spoiled(RENDERED, lambda d: d["entries"][1].pop(key)))
    assert caught.value.where == f"revocations.entries[1].{key}"


FIRST = "revocations.entries[0]"
SPOILS = {
    "digest": (lambda d: d["entries"][0]["scope"].update(sha256="A" * 64), f"{FIRST}.scope.sha256"),
    "no scope": (lambda d: d["entries"][0].update(scope={}), f"{FIRST}.scope.name"),
    "two scopes": (lambda d: d["entries"][0]["scope"].update(name="a"), f"{FIRST}.scope.version"),
    "everything": (lambda d: d["entries"][0].update(scope={"name": "*"}), f"{FIRST}.scope.name"),
    "name": (lambda d: d["entries"][0].update(scope={"name": "Web"}), f"{FIRST}.scope.name"),
    "version": (
        lambda d: d["entries"][2]["scope"].update(version="1.00"),
        "revocations.entries[2].scope.version",
    ),
    "null version": (
        lambda d: d["entries"][2]["scope"].update(version=None),
        "revocations.entries[2].scope.version",
    ),
    "publisher": (
        lambda d: d["entries"][3]["scope"].update(publisher="@owner"),
        "revocations.entries[3].scope.publisher",
    ),
    "state": (lambda d: d["entries"][0].update(state="gone"), f"{FIRST}.state"),
    "severity": (lambda d: d["entries"][0].update(severity="awful"), f"{FIRST}.severity"),
    "by": (lambda d: d["entries"][0].update(by=None), f"{FIRST}.by"),
    "time": (lambda d: d["entries"][0].update(at=0), f"{FIRST}.at"),
    "envelope": (
        lambda d: d["entries"][1]["lifted"].update(payload="%"),
        "revocations.entries[1].lifted.payload",
    ),
    "unknown key": (lambda d: d["entries"][0].update(until="2027"), FIRST),
    "unknown key above": (lambda d: d.update(ignore=[]), "revocations"),
    "schema": (lambda d: d.update(schema="x"), "revocations.schema"),
    "entries": (lambda d: d.update(entries={}), "revocations.entries"),
    "no entries": (lambda d: d.pop("entries"), "revocations.entries"),
    "twice": (lambda d: d["entries"].append(d["entries"][0]), "revocations.entries"),
}


@pytest.mark.parametrize(("spoil", "where"), SPOILS.values(), ids=SPOILS)
def test_a_malformed_list_is_refused_at_its_place(spoil, where):
    with pytest.raises(FormatError) as caught:
        Revocations.parse(spoiled(RENDERED, spoil))
    assert caught.value.where == where


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b" " * (MAX_LIST_BYTES + 1)], ids=range(5))
def test_what_is_not_a_list_is_not_an_empty_list(data):
    with pytest.raises(FormatError):
        Revocations.parse(data)


def test_another_spelling_of_the_list_is_refused():
    with pytest.raises(FormatError):
        Revocations.parse(json.dumps(json.loads(RENDERED)).encode())


@pytest.mark.parametrize(
    "text", ["", "clawhub", "clawhub:", ":@owner", " clawhub:@owner", None, "a:" + "b" * 600]
)
def test_a_publisher_has_one_spelling(text):
    with pytest.raises(FormatError):
        parse_publisher(text)


def test_a_list_may_be_as_long_as_is_said() -> None:
    """Longer than what other documents may be: a list that was signed and cannot be read stops every birth."""
    digests = (sha256_of(str(number).encode()) for number in range(6_000))
    entries = tuple(entry(scope=Scope(sha256=digest), reason="x" * 1_000) for digest in digests)
    data = Revocations(entries=entries).render()
    assert 4 << 20 < len(data) < MAX_LIST_BYTES
    assert Revocations.parse(data).entries == entries
