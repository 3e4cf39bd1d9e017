import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signing.errors import CouldNotVerifyError, FormatError
from signing.format.pkg.sums import Hasher, Sum, SumKind, blake2_sum, parse_zbase32, zbase32
from tests.support.pkg_archives import repository

PACKAGE = (repository("fp-rsa") / "All" / "demo-base-1.0.0.pkg").read_bytes()
# As real pkg 2.8.4 wrote it into the catalogue of that fixture.
WRITTEN = "2$6uyuqndwtwtdqkanxc7rh6pqgesxphz5a1tzx97jcuxdszgk4c83k9ahmwgopfguofefcdctcbac4n1pmtxwsydib9nmmuqm55tta8y"


def all_forms(data: bytes) -> list[str]:
    sha256, blake2b, blake2s = (hashlib.new(name, data) for name in ("sha256", "blake2b", "blake2s"))
    return [
        sha256.hexdigest(),
        f"0${zbase32(sha256.digest())}",
        f"1${sha256.hexdigest()}",
        f"2${zbase32(blake2b.digest())}",
        f"3${sha256.digest().decode('utf-8', 'surrogateescape')}",
        f"4${blake2b.digest().decode('utf-8', 'surrogateescape')}",
        f"5${zbase32(blake2s.digest())}",
        f"6${blake2s.digest().decode('utf-8', 'surrogateescape')}",
    ]


def test_the_sum_that_pkg_wrote_is_that_of_the_package() -> None:
    digests = Hasher.of(PACKAGE)
    assert digests.pkg_sum == WRITTEN == blake2_sum(hashlib.blake2b(PACKAGE).digest())
    assert Sum.parse(WRITTEN).matches(digests)
    assert not Sum.parse(WRITTEN).matches(Hasher.of(PACKAGE + b"x"))


@pytest.mark.parametrize("place", range(8))
def test_every_form_is_read_written_and_compared(place: int) -> None:
    found = Sum.parse(all_forms(b"abc")[place])
    assert str(found) == all_forms(b"abc")[place]
    assert found.matches(Hasher.of(b"abc", blake2s=True))
    assert not found.matches(Hasher.of(b"abd", blake2s=True))


def test_blake2s_is_made_on_demand_only_and_its_absence_is_no_match() -> None:
    found = Sum.parse(all_forms(b"abc")[6])
    assert found.needs_blake2s
    assert not Sum.parse(WRITTEN).needs_blake2s
    with pytest.raises(CouldNotVerifyError):
        found.matches(Hasher.of(b"abc"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a" * 63,
        "A" * 64,
        "a" * 64 + "\n",
        "1$" + "A" * 64,
        "1$" + "a" * 63,
        "7$" + "a" * 64,
        "2$",
        "$" + "y" * 103,
        "٢$" + "y" * 103,
        "2$" + "y" * 102,
        "2$" + "y" * 104,
        "2$" + "l" * 103,  # not of the alphabet
        "2$" + "y" * 102 + "9",  # bits beyond 512
        "0$" + "y" * 51 + "9",
        "3$" + "a" * 31,
        "4$" + "é" * 64,
        "-",
    ],
)
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(FormatError):
        Sum.parse(text)


@pytest.mark.parametrize("value", [None, 3, b"a" * 64, ["a" * 64]])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(FormatError):
        Sum.parse(value)


@given(st.binary(max_size=70))
def test_zbase32_comes_back(data: bytes) -> None:
    assert parse_zbase32(zbase32(data), len(data)) == data if data else zbase32(data) == ""


@given(st.text(alphabet="ybndrfg8ejkmcpqxot1uwisza345h769", min_size=52, max_size=52))
def test_what_is_read_has_one_spelling(text: str) -> None:
    try:
        data = parse_zbase32(text, 32)
    except FormatError:
        return
    assert zbase32(data) == text


def test_pieces_hash_as_the_whole() -> None:
    hasher = Hasher()
    for place in range(0, len(PACKAGE), 7):
        hasher.update(PACKAGE[place : place + 7])
    assert hasher.digests() == Hasher.of(PACKAGE)


def test_the_numbers_are_those_of_pkg() -> None:
    assert [kind.algorithm for kind in SumKind] == [
        "sha256", "sha256", "blake2b", "sha256", "blake2b", "blake2s", "blake2s",
    ]  # fmt: skip
