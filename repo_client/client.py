"""What a caller asks for, as evidence: profiles, releases and revocations that the anchor vouches for now.

    client = RepoClient(anchor=load_anchor(path), server=Server.parse(url), metadata_dir=…, store_dir=…)
    with client.session(now) as session:
        profile = session.profile(Pin.parse("support-agent==3"))      # VerifiedProfile
        release = session.release(profile.profile.skills[0].pin)      # VerifiedRelease

A session is one refreshed, locked look at the repository; everything taken from it belongs to one snapshot.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from repo_client.access_token import AccessToken
from repo_client.fetcher import FetchLimits
from repo_client.memory import remember_serial, remember_withdrawals
from repo_client.mirrors import try_each
from repo_client.packages import PackageSource, PackageStore, Progress, package_server
from repo_client.store import TreeStore
from repo_client.updater import Server, Update, refreshed
from signing.errors import FormatError
from signing.evidence import (
    VerifiedBundle,
    VerifiedProfile,
    VerifiedRelease,
    VerifiedRevocations,
    verify_bundle,
    verify_profile,
    verify_release,
    verify_review,
    verify_revocations,
)
from signing.format.digest import Sha256, sha256_of
from signing.format.names import REVOCATIONS_PATH, Pin, TargetPath
from signing.format.pkg.names import ADVISORIES_PATH, PackageRepo
from signing.format.revocations import MAX_LIST_BYTES, Revocations
from signing.package_evidence import (
    VerifiedAdvisories,
    VerifiedPackage,
    VerifiedPackageSet,
    verify_advisories,
    verify_package_set,
)
from signing.policy_evidence import VerifiedPolicyFile, verify_policy_file
from signing.trusted import TrustedMetadata, VouchedTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Which repository state a session looks at: the anchor, the versions under it, and its list of withdrawals."""

    anchor_sha256: Sha256
    root: int
    timestamp: int
    snapshot: int
    online_sha256: Sha256
    revocations: Revocations = field(repr=False)


