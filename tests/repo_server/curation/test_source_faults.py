"""The same faults for every source: each is a clear error, whichever answer it hits, and nothing is asked elsewhere."""

import tempfile
import time
from pathlib import Path

import pytest

from repo_server.curation.limits import Limits
from repo_server.curation.sources import Fetched, fetch, parse_address, source_of, sources
from signing.errors import (
    ConflictError,
    FormatError,
    NotFoundError,
    PolicyError,
    RejectedError,
    SkillRepoError,
    TransportError,
)
from tests.repo_server.curation.material import NOW
from tests.support.faulty import FaultyFront, Spoil
from tests.support.scenes import scene_of

SCHEMES = sorted(sources())
SLOW = {Spoil.DRIP}

# What a spoiled answer may become. A file (not a list of files) is judged by its digest where there is one, so a web
# page in its place is "not that file".
EXPECTED: dict[Spoil, tuple[type[SkillRepoError], ...]] = {
    Spoil.NOT_FOUND: (NotFoundError,),
    Spoil.WITHDRAWN: (NotFoundError,),
    Spoil.AMBIGUOUS: (ConflictError,),
    Spoil.BUSY: (TransportError,),
    Spoil.BUSY_FOR_EVER: (TransportError,),
    Spoil.FAILING: (TransportError,),
    Spoil.UNAVAILABLE: (TransportError,),
    Spoil.TEAPOT: (FormatError,),
    Spoil.WITHHELD: (PolicyError,),
    Spoil.PAGE: (RejectedError,),
    Spoil.NOT_JSON: (RejectedError,),
    Spoil.OTHER_KIND: (RejectedError,),
    Spoil.TRUNCATED: (FormatError,),
    Spoil.ENDLESS: (FormatError,),
    Spoil.DRIP: (TransportError, FormatError),
    Spoil.HANG_UP: (TransportError,),
    Spoil.COMPRESSED: (FormatError,),
    Spoil.ELSEWHERE: (TransportError,),
    Spoil.LOOP: (TransportError,),
}
# Where "there is none" and "not for you" are answers: evidence that a source need not have.
MAY_BE_ABSENT = {Spoil.NOT_FOUND, Spoil.WITHDRAWN, Spoil.WITHHELD}

# Not to be told from a file that upstream has changed, where nothing vouches for it.
OTHER_BYTES = {Spoil.NOT_JSON, Spoil.OTHER_KIND}


def attempt(scheme: str, spoil: Spoil | None, at: int) -> tuple[FaultyFront, Fetched | SkillRepoError]:
    scene = scene_of(scheme)
    limits = Limits(seconds=0.4 if spoil in SLOW else 20)
    with scene.server() as server, FaultyFront(server.url, spoil, at=at) as front:
        try:
            address = parse_address(scene.address.format(url=front.url))
            return front, fetch(address, limits=limits, settings=scene.settings(front.url), now=NOW)
        except SkillRepoError as error:
            return front, error


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_scene_works(scheme: str) -> None:
    _, result = attempt(scheme, None, 0)
    assert isinstance(result, Fetched), result
    assert result.source == scheme
    assert parse_address(result.address)


def places_of(spoil: Spoil, answers: int, *, every: bool) -> list[int]:
    """Which answers are spoiled: every one, or every third, and of three faults in a row each takes others."""
    if spoil in SLOW:
        return [0, answers - 1]
    if every:
        return list(range(answers))
    number = list(Spoil).index(spoil)
    return list(range(number % 3, answers, 3)) or [number % answers]


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["some", "every"])
@pytest.mark.parametrize("spoil", list(Spoil))
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_answer_spoiled_in_turn(
    scheme: str, spoil: Spoil, every: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    clean, result = attempt(scheme, None, 0)
    assert isinstance(result, Fetched)
    places = places_of(spoil, len(clean.requests), every=every)
    refused = 0
    for place in places:
        started = time.monotonic()
        front, outcome = attempt(scheme, spoil, place)
        assert time.monotonic() - started < 15  # of the 20 that it may take
        assert front.reached
        if isinstance(outcome, Fetched) and spoil in OTHER_BYTES:
            assert front.requests[place].startswith(scene_of(scheme).unpinned or ("none",))
            assert outcome.tree.digest != result.tree.digest
            assert outcome.resolved["files_sha256"] == outcome.tree.digest
            continue
        if isinstance(outcome, Fetched):
            # Only evidence that need not exist, and its absence is told or recorded.
            assert spoil in MAY_BE_ABSENT, (front.requests, place)
            assert outcome.tree.digest == result.tree.digest
            silent = front.requests[place].startswith(scene_of(scheme).optional or ("none",))
            told = outcome.observations != result.observations or outcome.resolved != result.resolved
            assert told or silent, front.requests[place]
            continue
        refused += 1
        assert isinstance(outcome, EXPECTED[spoil]), (spoil, front.requests[place], repr(outcome))
        assert str(outcome).isprintable()
        assert outcome.hint.isprintable()
    assert refused or not every
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_how_long_to_wait_is_said(scheme: str) -> None:
    _, busy = attempt(scheme, Spoil.BUSY, 0)
    _, for_ever = attempt(scheme, Spoil.BUSY_FOR_EVER, 0)
    assert isinstance(busy, TransportError)
    assert busy.hint.partition(";")[0] == "try again in 34 seconds"  # GitHub's goes on about its allowance
    assert isinstance(for_ever, TransportError)
    assert for_ever.hint.partition(";")[0] == "try again later"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_withdrawn_is_not_the_same_as_never_there(scheme: str) -> None:
    for place in range(3):
        _, gone = attempt(scheme, Spoil.WITHDRAWN, place)
        if isinstance(gone, NotFoundError):
            assert "withdrawn" in gone.message
            return
    pytest.fail("no answer was needed")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_source_says_what_it_is(scheme: str) -> None:
    source = source_of(scheme)
    assert source.scheme == scheme
    # No default: the server is the one that the address names.
    assert all(
        url.startswith("https://") or (scheme == "well-known" and not url) for url in source.bases.values()
    )
    address = parse_address(source.example)
    assert str(address) == source.example
    assert parse_address(str(address)) == address
    assert address.recorded
    with pytest.raises((AttributeError, TypeError)):
        address.owner = "x"  # type: ignore[attr-defined]
