"""The one door into a jail.

    admit(evidence, …) -> Admission        a skill or an identity layer
                       -> PackageAdmission a package
                                           or an error; there is no third outcome

Only an `Admission` can be materialised (`hive.jails.materialise`), only a `PackageAdmission` can be installed
(`hive.packages.install`), and only `admit` makes them. Two halves, one rule. The function is
pure and denies by default: evidence of a type that no rule below names is refused, and so is evidence that is
too old, about something else than the lock pins, withdrawn, or external for a tenant of the paid tier.

Revoked and quarantined is refused to everybody. Yanked is refused too, but for a profile that pinned it before
it was yanked: the curator's entry names those profiles by digest, and the record then says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, NoReturn, assert_never, final, overload

from hive.external import ExternalBundle, OptIn
from hive.policy import Policy
from hive.refusals import about
from hive.tenants import Tenant, Tier
from signing.errors import (
    CouldNotVerifyError,
    NotEntitledError,
    NotFirstPartyError,
    ThresholdError,
    VulnerableError,
    WrongSubjectError,
)
from signing.evidence import VerifiedProfile, VerifiedRelease, VerifiedRevocations
from signing.format.archive import Bundle
from signing.format.digest import Sha256
from signing.format.manifest import Kind
from signing.format.moment import render_moment
from signing.format.names import Pin
from signing.format.pkg.names import PackagePin
from signing.format.withdrawal import Withdrawal, Withdrawn
from signing.package_evidence import VerifiedAdvisories, VerifiedPackage
from signing.sealed import unchangeable
from signing.withdrawals import refusal

Evidence = VerifiedRelease | ExternalBundle | VerifiedPackage
PACKAGE: Final = "package"


class _Seal:
    """The one instance of this class is what makes an admission; it does not leave this module."""


_SEAL: Final = _Seal()


@unchangeable
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """These bytes may enter that tenant's jail, now. ``record`` says why, for the audit log."""

    tenant: Tenant
    pin: Pin
    kind: Kind
    bundle: Bundle
    first_party: bool
    record: Mapping[str, Any]
    seal: InitVar[_Seal]

    def __post_init__(self, seal: _Seal) -> None:
        if seal is not _SEAL:
            raise TypeError("Admission comes from hive.admission.admit()")

    @property
    def tree_sha256(self) -> Sha256:
        """The digest of the tree that is let in."""
        return self.bundle.manifest.tree_digest


@unchangeable
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PackageAdmission:
    """This package may enter that tenant's jail, now. ``record`` says why, for the audit log."""

    tenant: Tenant
    package: VerifiedPackage
    record: Mapping[str, Any]
    seal: InitVar[_Seal]

    def __post_init__(self, seal: _Seal) -> None:
        if seal is not _SEAL:
            raise TypeError("PackageAdmission comes from hive.admission.admit()")

    @property
    def pin(self) -> PackagePin:
        """Which package is let in."""
        return self.package.package.pin


@overload
def admit(
    evidence: VerifiedRelease | ExternalBundle,
    *,
    tenant: Tenant,
    profile: VerifiedProfile,
    kind: Kind,
    revocations: VerifiedRevocations,
    opt_ins: Sequence[OptIn],
    policy: Policy,
    now: datetime,
) -> Admission: ...


@overload
def admit(
    evidence: VerifiedPackage,
    *,
    tenant: Tenant,
    profile: VerifiedProfile,
    revocations: VerifiedRevocations,
    advisories: VerifiedAdvisories,
    policy: Policy,
    now: datetime,
) -> PackageAdmission: ...


