"""Packages on the host (edge): fetched by digest, kept in a bounded folder, believed never.

    <folder>/5d….pkg          0400; one package, named by its digest
    <folder>/.new-3f…         a download that runs; what a killed one left is swept by the next
    <folder>.stamps/5d…       what the kernel said of a package when it was last compared (`repo_client.stamps`)
    <folder>.quarantine/5d…-…-3f…   what turned out to be something else

A package is verified while it comes in, and again, through the handle that is then used, when its bytes are taken out. The
store saves the network, never the check; a damaged file is put aside and fetched again. As long as its stamp stands, it is
read once for a birth, when it is used, and not before that too.

Who uses a package holds a shared lock on its file, for as long as the evidence is open, and who downloads holds an
exclusive one: so two processes share a store, nothing in use is removed to make room, and a killed process leaves no
lock behind. The store as a whole is locked only for moments, never while bytes arrive.
"""

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tuf.api.exceptions import DownloadHTTPError

from repo_client.access_token import AccessToken
from repo_client.coalescing import alone_on_host
from repo_client.entries import TEMPORARY_PREFIX, MissingPathError, UnsafePathError, os_errors, temporary_name
from repo_client.fetcher import LOOPBACK_HOSTS, FetchLimits, StrictFetcher
from repo_client.handles import Directory
from repo_client.quarantine import is_damage, set_aside, tell_changed
from repo_client.single_files import open_file
from repo_client.stamps import SETTLED_NS, Kept, StampBook, stamp_of
from repo_client.updater import Server, translated_errors
from signing.errors import DigestMismatchError, HostError, NotFoundError, SkillRepoError, TransportError
from signing.format.digest import Sha256
from signing.format.pkg.index import IndexedPackage
from signing.package_evidence import (
    VerifiedPackage,
    VerifiedPackageSet,
    verify_kept_package,
    verify_package,
)

_SUFFIX: Final = ".pkg"
# Who is slower than this is not waited for: eight times the speed of a bad mobile line.
_SLOWEST: Final = 64 << 10

Progress = Callable[[IndexedPackage, int], None]


