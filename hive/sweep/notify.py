"""Telling people: a command with the finding on its standard input, or a webhook (edge).

    [notify]
    command = ["/usr/local/bin/tell-olga", "--now"]     # argv, no shell; JSON on stdin, 10 seconds
    webhook = "https://chat.internal/hooks/hive"        # one POST of JSON, no redirects

A message that could not be sent is itself said, and stops nothing: acting on a finding does not wait for a chat server. It
carries names of tenants and findings, and never a secret: no finding has one.
"""

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn, Self
from urllib.parse import urlsplit

from signing.errors import FormatError

_SECONDS: Final = 10.0
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, *others: Any) -> NoReturn:
        headers = others[1]
        raise urllib.error.HTTPError(req.full_url, code, "redirects are not followed", headers, fp)


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
        if not isinstance(command, list) or not all(isinstance(word, str) and word for word in command):
            raise FormatError("command is a list of words", where=where)
        if command and not command[0].startswith("/"):
            raise FormatError("command begins with an absolute path", where=where)
        if not isinstance(webhook, str) or (webhook and not _acceptable(webhook)):
            raise FormatError("webhook is an https address, or http on this machine", where=where)
        return cls(command=tuple(command), webhook=webhook)

    def tell(self, message: Mapping[str, Any]) -> list[str]:
        """Send ``message`` and return what could not be done, for the log; never raises for that."""
        data = json.dumps(dict(message), sort_keys=True).encode()
        problems = []
        if self.command and (problem := self._run(data)):
            problems.append(f"command: {problem}")
        if self.webhook and (problem := self._post(data)):
            problems.append(f"webhook: {problem}")
        return problems

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
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked when the policy was read
            self.webhook, data=data, headers={"Content-Type": "application/json"}, method="POST"
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects())
        try:
            with opener.open(request, timeout=_SECONDS) as answer:
                answer.read(1)
        except (OSError, ValueError) as error:
            return type(error).__name__
        return ""


def _acceptable(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if parts.username is not None or not parts.hostname:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
