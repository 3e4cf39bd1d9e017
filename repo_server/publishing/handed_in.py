"""Proposals and signatures for curators who sit elsewhere: planned here, signed there, taken back here.

    prepare(repository, session, "candidate:5f…", now=…)      the proposals that publish it, made when there are none
    prepare_builder(repository, session, repo, key, now=…)    the same for a builder, whose key comes along
    accept_signatures(repository, session, "candidate:5f…", signatures, now=…)

The same plans are made and checked as for a curator on this machine. What was signed elsewhere is taken when it
is a signature by an entitled key over exactly what is proposed here: all signatures of one hand-in, or none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from securesystemslib.signer import Signature
from sqlalchemy import select
from sqlalchemy.orm import Session
from tuf.api.metadata import Targets

from repo_server.db import log
from repo_server.db.models import CandidateRow, CandidateState, ProposalRow, ProposalState
from repo_server.publishing import builders
from repo_server.publishing.profiles import plan_profile
from repo_server.publishing.proposals import Change, accept_signature, drop_proposals, open_proposals
from repo_server.publishing.releases import load_reviewed, plan_signature
from repo_server.publishing.renewals import plan_renewal
from repo_server.publishing.withdrawals import KIND as WITHDRAWALS
from repo_server.publishing.withdrawals import plan_list
from repo_server.repository import Repository
from signing.errors import ConflictError, FormatError, NotFoundError
from signing.format.digest import Sha256, sha256_of
from signing.format.names import Pin
from signing.format.pkg.names import PackageRepo
from signing.keys import HeldKey, holder_of
from signing.metadata import parse

_ABANDONED: Final = timedelta(hours=1)
_Plan = Callable[[Repository, Session, str, datetime], list[Change]]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenSignature:
    """A signature that was given elsewhere: for which role, over which bytes (by digest)."""

    role: str
    signed_sha256: Sha256
    signature: Signature


def signed_sha256(row: ProposalRow) -> Sha256:
    """Return the digest of what a signature on ``row`` covers."""
    return sha256_of(parse(row.content, Targets, where=row.role).signed_bytes)


def prepare(repository: Repository, session: Session, subject: str, *, now: datetime) -> list[ProposalRow]:
    """Return the open proposals of ``subject``, checked; made anew when there are none or their base is gone.

    Raises:
        FormatError: nothing of that kind is proposed. NotFoundError: there is no such thing.
        ConflictError, RejectedError: as for signing it on this machine.
    """
    plan, name = _plan_of(subject)
    _drop_abandoned(session, subject, now)
    plan(repository, session, name, now)
    return open_proposals(session, subject)


def prepare_builder(
    repository: Repository, session: Session, repo: PackageRepo, key: HeldKey, *, now: datetime
) -> list[ProposalRow]:
    """Return the open proposal that makes ``key`` the builder of ``repo``, made when there is none.

    Raises:
        SkillRepoError: see `repo_server.publishing.builders.plan_builder`.
    """
    _drop_abandoned(session, builders.subject_of(repo), now)
    builders.plan_builder(repository, session, repo, key, now=now)
    return open_proposals(session, builders.subject_of(repo))


def accept_signatures(
    repository: Repository,
    session: Session,
    subject: str,
    given: Sequence[GivenSignature],
    *,
    now: datetime,
) -> list[Change]:
    """Add signatures on the proposals of ``subject``, and return how far these have come.

    Raises:
        ConflictError: what was signed is not what is proposed (any more), or continues what is not signed.
        NotEntitledError, BadSignatureError: the key may not, or did not, sign this.
    """
    plan, name = _plan_of(subject)
    # Two hand-ins at once must not read the same signatures and write each their own: the second waits.
    session.execute(
        select(ProposalRow.id)
        .where(ProposalRow.subject == subject, ProposalRow.state == ProposalState.OPEN)
        .with_for_update()
    )
    plan(repository, session, name, now)
    rows = {row.role: row for row in open_proposals(session, subject)}
    _check_same(rows, given)
    signers = set()
    for item in given:
        row = rows[item.role]
        signers.add(holder_of(accept_signature(session, row, item.signature, anchor=repository.anchor)))
    changes = plan(repository, session, name, now)
    _record(repository, session, subject, changes, by=",".join(sorted(signers)), now=now)
    return changes


def _drop_abandoned(session: Session, subject: str, now: datetime) -> None:
    """Drop what others had proposed and nobody signed: whoever looked and went away must not hold up the rest."""
    for row in open_proposals(session):
        unsigned = not parse(row.content, Targets, where=row.role).signatures
        if row.subject != subject and unsigned and now - row.created_at > _ABANDONED:
            drop_proposals(session, row.subject)


def _check_same(rows: dict[str, ProposalRow], given: Sequence[GivenSignature]) -> None:
    mine = [(role, signed_sha256(row)) for role, row in sorted(rows.items())]
    if mine != sorted((item.role, item.signed_sha256) for item in given):
        raise ConflictError(
            "what you signed is not what is proposed here any more",
            hint="look again and sign again: somebody published, rejected or renewed meanwhile",
        )


def _record(
    repository: Repository,
    session: Session,
    subject: str,
    changes: Sequence[Change],
    *,
    by: str,
    now: datetime,
) -> None:
    kind, _, name = subject.partition(":")
    facts: dict[str, object] = {"by": by, "roles": {change.role: change.new_version for change in changes}}
    if kind == "candidate":
        row = session.get_one(CandidateRow, name)
        if all(change.standing.complete for change in changes):
            row.state = CandidateState.SIGNED
        facts |= {"candidate": name, "pin": f"{row.name}=={row.version}"}
    elif kind == builders.KIND:
        repo = PackageRepo.parse(name)
        _, key = builders.plan_proposed(repository, session, repo, now=now)
        facts |= builders.facts_of(repo, key)
    else:
        facts |= {"subject": subject}
    log.append(session, event=_EVENTS[kind], facts=facts, now=now)
    session.flush()


def _plan_candidate(repository: Repository, session: Session, name: str, now: datetime) -> list[Change]:
    row = session.get(CandidateRow, name)
    if row is None:
        raise NotFoundError(f"no candidate {name[:40]!a}", hint="skillrepo status lists candidates")
    return plan_signature(session, row, load_reviewed(repository, session, row, now=now), now=now)


def _plan_profile(repository: Repository, session: Session, name: str, now: datetime) -> list[Change]:
    return plan_profile(repository, session, Pin.parse(name), now=now)


def _plan_renewal(repository: Repository, session: Session, name: str, now: datetime) -> list[Change]:
    return plan_renewal(repository, session, name, now=now)


def _plan_list(repository: Repository, session: Session, name: str, now: datetime) -> list[Change]:
    return plan_list(repository, session, name, now=now)


def _plan_builder(repository: Repository, session: Session, name: str, now: datetime) -> list[Change]:
    change, _ = builders.plan_proposed(repository, session, PackageRepo.parse(name, where="subject"), now=now)
    return [change]


_PLANS: Final[dict[str, _Plan]] = {
    "candidate": _plan_candidate,
    "profile": _plan_profile,
    "renewal": _plan_renewal,
    WITHDRAWALS: _plan_list,
    builders.KIND: _plan_builder,
}
_EVENTS: Final = {
    "candidate": "candidate.signed",
    "profile": "profile.signed",
    "renewal": "role.renewal-signed",
    WITHDRAWALS: "withdrawal.signed",
    builders.KIND: "builder.signed",
}


def _plan_of(subject: str) -> tuple[_Plan, str]:
    kind, _, name = subject.partition(":")
    if kind not in _PLANS:
        raise FormatError(
            f"{subject[:80]!a} is not something that is proposed",
            where="subject",
            hint=f"KIND:NAME, of the kinds {', '.join(_PLANS)}",
        )
    return _PLANS[kind], name
