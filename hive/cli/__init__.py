"""`hive`: the operator's command on a jail host."""

from pathlib import Path

import click

from hive.cores import leave_no_core
from signing.console import LazyGroup, run

_TENANTS, _AGENTS, _TRUST = "Tenants", "Agents", "Trust"
_COMMANDS = {
    "register-tenant": (
        "hive.cli.tenants:register_tenant",
        "Add a tenant with its tier and profile.",
        _TENANTS,
    ),
    "list-tenants": ("hive.cli.tenants:list_tenants", "Who is registered, and how they stand.", _TENANTS),
    "show-tenant": ("hive.cli.tenants:show_tenant", "One tenant.", _TENANTS),
    "birth": ("hive.cli.birth:birth", "Birth a tenant's agent, or continue its birth.", _AGENTS),
    "order-birth": ("hive.cli.orders:order_birth", "Queue a birth for a host of the right ABI.", _AGENTS),
    "orders": ("hive.cli.orders:orders", "Ordered births, who makes them and how they end.", _AGENTS),
    "womb": ("hive.cli.womb:womb", "Give birth to what is ordered, on this host.", _AGENTS),
    "first-proof": (
        "hive.cli.first_proof:first_proof",
        "Prove with a scratch tenant that this host carries one from nothing to a heartbeat.",
        _AGENTS,
    ),
    "retire-tenant": ("hive.cli.retire:retire_tenant", "Undo a birth for good; receipts are kept.", _TENANTS),
    "start-tenant": (
        "hive.cli.start:start_tenant",
        "Start jails that stand still, as after a reboot, when a look at them finds nothing.",
        _TENANTS,
    ),
    "release-tenant": (
        "hive.cli.release:release_tenant",
        "Take a tenant out of quarantine, when a look at it finds nothing.",
        _TENANTS,
    ),
    "provision": ("hive.cli.provision:provision", "Bring a tenant's secrets into its jail.", _TENANTS),
    "withdraw": ("hive.cli.provision:withdraw", "Remove a tenant's secrets from its jail.", _TENANTS),
    "vault": ("hive.cli.vault:vault", "The sealed vault for development.", _TENANTS),
    "spawn-agent": ("hive.cli.spawn:spawn_agent", "Create and start a tenant's jail.", _AGENTS),
    "serve": ("hive.cli.serve:serve", "Serve the API that agents speak.", _AGENTS),
    "register-agent": ("hive.cli.agents:register_agent", "Register a lane and issue its token.", _AGENTS),
    "agents": ("hive.cli.agents:agents", "Who is alive, and what each can do.", _AGENTS),
    "submit": ("hive.cli.jobs:submit", "Submit a job.", _AGENTS),
    "jobs": ("hive.cli.jobs:jobs", "Jobs, their leases and ends.", _AGENTS),
    "worker": ("hive.cli.worker:worker", "Lend a capability: run a command for each job.", _AGENTS),
    "sweep": (
        "hive.cli.sweep:sweep",
        "Compare every jail with its lock and with what is revoked by now.",
        _TRUST,
    ),
    "status": ("hive.cli.status:status", "How everything stands, on one screen.", _TRUST),
    "gates": ("hive.cli.gates:gates", "What must be there before a paying customer.", _TRUST),
    "hosts": ("hive.cli.hosts:hosts", "Machines, what they can and what they cost.", _TRUST),
    "doctor": ("hive.cli.doctor:doctor", "Check everything that can be wrong, with its mend.", _TRUST),
    "policy": ("hive.cli.policy:policy", "Show and test the policy of this host.", _TRUST),
    "optin": ("hive.cli.optin:optin", "External bundles for the free tier, at own risk.", _TRUST),
    "trust": ("hive.cli.trust:trust", "The trust anchor of this host; replacing it is recorded.", _TRUST),
    "audit": (
        "hive.cli.audit:audit",
        "Show and verify the audit log; find births that are affected by now.",
        _TRUST,
    ),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--db", envvar="HIVE_DB", help="Database URL, or a path for SQLite.")
@click.option(
    "--trust-anchor",
    envvar="HIVE_TRUST_ANCHOR",
    help="File with the first root; never learned from the network.",
)
@click.option("--server", envvar="HIVE_SERVER", help="Address of the repository.")
@click.option("--pkg-server", envvar="HIVE_PKG_SERVER", help="Address of the package server.")
@click.option(
    "--abi", envvar="HIVE_ABI", help="ABI of the jails here, like FreeBSD:14:amd64; default: this machine's."
)
@click.option("--state", envvar="HIVE_STATE", help="Folder for trusted metadata and verified trees.")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    envvar="HIVE_CONFIG",
    help="TOML file with these settings.",
)
@click.option(
    "--package-store-bytes",
    envvar="HIVE_PACKAGE_STORE_BYTES",
    help="How large the store of packages may become.",
)
@click.option("--json", "json_output", is_flag=True, help="Answer with one JSON object.")
@click.version_option(package_name="clawdie-skillrepo")
@click.pass_context
def cli(ctx: click.Context, /, **options: object) -> None:
    """Birth private agents in jails; let in only what the trust anchor vouches for now."""
    ctx.obj = options


def main() -> None:
    """Run the command (console script)."""
    leave_no_core()
    run(cli, "hive")
