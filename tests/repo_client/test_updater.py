"""The locked, durable memory of a client; and what python-tuf raises, as our errors."""

import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tuf.api import exceptions as tuf_errors

from repo_client import updater
from repo_client.fetcher import FetchLimits
from repo_client.updater import Server, locked, make_durable, our_error, refreshed
from signing.errors import ConflictError, FormatError, HostError, RollbackError, SkillRepoError
from signing.format.names import REVOCATIONS_PATH, Pin
from tests.support.hurry import in_a_hurry
from tests.support.world import PlainServer, World, now

LIMITS = FetchLimits(gap=5, deadline=10)
PIN = Pin.parse("web-search==1.0")


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield


def refresh(world: World, server: PlainServer, folder: Path) -> dict[str, int]:
    with refreshed(folder, server=Server.parse(server.url), anchor=world.anchor, limits=LIMITS) as update:
        return dict(update.trusted(now(), REVOCATIONS_PATH).versions)


# --- the lock --------------------------------------------------------------------------------------


def test_the_lock_is_exclusive_and_ends_with_the_block(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "metadata"
    with locked(folder, seconds=0):
        start = time.monotonic()
        with pytest.raises(ConflictError), locked(folder, seconds=0.2):
            raise AssertionError("two at once")
        assert 0.2 <= time.monotonic() - start < 20
    with locked(folder, seconds=0):
        pass
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_who_waits_gets_the_lock(tmp_path: Path) -> None:
    released = threading.Event()

    def hold() -> None:
        with locked(tmp_path):
            holding.set()
            released.wait(60)

    holding = threading.Event()
    holder = threading.Thread(target=hold)
    holder.start()
    assert holding.wait(60)
    threading.Timer(0.1, released.set).start()
    with locked(tmp_path, seconds=5):
        assert released.is_set()
    holder.join(60)


def test_the_lock_of_a_dead_process_is_free(tmp_path: Path) -> None:
    program = "import os, pathlib, sys; from repo_client.updater import locked\n"
    program += "with locked(pathlib.Path(sys.argv[1])): os._exit(3)  # without releasing anything"
    assert (
        subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, timeout=30).returncode
        == 3
    )
    with locked(tmp_path, seconds=0):
        pass


