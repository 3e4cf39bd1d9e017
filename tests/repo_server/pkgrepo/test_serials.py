"""What a serial keeps of earlier ones, and a rollback: a new serial, meant by somebody."""

from datetime import timedelta
from pathlib import Path

import pytest

from repo_server.db.models import MetadataRow
from repo_server.db.session import snapshot, transaction
from repo_server.pkgrepo.serials import GRACE, earlier, keep_of, rolled_back, rows_of, serial_index
from signing.errors import BadSignatureError, ConflictError, FormatError, NotFoundError, WrongSubjectError
from signing.format.pkg.index import IntentKind, RepoIndex
from signing.format.pkg.names import PackageRepo
from tests.support.serials import days, make_index, package, publish_serial
from tests.support.world import PACKAGES, World, now

NOW = now().replace(microsecond=0)


def pins(packages: tuple[object, ...]) -> list[str]:
    return [str(item.pin) for item in packages]  # type: ignore[attr-defined]


def test_what_was_listed_within_the_grace_period_is_kept() -> None:
    history = [
        make_index(
            4, {"demo": "1.3"}, at=NOW - days(1), kept=(package("demo", "1.2"), package("demo", "1.1"))
        ),
        make_index(3, {"demo": "1.2"}, at=NOW - days(10), kept=(package("demo", "1.1"),)),
        make_index(2, {"demo": "1.1"}, at=NOW - days(20)),
        make_index(1, {"demo": "1.0"}, at=NOW - days(30)),
    ]
    listed = (package("demo", "1.4"),)
    # 1.2 was listed until yesterday, 1.1 until ten days ago, 1.0 until twenty days ago.
    assert pins(keep_of(listed, history, now=NOW)) == ["demo-1.1", "demo-1.2", "demo-1.3"]
    assert pins(keep_of(listed, history, grace=days(5), now=NOW)) == ["demo-1.2", "demo-1.3"]
    assert keep_of(listed, history, grace=timedelta(0), now=NOW) == (package("demo", "1.3"),)
    assert keep_of(listed, [], now=NOW) == ()


def test_what_is_listed_is_not_kept_too() -> None:
    history = [make_index(1, {"demo": "1.0", "base": "2"}, at=NOW - days(1))]
    assert pins(keep_of((package("demo", "1.0"),), history, now=NOW)) == ["base-2"]


def test_a_version_that_was_built_again_is_kept_by_its_bytes() -> None:
    again = package("demo", "1.0")
    other = package("demo-again", "1.0")
    rebuilt = type(again)(
        **{**{name: getattr(again, name) for name in again.__slots__}, "sha256": other.sha256}
    )
    assert keep_of((rebuilt,), [make_index(1, {"demo": "1.0"}, at=NOW - days(1))], now=NOW) == (again,)


def test_only_what_the_last_serial_vouches_for_is_kept() -> None:
    """Else the repository refuses the build: it keeps what nobody had."""
    history = [
        make_index(2, {"demo": "1.1"}, at=NOW - days(1)),
        make_index(1, {"demo": "1.0"}, at=NOW - days(2)),
    ]
    assert pins(keep_of((package("demo", "1.2"),), history, now=NOW)) == ["demo-1.1"]


def test_with_a_short_memory_what_is_kept_is_kept_on() -> None:
    last = make_index(9, {"demo": "1.3"}, at=NOW - days(1), kept=(package("demo", "1.1"),))
    assert pins(keep_of((package("demo", "1.4"),), [last], now=NOW)) == ["demo-1.1", "demo-1.3"]
    stale = make_index(9, {"demo": "1.3"}, at=NOW - days(15), kept=(package("demo", "1.1"),))
    assert pins(keep_of((package("demo", "1.4"),), [stale], now=NOW)) == ["demo-1.3"]


OLD = make_index(5, {"demo": "1.0", "base": "2"}, at=NOW - days(3))
LAST = make_index(7, {"demo": "1.1", "base": "2"}, at=NOW - days(1), kept=(package("demo", "0.9"),))


def test_a_rollback_is_a_new_serial_with_the_old_bytes() -> None:
    index = rolled_back(OLD, LAST, by="builder", reason="1.1 does not start", now=NOW)
    assert (index.serial, index.created) == (8, NOW)
    assert (index.packages, index.catalogue) == (OLD.packages, OLD.catalogue)
    assert pins(index.kept) == ["demo-0.9", "demo-1.1"]  # births that pin what is taken back go on
    assert index.intent is not None
    assert (index.intent.kind, index.intent.by, index.intent.serial) == (IntentKind.ROLLBACK, "builder", 5)
    assert RepoIndex.parse(index.render()) == index


def test_a_rollback_is_younger_than_what_it_replaces_also_under_a_slow_clock() -> None:
    index = rolled_back(OLD, LAST, by="builder", reason="because", now=LAST.created - days(1))
    assert index.created - LAST.created == timedelta(seconds=3)


@pytest.mark.parametrize(
    ("old", "by", "reason", "error"),
    [
        (LAST, "builder", "why", ConflictError),
        (make_index(8, {"demo": "1"}, at=NOW), "builder", "why", ConflictError),
        (OLD, "builder", " ", FormatError),
        (OLD, "", "why", FormatError),
        (
            make_index(5, {"demo": "1"}, at=NOW, repo=PackageRepo.parse("FreeBSD:14:amd64/other")),
            "builder",
            "why",
            WrongSubjectError,
        ),
    ],
    ids=["itself", "future", "no-reason", "nobody", "other-repository"],
)
def test_a_rollback_that_means_nothing_is_refused(
    old: RepoIndex, by: str, reason: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        rolled_back(old, LAST, by=by, reason=reason, now=NOW)


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World.build(tmp_path)
    for serial in (1, 2, 3):
        index = make_index(serial, {"demo": f"1.{serial}"}, at=NOW - days(4 - serial))
        publish_serial(world, index, at=NOW)
    return world


def test_serials_are_read_as_the_builder_signed_them(world: World) -> None:
    with snapshot(world.repository.engine) as session:
        assert [row.serial for row in rows_of(session, PACKAGES)] == [3, 2, 1]
        assert serial_index(world.repository, session, PACKAGES, 2).serial == 2
        found = earlier(world.repository, session, PACKAGES, since=NOW - GRACE)
        assert [index.serial for index in found] == [3, 2, 1]
        with pytest.raises(NotFoundError):
            serial_index(world.repository, session, PACKAGES, 4)


def test_an_altered_database_brings_nothing_back(world: World) -> None:
    """Who writes the database points serial 1 at a list of their own: the builder would sign it."""
    from tuf.api.metadata import TargetFile, Targets

    from signing.metadata import parse, render, sign

    forged = make_index(1, {"demo": "0.1"}, at=NOW - days(3))
    digest = world.repository.blobs.store(forged.render())
    with transaction(world.repository.engine) as session:
        row = rows_of(session, PACKAGES)[-1]
        row.index_sha256 = digest
    with snapshot(world.repository.engine) as session:
        assert serial_index(world.repository, session, PACKAGES, 1).packages[0].version == "1.1"
    with transaction(world.repository.engine) as session:
        metadata = session.get_one(MetadataRow, (PACKAGES.role, 1))
        altered = parse(metadata.content, Targets, where="test")
        path = PACKAGES.index_path
        altered.signed.targets[path] = TargetFile.from_data(path, forged.render(), ["sha256"])
        altered.signatures.clear()
        sign(altered, world.signers["mallory"])
        metadata.content = render(altered)
    with snapshot(world.repository.engine) as session, pytest.raises(BadSignatureError):
        serial_index(world.repository, session, PACKAGES, 1)
