"""Profiles: drafted from published releases, signed by operators."""

from collections.abc import Sequence
from datetime import datetime

from securesystemslib.signer import Signer
from sqlalchemy.orm import Session
from tuf.api.metadata import TargetFile

from repo_server.db import log
from repo_server.db.models import ProfileRow, ReleaseRow
from repo_server.publishing.ceremony import succinct
from repo_server.publishing.profile_packages import check_pinned_packages, check_vulnerabilities
from repo_server.publishing.proposals import Change, check_proposals, drop_proposals, propose, sign_proposal
from repo_server.publishing.standing import check_takes_up
from repo_server.publishing.vouched import vouched_targets
from repo_server.repository import Repository
from signing.errors import ConflictError, NotFoundError, WrongSubjectError
from signing.format.caps import Caps
from signing.format.digest import Sha256
from signing.format.manifest import Kind
from signing.format.moment import render_moment
from signing.format.names import Pin
from signing.format.pkg.pins import PackagePins, VulnerabilityWaiver
from signing.format.profile import PinnedBundle, Profile
from signing.keys import holder_of
from signing.metadata import build_target
from signing.roles import SKILLS

DRAFT = "draft"
PUBLISHED = "published"


def draft_profile(
    repository: Repository,
    session: Session,
    pin: Pin,
    *,
    skills: Sequence[Pin],
    souls: Sequence[Pin],
    capabilities: Sequence[str],
    now: datetime,
    packages: Sequence[PackagePins] = (),
    waivers: Sequence[VulnerabilityWaiver] = (),
    caps: Caps | None = None,
) -> Profile:
    """Return the new profile ``pin``, kept as a draft; drafting the same again changes nothing.

    Raises:
        NotFoundError: a pinned release is not published.
        ConflictError: this version is published, or drafted with other pins.
        RevokedError, QuarantinedError, YankedError: it would take up what is withdrawn.
        VulnerableError: a package is known to be vulnerable, and nobody waived that.
        FormatError: it pins no skill, or one name twice.
    """
    profile = Profile(
        pin=pin,
        skills=tuple(_pinned(session, item, Kind.SKILL) for item in sorted(skills)),
        souls=tuple(_pinned(session, item, Kind.SOUL) for item in souls),
        capabilities=tuple(sorted(set(capabilities))),
        caps=caps if caps is not None else Caps.none(),
        packages=tuple(sorted(packages, key=lambda pins: pins.repo)),
        waivers=tuple(sorted(waivers, key=lambda waiver: waiver.key)),
    )
    check_takes_up(repository, session, profile)
    _check_packages(repository, session, profile, now=now)
    digest = repository.blobs.store(profile.render())
    known = session.get(ProfileRow, (pin.name, pin.version))
    if known is not None and known.sha256 == digest:
        return profile
    if known is not None and known.state == PUBLISHED:
        raise ConflictError(f"profile {pin} is published with other pins", hint="draft a new version")
    if known is not None:
        drop_proposals(session, subject_of(pin))
        session.delete(known)
        session.flush()
    session.add(ProfileRow(name=pin.name, version=pin.version, sha256=digest, state=DRAFT, created_at=now))
    log.append(session, event="profile.drafted", facts={"profile": str(pin), "sha256": digest}, now=now)
    return profile


def load_profile(repository: Repository, session: Session, pin: Pin) -> Profile:
    """Return the profile ``pin``, drafted or published.

    Raises:
        NotFoundError: there is none.
        WrongSubjectError: what is kept under this name is another profile.
    """
    profile = Profile.parse(repository.blobs.load(Sha256(_row(session, pin).sha256)))
    if profile.pin != pin:
        raise WrongSubjectError(f"the draft of {pin} holds {profile.pin}", hint="do not sign; draft it again")
    return profile


def drop_profile(session: Session, pin: Pin, *, now: datetime) -> None:
    """Give up the draft of ``pin`` and its signatures.

    Raises:
        NotFoundError: there is none. ConflictError: it is published.
    """
    row = _row(session, pin)
    if row.state == PUBLISHED:
        raise ConflictError(f"profile {pin} is published", hint="tenants may name it; draft a new version")
    drop_proposals(session, subject_of(pin))
    session.delete(row)
    log.append(session, event="profile.dropped", facts={"profile": str(pin)}, now=now)


def render_profile(profile: Profile) -> str:
    """Return everything that a signature of ``profile`` means, for people."""
    lines = [f"  {profile.pin}"]
    lines += [
        f"    {kind.value:5} {item.pin}\n          tree sha256 {item.tree_sha256}"
        for kind, item in profile.items()
    ]
    for pins in profile.packages:
        lines.append(f"    packages of {pins.repo}: {len(pins.items)}, in this order")
        lines += [f"      {item.pin}\n          sha256 {item.sha256}" for item in pins.items]
    for waiver in profile.waivers:
        until = render_moment(waiver.expires_at)
        lines.append(
            f"    {waiver.package} is let in although vulnerable ({waiver.vid}) until {until},"
            f" says {waiver.owner}: {waiver.reason}"
        )
    lines.append(f"    capabilities: {', '.join(profile.capabilities) or 'none'}")
    for kind, allowed in profile.caps.allowed.items():
        lines.append(f"    its skills may touch these {kind} at most: {', '.join(allowed) or 'none'}")
    return "\n".join(lines)


