"""What a skill may touch, and how two versions compare."""

import pytest

from signing.errors import FormatError
from signing.format.surface import Surface, SurfaceChange, compare_surfaces, digest_of_changes

FULL = Surface(**{kind: (f"{kind}-a", f"{kind}-b") for kind in Surface.kinds()})


def test_a_surface_is_read_back_unchanged() -> None:
    for surface in (Surface(), FULL):
        assert Surface.from_json(surface.to_json(), "surface") == surface


@pytest.mark.parametrize("kind", Surface.kinds())
def test_every_kind_is_compared_in_both_directions(kind: str) -> None:
    grown = Surface(**{**{other: FULL.of(other) for other in Surface.kinds()}, kind: (f"{kind}-b", "zz")})
    assert compare_surfaces(FULL, FULL) == ()
    assert compare_surfaces(FULL, grown) == (
        SurfaceChange(kind=kind, entry="zz", added=True),
        SurfaceChange(kind=kind, entry=f"{kind}-a", added=False),
    )


@pytest.mark.parametrize("kind", Surface.kinds())
@pytest.mark.parametrize(
    "entries",
    [["b", "a"], ["a", "a"], [1], "a", None, ["x" * 2_001], ["x"] * 5_001],
    ids=["unsorted", "twice", "number", "text", "nothing", "long", "many"],
)
def test_an_odd_list_is_refused(kind: str, entries: object) -> None:
    with pytest.raises(FormatError):
        Surface.from_json({**Surface().to_json(), kind: entries}, "surface")


def test_an_unknown_kind_or_a_missing_one_is_refused() -> None:
    with pytest.raises(FormatError, match="unknown key"):
        Surface.from_json({**Surface().to_json(), "moods": []}, "surface")
    document = Surface().to_json()
    del document["tools"]
    with pytest.raises(FormatError, match="missing"):
        Surface.from_json(document, "surface")


@pytest.mark.parametrize(
    "value",
    [
        {"kind": "moods", "entry": "a", "added": True},
        {"kind": "hosts", "entry": "a", "added": 1},
        {"kind": "hosts", "entry": "a"},
        {"kind": "hosts", "entry": "a", "added": True, "why": ""},
        "+ hosts a",
    ],
    ids=["kind", "not a truth value", "missing", "extra", "text"],
)
def test_an_odd_change_is_refused(value: object) -> None:
    with pytest.raises(FormatError):
        SurfaceChange.from_json(value, "change")


def test_an_acknowledgement_is_of_exactly_these_changes() -> None:
    added = SurfaceChange(kind="hosts", entry="a.example", added=True)
    removed = SurfaceChange(kind="hosts", entry="a.example", added=False)
    other = SurfaceChange(kind="urls", entry="a.example", added=True)
    digests = {
        digest_of_changes(changes) for changes in ((), (added,), (removed,), (other,), (added, removed))
    }
    assert len(digests) == 5
    assert SurfaceChange.from_json(added.to_json(), "change") == added