def package_server(server: Server) -> Server:
    """Return where packages are served when nobody says: ``pkg.`` for ``skills.``, else ``/pkg`` below it; so each mirror."""
    host = server.origin.host
    if host not in LOOPBACK_HOSTS and host.startswith("skills."):
        beside = server.base.replace("//skills.", "//pkg.", 1)
    else:
        beside = f"{server.base}/pkg"
    others = tuple(package_server(mirror) for mirror in server.mirrors)
    return replace(Server.parse(beside), mirrors=others, order=server.order)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSource:
    """A package server. It is not trusted; it only has to answer, at least at `_SLOWEST` bytes a second.

    ``token`` is shown to it where it is for its origin.
    """

    server: Server
    limits: FetchLimits = field(default_factory=FetchLimits)
    token: AccessToken | None = None

    def seconds_for(self, package: IndexedPackage) -> float:
        """Return how long ``package`` may take to arrive."""
        return self.limits.deadline + package.size / _SLOWEST

    def pieces(self, package: IndexedPackage) -> Generator[bytes, None, None]:
        """Yield what is served for ``package``: never more than its size, and not yet compared with its digest.

        Raises:
            DigestMismatchError: more than its size is served.
            NotFoundError: it is signed, and missing on the server.
            TransportError: it cannot be had, or comes too slowly; or the server wants another token.
        """
        url = f"{self.server.base}/by-sha256/{package.sha256}{_SUFFIX}"
        deadline = self.seconds_for(package)
        fetcher = StrictFetcher(
            frozenset({self.server.origin}),
            limits=FetchLimits(gap=self.limits.gap, deadline=deadline),
            credential=self.token,
        )
        received = 0
        try:
            with (
                translated_errors(),
                self._about_tokens(package),
                contextlib.closing(fetcher.stream(url)) as pieces,
            ):
                for piece in pieces:
                    received += len(piece)
                    if received > package.size:
                        raise DigestMismatchError(
                            f"the server sends more than the {package.size} bytes of {package.pin}",
                            where=package.path,
                            hint="treat the server as compromised if it repeats",
                        )
                    yield piece
        except NotFoundError as error:
            raise NotFoundError(
                f"{package.pin} is signed but missing on the package server",
                hint="is HIVE_PKG_SERVER right? skillrepo refresh writes what is missing there",
            ) from error

    @contextlib.contextmanager
    def _about_tokens(self, package: IndexedPackage) -> Iterator[None]:
        """Say it when a server answers that it wants a token, another one, or fewer bad ones.

        Nothing is known of the package then, so this is no refusal of it.
        """
        try:
            yield
        except DownloadHTTPError as error:
            hint = "skillrepo token new --scope pull-pkg:ABI/CHANNEL makes one; the setting pkg_token_file names its file"
            match error.status_code, self.token:
                case 401, None:
                    raise TransportError(
                        f"the package server wants a token for {package.pin}", hint=hint
                    ) from None
                case 401, _:
                    raise TransportError(
                        "the package server does not take our token: it is unknown, expired or revoked",
                        hint=hint,
                    ) from None
                case 403, AccessToken():
                    raise TransportError(
                        f"our token does not entitle to {package.pin}: it is for another repository,"
                        " or this one does not serve the package",
                        hint=hint,
                    ) from None
                case 429, _:
                    raise TransportError(
                        "the package server has seen too many bad tokens", hint=hint
                    ) from None
            raise


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageStore:
    """A folder of packages, of at most ``max_bytes``: the least recently used go first, those in use never."""

    folder: Path
    max_bytes: int

    def take(
        self,
        sha256: Sha256,
        *,
        packages: VerifiedPackageSet,
        source: PackageSource,
        progress: Progress | None = None,
    ) -> VerifiedPackage:
        """Return the package ``sha256`` of ``packages``; what is not here intact is fetched.

        Its bytes were compared now, or will be before any of them is handed out.

        Raises:
            NotFoundError: the set names no such package, or the server lacks it.
            DigestMismatchError: the server sends something else.
            TransportError, HostError: it cannot be fetched, or kept.
        """
        package = packages.listed(sha256)
        if (found := self.load(sha256, packages=packages)) is not None:
            return found
        with alone_on_host(self.folder, sha256, seconds=source.seconds_for(package)):
            # Another birth on this host may have fetched it while we waited.
            if (found := self.load(sha256, packages=packages)) is not None:
                return found
            with contextlib.closing(_told(source.pieces(package), package, progress)) as pieces:
                return self.add(package, pieces, packages=packages)

    def load(self, sha256: Sha256, *, packages: VerifiedPackageSet) -> VerifiedPackage | None:
        """Return the package from the store; None when it is not here intact.

        Raises:
            NotFoundError: ``packages`` names no such package.
            HostError: the store cannot be read.
        """
        name = sha256 + _SUFFIX
        with self._opened() as store:
            try:
                descriptor = open_file(store, name)
            except (MissingPathError, UnsafePathError):
                return None  # a link in its place is no package; the download replaces it, as a name
            try:
                if not _lock(descriptor, fcntl.LOCK_SH):
                    return None  # somebody removes it at this moment
                return self._verified(descriptor, sha256, packages)
            except (DigestMismatchError, HostError) as error:
                self._book.forget(sha256)
                with contextlib.suppress(SkillRepoError):
                    if is_damage(error) and _is_still(store, name, descriptor):
                        set_aside(store, name, sha256, self._beside("quarantine"))
                return None
            finally:
                os.close(descriptor)

    def _verified(self, descriptor: int, sha256: Sha256, packages: VerifiedPackageSet) -> VerifiedPackage:
        book = self._book
        stamp = stamp_of(descriptor)
        known = book.compare(sha256, stamp)
        if known is Kept.SAME:
            book.note_use(sha256)
        else:
            book.forget(sha256)
            verify_package(descriptor, sha256=sha256, packages=packages).close()
            if known is Kept.OTHER:
                tell_changed(sha256, intact=True)
            # Not while somebody writes, and what changed a moment ago may change once more: it is compared again then.
            kept = stamp_of(descriptor) == stamp and book.keep(sha256, stamp)
            if not kept and time.time_ns() - os.fstat(descriptor).st_mtime_ns > SETTLED_NS:
                with contextlib.suppress(OSError):
                    os.utime(descriptor)  # no record tells that it was used
        return verify_kept_package(
            descriptor, sha256=sha256, packages=packages, told=lambda: book.forget(sha256)
        )

    def add(
        self, package: IndexedPackage, pieces: Iterable[bytes], *, packages: VerifiedPackageSet
    ) -> VerifiedPackage:
        """Keep ``pieces``, which must be ``package``, and return it verified. Two who add the same both succeed.

        Raises:
            DigestMismatchError: they are something else; nothing of them is kept.
            HostError: there is no room, or it cannot be written.
        """
        with self._opened() as store, contextlib.ExitStack() as descriptors:
            with self._locked():
                _sweep(store)
                self._make_room(store, package)
                temporary, writer = _reserve(store, package.size)
            writing = descriptors.enter_context(contextlib.ExitStack())
            writing.callback(os.close, writer)
            try:
                with os_errors("keep the package", f"{self.folder}/{temporary}"):
                    _write(writer, pieces, package)
                reader = open_file(store, temporary)
                descriptors.callback(os.close, reader)
                verified = verify_kept_package(
                    reader,
                    sha256=package.sha256,
                    packages=packages,
                    told=lambda: self._book.forget(package.sha256),
                )
            except BaseException:
                with contextlib.suppress(SkillRepoError):
                    store.remove_tree(temporary)
                raise
            try:
                with self._locked():  # so that nobody sweeps it between its two locks
                    writing.close()
                    _lock(reader, fcntl.LOCK_SH)  # the evidence's own descriptor shares it
                    _clear(store, package.sha256 + _SUFFIX)
                    store.rename(temporary, package.sha256 + _SUFFIX, replace=True)
                    store.sync()
            except BaseException:
                verified.close()
                raise
        return verified

    def _make_room(self, store: Directory, package: IndexedPackage) -> None:
        """Remove the least recently used packages until ``package`` fits; nothing when it cannot fit."""
        files = []
        for entry in store.entries():
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(entry.name, dir_fd=store.fileno(), follow_symlinks=False)
                used = max(status.st_mtime_ns, self._book.used_ns(entry.name.removesuffix(_SUFFIX)))
                files.append((used, entry.name, status.st_size))
        excess = sum(size for _, _, size in files) + package.size - self.max_bytes
        for _, name, size in sorted(files):
            if excess <= 0 or package.size > self.max_bytes:
                break
            if name.endswith(_SUFFIX) and _remove_unused(store, name):
                self._book.forget(Sha256(name.removesuffix(_SUFFIX)))
                excess -= size
        if excess > 0:
            raise HostError(
                f"no room for {package.pin} ({package.size} bytes) in the store of packages",
                hint="raise package_store_bytes: all packages of one birth must fit, and those in use",
                where=str(self.folder),
            )

    def _beside(self, what: str) -> Path:
        return self.folder.with_name(f"{self.folder.name}.{what}")

    @property
    def _book(self) -> StampBook:
        return StampBook(self._beside("stamps"))

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Directory]:
        try:
            store = Directory.open(self.folder)
        except MissingPathError:
            try:
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise HostError(f"cannot make the store {self.folder}: {error.strerror}") from error
            store = Directory.open(self.folder)
        with store:
            yield store

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with Directory.open(self.folder) as guard:
            guard.lock()
            yield


