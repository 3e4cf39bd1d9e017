"""What a birth asks of a host, as capabilities: ``womb``, and by default the ABI of its packages, ``abi.freebsd.14.amd64``."""

from hive.agents.names import ABI, WOMB, Capability, parse_capability
from signing.format.pkg.names import Abi


def needs_of(abi: Abi | None) -> frozenset[Capability]:
    """Return what a birth for ``abi`` needs; for none in particular, any womb."""
    return frozenset({WOMB}) if abi is None else frozenset({WOMB, abi_capability(abi)})


def offers_of(abi: Abi | None) -> frozenset[Capability]:
    """Return what a host whose jails have ``abi`` offers; a host that does not know it makes births for any only."""
    return needs_of(abi)


def abi_capability(abi: Abi) -> Capability:
    """Return the capability that says it: of a closed set of spellings, so no two ABIs have one."""
    return parse_capability(ABI + abi.lower().replace(":", "."), "abi")
