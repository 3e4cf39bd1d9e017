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

from repo_server.curation.checks import code_names, egress
from repo_server.curation.checks.document import Document, Language, once
from repo_server.curation.checks.phrases import Phrases
from repo_server.curation.checks.shell import Command, commands_from, program_of

MAX_SAVES = 400  # of one text; more is a finding
_MAX_RUNS = 1_000  # places looked at of one name in one text
_LINES_INSIDE = 12  # behind a `cd` into what was fetched
_SHORTEST = 1
_START_OF_COMMAND = "|;&\n(`{"

FETCHING = Phrases(
    r"\b(?:curl|wget|aria2c|axel|fetch|lynx|xh|https?|iwr|irm|invoke-webrequest|invoke-restmethod|start-bitstransfer|lwp-download|tftp|ftp)(?:\.exe)?\s"
    r"|\b(?:scp|sftp|rsync)\s[^\n]{0,200}:|\baws\s{1,9}s3\s{1,9}(?:cp|sync)\s|\bgsutil\s[^\n]{0,40}\b(?:cp|rsync)\s|\bgcloud\s{1,9}storage\s{1,9}cp\s|\brclone\s{1,9}copy|\bmc\s{1,9}cp\s|\bgh\s{1,9}(?:release|run)\s{1,9}download|\bgit\s[^\n;|&]{0,80}\bclone\s|\bhg\s{1,9}clone\s|\bsvn\s{1,9}(?:co|checkout|export)\s"
    r"|\bcertutil(?:\.exe)?\s[^\n]{0,60}urlcache|\bbitsadmin(?:\.exe)?\s[^\n]{0,60}transfer|\bipfs\s{1,9}get\s|\bdownloadfile\s?\(|\bhttp\s{1,9}get\s|\bADD\s{1,9}(?:--\S{1,40}\s{1,4}){0,3}https?://"
)
_URL = re.compile(r"(?:[a-z][a-z0-9+.-]{1,9})://([^\s/\"'`<>|]{1,200})([^\s\"'`<>|?#]{0,400})", re.IGNORECASE)
_OUTPUT = re.compile(
    r"-{1,2}(?:\w{0,12}o|output|output-document|out-?file|destination|of)", re.IGNORECASE | re.ASCII
)
_ARCHIVE = re.compile(r"\.(?:tar(?:\.\w{1,4})?|t[gbx]z2?|zip|7z|rar|gz|xz|bz2|zst)$", re.IGNORECASE)
_ENV = re.compile(r"\$\{?HOME\}?|%USERPROFILE%|\$env:(?:HOME|USERPROFILE)", re.IGNORECASE)
_REMOTE = re.compile(r"^(?:[\w.-]{1,60}@)?[\w.-]{2,80}:|^\w{2,6}://")
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
_PRELOADS = re.compile(
    r"NODE_OPTIONS|LD_PRELOAD|DYLD_INSERT|BASH_ENV|PYTHONSTARTUP|PERL5OPT|RUBYOPT|JAVA_TOOL_OPTIONS|PROMPT_COMMAND"
)
_EXECUTABLE = re.compile(r"[augo]{0,4}[+=][rwst]{0,3}x|[0-7]{0,3}[1357][0-7]{0,2}$")


class Save(NamedTuple):
    """Something fetched and kept: where that is said, its name (of a file, or of a folder), and the host it comes from."""

    at: int
    name: str
    host: str
    tree: bool


class Run(NamedTuple):
    """A place at which such a name is run; *installed* when a package manager does it."""

    at: int
    save: Save
    installed: bool


@once
def saves_in(document: Document) -> list[Save]:
    """Return what ``document`` fetches and keeps, in order; at most `MAX_SAVES`."""
    found: list[Save] = []
    for match in document.places(FETCHING):
        if found and match.start() < found[-1].at:
            continue
        found += _saved(document.joined, match.start())
        if len(found) >= MAX_SAVES:
            document.crowded = True
            break
    found += _written(document)
    found += copies_of(document, found)
    return found[:MAX_SAVES]


