"""Proposals: the metadata that would be published, waiting for signatures.

A release changes two hash bins (its bundle and its review hash to bins of their own; sometimes the same one),
a profile changes the role ``profiles``. A proposal continues the newest metadata of its role, proposed or
published, so several can be signed before anything is published; publishing keeps their order.

Before a key signs, `check_proposals` compares proposed and published metadata here, on the signer's side: they
may differ by exactly the reviewed targets and nothing else, whatever made the proposal. What is published is
checked from the trust anchor first (`vouched`), and what continues another proposal waits until that one has
its signatures or the signer's own: a signature covers all targets of the role, also those below.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Key, Signature, Signer
from sqlalchemy import select
from sqlalchemy.orm import Session
from tuf.api.metadata import Root, TargetFile, Targets

from repo_server.db.models import CandidateRow, CandidateState, ProposalRow, ProposalState
from repo_server.publishing.ceremony import Standing, succinct
from repo_server.publishing.state import current, current_root, current_targets, tip
from repo_server.publishing.vouched import vouched_delegator, vouched_targets
from signing.errors import BadSignatureError, ConflictError, FormatError, NotEntitledError, WrongSubjectError
from signing.format.digest import sha256_of
from signing.keys import holder_of
from signing.metadata import lint_targets, parse, parse_signed, render, sign, with_targets
from signing.roles import REVOCATIONS, SKILLS, TARGETS, delegated_role_of, is_bin, life_of

_CLOCK_SLACK: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one proposal does, for people: role, versions, and the targets that it adds."""

    role: str
    old_version: int
    new_version: int
    added: tuple[TargetFile, ...]
    standing: Standing

    def to_json(self) -> dict[str, Any]:
        """Return the change as it stands in ``--json`` answers."""
        return {
            "role": self.role,
            "from_version": self.old_version,
            "to_version": self.new_version,
            "adds": [
                {"path": target.path, "length": target.length, "sha256": target.hashes["sha256"]}
                for target in self.added
            ],
            "signed": list(self.standing.signed),
            "missing": list(self.standing.missing),
            "threshold": self.standing.threshold,
        }


def propose(
    session: Session, subject: str, additions: Mapping[str, TargetFile], *, now: datetime
) -> list[ProposalRow]:
    """Return the open proposals of ``subject`` that add exactly ``additions``, made when there are none."""
    return propose_roles(session, subject, _by_role(current_targets(session, SKILLS), additions), now=now)


def propose_roles(
    session: Session, subject: str, by_role: Mapping[str, Mapping[str, TargetFile]], *, now: datetime
) -> list[ProposalRow]:
    """Return the open proposals of ``subject`` for these roles; a role without additions is only renewed."""
    known = open_proposals(session, subject)
    if known:
        return known
    rows = []
    for role, targets in sorted(by_role.items()):
        base = tip(session, role)
        proposed = with_targets(
            parse(base, Targets, where=role).signed,
            targets,
            role=role,
            now=now,
            replace=role == REVOCATIONS,  # the one path that is not one immutable artefact
        )
        row = ProposalRow(
            subject=subject,
            role=role,
            version=proposed.signed.version,
            base_sha256=_signed_digest(base, role),
            content=render(proposed),
            state=ProposalState.OPEN,
            created_at=now,
        )
        session.add(row)
        rows.append(row)
    session.flush()
    return rows


def open_proposals(session: Session, subject: str | None = None) -> list[ProposalRow]:
    """Return the open proposals, of one subject or of all, oldest first."""
    statement = select(ProposalRow).where(ProposalRow.state == ProposalState.OPEN).order_by(ProposalRow.id)
    if subject is not None:
        statement = statement.where(ProposalRow.subject == subject)
    return list(session.scalars(statement))


def drop_proposals(session: Session, subject: str) -> None:
    """Drop the open proposals of ``subject`` and those that continue them: their base is gone."""
    dropped = open_proposals(session, subject)
    _no_longer_signed(session, subject)
    for row in dropped:
        row.state = ProposalState.DROPPED
        for later in open_proposals(session):
            if later.role == row.role and later.version > row.version:
                drop_proposals(session, later.subject)
    session.flush()


