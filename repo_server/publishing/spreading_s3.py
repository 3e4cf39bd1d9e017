"""The bucket of the published tree, in an object store that speaks S3 (edge).

Objects carry the Content-Type and the Cache-Control that our service gives their files, for whoever serves the bucket
as it is. No object is put under a condition; each put writes a whole object, or none.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from repo_server.publishing.spreading import Content
from repo_server.repository import Repository
from repo_server.storage.blobs import EndlessListError
from repo_server.storage.s3 import batches
from repo_server.web.answering import IMMUTABLE, cache_control, content_type
from signing.errors import HostError

if TYPE_CHECKING:
    from obstore.store import S3Store

T = TypeVar("T")

_SKILLS: Final = "skills/"
_PART: Final = 8 << 20
_MAX_READ: Final = 64 << 20
_LIST_SECONDS: Final = 300.0  # other hosts wait for us meanwhile
_MAX_LISTED: Final = 2_000_000


class Bucket:
    """A bucket, or a part of one, with nothing but one published tree in it."""

    def __init__(self, store: "S3Store", *, where: str) -> None:
        self._store, self._where = store, where

    @classmethod
    def of(cls, repository: Repository) -> "Bucket":
        """Return the bucket that the settings of ``repository`` name; it is asked nothing yet.

        Raises:
            HostError: none is named, or the library is not installed. KeyAccessError: the credentials cannot be read.
        """
        settings = repository.config.published
        if not settings.bucket:
            raise HostError("no bucket is named", hint="[published] in repository.toml (docs/serving.md)")
        return cls(settings.place().open(), where=settings.where)

    def sizes(self, folder: str) -> dict[str, int]:
        """Return size by path of everything below ``folder``.

        Raises:
            HostError: the store cannot be asked to its end: it fails, or its list does not end.
        """
        found: dict[str, int] = {}
        count = 0
        with self._errors():
            for batch in batches(self._store, folder, seconds=_LIST_SECONDS):
                count += len(batch) if batch is not None else 0
                if (
                    batch is None or count > _MAX_LISTED
                ):  # by what was sent: a list may name one object for ever
                    raise EndlessListError(
                        f"the list of the published tree's bucket does not end: {count} objects in it so far",
                        hint=f"look at what else writes to {self._where}, and at the engine",
                    )
                found.update((str(item["path"]), int(item["size"])) for item in batch)
        return found

    def read(self, path: str) -> bytes | None:
        """Return an object of at most 64 MiB; None when it is not there.

        Raises:
            HostError: it is larger, or the store cannot be asked.
        """
        import obstore  # noqa: PLC0415 - an extra
        from obstore.exceptions import NotFoundError as MissingError  # noqa: PLC0415

        def got(store: "S3Store") -> bytes | None:
            try:
                found = obstore.get(store, path)
            except (MissingError, FileNotFoundError):
                return None
            if found.meta["size"] > _MAX_READ:
                raise OSError("too large to be one of ours")
            return bytes(found.bytes())

        return self._asked(got)

    def put(self, path: str, content: Content) -> None:
        """Write an object, whole or not at all.

        Raises:
            HostError: the store cannot be reached, or refuses.
        """
        import obstore  # noqa: PLC0415 - an extra

        self._asked(
            lambda store: obstore.put(
                store, path, content, attributes=dict(_attributes(path)), chunk_size=_PART
            )
        )

    def remove(self, path: str) -> None:
        """Remove an object, if it is there.

        Raises:
            HostError: it cannot be removed.
        """
        import obstore  # noqa: PLC0415 - an extra

        self._asked(lambda store: obstore.delete(store, path))

    def _asked(self, question: Callable[["S3Store"], T]) -> T:
        with self._errors():
            return question(self._store)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        from obstore.exceptions import BaseError  # noqa: PLC0415 - an extra

        try:
            yield
        except (BaseError, OSError) as error:
            # The kind only: its text may hold an address with what was signed.
            raise HostError(
                f"the bucket of the published tree fails: {type(error).__name__}",
                hint=f"is {self._where} reachable, and are the keys right?",
            ) from error


def _attributes(path: str) -> Iterator[tuple[str, str]]:
    """Yield what is said of the object at ``path`` to whoever fetches it from the bucket itself."""
    if path.startswith(_SKILLS):
        inner = path.removeprefix(_SKILLS)
        yield "Content-Type", content_type(inner)
        yield "Cache-Control", cache_control(inner)
    else:
        yield "Content-Type", "application/octet-stream"
        yield "Cache-Control", IMMUTABLE
