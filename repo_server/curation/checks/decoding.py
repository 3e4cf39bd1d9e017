r"""What is written in another code, decoded: base64, base32, hexadecimal, escapes, character numbers, rot13, reversed.

A reviewer cannot read an encoded text and an agent, or one line of a script, can. Everything that decodes to text is
judged like the file itself and shown decoded. Layers within layers are followed `MAX_DEPTH` deep; what one file may
yield is bounded, so that nested or huge texts cost no time.
"""

import base64
import binascii
import codecs
import html
import re
import urllib.parse
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from repo_server.curation.checks import late
from repo_server.curation.checks.unquoting import unescaped

MAX_DEPTH = 3
MAX_PIECES = 400  # of one text
MAX_DECODED = 1 << 18  # characters out of one text
CUT = "more than is decoded"
_MIN_TEXT = 8
_PRINTABLE = 0.9
_SHORTEST = 16  # characters of base64 worth a look
_LARGEST_BYTE = 0xFF

# These begin with a set of characters and look back from behind the first: so most of a text costs one look at a table.
_BASE64 = late.pattern(
    r"[A-Za-z0-9+/_-](?<![\w+/=].)(?:[A-Za-z0-9+/_-]{39,3999}\s{0,2}\n[ \t]{0,12}(?:[A-Za-z0-9+/_-]{40,4000}\s{0,2}\n[ \t]{0,12}){0,399}[A-Za-z0-9+/_-]{16,20000}|[A-Za-z0-9+/_-]{15,19999})={0,2}"
)
_BASE32 = late.pattern(r"[A-Z2-7](?<![\w=].)[A-Z2-7]{23,3999}={0,6}(?![\w=])")
_HEX = late.pattern(
    r"[0-9a-fA-F](?<![0-9a-fA-F].)(?:(?<=0)x(?:[0-9a-fA-F]{2}[ :]?){12,8000}|[0-9a-fA-F][ :]?(?:[0-9a-fA-F]{2}[ :]?){11,7999})(?![0-9a-fA-F])"
)
_ESCAPES = late.pattern(r"(?:\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\[0-7]{3}){4,4000}")
_ENTITIES = late.pattern(r"(?:&#(?:[0-9]{2,5}|x[0-9a-fA-F]{2,5});){4,4000}")
_PERCENT = late.pattern(r"(?:[\w.~-]{0,8}%[0-9a-fA-F]{2}){5,2000}[\w.~-]{0,40}")
_NUMBERS = late.pattern(
    r"[0-9](?<![\w.].)(?:(?<=0)x[0-9a-fA-F]{2}|[0-9]{1,2})\s{0,2},\s{0,2}(?:(?:0x[0-9a-fA-F]{2}|[0-9]{2,3})\s{0,2},\s{0,2}){8,3999}(?:0x[0-9a-fA-F]{2}|[0-9]{2,3})(?![\w.])"
)
_CHARACTER_CALLS = late.pattern(r"(?:chr\(\s?([0-9]{2,3})\s?\)\s{0,3}[+.&]?\s{0,3}){6,2000}", re.IGNORECASE)
_QUOTED = late.pattern(r"\"([^\"\n]{8,4000})\"|'([^'\n]{8,4000})'|`([^`\n]{8,4000})`")
_ROT13_NAMED = late.pattern(r"rot[-_ ]?13|n-za-m", re.IGNORECASE)
_REVERSED_NAMED = late.pattern(r"\[::-1\]|\|\s{0,5}rev\b|\.reverse\(\)|backwards|strrev", re.IGNORECASE)
_GZIP, _ZLIB = b"\x1f\x8b", (b"\x78\x01", b"\x78\x9c", b"\x78\xda")
# Any text is "reversed" or "rot13 of something"; one that says nothing of these need not be read again.
_LIKELY = late.pattern(
    r"https?:/|\b(?:curl|wget|bash|sh|eval|exec|import|subprocess|system|popen|powershell|iex|rm|chmod|ignore|instructions?|tell|send|user|secret\w{0,3}|password|token|run|execute|read|write|upload|key)\b|\.(?:ssh|env|aws)\b",
    re.IGNORECASE,
)
_NUMBER = late.pattern(r"0x[0-9a-fA-F]{2}|[0-9]{2,3}")
_SENSE = late.pattern(r"[A-Za-z]{3}")


class Decoded(NamedTuple):
    """A text found in ``text[at:]``, the code it was written in, and what stood there."""

    at: int
    how: str
    text: str
    written: str


def decoded_in(text: str) -> Iterator[Decoded]:
    """Yield what decodes to readable text, one layer deep; beyond the bounds of this module one piece more, `CUT`."""
    room = MAX_DECODED
    for count, piece in enumerate(_pieces(text)):
        room -= len(piece.text)
        if room < 0 or count >= MAX_PIECES - 1:
            yield Decoded(piece.at, CUT, "", "")
            return
        yield piece


