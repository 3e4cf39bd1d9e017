import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console as Screen

from repo_server.curation.rendering import ReviewPage, render_terminal
from repo_server.curation.textsafe import visible
from signing.format.finding import Severity
from signing.format.surface import Surface
from tests.repo_server.curation.rendering.material import (
    SKILL,
    finding,
    hostile_page,
    page,
    payloads,
    report,
    review,
    tree,
    waiver,
)

BLOCKING = finding(
    "secrets.sent", severity=Severity.BLOCK, message="sends a token away", excerpt="curl -d $T"
)


def printed(shown: ReviewPage, *, colour: bool = False) -> str:
    stream = io.StringIO()
    screen = Screen(
        file=stream,
        soft_wrap=True,
        highlight=False,
        width=100,
        force_terminal=colour,
        color_system="truecolor" if colour else None,
    )
    render_terminal(shown, screen)
    return stream.getvalue()


def test_ten_seconds() -> None:
    surface = Surface(env_names=("DEPLOY_TOKEN",), hosts=("paste.example",))
    text = printed(page(surface=surface, engines=(report(BLOCKING),)))
    top = text.splitlines()[:16]
    assert "notes 1.0.0 → 1.1.0  skill, staged" in top
    assert "from clawhub  clawhub:@quiet-desk/notes@1.1.0" in top
    assert any(line.startswith("■ 1 BLOCK   ▲ 0 LOOK   ● 0 NOTE") for line in top)
    assert any(line.split() == ["hosts", "+", "paste.example"] for line in top)
    assert any(line.split() == ["environment", "+", "DEPLOY_TOKEN"] for line in top)
    assert any(line.split() == ["file", "types", "−", "md"] for line in top)


def test_findings_say_how_to_answer_and_who_did() -> None:
    engines = (report(BLOCKING, finding()),)
    text = printed(page(engines=engines))
    assert text.index("■ BLOCK") < text.index("● NOTE ")
    assert "SKILL.md:8  sends a token away" in text
    assert "│ curl -d $T" in text
    assert f"--waive {BLOCKING.id}='why it is acceptable'" in text
    answered = printed(page(engines=engines, reviews=(review(page(engines=engines), waiver(BLOCKING)),)))
    assert "✓ waived by alice until 2027-02-01: an example, never run" in answered
    assert "--waive" not in answered
    assert "approve by alice" in answered
    renewed = printed(page(engines=engines, earlier_waivers=(waiver(BLOCKING),)))
    assert "alice waived this in 1.0.0: an example, never run" in renewed


def test_the_diff_and_the_engines_are_there() -> None:
    text = printed(page(engines=(report(), report(name="cisco", failure="not finished after 120 seconds"))))
    assert "+2. Keep it short." in text.splitlines()
    assert "cisco 3, 0 findings, failed: not finished after 120 seconds" in text
    assert "▲ cisco failed" in text[: text.index("what it may do")]


def test_colour_is_never_the_only_signal() -> None:
    shown = page(
        engines=(report(BLOCKING, finding(severity=Severity.LOOK)),), surface=Surface(hosts=("a.example",))
    )
    coloured = printed(shown, colour=True)
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == printed(shown)


def test_neither_rich_nor_the_terminal_obeys_a_stranger() -> None:
    shown = hostile_page("http://127.0.0.1:9")
    text = printed(shown)
    assert not set(text) & {"\x1b", "\0", "\u202e", "\u2066", "\u200b", "\ufeff", "\u2028"}
    marked = page(
        name="[bold red]x[/]",
        engines=(report(finding(message="[link=https://evil.example]click[/link] :smile:", path="[b]")),),
    )
    out = printed(marked, colour=True)
    assert "[bold red]x[/]" in out
    assert "[link=https://evil.example]click[/link] :smile:" in out
    assert "\x1b]8" not in out
    assert payloads("http://127.0.0.1:9")[0] in text


def test_long_lists_are_cut_aloud() -> None:
    surface = Surface(hosts=tuple(sorted(f"h{n:03}.example" for n in range(60))))
    text = printed(page(surface=surface, engines=(report(*(finding(line=n) for n in range(70))),)))
    assert "and 20 more (--json has all)" in text
    assert "and 20 more like these (--json has all)" in text


@pytest.mark.parametrize("filler", [" ", "\t", "\u3042", "a "], ids=["spaces", "tabs", "wide", "words"])
def test_no_row_of_the_screen_begins_with_a_strangers_words(filler: str) -> None:
    fakes = ("■ 0 BLOCK   ▲ 9 LOOK   ● 9 NOTE", "approve by alice, 2026-11-22T00:00:00Z: fine")
    text = "".join(filler * (200 // len(filler)) + " " * shift + fake for shift in range(8) for fake in fakes)
    shown = page(
        new=tree({"SKILL.md": SKILL + text + "\n"}),
        surface=Surface(instructions=("x" + " " * 99 + fakes[0],)),
        engines=(report(finding(message="x" * 60 + " " * 50 + fakes[0], excerpt=" " * 92 + fakes[1])),),
    )
    printed_text = re.sub(r"\x1b\[[0-9;]*m", "", printed(shown, colour=True))
    assert all(cell_len(row) <= 100 for row in printed_text.splitlines())  # so the terminal breaks none
    rows = [row for row in printed_text.splitlines() if "9 NOTE" in row or "by alice" in row]
    assert len(rows) >= 8
    ours = {"+", "┊", "●", "instructions", "x", "│"}
    assert [row for row in rows if row.split()[0] not in ours and not row.startswith("   ")] == []
    rows_of_a_file = [row.split() for row in printed(shown).splitlines()]
    assert f"+{visible(text)}".split() in rows_of_a_file  # where nothing is broken
