"""Every host that a skill names, and what is odd about it.

A host is where data can go and where instructions can come from, so the list is part of the signed review and
of the diff between versions. Found are ``scheme://host`` in any text file, also with one slash, with backslashes
or escaped as in JSON; ``//host/`` in links; ``/dev/tcp/host/port``; and what stands behind ``curl``, ``ssh`` and
their like without a scheme. A bare ``example.com`` in a sentence is not: ``notes.md`` has the same form.

Every pattern is anchored at a word and bounded, so that the time grows with the length of the text only.
"""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from repo_server.curation.checks import late
from repo_server.curation.checks.egress import CATCHERS, CHAT_HOOKS, LOCAL, SHORTENERS, belongs
from repo_server.curation.checks.phrases import Phrases
from repo_server.curation.reading import examined
from repo_server.curation.textsafe import excerpt, visible
from repo_server.curation.tree import SourceTree
from signing.format.finding import Finding, Severity
from signing.format.manifest import MemberPath

_URL = late.pattern(r"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,20}://([^\s/\\?#\"'`<>()|]{1,300})", re.IGNORECASE)
# Browsers and many libraries read https:/host, https:////host and https:\\host as https://host.
_BENT_URL = late.pattern(
    r"(?<![a-z0-9+.-])(?:https?|wss?|ftp):(?:/(?!/)|/{3,9}|\\{2,4})([^\s/\\?#\"'`<>()|]{1,300})",
    re.IGNORECASE,
)
_LINK = late.pattern(r"(?:\]\(|href=[\"']?|src=[\"']?)//([^\s/?#\"'`<>()]{1,300})", re.IGNORECASE)
_DEVICE = late.pattern(r"/dev/(?:tcp|udp)/([^\s/\"'`;|&<>]{1,300})", re.IGNORECASE)
_COMMAND = late.pattern(
    r"(?<![\w./-])(?P<program>curl|wget|aria2c|fetch|iwr|irm|nc|ncat|netcat|ssh|scp|sftp|rsync|telnet|ping|dig|nslookup)"
    r"(?:\.exe)?[ \t](?P<words>[^\n;|&]{1,400})",
    re.IGNORECASE,
)
_SIGN_OF_URL = late.pattern(r":\\?/|:\\\\|//|/dev/", re.IGNORECASE)
_SIGN_OF_COMMAND = Phrases(
    r"\bcurl|\bwget|\baria2c|\bfetch|\biwr|\birm|\bnc(?:\.exe)?[ \t]|\bncat|\bnetcat|\bssh|\bscp|\bsftp|\brsync|\btelnet|\bping|\bdig[ \t]|\bnslookup"
)
_WORD = late.pattern(r"\"[^\"\n]*\"?|'[^'\n]*'?|[^\s\"']+")
_OUTPUT = late.pattern(r"-[A-Za-z]*o|--output|--output-document|-H|--header|-A|--user-agent", re.ASCII)
_BARE_HOST = late.pattern(
    r"(?:[\w.+-]{1,64}@)?((?:[a-z0-9_-]{1,63}\.){1,8}[a-z][a-z0-9-]{1,23}"
    r"|[0-9]{1,3}(?:\.[0-9]{1,3}){3}|0x[0-9a-f]{8}|[0-9]{8,10}|\[[0-9a-f:.]{2,45}\])\.?(?=[:/?#]|$)",
    re.IGNORECASE | re.ASCII,
)
_FILE_ENDINGS = (
    *(".md", ".txt", ".json", ".py", ".sh", ".csv", ".html", ".yaml", ".yml", ".toml", ".js", ".ts", ".xml"),
    *(".zip", ".gz", ".tar", ".tgz", ".png", ".jpg", ".pdf", ".log", ".pem", ".key", ".crt", ".pub", ".conf"),
)
_COPIES = {"scp", "rsync", "sftp"}  # their words are files unless there is a colon in them
_NAME = late.pattern(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?", re.ASCII)
_PORT = late.pattern(r":[0-9]{0,5}$", re.ASCII)
MAX_HOSTS = 2_000  # keeps a review readable by its own parser, and by people
_MAX_MENTIONS = 20_000


@dataclass(slots=True)
class _Host:
    """Where a host was named first, and how often."""

    path: str
    line: int
    shown: str
    files: set[str]
    count: int = 0
    userinfo: bool = False


class Named(NamedTuple):
    """The hosts, sorted by name, and whether they are all."""

    hosts: dict[str, _Host]
    complete: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Every host, sorted; of more than `MAX_HOSTS`, those found first and a remark."""
        return tuple(self.hosts) if self.complete else (*self.hosts, "(and more)")


def check(tree: SourceTree) -> Iterator[Finding]:
    """Yield what there is to say of the hosts that ``tree`` names."""
    yield from judged(named_in(tree))


def judged(named: Named) -> Iterator[Finding]:
    """Yield one finding for each host, and one more for each that is odd."""
    hosts, complete = named
    if not complete:
        message = f"more than {MAX_HOSTS} hosts, or {_MAX_MENTIONS} mentions of them: the rest was not listed"
        yield Finding(check="hosts.too-many-hosts", severity=Severity.BLOCK, path="", line=0, message=message)
    for name, host in hosts.items():
        times = f"{host.count} time{'s' * (host.count > 1)} in {len(host.files)} file{'s' * (len(host.files) > 1)}"
        yield _finding("listed", Severity.NOTE, host, f"names the host {name}, {times}")
        if reason := _oddity(name):
            yield _finding("odd", Severity.LOOK, host, f"{name} {reason}")
        if host.userinfo:
            message = (
                f"an address of {name} has text before an @: credentials, or a disguise of the real host"
            )
            yield _finding("userinfo", Severity.LOOK, host, message)


def named_in(tree: SourceTree) -> Named:
    """Return every host that ``tree`` names, as far as the limits allow."""
    hosts: dict[str, _Host] = {}
    mentions = 0
    for path, text in examined(tree):
        lines = text.replace("\0", "").split("\n")
        for number in _lines_with_hosts("\n".join(lines)):
            line = lines[number - 1]
            for authority, is_url in _mentions(line):
                userinfo, at, rest = authority.rpartition("@")
                name = _host(rest)
                if not name:
                    continue
                mentions += 1
                if mentions > _MAX_MENTIONS or (name not in hosts and len(hosts) >= MAX_HOSTS):
                    return Named(dict(sorted(hosts.items())), complete=False)
                host = _of(hosts, name, path, number, line)
                host.count += 1
                host.files.add(path)
                host.userinfo = host.userinfo or bool(at and is_url and userinfo != "git")
    return Named(dict(sorted(hosts.items())), complete=True)


def _lines_with_hosts(text: str) -> list[int]:
    """Return the lines, from 1, in which a host can stand: most have none, and the patterns are slow."""
    places = [match.start() for match in _SIGN_OF_URL.finditer(text)]
    lower = text.lower()
    for sign in _SIGN_OF_COMMAND.taken_apart:
        if any(needle in lower for needle in sign.sets[0].needles):
            places += [match.start() for match in sign.pattern.finditer(text)]
    found: list[int] = []
    number, counted = 1, 0
    for at in sorted(places):
        number += text.count("\n", counted, at)
        counted = at
        if not found or found[-1] != number:
            found.append(number)
    return found


def _of(hosts: dict[str, _Host], name: str, path: MemberPath, number: int, line: str) -> _Host:
    if name not in hosts:
        hosts[name] = _Host(path, number, excerpt(line), set())
    return hosts[name]


def _mentions(line: str) -> Iterator[tuple[str, bool]]:
    """Yield what stands where a host is expected, and whether that is in a URL."""
    text = line.replace("\\/", "/")
    # Cheap tests first: the patterns are slow on megabytes of data without any address.
    if ":/" in text or ":\\\\" in text:
        for pattern in (_URL, _BENT_URL):
            for match in pattern.finditer(text):
                yield match.group(1), True
    if "//" in text:
        for match in _LINK.finditer(text):
            yield match.group(1), False
    if "/dev/" in text.lower():
        for match in _DEVICE.finditer(text):
            yield match.group(1), False
    for match in _COMMAND.finditer(text):
        for host in _arguments(match["program"].lower(), match["words"]):
            yield host, False


def _arguments(program: str, words: str) -> Iterator[str]:
    """Yield the words of a command line that look like hosts; a word of prose ends the command line."""
    option, found = "", False
    for match in _WORD.finditer(words):
        word = match.group().strip("\"'`(){}<>,")
        after, option = option, ""
        if word.startswith(("-", "+", "@")):
            option = word
            continue
        host = _BARE_HOST.match(word.rstrip(".;:!") if program not in _COPIES else word)
        is_file = word.lower().endswith(_FILE_ENDINGS) and (found or program in _COPIES)
        if host and not is_file and not _OUTPUT.fullmatch(after) and (program not in _COPIES or ":" in word):
            found = True
            yield host.group(1)
        elif not after and "://" not in word and not word.startswith("$") and program not in _COPIES:
            return


def _host(authority: str) -> str:
    """Return the host of ``authority`` in one spelling, or an empty string."""
    if authority.startswith("["):
        return visible(authority[1:].partition("]")[0].lower(), keep="")
    host = _PORT.sub("", authority).lower().rstrip(".,;:!*_}]")
    return visible(host, keep="")


def _oddity(name: str) -> str:
    if name in LOCAL:
        return ""
    if _is_address(name):
        return "is an address, not a name: nobody can tell whose it is, and it can change hands"
    if not name.isascii() or "xn--" in name:
        return "is an internationalised name: it can look like another one; compare the letters"
    if not _NAME.fullmatch(name):
        return "is put together at run time, or is no host name: find out what it becomes"
    if belongs(name, CATCHERS + CHAT_HOOKS):
        return "takes or gives anything without saying whose it is (tunnel, paste, chat or request catcher)"
    if belongs(name, SHORTENERS):
        return "hides where its links lead, and can change that; write the full address"
    return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        # inet_aton also reads 2130706433, 0x7f000001 and 0177.1 as addresses, and so do browsers.
        return bool(re.fullmatch(r"(?:0x[0-9a-f]+|[0-9]+)(?:\.(?:0x[0-9a-f]+|[0-9]+)){0,3}", name, re.ASCII))
    return True


def _finding(check_id: str, severity: Severity, host: _Host, message: str) -> Finding:
    return Finding(
        check=f"hosts.{check_id}",
        severity=severity,
        path=host.path,
        line=host.line,
        message=message,
        excerpt=host.shown,
    )
