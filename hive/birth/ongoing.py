"""A birth that goes on: its steps, each with evidence that is fresh (edge).

A birth that takes long asks for trust again between its steps and admits everything anew, so it ends however large it
is, and a revocation that arrives in the middle of it stops it. It looks at most once a step: there is no end to wait for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hive.birth.admit_all import Admitted
from hive.birth.journal import Journal
from hive.birth.mother import Mother
from hive.birth.plan import Step, plan_birth
from hive.external import OptIn
from hive.tenants import Tenant
from signing.errors import RollbackError, TransportError


@dataclass(slots=True, kw_only=True)
class Ongoing:
    """One birth, and what it goes on by: ``admitted`` is replaced by what a later look gave."""

    mother: Mother
    tenant: Tenant
    opt_ins: Sequence[OptIn]
    journal: Journal
    admitted: Admitted

    def steps(self) -> Iterator[Step]:
        """Yield the steps of the plan, each with evidence that is fresh; and look once more behind the last.

        Raises:
            RejectedError: something of it is not admitted any more.
        """
        self._go_on_by_admitted()
        steps, number = plan_birth(self.admitted.admissions, self.admitted.packages), 0
        while True:
            if self._looked_again():  # the same lock, so the same steps
                steps = plan_birth(self.admitted.admissions, self.admitted.packages)
            self.admitted.check_fresh(self.mother.clock())
            if number == len(steps):
                return
            yield steps[number]
            number += 1

    def _go_on_by_admitted(self, *, again: bool = False) -> None:
        """Record the evidence by which the birth goes on; when it is older than what this host knows, look once more.

        Another birth may have looked later than we did, and have been quicker to say what it saw. A server that really shows
        an older state does so again, and that is refused: by the memory of the client, or by this host's.

        Raises:
            RollbackError: this host has seen a newer state than the repository shows now.
        """
        try:
            self._note_admitted(again=again)
        except RollbackError:
            self.admitted = self.admitted.again()
            self._note_admitted(again=again)

    def _note_admitted(self, *, again: bool) -> None:
        """Record the evidence by which the birth goes on."""
        admitted = self.admitted
        self.journal.admitted(
            admitted.lock.sha256,
            admitted.standing,
            [
                *(item.record for item in admitted.packages),
                *(item.record for item in admitted.admissions),
            ],
            tenant=self.tenant,
            opt_ins=self.opt_ins,
            now=self.mother.clock(),
            package_set=admitted.package_set,
            again=again,
        )

    def _looked_again(self) -> bool:
        """Admit everything again when that is due; return whether it was."""
        if not self.admitted.is_due(self.mother.clock()):
            return False
        try:
            self.admitted = self.admitted.again()
        except TransportError:
            if self.admitted.is_fresh(self.mother.clock()):
                return False  # a server that is away for a moment; before the next step it is asked again
            raise
        self._go_on_by_admitted(again=True)
        return True
