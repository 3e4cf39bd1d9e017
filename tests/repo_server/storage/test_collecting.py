"""`skillrepo gc`: what nothing names goes, and nothing else; whoever stores meanwhile loses nothing."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from repo_server.db import log
from repo_server.db.session import snapshot, transaction
from repo_server.storage import collecting
from repo_server.storage.blobs import EndlessListError
from repo_server.storage.collecting import collect_leftovers
from repo_server.storage.local import LocalBlobs
from repo_server.storage.references import References, digests_in, digests_in_rows
from signing.errors import HostError
from signing.format.canonical import canonical
from signing.format.digest import Sha256, sha256_of
from signing.format.envelope import Envelope
from signing.format.review import Decision
from tests.support.world import World, now, skill_md

DAY = timedelta(days=1)


def age(world: World, days: int = 30) -> None:
    """Let everything have been stored that long ago, as the disk says."""
    moment = (now() - days * DAY).timestamp()
    for path in (world.repository.folder / "blobs").rglob("*"):
        if path.is_file():
            os.utime(path, (moment, moment))


def here(world: World) -> set[str]:
    return {path.name for path in (world.repository.folder / "blobs").rglob("*") if path.is_file()}


def events(world: World) -> list[str]:
    with snapshot(world.repository.engine) as session:
        return [record.event for record in log.read(session)]


def leftover(world: World, data: bytes = b"of an import that ended half-way") -> Sha256:
    digest = world.repository.package_blobs.store(data)
    age(world)
    return digest


def test_what_nothing_names_goes_and_everything_else_stays(world: World) -> None:
    candidate = world.import_skill("half-done==1.0")
    world.review(candidate, decision=Decision.REJECT)
    world.import_skill(
        "unseen==1.0", {"SKILL.md": skill_md("unseen"), "notes.md": b"only in the list of files\n"}
    )
    digest, before = leftover(world), here(world)
    gone = collect_leftovers(world.repository, now=now())
    assert dict(gone.blobs) == {digest: 32}
    assert here(world) == before - {digest}
    assert events(world)[-2:] == ["blobs.collecting", "blobs.collected"]
    with snapshot(world.repository.engine) as session:
        record = log.read(session)[-1]
        log.check(session)
    assert (record.facts["blobs"], record.facts["bytes"]) == (1, 32)
    assert digest not in record.render().decode()  # or the log itself would keep such a blob next time
    assert collect_leftovers(world.repository, now=now()).blobs == {}
    assert events(world).count("blobs.collected") == 1
    world.publish_skill("later==1.0")  # the repository is whole


def test_a_dry_run_names_what_goes_and_touches_nothing(world: World) -> None:
    digest, before, logged = leftover(world), here(world), events(world)
    found = collect_leftovers(world.repository, now=now(), dry_run=True)
    assert (dict(found.blobs), found.bytes) == ({digest: 32}, 32)
    assert (here(world), events(world)) == (before, logged)


def test_what_is_young_stays_by_the_stores_clock_and_not_by_ours(world: World) -> None:
    digest = leftover(world)
    age(world, days=6)
    far_ahead = now() + 1000 * DAY
    assert collect_leftovers(world.repository, now=far_ahead).blobs == {}
    assert digest in here(world)
    assert dict(collect_leftovers(world.repository, now=now(), grace=5 * DAY).blobs) == {digest: 32}


def test_a_superseded_review_and_what_it_was_about_stay(world: World) -> None:
    """Only the log names the first decision; the envelope hides in base64 which bundle it was about."""
    candidate = world.import_skill("twice==1.0")
    world.review(candidate, decision=Decision.REJECT)
    world.review(candidate, decision=Decision.APPROVE)
    age(world)
    before = here(world)
    assert collect_leftovers(world.repository, now=now()).blobs == {}
    assert here(world) == before


def test_digests_in_the_payload_of_an_envelope_count() -> None:
    inner = sha256_of(b"x")
    envelope = Envelope(payload_type="t", payload=canonical({"about": inner}))
    assert list(digests_in([envelope.render()])) == [inner]
    assert list(digests_in([b'{"payload":"A"}', None, 7])) == []


def test_lists_are_followed_and_what_comes_later_is_seen(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    late = sha256_of(b"late")
    inner = blobs.store(canonical({"names": late}))
    outer = blobs.store(canonical([inner]))
    references = References(blobs)
    assert references.all_from([outer]) == {outer, inner, late}
    blobs.store(b"late")
    assert references.all_from([late]) == {late}


@contextmanager
def between(monkeypatch: pytest.MonkeyPatch, world: World, what: Any) -> Iterator[None]:
    """Do ``what`` when everything is listed and judged, and nothing is removed yet."""
    genuine = collecting.find_leftovers

    def find(*args: Any, **options: Any) -> Any:
        found = genuine(*args, **options)
        what()
        return found

    with monkeypatch.context() as patched:
        patched.setattr(collecting, "find_leftovers", find)
        yield


def test_a_blob_that_is_stored_again_meanwhile_is_not_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = b"of an import that ended half-way"
    digest = leftover(world, data)
    with between(monkeypatch, world, lambda: world.repository.blobs.store(data)):
        assert collect_leftovers(world.repository, now=now()).blobs == {}
    assert world.repository.blobs.load(digest) == data


def test_a_blob_that_is_named_meanwhile_is_not_lost(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where storing it again does not make it young: of another user, or published before."""
    digest = leftover(world)

    def name_it() -> None:
        with transaction(world.repository.engine) as session:
            log.append(session, event="test.named", facts={"sha256": digest}, now=now())

    with between(monkeypatch, world, name_it):
        assert collect_leftovers(world.repository, now=now()).blobs == {}
    assert digest in here(world)


