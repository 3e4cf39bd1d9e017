"""Blobs in an object store that speaks S3: ``PREFIX/ab/ab12…`` (edge).

Only what is named by its digest is kept there. Storing it twice is harmless, so nothing depends on conditional writes, and no
engine is believed to have them (one winner in 3 of 40 races was measured; reference/storage-serving-performance §1.3). Every
decision is a row in the database.

What is read whole is compared with its digest, as from a local disk. What is copied into the published tree, too: between
the store and us is a network. A blob is there when the store has acknowledged it; what a killed upload left is not listed,
and is the store's to remove (a lifecycle rule for incomplete uploads).
"""

import asyncio
import hashlib
import io
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar

from repo_server.storage.announced import announced
from repo_server.storage.blobs import EndlessListError
from repo_server.storage.durable import write_pieces_durably
from signing.errors import DigestMismatchError, HostError, NotFoundError
from signing.format.digest import Sha256, parse_sha256, sha256_of

if TYPE_CHECKING:
    from obstore.store import S3Store

T = TypeVar("T")

_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PREFIX: Final = 2
_CHUNK: Final = 1 << 20
_PART: Final = 8 << 20
_SECONDS: Final = 60  # of one request; large blobs are many
_CONNECT_SECONDS: Final = 10
_RETRY: Final = timedelta(seconds=90)
_IN_MEMORY: Final = 16 << 20
_MAX_WHOLE: Final = 256 << 20
_MAX_LISTED: Final = 20_000_000
_LIST_SECONDS: Final = 900
_STAMP: Final = b"stored to learn what time it is here\n"  # always the same: one object, however often


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Place:
    """Where blobs are, and who we are there."""

    endpoint: str
    bucket: str
    prefix: str
    region: str
    key_id: str = field(repr=False)
    secret: str = field(repr=False)

    def open(self) -> "S3Store":
        """Return the store; nothing is asked yet.

        Raises:
            HostError: its library is not installed.
        """
        try:
            from obstore.store import S3Store  # noqa: PLC0415 - an extra, and compiled
        except ImportError as error:
            raise HostError("obstore is not installed", hint="pip install 'clawdie-skillrepo[s3]'") from error
        return S3Store(
            self.bucket,
            prefix=self.prefix or None,
            endpoint=self.endpoint,
            region=self.region,
            access_key_id=self.key_id,
            secret_access_key=self.secret,
            virtual_hosted_style_request=False,
            client_options={
                "timeout": timedelta(seconds=_SECONDS),
                "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
                "allow_http": self.endpoint.startswith("http://"),
            },
            retry_config={"max_retries": 4, "retry_timeout": _RETRY},
        )


