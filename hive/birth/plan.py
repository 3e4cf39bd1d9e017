"""What a birth does, as a list of steps (pure; ``hive birth --plan`` prints it)."""

from collections.abc import Sequence
from dataclasses import dataclass

from hive.admission import Admission
from signing.format.manifest import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateJail:
    """Create the jail, not started."""

    name: str = "create-jail"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallSkill:
    """Materialise one admitted skill."""

    admission: Admission

    @property
    def name(self) -> str:
        """The step's name in the journal."""
        return f"skill:{self.admission.pin}"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallIdentity:
    """Resolve and materialise the identity."""

    layers: tuple[Admission, ...]
    name: str = "identity"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallLock:
    """Leave the record of what the agent was born with."""

    name: str = "lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verify:
    """Read everything back through handles and compare."""

    name: str = "verify"


Step = CreateJail | InstallSkill | InstallIdentity | InstallLock | Verify


def plan_birth(admissions: Sequence[Admission]) -> tuple[Step, ...]:
    """Return the steps that bring ``admissions`` into a new jail; activation follows the last."""
    skills = [InstallSkill(admission=item) for item in admissions if item.kind is Kind.SKILL]
    layers = tuple(item for item in admissions if item.kind is Kind.SOUL)
    return (CreateJail(), *skills, InstallIdentity(layers=layers), InstallLock(), Verify())
