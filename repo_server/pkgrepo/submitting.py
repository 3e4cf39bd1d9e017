"""From a finished build to the served repository: read, gate, send, sign, hand in, look at it again (edge).

    publish(desk, source, wanted, keys, …)     PackageDesk: a repository on this machine, or one behind https

Every step can be killed and the whole be run again: what was sent is not sent again, what was published is found
unchanged, and until the server has taken the signed metadata nothing of the build is served. Two builds at once:
one wins, the other ends with `ConflictError`, and run again is published on top.

The server is trusted with nothing. What the next serial continues is checked from the builder's own anchor, what was
handed in is fetched again as a birth and as pkg would, and compared to the byte.
"""

import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, BinaryIO, Final, Protocol

from securesystemslib.signer import Signer
from tuf.api.metadata import Targets

from repo_server.pkgrepo.beneath import open_beneath
from repo_server.pkgrepo.building import (
    BuildContent,
    check_content,
    check_made,
    created_after,
    is_unchanged,
    make_catalogue,
    make_index,
    paths_by_digest,
    read_content,
)
from repo_server.pkgrepo.facts import FactsCache
from repo_server.pkgrepo.gate import Gate, GatePolicy
from repo_server.pkgrepo.keys import PkgSigner
from repo_server.pkgrepo.poudriere import BuildRecord, BuildSource
from repo_server.pkgrepo.serials import GRACE, keep_of
from repo_server.pkgrepo.writing import CatalogueFiles
from repo_server.publishing.alone import next_metadata
from signing.errors import ConflictError, NotEntitledError, NotFoundError, WrongSubjectError
from signing.format.digest import Sha256, sha256_of
from signing.format.pkg.index import IndexedPackage, Intent, IntentKind, RepoIndex
from signing.format.pkg.names import PackageRepo
from signing.format.pkg.vuxml import Advisories
from signing.metadata import build_target, render, sign
from signing.roles import life_of

Tell = Callable[[str], None]
_SHOWN: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is published for one repository, checked from the anchor.

    ``appointed`` are the ids of the keys that may sign for it; ``history``: the newest serial first. ``replaced``: what
    is published was signed by an earlier builder, whose key was taken away; it is followed, and nothing of it is kept.
    """

    appointed: frozenset[str]
    targets: Targets | None
    index: RepoIndex | None
    history: tuple[RepoIndex, ...]
    advisories: Advisories | None
    replaced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Bytes that may have to be sent, and how they are opened."""

    digest: Sha256
    size: int
    open: Callable[[], BinaryIO] = field(repr=False)


class PackageDesk(Protocol):
    """Where builds are handed in."""

    def complete(self) -> None:
        """See to it that what was decided is served: whoever decided it may have been killed before."""

    def standing(self, repo: PackageRepo, *, since: datetime, now: datetime) -> Standing:
        """Return what is published for ``repo``, with the serials that were served after ``since``.

        Raises:
            VerificationError, FormatError: it is not what the anchor vouches for, or older than was seen here.
        """

    def serial(self, repo: PackageRepo, number: int, *, now: datetime) -> RepoIndex:
        """Return serial ``number`` of ``repo``, as the present builder signed it.

        Raises:
            NotFoundError: it is not there (any more). BadSignatureError: another builder signed it.
            VerificationError, FormatError: it is not what was signed.
        """

    def missing(self, repo: PackageRepo, wanted: Mapping[Sha256, int]) -> frozenset[Sha256]:
        """Return which of ``wanted`` (digest to size) are not there."""

    def send(self, repo: PackageRepo, blobs: Sequence[Blob], *, tell: Tell) -> None:
        """Send ``blobs``; they are there, durable, on return.

        Raises:
            DigestMismatchError: one is not the bytes that its digest says.
            TransportError, PolicyError, HostError: not all of them were taken; run it again.
        """

    def hand_in(self, repo: PackageRepo, metadata: bytes, *, now: datetime) -> dict[str, Any]:
        """Have the build published that the signed ``metadata`` names; return `AcceptedBuild.to_json`.

        Raises:
            ConflictError: another build was published meanwhile. SkillRepoError: it is refused.
        """

    def check_served(self, repo: PackageRepo, index: RepoIndex, metadata: bytes, *, now: datetime) -> bool:
        """See `repo_server.pkgrepo.served.check_served`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for. ``repository`` names the whole of the site in a first index; later ones keep that name.

    Attributes:
        repo: which ABI and channel.
        policy: how strict the gate is.
        downgrade: why versions may go back; None: they may not.
        grace: how long packages that are not listed any more are kept.
    """

    repo: PackageRepo
    repository: str
    policy: GatePolicy = field(default_factory=GatePolicy)
    downgrade: str | None = None
    grace: timedelta = GRACE


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Who signs: the builder (name and TUF key), and the keys for pkg's catalogue."""

    holder: str
    builder: Signer
    pkg: Sequence[PkgSigner]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of it. ``state`` is published, renewed or unchanged."""

    state: str
    index: RepoIndex
    gate: Gate
    sent: int = 0
    sent_bytes: int = 0
    pkg_site_checked: bool | None = None
    accepted: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as ``--json`` answers it."""
        return {
            "state": self.state,
            "repository": str(self.index.repo),
            "serial": self.index.serial,
            "packages": len(self.index.packages),
            "kept": len(self.index.kept),
            "sent": self.sent,
            "sent_bytes": self.sent_bytes,
            "pkg_site_checked": self.pkg_site_checked,
            "gate": self.gate.to_json(),
        }


