"""The read API of the skills site.

    GET /api/v1/skills                    {"skills": [{"name", "kind", "latest", "description"}, …]}
    GET /api/v1/skills/<name>             {"name", "releases": [{"version", "state", "bundle_path", …}, …]}
    GET /api/v1/skills/<name>/<version>   {"name", "version", "state", "bundle_path", "bundle_sha256", …}
    GET /api/v1/profiles                  {"profiles": [{"name", "version", "sha256"}, …]}
    GET /api/v1/status                    {"dev", "roles": {"snapshot": {"version", "expires"}, …}, "problems"}
    GET /api/v1/openapi.json              what this service answers, the desk included where it is served

Answers are no-cache with an ETag of their content. Names and versions have one spelling; others are 400.
"""

from collections.abc import Sequence
from typing import Any, Final

from flask import Blueprint, Response, jsonify, request

from repo_server.web import schemas
from repo_server.web.answering import REVALIDATE
from repo_server.web.catalogue import Catalogue
from repo_server.web.routes import PREFIX, Route, register, render_openapi
from repo_server.web.sites import SITE_KEY, Site
from signing.errors import NotFoundError
from signing.format.digest import sha256_of
from signing.format.names import Pin, parse_skill_name, parse_version


def skills_site_only() -> None:
    """Refuse a request that came to another site than that of the skills.

    Raises:
        NotFoundError: it did.
    """
    if request.environ[SITE_KEY] is not Site.SKILLS:
        raise NotFoundError("the API is on the skills site")


def api_blueprint(catalogue: Catalogue, *, others: Sequence[Route[Any]] = ()) -> Blueprint:
    """Return the views of the API; ``others`` are routes that stand in its document too."""
    blueprint = Blueprint("api", __name__, url_prefix=PREFIX)
    blueprint.before_request(skills_site_only)
    register(blueprint, READ_ROUTES, catalogue)
    document = render_openapi([*READ_ROUTES, *others])

    @blueprint.get("/openapi.json")
    def described() -> Response:
        return revalidated(Response(document, mimetype="application/json"))

    return blueprint


def _skills(catalogue: Catalogue) -> Response:
    return _answer({"skills": [summary.to_json() for summary in catalogue.skills()]})


def _releases(catalogue: Catalogue, name: str) -> Response:
    parsed = parse_skill_name(name)
    return _answer({"name": parsed, "releases": [facts.to_json() for facts in catalogue.releases(parsed)]})


def _release(catalogue: Catalogue, name: str, version: str) -> Response:
    return _answer(catalogue.release(Pin(parse_skill_name(name), parse_version(version))).to_json())


def _profiles(catalogue: Catalogue) -> Response:
    return _answer({"profiles": [facts.to_json() for facts in catalogue.profiles()]})


def _status(catalogue: Catalogue) -> Response:
    return _answer(catalogue.status().to_json())


READ_ROUTES: Final[tuple[Route[Catalogue], ...]] = (
    Route(
        "GET", "/skills", "list_skills", "Every skill and soul that has a release.", _skills, schemas.SKILLS
    ),
    Route(
        "GET",
        "/skills/{name}",
        "list_releases",
        "The releases of one skill, newest first.",
        _releases,
        schemas.RELEASES,
        parts={"name": schemas.NAME},
    ),
    Route(
        "GET",
        "/skills/{name}/{version}",
        "get_release",
        "One release.",
        _release,
        schemas.RELEASE,
        parts={"name": schemas.NAME, "version": schemas.VERSION},
    ),
    Route("GET", "/profiles", "list_profiles", "Every published profile.", _profiles, schemas.PROFILES),
    Route("GET", "/status", "get_status", "How the repository stands.", _status, schemas.STATUS),
)


def _answer(document: dict[str, Any]) -> Response:
    return revalidated(jsonify(document))


def revalidated(response: Response) -> Response:
    """Return ``response`` with an ETag of its content: it may be kept, and is asked for again."""
    response.headers["Cache-Control"] = REVALIDATE
    response.set_etag(sha256_of(response.get_data()))
    response.make_conditional(request)
    return response
