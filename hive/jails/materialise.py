"""Putting admitted bytes into a jail. The functions here take an `Admission` and nothing less.

usr/home/agent/skills/<name>/…     one read-only tree per skill, MANIFEST.json included, never a hard link to the store
usr/home/agent/SOUL.md             the resolved identity
var/db/clawdie/lock.json           who this is and what it was born with, for the mother skill and auditors
var/db/clawdie/packages/           what each package installed, where the host itself unpacked them

The first three are shown from outside where the host can mount (`JailHost.open_shelf`): root in the jail reads them by
these names, and can neither change them nor put something in their place. Else they are copied, 0444.

Skills can be shown from a ready set too (`repo_client.ready`), which all jails with the same skills see: then nothing of
them is copied, and the shelf holds a note that says which set it is.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from hive.admission import Admission, PackageAdmission
from hive.identity import SOUL_NAME, resolve_identity
from hive.jails.contained import JailRoot
from hive.jails.host import JailHost
from hive.tenants import Tenant, Tier
from repo_client.entries import MissingPathError
from repo_client.ready import ReadySet, ReadySets
from repo_client.verify_at import VerifyAt
from signing.errors import FormatError, HostError, WrongSubjectError
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
# Beside what is shown, so that no tenant sees it.
READY_NOTE: Final = "skills-are-shown-from"
_READ_ONLY: Final = 0o444
_MAX_NOTE: Final = 4096


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


def take_ready(
    sets: ReadySets, tenant: Tenant, admissions: Sequence[Admission], *, verify: VerifyAt
) -> ReadySet:
    """Return the set of exactly the skills among ``admissions``.

    For the paid tier it is compared now, whatever ``verify`` says: no setting puts off what vouches for its bytes.

    Raises:
        WrongSubjectError: one was admitted for another tenant.
        DigestMismatchError, HostError: see `ReadySets.take`.
    """
    for admission in admissions:
        if admission.tenant.tenant_id != tenant.tenant_id:
            raise WrongSubjectError(f"{admission.pin} was admitted for {admission.tenant.tenant_id}")
    bundles = [item.bundle for item in admissions if item.kind is Kind.SKILL]
    return sets.take(bundles, verify=VerifyAt.BIRTH if tenant.tier is Tier.PAID else verify)


def note_ready(root: JailRoot, shelf: JailRoot, ready: ReadySet) -> None:
    """Note on the shelf that the tenant's skills are shown from ``ready``.

    Raises:
        HostError: this host cannot show anything, or the note cannot be written.
    """
    if shelf.same_as(root):
        raise HostError("a set of skills can only be shown, and this host has no mounts")
    shelf.install_file(READY_NOTE, f"{ready.path}\n".encode(), mode=_READ_ONLY)


def noted_ready(root: JailRoot, shelf: JailRoot) -> Path | None:
    """Return the ready set that the tenant's skills are shown from; None when they stand on the shelf.

    Where the shelf is the jail itself, there is no note: the tenant could have written one.

    Raises:
        UnsafePathError, FormatError, HostError: the note cannot be read, or is none.
    """
    if shelf.same_as(root):
        return None
    try:
        text = shelf.read_file(READY_NOTE, _MAX_NOTE).decode("utf-8", "strict")
    except MissingPathError:
        return None
    except UnicodeDecodeError as error:
        raise FormatError("not a path", where=READY_NOTE) from error
    return Path(text.removesuffix("\n"))


def is_shown(path: str) -> bool:
    """Return whether ``path`` in the jail is on the shelf: there the host has what the tenant sees."""
    return any(path == shown or path.startswith(f"{shown}/") for shown in SHOWN)


def show_shelf(host: JailHost, tenant: TenantId, *, ready: ReadySet | None = None) -> None:
    """Let the tenant see what stands on its shelf, read-only, from the next start on; what was copied it has already.

    Its skills are those of ``ready``, where there is one.

    Raises:
        ConflictError: the jail runs, or something else stands where it is to be seen.
        NotFoundError, UnsafePathError, HostError: see `JailHost.mount_read_only`.
    """
    if host.can_mount:
        with host.open_shelf(tenant) as shelf:
            shelf.enter(SKILLS, create=True).close()
        for shown in SHOWN:
            on_shelf = host.shelf(tenant) / shown
            source = ready.path if ready is not None and shown == SKILLS else on_shelf
            host.mount_read_only(tenant, source, shown)


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
