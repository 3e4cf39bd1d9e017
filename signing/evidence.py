"""Evidence: what was checked is another type than what was not.

    VouchedTarget  (signing.trusted)   the anchor vouches for these bytes under this path
    VerifiedBundle                     … and these bytes are a bundle that is what the path says
    VerifiedReview                     … and curators approved exactly this bundle, in writing
    VerifiedRelease                    bundle and review of one release: what admission takes
    VerifiedProfile, VerifiedRevocations

Each type has one maker, the ``verify_`` function below it; constructing one by hand, copying, replacing a
field or unpickling raises TypeError. So a function that takes a `VerifiedRelease` cannot be handed anything
that was not verified, and a reader has to trust this file and `signing.trusted` only.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import InitVar, dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final, final

from signing.errors import (
    BlockedError,
    DigestMismatchError,
    SkillRepoError,
    ThresholdError,
    WrongSubjectError,
)
from signing.format.archive import Bundle, read_bundle
from signing.format.digest import Sha256, check_sha256
from signing.format.envelope import Envelope
from signing.format.manifest import FileEntry, Manifest, MemberPath
from signing.format.names import REVOCATIONS_PATH, Pin
from signing.format.pkg.names import PackagePin
from signing.format.profile import Profile
from signing.format.review import Decision, Review
from signing.format.revocations import Revocations
from signing.format.statement import PAYLOAD_TYPE, Statement
from signing.format.withdrawal import Withdrawal
from signing.former import Former
from signing.keys import envelope_signers, holder_of
from signing.roles import SKILLS
from signing.sealed import unchangeable
from signing.trusted import TrustedMetadata, VouchedTarget
from signing.withdrawals import Curators


class _Seal:
    """The one instance of this class is what makes evidence; it does not leave this module."""


_SEAL: Final = _Seal()


class _Sealed:
    """What all evidence here has in common: it cannot be made elsewhere."""

    __slots__ = ()

    def __post_init__(self, seal: _Seal) -> None:
        if seal is not _SEAL:
            raise TypeError(f"{type(self).__name__} comes from its verify_ function in signing.evidence")


@unchangeable
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedBundle(_Sealed):
    """A bundle whose archive is vouched for and whose files are those of its manifest."""

    pin: Pin
    bundle: Bundle
    target: VouchedTarget
    seal: InitVar[_Seal]

    @property
    def tree_sha256(self) -> Sha256:
        """The tree digest."""
        return self.bundle.manifest.tree_digest


@unchangeable
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedReview(_Sealed):
    """An approving review of exactly one bundle, signed by curators whom root's chain names."""

    review: Review
    reviewers: tuple[str, ...]
    reviewer_keyids: tuple[str, ...]
    target: VouchedTarget
    seal: InitVar[_Seal]


@unchangeable
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedRelease(_Sealed):
    """A bundle and its review: everything that admission asks of a first-party skill."""

    bundle: VerifiedBundle
    review: VerifiedReview
    seal: InitVar[_Seal]

    @property
    def pin(self) -> Pin:
        """Which release this is."""
        return self.bundle.pin


@unchangeable
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedProfile(_Sealed):
    """A profile that operators signed."""

    profile: Profile
    target: VouchedTarget
    seal: InitVar[_Seal]


@unchangeable
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedRevocations(_Sealed):
    """The complete, fresh list of what is withdrawn, and the curators who alone can lift something from it."""

    revocations: Revocations
    curators: Curators
    target: VouchedTarget
    seal: InitVar[_Seal]

    def covering(self, pin: Pin, *, bundle_sha256: Sha256, tree_sha256: Sha256) -> tuple[Withdrawal, ...]:
        """Return the withdrawals in force that cover a release, the gravest first."""
        return self.curators.covering(
            self.revocations, pin, bundle_sha256=bundle_sha256, tree_sha256=tree_sha256
        )

    def covering_package(self, pin: PackagePin, *, sha256: Sha256) -> tuple[Withdrawal, ...]:
        """Return the withdrawals in force that cover a package, the gravest first."""
        return self.curators.covering_package(self.revocations, pin, sha256=sha256)


def verify_bundle(data: bytes, *, pin: Pin, target: VouchedTarget) -> VerifiedBundle:
    """Return the bundle written as ``data``.

    Raises:
        DigestMismatchError: these are not the bytes that ``target`` vouches for, or a file is not what the
            manifest says.
        WrongSubjectError: ``target`` or the manifest is about another release.
        FormatError: not a bundle.
    """
    check_target(data, target)
    return _verified_bundle(read_bundle(data), pin, target)


