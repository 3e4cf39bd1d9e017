"""The record chain: changes are noticed; a cut-off tail is noticed only by who kept the head."""

import json
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signing.errors import FormatError
from signing.format.canonical import canonical
from signing.format.chain import GENESIS, BrokenChainError, Head, Record, check_chain, next_record
from signing.format.digest import sha256_of
from tests.signing.format.samples import NOW


def chain(length: int, *, event: str = "admission") -> list[bytes]:
    head, rows = Head(), []
    for number in range(length):
        record = next_record(
            head,
            time=NOW + timedelta(seconds=number),
            event=event,
            facts={"number": number, "tenant": "acme"},
        )
        head, rows = record.head, [*rows, record.render()]
    return rows


ROWS = chain(5)


def test_an_intact_chain_ends_in_its_head():
    assert check_chain(ROWS) == Head(sequence=5, digest=sha256_of(ROWS[-1]))
    assert check_chain([]) == Head(sequence=0, digest=GENESIS)


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.dictionaries(st.text("abc", max_size=3), st.none() | st.integers(-9, 9) | st.text("é\n", max_size=3)),
)
@settings(max_examples=60, deadline=None)
def test_a_printed_record_is_read_back_unchanged(event, facts):
    record = next_record(Head(), time=NOW, event=event, facts=facts)
    assert Record.parse(record.render()) == record


def test_a_record_holds_whole_seconds():
    record = next_record(Head(), time=NOW.replace(microsecond=999), event="x", facts={})
    assert Record.parse(record.render()) == record


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize(
    "change",
    [
        {"event": "refusal"},
        {"time": "2026-11-22T13:00:00Z"},
        {"facts": {"number": 9, "tenant": "acme"}},
        {"facts": {}},
        {"sequence": 9},
        {"previous": "1" * 64},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_record_is_noticed_by_the_next_one_or_by_the_head(at, change):
    rows = [*ROWS]
    rows[at] = canonical({**json.loads(rows[at]), **change})
    if at == 4 and not {"sequence", "previous"} & set(change):  # nobody follows the last record
        assert check_chain(rows) != check_chain(ROWS)
        return
    with pytest.raises(BrokenChainError):
        check_chain(rows)


@pytest.mark.parametrize("at", range(4))
def test_a_dropped_record_is_noticed(at):
    with pytest.raises(BrokenChainError):
        check_chain(ROWS[:at] + ROWS[at + 1 :])


@pytest.mark.parametrize("at", range(5))
def test_an_inserted_record_is_noticed(at):
    head = check_chain(ROWS[:at])
    forged = next_record(head, time=NOW, event="admission", facts={"tenant": "evil"}).render()
    with pytest.raises(BrokenChainError):
        check_chain([*ROWS[:at], forged, *ROWS[at:]])


@pytest.mark.parametrize("at", range(5))
def test_a_repeated_record_is_noticed(at):
    with pytest.raises(BrokenChainError):
        check_chain([*ROWS[: at + 1], *ROWS[at:]])


@given(st.permutations(range(5)))
@settings(max_examples=60, deadline=None)
def test_every_other_order_is_noticed(order):
    rows = [ROWS[index] for index in order]
    if rows == ROWS:
        assert check_chain(rows).sequence == 5
        return
    with pytest.raises(BrokenChainError):
        check_chain(rows)


def test_records_of_another_chain_are_noticed():
    other = chain(5, event="birth")
    for at in range(1, 5):
        with pytest.raises(BrokenChainError):
            check_chain([*ROWS[:at], *other[at:]])


def test_every_flipped_byte_is_noticed():
    vouched = check_chain(ROWS[:2])
    row = ROWS[1]
    for at in range(len(row)):
        mutated = bytearray(row)
        mutated[at] ^= 0x01
        try:
            head = check_chain([ROWS[0], bytes(mutated)])
        except BrokenChainError:
            continue
        assert head != vouched


def test_a_cut_off_tail_is_noticed_only_through_the_head():
    """The chain itself cannot know that more was written: who demands completeness must keep the head."""
    noted = check_chain(ROWS)
    cut = check_chain(ROWS[:3])
    assert cut.sequence == 3
    assert cut != noted


def test_a_chain_rewritten_from_the_start_is_noticed_only_through_the_head():
    noted = check_chain(ROWS)
    assert check_chain(chain(5, event="forged")) != noted


@pytest.mark.parametrize(
    "row", [b"", b"{}", b"[]", b"\xff", b"[" * 100_000], ids=["empty", "{}", "[]", "ff", "deep"]
)
def test_a_damaged_record_is_a_broken_chain(row):
    with pytest.raises(BrokenChainError, match="record 2 is damaged"):
        check_chain([ROWS[0], row])


@pytest.mark.parametrize("key", ["sequence", "previous", "time", "event", "facts"])
def test_a_missing_key_is_refused_at_its_place(key):
    document = json.loads(ROWS[0])
    del document[key]
    with pytest.raises(FormatError) as caught:
        Record.parse(canonical(document))
    assert caught.value.where == f"record.{key}"


def test_the_digests_link_each_record_to_the_one_before():
    for before, after in pairwise(ROWS):
        assert json.loads(after)["previous"] == sha256_of(before)