def runs_of(document: Document, saves: list[Save], *, anywhere: bool = False) -> Iterator[Run]:
    """Yield where ``document`` runs one of ``saves``: behind it, or ``anywhere`` when it is another document's."""
    text = document.joined
    for save in {(save.name, save.tree): save for save in reversed(saves)}.values():
        if len(save.name) < _SHORTEST:
            continue
        begin, needle = 0 if anywhere else save.at + 1, save.name.lower()
        for _ in range(_MAX_RUNS):
            at = document.lower.find(needle, begin)
            if at < 0:
                break
            begin = at + len(needle)
            if _is_word(text, at, begin) and (run := _run(text, at, save, anywhere=anywhere)) is not None:
                yield run
                break
        else:
            document.crowded = True


def is_known(save: Save) -> bool:
    """Return whether it comes from a public forge or from where well-known programs are published."""
    return egress.belongs(save.host, (*egress.FORGES, *egress.OFFICIAL))


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
    lower = name.lower()
    if lower in {"chmod", "install"} and any(_EXECUTABLE.match(word) for word in words[1:]):
        return Run(command.at, save, installed=False)
    if (lower in _INTERPRETERS or name in _INTERPRETERS) and _is_program(lower, words[1:], save):
        return Run(command.at, save, installed=False)
    if lower in _INSTALLERS and _INSTALLERS[lower].intersection(words):
        return Run(command.at, save, installed=not save.tree)
    if save.tree and lower in _BUILDERS:
        return Run(command.at, save, installed=False)
    return None


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
    word = _plain(word.lstrip("<@&").strip("\"'"))
    if save.tree:
        return save.name in word.split("/")
    return word.rpartition("/")[2] == save.name


def _plain(path: str) -> str:
    path = _ENV.sub("~", path).replace("\\", "/").strip("\"'`").rstrip("/.,;")
    return path.removeprefix("./")


def _last(path: str) -> str:
    return _plain(path).rpartition("/")[2]


def _saved(text: str, at: int) -> Iterator[Save]:
    """Yield what the command at ``at`` fetches, and what the rest of its pipeline keeps of it."""
    source: Command | None = None
    host = address = ""
    for command in commands_from(text, at):
        if not command.fed:
            return
        words = program_of(command.words)
        if not words:
            continue
        if source is None:
            source = command
            url = next((found for word in words[1:] if (found := _URL.search(word))), None)
            host = egress.host_of(url[1]) if url else ""
            address = url[2] if url else ""
            yield from _kept(at, words, host, address)
        for tree, name in _redirected(words):
            yield Save(at, name, host, tree)
        if words[0] in {"tar", "bsdtar", "unzip", "cpio"} and command is not source:
            folder = _option(words, {"-C", "-d", "--directory"})
            stem = _ARCHIVE.sub("", _last(address))
            yield Save(at, _last(folder) if folder else stem, host, tree=True)


def _kept(at: int, words: tuple[str, ...], host: str, address: str) -> Iterator[Save]:
    """Yield the files that a fetching command itself writes."""
    name, rest = words[0].lower().removesuffix(".exe"), words[1:]
    if name in {"git", "hg", "svn"}:
        verb = rest.index("clone") if "clone" in rest else 0
        given = [word for word in rest[verb + 1 :] if not word.startswith("-") and not word.isdigit()]
        if given and not egress.belongs(host, egress.FORGES) and _REMOTE.match(given[0]):
            yield Save(
                at, _last(given[1] if len(given) > 1 else given[0]).removesuffix(".git"), host, tree=True
            )
        return
    if name in {"scp", "sftp", "rsync", "aws", "gsutil", "gcloud", "rclone", "mc"}:
        given = [word for word in rest if not word.startswith("-")]
        if len(given) > 1 and not _REMOTE.match(given[-1]) and _REMOTE.match(given[-2]):
            for path in (given[-1], given[-2]):
                yield Save(at, _last(path), given[-2].partition(":")[0], tree=False)
        return
    if name == "add" and rest and _REMOTE.match(rest[0]):
        yield Save(at, _last(rest[-1]) or _last(address), host, tree=False)
        return
    output = _option(rest, None)
    if output and output not in {"-", "/dev/stdout", "/dev/null", "$null", "nul", "NUL"}:
        yield Save(at, _last(output), host, tree=False)
    elif name in {"certutil", "bitsadmin", "start-bitstransfer", "ftp", "tftp", "lwp-download"} and rest:
        yield Save(at, _last(rest[-1]), host, tree=False)
    elif (
        address
        and (name in {"wget", "aria2c", "axel", "fetch"} or "-O" in rest or _remote_name(rest))
        and not output
    ):
        yield Save(at, _last(address), host, tree=False)


