r"""Text from outside, made visible.

    >>> visible("a\u202eb\x1b[2Kc")
    'a<U+202E>b<U+001B>[2Kc'

A diff or a message that holds raw control characters can rewrite the terminal it is shown on; one that holds
invisible characters shows a reviewer something else than what the agent reads. Both are spelled out here. A
text that holds the letters ``<U+202E>`` stays as it is: it can look escaped, but it cannot hide anything.
"""

import re
import unicodedata

# Not in the invisible categories, but drawn as nothing: fillers, braille blank, grapheme joiner, selectors.
BLANKS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_STACKED = frozenset({"Mn", "Me"})
_MAX_PILE = 4
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})


def is_variation_selector(character: str) -> bool:
    """Return whether ``character`` only changes how the one before it is drawn (and can carry a byte)."""
    return (
        "\ufe00" <= character <= "\ufe0f"
        or "\U000e0100" <= character <= "\U000e01ef"
        or "\u180b" <= character <= "\u180f"  # Mongolian
    )


def is_hidden(character: str) -> bool:
    """Return whether ``character`` is not drawn, or is drawn as an ordinary space without being one."""
    if character.isascii():
        return not character.isprintable()
    category = unicodedata.category(character)
    return (
        category in _HIDDEN_CATEGORIES
        or category == "Zs"
        or character in BLANKS
        or is_variation_selector(character)
    )


def hidden_runs(text: str, *, keep: str = "\n\t") -> re.Pattern[str] | None:
    """Return what finds the runs of ``text`` that have to be spelled out, in one group; None when there are none.

    These are hidden characters outside ``keep``, and combining marks in a pile so high that it covers the lines
    around it: no language has more than a few on one letter.
    """
    hidden, marks = _kinds(text, keep)
    found = [f"{_one_of(hidden)}+"] if hidden else []
    found += [_pile_of(marks)] if marks else []
    return re.compile(f"({'|'.join(found)})") if found else None


def visible(text: str, *, keep: str = "\n\t") -> str:
    """Return ``text`` with every hidden character outside ``keep`` written as ``<U+XXXX>``; see `hidden_runs`."""
    if text.isascii() and text.isprintable():
        return text
    hidden, marks = _kinds(text, keep)
    if hidden:  # far faster than by runs, and a text of megabytes may hold nothing else
        text = text.translate({ord(character): spelled_out(character) for character in hidden})
    return re.sub(_pile_of(marks), lambda run: spelled_out(run.group()), text) if marks else text


def spelled_out(run: str) -> str:
    """Return every character of ``run`` as ``<U+XXXX>``."""
    return run.translate({ord(character): f"<U+{ord(character):04X}>" for character in set(run)})


def _kinds(text: str, keep: str) -> tuple[list[str], list[str]]:
    """Return the hidden characters and the combining marks that occur in ``text``.

    By kinds of character, not one by one: a text of megabytes has few kinds.
    """
    kinds = {character for character in set(text) if character not in keep}
    hidden = sorted(filter(is_hidden, kinds))
    return hidden, sorted(c for c in kinds.difference(hidden) if unicodedata.category(c) in _STACKED)


def _one_of(characters: list[str]) -> str:
    return f"[{''.join(map(re.escape, characters))}]"


def _pile_of(marks: list[str]) -> str:
    return f"(?<={_one_of(marks)}{{{_MAX_PILE}}}){_one_of(marks)}+"


def excerpt(text: str, *, limit: int = 160) -> str:
    """Return ``text`` on one line, visible, cut to about ``limit`` characters."""
    shown = visible(text[: limit + 1].strip(), keep="")
    return shown if len(text) <= limit and len(shown) <= 4 * limit else shown[: 4 * limit] + "…"
