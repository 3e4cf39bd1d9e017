"""Options that several commands share, each in one place."""

from collections.abc import Callable
from typing import Any

import click


def heartbeat_option(told: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command ``--heartbeat``; ``hive agents`` judges by it who is alive as ``hive serve`` does."""
    return click.option(
        "--heartbeat",
        envvar="HIVE_HEARTBEAT",
        default=30.0,
        show_default=True,
        type=click.FloatRange(0.2, 3600),
        help=told,
    )
