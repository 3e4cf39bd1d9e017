"""Holding what was let in against what our trust root says now: one look at the repository for all tenants (edge).

with look_now(client, …) as now_known:          trust refreshed and remembered, lists at hand
    trust_findings(birth, now_known)            what is wrong with one birth, all of it
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from hive import trust
from hive.admission import PACKAGE, judge
from hive.birth.recorded import RecordedBirth
from hive.db.session import transaction
from hive.external import OptIn
from hive.policy import Policy
from hive.sweep.findings import Finding, Found
from hive.tenants import Tenant
from hive.vulnerabilities import Known, examine
from repo_client.client import RepoClient, Session
from signing.errors import (
    CouldNotVerifyError,
    NotFoundError,
    QuarantinedError,
    RejectedError,
    RevokedError,
    SkillRepoError,
    VulnerableError,
    YankedError,
)
from signing.evidence import VerifiedProfile, VerifiedRelease, VerifiedRevocations
from signing.format.digest import Sha256
from signing.format.names import Pin
from signing.format.pkg.pins import VulnerabilityWaiver
from signing.format.withdrawal import Withdrawal, Withdrawn
from signing.package_evidence import VerifiedAdvisories

FIRST_PARTY = "first-party"
_STATES = {
    Withdrawn.REVOKED: Found.REVOKED,
    Withdrawn.QUARANTINED: Found.QUARANTINED,
    Withdrawn.YANKED: Found.YANKED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NowKnown:
    """One look at the repository: the lists of this moment, and releases as they are asked for."""

    session: Session = field(repr=False)
    revocations: VerifiedRevocations
    policy: Policy
    at: datetime
    _advisories: list[VerifiedAdvisories] = field(default_factory=list, repr=False)
    _releases: dict[Pin, VerifiedRelease] = field(default_factory=dict, repr=False)

    def release(self, pin: Pin) -> VerifiedRelease:
        """Return a release, asked for once: most tenants of a host have the same skills.

        Raises:
            NotFoundError, VerificationError, FormatError: as for `Session.release`.
        """
        if pin not in self._releases:
            self._releases[pin] = self.session.release(pin)
        return self._releases[pin]

    def advisories(self) -> VerifiedAdvisories:
        """Return the list of known vulnerabilities, asked for once."""
        if not self._advisories:
            self._advisories.append(self.session.advisories())
        return self._advisories[0]


@contextlib.contextmanager
def look_now(client: RepoClient, engine: Engine, *, policy: Policy, now: datetime) -> Iterator[NowKnown]:
    """Refresh trust, remember it, and yield what is known now.

    The database is not held while the repository is asked: a server that is slow on purpose would stop this host.

    Raises:
        VerificationError, TransportError, NotFoundError: it cannot be had, or not be trusted.
    """
    with transaction(engine) as database:
        trust.check_anchor(database, client.anchor_sha256)
    with client.session(now) as session:
        standing = session.standing()
        with transaction(engine) as database:
            trust.remember(database, standing)
        yield NowKnown(session=session, revocations=session.revocations(), policy=policy, at=now)


def trust_findings(
    birth: RecordedBirth,
    decisions: Sequence[Mapping[str, Any]],
    opt_ins: Sequence[OptIn],
    known: NowKnown,
) -> list[Finding]:
    """Return everything in the birth's record that our trust root does not vouch for now.

    ``decisions`` are the admission records of the birth. What cannot be looked up is a finding too.
    """
    found = (
        [Finding(kind=Found.UNKNOWN, subject="birth record", detail=birth.problem)] if birth.problem else []
    )
    for decision in decisions:
        if decision.get("kind") != PACKAGE:
            found += _bundle(birth.tenant, decision, opt_ins, known)
    if birth.packages:
        found += _packages(birth, known)
    return found


def _bundle(
    tenant: Tenant, decision: Mapping[str, Any], opt_ins: Sequence[OptIn], known: NowKnown
) -> list[Finding]:
    pin = Pin.parse(decision["pin"])
    withdrawn = known.revocations.covering(
        pin, bundle_sha256=Sha256(decision["bundle_sha256"]), tree_sha256=Sha256(decision["tree_sha256"])
    )
    found = [_withdrawal(str(pin), entry) for entry in withdrawn]
    if decision.get("source") != FIRST_PARTY:
        return [*found, *_consent(pin, decision, opt_ins, known.at)]
    try:
        release = known.release(pin)
        if release.bundle.target.sha256 != decision["bundle_sha256"]:
            return [*found, _finding(Found.UNVOUCHED, pin, "other bytes are published under this version")]
        judge(
            release,
            tenant=tenant,
            profile_sha256=None,
            revocations=known.revocations,
            opt_ins=(),
            policy=known.policy,
            now=known.at,
        )
    except (RevokedError, QuarantinedError, YankedError):
        pass  # said above, with who and why
    except CouldNotVerifyError as error:
        found.append(_finding(Found.UNKNOWN, pin, error.message))
    except (RejectedError, NotFoundError) as error:
        found.append(_finding(Found.UNVOUCHED, pin, error.message))
    except SkillRepoError as error:
        found.append(_finding(Found.UNKNOWN, pin, error.message))
    return found


def _consent(pin: Pin, decision: Mapping[str, Any], opt_ins: Sequence[OptIn], now: datetime) -> list[Finding]:
    for opt_in in opt_ins:
        if (opt_in.pin, opt_in.bundle_sha256) == (pin, decision["bundle_sha256"]):
            ended = now >= opt_in.expires_at
            return [_finding(Found.ENDED, pin, f"the opt-in of {opt_in.owner} has ended")] if ended else []
    return [_finding(Found.ENDED, pin, "the opt-in was withdrawn")]


def _packages(birth: RecordedBirth, known: NowKnown) -> list[Finding]:
    try:
        advisories = known.advisories()
        waivers, problem = _waivers(birth.tenant, known)
    except SkillRepoError as error:
        return [Finding(kind=Found.UNKNOWN, subject="vulnerabilities", detail=error.message)]
    exam = examine(
        birth,
        Known(advisories=advisories, revocations=known.revocations),
        waivers,
        now=known.at,
        problem=problem,
    )
    found = [_withdrawal(str(item.package.pin), item.entry) for item in exam.withdrawn]
    found += [
        Finding(
            kind=Found.VULNERABLE,
            subject=str(item.package.pin),
            detail=f"{item.advisory.topic} ({item.advisory.vid})",
        )
        for item in exam.affected
        if item.open
    ]
    return found


def _waivers(tenant: Tenant, known: NowKnown) -> tuple[Sequence[VulnerabilityWaiver], str]:
    try:
        profile: VerifiedProfile = known.session.profile(tenant.profile)
    except (NotFoundError, VulnerableError) as error:
        return (), error.message
    return profile.profile.waivers, ""


def _withdrawal(subject: str, entry: Withdrawal) -> Finding:
    return Finding(kind=_STATES[entry.state], subject=subject, detail=f"by {entry.by}: {entry.reason}")


def _finding(kind: Found, pin: Pin, detail: str) -> Finding:
    return Finding(kind=kind, subject=str(pin), detail=detail)
