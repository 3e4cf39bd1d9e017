"""What a tenant with root can put in the way beside links: devices, mounts, folders that nothing may change, full disks.

Each asserts the error, that what is the host's stays as it was, and that nothing half-written is left.
"""

import contextlib
import errno
import fcntl
import os
import resource
import signal
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hive.jails.contained import JailRoot
from hive.jails.directory import DirectoryHost
from repo_client.entries import UnsafePathError
from signing.errors import HostError
from signing.format.archive import Bundle, SourceFile
from signing.format.manifest import Kind, MemberPath
from signing.format.names import Pin, parse_tenant_id

ACME = parse_tenant_id("acme")
HOME = "usr/home/agent"
ENV = f"{HOME}/.env"
SKILLS = f"{HOME}/skills"
BUNDLE = Bundle.build(
    pin=Pin.parse("web-search==1"),
    kind=Kind.SKILL,
    files={MemberPath("SKILL.md"): SourceFile(content=b"# Search\n" * 20_000)},
)
ATTEMPTS: dict[str, Callable[[JailRoot], object]] = {
    "install_file": lambda jail: jail.install_file(ENV, b"KEY=1\n", mode=0o600),
    "install_tree": lambda jail: jail.install_tree(SKILLS, "web-search", BUNDLE),
    "enter": lambda jail: jail.enter(f"{SKILLS}/deep", create=True).close(),
}

