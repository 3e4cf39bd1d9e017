"""The review on a screen, in the order of the page: what is new, what was found, what changed.

Text is printed as `Text`, never as markup, and only after `visible`: neither rich nor the terminal obeys it. A row of a
screen begins with words of ours, also where a line is longer than the row.
Every colour repeats what a sign and a word say.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final

from rich.cells import cell_len
from rich.console import Console as Screen
from rich.text import Text

from repo_server.curation.diff import diff_trees
from repo_server.curation.rendering.page import KINDS_BY_WEIGHT, ReviewPage
from repo_server.curation.rendering.words import KINDS, SIGNS, rule_words
from repo_server.curation.textsafe import excerpt, visible
from signing.format.finding import Finding, Severity
from signing.format.moment import render_moment

_STYLES: Final = {Severity.BLOCK: "bold red", Severity.LOOK: "yellow", Severity.NOTE: "cyan"}
_LINES: Final = {"+": "green", "-": "red", "@": "cyan"}
_MAX_ENTRIES: Final = 40  # of one kind of surface; the page and --json have more
_MAX_PLACES: Final = 50  # of one check
_MARGIN: Final = 15
_FURTHER: Final = "   ┊ "


def render_terminal(page: ReviewPage, screen: Screen) -> None:
    """Print ``page`` on ``screen``."""
    _head(page, screen)
    _news(page, screen)
    _findings(page, screen)
    _changes(page, screen)
    _surface(page, screen)
    _engines(page, screen)
    _decisions(page, screen)


def _head(page: ReviewPage, screen: Screen) -> None:
    said = page.provenance
    step = f"{page.previous} → {page.version}" if page.previous is not None else page.version
    title = Text(visible(f"{page.name} {step}".rstrip(), keep=""), style="bold")
    if page.kind:
        title.append(f"  {page.kind}, {page.state}", style="not bold dim")
    _say(screen, title)
    _say(screen, Text(f"from {said.source}  {visible(said.address, keep='')}"))
    publisher, licence = excerpt(said.publisher) or "not given", excerpt(said.licence) or "not given"
    _say(screen, Text(f"publisher {publisher}, licence {licence}"))
    _say(screen, Text(f"files sha256 {said.tree_sha256}", style="dim"))
    screen.print()
    counts = Text()
    for severity in Severity:
        style = _STYLES[severity] if page.count(severity) else "dim"
        counts.append(f"{SIGNS[severity]} {page.count(severity)} {severity.value.upper()}   ", style=style)
    _say(screen, counts)
    _say(screen, Text(f"{page.verdict()}.", style="bold"))
    for engine in page.failed:
        _say(
            screen,
            Text(
                f"▲ {visible(engine.name, keep='')} failed: {excerpt(engine.failure, limit=300)}",
                style="yellow",
            ),
        )


def _news(page: ReviewPage, screen: Screen) -> None:
    if page.previous is None:
        _rule(screen, "what it may do (first version: all of it is new)")
    else:
        _rule(screen, f"what it may do that {page.previous} could not")
    came = list(page.by_kind(added=True))
    if not came:
        _say(screen, Text("nothing new was seen; read what changed in the files"))
    for kind, entries in came:
        _entries(screen, kind, entries, sign="+", style="bold green")
    for kind, entries in page.by_kind(added=False):
        _entries(screen, kind, entries, sign="−", style="red")
    if page.acknowledgement is not None:
        _say(
            screen,
            Text(f"an approval must acknowledge: --acknowledge {page.acknowledgement[:12]}", style="dim"),
        )


def _entries(screen: Screen, kind: str, entries: Sequence[str], *, sign: str, style: str) -> None:
    for number, entry in enumerate(entries[:_MAX_ENTRIES]):
        line = Text(f"{KINDS[kind].title if not number else '':{_MARGIN}}")
        _say(screen, line.append(f"{sign} {excerpt(entry, limit=300)}".lstrip(), style=style))
    if len(entries) > _MAX_ENTRIES:
        _say(screen, Text(f"{'':{_MARGIN}}and {len(entries) - _MAX_ENTRIES} more (--json has all)"))


def _findings(page: ReviewPage, screen: Screen) -> None:
    count = len(page.findings)
    _rule(screen, f"{count} finding{'' if count == 1 else 's'}")
    order = list(Severity)
    listed = sorted(page.findings, key=lambda f: (order.index(f.severity), f.check))
    for (severity, check), group in groupby(listed, key=lambda f: (f.severity, f.check)):
        words = rule_words(check)
        label = Text(f"{SIGNS[severity]} {severity.value.upper():5} ", style=_STYLES[severity])
        label.append(visible(words.title, keep=""), style="bold").append(
            f"  {visible(check, keep='')}", style="dim"
        )
        _say(screen, label)
        for name, text in (("why", words.why), ("mend", words.fix)):
            if text:
                _say(screen, Text(f"        {name:5}{visible(text, keep='')}", style="dim"))
        _places(page, screen, list(group))


def _places(page: ReviewPage, screen: Screen, findings: Sequence[Finding]) -> None:
    for finding in findings[:_MAX_PLACES]:
        place = visible(finding.path, keep="") + (f":{finding.line}" if finding.line else "")
        line = Text(f"   {finding.id}  ", style="dim")
        line.append(place, style="not dim bold").append("  " * bool(place))
        _say(screen, line.append(visible(finding.message, keep=""), style="not dim"))
        if finding.excerpt:
            _say(screen, Text(f"        │ {visible(finding.excerpt, keep='')}", style="dim"))
        for text in _answers(page, finding):
            _say(screen, Text(f"        {text}", style="italic"))
    if len(findings) > _MAX_PLACES:
        _say(screen, Text(f"   and {len(findings) - _MAX_PLACES} more like these (--json has all)"))


def _answers(page: ReviewPage, finding: Finding) -> Iterable[str]:
    if (waiver := page.waivers.get(finding.id)) is not None:
        yield f"✓ waived by {waiver.by} until {waiver.until:%Y-%m-%d}: {excerpt(waiver.reason)}"
    elif finding.severity is Severity.BLOCK and page.candidate:
        if (earlier := page.earlier.get(finding.id)) is not None:
            yield f"{earlier.by} waived this in {page.previous}: {excerpt(earlier.reason)}"
        option = page.waiver_option(finding)
        yield f"to answer for it: {option}" if option else "nobody can answer for this one: correct the file"


def _changes(page: ReviewPage, screen: Screen) -> None:
    _rule(screen, "what changes in the files" if page.previous is not None else "the files")
    text = diff_trees(page.old, page.new)
    if not text:
        _say(screen, Text("nothing"))
    for line in text.split("\n")[:-1]:
        _say(screen, Text(visible(line), style=_LINES.get(line[:1], "")))


def _surface(page: ReviewPage, screen: Screen) -> None:
    if page.previous is None:
        return  # all of it was shown as new
    _rule(screen, "all it may touch, as far as was seen")
    for kind in KINDS_BY_WEIGHT:
        _entries(screen, kind, page.surface.of(kind), sign="", style="")


def _engines(page: ReviewPage, screen: Screen) -> None:
    _rule(screen, "who looked")
    for engine in page.engines:
        how = f"failed: {excerpt(engine.failure, limit=300)}" if engine.failure else "complete"
        count = len(engine.findings)
        _say(
            screen,
            Text(
                f"{visible(engine.name, keep='')} {visible(engine.version, keep='')}".rstrip()
                + f", {count} finding{'' if count == 1 else 's'}, {how}"
            ),
        )


def _decisions(page: ReviewPage, screen: Screen) -> None:
    if page.reviews:
        _rule(screen, "decisions so far")
    for review in page.reviews:
        when = render_moment(review.reviewed_at)
        _say(screen, Text(f"{review.decision.value} by {review.reviewer}, {when}: {excerpt(review.reason)}"))


def _say(screen: Screen, text: Text) -> None:
    """Print ``text``; what is too long for a row goes on behind a sign.

    Left to the terminal, a long line continues at the left edge, and spaces enough before it would let a stranger write
    whole rows there that look like ours: "0 BLOCK", "waived by alice".
    """
    if not screen.is_terminal:
        screen.print(text)
        return
    text.expand_tabs(8)
    first, *others = text.divide(_breaks(text.plain, screen.width))
    screen.print(first)
    for more in others:
        screen.print(Text(_FURTHER, style="dim").append_text(more))


def _breaks(text: str, width: int) -> list[int]:
    """Return where ``text`` has to be cut for rows of ``width`` cells, all but the first after a sign."""
    if text.isascii():
        return list(range(width, len(text), max(1, width - len(_FURTHER))))
    breaks, used = [], 0
    for index, character in enumerate(text):
        cells = cell_len(character)
        if used + cells > width:
            breaks.append(index)
            used = len(_FURTHER)
        used += cells
    return breaks


def _rule(screen: Screen, title: str) -> None:
    screen.print()
    screen.rule(Text(title, style="bold"), align="left")
