"""The network of a host's jails, as its operator wrote it down, and as Bastille wants it (pure).

``inherit``                     the host's own addresses
``lo1:10.17.89.0/24``           the next free address of these, on the interface lo1
``vnet:em0:DHCP``               an interface of its own beside the physical em0; also with addresses
``bridge:bridge0:10.1.0.0/24``  the same, on the bridge bridge0
"""

import ipaddress
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final, Self

from signing.errors import FormatError, HostError

_INTERFACE: Final = re.compile(r"[a-z][a-z0-9_]{0,14}", re.ASCII)
_WAYS: Final = {"vnet": "-V", "bridge": "-B"}
_DHCP: Final = "DHCP"
_INHERIT: Final = "inherit"
_LARGEST: Final = 16  # bits of a block: who lists more addresses than that has mistyped it


@dataclass(frozen=True, slots=True, kw_only=True)
class JailNetwork:
    """How jails are connected. ``block`` is None where no address is ours to give."""

    way: str
    interface: str
    block: ipaddress.IPv4Network | ipaddress.IPv6Network | None

    @classmethod
    def parse(cls, text: str, *, where: str = "bastille_network") -> Self:
        """Return the network that ``text`` describes.

        Raises:
            FormatError: none of the spellings above.
        """
        if text == _INHERIT:
            return cls(way=_INHERIT, interface="", block=None)
        first, _, rest = text.partition(":")
        way = first if first in _WAYS else ""
        interface, _, addresses = rest.partition(":") if way else (first, "", rest)
        if not _INTERFACE.fullmatch(interface) or not addresses or (addresses == _DHCP and not way):
            raise FormatError(
                f"{text[:80]!a} is no network of jails",
                where=where,
                hint="inherit, lo1:10.17.89.0/24, vnet:em0:DHCP or bridge:bridge0:10.1.0.0/24",
            )
        return cls(
            way=way, interface=interface, block=None if addresses == _DHCP else _block(addresses, where)
        )

    def addresses(self) -> Iterator[str]:
        """Yield what may be given to jails, without the first host address, which is the gateway's by custom."""
        if self.block is not None:
            hosts = self.block.hosts()
            next(hosts, None)
            yield from map(str, hosts)

    def choose(self, taken: Collection[str]) -> str | None:
        """Return the first address that nobody has; None where no address is ours to give.

        Raises:
            HostError: all are taken.
        """
        if self.block is None:
            return None
        for address in self.addresses():
            if address not in taken:
                return address
        raise HostError(
            f"no address is left of {self.block}", hint="retire tenants, or give jails a larger block"
        )

    def options(self) -> tuple[str, ...]:
        """Return the words that stand before the name in ``bastille create``."""
        return (_WAYS[self.way],) if self.way in _WAYS else ()

    def operands(self, address: str | None) -> tuple[str, ...]:
        """Return the words that stand behind the release in ``bastille create``."""
        if self.way == _INHERIT:
            return (_INHERIT,)
        if address is None or self.block is None:
            return (_DHCP, self.interface)
        # Behind an interface of its own the jail has to know how large its network is.
        return (f"{address}/{self.block.prefixlen}" if self.way in _WAYS else address, self.interface)


def _block(text: str, where: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        block = ipaddress.ip_network(text)
    except ValueError as error:
        raise FormatError(f"{text[:80]!a} is no block of addresses", where=where) from error
    if block.max_prefixlen - block.prefixlen > _LARGEST:
        raise FormatError(f"{block} is more than 65536 addresses", where=where)
    return block
