"""`hive serve`."""

from typing import TYPE_CHECKING

import click

from hive.agents.rules import Rules
from hive.cli.activating import open_activator
from hive.cli.context import clock, open_database, settings
from hive.cli.options import heartbeat_option
from signing.console import Console, console_option
from signing.errors import UsageError

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

_LISTEN = "127.0.0.1:8099"


@click.command()
@click.option("--listen", metavar="ADDRESS", help=f"127.0.0.1:PORT or unix:/PATH; default: {_LISTEN}.")
@click.option(
    "--socket-mode",
    default="0600",
    type=click.Choice(["0600", "0660", "0666"]),
    show_default=True,
    help="Who may connect to the Unix socket. Every request needs a token all the same.",
)
@click.option(
    "--waiting",
    default=64,
    show_default=True,
    type=click.IntRange(1, 400),
    help="How many agents may wait for work at once; each takes a thread.",
)
@heartbeat_option("Seconds between two heartbeats of an agent; after three it counts as dead.")
@click.option(
    "--birth-depth",
    default=0,
    show_default=True,
    type=click.IntRange(0, 8),
    help="How far from an operator's a birth may be that an agent asks for. 0: none.",
)
@click.option(
    "--birth-budget",
    default=0,
    show_default=True,
    type=click.IntRange(0, 100),
    help="How many births a tenant's agent may ask for in all. Each waits for hive jobs approve.",
)
@click.option("--metrics", metavar="ADDRESS", help="127.0.0.1:PORT on which /metrics answers Prometheus.")
@click.option("--metrics-names", is_flag=True, help="Name tenants in the metrics.")
@click.option(
    "--log-json",
    is_flag=True,
    envvar="HIVE_LOG_JSON",
    help="Log one JSON object a line, on stderr; no names.",
)
@console_option
@click.pass_context
def serve(
    ctx: click.Context,
    listen: str | None,
    socket_mode: str,
    waiting: int,
    heartbeat: float,
    birth_depth: int,
    birth_budget: int,
    metrics: str | None,
    metrics_names: bool,
    log_json: bool,
    console: Console,
) -> None:
    """Serve the API that agents speak until SIGTERM or SIGINT.

    On a loopback address or a Unix socket only; TLS is the proxy's part.
    """
    del console
    from hive.agents.api import MAX_BODY, Service, create_app
    from hive.agents.metrics import serve_metrics
    from hive.agents.serve import Address
    from hive.agents.serve import serve as run_server
    from hive.agents.waiting import Waiting
    from hive.logs import logged, note
    from signing.log_lines import log_json as start_log

    config = settings(ctx, listen=listen)
    address = Address.parse(config.listen or _LISTEN)
    rules = Rules.every(heartbeat, birth_depth=birth_depth, birth_budget=birth_budget)
    engine = open_database(config)
    places = Waiting(waiting)
    service = Service(
        engine=engine,
        clock=clock,
        activator=open_activator(config),
        rules=rules,
        waiting=places,
    )
    if metrics is not None:
        at = Address.parse(metrics)
        if at.path is not None:
            raise UsageError("--metrics takes 127.0.0.1:PORT")
        serve_metrics(engine, rules, host=at.host, port=at.port, names=metrics_names)
    application: WSGIApplication = create_app(service)
    if log_json:
        start_log()
        application = logged(application)
    run_server(
        application,
        places,
        address=address,
        most_waiting=waiting,
        max_body=MAX_BODY,
        socket_mode=int(socket_mode, 8),
        tell=(lambda where: note("serving", where=where)) if log_json else None,
    )
