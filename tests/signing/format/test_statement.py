"""in-toto statements: one spelling, about something, and nothing that we would not read."""

import json

import pytest

from signing.errors import FormatError
from signing.format.digest import sha256_of
from signing.format.statement import STATEMENT_TYPE, Statement, Subject
from tests.signing.format.samples import places, spelled, spoiled, walk

STATEMENT = Statement(
    subjects=(
        Subject(name="skills/web-search/1.0/web-search-1.0.tar.gz", sha256=sha256_of(b"a")),
        Subject(name="tree:web-search==1.0", sha256=sha256_of(b"b")),
    ),
    predicate_type="https://example.com/claim/v1",
    predicate={"text": "é", "list": [1, None, True]},
)
RENDERED = STATEMENT.render()


def test_a_printed_statement_is_read_back_unchanged():
    assert Statement.parse(RENDERED) == STATEMENT
    assert Statement.parse(RENDERED).render() == RENDERED


def test_it_is_spelled_as_the_in_toto_specification_spells_it():
    document = json.loads(RENDERED)
    assert document["_type"] == "https://in-toto.io/Statement/v1"
    assert set(document) == {"_type", "subject", "predicateType", "predicate"}
    assert document["subject"][0] == {
        "name": "skills/web-search/1.0/web-search-1.0.tar.gz",
        "digest": {"sha256": sha256_of(b"a")},
    }


@pytest.mark.parametrize("key", ["_type", "subject", "predicateType", "predicate"])
def test_a_missing_key_is_refused_at_its_place(key):
    with pytest.raises(FormatError) as caught:
        Statement.parse(spoiled(RENDERED, lambda document: document.pop(key)), where="review")
    assert caught.value.where == f"review.{key}"


@pytest.mark.parametrize(
    "at",
    [at for at in places(json.loads(RENDERED)) if "predicate" not in at],
    ids=lambda at: spelled("s", at),
)
def test_an_unknown_key_is_refused_at_its_place(at):
    with pytest.raises(FormatError, match="unknown key 'x'") as caught:
        Statement.parse(spoiled(RENDERED, lambda document: walk(document, at).update(x=1)))
    assert caught.value.where == spelled("statement", at)


SPOILS = {
    "v0.1": (lambda d: d.update(_type="https://in-toto.io/Statement/v0.1"), "statement._type"),
    "about nothing": (lambda d: d.update(subject=[]), "statement.subject"),
    "a subject without digest": (lambda d: d["subject"][1].pop("digest"), "statement.subject[1].digest"),
    "a sha1": (
        lambda d: d["subject"][0].update(digest={"sha1": "0" * 40}),
        "statement.subject[0].digest.sha256",
    ),
    "a second algorithm": (
        lambda d: d["subject"][0]["digest"].update(sha512="0"),
        "statement.subject[0].digest",
    ),
    "upper-case digest": (
        lambda d: d["subject"][0]["digest"].update(sha256="A" * 64),
        "statement.subject[0].digest.sha256",
    ),
    "a name that is a number": (lambda d: d["subject"][0].update(name=1), "statement.subject[0].name"),
    "a predicate that is a list": (lambda d: d.update(predicate=[]), "statement.predicate"),
    "a predicate type that is null": (lambda d: d.update(predicateType=None), "statement.predicateType"),
}


@pytest.mark.parametrize(("spoil", "where"), SPOILS.values(), ids=SPOILS)
def test_a_malformed_statement_is_refused_at_its_place(spoil, where):
    with pytest.raises(FormatError) as caught:
        Statement.parse(spoiled(RENDERED, spoil))
    assert caught.value.where == where


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"null", RENDERED + b"\n", json.dumps(json.loads(RENDERED)).encode()]
)
def test_another_spelling_is_refused(data):
    with pytest.raises(FormatError):
        Statement.parse(data)


def test_the_type_is_v1():
    assert STATEMENT_TYPE.endswith("/v1")
