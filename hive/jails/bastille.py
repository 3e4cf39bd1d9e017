"""Jails by Bastille, on FreeBSD (edge).

    /usr/local/bastille/           0750   Bastille's prefix; root's
      jails/acme/                  0700
        birth                      0400   the mark of the birth that made it; written last, so it says: complete
        jail.conf fstab rctl.conf         Bastille's own, with our mounts and limits in them
        shelf/                     0755   what the tenant may only read, by its paths in the jail
        root/                      0755   the tenant's
      hive/                        0700   ours
        jails/acme/making, going   0400   the mark of a create or destroy that is not finished
        addresses/10.17.89.2       0400   whose address it is

Bastille starts every jail that it makes and leaves it running; ``--no-boot`` only says that it does not start with the
host. So `BastilleHost.create` stops it again, before the jail counts as made: what a start shows or limits is prepared
first. A killed create or destroy leaves a folder that Bastille may not know as a jail any more and would then guess
about; it is told what it is before it is told to destroy it.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hive.jails.bastille_commands import JAIL_CONF, Bastille, check_name
from hive.jails.bastille_notes import GOING, MAKING, Notes, mark_in
from hive.jails.contained import JailRoot
from hive.jails.fstab import MAX_FSTAB, parse_fstab, places, with_mount
from hive.jails.host import check_mark, taken
from hive.jails.limits import Limits, parse_rules, with_rules
from hive.jails.limits_file import LimitsTable
from hive.jails.mounts import is_mounted
from hive.jails.network import JailNetwork
from hive.jails.places import check_mountable, check_source, make_place
from hive.packages.admitted_bytes import AdmittedBytes, check_admitted
from hive.packages.commands import CommandLimits
from hive.packages.receipts import STREAMED, Placed, Receipt
from hive.packages.running import NamedJail, Way
from hive.packages.stream import stream_package
from repo_client.entries import MissingPathError, UnsafePathError
from repo_client.handles import Directory
from signing.errors import (
    ConflictError,
    DigestMismatchError,
    HostError,
    NotFoundError,
    SkillRepoError,
)
from signing.format.names import TenantId

_ROOT: Final = "root"
_SHELF: Final = "shelf"
_MARK: Final = "birth"
_FSTAB: Final = "fstab"
_DEVICES: Final = "dev"  # mounted by every jail.conf of Bastille's
_RULES: Final = "rctl.conf"
_RULES_ASIDE: Final = "rctl.conf.aside"
_MAX_RULES: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class BastilleHost:
    """A `JailHost` whose jails are made of ``release`` by Bastille and connected by ``network``."""

    bastille: Bastille
    release: str
    network: JailNetwork
    way: Way = Way.HOST  # a new jail has no pkg of its own yet
    installing: CommandLimits | None = None
    limits_table: LimitsTable = field(default_factory=LimitsTable)

    @property
    def can_mount(self) -> bool:
        """Jails here have nullfs; see `JailHost.can_mount`."""
        return True

    @property
    def _notes(self) -> Notes:
        return Notes(self.bastille.prefix, seconds=self.bastille.patience.others)

    def exists(self, tenant: TenantId) -> bool:
        """Return whether the tenant's jail stands, complete; see `JailHost.exists`."""
        if self._notes.mark(tenant, GOING) is not None or self._beside(tenant) is None:
            return False
        with self._folder(tenant) as folder:
            root = folder.find(_ROOT)
        return root is not None and root.kind == "folder" and self.bastille.knows(tenant)

    def mark_of(self, tenant: TenantId) -> str | None:
        """Return the mark of the birth that made the jail, or is making or removing it; see `JailHost.mark_of`."""
        beside = self._beside(tenant)
        if beside is not None:
            return beside
        if not self._something(tenant):
            return None
        return self._notes.mark(tenant, GOING) or self._notes.mark(tenant, MAKING)

    def create(self, tenant: TenantId, *, mark: str) -> None:
        """Create the tenant's jail and stop it again; see `JailHost.create`."""
        with self._locked(tenant) as notes:
            if self._something(tenant):
                if self.exists(tenant) or self.mark_of(tenant) != mark:
                    raise taken(tenant, self.mark_of(tenant), where=self.describe(tenant))
                self._remove(tenant, mark, notes)
            notes.remove_tree(GOING)
            address = self._notes.claim(tenant, self.network)
            notes.write_file(MAKING, mark.encode(), mode=0o400)
            try:
                self._make(tenant, mark, address)
            except ConflictError:
                # Somebody else made a jail of this name just now: nothing of it is ours to remove.
                notes.remove_tree(MAKING)
                self._notes.give_back(tenant)
                raise
            except BaseException:
                with contextlib.suppress(SkillRepoError):
                    self._remove(tenant, mark, notes)
                raise
            notes.remove_tree(MAKING)
            notes.sync()

    def _make(self, tenant: TenantId, mark: str, address: str | None) -> None:
        self.bastille.create(tenant, self.release, self.network, address)
        self._halt(tenant)
        with self._folder(tenant) as folder:
            root = folder.find(_ROOT)
            if root is None or root.kind != "folder":
                raise HostError("Bastille made a jail without a root", where=self.describe(tenant))
            folder.write_file(_MARK, mark.encode(), mode=0o400)

    def open_root(self, tenant: TenantId) -> JailRoot:
        """Open the root of the tenant's jail; see `JailHost.open_root`."""
        self._check_exists(tenant)
        return JailRoot.open(self._path(tenant) / _ROOT)

    def open_shelf(self, tenant: TenantId) -> JailRoot:
        """Open the folder beside the root, made when it is first asked for; see `JailHost.open_shelf`."""
        self._check_exists(tenant)
        with self._folder(tenant) as folder:
            folder.descend(_SHELF, create=True, mode=0o755).close()
        return JailRoot.open(self.shelf(tenant))

    def shelf(self, tenant: TenantId) -> Path:
        """Return the path of the folder beside the root; see `JailHost.shelf`."""
        return self._path(tenant) / _SHELF

    def mount_read_only(self, tenant: TenantId, source: Path, inside: str) -> None:
        """Add a line to the jail's own fstab; see `JailHost.mount_read_only`."""
        with self._locked(tenant):
            self._check_exists(tenant)
            if self.bastille.running(tenant) is not None:
                raise ConflictError(f"the jail {tenant} runs", hint="stop it; mounts are made when it starts")
            root = self._path(tenant) / _ROOT
            # What stands in a jail, this one or another, belongs to the host's root by its number, and is a tenant's.
            if source.is_relative_to(self.bastille.jails) and not source.is_relative_to(self.shelf(tenant)):
                raise UnsafePathError(f"{source} is a tenant's own", where=str(root))
            kind = check_source(source)
            with self._folder(tenant) as folder:
                before = _read(folder, _FSTAB, MAX_FSTAB)
                after = with_mount(before, source, root / inside, where=f"{folder.label}/{_FSTAB}")
                with JailRoot.open(root) as opened:
                    make_place(opened, inside, kind, empty=after != before)
                if after != before:
                    folder.write_file(_FSTAB, after, mode=0o644)

    def start(self, tenant: TenantId, *, mark: str) -> None:
        """Start the tenant's jail; see `JailHost.start`."""
        with self._locked(tenant):
            self._check_exists(tenant)
            check_mark(tenant, self.mark_of(tenant), mark, where=self.describe(tenant))
            self._start(tenant)

    def _start(self, tenant: TenantId) -> None:
        if self.bastille.running(tenant) is not None:
            return
        # A tenant who had root can have left a link where the host is about to mount. The jail stands still now, so
        # what is looked at stays as it is.
        with JailRoot.open(self._path(tenant) / _ROOT) as root:
            for place in (_DEVICES, *self._places(tenant)):
                check_mountable(root, place)
        # Bastille sets the rules that it finds when the jail's rc has run to its end, and that is the tenant's by then.
        limits = self.limits_of(tenant)
        self.bastille.rules.enforce(tenant, limits)
        try:
            self.bastille.start(tenant)
            self.bastille.rules.enforce(tenant, limits)
        except HostError:
            with contextlib.suppress(SkillRepoError):
                self._halt(tenant)  # half started is without its limits, or without its mounts
            raise

    def _halt(self, tenant: TenantId) -> None:
        """Stop what runs; what had to be stopped by force is unmounted by us.

        Raises:
            HostError: it still runs, or something stays mounted.
        """
        if self.bastille.running(tenant) is None:
            return
        with self._rules_aside(tenant):
            forced = self.bastille.stop(tenant)
        if forced:
            self._bare(tenant)

    def _bare(self, tenant: TenantId) -> None:
        """Have nothing mounted in the jail, which does not run; a link that leads nowhere ours is not in the way of that.

        Raises:
            UnsafePathError, HostError: see `_unmount`.
        """
        if self.bastille.mounted(tenant):
            self._unmount(tenant)

    def _unmount(self, tenant: TenantId) -> None:
        """Unmount what stayed mounted at the places of the jail's own list. It does not run.

        Raises:
            UnsafePathError: a link on the way. HostError: something stays mounted, there or anywhere in it.
        """
        with JailRoot.open(self._path(tenant) / _ROOT) as root:
            for place in reversed([_DEVICES, *self._places(tenant)]):
                # No link on the way, and no process is left that could put one there.
                above, _, name = place.rpartition("/")
                with contextlib.suppress(MissingPathError), root.enter(above) as folder:
                    if is_mounted(folder, name):
                        self.bastille.unmount(self._path(tenant) / _ROOT / place)
        if left := self.bastille.mounted(tenant):
            raise HostError(
                f"something stays mounted in the jail {tenant}, which does not run",
                where=left[-1],
                hint=f"umount {left[-1]}, then run this again",
            )

    def _places(self, tenant: TenantId) -> tuple[str, ...]:
        """Return the places in the jail at which its own list mounts something."""
        with self._folder(tenant) as folder:
            mounts = parse_fstab(_read(folder, _FSTAB, MAX_FSTAB), where=f"{folder.label}/{_FSTAB}")
        return places(mounts, self._path(tenant) / _ROOT)

    def stop(self, tenant: TenantId, *, mark: str) -> None:
        """Stop the tenant's jail; see `JailHost.stop`."""
        with self._locked(tenant):
            if not self._something(tenant):
                return
            check_mark(tenant, self.mark_of(tenant), mark, where=self.describe(tenant))
            self._halt(tenant)

    def is_running(self, tenant: TenantId) -> bool:
        """Return whether the kernel runs the tenant's jail; see `JailHost.is_running`."""
        return self.bastille.running(tenant) is not None

    def limits(self, tenant: TenantId, limits: Limits) -> None:
        """Write the jail's rules down, and have the kernel follow them; see `JailHost.limits`."""
        with self._locked(tenant):
            self._check_exists(tenant)
            with self._folder(tenant) as folder:
                before = _rules(folder)
                after = with_rules(before, tenant, limits)
                if after != before or folder.find(_RULES) is None:
                    folder.write_file(_RULES, after.encode("latin-1"), mode=0o644)
            if self.bastille.running(tenant) is not None:
                self.bastille.rules.enforce(tenant, limits)

    def limits_of(self, tenant: TenantId) -> Limits:
        """Return what the jail's rules say, which its start has the kernel follow; see `JailHost.limits_of`."""
        self._check_exists(tenant)
        with self._folder(tenant) as folder:
            return parse_rules(_rules(folder), tenant, where=f"{folder.label}/{_RULES}")

    @contextlib.contextmanager
    def _rules_aside(self, tenant: TenantId) -> Iterator[None]:
        """Let Bastille find no rules meanwhile: it would drop them before it runs the tenant's own rc.shutdown.

        Nothing is written, so that a tenant who filled the disk is stopped all the same.
        """
        with self._folder(tenant) as folder:
            there = folder.find(_RULES) is not None
            if there:
                folder.rename(_RULES, _RULES_ASIDE, replace=True)
            try:
                yield
            finally:
                if there:
                    folder.rename(_RULES_ASIDE, _RULES, replace=True)

    def install_package(self, given: AdmittedBytes) -> Placed:
        """Stream the package into the jail, which is started for it and runs on; see `JailHost.install_package`."""
        check_admitted(given)
        tenant = given.admission.tenant.tenant_id
        with self._locked(tenant):
            self._check_exists(tenant)
            self._start(tenant)
            jail = NamedJail(tenant_id=tenant, way=self.way, programs=self.bastille.programs)
            return stream_package(jail, given, limits=self.installing)

    def check_package(self, tenant: TenantId, receipt: Receipt) -> None:
        """Check that it was streamed into a jail that stands; what the jail says of it is no evidence."""
        if receipt.placed.way != STREAMED:
            raise DigestMismatchError(f"{receipt.pin} was not installed here", hint="birth again")
        self._check_exists(tenant)

    def destroy(self, tenant: TenantId, *, mark: str) -> None:
        """Destroy the tenant's jail and finish earlier destroys; see `JailHost.destroy`."""
        if not self._something(tenant) and not self.bastille.prefix.exists():
            return
        with self._locked(tenant) as notes:
            if self._something(tenant):
                check_mark(tenant, self.mark_of(tenant), mark, where=self.describe(tenant))
            self._remove(tenant, mark, notes)

    def describe(self, tenant: TenantId) -> str:
        """Return the path of the jail's root, for people to read."""
        return str(self._path(tenant) / _ROOT)

    def _remove(self, tenant: TenantId, mark: str, notes: Directory) -> None:
        """Remove what stands there, which is ours, and what is noted of it."""
        if self._something(tenant):
            notes.write_file(GOING, mark.encode(), mode=0o400)
            with self._folder(tenant) as folder:
                if not self.bastille.knows(tenant):
                    # Half a jail. Bastille would guess which one is meant, and could take a longer name for it.
                    folder.write_file(JAIL_CONF, self._stub(tenant), mode=0o644)
            self._halt(tenant)
            self._bare(
                tenant
            )  # what is mounted would be removed with the jail, file by file, and is the host's
            self.bastille.destroy(tenant)
        with contextlib.suppress(HostError):  # the kernel keeps rules by name, for whoever is called so next
            self.bastille.rules.enforce(tenant, Limits())
        self._notes.give_back(tenant)
        notes.remove_tree(MAKING)
        notes.remove_tree(GOING)
        notes.sync()

    def _stub(self, tenant: TenantId) -> bytes:
        fstab = self._path(tenant) / _FSTAB
        return f"{tenant} {{\n  mount.fstab = {fstab};\n  path = {self.describe(tenant)};\n}}\n".encode()

    @contextlib.contextmanager
    def _locked(self, tenant: TenantId) -> Iterator[Directory]:
        """Yield our notes about the jail; nobody else of us changes it meanwhile, and Bastille would work.

        Raises:
            UsageError: Bastille takes the name for something else.
            HostError: it would not work in its prefix.
            ConflictError: somebody else changes the jail.
        """
        check_name(tenant)
        self.bastille.check_prefix()
        with self._notes.locked(tenant) as notes:
            yield notes

    def _beside(self, tenant: TenantId) -> str | None:
        """Return the mark beside the root, which is written when the jail is complete."""
        try:
            with self._folder(tenant) as folder:
                return mark_in(folder, _MARK)
        except (MissingPathError, UnsafePathError):
            return None

    def _something(self, tenant: TenantId) -> bool:
        try:
            with Directory.open(self.bastille.jails) as jails:
                return jails.find(tenant) is not None
        except MissingPathError:
            return False

    @contextlib.contextmanager
    def _folder(self, tenant: TenantId) -> Iterator[Directory]:
        with Directory.open(self.bastille.jails) as jails, jails.descend(tenant) as folder:
            yield folder

    def _path(self, tenant: TenantId) -> Path:
        return self.bastille.jails / tenant

    def _check_exists(self, tenant: TenantId) -> None:
        if not self.exists(tenant):
            raise NotFoundError(f"no jail {tenant}", where=self.describe(tenant))


def _read(folder: Directory, name: str, max_bytes: int) -> bytes:
    try:
        return folder.read_file(name, max_bytes=max_bytes)
    except MissingPathError:
        return b""


def _rules(folder: Directory) -> str:
    """Return the jail's rules as they are written down, or where a stop that was killed left them."""
    name = _RULES if folder.find(_RULES) is not None else _RULES_ASIDE
    return _read(folder, name, _MAX_RULES).decode("latin-1")
