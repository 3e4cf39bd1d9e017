"""The hive's API: the token goes in, an answer or one of our errors comes out."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from mother.endpoint import URL_NAME, parse_endpoint
from mother.env_file import BEARER_NAME, load_secrets
from mother.errors import (
    LeaseLostError,
    MalformedError,
    NotAllowedError,
    NotFoundError,
    NotUnderstoodError,
    Stopped,
    UnreachableError,
)
from mother.exchange import exchange
from mother.fields import parse_object

_REPLACED = "the token was revoked or replaced; ask the operator to provision again"
_FOREIGN = (
    "this agent is banned, or its token and its lock record are not of the same agent; ask the operator"
)


class Hive:
    """The hive. Secrets are read again for each request: a rotated token is used, a withdrawn one ends work."""

    def __init__(self, home: Path, *, timeout: float, stop: threading.Event) -> None:
        self.home, self.timeout, self.stop = home, timeout, stop

    def call(
        self,
        path: str,
        body: dict[str, Any],
        *,
        wait: float = 0.0,
        timeout: float | None = None,
        stoppable: bool = False,
    ) -> dict[str, Any] | None:
        """Ask, and return the answer within ``wait`` and the time limit.

        Raises:
            MotherError: see `interpret`, `exchange` and `load_secrets`.
            Stopped: ``stoppable``, and the signal to stop came first.
        """
        variables = load_secrets(self.home)
        status, data = exchange(
            parse_endpoint(variables[URL_NAME]),
            path,
            json.dumps(body, allow_nan=False).encode(),
            {
                "Authorization": "Bearer " + variables[BEARER_NAME],
                "Content-Type": "application/json",
                "Accept": "application/json",
            },
            limit=wait + (self.timeout if timeout is None else timeout),
            check=self._check_stop if stoppable else lambda: None,
        )
        return interpret(status, data)

    def _check_stop(self) -> None:
        if self.stop.is_set():
            raise Stopped


def interpret(status: int, body: bytes) -> dict[str, Any] | None:
    """Return the object that the hive answered, or None for 204; raise for everything else.

    What stands in a refusal is not shown: whoever is in the hive's place could put our token there.
    """
    if status == 200:  # noqa: PLR2004
        return parse_object(body, what="the hive's answer")
    if status == 204:  # noqa: PLR2004
        return None
    message = f"the hive answered with status {status}"
    if 300 <= status < 400:  # noqa: PLR2004
        raise NotAllowedError(
            f"{message}: redirects are not followed", hint=f"the operator should correct {URL_NAME}"
        )
    if status == 429 or status >= 500:  # noqa: PLR2004
        raise UnreachableError(message)
    raise {
        400: NotUnderstoodError(message),
        401: NotAllowedError(f"{message}: it does not accept the token", hint=_REPLACED),
        403: NotAllowedError(f"{message}: it does not allow this", hint=_FOREIGN),
        404: NotFoundError(message, hint="the agent may have to register first"),
        409: LeaseLostError(message),
        413: NotUnderstoodError(message),
        422: NotUnderstoodError(message),
    }.get(status, MalformedError(message))
