"""Refreshing trust (edge): python-tuf's updater in a locked, durable folder.

    with refreshed(folder, server=…, anchor=…, limits=…) as update:
        trusted = update.trusted(now, path)   # from the anchor, with the metadata that decides about `path`

What the folder is for: it remembers the newest state seen, and so stops rollback; without that memory an old
repository would be accepted without a word. One process at a time uses it (python-tuf's folder is not safe
for two; measured), a new updater serves each operation (a long-lived one keeps its first clock), and what was
learned is on disk before anything is returned (a rollback memory that a power cut erases is none).

The roles that need a memory (root, timestamp, snapshot, targets) are checked twice, by python-tuf and by `signing.trusted`.
A delegated role has none: this snapshot names its version, length and digest. So the delegated roles that an operation
needs, and no others, are fetched here and checked by `signing.trusted` alone, once (docs/decisions/0026).
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final, Self

from tuf.api import exceptions as tuf_errors
from tuf.api.metadata import MetaFile, Snapshot, Timestamp
from tuf.ngclient import Updater, UpdaterConfig

from repo_client.carried import BASE, SCHEME
from repo_client.fetcher import FetchLimits, Origin
from repo_client.handles import Directory
from repo_client.memory import remember, root_version
from repo_client.mirrors import (
    MAX_MIRRORS,
    Order,
    TurningFetcher,
    check_mirror,
    fetcher_for,
    follow_newest,
    limits_for,
    try_each,
)
from signing.errors import (
    BadSignatureError,
    ConflictError,
    CouldNotVerifyError,
    DigestMismatchError,
    ExpiredError,
    FormatError,
    HostError,
    NotFoundError,
    RollbackError,
    SkillRepoError,
    ThresholdError,
    TransportError,
)
from signing.format.digest import sha256_of
from signing.format.names import TargetPath
from signing.metadata import parse
from signing.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, hashed_path
from signing.trusted import TrustedMetadata, VouchedTarget, verify_metadata

LOCK_SECONDS: Final = 60.0
_MAX_TIMESTAMP_BYTES: Final = 16_384
_MAX_SNAPSHOT_BYTES: Final = 8 << 20
_NOT_FOUND: Final = frozenset({403, 404})


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where a repository is served: ``BASE/metadata/`` and ``BASE/targets/``; and where else (`repo_client.mirrors`)."""

    base: str
    origin: Origin
    mirrors: tuple[Self, ...] = ()
    order: Order = field(default_factory=Order, repr=False, compare=False)
    folder: Path | None = None

    @classmethod
    def carried(cls, folder: Path) -> Self:
        """Return the archive in ``folder`` in the place of a server."""
        return cls(base=BASE, origin=Origin(scheme=SCHEME, host="", port=0), folder=folder)

    @classmethod
    def parse(cls, url: str, *, mirrors: Sequence[str] = ()) -> Self:
        """Return the server at ``url``.

        Raises:
            FormatError: see `Origin.of`; or a mirror is not encrypted, or there are too many of them.
        """
        if len(mirrors) > MAX_MIRRORS:
            raise FormatError(f"more than {MAX_MIRRORS} mirrors", where="mirror")
        others = tuple(cls.parse(mirror) for mirror in mirrors)
        server = cls(base=url.rstrip("/"), origin=Origin.of(url), mirrors=others)
        for mirror in others:
            check_mirror(mirror.origin, of=server.origin)
        return server

    def places(self) -> "list[Server]":
        """Return the server and its mirrors, those that failed in this run last."""
        return self.order.sort([self, *self.mirrors])

    @property
    def metadata_url(self) -> str:
        """Where metadata is served."""
        return f"{self.base}/metadata/"

    @property
    def targets_url(self) -> str:
        """Where targets are served."""
        return f"{self.base}/targets/"


