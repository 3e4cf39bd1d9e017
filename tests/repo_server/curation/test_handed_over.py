"""A skill that somebody else publishes under a name that stayed: what each source tells of it is a finding."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from repo_server.curation.history import HistoryFacts, history_findings
from repo_server.curation.sources import Fetched, SourceSettings
from signing.format.finding import Severity
from signing.format.names import parse_version
from tests.repo_server.curation.material import fetched
from tests.support.loopback_clawhub import Fault, LoopbackClawHub
from tests.support.loopback_github import SKILLS, TOOLBOX, recorded_github
from tests.support.loopback_lobehub import API, recorded_lobehub
from tests.support.loopback_site import LoopbackSite, Page
from tests.support.loopback_skills_sh import recorded_skills_sh

CSV = "@northwind-tools/csv-summarizer"


@pytest.fixture
def site() -> Iterator[LoopbackSite]:
    with LoopbackSite(recorded_github() | recorded_skills_sh() | recorded_lobehub()) as site:
        yield site


def take(address: str, site: LoopbackSite, hub: str | None = None) -> Fetched:
    keys = ("skills-sh", "github-api", "github-raw", "lobehub")
    return fetched(
        address, settings=SourceSettings(bases=dict.fromkeys(keys, site.url) | {"clawhub": hub or site.url})
    )


def found(before: Fetched, after: Fetched) -> dict[str, Severity]:
    """Return what the comparison finds, as if ``before`` was published as 1 and ``after`` is to be 2."""
    old, new = (
        HistoryFacts(
            version=parse_version(version),
            source=item.source,
            address=item.address,
            publisher=item.publisher,
            licence="MIT",
            resolved=item.resolved,
        )
        for item, version in ((before, "1"), (after, "2"))
    )
    return {item.check.removeprefix("history."): item.severity for item in history_findings(new=new, old=old)}


def change(site: LoopbackSite, path: str, **values: Any) -> None:
    site.routes[path] = Page.json(json.loads(site.routes[path].body) | values)


def answer_otherwise(monkeypatch: pytest.MonkeyPatch, alter: Callable[[bytes], bytes]) -> None:
    original = LoopbackClawHub.answer

    def other(self: LoopbackClawHub, path: str, query: dict[str, str]) -> tuple[int, str, bytes]:
        status, kind, body = original(self, path, query)
        return status, kind, alter(body)

    monkeypatch.setattr(LoopbackClawHub, "answer", other)


def test_clawhub_keeps_files_no_more_and_points_at_github(site: LoopbackSite) -> None:
    """Hosted before, handed off now: whoever holds that repository publishes from here on."""
    with LoopbackClawHub() as hub:
        hosted = take(f"clawhub:{CSV}", site, hub.url)
    with LoopbackClawHub(Fault.HANDOFF) as hub:
        handed_off = take(f"clawhub:{CSV}", site, hub.url)
        assert found(handed_off, take(f"clawhub:{CSV}", site, hub.url)) == {}
    assert found(hosted, handed_off)["publisher-changed"] is Severity.BLOCK


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"owner": {"login": "northwind-tools", "id": 99}}, {"account-changed"}),
        ({"id": 99}, {"repository-changed"}),
        (
            {"id": 99, "owner": {"login": "northwind-tools", "id": 99}},
            {"account-changed", "repository-changed"},
        ),
        ({"id": None, "owner": {}}, {"account-changed", "repository-changed"}),
    ],
    ids=["another account", "another repository", "both", "not said any more"],
)
@pytest.mark.parametrize(
    "address",
    [
        f"clawhub:{CSV}",
        f"github:{SKILLS}/skills/csv-summarizer",
        f"skills-sh:{SKILLS}/csv-summarizer",
    ],
    ids=["clawhub", "github", "skills-sh"],
)
def test_somebody_else_took_the_name_of_the_repository(
    site: LoopbackSite, address: str, facts: dict[str, Any], expected: set[str]
) -> None:
    """Name, address and publisher read as before; GitHub's numbers do not."""
    with LoopbackClawHub(Fault.HANDOFF) as hub:
        before = take(address, site, hub.url)
        change(site, f"/repos/{SKILLS}", **facts)
        after = take(address, site, hub.url)
    assert (before.address, before.publisher, before.tree) == (after.address, after.publisher, after.tree)
    assert found(before, after) == dict.fromkeys(expected, Severity.BLOCK)


def test_a_hand_off_leads_to_somebody_elses_repository(
    site: LoopbackSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LoopbackClawHub(Fault.HANDOFF) as hub:
        before = take(f"clawhub:{CSV}", site, hub.url)
        copied = {path.replace(SKILLS, "n0rthwind/skills"): page for path, page in site.routes.items()}
        site.routes |= copied
        change(site, "/repos/n0rthwind/skills", full_name="n0rthwind/skills", id=7, owner={"id": 8})
        answer_otherwise(monkeypatch, lambda body: body.replace(SKILLS.encode(), b"n0rthwind/skills"))
        after = take(f"clawhub:{CSV}", site, hub.url)
    assert before.address == after.address
    assert found(before, after) == dict.fromkeys(
        ("publisher-changed", "account-changed", "repository-changed"), Severity.BLOCK
    )


def test_a_skill_of_another_owner_is_another_publishers(site: LoopbackSite) -> None:
    with LoopbackClawHub() as hub:
        before = take(f"clawhub:{CSV}", site, hub.url)
        other = take("clawhub:@photo-desk/image-renamer", site, hub.url)
    handed_over = dataclasses.replace(
        before, publisher=other.publisher, address=f"clawhub:{other.publisher}/csv"
    )
    assert found(before, handed_over) == {
        "place-changed": Severity.LOOK,
        "publisher-changed": Severity.BLOCK,
    }


@pytest.mark.parametrize("owner_id", ["publishers:other", None], ids=["another", "hidden"])
def test_the_owners_id_at_clawhub_is_compared(site: LoopbackSite, owner_id: str | None) -> None:
    """A publisher who ships an own _meta.json keeps the registry's from being read: that is noticed too."""
    with LoopbackClawHub() as hub:
        before = take(f"clawhub:{CSV}", site, hub.url)
    assert before.resolved["owner_id"] == "publishers:fixture"
    facts = {key: value for key, value in before.resolved.items() if key != "owner_id"}
    after = dataclasses.replace(before, resolved=facts | ({"owner_id": owner_id} if owner_id else {}))
    assert found(before, after) == {"account-changed": Severity.BLOCK}


def test_another_author_at_lobehub(site: LoopbackSite) -> None:
    skill = "github.northwind-tools.skills.release-notes-writer"
    before = take(f"lobehub:{skill}", site)
    detail = f"{API}/{skill}?version=2.1.0"
    change(site, detail, author="quiet-desk", github={"url": f"https://github.com/{TOOLBOX}"})
    after = take(f"lobehub:{skill}", site)
    assert before.address == after.address
    assert found(before, after) == {
        "publisher-changed": Severity.BLOCK,
        "repository-changed": Severity.LOOK,
    }
