"""A skill on ClawHub, through its API v1.

    GET /api/v1/skills/SLUG?ownerHandle=OWNER               owner, latest version, moderation
    GET /api/v1/skills/SLUG/versions/VERSION?ownerHandle=…   licence, security, path, size and sha256 of each file
    GET /api/v1/download?slug=…&version=…&ownerHandle=…      the ZIP file, with the registry's own _meta.json

The archive must hold exactly the files of the version's list, byte for byte. That catches damage and a
half-changed release; it is no proof of origin, because list and archive come from one server, which signs
neither (``signature: unsigned`` is a constant there). Its verdicts are passed on to the reviewer: a bad one
counts, a good one does not.

No text of an answer goes anywhere before it is checked or spelled out in ASCII, and an answer of any other shape
is FormatError: whoever answers for the registry may answer anything.
"""

import re
import shlex
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NoReturn
from urllib.parse import quote

from repo_server.curation.limits import Deadline, Limits
from repo_server.curation.sources.address import ClawHubAddress, parse_address, parse_upstream_version
from repo_server.curation.sources.base import (
    Fetched,
    SourceSettings,
    claims_of,
    fact,
    no_licence,
    observation,
    plain_fact,
    suggest_version,
)
from repo_server.curation.sources.http import MAX_JSON_BYTES, Answer, Origin
from repo_server.curation.tree import Entry, SourceTree
from repo_server.curation.unpack import unpack_zip
from signing.errors import (
    ConflictError,
    DigestMismatchError,
    FormatError,
    NotFoundError,
    PolicyError,
    SkillRepoError,
    TransportError,
    WrongSubjectError,
)
from signing.format.canonical import parse_json
from signing.format.digest import Sha256, check_sha256, parse_sha256, sha256_of
from signing.format.review import Finding, Severity

_META = "_meta.json"
_API = "/api/v1"
_OK, _FORBIDDEN, _MISSING, _CONFLICT, _GONE, _BUSY, _SERVER = 200, 403, 404, 409, 410, 429, 500
_BAD = {"malicious", "blocked", "revoked", "quarantined"}
_GITHUB = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,60}/[A-Za-z0-9._-]{1,100}", re.ASCII)
_PLAIN_PATH = re.compile(r"[\w./-]*", re.ASCII)
_MOMENT = re.compile(r"[0-9A-Za-z:.+-]{0,40}", re.ASCII)
_UNREADABLE = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)
_GOOD = {"", "clean", "benign", "passed"}


def fetch(address: ClawHubAddress, *, limits: Limits, settings: SourceSettings, now: datetime) -> Fetched:
    """Return one version of a skill.

    Raises:
        NotFoundError: no such skill or version, deleted, or kept elsewhere.
        ConflictError: several publishers have this slug.
        DigestMismatchError: the archive is not what the version's list of files says.
        WrongSubjectError: the answer is about another skill.
        PolicyError: the registry withholds it.
        FormatError: an answer or the archive is malformed.
        TransportError: the registry is unreachable, too slow, overloaded or failing.
    """
    try:
        return _fetch(address, limits=limits, settings=settings, now=now)
    except SkillRepoError:
        raise
    except _UNREADABLE as error:
        raise FormatError(
            f"answers with something unreadable ({type(error).__name__})", where=str(address)
        ) from error


def _fetch(address: ClawHubAddress, *, limits: Limits, settings: SourceSettings, now: datetime) -> Fetched:
    deadline = Deadline.after(limits.seconds)
    allowed = settings.allow_loopback_http
    with Origin(settings.clawhub, limits=limits, deadline=deadline, allow_loopback_http=allowed) as origin:
        registry = _Registry(origin, address, limits)
        skill = registry.skill()
        latest = _text(_object(skill, "latestVersion"), "version")
        if not (address.version or latest):
            raise NotFoundError("has no published version", where=str(address))
        version = address.version or parse_upstream_version(latest, where="clawhub skill.latestVersion")
        detail = registry.version(version)
        archive = registry.download(version)
    entries = unpack_zip(archive, limits)
    published_at = _take_meta(entries, address, version)
    tree = SourceTree.of(entries)
    _check_files(tree, detail)
    licence = plain_fact(_text(detail, "license"))
    resolved = {
        "version": version,
        "archive_sha256": sha256_of(archive),
        "files_sha256": tree.digest,
        "published_at": published_at,
        "moderation": plain_fact(_verdict(skill)) or "none",
        "security": plain_fact(_text(_object(detail, "security"), "status")) or "none",
    }
    return Fetched(
        tree=tree,
        source="clawhub",
        address=str(ClawHubAddress(address.owner, address.slug, version)),
        resolved=resolved,
        publisher=f"@{address.owner}",
        licence=licence,
        suggested_version=suggest_version(version),
        observations=tuple(_observations(skill, detail, tree, licence)),
        fetched_at=now,
    )


