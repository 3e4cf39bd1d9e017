"""The terminal as a place to read, and the files that a review is written to (edge)."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from repo_server.storage.durable import write_durably

if TYPE_CHECKING:
    from rich.console import Console as Screen

    from repo_server.curation.rendering import ReviewPage


@contextmanager
def paged(*, pager: bool) -> "Iterator[Screen]":
    """Yield a screen; with ``pager``, and a terminal, what is printed on it goes through the user's pager."""
    from rich.console import Console as Screen

    os.environ.setdefault("LESS", "-R")  # or less shows every colour as ESC[1m
    screen = Screen(soft_wrap=True, highlight=False)
    with screen.pager(styles=True) if pager and sys.stdout.isatty() else nullcontext():
        yield screen


def write_html(path: Path, page: "ReviewPage") -> None:
    """Write the review as one self-contained web page.

    Raises:
        HostError: the file cannot be written.
    """
    from repo_server.curation.rendering import render_html

    write_durably(path, render_html(page).encode())


def write_sarif(path: Path, page: "ReviewPage") -> None:
    """Write the findings as SARIF 2.1.0.

    Raises:
        HostError: the file cannot be written.
    """
    from repo_server.curation.rendering import render_sarif

    write_durably(path, json.dumps(render_sarif(page), indent=1, ensure_ascii=True).encode() + b"\n")