def _remote_name(rest: tuple[str, ...]) -> bool:
    return any(re.fullmatch(r"-[A-Za-z]{0,8}O[A-Za-z]{0,4}|--remote-name(?:-all)?", word) for word in rest)


def _option(words: tuple[str, ...], names: set[str] | None) -> str:
    """Return the value of an option: one of ``names``, or whatever means the output."""
    for at, word in enumerate(words):
        head, sign, value = word.partition("=")
        if (head in names) if names else _OUTPUT.fullmatch(head):
            if sign:
                return value
            return words[at + 1] if at + 1 < len(words) else ""
        if names is None and (glued := re.fullmatch(r"-(?:qO|O|o|so)([~./\w$-][^\s]*)", word)):
            return glued[1]
        if (
            names is None
            and re.fullmatch(r"-\w{0,6}O", word)
            and at + 1 < len(words)
            and not _URL.match(words[at + 1])
        ):
            return words[at + 1]
    return ""


def _redirected(words: tuple[str, ...]) -> Iterator[tuple[bool, str]]:
    for at, word in enumerate(words):
        if (match := re.fullmatch(r"1?>{1,2}\|?(.*)", word)) and (match[1] or at + 1 < len(words)):
            target = match[1] or words[at + 1]
            if not target.startswith(("&", "/dev/")):
                yield False, _last(target)
    if words[0] in {"tee", "sponge", "save"} and len(words) > 1:
        for word in words[1:]:
            if not word.startswith("-"):
                yield False, _last(word)
    if words[0] == "dd":
        for word in words:
            if word.startswith("of="):
                yield False, _last(word[3:])
    if words[0] == "install" and "/dev/stdin" in words:
        yield False, _last(words[-1])


_WRITES = re.compile(
    r"\b(?:open|fopen|writeFile\w{0,4}|OpenFile|Create|File\.(?:write|binwrite|open|create)|file_put_contents|createWriteStream|WriteAll\w{4,6}|IO\.\w{0,3}write|Bun\.write)\b[^\n]{0,60}?[\"'`](?P<path>(?:/|~|\.\w|\w[\w.-]{0,30}/)[\w./~-]{2,120})[\"'`]"
)


def _written(document: Document) -> Iterator[Save]:
    """Yield the files that a program in another language writes, when it fetches something."""
    if document.language is not Language.SCRIPT or document.how or not document.places(code_names.FETCHES):
        return
    for match in document.places(_WRITES, "open", "write", "create", "file_put"):
        yield Save(match.start(), _last(match["path"]), "", tree=False)


_COPY = re.compile(
    r"(?:^|[;&|(`\n]\s{0,9}|\bsudo\s{1,3})(?P<program>cp|mv|install|ln|unzip|tar|bsdtar|7z|move|copy)\s",
    re.MULTILINE,
)


def copies_of(document: Document, saves: list[Save], *, anywhere: bool = False) -> Iterator[Save]:
    """Yield the further names that ``document`` gives what was saved: copied, moved, unpacked."""
    by_name = {save.name: save for save in saves if not save.tree and len(save.name) >= _SHORTEST}
    if not by_name:
        return
    for match in document.places(
        _COPY, "cp ", "mv ", "install ", "ln ", "zip ", "tar ", "7z ", "move ", "copy "
    ):
        command = next(commands_from(document.joined, match.start("program")), None)
        words = program_of(command.words) if command is not None else ()
        source = next((by_name[_last(word)] for word in words[1:] if _last(word) in by_name), None)
        if command is None or source is None or (not anywhere and source.at >= command.at):
            continue
        if words[0] in {"unzip", "tar", "bsdtar", "7z"}:
            folder = _option(words, {"-C", "-d", "--directory"})
            yield Save(
                source.at, _last(folder) if folder else _ARCHIVE.sub("", source.name), source.host, tree=True
            )
        elif _last(words[-1]) not in {source.name, "bin", "tmp"}:
            yield Save(source.at, _last(words[-1]), source.host, tree=False)
