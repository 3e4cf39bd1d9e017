"""A curator's token for GitHub: who gets it, who does not, and where it never stands."""

import io
import json
import logging
import traceback
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from repo_server.cli import cli
from repo_server.curation.limits import Limits
from repo_server.curation.sources import Fetched, SourceSettings, source_of
from repo_server.curation.sources.base import GITHUB_VARIABLE, parse_github_token
from signing.errors import FormatError, PolicyError, TransportError, UsageError
from tests.repo_server.curation.material import fetched
from tests.support.loopback_clawhub import Fault, LoopbackClawHub
from tests.support.loopback_github import COMMITS, SKILLS, recorded_github
from tests.support.loopback_site import LoopbackSite, Page
from tests.support.loopback_skills_sh import recorded_skills_sh

TOKEN = "github_pat_11ABCDEFG0_notarealone"
SENT = f"Bearer {TOKEN}"
CSV = f"github:{SKILLS}/skills/csv-summarizer"
API = {path: page for path, page in recorded_github().items() if path.startswith("/repos/")}
RAW = {path: page for path, page in recorded_github().items() if not path.startswith("/repos/")}


@pytest.fixture
def api() -> Iterator[LoopbackSite]:
    with LoopbackSite(API) as site:
        yield site


@pytest.fixture
def others() -> Iterator[LoopbackSite]:
    """Everybody else: the raw files, skills.sh."""
    with LoopbackSite(RAW | recorded_skills_sh()) as site:
        yield site


def settings(api: LoopbackSite, others: LoopbackSite, *, token: str = TOKEN, **more: str) -> SourceSettings:
    bases = {"github-api": api.url, "github-raw": others.url, "skills-sh": others.url, **more}
    return SourceSettings(bases=bases, github_token=token)


def everything_about(result: Fetched) -> str:
    return repr((result.resolved, result.address, result.publisher, result.licence, result.observations))


@pytest.mark.parametrize("address", [CSV, f"skills-sh:{SKILLS}/csv-summarizer"], ids=["github", "skills-sh"])
def test_the_api_gets_it_and_nobody_else(api: LoopbackSite, others: LoopbackSite, address: str) -> None:
    result = fetched(address, settings=settings(api, others))
    assert set(api.tokens) == {SENT}
    assert others.requests
    assert set(others.tokens) == {None}
    assert TOKEN not in everything_about(result)


def test_a_hand_off_of_clawhub_asks_with_it_too(api: LoopbackSite, others: LoopbackSite) -> None:
    with LoopbackClawHub(Fault.HANDOFF) as hub:
        result = fetched(
            "clawhub:@northwind-tools/csv-summarizer", settings=settings(api, others, clawhub=hub.url)
        )
        assert TOKEN not in repr(hub.requests)
    assert (set(api.tokens), set(others.tokens)) == ({SENT}, {None})
    assert TOKEN not in everything_about(result)


def test_without_one_none_is_sent(api: LoopbackSite, others: LoopbackSite) -> None:
    with_one, without = (
        fetched(CSV, settings=settings(api, others, token=token)).resolved for token in (TOKEN, "")
    )
    assert with_one == without
    assert api.tokens[-1] is None


def test_a_source_that_does_not_ask_github_does_not_send_it(others: LoopbackSite) -> None:
    others.routes["/api/skills"] = Page.json({"skills": []})
    bases = {"browse-sh": others.url, "browse-sh-blobs": others.url}
    hits = source_of("browse-sh").search(
        "x", limits=Limits(), settings=SourceSettings(bases=bases, github_token=TOKEN)
    )
    assert hits == ()
    assert others.tokens == [None]


def test_a_redirect_does_not_take_it_along(api: LoopbackSite, others: LoopbackSite) -> None:
    """Inside the list of servers a redirect is followed, without the token; outside, nothing is asked at all."""
    path = f"/repos/{SKILLS}"
    others.routes[path] = api.routes[path]
    api.routes[path] = Page.redirect(f"{others.url}{path}")
    fetched(CSV, settings=settings(api, others))
    assert others.tokens[others.requests.index(path)] is None
    with LoopbackSite({path: others.routes[path]}) as stranger:
        api.routes[path] = Page.redirect(f"{stranger.url}{path}")
        with pytest.raises(TransportError, match="another server"):
            fetched(CSV, settings=settings(api, others))
        assert stranger.requests == []


def test_a_redirect_back_to_the_api_has_it_again(api: LoopbackSite, others: LoopbackSite) -> None:
    path = f"/repos/{SKILLS}"
    api.routes["/repositories/1"] = api.routes[path]
    api.routes[path] = Page.redirect(f"{api.url}/repositories/1")
    fetched(CSV, settings=settings(api, others))
    assert api.tokens[api.requests.index("/repositories/1")] == SENT


