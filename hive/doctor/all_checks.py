"""Every check, in the order in which things are mended: files, records, machine, services."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from hive.doctor import files, machine, records, services
from hive.doctor.host import Host
from signing.checkup import Said

CHECKS: Final[Mapping[str, Callable[[Host], Iterator[Said]]]] = MappingProxyType(
    {
        "settings": files.check_settings,
        "private": files.check_private,
        "keys": files.check_keys,
        "database": records.check_database,
        "place": records.check_place,
        "audit": records.check_audit,
        "clock": records.check_clock,
        "anchor": services.check_anchor,
        "server": services.check_server,
        "jails": machine.check_jails,
        "jail-host": machine.check_jail_host,
        "jail-user": machine.check_owner,
        "abi": machine.check_abi,
        "space": machine.check_space,
        "packages": machine.check_store,
        "hive": services.check_hive,
        "listen": services.check_listen,
        "vault": services.check_vault,
        "policy": services.check_policy,
        "gates": records.check_gates,
        "sweep": records.check_sweep,
        "births": records.check_births,
        "tenants": records.check_tenants,
    }
)