def test_an_error_inside_releases_the_lock(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        raise ZeroDivisionError
    with locked(tmp_path, seconds=0):
        pass


def test_a_folder_that_cannot_be_locked_is_the_hosts_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(HostError), locked(tmp_path / "file"):
        raise AssertionError("locked nothing")


# --- the memory ------------------------------------------------------------------------------------


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of everything that was fsynced."""
    names: list[str] = []
    honest = os.fsync

    def record(descriptor: int) -> None:
        names.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        honest(descriptor)

    if not Path("/proc/self/fd").exists():
        pytest.skip("descriptors have no names here")
    monkeypatch.setattr(os, "fsync", record)
    return names


def test_what_was_learned_is_on_disk_before_it_is_used(
    world: World, tmp_path: Path, synced: list[str]
) -> None:
    """A rollback memory that a power cut erases is none."""
    folder = tmp_path / "metadata"
    with world.serve() as server:
        server_at = Server.parse(server.url)
        with refreshed(folder, server=server_at, anchor=world.anchor, limits=LIMITS) as update:
            wanted = {str(folder / f"{name}.json") for name in ("timestamp", "snapshot", "targets")}
            wanted |= {str(folder), str(folder / "root_history"), str(folder / "root_history/1.root.json")}
            assert wanted <= set(synced)
            synced.clear()
            assert not (folder / "revocations.json").exists()
            update.trusted(now(), REVOCATIONS_PATH)
            assert (folder / "revocations.json").exists()
            # The bytes before the name: written under another one, renamed, and then the folder.
            assert [Path(name).parent == folder for name in synced] == [True, False]
            assert synced[1] == str(folder)


def test_what_was_learned_before_a_refusal_is_on_disk_too(
    world: World, tmp_path: Path, synced: list[str]
) -> None:
    folder = tmp_path / "metadata"
    with world.serve() as server:
        server.missing |= {f"/metadata/{name}" for name in world.metadata() if name.endswith("snapshot.json")}
        with pytest.raises(SkillRepoError):
            refresh(world, server, folder)
    assert str(folder / "timestamp.json") in synced


def test_a_disk_that_refuses_stops_the_refresh(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(5, "Input/output error")

    with world.serve() as server, monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(HostError):
            refresh(world, server, tmp_path / "metadata")


def test_make_durable_of_nothing(tmp_path: Path) -> None:
    make_durable(tmp_path / "absent")
    make_durable(tmp_path)


def test_a_refresh_remembers_and_asks_for_little(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "metadata"
    with world.serve() as server:
        first = refresh(world, server, folder)
        before = len(server.requests)
        assert refresh(world, server, folder) == first
        assert server.requests[before:] == ["/metadata/2.root.json", "/metadata/timestamp.json"]
        world.refresh()
        assert refresh(world, server, folder)["timestamp"] == first["timestamp"] + 1


def test_after_every_publication_every_role_is_read_anew(world: World, tmp_path: Path) -> None:
    """Roles of the last snapshot lie in the folder; in a new session they are fetched, not believed or refused."""
    client_state = tmp_path / "client"
    with world.serve() as server:
        client = world.client(server.url, client_state)
        for number in (2, 3):
            with client.session(now()) as session:
                session.revocations()
                session.profile(Pin.parse(f"base=={number - 1}"))
                session.release(PIN)
            world.publish_skill(f"calendar=={number}.0")
            world.publish_profile(f"base=={number}", skills=["web-search==1.0", f"calendar=={number}.0"])
            with client.session(now()) as session:
                session.revocations()
                profile = session.profile(Pin.parse(f"base=={number}")).profile
                assert [str(session.release(item.pin).pin) for item in profile.skills] == [
                    f"calendar=={number}.0",
                    "web-search==1.0",
                ]
            with client.session(now()) as session:  # in another order
                session.release(Pin.parse(f"calendar=={number}.0"))
                session.profile(Pin.parse(f"base=={number}"))
                session.revocations()


@pytest.mark.parametrize("damage", [b"", b"{", b"null", bytes(300)], ids=["empty", "cut", "null", "zeros"])
@pytest.mark.parametrize("name", ["snapshot.json", "targets.json", "revocations.json", "root.json"])
def test_damaged_files_are_fetched_again(world: World, tmp_path: Path, name: str, damage: bytes) -> None:
    folder = tmp_path / "metadata"
    with world.serve() as server:
        first = refresh(world, server, folder)
        (folder / name).resolve().write_bytes(damage)
        assert refresh(world, server, folder) == first


def test_another_anchor_in_the_same_folder_is_refused(world: World, tmp_path: Path) -> None:
    other = World.build(tmp_path / "other", bins=2)
    try:
        with world.serve() as server:
            refresh(world, server, tmp_path / "metadata")
            with pytest.raises(SkillRepoError):
                refresh(other, server, tmp_path / "metadata")
            assert refresh(world, server, tmp_path / "metadata")["root"] == 1
    finally:
        other.close()


# --- translation -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (tuf_errors.ExpiredMetadataError("x"), "expired"),
        (tuf_errors.BadVersionNumberError("x"), "rollback"),
        (tuf_errors.EqualVersionNumberError("x"), "rollback"),
        (tuf_errors.LengthOrHashMismatchError("x"), "digest-mismatch"),
        (tuf_errors.DownloadLengthMismatchError("x"), "digest-mismatch"),
        (tuf_errors.UnsignedMetadataError("x"), "bad-signature"),
        (tuf_errors.DownloadHTTPError("x", 404), "not-found"),
        (tuf_errors.DownloadHTTPError("x", 403), "not-found"),
        (tuf_errors.DownloadHTTPError("x", 500), "unreachable"),
        (tuf_errors.SlowRetrievalError("x"), "unreachable"),
        (tuf_errors.DownloadError("x"), "unreachable"),
        (tuf_errors.RepositoryError("x"), "could-not-verify"),
        (PermissionError(13, "x"), "host-failed"),
        (RecursionError(), "could-not-verify"),
        (UnicodeDecodeError("utf-8", b"", 0, 1, "x"), "could-not-verify"),
        (KeyError("x"), "could-not-verify"),
        (MemoryError(), "could-not-verify"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_libraries_raise(error: Exception, code: str) -> None:
    assert our_error(error).code == code


def test_our_own_errors_pass() -> None:
    with pytest.raises(RollbackError), updater.translated_errors():
        raise RollbackError("ours")


@pytest.mark.parametrize("url", ["http://skills.clawdie.si", "file:///x", ""])
def test_servers(url: str) -> None:
    with pytest.raises(FormatError):
        Server.parse(url)
    assert Server.parse("https://skills.clawdie.si/").base == "https://skills.clawdie.si"
