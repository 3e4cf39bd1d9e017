import tempfile
import time
from pathlib import Path

import pytest

from repo_server.curation.limits import Limits
from repo_server.curation.sources import Fetched, SourceSettings
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
from signing.format.review import Severity
from tests.repo_server.curation.material import fetched
from tests.support.loopback_clawhub import Fault, LoopbackClawHub

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
    Fault.HANDOFF: (NotFoundError, 3, "backed by GitHub"),
    Fault.ZIP_BOMB: (FormatError, 10, "unpacks to more"),
}


def take(hub: LoopbackClawHub, address: str = CSV, *, seconds: float = 20) -> Fetched:
    settings = SourceSettings(clawhub=hub.url, allow_loopback_http=True)
    return fetched(address, limits=Limits(seconds=seconds), settings=settings)


def test_the_latest_version_is_resolved_and_pinned() -> None:
    with LoopbackClawHub() as hub:
        result = take(hub)
    assert list(result.tree.files) == ["SKILL.md"]
    assert result.address == f"{CSV}@1.0.1"
    assert result.resolved["version"] == result.suggested_version == "1.0.1"
    assert (result.publisher, result.licence, result.source) == ("@northwind-tools", "MIT-0", "clawhub")
    assert {o.severity for o in result.observations} == {Severity.NOTE}
    assert len(hub.requests) == 3
    assert all("ownerHandle=northwind-tools" in request for request in hub.requests)


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
    assert set(looked) == {"source.moderation", "source.security"}
    assert "prompt_injection_instructions" in looked["source.moderation"]
    assert result.resolved["moderation"] == "suspicious"


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
    assert [(o.check, o.severity) for o in result.observations] == [("source.no-licence", Severity.LOOK)]


def test_a_redirect_inside_the_origin_is_followed() -> None:
    with LoopbackClawHub(Fault.REDIRECT_ONCE) as hub:
        assert take(hub).resolved["version"] == "1.0.1"
    assert hub.requests[-1].endswith("&moved=1")


def test_every_fault_is_tried() -> None:
    assert set(REFUSED) | {Fault.NO_LICENCE, Fault.REDIRECT_ONCE} == set(Fault)


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
    for fault in (Fault.RATE_LIMITED, Fault.AMBIGUOUS, Fault.HANDOFF):
        with LoopbackClawHub(fault) as hub, pytest.raises(SkillRepoError) as caught:
            take(hub)
        hints[fault] = caught.value.hint
    assert hints[Fault.RATE_LIMITED] == "try again in 34 seconds"
    assert "clawhub:@owner/slug" in hints[Fault.AMBIGUOUS]
    assert hints[Fault.HANDOFF].startswith("import git+https://github.com/northwind-tools/skills@aaaa")


def test_what_is_not_there() -> None:
    with LoopbackClawHub() as hub:
        with pytest.raises(NotFoundError) as caught:
            take(hub, f"{CSV}@9.9.9")
        assert caught.value.hint == "published are: 1.0.1, 1.0.0"
        for address in ("clawhub:@northwlnd-tools/csv-summarizer", "clawhub:@nobody/nothing"):
            with pytest.raises(NotFoundError):
                take(hub, address)


def test_plain_http_is_for_this_machine_only() -> None:
    for url, loopback in (
        ("http://h.example", True),
        ("http://127.0.0.1:1", False),
        ("ftp://127.0.0.1", True),
        ("x", True),
    ):
        with pytest.raises(UsageError):
            fetched(CSV, settings=SourceSettings(clawhub=url, allow_loopback_http=loopback))


def test_an_unreachable_registry_and_ignored_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with LoopbackClawHub() as hub:
        assert take(hub).licence == "MIT-0"
    with pytest.raises(TransportError, match="cannot be reached"):
        take(hub)
