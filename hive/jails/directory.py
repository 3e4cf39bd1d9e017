"""Jails as plain folders: for demonstrations, tests and machines that are not FreeBSD (edge).

    <base>/                0755   chosen by the operator
      acme/                0750   the tenant's
        birth              0400   the mark of the birth that made it: no other birth takes or removes it
        root/              0755   what the tenant would see as /
      .new-3f…, .gone-9c…         what a killed create or destroy left; no tenant can be called so

There is no isolation of processes here. What is the same as for a real jail: everything inside is treated as
the work of a hostile root.
"""

import contextlib
import secrets
from pathlib import Path
from typing import Final

from hive.jails.contained import JailRoot
from hive.packages.admitted_bytes import AdmittedBytes, check_admitted
from hive.packages.receipts import Placed, Receipt
from hive.packages.unpack import check_package, unpack_package
from repo_client.entries import TEMPORARY_PREFIX, MissingPathError, UnsafePathError, temporary_name
from repo_client.handles import Directory
from signing.errors import (
    ConflictError,
    DigestMismatchError,
    FormatError,
    HostError,
    NotFoundError,
    SkillRepoError,
)
from signing.format.names import TenantId

_GONE_PREFIX: Final = ".gone-"
_ROOT: Final = "root"
_MARK: Final = "birth"
_MAX_MARK: Final = 64


class DirectoryHost:
    """A `JailHost` whose jails are the folders ``<base>/<tenant>/root``."""

    def __init__(self, base: Path) -> None:
        self._base = base.absolute()

    def exists(self, tenant: TenantId) -> bool:
        """Return whether the tenant's jail stands, complete; see `JailHost.exists`."""
        try:
            with Directory.open(self._base) as base:
                found = base.find(tenant)
                if found is None or found.kind != "folder":
                    return False
                with base.descend(tenant) as folder:
                    root = folder.find(_ROOT)
        except MissingPathError:
            return False
        return root is not None and root.kind == "folder"

    def mark_of(self, tenant: TenantId) -> str | None:
        """Return the mark of the birth that made the jail; see `JailHost.mark_of`."""
        try:
            with Directory.open(self._base) as base, base.descend(tenant) as folder:
                return folder.read_file(_MARK, max_bytes=_MAX_MARK).decode("ascii", "replace")
        except (MissingPathError, UnsafePathError, FormatError):
            return None

    def create(self, tenant: TenantId, *, mark: str) -> None:
        """Create the tenant's jail, empty; see `JailHost.create`."""
        with self._locked_base() as base:
            _sweep(base, TEMPORARY_PREFIX)
            if base.find(tenant) is not None:
                raise ConflictError(
                    f"a jail {tenant} is there, or something in its place",
                    where=self.describe(tenant),
                    hint="destroy it first, or choose another tenant id",
                )
            # It gets its name when it is complete: a create that is killed before leaves a name to sweep.
            temporary = temporary_name()
            try:
                with base.descend(temporary, create=True, mode=0o750) as folder:
                    folder.create_file(_MARK, mark.encode(), 0o400)
                    folder.descend(_ROOT, create=True, mode=0o755).close()
                base.rename(temporary, tenant)
            except BaseException:
                with contextlib.suppress(SkillRepoError):
                    base.remove_tree(temporary)
                raise
            base.sync()

    def open_root(self, tenant: TenantId) -> JailRoot:
        """Open the root of the tenant's jail; see `JailHost.open_root`."""
        if not self.exists(tenant):
            raise NotFoundError(f"no jail {tenant}", where=self.describe(tenant))
        return JailRoot.open(self._root_of(tenant))

    def install_package(self, given: AdmittedBytes) -> Placed:
        """Unpack the package into the jail's folder; no script of it is run. See `JailHost.install_package`."""
        check_admitted(given)
        tenant = given.admission.tenant.tenant_id
        with self.open_root(tenant) as root:
            return unpack_package(root, self.describe(tenant), given)

    def check_package(self, tenant: TenantId, receipt: Receipt) -> None:
        """Compare every file of the package with what was unpacked; see `JailHost.check_package`."""
        if receipt.placed.record is None:
            raise DigestMismatchError(f"{receipt.pin} was not unpacked here", hint="birth again")
        with self.open_root(tenant) as root:
            check_package(root, receipt.pin.name, receipt.placed.record)

    def destroy(self, tenant: TenantId, *, mark: str) -> None:
        """Destroy the tenant's jail and finish earlier destroys; see `JailHost.destroy`."""
        try:
            base = Directory.open(self._base)
        except MissingPathError:
            return
        with base:
            base.lock()
            if base.find(tenant) is not None:
                if self.mark_of(tenant) != mark:
                    raise ConflictError(
                        f"what stands at {tenant} was not made by this birth; it was left alone",
                        where=self.describe(tenant),
                        hint="look at it, and remove it by hand if it is nobody's",
                    )
                # No jail from this moment on, however long the removal takes and whatever stops it.
                base.rename(tenant, _GONE_PREFIX + secrets.token_hex(8))
                base.sync()
            _sweep(base, _GONE_PREFIX)
            base.sync()

    def describe(self, tenant: TenantId) -> str:
        """Return the path of the jail's root, for people to read."""
        return str(self._root_of(tenant))

    def _root_of(self, tenant: TenantId) -> Path:
        return self._base / tenant / _ROOT

    def _locked_base(self) -> Directory:
        try:
            if not self._base.exists():
                self._base.mkdir(parents=True, exist_ok=True)
                self._base.chmod(0o755)
        except OSError as error:
            raise HostError(
                f"cannot make the jails' folder: {error.strerror}", where=str(self._base)
            ) from error
        base = Directory.open(self._base)
        try:
            base.lock()
        except BaseException:
            base.close()
            raise
        return base


def _sweep(base: Directory, prefix: str) -> None:
    """Remove what killed processes left; the lock on ``base`` says that none of them is still at work."""
    for entry in base.entries():
        if entry.name.startswith(prefix):
            base.remove_tree(entry.name)
