"""The read API of the skills site.

    GET /api/v1/skills                    {"skills": [{"name", "kind", "latest", "description"}, …]}
    GET /api/v1/skills/<name>             {"name", "releases": [{"version", "state", "bundle_path", …}, …]}
    GET /api/v1/skills/<name>/<version>   {"name", "version", "state", "bundle_path", "bundle_sha256", …}
    GET /api/v1/profiles                  {"profiles": [{"name", "version", "sha256"}, …]}
    GET /api/v1/status                    {"dev", "roles": {"snapshot": {"version", "expires"}, …}, "problems"}

Answers are no-cache with an ETag of their content. Names and versions have one spelling; others are 400.
"""

from typing import Any

from flask import Blueprint, Response, jsonify, request

from repo_server.web.catalogue import Catalogue
from repo_server.web.files import REVALIDATE
from repo_server.web.sites import SITE_KEY, Site
from signing.errors import NotFoundError
from signing.format.digest import sha256_of
from signing.format.names import Pin, parse_skill_name, parse_version


def api_blueprint(catalogue: Catalogue) -> Blueprint:
    """Return the views of the API."""
    blueprint = Blueprint("api", __name__, url_prefix="/api/v1")

    @blueprint.before_request
    def skills_site_only() -> None:
        if request.environ[SITE_KEY] is not Site.SKILLS:
            raise NotFoundError("the API is on the skills site")

    @blueprint.get("/skills")
    def skills() -> Response:
        return _answer({"skills": [summary.to_json() for summary in catalogue.skills()]})

    @blueprint.get("/skills/<name>")
    def releases(name: str) -> Response:
        parsed = parse_skill_name(name)
        return _answer(
            {"name": parsed, "releases": [facts.to_json() for facts in catalogue.releases(parsed)]}
        )

    @blueprint.get("/skills/<name>/<version>")
    def release(name: str, version: str) -> Response:
        return _answer(catalogue.release(Pin(parse_skill_name(name), parse_version(version))).to_json())

    @blueprint.get("/profiles")
    def profiles() -> Response:
        return _answer({"profiles": [facts.to_json() for facts in catalogue.profiles()]})

    @blueprint.get("/status")
    def status() -> Response:
        return _answer(catalogue.status().to_json())

    return blueprint


def _answer(document: dict[str, Any]) -> Response:
    response = jsonify(document)
    response.headers["Cache-Control"] = REVALIDATE
    response.set_etag(sha256_of(response.get_data()))
    response.make_conditional(request)
    return response
