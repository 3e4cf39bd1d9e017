"""GET, and nothing else, from the servers that a source declares, under limits (edge).

    with Web(settings.bases_of(SOURCE.bases), limits=limits, settings=settings) as web:
        skill = web.json(web.at("clawhub", "/api/v1/skills/x"), {"ownerHandle": "o"}, what="clawhub skill")
        archive = web.get(web.at("clawhub", "/api/v1/download"), max_bytes=limits.max_archive_bytes).body

`requests` alone follows redirects to anywhere, reads proxies and passwords from the environment, unpacks
compressed bodies without bound, and lets a server that sends one byte now and then go on for ever. Here: a list of
origins (scheme, host and port), HTTPS except to this machine, at most a few redirects and only inside that list, a
bound on every body, and one deadline for everything, after which the sockets are shut down under whoever waits. What is not an
answer 200 becomes an error in `answers`, the same for all sources.

A curator's token for GitHub goes to the server of the key ``github-api`` and to no other, whoever redirects there or away.
An answer that gives it back is refused: what a server says ends up in errors and in signed, public reviews.
"""

import http.client
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from repo_server.curation.limits import Deadline, Limits
from repo_server.curation.sources.answers import Answer, check_status
from repo_server.curation.sources.base import GITHUB_VARIABLE, SourceSettings, plain_fact
from repo_server.curation.textsafe import excerpt
from signing.errors import FormatError, PolicyError, TransportError, UsageError

__all__ = ["MAX_JSON_BYTES", "Answer", "Web"]

MAX_JSON_BYTES = 4 << 20
_OK = 200
_REDIRECTS = {301, 302, 303, 307, 308}
_CONNECT_SECONDS = 10.0
_READ_SECONDS = 20.0
_CHUNK = 1 << 16
_PAGE_BYTES = 1 << 20
_TELL_BYTES = 2 << 20
_HEADERS = {"User-Agent": "skillrepo", "Accept-Encoding": "identity", "Accept": "*/*"}
_AUTHORISED = "github-api"  # whom the token is for
_ALLOWANCE = {403, 429}
_UNAUTHORIZED = 401


