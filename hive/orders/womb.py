"""A host that gives birth to what is ordered: one order at a time, under a lease (edge).

    registered, alive ─► claim ─► still what was ordered? ─► birth, the lease renewed meanwhile ─► done, or failed

What decides about a birth is asked for anew for each: the host's policy, gates and limits, its name, its vault. A womb runs
for months, and what an operator forbids meanwhile holds from the next birth on.

One such process runs on a host, which its lock holds; so what is leased to this host when it starts was left by one that
was killed, and is free again at once. A birth that goes on is not stopped by a lost lease: whoever takes the order over
makes the journal refuse its next step, and its jail is removed. A database that is away ends nothing: the next turn asks
again, later and later, shortened by chance, so that hosts do not come back together. So does it after a birth for which
the repository did not answer: a queue of orders must not be spent on a server that is away, nor fifty hosts keep it there.
"""

import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from hive.activation import NotActivatedError
from hive.agents import leases, registry, routing
from hive.agents.errors import LeaseLostError
from hive.agents.names import AgentId, JobId
from hive.agents.routing import Claimed
from hive.agents.rules import Rules
from hive.agents.states import JobState
from hive.agents.wire import render_payload
from hive.birth.carry_out import birth
from hive.birth.mother import Mother
from hive.birth.moving import LeftJailsError, remove_left
from hive.birth.undoing import OnFailure
from hive.db.agent_tables import JobRow
from hive.db.session import transaction
from hive.here import ElsewhereError
from hive.orders.needs import offers_of
from hive.orders.orders import check_claimed
from hive.orders.place import Place
from hive.orders.pulse import Pulse
from hive.tenants import STANDING, Tenant, load_row
from repo_client.updater import locked
from signing.errors import (
    CouldNotVerifyError,
    ExpiredError,
    HostError,
    NotEntitledError,
    NotFoundError,
    RejectedError,
    RollbackError,
    SkillRepoError,
    TransportError,
)
from signing.format.names import TenantId, parse_tenant_id

MOST_PAUSE: Final = 60.0
_MAX_REASON: Final = 1000
# What may be otherwise in a minute; any other refusal is the same refusal again.
_PASSING: Final = (CouldNotVerifyError, ExpiredError, RollbackError)

Tell = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """An order that this host has claimed; see `hive.birth.moving.Leased`."""

    order_id: JobId
    owner: AgentId
    fence: int

    def check(self, session: Session) -> None:
        """Return None while the order is ours, and let it be so until the transaction ends.

        Raises:
            LeaseLostError: it is not.
        """
        wanted = select(JobRow).where(JobRow.job_id == self.order_id).with_for_update(key_share=True)
        row = session.scalars(wanted.execution_options(populate_existing=True)).first()
        mine = row is not None and (row.owner, row.fence) == (self.owner, self.fence)
        if not mine or row is None or row.state != JobState.LEASED:
            raise LeaseLostError(self.order_id)


class NotReadyError(HostError):
    """What this host gives birth by is missing or not acceptable: its fault, and not that of the order."""

    def __init__(self, cause: SkillRepoError) -> None:
        super().__init__(f"this host is not ready: {cause.code}: {cause}", hint=cause.hint)


class _Nobody:
    """The activator of a lane: its sign of life brings nobody to life."""

    def activate(self, session: Session, tenant_id: TenantId, *, now: datetime) -> None:
        """Refuse."""
        del session, now
        raise NotActivatedError(tenant_id, NotEntitledError("a womb is not the tenant's agent"))


