"""`hive register-agent` and `hive agents`."""

from pathlib import Path
from typing import Any

import click

from hive.agents import registry, tokens
from hive.agents.names import AgentId, parse_agent_id, parse_capability
from hive.agents.offers import describe_agents
from hive.agents.rules import Rules
from hive.agents.standing import Standing
from hive.agents.token_file import load_token_key
from hive.cli.context import clock, open_database, settings
from hive.cli.options import heartbeat_option
from hive.db.session import transaction
from hive.private_files import write_secret
from hive.tenants import Tier
from signing.console import Console, console_option
from signing.errors import ConflictError, UsageError
from signing.format.names import parse_tenant_id


@click.command()
@click.argument("agent_id", metavar="ID")
@click.option(
    "--capability", "capabilities", multiple=True, required=True, help="What it may offer; repeatable."
)
@click.option("--tenant", "tenants", multiple=True, help="Serve only these tenants; repeatable.")
@click.option(
    "--tier",
    "tiers",
    multiple=True,
    type=click.Choice([tier.value for tier in Tier]),
    help="Serve only these tiers; repeatable.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help="Write the token to this new file, mode 0600. It is shown nowhere else.",
)
@click.option("--rotate", is_flag=True, help="Issue a new token; the old one is refused from now on.")
@console_option
@click.pass_context
def register_agent(
    ctx: click.Context,
    agent_id: str,
    capabilities: tuple[str, ...],
    tenants: tuple[str, ...],
    tiers: tuple[str, ...],
    token_file: Path | None,
    rotate: bool,
    console: Console,
) -> None:
    """Admit the lane ID with what it may offer, and issue its token; again, to change its grants and limits.

    A tenant's own agent is enrolled by its birth, not by this.
    """
    name = parse_agent_id(agent_id, where="ID")
    granted = frozenset(parse_capability(one, "--capability") for one in capabilities)
    config = settings(ctx)
    if token_file is not None and token_file.exists():
        raise ConflictError(f"{token_file} exists", hint="choose another file, or remove it first")
    if rotate and token_file is None:
        raise UsageError("a new token has to go somewhere", hint="give --token-file FILE")
    engine = open_database(config, create=True)
    key = load_token_key(config.state_dir) if token_file is not None else None
    with transaction(engine) as session:
        registry.enrol_lane(
            session,
            name,
            granted,
            tenants=[parse_tenant_id(one, where="--tenant") for one in tenants],
            tiers=[Tier(one) for one in tiers],
            now=clock(),
        )
        if key is not None and token_file is not None:
            give = tokens.rotate if rotate else tokens.issue
            token = give(session, key, name, now=clock())
            write_secret(token_file, token.text.encode() + b"\n")
    answer: dict[str, Any] = {"agent": name, "capabilities": sorted(granted)}
    if token_file is not None:
        answer["token_file"] = str(token_file)
    console.answer(answer, f"{name} may offer {', '.join(sorted(granted))}")


@click.group(invoke_without_command=True)
@heartbeat_option("As hive serve was told.")
@console_option
@click.pass_context
def agents(ctx: click.Context, heartbeat: float, console: Console) -> None:
    """Show who is alive and what each can do; quarantine, release, ban or retire one."""
    if ctx.invoked_subcommand is not None:
        return
    with transaction(open_database(settings(ctx))) as session:
        found = describe_agents(session, Rules.every(heartbeat))
    console.answer(
        {"agents": found},
        "\n".join(_line(agent) for agent in found)
        or "no agents yet: hive birth TENANT, or hive register-agent ID --capability NAME",
    )


def _line(agent: dict[str, Any]) -> str:
    if agent["standing"] != Standing.ADMITTED:
        life = agent["standing"]
    elif agent["silent_seconds"] is None:
        life = "never heard"
    else:
        life = f"{'alive' if agent['alive'] else 'silent'}, heard {agent['silent_seconds']} s ago"
    whose = f"tenant ({agent['tenant_status']})" if agent["tenant"] is not None else "lane"
    offers = ", ".join(agent["capabilities"]) or "nothing registered"
    more = f"  jobs: {', '.join(agent['jobs'])}" if agent["jobs"] else ""
    return f"{agent['agent']:15}  {whose:20}  {life:28}  {offers}{more}"


def _standing(verb: str, standing: Standing, summary: str) -> None:
    @agents.command(verb, help=summary)
    @click.argument("agent_id", metavar="ID")
    @click.option("--reason", required=True, help="Why; recorded.")
    @console_option
    @click.pass_context
    def command(ctx: click.Context, agent_id: str, reason: str, console: Console) -> None:
        name = parse_agent_id(agent_id, where="ID")
        with transaction(open_database(settings(ctx))) as session:
            _set(session, name, standing, reason)
        console.answer({"agent": name, "standing": standing.value}, f"{name}: {standing}")


def _set(session: Any, name: AgentId, standing: Standing, reason: str) -> None:
    if standing is Standing.RETIRED:
        registry.retire(session, name, reason=reason, now=clock())
    else:
        registry.set_standing(session, name, standing, reason=reason, now=clock())


_standing("quarantine", Standing.QUARANTINED, "Take its work away, until it is released.")
_standing("release", Standing.ADMITTED, "End the quarantine of an agent; a tenant's has its own end.")
_standing("ban", Standing.BANNED, "Close this identity for good, for cause; it can never register again.")
_standing("retire", Standing.RETIRED, "Close this identity for good; its token is revoked.")
