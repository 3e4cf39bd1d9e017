"""Where jails and packages go, and whether there is room (edge)."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hive.doctor.host import Host
from hive.jails.bastille import BastilleHost
from hive.jails.choose import open_host
from hive.jails.contained import JailRoot
from hive.vault.owner import owner_of
from signing.checkup import Said, bad, ok, warn
from signing.errors import HostError
from signing.format.names import parse_tenant_id

_GIB: Final = 1 << 30
_LITTLE: Final = 5 * _GIB
# No jail is asked for by this name: whether jls answers at all is the question.
_NOBODY: Final = parse_tenant_id("hivedoctor")


def check_jails(host: Host) -> Iterator[Said]:
    """Nobody but root can put another folder in the place of the jails, or of one above them."""
    base = Path(host.config.need("jail_root_base", "the setting jail_root_base"))
    if not base.exists():
        yield warn(f"no folder {base}", "the first birth makes it; or is jail_root_base right?")
        return
    JailRoot.open(base.resolve()).close()
    owner = base.stat().st_uid
    if owner not in {0, os.geteuid()}:
        yield bad(f"{base} belongs to user {owner}", f"chown root {base}")
    else:
        yield ok(f"{base}, and every folder above it, is changed by nobody else")


def check_jail_host(host: Host) -> Iterator[Said]:
    """What makes and runs jails is there and answers."""
    found = open_host(host.config)
    if not isinstance(found, BastilleHost):
        yield ok("jails are plain folders: for development, nothing in them runs")
        return
    bastille, whole = found.bastille, True
    bastille.check_prefix()
    for program in (
        bastille.program,
        bastille.jail,
        bastille.mount,
        bastille.umount,
        bastille.rctl,
        bastille.programs.jls,
    ):
        if not os.access(program, os.X_OK):
            whole = False
            yield bad(
                f"{program} cannot be run", "install it (pkg install bastille), or set bastille to its path"
            )
    if whole:
        bastille.running(_NOBODY)
        yield ok(f"Bastille in {bastille.prefix}, release {found.release}; jls answers")
        yield from _limits(found)


def _limits(host: BastilleHost) -> Iterator[Said]:
    if unlimited := host.limits_table.unlimited():
        yield warn(
            f"jails may use without end: {', '.join(unlimited)}",
            "one of them can take the whole host: give an amount in the file of limits",
        )
    try:
        host.bastille.rules.enforced(_NOBODY)
    except HostError as error:
        yield bad(f"no jail can be limited: {error}", "kern.racct.enable=1 in /boot/loader.conf, then boot")
    else:
        yield ok("jails are limited by rctl")


def check_owner(host: Host) -> Iterator[Said]:
    """Secrets in jails get an owner."""
    if host.config.jail_uid is None and host.config.jail_gid is None:
        yield warn(
            "no jail user: secrets are neither provisioned nor looked at by sweeps",
            "set jail_uid and jail_gid",
        )
        return
    uid, gid = owner_of(host.config)
    yield ok(f"agents run as {uid}:{gid}")


def check_abi(host: Host) -> Iterator[Said]:
    """Packages are asked for by the ABI of the jails."""
    abi = host.config.host_abi
    yield (
        ok(str(abi))
        if abi is not None
        else warn(
            "the ABI of the jails is not known: no profile with packages can be born",
            'abi = "FreeBSD:14:amd64"',
        )
    )


def check_space(host: Host) -> Iterator[Said]:
    """There is room below state, jails and database."""
    places = {"state": host.config.state_dir}
    if host.config.jail_root_base is not None:
        places["jails"] = Path(host.config.jail_root_base)
    if host.database_file is not None:
        places["database"] = host.database_file.parent
    for name, path in places.items():
        yield room(name, shutil.disk_usage(_standing(path)).free)


def check_store(host: Host) -> Iterator[Said]:
    """The store of packages has a bound that its file system can hold."""
    bound, folder = host.config.store_bytes, host.config.state_dir / "packages"
    held = _held(folder)
    free = shutil.disk_usage(_standing(folder)).free
    if bound > held + free:
        yield warn(
            f"the store may grow to {bound / _GIB:.1f} GiB, and only {(held + free) / _GIB:.1f} would fit",
            "lower package_store_bytes, or give STATE/packages a file system of its own",
        )
    else:
        yield ok(f"{held / _GIB:.1f} of {bound / _GIB:.1f} GiB used")


def _held(folder: Path) -> int:
    total = 0
    for file in folder.glob("*.pkg") if folder.exists() else ():
        with contextlib.suppress(FileNotFoundError):  # a birth makes room meanwhile
            total += file.stat().st_size
    return total


def room(name: str, free: int) -> Said:
    """Say whether ``free`` bytes are enough."""
    says = f"{name}: {free / _GIB:.1f} GiB free"
    if free < _GIB:
        return bad(says, "make room: a full disk stops births, sweeps and the audit log")
    return warn(says, "make room, or lower package_store_bytes") if free < _LITTLE else ok(says)


def _standing(path: Path) -> Path:
    """Return ``path``, or the nearest folder above it that is there."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
