"""Where the hive listens: an https address, http to a loopback address, or unix:/PATH."""

from __future__ import annotations

import ipaddress
import re
import urllib.parse
from dataclasses import dataclass

from mother.errors import DamagedError, NotAllowedError

URL_NAME = "HIVE_URL"
MAX_SOCKET_PATH = 100  # sun_path is 104 on FreeBSD
_PRINTED = re.compile(r"[\x21-\x7e]{1,512}", re.ASCII)
_UNIX = "unix:"


@dataclass(frozen=True)
class Endpoint:
    """A host with TLS or without, or a Unix socket; `base` stands before the path of every request."""

    host: str
    port: int = 80
    tls: bool = False
    base: str = ""
    socket_path: str = ""


def parse_endpoint(text: str) -> Endpoint:
    """Return the endpoint written as an https address, as http to a loopback address, or as unix:/PATH.

    Raises:
        DamagedError: another spelling.
        NotAllowedError: plain http to a machine that is not this one.
    """
    bad = DamagedError(
        f"{URL_NAME} is neither an https address, nor http to a loopback address, nor unix:/PATH"
    )
    if not _PRINTED.fullmatch(text):
        raise bad
    if text.startswith(_UNIX):
        path = text[len(_UNIX) :]
        if not path.startswith("/") or len(path) > MAX_SOCKET_PATH or ".." in path.split("/"):
            raise bad
        return Endpoint("localhost", socket_path=path)
    try:
        parts = urllib.parse.urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise bad from None
    extras = parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in {"http", "https"} or not host or extras or port == 0:
        raise bad
    if parts.scheme == "http" and not is_loopback(host):
        raise NotAllowedError(
            f"{URL_NAME} is plain http to another machine", hint="ask the operator for an https address"
        )
    tls = parts.scheme == "https"
    return Endpoint(host, port or (443 if tls else 80), tls=tls, base=parts.path.rstrip("/"))


def is_loopback(host: str) -> bool:
    """Say whether ``host`` is written as this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
