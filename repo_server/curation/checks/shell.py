"""Commands of one line, as a shell takes them apart, and whether one of them runs what is piped into it.

    curl -s u | tee /tmp/x | sudo -E bash -s -- --yes      the last one does
    curl -s u | python3 -m json.tool                       an interpreter that reads data: its program is given
    curl -s u | while read -r l; do eval "$l"; done        a loop is fed by what stands before it

It is not a shell: no expansion, no nesting. A bracket, a backtick and the end of the line each end a command.
"""

import posixpath
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from repo_server.curation.checks import late

_REACH = 2_000
_MAX_COMMANDS = 60
_QUOTED_SINCE = 400
_TOKEN = late.pattern(
    r"(?P<blank>[ \t]+)|(?P<sign>\|\||&&|\|&|[<>$]\(|[|;()`\n])"
    r"|(?P<word>(?:[0-9]?[<>]&[0-9-]?|&>{1,2}|\"(?:[^\"\\\n]|\\[^\n])*\"|'[^'\n]*'|\\[^\n]|[^\s|;&()`\"'\\$]|\$(?!\()|[\"'\\])+)|(?P<background>&)"
)
_LOOPS = frozenset({"while", "until", "for", "if", "{", "("})
_ENDS_OF_LOOPS = frozenset({"done", "fi", "}", ")"})
_ENDS = frozenset({"&&", "||", ";", "&"})
_KEYWORDS = frozenset({"do", "then", "else", "!", "if", "while", "until", "{", "$", ">", "%"})
_PREFIXES = frozenset(
    [
        "sudo",
        "doas",
        "env",
        "nohup",
        "exec",
        "command",
        "time",
        "nice",
        "ionice",
        "timeout",
        "setsid",
        "stdbuf",
        "unbuffer",
        "chronic",
        "builtin",
        "caffeinate",
        "busybox",
        "RUN",
        "proxychains",
        "proxychains4",
        "torsocks",
        "winpty",
        "start",
    ]
)
_WITH_VALUE = frozenset(
    [
        "-u",
        "-g",
        "-n",
        "-k",
        "-s",
        "-C",
        "-S",
        "-p",
        "-h",
        "-r",
        "-t",
        "-c",
        "-a",
        "-I",
        "-P",
        "-L",
        "-d",
        "-E",
        "--user",
        "--signal",
        "--chdir",
    ]
)
_SHELLS = frozenset(
    [
        "sh",
        "bash",
        "zsh",
        "dash",
        "ksh",
        "mksh",
        "ash",
        "fish",
        "csh",
        "tcsh",
        "rbash",
        "oksh",
        "xonsh",
        "nu",
        "elvish",
    ]
)
# The options of an interpreter that are followed by a program, and those followed by something else.
_GIVEN: dict[str, str] = {
    **dict.fromkeys(_SHELLS, "c"),
    **dict.fromkeys(("python", "python2", "python3", "pypy", "pypy3", "micropython", "uv"), "cm"),
    **dict.fromkeys(("perl", "ruby"), "eE"),
    **dict.fromkeys(("node", "nodejs", "bun", "deno", "tsx", "ts-node"), "ep"),
    **dict.fromkeys(
        ("lua", "luajit", "Rscript", "julia", "osascript", "guile", "elixir", "scala", "groovy"), "e"
    ),
    **dict.fromkeys(("php",), "rfBRE"),
    **dict.fromkeys(("pwsh", "powershell"), ""),
    **dict.fromkeys(
        ("tclsh", "expect", "gdb", "erl", "swift", "racket", "sbcl", "jshell", "ghci", "irb"), ""
    ),
}
_TAKES_VALUE = {
    "python3": "WX",
    "python": "WX",
    "perl": "IMm",
    "ruby": "rIC",
    "node": "r",
    "osascript": "l",
    "php": "d",
}
_STDIN = frozenset({"-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0", "/dev/fd/3", "con"})
_LONG_GIVEN = late.pattern(r"--?(?:eval|print|execute|command|encodedcommand|file|run|c)\b", re.IGNORECASE)
_SHELL_RUNS = late.pattern(
    r"\beval\b|\bsource\b|/dev/stdin|\|\s{0,9}\w{0,3}sh\b|\$\(\s{0,3}cat\s{0,3}\)|^\W{0,3}\w{0,3}sh(?:\s+-s?)?\W{0,3}$"
)
_PROGRAM_RUNS = late.pattern(
    r"(?<![.\w$])(?:exec|eval|compile|execfile|load|loadstring|assert|qx|system|popen|Function|spawn\w{0,4}|execSync)\s{0,3}[(\"'$ {]"
    r"|\b(?:os\.(?:system|popen|exec\w{1,3})|subprocess\.|child_process|vm\.\w|(?:instance|class|module)_eval|shell_exec|passthru|do shell script|marshal\.|pickle\.|__import__|Kernel\.|runInThisContext)"
)
_VERSION = late.pattern(r"(?<=[a-z])[0-9]+(?:\.[0-9]+){1,2}$")


