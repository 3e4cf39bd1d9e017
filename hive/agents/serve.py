"""Runs the API behind waitress (edge): on a loopback address, or on a Unix socket in a folder that only we write to.

    127.0.0.1:8099          [::1]:8099          unix:/var/run/hive/hive.sock

Another address is refused: the token would travel in clear. TLS is the proxy's part. One line on stderr says that
requests are answered now, and with which port when port 0 was asked for. SIGTERM and SIGINT end the service within two
seconds: waiting claims are told that there is no job, and agents find their way back.
"""

import contextlib
import ipaddress
import logging
import os
import signal
import socket
import stat
import sys
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, Never

from signing.errors import ConflictError, FormatError, HostError, UsageError

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from hive.agents.waiting import Waiting

_OTHERS_WRITE: Final = 0o022
_MAX_SOCKET_PATH: Final = 100  # sun_path is 104 on FreeBSD
_MAX_PORT: Final = 65535
_BACKLOG: Final = 128
_MAX_CONNECTIONS: Final = 500
_MAX_HEADER_BYTES: Final = 16 * 1024
_IDLE_SECONDS: Final = 30
_ARRIVAL_SECONDS: Final = 20
_GRACE_SECONDS: Final = 1
_UNIX: Final = "unix:"
# Beside those that wait for work there are always some that answer.
ANSWERING_THREADS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to listen: a loopback address, or a socket's path."""

    host: str = ""
    port: int = 0
    path: Path | None = None

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Return the address written as ``text``.

        Raises:
            FormatError: it is none. UsageError: it is not of this machine alone.
        """
        if text.startswith(_UNIX):
            path = Path(text.removeprefix(_UNIX))
            if not path.is_absolute() or ".." in path.parts or len(os.fsencode(path)) > _MAX_SOCKET_PATH:
                raise FormatError("not unix:/PATH of at most 100 characters", where="listen")
            return cls(path=path)
        host, colon, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not colon or not port.isascii() or not port.isdigit() or len(port) > 5 or int(port) > _MAX_PORT:  # noqa: PLR2004
            raise FormatError("neither HOST:PORT nor unix:/PATH", where="listen")
        try:
            loopback = ipaddress.ip_address(host).is_loopback
        except ValueError as error:
            raise FormatError(f"{host!a} is not an IP address", where="listen") from error
        if not loopback:
            raise UsageError(
                f"{host} can be reached from outside, and tokens would travel in clear",
                hint="listen on 127.0.0.1 or on unix:/PATH, and put a proxy with TLS in front",
            )
        return cls(host=host, port=int(port))


def serve(
    application: "WSGIApplication",
    waiting: "Waiting",
    *,
    address: Address,
    most_waiting: int,
    max_body: int,
    socket_mode: int = 0o600,
    tell: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT. Call it from the main thread. ``tell`` is told where, once requests are answered.

    Raises:
        ConflictError: the address is taken. HostError: it cannot be listened on, or its folder is not safe.
    """
    with _listening(address, socket_mode) as listener:
        _serve(
            application, waiting, listener, most_waiting=most_waiting, max_body=max_body, tell=tell or _say
        )


def _serve(
    application: "WSGIApplication",
    waiting: "Waiting",
    listener: socket.socket,
    *,
    most_waiting: int,
    max_body: int,
    tell: Callable[[str], None],
) -> None:
    import waitress.server  # type: ignore[import-untyped]  # noqa: PLC0415 - this command alone needs it
    from waitress import wasyncore  # noqa: PLC0415

    # It warns whenever a request has to wait for a thread, which says nothing that an operator can act on.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    channels: dict[int, Any] = {}
    server = waitress.server.create_server(
        application,
        map=channels,
        sockets=[listener],
        threads=most_waiting + ANSWERING_THREADS,
        connection_limit=_MAX_CONNECTIONS,
        asyncore_use_poll=True,
        max_request_header_size=_MAX_HEADER_BYTES,
        max_request_body_size=max_body,
        channel_timeout=_IDLE_SECONDS,
        cleanup_interval=5,
        # Reading ahead is what notices that whoever waits for a job went away.
        channel_request_lookahead=1,
        ident="",
        clear_untrusted_proxy_headers=True,
    )
    _end_slow_requests(server)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    tell(_label(listener))
    try:
        wasyncore.loop(timeout=_GRACE_SECONDS, map=channels, use_poll=True)
    except _StopServing:
        waiting.stop()
        server.task_dispatcher.shutdown(timeout=_GRACE_SECONDS)
    finally:
        wasyncore.close_all(channels)


