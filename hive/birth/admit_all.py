"""Resolving a tenant's profile and admitting everything in it: all of it, or an error."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hive.admission import Admission, admit
from hive.external import OptIn
from hive.optins import load_bundle
from hive.policy import POLICY
from hive.tenants import Tenant
from repo_client.client import RepoClient, Standing
from signing.errors import ConflictError, CouldNotVerifyError, NotFirstPartyError
from signing.format.manifest import Kind
from signing.format.profile import Lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A lock, and the admission of every item in it; plus what the free tier opted in to."""

    lock: Lock
    admissions: tuple[Admission, ...]
    capabilities: tuple[str, ...]
    standing: Standing
    decided_at: datetime

    def check_fresh(self, now: datetime) -> None:
        """Return None while the admissions are recent enough to act on.

        Raises:
            CouldNotVerifyError: a slow host, server or clock has let them grow old.
        """
        if not -POLICY.evidence_life <= now - self.decided_at <= POLICY.evidence_life:
            raise CouldNotVerifyError(
                f"what was admitted at {self.decided_at:%H:%M:%S} is not fresh any more", hint="birth again"
            )


def admit_all(
    tenant: Tenant,
    client: RepoClient,
    *,
    opt_ins: Sequence[OptIn],
    external_dir: Path,
    clock: Callable[[], datetime],
) -> Admitted:
    """Return everything that the tenant's profile pins, admitted now.

    Nothing on the machine is changed but the client's own memory. One refusal refuses the birth.

    Raises:
        VerificationError, PolicyError, FormatError: something is not acceptable.
        NotFoundError, TransportError: something cannot be had.
    """
    begun = clock()
    with client.session(begun) as session:
        standing = session.standing()
        revocations = session.revocations()
        verified = session.profile(tenant.profile)
        profile = verified.profile
        session.expect(item.pin for _, item in profile.items())
        admissions = [
            admit(
                session.release(item.pin),
                tenant=tenant,
                profile=verified,
                kind=kind,
                revocations=revocations,
                opt_ins=opt_ins,
                policy=POLICY,
                now=clock(),  # read again each time: a slow server must not stop the clock
            )
            for kind, item in profile.items()
        ]
    names = {admission.pin.name for admission in admissions}
    for opt_in in opt_ins:
        if clock() >= opt_in.expires_at:
            raise NotFirstPartyError(
                f"the opt-in of {tenant.tenant_id} to {opt_in.pin} has ended",
                hint="renew it (hive optin add) or withdraw it (hive optin withdraw)",
            )
        if opt_in.pin.name in names:
            raise ConflictError(
                f"{opt_in.pin} has the name of a first-party skill of the profile", hint="hive optin withdraw"
            )
        names.add(opt_in.pin.name)
        admissions.append(
            admit(
                load_bundle(external_dir, opt_in),
                tenant=tenant,
                profile=verified,
                kind=Kind.SKILL,
                revocations=revocations,
                opt_ins=opt_ins,
                policy=POLICY,
                now=clock(),
            )
        )
    return Admitted(
        lock=Lock.of(profile, external=[(item.pin, item.bundle_sha256) for item in opt_ins]),
        admissions=tuple(admissions),
        capabilities=profile.capabilities,
        standing=standing,
        decided_at=begun,
    )
