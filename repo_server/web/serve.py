"""Runs the service on a production WSGI server (edge): granian where it is installed, else waitress.

Granian keeps answering when clients send their headers slowly; waitress (pure Python, for FreeBSD) does so with
``connection_limit`` raised. Past one machine, nginx serves the published tree and only the API comes here.

One line on stderr says that requests are answered now, and with which port when port 0 was asked for:

    serving http://127.0.0.1:8080 (granian)

SIGTERM and SIGINT end the service: it takes no more connections, what was asked already has ``grace`` seconds to be answered (by
itself one: two seconds in all), and clients fetch again what was cut off. SIGHUP under granian starts new workers, which
read the settings anew, and ends the old ones in the same way. On a socket in the file system nobody is refused meanwhile; on a port of Linux
each worker has a queue of its own, and what stands in that when it ends is reset.
"""

import enum
import importlib
import importlib.util
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.synchronize import Lock
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, Never

from repo_server.web.app import MAX_BODY_BYTES
from repo_server.web.listening import BACKLOG, UnixPlace, answers, bind
from signing.errors import HostError, SkillRepoError, UsageError

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    AppFactory = Callable[[], WSGIApplication]

# Threads of one worker. They are busy while Python works and while a slow reader takes a large file, not while
# headers arrive; so there are more of them than processors.
_THREADS: Final = 32
_MAX_HEADER_BYTES: Final = 32 * 1024
_MAX_CONNECTIONS: Final = BACKLOG
_GRACE_SECONDS: Final = 1
_LONGEST_GRACE: Final = 600
# How long a new worker has to come up before the old one ends: on a port, who comes in between is refused.
_RELOAD_SECONDS: Final = 3.5
_RELOAD_SECONDS_ON_SOCKET: Final = 0.5
_START_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.01
_MAX_PORT: Final = 65535


class ServerKind(enum.StrEnum):
    """The servers that we run on."""

    GRANIAN = "granian"
    WAITRESS = "waitress"


def serve(
    app_factory: "str | AppFactory",
    *,
    host: str,
    port: int,
    workers: int = 1,
    server: ServerKind | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
    socket_path: Path | None = None,
    grace: int = _GRACE_SECONDS,
) -> None:
    """Serve until SIGTERM or SIGINT. Call it from the main thread.

    Args:
        app_factory: returns the application when called without arguments: a callable, or its ``module:name``.
            Granian calls it in each worker process (so no database connection crosses a fork); where Python
            starts processes by spawning, a callable must be importable by its name or a ``functools.partial``
            of such a one.
        host: the name or address to listen on.
        port: the port; 0 chooses a free one.
        workers: processes under granian; waitress is one process and gets as many times the threads.
        server: which server; None takes granian if it is installed.
        max_body_bytes: what the application reads of a request at most; waitress keeps it before it asks anybody.
        socket_path: a socket in the file system, in the place of host and port; a service that listens there is followed.
        grace: for how many seconds requests go on after the end was asked for.

    Raises:
        UsageError: the port, the grace or the factory's name is not one.
        ConflictError: the port is taken.
        HostError: no server is installed, the address is not of this machine, or the workers ended.
    """
    if not 0 <= port <= _MAX_PORT or workers < 1 or not 0 < grace <= _LONGEST_GRACE:
        raise UsageError(
            f"ports are 0 to 65535, there is at least one worker, and grace is 1 to {_LONGEST_GRACE} seconds"
        )
    kind = server or _installed_server()
    place = UnixPlace.of(socket_path) if socket_path is not None else None
    if place is None:
        listener = bind(host, port)
        label = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]} ({kind})"
    else:
        listener = place.listener()
        label = f"unix:{place.public} ({kind})"
    ways = _Ways(
        app_factory=app_factory, listener=listener, place=place, label=label, workers=workers, grace=grace
    )
    try:
        with listener:
            if kind is ServerKind.GRANIAN:
                _serve_granian(ways)
            else:
                _serve_waitress(ways, max_body_bytes=max_body_bytes)
    finally:
        if place is not None:
            place.leave()


