"""Four clients with one metadata folder: python-tuf alone crashes in a tenth of the runs; the lock is ours."""

import subprocess
import sys
import textwrap
import threading

import pytest

from repo_client.updater import locked
from signing.errors import ConflictError
from signing.format.names import Pin
from tests.attacks.scene import Scene
from tests.support.world import now

PIN = Pin.parse("web-search==1.0")
CLIENTS, TURNS = 4, 3


def test_four_threads_with_one_folder(scene: Scene) -> None:
    wrong: list[BaseException] = []
    trees: list[str] = []

    def work() -> None:
        try:
            for _ in range(TURNS):
                with scene.mother.client.session(now()) as session:
                    trees.append(session.release(PIN).bundle.tree_sha256)
        except BaseException as error:  # noqa: BLE001 - any crash is what is looked for
            wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        scene.world.refresh()  # the state moves on while they look
    for thread in threads:
        thread.join(60)
    assert wrong == []
    assert len(trees) == CLIENTS * TURNS
    assert len(set(trees)) == 1
    assert list((scene.mother.state / "store").rglob(".new-*")) == []


def test_four_processes_with_one_folder(scene: Scene) -> None:
    state, anchor = scene.mother.state, scene.world.folder / "repo/trust-anchor.json"
    program = textwrap.dedent(
        f"""
        from datetime import UTC, datetime
        from pathlib import Path
        from repo_client.client import RepoClient
        from repo_client.updater import Server
        from signing.format.names import Pin
        state = Path({str(state)!r})
        client = RepoClient(anchor=Path({str(anchor)!r}).read_bytes(), server=Server.parse({scene.server.url!r}),
                            metadata_dir=state / "metadata", store_dir=state / "store")
        with client.session(datetime.now(UTC)) as session:
            print(session.release(Pin.parse({str(PIN)!r})).bundle.tree_sha256)
        """
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(CLIENTS)
    ]
    ended = [(*process.communicate(timeout=60), process.returncode) for process in running]
    assert [(error, status) for _, error, status in ended] == [("", 0)] * CLIENTS
    assert len({line for out, _, _ in ended for line in out.split()}) == 1
    scene.born()
    assert scene.remembered()["timestamp"] >= 1


def test_who_waits_too_long_is_told(scene: Scene) -> None:
    with scene.mother.client.session(now()):
        with pytest.raises(ConflictError) as caught, locked(scene.metadata, seconds=0.1):
            raise AssertionError("two at once")
        assert caught.value.code == "conflict"
    with locked(scene.metadata, seconds=0):
        pass
