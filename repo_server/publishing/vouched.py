"""What is published, checked from the trust anchor: what a new signature may continue.

The database is not trusted with this. A signature covers the whole list of a role's targets, so metadata that
was altered in the database would carry the alteration into whatever is signed next.
"""

from securesystemslib.signer import Signature
from sqlalchemy import select
from sqlalchemy.orm import Session
from tuf.api.metadata import Root, Targets

from repo_server.db.models import MetadataRow
from repo_server.publishing.state import current
from signing.errors import BadSignatureError
from signing.metadata import lint_root, lint_targets, parse
from signing.roles import ROOT, SKILLS, TARGETS, is_bin


def vouched_targets(session: Session, role: str, *, anchor: bytes) -> Targets:
    """Return the published metadata of ``role``, signed by those whom the anchor's chain names.

    Raises:
        BadSignatureError: it, or what delegates to it, is not what its holders signed.
        NotFoundError, FormatError: it is not there, or is not such metadata.
    """
    metadata = parse(current(session, role).content, Targets, where=role)
    delegator = vouched_delegator(session, role, anchor=anchor)
    _check(delegator, role, metadata.signed_bytes, metadata.signatures)
    lint_targets(metadata.signed, where=role)
    return metadata.signed


def vouched_delegator(session: Session, role: str, *, anchor: bytes) -> Root | Targets:
    """Return the published metadata that says who signs ``role``.

    Raises:
        BadSignatureError, NotFoundError, FormatError: as for `vouched_targets`.
    """
    if role == TARGETS:
        return _vouched_root(session, anchor)
    return vouched_targets(session, SKILLS if is_bin(role) else TARGETS, anchor=anchor)


def _vouched_root(session: Session, anchor: bytes) -> Root:
    first = parse(anchor, Root, where="trust anchor")
    _check(first.signed, ROOT, first.signed_bytes, first.signatures)
    lint_root(first.signed)
    root = first.signed
    statement = (
        select(MetadataRow.content)
        .where(MetadataRow.role == ROOT, MetadataRow.version > root.version)
        .order_by(MetadataRow.version)
    )
    for content in session.scalars(statement):
        following = parse(content, Root, where=ROOT)
        if following.signed.version != root.version + 1:
            raise BadSignatureError(f"root {root.version + 1} is missing in the chain of roots")
        _check(root, ROOT, following.signed_bytes, following.signatures)
        _check(following.signed, ROOT, following.signed_bytes, following.signatures)
        lint_root(following.signed)
        root = following.signed
    return root


def _check(
    delegator: Root | Targets, role: str, signed_bytes: bytes, signatures: dict[str, Signature]
) -> None:
    try:
        verified = delegator.get_verification_result(role, signed_bytes, signatures).verified
    except ValueError:  # no such delegation
        verified = False
    if not verified:
        raise BadSignatureError(
            f"the published metadata of {role} in the database is not what its holders signed",
            hint="do not sign or publish; compare with the published files and restore the database",
            where=role,
        )