class Update:
    """One operation on fresh metadata; made by `refreshed`."""

    def __init__(
        self, folder: Path, *, server: Server, anchor: bytes, fetcher: TurningFetcher, limits: FetchLimits
    ) -> None:
        self._folder = folder
        self._server = server
        self._anchor = anchor
        self._limits = limits
        self._fetcher = fetcher
        self._trusted: TrustedMetadata | None = None

    def trusted(self, now: datetime, *paths: TargetPath) -> TrustedMetadata:
        """Return what the anchor vouches for at ``now``, with the metadata that decides about ``paths`` at hand.

        Raises:
            VerificationError, FormatError: see `signing.trusted.verify_metadata`.
            TransportError: metadata cannot be had.
        """
        state = self._trusted
        if state is None or state.checked_at != now:
            files = _files(self._folder, (TIMESTAMP, SNAPSHOT, TARGETS))
            state = verify_metadata(self._anchor, roots=_roots(self._folder), files=files, now=now)
        for path in paths:
            while (role := state.next_role(path)) is not None:
                state = self._with_role(state, role)
        self._trusted = state
        return state

    def evidence(self) -> tuple[Sequence[bytes], Mapping[str, bytes]]:
        """Return later roots and the metadata that was asked for: with the anchor, enough to check all of it again."""
        return _roots(self._folder), dict(self._trusted.files) if self._trusted is not None else {}

    def _with_role(self, state: TrustedMetadata, role: str) -> TrustedMetadata:
        """Return ``state`` with the metadata of ``role``: what is in the folder when it is that, else fetched and kept."""
        named = state.named(role)
        kept = _files(self._folder, (role,), max_bytes=named.length).get(role)
        if kept is not None and sha256_of(kept) == named.sha256:
            return state.with_role(role, kept)
        url = f"{self._server.metadata_url}{named.version}.{role}.json"

        def attempt(place: Server, last: bool) -> TrustedMetadata:  # noqa: FBT001 - the shape that try_each wants
            self._fetcher.turn_to(place, limits_for(self._limits, last=last, size=named.length))
            with translated_errors():
                data = bytes(self._fetcher.download_bytes(url, named.length))
            try:
                return state.with_role(role, data)
            except ThresholdError as error:  # an online key that was stolen names what nobody signed
                raise BadSignatureError(
                    str(error), hint="treat the server as compromised if it repeats"
                ) from error

        try:
            found = try_each(self._server.places(), attempt, order=self._server.order)
        except NotFoundError as error:
            # The snapshot names it, so it is published: whoever does not give it withholds it.
            raise CouldNotVerifyError(f"the server withholds metadata of {role}", hint=error.hint) from error
        with Directory.open(self._folder) as handle:
            handle.write_file(f"{role}.json", found.files[role], mode=0o600)
        return found

    def fetch(self, target: VouchedTarget) -> bytes:
        """Return the bytes served for ``target``: at most its length, and not yet compared with its digest.

        Raises:
            DigestMismatchError: the server sends more than was vouched for.
            NotFoundError: it is signed, and missing on the server.
            TransportError: it cannot be had.
        """
        places = self._server.places()

        def attempt(place: Server, last: bool) -> bytes:  # noqa: FBT001 - the shape that try_each wants
            fetcher = fetcher_for(place, limits_for(self._limits, last=last, size=target.length))
            url = place.targets_url + hashed_path(target.path, target.sha256)
            with translated_errors():
                data = bytes(fetcher.download_bytes(url, target.length))
            if len(places) > 1 and sha256_of(data) != target.sha256:  # another place may have the right ones
                raise DigestMismatchError("is not what was signed", where=target.path)
            return data

        try:
            return try_each(places, attempt, order=self._server.order)
        except NotFoundError as error:
            raise NotFoundError(
                f"{target.path} is signed but missing on the server",
                hint="publish again (skillrepo publish writes what is missing)",
            ) from error


def trusted_in(folder: Path, *, anchor: bytes, now: datetime) -> TrustedMetadata:
    """Return what ``anchor`` vouches for at ``now``, from the bytes in ``folder``, which are durable then.

    Raises:
        VerificationError, FormatError: see `signing.trusted.verify_metadata`.
    """
    make_durable(folder)
    roles = [path.name.removesuffix(".json") for path in folder.glob("*.json")]
    files = _files(folder, [role for role in roles if role not in {ROOT, "trust-anchor"}])
    return verify_metadata(anchor, roots=_roots(folder), files=_current(files), now=now)


@contextlib.contextmanager
def refreshed(folder: Path, *, server: Server, anchor: bytes, limits: FetchLimits) -> Iterator[Update]:
    """Lock ``folder``, bring it up to date from ``server`` and yield the update.

    Raises:
        ConflictError: another process holds the lock for too long.
        VerificationError: the server's state is not acceptable; the folder keeps what it trusted before.
        TransportError: the server cannot be reached.
    """
    fetcher = TurningFetcher(server)

    def attempt(place: Server, last: bool) -> int:  # noqa: FBT001 - the shape that follow_newest wants
        fetcher.turn_to(place, limits_for(limits, last=last))
        return _refresh_from(folder, server, anchor=anchor, fetcher=fetcher)

    with locked(folder):
        follow_newest(
            server.places(), attempt, learned=partial(learned_in, folder), limits=limits, order=server.order
        )
        yield Update(folder, server=server, anchor=anchor, fetcher=fetcher, limits=limits)


def _refresh_from(folder: Path, server: Server, *, anchor: bytes, fetcher: TurningFetcher) -> int:
    """Bring ``folder`` up to date from where ``fetcher`` fetches, and return the version of the timestamp that was verified.

    What a failed try taught stays learned.
    """
    try:
        with translated_errors():
            updater = Updater(
                str(folder),
                server.metadata_url,
                fetcher=fetcher,
                config=UpdaterConfig(
                    timestamp_max_length=_MAX_TIMESTAMP_BYTES, snapshot_max_length=_MAX_SNAPSHOT_BYTES
                ),
                bootstrap=anchor,
            )
            updater.refresh()
    finally:
        # Also what was learned before a refusal: the newer timestamp stays known. No delegated role is written here.
        make_durable(folder, roles=(TIMESTAMP, SNAPSHOT, TARGETS))
    remember(folder)
    return parse(_files(folder, (TIMESTAMP,))[TIMESTAMP], Timestamp, where=TIMESTAMP).signed.version


