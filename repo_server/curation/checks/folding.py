"""The same text in plain letters, so that a disguised word is judged like the word.

    ｃｕｒｌ, сurl (Cyrillic с), cu<U+200B>rl   ->  curl

Characters that are not drawn are left out, compatibility forms become what they stand for (Unicode NFKC), and in a
word that mixes alphabets the letters that look Latin become Latin. Words wholly in one alphabet stay as they are:
a Russian sentence is read as Russian. Line feeds stay where they are, so that line numbers do.
"""

import re
import unicodedata

from repo_server.curation.checks import late
from repo_server.curation.textsafe import BLANKS, is_variation_selector

# The letters of UTS 39's table that look like a Latin letter in ordinary fonts (Cyrillic, Greek, Armenian).
LOOK_ALIKES = str.maketrans(
    "авекмнорстухѕіјԁԛԝһӏгьАВЕКМНОРСТУХЅІЈԚԜԌҺαβεικνορτυχγηωΑΒΕΖΗΙΚΜΝΟΡΤΥΧօսոհցզ",
    "abekmhopctyxsijdqwhlrbABEKMHOPCTYXSIJQWGHabeikvoptuxynwABEZHIKMNOPTYXounhgq",
)
_WORD = late.pattern(r"[^\W\d_]{2,200}")
_LATIN = late.pattern("[A-Za-z]")
_OTHER_ALPHABET = late.pattern("[\u0370-\u03ff\u0400-\u052f\u0531-\u0587]")
_UNDRAWN = frozenset({"Cf", "Cn", "Co", "Cs"})


def folded(text: str) -> str:
    """Return ``text`` in plain letters, with the same line feeds."""
    if text.isascii():
        return text
    table: dict[int, str] = {}
    for character in set(text):
        if character.isascii():
            continue
        if is_undrawn(character):
            table[ord(character)] = ""
        elif (plain := unicodedata.normalize("NFKC", character)) != character and "\n" not in plain:
            table[ord(character)] = plain
    if table:
        text = text.translate(table)
    return _WORD.sub(_unmixed, text) if _OTHER_ALPHABET.search(text) else text


def skeleton(name: str) -> str:
    """Return ``name`` as it looks: two names with one skeleton are easily taken for each other (after UTS 39)."""
    plain = folded(name).translate(LOOK_ALIKES).lower()
    for look, meant in (
        ("rn", "m"),
        ("vv", "w"),
        ("0", "o"),
        ("1", "l"),
        ("i", "l"),
        ("5", "s"),
        ("-", ""),
        ("_", ""),
    ):
        plain = plain.replace(look, meant)
    return plain


def is_undrawn(character: str) -> bool:
    """Return whether ``character`` takes no place on a screen."""
    return (
        unicodedata.category(character) in _UNDRAWN or character in BLANKS or is_variation_selector(character)
    )


def _unmixed(match: re.Match[str]) -> str:
    word = match.group()
    if _LATIN.search(word) and _OTHER_ALPHABET.search(word):
        return word.translate(LOOK_ALIKES)
    return word
