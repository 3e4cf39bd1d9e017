import re
import time
from datetime import timedelta

import pytest

from repo_server.curation.rendering import files as files_module
from repo_server.curation.rendering import html as html_module
from repo_server.curation.rendering import render_html
from repo_server.curation.rendering.page import KINDS_BY_WEIGHT
from repo_server.curation.rendering.words import KINDS
from signing.format.finding import Severity
from signing.format.names import ReleaseVersion
from signing.format.surface import Surface, compare_surfaces
from tests.repo_server.curation.rendering.material import (
    LATER,
    SKILL,
    finding,
    page,
    payloads,
    report,
    review,
    tree,
    waiver,
)

SECRETS = Surface(env_names=("DEPLOY_TOKEN",), file_types=("md",), hosts=("paste.example",))
BLOCKING = finding("secrets.sent", severity=Severity.BLOCK, message="sends a token away")


def text_of(html: str) -> str:
    """The text of a page as a reader meets it, without the style."""
    bare = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", bare))


def test_the_first_screen_says_what_the_new_version_may_do() -> None:
    html = render_html(page(surface=SECRETS, engines=(report(BLOCKING),)))
    text = text_of(html)
    top = text[: text.index("Findings", text.index("What it may do"))]
    assert "notes 1.0.0 → to 1.1.0" in top
    assert "from clawhub clawhub:@quiet-desk/notes@1.1.0" in top
    assert "1 blocking finding stands" in top
    assert re.search(r"1 ■ BLOCK .*0 ▲ LOOK .*0 ● NOTE", top)
    assert "What it may do that 1.0.0 could not" in top
    assert top.index("new: DEPLOY_TOKEN") < top.index("new: paste.example")  # the weightiest first
    assert f"--acknowledge {page(surface=SECRETS).acknowledgement[:12]}" in top  # type: ignore[index]


def test_every_kind_of_surface_is_shown() -> None:
    assert set(KINDS_BY_WEIGHT) == set(KINDS) == set(Surface.kinds())


def test_what_went_is_shown_after_what_came() -> None:
    changes = compare_surfaces(SECRETS, Surface(file_types=("md",), commands=("curl",)))
    text = text_of(render_html(page(changes=changes)))
    assert (
        text.index("new: curl") < text.index("What it no longer touches") < text.index("gone: DEPLOY_TOKEN")
    )


def test_a_first_version_is_wholly_new() -> None:
    text = text_of(render_html(page(previous=None, old=None, surface=SECRETS)))
    assert "no published version to compare with" in text
    assert "--acknowledge" not in text
    assert "+ new SKILL.md" in text


def test_lines_stand_beside_each_other_with_what_was_found_in_them() -> None:
    old = SKILL + "".join(f"line {n}\n" for n in range(30)) + "Ask the user first.\n"
    new = SKILL + "".join(f"line {n}\n" for n in range(30)) + "Ask the user last.\n"
    noted = finding("consent.bypassed", line=40, severity=Severity.LOOK, message="acts before it asks")
    html = render_html(
        page(old=tree({"SKILL.md": old}), new=tree({"SKILL.md": new}), engines=(report(noted),))
    )
    row = html[html.index('id="line-0-40"') :]
    row = row[: row.index("</table>")]
    assert "Ask the user <del>first</del>." in row
    assert "Ask the user <ins>last</ins>." in row
    assert "acts before it asks" in row
    assert 'href="#line-0-40"' in html
    assert re.search(r'<details class="fold"><summary>36 unchanged lines</summary>', html)
    assert "line 17" in html  # folded, not left out


def test_a_finding_in_an_unchanged_line_is_shown_beside_it() -> None:
    same = {"SKILL.md": SKILL, "notes.md": "".join(f"line {n}\n" for n in range(50))}
    noted = finding(path="notes.md", line=25, message="seen here")
    html = render_html(page(old=tree(same), new=tree(same), engines=(report(noted),)))
    assert "No file changed." in html
    row = html[html.index('id="line-1-25"') :]
    assert "line 24" in row[: row.index("seen here")]
    assert '<details class="file unchanged" id="file-1" open>' in html


