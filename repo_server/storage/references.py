"""Which blobs anything names: digests in rows, and in the lists among the blobs themselves (edge).

A candidate's row names the list of its files, and only the list names the files; a review's envelope hides in base64 what it
is about. So what is named is read in turn. Whatever looks like a digest counts: a number that only looks like one keeps
at most a blob that could have gone.

What a blob names never changes, so it is remembered: asked again in a transaction, only what is new is read.
"""

import base64
import binascii
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from sqlalchemy import LargeBinary, String, select
from sqlalchemy.orm import Session

from repo_server.db.models import Base
from repo_server.storage.blobs import LargeBlobs
from signing.format.digest import Sha256

_MAX_LIST: Final = 64 << 20
_HEX: Final = re.compile(rb"[0-9a-f]{64}")
_PAYLOAD: Final = re.compile(rb'"payload":"([A-Za-z0-9+/]+=*)"')


class References:
    """What the blobs of one store name, as far as it was read."""

    def __init__(self, blobs: LargeBlobs) -> None:
        self._blobs = blobs
        self._known: dict[Sha256, frozenset[Sha256]] = {}

    def all_from(self, named: Iterable[Sha256]) -> set[Sha256]:
        """Return ``named``, what the lists among these name, what the lists among those name, and so on.

        Raises:
            HostError: the store cannot be asked, so nobody knows.
        """
        found: set[Sha256] = set()
        waiting = set(named)
        while waiting:
            found |= waiting
            waiting = {inner for digest in waiting for inner in self._named_in(digest)} - found
        return found

    def _named_in(self, digest: Sha256) -> frozenset[Sha256]:
        known = self._known.get(digest)
        if known is None:
            size = self._blobs.size_of(digest)
            if size is None:  # it may come: asked for again
                return frozenset()
            known = self._known[digest] = frozenset(self._read(digest, size))
        return known

    def _read(self, digest: Sha256, size: int) -> Iterator[Sha256]:
        """Yield what looks like a digest in a blob, if that is a list: JSON, and not too long for one."""
        if size <= _MAX_LIST:
            with self._blobs.open(digest) as stream:
                if stream.read(1) in {b"{", b"["}:
                    yield from digests_in([stream.read(_MAX_LIST)])


def digests_in(values: Iterable[object]) -> Iterator[Sha256]:
    """Yield what looks like a digest in texts and bytes, also inside the payload of an envelope."""
    for value in values:
        data = value.encode() if isinstance(value, str) else value
        if isinstance(data, bytes):
            yield from (Sha256(found.decode()) for found in _HEX.findall(data))
            for payload in _PAYLOAD.findall(data):
                yield from (Sha256(found.decode()) for found in _HEX.findall(_decoded(payload)))


def digests_in_rows(session: Session, *, except_for: Collection[str]) -> Iterator[Sha256]:
    """Yield what looks like a digest in any column of any table, but for the tables named in ``except_for``."""
    for table in Base.metadata.sorted_tables:
        columns = [column for column in table.columns if isinstance(column.type, String | LargeBinary)]
        if columns and table.name not in except_for:
            for row in session.execute(select(*columns)):
                yield from digests_in(row)


def _decoded(payload: bytes) -> bytes:
    try:
        return base64.b64decode(payload, validate=True)
    except binascii.Error:
        return b""
