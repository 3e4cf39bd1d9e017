"""Resolving a tenant's profile and admitting everything in it: all of it, or an error."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hive.admission import Admission, PackageAdmission, admit
from hive.external import OptIn
from hive.optins import load_bundle
from hive.packages.bringing import Pantry, PinnedSet, fetch_missing, look, open_packages
from hive.policy import POLICY
from hive.tenants import Tenant
from repo_client.client import RepoClient, Standing
from signing.errors import ConflictError, CouldNotVerifyError, NotFirstPartyError
from signing.evidence import VerifiedProfile, VerifiedRevocations
from signing.format.manifest import Kind
from signing.format.pkg.index import RepoIndex
from signing.format.profile import Lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A lock, and the admission of every item in it; plus what the free tier opted in to.

    ``packages`` are open, and closed by whoever entered `admit_all`; ``index`` is where they come from.
    """

    lock: Lock
    admissions: tuple[Admission, ...]
    packages: tuple[PackageAdmission, ...]
    index: RepoIndex | None
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looked:
    """What one look at the repository gave."""

    at: datetime
    profile: VerifiedProfile
    revocations: VerifiedRevocations
    standing: Standing
    admissions: tuple[Admission, ...]
    pinned: PinnedSet | None


@contextlib.contextmanager
def admit_all(
    tenant: Tenant,
    client: RepoClient,
    *,
    opt_ins: Sequence[OptIn],
    external_dir: Path,
    pantry: Pantry,
    clock: Callable[[], datetime],
) -> Iterator[Admitted]:
    """Yield everything that the tenant's profile pins, admitted now; packages are open until the end.

    Nothing on the machine is changed but the client's own memory and the store of packages. One refusal refuses the
    birth.

    Raises:
        VerificationError, PolicyError, FormatError: something is not acceptable.
        NotFoundError, TransportError: something cannot be had.
    """
    looked = _look(tenant, client, pantry, clock)
    if looked.pinned is not None:
        fetch_missing(looked.pinned, client, pantry)
        if clock() - looked.at > POLICY.evidence_life / 3:
            looked = _look(tenant, client, pantry, clock)  # that took long: what was seen grew old
    external = _admit_external(tenant, looked, opt_ins, external_dir, clock)
    with contextlib.ExitStack() as opened:
        packages: tuple[PackageAdmission, ...] = ()
        if looked.pinned is not None:
            packages = open_packages(
                looked.pinned,
                tenant,
                client,
                pantry,
                profile=looked.profile,
                revocations=looked.revocations,
                clock=clock,
            )
            for admission in packages:
                opened.callback(admission.package.close)
        profile = looked.profile.profile
        external_items = [(item.pin, item.bundle_sha256) for item in opt_ins]
        yield Admitted(
            lock=Lock.of(profile, abi=pantry.abi, external=external_items),
            admissions=(*looked.admissions, *external),
            packages=packages,
            index=looked.pinned.packages.index if looked.pinned is not None else None,
            capabilities=profile.capabilities,
            standing=looked.standing,
            decided_at=looked.at,
        )


def _look(tenant: Tenant, client: RepoClient, pantry: Pantry, clock: Callable[[], datetime]) -> _Looked:
    begun = clock()
    with client.session(begun) as session:
        standing = session.standing()
        revocations = session.revocations()
        verified = session.profile(tenant.profile)
        session.expect(item.pin for _, item in verified.profile.items())
        admissions = [
            admit(
                session.release(item.pin),
                tenant=tenant,
                profile=verified,
                kind=kind,
                revocations=revocations,
                opt_ins=(),
                policy=POLICY,
                now=clock(),  # read again each time: a slow server must not stop the clock
            )
            for kind, item in verified.profile.items()
        ]
        pinned = look(session, verified, pantry.abi)
    return _Looked(
        at=begun,
        profile=verified,
        revocations=revocations,
        standing=standing,
        admissions=tuple(admissions),
        pinned=pinned,
    )


def _admit_external(
    tenant: Tenant,
    looked: _Looked,
    opt_ins: Sequence[OptIn],
    external_dir: Path,
    clock: Callable[[], datetime],
) -> list[Admission]:
    names = {admission.pin.name for admission in looked.admissions}
    admissions = []
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
                profile=looked.profile,
                kind=Kind.SKILL,
                revocations=looked.revocations,
                opt_ins=opt_ins,
                policy=POLICY,
                now=clock(),
            )
        )
    return admissions
