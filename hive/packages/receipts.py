"""Receipts: which bytes this host handed over, by its own count. What a jail answers is no evidence and not kept."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from signing.format.digest import Sha256
from signing.format.moment import render_moment
from signing.format.names import TenantId
from signing.format.pkg.names import PackagePin, PackageRepo

UNPACKED: Final = "unpacked"
STREAMED: Final = "streamed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """How a host installed one package.

    ``jail`` says which one, as the host knows it; ``omitted`` what the package asks for and was not done; ``record`` is
    the digest of the list that stands in the jail, where the host itself wrote the files.
    """

    way: str
    jail: str
    omitted: tuple[str, ...] = ()
    record: Sha256 | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One package was handed over: these bytes, to that jail, then."""

    tenant_id: TenantId
    pin: PackagePin
    sha256: Sha256
    size: int
    repo: PackageRepo
    serial: int
    placed: Placed
    at: datetime

    def to_json(self) -> dict[str, Any]:
        """Return the receipt as ``--json`` answers it, and as it stands in the audit log."""
        return {
            "package": str(self.pin),
            "sha256": self.sha256,
            "size": self.size,
            "repository": str(self.repo),
            "serial": self.serial,
            "way": self.placed.way,
            "jail": self.placed.jail,
            "omitted": list(self.placed.omitted),
            "record_sha256": self.placed.record,
            "at": render_moment(self.at),
        }
