"""Ready sets: what many jails are shown is what was let in, whoever was at it meanwhile."""

import copy
import errno
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import pytest

from repo_client import ready as module
from repo_client import stamps
from repo_client.handles import Directory
from repo_client.ready import ReadySet, ReadySets
from repo_client.verify_at import VerifyAt
from signing.errors import DigestMismatchError, HostError, SkillRepoError
from signing.format.archive import Bundle, SourceFile
from signing.format.manifest import Kind, MemberPath, Mode
from signing.format.names import Pin

AT = [VerifyAt.BIRTH, VerifyAt.STORE_ENTRY]


def bundle(name: str, body: bytes = b"honest\n") -> Bundle:
    files = {
        MemberPath("SKILL.md"): SourceFile(content=f"---\nname: {name}\n---\n".encode() + body),
        MemberPath("scripts/run.sh"): SourceFile(content=b"#!/bin/sh\n" + body, mode=Mode.EXECUTABLE),
    }
    return Bundle.build(pin=Pin.parse(f"{name}==1.0"), kind=Kind.SKILL, files=files)


BUNDLES = (bundle("calendar"), bundle("web-search"))


class _Unread(dict[MemberPath, bytes]):
    def __getitem__(self, path: MemberPath) -> bytes:
        raise AssertionError(f"{path} was read")


def unread(one: Bundle) -> Bundle:
    """The same bundle, of which nobody may read a file."""
    return Bundle(manifest=one.manifest, contents=MappingProxyType(_Unread(one.contents)))


@pytest.fixture
def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReadySets:
    monkeypatch.setattr(stamps, "SETTLED_NS", 0)  # what was written is old enough at once
    return ReadySets(tmp_path / "ready")


def settled(sets: ReadySets) -> ReadySet:
    """The set, made and with its stamps kept."""
    found = sets.take(BUNDLES, verify=VerifyAt.BIRTH)
    time.sleep(0.02)
    assert sets.take(BUNDLES, verify=VerifyAt.STORE_ENTRY).path == found.path
    return found


def check_honest(found: ReadySet, tmp_path: Path) -> None:
    for one in BUNDLES:
        folder = found.path / one.manifest.pin.name
        assert {
            str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
        } == {
            "MANIFEST.json": one.manifest.render(),
            **{str(path): one.contents[path] for path in one.contents},
        }
        assert all(not path.is_symlink() and path.lstat().st_nlink == 1 for path in folder.rglob("*.*"))
    assert sorted(path.name for path in found.path.iterdir()) == ["calendar", "web-search"]
    assert [path.name for path in (tmp_path / "ready").iterdir()] == [found.path.name]  # and no temporary


@pytest.mark.parametrize("at", AT)
def test_a_set_is_made_once_and_then_none_of_its_bundles_is_read(
    sets: ReadySets, tmp_path: Path, at: VerifyAt
) -> None:
    found = settled(sets)
    check_honest(found, tmp_path)
    assert all(path.stat().st_mode & 0o222 == 0 for path in (found.path / "calendar").rglob("*"))
    again = sets.take([unread(one) for one in reversed(BUNDLES)], verify=at)
    assert (again.path, dict(again.trees)) == (found.path, dict(found.trees))
    other = sets.take(BUNDLES[:1], verify=at)
    assert other.path != found.path
    assert [path.name for path in other.path.iterdir()] == ["calendar"]