def check_proposals(
    session: Session,
    rows: Sequence[ProposalRow],
    expected: Mapping[str, TargetFile],
    *,
    anchor: bytes,
    now: datetime,
) -> list[Change]:
    """Return what ``rows`` change, after checking that together they are exactly what was reviewed.

    Raises:
        WrongSubjectError: they add, remove or alter anything but ``expected``, leave some of it out, or play
            with version, expiry or delegations.
        BadSignatureError: what is published is not what the anchor vouches for.
        ConflictError: what they continue is neither published nor proposed any more.
        FormatError: they break our rules.
    """
    by_role = _by_role(vouched_targets(session, SKILLS, anchor=anchor), expected)
    return check_roles(session, rows, by_role, anchor=anchor, now=now)


def check_roles(
    session: Session,
    rows: Sequence[ProposalRow],
    by_role: Mapping[str, Mapping[str, TargetFile]],
    *,
    anchor: bytes,
    now: datetime,
) -> list[Change]:
    """Return what ``rows`` change, after checking that it is ``by_role`` and nothing else.

    Raises:
        WrongSubjectError, BadSignatureError, ConflictError, FormatError: as for `check_proposals`.
    """
    if odd := sorted({row.role for row in rows} ^ set(by_role)):
        raise WrongSubjectError(f"the proposals leave out or touch {odd[0]}, which is not what was reviewed")
    return [_check(session, row, by_role[row.role], anchor=anchor, now=now) for row in rows]


def sign_proposal(session: Session, row: ProposalRow, signer: Signer, *, anchor: bytes) -> Standing:
    """Add the signature of ``signer`` and return how far the proposal has come.

    Raises:
        NotEntitledError: the key is not one of the role's.
        ConflictError: it continues a proposal that neither its holders nor ``signer`` have signed.
    """
    if signer.public_key.keyid not in _delegator(session, row.role).get_delegated_role(row.role).keyids:
        raise NotEntitledError(
            f"{holder_of(signer.public_key)} may not sign for {row.role}",
            hint="sign as one of the role's holders",
        )
    _check_below(session, row, signer.public_key, anchor=anchor)
    metadata = parse(row.content, Targets, where=row.role)
    sign(metadata, signer)
    row.content = render(metadata)
    session.flush()
    return proposal_standing(session, row)


def accept_signature(session: Session, row: ProposalRow, signature: Signature, *, anchor: bytes) -> Key:
    """Add a signature that was given elsewhere and return the key that gave it; others are kept.

    Raises:
        NotEntitledError: its key is not one of the role's.
        BadSignatureError: it is not a signature over exactly this proposal.
        ConflictError: the proposal continues one that neither its holders nor this key have signed.
    """
    delegator = vouched_delegator(session, row.role, anchor=anchor)
    if signature.keyid not in delegator.get_delegated_role(row.role).keyids:
        raise NotEntitledError(
            f"the key {signature.keyid[:16]} may not sign for {row.role}",
            hint="sign as one of the role's holders",
        )
    key = delegator.get_key(signature.keyid)
    metadata = parse(row.content, Targets, where=row.role)
    try:
        key.verify_signature(signature, metadata.signed_bytes)
    except UnverifiedSignatureError as error:
        raise BadSignatureError(
            f"the signature by {holder_of(key)} is not over the proposal for {row.role} that is here",
            hint="sign again: the proposal may have been made anew",
        ) from error
    _check_below(session, row, key, anchor=anchor)
    metadata.signatures[key.keyid] = signature
    row.content = render(metadata)
    session.flush()
    return key


def proposal_standing(session: Session, row: ProposalRow) -> Standing:
    """Return who has signed ``row`` and who is missing.

    Raises:
        FormatError: it is not metadata, or of no role of ours.
    """
    metadata, about = parse_signed(row.content, Targets, where=row.role)
    result = _delegator(session, row.role).get_verification_result(row.role, about, metadata.signatures)
    return Standing(
        role=row.role,
        signed=tuple(sorted(holder_of(key) for key in result.signed.values())),
        missing=tuple(sorted(holder_of(key) for key in result.unsigned.values())),
        threshold=result.threshold,
    )


def continues_published(session: Session, row: ProposalRow) -> bool:
    """Return whether ``row`` continues what is published now, so that it may be published itself."""
    return row.base_sha256 == _signed_digest(current(session, row.role).content, row.role)