def publish(
    desk: PackageDesk,
    source: BuildSource,
    record: BuildRecord,
    wanted: Wanted,
    keys: Keys,
    *,
    cache: FactsCache,
    clock: Callable[[], datetime],
    tell: Tell = lambda _: None,
) -> Outcome:
    """Publish the build in ``source``, or renew what is published, or find that nothing is to be done.

    Raises:
        PolicyError: the gate refuses the build.
        ConflictError: another build was published meanwhile: run it again.
        RollbackError: this host's clock, or what the server shows, is behind.
        SkillRepoError: see `PackageDesk`, and `repo_server.pkgrepo.building`.
    """
    now, repo = clock(), wanted.repo
    desk.complete()
    standing = desk.standing(repo, since=now - wanted.grace, now=now)
    check_continues(standing, repo, keys)
    content = read_content(source, cache=cache, progress=_counted(tell))
    intent = _intent(wanted, standing.index, keys.holder)
    gate = check_content(
        content,
        repo,
        standing.index,
        advisories=standing.advisories,
        policy=wanted.policy,
        allow_downgrade=intent,
        now=now,
    )
    gate.check()
    created = created_after(standing.index, now=now)
    catalogue = make_catalogue(content, keys.pkg, created=created)
    unchanged = not standing.replaced and is_unchanged(gate, catalogue, standing.index)
    if standing.index is not None and unchanged:
        return _renewed_if_due(desk, standing, standing.index, gate, keys, clock=clock)
    index, blobs = _composed(
        desk, source, record, wanted, standing, content=content, gate=gate, catalogue=catalogue,
        intent=intent, created=created, tell=tell,
    )  # fmt: skip
    check_made(index, catalogue, content)
    data = index.render()
    index = RepoIndex.parse(data)  # what is signed is what its readers find in the bytes
    blobs.append(blob_of(data))
    desk.send(repo, blobs, tell=tell)
    accepted, looked_at = hand_in_next(desk, standing, index, keys, clock=clock)
    return Outcome(
        state="published",
        index=index,
        gate=gate,
        sent=len(blobs),
        sent_bytes=sum(blob.size for blob in blobs),
        pkg_site_checked=looked_at,
        accepted=accepted,
    )


def renew(
    desk: PackageDesk, repo: PackageRepo, keys: Keys, *, clock: Callable[[], datetime]
) -> tuple[RepoIndex, datetime]:
    """Sign what is published for ``repo`` for another term; return it, and when that ends.

    Raises:
        NotFoundError: its present builder published nothing. SkillRepoError: see `PackageDesk`.
    """
    now = clock()
    desk.complete()
    standing = desk.standing(repo, since=now, now=now)
    check_continues(standing, repo, keys)
    if standing.index is None or standing.replaced:
        # What an earlier builder left is not signed on unseen: its key may have been taken away for a reason.
        raise NotFoundError(
            f"nothing is published in {repo} by its present builder",
            hint="publish a build: skillrepo pkg publish",
        )
    hand_in_next(desk, standing, standing.index, keys, clock=clock)
    return standing.index, now + life_of(repo.role).expiry


def _renewed_if_due(
    desk: PackageDesk,
    standing: Standing,
    index: RepoIndex,
    gate: Gate,
    keys: Keys,
    *,
    clock: Callable[[], datetime],
) -> Outcome:
    targets = standing.targets
    if targets is not None and targets.expires - clock() >= life_of(index.repo.role).renew:
        return Outcome(state="unchanged", index=index, gate=gate)
    accepted, looked_at = hand_in_next(desk, standing, index, keys, clock=clock)
    return Outcome(state="renewed", index=index, gate=gate, pkg_site_checked=looked_at, accepted=accepted)


