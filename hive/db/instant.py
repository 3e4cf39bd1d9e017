"""Now, by the database's clock, in seconds since 1970: the one time that leases and liveness are judged by.

Clients' clocks lie, and two hosts' clocks differ. An expression of SQL, so that it is taken in the very statement
that decides. On PostgreSQL it is the time of the statement, not that of the transaction's begin, which may lie
back by as long as the transaction waited for a lock.
"""

from typing import Any

from sqlalchemy import Double
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class Instant(FunctionElement[float]):
    """Now, by the database's clock."""

    type = Double()
    inherit_cache = True


@compiles(Instant, "sqlite")
def _sqlite(_element: Instant, _compiler: Any, **_more: Any) -> str:
    # unixepoch('subsec') needs SQLite 3.42; a julian day holds 40 microseconds.
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(Instant, "postgresql")
def _postgresql(_element: Instant, _compiler: Any, **_more: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"
