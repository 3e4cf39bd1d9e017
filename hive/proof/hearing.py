"""The API that agents speak, answering on a loopback address for as long as a proof needs it (edge).

The application, its rules and its server are those of `hive serve`. A port of this machine and no socket file, so that
whoever is killed leaves nothing.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any, Final

from hive.agents.client import Endpoint
from hive.proof.ground import Ground

_LOOPBACK: Final = "127.0.0.1"
_THREADS: Final = 2
_TICK: Final = 0.2
_BACKLOG: Final = 8


@contextlib.contextmanager
def hearing(ground: Ground) -> Iterator[Endpoint]:
    """Yield where agents are heard: the running service when the ground names it, else one of our own."""
    if ground.live is not None:
        yield Endpoint.parse(ground.live)
        return
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((_LOOPBACK, 0))
        listener.listen(_BACKLOG)
        with _answering(_application(ground), listener):
            yield Endpoint(host=_LOOPBACK, port=listener.getsockname()[1])


def _application(ground: Ground) -> Any:
    from hive.agents.api import Service, create_app  # noqa: PLC0415 - Flask, for this command and `hive serve` only

    mother = ground.mother
    return create_app(Service(engine=mother.engine, clock=mother.clock, activator=ground.activator))


@contextlib.contextmanager
def _answering(application: Any, listener: socket.socket) -> Iterator[None]:
    import waitress.server  # type: ignore[import-untyped]  # noqa: PLC0415 - as above
    from waitress import wasyncore  # noqa: PLC0415

    channels: dict[int, Any] = {}
    server = waitress.server.create_server(
        application, map=channels, sockets=[listener], threads=_THREADS, asyncore_use_poll=True, ident=""
    )
    ended = threading.Event()

    def answer() -> None:
        while not ended.is_set():
            wasyncore.loop(timeout=_TICK, map=channels, use_poll=True, count=1)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        server.task_dispatcher.shutdown(timeout=1)
        wasyncore.close_all(channels)
