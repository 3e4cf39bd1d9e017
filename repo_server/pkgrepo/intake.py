"""Bytes on their way in: hashed while they are copied, and what they hashed to, kept (edge).

pkg's catalogues know a package by another digest than we do. It is computed while the file comes in, so that
accepting a build does not read everything once more.
"""

import io
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Final

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from repo_server.db.models import PackageDigestRow
from signing.errors import HostError
from signing.format.digest import Sha256
from signing.format.pkg.sums import Hasher

_PIECE: Final = 1 << 20
_AT_ONCE: Final = 500


def hashed(stream: BinaryIO | io.RawIOBase, hasher: Hasher) -> Iterator[bytes]:
    """Yield what ``stream`` holds, and hash it by the way.

    Raises:
        HostError: it cannot be read.
    """
    try:
        while piece := stream.read(_PIECE):
            hasher.update(piece)
            yield piece
    except OSError as error:
        raise HostError(f"cannot read a package: {error.strerror}") from error


def digest_row(digest: Sha256, size: int, hasher: Hasher) -> PackageDigestRow:
    """Return what is kept about a file that came in as ``digest`` and was hashed by ``hasher``."""
    return PackageDigestRow(sha256=digest, blake2b=hasher.digests().blake2b, size=size)


def record_digests(session: Session, rows: Sequence[PackageDigestRow]) -> None:
    """Keep what files hashed to; call it when they are here, compared with their sha256."""
    left = {row.sha256: row for row in rows}
    named = sorted(left)
    for start in range(0, len(named), _AT_ONCE):
        digests = named[start : start + _AT_ONCE]
        for known in session.scalars(select(PackageDigestRow).where(PackageDigestRow.sha256.in_(digests))):
            row = left.pop(known.sha256)
            known.blake2b, known.size = row.blake2b, row.size
    if left:
        # Not as objects of the session: 35,000 of them cost it a minute.
        session.execute(insert(PackageDigestRow), [_values(row) for row in left.values()])


def known_digests(session: Session, wanted: Sequence[Sha256]) -> dict[Sha256, str]:
    """Return pkg's other digest of each file of ``wanted`` of which it is kept."""
    known: dict[Sha256, str] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        named = select(PackageDigestRow.sha256, PackageDigestRow.blake2b).where(
            PackageDigestRow.sha256.in_(wanted[start : start + _AT_ONCE])
        )
        known.update((Sha256(sha256), blake2b) for sha256, blake2b in session.execute(named))
    return known


def _values(row: PackageDigestRow) -> dict[str, Any]:
    return {"sha256": row.sha256, "blake2b": row.blake2b, "size": row.size}
