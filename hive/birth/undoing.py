"""What becomes of a birth that failed (edge).

    jail stopped ─► secrets withdrawn ─► recorded ─► jail removed, or kept to be looked at and to be made anew

A jail that is kept never runs, holds no secret, and its agent is answered by nobody, because its tenant is ``failed``;
one that cannot be brought to that is removed, whatever was asked for. Only what carries this birth's mark is touched.
"""

import contextlib
import enum
from collections.abc import Iterator

from hive.birth.journal import Begun, Journal, TakenOverError
from hive.birth.mother import Mother
from hive.vault.provision import Provisioner
from signing.errors import ConflictError, HostError, RejectedError, SkillRepoError, UsageError
from signing.format.names import TenantId


class OnFailure(enum.StrEnum):
    """What becomes of the unfinished jail. Without one of these a refused birth leaves none, and any other leaves it."""

    KEEP = "keep"
    DESTROY = "destroy"

    @classmethod
    def parse(cls, text: str | None) -> "OnFailure | None":
        """Return what the setting ``on_failure`` says; None when it is not set.

        Raises:
            UsageError: neither keep nor destroy.
        """
        if text is None:
            return None
        if text not in {item.value for item in cls}:
            raise UsageError(f"on_failure cannot be {text!a}", hint="keep or destroy; or leave it out")
        return cls(text)


def wind_up(
    mother: Mother, journal: Journal, begun: Begun, error: SkillRepoError, *, on_failure: OnFailure | None
) -> None:
    """Record the failure, and leave of the birth what may be left; ``error`` says what that is (``facts["jail"]``).

    Disarmed before it is called failed: whoever is killed in between leaves a birth that was killed, and never a failed
    tenant whose jail holds secrets.
    """
    kept = on_failure is OnFailure.KEEP or (on_failure is None and not isinstance(error, RejectedError))
    try:
        with _even_unrecorded(error):
            journal.check_mine()
        kept = _disarmed(mother, journal.tenant_id, begun.mark) and kept
        with _even_unrecorded(error):
            journal.failed(error, now=mother.clock())
    except TakenOverError:
        # Another process works on this birth, and nothing here is ours to undo; or it was ended, and nobody does. A jail
        # whose birth went on at another host is nobody's, and runs nowhere else than here.
        if _is_moved(journal, begun.mark):
            with contextlib.suppress(SkillRepoError):  # the next sweep removes it, too
                error.facts |= _undone(mother, journal.tenant_id, begun.mark, kept=False)
            return
        if not _is_ended(journal):
            return
        kept = False
    try:
        error.facts |= _undone(mother, journal.tenant_id, begun.mark, kept=kept)
        gone = mother.host.mark_of(journal.tenant_id) != begun.mark
    except SkillRepoError as problem:
        error.facts["jail"] = f"left at {mother.host.describe(journal.tenant_id)}: {problem}"
        with contextlib.suppress(ConflictError, HostError):
            journal.left_behind(problem, now=mother.clock())
        return
    if gone:
        with contextlib.suppress(ConflictError, HostError):
            journal.forget()


@contextlib.contextmanager
def _even_unrecorded(error: SkillRepoError) -> Iterator[None]:
    """Go on when the database fails: the tenant stays `birthing`, to which nothing is routed; its jail is disarmed all the same."""
    try:
        yield
    except TakenOverError:
        raise
    except SkillRepoError as unrecorded:
        error.facts["unrecorded"] = str(unrecorded)


def _is_ended(journal: Journal) -> bool:
    try:
        return journal.is_ended()
    except SkillRepoError:
        return False


def _is_moved(journal: Journal, mark: str) -> bool:
    try:
        return journal.is_moved(mark)
    except SkillRepoError:
        return False


def _disarmed(mother: Mother, tenant_id: TenantId, mark: str) -> bool:
    """Disarm the jail that carries ``mark``, if there is one; return whether that could be done."""
    try:
        if mother.host.mark_of(tenant_id) == mark:
            disarm(mother, tenant_id, mark=mark)
    except SkillRepoError:
        return False
    return True


def _undone(mother: Mother, tenant_id: TenantId, mark: str, *, kept: bool) -> dict[str, str]:
    """Remove the jail that carries ``mark`` unless it is kept; return what became of it.

    Raises:
        SkillRepoError: it could not be removed.
    """
    if mother.host.mark_of(tenant_id) != mark:
        return {}
    if kept:
        return {"jail": f"kept at {mother.host.describe(tenant_id)}"}
    mother.host.destroy(tenant_id, mark=mark)
    return {"jail": "removed"}


def disarm(mother: Mother, tenant_id: TenantId, *, mark: str) -> None:
    """Let nothing run in the jail, and leave no secret in it.

    Raises:
        SkillRepoError: it runs on, or its secrets cannot be removed.
    """
    mother.host.stop(tenant_id, mark=mark)
    secrets = Provisioner(
        engine=mother.engine,
        host=mother.host,
        state=mother.state,
        owner=None,
        clock=mother.clock,
        here=mother.here,
    )
    secrets.withdraw(tenant_id)