class S3Blobs:
    """A bucket, or a part of one, with content-addressed objects; nothing else may write there."""

    def __init__(self, store: "S3Store", *, where: str) -> None:
        self._store, self._where = store, where

    def store(self, data: bytes) -> Sha256:
        """Keep ``data`` and return its digest; what is there already is written again, and counts as stored now.

        Raises:
            HostError: the store cannot be reached, or refuses.
        """
        digest = sha256_of(data)
        self._asked(lambda store: _put(store, _key(digest), data))
        return digest

    def load(self, digest: Sha256) -> bytes:
        """Return the bytes with ``digest``.

        Raises:
            NotFoundError: they are not there. DigestMismatchError: they are others. HostError: it cannot be asked.
        """
        data = self._asked(lambda store: _get(store, _key(digest)), digest)
        if sha256_of(data) != digest:
            raise self._damaged(digest)
        return data

    def size_of(self, digest: Sha256) -> int | None:
        """Return how many bytes the blob has; None when it is not there.

        Raises:
            HostError: it cannot be asked.
        """
        found = self._head(digest)
        return int(found["size"]) if found is not None else None

    def open(self, digest: Sha256) -> BinaryIO:
        """Open a blob; what is read is not compared with its digest.

        Raises:
            NotFoundError: it is not there. HostError: it cannot be opened.
        """
        return io.BufferedReader(_Stream(self, digest), buffer_size=_CHUNK)

    def receive(self, pieces: Iterable[bytes], *, digest: Sha256, size: int) -> None:
        """Keep what comes in pieces; a copy of the right size that is there already is kept as it is.

        Raises:
            DigestMismatchError: it is longer, shorter or other than announced; nothing is kept.
            HostError: it cannot be written.
        """
        if self.size_of(digest) == size:
            return
        # First whole and compared, here: an object that was begun cannot be taken back by everybody's engine.
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as spooled:
            try:
                spooled.writelines(announced(pieces, digest, size))
            except OSError as error:
                raise HostError(f"cannot keep an upload: {error.strerror}", hint="make room") from error
            spooled.seek(0)
            self._asked(lambda store: _put(store, _key(digest), spooled))

    def put_at(self, digest: Sha256, place: Path) -> None:
        """Make ``place`` a file with the bytes of the blob, compared with its digest; what stands there is left alone.

        Raises:
            NotFoundError: the blob is not there. DigestMismatchError: it is damaged. HostError: it cannot be written.
        """
        if place.exists():
            return
        with self.open(digest) as stream:
            write_pieces_durably(place, self._compared(stream, digest), mode=0o444)

    def remove(self, digest: Sha256) -> None:
        """Forget a blob, if it is there.

        Raises:
            HostError: it cannot be removed.
        """
        self._asked(lambda store: _delete(store, _key(digest)))

    def clock(self) -> datetime:
        """Return the present by the store's clock: when it says that something was stored just now.

        Raises:
            HostError: the store cannot be asked.
        """
        found = self._head(self.store(_STAMP))
        if found is None:
            raise HostError("the object store forgets what it was just given", hint="skillrepo doctor")
        moment: datetime = found["last_modified"]
        return moment

    def untouched(self, *, since: datetime) -> Iterator[tuple[Sha256, int]]:
        """Yield digest and size of the blobs that came before ``since``, and have not been stored again after it.

        Raises:
            EndlessListError: an engine that begins its list again, or sends one page for ever.
            HostError: the store cannot be asked to its end.
        """
        count = 0
        with self._errors():
            for batch in batches(self._store, seconds=_LIST_SECONDS):
                if batch is not None:
                    count += len(batch)
                if batch is None or count > _MAX_LISTED:
                    raise EndlessListError(
                        f"the list of the object store does not end: {count} objects in it so far",
                        hint=f"look at what else writes to {self._where}, and at the engine",
                    )
                for found in batch:
                    name = str(found["path"]).rpartition("/")[2]
                    if found["last_modified"] < since and _is_blob(str(found["path"]), name):
                        yield Sha256(name), int(found["size"])

    def unfinished(self, *, since: datetime) -> Iterator[Path]:
        """Yield nothing: what was not completed is no object."""
        del since
        return iter(())

    def remove_untouched(self, digest: Sha256, *, since: datetime) -> bool:
        """Forget a blob, unless it was stored again after ``since``; return whether it is gone.

        Who stores it in the moment between the look and the removal is told so by the database: it counts on the blob in a
        transaction that waits for this one, and does not find it.

        Raises:
            HostError: it cannot be removed.
        """
        found = self._head(digest)
        if found is None:
            return True
        if found["last_modified"] >= since:
            return False
        self.remove(digest)
        return True

    def _head(self, digest: Sha256) -> Any:
        try:
            return self._asked(lambda store: _head(store, _key(digest)), digest)
        except NotFoundError:
            return None

    def _compared(self, stream: BinaryIO, digest: Sha256) -> Iterator[bytes]:
        found = hashlib.sha256()
        while piece := stream.read(_CHUNK):
            found.update(piece)
            yield piece
        if found.hexdigest() != digest:
            raise self._damaged(digest)

    def _damaged(self, digest: Sha256) -> DigestMismatchError:
        return DigestMismatchError(
            f"blob {digest[:16]}… is damaged in the object store",
            hint="restore it from a backup",
            where=self._where,
        )

    def _asked(self, question: Callable[["S3Store"], T], digest: Sha256 | None = None) -> T:
        with self._errors(digest):
            return question(self._store)

    @contextmanager
    def _errors(self, digest: Sha256 | None = None) -> Iterator[None]:
        from obstore.exceptions import BaseError  # noqa: PLC0415 - an extra
        from obstore.exceptions import NotFoundError as MissingError  # noqa: PLC0415

        try:
            yield
        except (MissingError, FileNotFoundError) as error:
            if digest is None:
                raise HostError(f"the object store has no such bucket: {self._where}") from error
            raise NotFoundError(f"no blob {digest[:16]}… in the object store") from error
        except (BaseError, OSError, PermissionError) as error:
            # The kind only: its text may hold an address with what was signed.
            raise HostError(
                f"the object store fails: {type(error).__name__}",
                hint=f"is {self._where} reachable, and are the keys right? skillrepo doctor",
            ) from error