def verify_tree(bundle: Bundle, *, pin: Pin, target: VouchedTarget) -> VerifiedBundle:
    """Return an unpacked bundle, read back from a store, as evidence.

    The signed tree digest covers the manifest, and the manifest covers every file; the transported archive is
    not needed for that. ``bundle`` must hold bytes, not paths: what is checked here is what is installed.

    Raises:
        DigestMismatchError, WrongSubjectError: as for `verify_bundle`.
    """
    contents: dict[MemberPath, bytes] = {}
    for entry in bundle.manifest.files:
        content = bundle.contents.get(entry.path)
        if content is None or len(content) != entry.size:
            raise DigestMismatchError("is missing or has another size", where=entry.path)
        check_sha256(content, entry.sha256, where=entry.path)
        contents[entry.path] = bytes(content)
    if len(bundle.contents) != len(contents):
        raise DigestMismatchError("holds a file that the manifest does not list", where=str(pin))
    # A mapping of our own: the caller may still hold the one that was checked, and change it.
    own = Bundle(manifest=bundle.manifest, contents=MappingProxyType(contents))
    return _verified_bundle(own, pin, target)


def verify_kept_tree(
    manifest: Manifest,
    read: Callable[[FileEntry], bytes],
    *,
    pin: Pin,
    target: VouchedTarget,
    told: Callable[[], None] | None = None,
) -> VerifiedBundle:
    """Return a bundle whose tree was verified when it was kept; its files are read when they are asked for.

    Only the manifest is compared here. Whatever ``read`` returns is compared whenever a file is taken out of the
    evidence, so a tree that is something else makes that fail, and nothing worse; ``told`` hears of it.

    Raises:
        DigestMismatchError, WrongSubjectError: as for `verify_bundle`.
    """
    contents = _ReadLater(manifest, read, told)
    return _verified_bundle(Bundle(manifest=manifest, contents=contents), pin, target)


@final
class _ReadLater(Mapping[MemberPath, bytes]):
    """The files of a manifest, each read and compared with it whenever it is asked for.

    Raises:
        DigestMismatchError: from every access to a file that is something else.
    """

    __slots__ = ("_files", "_read", "_told")

    def __init__(
        self, manifest: Manifest, read: Callable[[FileEntry], bytes], told: Callable[[], None] | None
    ) -> None:
        self._files = MappingProxyType({entry.path: entry for entry in manifest.files})
        self._read, self._told = read, told

    def __getitem__(self, path: MemberPath) -> bytes:
        entry = self._files[path]
        try:
            content = bytes(self._read(entry))
            check_sha256(content, entry.sha256, where=entry.path)
        except SkillRepoError:
            if self._told is not None:
                self._told()
            raise
        return content

    def __iter__(self) -> Iterator[MemberPath]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def verify_review(
    data: bytes, *, bundle: VerifiedBundle, target: VouchedTarget, trusted: TrustedMetadata
) -> VerifiedReview:
    """Return the review written as ``data``.

    Raises:
        DigestMismatchError: not the bytes vouched for, or not the review that the bundle's metadata names.
        WrongSubjectError: about another bundle, or not a review.
        ThresholdError: nobody signed it who is a curator, or was one and left in good standing.
        BlockedError: it does not approve, or leaves blocking findings that nobody answers for.
    """
    check_target(data, target)
    if target.path != bundle.pin.review_path or bundle.target.custom.get("review_sha256") != target.sha256:
        raise WrongSubjectError(f"is not the review that {bundle.pin} names", where=target.path)
    envelope = Envelope.parse(data, where="review")
    if envelope.payload_type != PAYLOAD_TYPE:
        raise WrongSubjectError(f"carries {envelope.payload_type!r}", where="review")
    signers = envelope_signers(envelope, (*trusted.holders(SKILLS), *Former.of(trusted.targets).keys))
    if not signers:
        raise ThresholdError("review", signed=0, threshold=1)
    review = Review.from_statement(
        Statement.parse(envelope.payload),
        pin=bundle.pin,
        bundle_sha256=bundle.target.sha256,
        tree_sha256=bundle.tree_sha256,
    )
    check_approval(review, now=target.checked_at)
    return VerifiedReview(
        review=review,
        reviewers=tuple(sorted(holder_of(key) for key in signers)),
        reviewer_keyids=tuple(sorted(key.keyid for key in signers)),
        target=target,
        seal=_SEAL,
    )


