"""skills.sh: a directory that names a repository; the files and their proof come from there."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from repo_server.curation.limits import Limits
from repo_server.curation.sources import Fetched, SourceSettings, source_of
from signing.errors import ConflictError, FormatError, NotFoundError
from signing.format.digest import sha256_of
from signing.format.review import Severity
from tests.repo_server.curation.material import SKILL_MD, fetched
from tests.repo_server.curation.test_github import serve
from tests.support.loopback_clawhub import EXPECTED
from tests.support.loopback_github import COMMITS, SKILLS, TOOLBOX, recorded_github
from tests.support.loopback_site import LoopbackSite, Page
from tests.support.loopback_skills_sh import recorded_skills_sh

CSV = f"skills-sh:{SKILLS}/csv-summarizer"
DOWNLOAD = f"/api/download/{SKILLS}/csv-summarizer"
AUDIT = f"/api/v1/skills/audit/{SKILLS}/csv-summarizer"


@pytest.fixture
def site() -> Iterator[LoopbackSite]:
    with LoopbackSite(recorded_github() | recorded_skills_sh()) as site:
        yield site


def settings(site: LoopbackSite) -> SourceSettings:
    return SourceSettings(bases=dict.fromkeys(("skills-sh", "github-api", "github-raw"), site.url))


def take(site: LoopbackSite, address: str = CSV) -> Fetched:
    return fetched(address, settings=settings(site))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (CSV, "csv-summarizer@1.0.1"),
        (f"skills-sh:{SKILLS}/release-notes-writer@main", "release-notes-writer@2.1.0"),
        (f"skills-sh:{TOOLBOX}/meeting-notes-polisher", "meeting-notes-polisher@1.1.0"),
    ],
)
def test_a_listed_skill_comes_from_its_repository(site: LoopbackSite, address: str, expected: str) -> None:
    result = take(site, address)
    files = {path: sha256_of(file.content) for path, file in result.tree.files.items()}
    assert files == EXPECTED[expected]["files"]
    repository = str(result.resolved["repository"])
    assert result.address == f"{address.partition('@')[0]}@{COMMITS[repository]}"
    assert result.source == "skills-sh"
    assert result.resolved["snapshot"] == "matches"
    assert result.suggested_version == expected.partition("@")[2]


def test_a_clean_skill_has_nothing_to_look_at(site: LoopbackSite) -> None:
    result = take(site)
    assert result.observations == ()
    assert result.resolved["audits"] == "agent-trust-hub pass, socket pass, snyk pass"
    assert result.resolved["path"] == "skills/csv-summarizer"


def test_the_link_in_the_glossary_copy_is_refused(site: LoopbackSite) -> None:
    with pytest.raises(FormatError, match="symbolic link"):
        take(site, f"skills-sh:{TOOLBOX}/glossary-helper")


def test_bad_audits_count(site: LoopbackSite) -> None:
    failed = take(site, f"skills-sh:{TOOLBOX}/deploy-quickstart")
    warned = take(site, f"skills-sh:{TOOLBOX}/meeting-notes-polisher")
    assert {o.severity for o in failed.observations if o.check == "source.audit"} == {Severity.BLOCK}
    assert {o.severity for o in warned.observations if o.check == "source.audit"} == {Severity.LOOK}


def test_a_snapshot_of_other_files_is_looked_at(site: LoopbackSite) -> None:
    other = json.loads(site.routes[f"/api/download/{SKILLS}/image-renamer"].body)
    site.routes[DOWNLOAD] = Page.json(other)
    result = take(site)
    assert [(o.check, o.severity) for o in result.observations] == [("source.snapshot", Severity.LOOK)]
    assert result.resolved["snapshot"] == "differs"
    site.routes[DOWNLOAD] = Page.json(other | {"hash": "0" * 64})
    assert take(site).resolved["snapshot"] == "inconsistent"


def test_what_the_directory_does_not_know_is_told(site: LoopbackSite) -> None:
    site.routes.pop(DOWNLOAD)
    site.routes.pop(AUDIT)
    result = take(site)
    assert {o.check for o in result.observations} == {"source.not-listed", "source.no-audit"}


def test_a_skill_is_found_by_its_name_wherever_it_is(site: LoopbackSite) -> None:
    serve(site, {"deep/er/folder/SKILL.md": SKILL_MD, "x/SKILL.md": SKILL_MD.replace(b"name: x", b"name: y")})
    assert take(site, "skills-sh:o/r/x").resolved["path"] == "deep/er/folder"
    with pytest.raises(NotFoundError) as caught:
        take(site, "skills-sh:o/r/z")
    assert "deep/er/folder" in caught.value.hint


def test_copies_are_one_skill_and_different_ones_are_not(site: LoopbackSite) -> None:
    copies = {f"{place}/x/SKILL.md": SKILL_MD for place in (".agents/skills", ".claude/skills", "skills")}
    serve(site, copies)
    assert take(site, "skills-sh:o/r/x").resolved["path"] == ".agents/skills/x"
    serve(site, copies | {"skills/x/more.md": b"more"})
    with pytest.raises(ConflictError) as caught:
        take(site, "skills-sh:o/r/x")
    assert ".agents/skills/x, .claude/skills/x, skills/x" in caught.value.message
    assert caught.value.hint.startswith("name one: github:o/r/.agents/skills/x@")


def test_in_a_large_repository_only_folders_of_that_name_are_read(site: LoopbackSite) -> None:
    many = {f"skills/s{n}/SKILL.md": SKILL_MD.replace(b"name: x", b"name: s%d" % n) for n in range(70)}
    serve(site, many)
    assert take(site, "skills-sh:o/r/s33").resolved["path"] == "skills/s33"
    assert len([request for request in site.requests if request.endswith("SKILL.md")]) == 2


def test_search(site: LoopbackSite) -> None:
    hits = source_of("skills-sh").search("notes", limits=Limits(), settings=settings(site))
    assert [(hit.address, dict(hit.facts)) for hit in hits] == [
        (f"skills-sh:{SKILLS}/release-notes-writer", {"installs": "3500"}),
        (f"skills-sh:{TOOLBOX}/meeting-notes-polisher", {"installs": "2500"}),
    ]
    for skills in (5, [5], None):
        site.routes["/api/search"] = Page.json({"skills": skills})
        with pytest.raises(FormatError):
            source_of("skills-sh").search("notes", limits=Limits(), settings=settings(site))


@pytest.mark.parametrize(
    "value", [None, 5, [], {"files": 5}, {"files": [{"path": 1}], "hash": []}, {"audits": {}}]
)
@pytest.mark.parametrize("route", [DOWNLOAD, AUDIT])
def test_nonsense_about_a_skill_is_an_error_or_a_difference(
    site: LoopbackSite, route: str, value: Any
) -> None:
    site.routes[route] = replace(Page.json(value))
    try:
        outcome = take(site).resolved["snapshot"]
    except FormatError as error:
        outcome = str(error)
    assert outcome != "matches"
    assert outcome.isprintable()
