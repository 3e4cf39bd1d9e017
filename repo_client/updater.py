"""Refreshing trust (edge): python-tuf's updater in a locked, durable folder.

    with refreshed(folder, server=…, anchor=…, limits=…) as update:
        update.locate(path)                # fetch the delegated metadata that decides about `path`
        trusted = update.trusted(now)      # signing.trusted checks all bytes again, from the anchor

What the folder is for: it remembers the newest state seen, and so stops rollback; without that memory an old
repository would be accepted without a word. One process at a time uses it (python-tuf's folder is not safe
for two; measured), a new updater serves each operation (a long-lived one keeps its first clock), and what was
learned is on disk before anything is returned (a rollback memory that a power cut erases is none).
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Self

from tuf.api import exceptions as tuf_errors
from tuf.api.metadata import MetaFile, Snapshot
from tuf.ngclient import Updater, UpdaterConfig

from repo_client.fetcher import FetchLimits, Origin, StrictFetcher
from repo_client.memory import remember, root_version
from signing.errors import (
    BadSignatureError,
    ConflictError,
    CouldNotVerifyError,
    DigestMismatchError,
    ExpiredError,
    HostError,
    NotFoundError,
    RollbackError,
    SkillRepoError,
    TransportError,
)
from signing.format.digest import sha256_of
from signing.format.names import TargetPath
from signing.metadata import parse
from signing.roles import SNAPSHOT, hashed_path
from signing.trusted import TrustedMetadata, VouchedTarget, verify_metadata

LOCK_SECONDS: Final = 60.0
_MAX_TIMESTAMP_BYTES: Final = 16_384
_MAX_SNAPSHOT_BYTES: Final = 8 << 20
_NOT_FOUND: Final = frozenset({403, 404})


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where a repository is served: ``BASE/metadata/`` and ``BASE/targets/``."""

    base: str
    origin: Origin

    @classmethod
    def parse(cls, url: str) -> Self:
        """Return the server at ``url``.

        Raises:
            FormatError: see `Origin.of`.
        """
        return cls(base=url.rstrip("/"), origin=Origin.of(url))

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
        self, folder: Path, *, server: Server, anchor: bytes, fetcher: StrictFetcher, updater: Updater
    ) -> None:
        self._folder = folder
        self._server = server
        self._anchor = anchor
        self._fetcher = fetcher
        self._updater = updater

    def locate(self, path: TargetPath) -> bool:
        """Fetch the delegated metadata that decides about ``path``; return whether it is published.

        Raises:
            VerificationError, TransportError: the metadata cannot be had or trusted.
        """
        try:
            with translated_errors():
                return self._updater.get_targetinfo(path) is not None
        except NotFoundError as error:
            # The snapshot names it, so it is published: whoever does not give it withholds it.
            raise CouldNotVerifyError(
                f"the server withholds metadata that decides about {path}", hint=error.hint
            ) from error

    def trusted(self, now: datetime) -> TrustedMetadata:
        """Return what the anchor vouches for at ``now``, from the bytes in the folder.

        Raises:
            VerificationError, FormatError: see `signing.trusted.verify_metadata`.
        """
        return trusted_in(self._folder, anchor=self._anchor, now=now)

    def evidence(self) -> tuple[Sequence[bytes], Mapping[str, bytes]]:
        """Return later roots and the metadata at hand: with the anchor, all that is needed to check this again."""
        return _roots(self._folder), _current(_files(self._folder))

    def fetch(self, target: VouchedTarget) -> bytes:
        """Return the bytes served for ``target``: at most its length, and not yet compared with its digest.

        Raises:
            DigestMismatchError: the server sends more than was vouched for.
            NotFoundError: it is signed, and missing on the server.
            TransportError: it cannot be had.
        """
        url = self._server.targets_url + hashed_path(target.path, target.sha256)
        try:
            with translated_errors():
                return bytes(self._fetcher.download_bytes(url, target.length))
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
    return verify_metadata(anchor, roots=_roots(folder), files=_current(_files(folder)), now=now)


@contextlib.contextmanager
def refreshed(folder: Path, *, server: Server, anchor: bytes, limits: FetchLimits) -> Iterator[Update]:
    """Lock ``folder``, bring it up to date from ``server`` and yield the update.

    Raises:
        ConflictError: another process holds the lock for too long.
        VerificationError: the server's state is not acceptable; the folder keeps what it trusted before.
        TransportError: the server cannot be reached.
    """
    fetcher = StrictFetcher(frozenset({server.origin}), limits=limits)
    with locked(folder):
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
            make_durable(folder)  # also what was learned before a refusal: the newer timestamp stays known
        remember(folder)
        yield Update(folder, server=server, anchor=anchor, fetcher=fetcher, updater=updater)


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


def make_durable(folder: Path) -> None:
    """Flush every metadata file of ``folder``, and the folder, to disk.

    Raises:
        HostError: the disk refused; what was learned may be forgotten, so nothing goes on.
    """
    for part in (folder, folder / "root_history"):
        if not part.is_dir():
            continue
        for path in [*part.glob("*.json"), part]:
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


def _files(folder: Path) -> Mapping[str, bytes]:
    files = {}
    for path in folder.glob("*.json"):
        role = path.name.removesuffix(".json")
        if role not in {"root", "trust-anchor"}:
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
