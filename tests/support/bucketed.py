"""A mother that brings secrets: from a sealed vault in her state folder, and an agent's token."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from hive.agents import tokens
from hive.agents.names import AgentId
from hive.agents.token_file import load_token_key
from hive.birth.mother import Mother
from hive.db.session import transaction
from hive.vault.env_file import ENV_PATH
from hive.vault.host_key import KEY_NAME, load_or_make_key
from hive.vault.provision import WHILE_BIRTHING, Provisioner
from hive.vault.sealed import SealedVault
from hive.vault.secret import Secret
from signing.format.names import TenantId
from tests.support.world import now

# As root the jail user is somebody else, as in production; without root it can only be ourselves.
OWNER = (12345, 12346) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
PLANTED = "planted-where-nobody-may-see-it"
HIVE_URL = "https://hive.example"


def fill(state: Path, tenant: TenantId) -> str:
    """Make the tenant's bucket, and every key that is made at first use; return the bucket's collection id."""
    vault = SealedVault(state / "vault")
    for name in ("ONE", "TWO"):
        vault.put(tenant, f"c-{tenant}", name, f"{PLANTED}-{name}")
    load_token_key(state)
    load_or_make_key(state / KEY_NAME)
    return f"c-{tenant}"


def provisioner_of(mother: Mother) -> Provisioner:
    return Provisioner(
        engine=mother.engine, host=mother.host, state=mother.state, owner=OWNER, clock=mother.clock
    )


def own_of(mother: Mother, tenant: TenantId) -> Mapping[str, Secret]:
    with transaction(mother.engine) as session:
        token = tokens.issue(session, load_token_key(mother.state), AgentId(tenant), now=now())
    return {"HIVE_URL": Secret(HIVE_URL.encode()), "HIVE_TOKEN": Secret(token.text.encode())}


def with_bucket(mother: Mother) -> Mother:
    """The same mother, who brings secrets."""
    vault, provisioner = SealedVault(mother.state / "vault"), provisioner_of(mother)

    def bring(tenant: TenantId) -> tuple[str, ...]:
        return provisioner.provision(
            vault, tenant, own=lambda name: own_of(mother, name), allowed=WHILE_BIRTHING
        ).names

    return replace(mother, secrets=bring)


def files_with(state: Path, part: str = PLANTED) -> list[str]:
    """The files below ``state`` in which a planted secret can be read."""
    return [
        str(path.relative_to(state))
        for path in sorted(state.rglob("*"))
        if path.is_file() and not path.is_symlink() and part.encode() in path.read_bytes()
    ]


def env_of(state: Path, tenant: str = "acme") -> Path:
    return state / "jails" / tenant / "root" / ENV_PATH
