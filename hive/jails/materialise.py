"""Putting admitted bytes into a jail. The functions here take an `Admission` and nothing less.

usr/home/agent/skills/<name>/…     one read-only tree per skill, MANIFEST.json included, never a hard link to the store
usr/home/agent/SOUL.md             the resolved identity
var/db/clawdie/lock.json           who this is and what it was born with, for the mother skill and auditors
var/db/clawdie/packages/           what each package installed, where the host itself unpacked them

The first three are shown from outside where the host can mount (`JailHost.open_shelf`): root in the jail reads them by
these names, and can neither change them nor put something in their place. Else they are copied, 0444.
"""

from collections.abc import Sequence
from typing import Any, Final

from hive.admission import Admission, PackageAdmission
from hive.identity import SOUL_NAME, resolve_identity
from hive.jails.contained import JailRoot
from hive.jails.host import JailHost
from signing.errors import WrongSubjectError
from signing.format.canonical import canonical
from signing.format.digest import sha256_of
from signing.format.manifest import Kind
from signing.format.names import TenantId
from signing.format.profile import Lock

HOME: Final = "usr/home/agent"
SKILLS: Final = f"{HOME}/skills"
SOUL_PATH: Final = f"{HOME}/{SOUL_NAME}"
LOCK_PATH: Final = "var/db/clawdie/lock.json"
RECORDS: Final = "var/db/clawdie/packages"
# What the tenant may only read.
SHOWN: Final = (SKILLS, SOUL_PATH, LOCK_PATH)
_READ_ONLY: Final = 0o444


def install_skill(shelf: JailRoot, admission: Admission) -> None:
    """Put an admitted skill on the shelf, read-only; the same tree again changes nothing.

    A different tree under its name is replaced: before activation nothing in this jail has run, so what
    stands there is what a killed birth left. It is durable when the birth has looked at all of it
    (`hive.birth.verifying`): one sync for all trees.

    Raises:
        WrongSubjectError: it is not a skill.
        UnsafePathError, HostError: the jail's file system does not allow it.
    """
    if admission.kind is not Kind.SKILL:
        raise WrongSubjectError(f"{admission.pin} is a {admission.kind}, not a skill")
    shelf.install_tree(SKILLS, admission.pin.name, admission.bundle, replace=True, sync=False)


def is_shown(path: str) -> bool:
    """Return whether ``path`` in the jail is on the shelf: there the host has what the tenant sees."""
    return any(path == shown or path.startswith(f"{shown}/") for shown in SHOWN)


def show_shelf(host: JailHost, tenant: TenantId) -> None:
    """Let the tenant see what stands on its shelf, read-only, from the next start on; what was copied it has already.

    Raises:
        ConflictError: the jail runs, or something else stands where it is to be seen.
        NotFoundError, UnsafePathError, HostError: see `JailHost.mount_read_only`.
    """
    if host.can_mount:
        with host.open_shelf(tenant) as shelf:
            shelf.enter(SKILLS, create=True).close()
        for shown in SHOWN:
            host.mount_read_only(tenant, host.shelf(tenant) / shown, shown)


def install_identity(shelf: JailRoot, layers: Sequence[Admission]) -> None:
    """Put the resolved identity on the shelf.

    Raises:
        WrongSubjectError, FormatError: see `hive.identity.resolve_identity`.
        UnsafePathError, HostError: the jail's file system does not allow it.
    """
    shelf.install_file(SOUL_PATH, resolve_identity(layers), mode=_READ_ONLY)


def install_lock(shelf: JailRoot, record: dict[str, Any]) -> None:
    """Put the lock record on the shelf."""
    shelf.install_file(LOCK_PATH, canonical(record), mode=_READ_ONLY)


def lock_record(
    tenant_id: str,
    lock: Lock,
    admissions: Sequence[Admission],
    capabilities: Sequence[str],
    packages: Sequence[PackageAdmission] = (),
) -> dict[str, Any]:
    """Return who this agent is and what it was born with; ``packages`` only where its profile pins some."""
    layers = [admission for admission in admissions if admission.kind is Kind.SOUL]
    return {
        "tenant": tenant_id,
        "agent": tenant_id,
        "profile": {
            "name": lock.profile.name,
            "version": lock.profile.version,
            "sha256": lock.profile_sha256,
        },
        "lock_sha256": lock.sha256,
        "capabilities": list(capabilities),
        "layers": [_item(admission) for admission in layers],
        "skills": [_item(admission) for admission in admissions if admission.kind is Kind.SKILL],
        "soul_sha256": sha256_of(resolve_identity(layers)),
        **({"packages": [_package(admission) for admission in packages]} if packages else {}),
    }


def _package(admission: PackageAdmission) -> dict[str, Any]:
    packages = admission.package.packages
    return {
        "name": admission.pin.name,
        "version": admission.pin.version,
        "sha256": admission.package.package.sha256,
        "repository": str(packages.repo),
        "serial": packages.index.serial,
    }


def _item(admission: Admission) -> dict[str, Any]:
    return {
        "name": admission.pin.name,
        "version": admission.pin.version,
        "tree_sha256": admission.tree_sha256,
        "source": admission.record["source"],
    }
