"""What files hashed to, kept once, however often and in whatever company they come."""

from sqlalchemy import select

from repo_server.db.models import PackageDigestRow
from repo_server.db.session import open_scratch_engine, transaction
from repo_server.pkgrepo.intake import record_digests
from signing.format.digest import sha256_of


def rows(numbers, *, blake2b="b"):
    return [
        PackageDigestRow(sha256=sha256_of(b"%d" % number), blake2b=blake2b * 128, size=number)
        for number in numbers
    ]


def kept(engine):
    with transaction(engine) as session:
        return {row.sha256: (row.blake2b, row.size) for row in session.scalars(select(PackageDigestRow))}


def test_more_than_one_question_asks_for_are_kept():
    engine = open_scratch_engine()
    with transaction(engine) as session:
        record_digests(session, rows(range(1203)))
    assert kept(engine) == {row.sha256: ("b" * 128, row.size) for row in rows(range(1203))}


def test_what_is_known_is_written_again_and_what_is_new_is_added():
    engine = open_scratch_engine()
    with transaction(engine) as session:
        record_digests(session, rows([1, 2]))
    with transaction(engine) as session:
        record_digests(session, rows([2, 3, 3], blake2b="c"))
    one, two, three = (sha256_of(text) for text in (b"1", b"2", b"3"))
    assert kept(engine) == {one: ("b" * 128, 1), two: ("c" * 128, 2), three: ("c" * 128, 3)}


def test_nothing_is_kept_of_nothing():
    engine = open_scratch_engine()
    with transaction(engine) as session:
        record_digests(session, [])
    assert kept(engine) == {}
