"""What a proof is made on (edge): this host as its tenants have it, but for the bucket."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from hive.activation import Activator
from hive.birth.mother import Mother
from hive.retiring import Retirer
from hive.vault.provision import WHILE_BIRTHING, Own, Provisioner
from hive.vault.vault import Vault
from signing.format.names import Pin, TenantId


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the operator asked for. Without ``tenant_id`` a name is chosen that nobody has."""

    tenant_id: TenantId | None = None
    profile: Pin | None = None
    collection_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Everything that a proof needs from this host.

    Attributes:
        mother: births as for any tenant; what brings secrets is put in its place.
        provisioner: brings and looks at secrets, with the owner that they get here.
        own: the hive's own variables of an agent.
        activator: what `hive serve` asks at a first heartbeat.
        vault: where the throw-away bucket is; None: this host's vault is the sealed one, and a proof makes its own.
        live: the address of the service that agents find; None: the same API is run here, for the proof alone.
        settings: what the evidence says about this host.
    """

    mother: Mother
    provisioner: Provisioner
    own: Own
    activator: Activator
    vault: Vault | None
    live: str | None
    settings: Mapping[str, Any]

    @property
    def retirer(self) -> Retirer:
        """What ends the tenant of a proof."""
        mother = self.mother
        return Retirer(
            engine=mother.engine, host=mother.host, state=mother.state, clock=mother.clock, here=mother.here
        )

    def mother_with(self, vault: Vault) -> Mother:
        """Return the mother that brings secrets from ``vault``."""
        bring: Callable[..., Any] = partial(
            self.provisioner.provision, vault, own=self.own, allowed=WHILE_BIRTHING
        )
        return replace(self.mother, secrets=lambda tenant_id: bring(tenant_id).names)
