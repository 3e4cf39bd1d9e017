"""Whatever stands at any place of an answer, the outcome is a skill or our error, and nothing reaches a terminal raw."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repo_server.curation.limits import Limits
from repo_server.curation.sources import Fetched, SourceSettings, fetch, parse_address, source_of
from signing.errors import SkillRepoError
from tests.repo_server.curation.material import NOW
from tests.repo_server.curation.sources.marketplaces import expected_files
from tests.support.loopback_browse_sh import RAIL, recorded_browse_sh
from tests.support.loopback_lobehub import API, recorded_lobehub
from tests.support.loopback_repository import FakeRepository
from tests.support.loopback_site import LoopbackSite, Page
from tests.support.loopback_well_known import NEW, OLD, recorded_v0_1, recorded_v0_2

SKILL = "github.northwind-tools.skills.csv-summarizer"
LIST = ".claude-plugin/marketplace.json"
MARKETPLACE: dict[str, Any] = {
    "name": "m",
    "metadata": {"pluginRoot": "./"},
    "plugins": [
        {
            "name": "p",
            "source": {"source": "github", "repo": "o/m", "ref": "main", "sha": "a" * 40, "path": "."},
            "strict": True,
            "skills": ["./skills/one"],
            "version": "1.0",
            "license": "MIT",
            "hooks": {},
        }
    ],
}
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=10)
    | st.sampled_from(["\x1b[2J", "\u202e", "../x", "./", "/", "", "https://x.example/y", "a" * 5_000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
CASES: dict[str, tuple[str, str, Callable[[], dict[str, Page]]]] = {
    "lobehub-versions": (f"lobehub:{SKILL}", f"{API}/{SKILL}/versions", recorded_lobehub),
    "lobehub-detail": (f"lobehub:{SKILL}", f"{API}/{SKILL}?version=1.0.1", recorded_lobehub),
    "lobehub-agent": ("lobehub:agent/sql-explainer", "/sql-explainer.json", recorded_lobehub),
    "browse-detail": (f"browse-sh:{RAIL}", f"/api/skills/{RAIL}", recorded_browse_sh),
    "browse-files": (f"browse-sh:{RAIL}", f"/api/skills/{RAIL}/files", recorded_browse_sh),
    "well-known": ("well-known:https://x.example#csv-summarizer", f"{NEW}index.json", recorded_v0_2),
    "well-known-old": ("well-known:https://x.example#csv-summarizer", f"{OLD}index.json", recorded_v0_1),
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON document."""
    yield path
    for key, inner in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from places(inner, (*path, key))


def changed(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    """``document`` with another value at one place."""
    if not place:
        return value
    copy = json.loads(json.dumps(document))
    target = copy
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    return copy


def outcome(address: str, url: str) -> Fetched | SkillRepoError:
    parsed = parse_address(address)
    bases = dict.fromkeys(source_of(address.partition(":")[0]).bases, url)
    try:
        return fetch(parsed, limits=Limits(seconds=20), settings=SourceSettings(bases=bases), now=NOW)
    except SkillRepoError as error:
        return error


def check(result: Fetched | SkillRepoError) -> None:
    if isinstance(result, Fetched):
        said = [result.address, result.licence, result.publisher, *result.resolved.values()]
        said += [finding.message for finding in result.observations]
        assert parse_address(result.address)
    else:
        said = [str(result), result.hint]
    assert all(text.isprintable() and len(text) < 3_000 for text in said)


@pytest.fixture(scope="module")
def site() -> Iterator[LoopbackSite]:
    with LoopbackSite({}) as running:
        yield running


@pytest.mark.parametrize("case", sorted(CASES))
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_value_at_any_place(site: LoopbackSite, case: str, data: st.DataObject) -> None:
    address, path, recorded = CASES[case]
    site.routes = recorded()
    document = json.loads(site.routes[path].body)
    place = data.draw(st.sampled_from(sorted(places(document), key=str)))
    site.routes[path] = Page.json(changed(document, place, data.draw(VALUES)))
    result = outcome(address, site.url)
    check(result)
    if isinstance(result, Fetched) and case.startswith(("lobehub-v", "lobehub-d", "well-known")):
        assert list(result.tree.files) == list(expected_files("csv-summarizer@1.0.1"))


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_value_in_a_marketplace(site: LoopbackSite, data: st.DataObject) -> None:
    # As it is the pinned commit does not exist; with a path instead, everything that is asked for does.
    source = data.draw(st.sampled_from([MARKETPLACE["plugins"][0]["source"], "./"]))
    original = changed(MARKETPLACE, ("plugins", 0, "source"), source)
    place = data.draw(st.sampled_from(sorted(places(original), key=str)))
    document = changed(original, place, data.draw(VALUES))
    skill = b"---\nname: one\ndescription: x\n---\n"
    repository = FakeRepository("o/m", {LIST: json.dumps(document).encode(), "skills/one/SKILL.md": skill})
    site.routes = repository.routes()
    result = outcome("claude-marketplace:o/m#p", site.url)
    check(result)
    if isinstance(result, Fetched):
        assert result.tree.skill_md == skill
