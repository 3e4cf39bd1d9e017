"""What the top-level targets say of curators who left: one spelling, and keys that are what their ids say."""

from typing import Any

import pytest
from tuf.api.metadata import Delegations, Targets

from signing.errors import FormatError
from signing.format.names import HolderName
from signing.former import FIELD, Former
from signing.keys import HeldKey
from signing.metadata import lint_targets

BOB = HeldKey(holder=HolderName("bob"), public="0b" * 32).to_tuf()
CAROL = HeldKey(holder=HolderName("carol"), public="0c" * 32).to_tuf()


def targets(said: Any) -> Targets:
    return Targets(delegations=Delegations({}, {}), unrecognized_fields={FIELD: said})


def spelled(*keys: Any, lifted: Any = ()) -> dict[str, Any]:
    return {"curators": {key.keyid: key.to_dict() for key in keys}, "lifted": list(lifted)}


def test_what_is_said_is_read() -> None:
    former = Former(keys=(CAROL, BOB), lifted=frozenset({"ab" * 32, "cd" * 32}))  # type: ignore[arg-type]
    read = Former.of(Targets(unrecognized_fields=former.to_fields()))
    assert {key.keyid for key in read.keys} == {BOB.keyid, CAROL.keyid}
    assert read.lifted == former.lifted
    assert read.to_fields() == former.to_fields()


def test_nothing_is_said_in_no_words() -> None:
    assert Former.of(Targets()) == Former()
    assert Former().to_fields() == {}


@pytest.mark.parametrize(
    "said",
    [
        "text",
        [],
        {},
        {"curators": {}},
        {"curators": [], "lifted": []},
        {**spelled(BOB), "more": 1},
        spelled(lifted=["ab" * 32, "ab" * 32]),
        spelled(lifted=["cd" * 32, "ab" * 32]),
        spelled(lifted=["AB" * 32]),
        spelled(lifted=[1]),
        {"curators": {CAROL.keyid: BOB.to_dict()}, "lifted": []},
        {"curators": {BOB.keyid: {**BOB.to_dict(), "scheme": "rsassa-pss-sha256"}}, "lifted": []},
        {"curators": {BOB.keyid: {**BOB.to_dict(), "keyval": {"public": "0B" * 32}}}, "lifted": []},
        {
            "curators": {BOB.keyid: {**BOB.to_dict(), "keyval": {"public": "0b" * 32, "private": "x"}}},
            "lifted": [],
        },
        {"curators": {BOB.keyid: {**BOB.to_dict(), "keyval": []}}, "lifted": []},
        {"curators": {BOB.keyid: {**BOB.to_dict(), "x-skillrepo-holder": "B o b"}}, "lifted": []},
        {"curators": {BOB.keyid: []}, "lifted": []},
    ],
    ids=[
        "text",
        "a-list",
        "empty",
        "half",
        "keys-in-a-list",
        "more",
        "twice",
        "unsorted",
        "upper-case",
        "a-number",
        "another-id",
        "another-scheme",
        "upper-case-key",
        "more-in-the-key",
        "no-key",
        "no-name",
        "key-is-a-list",
    ],
)
def test_another_spelling_is_refused_wherever_targets_are_read(said: Any) -> None:
    with pytest.raises(FormatError):
        Former.of(targets(said))
    with pytest.raises(FormatError):
        lint_targets(targets(said), where="targets")
