"""Whoever holds the database, and neither the host's key nor its state folder: what is changed of the log is found."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from hive import audit, remembered_head
from hive.checkpoints import checkpoint, verify_log
from hive.db.session import open_engine, snapshot, transaction
from hive.host_key import HostKey
from hive.tenants import Tier, register
from signing.errors import BadSignatureError, KeyAccessError, RejectedError
from signing.format.chain import BrokenChainError, Head
from signing.format.digest import sha256_of
from signing.format.names import Pin, parse_tenant_id
from tests.support.hurry import in_a_hurry

NOW = datetime(2026, 11, 1, tzinfo=UTC)


class Log:
    """Eight records, a checkpoint at the sixth, and the end remembered at the seventh."""

    def __init__(self, folder: Path) -> None:
        self.state = folder
        self.engine: Engine = open_engine(f"sqlite:///{folder / 'hive.db'}")

    def write(self) -> None:
        with transaction(self.engine) as session:
            register(
                session,
                parse_tenant_id("acme"),
                tier=Tier.PAID,
                profile=Pin.parse("base==1"),
                collection_id=None,
                scratch=False,
                now=NOW,
            )
        for number in range(2, 9):
            with transaction(self.engine) as session:
                record = audit.append(session, event="test", facts={"n": number}, now=NOW)
                if number == 6:
                    checkpoint(session, HostKey.open(self.state), now=NOW)
            if number == 7:
                remembered_head.remember(self.state, record.head)

    def verify(self) -> int:
        with snapshot(self.engine) as session:
            return len(verify_log(session, self.state)[0])

    def change(self, statement: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(text("PRAGMA foreign_keys = OFF"))
            connection.execute(text(statement))

    def chained_anew(self, first: int) -> None:
        """Write records ``first`` to the end again, as a perfect chain with other facts."""
        with transaction(self.engine) as session:
            session.execute(text("DELETE FROM audit WHERE sequence >= :first"), {"first": first})
        for number in range(first, 9):
            with transaction(self.engine) as session:
                audit.append(session, event="test", facts={"n": -number}, now=NOW)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    log = Log(tmp_path_factory.mktemp("log"))
    log.write()
    assert log.verify() == 8
    log.engine.dispose()
    return log.state


@pytest.fixture
def log(written: Path, tmp_path: Path) -> Iterator[Log]:
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    with in_a_hurry():
        found = Log(tmp_path)
        yield found
        found.engine.dispose()


CHANGES = {
    "a digest of a row": f"UPDATE audit SET digest = '{'0' * 64}' WHERE sequence = 4",
    "the digest of the newest row": f"UPDATE audit SET digest = '{'0' * 64}' WHERE sequence = 8",
    "a digest in capitals": "UPDATE audit SET digest = upper(digest) WHERE sequence = 4",
    "a record": "UPDATE audit SET record = replace(record, 'test', 'tost') WHERE sequence = 4",
    "a record as text": "UPDATE audit SET record = CAST(record AS TEXT) WHERE sequence = 4",
    "a record as a number": "UPDATE audit SET record = 4 WHERE sequence = 4",
    "no record": "UPDATE audit SET record = x'' WHERE sequence = 4",
    "a record less": "DELETE FROM audit WHERE sequence = 4",
    "the first less": "DELETE FROM audit WHERE sequence = 1",
    "two swapped": "UPDATE audit SET sequence = CASE sequence WHEN 4 THEN 105 ELSE 104 END WHERE sequence IN (4, 5)",
    "all moved": "UPDATE audit SET sequence = sequence + 100",
    "one moved to the end": "UPDATE audit SET sequence = 9 WHERE sequence = 4",
    "a twin at the end": "INSERT INTO audit SELECT 9, record, digest FROM audit WHERE sequence = 8",
    "one before the first": "INSERT INTO audit SELECT 0, record, digest FROM audit WHERE sequence = 1",
    "cut off before the remembered end": "DELETE FROM audit WHERE sequence > 6",
    "cut off before the checkpoint": "DELETE FROM audit WHERE sequence > 5",
    "everything": "DELETE FROM audit",
    "a tenant that nobody registered": "INSERT INTO tenants SELECT 'boat', 'boat', NULL, tier, profile, scratch, status,"
    " reason, created_at, host FROM tenants",
    "a tenant called born": "UPDATE tenants SET status = 'born'",
    "a tenant called retired": "UPDATE tenants SET status = 'retired'",
    "a checkpoint of another head": f"UPDATE checkpoints SET digest = '{'0' * 64}'",
    "a checkpoint of another number": "UPDATE checkpoints SET sequence = 5",
    "a checkpoint that is none": "UPDATE checkpoints SET envelope = '{}'",
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_changed_is_found(log: Log, change: str) -> None:
    log.change(CHANGES[change])
    with pytest.raises(RejectedError):
        log.verify()


@pytest.mark.parametrize("first", [2, 6, 7])
def test_a_perfect_chain_of_lies_is_found(log: Log, first: int) -> None:
    """Seven is behind the newest checkpoint: only what the host remembers outside of the database knows of it."""
    log.chained_anew(first)
    with snapshot(log.engine) as session:
        assert audit.check(session).sequence == 8
    with pytest.raises(BrokenChainError):
        log.verify()


def test_checkpoints_taken_away_leave_what_is_remembered(log: Log) -> None:
    log.chained_anew(2)
    log.change("DELETE FROM checkpoints")
    with pytest.raises(BrokenChainError, match="remembers more"):
        log.verify()


def test_a_checkpoint_by_a_key_of_ones_own_counts_for_nothing(log: Log, tmp_path: Path) -> None:
    thief = HostKey.open(tmp_path / "thief")
    with pytest.raises(BadSignatureError), transaction(log.engine) as session:
        checkpoint(session, thief, now=NOW)


def test_a_forged_checkpoint_is_refused(log: Log, tmp_path: Path) -> None:
    thief = HostKey.open(tmp_path / "thief")
    log.change("DELETE FROM checkpoints")
    with transaction(log.engine) as session:
        checkpoint(session, thief, now=NOW)
    with pytest.raises(BadSignatureError):
        log.verify()


def test_looking_makes_no_key(log: Log, tmp_path: Path) -> None:
    for name in ("seed", "public.json"):
        (tmp_path / "host-key" / name).unlink()
    with pytest.raises(KeyAccessError):
        log.verify()
    assert list((tmp_path / "host-key").iterdir()) == []


@pytest.mark.parametrize("note", [b"", b"{}", b"[" * 200, b"x" * 1000, b'{"digest":"5d","sequence":7}'])
def test_a_damaged_note_is_no_good_news(log: Log, note: bytes) -> None:
    (log.state / "audit-head.json").write_bytes(note)
    with pytest.raises(BrokenChainError):
        log.verify()


def test_nothing_is_chained_to_a_row_that_was_altered(log: Log) -> None:
    log.change(f"UPDATE audit SET digest = '{'0' * 64}' WHERE sequence = 8")
    with pytest.raises(BrokenChainError), transaction(log.engine) as session:
        audit.append(session, event="test", facts={}, now=NOW)
    with snapshot(log.engine) as session:
        assert session.scalar(text("SELECT max(sequence) FROM audit")) == 8


def test_what_was_cut_off_behind_everything_that_is_known_is_not_found(log: Log) -> None:
    """The honest limit: a record that no checkpoint, no sweep and no registry has seen leaves no trace."""
    log.change("DELETE FROM audit WHERE sequence = 8")
    assert log.verify() == 7


def test_a_log_whose_clock_ran_ahead_is_resumed_and_says_so(log: Log) -> None:
    with transaction(log.engine) as session:
        audit.append(session, event="test", facts={}, now=NOW + timedelta(days=3650))
    with snapshot(log.engine) as session, pytest.raises(RejectedError, match="further already"):
        audit.check_clock(session, now=NOW)
    with transaction(log.engine) as session:
        record = audit.resume(session, facts={"reason": "the clock ran ahead"}, now=NOW)
        assert (record.event, record.time) == ("audit.resumed", NOW)
    with snapshot(log.engine) as session:
        audit.check_clock(session, now=NOW)
    with transaction(log.engine) as session:
        assert audit.append(session, event="test", facts={}, now=NOW).time == NOW
    assert log.verify() == 11


def test_the_empty_log_is_remembered_as_nothing(tmp_path: Path) -> None:
    remembered_head.remember(tmp_path, Head())
    remembered_head.check(tmp_path, [])
    assert remembered_head.load(tmp_path) == Head()


def test_the_note_names_a_digest_and_no_content(log: Log) -> None:
    said = (log.state / "audit-head.json").read_text()
    assert "acme" not in said
    assert (log.state / "audit-head.json").stat().st_mode & 0o077 == 0
    with snapshot(log.engine) as session:
        assert sha256_of(audit.read(session)[6].render()) in said
