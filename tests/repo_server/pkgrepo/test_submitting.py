"""Publishing to a repository elsewhere, over real HTTP: what travels, what is resumed, what is believed."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from werkzeug.wrappers import Response

from repo_server.db import log
from repo_server.db.models import PackageSerialRow
from repo_server.db.session import snapshot
from repo_server.pkgrepo.submitting import Outcome
from repo_server.pkgrepo.uploads import FOLDER
from repo_server.tokens import Scope
from signing.errors import ConflictError, SkillRepoError, TransportError
from tests.repo_server.desk.liar import Liar
from tests.repo_server.desk.scene import Scene
from tests.support.publishing import copy_fixture, later, local_desk, make_build, publish, remote_desk
from tests.support.world import PACKAGES, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.build(tmp_path / "world")


@pytest.fixture
def liar() -> Liar:
    return Liar()


@pytest.fixture
def scene(world: World, tmp_path: Path, liar: Liar) -> Iterator[Scene]:
    with Scene(world, tmp_path / "people").serving(liar.wrap) as served:
        yield served


def serials(world: World) -> list[int]:
    with snapshot(world.repository.engine) as session:
        return sorted(session.scalars(select(PackageSerialRow.serial)))


def parts(world: World) -> list[Path]:
    folder = world.repository.folder / FOLDER
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".done"]


def test_a_build_is_published_over_http_and_looked_at_again(scene: Scene, tmp_path: Path, liar: Liar) -> None:
    told: list[str] = []
    build = copy_fixture(tmp_path / "build")
    desk = remote_desk(scene, tmp_path / "host")
    outcome = publish(scene.world, build, desk=desk, tell=told.append)
    assert (outcome.state, outcome.index.serial, outcome.pkg_site_checked) == ("published", 1, True)
    assert any(line.startswith("sent ") for line in told)
    assert liar.count("PUT ") == outcome.sent
    assert liar.count("/pkg/FreeBSD:14:amd64/latest/data.pkg") == 1
    assert parts(scene.world) == []
    with snapshot(scene.world.repository.engine) as session:
        events = [record.event for record in log.read(session)]
        log.check(session)
    assert events[-2:] == ["packages.published", "desk.build"]
    # The same again, from the same host: nothing is sent, signed or published.
    liar.asked.clear()
    again = publish(scene.world, build, desk=desk)
    assert (again.state, liar.count("PUT "), liar.count("POST ")) == ("unchanged", 0, 0)


def test_the_next_build_sends_what_is_new_and_keeps_what_is_gone(
    scene: Scene, tmp_path: Path, liar: Liar
) -> None:
    desk = remote_desk(scene, tmp_path / "host")
    publish(scene.world, make_build(tmp_path / "one", {"demo": "1.0", "base": "2.0"}), desk=desk)
    liar.asked.clear()
    outcome = publish(scene.world, make_build(tmp_path / "two", {"demo": "1.1", "base": "2.0"}), desk=desk)
    assert outcome.index.serial == 2
    assert [str(package.pin) for package in outcome.index.kept] == ["demo-1.0"]
    assert liar.count("PUT ") == outcome.sent == 4


def test_local_and_remote_make_the_same_index(world: World, tmp_path: Path) -> None:
    at = later(seconds=0)
    other = world.copy_to(tmp_path / "other")
    build = make_build(tmp_path / "build", {"demo": "1.0", "base": "2.0"})
    with Scene(world, tmp_path / "people").serving() as scene:
        far = publish(world, build, desk=remote_desk(scene, tmp_path / "host"), at=at)
    near = publish(other, build, desk=local_desk(other), at=at)
    assert far.index == near.index
    other.close()


def test_a_large_file_goes_up_in_pieces_and_goes_on_where_it_broke(
    scene: Scene, tmp_path: Path, liar: Liar
) -> None:
    broken: list[str] = []

    def breaks(said: Any) -> Any:
        if len(broken) < 2 and liar.asked[-1].startswith("PUT "):
            broken.append(liar.asked[-1])
            return Response("gone", status=502)
        return said

    build = make_build(tmp_path / "build", {"demo": "1.0"}, comment="x" * 5000)
    desk = remote_desk(scene, tmp_path / "host", piece=4096, at_once=1)
    liar.lies["/uploads/"] = breaks
    outcome = publish(scene.world, build, desk=desk)
    assert outcome.state == "published"
    assert len(broken) == 2
    # What had arrived before the answer was lost was not sent again: the server was asked where to go on.
    puts = [line for line in liar.asked if line.startswith("PUT ")]
    assert len(puts) <= sum(-(-size // 4096) for size in sizes(build, outcome)) + len(broken)
    assert liar.count("GET /api/v1/desk/pkg") >= 2


def sizes(build: Path, outcome: Outcome) -> list[int]:
    return [
        *(package.size for package in outcome.index.packages),
        *(file.size for file in outcome.index.catalogue),
        len(outcome.index.render()),
    ]


def test_a_refusal_is_not_tried_again(scene: Scene, tmp_path: Path, liar: Liar) -> None:
    problem = (
        b'{"code":"not-entitled","detail":"no","error":{"code":"not-entitled","message":"no"},"status":403}'
    )
    liar.lies["/uploads/"] = lambda _: Response(problem, status=403, mimetype="application/problem+json")
    desk = remote_desk(scene, tmp_path / "host", at_once=1)
    with pytest.raises(SkillRepoError, match="no"):
        publish(scene.world, make_build(tmp_path / "build", {"demo": "1.0"}), desk=desk)
    assert liar.count("PUT ") == 1
    assert serials(scene.world) == []


def test_a_server_that_never_answers_ends_the_patience(scene: Scene, tmp_path: Path, liar: Liar) -> None:
    waited: list[float] = []
    liar.lies["/missing"] = lambda _: Response("busy", status=503)
    desk = remote_desk(scene, tmp_path / "host", sleep=waited.append)
    with pytest.raises(TransportError):
        publish(scene.world, make_build(tmp_path / "build", {"demo": "1.0"}), desk=desk)
    assert waited == sorted(waited)
    assert len(waited) == 5
    assert serials(scene.world) == []


def test_an_answer_that_was_lost_is_found_out_by_looking(scene: Scene, tmp_path: Path, liar: Liar) -> None:
    liar.lies["/builds"] = lambda _: Response("gateway", status=504)
    desk = remote_desk(scene, tmp_path / "host")
    outcome = publish(scene.world, make_build(tmp_path / "build", {"demo": "1.0"}), desk=desk)
    assert outcome.state == "published"
    assert serials(scene.world) == [1]
    assert liar.count("/builds") == 1


def test_two_hosts_at_once_one_wins_and_the_other_goes_on_top(scene: Scene, tmp_path: Path) -> None:
    one = make_build(tmp_path / "one", {"demo": "1.0"})
    two = make_build(tmp_path / "two", {"demo": "1.1"})
    gate = threading.Barrier(2, timeout=20)
    results: list[Any] = []

    def run(name: str, build: Path) -> None:
        desk = remote_desk(scene, tmp_path / name)
        try:
            results.append(publish(scene.world, build, desk=_Together(desk, gate)))
        except ConflictError as error:
            results.append(error)

    threads = [threading.Thread(target=run, args=args) for args in (("a", one), ("b", two))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    won = [item for item in results if isinstance(item, Outcome)]
    lost = [item for item in results if isinstance(item, ConflictError)]
    assert (len(won), len(lost)) == (1, 1)
    assert "run the same command again" in lost[0].hint
    assert serials(scene.world) == [1]
    again = publish(
        scene.world, make_build(tmp_path / "three", {"demo": "1.2"}), desk=remote_desk(scene, tmp_path / "b")
    )
    assert again.index.serial == 2


class _Together:
    """A desk whose builds are handed in at the same moment as another's."""

    def __init__(self, desk: Any, gate: threading.Barrier) -> None:
        self._desk, self._gate = desk, gate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._desk, name)

    def hand_in(self, *arguments: Any, **options: Any) -> Any:
        self._gate.wait()
        return self._desk.hand_in(*arguments, **options)