def test_at_birth_all_of_it_is_compared_and_at_store_entry_nothing_is_read(
    sets: ReadySets, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(sets)
    honest, compared = module.tree_matches, []

    def noting(parent: Directory, name: str, one: Bundle) -> bool:
        compared.append(name)
        return honest(parent, name, one)

    monkeypatch.setattr(module, "tree_matches", noting)
    sets.take(BUNDLES, verify=VerifyAt.STORE_ENTRY)
    assert compared == []
    sets.take(BUNDLES, verify=VerifyAt.BIRTH)
    assert compared == ["calendar", "web-search"]


def in_place(tree: Path) -> None:
    path = tree / "web-search/SKILL.md"
    before = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as stream:
        stream.write(b"---\nname: web-hijack\n---\n"[: before.st_size])
    path.chmod(0o444)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(tree: Path) -> None:
    path = tree / "web-search/SKILL.md"
    (tree / "x").write_bytes(b"evil".ljust(path.stat().st_size))
    (tree / "x").rename(path)


def tree_replaced(tree: Path) -> None:
    evil = bundle("web-search", b"evil\n")
    shutil.rmtree(tree / "web-search")
    with Directory.open(tree) as folder:
        module.write_tree(folder, "web-search", evil, read_only=True)


def file_linked(tree: Path) -> None:
    path = tree / "web-search/SKILL.md"
    path.rename(tree.parent.parent / "away")
    path.symlink_to(tree.parent.parent / "away")


def tree_linked(tree: Path) -> None:
    path = tree / "web-search"
    path.rename(tree.parent.parent / "away")
    path.symlink_to(tree.parent.parent / "away")


def set_linked(tree: Path) -> None:
    tree.rename(tree.parent.parent / "away")
    tree.symlink_to(tree.parent.parent / "away")


@pytest.mark.parametrize("at", AT)
@pytest.mark.parametrize(
    "change",
    [
        in_place,
        replaced,
        tree_replaced,
        file_linked,
        tree_linked,
        set_linked,
        lambda tree: (tree / "web-search/scripts/evil.sh").write_bytes(b"#!/bin/sh\n"),
        lambda tree: (tree / "evil").mkdir(),
        lambda tree: (tree / "calendar/SKILL.md").unlink(),
        lambda tree: (tree / "calendar/SKILL.md").chmod(0o4555),
        lambda tree: os.link(tree / "calendar/SKILL.md", tree.parent.parent / "second"),
    ],
    ids=[
        "written in place",
        "replaced",
        "tree replaced",
        "file is a link",
        "tree is a link",
        "set is a link",
        "a file more",
        "a tree more",
        "a file less",
        "setuid",
        "second name",
    ],
)
def test_a_set_that_somebody_was_at_is_put_aside_and_made_anew(
    sets: ReadySets,
    tmp_path: Path,
    at: VerifyAt,
    change: Callable[[Path], object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = settled(sets)
    change(found.path)
    again = sets.take(BUNDLES, verify=at)
    assert again.path == found.path
    check_honest(again, tmp_path)
    [aside] = (tmp_path / "ready.quarantine").iterdir()
    assert aside.name.startswith(found.path.name)
    [told] = caplog.records
    assert told.msg == "store.changed"


def test_a_mode_that_matters_to_nobody_is_told_and_compared(
    sets: ReadySets, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = settled(sets)
    (found.path / "calendar/SKILL.md").chmod(0o404)
    assert sets.take(BUNDLES, verify=VerifyAt.STORE_ENTRY).path == found.path
    assert not (tmp_path / "ready.quarantine").exists()
    assert [record.facts["intact"] for record in caplog.records] == [True]  # type: ignore[attr-defined]


def test_a_forged_record_does_not_cover_a_change(sets: ReadySets, tmp_path: Path) -> None:
    """It says what the kernel says now, and whoever wrote it is not the host."""
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    found = settled(sets)
    in_place(found.path)
    names = [
        f"{one.manifest.pin.name}/{name}".rstrip("/")
        for one in BUNDLES
        for name in ("", *module.names_of(one.manifest))
    ]
    with Directory.open(found.path) as folder:
        forged = module.stamps_of(folder, names)
    record = tmp_path / "ready.stamps" / found.path.name
    item = next(iter(record.name.split()))
    record.unlink()
    record.write_text(f"{stamps.SCHEMA} {item} {time.time_ns()}\n{forged.text}")
    record.chmod(0o400)
    os.chown(record, 65534, 65534)
    check_honest(sets.take(BUNDLES, verify=VerifyAt.STORE_ENTRY), tmp_path)
    assert len(list((tmp_path / "ready.quarantine").iterdir())) == 1


def test_what_jails_may_be_shown_is_put_aside_and_never_removed(sets: ReadySets, tmp_path: Path) -> None:
    """However often it happens: each of them may be what some jail that runs has mounted."""
    numbers = set()
    for _ in range(18):
        found = sets.take(BUNDLES, verify=VerifyAt.BIRTH)
        numbers.add(found.path.stat().st_ino)
        (found.path / "evil").mkdir()
    sets.take(BUNDLES, verify=VerifyAt.BIRTH)
    aside = list((tmp_path / "ready.quarantine").iterdir())
    assert {path.stat().st_ino for path in aside} == numbers
    assert len(aside) == 18


@pytest.mark.parametrize("at", AT)
def test_where_it_cannot_be_put_aside_nothing_is_removed(
    sets: ReadySets, tmp_path: Path, at: VerifyAt
) -> None:
    found = settled(sets)
    in_place(found.path)
    (tmp_path / "ready.quarantine").write_bytes(b"in the way")
    number, content = found.path.stat().st_ino, (found.path / "web-search/SKILL.md").read_bytes()
    with pytest.raises(SkillRepoError, match="put it aside"):
        sets.take(BUNDLES, verify=at)
    assert found.path.stat().st_ino == number
    assert (found.path / "web-search/SKILL.md").read_bytes() == content
    assert [path.name for path in (tmp_path / "ready").iterdir()] == [found.path.name]


@pytest.mark.parametrize("number", [errno.EIO, 97], ids=["EIO", "EINTEGRITY of FreeBSD"])
@pytest.mark.parametrize("place", ["tree_matches", "stamps_of"])
def test_a_set_on_a_bad_part_of_the_disk_is_put_aside(
    sets: ReadySets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, number: int
) -> None:
    """Else no birth with these skills would succeed any more."""
    found = settled(sets)
    bad, honest = found.path.stat().st_ino, getattr(module, place)

    def failing(folder: Directory, *rest: object) -> object:
        if folder.status().st_ino == bad:
            raise HostError("cannot read the file", where="SKILL.md", errno=number)
        return honest(folder, *rest)

    monkeypatch.setattr(module, place, failing)
    check_honest(sets.take(BUNDLES, verify=VerifyAt.BIRTH), tmp_path)
    [aside] = (tmp_path / "ready.quarantine").iterdir()
    assert aside.stat().st_ino == bad


@pytest.mark.parametrize("place", ["tree_matches", "stamps_of"])
def test_who_cannot_look_puts_nothing_aside(
    sets: ReadySets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    found = settled(sets)
    number = found.path.stat().st_ino

    def failing(*_: object) -> object:
        raise HostError("cannot read the file", where="SKILL.md", errno=errno.EMFILE)

    with monkeypatch.context() as patch:
        patch.setattr(module, place, failing)
        with pytest.raises(HostError, match="cannot read"):
            sets.take(BUNDLES, verify=VerifyAt.BIRTH)
    assert found.path.stat().st_ino == number
    assert not (tmp_path / "ready.quarantine").exists()
    assert sets.take(BUNDLES, verify=VerifyAt.BIRTH).path == found.path


def test_a_set_that_goes_while_it_is_looked_for(
    sets: ReadySets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another birth puts it aside at this moment: then it is made, and that is no error."""
    found, honest = settled(sets), Directory.find

    def going(folder: Directory, name: str) -> object:
        entry = honest(folder, name)
        if name == found.path.name and not (tmp_path / "away").exists():
            found.path.rename(tmp_path / "away")
        return entry

    monkeypatch.setattr(Directory, "find", going)
    check_honest(sets.take(BUNDLES, verify=VerifyAt.STORE_ENTRY), tmp_path)


@pytest.mark.parametrize("at", AT)
def test_without_a_record_it_is_compared(sets: ReadySets, tmp_path: Path, at: VerifyAt) -> None:
    found = settled(sets)
    in_place(found.path)
    (tmp_path / "ready.stamps" / found.path.name).unlink()
    check_honest(sets.take(BUNDLES, verify=at), tmp_path)


def test_two_births_at_once(sets: ReadySets, tmp_path: Path) -> None:
    found: list[ReadySet] = []
    wrong: list[BaseException] = []

    def take() -> None:
        try:
            found.append(ReadySets(tmp_path / "ready").take(BUNDLES, verify=VerifyAt.STORE_ENTRY))
        except BaseException as error:  # noqa: BLE001 - any crash is what is looked for
            wrong.append(error)

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []
    assert len({one.path for one in found}) == 1
    check_honest(found[0], tmp_path)
    assert not (tmp_path / "ready.quarantine").exists()


class _KilledError(BaseException):
    pass


@pytest.mark.parametrize("step", ["write_tree", "sync_tree"])
def test_killed_before_it_has_its_name(
    sets: ReadySets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def die(*_: object, **__: object) -> None:
        raise _KilledError

    with monkeypatch.context() as patch:
        patch.setattr(module, step, die)
        patch.setattr(Directory, "remove_tree", die)  # the dead clean nothing up
        with pytest.raises(_KilledError):
            sets.take(BUNDLES, verify=VerifyAt.STORE_ENTRY)
    assert [path.name[:5] for path in (tmp_path / "ready").iterdir()] == [".new-"]
    check_honest(sets.take(BUNDLES, verify=VerifyAt.STORE_ENTRY), tmp_path)


def test_killed_between_the_bytes_and_their_record(
    sets: ReadySets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> bool:
        raise _KilledError

    with monkeypatch.context() as patch:
        patch.setattr(stamps.StampBook, "keep", die)
        with pytest.raises(_KilledError):
            sets.take(BUNDLES, verify=VerifyAt.STORE_ENTRY)
    [path] = (tmp_path / "ready").iterdir()
    in_place(path)  # nothing says how it was, so it is read
    check_honest(sets.take(BUNDLES, verify=VerifyAt.STORE_ENTRY), tmp_path)


def test_a_disk_that_gives_back_other_bytes_makes_no_set(
    sets: ReadySets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "tree_matches", lambda *_: False)
    with pytest.raises(DigestMismatchError):
        sets.take(BUNDLES, verify=VerifyAt.STORE_ENTRY)


def test_a_folder_that_cannot_be_made_is_the_hosts_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(HostError):
        ReadySets(tmp_path / "file/ready").take(BUNDLES, verify=VerifyAt.BIRTH)


def test_nobody_else_makes_one(sets: ReadySets, tmp_path: Path) -> None:
    genuine = settled(sets)
    for seal in ({}, {"seal": None}, {"seal": module._Seal()}):
        with pytest.raises(TypeError):
            ReadySet(path=tmp_path, trees={}, **seal)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        copy.copy(genuine)
