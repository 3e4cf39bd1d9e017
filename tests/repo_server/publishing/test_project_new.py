"""Publishing costs what is new: what is whole already is neither read, nor signed anew, nor looked at."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import delete, select
from tuf.api.metadata import Snapshot

from repo_server.db.models import ReleaseRow
from repo_server.db.session import snapshot, transaction
from repo_server.publishing import publish as publishing
from repo_server.publishing import well_known
from repo_server.publishing.state import current, current_files, newest_versions
from signing.errors import ConflictError, WrongSubjectError
from signing.format.digest import sha256_of
from signing.format.names import Pin
from signing.metadata import parse
from signing.roles import SNAPSHOT
from tests.support.world import World, now, skill_md


def signed(world: World, pin: str) -> str:
    candidate = world.import_skill(pin)
    world.review(candidate)
    for name in ("alice", "bob"):
        world.sign(candidate, by=name)
    return candidate


def archive_of(world: World, pin: str) -> Path:
    wanted = Pin.parse(pin)
    (found,) = (world.public / "targets/skills" / wanted.name / wanted.version).glob("*.tar.gz")
    return found


def names_in(world: World, standard: str) -> list[str]:
    document = json.loads((world.public / ".well-known" / standard / "index.json").read_bytes())
    return [entry["name"] for entry in document["skills"]]


def verified_by_a_client(world: World, *pins: str) -> None:
    with world.serve() as server, world.client(server.url, world.folder / "client").session(now()) as session:
        for pin in pins:
            assert session.release(Pin.parse(pin)).pin == Pin.parse(pin)


# --- the tree --------------------------------------------------------------------------------------------


def test_what_was_whole_before_is_not_looked_at(world: World) -> None:
    old = archive_of(world, "web-search==1.0")
    old.unlink()
    world.publish_skill("pdf-tools==1.0")
    verified_by_a_client(world, "pdf-tools==1.0")
    assert not old.exists()
    world.publish()  # nothing is new: then everything is looked at
    verified_by_a_client(world, "pdf-tools==1.0", "web-search==1.0")


@pytest.mark.parametrize(
    "spoil",
    [
        Path.unlink,
        lambda path: path.write_bytes(b"{"),
        lambda path: path.write_bytes(path.read_bytes() + b"\n"),
    ],
    ids=["gone", "garbage", "another spelling"],
)
def test_a_timestamp_that_is_not_ours_says_nothing(world: World, spoil: Callable[[Path], object]) -> None:
    archive_of(world, "web-search==1.0").unlink()
    spoil(world.public / "metadata/timestamp.json")
    world.publish_skill("pdf-tools==1.0")
    verified_by_a_client(world, "pdf-tools==1.0", "web-search==1.0")


def test_what_a_killed_publisher_left_is_written_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        pass

    def killed(*_: object) -> int:
        raise KilledError

    signed(world, "pdf-tools==1.0")
    with monkeypatch.context() as patch:
        patch.setattr(publishing, "project_new", killed)
        with pytest.raises(KilledError):
            world.publish()
    assert not (world.public / "targets/skills/pdf-tools").exists()
    world.publish_skill("csv-sum==1.0")
    verified_by_a_client(world, "pdf-tools==1.0", "csv-sum==1.0", "web-search==1.0")
    assert (
        names_in(world, "skills") == names_in(world, "agent-skills") == ["csv-sum", "pdf-tools", "web-search"]
    )


# --- the indexes -----------------------------------------------------------------------------------------


def test_a_large_index_is_written_by_whoever_refreshes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(well_known, "_AT_ONCE", 0)
    world.publish_skill("pdf-tools==1.0")
    assert (world.public / ".well-known/skills/pdf-tools/SKILL.md").read_bytes() == skill_md("pdf-tools")
    assert names_in(world, "skills") == names_in(world, "agent-skills") == ["web-search"]
    world.refresh()
    assert names_in(world, "skills") == names_in(world, "agent-skills") == ["pdf-tools", "web-search"]


def test_an_index_that_somebody_spoiled_is_made_anew_by_whoever_refreshes(world: World) -> None:
    index = world.public / ".well-known/skills/index.json"
    index.write_bytes(b'{"skills": [1]}')
    world.publish_skill("pdf-tools==1.0")
    assert names_in(world, "agent-skills") == ["pdf-tools", "web-search"]
    world.refresh()
    assert names_in(world, "skills") == ["pdf-tools", "web-search"]


# --- the snapshot ----------------------------------------------------------------------------------------


def named_by_the_snapshot(world: World) -> dict[str, str]:
    with snapshot(world.repository.engine) as session:
        meta = parse(current(session, SNAPSHOT).content, Snapshot, where=SNAPSHOT).signed.meta
    return {name.removesuffix(".json"): (item.hashes or {})["sha256"] for name, item in meta.items()}


def test_the_newest_versions_are_those_of_the_rows(world: World) -> None:
    world.publish_skill("pdf-tools==1.0")
    world.publish_skill("pdf-tools==1.1")
    with snapshot(world.repository.engine) as session:
        found = newest_versions(session)
        assert found == {
            role: json.loads(content)["signed"]["version"] for role, content in current_files(session).items()
        }
    assert max(found.values()) > 1


def test_a_row_that_was_altered_is_not_taken_into_the_next_snapshot(world: World) -> None:
    with transaction(world.repository.engine) as session:
        row = current(session, "profiles")
        honest, row.content = row.content, row.content + b" "
    world.publish_skill("pdf-tools==1.0")
    assert named_by_the_snapshot(world)["profiles"] == sha256_of(honest)


def test_a_snapshot_that_no_online_key_signed_is_not_continued(world: World) -> None:
    with transaction(world.repository.engine) as session:
        row, honest = current(session, SNAPSHOT), current(session, "profiles").content
        forged = json.loads(row.content)
        forged["signed"]["meta"]["profiles.json"]["hashes"]["sha256"] = "0" * 64
        row.content = json.dumps(forged).encode()
    world.publish_skill("pdf-tools==1.0")
    assert named_by_the_snapshot(world)["profiles"] == sha256_of(honest)
    with snapshot(world.repository.engine) as session:
        files = current_files(session)
    assert named_by_the_snapshot(world) == {role: sha256_of(data) for role, data in files.items()}


# --- what came since it was signed -----------------------------------------------------------------------


def test_a_name_that_is_taken_for_one_of_the_same_run_is_not_published(world: World) -> None:
    signed(world, "pdf-tools==1.0")
    signed(world, "pdf-tool==1.0")
    result = world.publish()
    assert [str(pin) for pin in result.releases] == ["pdf-tools==1.0"]
    ((_, error),) = result.blocked
    assert isinstance(error, WrongSubjectError)


def test_a_name_that_is_taken_for_one_published_since_is_not_published(world: World) -> None:
    signed(world, "pdf-tool==1.0")
    other = signed(world, "pdf-tools==1.0")
    del other
    assert [str(pin) for pin in world.publish().releases] == ["pdf-tool==1.0"]
    with pytest.raises(WrongSubjectError):
        world.publish()
    with snapshot(world.repository.engine) as session:
        assert session.get(ReleaseRow, ("pdf-tools", "1.0")) is None


def test_a_release_published_since_has_to_be_looked_at(world: World) -> None:
    first, second = world.import_skill("web-search==1.1"), world.import_skill("web-search==1.2")
    for candidate in (first, second):
        world.review(candidate)
        for name in ("alice", "bob"):
            world.sign(candidate, by=name)
    result = world.publish()
    assert [str(pin) for pin in result.releases] == ["web-search==1.1"]
    ((_, error),) = result.blocked
    assert isinstance(error, ConflictError)


def test_a_release_taken_out_of_the_database_stops_the_next_of_its_name(world: World) -> None:
    signed(world, "web-search==1.1")
    with transaction(world.repository.engine) as session:
        session.execute(delete(ReleaseRow).where(ReleaseRow.name == "web-search"))
    with pytest.raises(ConflictError):
        world.publish()
    with snapshot(world.repository.engine) as session:
        assert session.scalars(select(ReleaseRow)).all() == []


def test_a_release_put_into_the_database_is_not_believed(world: World) -> None:
    signed(world, "web-search==1.1")
    with transaction(world.repository.engine) as session:
        (row,) = session.scalars(select(ReleaseRow)).all()
        facts = {name: getattr(row, name) for name in ReleaseRow.__table__.columns.keys()}  # noqa: SIM118
        session.add(ReleaseRow(**{**facts, "version": "1.0.5"}))
    assert [str(pin) for pin in world.publish().releases] == ["web-search==1.1"]
