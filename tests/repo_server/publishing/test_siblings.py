"""Compressed siblings: made with their file, never older than it, never of what an author wrote."""

import gzip
import os
from pathlib import Path

import pytest

from repo_server.db.session import transaction
from repo_server.publishing import siblings
from repo_server.publishing.projection import project
from repo_server.publishing.siblings import (
    compressed,
    is_sibling,
    is_whole,
    may_have_sibling,
    replace_with_sibling,
    write_once_with_sibling,
)
from signing.errors import HostError
from tests.support.withdrawing import withdraw
from tests.support.world import World

INDEX = ".well-known/agent-skills/index.json"
DOCUMENT = b"a document of many words " * 100
TAKEN = "0" * 64


@pytest.mark.parametrize(
    ("path", "may"),
    [
        ("metadata/7.snapshot.json", True),
        ("metadata/12.skills-0a.json", True),
        (f"targets/{TAKEN}.revocations.json", True),
        (f"targets/pkg/FreeBSD:14:amd64/latest/{TAKEN}.repo.json", True),
        (INDEX, True),
        (".well-known/skills/index.json", True),
        ("metadata/timestamp.json", False),
        (f"targets/skills/a/1.0/{TAKEN}.a-1.0.tar.gz", False),
        (".well-known/skills/web-search/data.json", False),
        ("metadata/07.snapshot.json", False),
        ("metadata/7.snapshot.json.gz", False),
    ],
)
def test_which_files_have_one(path: str, may: bool) -> None:
    assert may_have_sibling(path) is may
    assert is_sibling(f"{path}.gz") is may


def test_compressing_is_the_same_each_time_and_only_where_it_pays() -> None:
    packed = compressed(DOCUMENT)
    assert packed is not None
    assert packed == compressed(DOCUMENT)
    assert packed[4:8] == b"\0\0\0\0"  # no time
    assert gzip.decompress(packed) == DOCUMENT
    assert compressed(b"x" * 1000) is None
    assert compressed(os.urandom(5000)) is None


def test_the_published_tree_has_them(world: World) -> None:
    found = {path.relative_to(world.public).as_posix() for path in world.public.rglob("*.gz")}
    ours = {path for path in found if is_sibling(path)}
    assert any("snapshot" in path for path in ours)
    for path in ours:
        plain = world.public / path.removesuffix(".gz")
        assert gzip.decompress((world.public / path).read_bytes()) == plain.read_bytes()
    for path in world.public.rglob("*.json"):
        relative = path.relative_to(world.public).as_posix()
        wanted = may_have_sibling(relative) and compressed(path.read_bytes()) is not None
        assert (f"{relative}.gz" in found) is wanted


def test_repair_mends_and_makes_siblings(world: World) -> None:
    (some, other) = sorted(world.public.glob("metadata/*.json.gz"))[:2]
    some.write_bytes(gzip.compress(b"not what was signed"))
    other.unlink()
    with transaction(world.repository.engine) as session:
        assert project(world.repository, session) == 0
        assert project(world.repository, session, repair=True) == 2
        assert project(world.repository, session, repair=True) == 0
    for sibling in (some, other):
        plain = sibling.with_suffix("")
        assert gzip.decompress(sibling.read_bytes()) == plain.read_bytes()


def test_a_name_comes_after_its_sibling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    def noted(path: Path, data: bytes) -> None:
        written.append(path.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    monkeypatch.setattr(siblings, "write_durably", noted)
    write_once_with_sibling(tmp_path, "metadata/7.snapshot.json", DOCUMENT)
    assert written == ["7.snapshot.json.gz", "7.snapshot.json"]


@pytest.mark.parametrize("killed", [0, 1, 2, 3])
def test_killed_while_replacing_no_old_sibling_stands_beside_a_newer_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: int
) -> None:
    replace_with_sibling(tmp_path, INDEX, DOCUMENT)
    steps = iter(range(10))

    class Killed(BaseException):
        pass

    def may_die(step):  # type: ignore[no-untyped-def]
        def run(*arguments):  # type: ignore[no-untyped-def]
            if next(steps) == killed:
                raise Killed
            return step(*arguments)

        return run

    monkeypatch.setattr(siblings, "write_durably", may_die(siblings.write_durably))
    monkeypatch.setattr(siblings, "remove_sibling", may_die(siblings.remove_sibling))
    newer = DOCUMENT + b"and more"
    try:
        replace_with_sibling(tmp_path, INDEX, newer)
    except Killed:
        assert killed < 3
    plain, sibling = tmp_path / INDEX, tmp_path / f"{INDEX}.gz"
    if sibling.exists():
        assert gzip.decompress(sibling.read_bytes()) == plain.read_bytes()
    monkeypatch.undo()
    if not is_whole(tmp_path, INDEX, newer):
        replace_with_sibling(tmp_path, INDEX, newer)
    assert gzip.decompress(sibling.read_bytes()) == plain.read_bytes() == newer


def test_two_indexes_of_one_second_have_two_times(tmp_path: Path) -> None:
    """nginx makes its ETag of whole seconds and sizes."""
    times = []
    for number in range(3):
        replace_with_sibling(tmp_path, INDEX, DOCUMENT + bytes([number]))
        plain, sibling = (tmp_path / INDEX).stat(), (tmp_path / f"{INDEX}.gz").stat()
        assert plain.st_mtime_ns == sibling.st_mtime_ns
        times.append(plain.st_mtime)
    assert len(set(times)) == 3


def test_an_index_that_got_short_loses_its_sibling(tmp_path: Path) -> None:
    replace_with_sibling(tmp_path, INDEX, DOCUMENT)
    replace_with_sibling(tmp_path, INDEX, b"{}")
    assert not (tmp_path / f"{INDEX}.gz").exists()
    assert (tmp_path / INDEX).read_bytes() == b"{}"


def test_a_sibling_that_cannot_be_removed_stops_the_replacement(tmp_path: Path) -> None:
    replace_with_sibling(tmp_path, INDEX, DOCUMENT)
    sibling = tmp_path / f"{INDEX}.gz"
    sibling.unlink()
    sibling.mkdir()
    with pytest.raises(HostError):
        replace_with_sibling(tmp_path, INDEX, b"newer" * 1000)
    assert (tmp_path / INDEX).read_bytes() == DOCUMENT


def test_what_is_withdrawn_leaves_no_compressed_index_of_it(world: World) -> None:
    for number in range(8):  # an index long enough to be compressed
        world.publish_skill(f"filler-{number}==1.0")
    sibling = world.public / f"{INDEX}.gz"
    assert b"web-search" in gzip.decompress(sibling.read_bytes())
    withdraw(world, "web-search==1.0")
    assert b"web-search" not in gzip.decompress(sibling.read_bytes())
    assert gzip.decompress(sibling.read_bytes()) == (world.public / INDEX).read_bytes()
