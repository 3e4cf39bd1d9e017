"""Stamps: while all of them stand, nothing was changed; and a record that may be wrong is no record."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from repo_client import stamps as module
from repo_client.handles import Directory
from repo_client.stamps import SETTLED_NS, Kept, StampBook, Stamps, stamps_of
from signing.format.digest import sha256_of

ITEM, OTHER_ITEM = sha256_of(b"item"), sha256_of(b"other")
NAMES = ["MANIFEST.json", "SKILL.md", "scripts", "scripts/run.sh"]
DAY_NS = 86_400 * 10**9


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "scripts").mkdir(parents=True)
    for name in ("MANIFEST.json", "SKILL.md", "scripts/run.sh"):
        (tree / name).write_bytes(name.encode())
        (tree / name).chmod(0o444)
    return tree


@pytest.fixture
def book(tmp_path: Path) -> StampBook:
    return StampBook(tmp_path / "book")


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a day later than the files were written."""
    moment = time.time_ns() + DAY_NS
    monkeypatch.setattr(module.time, "time_ns", lambda: moment)


def look(tree: Path) -> Stamps:
    with Directory.open(tree) as folder:
        return stamps_of(folder, NAMES)


@pytest.mark.usefixtures("later")
def test_what_was_not_touched_is_the_same(tree: Path, book: StampBook, tmp_path: Path) -> None:
    assert book.compare(ITEM, look(tree)) is Kept.NOTHING
    assert book.keep(ITEM, look(tree))
    assert book.compare(ITEM, look(tree)) is Kept.SAME
    (tree / "SKILL.md").read_bytes()  # being read is no change
    assert book.compare(ITEM, look(tree)) is Kept.SAME
    assert (tmp_path / "book").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "book" / ITEM).stat().st_mode & 0o777 == 0o400


def written_in_place(tree: Path) -> None:
    """Other bytes of the same size in the same file, and its times of before."""
    path = tree / "SKILL.md"
    before = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as stream:
        stream.write(b"skill.MD")
    path.chmod(0o444)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_size == before.st_size


def replaced(tree: Path) -> None:
    """Another file with the same bytes and times."""
    path = tree / "SKILL.md"
    before = path.stat()
    (tree / "new").write_bytes(path.read_bytes())
    (tree / "new").chmod(0o444)
    os.utime(tree / "new", ns=(before.st_atime_ns, before.st_mtime_ns))
    (tree / "new").rename(path)


def linked(tree: Path) -> None:
    (tree / "SKILL.md").rename(tree.parent / "away")
    (tree / "SKILL.md").symlink_to(tree.parent / "away")


def folder_linked(tree: Path) -> None:
    """Below the link everything is the very same file."""
    (tree / "scripts").rename(tree.parent / "scripts")
    (tree / "scripts").symlink_to(tree.parent / "scripts")


def named_twice(tree: Path) -> None:
    os.link(tree / "SKILL.md", tree.parent / "second")


def added(tree: Path) -> None:
    (tree / "scripts/evil.sh").write_bytes(b"")


def moved(tree: Path) -> None:
    (tree / "scripts/run.sh").rename(tree / "scripts/x")
    (tree / "scripts/x").rename(tree / "scripts/run.sh")


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize(
    "change",
    [
        written_in_place,
        replaced,
        linked,
        folder_linked,
        named_twice,
        added,
        moved,
        lambda tree: (tree / "SKILL.md").chmod(0o555),
        lambda tree: os.utime(tree / "SKILL.md"),
        lambda tree: (tree / "SKILL.md").chmod(0o444),
    ],
    ids=[
        "written in place",
        "replaced",
        "linked",
        "folder linked",
        "named twice",
        "added",
        "moved",
        "mode",
        "touched",
        "the same mode",
    ],
)
def test_whatever_is_done_to_it_shows(tree: Path, book: StampBook, change: Callable[[Path], object]) -> None:
    assert book.keep(ITEM, look(tree))
    time.sleep(
        0.02
    )  # the kernel's clock for files has coarse ticks; what is kept is two seconds old, in real life
    change(tree)
    assert book.compare(ITEM, look(tree)) is Kept.OTHER


