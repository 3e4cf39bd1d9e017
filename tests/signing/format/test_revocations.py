"""The list of what may run nowhere: what an entry covers, and one spelling."""

import json
from typing import Any

import pytest

from signing.errors import FormatError
from signing.format.digest import sha256_of
from signing.format.names import HolderName, Pin, parse_skill_name, parse_version
from signing.format.revocations import Revocation, Revocations
from tests.signing.format.samples import NOW, spoiled

TREE, OTHER = sha256_of(b"tree"), sha256_of(b"other")
PIN = Pin.parse("web-search==1.2.0")


def entry(**fields: Any) -> Revocation:
    return Revocation(
        **{
            "tree_sha256": None,
            "name": None,
            "version": None,
            "reason": "leaks the query",
            "by": HolderName("alice"),
            "revoked_at": NOW,
            **fields,
        }
    )


NAME, VERSION = parse_skill_name("web-search"), parse_version("1.2.0")
BY_TREE = entry(tree_sha256=TREE)
BY_NAME = entry(name=NAME)
BY_VERSION = entry(name=NAME, version=VERSION)
RENDERED = Revocations(entries=(BY_TREE, BY_NAME, BY_VERSION)).render()


@pytest.mark.parametrize(
    "given",
    [
        Revocations(),
        Revocations(entries=(BY_TREE, BY_NAME, BY_VERSION)),
        Revocations(entries=(BY_TREE, BY_TREE)),
    ],
    ids=["empty", "each kind", "twice"],
)
def test_a_printed_list_is_read_back_unchanged(given):
    assert Revocations.parse(given.render()) == given


@pytest.mark.parametrize(
    ("given", "pin", "tree", "covered"),
    [
        (BY_TREE, "web-search==1.2.0", TREE, True),
        (BY_TREE, "renamed==9", TREE, True),
        (BY_TREE, "web-search==1.2.0", OTHER, False),
        (BY_NAME, "web-search==1.2.0", OTHER, True),
        (BY_NAME, "web-search==99", OTHER, True),
        (BY_NAME, "web-searcher==1.2.0", TREE, False),
        (BY_VERSION, "web-search==1.2.0", OTHER, True),
        (BY_VERSION, "web-search==1.2.1", TREE, False),
        (BY_VERSION, "web==1.2.0", TREE, False),
    ],
)
def test_what_an_entry_covers(given, pin, tree, covered):
    assert given.covers(Pin.parse(pin), tree) is covered
    assert (Revocations(entries=(given,)).find(Pin.parse(pin), tree) is given) is covered


def test_the_first_entry_that_covers_is_the_reason_given():
    assert Revocations(entries=(BY_VERSION, BY_NAME)).find(PIN, OTHER) is BY_VERSION
    assert Revocations().find(PIN, TREE) is None


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"version": VERSION},
        {"tree_sha256": TREE, "name": NAME},
        {"tree_sha256": TREE, "version": VERSION},
        {"tree_sha256": TREE, "name": NAME, "version": VERSION},
    ],
    ids=["nothing", "a version alone", "tree and name", "tree and version", "all"],
)
def test_an_entry_with_no_or_two_meanings_is_refused(fields):
    with pytest.raises(FormatError):
        entry(**fields)


@pytest.mark.parametrize("key", ["tree_sha256", "name", "version", "reason", "by", "revoked_at"])
def test_a_missing_key_is_refused_at_its_place_even_when_it_may_be_null(key):
    with pytest.raises(FormatError, match="missing") as caught:
        Revocations.parse(spoiled(RENDERED, lambda d: d["entries"][1].pop(key)))
    assert caught.value.where == f"revocations.entries[1].{key}"


SPOILS = {
    "tree": (lambda d: d["entries"][0].update(tree_sha256="A" * 64), "revocations.entries[0].tree_sha256"),
    "name": (lambda d: d["entries"][1].update(name="Web"), "revocations.entries[1].name"),
    "version": (lambda d: d["entries"][2].update(version="1.00"), "revocations.entries[2].version"),
    "by": (lambda d: d["entries"][2].update(by=None), "revocations.entries[2].by"),
    "time": (lambda d: d["entries"][2].update(revoked_at=0), "revocations.entries[2].revoked_at"),
    "unknown key": (lambda d: d["entries"][0].update(until="2027"), "revocations.entries[0]"),
    "unknown key above": (lambda d: d.update(ignore=[]), "revocations"),
    "schema": (lambda d: d.update(schema="x"), "revocations.schema"),
    "entries": (lambda d: d.update(entries={}), "revocations.entries"),
    "no entries": (lambda d: d.pop("entries"), "revocations.entries"),
}


@pytest.mark.parametrize(("spoil", "where"), SPOILS.values(), ids=SPOILS)
def test_a_malformed_list_is_refused_at_its_place(spoil, where):
    with pytest.raises(FormatError) as caught:
        Revocations.parse(spoiled(RENDERED, spoil))
    assert caught.value.where == where


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null"])
def test_an_empty_file_is_not_an_empty_list(data):
    with pytest.raises(FormatError):
        Revocations.parse(data)


def test_another_spelling_of_the_list_is_refused():
    with pytest.raises(FormatError):
        Revocations.parse(json.dumps(json.loads(RENDERED)).encode())
