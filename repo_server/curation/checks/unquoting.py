r"""Commands as a shell reads them, so that a word spelled apart is judged like the word.

    c""url  cu\rl  c'u'rl  c**ur**l  "cu" + "rl"   ->  curl
    $'\x63\x75rl'  ${IFS}  u=https://x.example; curl $u    ->  curl, a blank, curl https://x.example

Nobody who means well writes a command's name in pieces, so `unquoted` also returns where that was done. Only names
that can do harm are put together; ``don''t`` and ``C:\Users`` stay what they are. Line feeds stay where they are.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from repo_server.curation.checks import late

_MAX_VALUE = 400
_SURROGATES = range(0xD800, 0xE000)
_MAX_GROWTH = 4  # a text may become this many times as long, and no longer

# Programs and calls of which a disguised spelling is never an accident.
HARMFUL = frozenset(
    [
        "curl",
        "wget",
        "bash",
        "zsh",
        "sudo",
        "eval",
        "exec",
        "base64",
        "python",
        "python3",
        "perl",
        "ruby",
        "node",
        "powershell",
        "pwsh",
        "iex",
        "iwr",
        "irm",
        "netcat",
        "ncat",
        "socat",
        "chmod",
        "system",
        "openssl",
        "invoke-expression",
        "invoke-webrequest",
        "invoke-restmethod",
        "osascript",
        "crontab",
        "launchctl",
        "xattr",
        "subprocess",
        "popen",
        "urlopen",
        "requests",
        "fetch",
        "ssh",
        "scp",
        "b64decode",
        "shell",
        "token",
        "secret",
        "password",
        "credentials",
    ]
)
_PIECES = late.pattern(
    r"(?<![\w\\/.:-])(?:[\"']?\w{1,20}[\"']?(?:\"\"|''|\\|\*{1,2}|``|\^|\$@|\$\{?[0-9]\}?|(?<=\w)[\"'](?=\w)|(?<=[\"'])(?=\w))){1,12}\w{1,20}[\"']?(?![\w/])"
)
# What stands within a word that is written in pieces; most texts have none, and the pattern above is slow.
# It begins with the sign, and only then looks back: most characters are none, and cost one look at a table.
_JOINED = late.pattern(
    r"[\"'\\*`^$](?:(?<=\w\")\"\w|(?<=\w')'\w|(?<=\w[\\*^])\w|(?<=\w\*)\*\w|(?<=\w`)`\w|(?<=\w\$)(?:@|\{?[0-9]\}?)\w"
    r"|(?<=\w[\"'])\w{1,9}[\"']|(?<=[\"'])\w{1,9}[\"'](?:\w|[\"']\w))"
)
_JOINTS = late.pattern(r"[\"'`\\*^]|\$@|\$\{?[0-9]\}?")
_CONCATENATED = late.pattern(r"(?<=\w)([\"'])\s{0,3}\+\s{0,3}([\"'])(?=\w)")
_IFS = late.pattern(r"\$\{?IFS(?:[%:#][^}\n]{0,20})?\}?|\$\{IFS\}")
_ANSI_QUOTED = late.pattern(r"\$'((?:[^'\\\n]|\\[^\n]){1,400})'")
_ESCAPE = late.pattern(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|([0-7]{3})|(.))")
_ECHOED = late.pattern(
    r"\$\(\s{0,3}(?:echo|printf)\s{1,3}(?:-\w{1,3}\s{1,3})?[\"']?([\w./:-]{1,60})[\"']?\s{0,3}\)"
)
_ASSIGNED = late.pattern(
    r"(?:^|[;&|(\s])(?:export\s{1,3}|local\s{1,3}|readonly\s{1,3}|set\s{1,3}|\$)?([A-Za-z_]\w{0,40})\s{0,3}=\s{0,3}"
    r"(\"[^\"\n$`]{1,400}\"|'[^'\n]{1,400}'|[\w./:@?&=%+~-]{1,400})(?=[\s;&|)]|$)",
    re.MULTILINE,
)
_USED = late.pattern(r"\$\{?([A-Za-z_]\w{0,40})\}?")


class Unquoted(NamedTuple):
    """The text as it is read, the offsets in it at which a harmful word was spelled apart, and whether values were left out."""

    text: str
    apart: tuple[int, ...]
    crowded: bool = False


def unquoted(text: str) -> Unquoted:
    """Return ``text`` with disguised words put together and variables replaced by their values."""
    if "$'" in text:
        text = _ANSI_QUOTED.sub(_without_line_feed(lambda match: unescaped(match.group(1))), text)
    if "IFS" in text:
        text = _IFS.sub(" ", text)
    if "+" in text and _CONCATENATED.search(text):
        text = _CONCATENATED.sub(_without_line_feed(lambda _: ""), text)
    if "$(echo" in text or "$(printf" in text:
        text = _ECHOED.sub(r"\1", text)
    text, crowded = _with_values(text)
    return _put_together(text)._replace(crowded=crowded)


def unescaped(text: str) -> str:
    r"""Return ``text`` with ``\x63``, ``\u0063`` and ``\143`` written as the character."""
    return _ESCAPE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    hexadecimal, unicode_, octal, other = match.groups()
    if other is not None:
        return {"n": " ", "t": " ", "r": " "}.get(other, str(other))
    code = int(octal, 8) if octal else int(hexadecimal or unicode_, 16)
    # A line feed would move all lines behind it, and the end of a line is as good as a blank here.
    return chr(code) if code != ord("\n") and code not in _SURROGATES else " "


def _without_line_feed(function: Callable[[re.Match[str]], str]) -> Callable[[re.Match[str]], str]:
    return lambda match: function(match) + "\n" * match.group().count("\n")


def _put_together(text: str) -> Unquoted:
    if not _JOINED.search(text):
        return Unquoted(text, ())
    pieces, apart, end, length = [], [], 0, 0
    for match in _PIECES.finditer(text):
        word = _JOINTS.sub("", match.group())
        piece = match.group()
        if word.lower() not in HARMFUL or "\n" in piece or word == piece.strip("\"'"):
            continue
        if piece.count("'") % 2 or piece.count('"') % 2:
            continue  # the request's
        pieces += [text[end : match.start()], word]
        length += match.start() - end
        apart.append(length)
        length += len(word)
        end = match.end()
    return Unquoted("".join([*pieces, text[end:]]), tuple(apart))


def _with_values(text: str) -> tuple[str, bool]:
    """Return ``text`` with ``$name`` replaced by what was assigned to it last before, and whether that grew too long."""
    if "$" not in text or "=" not in text:
        return text, False
    assignments = list(_ASSIGNED.finditer(text))
    if not assignments:
        return text, False
    names = {match.group(1) for match in assignments}
    pieces: list[str] = []
    values: dict[str, str] = {}
    end, room, waiting = 0, _MAX_GROWTH * len(text), iter(assignments)
    following = next(waiting, None)
    for use in _USED.finditer(text):
        while following is not None and following.end() <= use.start():
            values[following.group(1)] = following.group(2).strip("\"'")
            following = next(waiting, None)
        value = values.get(use.group(1)) if use.group(1) in names else None
        if value is None or len(value) > _MAX_VALUE:
            continue
        if room < len(value):
            return "".join([*pieces, text[end:]]), True
        room -= len(value)
        pieces += [text[end : use.start()], value]
        end = use.end()
    return "".join([*pieces, text[end:]]), False
