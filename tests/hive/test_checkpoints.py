"""Signed heads of the audit log."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from hive import audit
from hive.checkpoints import check_all, check_contains, checkpoint, digests_of, read_checkpoint
from hive.db.session import open_engine, transaction
from hive.host_key import HostKey
from signing.errors import BadSignatureError
from signing.format.chain import BrokenChainError
from signing.format.envelope import Envelope

NOW = datetime(2026, 11, 1, tzinfo=UTC)


class Log:
    def __init__(self, folder: Path) -> None:
        self.engine: Engine = open_engine(f"sqlite:///{folder}/hive.db")
        self.key = HostKey.open(folder)

    def write(self, *events: str) -> None:
        with transaction(self.engine) as session:
            for event in events:
                audit.append(session, event=event, facts={}, now=NOW)

    def sign(self) -> bytes:
        with transaction(self.engine) as session:
            return checkpoint(session, self.key, now=NOW)[1].render()

    def check(self) -> None:
        with transaction(self.engine) as session:
            audit.check(session)
            check_all(session, [self.key.held])

    def change(self, statement: str) -> None:
        with transaction(self.engine) as session:
            session.execute(text(statement))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    found = Log(tmp_path)
    found.write("one", "two")
    yield found
    found.engine.dispose()


def test_the_same_head_is_signed_once(log: Log) -> None:
    first = log.sign()
    assert log.sign() == first
    log.write("three")
    assert log.sign() != first
    log.check()
    head, at = read_checkpoint(first, [log.key.held])
    assert (head.sequence, at) == (2, NOW)


def test_a_log_that_was_cut_off_is_found_out_by_its_checkpoint(log: Log) -> None:
    log.sign()
    log.change("DELETE FROM audit WHERE sequence = 2")
    with pytest.raises(BrokenChainError):
        log.check()


def test_a_log_that_was_written_anew_is_found_out_by_a_copy_elsewhere(log: Log) -> None:
    elsewhere = log.sign()
    log.change("DELETE FROM audit")
    log.change("DELETE FROM checkpoints")
    log.write("one", "another")
    log.check()
    head, _ = read_checkpoint(elsewhere, [log.key.held])
    with transaction(log.engine) as session, pytest.raises(BrokenChainError):
        check_contains(digests_of(audit.read(session)), head)


def test_no_new_checkpoint_hides_an_old_one(log: Log) -> None:
    log.sign()
    log.change("DELETE FROM audit")
    log.write("one", "another", "third")
    with pytest.raises(BrokenChainError):
        log.sign()


def test_anothers_signature_counts_for_nothing(log: Log, tmp_path: Path) -> None:
    thief = HostKey.open(tmp_path / "thief")
    envelope = Envelope.parse(log.sign())
    forged = thief.sign(replace(envelope, signatures=()))
    with pytest.raises(BadSignatureError):
        read_checkpoint(forged.render(), [log.key.held])
    with pytest.raises(BadSignatureError):
        read_checkpoint(envelope.render(), [])


def test_a_checkpoint_under_another_number_is_refused(log: Log) -> None:
    log.sign()
    log.write("three")
    log.change("UPDATE checkpoints SET sequence = 3")
    with pytest.raises(BrokenChainError):
        log.check()
