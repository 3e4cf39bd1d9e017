"""`hive womb`: this host gives birth to what is ordered."""

import json
import logging
import signal
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click

from hive.birth.undoing import OnFailure
from hive.cli.birth import open_mother
from hive.cli.context import clock, open_client, open_database, open_here, settings
from hive.cli.gates import open_gates
from hive.config import HiveConfig
from hive.jails.choose import open_host
from hive.vault.choose import vault_kind
from signing.console import Console, console_option
from signing.log_lines import log_json as start_log
from signing.log_lines import note

if TYPE_CHECKING:
    from hive.orders.womb import Tell, Womb

_LOG: Final = logging.getLogger("hive.womb")
# What a line of the log may say without names: no tenant, no path, no message of an error.
_NAMELESS: Final = frozenset({"order", "fence", "again", "again_in", "already"})


@click.command()
@click.option("--jail-root-base", envvar="HIVE_JAIL_ROOT_BASE", help="Folder of the jails.")
@click.option("--once", is_flag=True, help="Claim once, then end.")
@click.option(
    "--poll",
    default=5.0,
    show_default=True,
    type=click.FloatRange(0.1, 300),
    help="Seconds, at most, between two looks at an empty queue.",
)
@click.option(
    "--on-failure", type=click.Choice([item.value for item in OnFailure]), help="As for hive birth."
)
@click.option(
    "--log-json", is_flag=True, envvar="HIVE_LOG_JSON", help="Log one JSON object a line, on stderr."
)
@click.option("--log-names", is_flag=True, help="With tenants and messages.")
@console_option
@click.pass_context
def womb(
    ctx: click.Context,
    jail_root_base: str | None,
    once: bool,
    poll: float,
    on_failure: str | None,
    log_json: bool,
    log_names: bool,
    console: Console,
) -> None:
    """Give birth to what is ordered, one at a time, until SIGTERM or SIGINT; a birth that goes on is ended first.

    This host has joined (hive hosts join). Killed, it goes on by itself, or another host does when the lease is over.
    """
    config = settings(ctx, jail_root_base=jail_root_base, on_failure=on_failure)
    if log_json:
        start_log(names=log_names)

    def tell(facts: dict[str, Any]) -> None:
        if log_json:
            shown = {key: value for key, value in facts.items() if log_names or key in _NAMELESS}
            level = logging.ERROR if facts["event"] in {"failed", "trouble", "lost", "left"} else logging.INFO
            note(_LOG, f"womb.{facts['event']}", level=level, **shown)
        else:
            console.note(json.dumps(facts, ensure_ascii=True))

    stop = threading.Event()
    host = open_womb(config, console, tell=tell, stop=stop, poll=poll)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    found = host.run(once=once)
    console.answer(
        {"host": host.here, "found": found},
        f"{host.here}: {'there was an order' if found else 'nothing is ordered' if once else 'ended'}",
    )


def open_womb(
    config: HiveConfig,
    console: Console,
    *,
    tell: "Tell",
    stop: threading.Event,
    poll: float,
) -> "Womb":
    """Return the womb of this host, which asks for everything that decides about a birth once a birth.

    Raises:
        UsageError, FormatError, NotFoundError: a setting is missing or wrong.
    """
    from hive.orders.place import Place
    from hive.orders.womb import Womb

    engine = open_database(config)
    # A wrong setting is said now, and not an order later.
    open_gates(config)
    open_client(config)
    vault_kind(config)
    place = Place(
        engine=engine,
        host=open_host(config),
        state=config.state_dir,
        clock=clock,
        here=open_here(config, engine),
        abi=config.host_abi,
        check=partial(open_here, config, engine),
    )
    return Womb(
        place=place,
        open=partial(open_mother, config, console, engine=engine),
        tell=tell,
        stop=stop,
        poll=poll,
        on_failure=OnFailure.parse(config.on_failure),
    )
