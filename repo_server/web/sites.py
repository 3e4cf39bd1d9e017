"""Which of the two sites a request is for.

    Host: skills.clawdie.si    /metadata/timestamp.json        skills   /metadata/timestamp.json
    Host: PKG.clawdie.si:443   /FreeBSD:14:amd64/meta.conf     pkg      /FreeBSD:14:amd64/meta.conf
    Host: 127.0.0.1:8080       /metadata/timestamp.json        skills   /metadata/timestamp.json
    Host: 127.0.0.1:8080       /pkg/FreeBSD:14:amd64/meta.conf pkg      /FreeBSD:14:amd64/meta.conf
    Host: evil.example         anything                        421

A name that is not ours is refused instead of answered by a default site: with a default, a page on a name that
an attacker points at this address (DNS rebinding), or a shared cache, would read our answers as that name's.
"""

import enum
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from repo_server.web.config import LOOPBACK_HOSTS, WebConfig
from repo_server.web.tree import NOTHING_HERE
from signing.errors import FormatError, NotFoundError, SkillRepoError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

# Keys of the WSGI environment: what the dispatcher found out, for the views behind it.
SITE_KEY: Final = "repo_server.site"
REFUSAL_KEY: Final = "repo_server.refusal"

# Answered whatever the Host header says: load balancers ask by address, and the answers name nothing.
HEALTH_PATHS: Final = frozenset({"/healthz", "/readyz"})

# RFC 9112 section 3.2: host [":" port] and nothing else. No userinfo (ours@evil), no spaces, no list.
_HOST = re.compile(
    r"([a-z0-9][a-z0-9.-]{0,252}|\[[0-9a-f:.]{2,45}\])(?::([0-9]{1,5}))?", re.ASCII | re.IGNORECASE
)
_MAX_PORT = 65535


class Site(enum.StrEnum):
    """The two sites of one service."""

    SKILLS = "skills"
    PKG = "pkg"


class MisdirectedRequestError(SkillRepoError):
    """The request names a host that this service does not answer for."""

    code = "misdirected-request"


def parse_host(header: str) -> str:
    """Return the host of a Host header, in lower case and without its port.

    Raises:
        FormatError: missing, or not ``host`` or ``host:port``.
    """
    match = _HOST.fullmatch(header)
    if match is None or int(match[2] or 0) > _MAX_PORT:
        raise FormatError("not a host name with an optional port", where="Host")
    return match[1].lower()


def choose_site(host: str, path: str, config: WebConfig) -> tuple[Site, str]:
    """Return the site that a request is for, and its path on that site.

    Args:
        host: the Host header as it was sent; empty when there was none.
        path: the path of the request, percent-decoded.
        config: which host names are ours.

    Raises:
        FormatError: the Host header is missing or malformed.
        MisdirectedRequestError: it names a host that is not ours.
    """
    name = parse_host(host)
    if name in config.skills_hosts:
        return Site.SKILLS, path
    if name in config.pkg_hosts:
        return Site.PKG, path
    if name in LOOPBACK_HOSTS:
        for site in Site:
            prefix = f"/{site}"
            if path == prefix or path.startswith(prefix + "/"):
                return site, path.removeprefix(prefix) or "/"
        return Site.SKILLS, path
    raise MisdirectedRequestError(f"{name} is not a host that is served here")


class SiteDispatch:
    """WSGI middleware: chooses the site before the application routes, and leaves refusals for it to report."""

    def __init__(self, application: "WSGIApplication", config: WebConfig) -> None:
        self._application = application
        self._config = config

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        return self._application(self._directed(environ), start_response)

    def _directed(self, environ: dict[str, Any]) -> dict[str, Any]:
        path = environ.get("PATH_INFO") or "/"
        if path in HEALTH_PATHS:
            return environ
        try:
            site, inner = choose_site(environ.get("HTTP_HOST", ""), path, self._config)
        except SkillRepoError as error:
            return {**environ, REFUSAL_KEY: error}
        if inner.startswith("//"):
            # Werkzeug strips all leading slashes before it routes, so //x would be a second spelling of /x.
            return {**environ, REFUSAL_KEY: NotFoundError(NOTHING_HERE)}
        prefix = "" if inner == path else f"/{site}"
        script_name = environ.get("SCRIPT_NAME", "") + prefix
        return {**environ, SITE_KEY: site, "SCRIPT_NAME": script_name, "PATH_INFO": inner}
