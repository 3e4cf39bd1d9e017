"""browse.sh: mutable blobs behind a list that anybody could have written."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from repo_server.curation.limits import Limits
from repo_server.curation.sources import parse_address
from repo_server.curation.sources.browse_sh import MAX_FILES
from signing.errors import FormatError, NotFoundError, SkillRepoError, TransportError, WrongSubjectError
from signing.format.finding import Severity
from tests.repo_server.curation.sources.marketplaces import EXPECTED, digests, look, observed, take
from tests.support.loopback_browse_sh import DATA, EVIL, RAIL, recorded_browse_sh
from tests.support.loopback_site import LoopbackSite, Page

FILES = f"/api/skills/{RAIL}/files"
BLOB = f"/blob/skills/{RAIL}/SKILL.md"


@pytest.fixture
def site() -> Iterator[LoopbackSite]:
    with LoopbackSite(recorded_browse_sh()) as running:
        yield running


def bases(site: LoopbackSite) -> dict[str, str]:
    return {"browse-sh": site.url, "browse-sh-blobs": site.url}


def listing(site: LoopbackSite, *files: tuple[Any, Any]) -> None:
    """Let the list of files be exactly ``files`` (path and url)."""
    listed = [{"path": path, "url": url} for path, url in files]
    site.routes[FILES] = Page.json({"skillId": RAIL, "files": listed})


@pytest.mark.parametrize("slug", sorted(EXPECTED["browse_sh"]))
def test_recorded_skills(site: LoopbackSite, slug: str) -> None:
    result = take(f"browse-sh:{slug}", bases(site))
    blobs = DATA / "blob" / "skills" / slug
    wanted = {file.relative_to(blobs).as_posix(): file.read_bytes() for file in blobs.rglob("*.md")}
    assert {path: file.content for path, file in result.tree.files.items()} == wanted
    assert result.address == f"browse-sh:{slug}"
    assert result.suggested_version == "2026.9.1"
    assert result.resolved["files_sha256"] == result.tree.digest
    urls = {url for key, url in result.resolved.items() if key.startswith("blob_")}
    assert urls == {f"{site.url}/blob/skills/{slug}/{path}" for path in wanted}
    assert "unpinned" in observed(result, Severity.LOOK)


def test_the_same_blobs_are_the_same_skill_and_others_are_not(site: LoopbackSite) -> None:
    first, second = (take(f"browse-sh:{RAIL}", bases(site)) for _ in range(2))
    assert (first.tree.digest, first.resolved) == (second.tree.digest, second.resolved)
    site.routes[BLOB] = Page(site.routes[BLOB].body + b"\nOne more line.\n")
    third = take(f"browse-sh:{RAIL}", bases(site))
    assert third.suggested_version == first.suggested_version
    assert third.resolved["files_sha256"] != first.resolved["files_sha256"]
    assert digests(third).keys() == digests(first).keys()


def test_a_path_that_escapes_is_refused_before_any_blob_is_asked_for(site: LoopbackSite) -> None:
    with pytest.raises(FormatError, match="clean relative path"):
        take(f"browse-sh:{EVIL}", bases(site))
    assert site.requests == [f"/api/skills/{EVIL}", f"/api/skills/{EVIL}/files"]


OWN = "__BASE_URL__" + BLOB


@pytest.mark.parametrize(
    ("files", "error", "words"),
    [
        pytest.param(
            [("SKILL.md", "https://blobs.example/x")], TransportError, "another server", id="other-host"
        ),
        pytest.param(
            [("SKILL.md", "http://127.0.0.1:1/x")], TransportError, "another server", id="other-port"
        ),
        pytest.param([("SKILL.md", "file:///etc/hostname")], TransportError, "another server", id="file"),
        pytest.param(
            [("SKILL.md", "http://u:p@127.0.0.1/x")], TransportError, "another server", id="credentials"
        ),
        pytest.param([("SKILL.md", "/blob/x")], TransportError, "another server", id="relative"),
        pytest.param([("SKILL.md", "")], FormatError, "no address", id="no-url"),
        pytest.param([("SKILL.md", 5)], FormatError, "no address", id="url-no-text"),
        pytest.param([("SKILL.md", OWN), ("SKILL.md", OWN)], FormatError, "twice", id="twice"),
        pytest.param([("SKILL.md", OWN), ("skill.md", OWN)], FormatError, "twins", id="case-twin"),
        pytest.param(
            [("SKILL.md", OWN), ("a", OWN), ("a/b", OWN)], FormatError, "folder", id="file-and-folder"
        ),
        pytest.param([("SKILL.md", OWN), ("/etc/x", OWN)], FormatError, "clean", id="absolute"),
        pytest.param([("SKILL.md", OWN), ("a\\..\\b", OWN)], FormatError, "holds", id="backslash"),
        pytest.param([("SKILL.md", OWN), (None, OWN)], FormatError, "not a path", id="no-path"),
        pytest.param([("README.md", OWN)], FormatError, "no SKILL.md", id="no-skill"),
        pytest.param([], FormatError, "no SKILL.md", id="empty"),
        pytest.param(
            [("SKILL.md", OWN), *((f"f{n}", OWN) for n in range(MAX_FILES))],
            FormatError,
            "more than 100",
            id="many",
        ),
        pytest.param([(f"f{n}", "") for n in range(30_000)], FormatError, "more than 100", id="endless"),
    ],
)
def test_a_bad_list_is_refused_whole(
    site: LoopbackSite, files: list[tuple[Any, Any]], error: type[SkillRepoError], words: str
) -> None:
    listing(site, *files)
    with pytest.raises(error, match=words) as caught:
        take(f"browse-sh:{RAIL}", bases(site))
    assert type(caught.value) is error
    assert str(caught.value).isprintable()
    assert [path for path in site.requests if path.startswith("/blob")] == []


def test_a_listed_file_that_is_missing_is_an_error_not_an_omission(site: LoopbackSite) -> None:
    del site.routes[f"/blob/skills/{RAIL}/references/fields.md"]
    with pytest.raises(NotFoundError) as caught:
        take(f"browse-sh:{RAIL}", bases(site))
    assert "references/fields.md" in str(caught.value)


def test_a_web_page_is_no_file(site: LoopbackSite) -> None:
    site.routes[BLOB] = Page(b"<html>", "text/html")
    with pytest.raises(FormatError, match="web page"):
        take(f"browse-sh:{RAIL}", bases(site))


def test_a_blob_that_redirects_elsewhere_is_not_followed(site: LoopbackSite) -> None:
    with LoopbackSite({"/x": Page(b"x")}) as elsewhere:
        site.routes[BLOB] = Page.redirect(f"{elsewhere.url}/x")
        with pytest.raises(TransportError, match="another server"):
            take(f"browse-sh:{RAIL}", bases(site))
        assert elsewhere.requests == []


def test_the_catalogues_server_is_no_blob_store(site: LoopbackSite) -> None:
    """Neither by the list nor by a redirect: whoever can put a page on the catalogue's server puts no file here."""
    blobs = {path: page for path, page in site.routes.items() if path.startswith("/blob/")}
    with LoopbackSite(blobs) as store:
        apart = {"browse-sh": site.url, "browse-sh-blobs": store.url}
        with pytest.raises(TransportError, match="another server"):
            take(f"browse-sh:{RAIL}", apart)  # the recorded list points at the catalogue's own server
        assert store.requests == []
        page = site.routes[FILES]
        site.routes[FILES] = Page(page.body.replace(b"__BASE_URL__", store.url.encode()), page.kind)
        assert len(take(f"browse-sh:{RAIL}", apart).tree.files) == 2
        store.routes[BLOB] = Page.redirect(f"{site.url}{BLOB}")
        with pytest.raises(TransportError, match="another server"):
            take(f"browse-sh:{RAIL}", apart)
    assert [path for path in site.requests if path.startswith("/blob")] == []