@dataclass(frozen=True, kw_only=True)
class _Ways:
    """What both servers are told."""

    app_factory: "str | AppFactory"
    listener: socket.socket
    place: UnixPlace | None
    label: str
    workers: int
    grace: int


def _installed_server() -> ServerKind:
    for kind in ServerKind:
        if importlib.util.find_spec(kind.value) is not None:
            return kind
    raise HostError("no web server is installed", hint="pip install 'clawdie-skillrepo[server]'")


def _load(app_factory: "str | AppFactory") -> "WSGIApplication":
    if not isinstance(app_factory, str):
        return app_factory()
    module, _, name = app_factory.partition(":")
    try:
        factory: AppFactory = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"{app_factory!r} names no factory of an application (module:name)") from error
    return factory()


def _announce(label: str, place: UnixPlace | None) -> None:
    if place is not None:
        place.take_over()
    sys.stderr.write(f"serving {label}\n")
    sys.stderr.flush()


# ---------------------------------------------------------------------------------------------- waitress


def _serve_waitress(ways: _Ways, *, max_body_bytes: int) -> None:
    import waitress.server  # type: ignore[import-untyped]  # noqa: PLC0415 - only one of the two is needed
    from waitress import wasyncore  # noqa: PLC0415

    # It warns whenever a request has to wait for a thread, which says nothing that an operator can act on.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    channels: dict[int, Any] = {}
    server = waitress.server.create_server(
        _load(ways.app_factory),
        map=channels,
        sockets=[ways.listener],
        threads=_THREADS * ways.workers,
        connection_limit=_MAX_CONNECTIONS,
        # select() cannot watch descriptors above 1023, which this many connections reach.
        asyncore_use_poll=True,
        max_request_header_size=_MAX_HEADER_BYTES,
        max_request_body_size=max_body_bytes,
        channel_timeout=60,
        ident="",
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    # It is one process: the next one reads the settings anew, and takes the socket over.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _announce(ways.label, ways.place)
    try:
        # The loop of server.run(), which would wait five seconds for its threads.
        wasyncore.loop(timeout=_GRACE_SECONDS, map=channels, use_poll=True)
    except _StopServing:
        end = time.monotonic() + ways.grace
        server.del_channel(channels)  # no more connections
        ways.listener.close()
        while time.monotonic() < end and any(_is_answering(channel) for channel in channels.values()):
            wasyncore.loop(timeout=_POLL_SECONDS, map=channels, use_poll=True, count=1)
        server.task_dispatcher.shutdown(timeout=max(0.0, end - time.monotonic()))
    finally:
        wasyncore.close_all(channels)


def _is_answering(channel: Any) -> bool:
    """Return whether a connection of waitress has a whole request that is not answered, or an answer that is not sent."""
    return bool(getattr(channel, "requests", None) or getattr(channel, "total_outbufs_len", 0))


class _StopServing(SystemExit):
    """A signal asked for the end. A SystemExit, because waitress's loop lets only that through."""


def _stop(_signal: int, _frame: FrameType | None) -> Never:
    # Once is enough: a second one would be raised in the middle of the shutdown that the first began.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    raise _StopServing


# ----------------------------------------------------------------------------------------------- granian


def _serve_granian(ways: _Ways) -> None:
    from granian import Granian  # noqa: PLC0415 - only one of the two is needed
    from granian.constants import HTTPModes, Interfaces  # noqa: PLC0415
    from granian.http import HTTP1Settings  # noqa: PLC0415
    from granian.log import LogLevels  # noqa: PLC0415

    place = ways.place
    host, port = ways.listener.getsockname()[:2] if place is None else ("", 0)
    # Granian opens the port itself, in each worker; the socket in the file system once, for all of them.
    ways.listener.close()
    if place is not None:
        place.remove_leftovers()
    # Granian 2.8 starts its workers by these two methods only, and a lock fits only the method it is made for.
    method = multiprocessing.get_start_method()
    context = multiprocessing.get_context(method if method in {"fork", "spawn"} else "spawn")
    stderr = {"class": "logging.StreamHandler", "formatter": "generic", "stream": "ext://sys.stderr"}
    granian = Granian(
        target=ways.label,
        **(
            {"uds": place.own, "uds_permissions": 0o660}
            if place is not None
            else {"address": host, "port": port}
        ),
        backlog=_MAX_CONNECTIONS,
        interface=Interfaces.WSGI,
        workers=ways.workers,
        blocking_threads=_THREADS,
        # One protocol less to be attacked; HTTP/2 belongs to whoever ends TLS.
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=30_000, max_buffer_size=_MAX_HEADER_BYTES),
        websockets=False,
        # stdout is the answer of a command, stderr the conversation; granian would log to stdout.
        log_dictconfig={"handlers": {"console": stderr, "access": stderr}},
        log_level=LogLevels.error,
        workers_kill_timeout=ways.grace,
        respawn_interval=_RELOAD_SECONDS_ON_SOCKET if place is not None else _RELOAD_SECONDS,
    )
    granian.on_startup(lambda: _on_signals(granian.signal_handler_interrupt, granian.signal_handler_reload))
    worker = _Worker(
        app_factory=ways.app_factory,
        address=place.own if place is not None else (host, port),
        place=place,
        label=ways.label,
        grace=ways.grace,
        first=context.Lock(),
    )
    try:
        granian.serve(target_loader=worker, wrap_loader=False)
    except SystemExit as error:
        if error.code:
            raise HostError("the workers of the web server ended", hint="the lines above say why") from error