def test_plain_http_to_another_machine_is_refused_before_it_is_sent(others: LoopbackSite) -> None:
    bases = {"github-api": "http://github.example", "github-raw": others.url}
    with pytest.raises(UsageError, match="plain http") as caught:
        fetched(CSV, settings=SourceSettings(bases=bases, github_token=TOKEN))
    assert TOKEN not in _trace(caught.value)


@pytest.mark.parametrize("status", [200, 403, 404, 500])
def test_an_answer_that_gives_it_back_is_refused(
    api: LoopbackSite, others: LoopbackSite, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """What a server says stands in errors, and the licence in a signed, public review."""
    caplog.set_level(logging.DEBUG)
    said = json.loads(api.routes[f"/repos/{SKILLS}"].body) | {"license": {"spdx_id": TOKEN}}
    api.routes[f"/repos/{SKILLS}"] = Page.json(said, status=status)
    with pytest.raises(FormatError, match="with the token that it was asked with") as caught:
        fetched(CSV, settings=settings(api, others))
    assert TOKEN not in _trace(caught.value)
    assert TOKEN not in caplog.text


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1790000000"}, b"{}"),
        (429, {"Retry-After": "60"}, b"{}"),
        (403, {}, b'{"message": "You have exceeded a secondary rate limit."}'),
    ],
    ids=["allowance", "too many", "second limit"],
)
def test_when_the_allowance_is_used_up_the_variable_is_named(
    api: LoopbackSite, others: LoopbackSite, status: int, headers: dict[str, str], body: bytes
) -> None:
    api.routes[f"/repos/{SKILLS}"] = Page(body, "application/json", status, headers)
    for token, words in (
        (TOKEN, f"the allowance of the token in {GITHUB_VARIABLE} is used up"),
        ("", f"without a token GitHub answers 60 questions an hour: set {GITHUB_VARIABLE}"),
    ):
        with pytest.raises(TransportError, match="slow down") as caught:
            fetched(CSV, settings=settings(api, others, token=token))
        assert words in caught.value.hint
        assert ("after 2026-09-21 14:13 UTC" in caught.value.hint) is ("X-RateLimit-Reset" in headers)
        assert TOKEN not in _trace(caught.value)


def test_elsewhere_a_full_allowance_does_not_speak_of_github(api: LoopbackSite, others: LoopbackSite) -> None:
    others.routes[f"/{SKILLS}/{COMMITS[SKILLS]}/skills/csv-summarizer/SKILL.md"] = Page(b"", status=429)
    with pytest.raises(TransportError, match="slow down") as caught:
        fetched(CSV, settings=settings(api, others))
    assert GITHUB_VARIABLE not in caught.value.hint


def test_a_token_that_is_not_taken_is_said_to_be_none(api: LoopbackSite, others: LoopbackSite) -> None:
    api.routes[f"/repos/{SKILLS}"] = Page.json({"message": "Bad credentials"}, status=401)
    with pytest.raises(PolicyError, match="Bad credentials") as caught:
        fetched(CSV, settings=settings(api, others))
    assert f"the token in {GITHUB_VARIABLE} is not taken" in caught.value.hint
    assert TOKEN not in _trace(caught.value)


def test_no_representation_shows_it(api: LoopbackSite, others: LoopbackSite) -> None:
    assert TOKEN not in repr(settings(api, others))
    assert TOKEN not in str(settings(api, others))


@pytest.mark.parametrize("text", ["a b", "a\nb", "a\r\nX-Evil: 1", "\u00e4", "x" * 401, '"abc"'])
def test_what_cannot_stand_in_a_header_is_refused_unseen(text: str) -> None:
    with pytest.raises(UsageError, match=GITHUB_VARIABLE) as caught:
        parse_github_token(text)
    assert text not in f"{caught.value} {caught.value.hint}"
    assert parse_github_token("") == ""
    assert parse_github_token(TOKEN) == TOKEN


def test_the_command_takes_it_from_the_variable(
    api: LoopbackSite, others: LoopbackSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        source_of("github"), "bases", {"github-api": api.url, "github-raw": others.url}, raising=False
    )
    monkeypatch.setenv(GITHUB_VARIABLE, TOKEN)
    done = CliRunner().invoke(cli, ["search", "github", f"{SKILLS} csv", "--json"], standalone_mode=False)
    assert done.exception is None
    assert json.loads(done.stdout)["hits"]
    assert (set(api.tokens), set(others.tokens)) == ({SENT}, {None})
    assert TOKEN not in done.output
    monkeypatch.setenv(GITHUB_VARIABLE, "two words")
    done = CliRunner().invoke(cli, ["search", "github", SKILLS], standalone_mode=False)
    assert isinstance(done.exception, UsageError)
    assert "two words" not in str(done.exception)


def _trace(error: BaseException) -> str:
    written = io.StringIO()
    traceback.print_exception(error, file=written)
    return written.getvalue() + repr(error) + str(getattr(error, "hint", ""))
