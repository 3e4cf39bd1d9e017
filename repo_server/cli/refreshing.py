"""`skillrepo refresh`: once, when it is due, or for ever."""

import re
import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from repo_server.cli.context import clock, open_online_signer, open_repository
from signing.console import Console, console_option
from signing.errors import UsageError
from signing.roles import TIMESTAMP, life_of

if TYPE_CHECKING:
    from repo_server.publishing.keeper_metrics import KeeperNumbers
    from repo_server.publishing.keeping_fresh import Keeper
    from repo_server.publishing.spreading import Shelf
    from repo_server.repository import Repository

_EVERY: Final = re.compile(r"([1-9][0-9]{0,3})([smh])", re.ASCII)
_UNITS: Final = {"s": 1, "m": 60, "h": 3600}


@click.command()
@click.option(
    "--repair", is_flag=True, help="Read every published file and write again what is not as it should be."
)
@click.option(
    "--if-due", is_flag=True, help="Only when the timestamp is within its renewal window; for a timer."
)
@click.option("--every", metavar="6h", help="Go on for ever: renew what is older than that (s, m, h).")
@click.option(
    "--tell",
    type=click.Path(path_type=Path),
    metavar="PROGRAM",
    help="With --every: told what expires soon and what fails, as JSON on its standard input.",
)
@click.option("--metrics", metavar="ADDRESS", help="With --every: 127.0.0.1:PORT on which Prometheus asks.")
@console_option
@click.pass_context
def refresh(
    ctx: click.Context,
    repair: bool,
    if_due: bool,
    every: str | None,
    tell: Path | None,
    metrics: str | None,
    console: Console,
) -> None:
    """Sign a new timestamp (and snapshot when due) and write whatever is missing in the published tree.

    With --every, until SIGTERM or SIGINT. Several hosts may do that on one database: one of them signs. Where repository.toml
    names a bucket for the published tree, it is brought up to date each minute; skillrepo spread does that once.
    """
    from repo_server.publishing.keeping_fresh import Keeper
    from repo_server.publishing.refresh import refresh as refresh_online

    if every is not None and (repair or if_due):
        raise UsageError("--every is for ever; --repair and --if-due are for once")
    if tell is not None and (every is None or not tell.is_absolute()):
        raise UsageError("--tell takes the absolute path of a program, and goes with --every")
    if metrics is not None and every is None:
        raise UsageError("--metrics goes with --every")
    pause = _pause(every) if every is not None else None
    repository = open_repository(ctx, console)
    if pause is not None:
        open_online_signer(ctx, repository)  # a wrong passphrase is said now, and not in six hours
        _go_on(
            Keeper(
                repository=repository,
                online=lambda: open_online_signer(ctx, repository),
                every=pause,
                clock=clock,
                shelf=_shelf(repository),
            ),
            tell,
            _numbers(repository, metrics),
            console,
        )
        return
    life = life_of(TIMESTAMP)
    state = refresh_online(
        repository,
        open_online_signer(ctx, repository),
        now=clock(),
        older_than=life.expiry - life.renew if if_due else None,
        repair=repair,
    )
    console.answer(
        {"refreshed": state is not None, "timestamp_version": state.timestamp if state is not None else None},
        f"timestamp {state.timestamp}" if state is not None else "not due yet",
    )


def _shelf(repository: "Repository") -> "Callable[[], Shelf] | None":
    if not repository.config.published.bucket:
        return None
    from repo_server.publishing.spreading_s3 import Bucket

    return partial(Bucket.of, repository)


def _numbers(repository: "Repository", address: str | None) -> "KeeperNumbers | None":
    if address is None:
        return None
    from repo_server.publishing.keeper_metrics import KeeperNumbers
    from repo_server.web.metrics import parse_address

    host, port = parse_address(address)
    numbers = KeeperNumbers(repository, clock)
    numbers.listen(host, port)
    return numbers


def _go_on(keeper: "Keeper", program: Path | None, numbers: "KeeperNumbers | None", console: Console) -> None:
    from repo_server.publishing.keeping_fresh import tell

    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    looks = signed = 0
    while not ended.is_set():
        look = keeper.look()
        looks, signed = looks + 1, signed + (look.state is not None)
        if numbers is not None:
            numbers.looked(look, at=clock())
        if look.state is not None:
            console.note(f"timestamp {look.state.timestamp}, snapshot {look.state.snapshot}")
        if news := tuple(keeper.news(look)):
            console.note("\n".join(f"warning: {said}" for said in news))
            if program is not None and (problem := tell(program, news)):
                console.note(f"nobody was told: {problem}")
        ended.wait(look.pause.total_seconds())
    console.answer({"looks": looks, "signed": signed}, f"{looks} look(s), {signed} timestamp(s)")


def _pause(text: str) -> timedelta:
    from repo_server.publishing.keeping_fresh import LONGEST, SHORTEST

    found = _EVERY.fullmatch(text)
    pause = timedelta(seconds=int(found[1]) * _UNITS[found[2]]) if found is not None else timedelta(0)
    if not SHORTEST <= pause <= LONGEST:
        raise UsageError("--every takes 1m to 18h", hint="6h, for one: the timestamp lives 24 hours")
    return pause
