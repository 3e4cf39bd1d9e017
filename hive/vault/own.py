"""The hive's own variables in a jail: where the hive listens, and the agent's token."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Engine

from hive.agents import tokens
from hive.agents.names import AgentId
from hive.agents.token_file import load_token_key
from hive.config import HiveConfig
from hive.db.models import TenantRow
from hive.db.session import transaction
from hive.here import check_own
from hive.tenants import Tenant
from hive.vault.secret import Secret
from signing.errors import UsageError
from signing.format.names import TenantId


def own_variables(
    config: HiveConfig, engine: Engine, tenant_id: TenantId, *, now: datetime, rotate: bool = False
) -> Mapping[str, Secret]:
    """Return HIVE_URL and HIVE_TOKEN of the tenant's own agent; none when no address of the hive is configured.

    Args:
        config: of this host.
        engine: its database.
        tenant_id: whose agent; it has the same name.
        now: the present moment.
        rotate: make a new token; the one before is refused from now on.

    Raises:
        UsageError: a token is to be rotated, and there is none without an address.
        ElsewhereError: the tenant's jail is another host's.
        NotEntitledError: the agent is banned or retired.
        KeyAccessError, HostError: the host's key for tokens cannot be used.
    """
    if config.hive_url is None:
        if rotate:
            raise UsageError(
                "there is no token to rotate: hive_url is not set",
                hint="secrets of the bucket are rotated in the vault; then hive provision brings them",
            )
        return {}
    key = load_token_key(config.state_dir)
    give = tokens.rotate if rotate else tokens.issue
    with transaction(engine) as session:
        # Held until the token stands: a host that was overtaken must not replace the token of the jail that counts.
        row = session.get_one(TenantRow, tenant_id, with_for_update={"read": True}, populate_existing=True)
        check_own(Tenant.of(row), config.host_name)
        token = give(session, key, AgentId(tenant_id), now=now)
    return {"HIVE_URL": Secret(config.hive_url.encode()), "HIVE_TOKEN": Secret(token.text.encode())}