LARGE: dict[str, Callable[[JailRoot], object]] = {
    "install_file": lambda jail: jail.install_file(ENV, b"K" * 100_000, mode=0o600),
    "install_tree": ATTEMPTS["install_tree"],
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    host = DirectoryHost(tmp_path / "jails")
    host.create(ACME, mark="ours")
    folder = Path(host.describe(ACME))
    (folder / SKILLS).mkdir(parents=True)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# --- devices -------------------------------------------------------------------------------------------

DEVICES = {"disk": (stat.S_IFBLK, os.makedev(7, 200)), "terminal": (stat.S_IFCHR, os.makedev(5, 0)), "zero": (stat.S_IFCHR, os.makedev(1, 5))}  # fmt: skip


@pytest.mark.parametrize("device", DEVICES)
def test_a_device_is_neither_opened_nor_written_to(
    device: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/dev/zero never ends, a terminal can become ours, and opening a tape rewinds it."""
    kind, number = DEVICES[device]
    try:
        os.mknod(root / ENV, kind | 0o666, number)
    except (PermissionError, OSError) as error:
        pytest.skip(f"this machine lets nobody make devices: {error.strerror}")
    opened: list[object] = []
    honest = os.open
    monkeypatch.setattr(
        os, "open", lambda path, *args, **kwargs: opened.append(path) or honest(path, *args, **kwargs)
    )
    with JailRoot.open(root) as jail:
        with pytest.raises(UnsafePathError, match="not a regular file"):
            jail.read_file(ENV, 100)
        [found] = jail.digests([HOME])[:1]
        assert (found.kind, found.sha256) == ("other", None)
        assert ".env" not in opened
        jail.install_file(ENV, b"KEY=1\n", mode=0o600)
        assert jail.read_file(ENV, 100) == b"KEY=1\n"
    assert stat.S_ISREG((root / ENV).lstat().st_mode)


# --- folders that nothing may change -------------------------------------------------------------------

_FS_IOC_GETFLAGS, _FS_IOC_SETFLAGS, _FS_IMMUTABLE_FL = 0x80086601, 0x40086602, 0x10


@contextlib.contextmanager
def immutable(path: Path) -> Iterator[None]:
    """Like chattr +i on Linux; the tenant's schg on FreeBSD is the same to us."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            before = struct.unpack("l", fcntl.ioctl(descriptor, _FS_IOC_GETFLAGS, struct.pack("l", 0)))[0]
            fcntl.ioctl(descriptor, _FS_IOC_SETFLAGS, struct.pack("l", before | _FS_IMMUTABLE_FL))
        except OSError as error:
            pytest.skip(f"this file system or user cannot make folders immutable: {error.strerror}")
        try:
            yield
        finally:
            fcntl.ioctl(descriptor, _FS_IOC_SETFLAGS, struct.pack("l", before))
    finally:
        os.close(descriptor)


@pytest.mark.skipif(sys.platform != "linux", reason="the flags are set by Linux's ioctl")
@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_an_immutable_folder_is_a_clean_failure(attempt: str, root: Path) -> None:
    before = names(root)
    with contextlib.ExitStack() as stack:
        stack.enter_context(immutable(root / HOME))
        stack.enter_context(immutable(root / SKILLS))
        with JailRoot.open(root) as jail, pytest.raises(HostError):
            ATTEMPTS[attempt](jail)
    assert names(root) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes whatever the mode is")
@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_folder_that_may_not_be_written_is_a_clean_failure(attempt: str, root: Path) -> None:
    before = names(root)
    for path in (SKILLS, HOME):
        (root / path).chmod(0o555)
    try:
        with JailRoot.open(root) as jail, pytest.raises(HostError):
            ATTEMPTS[attempt](jail)
    finally:
        for path in (HOME, SKILLS):
            (root / path).chmod(0o755)
    assert names(root) == before


@pytest.mark.skipif(sys.platform != "linux", reason="the flags are set by Linux's ioctl")
def test_a_jail_with_an_immutable_folder_is_destroyed_later(root: Path, tmp_path: Path) -> None:
    host = DirectoryHost(tmp_path / "jails")
    with immutable(root / SKILLS), pytest.raises(HostError):
        host.destroy(ACME, mark="ours")
    assert not host.exists(ACME)  # from the first moment on
    [left] = list((tmp_path / "jails").glob(".gone-*"))
    for path in left.rglob("*"):
        if path.is_dir():
            subprocess.run(["chattr", "-i", str(path)], check=False, capture_output=True)
    host.destroy(ACME, mark="ours")
    assert list((tmp_path / "jails").iterdir()) == []


# --- full disks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("attempt", LARGE)
def test_a_write_that_is_cut_short_leaves_nothing(attempt: str, root: Path) -> None:
    """A limit on file sizes stands for the full disk: the write begins, and does not end."""
    (root / ENV).write_bytes(b"OLD=1\n")
    before = names(root)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        with JailRoot.open(root) as jail, pytest.raises(HostError):
            LARGE[attempt](jail)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert names(root) == before
    assert (root / ENV).read_bytes() == b"OLD=1\n"


@contextlib.contextmanager
def mounted(*words: str, at: Path) -> Iterator[None]:
    """Mount something; skip aloud where that is not possible."""
    made = subprocess.run(["mount", *words, str(at)], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"this machine lets nobody mount: {made.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(at)], check=True)


linux_root = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="mounting takes root, and these words Linux"
)


@linux_root
@pytest.mark.parametrize("attempt", LARGE)
def test_a_full_disk_leaves_nothing(attempt: str, tmp_path: Path) -> None:
    base = tmp_path / "small"
    base.mkdir()
    with mounted("-t", "tmpfs", "-o", "size=256k,mode=755", "tmpfs", at=base):
        host = DirectoryHost(base / "jails")
        host.create(ACME, mark="ours")
        root = Path(host.describe(ACME))
        (root / SKILLS).mkdir(parents=True)
        (root / ENV).write_bytes(b"OLD=1\n")
        with (root / "fill").open("wb", buffering=0) as fill, contextlib.suppress(OSError):
            while fill.write(b"x" * 4096):
                pass
        before = names(root)
        with JailRoot.open(root) as jail, pytest.raises(HostError) as caught:
            LARGE[attempt](jail)
        assert caught.value.facts["errno"] == errno.ENOSPC
        assert names(root) == before
        assert (root / ENV).read_bytes() == b"OLD=1\n"
        host.destroy(ACME, mark="ours")
        assert not host.exists(ACME)


# --- mounts in the way ---------------------------------------------------------------------------------

MOUNTS = {"another file system": ("-t", "tmpfs", "tmpfs"), "a folder of the host's": ("--bind",)}


@linux_root
@pytest.mark.parametrize("mount", MOUNTS)
@pytest.mark.parametrize("place", ["usr", "usr/home", HOME, SKILLS])
def test_what_is_mounted_inside_is_neither_written_nor_read(
    place: str, mount: str, root: Path, tmp_path: Path
) -> None:
    """A bind mount has the device number of what it shows, so that number alone does not tell."""
    outside = tmp_path / "outside"
    for path in (
        "home/agent/skills/web-search",
        "agent/skills/web-search",
        "skills/web-search",
        "web-search",
    ):
        (outside / path).mkdir(parents=True)
    for path in ("home/agent/.env", "agent/.env", ".env"):
        (outside / path).write_bytes(b"the host's")
    before = names(outside)
    words = (*MOUNTS[mount], str(outside)) if mount.startswith("a folder") else MOUNTS[mount]
    attempts: list[Callable[[JailRoot], object]] = [
        ATTEMPTS["install_tree"],
        ATTEMPTS["enter"],
        lambda jail: jail.install_tree(SKILLS, "web-search", BUNDLE, replace=True),
        lambda jail: jail.tree_matches(SKILLS, "web-search", BUNDLE),
        lambda jail: jail.digests([SKILLS]),
        lambda jail: jail.remove_tree(f"{SKILLS}/web-search"),
    ]
    if place != SKILLS:
        attempts += [ATTEMPTS["install_file"], lambda jail: jail.read_file(ENV, 100)]
    with mounted(*words, at=root / place), JailRoot.open(root) as jail:
        for attempt in attempts:
            with pytest.raises(UnsafePathError, match="is mounted here") as caught:
                attempt(jail)
            assert caught.value.facts["component"] == place.rpartition("/")[2]
        assert {item.path: item.kind for item in jail.digests([""])}[place] == "mount"
        assert {item.path: item.kind for item in jail.listing()}[place] == "other"
        assert not [item for item in jail.listing() if item.path.startswith(f"{place}/")]
    assert names(outside) == before
    with JailRoot.open(root) as jail:
        ATTEMPTS["install_tree"](jail)


@linux_root
@pytest.mark.parametrize("mount", MOUNTS)
def test_a_jail_with_something_mounted_inside_loses_its_name_and_nothing_else(
    mount: str, root: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    (outside / "precious").mkdir(parents=True)
    (outside / "precious/f").write_text("the host's")
    words = (*MOUNTS[mount], str(outside)) if mount.startswith("a folder") else MOUNTS[mount]
    host = DirectoryHost(tmp_path / "jails")
    made = subprocess.run(["mount", *words, str(root / HOME)], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"this machine lets nobody mount: {made.stderr.strip()}")
    try:
        with pytest.raises(HostError):
            host.destroy(ACME, mark="ours")
    finally:
        for path in (root / HOME, *(tmp_path / "jails").glob(f".gone-*/root/{HOME}")):
            subprocess.run(["umount", str(path)], check=False, capture_output=True)
    assert (outside / "precious/f").read_text() == "the host's"
    assert not host.exists(ACME)
    host.destroy(ACME, mark="ours")
    assert list((tmp_path / "jails").iterdir()) == []
