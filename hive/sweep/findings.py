"""What a sweep can find (pure).

Much of it is said in words of a jail: names of files, which a hostile root chooses. They go into the database, the audit
log, messages and terminals, so a finding holds no more than `_LONGEST` characters of them and nothing that is not printed:
a name that is no Unicode would otherwise end every sweep, and not only that of its own jail.
"""

import enum
from dataclasses import dataclass
from typing import Any, Final

_LONGEST: Final = 400


class Found(enum.StrEnum):
    """A kind of finding; `hive.sweep.actions` says what is done about each.

    unknown      trust could not be refreshed, or the jail not be read: "could not check" is a finding
    revoked      something in the jail is revoked
    quarantined  something in the jail is blocked while curators examine it
    yanked       something in the jail is withdrawn from new births; it works on
    vulnerable   a package in the jail has a known vulnerability that nobody answers for
    ended        a consent of the free tier has ended
    unvouched    first-party evidence does not hold any more: another digest, a policy that demands more
    drift        what stands in the jail is not what was let in
    strange      the jail is gone, or is another birth's
    still        the jail does not run, as after a reboot: its agent is not heard, so it gets no work anyway
    secrets      the environment file is not as it was provisioned
    gates        a gate before paying customers is shut by now (blocks new activations; running jails go on)
    """

    UNKNOWN = "unknown"
    REVOKED = "revoked"
    QUARANTINED = "quarantined"
    YANKED = "yanked"
    VULNERABLE = "vulnerable"
    ENDED = "ended"
    UNVOUCHED = "unvouched"
    DRIFT = "drift"
    STRANGE = "strange"
    STILL = "still"
    SECRETS = "secrets"
    GATES = "gates"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Finding:
    """One thing that is not as it should be. ``subject`` is a release, a path or a word; ``detail`` is for people."""

    kind: Found
    subject: str
    detail: str

    def __post_init__(self) -> None:
        for name in ("subject", "detail"):
            object.__setattr__(self, name, _printed(getattr(self, name)))

    def to_json(self) -> dict[str, Any]:
        """Return it as ``--json`` and the audit log show it."""
        return {"kind": self.kind.value, "subject": self.subject, "detail": self.detail}

    def __str__(self) -> str:
        return f"{self.kind}: {self.subject}: {self.detail}"


def _printed(text: str) -> str:
    shown = "".join(char if char.isprintable() else f"<U+{ord(char):04X}>" for char in text[: _LONGEST + 1])
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"