def learned_in(folder: Path) -> object:
    """Return the newest root and timestamp that were verified for ``folder``, whatever became of the state that they belong to."""
    return _files(folder, (ROOT, TIMESTAMP))


@contextlib.contextmanager
def locked(folder: Path, *, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Make ``folder`` if it is missing and hold its lock; the kernel releases it however this process ends.

    Raises:
        ConflictError: another process held it for ``seconds``.
        HostError: the folder cannot be made or locked.
    """
    with _host_errors(f"cannot lock {folder}"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        end = time.monotonic() + seconds
        while True:
            try:
                with _host_errors(f"cannot lock {folder}"):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= end:
                    raise ConflictError(
                        f"{folder} is in use by another process", hint="wait for it to end, then try again"
                    ) from error
                time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def translated_errors() -> Iterator[None]:
    """Turn what python-tuf raises into our errors, and what it should not raise into a refusal."""
    try:
        yield
    except SkillRepoError:
        raise
    except Exception as error:
        raise our_error(error) from error


def our_error(error: Exception) -> SkillRepoError:  # noqa: PLR0911 - a table, written as code for its types
    """Return our error for an exception of python-tuf."""
    stale = "the repository is stale or frozen: renew it (skillrepo refresh), and check this host's clock"
    match error:
        case tuf_errors.ExpiredMetadataError():
            return ExpiredError(str(error), hint=stale)
        case tuf_errors.BadVersionNumberError():
            return RollbackError(
                f"an older or mixed state is offered: {error}",
                hint="do not go on: the server (or a mirror) serves a state older than one already seen",
            )
        case tuf_errors.LengthOrHashMismatchError() | tuf_errors.DownloadLengthMismatchError():
            return DigestMismatchError(str(error), hint="treat the server as compromised if it repeats")
        case tuf_errors.UnsignedMetadataError():
            return BadSignatureError(str(error), hint="treat the server as compromised if it repeats")
        case tuf_errors.DownloadHTTPError() if error.status_code in _NOT_FOUND:
            return NotFoundError(str(error), hint="is this the address of a repository?")
        case tuf_errors.DownloadError():
            return TransportError(str(error), hint="check the server's address and that it is running")
        case tuf_errors.RepositoryError():
            return CouldNotVerifyError(str(error))
        case OSError():
            return HostError(f"cannot keep metadata: {error}")
        case _:
            # Whatever a library throws while reading untrusted bytes is a refusal, never a crash.
            return CouldNotVerifyError(f"{type(error).__name__} while reading metadata")


def make_durable(folder: Path, *, roles: Collection[str] | None = None) -> None:
    """Flush the metadata of ``folder``, and the folder, to disk: all of it, or that of root and ``roles``.

    Raises:
        HostError: the disk refused; what was learned may be forgotten, so nothing goes on.
    """
    for part in (folder, folder / "root_history"):
        if not part.is_dir():
            continue
        for path in [*_metadata_in(part, roles), part]:
            with _host_errors(f"cannot keep {path}"):
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)


@contextlib.contextmanager
def _host_errors(message: str) -> Iterator[None]:
    try:
        yield
    except BlockingIOError:
        raise  # a lock that somebody holds
    except OSError as error:
        raise HostError(f"{message}: {error.strerror}") from error


def _roots(folder: Path) -> list[bytes]:
    """Return the chain of roots up to the trusted one; what a power cut left beyond it is not part of it."""
    chain = (folder / "root_history" / f"{number}.root.json" for number in range(1, root_version(folder) + 1))
    return [path.read_bytes() for path in chain if path.exists()]


def _metadata_in(part: Path, roles: Collection[str] | None) -> list[Path]:
    if roles is None or part.name == "root_history":
        return list(part.glob("*.json"))
    return [path for role in (ROOT, *roles) if (path := part / f"{role}.json").exists()]


def _files(folder: Path, roles: Iterable[str], *, max_bytes: int | None = None) -> dict[str, bytes]:
    """Return the metadata of ``roles`` that is in ``folder``; what is longer than ``max_bytes`` is not what is looked for."""
    files = {}
    for role in roles:
        path = folder / f"{role}.json"
        with _host_errors(f"cannot read {path}"), contextlib.suppress(FileNotFoundError):
            if max_bytes is None or path.stat().st_size <= max_bytes:
                files[role] = path.read_bytes()
    return files


def _current(files: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """Return ``files`` without delegated roles of an older snapshot, which nobody asked for since.

    They stay in the folder: python-tuf compares versions with them. At hand is only what the snapshot names.
    """
    if SNAPSHOT not in files:
        return files
    named = parse(files[SNAPSHOT], Snapshot, where=SNAPSHOT).signed.meta
    return {role: data for role, data in files.items() if not _is_older(named.get(f"{role}.json"), data)}


def _is_older(meta: MetaFile | None, data: bytes) -> bool:
    return meta is not None and meta.hashes is not None and meta.hashes.get("sha256") != sha256_of(data)
