"""A review as people and programs read it: one web page, one screen, one SARIF log.

    page_of(examination) -> ReviewPage        everything that is shown, and nothing of the database
    bare_page(fetched, findings, surface)     the same for a folder without any repository
    render_html(page) -> str                  one file, no scripts, no requests
    render_terminal(page, screen)             the same order, on a screen
    render_sarif(page) -> dict                SARIF 2.1.0, for other people's tools

All three show what a stranger wrote. So none of them lets it act: text stays text, hidden characters are
spelled out, nothing can be clicked that leads outside, and whatever is too long to show is announced as missing.
"""

from repo_server.curation.rendering.building import bare_page, page_of
from repo_server.curation.rendering.html import render_html
from repo_server.curation.rendering.page import ReviewPage
from repo_server.curation.rendering.sarif import render_sarif
from repo_server.curation.rendering.terminal import render_terminal

__all__ = ["ReviewPage", "bare_page", "page_of", "render_html", "render_sarif", "render_terminal"]
