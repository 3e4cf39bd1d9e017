"""Every way in which this project says no.

    SkillRepoError                      exit 1 unless a class below says otherwise
      UsageError                        2   the command line cannot be carried out as written
      RejectedError                         what we were offered is not acceptable: catch this one
        FormatError                     10  not the format
        VerificationError               11  nobody we trust vouches for it
          BadSignatureError, ThresholdError, DigestMismatchError, ExpiredError, RollbackError,
          RevokedError, WrongSubjectError, CouldNotVerifyError
        PolicyError                     12  vouched for, not allowed here
          NotFirstPartyError, QuarantinedError, YankedError, NotEntitledError, BlockedError, VulnerableError
      NotFoundError                     3
      ConflictError                     4   somebody else was first, or holds the lock
      TransportError                    5   unreachable, too slow, or answers nonsense
      HostError                         6   a command or the file system of this host failed
      KeyAccessError                    7   the private key cannot be used

Each class has a stable ``code`` (kebab-case) and an ``exit_status``; each instance has a message (what
happened), a ``hint`` (what to do next), ``where`` (the place inside the offered data) and ``facts``.
"""

from typing import Any, ClassVar


class SkillRepoError(Exception):
    """The base of all errors that this project raises on purpose."""

    code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "", where: str = "", **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.where = where
        self.facts = facts

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message

    def to_document(self) -> dict[str, Any]:
        """Return the error as the object that ``--json`` and the audit log carry."""
        document: dict[str, Any] = {"code": self.code, "message": str(self)}
        if self.hint:
            document["hint"] = self.hint
        if self.where:
            document["where"] = self.where
        if self.facts:
            document["facts"] = {key: _plain(value) for key, value in sorted(self.facts.items())}
        return document


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return str(value)


class UsageError(SkillRepoError):
    """The command line cannot be carried out as written."""

    code = "usage"
    exit_status = 2


class RejectedError(SkillRepoError):
    """What was offered is not acceptable. Every refusal is one of these."""

    code = "rejected"
    exit_status = 11


class FormatError(RejectedError):
    """The bytes are not in the one accepted format."""

    code = "malformed"
    exit_status = 10


class VerificationError(RejectedError):
    """Nobody whom we trust vouches for these bytes."""

    code = "not-verified"
    exit_status = 11


class BadSignatureError(VerificationError):
    """A signature does not fit the bytes or the key."""

    code = "bad-signature"


class ThresholdError(VerificationError):
    """Fewer distinct trusted keys signed than the role demands."""

    code = "threshold-not-met"

    def __init__(self, role: str, *, signed: int, threshold: int, missing: tuple[str, ...] = ()) -> None:
        super().__init__(
            f"role {role!r} has {signed} of {threshold} required signatures",
            hint=f"ask another {_holders(role)} to sign"
            + (f" (missing: {', '.join(missing)})" if missing else ""),
            role=role,
            signed=signed,
            threshold=threshold,
            missing=missing,
        )


def _holders(role: str) -> str:
    """Return what people call those who sign ``role``."""
    if role == "profiles":
        return "operator"
    curators = role in {"skills", "targets", "review", "revocations"} or role.startswith("skills-")
    return "curator" if curators else f"holder of a {role} key"


class DigestMismatchError(VerificationError):
    """The bytes are not the bytes that were vouched for."""

    code = "digest-mismatch"


class ExpiredError(VerificationError):
    """Signed metadata is past its expiry: the state may be frozen by an attacker."""

    code = "expired"


class RollbackError(VerificationError):
    """An older state is offered than the one already trusted, or states are mixed."""

    code = "rollback"


class RevokedError(VerificationError):
    """The digest, version or name was revoked by a curator."""

    code = "revoked"


class WrongSubjectError(VerificationError):
    """Correctly signed, but about something else."""

    code = "wrong-subject"


class CouldNotVerifyError(VerificationError):
    """The check could not be made; that is a kind of not verified."""

    code = "could-not-verify"


class PolicyError(RejectedError):
    """Vouched for, but not allowed here."""

    code = "not-allowed"
    exit_status = 12


class NotFirstPartyError(PolicyError):
    """A tenant's tier admits only what our own trust root vouches for."""

    code = "not-first-party"


class QuarantinedError(PolicyError):
    """Blocked while it is examined."""

    code = "quarantined"


class YankedError(PolicyError):
    """Withdrawn from new births."""

    code = "yanked"


class NotEntitledError(PolicyError):
    """No policy matched, or the profile does not grant this."""

    code = "not-entitled"


class BlockedError(PolicyError):
    """Blocking findings stand in the way and nobody waived them in writing."""

    code = "blocked-by-findings"


class VulnerableError(PolicyError):
    """A package has a known vulnerability, and nobody answers for it in writing."""

    code = "vulnerable-package"


class NotFoundError(SkillRepoError):
    """There is no such thing here."""

    code = "not-found"
    exit_status = 3


class ConflictError(SkillRepoError):
    """Somebody else was first, holds the lock, or the state moved on."""

    code = "conflict"
    exit_status = 4


class TransportError(SkillRepoError):
    """The other side is unreachable, too slow, or answers nonsense."""

    code = "unreachable"
    exit_status = 5


class HostError(SkillRepoError):
    """A command or the file system of this host failed."""

    code = "host-failed"
    exit_status = 6


class KeyAccessError(SkillRepoError):
    """A private key is missing, sealed by another passphrase, or not ours to use."""

    code = "key-not-available"
    exit_status = 7