class _Registry:
    """The three requests, with the registry's errors in our words."""

    def __init__(self, origin: Origin, address: ClawHubAddress, limits: Limits) -> None:
        self._origin, self._address, self._limits = origin, address, limits
        self._owner = {"ownerHandle": address.owner}
        self._path = f"{_API}/skills/{quote(address.slug, safe='')}"

    def skill(self) -> dict[str, Any]:
        """Return the skill, after checking that it is the one that was asked for."""
        document = self._get(self._path).json("clawhub skill")
        owner = _text(_object(document, "owner"), "handle")
        slug = _text(_object(document, "skill"), "slug")
        if (owner, slug) != (self._address.owner, self._address.slug):
            raise WrongSubjectError(
                f"the registry answers about @{plain_fact(owner)}/{plain_fact(slug)}",
                where=str(self._address),
                hint="the skill may have been renamed or transferred; look at it before importing it from there",
            )
        return document

    def version(self, version: str) -> dict[str, Any]:
        """Return the version's detail."""
        try:
            answer = self._get(f"{self._path}/versions/{quote(version, safe='')}")
        except NotFoundError as error:
            if not error.hint:
                error.hint = self._published()
            raise
        detail = _object(answer.json("clawhub version"), "version")
        if _text(detail, "version") != version:
            raise WrongSubjectError("the registry answers about another version", where=str(self._address))
        return detail

    def download(self, version: str) -> bytes:
        """Return the archive."""
        parameters = {"slug": self._address.slug, "version": version}
        answer = self._get(f"{_API}/download", parameters, max_bytes=self._limits.max_archive_bytes)
        if answer.body.startswith(b"PK"):
            return answer.body
        handoff = answer.json("clawhub download")
        if handoff.get("sourceRef") != "public-github":
            raise FormatError("answers with neither a ZIP file nor a hand-off", where="clawhub download")
        repository, commit, path = (_text(handoff, key) for key in ("repo", "commit", "path"))
        if not _GITHUB.fullmatch(repository):
            raise FormatError("hands off to something that is no repository", where="clawhub download")
        elsewhere = parse_address(
            f"git+https://github.com/{repository}@{commit}" + (f"#{path}" if path else "")
        )
        raise NotFoundError(
            "the skill is backed by GitHub; ClawHub has no files of it",
            where=str(self._address),
            hint=f"import {elsewhere if _PLAIN_PATH.fullmatch(path) else shlex.quote(str(elsewhere))}",
        )

    def _published(self) -> str:
        """Return a hint that names the published versions (of the first page)."""
        items = self._get(f"{self._path}/versions").json("clawhub versions").get("items")
        if not isinstance(items, list):
            raise FormatError("has no list of versions", where="clawhub versions")
        names = [plain_fact(_text(item, "version")) for item in items[:20] if isinstance(item, dict)]
        return f"published are: {', '.join(names)}" if names else "no version is published"

    def _get(
        self, path: str, parameters: Mapping[str, str] | None = None, *, max_bytes: int = MAX_JSON_BYTES
    ) -> Answer:
        answer = self._origin.get(path, {**(parameters or {}), **self._owner}, max_bytes=max_bytes)
        if answer.status != _OK:
            self._refuse(answer)
        return answer

    def _refuse(self, answer: Answer) -> NoReturn:
        where = str(self._address)
        said = fact(answer.body[:200].decode("utf-8", errors="replace"))
        match answer.status:
            case 404:
                raise NotFoundError(f"ClawHub has no such skill or version ({said})", where=where)
            case 410:
                raise NotFoundError(
                    "deleted upstream", where=where, hint="ask why before using an older copy"
                )
            case 409:
                raise _ambiguous(answer, where)
            case 403:
                hint = "withheld by its moderation; import it from its repository only if you know why"
                raise PolicyError(f"ClawHub refuses to hand it out ({said})", where=where, hint=hint)
            case 429:
                seconds = answer.headers.get("retry-after", "")
                known = re.fullmatch(r"[0-9]{1,6}", seconds, re.ASCII)
                hint = f"try again in {seconds} seconds" if known else "try again later"
                raise TransportError("ClawHub asks us to slow down (429)", where=where, hint=hint)
            case status if status >= _SERVER:
                raise TransportError(
                    f"ClawHub has a failure of its own ({status})", where=where, hint="try later"
                )
            case status:
                raise FormatError(f"ClawHub answers with status {status}", where=where)


