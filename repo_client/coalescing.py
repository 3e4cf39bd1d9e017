"""One download of a thing at a time on a host (edge): who comes second waits, and finds it in the store.

    <store>.fetching/5d/.lock      held while something whose digest begins so is fetched

Several births of one profile begin at once on a host; without this, each would fetch every large package. The kernel
releases the lock however the one ends who fetches, and who has waited for long enough fetches by itself: the lock saves the
network, and decides nothing. There are 256 locks, so that the folder does not grow; two things that share one wait for
each other, and no more.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from repo_client.updater import locked
from signing.errors import ConflictError, HostError
from signing.format.digest import Sha256

_PREFIX = 2


@contextlib.contextmanager
def alone_on_host(store: Path, sha256: Sha256, *, seconds: float) -> Iterator[None]:
    """Let nobody else on this host fetch ``sha256`` for ``store`` meanwhile; after ``seconds`` of waiting, whoever does."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(ConflictError, HostError):
            folder = store.with_name(f"{store.name}.fetching") / sha256[:_PREFIX]
            held.enter_context(locked(folder, seconds=seconds))
        yield
