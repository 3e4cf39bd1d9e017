"""Which machine this is, where several jail hosts share one database.

    host = "womb1"          in the settings of each; nothing on a database that one host alone uses

A tenant's row names the host that has its jail, and a host touches, sweeps, starts and ends the jails of its own rows only:
that a jail is not here says nothing while it stands elsewhere. A name is bound to the key of the machine that joined under
it (`hive hosts join`), so a copied settings file makes no second machine of one name; and once somebody has joined, a host
without a name is nobody and is refused.
"""

from sqlalchemy import select
from sqlalchemy.orm import Session

from hive.agents.names import AgentId
from hive.db.gate_tables import HostRow
from hive.tenants import Tenant
from signing.errors import ConflictError, NotEntitledError, UsageError

JOIN = "hive hosts join"


class ElsewhereError(ConflictError):
    """The tenant's jail is another host's."""

    code = "elsewhere"


def check_host(session: Session, here: AgentId | None, keyid: str | None) -> None:
    """Return None when the machine that holds the key may call itself ``here``.

    Raises:
        UsageError: it calls itself nothing, and hosts have joined; or it did not join.
        NotEntitledError: another machine has joined under that name.
    """
    if here is None:
        joined = session.scalars(select(HostRow.host).where(HostRow.key_sha256.is_not(None))).first()
        if joined is not None:
            raise UsageError(
                f"several hosts share this database ({joined} is one), and this one has no name",
                hint='host = "NAME" in the settings file, then hive hosts join',
            )
        return
    row = session.get(HostRow, here)
    if row is None or row.key_sha256 is None:
        raise UsageError(f"no machine has joined as {here}", hint=JOIN)
    if row.key_sha256 != keyid:
        raise NotEntitledError(
            f"another machine has joined as {here}",
            hint="one name, one machine: take another name, or restore the state folder with its host-key",
        )


def check_own(tenant: Tenant, here: AgentId | None) -> None:
    """Return None when the tenant's jail is this host's to touch.

    Raises:
        ElsewhereError: it is another's, or nobody's.
    """
    if tenant.host == here:
        return
    if tenant.host is None:
        raise ElsewhereError(
            f"no host has the jail of {tenant.tenant_id}",
            hint=f"a birth makes one; {JOIN} takes over what is older than this host's name",
        )
    raise ElsewhereError(
        f"the jail of {tenant.tenant_id} is on the host {tenant.host}", hint="give the command there"
    )
