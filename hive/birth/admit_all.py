"""Resolving a tenant's profile and admitting everything in it: all of it, or an error."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hive.admission import Admission, admit
from hive.external import OptIn
from hive.optins import load_bundle
from hive.policy import POLICY
from hive.tenants import Tenant
from repo_client.client import RepoClient
from signing.errors import ConflictError, NotFirstPartyError
from signing.format.manifest import Kind
from signing.format.profile import Lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A lock, and the admission of every item in it; plus what the free tier opted in to."""

    lock: Lock
    admissions: tuple[Admission, ...]
    capabilities: tuple[str, ...]


def admit_all(
    tenant: Tenant, client: RepoClient, *, opt_ins: Sequence[OptIn], external_dir: Path, now: datetime
) -> Admitted:
    """Return everything that the tenant's profile pins, admitted now.

    Nothing on the machine is changed but the client's own memory. One refusal refuses the birth.

    Raises:
        VerificationError, PolicyError, FormatError: something is not acceptable.
        NotFoundError, TransportError: something cannot be had.
    """
    with client.session(now) as session:
        revocations = session.revocations()
        profile = session.profile(tenant.profile).profile
        session.expect(item.pin for _, item in profile.items())
        admissions = [
            admit(
                session.release(item.pin),
                tenant=tenant,
                pinned=item,
                kind=kind,
                revocations=revocations,
                opt_ins=opt_ins,
                policy=POLICY,
                now=now,
            )
            for kind, item in profile.items()
        ]
    names = {admission.pin.name for admission in admissions}
    for opt_in in opt_ins:
        if now >= opt_in.expires_at:
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
                pinned=None,
                kind=Kind.SKILL,
                revocations=revocations,
                opt_ins=opt_ins,
                policy=POLICY,
                now=now,
            )
        )
    return Admitted(
        lock=Lock.of(profile, external=[(item.pin, item.bundle_sha256) for item in opt_ins]),
        admissions=tuple(admissions),
        capabilities=profile.capabilities,
    )
