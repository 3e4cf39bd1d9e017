"""What was read from package files, remembered so that nothing unchanged is read twice (edge).

    {"schema":"https://skills.clawdie.si/schema/pkg-facts/v1"}
    [device,inode,size,mtime_ns,ctime_ns,"sha256","blake2b","+COMPACT_MANIFEST"]
    …
    "sha256 of all lines before"

A build of 35,000 packages changes a few hundred. A file is the one that was read before when its device, inode, size
and both its times are the same: the kernel sets ctime, and no program can set it back. A file that was changed in the
last two seconds is read each time, because a second change can fall on the same tick.

The cache can be lost, damaged or another host's: it is then ignored, and everything is read. It cannot be somebody else's:
whoever could write it could vouch for packages, so it must belong to us and be writable by nobody else. What is in
it goes no further than here: the server computes every digest again from the bytes.
"""

import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from repo_server.pkgrepo.beneath import open_beneath, stat_beneath
from repo_server.storage.durable import write_durably
from signing.errors import ConflictError, FormatError, HostError
from signing.format.collector import collector_paused
from signing.format.digest import Sha256, parse_sha256
from signing.format.pkg.archive import read_package
from signing.format.pkg.index import MAX_PACKAGE_BYTES
from signing.format.pkg.sums import Digests, Hasher

SCHEMA: Final = "https://skills.clawdie.si/schema/pkg-facts/v1"
MAX_ENTRIES: Final = 200_000
MAX_CACHE_BYTES: Final = 1 << 30
_CHUNK: Final = 1 << 20
_UNSETTLED_NS: Final = 2_000_000_000
_BLAKE2B_DIGITS: Final = 128
_MAX_THREADS: Final = 8

Identity: TypeAlias = tuple[int, int, int, int, int]
Progress: TypeAlias = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageFacts:
    """What a package file is: its digests, its size, and the bytes of its ``+COMPACT_MANIFEST``."""

    digests: Digests
    size: int
    manifest: bytes


class FactsCache:
    """Facts by the identity of the file that they were read from."""

    def __init__(self, known: Mapping[Identity, PackageFacts] | None = None) -> None:
        self._known = dict(known or {})
        self._used: dict[Identity, PackageFacts] = {}

    @classmethod
    @collector_paused()
    def load(cls, path: Path) -> "FactsCache":
        """Return what the file ``path`` remembers: nothing, when it is not a whole cache of ours."""
        try:
            return cls(_parse(_read_own(path)))
        except (OSError, ValueError, TypeError, KeyError, RecursionError, FormatError):
            return cls()

    def find(self, identity: Identity) -> PackageFacts | None:
        """Return the facts about the file with this identity, or None."""
        facts = self._known.get(identity)
        if facts is not None:
            self._used[identity] = facts
        return facts

    def remember(self, identity: Identity, facts: PackageFacts, *, now_ns: int) -> None:
        """Remember the facts, unless the file was changed so lately that it can change again unseen."""
        if max(identity[3:]) + _UNSETTLED_NS < now_ns:
            self._used[identity] = facts

    def store(self, path: Path) -> None:
        """Write what this run used, durably; what it did not use is forgotten. Past the bound, nothing is written.

        Raises:
            HostError: it cannot be written.
        """
        if self._used.keys() == self._known.keys():
            return
        if len(self._used) > MAX_ENTRIES:
            return
        lines = [json.dumps({"schema": SCHEMA})]
        lines += [
            _line(identity, facts) for identity, facts in sorted(self._used.items(), key=lambda i: i[0])
        ]
        body = "".join(f"{line}\n" for line in lines).encode()
        if len(body) <= MAX_CACHE_BYTES:
            write_durably(
                path, body + json.dumps(hashlib.sha256(body).hexdigest()).encode() + b"\n", mode=0o600
            )


