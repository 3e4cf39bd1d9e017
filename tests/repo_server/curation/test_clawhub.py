import json
import tempfile
import time
from pathlib import Path

import pytest

from repo_server.curation.limits import Limits
from repo_server.curation.sources import Fetched, SourceSettings, source_of
from signing.errors import (
    ConflictError,
    DigestMismatchError,
    FormatError,
    NotFoundError,
    PolicyError,
    SkillRepoError,
    TransportError,
    UsageError,
    WrongSubjectError,
)
from signing.format.digest import sha256_of
from signing.format.review import Severity
from tests.repo_server.curation.material import fetched
from tests.support.loopback_clawhub import EXPECTED, HANDED_OFF, Fault, LoopbackClawHub
from tests.support.loopback_github import recorded_github
from tests.support.loopback_site import LoopbackSite

CSV = "clawhub:@northwind-tools/csv-summarizer"

REFUSED: dict[Fault, tuple[type[SkillRepoError], int, str]] = {
    Fault.HTML: (FormatError, 10, "web page"),
    Fault.NOT_JSON: (FormatError, 10, "not JSON"),
    Fault.TRUNCATED: (FormatError, 10, "ends"),
    Fault.DRIP: (TransportError, 5, "not finished after 0.6 seconds"),
    Fault.DRIP_HEADERS: (TransportError, 5, "not finished after 0.6 seconds"),
    Fault.ENDLESS: (FormatError, 10, "more than"),
    Fault.RATE_LIMITED: (TransportError, 5, "slow down"),
    Fault.DELETED: (NotFoundError, 3, "deleted upstream"),
    Fault.FAILING: (TransportError, 5, "500"),
    Fault.WITHHELD: (PolicyError, 12, "refuses"),
    Fault.AMBIGUOUS: (ConflictError, 4, "@northwlnd-tools/csv-summarizer"),
    Fault.REDIRECT_ELSEWHERE: (TransportError, 5, "another server"),
    Fault.REDIRECT_LOOP: (TransportError, 5, "more than 3 times"),
    Fault.WRONG_DIGEST: (DigestMismatchError, 11, "sha256"),
    Fault.WRONG_SIZE: (DigestMismatchError, 11, "bytes"),
    Fault.EXTRA_FILE: (DigestMismatchError, 11, "not in the version's list"),
    Fault.MISSING_FILE: (DigestMismatchError, 11, "not in the archive"),
    Fault.WRONG_META: (WrongSubjectError, 11, "another skill"),
    Fault.WRONG_OWNER: (WrongSubjectError, 11, "northwlnd-tools"),
    Fault.API_ELSEWHERE: (TransportError, 5, "another server"),
    Fault.OTHER_ARTIFACT: (DigestMismatchError, 11, "another file"),
    Fault.ZIP_BOMB: (FormatError, 10, "unpacks to more"),
}


TAKEN = [
    Fault.NO_LICENCE,
    Fault.REDIRECT_ONCE,
    Fault.HANDOFF,
    Fault.OTHER_FINGERPRINT,
    Fault.OTHER_VERSION,
    Fault.NO_EVIDENCE,
]


def take(hub: LoopbackClawHub, address: str = CSV, *, seconds: float = 20) -> Fetched:
    settings = SourceSettings(bases={"clawhub": hub.url})
    return fetched(address, limits=Limits(seconds=seconds), settings=settings)


def take_both(hub: LoopbackClawHub, github: LoopbackSite) -> Fetched:
    bases = {"clawhub": hub.url, "github-api": github.url, "github-raw": github.url}
    return fetched(CSV, settings=SourceSettings(bases=bases))


def test_the_latest_version_is_resolved_and_pinned() -> None:
    with LoopbackClawHub() as hub:
        result = take(hub)
    assert list(result.tree.files) == ["SKILL.md"]
    assert result.address == f"{CSV}@1.0.1"
    assert result.resolved["version"] == result.suggested_version == "1.0.1"
    assert (result.publisher, result.licence, result.source) == ("@northwind-tools", "MIT-0", "clawhub")
    assert {o.severity for o in result.observations} == {Severity.NOTE}
    asked = [request.partition("?")[0].rpartition("/")[2] for request in hub.requests]
    assert asked == ["clawhub.json", "csv-summarizer", "1.0.1", "download", "verify", "scan", "resolve"]
    assert all("ownerHandle=northwind-tools" in request for request in hub.requests[1:])
    assert result.resolved["known_as"] == "1.0.1"
    assert result.resolved["signature"] == "unsigned"
    assert (result.resolved["verify"], result.resolved["scan"]) == ("pass", "clean")


def test_a_named_version_is_that_version() -> None:
    with LoopbackClawHub() as hub:
        assert take(hub, f"{CSV}@1.0.0").resolved["version"] == "1.0.0"