class Command(NamedTuple):
    """One command: where it begins, its words without quotes, and whether it reads what the first one of the line wrote."""

    at: int
    words: tuple[str, ...]
    fed: bool
    end: int


def commands_from(text: str, at: int) -> Iterator[Command]:
    """Yield the commands of ``text`` from ``at`` to the end of its line; the first one is the one that is fed."""
    words: list[str] = []
    begin, fed, loops, count = at, True, 0, 0
    end = _end_of_quotation(text, at)
    place = at
    while place < end:
        match = _TOKEN.match(text, place, end)
        if match is None:
            place += 1
            continue
        place = match.end()
        if word := match["word"]:
            if not words:
                begin = match.start()
            words.append(_bare(word))
            continue
        sign = match["sign"] or match["background"]
        if not sign:
            continue
        if words:
            count += 1
            yield Command(begin, tuple(words), fed or loops > 0, match.start())
        if sign in {"\n", "`"} or count >= _MAX_COMMANDS:
            return
        loops = _loops(words[0] if words else sign, loops, fed=fed)
        fed = (fed or loops > 0) if sign in {"|", "|&"} else fed and not words and sign not in _ENDS
        words = []
    if words:
        yield Command(begin, tuple(words), fed or loops > 0, place)


def _end_of_quotation(text: str, at: int) -> int:
    """Return where the text ends in which the command at ``at`` is quoted, as in JSON; else where its line is left."""
    end = min(len(text), at + _REACH)
    line = text[max(text.rfind("\n", 0, at) + 1, at - _QUOTED_SINCE) : at].replace('\\"', "")
    for quote in ('"', "'"):
        opened = line.rfind(quote)
        before = line[opened - 1 : opened] if opened > 0 else ""
        if opened >= 0 and line.count(quote) % 2 and not before.isalnum():
            closing = re.compile(rf"(?<!\\){quote}").search(text, at, end)
            end = closing.start() if closing else end
    return end


def _loops(word: str, loops: int, *, fed: bool) -> int:
    if word in _LOOPS and (fed or loops):
        return loops + 1
    return max(0, loops - (word in _ENDS_OF_LOOPS))


def _bare(word: str) -> str:
    if len(word) > 1 and word[0] == word[-1] and word[0] in "\"'":
        return word[1:-1]
    return word.replace('"', "").replace("'", "").rstrip("\\") if "$(" not in word else word