def _told(
    pieces: Generator[bytes, None, None], package: IndexedPackage, progress: Progress | None
) -> Generator[bytes, None, None]:
    received = 0
    with contextlib.closing(pieces):
        for piece in pieces:
            yield piece
            received += len(piece)
            if progress is not None:
                progress(package, received)


def _lock(descriptor: int, kind: int) -> bool:
    """Lock the open file without waiting; return whether that worked. The lock ends with its last descriptor."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _reserve(store: Directory, size: int) -> tuple[str, int]:
    """Return a new, locked, empty file that counts as ``size`` bytes: two downloads see each other's need."""
    temporary = temporary_name()
    with os_errors("begin a download", f"{store.label}/{temporary}"):
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o600, dir_fd=store.fileno())
        try:
            _lock(descriptor, fcntl.LOCK_EX)
            os.ftruncate(descriptor, size)
        except BaseException:
            os.close(descriptor)
            os.unlink(temporary, dir_fd=store.fileno())
            raise
    return temporary, descriptor


def _write(descriptor: int, pieces: Iterable[bytes], package: IndexedPackage) -> None:
    """Write ``pieces`` durably, and compare them on the way with what ``package`` is to be.

    Raises:
        DigestMismatchError: they are something else.
    """
    whole, size = hashlib.sha256(), 0
    for piece in pieces:
        whole.update(piece)
        size += len(piece)
        rest = memoryview(piece)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    if (size, whole.hexdigest()) != (package.size, package.sha256):
        raise DigestMismatchError(
            f"what came is not {package.pin} with sha256 {package.sha256[:16]}…",
            where=package.path,
            hint="fetch it again; if it repeats, treat the server as compromised",
            expected=package.sha256,
        )
    os.fchmod(descriptor, 0o400)
    os.fsync(descriptor)


def _sweep(store: Directory) -> None:
    """Remove what killed downloads left: whoever still downloads holds the lock of the file."""
    for entry in store.entries():
        if entry.name.startswith(TEMPORARY_PREFIX):
            _remove_unused(store, entry.name)


def _clear(store: Directory, name: str) -> None:
    """Remove what is no file from the place of one: a folder there would refuse the package for ever."""
    found = store.find(name)
    if found is not None and found.kind != "file":
        store.remove_tree(name)


def _remove_unused(store: Directory, name: str) -> bool:
    try:
        descriptor = open_file(store, name)
    except MissingPathError:
        return True
    except UnsafePathError:
        store.remove_tree(name)
        return True
    try:
        if not _lock(descriptor, fcntl.LOCK_EX):
            return False
        _drop(store, name, descriptor)
    finally:
        os.close(descriptor)
    return True


def _drop(store: Directory, name: str, descriptor: int) -> None:
    """Remove ``name`` if it still is the file behind ``descriptor``, and not one that replaced it."""
    if _is_still(store, name, descriptor):
        store.remove_tree(name)


def _is_still(store: Directory, name: str, descriptor: int) -> bool:
    try:
        there = os.stat(name, dir_fd=store.fileno(), follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))