def hand_in_next(
    desk: PackageDesk, standing: Standing, index: RepoIndex, keys: Keys, *, clock: Callable[[], datetime]
) -> tuple[Mapping[str, Any], bool]:
    """Sign the role's next metadata, which names ``index``, hand it in, and look at what is served then.

    Returns what the desk says of it, and whether pkg's own files could be looked at too.

    Raises:
        ConflictError: another serial was published meanwhile. SkillRepoError: see `PackageDesk`.
    """
    repo, data = index.repo, index.render()
    metadata = next_metadata(standing.targets, repo.role, build_target(repo.index_path, data), now=clock())
    sign(metadata, keys.builder)
    signed = render(metadata)
    accepted = desk.hand_in(repo, signed, now=clock())
    return accepted, desk.check_served(repo, index, signed, now=clock())


def _composed(
    desk: PackageDesk,
    source: BuildSource,
    record: BuildRecord,
    wanted: Wanted,
    standing: Standing,
    *,
    content: BuildContent,
    gate: Gate,
    catalogue: CatalogueFiles,
    intent: Intent | None,
    created: datetime,
    tell: Tell,
) -> tuple[RepoIndex, list[Blob]]:
    """Return the next index, and everything but itself that the server lacks for it."""
    kept = keep_of(gate.packages, standing.history, grace=wanted.grace, now=created)
    files = {sha256_of(data): data for data in catalogue.files.values()}
    sizes = {package.sha256: package.size for package in (*gate.packages, *kept)}
    sizes |= {digest: len(data) for digest, data in files.items()}
    missing = desk.missing(wanted.repo, sizes)
    index = make_index(
        gate,
        catalogue,
        repo=wanted.repo,
        repository=wanted.repository,
        previous=standing.index,
        kept=still_there(kept, missing, tell),
        build=record.to_build(),
        allow_downgrade=intent,
        created=created,
    )
    paths = paths_by_digest(content)
    blobs = [blob_of(data) for digest, data in files.items() if digest in missing and digest not in paths]
    blobs += [
        Blob(digest=package.sha256, size=package.size, open=_opener(source.folder, package.path))
        for package in gate.packages
        if package.sha256 in missing
    ]
    return index, blobs


def still_there(
    kept: tuple[IndexedPackage, ...], missing: frozenset[Sha256], tell: Tell
) -> tuple[IndexedPackage, ...]:
    """Return the kept packages whose bytes the server has: others cannot be sent from here."""
    lost = sum(package.sha256 in missing for package in kept)
    if lost:
        tell(f"{lost} earlier package(s) are not on the server any more and are not kept")
    return tuple(package for package in kept if package.sha256 not in missing)


def appointed_in(targets: Targets, repo: PackageRepo) -> frozenset[str]:
    """Return the ids of the keys to which the top-level ``targets`` delegates ``repo``."""
    roles = targets.delegations.roles if targets.delegations is not None else None
    return frozenset(roles[repo.role].keyids) if roles and repo.role in roles else frozenset()


def check_continues(standing: Standing, repo: PackageRepo, keys: Keys) -> None:
    """Return None when ``keys`` may sign what follows: found out before anything is read or sent.

    Raises:
        NotFoundError: nobody is appointed. NotEntitledError: somebody else is.
        WrongSubjectError, ConflictError: what is published is not of one piece.
    """
    if not standing.appointed:
        raise NotFoundError(
            f"nobody is appointed to build {repo}", hint="two curators do that: skillrepo pkg builder"
        )
    if keys.builder.public_key.keyid not in standing.appointed:
        raise NotEntitledError(
            f"the key of {keys.holder} does not build {repo}",
            hint="whose does: skillrepo status; is --as right?",
        )
    if standing.index is not None and standing.index.repo != repo:
        raise WrongSubjectError(f"is an index of {standing.index.repo}", where=repo.index_path)
    if (standing.targets is None) != (standing.index is None):
        raise ConflictError("what is published changed while it was read", hint="run the same command again")


def _intent(wanted: Wanted, previous: RepoIndex | None, holder: str) -> Intent | None:
    if wanted.downgrade is None:
        return None
    serial = previous.serial if previous is not None else 0
    made = Intent(kind=IntentKind.DOWNGRADE, by=holder, reason=wanted.downgrade, serial=serial)
    return Intent.from_json(made.to_json(), "--allow-downgrade")


def blob_of(data: bytes) -> Blob:
    """Return ``data`` as it is sent."""
    return Blob(digest=sha256_of(data), size=len(data), open=lambda: io.BytesIO(data))


def _opener(folder: int, path: str) -> Callable[[], BinaryIO]:
    return lambda: os.fdopen(open_beneath(folder, path), "rb", buffering=0)


def _counted(tell: Tell) -> Callable[[int, int], None]:
    """Return who says now and then how many packages were read."""

    def progress(done: int, total: int) -> None:
        if done == total or done % _SHOWN == 0:
            tell(f"{done} of {total} packages read")

    return progress
