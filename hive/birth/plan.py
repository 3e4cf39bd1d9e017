"""What a birth does, as a list of steps (pure; ``hive birth --plan`` prints it)."""

from collections.abc import Sequence
from dataclasses import dataclass

from hive.admission import Admission, PackageAdmission
from signing.format.manifest import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateJail:
    """Create the jail, not started."""

    name: str = "create-jail"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallPackage:
    """Install one admitted package."""

    admission: PackageAdmission

    @property
    def name(self) -> str:
        """The step's name in the journal."""
        return f"package:{self.admission.pin}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurePackages:
    """Leave the configuration by which the tenant's own upgrades come from our repository only."""

    name: str = "package-configuration"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class BringSecrets:
    """Enrol the agent and bring its environment file: the last thing that is written."""

    name: str = "secrets"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartJail:
    """Show what may only be read, and start the jail."""

    name: str = "start"


Step = (
    CreateJail
    | InstallPackage
    | ConfigurePackages
    | InstallSkill
    | InstallIdentity
    | InstallLock
    | BringSecrets
    | Verify
    | StartJail
)


def plan_birth(
    admissions: Sequence[Admission], packages: Sequence[PackageAdmission] = ()
) -> tuple[Step, ...]:
    """Return the steps that bring ``packages`` and ``admissions`` into a new jail; the first heartbeat follows.

    Packages come first, in the profile's order, which is that of their dependencies; secrets last of all that is written.
    """
    installed: list[Step] = [InstallPackage(admission=item) for item in packages]
    if installed:
        installed.append(ConfigurePackages())
    skills = [InstallSkill(admission=item) for item in admissions if item.kind is Kind.SKILL]
    layers = tuple(item for item in admissions if item.kind is Kind.SOUL)
    last = (InstallIdentity(layers=layers), InstallLock(), BringSecrets(), Verify(), StartJail())
    return (CreateJail(), *installed, *skills, *last)
