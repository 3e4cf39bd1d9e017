"""Digests have one spelling, and bytes that do not fit are refused by name."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signing.errors import DigestMismatchError, FormatError
from signing.format.digest import check_sha256, parse_sha256, sha256_of

GOOD = "0123456789abcdef" * 4

BAD = {
    "upper case": GOOD.upper(),
    "newline at the end": GOOD + "\n",
    "short": GOOD[:-1],
    "long": GOOD + "0",
    "prefix": f"sha256:{GOOD}",
    "0x": "0x" + GOOD[2:],
    "spaces": GOOD[:30] + "  " + GOOD[32:],
    "Arabic digits": "٣" * 64,
    "full-width digits": "１" * 64,
    "not hexadecimal": "g" * 64,
    "empty": "",
    "sha512": "0" * 128,
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_other_spellings_of_a_digest_are_refused(text):
    with pytest.raises(FormatError) as caught:
        parse_sha256(text, where="files[0].sha256")
    assert caught.value.where == "files[0].sha256"


@pytest.mark.parametrize(
    "value", [None, 0, int("1" * 64), b"0" * 64, [GOOD]], ids=["None", "0", "int", "bytes", "list"]
)
def test_what_is_not_text_is_not_a_digest(value):
    with pytest.raises(FormatError):
        parse_sha256(value)


@given(st.binary(max_size=100))
@settings(max_examples=50, deadline=None)
def test_a_digest_is_sha256_and_is_read_back_unchanged(data):
    assert sha256_of(data) == hashlib.sha256(data).hexdigest()
    assert parse_sha256(sha256_of(data)) == sha256_of(data)
    check_sha256(data, sha256_of(data), where="x")


def test_other_bytes_are_refused_with_both_digests():
    with pytest.raises(DigestMismatchError) as caught:
        check_sha256(b"other", sha256_of(b"vouched"), where="SKILL.md")
    assert caught.value.where == "SKILL.md"
    assert caught.value.facts == {"expected": sha256_of(b"vouched"), "found": sha256_of(b"other")}
