"""The Flask application: dispatch by site, published files, read API, health, problems.

Read-only: there is no session, no cookie, no form and no body that anybody reads, so there is nothing to forge
across sites. Keys are never here; what is served was signed elsewhere.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from flask import Flask, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from repo_server.web.api import api_blueprint
from repo_server.web.catalogue import Catalogue
from repo_server.web.config import WebConfig
from repo_server.web.files import files_blueprint
from repo_server.web.health import health_blueprint
from repo_server.web.problems import install_problems
from repo_server.web.sites import REFUSAL_KEY, SiteDispatch

# No request needs a body at all; this is what a careless client may send without being cut off.
MAX_BODY_BYTES: Final = 64 * 1024

# HSTS is not among them: it belongs to whoever ends TLS (nginx), and means nothing over plain HTTP.
SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    # Files come from skills of many authors; a browser that opens one must not run it in our origin.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Referrer-Policy": "no-referrer",
}


def create_app(config: WebConfig, *, catalogue: Catalogue, clock: Callable[[], datetime]) -> Flask:
    """Return the web service.

    Args:
        config: host names and published trees.
        catalogue: answers the API; called from several threads at once.
        clock: returns the present with its zone; readiness compares expiry with it.
    """
    app = Flask(__name__, static_folder=None, template_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=MAX_BODY_BYTES, PROVIDE_AUTOMATIC_OPTIONS=False)
    # //x is not another spelling of /x: it is not found, and never redirected to.
    app.url_map.merge_slashes = False

    install_problems(app)
    app.before_request(_refuse)
    app.after_request(_secure)
    app.register_blueprint(health_blueprint(catalogue=catalogue, skills_root=config.skills_root, clock=clock))
    app.register_blueprint(api_blueprint(catalogue))
    app.register_blueprint(files_blueprint(config))
    app.wsgi_app = SiteDispatch(app.wsgi_app, config)  # type: ignore[method-assign]
    return app


def _refuse() -> None:
    if refusal := request.environ.get(REFUSAL_KEY):
        raise refusal
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise RequestEntityTooLarge


def _secure(response: Response) -> Response:
    response.headers.update(SECURITY_HEADERS)
    return response
