"""What a proof sees of a jail and of the hive, each with other eyes than those that made it (edge)."""

import hmac
from collections.abc import Mapping
from typing import Any, Final

from hive import certificate
from hive.agents.client import Endpoint, HiveClient
from hive.agents.errors import TokenRefusedError
from hive.birth.mother import Mother
from hive.db.session import snapshot
from hive.jails.host import JailHost
from hive.jails.materialise import HOME, LOCK_PATH
from hive.proof.evidence import Step
from hive.proof.ground import Ground
from hive.tenants import Tenant, TenantStatus, load_row
from hive.vault.bucket import Bucket
from hive.vault.dotenv import MAX_FILE_BYTES, parse_text
from hive.vault.env_file import ENV_PATH, MODE, NAME
from hive.vault.provision import Standing
from signing.errors import HostError, TransportError
from signing.format.canonical import parse_canonical
from signing.format.digest import sha256_of
from signing.format.names import TenantId

TOKEN: Final = "HIVE_TOKEN"  # noqa: S105 - the name of a variable
_URL: Final = "HIVE_URL"
_MAX_LOCK: Final = 1 << 20
_STRANGER: Final = "A" * 43


def see_secrets(step: Step, ground: Ground, tenant_id: TenantId, bucket: Bucket) -> Mapping[str, str]:
    """Look at the environment file in the jail, and return its variables.

    Raises:
        HostError: it is not as it has to be. UnsafePathError, FormatError: it is no such file.
    """
    with ground.mother.host.open_root(tenant_id) as root, root.enter(HOME) as home:
        found = home.load_file(NAME, max_bytes=MAX_FILE_BYTES, single_link=True)
    step.holds(f"the mode of {ENV_PATH} is 0600", found.mode == MODE)
    owner = ground.provisioner.owner
    step.holds("its owner is the user that agents have here, by number", found.owner == owner)
    step.holds("it has no second name", found.links == 1)
    text = found.content.decode(errors="replace")
    values = {name: value for name, value, _ in parse_text(text, where=ENV_PATH)}
    step.holds(
        "it has the bucket's variables, the hive's address and the agent's token, and nothing else",
        set(values) == {*bucket.names, _URL, TOKEN},
    )
    step.holds(
        "each variable of the bucket has its value",
        all(
            hmac.compare_digest(values[name].encode(), secret.reveal())
            for name, secret in bucket.variables.items()
        ),
    )
    step.holds(
        "it is as this host recorded it", ground.provisioner.standing(tenant_id) is Standing.AS_WRITTEN
    )
    # With an agent's token in it, the digest is nothing to try guesses at the bucket against.
    step.facts |= {
        "path": f"{ground.mother.host.describe(tenant_id)}/{ENV_PATH}",
        "owner": f"{found.owner[0]}:{found.owner[1]}",
        "bytes": len(found.content),
        "sha256": sha256_of(found.content),
        "names": sorted(values),
    }
    return values


def registration(host: JailHost, tenant_id: TenantId) -> dict[str, Any]:
    """Return what the agent in the jail would register with: what the lock record there says of it."""
    with host.open_shelf(tenant_id) as shelf:  # what the agent sees there, and cannot change
        data = shelf.read_file(LOCK_PATH, _MAX_LOCK)
    record = parse_canonical(data, where=LOCK_PATH)
    try:
        return {
            "agent": record["agent"],
            "tenant": record["tenant"],
            "capabilities": record["capabilities"],
            "skills": [
                {key: item[key] for key in ("name", "version", "tree_sha256")} for item in record["skills"]
            ],
        }
    except (KeyError, TypeError) as error:
        raise HostError("the lock record in the jail is not one of ours", where=LOCK_PATH) from error


def see_registered(
    step: Step, endpoint: Endpoint, agent: HiveClient, body: Mapping[str, Any], tenant_id: TenantId
) -> None:
    """Register the agent with the token from its jail.

    Raises:
        HostError: the hive does not answer as it has to. Others: see `HiveClient.call`.
    """
    stranger = HiveClient(endpoint, lambda: _STRANGER, timeout=agent.timeout)
    step.holds("a token that nobody was given is refused", is_refused(stranger, tenant_id))
    reply = agent.call("/v1/agents/register", dict(body))
    step.holds("the agent is registered with its own token", _field(reply, "agent") == tenant_id)
    step.facts |= {"capabilities": list(body["capabilities"]), "skills": len(body["skills"])}


def see_active(step: Step, agent: HiveClient, mother: Mother, tenant_id: TenantId) -> None:
    """Let the agent be heard for the first time.

    Raises:
        HostError: its tenant does not become active; the message says why.
    """
    step.holds("its tenant is not active before", standing_of(mother, tenant_id) is TenantStatus.BORN)
    try:
        reply = agent.call("/v1/agents/heartbeat", {"agent": tenant_id})
    except TransportError as error:
        with snapshot(mother.engine) as session:
            reason = load_row(session, tenant_id).reason
        if not reason:
            raise
        raise HostError(f"the agent was heard, and its tenant is {reason}") from error
    step.holds("the hive calls the agent active", _field(reply, "state") == "active")
    step.holds("its tenant is active", standing_of(mother, tenant_id) is TenantStatus.ACTIVE)
    with snapshot(mother.engine) as session:
        step.facts["certificate_sha256"] = sha256_of(certificate.load(session, tenant_id))
    step.held.append("its birth certificate is signed")


def _field(reply: Mapping[str, Any] | None, name: str) -> Any:
    return (reply or {}).get(name)


def is_refused(agent: HiveClient, tenant_id: TenantId) -> bool:
    """Return whether the hive refuses the token of this agent."""
    try:
        agent.call("/v1/agents/heartbeat", {"agent": tenant_id})
    except TokenRefusedError:
        return True
    return False


def standing_of(mother: Mother, tenant_id: TenantId) -> TenantStatus:
    """Return how the tenant stands."""
    with snapshot(mother.engine) as session:
        return Tenant.of(load_row(session, tenant_id)).status
