"""Archives: whole or not there, verified from the far side's own anchor to the last byte, before anything is visible."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace as replaced
from datetime import timedelta
from pathlib import Path

import pytest

from repo_server.archiving import exporting, importing
from repo_server.archiving import format as archive_format
from repo_server.archiving.exporting import export_archive
from repo_server.archiving.format import INDEX_NAME, ArchiveIndex, Choice
from repo_server.archiving.importing import check_archive, import_archive
from repo_server.archiving.resuming import resume_beyond
from repo_server.archiving.seen import remembered
from repo_server.archiving.tape import write_tar
from repo_server.pkgrepo.places import served_serial
from signing.errors import (
    ConflictError,
    CouldNotVerifyError,
    DigestMismatchError,
    ExpiredError,
    FormatError,
    NotFoundError,
    RejectedError,
    RollbackError,
    SkillRepoError,
)
from signing.format.canonical import canonical
from signing.format.digest import parse_sha256
from signing.format.names import Pin
from signing.format.pkg.names import PackageRepo
from tests.support.serials import make_index, package, publish_serial
from tests.support.world import PACKAGES, World, now

ALL = Choice()


@pytest.fixture(scope="module")
def _packed(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World.build(tmp_path_factory.mktemp("packed"))
    world.publish_skill("web-search==1.0")
    world.publish_skill("other==1.0")
    world.publish_profile("base==1", skills=["web-search==1.0"])
    publish_serial(world, make_index(1, {"demo": "1.0", "base": "2"}, at=now().replace(microsecond=0)))
    world.refresh()
    return world


@pytest.fixture
def packed(_packed: World, tmp_path: Path) -> Iterator[World]:
    """Two skills, a profile, and a package repository."""
    world = _packed.copy_to(tmp_path / "packed")
    yield world
    world.close()


def export(world: World, place: Path, choice: Choice = ALL) -> Path:
    export_archive(world.repository, place, choice=choice, now=now())
    return place


def take_in(world: World, archive: Path, mirror: Path) -> None:
    import_archive(archive, mirror, anchor=world.anchor, now=now())


def tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def edit(archive: Path, change: Callable[[dict], None]) -> None:
    value = json.loads((archive / INDEX_NAME).read_bytes())
    change(value)
    (archive / INDEX_NAME).write_bytes(canonical(value))


def replace(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def test_an_archive_is_taken_in_and_serves_a_client_that_trusts_only_its_anchor(
    packed: World, tmp_path: Path
) -> None:
    archive, mirror = export(packed, tmp_path / "out"), tmp_path / "mirror"
    take_in(packed, archive, mirror)
    current = mirror / "current"
    with packed.serve() as site:
        site.root = current / "skills"
        with packed.client(site.url, tmp_path / "client").session(now()) as session:
            session.release(Pin.parse("web-search==1.0"))
            session.release(Pin.parse("other==1.0"))
            session.profile(Pin.parse("base==1"))
            packages = session.packages(PACKAGES)
    demo = package("demo", "1.0").sha256
    assert packages.listed(demo)
    assert hashlib.sha256((current / f"pkg/by-sha256/{demo}.pkg").read_bytes()).hexdigest() == demo
    assert served_serial(current / "pkg", PACKAGES) == 1
    # What pkg asks for is what the repository itself serves, to the byte, with the same dates.
    ours = packed.repository.pkg_root / str(PACKAGES)
    theirs = current / "pkg" / str(PACKAGES)
    assert tree(theirs) == tree(ours)
    for name in ("data.pkg", "packagesite.pkg", "repo.json"):
        assert (theirs / name).stat().st_mtime == (ours / name).stat().st_mtime
    assert (current / "pkg").stat().st_mode & 0o777 == 0o755


def test_one_state_gives_one_archive(packed: World, tmp_path: Path) -> None:
    one, two = export(packed, tmp_path / "one"), export(packed, tmp_path / "two")
    assert tree(one) == tree(two)
    index = ArchiveIndex.parse((one / INDEX_NAME).read_bytes())
    for folder in (one, two):
        write_tar(folder, index, folder.with_suffix(".tar"))
    assert one.with_suffix(".tar").read_bytes() == two.with_suffix(".tar").read_bytes()
    (tmp_path / "unpacked").mkdir()
    unpack = ["tar", "-x", "-v", "-f", str(one.with_suffix(".tar")), "-C", str(tmp_path / "unpacked")]
    said = subprocess.run(unpack, capture_output=True, text=True, check=True, timeout=60).stdout
    assert said.startswith(f"{INDEX_NAME}\n")
    assert tree(tmp_path / "unpacked") == tree(one)
    check_archive(tmp_path / "unpacked", anchor=packed.anchor, now=now())
    with pytest.raises(ConflictError):
        export(packed, one)


def test_only_what_a_profile_pins(packed: World, tmp_path: Path) -> None:
    archive = export(packed, tmp_path / "out", Choice(profiles=(Pin.parse("base==1"),)))
    names = "\n".join(tree(archive))
    assert "web-search-1.0.tar.gz" in names
    assert "other-1.0" not in names
    assert "pkg/" not in names
    assert "revocations.json" in names
    take_in(packed, archive, tmp_path / "mirror")
    with packed.serve() as site:
        site.root = tmp_path / "mirror/current/skills"
        with packed.client(site.url, tmp_path / "client").session(now()) as session:
            session.profile(Pin.parse("base==1"))
            session.release(Pin.parse("web-search==1.0"))
            with pytest.raises(NotFoundError):
                session.release(Pin.parse("other==1.0"))
    for wrong in (
        Choice(profiles=(Pin.parse("nobody==1"),)),
        Choice(repos=(PackageRepo.parse("FreeBSD:15:amd64/latest"),)),
    ):
        with pytest.raises(SkillRepoError):
            export(packed, tmp_path / "wrong", wrong)
        assert not (tmp_path / "wrong").exists()


def test_every_byte_counts(packed: World, tmp_path: Path) -> None:
    """One bit in each file in turn: refused by name, by --check and by the import, and nothing is visible."""
    archive, mirror = export(packed, tmp_path / "out"), tmp_path / "mirror"
    paths = [path for path in archive.rglob("*") if path.is_file()]
    assert len(paths) > 20
    for path in paths:
        data = path.read_bytes()
        replace(path, data[:-1] + bytes([data[-1] ^ 1]) if data else b"x")
        with pytest.raises(SkillRepoError):
            check_archive(archive, anchor=packed.anchor, now=now())
        with pytest.raises((RejectedError, NotFoundError)):
            take_in(packed, archive, mirror)
        assert not (mirror / "current").is_symlink()
        assert not (mirror / "seen.json").exists()
        replace(path, data)
    take_in(packed, archive, mirror)


def test_what_is_missing_or_cut_off_is_named(packed: World, tmp_path: Path) -> None:
    archive, mirror = export(packed, tmp_path / "out"), tmp_path / "mirror"
    bundle = next(archive.rglob("*other-1.0.tar.gz"))
    data = bundle.read_bytes()
    for spoil in (
        bundle.unlink,
        lambda: replace(bundle, data[:100]),
        lambda: (bundle.unlink(), bundle.symlink_to("/etc/hostname")),
    ):
        if not bundle.exists():
            bundle.write_bytes(data)
        spoil()
        with pytest.raises(NotFoundError, match=r"other-1\.0\.tar\.gz") as refused:
            take_in(packed, archive, mirror)
        assert len(refused.value.facts["missing"]) == 1
        assert not (mirror / "current").exists()
    with pytest.raises(NotFoundError, match=r"no ARCHIVE\.json"):
        take_in(packed, tmp_path, mirror)


def test_a_link_with_the_right_bytes_behind_it_is_no_file(packed: World, tmp_path: Path) -> None:
    """Also a folder that is a link: what is copied is in the archive, and not somewhere on this machine."""
    archive = export(packed, tmp_path / "out")
    bundle = next(archive.rglob("*other-1.0.tar.gz"))
    bundle.rename(tmp_path / "aside")
    bundle.symlink_to(tmp_path / "aside")
    with pytest.raises(NotFoundError):
        take_in(packed, archive, tmp_path / "mirror")
    bundle.unlink()
    (tmp_path / "aside").rename(bundle)
    (archive / "pkg").rename(tmp_path / "pkg-aside")
    (archive / "pkg").symlink_to(tmp_path / "pkg-aside")
    with pytest.raises(NotFoundError):
        take_in(packed, archive, tmp_path / "mirror")


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "/etc/passwd",
        "skills/../../x",
        "skills/metadata/../x.json",
        "a\\b",
        ".hidden",
        "skills//x",
        "skills/\x00x",
        "skills/metadata/x.json",
        "skills/targets/extra",
    ],
    ids=range(10),
)
def test_a_hostile_name_in_the_index_writes_nowhere(packed: World, tmp_path: Path, name: str) -> None:
    archive = export(packed, tmp_path / "out")
    data = b"planted"
    fact = {"path": name, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    (tmp_path / "outside").write_bytes(data)
    for inside in ("skills/targets/extra", "skills/metadata/x.json"):
        (archive / inside).write_bytes(data)
    edit(
        archive,
        lambda value: value["files"].append(fact) or value["files"].sort(key=lambda item: item["path"]),
    )
    before = tree(tmp_path)
    with pytest.raises((RejectedError, NotFoundError)):
        take_in(packed, archive, tmp_path / "mirror")
    assert {
        path: digest for path, digest in tree(tmp_path).items() if not path.startswith("mirror/.lock")
    } == before


def test_extra_files_are_never_served(packed: World, tmp_path: Path) -> None:
    archive, mirror = export(packed, tmp_path / "out"), tmp_path / "mirror"
    (archive / "skills/evil.html").write_text("hello")
    (archive / "pkg/by-sha256/evil.pkg").write_text("hello")
    (archive / "skills/link").symlink_to("/etc")
    take_in(packed, archive, mirror)
    served = [path.name for path in (mirror / "current/").rglob("*")]
    assert not {"evil.html", "evil.pkg", "link"} & set(served)


def test_the_index_is_believed_in_nothing(packed: World, tmp_path: Path) -> None:
    archive = export(packed, tmp_path / "out")
    genuine = (archive / INDEX_NAME).read_bytes()
    changes: list[Callable[[dict], object]] = [
        lambda value: value.update(ends="2036-01-01T00:00:00Z"),
        lambda value: value.update(timestamp=999),
        lambda value: value["files"].pop(),
        lambda value: value.update(packages=[]),
        lambda value: value.update(profiles=["base==1"]),
        lambda value: value.update(more=1),
        lambda value: value["files"].append(value["files"][0]),
        lambda value: value.update(anchor_sha256="0" * 64),
    ]
    for change in changes:
        edit(archive, change)  # type: ignore[arg-type]
        with pytest.raises((RejectedError, NotFoundError)):
            take_in(packed, archive, tmp_path / "mirror")
        replace(archive / INDEX_NAME, genuine)
    for junk in (b"", b"{", b"[" * 100_000, genuine + b"\n"):
        replace(archive / INDEX_NAME, junk)
        with pytest.raises(FormatError):
            take_in(packed, archive, tmp_path / "mirror")
    assert not (tmp_path / "mirror/current").exists()


def test_an_ended_archive_is_refused_and_says_before_when_it_ends(packed: World, tmp_path: Path) -> None:
    archive = export(packed, tmp_path / "out")
    ends = ArchiveIndex.parse((archive / INDEX_NAME).read_bytes()).ends
    assert now() < ends <= now() + timedelta(hours=24)
    with pytest.raises(ExpiredError):
        import_archive(archive, tmp_path / "mirror", anchor=packed.anchor, now=ends + timedelta(seconds=1))
    with pytest.raises(ExpiredError):
        check_archive(archive, anchor=packed.anchor, now=ends + timedelta(seconds=1))
    with pytest.raises(ExpiredError):
        export_archive(packed.repository, tmp_path / "late", choice=ALL, now=ends + timedelta(seconds=1))
    assert not (tmp_path / "late").exists()
    assert not (tmp_path / "mirror/current").exists()


def test_an_older_archive_is_refused_though_it_has_not_ended(packed: World, tmp_path: Path) -> None:
    old, mirror = export(packed, tmp_path / "old"), tmp_path / "mirror"
    packed.publish_skill("newer==1.0")
    take_in(packed, export(packed, tmp_path / "new"), mirror)
    served = (mirror / "current").readlink()
    with pytest.raises(RollbackError, match="was taken in already"):
        take_in(packed, old, mirror)
    assert (mirror / "current").readlink() == served
    take_in(packed, tmp_path / "new", mirror)  # the same again mends what was damaged here
    assert (mirror / "current").readlink() != served
    assert len(list((mirror / "versions").iterdir())) == 2
    (mirror / "seen.json").write_bytes(b"")
    with pytest.raises(CouldNotVerifyError, match="damaged"):
        take_in(packed, tmp_path / "new", mirror)


def test_a_stolen_online_key_brings_no_older_role_back(packed: World, tmp_path: Path) -> None:
    """Newer snapshot, newer timestamp, the same list of withdrawals; skills, targets and packages are those of before."""
    thief, mirror = packed.copy_to(tmp_path / "thief"), tmp_path / "mirror"
    try:
        packed.publish_skill("newer==1.0")
        take_in(packed, export(packed, tmp_path / "new"), mirror)
        served, seen = (mirror / "current").readlink(), (mirror / "seen.json").read_bytes()
        assert {"targets", "skills", "revocations", PACKAGES.role} < json.loads(seen)["roles"].keys()
        resume_beyond(thief.repository, 1000, packed.signers["online"], now=now())
        forged = export(thief, tmp_path / "forged")
    finally:
        thief.close()
    with pytest.raises(
        RollbackError, match=r"version 2 of role 'skills-.' is offered, version 3 was taken in"
    ):
        take_in(packed, forged, mirror)
    assert (mirror / "current").readlink() == served
    assert (mirror / "seen.json").read_bytes() == seen
    assert not list(mirror.glob(".new-*"))
    take_in(packed, forged, tmp_path / "empty")  # whoever took nothing in before cannot know it


def test_a_role_that_went_away_or_back_is_refused_under_any_online_key(packed: World, tmp_path: Path) -> None:
    archive = export(packed, tmp_path / "out")
    contents = check_archive(archive, anchor=packed.anchor, now=now())
    seen = remembered(contents)
    versions = {**contents.index.versions, "root": contents.index.versions["root"] + 1, "timestamp": 1}
    for other_keys in (False, True):
        offered = (
            replaced(
                contents,
                online_sha256=parse_sha256("0" * 64),
                index=replaced(contents.index, versions=versions),
            )
            if other_keys
            else contents
        )
        for role in ("targets", "revocations", PACKAGES.role):
            fewer = {name: version for name, version in contents.roles.items() if name != role}
            with pytest.raises(RollbackError, match=f"no role '{role}' is offered"):
                seen.after(replaced(offered, roles=fewer))
            lower = {**contents.roles, role: contents.roles[role] - 1}
            with pytest.raises(RollbackError, match=f"role '{role}' is offered, version"):
                seen.after(replaced(offered, roles=lower))
        more = {**contents.roles, "targets": contents.roles["targets"] + 1, "another": 1}
        assert seen.after(replaced(offered, roles=more)).roles == more


def test_a_memory_from_before_roles_were_remembered_is_read(packed: World, tmp_path: Path) -> None:
    archive, mirror = export(packed, tmp_path / "out"), tmp_path / "mirror"
    take_in(packed, archive, mirror)
    value = json.loads((mirror / "seen.json").read_bytes())
    roles = value.pop("roles")
    replace(mirror / "seen.json", canonical(value))
    take_in(packed, archive, mirror)
    assert json.loads((mirror / "seen.json").read_bytes()) == {**value, "roles": roles}
    for junk in ([], {"targets": "x"}, None):
        replace(mirror / "seen.json", canonical({**value, "roles": junk}))
        with pytest.raises(CouldNotVerifyError, match="damaged"):
            take_in(packed, archive, mirror)


def test_an_index_that_is_no_list_of_files_is_not_parsed(
    packed: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two bytes of JSON make a list of 56 in memory: 64 MiB of them would take some gigabytes."""
    archive = export(packed, tmp_path / "out")
    monkeypatch.setattr(archive_format, "parse_canonical", lambda *_, **__: pytest.fail("it was parsed"))
    for junk in (b"[" + b"[]," * 1_000_000 + b"[]]", b"[" + b"0," * 1_700_000 + b"0]", b'{"a":' * 1_700_000):
        replace(archive / INDEX_NAME, junk)
        with pytest.raises(FormatError, match="more than 400000 files"):
            take_in(packed, archive, tmp_path / "mirror")
    with (archive / INDEX_NAME).open("r+b") as stream:
        stream.truncate((64 << 20) + 1)
    with pytest.raises(FormatError, match="larger than"):
        take_in(packed, archive, tmp_path / "mirror")
    assert not (tmp_path / "mirror/current").exists()