class Web:
    """Some servers, asked until the deadline. Use as a context manager."""

    def __init__(
        self, bases: Mapping[str, str], *, limits: Limits, settings: SourceSettings | None = None
    ) -> None:
        """Prepare to ask the servers of ``bases`` (a key each, and its base URL).

        Raises:
            UsageError: one is not https, and not this machine.
        """
        self._bases = {key: url.rstrip("/") for key, url in bases.items()}
        self._origins = {_origin(url) for url in self._bases.values()}
        for origin in self._origins:
            _check_base(origin)
        self._limits, self._deadline = limits, Deadline.after(limits.seconds)
        settings = settings or SourceSettings()
        self._tell: Callable[[str], None] = settings.tell
        self._token = settings.github_token if _AUTHORISED in self._bases else ""
        self._sockets = _SocketKeeper()
        self._session = requests.Session()
        self._session.trust_env = False  # no proxies, no .netrc, no certificate bundles from the environment
        for scheme in ("http", "https"):
            self._session.mount(f"{scheme}://", self._sockets)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def at(self, key: str, path: str) -> str:
        """Return the URL of ``path`` (which begins with a slash and is quoted) below the base ``key``."""
        return self._bases[key] + path

    def allows(self, url: str, *, only: str | None = None) -> bool:
        """Return whether ``url`` is on one of the servers; with ``only``, on the one of that key."""
        allowed = self._origins if only is None else {_origin(self._bases[only])}
        try:
            return _origin(url) in allowed
        except TransportError:
            return False

    def json(
        self,
        url: str,
        parameters: Mapping[str, str] | None = None,
        *,
        what: str,
        max_bytes: int = MAX_JSON_BYTES,
    ) -> dict[str, Any]:
        """Return the JSON object at ``url``; ``what`` names it in errors.

        Raises:
            SkillRepoError: see `get`; FormatError also for anything but a JSON object.
        """
        return self.get(url, parameters, what=what, max_bytes=max_bytes).json(what)

    def get(
        self,
        url: str,
        parameters: Mapping[str, str] | None = None,
        *,
        what: str = "",
        max_bytes: int,
        only: str | None = None,
        into: Callable[[bytes], object] | None = None,
    ) -> Answer:
        """Return the answer 200 to GET ``url``; ``what`` names it in errors.

        With ``only``, the server of that key is asked and no other, by redirect neither. With ``into`` the body goes
        there piece by piece, is not held, and the answer's is empty; after an error it has had a part of it.

        Raises:
            TransportError: unreachable, too slow, overloaded, failing, or not (or redirected to what is not) on
                one of the servers.
            NotFoundError, ConflictError, PolicyError: see the table in `answers`.
            FormatError: another status, more than ``max_bytes``, fewer than announced, or encoded.
        """
        where = what or _shown(url)
        url = _prepared(url, parameters)
        for _ in range(self._limits.redirects + 1):
            if not self.allows(url, only=only):
                hint = "nothing was sent there; a mirror is named in [sources] of repository.toml"
                raise TransportError(f"leads to another server: {_shown(url)}", where=where, hint=hint)
            answer = self._one(url, where, max_bytes, into)
            if answer.status not in _REDIRECTS:
                self._check_status(answer, url, where)
                return answer
            url = _prepared(urljoin(url, answer.headers.get("location", "")))
        raise TransportError(f"redirects more than {self._limits.redirects} times", where=where)

    def _check_status(self, answer: Answer, url: str, where: str) -> None:
        """Refuse every status but 200; where GitHub's allowance is used up, or a token refused, say what to do."""
        try:
            check_status(answer, where)
        except TransportError as error:
            if self._is_tokens(url) and answer.status in _ALLOWANCE:
                more = (
                    f"the allowance of the token in {GITHUB_VARIABLE} is used up"
                    if self._token
                    else f"without a token GitHub answers 60 questions an hour: set {GITHUB_VARIABLE}"
                )
                error.hint = f"{error.hint}; {more}"
            raise
        except PolicyError as error:
            if self._token and self._is_tokens(url) and answer.status == _UNAUTHORIZED:
                error.hint = (
                    f"the token in {GITHUB_VARIABLE} is not taken: is it whole, and has it not ended?"
                )
            raise

    def _is_tokens(self, url: str) -> bool:
        """Return whether ``url`` is on the server that the token is for."""
        return _AUTHORISED in self._bases and self.allows(url, only=_AUTHORISED)

    def _headers(self, url: str) -> Mapping[str, str]:
        # Asked for each URL anew, after redirects too: requests' own way, by session, would send it along.
        authorised = self._token and self._is_tokens(url)
        return {**_HEADERS, "Authorization": f"Bearer {self._token}"} if authorised else _HEADERS

    def _one(
        self, url: str, where: str, max_bytes: int, into: Callable[[bytes], object] | None = None
    ) -> Answer:
        timeouts = (
            min(_CONNECT_SECONDS, self._deadline.remaining()),
            min(_READ_SECONDS, self._deadline.remaining()),
        )
        try:
            with (
                self._watched(),
                self._session.get(
                    url, headers=self._headers(url), stream=True, allow_redirects=False, timeout=timeouts
                ) as response,
            ):
                headers = {name.lower(): value for name, value in response.headers.items()}
                pieces: list[bytes] = []
                keep: Callable[[bytes], object]
                # What stands in a redirect or an error is not what was asked for.
                keep, most = pieces.append, max_bytes
                if into is not None:
                    keep, most = (into, most) if response.status_code == _OK else (keep, _PAGE_BYTES)
                self._body(response, headers, where, most, keep)
                body = b"".join(pieces)
                self._check_not_told(headers, body, where)
                return Answer(status=response.status_code, headers=headers, body=body)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if self._deadline.passed:
                raise self._deadline.error() from error
            message = f"{_shown(url)} cannot be reached ({type(error).__name__})"
            raise TransportError(message, where=where) from error

    def _check_not_told(self, headers: Mapping[str, str], body: bytes, where: str) -> None:
        secret = self._token
        if secret and (secret.encode() in body or any(secret in value for value in headers.values())):
            raise FormatError("answers with the token that it was asked with", where=where)

    def _body(
        self,
        response: requests.Response,
        headers: Mapping[str, str],
        where: str,
        max_bytes: int,
        keep: Callable[[bytes], object],
    ) -> None:
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise FormatError("answers compressed, which was not asked for", where=where)
        size = told = 0
        try:
            # read1 gives what has arrived; read would wait until a whole chunk has.
            while piece := response.raw.read1(_CHUNK, decode_content=False):
                size += len(piece)
                if size > max_bytes:
                    raise FormatError(f"answers with more than {max_bytes} bytes", where=where)
                keep(piece)
                self._deadline.remaining()
                if size - told >= _TELL_BYTES:
                    told = size
                    self._tell(f"{where}: {size >> 20} MiB so far")
        except urllib3.exceptions.ProtocolError as error:
            self._deadline.remaining()
            if not any(isinstance(cause, http.client.IncompleteRead) for cause in error.args):
                raise
            raise FormatError("answer ends too early", where=where) from error
        self._deadline.remaining()
        announced = headers.get("content-length", str(size))
        if announced != str(size):
            message = f"answer ends after {size} bytes, announced were {excerpt(announced)}"
            raise FormatError(message, where=where)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Shut the sockets down when the deadline passes, also while headers are dripping in."""
        timer = threading.Timer(self._deadline.remaining(), self._sockets.shut_down)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()


class _SocketKeeper(HTTPAdapter):
    """A transport that knows its open sockets and never tries twice."""

    def __init__(self) -> None:
        self._open: list[socket.socket] = []
        super().__init__(max_retries=0)

    def get_connection_with_tls_context(self, *arguments: Any, **options: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*arguments, **options)
        kept, plain = self._open, pool.ConnectionCls
        if not getattr(plain, "keeps_sockets", False):

            class Keeping(plain):  # type: ignore[valid-type, misc]  # the class depends on the scheme
                keeps_sockets = True

                def connect(self) -> None:
                    super().connect()
                    kept.append(self.sock)

            pool.ConnectionCls = Keeping
        return pool

    def shut_down(self) -> None:
        """End every connection; whoever reads from one gets an end of file."""
        for connection in self._open:
            with suppress(OSError):
                # Not connection.shutdown: a TLS socket would drop its keys first, and what is still written would go in clear.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _prepared(url: str, parameters: Mapping[str, str] | None = None) -> str:
    """Return ``url`` as it will be asked for, so that what is judged is what is asked.

    Raises:
        TransportError: it is none.
    """
    try:
        return requests.Request("GET", url, params=dict(parameters or {})).prepare().url or ""
    except (requests.RequestException, ValueError) as error:
        raise TransportError("not a URL, or a redirect to something that is none") from error


def _origin(url: str) -> tuple[str, str, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise TransportError("not a URL, or a redirect to something that is none") from error
    if parts.username is not None or parts.password is not None:
        raise TransportError("a URL with a user name in it is not followed")
    return parts.scheme, parts.hostname or "", port or {"http": 80, "https": 443}.get(parts.scheme)


def _shown(url: str) -> str:
    """Return scheme, host and port of ``url``, for messages."""
    try:
        scheme, host, _ = _origin(url)
    except TransportError:
        return "no URL"
    return f"{plain_fact(scheme)}://{plain_fact(host)}"


def _check_base(origin: tuple[str, str, int | None]) -> None:
    scheme, host, _ = origin
    if not host or scheme not in {"http", "https"}:
        raise UsageError("the base URL of a source must be https://host")
    if scheme == "http" and not _is_loopback(host):
        raise UsageError(f"plain http to {plain_fact(host)} is not accepted", hint="use https")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
