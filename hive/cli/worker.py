"""`hive worker`: a lane."""

import json
import os
import shutil
import signal
import threading
from pathlib import Path
from typing import Any

import click

from hive.agents.names import parse_agent_id, parse_capability
from hive.cli.context import settings
from signing.console import Console, console_option
from signing.errors import KeyAccessError, NotFoundError, UsageError

_TOKEN = "HIVE_TOKEN"  # noqa: S105 - the name of a variable


@click.command(context_settings={"ignore_unknown_options": False})
@click.option("--agent", "agent_id", required=True, metavar="ID", help="As hive register-agent named it.")
@click.option(
    "--capability", "capabilities", multiple=True, required=True, help="What it offers; repeatable."
)
@click.option("--url", envvar="HIVE_URL", help="Where the hive listens; default: hive_url of the settings.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help=f"File of mode 0600 with the token; without, {_TOKEN} of the environment.",
)
@click.option(
    "--time-limit",
    default=600.0,
    show_default=True,
    type=click.FloatRange(0.1, 86_400),
    help="Seconds for one job.",
)
@click.option(
    "--output-limit",
    default=262_144,
    show_default=True,
    type=click.IntRange(1, 786_432),
    help="Bytes that one job may print.",
)
@click.option(
    "--wait", default=20.0, show_default=True, type=click.FloatRange(0.1, 60), help="Seconds of one claim."
)
@click.option("--timeout", default=10.0, show_default=True, type=click.FloatRange(0.1, 60))
@click.option("--once", is_flag=True, help="Claim once, then end.")
@click.argument("words", nargs=-1, required=True, metavar="-- CMD...")
@console_option
@click.pass_context
def worker(
    ctx: click.Context,
    agent_id: str,
    capabilities: tuple[str, ...],
    url: str | None,
    token_file: Path | None,
    time_limit: float,
    output_limit: int,
    wait: float,
    timeout: float,
    once: bool,
    words: tuple[str, ...],
    console: Console,
) -> None:
    """Lend capabilities: run CMD for each job that needs them, until SIGTERM or SIGINT.

    The job is one line of JSON on CMD's stdin; what CMD prints is the result. Each event is one JSON object on stdout.
    """
    del console
    from hive.agents.client import Endpoint, HiveClient
    from hive.agents.worker import Lane, Worker

    config = settings(ctx, hive_url=url)
    endpoint = Endpoint.parse(config.need("hive_url", "--url URL or HIVE_URL"))
    if shutil.which(words[0]) is None:
        raise NotFoundError(f"{words[0]} is not a command that can be run here")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    # Whoever started us may have ignored it; then the system forgets how CMD ended, and a failure would count as success.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    lane = Lane(
        agent_id=parse_agent_id(agent_id, where="--agent"),
        capabilities=frozenset(parse_capability(one, "--capability") for one in capabilities),
        words=words,
        seconds=time_limit,
        output_limit=output_limit,
        wait=wait,
    )
    client = HiveClient(endpoint, lambda: _token(token_file), timeout=timeout)
    Worker(client, lane, stop=stop, tell=_tell).run(once=once)


def _token(file: Path | None) -> str:
    if file is None:
        token = os.environ.get(_TOKEN, "")
        if not token:
            raise UsageError("no token", hint=f"give --token-file FILE or {_TOKEN}")
        return _checked(token)
    from hive.private_files import read_secret

    return _checked(read_secret(file).decode("ascii", "replace").removesuffix("\n"))


def _checked(token: str) -> str:
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise KeyAccessError("the token holds characters that cannot stand in a header")
    return token


def _tell(facts: dict[str, Any]) -> None:
    click.echo(json.dumps(facts, ensure_ascii=True))
