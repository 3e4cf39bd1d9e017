"""Strict JSON in, canonical JSON out: what Python's parser lets through, and what another library prints."""

import contextlib
import json
import time
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from signing.errors import FormatError
from signing.format.canonical import MAX_DEPTH, MAX_SAFE_INTEGER, canonical, parse_canonical, parse_json

KEYS = st.text(st.characters(max_codepoint=127), max_size=12)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER) | TEXTS
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
@settings(max_examples=150, deadline=None)
def test_what_is_printed_is_read_back_unchanged(value):
    printed = canonical(value)
    assert parse_json(printed) == value
    assert parse_canonical(printed) == value
    assert canonical(parse_json(printed)) == printed


@given(VALUES)
@settings(max_examples=150, deadline=None)
def test_another_implementation_of_rfc_8785_prints_the_same_bytes(value):
    assert canonical(value) == rfc8785.dumps(value)


@given(VALUES, st.sampled_from([{"indent": 1}, {"ensure_ascii": True}, {"separators": (", ", ":")}]))
@settings(max_examples=100, deadline=None)
def test_other_spellings_of_a_value_are_read_only_by_the_lenient_parser(value, spelling):
    other = json.dumps(value, **{"ensure_ascii": False, **spelling}).encode()
    assert parse_json(other) == value
    if other != canonical(value):
        with pytest.raises(FormatError, match="not canonical"):
            parse_canonical(other)


@given(st.binary(max_size=60))
@settings(max_examples=300, deadline=None)
def test_random_bytes_raise_nothing_but_format_errors(data):
    with contextlib.suppress(FormatError):
        assert parse_canonical(canonical(parse_json(data))) == parse_json(data)


@given(st.text(st.sampled_from('{}[]",:-+0123456789eE.\\u dtruefalsnN\ufeff'), max_size=40))
@settings(max_examples=300, deadline=None)
def test_random_json_like_text_raises_nothing_but_format_errors(text):
    try:
        value = parse_json(text.encode())
    except FormatError:
        return
    assert parse_canonical(canonical(value)) == value


GENEROSITIES = {
    "a key twice": b'{"a":1,"a":1}',
    "a key twice, one escaped": b'{"a":1,"\\u0061":2}',
    "a key twice, deep": b'{"x":[{"a":1,"a":2}]}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "UTF-16 without mark": "{}".encode("utf-16-le"),
    "latin-1": b'"\xe9"',
    "overlong UTF-8": b'"\xc0\xaf"',
    "a surrogate in UTF-8": b'"\xed\xa0\x80"',
    "NaN": b"NaN",
    "Infinity": b"[Infinity]",
    "-Infinity": b'{"a":-Infinity}',
    "a float": b"1.5",
    "a float that is whole": b"1.0",
    "an exponent": b"1e2",
    "a huge exponent": b"1e400",
    "minus zero": b"-0",
    "minus zero, deep": b"[[-0]]",
    "2**53": b"9007199254740992",
    "-(2**53)": b"-9007199254740992",
    "five thousand digits": b"9" * 5_000,
    "a million digits": b"9" * 1_000_000,
    "a lone high surrogate": b'"\\ud800"',
    "a lone low surrogate as a key": b'{"\\udc00":1}',
    "surrogates the wrong way round": b'"\\udc00\\ud800"',
    "a key beyond ASCII": '{"é":1}'.encode(),
    "a homoglyph key": '{"nаme":1}'.encode(),
    "trailing garbage": b"{}x",
    "two documents": b"{}{}",
    "trailing NUL": b"{}\x00",
    "a comment": b"{}//",
    "a trailing comma": b"[1,]",
    "single quotes": b"{'a':1}",
    "a raw newline in a string": b'"\n"',
    "a raw NUL in a string": b'"\x00"',
    "nothing": b"",
    "only space": b" \n",
    "no-break space": "\u00a01".encode(),
    "plus": b"+1",
    "leading zeros": b"01",
    "underscores": b"1_000",
    "hexadecimal": b"0x10",
    "other digits": "٣".encode(),
}


@pytest.mark.parametrize("data", GENEROSITIES.values(), ids=GENEROSITIES)
def test_generosities_of_python_are_refused(data):
    with pytest.raises(FormatError) as caught:
        parse_json(data, where="offer")
    assert caught.value.where.startswith("offer")


@pytest.mark.parametrize("data", GENEROSITIES.values(), ids=GENEROSITIES)
def test_generosities_of_python_are_refused_canonically_too(data):
    with pytest.raises(FormatError):
        parse_canonical(data)


OTHER_SPELLINGS = {
    "space": b'{"a": 1}',
    "newline at the end": b"{}\n",
    "keys unsorted": b'{"b":1,"a":2}',
    "escaped slash": b'"\\/"',
    "escape of a printable": b'"\\u0041"',
    "upper-case escape": b'"\\u001F"',
    "long escape of newline": b'"\\u000a"',
    "escape of what UTF-8 can say": b'"\\u00e9"',
    "escaped pair": b'"\\ud83d\\ude00"',
}


@pytest.mark.parametrize("data", OTHER_SPELLINGS.values(), ids=OTHER_SPELLINGS)
def test_a_second_spelling_of_a_value_is_refused(data):
    parse_json(data)
    with pytest.raises(FormatError, match="not canonical"):
        parse_canonical(data)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
def test_a_hundred_thousand_brackets_are_a_format_error(opening):
    with pytest.raises(FormatError):
        parse_json(opening * 100_000)


@pytest.mark.parametrize("depth", [MAX_DEPTH + 2, 200, 900, 5_000])
def test_deep_nesting_is_a_format_error(depth):
    with pytest.raises(FormatError):
        parse_json(b"[" * depth + b"]" * depth)


def test_the_deepest_allowed_nesting_is_read_and_printed():
    data = b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1)
    assert canonical(parse_canonical(data)) == data


def test_the_largest_integers_are_kept_exactly():
    for number in (MAX_SAFE_INTEGER, -MAX_SAFE_INTEGER):
        assert parse_canonical(str(number).encode()) == number


def test_many_digits_cost_no_time():
    started = time.perf_counter()
    with pytest.raises(FormatError):
        parse_json(b"9" * (3 << 20))
    assert time.perf_counter() - started < 2


def test_more_than_the_given_size_is_refused_unread():
    with pytest.raises(FormatError, match="larger than 10"):
        parse_json(b"[" * 11, max_bytes=10)


@pytest.mark.parametrize(
    "value",
    [1.0, float("nan"), (1,), {1: "a"}, {"é": 1}, {None: 1}, b"x", {"a"}, 2**53, "\ud800", {"a": Ellipsis}],
    ids=repr,
)
def test_what_has_no_spelling_is_not_printed(value):
    with pytest.raises(FormatError):
        canonical(value)


def test_a_value_that_holds_itself_is_not_printed():
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(FormatError, match="nested"):
        canonical(loop)


def test_true_is_not_one():
    assert canonical([True, 1]) == b"[true,1]"