class _Stream(io.RawIOBase):
    """A blob as a stream, fetched in ranges, so that no connection waits for a slow reader."""

    def __init__(self, blobs: S3Blobs, digest: Sha256) -> None:
        super().__init__()
        size = blobs.size_of(digest)
        if size is None:
            raise NotFoundError(f"no blob {digest[:16]}…")
        self._blobs, self._digest, self._size, self._at = blobs, digest, size, 0
        self._held = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Read on."""
        if not self._held and self._at < self._size:
            end = min(self._at + _PART, self._size)
            data = self._blobs._asked(  # noqa: SLF001 - one class in two halves
                lambda store: _range(store, _key(self._digest), self._at, end), self._digest
            )
            self._held, self._at = memoryview(data), end
        count = min(len(buffer), len(self._held))
        buffer[:count] = self._held[:count]
        self._held = self._held[count:]
        return count


def _key(digest: Sha256) -> str:
    return f"{parse_sha256(digest)[:_PREFIX]}/{digest}"


def _is_blob(path: str, name: str) -> bool:
    return _SHA256.fullmatch(name) is not None and path == _key(Sha256(name))


def batches(store: "S3Store", folder: str | None = None, *, seconds: float) -> Iterator[Any]:
    """Yield what the store lists below ``folder``, piece by piece; None when it did not come to its end in time.

    The library gathers objects until it has a piece: of pages without objects it would ask for ever, and come back with nothing.
    Only a wait that can be given up ends that.
    """
    end = time.monotonic() + seconds
    with asyncio.Runner() as runner:
        stream = store.list(folder)

        async def following() -> Any:
            async with asyncio.timeout(max(0.0, end - time.monotonic())):
                return await anext(stream)

        while True:
            try:
                batch = runner.run(following())
            except StopAsyncIteration:
                return
            except TimeoutError:
                yield None
                return
            yield batch


def _put(store: "S3Store", key: str, data: Any) -> None:
    import obstore  # noqa: PLC0415 - an extra

    obstore.put(store, key, data, chunk_size=_PART)


def _get(store: "S3Store", key: str) -> bytes:
    import obstore  # noqa: PLC0415

    found = obstore.get(store, key)
    if found.meta["size"] > _MAX_WHOLE:  # nothing of ours: it would fill the memory
        raise OSError("too large to be read whole")
    return bytes(found.bytes())


def _range(store: "S3Store", key: str, start: int, end: int) -> bytes:
    """Return exactly these bytes: fewer would look like the end of the blob, and more are not taken into memory."""
    import obstore  # noqa: PLC0415

    found, data = obstore.get(store, key, options={"range": (start, end)}), bytearray()
    for piece in found.stream(min_chunk_size=_CHUNK):
        data += memoryview(piece)
        if len(data) > end - start:
            break
    if len(data) != end - start or tuple(found.range) != (start, end):
        raise OSError("another range than was asked for")
    return bytes(data)


def _head(store: "S3Store", key: str) -> Any:
    import obstore  # noqa: PLC0415

    return obstore.head(store, key)


def _delete(store: "S3Store", key: str) -> None:
    import obstore  # noqa: PLC0415

    obstore.delete(store, key)
