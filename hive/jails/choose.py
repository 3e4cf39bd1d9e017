"""The host of jails that the operator configured."""

import re
from pathlib import Path
from typing import Final

from hive.config import HiveConfig
from hive.jails.bastille import BastilleHost
from hive.jails.bastille_commands import Bastille
from hive.jails.directory import DirectoryHost
from hive.jails.host import JailHost
from hive.jails.limits_file import LimitsTable, load_limits
from hive.jails.network import JailNetwork
from signing.errors import UsageError

DIRECTORY: Final = "directory"
BASTILLE: Final = "bastille"
_PROGRAM: Final = "/usr/local/bin/bastille"
_JAILS: Final = "jails"
_RELEASE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


def open_host(config: HiveConfig) -> JailHost:
    """Return the host of ``config``: plain folders, unless it says otherwise. Nothing is touched.

    Raises:
        UsageError: a setting is missing, or names something that there is not.
        FormatError: the network of the jails is none, or the file of limits is not of its form.
        NotFoundError: the file of limits is named and cannot be read.
    """
    base = Path(config.need("jail_root_base", "--jail-root-base DIR or HIVE_JAIL_ROOT_BASE"))
    if config.jail_host in {None, DIRECTORY}:
        return DirectoryHost(base.resolve(), limits_table=load_limits(config.limits_path))
    if config.jail_host == BASTILLE:
        return _bastille(config, base, load_limits(config.limits_path))
    raise UsageError(
        f"there is no jail host {config.jail_host!a}", hint=f"jail_host is {DIRECTORY} or {BASTILLE}"
    )


def _bastille(config: HiveConfig, base: Path, limits_table: LimitsTable) -> BastilleHost:
    if not base.is_absolute() or base.name != _JAILS:
        raise UsageError(
            f"Bastille keeps its jails in the folder {_JAILS} of its prefix, and {base} is none",
            hint='jail_root_base = "/usr/local/bastille/jails"',
        )
    program = config.bastille or _PROGRAM
    if not program.startswith("/"):
        raise UsageError(f"{program!a} is no absolute path", hint=f'bastille = "{_PROGRAM}"')
    release = config.need("bastille_release", 'bastille_release = "14.3-RELEASE"')
    if not _RELEASE.fullmatch(release):
        raise UsageError(f"{release!a} is no release", hint="bastille list release shows which there are")
    network = config.need("bastille_network", 'bastille_network = "lo1:10.17.89.0/24"')
    return BastilleHost(
        bastille=Bastille(prefix=base.parent, program=program),
        release=release,
        network=JailNetwork.parse(network),
        limits_table=limits_table,
    )
