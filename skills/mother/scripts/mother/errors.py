"""What can go wrong. Each class has one code and one exit status.

MotherError               1    a bug here
  UsageError              2    the command line
  NotFoundError           3    a file, a command, or a thing at the hive
  UnreachableError        5    no whole answer in time
  SecretError             7    the environment file
  MalformedError          10   a file or an answer
    DamagedError          10   a file that was put here for us, which trying again does not mend
    NotUnderstoodError    10   the hive cannot read what it was told
  NotVerifiedError        11   a digest or a certificate
  NotAllowedError         12   refused
    LeaseLostError        12   the job is somebody else's by now
"""

from __future__ import annotations


class MotherError(Exception):
    """What went wrong, and in `hint` what to do next. Neither ever holds the value of a secret.

    `passes` says whether the same may succeed a little later, without anybody's doing here.
    """

    code, exit_status, passes = "bug", 1, False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(MotherError):
    """The command line cannot be understood."""

    code, exit_status = "usage", 2


class NotFoundError(MotherError):
    """A file, a command or a thing at the hive is not there."""

    code, exit_status = "not-found", 3


class UnreachableError(MotherError):
    """The hive did not give a whole answer in time."""

    code, exit_status, passes = "unreachable", 5, True


class SecretError(MotherError):
    """The environment file is missing, unsafe or incomplete."""

    code, exit_status = "secret-not-available", 7


class MalformedError(MotherError):
    """A file or an answer is not in its one accepted form."""

    code, exit_status, passes = "malformed", 10, True


class DamagedError(MalformedError):
    """A file that the host put here is not in its one accepted form."""

    passes = False


class NotUnderstoodError(MalformedError):
    """The hive says that our request is not in its accepted form: too long, too deep, or of another version."""


class NotVerifiedError(MotherError):
    """A digest or a certificate does not vouch for what was found."""

    code, exit_status = "not-verified", 11


class NotAllowedError(MotherError):
    """Understood, and refused: by the hive or by this program."""

    code, exit_status = "not-allowed", 12


class LeaseLostError(NotAllowedError):
    """Status 409: the job belongs to somebody else by now."""

    code = "lease-lost"


class Stopped(Exception):  # noqa: N818 - not an error: somebody asked us to end
    """A signal asked us to end during a wait that may be cut short."""
