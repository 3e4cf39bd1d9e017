"""Going on after a restore, from a copy that was made to do harm or with a database that did not stand still."""

import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from repo_server.archiving.replicating import replicate
from repo_server.archiving.resuming import resume_from
from repo_server.db import log
from repo_server.db.models import MetadataRow
from repo_server.db.session import snapshot, transaction
from repo_server.publishing.next_root import accept_next_root, draft_next, sign_next
from repo_server.publishing.state import current, current_files
from signing.errors import BadSignatureError, ConflictError, FormatError, NotFoundError, RejectedError
from signing.metadata import build_snapshot, build_timestamp, render, sign
from signing.roles import is_bin
from tests.repo_server.archiving.test_copies import back_up, public, restore, take
from tests.support.serials import make_index, publish_serial
from tests.support.withdrawing import withdraw
from tests.support.world import PlainServer, World, now


@pytest.fixture
def site(world: World) -> Iterator[PlainServer]:
    with world.serve() as server:
        yield server


def unsigned_root(version: int, anchor: bytes) -> bytes:
    """A root that nobody signed."""
    document = json.loads(anchor)
    document["signed"]["version"] = version
    document["signatures"] = []
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("name", "make", "says"),
    [
        ("2.root.json", lambda anchor: anchor, "is root 1"),
        ("2.root.json", partial(unsigned_root, 1), "is root 1"),
        ("2.root.json", partial(unsigned_root, 2), "0 of 1 required signatures"),
        ("1.root.json", lambda anchor: anchor + b" ", "is not the trust anchor"),
        ("1.root.json", None, "the copy lacks"),
    ],
    ids=[
        "the-old-one-again",
        "an-old-one-unsigned",
        "a-new-one-unsigned",
        "not-the-anchor",
        "no-anchor",
    ],
)
def test_no_root_is_published_that_ends_the_chain(
    world: World,
    site: PlainServer,
    tmp_path: Path,
    *,
    name: str,
    make: Callable[[bytes], bytes] | None,
    says: str,
) -> None:
    back_up(world)
    world.publish_skill("lost==1.0")
    seen = take(world, site, tmp_path / "client", "lost==1.0")
    copy = tmp_path / "copy"
    replicate(public(world), copy)
    path = copy / "skills/metadata" / name
    path.unlink(missing_ok=True)
    if make is not None:
        path.write_bytes(make(world.anchor))
    restore(world, tree=False)
    before = world.metadata()
    with pytest.raises((RejectedError, NotFoundError), match=says):
        resume_from(world.repository, copy, world.signers["online"], now=now())
    assert world.metadata() == before
    with snapshot(world.repository.engine) as session:
        assert session.get(MetadataRow, ("root", 2)) is None
    resume_from(world.repository, public(world), world.signers["online"], now=now())
    assert take(world, site, tmp_path / "client", "lost==1.0") == seen + 1


@pytest.mark.parametrize("tree", [False, True], ids=["tree-is-left", "only-a-copy"])
def test_what_was_withdrawn_since_the_backup_is_offered_to_nobody(
    world: World, tmp_path: Path, tree: bool
) -> None:
    world.publish_skill("kept==1.0")
    back_up(world)
    withdraw(world, "web-search==1.0")
    replicate(public(world), tmp_path / "replica")
    restore(world, tree=tree)
    if tree:
        world.refresh()  # offers it again
        assert "web-search" in offered(world)["skills"]
        restore(world, tree=False)
        shutil.rmtree(world.public / "metadata")  # the indexes that offer it stay
    resume_from(world.repository, tmp_path / "replica", world.signers["online"], now=now())
    assert offered(world) == {"skills": ["kept"], "agent-skills": ["kept"]}
    assert [path.name for path in (world.public / ".well-known/skills").iterdir() if path.is_dir()] == [
        "kept"
    ]


def offered(world: World) -> dict[str, list[str]]:
    """The names in both indexes."""
    return {
        standard: [
            item["name"]
            for item in json.loads((world.public / f".well-known/{standard}/index.json").read_bytes())[
                "skills"
            ]
        ]
        for standard in ("skills", "agent-skills")
    }


def publish_next_root(world: World) -> None:
    with transaction(world.repository.engine) as session:
        documents = sign_next(
            draft_next(current(session, "root").content, now=now()), world.signers["root-1"], now=now()
        )
        accept_next_root(world.repository, session, documents, world.signers["online"], now=now())
    world.refresh()


def test_a_root_that_no_client_would_read_is_not_published(
    world: World, site: PlainServer, tmp_path: Path
) -> None:
    """It is signed, and was made longer on the way: a client that asks for the next root reads so much and no more."""
    back_up(world)
    publish_next_root(world)
    copy = tmp_path / "copy"
    replicate(public(world), copy)
    path = copy / "skills/metadata/2.root.json"
    genuine = path.read_bytes()
    path.unlink()
    path.write_bytes(genuine + b" " * 512_000)
    restore(world, tree=True)
    with pytest.raises(FormatError, match="larger than"):
        resume_from(world.repository, copy, world.signers["online"], now=now())
    path.write_bytes(genuine)
    assert resume_from(world.repository, copy, world.signers["online"], now=now()).roles["root"] == 2
    take(world, site, tmp_path / "client")