def test_what_nobody_would_take_in_is_not_exported(
    packed: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("_MAX_FILES", "MAX_INDEX_BYTES"):
        with monkeypatch.context() as patch:
            patch.setattr(archive_format, limit, 10)
            with pytest.raises(FormatError, match="too many for one archive"):
                export(packed, tmp_path / "out")
        assert list(tmp_path.glob("*out*")) == []


def test_another_anchor_vouches_for_nothing(packed: World, world: World, tmp_path: Path) -> None:
    archive = export(packed, tmp_path / "out")
    with pytest.raises(CouldNotVerifyError, match="another trust anchor"):
        take_in(world, archive, tmp_path / "mirror")
    edit(archive, lambda value: value.update(anchor_sha256=hashlib.sha256(world.anchor).hexdigest()))
    with pytest.raises(RejectedError):
        take_in(world, archive, tmp_path / "mirror")
    take_in(packed, export(packed, tmp_path / "again"), tmp_path / "ours")
    with pytest.raises(CouldNotVerifyError, match="another trust anchor"):
        import_archive(export(world, tmp_path / "theirs"), tmp_path / "ours", anchor=world.anchor, now=now())


def killed(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("step", [1, 5, 20])
def test_a_killed_export_leaves_nothing_that_looks_complete(
    packed: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    genuine, count = exporting.write_compared, 0

    def write(*args: object, **options: object) -> None:
        nonlocal count
        if (count := count + 1) == step:
            os._exit(9)
        genuine(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(exporting, "write_compared", write)
    packed.repository.engine.dispose()
    if (child := os.fork()) == 0:
        export(packed, tmp_path / "out")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert not (tmp_path / "out").exists()
    assert [path.name[:9] for path in tmp_path.glob(".new-*")] == [".new-out-"]
    assert not list(tmp_path.glob(f".new-*/{INDEX_NAME}"))
    monkeypatch.undo()
    export(packed, tmp_path / "out")


@pytest.mark.parametrize("step", ["write_compared", "set_times", "_switch"])
def test_a_killed_import_leaves_the_state_before(
    packed: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    mirror = tmp_path / "mirror"
    take_in(packed, export(packed, tmp_path / "one"), mirror)
    before = tree(mirror / "current/")
    packed.publish_skill("newer==1.0")
    two = export(packed, tmp_path / "two")
    packed.repository.engine.dispose()
    if (child := os.fork()) == 0:
        monkeypatch.setattr(importing, step, lambda *_, **__: os._exit(9))
        take_in(packed, two, mirror)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert tree(mirror / "current/") == before
    take_in(packed, two, mirror)
    assert tree(mirror / "current/") != before
    assert not list(mirror.glob(".new-*"))


def test_a_damaged_blob_is_not_exported(packed: World, tmp_path: Path) -> None:
    demo = package("demo", "1.0").sha256
    replace(packed.repository.folder / f"blobs/{demo[:2]}/{demo}", b"rotten")
    with pytest.raises(DigestMismatchError):
        export(packed, tmp_path / "out")
    assert list(tmp_path.glob("*out*")) == []
    export(packed, tmp_path / "out", Choice(repos=()))  # without the packages


def test_two_imports_at_once_are_one(packed: World, tmp_path: Path) -> None:
    archive, mirror = export(packed, tmp_path / "out"), tmp_path / "mirror"
    with importing._locked(mirror), pytest.raises(ConflictError):
        take_in(packed, archive, mirror)
    take_in(packed, archive, mirror)


def client(state: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    program = "import sys; from repo_client.cli import main; sys.argv[:1] = ['skillrepo-client']; main()"
    command = [sys.executable, "-c", program, "--metadata-dir", str(state), "--json", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_client_reads_the_archive_itself(packed: World, tmp_path: Path) -> None:
    """No server, no import: the same client, the same memory, the same refusals."""
    (tmp_path / "anchor.json").write_bytes(packed.anchor)
    old = export(packed, tmp_path / "old")
    packed.publish_skill("newer==1.0")
    archive, state = export(packed, tmp_path / "new"), tmp_path / "state"
    assert client(state, "init", str(tmp_path / "anchor.json")).returncode == 0
    done = client(state, "--from", str(archive), "refresh")
    assert done.returncode == 0, done.stderr
    done = client(state, "--from", str(archive), "get", "newer==1.0", "--dest", str(tmp_path / "skills"))
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "skills/newer/SKILL.md").is_file()
    done = client(state, "--from", str(old), "get", "web-search==1.0", "--dest", str(tmp_path / "skills"))
    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (11, "rollback")
    bundle = next(archive.rglob("*web-search-1.0.tar.gz"))
    data = bundle.read_bytes()
    replace(bundle, data[:-1] + bytes([data[-1] ^ 1]))
    done = client(state, "--from", str(archive), "get", "web-search==1.0", "--dest", str(tmp_path / "skills"))
    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (11, "digest-mismatch")
    bundle.unlink()
    bundle.symlink_to(tmp_path / "anchor.json")
    done = client(state, "--from", str(archive), "get", "web-search==1.0", "--dest", str(tmp_path / "skills"))
    assert done.returncode == 5
    assert not (tmp_path / "skills/web-search").exists()