def admit(
    evidence: Evidence,
    *,
    tenant: Tenant,
    profile: VerifiedProfile,
    revocations: VerifiedRevocations,
    policy: Policy,
    now: datetime,
    kind: Kind | None = None,
    opt_ins: Sequence[OptIn] = (),
    advisories: VerifiedAdvisories | None = None,
) -> Admission | PackageAdmission:
    """Return the admission of ``evidence`` into the jail of ``tenant``.

    Args:
        evidence: what was verified; or an external bundle, which nobody vouches for.
        tenant: the row of the registry; its tier decides.
        profile: what the tenant's row names; every first-party bundle must be pinned by it, to the byte.
        kind: what the profile uses a bundle as.
        revocations: the fresh list; without it this function cannot be called.
        opt_ins: the tenant's recorded consents.
        advisories: the fresh list of known vulnerabilities; no package is admitted without it.
        policy: the demands on first-party evidence.
        now: the moment for which the decision holds.

    Raises:
        NotFirstPartyError: external, and the tier or the lack of a valid opt-in forbids it.
        RevokedError, QuarantinedError, YankedError: withdrawn.
        VulnerableError: a package with a known vulnerability that nobody waived.
        WrongSubjectError, ThresholdError, CouldNotVerifyError, NotEntitledError.
    """
    with about(evidence, policy):
        if profile.profile.pin != tenant.profile:
            raise WrongSubjectError(f"{profile.profile.pin} is not the profile of {tenant.tenant_id}")
        _check_fresh(profile.target.checked_at, policy, now, f"the profile {profile.profile.pin}")
        verdict = judge(
            evidence,
            tenant=tenant,
            profile_sha256=profile.target.sha256,
            revocations=revocations,
            opt_ins=opt_ins,
            policy=policy,
            now=now,
        )
        if isinstance(evidence, VerifiedPackage):
            _check_package_pinned(evidence, profile)
            waived = _check_vulnerabilities(evidence, profile, advisories, policy, now)
            record = MappingProxyType({**verdict, **waived})
            return PackageAdmission(tenant=tenant, package=evidence, record=record, seal=_SEAL)
        bundle = _bundle_as_pinned(evidence, kind, profile)
        return Admission(
            tenant=tenant,
            pin=evidence.pin,
            kind=bundle.manifest.kind,
            bundle=bundle,
            first_party=isinstance(evidence, VerifiedRelease),
            record=verdict,
            seal=_SEAL,
        )


def judge(
    evidence: Evidence,
    *,
    tenant: Tenant,
    profile_sha256: Sha256 | None,
    revocations: VerifiedRevocations,
    opt_ins: Sequence[OptIn],
    policy: Policy,
    now: datetime,
) -> Mapping[str, Any]:
    """Return why ``evidence`` is good enough for ``tenant``, whatever its profile pins; or raise.

    The half of `admit` that ``hive policy test`` asks about. It lets nothing into a jail. ``profile_sha256`` is
    the profile by which it is to come in; None: one that is still to be signed.

    Raises:
        NotFirstPartyError, RevokedError, QuarantinedError, YankedError, ThresholdError, CouldNotVerifyError:
            as for `admit`.
    """
    _check_fresh(revocations.target.checked_at, policy, now, "the list of revocations")
    match evidence:
        case VerifiedRelease():
            reasons = {**_identity(evidence.bundle.bundle), **_first_party(evidence, policy, now)}
        case ExternalBundle():
            reasons = {**_identity(evidence.bundle), **_external(evidence, tenant, opt_ins, now)}
        case VerifiedPackage():
            reasons = _first_party_package(evidence, policy, now)
        case _:  # default deny: whatever else is handed in, it is not evidence
            _deny(evidence)
    pin = evidence.package.pin if isinstance(evidence, VerifiedPackage) else evidence.pin
    withdrawals = _covering(revocations, evidence)
    for entry in withdrawals:
        if not _kept(entry, evidence, profile_sha256):
            raise refusal(entry, pin)
    return MappingProxyType(
        {
            "tenant": tenant.tenant_id,
            "tier": tenant.tier.value,
            "pin": str(pin),
            "policy_sha256": policy.sha256,
            "revocations_version": revocations.target.role_version,
            "verdict": "admitted",
            **({"yanked": [_recorded(entry) for entry in withdrawals]} if withdrawals else {}),
            **reasons,
        }
    )