def _end_slow_requests(server: Any) -> None:
    """Close connections on which one request has been arriving for too long.

    Waitress closes those on which nothing arrives. A byte now and then would keep a connection for ever, and a jail
    that holds all of them so would keep every other agent out.
    """
    begun: weakref.WeakKeyDictionary[Any, float] = weakref.WeakKeyDictionary()
    maintenance = server.maintenance

    def maintain(now: float) -> None:
        maintenance(now)
        for channel in list(server.active_channels.values()):
            arriving = channel.request
            if arriving is not None and now - begun.setdefault(arriving, now) > _ARRIVAL_SECONDS:
                channel.will_close = True

    server.maintenance = maintain


@contextlib.contextmanager
def _listening(address: Address, socket_mode: int) -> Iterator[socket.socket]:
    if address.path is None:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _bind(listener, (address.host, address.port), f"{address.host}:{address.port}")
            yield listener
        return
    _check_folder(address.path.parent)
    _remove_stale(address.path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        before = os.umask(0o777 & ~socket_mode)  # the socket is born with its mode
        try:
            _bind(listener, str(address.path), str(address.path))
        finally:
            os.umask(before)
        try:
            yield listener
        finally:
            address.path.unlink(missing_ok=True)


def _bind(listener: socket.socket, where: Any, shown: str) -> None:
    try:
        listener.bind(where)
        listener.listen(_BACKLOG)
    except PermissionError as error:
        raise HostError(f"not allowed to listen on {shown}", hint="use a port above 1023") from error
    except OSError as error:
        raise ConflictError(
            f"cannot listen on {shown} ({error.strerror})", hint="is another hive serve running?"
        ) from error


def _check_folder(folder: Path) -> None:
    """Return None when nobody else can put another socket in the place of ours.

    Raises:
        HostError: the folder is missing, a link, somebody else's, or others may write to it.
    """
    try:
        facts = folder.lstat()
    except OSError as error:
        raise HostError(f"no folder {folder}: {error.strerror}", hint="make it, with mode 0711") from error
    ours = stat.S_ISDIR(facts.st_mode) and facts.st_uid in {0, os.geteuid()}
    if not ours or facts.st_mode & _OTHERS_WRITE:
        raise HostError(
            f"{folder} is not a folder that only its owner writes to",
            hint="give it to this user, mode 0711 or 0700",
        )


def _remove_stale(path: Path) -> None:
    """Remove a socket on which nobody listens.

    Raises:
        ConflictError: somebody does, or it is something else.
    """
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(facts.st_mode):
        raise ConflictError(f"{path} exists and is no socket", hint="choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            raise ConflictError(f"{path} does not answer ({error.strerror})") from error
    raise ConflictError(f"somebody listens on {path} already", hint="is another hive serve running?")


def _say(where: str) -> None:
    sys.stderr.write(f"serving {where}\n")
    sys.stderr.flush()


def _label(listener: socket.socket) -> str:
    name = listener.getsockname()
    if isinstance(name, str):
        return f"{_UNIX}{name}"
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"http://{host}:{name[1]}"


class _StopServing(SystemExit):
    """A signal asked for the end. A SystemExit, because waitress's loop lets only that through."""


def _stop(_signal: int, _frame: FrameType | None) -> Never:
    # Once is enough: a second one would be raised in the middle of the shutdown that the first began.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    raise _StopServing
