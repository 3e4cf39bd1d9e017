"""A server that lies: the true application, whose answers are changed on their way out."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from werkzeug.wrappers import Request, Response

from signing.format.canonical import canonical

Change = Callable[[Any], Any]


class Liar:
    """WSGI middleware. ``lies[part]`` gets the JSON of answers whose path has ``part``, and returns what is sent.

    A lie may also return bytes (sent as they are) or a whole Response.
    """

    def __init__(self) -> None:
        self.lies: dict[str, Change] = {}
        self.asked: list[str] = []
        self.app: Any = None

    def wrap(self, app: Any) -> "Liar":
        self.app = app
        return self

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        self.asked.append(f"{environ['REQUEST_METHOD']} {path}")
        lie = next((change for part, change in self.lies.items() if part in path), None)
        if lie is None:
            found: Iterable[bytes] = self.app(environ, start_response)
            return found
        environ = {key: value for key, value in environ.items() if key != "HTTP_IF_NONE_MATCH"}
        answer = Response.from_app(self.app, environ)
        data = answer.get_data()
        said = lie(json.loads(data) if answer.mimetype.endswith("json") else data)
        if not isinstance(said, Response):
            body = said if isinstance(said, bytes) else canonical(said)
            said = Response(body, status=200, mimetype=answer.mimetype)
        Request(environ).close()
        return said(environ, start_response)

    def count(self, part: str) -> int:
        """How many requests had ``part`` in method and path."""
        return sum(part in line for line in self.asked)
