"""Handing builds in behind https (edge); see `repo_server.pkgrepo.submitting.PackageDesk`.

A file goes up in pieces, several files at a time. A connection that breaks is tried again, a little later each time, from
where the server says it is; an answer that says no is not tried again. What the server says of itself is not believed:
what is published is read as `repo_server.pkgrepo.served` reads it, and never may it be older than what was seen here.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from repo_server.desk.client import DeskClient, Upload
from repo_server.desk.problems import TooManyRequestsError
from repo_server.desk.seen import remember
from repo_server.pkgrepo.served import ServedSite, ServedState, check_served
from repo_server.pkgrepo.submitting import Blob, Standing, Tell, appointed_in
from signing.errors import ConflictError, FormatError, HostError, TransportError
from signing.format.canonical import canonical
from signing.format.digest import Sha256, parse_sha256
from signing.format.fields import Fields
from signing.format.pkg.index import MAX_PACKAGE_BYTES, RepoIndex
from signing.format.pkg.names import PackageRepo

PIECE: Final = 8 << 20
AT_ONCE: Final = 4
_QUESTIONS: Final = 1_000
_TRIES: Final = 6
_PATIENCE: Final = 60.0
_PIECE_SECONDS: Final = 300.0
_BUILD_SECONDS: Final = 3600.0
_TELL_SECONDS: Final = 2.0
_JSON: Final = "application/json"
_OCTETS: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemotePackageDesk:
    """The repository of a server.

    Attributes:
        client: asks it, with a token for the ABI and channel.
        site: where what it serves is read, and the builder's own anchor.
        seen: the memory of what was seen; never thrown away.
        sleep: waits; tests do not.
    """

    client: DeskClient
    site: ServedSite
    seen: Path
    sleep: Callable[[float], None] = time.sleep
    piece: int = PIECE
    at_once: int = AT_ONCE

    def complete(self) -> None:
        """See `PackageDesk`: the server does that by itself."""

    def standing(self, repo: PackageRepo, *, since: datetime, now: datetime) -> Standing:
        """See `PackageDesk`."""
        state = self._state(repo, now)
        left = state.left_behind()
        if left is not None:
            return Standing(
                appointed=appointed_in(state.trusted.targets, repo),
                targets=left,
                index=state.index_of(left),
                history=(),
                advisories=state.advisories(),
                replaced=True,
            )
        return Standing(
            appointed=appointed_in(state.trusted.targets, repo),
            targets=state.targets(),
            index=state.index(),
            history=state.history(since=since),
            advisories=state.advisories(),
        )

    def serial(self, repo: PackageRepo, number: int, *, now: datetime) -> RepoIndex:
        """See `PackageDesk`."""
        return self._state(repo, now).serial(number)

    def missing(self, repo: PackageRepo, wanted: Mapping[Sha256, int]) -> frozenset[Sha256]:
        """See `PackageDesk`. A server that says too little here is found out when it refuses the build."""
        found: set[Sha256] = set()
        for some in _batches(list(wanted.items()), _QUESTIONS):
            body = canonical({"blobs": [{"sha256": digest, "size": size} for digest, size in some]})
            upload = Upload(content=body, media_type=_JSON)
            answer = self._patiently(partial(self.client.ask, "POST", f"/pkg/{repo}/missing", upload=upload))
            fields = Fields.of(answer.json("missing"), where="missing")
            named = fields.items("missing", lambda value, where: parse_sha256(value, where=where))
            fields.done()
            if strange := set(named) - {digest for digest, _ in some}:
                raise FormatError(f"names {min(strange)[:16]}…, which nobody asked about", where="missing")
            found.update(named)
        return frozenset(found)

    def send(self, repo: PackageRepo, blobs: Sequence[Blob], *, tell: Tell) -> None:
        """See `PackageDesk`."""
        progress = _Progress(len(blobs), sum(blob.size for blob in blobs), tell)
        with ThreadPoolExecutor(max_workers=self.at_once) as pool:
            try:
                for _ in pool.map(lambda blob: self._send_unless_over(repo, blob, progress), blobs):
                    pass
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def hand_in(self, repo: PackageRepo, metadata: bytes, *, now: datetime) -> dict[str, Any]:
        """See `PackageDesk`. Where an answer is lost, what is served says whether it was taken."""
        tries = 0
        while True:
            try:
                return self._hand_in_once(repo, metadata)
            except ConflictError:
                # Of an earlier try whose answer was lost; or the server was killed after it had decided.
                if self._is_served(repo, metadata, now):
                    return {}
                raise
            except TransportError as error:
                tries += 1
                if self._is_served(repo, metadata, now):
                    return {}
                if tries >= _TRIES:
                    raise
                self.sleep(_wait(error, tries))

    def check_served(self, repo: PackageRepo, index: RepoIndex, metadata: bytes, *, now: datetime) -> bool:
        """See `PackageDesk`."""
        looked_at = check_served(self.site, repo, index, metadata, now=now)
        self._state(repo, now)  # so that this one is remembered
        return looked_at

    def _state(self, repo: PackageRepo, now: datetime) -> ServedState:
        """Return what is served, when it is not older than what was seen.

        Raises:
            RollbackError: it is older.
        """
        state = self.site.state(repo, now=now)
        remember(
            self.seen.with_name(f"{self.seen.stem}.{repo.role}.json"),
            state.versions(),
            anchor=self.site.anchor,
        )
        return state

    def _is_served(self, repo: PackageRepo, metadata: bytes, now: datetime) -> bool:
        try:
            return self.site.state(repo, now=now).files.get(repo.role) == metadata
        except TransportError:
            return False

    def _hand_in_once(self, repo: PackageRepo, metadata: bytes) -> dict[str, Any]:
        answer = self.client.ask(
            "POST",
            f"/pkg/{repo}/builds",
            upload=Upload(content=metadata, media_type=_JSON),
            seconds=_BUILD_SECONDS,
        )
        document = answer.json("build")
        if not isinstance(document, dict):
            raise FormatError("not an object", where="build")
        return document

    def _send_unless_over(self, repo: PackageRepo, blob: Blob, progress: "_Progress") -> None:
        """Send one file; after the first that cannot be sent, nothing more is."""
        if progress.over.is_set():
            return
        try:
            self._send(repo, blob, progress)
        except BaseException:
            progress.over.set()
            raise

    def _send(self, repo: PackageRepo, blob: Blob, progress: "_Progress") -> None:
        place = f"/pkg/{repo}/uploads/{blob.digest}?size={blob.size}"
        tries, here = 0, None if blob.size > self.piece else 0
        with blob.open() as stream:
            while here is None or here < blob.size:
                try:
                    here = self._offset(place, blob) if here is None else here
                    if here >= blob.size:
                        break
                    stream.seek(here)
                    piece = _read_fully(stream, min(self.piece, blob.size - here))
                    here = self._put(place, blob, here, piece)
                except (TransportError, ConflictError) as error:
                    # A conflict: an earlier piece arrived although its answer did not, or is still arriving.
                    tries += 1
                    if tries >= _TRIES:
                        raise
                    self.sleep(_wait(error, tries))
                    here = None
        progress.sent(blob.size)

    def _offset(self, place: str, blob: Blob) -> int:
        return _here(self.client.ask("GET", place).json("upload"), 0, blob.size)

    def _put(self, place: str, blob: Blob, offset: int, piece: bytes) -> int:
        answer = self.client.ask(
            "PUT",
            f"{place}&offset={offset}",
            upload=Upload(content=piece, media_type=_OCTETS),
            seconds=_PIECE_SECONDS,
        )
        return _here(answer.json("upload"), offset + len(piece), blob.size)

    def _patiently(self, ask: Callable[[], Any]) -> Any:
        for tries in range(1, _TRIES + 1):
            try:
                return ask()
            except TransportError as error:
                if tries == _TRIES:
                    raise
                self.sleep(_wait(error, tries))
        raise AssertionError("unreachable")


@dataclass(slots=True)
class _Progress:
    """Says every two seconds how much is sent; called from several threads."""

    files: int
    total: int
    tell: Tell
    done: int = 0
    done_bytes: int = 0
    told: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)
    over: threading.Event = field(default_factory=threading.Event)

    def sent(self, size: int) -> None:
        with self.lock:
            self.done += 1
            self.done_bytes += size
            if self.done == self.files or time.monotonic() - self.told >= _TELL_SECONDS:
                self.told = time.monotonic()
                self.tell(
                    f"sent {self.done} of {self.files} files, {self.done_bytes >> 20} of {self.total >> 20} MiB"
                )


def _here(value: object, at_least: int, size: int) -> int:
    """Return how much the server says it has. Less than was sent just now would be an upload without end."""
    fields = Fields.of(value, where="upload")
    offset = fields.integer("offset", maximum=MAX_PACKAGE_BYTES)
    fields.done()
    if not at_least <= offset <= size:
        raise FormatError(f"says that {offset} bytes are there", where="upload")
    return offset


def _read_fully(stream: Any, count: int) -> bytes:
    pieces, left = [], count
    try:
        while left and (piece := stream.read(left)):
            pieces.append(piece)
            left -= len(piece)
    except OSError as error:
        raise HostError(f"cannot read a package: {error.strerror}") from error
    if left:
        raise HostError("a package became shorter while it was sent", hint="let the build finish")
    return b"".join(pieces)


def _wait(error: Exception, tries: int) -> float:
    asked = error.seconds if isinstance(error, TooManyRequestsError) else 0.0
    return min(_PATIENCE, max(float(asked), 0.5 * 2.0**tries))


def _batches(items: list[tuple[Sha256, int]], count: int) -> list[list[tuple[Sha256, int]]]:
    return [items[at : at + count] for at in range(0, len(items), count)]
