"""Every host that a skill names, and what is odd about it.

A host is where data can go and where instructions can come from, so the list is part of the signed review and
of the diff between versions. Found are ``scheme://host`` in any text file, ``//host/`` in links, and what
stands behind ``curl``, ``wget`` and their like without a scheme. A bare ``example.com`` in a sentence is not:
``notes.md`` has the same form.
"""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass

from repo_server.curation.textsafe import excerpt, visible
from repo_server.curation.tree import SourceTree, text_of
from signing.format.review import Finding, Severity

_URL = re.compile(r"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,20}://([^\s/\\?#\"'`<>()|]{1,300})", re.IGNORECASE)
_LINK = re.compile(r"(?:\]\(|href=[\"']?|src=[\"']?)//([^\s/?#\"'`<>()]{1,300})", re.IGNORECASE)
_COMMAND = re.compile(
    r"\b(?:curl|wget|fetch|iwr|irm|nc|ncat|ssh|scp|rsync|ping|dig|nslookup)\b(?:\s+-{1,2}[\w-]{1,40}){0,8}\s+"
    r"((?:[\w.-]{1,100}@)?(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24})(?=[\s/:;|&)\"'`]|$)",
    re.IGNORECASE,
)
_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?", re.ASCII)
_PORT = re.compile(r":[0-9]{0,5}$", re.ASCII)
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0"})  # noqa: S104 - named in a text, not bound
# Services whose purpose is to receive anything from anybody, or to hide where a link leads.
_CATCHERS = (
    *(
        "webhook.site",
        "requestbin.com",
        "requestbin.net",
        "pipedream.net",
        "beeceptor.com",
        "requestcatcher.com",
    ),
    *("interact.sh", "oast.fun", "oast.live", "oast.me", "oast.online", "oast.pro", "oast.site", "dnslog.cn"),
    *("burpcollaborator.net", "ngrok.io", "ngrok.app", "ngrok-free.app", "trycloudflare.com", "serveo.net"),
    *("loca.lt", "localhost.run", "pastebin.com", "paste.ee", "rentry.co", "hastebin.com", "termbin.com"),
    *("transfer.sh", "0x0.st", "file.io", "gofile.io", "catbox.moe", "hooks.slack.com", "api.telegram.org"),
    *("discord.com", "discordapp.com", "gist.githubusercontent.com"),
)
_SHORTENERS = (
    *("bit.ly", "t.co", "tinyurl.com", "is.gd", "v.gd", "goo.gl", "ow.ly", "cutt.ly", "rb.gy", "t.ly"),
    *("rebrand.ly", "shorturl.at", "tiny.cc", "buff.ly", "s.id", "dub.sh", "shorten.ly"),
)
MAX_HOSTS = 5_000  # keeps a review readable by its own parser


@dataclass(slots=True)
class _Host:
    """Where a host was named first, and how often."""

    path: str
    line: int
    shown: str
    files: set[str]
    count: int = 0
    userinfo: bool = False


def check(tree: SourceTree) -> Iterator[Finding]:
    """Yield one finding for each host, and one more for each that is odd."""
    for name, host in _collect(tree).items():
        times = f"{host.count} time{'s' * (host.count > 1)} in {len(host.files)} file{'s' * (len(host.files) > 1)}"
        yield _finding("listed", Severity.NOTE, host, f"names the host {name}, {times}")
        if reason := _oddity(name):
            yield _finding("odd", Severity.LOOK, host, f"{name} {reason}")
        if host.userinfo:
            message = (
                f"an address of {name} has text before an @: credentials, or a disguise of the real host"
            )
            yield _finding("userinfo", Severity.LOOK, host, message)


def hosts_of(tree: SourceTree) -> tuple[str, ...]:
    """Return every host that ``tree`` names, sorted; of more than `MAX_HOSTS`, the first and their number."""
    names = tuple(_collect(tree))
    left = len(names) - MAX_HOSTS
    return names if left <= 0 else (*names[:MAX_HOSTS], f"(and {left} more)")


def _collect(tree: SourceTree) -> dict[str, _Host]:
    hosts: dict[str, _Host] = {}
    for path, file in tree.files.items():
        text = text_of(file.content)
        if text is None:
            continue
        for number, line in enumerate(text.split("\n"), start=1):
            # Cheap tests first: the patterns are slow on megabytes of data without any address.
            found = (
                [match for pattern in (_URL, _LINK) for match in pattern.finditer(line)]
                if "//" in line
                else []
            )
            found += _COMMAND.finditer(line) if "." in line else []
            for match in found:
                userinfo, at, authority = match.group(1).rpartition("@")
                if name := _host(authority):
                    host = hosts.setdefault(name, _Host(path, number, excerpt(line), set()))
                    host.count += 1
                    host.files.add(path)
                    host.userinfo = host.userinfo or bool(at and match.re is _URL and userinfo != "git")
    return dict(sorted(hosts.items()))


def _host(authority: str) -> str:
    """Return the host of ``authority`` in one spelling, or an empty string."""
    if authority.startswith("["):
        return visible(authority[1:].partition("]")[0].lower(), keep="")
    host = _PORT.sub("", authority).lower().rstrip(".,;:!*_}]")
    return visible(host, keep="")


def _oddity(name: str) -> str:
    if name in _LOCAL:
        return ""
    if _is_address(name):
        return "is an address, not a name: nobody can tell whose it is, and it can change hands"
    if not name.isascii() or "xn--" in name:
        return "is an internationalised name: it can look like another one; compare the letters"
    if not _NAME.fullmatch(name):
        return "is put together at run time, or is no host name: find out what it becomes"
    if _belongs(name, _CATCHERS):
        return "takes or gives anything without saying whose it is (tunnel, paste, chat or request catcher)"
    if _belongs(name, _SHORTENERS):
        return "hides where its links lead, and can change that; write the full address"
    return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        # inet_aton also reads 2130706433, 0x7f000001 and 0177.1 as addresses, and so do browsers.
        return bool(re.fullmatch(r"(?:0x[0-9a-f]+|[0-9]+)(?:\.(?:0x[0-9a-f]+|[0-9]+)){0,3}", name, re.ASCII))
    return True


def _belongs(name: str, domains: tuple[str, ...]) -> bool:
    return any(name == domain or name.endswith(f".{domain}") for domain in domains)


def _finding(check_id: str, severity: Severity, host: _Host, message: str) -> Finding:
    return Finding(
        check=f"hosts.{check_id}",
        severity=severity,
        path=host.path,
        line=host.line,
        message=message,
        excerpt=host.shown,
    )
