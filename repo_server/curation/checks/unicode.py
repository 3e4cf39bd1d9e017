"""Text that an agent reads and a person does not see.

    U+E0000..E007F   tag block: ASCII in invisible letters; decoded and shown
    U+200B, 2060, …  zero-width and other format characters; also joiners outside emoji and joining scripts
    U+202A..2069     bidirectional controls: what is shown is not what is stored
    U+FE00, E0100 …  variation selectors: alone they choose a picture, in a run they carry bytes; so does one
                     behind each ideograph of a run
    private use, unassigned, controls such as ESC

Flags like that of Scotland are spelled with tags, families with joiners, hearts with a selector: these uses are
recognised exactly, everything else blocks. A word that mixes Latin with look-alike letters is shown.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from repo_server.curation.checks import late
from repo_server.curation.reading import examined
from repo_server.curation.textsafe import BLANKS, excerpt, is_variation_selector, visible
from repo_server.curation.tree import SourceTree
from signing.format.finding import Finding, Severity
from signing.format.manifest import MemberPath

# The only three flags in general use that are spelled with tags (Unicode RGI: England, Scotland, Wales).
_FLAGS = late.pattern(
    "\U0001f3f4(?:"
    + "|".join(
        "".join(chr(0xE0000 + ord(c)) for c in name) + "\U000e007f" for name in ("gbeng", "gbsct", "gbwls")
    )
    + ")"
)
_RUNS = late.pattern(
    "(?P<tags>[\U000e0000-\U000e007f]+)"
    "|(?P<selectors>[\ufe00-\ufe0f\u180b-\u180d\u180f\U000e0100-\U000e01ef]+)"
    "|(?P<bidi>[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]+)"
    "|(?P<joiner>[\u200c\u200d])"
)
# A name may need one variant of an ideograph; one behind every letter is a cipher.
_SELECTED_RUN = late.pattern("(?:[\u3400-\u9fff][\ufe00-\ufe0f\U000e0100-\U000e01ef]){2,}")
_MARKS = frozenset({"\u200e", "\u200f", "\u061c"})
_RIGHT_TO_LEFT = late.pattern("[\u0590-\u08ff]")
_KEYCAP = "\u20e3"
_MIXED = late.pattern(r"\w+")
_LOOK_ALIKE = late.pattern("[\u0400-\u052f\u0531-\u0587\u13a0-\u13ff]")  # Cyrillic, Armenian, Cherokee
_JOINING_SCRIPTS = ("\u0600", "\u0dff")  # Arabic to Sinhala: joiners are spelling there
_HIDDEN = frozenset({"Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_MESSAGES = {
    "tags": "text in invisible tag characters, which agents can read",
    "selectors": "variation selectors that draw nothing here; a run of them carries hidden bytes",
    "bidi": "bidirectional controls: the text is shown in another order than it is read",
    "joiner": "a zero-width joiner outside emoji and joining scripts",
    "hidden": "characters that are not drawn, private or unassigned",
    "control": "control characters, which can rewrite the screen of whoever looks at the file",
}


class _Place(NamedTuple):
    path: MemberPath
    line: int
    text: str


def check(tree: SourceTree) -> Iterator[Finding]:
    """Yield one finding for each line and kind of hidden text."""
    for path, whole in examined(tree):
        text = whole
        worth_a_look = {character for character in set(text) if _can_hide(character)}
        if not worth_a_look:
            continue
        if text.startswith("\ufeff"):
            message = "starts with a byte order mark; harmless in itself, remove it so that all readers agree"
            yield _finding("bom", Severity.LOOK, _Place(path, 1, ""), message)
            text = text[1:]
        for number, line in enumerate(text.split("\n"), start=1):
            if not worth_a_look.isdisjoint(line):
                yield from _line(_Place(path, number, line.removesuffix("\r")))


def _can_hide(character: str) -> bool:
    """Return whether ``character`` can be of any finding; a text of megabytes has few kinds of it."""
    if character.isascii():
        return not character.isprintable() and character not in "\n\t"
    return (
        unicodedata.category(character) in _HIDDEN
        or unicodedata.category(character) == "Cc"
        or character in BLANKS
        or _RUNS.match(character) is not None
        or _LOOK_ALIKE.match(character) is not None
    )


def _line(place: _Place) -> Iterator[Finding]:
    kinds: dict[str, list[str]] = {}
    for kind, found in _hidden_runs(_FLAGS.sub("", place.text)):
        kinds.setdefault(kind, []).append(found)
    for kind, runs in kinds.items():
        joined = "".join(runs)
        decoded = f": it says {excerpt(_untag(joined))!r}" if kind == "tags" else ""
        message = f"{_MESSAGES[kind]} ({len(joined)}){decoded}; remove them"
        severity = Severity.LOOK if kind == "control" else Severity.BLOCK
        yield _finding(kind, severity, place, message)
    for word in dict.fromkeys(_MIXED.findall(place.text)):
        if _LOOK_ALIKE.search(word) and re.search("[A-Za-z]", word):
            message = f"the word {word[:60]!a} mixes Latin with look-alike letters; write it in one alphabet"
            yield _finding("mixed-script", Severity.LOOK, place, message)


def _hidden_runs(line: str) -> Iterator[tuple[str, str]]:
    for match in _RUNS.finditer(line):
        kind, found = str(match.lastgroup), match.group()
        before = line[match.start() - 1 : match.start()]
        after = line[match.end() : match.end() + 1]
        if kind == "selectors" and len(found) == 1 and _may_be_selected(before, found, after):
            continue
        if kind == "joiner" and _may_join(before, found, after):
            continue
        if kind == "bidi" and found in _MARKS and _RIGHT_TO_LEFT.search(line):
            continue  # a mark orders one neutral sign in a Hebrew or Arabic sentence; it can reorder nothing else
        yield kind, found
    for match in _SELECTED_RUN.finditer(line):
        yield "selectors", match.group()[1::2]
    rest = _RUNS.sub("", line)
    kinds = set(rest)  # a line of a megabyte has few kinds of character
    controls = {c for c in kinds if unicodedata.category(c) == "Cc" and c != "\t"}
    hidden = {c for c in kinds if unicodedata.category(c) in _HIDDEN or c in BLANKS}
    if controls:
        yield "control", "".join(c for c in rest if c in controls)
    if hidden:
        yield "hidden", "".join(c for c in rest if c in hidden)


def _may_be_selected(before: str, selector: str, after: str) -> bool:
    """Emoji and text style after a symbol or in a keycap; variants after the letters that have some."""
    if not before:
        return False
    if selector in {"\ufe0e", "\ufe0f"}:
        if before in "0123456789#*":
            return after == _KEYCAP
        symbol = not before.isascii() and unicodedata.category(before) in {"So", "Sm"}
        return symbol or before in "\u203c\u2049\u2139\u3030\u303d"
    if "\u180b" <= selector <= "\u180f":
        return "\u1820" <= before <= "\u18aa"
    return "\u3400" <= before <= "\u9fff"


def _may_join(before: str, joiner: str, after: str) -> bool:
    if not before or not after:
        return False
    first, last = _JOINING_SCRIPTS
    if first <= before <= last and first <= after <= last:
        return True
    emoji = unicodedata.category(before) in {"So", "Sk"} or is_variation_selector(before)
    return joiner == "\u200d" and emoji and unicodedata.category(after) in {"So", "Sm"}


def _untag(text: str) -> str:
    return visible("".join(chr(ord(c) - 0xE0000) for c in text))


def _finding(check_id: str, severity: Severity, place: _Place, message: str) -> Finding:
    return Finding(
        check=f"unicode.{check_id}",
        severity=severity,
        path=place.path,
        line=place.line,
        message=message,
        excerpt=excerpt(place.text),
    )