def _kept(entry: Withdrawal, evidence: Evidence, profile_sha256: Sha256 | None) -> bool:
    """Return whether this profile may go on with what ``entry`` withdraws.

    An external bundle is pinned by no profile: consent to it does not outlive its withdrawal.
    """
    return (
        entry.state is Withdrawn.YANKED
        and isinstance(evidence, VerifiedRelease | VerifiedPackage)
        and profile_sha256 is not None
        and entry.keeps(profile_sha256)
    )


def _identity(bundle: Bundle) -> dict[str, str]:
    return {"kind": bundle.manifest.kind.value, "tree_sha256": bundle.manifest.tree_digest}


def _covering(revocations: VerifiedRevocations, evidence: Evidence) -> tuple[Withdrawal, ...]:
    match evidence:
        case VerifiedPackage():
            return revocations.covering_package(evidence.package.pin, sha256=evidence.package.sha256)
        case VerifiedRelease():
            archive, tree = evidence.bundle.target.sha256, evidence.bundle.tree_sha256
        case ExternalBundle():
            archive, tree = evidence.sha256, evidence.bundle.manifest.tree_digest
        case _:
            assert_never(evidence)
    return revocations.covering(evidence.pin, bundle_sha256=archive, tree_sha256=tree)


def _recorded(entry: Withdrawal) -> dict[str, str]:
    return {"withdrawal": entry.id, "by": entry.by, "at": render_moment(entry.at), "reason": entry.reason}


def _deny(evidence: object) -> NoReturn:
    """Refuse what is no evidence at all."""
    raise NotFirstPartyError(
        f"{type(evidence).__name__} is not evidence", hint="this is a bug of ours; report it"
    )


def _first_party(release: VerifiedRelease, policy: Policy, now: datetime) -> dict[str, Any]:
    target, review = release.bundle.target, release.review
    _check_fresh(target.checked_at, policy, now, str(release.pin))
    _check_fresh(review.target.checked_at, policy, now, f"the review of {release.pin}")
    if len(set(review.reviewer_keyids)) < policy.reviewers:
        raise ThresholdError("review", signed=len(review.reviewer_keyids), threshold=policy.reviewers)
    return {
        "source": "first-party",
        "bundle_sha256": target.sha256,
        "review_sha256": review.target.sha256,
        "role": target.role,
        "role_version": target.role_version,
        "signed_by": list(target.signers),
        "signer_keyids": list(target.signer_keyids),
        "reviewed_by": list(review.reviewers),
    }


def _first_party_package(evidence: VerifiedPackage, policy: Policy, now: datetime) -> dict[str, Any]:
    target = evidence.packages.target
    _check_fresh(target.checked_at, policy, now, f"the index of {evidence.packages.repo}")
    return {
        "kind": PACKAGE,
        "sha256": evidence.package.sha256,
        "source": "first-party",
        "repository": str(evidence.packages.repo),
        "serial": evidence.packages.index.serial,
        "index_sha256": target.sha256,
        "role": target.role,
        "role_version": target.role_version,
        "signed_by": list(target.signers),
        "signer_keyids": list(target.signer_keyids),
    }


def _check_package_pinned(evidence: VerifiedPackage, profile: VerifiedProfile) -> None:
    package, repo = evidence.package, evidence.packages.repo
    pinned = profile.profile.packages_for(repo.abi)
    items = {item.pin.name: item for item in pinned.items} if pinned is not None else {}
    item = items.get(package.name)
    if pinned is None or item is None:
        raise NotEntitledError(
            f"{package.pin} is not pinned by {profile.profile.pin}", hint="pin it, sign the profile"
        )
    if (pinned.repo, item.pin, item.sha256) != (repo, package.pin, package.sha256):
        raise WrongSubjectError(
            f"{package.pin} of {repo} is not the package that the profile pins",
            hint="the profile pins digests; look at both",
        )


