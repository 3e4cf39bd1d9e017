"""What is published, checked from the trust anchor: what a new signature may continue.

The database is not trusted with this. A signature covers the whole list of a role's targets, so metadata that
was altered in the database would carry the alteration into whatever is signed next.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session
from tuf.api.metadata import Metadata, Root, Targets

from repo_server.db.models import MetadataRow
from repo_server.publishing.state import current
from signing.errors import BadSignatureError
from signing.metadata import lint_root, lint_targets, parse, signed_bytes
from signing.roles import ROOT, SKILLS, TARGETS, is_bin

CACHED_ROLES: Final = 600


def vouched_targets(session: Session, role: str, *, anchor: bytes) -> Targets:
    """Return the published metadata of ``role``, signed by those whom the anchor's chain names.

    Raises:
        BadSignatureError: it, or what delegates to it, is not what its holders signed.
        NotFoundError, FormatError: it is not there, or is not such metadata.
    """
    return parse(vouched_content(session, role, anchor=anchor), Targets, where=role).signed


def vouched_content(session: Session, role: str, *, anchor: bytes) -> bytes:
    """Return the bytes of the published metadata of ``role``, as `vouched_targets` reads them.

    Raises:
        BadSignatureError, NotFoundError, FormatError: as for `vouched_targets`.
    """
    return _vouched(session, role, anchor)


def vouched_delegator(session: Session, role: str, *, anchor: bytes) -> Root | Targets:
    """Return the published metadata that says who signs ``role``.

    Raises:
        BadSignatureError, NotFoundError, FormatError: as for `vouched_targets`.
    """
    return _read(_above(role), _vouched(session, _above(role), anchor)).signed


def vouched_roots(session: Session, *, anchor: bytes) -> list[bytes]:
    """Return the chain of roots from ``anchor`` to the one in force, the newest first.

    What was published earlier was signed under an earlier one: its curators may have left since.

    Raises:
        BadSignatureError, FormatError: as for `vouched_targets`.
    """
    return list(reversed(list(_chain(session, anchor))))


def _vouched(session: Session, role: str, anchor: bytes) -> bytes:
    if role == ROOT:
        return _vouched_root(session, anchor)
    content = current(session, role).content
    _check(_vouched(session, _above(role), anchor), _above(role), content, role)
    return content


def _vouched_root(session: Session, anchor: bytes) -> bytes:
    root = anchor
    for following in _chain(session, anchor):
        root = following
    return root


def _chain(session: Session, anchor: bytes) -> Iterator[bytes]:
    """Yield the roots from ``anchor`` on, each signed by the one before it and by itself."""
    _check(anchor, ROOT, anchor, ROOT)
    yield anchor
    root, version = anchor, _version(anchor)
    statement = (
        select(MetadataRow.content)
        .where(MetadataRow.role == ROOT, MetadataRow.version > version)
        .order_by(MetadataRow.version)
    )
    for content in session.scalars(statement):
        following = _version(content)
        if following != version + 1:
            raise BadSignatureError(f"root {version + 1} is missing in the chain of roots")
        _check(root, ROOT, content, ROOT)
        _check(content, ROOT, content, ROOT)
        root, version = content, following
        yield root


@lru_cache(maxsize=CACHED_ROLES)
def _version(root: bytes) -> int:
    return parse(root, Root, where=ROOT).signed.version


def _above(role: str) -> str:
    if role in {ROOT, TARGETS}:
        return ROOT
    return SKILLS if is_bin(role) else TARGETS


def _read(role: str, content: bytes) -> Metadata[Root] | Metadata[Targets]:
    if role == ROOT:
        return parse(content, Root, where=role)
    return parse(content, Targets, where=role)


# The answer depends on the bytes alone, and without a compiled library each signature costs 10 ms to check. There
# are 64 bins by default, 512 in a large repository: a smaller cache than all roles would forget each before it is asked for again.
@lru_cache(maxsize=CACHED_ROLES)
def _check(delegator: bytes, delegator_role: str, content: bytes, role: str) -> None:
    metadata = _read(role, content)
    about = signed_bytes(metadata.signed)
    try:
        verified = (
            _read(delegator_role, delegator)
            .signed.get_verification_result(role, about, metadata.signatures)
            .verified
        )
    except ValueError:  # no such delegation
        verified = False
    if not verified:
        raise BadSignatureError(
            f"the published metadata of {role} in the database is not what its holders signed",
            hint="do not sign or publish; compare with the published files and restore the database",
        )
    if isinstance(metadata.signed, Root):
        lint_root(metadata.signed)
    else:
        lint_targets(metadata.signed, where=role)