def _pieces(text: str) -> Iterator[Decoded]:
    for match in _BASE64.finditer(text):
        written = match.group()
        if found := _from_base64(written):
            yield Decoded(match.start(), "base64", found, written)
    for match in _BASE32.finditer(text):
        if found := _from_base32(match.group()):
            yield Decoded(match.start(), "base32", found, match.group())
    for match in _HEX.finditer(text):
        written = match.group()
        digits = re.sub(r"^0x|[ :]", "", written)
        if len(digits) % 2 == 0 and not digits.isdigit() and (found := _readable(bytes.fromhex(digits))):
            yield Decoded(match.start(), "hexadecimal", found, written)
    yield from _escapes(text)
    yield from _numbers(text)
    yield from _by_name(text)


def _escapes(text: str) -> Iterator[Decoded]:
    if "\\" in text:
        for match in _ESCAPES.finditer(text):
            if (found := unescaped(match.group())).isprintable():
                yield Decoded(match.start(), "escapes", found, match.group())
    if "&#" in text:
        for match in _ENTITIES.finditer(text):
            yield Decoded(match.start(), "HTML entities", html.unescape(match.group()), match.group())
    if "%" in text:
        for match in _PERCENT.finditer(text):
            found = urllib.parse.unquote(match.group(), errors="replace")
            if found.isascii() and " " in found:
                yield Decoded(match.start(), "URL escapes", found, match.group())


def _numbers(text: str) -> Iterator[Decoded]:
    if "," in text:
        for match in _NUMBERS.finditer(text):
            numbers = [
                int(number, 0) if "x" in number else int(number) for number in _NUMBER.findall(match.group())
            ]
            if max(numbers) <= _LARGEST_BYTE and (found := _readable(bytes(numbers))):
                yield Decoded(match.start(), "character numbers", found, match.group())
    if "chr(" in text.lower():
        for match in _CHARACTER_CALLS.finditer(text):
            found = "".join(chr(int(number)) for number in re.findall("[0-9]{2,3}", match.group()))
            yield Decoded(match.start(), "character numbers", found, match.group())


def _by_name(text: str) -> Iterator[Decoded]:
    """Rot13 and reversed text look like any other, so only where the text itself names the code."""
    lower = text.lower()
    for signs, named, how, decode in _NAMED_CODES:
        if any(sign in lower for sign in signs) and named.search(text):
            for match in _QUOTED.finditer(text):
                quoted = next(group for group in match.groups() if group)
                found = decode(quoted)
                if _LIKELY.search(found):
                    yield Decoded(match.start(), how, found, quoted)


def _rot13(text: str) -> str:
    return codecs.decode(text, "rot13")


def _reversed(text: str) -> str:
    return text[::-1]


_NAMED_CODES: tuple[tuple[tuple[str, ...], re.Pattern[str], str, Callable[[str], str]], ...] = (
    (("rot13", "rot-13", "rot_13", "rot 13", "n-za-m"), _ROT13_NAMED, "rot13", _rot13),
    (("[::-1]", "|", ".reverse()", "backwards", "strrev"), _REVERSED_NAMED, "reversed letters", _reversed),
)


def _from_base64(written: str) -> str:
    packed = "".join(written.split()).rstrip("=")
    if len(packed) < _SHORTEST or not _looks_packed(packed):
        return ""
    altchars = b"-_" if "-" in packed or "_" in packed else b"+/"
    try:
        content = base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=altchars, validate=True)
    except (binascii.Error, ValueError):
        return ""
    return _readable(_inflated(content))


def _from_base32(written: str) -> str:
    packed = written.rstrip("=")
    try:
        return _readable(base64.b32decode(packed + "=" * (-len(packed) % 8)))
    except (binascii.Error, ValueError):
        return ""


def _looks_packed(packed: str) -> bool:
    """Leave out words, paths and names: base64 of a text has both cases, or digits, and no long run of words."""
    upper = sum(character.isupper() for character in packed[:200])
    return (
        upper > 1
        and upper < len(packed[:200])
        and packed.count("/") + packed.count("-") + packed.count("_") < 6 + len(packed) // 8
    )


def _inflated(content: bytes) -> bytes:
    if content.startswith(_GZIP) or content.startswith(_ZLIB):
        try:
            return zlib.decompressobj(wbits=47).decompress(content, MAX_DECODED)
        except zlib.error:
            return content
    return content


def _readable(content: bytes) -> str:
    """Return ``content`` as text if it is one that somebody could have written, else an empty text."""
    if len(content) < _MIN_TEXT:
        return ""
    sample = content[:400]
    if sample[1::2].count(0) > len(sample) // 3:  # PowerShell's -EncodedCommand is UTF-16
        content = content.decode("utf-16-le", errors="ignore").encode("utf-8", errors="ignore")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    fine = sum(character.isprintable() or character in "\n\t\r" for character in text[:2_000])
    return text if fine >= _PRINTABLE * min(len(text), 2_000) and _SENSE.search(text) else ""