@contextmanager
def before_removing(monkeypatch: pytest.MonkeyPatch, what: Any) -> Iterator[list[int]]:
    """Do ``what`` when the lists were read, and the transaction that removes has not begun; count how often that is."""
    genuine, rounds = collecting._Named.work_out, list[int]()

    def work_out(self: Any, *args: Any) -> None:
        genuine(self, *args)
        rounds.append(len(rounds))
        what(rounds[-1])

    with monkeypatch.context() as patched:
        patched.setattr(collecting._Named, "work_out", work_out)
        yield rounds


def test_a_list_that_comes_when_the_lists_were_read_is_read_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blob is named by a list alone, and a row named that list before anybody had stored it."""
    kept, gone = leftover(world), leftover(world, b"another")
    names = canonical({"names": kept})

    def name(digest: str) -> None:
        with transaction(world.repository.engine) as session:
            log.append(session, event="test.named", facts={"sha256": digest}, now=now())

    def come(count: int) -> None:
        if count == 0:
            world.repository.blobs.store(names)
            name(sha256_of(names))

    name(sha256_of(names))
    with before_removing(monkeypatch, come) as rounds:
        assert dict(collect_leftovers(world.repository, now=now()).blobs) == {gone: 7}
    assert len(rounds) == 2  # it began again, once
    assert kept in here(world)


def test_where_somebody_writes_all_the_time_it_comes_to_an_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, gone = leftover(world), leftover(world, b"another")

    def write(count: int) -> None:
        with transaction(world.repository.engine) as session:
            log.append(session, event="test.named", facts={"n": count, "sha256": kept}, now=now())

    with before_removing(monkeypatch, write) as rounds:
        assert dict(collect_leftovers(world.repository, now=now()).blobs) == {gone: 7}
    assert len(rounds) == 5
    assert kept in here(world)


def test_the_store_is_asked_for_no_list_while_others_wait(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Far away each question takes milliseconds, and half of what looks like a digest is no blob at all."""
    digests = {world.repository.blobs.store(str(number).encode()) for number in range(3)}
    age(world)
    held, asked = False, list[bool]()
    genuine, size_of = transaction, LocalBlobs.size_of

    @contextmanager
    def noted(engine: Any) -> Iterator[Any]:
        nonlocal held
        with genuine(engine) as session:
            held = True
            try:
                yield session
            finally:
                held = False

    def sizes(self: LocalBlobs, digest: Sha256) -> int | None:
        asked.append(held)
        return size_of(self, digest)

    monkeypatch.setattr(collecting, "_SECONDS_AT_ONCE", 0.0)
    monkeypatch.setattr(collecting, "transaction", noted)
    monkeypatch.setattr(LocalBlobs, "size_of", sizes)
    assert collect_leftovers(world.repository, now=now()).blobs.keys() == digests
    assert len(asked) > 10
    assert not any(asked)


