"""The review as one web page that can do nothing: no script, no request, no link that leads outside.

Three walls, each enough alone: everything from outside is escaped text (`spelled`, by Jinja's ``finalize``, so
that no template can forget it); the page has no script, no form, no frame, no image, and its links lead to
places in itself; and its Content Security Policy permits nothing but its own one style sheet, by digest.
"""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from repo_server.curation.rendering.files import Remark, ShownFile, shown_files
from repo_server.curation.rendering.page import KINDS_BY_WEIGHT, ReviewPage
from repo_server.curation.rendering.shown import line, spelled
from repo_server.curation.rendering.words import KINDS, SIGNS, KindWords, RuleWords, rule_words
from signing.format.finding import Severity
from signing.format.moment import render_moment

MAX_FINDINGS: Final = 1_000  # listed in full; 300 of one family are a blocking finding already
MAX_ENTRIES: Final = 200  # of one kind of surface
_MAX_ENTRY: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """The findings of one check, under what the check means."""

    severity: Severity
    check: str
    words: RuleWords
    remarks: tuple[Remark, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entries:
    """A kind of surface, with as many entries as a page can bear."""

    words: KindWords
    shown: tuple[Markup, ...]
    left_out: int


def render_html(page: ReviewPage) -> str:
    """Return ``page`` as one self-contained HTML document."""
    environment = Environment(
        loader=PackageLoader("repo_server.curation.rendering", package_path=""),
        autoescape=True,
        finalize=spelled,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = environment.get_template("page.css").render()
    template = environment.get_template("page.html")
    return template.render(_facts(page), style=Markup(style), style_sha256=_digest(style))  # noqa: S704 - our own


def _facts(page: ReviewPage) -> dict[str, Any]:
    shown = shown_files(page, page.findings[:MAX_FINDINGS])
    groups = list(_groups(page))
    came = [_entries(kind, entries) for kind, entries in page.by_kind(added=True)]
    went = [_entries(kind, entries) for kind, entries in page.by_kind(added=False)]
    surface = [_entries(kind, page.surface.of(kind)) for kind in KINDS_BY_WEIGHT if page.surface.of(kind)]
    numbered = list(enumerate(shown))
    return {
        "page": page,
        "counts": [(s, SIGNS[s], page.count(s)) for s in Severity],
        "signs": SIGNS,
        "block": Severity.BLOCK,
        "grave": [g for g in groups if g.severity is not Severity.NOTE],
        "notes": [g for g in groups if g.severity is Severity.NOTE],
        "came": came,
        "went": went,
        "surface": surface,
        "changed_files": [(n, f) for n, f in numbered if f.status != "unchanged"],
        "same_files": [(n, f) for n, f in numbered if f.status == "unchanged"],
        "places": _places(shown),
        "missing": list(_missing(page, shown, (*came, *went, *surface))),
        "moment": render_moment,
        "line": line,
    }


def _digest(style: str) -> str:
    return base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


def _groups(page: ReviewPage) -> Iterator[_Group]:
    remarks = [Remark(number=n, finding=f) for n, f in enumerate(page.findings[:MAX_FINDINGS])]
    order = list(Severity)
    remarks.sort(key=lambda r: (order.index(r.finding.severity), r.finding.check))
    for (severity, check), group in groupby(remarks, key=lambda r: (r.finding.severity, r.finding.check)):
        yield _Group(severity=severity, check=check, words=rule_words(check), remarks=tuple(group))


def _entries(kind: str, entries: tuple[str, ...]) -> _Entries:
    return _Entries(
        words=KINDS[kind],
        shown=tuple(line(entry, _MAX_ENTRY) for entry in entries[:MAX_ENTRIES]),
        left_out=max(0, len(entries) - MAX_ENTRIES),
    )


def _places(shown: list[ShownFile]) -> dict[int, str]:
    """Return where on the page each finding's file or line stands, by the finding's number."""
    places: dict[int, str] = {}
    for number, file in enumerate(shown):
        places |= {remark.number: f"file-{number}" for remark in file.remarks}
        for block in file.blocks:
            for row in block.rows:
                places |= {remark.number: f"line-{number}-{row.row.new}" for remark in row.remarks}
    return places


def _missing(page: ReviewPage, shown: list[ShownFile], entries: tuple[_Entries, ...]) -> Iterator[str]:
    if lines := sum(file.left_out for file in shown):
        yield f"{lines} lines of text"
    if len(page.findings) > MAX_FINDINGS:
        yield f"{len(page.findings) - MAX_FINDINGS} findings"
    if left_out := sum(item.left_out for item in entries):
        yield f"{left_out} entries of what it may touch"
