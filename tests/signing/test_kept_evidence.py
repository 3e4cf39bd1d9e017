"""Evidence about what was kept: made without reading it, and no other byte ever leaves it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from signing import package_evidence
from signing.errors import DigestMismatchError, HostError, NotFoundError
from signing.format.digest import sha256_of
from signing.package_evidence import VerifiedPackage, verify_kept_package
from tests.support.packages import index_of, large, listed, package_set

DATA = large()
PACKAGES = package_set(index_of([listed(DATA)]))
PIECE = 1 << 20


@pytest.fixture(params=["held", "read twice"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "read twice":
        monkeypatch.setattr(package_evidence, "_HELD", 0)
    return str(request.param)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "large.pkg"
    path.write_bytes(DATA)
    return path


def kept(file: Path, told: list[str]) -> VerifiedPackage:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        return verify_kept_package(
            descriptor, sha256=sha256_of(DATA), packages=PACKAGES, told=lambda: told.append("other")
        )
    finally:
        os.close(descriptor)


def flip(file: Path, at: int) -> None:
    with file.open("r+b") as stream:
        stream.seek(at)
        stream.write(bytes([DATA[at] ^ 1]))


@pytest.mark.usefixtures("way")
def test_what_it_holds_comes_out_as_often_as_it_is_asked_for(file: Path) -> None:
    told: list[str] = []
    with kept(file, told) as package:
        assert b"".join(package.stream()) == DATA
        assert b"".join(package.stream()) == DATA
    assert told == []


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("at", [0, PIECE - 1, PIECE, len(DATA) - 1])
def test_of_another_file_nothing_comes_out_and_it_is_told(file: Path, at: int) -> None:
    told: list[str] = []
    with kept(file, told) as package:
        flip(file, at)
        out: list[bytes] = []
        with pytest.raises(DigestMismatchError):
            out.extend(package.stream())
        assert out == []
    assert told == ["other"]


def test_what_changes_while_it_comes_out(file: Path, way: str) -> None:
    told: list[str] = []
    with kept(file, told) as package:
        stream = package.stream()
        first = next(stream)
        flip(file, 2 * PIECE)
        if way == "held":
            assert first + b"".join(stream) == DATA  # it was read before
            return
        rest: list[bytes] = []
        with pytest.raises(DigestMismatchError):
            rest.extend(stream)
        assert first + b"".join(rest) == DATA[: 2 * PIECE]
    assert told == ["other"]


@pytest.mark.usefixtures("way")
def test_a_file_that_is_cut_while_it_comes_out(file: Path) -> None:
    with kept(file, []) as package:
        os.truncate(file, PIECE)
        with pytest.raises(DigestMismatchError):
            list(package.stream())


def test_another_size_is_seen_at_once(file: Path) -> None:
    os.truncate(file, len(DATA) - 1)
    with pytest.raises(DigestMismatchError):
        kept(file, [])


def test_what_the_set_does_not_name(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        with pytest.raises(NotFoundError):
            verify_kept_package(descriptor, sha256=sha256_of(b"x"), packages=PACKAGES)
    finally:
        os.close(descriptor)


@pytest.mark.usefixtures("way")
def test_a_closed_one_gives_nothing(file: Path) -> None:
    package = kept(file, [])
    package.close()
    stream: Iterator[bytes] = package.stream()
    with pytest.raises(HostError):
        next(stream)
