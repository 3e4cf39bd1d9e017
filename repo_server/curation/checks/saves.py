"""Under which names a text keeps what it fetches: of a file, of a folder, copied, unpacked, written by a program."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from repo_server.curation.checks import code_names, egress, late
from repo_server.curation.checks.document import Document, Language, once
from repo_server.curation.checks.phrases import Phrases
from repo_server.curation.checks.shell import Command, commands_from, program_of

SHORTEST = 1
MAX_SAVES = 400  # of one text; more is a finding
FETCHING = Phrases(
    r"\b(?:curl|wget|aria2c|axel|fetch|lynx|xh|https?|iwr|irm|invoke-webrequest|invoke-restmethod|start-bitstransfer|lwp-download|tftp|ftp)(?:\.exe)?\s"
    r"|\b(?:scp|sftp|rsync)\s[^\n]{0,200}:|\baws\s{1,9}s3\s{1,9}(?:cp|sync)\s|\bgsutil\s[^\n]{0,40}\b(?:cp|rsync)\s|\bgcloud\s{1,9}storage\s{1,9}cp\s|\brclone\s{1,9}copy|\bmc\s{1,9}cp\s|\bgh\s{1,9}(?:release|run)\s{1,9}download|\bgit\s[^\n;|&]{0,80}\bclone\s|\bhg\s{1,9}clone\s|\bsvn\s{1,9}(?:co|checkout|export)\s"
    r"|\bcertutil(?:\.exe)?\s[^\n]{0,60}urlcache|\bbitsadmin(?:\.exe)?\s[^\n]{0,60}transfer|\bipfs\s{1,9}get\s|\bdownloadfile\s?\(|\bhttp\s{1,9}get\s|\bADD\s{1,9}(?:--\S{1,40}\s{1,4}){0,3}https?://"
)
_URL = late.pattern(
    r"(?:[a-z][a-z0-9+.-]{1,9})://([^\s/\"'`<>|]{1,200})([^\s\"'`<>|?#]{0,400})", re.IGNORECASE
)
_OUTPUT = late.pattern(
    r"-{1,2}(?:\w{0,12}o|output|output-document|out-?file|destination|of)", re.IGNORECASE | re.ASCII
)
_ARCHIVE = late.pattern(r"\.(?:tar(?:\.\w{1,4})?|t[gbx]z2?|zip|7z|rar|gz|xz|bz2|zst)$", re.IGNORECASE)
_REMOTE = late.pattern(r"^(?:[\w.-]{1,60}@)?[\w.-]{2,80}:|^\w{2,6}://")
_ENV = late.pattern(r"\$\{?HOME\}?|%USERPROFILE%|\$env:(?:HOME|USERPROFILE)", re.IGNORECASE)


class Save(NamedTuple):
    """Something fetched and kept: where that is said, its name (of a file, or of a folder), and the host it comes from."""

    at: int
    name: str
    host: str
    tree: bool


@once
def saves_in(document: Document) -> list[Save]:
    """Return what ``document`` fetches and keeps, in order; at most `MAX_SAVES`."""
    found: list[Save] = []
    for count, match in enumerate(document.places(FETCHING)):
        if count >= MAX_SAVES or len(found) >= MAX_SAVES:
            document.crowded = True
            break
        found += _saved(document.joined, match.start())
    found += _written(document)
    found += copies_of(document, found)
    return found[:MAX_SAVES]


def is_known(save: Save) -> bool:
    """Return whether it comes from a public forge or from where well-known programs are published."""
    return egress.belongs(save.host, (*egress.FORGES, *egress.OFFICIAL))


def plain(path: str) -> str:
    """Return ``path`` in one spelling."""
    path = _ENV.sub("~", path).replace("\\", "/").strip("\"'`").rstrip("/.,;")
    return path.removeprefix("./")


def last_of(path: str) -> str:
    """Return the name at the end of ``path``."""
    return plain(path).rpartition("/")[2]


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
            if (host and egress.is_local(host)) or "--spider" in words:
                return
            yield from _kept(at, words, host, address)
        for tree, name in _redirected(words):
            yield Save(at, name, host, tree)
        if words[0] in {"tar", "bsdtar", "unzip", "cpio"} and command is not source:
            folder = _option(words, {"-C", "-d", "--directory"})
            stem = _ARCHIVE.sub("", last_of(address))
            yield Save(at, last_of(folder) if folder else stem, host, tree=True)


def _kept(at: int, words: tuple[str, ...], host: str, address: str) -> Iterator[Save]:
    """Yield the files that a fetching command itself writes."""
    name, rest = words[0].lower().removesuffix(".exe"), words[1:]
    if name in {"git", "hg", "svn"}:
        verb = rest.index("clone") if "clone" in rest else 0
        given = [word for word in rest[verb + 1 :] if not word.startswith("-") and not word.isdigit()]
        if given and not egress.belongs(host, egress.FORGES) and _REMOTE.match(given[0]):
            yield Save(
                at, last_of(given[1] if len(given) > 1 else given[0]).removesuffix(".git"), host, tree=True
            )
        return
    if name in {"scp", "sftp", "rsync", "aws", "gsutil", "gcloud", "rclone", "mc"}:
        given = [word for word in rest if not word.startswith("-")]
        if len(given) > 1 and not _REMOTE.match(given[-1]) and _REMOTE.match(given[-2]):
            for path in (given[-1], given[-2]):
                yield Save(at, last_of(path), given[-2].partition(":")[0], tree=False)
        return
    if name == "add" and rest and _REMOTE.match(rest[0]):
        yield Save(at, last_of(rest[-1]) or last_of(address), host, tree=False)
        return
    output = _option(rest, None)
    if output and output not in {"-", "/dev/stdout", "/dev/null", "$null", "nul", "NUL"}:
        yield Save(at, last_of(output), host, tree=False)
    elif name in {"certutil", "bitsadmin", "start-bitstransfer", "ftp", "tftp", "lwp-download"} and rest:
        yield Save(at, last_of(rest[-1]), host, tree=False)
    elif (
        address
        and (name in {"wget", "aria2c", "axel", "fetch"} or "-O" in rest or _remote_name(rest))
        and not output
    ):
        yield Save(at, last_of(address), host, tree=False)


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
                yield False, last_of(target)
    if words[0] in {"tee", "sponge", "save"} and len(words) > 1:
        for word in words[1:]:
            if not word.startswith("-"):
                yield False, last_of(word)
    if words[0] == "dd":
        for word in words:
            if word.startswith("of="):
                yield False, last_of(word[3:])
    if words[0] == "install" and "/dev/stdin" in words:
        yield False, last_of(words[-1])


_WRITES = late.pattern(
    r"\b(?:open|fopen|writeFile\w{0,4}|OpenFile|Create|File\.(?:write|binwrite|open|create)|file_put_contents|createWriteStream|WriteAll\w{4,6}|IO\.\w{0,3}write|Bun\.write)\b[^\n]{0,60}?[\"'`](?P<path>(?:/|~|\.\w|\w[\w.-]{0,30}/)[\w./~-]{2,120})[\"'`]"
)


def _written(document: Document) -> Iterator[Save]:
    """Yield the files that a program in another language writes, when it fetches something."""
    if document.language is not Language.SCRIPT or document.how or not document.places(code_names.FETCHES):
        return
    for match in document.places(_WRITES, "open", "write", "create", "file_put"):
        yield Save(match.start(), last_of(match["path"]), "", tree=False)


_COPY = late.pattern(
    r"(?:^|[;&|(`\n]\s{0,9}|\bsudo\s{1,3})(?P<program>cp|mv|install|ln|unzip|tar|bsdtar|7z|move|copy)\s",
    re.MULTILINE,
)


def copies_of(document: Document, saves: list[Save], *, anywhere: bool = False) -> Iterator[Save]:
    """Yield the further names that ``document`` gives what was saved: copied, moved, unpacked."""
    by_name = {save.name: save for save in saves if not save.tree and len(save.name) >= SHORTEST}
    if not by_name:
        return
    for match in document.places(
        _COPY, "cp ", "mv ", "install ", "ln ", "zip ", "tar ", "7z ", "move ", "copy "
    ):
        command = next(commands_from(document.joined, match.start("program")), None)
        words = program_of(command.words) if command is not None else ()
        source = next((by_name[last_of(word)] for word in words[1:] if last_of(word) in by_name), None)
        if command is None or source is None or (not anywhere and source.at >= command.at):
            continue
        if words[0] in {"unzip", "tar", "bsdtar", "7z"}:
            folder = _option(words, {"-C", "-d", "--directory"})
            yield Save(
                source.at,
                last_of(folder) if folder else _ARCHIVE.sub("", source.name),
                source.host,
                tree=True,
            )
        elif last_of(words[-1]) not in {source.name, "bin", "tmp"}:
            yield Save(source.at, last_of(words[-1]), source.host, tree=False)