def _on_signals(end: Callable[[], None], reload: Callable[[], None]) -> None:
    """Let the first SIGTERM or SIGINT call ``end``, and each SIGHUP ``reload``, from threads of their own.

    Granian's own handlers set an event whose lock is not reentrant. A second signal that arrives in the middle
    of the first waited for itself, and the service stayed for ever (seen: two SIGTERM within a millisecond).
    """
    called = threading.Event()

    def handler(number: int, _frame: FrameType | None) -> None:
        threading.Thread(
            target=reload if number == signal.SIGHUP else once, name="signal", daemon=True
        ).start()

    def once() -> None:
        if not called.is_set():
            called.set()
            end()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, handler)


@dataclass(frozen=True, kw_only=True)
class _Worker:
    """What a granian worker process does first: make the application, and watch over its start and its end."""

    app_factory: "str | AppFactory"
    address: tuple[str, int] | Path
    place: UnixPlace | None
    label: str
    grace: int
    first: Lock  # whoever gets it announces; it is never given back, so a worker started later says nothing

    def __call__(self) -> "WSGIApplication":
        try:
            application = _load(self.app_factory)
        except SkillRepoError as error:
            sys.stderr.write(f"error[{error.code}]: {error}\n")
            raise SystemExit(error.exit_status) from error
        threading.Thread(target=self._watch, name="watch", daemon=True).start()
        return application

    def _watch(self) -> None:
        # Granian has no hook for "the port is open now", and this runs in the worker, not in the process that
        # forks, because a thread there could hold a lock that the next worker inherits locked.
        if self._answers() and self.first.acquire(block=False):
            _announce(self.label, self.place)
        # A worker whose parent was killed (SIGKILL, out of memory) would keep the port and old code for ever.
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)
            # Without its parent a worker does not always end by that (seen under load): then it has no choice.
            time.sleep(self.grace)
            os.kill(os.getpid(), signal.SIGKILL)

    def _answers(self) -> bool:
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            if answers(self.address):
                return True
            time.sleep(_POLL_SECONDS)
        return False