def _check(
    session: Session, row: ProposalRow, expected: Mapping[str, TargetFile], *, anchor: bytes, now: datetime
) -> Change:
    proposed = parse(row.content, Targets, where=row.role).signed
    below = _below(session, row)
    if below is None:
        base = vouched_targets(session, row.role, anchor=anchor)
    else:
        base = parse(below.content, Targets, where=row.role).signed
    lint_targets(proposed, where=row.role)
    wanted = {**base.targets, **expected}
    if proposed.targets != wanted:
        odd = sorted(
            path for path in {*wanted, *proposed.targets} if wanted.get(path) != proposed.targets.get(path)
        )
        raise WrongSubjectError(
            f"the proposal for {row.role} touches {odd[0]}, which is not what was reviewed",
            hint="do not sign; look at skillrepo log to see who made it",
        )
    if proposed.delegations != base.delegations or proposed.version != base.version + 1:
        raise WrongSubjectError(f"the proposal for {row.role} changes more than its targets")
    if not now < proposed.expires <= now + life_of(row.role).expiry + _CLOCK_SLACK:
        raise WrongSubjectError(
            f"the proposal for {row.role} expires at {proposed.expires}, which is not our rule"
        )
    added = tuple(target for path, target in proposed.targets.items() if base.targets.get(path) != target)
    return Change(
        role=row.role,
        old_version=base.version,
        new_version=proposed.version,
        added=added,
        standing=proposal_standing(session, row),
    )


def _check_below(session: Session, row: ProposalRow, key: Key, *, anchor: bytes) -> None:
    below = _below(session, row)
    if below is None:
        return
    metadata, about = parse_signed(below.content, Targets, where=row.role)
    result = vouched_delegator(session, row.role, anchor=anchor).get_verification_result(
        row.role, about, metadata.signatures
    )
    if not result.verified and key.keyid not in result.signed:
        other = _spoken(session, below.subject)
        raise ConflictError(
            f"this continues {other}, which {holder_of(key)} has not signed: the signature would cover both",
            hint=f"sign {other} first, or have it published, or rejected",
        )


def _below(session: Session, row: ProposalRow) -> ProposalRow | None:
    """Return the open proposal that ``row`` continues, found by digest, or None when it continues what is published."""
    if continues_published(session, row):
        return None
    for other in open_proposals(session):
        if other.role == row.role and _signed_digest(other.content, row.role) == row.base_sha256:
            return other
    raise ConflictError(
        f"what the proposal for {row.role} continues is gone: something else was published first",
        hint="sign again: the proposal is made anew",
    )


def _spoken(session: Session, subject: str) -> str:
    """Return what people call the subject of a proposal."""
    kind, _, name = subject.partition(":")
    candidate = session.get(CandidateRow, name) if kind == "candidate" else None
    return f"{candidate.name}=={candidate.version} ({name})" if candidate is not None else f"{kind} {name}"


def _no_longer_signed(session: Session, subject: str) -> None:
    kind, _, name = subject.partition(":")
    candidate = session.get(CandidateRow, name) if kind == "candidate" else None
    if candidate is not None and candidate.state == CandidateState.SIGNED:
        candidate.state = CandidateState.REVIEWED


def _signed_digest(data: bytes, role: str) -> str:
    """Return the digest of what signatures cover: the same however many have signed."""
    return sha256_of(parse_signed(data, Targets, where=role)[1])


def _by_role(skills: Targets, additions: Mapping[str, TargetFile]) -> dict[str, dict[str, TargetFile]]:
    by_role: dict[str, dict[str, TargetFile]] = {}
    for path, target in additions.items():
        by_role.setdefault(_role_of(skills, path), {})[path] = target
    return by_role


def _role_of(skills: Targets, path: str) -> str:
    role = delegated_role_of(path)
    return succinct(skills).get_role_for_target(path) if role == SKILLS else role


def _delegator(session: Session, role: str) -> Root | Targets:
    if role == TARGETS:
        return current_root(session)
    found = current_targets(session, SKILLS if is_bin(role) else TARGETS)
    try:
        found.get_delegated_role(role)
    except ValueError as error:
        raise FormatError(f"nobody is appointed to sign {role[:80]!a}", where="proposal") from error
    return found