def program_of(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return ``words`` without what only starts them (``sudo -E``, ``env A=b``), the program by its name alone."""
    rest = list(words)
    while rest:
        name = posixpath.basename(rest[0])
        if rest[0] in _KEYWORDS or re.match(r"[A-Za-z_]\w*=", rest[0]):
            rest.pop(0)
        elif name in _PREFIXES and len(rest) > 1:
            rest.pop(0)
            while rest and (rest[0].startswith("-") or re.fullmatch(r"[0-9.]+[smhd]?", rest[0])):
                taken = rest.pop(0)
                if (
                    taken in _WITH_VALUE
                    and name != "env"
                    and not (name == "sudo" and taken in {"-E", "-n", "-S"})
                ):
                    rest[:1] = []
        else:
            break
    if not rest:
        return ()
    name = posixpath.basename(rest[0].replace("\\", "/")).removesuffix(".exe")
    return (_VERSION.sub("", name) or name, *rest[1:])


def runs_its_input(words: tuple[str, ...]) -> bool:
    """Return whether the command runs what it reads: an interpreter without a program, ``eval``, ``at``, ``crontab -``."""
    if words and re.match(r"\$\{?(?:SHELL|BASH|0)\b", words[0]):
        words = ("sh", *words[1:])
    words = program_of(words)
    if not words:
        return False
    name, rest = words[0], words[1:]
    if name in _GIVEN:
        return _interprets(name, rest)
    if name in _OTHERS:
        return _OTHERS[name](rest)
    if name in {
        "ssh",
        "docker",
        "podman",
        "kubectl",
        "nerdctl",
        "lxc",
        "wsl",
        "chroot",
        "nsenter",
        "su",
        "runuser",
        "npx",
        "uv",
    }:
        inner = next((at for at, word in enumerate(rest) if posixpath.basename(word) in _GIVEN), None)
        return inner is not None and runs_its_input(rest[inner:])
    return False


def _evaluates(rest: tuple[str, ...]) -> bool:
    return any("$" in word or word in {"-", "(cat)"} for word in rest)


def _sources(rest: tuple[str, ...]) -> bool:
    return not rest or rest[0] in _STDIN or rest[0].startswith("/dev/fd/")


def _runs_lines(rest: tuple[str, ...]) -> bool:
    return not [word for word in rest if not word.startswith("-") and not word.isdigit()]


def _waits(rest: tuple[str, ...]) -> bool:
    return not any(word in {"-f", "-l", "-c"} for word in rest)


def _told_to_read(rest: tuple[str, ...]) -> bool:
    return not _STDIN.isdisjoint(rest)


def _interprets(name: str, rest: tuple[str, ...]) -> bool:
    shell = name in _SHELLS
    runs = _SHELL_RUNS if shell else _PROGRAM_RUNS
    at = 0
    while at < len(rest):
        word = rest[at]
        if word in _STDIN or re.match(r"<(?:&[0-9]|\()|<$", word):
            return True
        if re.match(r"[0-9]?>|&>|2>&1", word):
            at += 1 if re.search(r"[\w/&-]$", word) else 2
        elif word == "--" or (shell and re.fullmatch(r"-\w*s\w*", word)):
            return word != "--" or at + 1 == len(rest)
        elif not word.startswith(("-", "+")):
            return name in {"deno", "bun", "uv"} and word == "run" and bool(_STDIN.intersection(rest[at:]))
        elif name in {"pwsh", "powershell"} and re.match(r"-(?:c|command|f|file)", word, re.IGNORECASE):
            given = " ".join(rest[at + 1 :])
            return given.strip() == "-" or bool(
                re.search(r"\biex\b|invoke-expression|\$input", given, re.IGNORECASE)
            )
        elif (
            not word.startswith("--") and any(sign in word[1:] for sign in _GIVEN[name])
        ) or _LONG_GIVEN.match(word):
            if name.startswith("py") and "m" in word[1:]:
                return False
            return bool(runs.search(" ".join(rest[at + 1 : at + 12])))
        else:
            at += 2 if word[1:2] in _TAKES_VALUE.get(name, "") and len(word) == len("-r") else 1
            if (
                len(word) > 1
                and name in {"pwsh", "powershell"}
                and re.match(r"-(?:ex|ep|w|v|o|i)", word, re.IGNORECASE)
            ):
                at += 1
    return True


def _xargs(rest: tuple[str, ...]) -> bool:
    """``xargs sh -c`` runs each line, ``xargs -I{} sh -c '{}'`` too; ``xargs sh a.sh`` runs a file that is there."""
    at, sign = 0, "{}"
    while at < len(rest) and rest[at].startswith("-"):
        if rest[at].startswith("-I"):
            sign = rest[at][2:] or (rest[at + 1] if at + 1 < len(rest) else "{}")
        at += 2 if rest[at] in _WITH_VALUE else 1
    words = program_of(rest[at:])
    if not words or words[0] not in _SHELLS:
        return bool(words) and words[0] == "eval"
    if "-c" not in words:
        return len(words) == 1
    given = words[words.index("-c") + 1 :]
    text = given[0].strip() if given else ""
    return not text or text.startswith((sign, "$0", "$1", "$@", "$*", "eval"))


_OTHERS: dict[str, Callable[[tuple[str, ...]], bool]] = {
    "xargs": _xargs,
    "eval": _evaluates,
    **dict.fromkeys(("source", "."), _sources),
    "parallel": _runs_lines,
    **dict.fromkeys(("at", "batch"), _waits),
    **dict.fromkeys(("crontab", "make", "gmake"), _told_to_read),
}
