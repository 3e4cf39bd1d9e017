"""Telling people: a command with the finding on its standard input, or a webhook (edge).

    [notify]
    command = ["/usr/local/bin/tell-olga", "--now"]     # argv, no shell; JSON on stdin, 10 seconds
    webhook = "https://chat.internal/hooks/hive"        # one POST of JSON, no redirects

A message that could not be sent is itself said, and stops nothing: acting on a finding does not wait for a chat server, nor
for one that answers a byte a minute. It carries names of tenants and findings, and never a secret: no finding has one.
"""

import http.client
import json
import socket
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import SplitResult, urlsplit

from signing.errors import FormatError

_SECONDS: Final = 10.0
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


_FINE: Final = range(200, 300)
_TOO_LONG: Final = "did not answer in time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """By which ways people were told, and what went wrong with the others."""

    by: tuple[str, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notifier:
    """Where messages go; with neither, nobody is told and the audit log alone knows."""

    command: tuple[str, ...] = ()
    webhook: str = ""

    @classmethod
    def parse(cls, table: Mapping[str, Any], *, where: str) -> Self:
        """Return the notifier of the ``[notify]`` table of a policy file.

        Raises:
            FormatError: an unknown key, a command that is no argv, or a webhook that is not https.
        """
        if unknown := set(table) - {"command", "webhook"}:
            raise FormatError(f"unknown: {', '.join(sorted(unknown))}", where=where)
        command, webhook = table.get("command", []), table.get("webhook", "")
        if not isinstance(command, list) or not all(
            isinstance(word, str) and word and "\0" not in word for word in command
        ):
            raise FormatError("command is a list of words", where=where)
        if command and not command[0].startswith("/"):
            raise FormatError("command begins with an absolute path", where=where)
        if not isinstance(webhook, str) or (webhook and not _acceptable(webhook)):
            raise FormatError("webhook is an https address, or http on this machine", where=where)
        return cls(command=tuple(command), webhook=webhook)

    def tell(self, message: Mapping[str, Any]) -> Told:
        """Send ``message`` every way there is, and return what came of it; never raises for what could not be done."""
        data = json.dumps(dict(message), sort_keys=True).encode()
        ways = {"command": self._run} if self.command else {}
        ways |= {"webhook": self._post} if self.webhook else {}
        said = {way: send(data) for way, send in ways.items()}
        return Told(
            by=tuple(way for way, problem in said.items() if not problem),
            problems=tuple(f"{way}: {problem}" for way, problem in said.items() if problem),
        )

    def _run(self, data: bytes) -> str:
        try:
            done = subprocess.run(
                self.command,
                input=data,
                env={"PATH": "/usr/bin:/bin:/usr/local/bin"},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_SECONDS,
                check=False,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            return f"did not end in {_SECONDS:.0f} seconds"
        except OSError as error:
            return str(error.strerror)
        return "" if done.returncode == 0 else f"ended with {done.returncode}"

    def _post(self, data: bytes) -> str:
        parts = urlsplit(self.webhook)
        connection = _connection(parts)
        # The connection's time limit is for each byte; this one is for all of it.
        over = threading.Event()
        late = threading.Timer(_SECONDS, _cut, [connection, over])
        late.start()
        try:
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", path or "/", body=data, headers={"Content-Type": "application/json"})
            status = connection.getresponse().status
        except (OSError, ValueError, http.client.HTTPException) as error:
            return _TOO_LONG if over.is_set() else type(error).__name__
        finally:
            late.cancel()
            connection.close()
        if over.is_set():
            return _TOO_LONG  # what was cut off in the middle looks like an answer with fewer headers
        # A redirect is an answer like others that are not fine: nobody is followed elsewhere.
        return "" if status in _FINE else f"answered {status}"


def _connection(parts: SplitResult) -> http.client.HTTPConnection:
    """Return a connection that goes by no proxy and follows nobody; nothing is sent yet."""
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    return kind(parts.hostname or "", parts.port, timeout=_SECONDS)


def _cut(connection: http.client.HTTPConnection, over: threading.Event) -> None:
    """End a connection that another thread reads from; it gets an error, or an end, at once."""
    over.set()
    if (open_socket := connection.sock) is not None:
        try:
            # Not its own shutdown: a TLS socket would drop its keys first, and the rest would go in clear.
            socket.socket.shutdown(open_socket, socket.SHUT_RDWR)
        except OSError:
            return


def _acceptable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    if (
        parts.username is not None
        or not parts.hostname
        or not url.isascii()
        or not url.isprintable()
        or " " in url
    ):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