@pytest.mark.parametrize(
    "address",
    ["@northwind-tools/release-notes-writer", "@photo-desk/image-renamer", "@quiet-desk/glossary-helper"],
)
def test_other_recorded_skills(address: str) -> None:
    with LoopbackClawHub() as hub:
        assert "SKILL.md" in take(hub, f"clawhub:{address}").tree.files


def test_a_suspicion_is_passed_on() -> None:
    with LoopbackClawHub() as hub:
        result = take(hub, "clawhub:@quiet-desk/meeting-notes-polisher")
    looked = {o.check: o.message for o in result.observations if o.severity is Severity.LOOK}
    assert set(looked) == {
        f"source.{check}" for check in ("moderation", "security", "verify", "scan", "evidence")
    }
    assert "prompt_injection_instructions" in looked["source.moderation"]
    assert result.resolved["moderation"] == "suspicious"
    assert [(o.path, o.line) for o in result.observations if o.check == "source.evidence"] == [
        ("references/quality-checklist.md", 6)
    ]


def test_a_malicious_verdict_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    original = LoopbackClawHub.answer

    def condemned(self: LoopbackClawHub, path: str, query: dict[str, str]) -> tuple[int, str, bytes]:
        status, kind, body = original(self, path, query)
        return status, kind, body.replace(b'"moderation": null', b'"moderation": {"isMalwareBlocked": true}')

    monkeypatch.setattr(LoopbackClawHub, "answer", condemned)
    with LoopbackClawHub() as hub:
        result = take(hub)
    assert [o.check for o in result.observations if o.severity is Severity.BLOCK] == ["source.moderation"]


def test_what_the_registry_withholds_is_not_had() -> None:
    with LoopbackClawHub() as hub, pytest.raises(PolicyError):
        take(hub, "clawhub:@shipfast-labs/deploy-quickstart")


def test_without_a_licence_somebody_must_look() -> None:
    with LoopbackClawHub(Fault.NO_LICENCE) as hub:
        result = take(hub)
    assert result.licence == ""
    assert [o.check for o in result.observations if o.severity is Severity.LOOK] == ["source.no-licence"]


def test_a_redirect_inside_the_origin_is_followed() -> None:
    with LoopbackClawHub(Fault.REDIRECT_ONCE) as hub:
        assert take(hub).resolved["version"] == "1.0.1"
    assert next(request for request in hub.requests if "moved" in request).endswith("&moved=1")


def test_every_fault_is_tried() -> None:
    assert set(REFUSED) | set(TAKEN) == set(Fault)


