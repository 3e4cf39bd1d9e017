"""The requests to ClawHub's API v1, and whether each answer is about what was asked.

    GET /.well-known/clawhub.json                            where the API is, on the same server
    GET /api/v1/search?q=…&limit=…
    GET /api/v1/skills/SLUG?ownerHandle=OWNER                owner, latest version, moderation
    GET /api/v1/skills/SLUG/versions/VERSION                 licence, security, path, size and sha256 of each file
    GET /api/v1/skills/SLUG/versions                         for the hint when a version is not there
    GET /api/v1/download?slug=…&version=…                    the ZIP file with the registry's own _meta.json,
                                                             or a hand-off to GitHub
    GET /api/v1/skills/SLUG/verify, …/scan, …/moderation     evidence; an older registry has none
    GET /api/v1/resolve?slug=…&hash=…                        which version has this fingerprint

No text of an answer goes anywhere before it is checked or spelled out in ASCII, and an answer of any other shape is
FormatError: whoever answers for the registry may answer anything.
"""

from collections.abc import Mapping
from typing import Any, Final, Self
from urllib.parse import quote

from repo_server.curation.limits import Limits
from repo_server.curation.sources.base import object_at, objects_at, plain_fact, text_at
from repo_server.curation.sources.http import MAX_JSON_BYTES, Answer, Web
from signing.errors import FormatError, NotFoundError, TransportError, WrongSubjectError

_DISCOVERY: Final = "/.well-known/clawhub.json"
_API: Final = "/api/v1"
_MAX_SHOWN: Final = 20


class Registry:
    """One skill's part of the registry."""

    def __init__(self, web: Web, base: str, *, owner: str, slug: str, limits: Limits) -> None:
        """Prepare to ask; made by `Registry.of`."""
        self.limits = limits
        self._web, self._base, self._owner, self._slug = web, base, owner, slug
        self._path = f"/skills/{quote(slug, safe='')}"
        self._where = f"clawhub:@{owner}/{slug}"

    @classmethod
    def of(cls, web: Web, *, owner: str, slug: str, limits: Limits) -> Self:
        """Return the registry that the configured server says it has.

        Raises:
            TransportError: it says that its API is on another server.
        """
        return cls(web, _api_base(web), owner=owner, slug=slug, limits=limits)

    @staticmethod
    def search(web: Web, query: str, limits: Limits) -> dict[str, Any]:
        """Return the answer to a search."""
        parameters = {"q": query, "limit": str(limits.max_hits)}
        return web.json(f"{_api_base(web)}/search", parameters, what="clawhub search")

    def skill(self) -> dict[str, Any]:
        """Return the skill, after checking that it is the one that was asked for."""
        document = self._get(self._path, what="skill").json("clawhub skill")
        owner = text_at(object_at(document, "owner"), "handle")
        slug = text_at(object_at(document, "skill"), "slug")
        if (owner, slug) != (self._owner, self._slug):
            raise WrongSubjectError(
                f"the registry answers about @{plain_fact(owner)}/{plain_fact(slug)}",
                where=self._where,
                hint="the skill may have been renamed or transferred; look at it before importing it from there",
            )
        return document

    def version(self, version: str) -> dict[str, Any]:
        """Return the version's detail."""
        try:
            answer = self._get(f"{self._path}/versions/{quote(version, safe='')}", what="version")
        except NotFoundError as error:
            if not error.hint:
                error.hint = self._published()
            raise
        detail = object_at(answer.json("clawhub version"), "version")
        if text_at(detail, "version") != version:
            raise WrongSubjectError("the registry answers about another version", where=self._where)
        return detail

    def download(self, version: str | None) -> bytes | dict[str, Any]:
        """Return the archive, or the hand-off to GitHub of a skill that has no files here."""
        parameters = {"slug": self._slug} | ({"version": version} if version else {})
        answer = self._get("/download", parameters, what="download", max_bytes=self.limits.max_archive_bytes)
        if answer.body.startswith(b"PK"):
            return answer.body
        handoff = answer.json("clawhub download")
        if handoff.get("sourceRef") != "public-github":
            raise FormatError("answers with neither a ZIP file nor a hand-off", where="clawhub download")
        return handoff

    def evidence(self, kind: str, version: str | None) -> dict[str, Any] | None:
        """Return what the registry says under ``verify``, ``scan`` or ``moderation``; None when it has none.

        Only "there is none" is passed over: who could make the registry stumble here could hide its verdict.
        """
        parameters = {"version": version} if version and kind != "moderation" else {}
        try:
            return self._get(f"{self._path}/{kind}", parameters, what=kind).json(f"clawhub {kind}")
        except NotFoundError:
            return None

    def resolve(self, fingerprint: str) -> str | None:
        """Return the version that has ``fingerprint``, empty when none has; None when the registry cannot tell."""
        parameters = {"slug": self._slug, "hash": fingerprint}
        try:
            document = self._get("/resolve", parameters, what="resolve").json("clawhub resolve")
        except NotFoundError:
            return None
        return text_at(object_at(document, "match"), "version")

    def _published(self) -> str:
        """Return a hint that names the published versions (of the first page)."""
        document = self._get(f"{self._path}/versions", what="versions").json("clawhub versions")
        names = [plain_fact(text_at(item, "version")) for item in objects_at(document, "items")[:_MAX_SHOWN]]
        return f"published are: {', '.join(names)}" if names else "no version is published"

    def _get(
        self,
        path: str,
        parameters: Mapping[str, str] | None = None,
        *,
        what: str,
        max_bytes: int = MAX_JSON_BYTES,
    ) -> Answer:
        asked = {**(parameters or {}), "ownerHandle": self._owner}
        return self._web.get(self._base + path, asked, what=f"{self._where} {what}", max_bytes=max_bytes)


def _api_base(web: Web) -> str:
    configured = web.at("clawhub", "")
    try:
        discovered = text_at(web.json(configured + _DISCOVERY, what="clawhub discovery"), "apiBase")
    except NotFoundError:  # a mirror need not have it
        discovered = ""
    base = discovered.rstrip("/") or configured
    if not web.allows(base):
        raise TransportError(
            f"says that its API is at {plain_fact(base)[:120]}, which is another server",
            where="clawhub discovery",
            hint="if that is right, set clawhub in [sources] of repository.toml",
        )
    return base if base.endswith(_API) else base + _API