def _ambiguous(answer: Answer, where: str) -> ConflictError:
    found = answer.json("clawhub conflict").get("matches")
    matches = [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
    names = [
        f"@{plain_fact(_text(item, 'ownerHandle'))}/{plain_fact(_text(item, 'slug'))}"
        for item in matches[:20]
    ]
    return ConflictError(
        f"several publishers have this slug: {', '.join(names)}",
        where=where,
        hint="write clawhub:@owner/slug, and compare the owners letter by letter",
        matches=names,
    )


def _take_meta(entries: list[Entry], address: ClawHubAddress, version: str) -> str:
    """Remove the registry's own file from ``entries`` and return when it says the version was published."""
    found = [index for index, entry in enumerate(entries) if entry[0] == _META]
    if not found:
        return ""
    document = parse_json(entries.pop(found[0])[1], where=_META, max_bytes=1 << 16)
    if not isinstance(document, dict):
        raise FormatError("is not an object", where=_META)
    if (document.get("slug"), document.get("version")) != (address.slug, version):
        raise WrongSubjectError("the archive says it is another skill or version", where=_META)
    published_at = document.get("publishedAt", "")
    if isinstance(published_at, bool) or not isinstance(published_at, int | str):
        raise FormatError("is not a moment", where=f"{_META}: publishedAt")
    if not _MOMENT.fullmatch(str(published_at)):
        raise FormatError("is not a moment", where=f"{_META}: publishedAt")
    return str(published_at)


def _check_files(tree: SourceTree, detail: dict[str, Any]) -> None:
    """Compare ``tree`` with the version's list: the same files, the same sizes, the same digests."""
    listed = _listed(detail)
    for path, file in tree.files.items():
        if path not in listed:
            raise _mismatch("is in the archive, but not in the version's list of files", path)
        size, sha256 = listed[path]
        if len(file.content) != size:
            raise _mismatch(f"has {len(file.content)} bytes, listed are {size}", path)
        check_sha256(file.content, sha256, where=path)
    if missing := sorted(set(listed) - set(tree.files)):
        raise _mismatch("is in the version's list of files, but not in the archive", missing[0])


def _listed(detail: dict[str, Any]) -> dict[str, tuple[int, Sha256]]:
    files = detail.get("files")
    if not isinstance(files, list):
        raise FormatError("has no list of files", where="clawhub version")
    listed: dict[str, tuple[int, Sha256]] = {}
    for index, item in enumerate(files):
        where = f"clawhub version.files[{index}]"
        if not isinstance(item, dict) or not isinstance(item.get("path"), str) or item["path"] in listed:
            raise FormatError("is no file, or is listed twice", where=where)
        size = item.get("size")
        if not isinstance(size, int) or isinstance(size, bool):
            raise FormatError("has no size", where=where)
        listed[item["path"]] = (size, parse_sha256(item.get("sha256"), where=f"{where}.sha256"))
    return listed


def _mismatch(message: str, path: str) -> DigestMismatchError:
    hint = "fetch again; if it repeats, do not use it and tell the registry"
    return DigestMismatchError(message, where=fact(path), hint=hint)


def _verdict(skill: dict[str, Any]) -> str:
    moderation = _object(skill, "moderation")
    if moderation.get("isMalwareBlocked") is True:
        return "malicious"
    return _text(moderation, "verdict") or ("suspicious" if moderation.get("isSuspicious") is True else "")


def _observations(
    skill: dict[str, Any], detail: dict[str, Any], tree: SourceTree, licence: str
) -> list[Finding]:
    """Return what the registry says against the skill. What it says for it is not evidence."""
    found = []
    reasons = _object(skill, "moderation").get("reasonCodes")
    codes = (
        ", ".join(plain_fact(code)[:60] for code in reasons[:10] if isinstance(code, str))
        if isinstance(reasons, list)
        else ""
    )
    for check, verdict in (
        ("moderation", _verdict(skill).lower()),
        ("security", _text(_object(detail, "security"), "status").lower()),
    ):
        if verdict not in _GOOD:
            severity = Severity.BLOCK if verdict in _BAD else Severity.LOOK
            because = f" ({codes})" if codes and check == "moderation" else ""
            message = f"ClawHub's {check} says {plain_fact(verdict)}{because}; find out why before deciding otherwise"
            found.append(observation(check, severity, message))
    own = plain_fact(claims_of(tree).licence)
    if not licence:
        found.append(no_licence())
    elif own and own != licence:
        message = (
            f"ClawHub says the licence is {licence}, SKILL.md says {own}; ask the author which one holds"
        )
        found.append(observation("licence-differs", Severity.NOTE, message))
    return found


def _object(document: dict[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _text(document: dict[str, Any], key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) else ""