def _check_vulnerabilities(
    evidence: VerifiedPackage,
    profile: VerifiedProfile,
    advisories: VerifiedAdvisories | None,
    policy: Policy,
    now: datetime,
) -> dict[str, Any]:
    """Return what the record says of waived vulnerabilities; what nobody answers for is refused."""
    pin = evidence.package.pin
    if advisories is None:
        raise CouldNotVerifyError(f"nothing is known about vulnerabilities of {pin}")
    _check_fresh(advisories.target.checked_at, policy, now, "the list of vulnerabilities")
    waivers = {waiver.key: waiver for waiver in profile.profile.waivers if now < waiver.expires_at}
    found = advisories.advisories.affecting(pin.name, pin.version)
    for advisory in found:
        if (pin, advisory.vid) not in waivers:
            raise VulnerableError(
                f"{pin} is vulnerable: {advisory.topic} ({advisory.vid})",
                hint="pin a version that is not; or waive it in the profile, with an owner, a reason and an end",
                package=str(pin),
                vid=advisory.vid,
                cves=list(advisory.cves),
            )
    waived = [waivers[pin, advisory.vid].to_json() for advisory in found]
    return {"advisories_sha256": advisories.target.sha256, **({"waived": waived} if waived else {})}


def _bundle_as_pinned(
    evidence: VerifiedRelease | ExternalBundle, kind: Kind | None, profile: VerifiedProfile
) -> Bundle:
    if kind is None:
        raise WrongSubjectError(f"{evidence.pin} is pinned as nothing")
    if isinstance(evidence, VerifiedRelease):
        _check_pinned(evidence, kind, profile)
        bundle = evidence.bundle.bundle
    else:
        bundle = evidence.bundle
    if bundle.manifest.kind is not kind:
        raise WrongSubjectError(f"{evidence.pin} is a {bundle.manifest.kind}, pinned as a {kind}")
    return bundle


def _check_pinned(release: VerifiedRelease, kind: Kind, profile: VerifiedProfile) -> None:
    pinned = {item.pin.name: item for of_kind, item in profile.profile.items() if of_kind is kind}.get(
        release.pin.name
    )
    if pinned is None:
        raise NotEntitledError(
            f"{release.pin} is not pinned as a {kind} by {profile.profile.pin}",
            hint="pin it, sign the profile",
        )
    found = (
        release.pin,
        release.bundle.target.sha256,
        release.bundle.tree_sha256,
        release.review.target.sha256,
    )
    if found != (pinned.pin, pinned.bundle_sha256, pinned.tree_sha256, pinned.review_sha256):
        raise WrongSubjectError(
            f"{release.pin} is not the release that the profile pins",
            hint="the profile pins digests; look at both",
        )


def _external(
    external: ExternalBundle, tenant: Tenant, opt_ins: Sequence[OptIn], now: datetime
) -> dict[str, Any]:
    reviewed_way = "have it reviewed and published (skillrepo import), then pin it in the profile"
    match tenant.tier:
        case Tier.PAID:
            raise NotFirstPartyError(
                f"{external.pin} is not first-party; tenant {tenant.tenant_id} is on the paid tier",
                hint=reviewed_way,
            )
        case Tier.FREE:
            pass
        case _:
            assert_never(tenant.tier)
    for opt_in in opt_ins:
        if opt_in.covers(external, tenant.tenant_id, now):
            return {
                "source": opt_in.source,
                "bundle_sha256": external.sha256,
                "risk": "operator's own risk",
                "opt_in": {
                    "owner": opt_in.owner,
                    "reason": opt_in.reason,
                    "expires_at": render_moment(opt_in.expires_at),
                },
            }
    raise NotFirstPartyError(
        f"{external.pin} is not first-party, and tenant {tenant.tenant_id} has no valid opt-in for these bytes",
        hint=f"{reviewed_way}; or take the risk in writing: hive optin add",
    )


def _check_fresh(checked_at: datetime, policy: Policy, now: datetime, what: str) -> None:
    if not -policy.evidence_life <= now - checked_at <= policy.evidence_life:
        raise CouldNotVerifyError(f"{what} was verified at {checked_at}, not now", hint="verify again")
