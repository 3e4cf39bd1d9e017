"""A hostile skill in a real browser: the page shows it, and it does nothing."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from repo_server.curation.rendering import render_html
from repo_server.curation.textsafe import visible
from tests.repo_server.curation.rendering.browser import INSTALL, Page, browse, chromium
from tests.repo_server.curation.rendering.conftest import Listener
from tests.repo_server.curation.rendering.material import finding, hostile_page, page, payloads, report, tree

pytestmark = [
    pytest.mark.skipif(chromium() is None, reason=INSTALL),
    pytest.mark.slow,
    pytest.mark.xdist_group("chromium"),
]


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Page]:
    with browse(tmp_path / "profile") as opened:
        yield opened


def violations(browser: Page) -> list[object]:
    """What the page's own policy had to forbid."""
    issues = [event["issue"] for event in browser.seen("Audits.issueAdded")]
    return [issue for issue in issues if issue["code"] == "ContentSecurityPolicyIssue"]


def test_the_canary_would_be_seen(browser: Page, listener: Listener, tmp_path: Path) -> None:
    """What the other tests look for happens when the same payloads stand in a page that does not escape."""
    path = tmp_path / "naive.html"
    path.write_text(
        f"<!doctype html><title>naive</title>{payloads(listener.url)[0]}{payloads(listener.url)[1]}"
    )
    browser.open(path.as_uri())
    assert browser.evaluate("window.canary") == 1
    assert browser.evaluate("document.title") == "owned"
    assert {"GET /script", "GET /img"} <= set(listener.asked)
    assert browser.seen("Page.javascriptDialogOpening")


def test_a_hostile_skill_is_shown_and_does_nothing(browser: Page, listener: Listener, tmp_path: Path) -> None:
    path = tmp_path / "review.html"
    path.write_text(render_html(hostile_page(listener.url)))
    browser.open(path.as_uri())
    browser.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    # Everything that a person could do: go over it, focus it, click it.
    browser.evaluate(
        "document.querySelectorAll('*').forEach(e => {"
        " e.dispatchEvent(new MouseEvent('mouseover', {bubbles: true}));"
        " if (e.focus) e.focus(); if (e.tagName === 'A') e.click(); })"
    )
    browser.settle(1)

    assert browser.evaluate("window.canary") is None
    assert browser.evaluate("document.title") == "Review of notes 1.1.0"
    assert listener.asked == []
    assert browser.seen("Page.javascriptDialogOpening") == []
    assert browser.seen("Runtime.exceptionThrown") == []
    asked = {event["request"]["url"].partition("#")[0] for event in browser.seen("Network.requestWillBeSent")}
    assert asked == {path.as_uri()}  # nothing was even tried
    assert browser.seen("Log.entryAdded") == []  # so the policy had nothing to forbid
    assert violations(browser) == []
    assert browser.evaluate("location.href.split('#')[0]") == path.as_uri()

    forbidden = (
        "script,iframe,object,embed,img,video,audio,form,input,button,base,link,svg,textarea,plaintext"
    )
    assert browser.evaluate(f"document.querySelectorAll('{forbidden}').length") == 0
    assert browser.evaluate("document.querySelectorAll('style').length") == 1
    attributes = browser.evaluate(
        "[...new Set([...document.querySelectorAll('body *')].flatMap(e => e.getAttributeNames()))].sort()"
    )
    assert [name for name in attributes if name.startswith("on") or name in {"style", "src", "srcset"}] == []
    links = browser.evaluate("[...document.querySelectorAll('[href]')].map(a => a.getAttribute('href'))")
    assert links
    assert all(link.startswith("#") for link in links)
    assert browser.evaluate("[...document.querySelectorAll('a')].every(a => document.querySelector(a.hash))")

    text = browser.evaluate("document.body.textContent")
    for payload in payloads(listener.url):
        assert visible(payload, keep="\t") in text
    assert not [c for c in set(text) if c not in "\n\t" and visible(c) != c]


