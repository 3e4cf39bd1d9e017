"""Sites that offer skills themselves: digests are enforced, and nobody chooses the weaker form for us."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from repo_server.curation.limits import Limits
from repo_server.curation.sources import parse_address
from repo_server.curation.sources.well_known import SCHEMA, V0_1, V0_2
from signing.errors import (
    DigestMismatchError,
    FormatError,
    NotFoundError,
    PolicyError,
    SkillRepoError,
    TransportError,
    UsageError,
)
from signing.format.finding import Severity
from tests.repo_server.curation.material import HOSTILE, SKILL_MD
from tests.repo_server.curation.sources.marketplaces import (
    digests,
    expected_files,
    look,
    observed,
    take,
)
from tests.support.loopback_site import LoopbackSite, Page
from tests.support.loopback_well_known import recorded_v0_1, recorded_v0_2

INDEX, OLD_INDEX = f"{V0_2}index.json", f"{V0_1}index.json"
RELEASES = {"csv-summarizer": "csv-summarizer@1.0.1", "release-notes-writer": "release-notes-writer@2.1.0"}


@pytest.fixture
def site() -> Iterator[LoopbackSite]:
    with LoopbackSite(recorded_v0_2() | recorded_v0_1()) as running:
        yield running


@pytest.fixture
def old_site() -> Iterator[LoopbackSite]:
    with LoopbackSite(recorded_v0_1()) as running:
        yield running


def address(site: LoopbackSite, name: str = "csv-summarizer") -> str:
    return f"well-known:{site.url}#{name}"


def offer(site: LoopbackSite, *entries: dict[str, Any], schema: str = SCHEMA) -> None:
    site.routes[INDEX] = Page.json({"$schema": schema, "skills": list(entries)})


def entry(body: bytes = SKILL_MD, **changes: Any) -> dict[str, Any]:
    """An honest entry for ``body`` at /x, but for the changes."""
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    return {"name": "x", "type": "skill-md", "description": "D", "url": "/x", "digest": digest} | changes


@pytest.mark.parametrize("name", sorted(RELEASES))
def test_recorded_skills_of_v0_2(site: LoopbackSite, name: str) -> None:
    result = take(address(site, name), {})
    assert digests(result) == expected_files(RELEASES[name])
    assert result.resolved["discovery"] == "v0.2"
    assert result.resolved["url"].startswith(V0_2)
    assert observed(result, Severity.LOOK) == set()
    assert result.suggested_version == RELEASES[name].partition("@")[2]
    assert OLD_INDEX not in site.requests
    again = take(address(site, name), {})
    assert (again.tree.digest, again.resolved) == (result.tree.digest, result.resolved)


@pytest.mark.parametrize("name", sorted(RELEASES))
def test_recorded_skills_of_v0_1(old_site: LoopbackSite, name: str) -> None:
    result = take(address(old_site, name), {})
    assert digests(result) == expected_files(RELEASES[name])
    assert result.resolved["discovery"] == "v0.1"
    assert observed(result, Severity.LOOK) == {"unpinned"}
    assert old_site.requests[:2] == [INDEX, OLD_INDEX]


def test_a_wrong_digest_is_the_end(site: LoopbackSite) -> None:
    with pytest.raises(DigestMismatchError):
        take(address(site, "image-renamer"), {})
    assert site.requests == [INDEX, f"{V0_2}release-notes-writer.tar.gz"]


def test_one_other_byte_is_the_end(site: LoopbackSite) -> None:
    path = f"{V0_2}csv-summarizer/SKILL.md"
    site.routes[path] = Page(site.routes[path].body + b"\n")
    with pytest.raises(DigestMismatchError):
        take(address(site), {})
    assert OLD_INDEX not in site.requests


@pytest.mark.parametrize(
    ("page", "error"),
    [
        pytest.param(Page(status=410), NotFoundError, id="410"),
        pytest.param(Page(status=403), PolicyError, id="403"),
        pytest.param(Page(status=429), TransportError, id="429"),
        pytest.param(Page(status=500), TransportError, id="500"),
        pytest.param(Page(b"<html>", "text/html"), FormatError, id="html"),
        pytest.param(Page(b"{", "application/json"), FormatError, id="no-json"),
        pytest.param(Page(b"{}", "application/json", length=50), FormatError, id="truncated"),
        pytest.param(Page.json({"skills": []}), FormatError, id="no-schema"),
        pytest.param(
            Page.json({"$schema": "https://x.example/9", "skills": []}), FormatError, id="other-schema"
        ),
        pytest.param(Page.json({"$schema": SCHEMA, "skills": []}), NotFoundError, id="not-listed"),
        pytest.param(Page.json({"$schema": SCHEMA}), FormatError, id="no-list"),
    ],
)
def test_only_a_clean_404_leads_to_the_weaker_form(
    site: LoopbackSite, page: Page, error: type[SkillRepoError]
) -> None:
    site.routes[INDEX] = page
    with pytest.raises(error) as caught:
        take(address(site), {})
    assert type(caught.value) is error
    assert site.requests == [INDEX]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        pytest.param({"digest": "sha256:" + "0" * 63}, FormatError, "digest", id="short-digest"),
        pytest.param({"digest": "0" * 64}, FormatError, "digest", id="no-algorithm"),
        pytest.param({"digest": "md5:" + "0" * 32}, FormatError, "digest", id="md5"),
        pytest.param({"digest": None}, FormatError, "digest", id="no-digest"),
        pytest.param({"type": "mcp"}, FormatError, "type", id="other-type"),
        pytest.param({"type": None}, FormatError, "type", id="no-type"),
        pytest.param({"type": "archive"}, FormatError, "neither a ZIP", id="no-archive"),
        pytest.param({"url": ""}, FormatError, "no url", id="no-url"),
        pytest.param({"url": 5}, FormatError, "no url", id="url-no-text"),
        pytest.param({"url": "//elsewhere.example/x"}, TransportError, "another server", id="other-host"),
        pytest.param({"url": "https://elsewhere.example/x"}, TransportError, "another server", id="absolute"),
        pytest.param({"url": "\\\\elsewhere.example\\x"}, TransportError, "another server", id="backslash"),
        pytest.param({"url": "http://127.0.0.1:1/x"}, TransportError, "another server", id="other-port"),
        pytest.param({"url": "file:///etc/hostname"}, TransportError, "another server", id="file"),
        pytest.param({"url": "http://[::1"}, FormatError, "no url", id="no-url-at-all"),
    ],
)
def test_entries_that_are_refused_unfetched(
    site: LoopbackSite, changes: dict[str, Any], error: type[SkillRepoError], words: str
) -> None:
    site.routes["/x"] = Page(SKILL_MD)
    offer(site, entry(**changes))
    with pytest.raises(error, match=words) as caught:
        take(address(site, "x"), {})
    assert type(caught.value) is error
    assert str(caught.value).isprintable()
    assert site.requests == [INDEX] + ["/x"] * (changes == {"type": "archive"})


@pytest.mark.parametrize("url", ["/x", "../../x", "../../y/../x#part", "__BASE_URL__/x"])
def test_urls_are_read_as_references(site: LoopbackSite, url: str) -> None:
    site.routes["/x"] = Page(SKILL_MD)
    offer(site, entry(url=url))
    assert take(address(site, "x"), {}).tree.skill_md == SKILL_MD
    assert site.requests == [INDEX, "/x"]


@pytest.mark.parametrize(
    "names",
    [["x", "x"], ["x", "X"], ["X"], ["\uff58"]],
    ids=["twice", "case-twin", "other-case", "full-width"],
)
def test_names_that_could_be_two_things(site: LoopbackSite, names: list[str]) -> None:
    site.routes["/x"] = Page(SKILL_MD)
    offer(site, *(entry(name=name) for name in names))
    with pytest.raises(FormatError, match="other letters"):
        take(address(site, "x"), {})
    assert site.requests == [INDEX]


def test_an_endless_index(site: LoopbackSite) -> None:
    offer(site, *({"name": f"n{number}"} for number in range(100_000)))
    with pytest.raises(FormatError, match="more than 10000 skills"):
        take(address(site, "x"), {})
    offer(site, entry(), *({"name": "n" * 50} for number in range(100_000)))
    with pytest.raises(FormatError, match="more than 4194304 bytes"):
        take(address(site, "x"), {})
    assert set(site.requests) == {INDEX}


def test_a_redirect_inside_the_site_is_followed_and_no_other(site: LoopbackSite) -> None:
    site.routes["/x"] = Page.redirect("/moved")
    site.routes["/moved"] = Page(SKILL_MD)
    offer(site, entry())
    assert take(address(site, "x"), {}).tree.skill_md == SKILL_MD
    with LoopbackSite({"/x": Page(SKILL_MD)}) as elsewhere:
        site.routes["/x"] = Page.redirect(f"{elsewhere.url}/x")
        with pytest.raises(TransportError, match="another server"):
            take(address(site, "x"), {})
        assert elsewhere.requests == []


def test_an_archive_is_held_to_the_rules_of_archives(site: LoopbackSite) -> None:
    body = (HOSTILE / "tar-special-members.tar.gz").read_bytes()
    site.routes["/x"] = Page(body)
    offer(site, entry(body, type="archive"))
    with pytest.raises(FormatError):
        take(address(site, "x"), {})


@pytest.mark.parametrize(
    ("files", "words"),
    [
        pytest.param(["SKILL.md", "../index.json"], "clean", id="escape"),
        pytest.param(["SKILL.md", "/etc/hostname"], "clean", id="absolute"),
        pytest.param(["SKILL.md", "SKILL.md"], "twice", id="twice"),
        pytest.param(["SKILL.md", "skill.md"], "twins", id="case-twin"),
        pytest.param(["SKILL.md", 5], "not a path", id="no-text"),
        pytest.param([], "no list", id="empty"),
        pytest.param("SKILL.md", "no list", id="no-list"),
        pytest.param([f"f{n}" for n in range(100_000)], "more than 1000 files", id="endless"),
    ],
)
def test_old_lists_that_are_refused_unfetched(old_site: LoopbackSite, files: Any, words: str) -> None:
    old_site.routes[OLD_INDEX] = Page.json({"skills": [{"name": "csv-summarizer", "files": files}]})
    with pytest.raises(FormatError, match=words):
        take(address(old_site), {})
    assert old_site.requests == [INDEX, OLD_INDEX]


def test_an_old_list_without_skill_md(old_site: LoopbackSite) -> None:
    document = {"skills": [{"name": "release-notes-writer", "files": ["LICENSE.txt"]}]}
    old_site.routes[OLD_INDEX] = Page.json(document)
    with pytest.raises(FormatError, match=r"no SKILL\.md"):
        take(address(old_site, "release-notes-writer"), {})


@pytest.mark.parametrize(
    ("page", "error"),
    [(Page(status=404), NotFoundError), (Page(b"<html>", "text/html"), FormatError)],
    ids=["missing", "page"],
)
def test_an_old_file_that_is_not_there(
    old_site: LoopbackSite, page: Page, error: type[SkillRepoError]
) -> None:
    old_site.routes[f"{V0_1}release-notes-writer/assets/example-output.json"] = page
    with pytest.raises(error):
        take(address(old_site, "release-notes-writer"), {})


def test_limits_hold_for_all_old_files_together(old_site: LoopbackSite) -> None:
    with pytest.raises(FormatError, match="more than"):
        take(address(old_site, "release-notes-writer"), {}, limits=Limits(max_total_bytes=700))


def test_a_site_below_a_folder_and_a_mirror() -> None:
    table = {f"/team{path}": page for path, page in recorded_v0_1().items()}
    with LoopbackSite(table) as site:
        assert take(f"well-known:{site.url}/team#csv-summarizer", {}).resolved["discovery"] == "v0.1"
        with pytest.raises(NotFoundError):
            take(address(site), {})
    with LoopbackSite(recorded_v0_2()) as mirror:
        result = take("well-known:https://tools.example#csv-summarizer", {"well-known": mirror.url})
    assert result.address == "well-known:https://tools.example#csv-summarizer"
    assert result.publisher == "tools.example"


def test_plain_http_is_for_this_machine_only() -> None:
    with pytest.raises(UsageError, match="plain http"):
        take("well-known:http://tools.example#x", {})


def test_search(site: LoopbackSite, old_site: LoopbackSite) -> None:
    for running in (site, old_site):
        hits = look("well-known", f"{running.url} release NOTES", {})
        assert [hit.address for hit in hits] == [f"well-known:{running.url}#release-notes-writer"]
    offer(site, entry(name="Not\u202eours"), entry())
    assert [(hit.address, hit.name) for hit in look("well-known", site.url, {})] == [
        ("", "Not<U+202E>ours"),
        (f"well-known:{site.url}#x", "x"),
    ]
    for query in ("", "csv", "ftp://x.example csv"):
        with pytest.raises(UsageError):
            look("well-known", query, {})


@pytest.mark.parametrize(
    "text",
    [
        *("", "#x", "x.example#x", "https://x.example", "https://x.example#", "https://x.example#X"),
        *(
            "https://u:p@x.example#x",
            "https://x.example/../y#x",
            "https://x.example?q#x",
            "https://x.example:99999#x",
        ),
        *("ftp://x.example#x", "https://#x", "https://x.example#x/y", "https://\u0430.example#x"),
    ],
)
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(FormatError):
        parse_address(f"well-known:{text}" if text else "well-known: ")


@pytest.mark.parametrize(
    "text", ["https://x.example#a-b", "https://x.example:8443/team/a#x", "http://[::1]:80#x"]
)
def test_addresses_read_back(text: str) -> None:
    parsed = parse_address(f"well-known:{text}")
    assert str(parsed) == parsed.recorded == f"well-known:{text}"
    assert parse_address(f"well-known:{text.replace('#', '/#')}") == parsed


def test_any_index_is_a_skill_or_our_error(site: LoopbackSite) -> None:
    values = (None, True, 1, 1.5, [], {}, [[]], [{}], [None], [{"name": None}], [{"name": "x", "files": {}}])
    for value in values:
        for key, document in ((INDEX, {"$schema": SCHEMA, "skills": value}), (OLD_INDEX, {"skills": value})):
            site.routes = {key: Page(json.dumps(document).encode(), "application/json")}
            with pytest.raises(SkillRepoError):
                take(address(site, "x"), {})
