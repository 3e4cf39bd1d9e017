"""The API that agents speak, over the rules of this package (edge). Loaded by `hive serve` only.

Every request is a POST with a strict JSON object and the agent's own token. The token says who asks; whatever the body
says about that must agree. One tenant's agent can name another's jobs as it likes: to it they do not exist.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from flask import Flask, Response, request
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from werkzeug.exceptions import HTTPException

from hive.activation import Activator, NotActivatedError, note_reason
from hive.agents import jobs, leases, registry, routing, wire
from hive.agents.answering import answer_of
from hive.agents.due import concerned
from hive.agents.errors import NotNowError, TokenRefusedError, TooLargeError
from hive.agents.jobs import NewJob
from hive.agents.names import BIRTH, AgentId, Capability, JobId, parse_job_id, parse_kind
from hive.agents.offers import offers_for
from hive.agents.pace import Pace
from hive.agents.routing import Claimed
from hive.agents.rules import MAX_ATTEMPTS, Rules
from hive.agents.standing import Standing, load_present
from hive.agents.states import OPEN
from hive.agents.tokens import authenticate
from hive.agents.waiting import Waiting
from hive.agents.wire import Registration
from hive.db.session import snapshot, transaction
from signing.errors import HostError, NotEntitledError, NotFoundError, SkillRepoError
from signing.format.fields import Fields
from signing.format.names import TenantId

MAX_BODY: Final = 5 << 20
_TOO_LARGE: Final = 413
_SMALL: Final = 64 << 10
_COUNTS_AS_ONE: Final = 96 << 10  # bytes; the largest body costs less than an agent has at most
_LARGE: Final = frozenset({"/v1/agents/register", "/v1/jobs/submit", "/v1/jobs/<job>/complete"})
_LARGE_AT_ONCE: Final = 4
_LARGE_SECONDS: Final = 5
_BEARER: Final = "Bearer "
_GONE: Final = "waitress.client_disconnected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What the API works with."""

    engine: Engine
    clock: Callable[[], datetime]
    activator: Activator
    rules: Rules = field(default_factory=Rules)
    waiting: Waiting = field(default_factory=lambda: Waiting(64))
    pace: Pace = field(default_factory=lambda: Pace(capacity=60, per_second=10))


