"""Which path belongs to whom: one table, ASCII rules, no pattern matching."""

import fnmatch
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signing.errors import FormatError
from signing.format.names import REVOCATIONS_PATH, Pin, TargetPath
from signing.roles import (
    DELEGATED_PATHS,
    bits_for,
    delegated_role_of,
    hashed_path,
    is_bin,
    is_pkg,
    life_of,
    paths_of,
)

PINS = [Pin.parse(text) for text in ("web-search==1.2.0", "a==1!2.0rc1", "7zip==2026.11.22.post1")]


@pytest.mark.parametrize("pin", PINS, ids=str)
def test_every_path_of_a_release_has_its_role(pin):
    assert delegated_role_of(pin.bundle_path) == "skills"
    assert delegated_role_of(pin.review_path) == "skills"
    assert delegated_role_of(pin.profile_path) == "profiles"
    assert delegated_role_of(REVOCATIONS_PATH) == "revocations"
    assert delegated_role_of("pkg/vuln.xml") == "advisories"


def test_every_package_repository_has_a_role_of_its_own():
    path = "pkg/FreeBSD:15:aarch64/quarterly-2026/repo.json"
    assert delegated_role_of(path) == "pkg-FreeBSD_15_aarch64-quarterly-2026"
    assert paths_of(delegated_role_of(path)) == [path]
    assert is_pkg(delegated_role_of(path))


@pytest.mark.parametrize("pin", PINS, ids=str)
def test_what_we_delegate_is_matched_by_the_patterns_that_other_clients_read(pin):
    for path in (pin.bundle_path, pin.review_path, pin.profile_path, REVOCATIONS_PATH):
        patterns = DELEGATED_PATHS[delegated_role_of(path)]
        assert any(
            len(path.split("/")) == len(pattern.split("/")) and fnmatch.fnmatchcase(path, pattern)
            for pattern in patterns
        )


NOBODYS = {
    "empty": "",
    "absolute": "/skills/a/1/x",
    "parent as version": "skills/a/../x",
    "parent as name": "skills/../1/x",
    "parent as file": "skills/a/1/..",
    "here": "skills/a/./x",
    "hidden file": "skills/a/1/.x",
    "parent among profiles": "profiles/../x.json",
    "dots among profiles": "profiles/a/...json",
    "no version among profiles": "profiles/a/.json",
    "too few parts": "skills/a/x.tar.gz",
    "too many parts": "skills/a/1/b/x",
    "upper case": "Skills/a/1/x",
    "upper case name": "skills/A/1/x",
    "upper case file": "skills/a/1/X",
    "newline at the end": "skills/a/1/x\n",
    "newline after revocations": "revocations.json\n",
    "backslash": "skills\\a\\1\\x",
    "double slash": "skills/a//x",
    "slash at the end": "skills/a/1/",
    "percent": "skills/a/1/%2e%2e",
    "star": "skills/*/*/*",
    "Unicode digit": "skills/a/١/x",
    "homoglyph": "skills/а/1/x",
    "NUL": "skills/a/1/x\x00",
    "revocations elsewhere": "skills/revocations.json",
    "metadata": "root.json",
    "another file of a package repository": "pkg/FreeBSD:14:amd64/latest/data.pkg",
    "a package index without a channel": "pkg/FreeBSD:14:amd64/repo.json",
    "a package index of any ABI": "pkg/FreeBSD:*:amd64/latest/repo.json",
    "a package index in upper case": "pkg/FreeBSD:14:AMD64/latest/repo.json",
    "a package index elsewhere": "pkg/FreeBSD:14:amd64/../repo.json",
    "advisories elsewhere": "pkg/FreeBSD:14:amd64/vuln.xml",
    "a bundle among profiles": "profiles/a/1.tar.gz",
    "a prefix": "skillsx/a/1/x",
    "name begins with a hyphen": "skills/-a/1/x",
    "version begins with a letter": "skills/a/v1/x",
}


@pytest.mark.parametrize("path", NOBODYS.values(), ids=NOBODYS)
def test_a_path_that_nobody_may_name_is_refused(path):
    with pytest.raises(FormatError) as caught:
        delegated_role_of(path)
    assert caught.value.where == "target path"


@given(st.text(max_size=30) | st.from_regex(r"\A(skills|profiles)/[a-z./-]{1,5}/[0-9./]{1,5}/?[a-z.]{0,6}\Z"))
@settings(max_examples=200, deadline=None)
def test_a_path_with_a_role_is_relative_and_clean(path):
    try:
        delegated_role_of(path)
    except FormatError:
        return
    assert path.isascii()
    assert not path.startswith("/")
    assert not {"", ".", ".."} & set(path.split("/"))


@pytest.mark.parametrize(("bins", "bits"), [(2, 1), (4, 2), (64, 6), (256, 8), (16_384, 14)])
def test_bins_are_a_power_of_two(bins, bits):
    assert bits_for(bins) == bits


@pytest.mark.parametrize("bins", [-64, -1, 0, 1, 3, 6, 63, 65, 100, 32_768, 1 << 40])
def test_another_number_of_bins_is_refused(bins):
    with pytest.raises(FormatError):
        bits_for(bins)


def test_every_role_is_renewed_before_it_expires():
    for role in (
        "root",
        "targets",
        "snapshot",
        "timestamp",
        "skills",
        "skills-00",
        "skills-3f",
        "profiles",
        "revocations",
        "advisories",
        "pkg-FreeBSD_14_amd64-latest",
    ):
        life = life_of(role)
        assert timedelta(0) < life.renew < life.expiry


def test_a_frozen_repository_is_noticed_within_a_day_and_a_frozen_revocation_within_a_month():
    assert life_of("timestamp").expiry <= timedelta(days=1)
    assert life_of("revocations").expiry <= timedelta(days=30)


def test_bins_live_as_long_as_skills():
    assert is_bin("skills-0a")
    assert not is_bin("skills")
    assert life_of("skills-0a") == life_of("skills")


def test_the_hash_stands_before_the_file_name():
    assert hashed_path(REVOCATIONS_PATH, "ab") == "ab.revocations.json"
    assert hashed_path(TargetPath("skills/a/1/a-1.tar.gz"), "ab") == "skills/a/1/ab.a-1.tar.gz"
