"""Asks the API as an agent would, without a socket."""

import json
from dataclasses import dataclass, field
from typing import Any

from flask.testing import FlaskClient

from hive.activation import Activator
from hive.agents.api import Service, create_app
from hive.agents.pace import Pace
from hive.agents.rules import Rules
from hive.agents.waiting import Waiting
from tests.hive.agents.hall import Hall, now
from tests.support.activating import AtOnce


@dataclass
class Api:
    hall: Hall
    rules: Rules = field(default_factory=Rules)
    places: int = 4
    capacity: float = 10_000
    activator: Activator = field(default_factory=AtOnce)
    waiting: Waiting = field(init=False)
    client: FlaskClient = field(init=False)

    def __post_init__(self) -> None:
        self.hall.rules = self.rules
        self.waiting = Waiting(self.places)
        self.client = create_app(
            Service(
                engine=self.hall.engine,
                clock=now,
                activator=self.activator,
                rules=self.rules,
                waiting=self.waiting,
                pace=Pace(capacity=self.capacity, per_second=1),
            )
        ).test_client()

    def raw(self, path: str, data: bytes, token: str | None) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        answer = self.client.post(path, data=data, headers=headers)
        return answer.status_code, answer.data

    def ask(self, path: str, token: str | None, **body: Any) -> tuple[int, Any]:
        status, data = self.raw(path, json.dumps(body).encode(), token)
        return status, json.loads(data) if data else None

    def claim(self, token: str, agent: str, *offered: str, wait: float = 0.01) -> tuple[int, Any]:
        body = {"agent": agent, "capabilities": list(offered), "wait_seconds": wait}
        return self.ask("/v1/jobs/claim", token, **body)
