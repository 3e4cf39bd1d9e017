"""What a womb goes by between two births: nothing in it decides about one (edge)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine

from hive.agents.names import AgentId
from hive.jails.host import JailHost
from signing.format.pkg.names import Abi


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The machine, for as long as its womb runs.

    Gates, policy, limits and vault are no part of it: an operator changes them while it runs, and each birth asks for them
    anew (`hive.orders.womb.Womb.open`).

    Attributes:
        check: raises when this machine may not call itself ``here`` any more; asked before each claim.
    """

    engine: Engine
    host: JailHost
    state: Path
    clock: Callable[[], datetime]
    here: AgentId | None
    abi: Abi | None
    check: Callable[[], object]
