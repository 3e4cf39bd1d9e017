"""Where candidates come from: one module for each kind of address.

    address = parse_address("clawhub:@northwind-tools/csv-summarizer@1.0.1")
    fetched = fetch(address, limits=Limits(), settings=SourceSettings(), now=now)

A new source is a new address form in `address`, a module with a ``fetch``, and one line here. Whatever it reads,
its files go through `SourceTree.of`, its digests are checked if the other side gives any, and what the other
side *says* (clean, verified, official) is recorded and trusted for nothing.
"""

from datetime import datetime
from typing import assert_never

from repo_server.curation.limits import Limits
from repo_server.curation.sources.address import (
    Address,
    ArchiveAddress,
    ClawHubAddress,
    FolderAddress,
    GitAddress,
    folder_address,
    parse_address,
)
from repo_server.curation.sources.base import Fetched, Source, SourceSettings

__all__ = [
    "Address",
    "ArchiveAddress",
    "ClawHubAddress",
    "Fetched",
    "FolderAddress",
    "GitAddress",
    "Source",
    "SourceSettings",
    "fetch",
    "folder_address",
    "parse_address",
]


def fetch(address: Address, *, limits: Limits, settings: SourceSettings, now: datetime) -> Fetched:
    """Return what stands at ``address``.

    Raises:
        RejectedError: what is there cannot become a skill.
        NotFoundError, ConflictError, TransportError, HostError: it could not be had.
    """
    # Imported here: a folder needs neither requests nor git.
    match address:
        case FolderAddress():
            from repo_server.curation.sources import folder  # noqa: PLC0415

            return folder.fetch(address, limits=limits, now=now)
        case ArchiveAddress():
            from repo_server.curation.sources import archive  # noqa: PLC0415

            return archive.fetch(address, limits=limits, now=now)
        case GitAddress():
            from repo_server.curation.sources import git  # noqa: PLC0415

            return git.fetch(address, limits=limits, now=now)
        case ClawHubAddress():
            from repo_server.curation.sources import clawhub  # noqa: PLC0415

            return clawhub.fetch(address, limits=limits, settings=settings, now=now)
        case _:
            assert_never(address)
