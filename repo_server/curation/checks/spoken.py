"""Command lines that a program gives in pieces: as a list of words, or put together from texts.

    subprocess.run(["curl", "-F", "f=@" + key, url])      curl -F f=@{} {}
    spawn("rm", ["-rf", home])                            rm -rf
    exec.Command("sh", "-c", "curl … | sh")               sh -c "curl … | sh"

Written out as one line they are judged as if they stood in a shell script. What is not known is left out or ``{}``.
"""

import ast
import re
from collections.abc import Iterable, Iterator

from repo_server.curation.checks import late
from repo_server.curation.checks.python_values import commands_in

HOW = "the words of a call"
MAX_LINES = 200  # of one text; more is a finding
_CALL = late.pattern(
    r"\b(?:spawn(?:Sync)?|execFile(?:Sync)?|execa|execSync|exec|Command::new|exec\.Command(?:Context)?|ProcessBuilder|Process\.(?:Start|run|start)|system|popen|capture[23]e?"
    r"|proc_open|pcntl_exec|shell_exec|passthru|System\.cmd|Deno\.Command|Bun\.spawn|os\.execute|ShellExecute|subprocess\.\w{3,15}|run_command|cmd!?)\s{0,3}\("
)
_NEEDLES = (
    "spawn",
    "exec",
    "command",
    "process",
    "system",
    "popen",
    "capture",
    "passthru",
    "subprocess",
    "cmd",
)
_STRING = late.pattern(
    r"\"((?:[^\"\\\n]|\\[^\n]){0,400})\"|'((?:[^'\\\n]|\\[^\n]){0,400})'|`([^`\n$]{0,400})`"
)
_BETWEEN = late.pattern(
    r"[\s,\[\](){}!&]{0,12}(?:\.args?|new|List\.of|Arrays\.asList|vec|String|\[\]string)?[\s,\[\](){}!&]{0,12}"
)
_PLUS = late.pattern(r"\s{0,3}(?:\+|\.\.?|<>)\s{0,3}")
_MAX_WORDS = 40


def lines_in(
    text: str, trees: Iterable[tuple[int, ast.Module]], *, python: bool
) -> Iterator[tuple[int, str]]:
    """Yield row, from 0, and text of each command line that ``text`` gives in pieces; ``trees`` are what of it was parsed."""
    for row, tree in trees:
        for line, command in commands_in(tree):
            yield row + line - 1, command
    if python:
        return
    lower = text.lower()
    if not any(needle in lower for needle in _NEEDLES):
        return
    for match in _CALL.finditer(text):
        words = list(_words(text, match.end()))
        if len(words) > 1 or (words and words[0][1]):
            yield text.count("\n", 0, match.start()), " ".join(_quoted(word) for word, _ in words)


def _words(text: str, at: int) -> Iterator[tuple[str, bool]]:
    """Yield the texts that follow each other from ``at``, and whether one was put together."""
    word: str | None = None
    glued = False
    for _ in range(_MAX_WORDS):
        plus = _PLUS.match(text, at) if word is not None else None
        between = plus or _BETWEEN.match(text, at)
        string = _STRING.match(text, between.end()) if between else None
        if string is None:
            break
        found = next((group for group in string.groups() if group is not None), "")
        at = string.end()
        if plus and word is not None:
            word, glued = word + found, True
            continue
        if word is not None:
            yield word, glued
        word, glued = found, False
    if word is not None:
        yield word, glued


def _quoted(word: str) -> str:
    return f'"{word}"' if " " in word and '"' not in word else word


_PROGRAM = late.pattern(
    r"\b(?P<name>python[0-9.]{0,4}|node|deno|bun|ruby|perl|php|lua|osascript|pwsh|powershell(?:\.exe)?|elixir|groovy|julia|rscript|raku|tclsh)\s(?P<options>[^\n\"'|;&]{0,80}?)"
    r"(?:-\w{0,8}[ceErC]\w{0,12}|eval|--eval|--print)[ \t=]{1,4}(?:\"(?P<double>(?:[^\"\\]|\\.){4,4000})\"|'(?P<single>[^']{4,4000})')",
    re.IGNORECASE | re.DOTALL,
)
_HEREDOC = late.pattern(
    r"\b(?P<name>python[0-9.]{0,4}|node|ruby|perl|php|osascript|lua)\b[^\n<|;]{0,60}<<-?[ \t]{0,3}[\"']?(?P<word>\w{1,30})[\"']?[^\n]{0,80}\n(?P<text>.{4,8000}?)\n[ \t]{0,40}(?P=word)\b",
    re.DOTALL,
)
_ENDINGS = {"python": ".py", "pwsh": ".ps1", "powershell": ".ps1"}


def programs_in(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield row, from 0, text and ending of each program given on a command line or as a here-document."""
    lower = text.lower()
    if not any(
        name in lower
        for name in (
            "python",
            "node",
            "deno",
            "bun",
            "ruby",
            "perl",
            "php",
            "lua",
            "osascript",
            "pwsh",
            "powershell",
            "elixir",
            "groovy",
            "julia",
            "rscript",
            "raku",
            "tclsh",
        )
    ):
        return
    for match in _PROGRAM.finditer(text):
        given = match["single"] or re.sub(r"\\([\"$`\\])", r"\1", match["double"] or "")
        ending = _ENDINGS.get(match["name"].lower().rstrip("0123456789.").removesuffix(".exe"), ".js")
        # One statement a line, as the reading of what flows where has it.
        yield (
            text.count("\n", 0, match.start()),
            given if ending == ".py" else re.sub(r"([;{])\s{0,9}", r"\1\n", given),
            ending,
        )
    if "<<" in text:
        for match in _HEREDOC.finditer(text):
            ending = _ENDINGS.get(match["name"].rstrip("0123456789."), ".js")
            yield text.count("\n", 0, match.start("text")), match["text"], ending
