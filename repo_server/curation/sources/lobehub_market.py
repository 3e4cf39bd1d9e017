"""What LobeHub's market says about a version, compared with what it ships (pure)."""

from collections.abc import Mapping
from typing import Any, Final

from repo_server.curation.sources.address import parse_upstream_version
from repo_server.curation.sources.base import (
    claims_of,
    fact,
    no_licence,
    number_at,
    objects_at,
    observation,
    plain_fact,
    text_at,
)
from repo_server.curation.tree import SourceTree, text_of
from signing.errors import DigestMismatchError, FormatError, NotFoundError
from signing.format.digest import Sha256, check_sha256, parse_sha256
from signing.format.finding import Finding, Severity
from signing.format.manifest import SKILL_NAME, parse_member_path

_MAX_VERSIONS: Final = 2_000


def published_versions(document: Mapping[str, Any], where: str) -> dict[str, dict[str, Any]]:
    """Return the published versions by their names.

    Raises:
        FormatError: there is no list, it is endless, or a version stands in it twice.
    """
    versions = objects_at(document, "data")
    if len(versions) > _MAX_VERSIONS:
        raise FormatError(f"lists more than {_MAX_VERSIONS} versions", where=where)
    published: dict[str, dict[str, Any]] = {}
    for item in versions:
        version = text_at(item, "version")
        if version in published:
            raise FormatError(f"version {plain_fact(version)[:80]} is listed twice", where=where)
        published[version] = item
    return published


def latest_version(published: Mapping[str, Mapping[str, Any]], where: str) -> str:
    """Return the one version that is called the latest.

    Raises:
        NotFoundError: none is, or several are. FormatError: it is no version.
    """
    latest = [version for version, item in published.items() if item.get("isLatest") is True]
    if len(latest) != 1:
        message = f"{len(latest)} versions are called the latest"
        raise NotFoundError(message, where=where, hint=f"name one: {version_names(published)}")
    return parse_upstream_version(latest[0], where="lobehub versions")


def version_names(published: Mapping[str, object]) -> str:
    """Return the names of some versions, for a hint."""
    return ", ".join(plain_fact(version)[:80] for version in list(published)[:20]) or "none"


def check_resources(tree: SourceTree, detail: Mapping[str, Any]) -> None:
    """Compare ``tree`` with the version's list of resources.

    Raises:
        DigestMismatchError: not the same files, sizes and digests. FormatError: there is no such list.
    """
    listed = _listed(detail)
    for path, file in tree.files.items():
        if path not in listed:
            if path == SKILL_NAME:  # the list is of what SKILL.md comes with
                continue
            raise _mismatch("is in the archive, but not in the version's list of resources", path)
        size, sha256 = listed[path]
        if len(file.content) != size:
            raise _mismatch(f"has {len(file.content)} bytes, listed are {size}", path)
        check_sha256(file.content, sha256, where=path)
    if missing := sorted(set(listed) - set(tree.files)):
        raise _mismatch("is in the version's list of resources, but not in the archive", missing[0])


def _listed(detail: Mapping[str, Any]) -> dict[str, tuple[int, Sha256]]:
    resources = detail.get("resources")
    if not isinstance(resources, dict):
        raise FormatError("has no list of resources", where="lobehub skill")
    listed: dict[str, tuple[int, Sha256]] = {}
    for index, (path, item) in enumerate(resources.items()):
        where = f"lobehub skill.resources[{index}]"
        parse_member_path(path, where=where)
        size = number_at(item, "size") if isinstance(item, dict) else None
        if size is None:
            raise FormatError("has no size", where=where)
        listed[path] = (size, parse_sha256(item.get("fileHash"), where=f"{where}.fileHash"))
    return listed


def _mismatch(message: str, path: str) -> DigestMismatchError:
    hint = "fetch again; if it repeats, do not use it and tell the market"
    return DigestMismatchError(message, where=fact(path), hint=hint)


def market_observations(detail: Mapping[str, Any], tree: SourceTree, licence: str) -> list[Finding]:
    """Return what the market says, and where what it shows is not what it ships."""
    found = []
    shown, shipped = detail.get("content"), text_of(tree.skill_md)
    if not isinstance(shown, str) or not shown.strip():
        message = "LobeHub shows no SKILL.md of this version, so nothing of its own vouches for the one in the archive"
        found.append(observation("content-missing", Severity.LOOK, message))
    elif shown.strip() != (shipped or "").strip():
        message = "the SKILL.md in the archive is not the one that LobeHub shows its visitors; ask which one is meant"
        found.append(observation("content-differs", Severity.BLOCK, message))
    validated, official = said(detail, "isValidated"), said(detail, "isOfficial")
    message = f"LobeHub says: validated {validated}, official {official}; how it finds out is not known here"
    found.append(observation("verdict", Severity.NOTE, message))
    own = plain_fact(claims_of(tree).licence)
    if not licence:
        found.append(no_licence())
    elif own and own != licence:
        message = (
            f"LobeHub says the licence is {licence}, SKILL.md says {own}; ask the author which one holds"
        )
        found.append(observation("licence-differs", Severity.NOTE, message))
    return found


def said(document: Mapping[str, Any], key: str) -> str:
    """Return what the market says at ``key``: yes, no or unknown."""
    value = document.get(key)
    return ("yes" if value else "no") if isinstance(value, bool) else "unknown"
