"""Well-formed values for the tests of this folder, and a way to spoil them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from signing.format.canonical import canonical
from signing.format.digest import sha256_of
from signing.format.names import HolderName, Pin, parse_version
from signing.format.profile import PinnedBundle, Profile
from signing.format.review import (
    Candidate,
    Decision,
    EngineReport,
    Finding,
    Review,
    Severity,
    Surface,
    Waiver,
)

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
PIN = Pin.parse("web-search==1.2.0")
BUNDLE = sha256_of(b"the archive")
TREE = sha256_of(b"the manifest")

BLOCKING = Finding(
    check="hosts.raw-ip", severity=Severity.BLOCK, path="SKILL.md", line=3, message="names an address"
)
NOTE = Finding(check="hosts.listed", severity=Severity.NOTE, path="SKILL.md", line=4, message="names a host")


def waiver(finding: Finding = BLOCKING, *, days: int = 30) -> Waiver:
    return Waiver(
        finding=finding.id, reason="a test address", by=HolderName("alice"), until=NOW + timedelta(days=days)
    )


def review(
    *,
    findings: tuple[Finding, ...] = (NOTE,),
    waivers: tuple[Waiver, ...] = (),
    decision: Decision = Decision.APPROVE,
    previous: str | None = "1.1.0",
    pin: Pin = PIN,
) -> Review:
    return Review(
        pin=pin,
        bundle_sha256=BUNDLE,
        tree_sha256=TREE,
        candidate=Candidate(
            source="clawhub",
            address="clawhub:@northwind-tools/web-search@1.2.0",
            resolved={"version": "1.2.0"},
            publisher="@northwind-tools",
            licence="MIT-0",
            imported_at=NOW,
            tree_sha256=sha256_of(b"upstream"),
        ),
        engines=(
            EngineReport(
                name="skillrepo-checks", version="1", policy_sha256=sha256_of(b"policy"), findings=findings
            ),
        ),
        surface=Surface(hosts=("example.com",), executables=("scripts/run.sh",)),
        previous=parse_version(previous) if previous else None,
        waivers=waivers,
        decision=decision,
        reason="reads one page, writes nothing",
        reviewer=HolderName("alice"),
        reviewed_at=NOW,
    )


def pinned(text: str) -> PinnedBundle:
    return PinnedBundle(
        pin=Pin.parse(text),
        bundle_sha256=sha256_of(text.encode()),
        tree_sha256=sha256_of(b"tree " + text.encode()),
        review_sha256=sha256_of(b"review " + text.encode()),
    )


def profile(**changes: Any) -> Profile:
    fields: dict[str, Any] = {
        "pin": Pin.parse("support-agent==3"),
        "skills": (pinned("csv-summary==2"), pinned("web-search==1.2.0")),
        "souls": (pinned("calm==1"),),
        "capabilities": ("work.general", "work.web"),
    }
    return Profile(**{**fields, **changes})


def spoiled(data: bytes, spoil: Callable[[Any], object]) -> bytes:
    """The canonical document ``data`` after ``spoil`` has changed it in place."""
    document = json.loads(data)
    spoil(document)
    return canonical(document)


def places(value: Any, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The way to every object inside a JSON value, the value itself included."""
    found: list[tuple[str | int, ...]] = []
    if isinstance(value, dict):
        found.append(at)
        for key, item in value.items():
            found += places(item, (*at, key))
    if isinstance(value, list):
        for index, item in enumerate(value):
            found += places(item, (*at, index))
    return found


def walk(value: Any, at: tuple[str | int, ...]) -> Any:
    for step in at:
        value = value[step]
    return value


def spelled(root: str, at: tuple[str | int, ...]) -> str:
    """How an error names the place ``at``."""
    return root + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in at)
