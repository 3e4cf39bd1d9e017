"""The Flask application: dispatch by site, published files, read API, health, problems; the desk where it is asked for.

There is no session and no cookie, so there is nothing to forge across sites: who may talk to the desk shows a
token with each request. Curators' keys are never here; what is served was signed elsewhere.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from flask import Flask, Response, current_app, request
from werkzeug.exceptions import RequestEntityTooLarge

from repo_server.web.api import api_blueprint
from repo_server.web.catalogue import Catalogue
from repo_server.web.config import WebConfig
from repo_server.web.counting import count_requests
from repo_server.web.desk_guard import DeskService
from repo_server.web.files import files_blueprint
from repo_server.web.health import health_blueprint
from repo_server.web.hot import HotFiles
from repo_server.web.pkg_guard import PullGuard
from repo_server.web.pkg_site import PkgSite
from repo_server.web.problems import install_problems
from repo_server.web.quick import QuickFiles, Told
from repo_server.web.request_log import log_request, log_requests
from repo_server.web.routes import Route
from repo_server.web.sites import REFUSAL_KEY, SiteDispatch

# Only the desk reads bodies, and says how large; this is what a careless client may send without being cut off.
MAX_BODY_BYTES: Final = 64 * 1024
# What the largest request of the desk carries: an archive and where it came from.
MAX_DESK_BODY_BYTES: Final = 37 << 20
_LIMITS: Final = "REPO_SERVER_BODY_LIMITS"

# HSTS is not among them: it belongs to whoever ends TLS (nginx), and means nothing over plain HTTP.
SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    # Files come from skills of many authors; a browser that opens one must not run it in our origin.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Referrer-Policy": "no-referrer",
}


def create_app(
    config: WebConfig,
    *,
    catalogue: Catalogue,
    clock: Callable[[], datetime],
    desk: DeskService | None = None,
    guard: PullGuard | None = None,
) -> Flask:
    """Return the web service.

    Args:
        config: host names and published trees.
        catalogue: answers the API; called from several threads at once.
        clock: returns the present with its zone; readiness compares expiry with it.
        desk: answers curators elsewhere; None serves no desk.
        guard: who may fetch packages; None means everybody.
    """
    app = Flask(__name__, static_folder=None, template_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=MAX_BODY_BYTES, MAX_FORM_PARTS=8, PROVIDE_AUTOMATIC_OPTIONS=False)
    app.config[_LIMITS] = {}
    # //x is not another spelling of /x: it is not found, and never redirected to.
    app.url_map.merge_slashes = False

    install_problems(app)
    app.before_request(_refuse)
    app.after_request(_secure)
    app.register_blueprint(health_blueprint(catalogue=catalogue, skills_root=config.skills_root, clock=clock))
    others: tuple[Route[DeskService], ...] = ()
    if desk is not None:
        from repo_server.web.desk import DESK_ROUTES, desk_blueprint  # noqa: PLC0415 - not for readers only
        from repo_server.web.pkg_desk import PKG_DESK_ROUTES, pkg_desk_blueprint  # noqa: PLC0415

        for blueprint, limits in (desk_blueprint(desk), pkg_desk_blueprint(desk)):
            app.register_blueprint(blueprint)
            app.config[_LIMITS] |= limits
        others = (*DESK_ROUTES, *PKG_DESK_ROUTES)
    app.register_blueprint(api_blueprint(catalogue, others=others))
    files = HotFiles(config.skills_root)
    app.register_blueprint(files_blueprint(files, package=PkgSite(config.pkg_root, guard).answer))
    told = _told(count_requests(app), logged=log_requests(app))
    quick = QuickFiles(app.wsgi_app, files, headers=SECURITY_HEADERS, told=told)
    app.wsgi_app = SiteDispatch(quick, config)  # type: ignore[method-assign]
    return app


def _told(count: Callable[[str, int], None] | None, *, logged: bool) -> Iterator[Told]:
    """Yield what is told of answers that go past Flask, in the words that it would have used."""
    if count is not None:
        yield lambda _method, reply, _seconds: count("files", reply.status)
    if logged:
        yield lambda method, reply, seconds: log_request(
            part="files",
            route="files.published",
            method=method,
            status=reply.status,
            seconds=seconds,
            length=int(dict(reply.headers).get("Content-Length", 0)),
        )


def _refuse() -> None:
    if refusal := request.environ.get(REFUSAL_KEY):
        raise refusal
    limit = current_app.config[_LIMITS].get(request.endpoint, MAX_BODY_BYTES)
    request.max_content_length = limit  # also of a body whose length nobody announced
    if (request.content_length or 0) > limit:
        raise RequestEntityTooLarge


def _secure(response: Response) -> Response:
    response.headers.update(SECURITY_HEADERS)
    return response