def test_an_import_of_the_same_files_meanwhile_is_whole(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = skill_md("meanwhile")
    leftover(world, body)
    found: list[str] = []
    with between(
        monkeypatch, world, lambda: found.append(world.import_skill("meanwhile==1.0", {"SKILL.md": body}))
    ):
        collect_leftovers(world.repository, now=now())
    world.review(found[0])
    for name in ("alice", "bob"):
        world.sign(found[0], by=name)
    assert [str(pin) for pin in world.publish().releases] == ["meanwhile==1.0"]


def test_many_are_removed_in_several_transactions(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = {world.repository.blobs.store(str(number).encode()) for number in range(5)}
    age(world)
    monkeypatch.setattr(collecting, "_SECONDS_AT_ONCE", 0.0)
    assert collect_leftovers(world.repository, now=now()).blobs.keys() == digests
    assert not digests & here(world)


def test_a_list_without_an_end_holds_nothing_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = leftover(world)
    genuine = LocalBlobs.untouched

    def endless(self: LocalBlobs, **options: Any) -> Iterator[tuple[Sha256, int]]:
        yield from genuine(self, **options)
        raise EndlessListError("on and on")

    monkeypatch.setattr(LocalBlobs, "untouched", endless)
    gone = collect_leftovers(world.repository, now=now())
    assert (dict(gone.blobs), gone.listed_whole) == ({digest: 32}, False)


def test_what_cannot_be_judged_is_not_removed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = leftover(world)

    def fail(self: LocalBlobs, digest: Sha256) -> Any:
        raise HostError("the store fails")

    monkeypatch.setattr(LocalBlobs, "open", fail)
    with pytest.raises(HostError):
        collect_leftovers(world.repository, now=now())
    assert digest in here(world)
    assert "blobs.collecting" not in events(world)


def test_half_written_files_of_killed_processes_go(world: World) -> None:
    part = world.repository.folder / "blobs/ab"
    part.mkdir(exist_ok=True)
    (part / ".new-0123").write_bytes(b"half")
    age(world)
    assert len(collect_leftovers(world.repository, now=now()).unfinished) == 1
    assert not (part / ".new-0123").exists()


def test_every_table_is_looked_at(world: World) -> None:
    """A table that comes later counts too: only those that name no blob are left out, by name."""
    with snapshot(world.repository.engine) as session:
        some = set(digests_in_rows(session, except_for=()))
        less = set(
            digests_in_rows(session, except_for={"targets", "releases", "candidates", "metadata", "log"})
        )
    assert less < some


def skillrepo(world: World, *words: str) -> subprocess.CompletedProcess[str]:
    program = "import sys; from repo_server.cli import main; sys.argv[:1] = ['skillrepo']; main()"
    command = [sys.executable, "-c", program, "--repo", str(world.repository.folder), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
def test_the_command_asks_or_is_told(world: World) -> None:
    digest = leftover(world)
    refused = skillrepo(world, "gc")
    assert refused.returncode == 2
    assert "1 blob(s) would go for good" in refused.stderr
    assert digest in here(world)
    dry = json.loads(skillrepo(world, "--json", "gc", "--dry-run").stdout)
    assert dry["dry_run"] is True
    assert dry["digests"] == [{"sha256": digest, "size": 32}]
    for wrong in ("0d", "10m", "1", "-7d", "7d\n"):
        assert skillrepo(world, "gc", f"--grace={wrong}").returncode == 2
    done = skillrepo(world, "gc", "--yes")
    assert (done.returncode, done.stderr) == (
        0,
        "development repository: everybody's keys are throw-away keys on this machine\n",
    )
    assert done.stdout.splitlines()[-1] == "removed 1 blob(s), 32 bytes, and 0 unfinished file(s)"
    assert digest not in here(world)
