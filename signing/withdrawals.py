"""Which withdrawals are in force: all that are listed, but those that enough curators lifted.

The list itself needs one signature, because waiting for a second person would be waiting with the harm. Taking
a withdrawal back needs as many curators as publishing does. So a lifting counts by its own signatures, under
the keys to which `targets` delegates `skills`, whoever signed the list that carries it; and the list may only
grow, which whoever has seen it before can tell (`check_continues`).
"""

from dataclasses import dataclass
from typing import Self

from securesystemslib.signer import Key
from tuf.api.metadata import Targets

from signing.errors import (
    CouldNotVerifyError,
    FormatError,
    QuarantinedError,
    RejectedError,
    RevokedError,
    RollbackError,
    WrongSubjectError,
    YankedError,
)
from signing.format.digest import Sha256
from signing.format.moment import render_moment
from signing.format.names import Pin
from signing.format.pkg.names import PackagePin
from signing.format.reinstatement import Reinstatement
from signing.format.revocations import Revocations
from signing.format.withdrawal import Withdrawal, Withdrawn
from signing.former import Former
from signing.keys import envelope_signers
from signing.roles import SKILLS


@dataclass(frozen=True, slots=True, kw_only=True)
class Curators:
    """Who publishes, and how many of them it takes: the measure of a reinstatement too.

    ``confirmed`` are the withdrawals whose lifting they confirmed when those who had lifted them left.
    """

    keys: tuple[Key, ...]
    threshold: int
    confirmed: frozenset[Sha256] = frozenset()

    @classmethod
    def of(cls, targets: Targets) -> Self:
        """Return the curators whom the top-level ``targets`` name.

        Raises:
            CouldNotVerifyError: it names none.
        """
        delegations = targets.delegations
        role = (delegations.roles or {}).get(SKILLS) if delegations is not None else None
        if delegations is None or role is None:
            raise CouldNotVerifyError(f"targets does not delegate {SKILLS!r}")
        return cls(
            keys=tuple(delegations.keys[keyid] for keyid in role.keyids),
            threshold=role.threshold,
            confirmed=Former.of(targets).lifted,
        )

    def lifting(self, entry: Withdrawal) -> tuple[Key, ...]:
        """Return which of them signed the reinstatement of exactly this ``entry``."""
        return () if entry.lifted is None or not _lifts(entry) else envelope_signers(entry.lifted, self.keys)

    def have_lifted(self, entry: Withdrawal) -> bool:
        """Return whether enough of them signed the reinstatement of exactly this ``entry``, or confirmed it since."""
        if entry.id in self.confirmed:
            return _lifts(entry)
        return len({key.keyid for key in self.lifting(entry)}) >= self.threshold

    def covering(
        self, revocations: Revocations, pin: Pin, *, bundle_sha256: Sha256, tree_sha256: Sha256
    ) -> tuple[Withdrawal, ...]:
        """Return the withdrawals in force that cover a release, the gravest first.

        Signatures of reinstatements are checked for these entries only: a list of thousands of them costs a
        client nothing.
        """
        found = [
            entry
            for entry in revocations.entries
            if entry.scope.covers(pin, bundle_sha256=bundle_sha256, tree_sha256=tree_sha256)
            and not self.have_lifted(entry)
        ]
        return tuple(sorted(found, key=lambda entry: -entry.state.gravity))

    def covering_package(
        self, revocations: Revocations, pin: PackagePin, *, sha256: Sha256
    ) -> tuple[Withdrawal, ...]:
        """Return the withdrawals in force that cover a package, the gravest first."""
        found = [
            entry
            for entry in revocations.entries
            if entry.scope.covers_package(pin, sha256=sha256) and not self.have_lifted(entry)
        ]
        return tuple(sorted(found, key=lambda entry: -entry.state.gravity))


def _lifts(entry: Withdrawal) -> bool:
    if entry.lifted is None:
        return False
    try:
        Reinstatement.parse(entry.lifted, withdrawal=entry.id)
    except (WrongSubjectError, FormatError):
        return False  # it lifts something else, or nothing: then this entry stands
    return True


def check_continues(revocations: Revocations, *, count: int, head: Sha256) -> None:
    """Return None when the list still begins with the ``count`` entries whose head was ``head``.

    Raises:
        RollbackError: an entry that was seen is missing or altered. Nobody lifts a withdrawal like that.
    """
    if not revocations.continues(count=count, head=head):
        raise RollbackError(
            f"the list of withdrawals lost or changed an entry: {len(revocations.entries)} are offered,"
            f" and {count} were seen that are not its beginning",
            hint="do not go on: somebody with one curator's key shortened the list; ask the curators",
        )


def refusal(entry: Withdrawal, pin: Pin | PackagePin) -> RejectedError:
    """Return the error that refuses ``pin`` because of ``entry``."""
    said = f"{pin} is {entry.state.value} by {entry.by} since {render_moment(entry.at)}: {entry.reason}"
    facts = {"pin": str(pin), "withdrawal": entry.id, "scope": str(entry.scope), "by": entry.by}
    match entry.state:
        case Withdrawn.REVOKED:
            hint = "do not use it anywhere; pin another version in a new version of the profile"
            severity = entry.severity.value if entry.severity is not None else ""
            return RevokedError(f"{said} (severity {severity})", hint=hint, severity=severity, **facts)
        case Withdrawn.QUARANTINED:
            return QuarantinedError(said, hint="it is being examined: wait for the curators", **facts)
        case Withdrawn.YANKED:
            return YankedError(
                said, hint="no new use: pin another version in a new version of the profile", **facts
            )
