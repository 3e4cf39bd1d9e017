"""Names, versions and pins: one spelling in, all others refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version

from signing.errors import FormatError
from signing.format.names import (
    Pin,
    parse_holder_name,
    parse_skill_name,
    parse_tenant_id,
    parse_version,
    version_key,
)

NOT_TEXT = [None, 1, True, b"web", ["web"], {"a": 1}]

BAD_NAMES = {
    "empty": "",
    "newline at the end": "web\n",
    "space at the end": "web ",
    "upper case": "Web",
    "double hyphen": "a--b",
    "hyphen first": "-a",
    "hyphen last": "a-",
    "underscore": "a_b",
    "dot": "a.b",
    "parent folder": "..",
    "slash": "a/b",
    "backslash": "a\\b",
    "NUL": "a\x00",
    "Arabic digit": "web٣",
    "full-width digit": "web１",
    "superscript": "web²",
    "Cyrillic a": "wаb",
    "dotless i": "wıb",
    "Kelvin sign": "\u212a",
    "combining accent": "e\u0301a",
    "zero-width joiner": "we\u200db",
    "65 characters": "a" * 65,
    "lone surrogate": "a\ud800",
    "percent": "a%2e",
}


@pytest.mark.parametrize("text", BAD_NAMES.values(), ids=BAD_NAMES)
@pytest.mark.parametrize("parse", [parse_skill_name, parse_holder_name])
def test_other_spellings_of_a_name_are_refused(parse, text):
    with pytest.raises(FormatError) as caught:
        parse(text, where="files[3].name")
    assert caught.value.where == "files[3].name"


@pytest.mark.parametrize("text", BAD_NAMES.values(), ids=BAD_NAMES)
def test_other_spellings_of_a_tenant_are_refused(text):
    with pytest.raises(FormatError):
        parse_tenant_id(text)


@pytest.mark.parametrize("text", ["1acme", "a-b", "a" * 16, "acme\n", "ACME", "root/../x"])
def test_a_tenant_is_a_letter_and_up_to_fourteen_letters_or_digits(text):
    with pytest.raises(FormatError, match="tenant id"):
        parse_tenant_id(text)


@pytest.mark.parametrize("value", NOT_TEXT, ids=repr)
@pytest.mark.parametrize(
    "parse", [parse_skill_name, parse_version, parse_tenant_id, parse_holder_name, Pin.parse]
)
def test_what_is_not_text_is_refused(parse, value):
    with pytest.raises(FormatError):
        parse(value)


def test_names_that_are_names():
    assert parse_skill_name("web-search") == "web-search"
    assert parse_skill_name("7zip") == "7zip"
    assert parse_skill_name("a" * 64) == "a" * 64
    assert parse_tenant_id("a" + "b" * 14) == "a" + "b" * 14
    assert parse_holder_name("alice-2") == "alice-2"


def test_a_key_holder_begins_with_a_letter():
    with pytest.raises(FormatError):
        parse_holder_name("2alice")


BAD_VERSIONS = {
    "empty": "",
    "leading zero": "01.0",
    "leading zeros": "1.00",
    "v": "v1.0",
    "local part": "1.0+debian1",
    "epoch zero": "0!1.0",
    "newline at the end": "1.0\n",
    "space before": " 1.0",
    "Unicode digit": "١.0",
    "full-width digit": "１.0",
    "upper case": "1.0RC1",
    "alpha spelled out": "1.0alpha1",
    "hyphen": "1.0-1",
    "dot before rc": "1.0.rc1",
    "underscore": "1_0",
    "star": "1.*",
    "range": ">=1",
    "words": "latest",
    "parent folder": "..",
    "slash": "1/0",
    "41 characters": "1" * 41,
    "trailing dot": "1.",
    "no number": "rc1",
}


@pytest.mark.parametrize("text", BAD_VERSIONS.values(), ids=BAD_VERSIONS)
def test_other_spellings_of_a_version_are_refused(text):
    with pytest.raises(FormatError) as caught:
        parse_version(text, where="manifest.version")
    assert caught.value.where == "manifest.version"


def test_the_refusal_names_the_canonical_spelling():
    with pytest.raises(FormatError) as caught:
        parse_version("v1.00")
    assert "1.0" in caught.value.hint


@pytest.mark.parametrize(
    "text", ["1", "1.0", "1.10.2", "2026.11.22", "1.0a1", "1.0rc2", "1.0.post1", "1!2.0"]
)
def test_canonical_versions_are_accepted(text):
    assert parse_version(text) == text


@given(st.text(max_size=12) | st.from_regex(r"\A[vV]?[0-9!.abcdev+ -]{1,10}\Z"))
@settings(max_examples=300, deadline=None)
def test_an_accepted_version_is_what_packaging_prints(text):
    try:
        accepted = parse_version(text)
    except FormatError:
        return
    assert accepted == text == str(Version(text))


def test_versions_sort_by_age_not_by_letters():
    versions = [parse_version(text) for text in ("1.10", "1.9", "1.9rc1")]
    assert sorted(versions, key=version_key) == ["1.9rc1", "1.9", "1.10"]


@pytest.mark.parametrize(
    "text", ["", "a", "a=1", "a==", "==1", "a==1==2", "a===1", "a == 1", "a==1\n", "A==1", "a==1.00", "a>=1"]
)
def test_other_spellings_of_a_pin_are_refused(text):
    with pytest.raises(FormatError):
        Pin.parse(text)


NAMES = st.from_regex(r"\A[a-z0-9]{1,6}(-[a-z0-9]{1,5}){0,2}\Z")
VERSIONS = st.from_regex(r"\A(0|[1-9][0-9]{0,3})(\.(0|[1-9][0-9]{0,3})){0,3}((a|b|rc)[1-9])?\Z")


@given(NAMES, VERSIONS)
@settings(max_examples=150, deadline=None)
def test_a_printed_pin_is_read_back_unchanged(name, version):
    pin = Pin(parse_skill_name(name), parse_version(version))
    assert Pin.parse(str(pin)) == pin


@given(st.tuples(NAMES, VERSIONS), st.tuples(NAMES, VERSIONS))
@settings(max_examples=100, deadline=None)
def test_two_pins_never_share_a_path(one, other):
    first, second = (Pin(parse_skill_name(name), parse_version(version)) for name, version in (one, other))
    paths = {first.bundle_path, first.review_path, first.profile_path}
    assert len(paths) == 3
    if first != second:
        assert not paths & {second.bundle_path, second.review_path, second.profile_path}


def test_a_shown_name_is_short_and_printable():
    with pytest.raises(FormatError) as caught:
        parse_skill_name("\x1b[31m" + "x" * 10_000)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 300