@dataclass(slots=True, kw_only=True)
class Womb:
    """This host as a womb.

    Attributes:
        place: the machine.
        open: yields the host routine for one birth, as everything is configured now.
        tell: is told what happens.
        stop: ends the womb.
        rules: those of this hive.
        poll: the longest pause, in seconds, between two looks at an empty queue.
        on_failure: what becomes of the jail of a birth that fails.
    """

    place: Place
    open: Callable[[], AbstractContextManager[Mother]]
    tell: Tell
    stop: threading.Event = field(default_factory=threading.Event)
    rules: Rules = field(default_factory=Rules)
    poll: float = 5.0
    on_failure: OnFailure | None = None
    _pause: float = 1.0
    _known: bool = False
    _left: str = ""
    _unanswered: SkillRepoError | None = None

    @property
    def here(self) -> AgentId:
        """What this host is called.

        Raises:
            HostError: nothing; then nobody could tell whose births these are.
        """
        if self.place.here is None:
            raise HostError(
                "this host has no name", hint='host = "NAME" in the settings file, then hive hosts join'
            )
        return self.place.here

    def run(self, *, once: bool = False) -> bool:
        """Give birth to what is ordered until told to stop, or ``once``; return whether the last look found an order.

        Raises:
            ConflictError: such a process runs on this host already.
            SkillRepoError: with ``once``, whatever stood in the way.
        """
        with locked(self.place.state / "womb", seconds=0), Pulse(self._beat, every=self.rules.heartbeat):
            while not self.stop.is_set():
                try:
                    found = self.turn()
                except SkillRepoError as error:
                    if once:
                        raise
                    self._rest(error)
                    continue
                if once:
                    return found
                if self._unanswered is not None:
                    self._rest(self._unanswered)
                    continue
                self._pause = 1.0
                if not found:
                    self.stop.wait(_shortened(self.poll))
        return False

    def turn(self) -> bool:
        """Claim one order and see it through; return whether there was one.

        Raises:
            SkillRepoError: nothing could be claimed.
        """
        self._unanswered = None
        self.place.check()
        self._register()
        self._remove_left()
        with transaction(self.place.engine) as session:
            claimed = routing.claim(session, self.here, offers_of(self.place.abi), self.rules)
        if claimed is None:
            return False
        job_id = JobId(claimed.job_id)
        self.tell({"event": "claimed", "order": job_id, "fence": claimed.fence})
        with Pulse(lambda: self._renew(job_id, claimed.fence), every=claimed.lease_seconds / 3):
            self._see_through(claimed)
        return True

    def _remove_left(self) -> None:
        """Remove what was left here; what cannot be removed is said once, and does not keep others from being born."""
        try:
            remove_left(self.place.engine, self.place.host, self.here, now=self.place.clock())
        except LeftJailsError as error:
            if str(error) != self._left:
                self.tell({"event": "left", "reason": f"{error.code}: {error}"})
            self._left = str(error)
        else:
            self._left = ""

    def _see_through(self, claimed: Claimed) -> None:
        job_id = JobId(claimed.job_id)
        try:
            result = self._made(claimed)
        except LeaseLostError as error:
            self.tell({"event": "lost", "order": job_id, "reason": str(error)})
            return
        except SkillRepoError as error:
            self._unanswered = error if isinstance(error, (TransportError, NotReadyError)) else None
            self._report_failure(job_id, claimed.fence, error)
            return
        except Exception as bug:  # noqa: BLE001 - one birth that we stumble over does not end the births of all others
            self._report_failure(job_id, claimed.fence, HostError(f"{type(bug).__name__} during the birth"))
            return
        try:
            with transaction(self.place.engine) as session:
                leases.complete(session, self.here, job_id, claimed.fence, render_payload(result))
        except LeaseLostError as error:
            self.tell({"event": "lost", "order": job_id, "reason": str(error)})
        else:
            self.tell({"event": "born", "order": job_id, **result})

    def _made(self, claimed: Claimed) -> dict[str, Any]:
        """Give birth, or see that somebody has, and return what the order's result says.

        Raises:
            SkillRepoError: whatever was in the way.
        """
        tenant_id = parse_tenant_id((claimed.payload or {}).get("tenant"), where="payload.tenant")
        with transaction(self.place.engine) as session:
            tenant = Tenant.of(load_row(session, tenant_id))
        if (
            tenant.status in STANDING
        ):  # whoever was born before its order was called done was killed in between
            return {"tenant": tenant_id, "host": tenant.host, "already": True}
        lease = Lease(order_id=JobId(claimed.job_id), owner=self.here, fence=claimed.fence)
        with self._opened() as mother:
            with transaction(mother.engine) as session:
                check_claimed(session, lease.order_id, mother.gates, abi=mother.abi, now=mother.clock())
            receipt = birth(mother, tenant_id, on_failure=self.on_failure, leased=lease)
        return {
            "tenant": tenant_id,
            "host": self.here,
            "lock_sha256": receipt.get("lock_sha256"),
            "already": receipt["already"],
        }

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Mother]:
        """Yield the host routine as everything is configured now.

        Raises:
            NotReadyError: this host cannot give birth now, to nobody.
        """
        with contextlib.ExitStack() as stack:
            try:
                mother = stack.enter_context(self.open())
            except SkillRepoError as error:
                raise NotReadyError(error) from error
            yield mother

    def _report_failure(self, job_id: JobId, fence: int, error: SkillRepoError) -> None:
        retry = not isinstance(error, RejectedError) or isinstance(error, _PASSING)
        reason = f"{error.code}: {error}"[:_MAX_REASON]
        try:
            with transaction(self.place.engine) as session:
                if isinstance(error, ElsewhereError):  # another host can, and no number of tries helps here
                    leases.refuse(session, self.here, job_id, fence, reason=reason)
                else:
                    leases.fail(session, self.here, job_id, fence, reason=reason, retry=retry)
        except LeaseLostError:
            self.tell({"event": "lost", "order": job_id, "reason": reason})
            return
        except (
            SkillRepoError
        ) as problem:  # the database is away: the lease runs out, and the order is claimed again
            reason = f"{reason}; and that could not be written down: {problem.code}"
        self.tell({"event": "failed", "order": job_id, "reason": reason, "again": retry})

    def _register(self) -> None:
        """Offer what this host can, and free what one that was killed held; once, and after the hive forgot us."""
        if self._known:
            return
        with transaction(self.place.engine) as session:
            offers = offers_of(self.place.abi)
            registry.register(
                session,
                self.here,
                tenant_id=None,
                capabilities=offers,
                skills=frozenset(),
                now=self.place.clock(),
            )
            leases.release(session, self.here, reason="its host began anew")
        self._known = True
        self._beat()

    def _beat(self) -> None:
        if not self._known:
            return
        self.place.check()  # whoever is not this host any more says nothing in its name
        with transaction(self.place.engine) as session:
            registry.heartbeat(session, self.here, _Nobody(), now=self.place.clock())

    def _renew(self, job_id: JobId, fence: int) -> None:
        with transaction(self.place.engine) as session:
            leases.renew(session, self.here, job_id, fence)

    def _rest(self, error: SkillRepoError) -> None:
        if isinstance(error, NotFoundError):
            self._known = False  # the hive has not heard us for too long
        seconds = _shortened(self._pause)
        self._pause = min(MOST_PAUSE, self._pause * 2)
        self.tell({"event": "trouble", "reason": f"{error.code}: {error}", "again_in": round(seconds, 1)})
        self.stop.wait(seconds)


def _shortened(seconds: float) -> float:
    return random.SystemRandom().uniform(seconds / 2, seconds)