def test_a_stolen_online_key_names_nothing_that_nobody_signed(world: World, tmp_path: Path) -> None:
    """A role that lists nothing is asked for nothing: nobody looked at its signatures."""
    back_up(world)
    world.refresh()
    copy = tmp_path / "copy"
    replicate(public(world), copy)
    folder = copy / "skills/metadata"
    with snapshot(world.repository.engine) as session:
        files = current_files(session)
        bins = {role: json.loads(files[role]) for role in files if is_bin(role)}
        role = next(role for role, document in bins.items() if not document["signed"]["targets"])
        numbers = {name: current(session, name).version + 1 for name in ("snapshot", "timestamp", role)}
    unsigned = bins[role]
    unsigned["signed"]["version"] = numbers[role]
    unsigned["signatures"] = []
    files[role] = json.dumps(unsigned).encode()
    forged = build_snapshot(files, version=numbers["snapshot"], now=now())
    sign(forged, world.signers["online"])
    timestamp = build_timestamp(render(forged), version=numbers["timestamp"], now=now())
    sign(timestamp, world.signers["online"])
    (folder / f"{numbers[role]}.{role}.json").write_bytes(files[role])
    (folder / f"{numbers['snapshot']}.snapshot.json").write_bytes(render(forged))
    (folder / "timestamp.json").unlink()
    (folder / "timestamp.json").write_bytes(render(timestamp))
    restore(world, tree=False)
    before = world.metadata()
    with pytest.raises(BadSignatureError, match=role):
        resume_from(world.repository, copy, world.signers["online"], now=now())
    assert world.metadata() == before
    with snapshot(world.repository.engine) as session:
        assert current(session, role).version < numbers[role]


def test_a_copy_under_an_older_root_than_the_database_is_none_to_go_on_from(
    world: World, tmp_path: Path
) -> None:
    """Its online key may be the one that the newer root dismissed."""
    back_up(world)
    for number in range(3):
        world.publish_skill(f"lost-{number}==1.0")
    replicate(public(world), tmp_path / "copy")
    restore(world, tree=True)
    publish_next_root(world)
    with snapshot(world.repository.engine) as session:
        before = log.check(session)
    with pytest.raises(ConflictError, match="lacks root version 2"):
        resume_from(world.repository, tmp_path / "copy", world.signers["online"], now=now())
    with snapshot(world.repository.engine) as session:
        assert log.check(session) == before


def of_history(copy: Path) -> list[Path]:
    """The metadata in ``copy`` that an archive of the newest state would not have."""
    found = list((copy / "skills/metadata").glob("*.*.json"))
    newest: dict[str, int] = {}
    for path in found:
        number, role = path.name.split(".")[:2]
        newest[role] = max(newest.get(role, 0), int(number))
    return [path for path in found if not path.name.startswith(f"{newest[path.name.split('.')[1]]}.")]


def withdrawn_by_itself(world: World) -> None:
    withdraw(world, "other==1.0")


def published_by_itself(world: World) -> None:
    world.publish_profile("other==1", skills=["other==1.0"])


def built_by_itself(world: World) -> None:
    publish_serial(world, make_index(5, {"demo": "5.0"}, at=now()))
    world.refresh()


@pytest.mark.parametrize("history", [True, False], ids=["with-older-versions", "with-the-newest-only"])
@pytest.mark.parametrize("went_on", [withdrawn_by_itself, published_by_itself, built_by_itself])
def test_what_was_published_after_a_restore_is_not_lost_without_a_word(
    world: World, tmp_path: Path, went_on: Callable[[World], None], history: bool
) -> None:
    """Two versions on one side, one on the other: no version has two contents among the newest."""
    world.publish_skill("other==1.0")
    back_up(world)
    withdraw(world, "web-search==1.0")
    withdraw(world, "lost==1.0")
    for number in (1, 2):
        world.publish_profile(f"mine==1.{number}", skills=["other==1.0"])
        publish_serial(world, make_index(number, {"demo": f"1.{number}"}, at=now()))
    for _ in range(2):
        world.refresh()
    copy = tmp_path / "copy"
    replicate(public(world), copy)
    if not history:
        for path in of_history(copy):
            path.unlink()
    restore(world, tree=True)
    went_on(world)
    with snapshot(world.repository.engine) as session:
        before = {**current_files(session), "log": log.check(session)}
    with pytest.raises(ConflictError, match="went on by itself"):
        resume_from(world.repository, copy, world.signers["online"], now=now())
    with snapshot(world.repository.engine) as session:
        assert {**current_files(session), "log": log.check(session)} == before
    restore(world, tree=True)
    resume_from(world.repository, copy, world.signers["online"], now=now())  # the hint is good


def test_a_build_of_an_earlier_serial_shows_in_the_versions_that_the_copy_still_has(
    world: World, tmp_path: Path
) -> None:
    """Its serial is lower than the copy's: only the metadata of that time says that it was another one."""
    back_up(world)
    for number in (1, 2):
        publish_serial(world, make_index(number, {"demo": f"1.{number}"}, at=now()))
    for _ in range(2):
        world.refresh()
    replicate(public(world), tmp_path / "copy")
    restore(world, tree=True)
    publish_serial(world, make_index(1, {"demo": "9.9"}, at=now()))
    world.refresh()
    with pytest.raises(ConflictError, match="version 1 is another one"):
        resume_from(world.repository, tmp_path / "copy", world.signers["online"], now=now())