def plan_profile(repository: Repository, session: Session, pin: Pin, *, now: datetime) -> list[Change]:
    """Return exactly what signing the profile would change.

    Raises:
        NotFoundError: there is no such draft. ConflictError: it is published already.
        RevokedError, QuarantinedError, YankedError: something in it was withdrawn meanwhile.
    """
    row = _row(session, pin)
    if row.state == PUBLISHED:
        raise ConflictError(f"profile {pin} is published already", hint="draft a new version")
    profile = load_profile(repository, session, pin)
    for kind, item in profile.items():
        _check_pinned(repository, session, kind, item)
    check_takes_up(repository, session, profile)
    _check_packages(repository, session, profile, now=now)
    additions = additions_of(profile)
    try:
        return _checked(repository, session, pin, additions, now=now)
    except ConflictError:
        drop_proposals(session, subject_of(pin))
        return _checked(repository, session, pin, additions, now=now)


def sign_profile(
    repository: Repository, session: Session, pin: Pin, signer: Signer, *, now: datetime
) -> list[Change]:
    """Check once more and add the signature of ``signer``; return how far the proposal has come.

    Raises:
        NotEntitledError: the key is not an operator's.
        ConflictError: it continues a draft that ``signer`` has to sign first.
    """
    plan_profile(repository, session, pin, now=now)
    profile = load_profile(repository, session, pin)
    for proposal in propose(session, subject_of(pin), additions_of(profile), now=now):
        sign_proposal(session, proposal, signer, anchor=repository.anchor)
    facts = {"profile": str(pin), "by": holder_of(signer.public_key)}
    log.append(session, event="profile.signed", facts=facts, now=now)
    return plan_profile(repository, session, pin, now=now)


def _check_pinned(repository: Repository, session: Session, kind: Kind, item: PinnedBundle) -> None:
    """Compare a pin with the signed metadata: what the database says of releases is not evidence."""
    skills = vouched_targets(session, SKILLS, anchor=repository.anchor)
    role = succinct(skills).get_role_for_target(item.pin.bundle_path)
    target = vouched_targets(session, role, anchor=repository.anchor).targets.get(item.pin.bundle_path)
    custom = target.custom if target is not None and isinstance(target.custom, dict) else {}
    found = (
        target.hashes.get("sha256") if target is not None else None,
        custom.get("kind"),
        custom.get("tree_sha256"),
        custom.get("review_sha256"),
    )
    if found != (item.bundle_sha256, kind.value, item.tree_sha256, item.review_sha256):
        raise WrongSubjectError(
            f"{item.pin} is not what curators signed under that name", hint="draft the profile again"
        )


def _check_packages(repository: Repository, session: Session, profile: Profile, *, now: datetime) -> None:
    check_pinned_packages(repository, session, profile)
    check_vulnerabilities(repository, session, profile, now=now)


def subject_of(pin: Pin) -> str:
    """Return the name under which the proposal for a profile is kept."""
    return f"profile:{pin}"


def additions_of(profile: Profile) -> dict[str, TargetFile]:
    """Return the target that publishes ``profile``."""
    path = profile.pin.profile_path
    return {path: build_target(path, profile.render())}


def _checked(
    repository: Repository, session: Session, pin: Pin, additions: dict[str, TargetFile], *, now: datetime
) -> list[Change]:
    rows = propose(session, subject_of(pin), additions, now=now)
    return check_proposals(session, rows, additions, anchor=repository.anchor, now=now)


def _row(session: Session, pin: Pin) -> ProfileRow:
    row = session.get(ProfileRow, (pin.name, pin.version))
    if row is None:
        raise NotFoundError(f"no profile {pin}", hint="draft it: skillrepo profile new NAME==V --skill N==V")
    return row


def _pinned(session: Session, pin: Pin, kind: Kind) -> PinnedBundle:
    row = session.get(ReleaseRow, (pin.name, pin.version))
    if row is None:
        raise NotFoundError(
            f"{pin} is not published", hint="publish it first: a profile pins what is published"
        )
    if row.kind != kind.value:
        raise WrongSubjectError(f"{pin} is a {row.kind}, not a {kind}", hint=f"pin it with --{row.kind}")
    return PinnedBundle(
        pin=pin,
        bundle_sha256=Sha256(row.bundle_sha256),
        tree_sha256=Sha256(row.tree_sha256),
        review_sha256=Sha256(row.review_sha256),
    )
