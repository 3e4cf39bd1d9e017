"""What a machine that holds jails offers to the rest of the hive.

A jail exists completely or not at all: whoever is killed while creating or destroying one leaves nothing that
`JailHost.exists` calls a jail, and running the same step again finishes it. What stands inside a jail is
reached only through `JailRoot`.

    create ─► packages ─► stop ─► skills, identity, lock, secrets ─► mount_read_only ─► limits ─► start

A host may have to run a jail to install packages into it; then it runs afterwards, and `stop` ends that. What is shown
read-only is prepared while the jail stands still, and its limits are set before its first process runs: what starts in
a jail may be the tenant's already.
"""

from pathlib import Path
from typing import Final, Protocol

from hive.jails.contained import JailRoot
from hive.jails.limits import Limits
from hive.jails.limits_file import LimitsTable
from hive.packages.admitted_bytes import AdmittedBytes
from hive.packages.receipts import Placed, Receipt
from signing.errors import ConflictError
from signing.format.names import TenantId

MAX_MARK: Final = 64
# The mark of a jail that `hive spawn-agent` made begins so; a birth's mark is hexadecimal.
SPAWNED: Final = "spawn-"


class JailHost(Protocol):
    """A machine that can create, start, open and destroy jails; one jail per tenant, named after it."""

    @property
    def can_mount(self) -> bool:
        """Whether this host shows folders and files of its own inside a jail, read-only; else they are copied."""

    @property
    def limits_table(self) -> LimitsTable:
        """What jails on this host may use; `hive.jails.starting` gives each its own."""

    def exists(self, tenant: TenantId) -> bool:
        """Return whether the tenant's jail stands, complete.

        Raises:
            HostError: the host cannot be asked.
        """

    def mark_of(self, tenant: TenantId) -> str | None:
        """Return the mark of the birth that made the tenant's jail; None when there is no jail, or no mark.

        Raises:
            HostError: the host cannot be asked.
        """

    def create(self, tenant: TenantId, *, mark: str) -> None:
        """Create the tenant's jail, empty and not running, with the mark of the birth it is for (beside the root).

        What a killed create of the same mark left is removed first.

        Raises:
            ConflictError: the jail, or something in its place, is there.
            HostError: cannot be created.
        """

    def open_root(self, tenant: TenantId) -> JailRoot:
        """Open the root of the tenant's jail; the caller closes it, and opens it anew per operation.

        Raises:
            NotFoundError: no such jail.
            UnsafePathError: the way to the root is not the host's alone.
            HostError: cannot be opened.
        """

    def open_shelf(self, tenant: TenantId) -> JailRoot:
        """Open the folder in which what the tenant may only read is put, by the paths that it has in the jail.

        On a host that mounts, it stands beside the root, where nobody in the jail can write; else it is the root.

        Raises:
            NotFoundError: no such jail.
            UnsafePathError: the way to it is not the host's alone.
            HostError: cannot be opened.
        """

    def mount_read_only(self, tenant: TenantId, source: Path, inside: str) -> None:
        """Show the host's folder or file ``source`` in the jail at ``inside`` from its next start on; twice is once.

        Raises:
            ConflictError: the jail runs, or something stands there, or something else is shown there already.
            NotFoundError: no such jail.
            UnsafePathError: a link on either way, or others than the host can write there.
            HostError: this host cannot (`can_mount`), or its list of mounts cannot be written.
        """

    def shelf(self, tenant: TenantId) -> Path:
        """Return the path of what `open_shelf` opens, for `mount_read_only` only."""

    def start(self, tenant: TenantId, *, mark: str) -> None:
        """Start the tenant's jail, with its limits from its first process on; one that runs is left alone.

        Called by `hive.jails.starting` only, and where a host starts a jail for itself.

        Raises:
            ConflictError: the jail has another mark, or none.
            NotFoundError: no such jail.
            UnsafePathError: a link stands where something is to be mounted in the jail.
            HostError: it does not run afterwards; or the host cannot limit it, and it does not run then.
        """

    def stop(self, tenant: TenantId, *, mark: str) -> None:
        """Stop the tenant's jail, by force where it does not let itself be stopped; absent or still is fine.

        Raises:
            ConflictError: the jail has another mark, or none.
            UnsafePathError: it does not run any more, and a link stands on the way to what is mounted in it.
            HostError: it still runs, or something stays mounted in it.
        """

    def is_running(self, tenant: TenantId) -> bool:
        """Return whether the tenant's jail runs, as far as the host itself can see that.

        Raises:
            HostError: the host cannot be asked, or a jail of that name runs which is not ours.
        """

    def limits(self, tenant: TenantId, limits: Limits) -> None:
        """Let the tenant's jail use this much and no more: whenever it is started, and now if it runs.

        Raises:
            NotFoundError: no such jail.
            HostError: it runs, and the host cannot limit, or did not do as it was told.
        """

    def limits_of(self, tenant: TenantId) -> Limits:
        """Return what the tenant's jail is limited to.

        Raises:
            NotFoundError: no such jail.
            FormatError: what the host has written down contradicts itself.
            HostError: cannot be read.
        """

    def install_package(self, given: AdmittedBytes) -> Placed:
        """Install a package into the jail of the tenant for whom it was admitted; all of it or nothing.

        Called by `hive.packages.install` only. The bytes are taken to their end, and the jail may run afterwards.

        Raises:
            TypeError: nobody admitted it (`hive.packages.admitted_bytes.check_admitted`).
            RejectedError: it is not what it says, or does not go with what stands in the jail.
            HostError: cannot be installed.
        """

    def check_package(self, tenant: TenantId, receipt: Receipt) -> None:
        """Return None when the package stands in the jail as installed, as far as the host itself can see that.

        Raises:
            DigestMismatchError: it does not. HostError: cannot be looked at.
        """

    def destroy(self, tenant: TenantId, *, mark: str) -> None:
        """Destroy the tenant's jail, running or not, and what an interrupted destroy left; absent is fine.

        Raises:
            ConflictError: what stands there has another mark, or none; it is left alone.
            HostError: cannot be removed; running it again continues.
        """

    def describe(self, tenant: TenantId) -> str:
        """Return the path of the jail's root, for people to read."""


def taken(tenant: TenantId, found: str | None, *, where: str) -> ConflictError:
    """Return the error of a create whose name is taken; ``found`` is the mark of what is there."""
    spawned = found is not None and found.startswith(SPAWNED)
    return ConflictError(
        f"a jail {tenant} is there, or something in its place",
        where=where,
        hint=f"it was spawned, not born: hive spawn-agent {tenant} --remove"
        if spawned
        else "destroy it first, or choose another tenant id",
    )


def check_mark(tenant: TenantId, found: str | None, mark: str, *, where: str) -> None:
    """Return None when what stands there has our ``mark``.

    Raises:
        ConflictError: it has another one, or none.
    """
    if found != mark:
        raise ConflictError(
            f"what stands at {tenant} was not made by this birth; it was left alone",
            where=where,
            hint="look at it, and remove it by hand if it is nobody's",
        )