def check_approval(review: Review, *, now: datetime) -> None:
    """Return None when ``review`` approves, knows what is new, and somebody answers for every blocking finding.

    Raises:
        BlockedError: otherwise.
    """
    if review.decision is not Decision.APPROVE:
        raise BlockedError(f"{review.pin} was not approved ({review.decision.value}): {review.reason}")
    if review.surface_changes and not review.acknowledged:
        raise BlockedError(
            f"{review.pin} may touch what {review.previous} could not, and the review does not acknowledge it"
            f" ({len(review.surface_changes)} changes)",
            hint="read them (skillrepo review), then approve with --acknowledge",
        )
    if unwaived := review.unwaived(now):
        first = unwaived[0]
        raise BlockedError(
            f"{review.pin} has {len(unwaived)} blocking finding(s) without a valid waiver, "
            f"first: {first.check} in {first.path}: {first.message}",
            hint="change the skill, or waive each finding in writing (review --waive FINDING=REASON)",
            findings=[finding.id for finding in unwaived],
        )


def verify_release(bundle: VerifiedBundle, review: VerifiedReview) -> VerifiedRelease:
    """Return bundle and review as one release.

    Raises:
        WrongSubjectError: they are not about the same release.
    """
    if (review.review.pin, review.review.tree_sha256) != (bundle.pin, bundle.tree_sha256):
        raise WrongSubjectError(f"review of {review.review.pin} beside {bundle.pin}")
    return VerifiedRelease(bundle=bundle, review=review, seal=_SEAL)


def verify_profile(data: bytes, *, pin: Pin, target: VouchedTarget) -> VerifiedProfile:
    """Return the profile written as ``data``.

    Raises:
        DigestMismatchError, WrongSubjectError, FormatError: as for `verify_bundle`.
    """
    check_target(data, target)
    profile = Profile.parse(data)
    if target.path != pin.profile_path or profile.pin != pin:
        raise WrongSubjectError(f"is {profile.pin}, asked for was {pin}", where=target.path)
    return VerifiedProfile(profile=profile, target=target, seal=_SEAL)


def verify_revocations(
    data: bytes, *, target: VouchedTarget, trusted: TrustedMetadata
) -> VerifiedRevocations:
    """Return the list of revocations written as ``data``.

    Raises:
        DigestMismatchError, WrongSubjectError, FormatError: as for `verify_bundle`.
        CouldNotVerifyError: ``trusted`` names no curators.
    """
    check_target(data, target)
    if target.path != REVOCATIONS_PATH:
        raise WrongSubjectError("is not the list of revocations", where=target.path)
    return VerifiedRevocations(
        revocations=Revocations.parse(data),
        curators=Curators.of(trusted.targets),
        target=target,
        seal=_SEAL,
    )


def check_target(data: bytes, target: VouchedTarget) -> None:
    """Return None when ``data`` is what ``target`` vouches for.

    Raises:
        DigestMismatchError: it is not.
    """
    if len(data) != target.length:
        raise DigestMismatchError(
            f"has {len(data)} bytes, vouched for are {target.length}",
            where=target.path,
            hint="do not use these bytes; if it repeats, treat the server as compromised",
        )
    check_sha256(data, target.sha256, where=target.path)


def _verified_bundle(bundle: Bundle, pin: Pin, target: VouchedTarget) -> VerifiedBundle:
    manifest = bundle.manifest
    if target.path != pin.bundle_path or manifest.pin != pin:
        raise WrongSubjectError(f"is {manifest.pin}, asked for was {pin}", where=target.path)
    signed = {
        "name": pin.name,
        "version": pin.version,
        "kind": manifest.kind.value,
        "tree_sha256": manifest.tree_digest,
    }
    for key, value in signed.items():
        # TUF maps a path to bytes; that these bytes are *this* release is ours to compare.
        if target.custom.get(key) != value:
            raise WrongSubjectError(
                f"signed metadata says {key} {target.custom.get(key)!r}", where=target.path
            )
    return VerifiedBundle(pin=pin, bundle=bundle, target=target, seal=_SEAL)
