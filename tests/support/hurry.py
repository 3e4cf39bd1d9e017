"""Tests that publish or give birth over and over: what takes most of their time, and is not what they are about.

@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield
"""

import functools
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from securesystemslib.signer import _key
from sqlalchemy import event
from sqlalchemy.pool import Pool

from repo_client import syncing


@contextmanager
def in_a_hurry() -> Iterator[None]:
    """Leave out syncs, and the second verification of the same signature.

    Syncs matter when the power is cut, which nothing here does (a kill keeps what was written). And a signature
    that was good once is not verified again, in pure Python, for 8 ms: the same three values give the same
    answer. A bad one raises, which is not remembered.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_key, "checkvalid", _good_signatures)
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr(syncing, "_syncfs", lambda: lambda _: 0)
        if event.contains(Pool, "checkout", _do_not_sync):  # inside of another hurry, which ends later
            yield
            return
        event.listen(Pool, "checkout", _do_not_sync)
        try:
            yield
        finally:
            event.remove(Pool, "checkout", _do_not_sync)


_good_signatures = functools.lru_cache(maxsize=None)(_key.checkvalid)


def _do_not_sync(connection: Any, *_: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous=OFF")