def test_findings_of_no_line_or_no_file_are_not_lost() -> None:
    lost = [
        finding(line=0, message="about the whole file"),
        finding(line=4_000, message="about a line that is not there"),
        finding(path="", line=0, message="about the skill"),
        finding(path="elsewhere.md", line=3, message="about a file that is not there"),
    ]
    text = text_of(render_html(page(engines=(report(*lost),))))
    for item in lost:
        assert item.message in text


def test_new_removed_and_binary_files() -> None:
    old = tree({"SKILL.md": SKILL, "gone.md": "farewell\n", "same.png": b"\x89PNG\r\n\x1a\n\0"})
    new = tree(
        {
            "SKILL.md": SKILL,
            "scripts/run.sh": "#!/bin/sh\nexit 0\n",
            "same.png": b"\x89PNG\r\n\x1a\n\0",
            "a.png": b"\x89PNG\r\n\x1a\n\1",
        }
    )
    text = text_of(render_html(page(old=old, new=new)))
    assert "− removed gone.md" in text
    assert "− farewell" in text
    assert re.search(r"\+ new scripts/run.sh .*executable", text)
    assert "+ #!/bin/sh" in text
    assert re.search(r"a.png .*not text: nothing → 9 bytes, sha256", text)
    assert "Unchanged: 2 files" in text


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        (b"a\n", b"a", "its end: a line feed → no line feed"),
        (b"a", b"a\n", "its end: no line feed → a line feed"),
        (b"a\xff\n", b"a\xfe\n", "U+FFFD stands for what is not: 3 bytes, sha256"),
        (b"a\n", b"a\r\n", "&lt;U+000D&gt;"),
        (b"a\n", b"a\n\n", '<tr class="added">'),
        (b"a \n", b"a\n", '<tr class="changed">'),
        (b"", b"\n", "a line feed"),
        (b"x", b"", "empty"),
    ],
    ids=repr,
)
def test_no_change_of_a_byte_is_invisible(old: bytes, new: bytes, shown: str) -> None:
    html = render_html(
        page(old=tree({"SKILL.md": SKILL, "a.md": old}), new=tree({"SKILL.md": SKILL, "a.md": new}))
    )
    assert "± changed" in html
    assert shown in html


def test_a_waiver_for_other_files_answers_for_nothing() -> None:
    engines = (report(BLOCKING),)
    other = page(engines=engines, new=tree({"SKILL.md": "other"}))
    shown = page(engines=engines, reviews=(review(other, waiver(BLOCKING)),))
    assert "1 blocking finding stands" in render_html(shown)


def test_hidden_characters_are_spelled_out_and_cannot_be_faked() -> None:
    html = render_html(page(new=tree({"SKILL.md": SKILL + "a\u202eb <U+202E>\n"})))
    assert 'a<mark class="hidden">&lt;U+202E&gt;</mark>b &lt;U+202E&gt;' in html
    assert "\u202e" not in html


def test_waivers_count_until_they_end() -> None:
    engines = (report(BLOCKING),)
    bare = page(engines=engines)
    answered = page(engines=engines, reviews=(review(bare, waiver(BLOCKING)),))
    text = text_of(render_html(answered))
    assert "waived by alice until 2027-02-01T00:00:00Z: an example, never run" in text
    assert "blocking finding" not in text
    assert "approve by alice" in text
    late = page(engines=engines, reviews=(review(bare, waiver(BLOCKING)),), now=LATER + timedelta(days=1))
    assert "1 blocking finding stands" in render_html(late)
    timeless = page(engines=engines, reviews=(review(bare, waiver(BLOCKING)),), now=None)
    assert "1 blocking finding stands" in render_html(timeless)


def test_the_waiver_of_the_version_before_is_offered_not_counted() -> None:
    text = text_of(render_html(page(engines=(report(BLOCKING),), earlier_waivers=(waiver(BLOCKING),))))
    assert re.search(r"alice waived this in 1\.0\.0: an example, never run", text)
    assert f"--waive {BLOCKING.id}=" in text
    assert "1 blocking finding stands" in text


