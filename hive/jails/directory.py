"""Jails as plain folders: for demonstrations, tests and machines that are not FreeBSD (edge).

    <base>/                0755   chosen by the operator
      acme/                0750   the tenant's
        birth              0400   the mark of the birth that made it: no other birth takes or removes it
        running            0400   while it counts as started
        limits.json        0400   what it was limited to
        root/              0755   what the tenant would see as /
      .new-3f…, .gone-9c…         what a killed create or destroy left; no tenant can be called so

There is no isolation of processes here: nothing is executed, starting and limiting are only written down, and what
would be mounted read-only is copied. What is the same as for a real jail: everything inside is treated as the work of
a hostile root.
"""

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hive.jails.contained import JailRoot
from hive.jails.host import MAX_MARK, check_mark, taken
from hive.jails.limits import RESOURCES, Limits
from hive.jails.limits_file import LimitsTable
from hive.packages.admitted_bytes import AdmittedBytes, check_admitted
from hive.packages.receipts import Placed, Receipt
from hive.packages.unpack import check_package, unpack_package
from repo_client.entries import TEMPORARY_PREFIX, MissingPathError, UnsafePathError, temporary_name
from repo_client.handles import Directory
from signing.errors import (
    DigestMismatchError,
    FormatError,
    HostError,
    NotFoundError,
    SkillRepoError,
)
from signing.format.canonical import canonical, parse_canonical
from signing.format.names import TenantId

_GONE_PREFIX: Final = ".gone-"
_ROOT: Final = "root"
_MARK: Final = "birth"
_RUNNING: Final = "running"
_LIMITS: Final = "limits.json"
_MAX_LIMITS: Final = 4096


class DirectoryHost:
    """A `JailHost` whose jails are the folders ``<base>/<tenant>/root``."""

    def __init__(self, base: Path, *, limits_table: LimitsTable | None = None) -> None:
        self._base = base.absolute()
        self._limits_table = limits_table or LimitsTable()

    @property
    def can_mount(self) -> bool:
        """Nothing is mounted here; see `JailHost.can_mount`."""
        return False

    @property
    def limits_table(self) -> LimitsTable:
        """What jails here may use, if somebody enforced it; see `JailHost.limits_table`."""
        return self._limits_table

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
                return folder.read_file(_MARK, max_bytes=MAX_MARK).decode("ascii", "replace")
        except (MissingPathError, UnsafePathError, FormatError):
            return None

    def create(self, tenant: TenantId, *, mark: str) -> None:
        """Create the tenant's jail, empty; see `JailHost.create`."""
        with self._locked_base() as base:
            _sweep(base, TEMPORARY_PREFIX)
            if base.find(tenant) is not None:
                raise taken(tenant, self.mark_of(tenant), where=self.describe(tenant))
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
        self._check_exists(tenant)
        return JailRoot.open(self._root_of(tenant))

    def open_shelf(self, tenant: TenantId) -> JailRoot:
        """Open the root: what may only be read is copied there. See `JailHost.open_shelf`."""
        return self.open_root(tenant)

    def shelf(self, tenant: TenantId) -> Path:
        """Return the root's path; see `JailHost.shelf`."""
        return self._root_of(tenant)

    def mount_read_only(self, tenant: TenantId, source: Path, inside: str) -> None:
        """Refuse; see `JailHost.mount_read_only`."""
        raise HostError(
            f"cannot show {source} at {inside}: a plain folder has no mounts", where=self.describe(tenant)
        )

    def start(self, tenant: TenantId, *, mark: str) -> None:
        """Write down that the jail runs; see `JailHost.start`."""
        with self._mine(tenant, mark) as folder:
            folder.write_file(_RUNNING, b"", mode=0o400)

    def stop(self, tenant: TenantId, *, mark: str) -> None:
        """Write down that the jail does not run; see `JailHost.stop`."""
        if self.mark_of(tenant) is None and not self.exists(tenant):
            return
        with self._mine(tenant, mark) as folder:
            folder.remove_tree(_RUNNING)
            folder.sync()

    def is_running(self, tenant: TenantId) -> bool:
        """Return what was written down last; see `JailHost.is_running`."""
        try:
            with Directory.open(self._base) as base, base.descend(tenant) as folder:
                return folder.find(_RUNNING) is not None
        except (MissingPathError, UnsafePathError):
            return False

    def limits(self, tenant: TenantId, limits: Limits) -> None:
        """Write the limits down; see `JailHost.limits`."""
        self._check_exists(tenant)
        with Directory.open(self._base) as base, base.descend(tenant) as folder:
            folder.write_file(_LIMITS, canonical(limits.to_json()), mode=0o400)

    def limits_of(self, tenant: TenantId) -> Limits:
        """Return what was written down; see `JailHost.limits_of`."""
        self._check_exists(tenant)
        try:
            with Directory.open(self._base) as base, base.descend(tenant) as folder:
                data = folder.read_file(_LIMITS, max_bytes=_MAX_LIMITS)
        except MissingPathError:
            return Limits()
        value = parse_canonical(data, where=_LIMITS)
        if not isinstance(value, dict) or set(value) != set(RESOURCES):
            raise FormatError("these are no limits of ours", where=_LIMITS)
        return Limits(**value)

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
                check_mark(tenant, self.mark_of(tenant), mark, where=self.describe(tenant))
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

    def _check_exists(self, tenant: TenantId) -> None:
        if not self.exists(tenant):
            raise NotFoundError(f"no jail {tenant}", where=self.describe(tenant))

    @contextlib.contextmanager
    def _mine(self, tenant: TenantId, mark: str) -> Iterator[Directory]:
        """Yield the jail's folder; nobody destroys it meanwhile, and its mark is ``mark``."""
        self._check_exists(tenant)
        with self._locked_base() as base:
            self._check_exists(tenant)
            check_mark(tenant, self.mark_of(tenant), mark, where=self.describe(tenant))
            with base.descend(tenant) as folder:
                yield folder

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
