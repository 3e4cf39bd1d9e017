"""Several places that serve one repository (edge): asked one after another, and none of them trusted.

    server = Server.parse("https://skills.clawdie.si", mirrors=["https://mirror.example/skills"])

What comes from a mirror passes the same checks as what comes from the repository, so a mirror can withhold, and nothing else. The
three ways to withhold:

    nothing, too late, garbage    the next place is asked; a failure is remembered to the end of this run, and that place is
                                  asked last from then on
    an older state                refused by the memory of what was seen; the next place is asked
    the state of yesterday, to    every place is asked which timestamp it has, the newest goes first, and others are asked as long
    who saw no newer one          as one claims more than what was verified: one honest place that answers is enough. Who has
                                  less than it claimed lied; that costs one try, and it is asked last from then on

A whole state is taken from one place; files whose digests are signed may then come from any. A mirror never gets a token:
`repo_client.access_token` shows one to its own origin only.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Protocol, TypeVar

from tuf.api.exceptions import DownloadError
from tuf.ngclient.fetcher import FetcherInterface

from repo_client.carried import FolderFetcher
from repo_client.fetcher import FetchLimits, Origin, StrictFetcher
from signing.errors import (
    FormatError,
    NotFoundError,
    RejectedError,
    SkillRepoError,
    TransportError,
    VerificationError,
)

MAX_MIRRORS: Final = 16
_SLOWEST: Final = 64 << 10  # bytes a second; whoever is slower is not waited for while there is another place
_HURRIED: Final = FetchLimits(gap=5.0, deadline=10.0)
_MAX_TIMESTAMP: Final = 16_384
_LARGEST: Final = 2**53


class Place(Protocol):
    """A place that serves the repository: its address, and the origin of that."""

    @property
    def base(self) -> str:
        """The address."""
        ...

    @property
    def origin(self) -> Origin:
        """Where requests go."""
        ...

    @property
    def metadata_url(self) -> str:
        """Where metadata is served."""
        ...

    @property
    def folder(self) -> Path | None:
        """The archive that stands there instead of a server, if it is one."""
        ...


T = TypeVar("T")
P = TypeVar("P", bound=Place)


@dataclass(slots=True)
class Order:
    """Which places failed in this run, and when; kept nowhere."""

    _failed: dict[str, float] = field(default_factory=dict)

    def note(self, place: Place, *, failed: bool) -> None:
        """Remember how ``place`` answered."""
        if failed:
            self._failed[place.base] = time.monotonic()
        else:
            self._failed.pop(place.base, None)

    def sort(self, places: Sequence[P]) -> list[P]:
        """Return ``places`` in their order, but those that failed at the end, the longest ago first."""
        return sorted(places, key=lambda place: self._failed.get(place.base, 0.0))


def check_mirror(mirror: Origin, *, of: Origin) -> None:
    """Return None when a repository that is asked for at ``of`` may be asked for at ``mirror`` too.

    Raises:
        FormatError: it is not encrypted, and the repository is.
    """
    if of.scheme == "https" and mirror.scheme != "https":
        raise FormatError(
            "a mirror of an https repository is asked by https", where="mirror", hint="https://…"
        )


def limits_for(limits: FetchLimits, *, last: bool, size: int = 0) -> FetchLimits:
    """Return how long one file of ``size`` bytes may take: less as long as there is another place to ask."""
    if last:
        return limits
    return FetchLimits(
        gap=min(limits.gap, _HURRIED.gap), deadline=min(limits.deadline, _HURRIED.deadline + size / _SLOWEST)
    )


def fetcher_for(place: Place, limits: FetchLimits) -> FetcherInterface:
    """Return what fetches from ``place``, and from nowhere else."""
    if place.folder is not None:
        return FolderFetcher(place.folder)
    return StrictFetcher(frozenset({place.origin}), limits=limits)


def try_each(places: Sequence[P], attempt: Callable[[P, bool], T], *, order: Order) -> T:
    """Return the first result of ``attempt(place, is_last)`` that is none of a refusal.

    Raises:
        VerificationError, FormatError, NotFoundError, TransportError: every place failed; the gravest error, which names all.
    """
    failures: list[tuple[P, SkillRepoError]] = []
    for number, place in enumerate(places, 1):
        try:
            result = attempt(place, number == len(places))
        except (RejectedError, NotFoundError, TransportError) as error:
            order.note(place, failed=True)
            failures.append((place, error))
        else:
            order.note(place, failed=False)
            return result
    raise _told(failures)


def follow_newest(
    places: Sequence[P],
    attempt: Callable[[P, bool], int],
    *,
    learned: Callable[[], object],
    limits: FetchLimits,
    order: Order,
) -> P:
    """Return the place whose state ``attempt(place, is_last)`` verified last, which is the newest that anybody could show.

    What a place claims is believed in one respect only: as long as somebody claims more than what was verified, it is asked.
    Else one that claims much, and then shows the state of yesterday, would keep the others from being asked. A state that was
    verified stays good when all who claimed more fail, or a liar could deny every state; unless they taught something first.

    Args:
        places: who can be asked.
        attempt: verifies the state of a place, refuses one that is older than what was verified before, and returns the version of
            its timestamp.
        learned: returns what was verified and will be remembered, also of a state that was refused in the end: when that changed,
            the earlier place is asked again, because what it showed may be too old for it.
        limits: how long an answer may take.
        order: where it is noted who failed, and who had less than it claimed.

    Raises:
        VerificationError, FormatError, NotFoundError, TransportError: as for `try_each`.
    """
    claims = _claims(places, limits=limits, order=order)

    def most_first(some: Sequence[P]) -> list[P]:
        return sorted(some, key=lambda place: -claims[place.base])

    waiting = most_first(order.sort(places))
    failures: list[tuple[P, SkillRepoError]] = []
    found: tuple[P, int, object] | None = None
    while waiting and (found is None or claims[waiting[0].base] > found[1]):
        place = waiting.pop(0)
        try:
            version = attempt(place, found is None and not waiting)
        except (RejectedError, NotFoundError, TransportError) as error:
            order.note(place, failed=True)
            failures.append((place, error))
            if found is not None and found[2] != learned():
                waiting, found = most_first([*waiting, found[0]]), None
        else:
            order.note(place, failed=version < claims[place.base])
            found = (place, version, learned())
    if found is None:
        raise _told(failures)
    return found[0]


def _claims(places: Sequence[P], *, limits: FetchLimits, order: Order) -> dict[str, int]:
    """Return by address what each of ``places`` says is its newest timestamp, and 0 for who says nothing. All are asked at once."""
    if len(places) == 1:
        return {places[0].base: 0}
    hurried = limits_for(limits, last=False)
    with ThreadPoolExecutor(max_workers=len(places)) as pool:
        said = list(pool.map(lambda one: _said(one, hurried), places))
    for place, version in zip(places, said, strict=True):
        if version is None:
            order.note(place, failed=True)
    return {place.base: version or 0 for place, version in zip(places, said, strict=True)}


class TurningFetcher(FetcherInterface):  # type: ignore[misc, unused-ignore]
    """Fetches for python-tuf, which knows one address, from the place that it was turned to last."""

    def __init__(self, known: Place) -> None:
        self._known = known.metadata_url
        self._place = known.metadata_url
        self._fetcher: FetcherInterface | None = None

    def turn_to(self, place: Place, limits: FetchLimits) -> None:
        """Fetch from ``place`` from now on."""
        self._place = place.metadata_url
        self._fetcher = fetcher_for(place, limits)

    @contextmanager
    def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
        """Yield the body of what is asked for at ``url``, from the place."""
        fetcher, moved = self._moved(url)
        with fetcher.download_file(moved, max_length) as stream:
            yield stream

    def _fetch(self, url: str) -> Iterator[bytes]:
        fetcher, moved = self._moved(url)
        return iter(fetcher.fetch(moved))

    def _moved(self, url: str) -> tuple[FetcherInterface, str]:
        if self._fetcher is None or not url.startswith(self._known):
            raise DownloadError(f"{url} is not on the repository's own origin")
        return self._fetcher, self._place + url.removeprefix(self._known)


def _said(place: Place, limits: FetchLimits) -> int | None:
    fetcher = fetcher_for(place, limits)
    try:
        data = fetcher.download_bytes(f"{place.metadata_url}timestamp.json", _MAX_TIMESTAMP)
        version = json.loads(data)["signed"]["version"]
    except Exception:  # noqa: BLE001 - whatever a stranger's bytes do to a parser; what is wrong is said by the try itself
        return None
    return version if isinstance(version, int) and 0 < version < _LARGEST else None


def _told(failures: Sequence[tuple[Place, SkillRepoError]]) -> SkillRepoError:
    """Return the gravest of ``failures``, which says of each place why."""
    errors = [error for _, error in failures]
    kinds = (VerificationError, RejectedError, NotFoundError)
    gravest = next((error for kind in kinds for error in errors if isinstance(error, kind)), errors[0])
    if len(failures) > 1:
        why = "; ".join(f"{place.base}: {error}" for place, error in failures)
        gravest.facts["places"] = [
            {"server": place.base, "code": error.code, "message": str(error)} for place, error in failures
        ]
        gravest.message, gravest.where = f"none of {len(failures)} places would do: {why}", ""
    return gravest