def test_limits_hold_for_all_files_together(site: LoopbackSite) -> None:
    with pytest.raises(FormatError, match="more than"):
        take(f"browse-sh:{RAIL}", bases(site), limits=Limits(max_total_bytes=300))
    with pytest.raises(FormatError, match="more than"):
        take(f"browse-sh:{RAIL}", bases(site), limits=Limits(max_file_bytes=20))


def test_answers_about_another_skill(site: LoopbackSite) -> None:
    for path, key in ((FILES, "skillId"), (f"/api/skills/{RAIL}", "slug")):
        page = site.routes[path]
        site.routes[path] = Page.json(json.loads(page.body) | {key: "rail.example/other"})
        with pytest.raises(WrongSubjectError):
            take(f"browse-sh:{RAIL}", bases(site))
        site.routes[path] = page


@pytest.mark.parametrize("updated", ["", "soon", "2026-09", None, "2026-09-01\x1b[2J", "٢٠٢٦-09-01"])
def test_a_date_that_is_none_is_no_version(site: LoopbackSite, updated: Any) -> None:
    site.routes[f"/api/skills/{RAIL}"] = Page.json({"slug": RAIL, "updated": updated})
    result = take(f"browse-sh:{RAIL}", bases(site))
    assert result.suggested_version is None
    assert all(text.isprintable() and text.isascii() for text in result.resolved.values())


def test_search(site: LoopbackSite) -> None:
    hits = look("browse-sh", "table", bases(site))
    assert [hit.address for hit in hits] == [
        f"browse-sh:{slug}"
        for slug in ("shop.example/search-products-a1b2c3", RAIL, "mail.example/triage-inbox-g7h8i9")
    ]
    assert site.requests == ["/api/skills?q=table"]
    site.routes["/api/skills"] = Page.json({"skills": [{"slug": "../../x", "title": "a\u202eb"}]})
    (hit,) = look("browse-sh", "x", bases(site))
    assert (hit.address, hit.name) == ("", "a<U+202E>b")


@pytest.mark.parametrize(
    "text", ["x", "x/", "/y", "a/b/c", "a..b/c", "a/b@1", "a/..", "a b/c", "\u0430.example/x"]
)
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(FormatError):
        parse_address(f"browse-sh:{text}")


def test_an_address_reads_back() -> None:
    address = parse_address(f"browse-sh:{RAIL}")
    assert str(address) == address.recorded == f"browse-sh:{RAIL}"