@pytest.mark.parametrize("fault", sorted(REFUSED))
def test_fault(fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    expected, status, words = REFUSED[fault]
    slow = fault in {Fault.DRIP, Fault.DRIP_HEADERS}
    started = time.monotonic()
    with LoopbackClawHub(fault) as hub, pytest.raises(expected, match=words) as caught:
        take(hub, seconds=0.6 if slow else 20)
    assert caught.value.exit_status == status
    assert type(caught.value) is expected
    assert time.monotonic() - started < 5
    assert list(tmp_path.iterdir()) == []
    assert not any("elsewhere" in request for request in hub.requests)


def test_hints_say_what_to_do() -> None:
    hints = {}
    for fault in (Fault.RATE_LIMITED, Fault.AMBIGUOUS, Fault.API_ELSEWHERE):
        with LoopbackClawHub(fault) as hub, pytest.raises(SkillRepoError) as caught:
            take(hub)
        hints[fault] = caught.value.hint
    assert hints[Fault.RATE_LIMITED] == "try again in 34 seconds"
    assert "compare the owners letter by letter" in hints[Fault.AMBIGUOUS]
    assert "[sources]" in hints[Fault.API_ELSEWHERE]


def test_what_is_not_there() -> None:
    with LoopbackClawHub() as hub:
        with pytest.raises(NotFoundError) as caught:
            take(hub, f"{CSV}@9.9.9")
        assert caught.value.hint == "published are: 1.0.1, 1.0.0"
        for address in ("clawhub:@northwlnd-tools/csv-summarizer", "clawhub:@nobody/nothing"):
            with pytest.raises(NotFoundError):
                take(hub, address)


def test_plain_http_is_for_this_machine_only() -> None:
    for url in ("http://h.example", "http://127.0.0.1.h.example", "ftp://127.0.0.1", "x", "https://"):
        with pytest.raises(UsageError):
            fetched(CSV, settings=SourceSettings(bases={"clawhub": url}))


def test_a_hand_off_is_taken_from_github() -> None:
    with LoopbackClawHub(Fault.HANDOFF) as hub, LoopbackSite(recorded_github()) as github:
        result = take_both(hub, github)
    expected = EXPECTED["release-notes-writer@2.1.0"]["files"]
    assert {path: sha256_of(file.content) for path, file in result.tree.files.items()} == expected
    assert (result.source, result.address) == ("clawhub", CSV)
    assert result.resolved["commit"] == HANDED_OFF
    assert result.resolved["path"] == "skills/release-notes-writer"
    assert result.resolved["content_hash"] == "matches"
    assert result.publisher == "@northwind-tools (github.com/northwind-tools)"
    assert not [request for request in github.requests if "/archive/" in request]


def test_a_hand_off_to_other_files_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    original = LoopbackClawHub.answer

    def other(self: LoopbackClawHub, path: str, query: dict[str, str]) -> tuple[int, str, bytes]:
        status, kind, body = original(self, path, query)
        return status, kind, body.replace(b'"contentHash": "2', b'"contentHash": "3')

    monkeypatch.setattr(LoopbackClawHub, "answer", other)
    with (
        LoopbackClawHub(Fault.HANDOFF) as hub,
        LoopbackSite(recorded_github()) as github,
        pytest.raises(DigestMismatchError, match="not those that ClawHub scanned"),
    ):
        take_both(hub, github)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("repo", "northwind-tools/skills/../../x"),
        ("repo", ""),
        ("commit", "main"),
        ("path", "../x"),
        ("path", "a//b"),
    ],
)
def test_a_hand_off_names_one_folder_of_one_commit(
    key: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = LoopbackClawHub.answer

    def other(self: LoopbackClawHub, path: str, query: dict[str, str]) -> tuple[int, str, bytes]:
        status, kind, body = original(self, path, query)
        if path.endswith("/download"):
            body = json.dumps(json.loads(body) | {key: value}).encode()
        return status, kind, body

    monkeypatch.setattr(LoopbackClawHub, "answer", other)
    with LoopbackClawHub(Fault.HANDOFF) as hub, LoopbackSite(recorded_github()) as github:
        with pytest.raises(FormatError):
            take_both(hub, github)
        assert github.requests == []


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault.OTHER_FINGERPRINT, "fingerprint is 0000"),
        (Fault.OTHER_VERSION, "as version 0.0.1, not as 1.0.1"),
    ],
)
def test_two_opinions_about_the_files_are_looked_at(fault: Fault, words: str) -> None:
    with LoopbackClawHub(fault) as hub:
        result = take(hub)
    (found,) = (o for o in result.observations if o.severity is Severity.LOOK)
    assert found.check == "source.fingerprint"
    assert words in found.message


def test_a_registry_without_verification_is_noted() -> None:
    with LoopbackClawHub(Fault.NO_EVIDENCE) as hub:
        result = take(hub)
    assert "source.no-evidence" in {o.check for o in result.observations}
    assert result.resolved["verify"] == "none"


def test_search() -> None:
    with LoopbackClawHub() as hub:
        settings = SourceSettings(bases={"clawhub": hub.url})
        hits = source_of("clawhub").search("notes", limits=Limits(), settings=settings)
        one = source_of("clawhub").search("notes", limits=Limits(max_hits=1), settings=settings)
        with pytest.raises(NotFoundError):
            source_of("clawhub").search("nothing", limits=Limits(), settings=settings)
    assert [hit.address for hit in hits] == [
        "clawhub:@quiet-desk/meeting-notes-polisher@1.1.0",
        "clawhub:@northwind-tools/release-notes-writer@2.1.0",
    ]
    assert hits[0].facts == {"downloads": "1200"}
    assert hits[1].publisher == "@northwind-tools"
    assert one == hits[:1]


def test_a_hit_is_shown_harmlessly(monkeypatch: pytest.MonkeyPatch) -> None:
    def hostile(_: LoopbackClawHub, path: str, __: dict[str, str]) -> tuple[int, str, bytes]:
        if not path.endswith("/search"):
            return 404, "text/plain", b""
        item = {
            "slug": "../x",
            "ownerHandle": "o\x1b[2J",
            "summary": "\u202e" + "a" * 10_000,
            "downloads": "x",
        }
        return 200, "application/json", json.dumps({"results": [item, {}]}).encode()

    monkeypatch.setattr(LoopbackClawHub, "answer", hostile)
    with LoopbackClawHub() as hub:
        settings = SourceSettings(bases={"clawhub": hub.url})
        hits = source_of("clawhub").search("x", limits=Limits(), settings=settings)
    assert [hit.address for hit in hits] == ["", ""]
    assert hits[0].publisher == "@o<U+001B>[2J"
    assert hits[0].summary.startswith("<U+202E>aaa")
    assert len(hits[0].summary) < 600


def test_an_unreachable_registry_and_ignored_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with LoopbackClawHub() as hub:
        assert take(hub).licence == "MIT-0"
    with pytest.raises(TransportError, match="cannot be reached"):
        take(hub)
