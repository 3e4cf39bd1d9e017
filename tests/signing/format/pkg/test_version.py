import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signing.format.pkg.version import VersionKey, compare_versions, newest
from tests.support.pkg_archives import DATA

SIGNS = {"<": -1, "=": 0, ">": 1}
VECTORS = [
    tuple(line.split("\t"))
    for line in Path(DATA / "versions" / "version-cmp.tsv").read_text().splitlines()
    if line
]
TEXTS = st.text(alphabet="0123456789.,_+-*~abplrcesnh", max_size=12)


@pytest.mark.parametrize(("left", "sign", "right"), VECTORS, ids=[" ".join(vector) for vector in VECTORS])
def test_versions_compare_as_real_pkg_compared_them(left: str, sign: str, right: str) -> None:
    assert compare_versions(left, right) == SIGNS[sign]
    assert compare_versions(right, left) == -SIGNS[sign]


def test_there_are_vectors() -> None:
    assert len(VECTORS) == 48


def test_the_ladder_of_stages() -> None:
    ladder = [
        "1.0.pl1",
        "1.0.alpha1",
        "1.0.beta1",
        "1.0.pre1",
        "1.0.rc1",
        "1.0.snap1",
        "1.0",
        "1.0_1",
        "1.0a",
        "1.0,1",
    ]
    for older, newer in itertools.pairwise(ladder):
        assert compare_versions(older, newer) == -1, (older, newer)


@given(TEXTS, TEXTS)
def test_comparison_is_antisymmetric(one: str, other: str) -> None:
    assert compare_versions(one, other) == -compare_versions(other, one)


@given(TEXTS, TEXTS, TEXTS)
def test_comparison_is_transitive(one: str, two: str, three: str) -> None:
    low, middle, high = sorted((one, two, three), key=VersionKey.of)
    assert compare_versions(low, middle) <= 0
    assert compare_versions(middle, high) <= 0
    assert compare_versions(low, high) <= 0


@given(TEXTS, TEXTS)
def test_equal_versions_are_one_key_in_sets(one: str, other: str) -> None:
    if compare_versions(one, other) == 0:
        assert VersionKey.of(one) == VersionKey.of(other)
        assert hash(VersionKey.of(one)) == hash(VersionKey.of(other))


def test_a_thousand_digits_saturate_and_cost_nothing() -> None:
    assert compare_versions("9" * 5000, "9" * 4000) == 0
    assert compare_versions("1." * 5000, "1." * 5000 + "1") == -1
    assert compare_versions("0" * 5000 + "1", "1") == 0


def test_the_newest_is_taken_and_of_equals_the_first() -> None:
    assert newest(["1.9", "1.10", "1.10.0"], version=lambda text: text) == "1.10"
