"""Where candidates come from: one module for each kind of address.

    address = parse_address("clawhub:@northwind-tools/csv-summarizer@1.0.1")
    fetched = fetch(address, limits=Limits(), settings=SourceSettings(), now=now)
    hits = source_of("clawhub").search("notes", limits=Limits(), settings=SourceSettings())

A new source is one new file of this package: `base` says what it defines. Whatever it reads, its files go through
`SourceTree.of`, its digests are checked if the other side gives any, and what the other side *says* (clean,
verified, official) is recorded and trusted for nothing.
"""

import importlib
import pkgutil
import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache

from repo_server.curation.limits import Limits
from repo_server.curation.sources.address import (
    ArchiveAddress,
    FolderAddress,
    GitAddress,
    check_text,
    folder_address,
    parse_git_address,
)
from repo_server.curation.sources.base import Address, Fetched, Hit, Source, SourceSettings
from signing.errors import FormatError, NotFoundError, UsageError

__all__ = [
    "Address",
    "ArchiveAddress",
    "Fetched",
    "FolderAddress",
    "GitAddress",
    "Hit",
    "Source",
    "SourceSettings",
    "check_bases",
    "fetch",
    "folder_address",
    "parse_address",
    "source_of",
    "sources",
]

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):(?://|[^/\\])", re.ASCII | re.IGNORECASE)
_WHERE = "address"


def parse_address(text: str) -> Address:
    """Return ``text`` as an address: ``SCHEME:…`` of one of the sources, ``git+URL@COMMIT``, or a path.

    Raises:
        FormatError: it is none of these.
    """
    check_text(text)
    if text.startswith("git+"):
        return parse_git_address(text.removeprefix("git+"))
    scheme, colon, rest = text.partition(":")
    source = _source(scheme) if colon else None
    if source is not None:
        try:
            address: Address = source.parse(rest)
        except FormatError as error:
            error.hint = error.hint or f"write it like {source.example}"
            raise
        return address
    meant = scheme.lower().replace("_", "-")
    if colon and _source(meant) is not None:
        raise FormatError(
            f"{scheme}: is not a source", where=_WHERE, hint=f"write {meant}:…, in these letters"
        )
    if _SCHEME.match(text):
        raise FormatError(f"{scheme}: is not a source", where=_WHERE, hint=f"use a path, {_examples()}")
    return folder_address(text)


def fetch(address: Address, *, limits: Limits, settings: SourceSettings, now: datetime) -> Fetched:
    """Return what stands at ``address``.

    Raises:
        RejectedError: what is there cannot become a skill.
        NotFoundError, ConflictError, TransportError, HostError: it could not be had.
    """
    # Imported here: a folder needs neither requests nor git. By type, because a folder can have any name.
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
    source = source_of(str(address).partition(":")[0])
    try:
        return source.fetch(address, limits=limits, settings=settings, now=now)
    except NotFoundError as error:
        error.hint = (
            error.hint or f"asked for was {address}; skillrepo search {source.scheme} … finds addresses"
        )
        raise


def source_of(scheme: str) -> Source:
    """Return the source of ``scheme``.

    Raises:
        UsageError: there is none.
    """
    source = _source(scheme)
    if source is None:
        raise UsageError(f"{scheme[:80]!a} is not a source", hint=f"there are {', '.join(sources())}")
    return source


@cache
def sources() -> Mapping[str, Source]:
    """Return every source by its scheme, in alphabetical order. Imports them all: for help and errors."""
    found = (_source(name.replace("_", "-")) for name in sorted(_modules()))
    return {source.scheme: source for source in found if source is not None}


def check_bases(bases: Mapping[str, str]) -> None:
    """Check that every key of ``bases`` is one that a source reads: a misspelt mirror would be passed over.

    Raises:
        FormatError: one is not.
    """
    known = {key for source in sources().values() for key in source.bases} if bases else set()
    for key in bases:
        if key not in known:
            raise FormatError(
                f"unknown setting {key!a}", where="sources", hint=f"there are {', '.join(sorted(known))}"
            )


def _source(scheme: str) -> Source | None:
    """Return what the module of this name in this package calls its source."""
    name = scheme.replace("-", "_")
    # Only what is listed as a file of this package is imported, whatever the scheme is.
    if "_" in scheme or name not in _modules():
        return None
    source: Source | None = getattr(importlib.import_module(f"{__name__}.{name}"), "SOURCE", None)
    return source if source is not None and source.scheme == scheme else None


@cache
def _modules() -> frozenset[str]:
    return frozenset(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)


def _examples() -> str:
    others = [source.example for source in sources().values()]
    return " or ".join(["git+https://host/repo@COMMIT#folder", *others])
