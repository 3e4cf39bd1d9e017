"""A repository elsewhere, as this machine sees it (edge): a database in memory, and blobs fetched when they are read.

    ~/.cache/skillrepo/<digest of address and anchor>/blobs/ab/ab12…    compared with their digests at every read
                                                      state.json        the last state, so that it is not sent twice
                                                      repository/       the server's policy; engines of this machine
    ~/.local/state/skillrepo/<the same>.seen.json                       what was shown last; never thrown away

The folder is a cache: it can be deleted, and what is damaged in it is fetched again. Decisions are never in it:
each command fills a database of its own, so two commands at once cannot mix.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from sqlalchemy import delete, select

from repo_server.config import RepositoryConfig
from repo_server.db.models import Base, CandidateRow, LogRow
from repo_server.db.session import open_scratch_engine, transaction
from repo_server.desk.checking import check_state
from repo_server.desk.client import DeskClient
from repo_server.desk.seen import remember
from repo_server.desk.state import MAX_STATE_BYTES, TABLES, load_state
from repo_server.desk.wire import tree_of
from repo_server.policy import NAME as POLICY
from repo_server.publishing.standing import mark_releases
from repo_server.repository import Repository
from repo_server.storage.durable import write_durably
from repo_server.storage.local import LocalBlobs
from signing.errors import DigestMismatchError, FormatError, HostError, NotFoundError
from signing.format.archive import MAX_ARCHIVE_BYTES
from signing.format.canonical import canonical
from signing.format.digest import Sha256, check_sha256, parse_sha256, sha256_of

MAX_BLOB_BYTES: Final = MAX_ARCHIVE_BYTES
_STATE: Final = "state.json"
_ALL: Final[tuple[type[Base], ...]] = (LogRow, *TABLES)
_NOT_MODIFIED: Final = 304


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorPlace:
    """Where a mirror keeps its bytes, and where its memory stands."""

    folder: Path
    seen: Path

    @classmethod
    def of(cls, address: str, anchor: bytes, *, folder: Path | None = None) -> Self:
        """Return the place of the mirror of ``address`` under ``anchor``: in ``folder``, or in the user's cache.

        Another anchor is another repository: nothing of one is ever read as the other's.
        """
        key = sha256_of(canonical([address, sha256_of(anchor)]))[:32]
        if folder is not None:
            return cls(folder=folder / key, seen=folder / f"{key}.seen.json")
        cache, state = _home("XDG_CACHE_HOME", ".cache"), _home("XDG_STATE_HOME", ".local/state")
        return cls(folder=cache / "skillrepo" / key, seen=state / "skillrepo" / f"{key}.seen.json")


class MirrorBlobs:
    """Blobs that are fetched when somebody reads them first, and compared with their digests whenever read.

    ``candidates`` says whose list of files a digest is: then all its files are fetched in one go.
    """

    def __init__(self, local: LocalBlobs, client: DeskClient) -> None:
        self._local, self._client = local, client
        self.candidates: dict[str, str] = {}

    def store(self, data: bytes) -> Sha256:
        """Keep ``data`` here; handing it in is another step."""
        return self._local.store(data)

    def load(self, digest: Sha256) -> bytes:
        """Return the bytes with ``digest``, fetched when they are not here or damaged.

        Raises:
            NotFoundError: the server does not have them either.
            DigestMismatchError: what the server sends is something else.
        """
        try:
            return self._local.load(digest)
        except (NotFoundError, DigestMismatchError):
            if digest in self.candidates:
                self._fetch_tree(self.candidates[digest])
            data = self._client.ask("GET", f"/blobs/{parse_sha256(digest)}", limit=MAX_BLOB_BYTES).body
            check_sha256(data, digest, where="blob from the server")
            self._local.store(data)
            return data

    def _fetch_tree(self, candidate: str) -> None:
        """Fetch all files of a candidate in one go; which of them belong to it is decided by digests."""
        archive = self._client.ask("GET", f"/candidates/{candidate}/bundle", limit=MAX_ARCHIVE_BYTES).body
        bundle, _ = tree_of(archive)
        for content in bundle.contents.values():
            self._local.store(content)


class Mirror:
    """One command's view of a repository elsewhere."""

    def __init__(
        self, client: DeskClient, place: MirrorPlace, *, anchor: bytes, signers_folder: Path | None = None
    ) -> None:
        self._client, self._place, self._anchor = client, place, anchor
        try:
            place.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise HostError(f"cannot make {place.folder}: {error.strerror}", hint="--mirror DIR") from error
        self._engine = open_scratch_engine()
        self.dev = False
        self._blobs = MirrorBlobs(LocalBlobs(place.folder / "blobs"), client)
        self.repository = Repository(
            folder=place.folder / "repository",
            # The server's settings are the server's: it does not choose how keys are opened here.
            config=RepositoryConfig(dev=False),
            engine=self._engine,
            blobs=self._blobs,
            given_anchor=anchor,
            signers_folder=signers_folder,
        )

    def refresh(self) -> None:
        """Fetch the state, check it from the anchor, and fill the database with it.

        Raises:
            RejectedError: the state is not what it should be; the database is empty then.
            RollbackError: it is older than what was seen here.
            TransportError: the server cannot be asked.
        """
        data = self._fetch_state()
        with transaction(self._engine) as session:
            for table in reversed(_ALL):
                session.execute(delete(table))
        with transaction(self._engine) as session:
            setting = load_state(session, data)
            versions = check_state(session, anchor=self._anchor)
            # Last, and only what is verified: a lie about versions must not become a memory.
            remember(self._place.seen, versions, anchor=self._anchor)
            # By the signed list, not by what the server says of releases.
            mark_releases(self.repository, session)
            rows = session.execute(select(CandidateRow.tree_sha256, CandidateRow.id))
            self._blobs.candidates = {digest: candidate for digest, candidate in rows}  # noqa: C416 - rows are not pairs
        self.dev = setting.dev
        self._keep_policy(setting.policy)
        write_durably(self._place.folder / _STATE, data, mode=0o600)

    def close(self) -> None:
        """Forget the database."""
        self._engine.dispose()

    def _fetch_state(self) -> bytes:
        known = self._known_state()
        headers = {"If-None-Match": f'"{sha256_of(known)}"'} if known is not None else {}
        answer = self._client.ask("GET", "/state", headers=headers, limit=MAX_STATE_BYTES)
        if answer.status != _NOT_MODIFIED:
            return answer.body
        if known is None:
            raise FormatError("says that nothing changed, and was not asked that", where="desk")
        return known

    def _keep_policy(self, files: Mapping[str, bytes]) -> None:
        """Keep the server's policy where it is read; a curator's own goes before it, wherever the repository is."""
        folder = self.repository.folder
        folder.mkdir(mode=0o700, exist_ok=True)
        for name, content in files.items():
            write_durably(folder / name, content, mode=0o600)
        if POLICY not in files:
            (folder / POLICY).unlink(missing_ok=True)

    def _known_state(self) -> bytes | None:
        try:
            with (self._place.folder / _STATE).open("rb") as stream:
                return stream.read(MAX_STATE_BYTES)
        except OSError:
            return None


def _home(variable: str, usual: str) -> Path:
    """Return a folder of the user's; a relative one is to be ignored (XDG Base Directory Specification)."""
    given = os.environ.get(variable, "")
    return Path(given) if given.startswith("/") else Path.home() / usual
