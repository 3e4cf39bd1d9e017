"""Resolving a tenant's profile and admitting everything in it: all of it, or an error.

    with admit_all(tenant, client, …) as admitted:     everything is admitted now; packages are open until the end
        admitted.is_due(now)                           … and some time later: it is time to look again
        admitted = admitted.again()                    trust asked for anew, the same `admit` of everything

Evidence is about "now", and installing a large set takes longer than that. So what was admitted is admitted again while
a birth goes on, by a new look at the repository; what was withdrawn meanwhile is refused then.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from hive.admission import Admission, PackageAdmission, admit
from hive.external import OptIn
from hive.optins import load_bundle
from hive.packages.bringing import Pantry, PinnedSet, admit_packages, bring, look
from hive.policy import POLICY
from hive.tenants import Tenant
from repo_client.client import RepoClient, Session, Standing
from signing.errors import ConflictError, CouldNotVerifyError, NotFirstPartyError
from signing.evidence import VerifiedProfile, VerifiedRevocations
from signing.format.manifest import Kind
from signing.format.profile import Lock
from signing.package_evidence import VerifiedPackage, VerifiedPackageSet

# Early enough that a server which is away for a moment does not end a birth of hours.
_DUE_AFTER: Final = POLICY.evidence_life / 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A lock, and the admission of every item in it; plus what the free tier opted in to.

    ``packages`` are open, and closed by whoever entered `admit_all`; ``package_set`` is where they come from.
    """

    lock: Lock
    admissions: tuple[Admission, ...]
    packages: tuple[PackageAdmission, ...]
    package_set: VerifiedPackageSet | None
    capabilities: tuple[str, ...]
    standing: Standing
    decided_at: datetime
    _again: "Callable[[], Admitted]" = field(repr=False)

    def again(self) -> "Admitted":
        """Return the same, admitted now.

        Raises:
            RejectedError: something of it is not acceptable any more.
            ConflictError: the profile was signed anew meanwhile, with other contents.
            NotFoundError, TransportError: something cannot be had.
        """
        return self._again()

    def is_due(self, now: datetime) -> bool:
        """Return whether it is time to look again."""
        return not -_DUE_AFTER <= now - self.decided_at <= _DUE_AFTER

    def is_fresh(self, now: datetime) -> bool:
        """Return whether the admissions are recent enough to act on."""
        return -POLICY.evidence_life <= now - self.decided_at <= POLICY.evidence_life

    def check_fresh(self, now: datetime) -> None:
        """Return None while the admissions are recent enough to act on.

        Raises:
            CouldNotVerifyError: a slow server or clock has let them grow old.
        """
        if not self.is_fresh(now):
            raise CouldNotVerifyError(
                f"what was admitted at {self.decided_at:%H:%M:%S} is not fresh any more", hint="birth again"
            )


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
        NotFoundError, TransportError, ConflictError: something cannot be had, or changed meanwhile.
    """
    asking = _Asking(tenant, client, tuple(opt_ins), external_dir, pantry, clock)
    first = asking.look()
    with bring(first.pinned, client, pantry) as held:
        # Bringing may have taken hours: what was seen before is not what is decided by.
        looked = asking.look_again(first) if clock() - first.at > _DUE_AFTER else first
        yield asking.admitted(looked, held)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What one look at the repository gave."""

    at: datetime
    profile: VerifiedProfile
    revocations: VerifiedRevocations
    standing: Standing
    admissions: tuple[Admission, ...]
    pinned: PinnedSet | None


@dataclass(frozen=True, slots=True)
class _Asking:
    """For whom everything is to be admitted, and who is asked."""

    tenant: Tenant
    client: RepoClient
    opt_ins: tuple[OptIn, ...]
    external_dir: Path
    pantry: Pantry
    clock: Callable[[], datetime]

    def look(self) -> _Look:
        begun = self.clock()
        with self.client.session(begun) as session:
            standing = session.standing()
            revocations = session.revocations()
            profile = session.profile(self.tenant.profile)
            session.expect(item.pin for _, item in profile.profile.items())
            return _Look(
                at=begun,
                profile=profile,
                revocations=revocations,
                standing=standing,
                admissions=self._admit_releases(session, profile, revocations),
                pinned=look(session, profile, self.pantry.abi),
            )

    def look_again(self, before: _Look) -> _Look:
        """Look anew; a profile with other contents under its old name is another birth.

        Raises:
            ConflictError: the profile was signed anew meanwhile.
        """
        looked = self.look()
        if looked.profile.target.sha256 != before.profile.target.sha256:
            raise ConflictError(
                f"{self.tenant.profile} was signed anew while its birth went on", hint="birth again"
            )
        return looked

    def admitted(self, looked: _Look, held: tuple[VerifiedPackage, ...]) -> Admitted:
        """Return the admission of everything, by this look."""
        external = self._admit_external(looked)
        packages = admit_packages(
            held,
            looked.pinned,
            self.tenant,
            profile=looked.profile,
            revocations=looked.revocations,
            clock=self.clock,
        )
        profile = looked.profile.profile
        external_items = [(item.pin, item.bundle_sha256) for item in self.opt_ins]
        return Admitted(
            lock=Lock.of(profile, abi=self.pantry.abi, external=external_items),
            admissions=(*looked.admissions, *external),
            packages=packages,
            package_set=looked.pinned.packages if looked.pinned is not None else None,
            capabilities=profile.capabilities,
            standing=looked.standing,
            decided_at=looked.at,
            _again=lambda: self.admitted(self.look_again(looked), held),
        )

    def _admit_releases(
        self, session: Session, profile: VerifiedProfile, revocations: VerifiedRevocations
    ) -> tuple[Admission, ...]:
        return tuple(
            admit(
                session.release(item.pin),
                tenant=self.tenant,
                profile=profile,
                kind=kind,
                revocations=revocations,
                opt_ins=(),
                policy=POLICY,
                now=self.clock(),  # read again each time: a slow server must not stop the clock
            )
            for kind, item in profile.profile.items()
        )

    def _admit_external(self, looked: _Look) -> list[Admission]:
        names = {admission.pin.name for admission in looked.admissions}
        admissions = []
        for opt_in in self.opt_ins:
            if self.clock() >= opt_in.expires_at:
                raise NotFirstPartyError(
                    f"the opt-in of {self.tenant.tenant_id} to {opt_in.pin} has ended",
                    hint="renew it (hive optin add) or withdraw it (hive optin withdraw)",
                )
            if opt_in.pin.name in names:
                raise ConflictError(
                    f"{opt_in.pin} has the name of a first-party skill of the profile",
                    hint="hive optin withdraw",
                )
            names.add(opt_in.pin.name)
            admissions.append(
                admit(
                    load_bundle(self.external_dir, opt_in),
                    tenant=self.tenant,
                    profile=looked.profile,
                    kind=Kind.SKILL,
                    revocations=looked.revocations,
                    opt_ins=self.opt_ins,
                    policy=POLICY,
                    now=self.clock(),
                )
            )
        return admissions
