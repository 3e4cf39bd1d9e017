"""Where the service listens (edge): a port, or a socket in the file system, which the next service can take over.

    /run/skillrepo/http.sock -> .http.sock.4711      what nginx connects to; switched by one rename
    /run/skillrepo/.http.sock.4711                   the socket of the process 4711, removed when that ends

A service that starts on the name of a living one gets every connection from then on, and the old one finishes what it has:
nobody is refused. Whoever may write the folder may do that, so the folder belongs to the service alone.
"""

import contextlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from signing.errors import ConflictError, HostError, UsageError

BACKLOG: Final = 1000
_MODE: Final = 0o660  # nginx is in the group of the service
_LONGEST: Final = 100  # of a socket's address; 104 on FreeBSD, 108 on Linux


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixPlace:
    """A socket in the file system: ``public`` is the name for clients, ``own`` the socket of this process."""

    public: Path
    own: Path

    @classmethod
    def of(cls, public: Path) -> Self:
        """Return the place for a service of this process.

        Raises:
            UsageError: not an absolute path, or too long for a socket.
            ConflictError: something that is not ours stands there.
        """
        own = public.with_name(f".{public.name}.{os.getpid()}")
        if not public.is_absolute() or len(os.fsencode(own)) > _LONGEST:
            raise UsageError(
                f"--socket takes an absolute path of at most {_LONGEST} bytes with its process number"
            )
        if os.path.lexists(public) and not public.is_symlink():
            raise ConflictError(f"{public} is there and is no link to a socket of ours", hint="remove it")
        if not public.parent.is_dir():
            raise HostError(
                f"there is no folder {public.parent}", hint="the service manager makes it, for its user"
            )
        return cls(public=public, own=own)

    def remove_leftovers(self) -> None:
        """Remove what a process that had our number and was killed has left."""
        with contextlib.suppress(FileNotFoundError):
            self.own.unlink()

    def take_over(self) -> None:
        """Let clients that connect from now on come to us.

        Raises:
            HostError: the folder cannot be written.
        """
        temporary = self.own.with_name(f"{self.own.name}.new")
        try:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
            temporary.symlink_to(self.own.name)
            temporary.replace(self.public)
        except OSError as error:
            raise HostError(f"cannot write {self.public}: {error.strerror}") from error

    def leave(self) -> None:
        """Remove our socket, and the name where nobody else has taken it over."""
        with contextlib.suppress(OSError):
            if self.public.readlink() == Path(self.own.name):
                self.public.unlink()
        with contextlib.suppress(OSError):
            self.own.unlink()

    def listener(self) -> socket.socket:
        """Return a socket that listens at our place.

        Raises:
            HostError: it cannot be made there.
        """
        self.remove_leftovers()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(os.fspath(self.own))
            self.own.chmod(_MODE)
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            raise HostError(f"cannot listen at {self.own}: {error.strerror}") from error
        return listener


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to the address. Without SO_REUSEPORT: two services on one port would share it.

    Raises:
        HostError: the address is not of this machine, or not allowed. ConflictError: the port is taken.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise HostError(f"{host} is not an address of this machine", hint="listen on 127.0.0.1") from error
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        # Two sockets may be bound with SO_REUSEADDR until one listens: only now the port is known to be free.
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if isinstance(error, PermissionError):
            raise HostError(
                f"not allowed to listen on {host}:{port}", hint="use a port above 1023"
            ) from error
        raise ConflictError(
            f"cannot listen on {host}:{port} ({error.strerror})",
            hint="choose another port; 0 finds a free one",
        ) from error
    return listener


def answers(address: tuple[str, int] | Path) -> bool:
    """Return whether somebody takes a connection there within a second."""
    family = (
        socket.AF_UNIX
        if isinstance(address, Path)
        else socket.AF_INET6
        if ":" in address[0]
        else socket.AF_INET
    )
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(1)
        try:
            connection.connect(os.fspath(address) if isinstance(address, Path) else address)
        except OSError:
            return False
    return True
