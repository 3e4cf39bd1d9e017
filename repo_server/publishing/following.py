"""Which list of withdrawals may take the place of another: nothing is lost, and no one person fills it.

Clients notice a list that lost an entry (`signing.withdrawals.check_continues`). They do not notice a reinstatement
that lost a signature, or a list that is full: one key publishes the list, so the repository looks at that.
"""

from signing.errors import PolicyError, RollbackError, WrongSubjectError
from signing.format.reinstatement import Reinstatement
from signing.format.revocations import Revocations
from signing.format.withdrawal import Withdrawal
from signing.withdrawals import Curators, check_continues


def check_follows(found: Revocations, before: Revocations, curators: Curators) -> None:
    """Return None when ``found`` may take the place of ``before``.

    Raises:
        RollbackError: an entry is gone, or a curator's signature on its reinstatement.
        WrongSubjectError: a reinstatement that no curator signed. PolicyError: one curator would fill the list.
    """
    check_continues(found, count=len(before.entries), head=before.head())
    known = {entry.id: entry for entry in before.entries}
    for entry in found.entries:
        old = known.get(entry.id)
        if entry.lifted != (old.lifted if old is not None else None):
            _check_lifting(entry, old, curators)
    for holder in {entry.by for entry in found.entries[len(before.entries) :]}:
        if not found.leaves_room(holder):
            raise PolicyError(
                f"{holder} has withdrawn so much that there would be no room for others",
                hint="another curator signs; one entry for a name or a publisher says what many for digests do",
            )


def _check_lifting(new: Withdrawal, old: Withdrawal | None, curators: Curators) -> None:
    """Check that a reinstatement gained signatures; or that, still incomplete, it was begun anew.

    Two who begin at once do not see each other: the later list would silently drop the signature in the earlier.
    """
    signers = {key.keyid for key in curators.lifting(new)}
    if new.lifted is not None and not signers:
        raise WrongSubjectError(f"no curator signed the reinstatement of {new.scope}", where="lifted")
    before = {key.keyid for key in curators.lifting(old)} if old is not None else set()
    if old is None or old.lifted is None or not before:
        return
    same = new.lifted is not None and new.lifted.payload == old.lifted.payload
    if (same and before <= signers) or (not same and _is_anew(new, old, curators)):
        return
    raise RollbackError(
        f"signatures on the reinstatement of {new.scope} would be lost",
        hint="somebody else signed meanwhile: look again (skillrepo status), and sign what stands there",
    )


def _is_anew(new: Withdrawal, old: Withdrawal, curators: Curators) -> bool:
    if new.lifted is None or old.lifted is None or curators.have_lifted(old):
        return False
    begun = Reinstatement.parse(new.lifted, withdrawal=new.id).at
    return begun >= Reinstatement.parse(old.lifted, withdrawal=old.id).at