def collect_facts(
    folder: int,
    paths: Iterable[str],
    *,
    cache: FactsCache,
    threads: int = _MAX_THREADS,
    progress: Progress | None = None,
) -> dict[str, PackageFacts]:
    """Return facts about the package files ``paths`` below ``folder``, several read at a time.

    Raises:
        NotFoundError: one is not there. FormatError: one is not a package.
        ConflictError: one was changed while it was read. HostError: one cannot be read.
    """
    wanted = sorted(set(paths))
    found: dict[str, PackageFacts] = {}
    for path, status in stat_beneath(folder, wanted):
        if (facts := cache.find(_identity(status))) is not None:
            found[path] = facts
    unread = [path for path in wanted if path not in found]
    done = len(found)
    with ThreadPoolExecutor(max_workers=max(1, min(threads, _MAX_THREADS))) as pool:
        try:
            for path, (identity, facts) in zip(
                unread, pool.map(lambda path: read_facts(folder, path), unread), strict=True
            ):
                cache.remember(identity, facts, now_ns=time.time_ns())
                found[path] = facts
                done += 1
                if progress is not None:
                    progress(done, len(wanted))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # 30,000 files are not read on after the first refusal
            raise
    return found


def read_facts(folder: int, path: str) -> tuple[Identity, PackageFacts]:
    """Return the identity of the package file ``path`` and what it holds, in one pass.

    Raises:
        FormatError, ConflictError, HostError, NotFoundError: see `collect_facts`.
    """
    descriptor = open_beneath(folder, path)
    try:
        before = os.fstat(descriptor)
        if before.st_size > MAX_PACKAGE_BYTES:
            raise FormatError(f"larger than {MAX_PACKAGE_BYTES} bytes", where=path)
        source = _Hashed(descriptor, before.st_size)
        manifest = read_package(source, where=path).compact_bytes
        while source.read(_CHUNK):
            pass
        after = os.fstat(descriptor)
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}") from error
    finally:
        os.close(descriptor)
    if _identity(before) != _identity(after) or source.size != after.st_size:
        raise ConflictError(
            f"{path} was changed while it was read", hint="let the build finish, then try again"
        )
    return _identity(after), PackageFacts(
        digests=source.hasher.digests(), size=source.size, manifest=manifest
    )


class _Hashed:
    """A file whose bytes are all hashed as they are read."""

    def __init__(self, descriptor: int, expected: int) -> None:
        self._descriptor, self._expected = descriptor, expected
        self.hasher, self.size = Hasher(), 0

    def read(self, count: int, /) -> bytes:
        # No more is asked for than is there, and one byte to see whether it grows: a megabyte for each of 35,000 small
        # files, on several threads, leaves the memory in pieces.
        piece = os.read(self._descriptor, min(count, max(0, self._expected - self.size) + 1))
        self.hasher.update(piece)
        self.size += len(piece)
        return piece


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _line(identity: Identity, facts: PackageFacts) -> str:
    digests = facts.digests
    return json.dumps(
        [*identity, digests.sha256, digests.blake2b, facts.manifest.decode()], separators=(",", ":")
    )


def _read_own(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        strange = status.st_uid != os.geteuid() or status.st_mode & 0o022
        if not stat.S_ISREG(status.st_mode) or strange or status.st_size > MAX_CACHE_BYTES + _CHUNK:
            raise FormatError("not a cache of ours", where=str(path))
        return stream.read(MAX_CACHE_BYTES + _CHUNK)


def _parse(data: bytes) -> dict[Identity, PackageFacts]:
    head, _, last = data.removesuffix(b"\n").rpartition(b"\n")
    if json.loads(last) != hashlib.sha256(head + b"\n").hexdigest():
        raise FormatError("damaged", where="facts")
    lines = head.split(b"\n")
    if json.loads(lines[0]) != {"schema": SCHEMA} or len(lines) > MAX_ENTRIES + 1:
        raise FormatError("of another kind", where="facts")
    return dict(map(_entry, json.loads(b"[%b]" % b",".join(lines[1:]))))


def _entry(value: Any) -> tuple[Identity, PackageFacts]:
    device, inode, size, mtime, ctime, sha256, blake2b, manifest = value
    identity: Identity = (device, inode, size, mtime, ctime)
    if not isinstance(manifest, str):
        raise FormatError("not facts", where="facts")
    if (
        not all(type(number) is int for number in identity)
        or len(bytes.fromhex(blake2b)) * 2 != _BLAKE2B_DIGITS
    ):
        raise FormatError("not facts", where="facts")
    digests = Digests(sha256=Sha256(parse_sha256(sha256)), blake2b=blake2b)
    return identity, PackageFacts(digests=digests, size=size, manifest=manifest.encode())