@pytest.mark.usefixtures("later")
def test_a_record_of_somebody_else_counts_for_nothing(tree: Path, book: StampBook, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    assert book.keep(ITEM, look(tree))
    os.chown(tmp_path / "book" / ITEM, 65534, 65534)
    assert book.compare(ITEM, look(tree)) is Kept.NOTHING
    assert book.keep(ITEM, look(tree))  # ours takes its place
    assert book.compare(ITEM, look(tree)) is Kept.SAME
    os.chown(tmp_path / "book", 65534, 65534)  # whoever owns the folder can put any record there
    assert book.compare(ITEM, look(tree)) is Kept.NOTHING
    assert not book.keep(ITEM, look(tree))


def spoil_mode(record: Path) -> None:
    record.chmod(0o440)


def spoil_folder_mode(record: Path) -> None:
    record.parent.chmod(0o770)


def spoil_second_name(record: Path) -> None:
    os.link(record, record.parent.parent / "second")


def spoil_link(record: Path) -> None:
    record.rename(record.parent.parent / "away")
    record.symlink_to(record.parent.parent / "away")


def rewrite(record: Path, data: bytes) -> None:
    record.chmod(0o600)
    record.write_bytes(data)
    record.chmod(0o400)


def spoil_of_another_item(record: Path) -> None:
    rewrite(record, record.read_bytes().replace(ITEM.encode(), OTHER_ITEM.encode()))


def spoil_future(record: Path) -> None:
    head, _, rest = record.read_bytes().partition(b"\n")
    words = head.split(b" ")
    rewrite(record, b" ".join([*words[:2], b"%d" % (int(words[2]) + 10 * DAY_NS)]) + b"\n" + rest)


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize(
    "spoil",
    [
        spoil_mode,
        spoil_folder_mode,
        spoil_second_name,
        spoil_link,
        spoil_of_another_item,
        spoil_future,
        Path.unlink,
        lambda record: rewrite(record, b""),
        lambda record: rewrite(record, record.read_bytes()[:-1]),
        lambda record: rewrite(record, b"\xff" + record.read_bytes()),
        lambda record: rewrite(record, record.read_bytes().replace(b"v1", b"v2")),
    ],
    ids=[
        "others read it",
        "others write beside it",
        "second name",
        "link",
        "another item",
        "from the future",
        "missing",
        "empty",
        "cut off",
        "no text",
        "another schema",
    ],
)
def test_a_record_that_may_be_wrong_is_none(
    tree: Path, book: StampBook, tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    assert book.keep(ITEM, look(tree))
    spoil(tmp_path / "book" / ITEM)
    assert book.compare(ITEM, look(tree)) is Kept.NOTHING


def test_a_clock_that_was_moved_back_is_noticed(
    tree: Path, book: StampBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time_ns()
    monkeypatch.setattr(module.time, "time_ns", lambda: now + DAY_NS)
    assert book.keep(ITEM, look(tree))
    monkeypatch.setattr(module.time, "time_ns", lambda: now)
    assert book.compare(ITEM, look(tree)) is Kept.NOTHING
    monkeypatch.setattr(module.time, "time_ns", lambda: now + DAY_NS + 1)
    assert book.compare(ITEM, look(tree)) is Kept.SAME


def test_what_changed_a_moment_ago_is_not_kept_yet(
    tree: Path, book: StampBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within one tick of the clock a second change has no trace."""
    assert not book.keep(ITEM, look(tree))
    assert book.compare(ITEM, look(tree)) is Kept.NOTHING
    newest = look(tree).changed_ns
    monkeypatch.setattr(module.time, "time_ns", lambda: newest + SETTLED_NS - 1)
    assert not book.keep(ITEM, look(tree))
    monkeypatch.setattr(module.time, "time_ns", lambda: newest + SETTLED_NS)
    assert book.keep(ITEM, look(tree))
    assert book.compare(ITEM, look(tree)) is Kept.SAME


@pytest.mark.usefixtures("later")
def test_what_is_forgotten_and_what_was_never_known(tree: Path, book: StampBook) -> None:
    book.forget(ITEM)
    book.note_use(ITEM)
    assert book.used_ns(ITEM) == 0
    assert book.keep(ITEM, look(tree))
    book.note_use(ITEM)
    assert book.used_ns(ITEM) > 0
    assert book.compare(ITEM, look(tree)) is Kept.SAME  # a use is no change
    book.forget(ITEM)
    assert book.compare(ITEM, look(tree)) is Kept.NOTHING
