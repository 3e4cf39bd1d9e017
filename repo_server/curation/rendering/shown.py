r"""Text from outside as markup: escaped, with every hidden character spelled out and marked as such.

    <b>a\u202eb</b>   →   &lt;b&gt;a<mark>&lt;U+202E&gt;</mark>b&lt;/b&gt;

The mark is what plain text cannot have: a reader sees whether the file holds the character or its name.
"""

from markupsafe import Markup, escape

from repo_server.curation.textsafe import hidden_runs, spelled_out


def spelled(value: object) -> Markup:
    """Return ``value`` as inert markup; what is markup already stays as it is."""
    return value if isinstance(value, Markup) else _spelled(str(value), keep="\n\t")


def line(text: str, limit: int) -> Markup:
    """Return the first ``limit`` characters of ``text`` as inert markup on one line; a cut is shown as such."""
    return _spelled(text[:limit], keep="") + ("…" if len(text) > limit else "")


def _spelled(text: str, *, keep: str) -> Markup:
    if text.isascii() and text.isprintable():
        return escape(text)
    runs = hidden_runs(text, keep=keep)
    if runs is None:
        return escape(text)
    # Joined as plain text: markup that joins markup looks at every piece again, of which there may be a million.
    pieces = (
        f'<mark class="hidden">{escape(spelled_out(part))}</mark>' if index % 2 else str(escape(part))
        for index, part in enumerate(runs.split(text))
        if part
    )
    return Markup("".join(pieces))  # noqa: S704 - each piece is escaped above