class Session:
    """One look at the repository; made by `RepoClient.session`."""

    def __init__(
        self, update: Update, store: TreeStore, now: datetime, *, anchor_sha256: Sha256, memory: Path
    ) -> None:
        self._anchor_sha256 = anchor_sha256
        self._update = update
        self._store = store
        self._now = now
        self._memory = memory
        self._revocations: VerifiedRevocations | None = None

    def standing(self) -> Standing:
        """Return which repository state this is, for a memory of one's own and for records.

        Raises:
            NotFoundError, VerificationError, FormatError: it cannot be had or trusted.
        """
        revocations = self.revocations()
        state = self._state(REVOCATIONS_PATH)
        versions = state.versions
        return Standing(
            anchor_sha256=self._anchor_sha256,
            root=versions["root"],
            timestamp=versions["timestamp"],
            snapshot=versions["snapshot"],
            online_sha256=state.online_sha256,
            revocations=revocations.revocations,
        )

    def evidence(self) -> tuple[Sequence[bytes], Mapping[str, bytes]]:
        """Return the signed metadata of this look, for a certificate that is checked without a server."""
        return self._update.evidence()

    def expect(self, pins: Iterable[Pin]) -> None:
        """Fetch the metadata that decides about all of ``pins``, before anything is taken from it."""
        for pin in pins:
            self._update.trusted(self._now, pin.bundle_path, pin.review_path)

    def profile(self, pin: Pin) -> VerifiedProfile:
        """Return the profile ``pin``.

        Raises:
            NotFoundError: there is none; VerificationError, FormatError: it cannot be trusted.
        """
        target = self._vouch(pin.profile_path)
        return verify_profile(self._update.fetch(target), pin=pin, target=target)

    def revocations(self) -> VerifiedRevocations:
        """Return the list of revocations; there is always one, and without it nothing is admitted.

        Raises:
            NotFoundError, VerificationError, FormatError: it cannot be had or trusted.
            RollbackError: it lacks an entry that was seen here before.
        """
        if self._revocations is None:
            target = self._vouch(REVOCATIONS_PATH)
            if target.length > MAX_LIST_BYTES:
                raise FormatError(f"longer than {MAX_LIST_BYTES} bytes", where=target.path)
            found = verify_revocations(
                self._update.fetch(target), target=target, trusted=self._state(REVOCATIONS_PATH)
            )
            remember_withdrawals(self._memory, found.revocations)
            self._revocations = found
        return self._revocations

    def packages(self, repo: PackageRepo) -> VerifiedPackageSet:
        """Return the index of the package repository ``repo``.

        Raises:
            NotFoundError: nothing was published for it; VerificationError, FormatError: it cannot be trusted.
            RollbackError: its serial is lower than one that was seen here before.
        """
        target = self._vouch(repo.index_path)
        found = verify_package_set(self._update.fetch(target), repo=repo, target=target)
        remember_serial(self._memory, found.index)
        return found

    def advisories(self) -> VerifiedAdvisories:
        """Return the list of known vulnerabilities; without it no package is admitted.

        Raises:
            NotFoundError: none was published; VerificationError, FormatError: it cannot be trusted.
        """
        target = self._vouch(ADVISORIES_PATH)
        return verify_advisories(self._update.fetch(target), target=target)

    def host_policy(self, data: bytes, signatures: bytes, *, host: str) -> VerifiedPolicyFile:
        """Return the policy file ``data`` of the host ``host``, as the operators of now signed it.

        Raises:
            VerificationError, FormatError: see `signing.policy_evidence.verify_policy_file`.
        """
        # The list of withdrawals is always there; who the operators are, stands above it.
        return verify_policy_file(data, signatures, host=host, trusted=self._state(REVOCATIONS_PATH))

    def release(self, pin: Pin) -> VerifiedRelease:
        """Return bundle and review of the release ``pin``.

        Raises:
            NotFoundError: not published; VerificationError, FormatError, BlockedError: it cannot be trusted.
        """
        bundle = self.bundle(pin)
        target = self._vouch(pin.review_path)
        review = verify_review(
            self._update.fetch(target), bundle=bundle, target=target, trusted=self._state(pin.review_path)
        )
        return verify_release(bundle, review)

    def bundle(self, pin: Pin) -> VerifiedBundle:
        """Return the bundle of the release ``pin``, from the store when it is there intact.

        Raises:
            NotFoundError, VerificationError, FormatError: as for `release`.
        """
        target = self._vouch(pin.bundle_path)
        if (stored := self._store.load(pin, target)) is not None:
            return stored
        bundle = verify_bundle(self._update.fetch(target), pin=pin, target=target)
        self._store.save(bundle)
        return bundle

    def _vouch(self, path: TargetPath) -> VouchedTarget:
        return self._state(path).vouch(path)

    def _state(self, path: TargetPath) -> TrustedMetadata:
        """Return the trusted state, with the metadata that decides about ``path`` at hand."""
        return self._update.trusted(self._now, path)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepoClient:
    """A verifying client; its two folders remember trusted metadata and keep verified trees.

    ``pkg_server`` is where packages are served; None: see `repo_client.packages.package_server`. ``pkg_token`` gives
    what is shown there, where it is for that origin, and nowhere else: metadata and skills are asked for without it. It
    is asked for each package: a token may be replaced while a birth goes on, and who fetches none needs none.
    """

    anchor: bytes = field(repr=False)
    server: Server
    metadata_dir: Path
    store_dir: Path
    limits: FetchLimits = field(default_factory=FetchLimits)
    pkg_server: Server | None = None
    pkg_token: Callable[[], AccessToken] | None = field(default=None, repr=False)

    @property
    def anchor_sha256(self) -> Sha256:
        """The digest that names the trust anchor."""
        return sha256_of(self.anchor)

    @contextlib.contextmanager
    def session(self, now: datetime) -> Iterator[Session]:
        """Refresh trust and yield one look at the repository.

        Raises:
            VerificationError, TransportError, ConflictError: see `repo_client.updater.refreshed`.
        """
        with (
            refreshed(
                self.metadata_dir, server=self.server, anchor=self.anchor, limits=self.limits
            ) as update,
            TreeStore.create(self.store_dir).together() as store,
        ):
            yield Session(
                update,
                store,
                now,
                anchor_sha256=self.anchor_sha256,
                memory=self.metadata_dir,
            )

    def package(
        self,
        sha256: Sha256,
        *,
        packages: VerifiedPackageSet,
        store: PackageStore,
        progress: Progress | None = None,
    ) -> VerifiedPackage:
        """Return the package ``sha256`` of ``packages``, open; the caller closes it.

        Not a part of a session: a session locks the memory of this host, and packages may take long to arrive.

        Raises:
            NotFoundError: the set names no such package, or the server lacks it.
            DigestMismatchError: the server sends something else.
            TransportError, HostError: it cannot be fetched, or kept.
            KeyAccessError, FormatError: the token for the server is not safe, or is none.
        """
        server = self.pkg_server or package_server(self.server)
        token = self.pkg_token() if self.pkg_token is not None else None

        def attempt(place: Server, _: bool) -> VerifiedPackage:  # noqa: FBT001 - the shape that try_each wants
            source = PackageSource(server=place, limits=self.limits, token=token)
            return store.take(sha256, packages=packages, source=source, progress=progress)

        return try_each(server.places(), attempt, order=server.order)
