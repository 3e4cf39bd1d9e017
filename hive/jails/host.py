"""What a machine that holds jails offers to the rest of the hive.

A jail exists completely or not at all: whoever is killed while creating or destroying one leaves nothing that
`JailHost.exists` calls a jail, and running the same step again finishes it. What stands inside a jail is
reached only through `JailRoot`.
"""

from typing import Protocol

from hive.jails.contained import JailRoot
from hive.packages.admitted_bytes import AdmittedBytes
from hive.packages.receipts import Placed, Receipt
from signing.format.names import TenantId


class JailHost(Protocol):
    """A machine that can create, open and destroy jails; one jail per tenant, named after it."""

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
        """Create the tenant's jail, empty, with the mark of the birth it is for (beside the root, not in it).

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

    def install_package(self, given: AdmittedBytes) -> Placed:
        """Install a package into the jail of the tenant for whom it was admitted; all of it or nothing.

        Called by `hive.packages.install` only. The bytes are taken to their end.

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
        """Destroy the tenant's jail and what an interrupted destroy left; absent is fine.

        Raises:
            ConflictError: what stands there has another mark, or none; it is left alone.
            HostError: cannot be removed; running it again continues.
        """

    def describe(self, tenant: TenantId) -> str:
        """Return the path of the jail's root, for people to read."""