def create_app(service: Service) -> Flask:
    """Return the application."""
    app = Flask("hive", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    agents, work = _Agents(service), _Jobs(service)
    routes: dict[str, Callable[..., Response]] = {
        "/v1/agents/register": agents.register,
        "/v1/agents/heartbeat": agents.heartbeat,
        "/v1/agents/capabilities": agents.capabilities,
        "/v1/jobs/submit": work.submit,
        "/v1/jobs/claim": work.claim,
        "/v1/jobs/<job>/heartbeat": work.heartbeat,
        "/v1/jobs/<job>/complete": work.complete,
        "/v1/jobs/<job>/fail": work.fail,
        "/v1/jobs/<job>/refuse": work.refuse,
        "/v1/jobs/<job>/show": work.show,
        "/v1/jobs/<job>/cancel": work.cancel,
    }
    large = threading.BoundedSemaphore(_LARGE_AT_ONCE)
    for path, view in routes.items():
        bounded = _few_large(view, large) if path in _LARGE else _small(view)
        app.add_url_rule(
            path, endpoint=path, view_func=bounded, methods=["POST"], provide_automatic_options=False
        )
    app.register_error_handler(SkillRepoError, _refused)
    app.register_error_handler(HTTPException, _not_ours)
    app.register_error_handler(SQLAlchemyError, _failed)
    return app


def _small(view: Callable[..., Response]) -> Callable[..., Response]:
    """Read no large body where none is needed."""

    def bounded(**given: str) -> Response:
        if (request.content_length or 0) > _SMALL:  # without a length, no body is read
            raise TooLargeError(f"larger than {_SMALL} bytes")
        return view(**given)

    return bounded


def _few_large(view: Callable[..., Response], large: threading.BoundedSemaphore) -> Callable[..., Response]:
    """Let few large bodies in at once: a megabyte of small lists is a hundred of memory."""

    def bounded(**given: str) -> Response:
        if (request.content_length or 0) <= _SMALL:
            return view(**given)
        if not large.acquire(timeout=_LARGE_SECONDS):
            raise NotNowError("too many large requests at once", seconds=_LARGE_SECONDS)
        try:
            return view(**given)
        finally:
            large.release()

    return bounded


class _Asked:
    """What every family of requests does first: who asks, not too often, with a body that is read strictly."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def _enter(self) -> tuple[AgentId, Fields]:
        """Return who asks and the body's fields.

        Raises:
            TokenRefusedError, NotNowError, FormatError: in this order; nothing of a stranger's body is parsed.
        """
        with snapshot(self._service.engine) as session:
            agent_id = authenticate(session, _presented())
        # By its size: to read five megabytes of small lists takes a second, in which nobody else is answered quickly.
        cost = 1 + (request.content_length or 0) // _COUNTS_AS_ONE
        self._service.pace.take(agent_id, at=time.monotonic(), cost=cost)
        return agent_id, wire.parse_body(request.get_data(cache=False))

    def _again(self, session: Session) -> AgentId:
        """Return who asks, as of the transaction that decides: a token that was revoked meanwhile decides nothing."""
        return authenticate(session, _presented())

    def _note(self, agent_id: AgentId, error: NotEntitledError) -> None:
        """Record a refusal that an operator should know of; what was refused is rolled back already."""
        with transaction(self._service.engine) as session:
            registry.note_refusal(session, agent_id, error, now=self._service.clock())


class _Agents(_Asked):
    def register(self) -> Response:
        agent_id, fields = self._enter()
        wanted = Registration.of(fields)
        _check_same(agent_id, wanted.agent_id)
        service = self._service
        try:
            with transaction(service.engine) as session:
                registry.register(
                    session,
                    self._again(session),
                    tenant_id=wanted.tenant_id,
                    capabilities=wanted.capabilities,
                    skills=wanted.skills,
                    now=service.clock(),
                )
        except NotEntitledError as error:
            self._note(agent_id, error)
            raise
        return _answer({"agent": agent_id, "heartbeat_seconds": service.rules.heartbeat})

    def heartbeat(self) -> Response:
        agent_id, fields = self._enter()
        _check_same(agent_id, wire.take_agent(fields))
        fields.done()
        service = self._service
        try:
            with transaction(service.engine) as session:
                asking = self._again(session)
                standing = registry.heartbeat(session, asking, service.activator, now=service.clock())
        except NotActivatedError as error:
            with transaction(service.engine) as session:
                note_reason(session, error, now=service.clock())
            raise
        return _answer({"state": "active" if standing is Standing.ADMITTED else "quarantined"})

    def capabilities(self) -> Response:
        agent_id, fields = self._enter()
        _check_same(agent_id, wire.take_agent(fields))
        fields.done()
        with snapshot(self._service.engine) as session:
            present = load_present(session, agent_id, look=True)
            granted = registry.grants_of(session, agent_id)
            offered = offers_for(session, present, self._service.rules)
        return _answer({"granted": sorted(granted), "offered": sorted(offered)})


class _Jobs(_Asked):
    def submit(self) -> Response:
        agent_id, fields = self._enter()
        _check_same(agent_id, wire.take_agent(fields))
        job = _new_job(fields)
        service = self._service
        try:
            with transaction(service.engine) as session:
                job_id, state = jobs.submit_from_agent(
                    session, self._again(session), job, service.rules, now=service.clock()
                )
        except NotEntitledError as error:
            if job.kind == BIRTH:
                self._note(agent_id, error)
            raise
        service.waiting.changed()
        return _answer({"job": {"id": job_id, "state": state.value}})

    def claim(self) -> Response:
        agent_id, fields = self._enter()
        _check_same(agent_id, wire.take_agent(fields))
        offered = wire.take_capabilities(fields, "capabilities")
        end = time.monotonic() + wire.take_wait(fields)
        fields.done()
        claimed = self._look(offered) or self._wait(agent_id, offered, end)
        return _answer({"job": claimed.to_json()}) if claimed is not None else _nothing()

    def heartbeat(self, job: str) -> Response:
        _, fields = self._enter()
        fence = wire.take_fence(fields)
        fields.done()
        with transaction(self._service.engine) as session:
            leases.renew(session, self._again(session), _job_id(job), fence)
        return _answer({})

    def complete(self, job: str) -> Response:
        _, fields = self._enter()
        fence, result = wire.take_fence(fields), wire.take_result(fields)
        fields.done()
        with transaction(self._service.engine) as session:
            leases.complete(session, self._again(session), _job_id(job), fence, result)
        return _answer({})

    def fail(self, job: str) -> Response:
        _, fields = self._enter()
        fence, reason = wire.take_fence(fields), wire.take_reason(fields)
        retry = wire.take_flag(fields, "retry")
        fields.done()
        with transaction(self._service.engine) as session:
            leases.fail(session, self._again(session), _job_id(job), fence, reason=reason, retry=retry)
        return _answer({})

    def refuse(self, job: str) -> Response:
        _, fields = self._enter()
        fence, reason = wire.take_fence(fields), wire.take_reason(fields)
        fields.done()
        with transaction(self._service.engine) as session:
            leases.refuse(session, self._again(session), _job_id(job), fence, reason=reason)
        self._service.waiting.changed()
        return _answer({})

    def show(self, job: str) -> Response:
        agent_id, fields = self._enter()
        _check_same(agent_id, wire.take_agent(fields))
        fields.done()
        with transaction(self._service.engine) as session:
            row = jobs.load(session, _job_id(job), tenant_id=self._tenant(session))
            return _answer({"job": jobs.describe(session, row)})

    def cancel(self, job: str) -> Response:
        agent_id, fields = self._enter()
        _check_same(agent_id, wire.take_agent(fields))
        fields.done()
        with transaction(self._service.engine) as session:
            row = jobs.load(session, _job_id(job), tenant_id=self._tenant(session))
            if row.state in OPEN:  # one that has ended stays as it is, and that is no error
                jobs.cancel_own(session, row, agent_id)
            return _answer({"job": jobs.describe(session, row)})

    def _tenant(self, session: Session) -> TenantId:
        """Return whose jobs the agent may look at; a lane has no business with anybody's."""
        present = load_present(session, self._again(session))
        if present.tenant is None:
            raise NotFoundError("no such job")
        return TenantId(present.tenant.tenant_id)

    def _look(self, offered: frozenset[Capability]) -> Claimed | None:
        """Return a claimed job if there is one for the agent; only then a writing transaction is begun."""
        service = self._service
        with snapshot(service.engine) as session:
            if not routing.has_work(session, self._again(session), offered, service.rules):
                return None
        with transaction(service.engine) as session:
            return routing.claim(session, self._again(session), offered, service.rules)

    def _wait(self, agent_id: AgentId, offered: frozenset[Capability], end: float) -> Claimed | None:
        waiting = self._service.waiting
        gone: Callable[[], bool] = request.environ.get(_GONE, lambda: False)
        with waiting.place(agent_id) as place:
            called = True  # what changed before we had a place, nobody called us for
            while place.held and not waiting.stopped and not gone():
                claimed = self._look(offered) if called else None
                left = end - time.monotonic()
                if claimed is not None or left <= 0:
                    return claimed
                called = waiting.pause(place, left, self._watch)
        return None

    def _watch(self, waiting: frozenset[AgentId]) -> frozenset[AgentId]:
        """Return for whom of those that wait there is work; what nobody can finish any more is dead from now on."""
        engine = self._service.engine
        with snapshot(engine) as session:
            found, ended = concerned(session, waiting), routing.has_used_up(session)
        if ended:
            with transaction(engine) as session:
                routing.bury(session)
        return found


def _new_job(fields: Fields) -> NewJob:
    job = NewJob(
        kind=parse_kind(fields.take("kind"), where=fields.place("kind")),
        needs=wire.take_capabilities(fields, "needs"),
        payload=fields.take("payload"),
        priority=wire.take_priority(fields) if "priority" in fields else 0,
        max_attempts=fields.integer("max_attempts", maximum=MAX_ATTEMPTS) if "max_attempts" in fields else 3,
        lease_seconds=wire.take_seconds(fields, "lease_seconds") if "lease_seconds" in fields else 60.0,
    )
    fields.done()
    return job


def _presented() -> str:
    """Return the token that came with the request.

    Raises:
        TokenRefusedError: none did, or two.
    """
    headers = request.headers.getlist("Authorization")
    if len(headers) != 1 or not headers[0].startswith(_BEARER):
        raise TokenRefusedError
    return headers[0].removeprefix(_BEARER)


def _check_same(agent_id: AgentId, named: AgentId) -> None:
    if agent_id != named:
        raise NotEntitledError("the request names another agent than its token is of")


def _job_id(text: str) -> JobId:
    try:
        return parse_job_id(text)
    except SkillRepoError as error:
        raise NotFoundError("no such job") from error


def _answer(document: dict[str, Any], status: int = 200) -> Response:
    # Payloads are measured in this spelling; with escapes for every letter beyond ASCII they could grow past 1 MiB.
    text = wire.render(document, where="answer")
    return Response(text, status, mimetype="application/json", headers={"Cache-Control": "no-store"})


def _nothing() -> Response:
    return Response(status=204)


def _refused(error: SkillRepoError) -> Response:
    document, status, headers = answer_of(error)
    response = _answer(document, status)
    response.headers.update(headers)
    return response


def _not_ours(error: HTTPException) -> Response:
    if error.code == _TOO_LARGE:
        return _refused(TooLargeError(f"larger than {MAX_BODY} bytes"))
    return _answer({"error": {"code": "http", "message": error.name}}, error.code or 500)


def _failed(error: SQLAlchemyError) -> Response:
    return _refused(HostError(f"the database failed: {type(error).__name__}"))
