"""What an engine's driver prints, as findings of ours; read as what a stranger prints.

| engine says | here it is | because |
|---|---|---|
| CRITICAL, HIGH | block | needs an answer in writing |
| MEDIUM, and words that we do not know | look | a person reads the place |
| LOW, INFO, SAFE | note | |
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from repo_server.curation.textsafe import excerpt
from repo_server.curation.tree import SourceTree
from signing.errors import FormatError
from signing.format.fields import Fields
from signing.format.finding import Finding, Severity

MAX_FINDINGS: Final = 300  # of one skill; a review of thousands of lines is a review that nobody reads
_MAX_READ: Final = 20_000
_MAX_FAILED: Final = 20
_MAX_LINE: Final = 10_000_000
_RULE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,69}", re.ASCII)
_SEVERITIES: Final = {
    "CRITICAL": Severity.BLOCK,
    "HIGH": Severity.BLOCK,
    "MEDIUM": Severity.LOOK,
    "LOW": Severity.NOTE,
    "INFO": Severity.NOTE,
    "SAFE": Severity.NOTE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an engine said about one tree. ``failed`` names parts that did not run to their end."""

    version: str
    findings: tuple[Finding, ...]
    failed: tuple[str, ...]


def parse_answer(line: bytes, *, engine: str, tree: SourceTree, strip: Callable[[str], str]) -> Answer:
    """Return the answer that ``line`` holds.

    Args:
        line: what the driver printed.
        engine: its name.
        tree: what it looked at; a path that is not in it becomes no path.
        strip: takes this machine's paths out of a text.

    Raises:
        FormatError: not an answer.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise FormatError("not JSON", where="answer") from error
    fields = Fields.of(value, where="answer")
    version = fields.text("version", max_length=100)
    raw = fields.items(
        "findings", lambda item, where: _finding(item, where, engine, tree, strip), maximum=_MAX_READ
    )
    failed = fields.items("failed", _text, maximum=_MAX_FAILED)
    fields.done()
    return Answer(
        version=excerpt(version),
        findings=tuple(_bounded(sorted(set(raw), key=_order), engine)),
        failed=tuple(excerpt(strip(text)) for text in failed),
    )


def _finding(
    value: object, where: str, engine: str, tree: SourceTree, strip: Callable[[str], str]
) -> Finding:
    fields = Fields.of(value, where=where)
    rule = fields.text("rule", max_length=1_000_000)
    severity = fields.text("severity", max_length=100)
    path, line = fields.take("path"), fields.take("line")
    message, shown = fields.take("message"), fields.take("excerpt")
    fields.done()
    place = path if isinstance(path, str) and path in tree.files else ""
    number = isinstance(line, int) and not isinstance(line, bool) and 0 < line <= _MAX_LINE
    return Finding(
        check=f"engine.{engine}.{rule if _RULE.fullmatch(rule) else 'unnamed'}",
        severity=_SEVERITIES.get(severity, Severity.LOOK),
        path=place,
        line=line if place and number else 0,
        message=excerpt(strip(message), limit=400) if isinstance(message, str) and message else "(no words)",
        excerpt=excerpt(strip(shown)) if isinstance(shown, str) else "",
    )


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise FormatError("not a string", where=where)
    return value


def _bounded(findings: list[Finding], engine: str) -> Iterator[Finding]:
    yield from findings[:MAX_FINDINGS]
    if len(findings) > MAX_FINDINGS:
        # Blocking, because what was cut off is unseen: noise must not be a way to hide a finding.
        yield Finding(
            check=f"engine.{engine}.too-many",
            severity=Severity.BLOCK,
            path="",
            line=0,
            message=f"more than {MAX_FINDINGS} findings of this engine, the rest is not shown; "
            "make the skill smaller or cleaner, then import it again",
        )


def _order(finding: Finding) -> tuple[int, str, int, str, str, str]:
    weight = list(Severity).index(finding.severity)
    return weight, finding.path, finding.line, finding.check, finding.message, finding.excerpt
