"""Rollback: a server offers an older state than one already seen, to bring back what was withdrawn.

Everything offered here was honestly signed once and has not expired. What stops it is memory: one folder per
host, durable, checked on every use.
"""

import shutil
import subprocess
import sys
import textwrap

import pytest

from signing.errors import RollbackError
from tests.attacks.forge import Forge
from tests.attacks.scene import Scene
from tests.support.world import PlainServer, now

BUNDLE = "skills/web-search/1.0/web-search-1.0.tar.gz"


def see_newer_state(scene: Scene) -> tuple[dict[str, bytes], dict[str, int]]:
    """Let the client see a state with one more skill; return the state before, and what is remembered now."""
    old = scene.world.metadata()
    scene.world.publish_skill("calendar==1.0")
    scene.world.publish_profile("base==2", skills=["calendar==1.0", "web-search==1.0"])
    scene.born()
    return old, scene.remembered()


def serve(server: PlainServer, metadata: dict[str, bytes], only: str = "") -> None:
    server.lies.update({f"/metadata/{name}": data for name, data in metadata.items() if only in name})


def test_the_whole_old_repository_is_refused(scene: Scene) -> None:
    old, seen = see_newer_state(scene)
    scene.register("other")
    serve(scene.server, old)
    scene.server.missing |= {f"/metadata/{name}" for name in scene.world.metadata() if name not in old}
    refusal = scene.refused(RollbackError, code="rollback", name="other")
    assert scene.remembered() == seen
    assert refusal.requests == ["/metadata/2.root.json", "/metadata/timestamp.json"]


def test_an_old_timestamp_is_refused(scene: Scene) -> None:
    old, seen = see_newer_state(scene)
    scene.register("other")
    serve(scene.server, old, only="timestamp")
    refusal = scene.refused(RollbackError, code="rollback", name="other")
    assert scene.remembered() == seen
    assert refusal.requests[-1] == "/metadata/timestamp.json"


def test_an_old_snapshot_under_a_new_timestamp_is_refused(scene: Scene, forge: Forge) -> None:
    _, seen = see_newer_state(scene)
    scene.register("other")
    forge.timestamp(lambda signed: setattr(signed, "version", seen["timestamp"] + 1))
    forge.answer(scene.server)  # signed by the stolen online key, over the snapshot from before
    refusal = scene.refused(RollbackError, code="rollback", name="other")
    assert scene.remembered() == seen  # the newer timestamp was not believed either
    assert refusal.requests[-1] == "/metadata/timestamp.json"


@pytest.mark.parametrize("role", ["profiles", "bin", "revocations"])
def test_an_old_role_under_a_new_snapshot_is_refused(scene: Scene, forge: Forge, role: str) -> None:
    role = forge.owner("skills/calendar/1.0/calendar-1.0.tar.gz") if role == "bin" else role
    newer = scene.forge()
    newer.change(role, by=["alice", "bob", "olga"])
    newer.state()
    newer.answer(scene.server)
    scene.born()
    seen = scene.remembered()
    scene.register("other")
    forge.state(snapshot=[lambda signed: setattr(signed, "version", seen["snapshot"] + 1)])
    forge.timestamp(lambda signed: setattr(signed, "version", seen["timestamp"] + 1))
    forge.answer(scene.server)
    refusal = scene.refused(RollbackError, code="rollback", name="other")
    assert {**scene.remembered(), "timestamp": 0} == {**seen, "timestamp": 0}
    assert refusal.requests[-1].endswith(".snapshot.json")


def test_a_role_that_vanishes_from_the_snapshot_is_refused(scene: Scene, forge: Forge) -> None:
    scene.born()
    scene.register("other")
    forge.state(snapshot=[lambda signed: signed.meta.pop("revocations.json")])
    forge.answer(scene.server)
    refusal = scene.refused(name="other")
    assert not refusal.targets
    assert scene.remembered()["snapshot"] < forge.version("snapshot")


def test_the_memory_survives_the_process(scene: Scene) -> None:
    """One process sees the new state and ends; the next is offered the old one."""
    old = scene.world.metadata()
    scene.world.refresh()
    folder = scene.metadata
    program = textwrap.dedent(
        f"""
        from pathlib import Path
        from repo_client.fetcher import FetchLimits
        from repo_client.updater import Server, refreshed
        anchor = Path({str(scene.world.folder / "repo" / "trust-anchor.json")!r}).read_bytes()
        server = Server.parse({scene.server.url!r})
        with refreshed(Path({str(folder)!r}), server=server, anchor=anchor, limits=FetchLimits()):
            print("refreshed")
        """
    )
    first = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert first.stdout == "refreshed\n"
    seen = scene.remembered()
    serve(scene.server, old, only="timestamp")
    second = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert second.returncode == 1
    assert "RollbackError" in second.stderr
    assert scene.remembered() == seen


def test_a_killed_refresh_does_not_forget(scene: Scene) -> None:
    """What was learned before a refusal stays known: the snapshot is missing, the timestamp was new."""
    old = scene.world.metadata()
    scene.world.publish_skill("calendar==1.0")
    newest = max(
        int(name.split(".")[0]) for name in scene.world.metadata() if name.endswith(".snapshot.json")
    )
    scene.server.missing.add(f"/metadata/{newest}.snapshot.json")
    scene.refused(Exception)
    seen = scene.remembered()["timestamp"]
    serve(scene.server, old, only="timestamp")
    scene.refused(RollbackError, code="rollback")
    assert scene.remembered()["timestamp"] == seen


def test_a_lost_folder_is_not_a_lost_memory(scene: Scene) -> None:
    """Delete the client's folder, or name another one: the host's database still knows what was seen."""
    old, _ = see_newer_state(scene)
    scene.register("other")
    serve(scene.server, old)
    scene.server.missing |= {f"/metadata/{name}" for name in scene.world.metadata() if name not in old}
    scene.refused(RollbackError, name="other")
    shutil.rmtree(scene.metadata)
    refusal = scene.refused(RollbackError, name="other")
    assert "this host has seen" in str(refusal.error)


def test_torn_files_are_not_a_lost_memory(scene: Scene) -> None:
    """What a power cut can leave of python-tuf's files (empty ones) does not let an older state in."""
    old, _ = see_newer_state(scene)
    scene.register("other")
    serve(scene.server, old)
    scene.server.missing |= {f"/metadata/{name}" for name in scene.world.metadata() if name not in old}
    for name in ("timestamp.json", "snapshot.json"):
        (scene.metadata / name).write_bytes(b"")
    refusal = scene.refused(RollbackError, name="other")
    assert "was seen here already" in str(refusal.error)


def test_without_any_memory_a_client_cannot_know(scene: Scene) -> None:
    """The limit of it, written down: on a new host, an old state that has not expired is news.

    So folder and database are the host's state, not a cache; the timestamp's 24 hours bound the damage.
    """
    old, seen = see_newer_state(scene)
    serve(scene.server, old)
    scene.server.missing |= {f"/metadata/{name}" for name in scene.world.metadata() if name not in old}
    shutil.rmtree(scene.metadata)
    with scene.mother.client.session(now()) as session:
        assert session.standing().timestamp < seen["timestamp"]


def test_an_old_bundle_is_not_served_from_a_stale_role(scene: Scene) -> None:
    """Roles of an older snapshot stay in the folder; nothing is looked up in them."""
    see_newer_state(scene)
    scene.register("other", profile="base==2")
    assert scene.born("other")["skills"] == ["calendar==1.0", "web-search==1.0"]