def test_the_policy_alone_would_stop_it(browser: Page, listener: Listener, tmp_path: Path) -> None:
    """The second wall: were the escaping to fail, the policy of the page forbids what the text asks for."""
    html = render_html(page())
    broken = html.replace("<main>", "<main>" + "".join(payloads(listener.url)[:7]), 1)
    path = tmp_path / "broken.html"
    path.write_text(broken)
    browser.open(path.as_uri())
    assert browser.evaluate("window.canary") is None
    assert browser.evaluate("document.title") == "Review of notes 1.1.0"
    assert listener.asked == []
    assert browser.seen("Page.javascriptDialogOpening") == []
    assert violations(browser) != []


def test_the_style_applies_under_the_policy(browser: Page, tmp_path: Path) -> None:
    path = tmp_path / "review.html"
    path.write_text(render_html(page()))
    browser.open(path.as_uri())
    assert browser.evaluate("getComputedStyle(document.querySelector('nav')).position") == "sticky"


def test_it_can_be_read_without_a_mouse(browser: Page, tmp_path: Path) -> None:
    """Landmarks, headers of tables, one h1, no level of heading left out, no id twice, every link goes somewhere."""
    noted = report(finding(line=9), finding(line=0, message="whole file"), finding(path="", line=0))
    path = tmp_path / "review.html"
    path.write_text(render_html(page(engines=(noted,), new=tree({"SKILL.md": "a\n" * 60, "b.md": "b\n"}))))
    browser.open(path.as_uri())
    for landmark in ("header", "nav[aria-label]", "main", "footer", "a.skip"):
        assert browser.evaluate(f"document.querySelectorAll('{landmark}').length") == 1, landmark
    assert browser.evaluate("document.documentElement.lang") == "en"
    assert browser.evaluate("document.querySelectorAll('h1').length") == 1
    levels = browser.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])")
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = browser.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    assert browser.evaluate("[...document.querySelectorAll('a')].every(a => document.querySelector(a.hash))")
    assert browser.evaluate(
        "[...document.querySelectorAll('table')].every(t => t.querySelectorAll('thead th[scope=col]').length > 1)"
    )
    assert browser.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_paper_shows_what_a_screen_folds(browser: Page, tmp_path: Path) -> None:
    same = {"SKILL.md": "a\n", "same.md": "".join(f"line {n}\n" for n in range(40))}
    path = tmp_path / "review.html"
    path.write_text(render_html(page(old=tree(same), new=tree(same))))
    browser.open(path.as_uri())
    drawn = "document.querySelector('#file-1 table').checkVisibility()"
    assert browser.evaluate("document.querySelector('#file-1').open") is False
    assert browser.evaluate(drawn) is False
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert browser.evaluate(drawn) is True


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_can_be_told_from_its_ground(browser: Page, tmp_path: Path, *, dark: bool) -> None:
    """WCAG AA: 4.5 to 1 for every text of a page that has everything on it, in both colour schemes."""
    path = tmp_path / "review.html"
    path.write_text(render_html(hostile_page("http://127.0.0.1:9")))
    browser.screenshot(width=1280, height=900, dark=dark)
    browser.open(path.as_uri())
    assert browser.evaluate(_CONTRAST) == []


_CONTRAST = """
(() => {
  const channel = v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4 };
  const numbers = c => c.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b);
  const ground = e => { for (; e; e = e.parentElement) {
    const c = numbers(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] === 1) return c }
    return [255, 255, 255] };
  const bad = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let seen = 0; walk.nextNode() && seen < 5000; seen++) {
    if (!walk.currentNode.data.trim()) continue;
    const e = walk.currentNode.parentElement;
    const [a, b] = [light(numbers(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) bad.add(e.tagName + '.' + e.className + ' ' + ((a + .05) / (b + .05)).toFixed(2));
  }
  return [...bad];
})()
"""