def test_what_cannot_be_answered_for_is_not_offered() -> None:
    demanded = finding("frontmatter.name", severity=Severity.BLOCK)
    text = text_of(render_html(page(engines=(report(demanded),))))
    assert "--waive" not in text
    assert "Nobody can answer for this one" in text
    bare = text_of(render_html(page(engines=(report(BLOCKING),), candidate="", state="", kind="")))
    assert "--waive" not in bare  # there is nothing to decide about
    assert "skillrepo review" not in bare


def test_an_engine_that_failed_is_at_the_top() -> None:
    text = text_of(render_html(page(engines=(report(), report(name="cisco", failure="not finished\x1b[2K")))))
    assert "Nothing blocks, but not every engine ran to its end" in text
    assert text.index("gave no complete answer") < text.index("What it may do")
    assert "not finished <U+001B> [2K" in text.replace("&lt;", "<").replace("&gt;", ">")


def test_nothing_from_outside_is_markup() -> None:
    for payload in payloads("http://127.0.0.1:9"):
        html = render_html(
            page(
                name=payload[:60],
                version=payload[:30],
                state=payload,
                kind=payload,
                new=tree({"SKILL.md": payload}),
                engines=(report(finding(message=payload, excerpt=payload, path=payload)),),
            )
        )
        body = html[html.index("</style>") :]
        tags = set(re.findall(r"<\s*([a-zA-Z!/?][\w-]*)", body))
        assert not tags & {
            "script",
            "img",
            "svg",
            "iframe",
            "meta",
            "link",
            "form",
            "object",
            "base",
            "plaintext",
        }
        assert not re.findall(r"<[^>]*\s(?:on\w+|style|src)\s*=", body)


def test_a_page_that_is_cut_says_so_at_its_top(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "MAX_ROWS", 100)
    monkeypatch.setattr(html_module, "MAX_FINDINGS", 10)
    monkeypatch.setattr(html_module, "MAX_ENTRIES", 5)
    new = tree({"SKILL.md": "".join(f"line {n}\n" for n in range(150)), "z.md": "the last file\n"})
    noted = report(*(finding(line=n) for n in range(1, 15)))
    surface = Surface(hosts=tuple(sorted(f"h{n}.example" for n in range(8))))
    html = render_html(page(old=None, previous=None, new=new, engines=(noted,), surface=surface))
    text = text_of(html)
    top = text[: text.index("What it may do")]
    assert "This page is not complete" in top
    assert "51 lines of text, 4 findings, 6 entries" in top  # what is new is listed twice, as new and as all
    assert "Not complete: 50 more lines" in text
    assert "the last file" not in text
    assert "+ new z.md" in text  # the file itself is announced
    assert "and 3 more that are not shown here" in text
    links, ids = re.findall(r'href="#([^"]+)"', html), re.findall(r' id="([^"]+)"', html)
    assert set(links) <= set(ids)


def test_a_whole_page_says_nothing_of_the_kind() -> None:
    assert "not complete" not in render_html(page())


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "\n" * 1_000_000,
        "\u200b" * 300_000,
        "a\u200b" * 300_000,
        "<" * 1_000_000,
        "x\n" * 200_000,
        "a b " * 250_000,
    ],
    ids=["lines", "hidden", "alternating", "markup", "short lines", "one line"],
)
def test_the_size_of_a_page_is_bounded(text: str) -> None:
    old = tree({"SKILL.md": SKILL, "a.md": text, "b.md": text})
    new = tree({"SKILL.md": SKILL, "a.md": text + "new", "b.md": "new" + text})
    begun = time.monotonic()
    html = render_html(page(old=old, new=new))
    assert len(html) < 60 << 20
    assert time.monotonic() - begun < 30


def test_previous_versions_are_named_even_when_nothing_changed() -> None:
    text = text_of(render_html(page(previous=ReleaseVersion("0.9"), changes=())))
    assert "What it may do that 0.9 could not" in text
    assert "Nothing new was seen" in text