def test_where_packages_take_a_token_pkg_s_files_are_not_looked_at_and_that_is_said(
    scene: Scene, tmp_path: Path, liar: Liar
) -> None:
    liar.lies[f"/pkg/{PACKAGES.abi}/{PACKAGES.channel}/data.pkg"] = lambda _: Response("token", status=401)
    liar.lies[f"/pkg/{PACKAGES.abi}/{PACKAGES.channel}/meta.conf"] = lambda _: Response("token", status=401)
    liar.lies[f"/pkg/{PACKAGES.abi}/{PACKAGES.channel}/meta"] = lambda _: Response("token", status=401)
    desk = remote_desk(scene, tmp_path / "host")
    outcome = publish(scene.world, make_build(tmp_path / "build", {"demo": "1.0"}), desk=desk)
    assert (outcome.state, outcome.pkg_site_checked) == ("published", False)


def test_a_role_that_has_ended_is_continued(scene: Scene, tmp_path: Path) -> None:
    build = make_build(tmp_path / "build", {"demo": "1.0"})
    token = scene.token("builder", scope=Scope.parse(f"publish-pkg:{PACKAGES}"), days=90)
    desk = remote_desk(scene, tmp_path / "host", token=token)
    publish(scene.world, build, desk=desk)
    scene.world.refresh(at=later(days=40))
    scene.clock = lambda: later(days=40)
    outcome = publish(scene.world, build, desk=desk, at=later(days=40))
    assert outcome.state == "renewed"
