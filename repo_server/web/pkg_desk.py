"""The desk of builders over HTTP: files by their digest, builds; and what curators decide about packages.

    POST   /api/v1/desk/pkg/<abi>/<channel>/missing                 which of these digests are not here
    GET    /api/v1/desk/pkg/<abi>/<channel>/uploads/<sha256>?size=N            how much of a file is here
    PUT    /api/v1/desk/pkg/<abi>/<channel>/uploads/<sha256>?size=N&offset=M   the next piece of it
    POST   /api/v1/desk/pkg/<abi>/<channel>/builds                  the role's signed metadata: publish what it names
    POST   /api/v1/desk/advisories                                  the list (VuXML) and the role's signed metadata
    POST   /api/v1/desk/builders                                    propose whose key builds a repository
    DELETE /api/v1/desk/builders/<abi>/<channel>                    give that up, and the signatures on it

A builder's token is good for one ABI and channel. It lets bytes in, under limits, and nothing more: what is published
is decided by the builder's key (`repo_server.pkgrepo.accepting`); and whose that is, by the signatures of curators, which are
handed in like those on releases (`repo_server.web.desk`). Pieces cost nothing of a token's allowance of
requests, since a first build has tens of thousands; what bounds them is the quota, the disk, and how many bodies are
read at a time.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from flask import Blueprint, Response, g, jsonify, request
from sqlalchemy.orm import Session
from werkzeug.exceptions import ClientDisconnected

from repo_server.db import log
from repo_server.db.session import transaction
from repo_server.pkgrepo.uploads import MAX_PIECE, Uploads
from repo_server.publishing.builders import drop_builder, subject_of
from repo_server.publishing.handed_in import prepare_builder, signed_sha256
from repo_server.tokens import CURATE, PUBLISH_PKG, Grant
from repo_server.web import schemas
from repo_server.web.api import skills_site_only
from repo_server.web.desk_guard import DeskService, guarded, refused
from repo_server.web.routes import PREFIX, Body, Route, body_limits, register
from signing.errors import FormatError, SkillRepoError
from signing.format.canonical import canonical, parse_json
from signing.format.digest import Sha256, parse_sha256
from signing.format.fields import Fields
from signing.format.pkg.index import MAX_PACKAGE_BYTES
from signing.format.pkg.names import PackageRepo
from signing.keys import HeldKey

MAX_QUESTIONS: Final = 2_000
MAX_ROLE_BYTES: Final = 1 << 20
MAX_LIST_BYTES: Final = 32 << 20
_JSON: Final = "application/json"
_OCTETS: Final = "application/octet-stream"
_MULTIPART: Final = "multipart/form-data"
_SMALL: Final = 64 << 10
_PIECE: Final = 1 << 20
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,10}", re.ASCII)


def pkg_desk_blueprint(service: DeskService) -> tuple[Blueprint, dict[str, int]]:
    """Return the views of the builders' desk, and how many bytes each may be sent."""
    blueprint = Blueprint("pkg_desk", __name__, url_prefix=PREFIX)
    blueprint.before_request(skills_site_only)
    blueprint.register_error_handler(SkillRepoError, refused)
    register(blueprint, PKG_DESK_ROUTES, service, guard=lambda route, view: guarded(service, route, view))
    return blueprint, body_limits(blueprint, PKG_DESK_ROUTES)


def _missing(service: DeskService, abi: str, channel: str) -> Response:
    _repo(abi, channel)
    fields = Fields.of(_document(MAX_QUESTIONS * 256), where="body")
    wanted = fields.items("blobs", _wanted, maximum=MAX_QUESTIONS)
    fields.done()
    blobs = service.repository.package_blobs
    return _answer({"missing": [digest for digest, size in wanted if blobs.size_of(digest) != size]})


def _offset(service: DeskService, abi: str, channel: str, sha256: str) -> Response:
    _repo(abi, channel)
    digest, size = parse_sha256(sha256), _argument("size")
    return _answer({"offset": _uploads(service).offset(_grant().id, digest, size)})


def _receive(service: DeskService, abi: str, channel: str, sha256: str) -> Response:
    _repo(abi, channel)
    digest, size, offset = parse_sha256(sha256), _argument("size"), _argument("offset")
    here = _uploads(service).receive(
        _grant().id, digest, size, offset=offset, pieces=_pieces(), now=service.clock()
    )
    return _answer({"offset": here})


def _build(service: DeskService, abi: str, channel: str) -> Response:
    from repo_server.pkgrepo.local_desk import take_build  # noqa: PLC0415 - cryptography, for builds only

    repo, grant = _repo(abi, channel), _grant()

    def note(session: Session) -> None:
        facts = {"repository": str(repo), "token": grant.id, "name": grant.name}
        log.append(session, event="desk.build", facts=facts, now=service.clock())

    document = take_build(
        service.repository,
        repo,
        request.get_data(cache=False),
        service.online(),
        now=service.clock(),
        note=note,
    )
    _uploads(service).published(grant.id)
    return _answer(document)


def _advisories(service: DeskService) -> Response:
    from repo_server.pkgrepo.advisories import take_advisories  # noqa: PLC0415

    metadata, data = _part("metadata", MAX_ROLE_BYTES), _part("list", MAX_LIST_BYTES)
    service.check_room()
    state = take_advisories(service.repository, metadata, data, service.online(), now=service.clock())
    grant = _grant()
    with transaction(service.repository.engine) as session:
        facts = {"snapshot": state.snapshot, "token": grant.id, "name": grant.name}
        log.append(session, event="desk.advisories", facts=facts, now=service.clock())
    return _answer({"snapshot_version": state.snapshot, "timestamp_version": state.timestamp})


def _propose_builder(service: DeskService) -> Response:
    fields = Fields.of(_document(_SMALL), where="body")
    repo = PackageRepo.parse(fields.text("repository", max_length=80), where="body.repository")
    key = HeldKey.parse(canonical(fields.take("key")), where="body.key")
    fields.done()
    with transaction(service.repository.engine) as session:
        rows = prepare_builder(service.repository, session, repo, key, now=service.clock())
        proposals = [
            {"role": row.role, "version": row.version, "signed_sha256": signed_sha256(row)} for row in rows
        ]
    return _answer({"subject": subject_of(repo), "proposals": proposals})


def _drop_builder(service: DeskService, abi: str, channel: str) -> Response:
    repo, grant = _repo(abi, channel), _grant()
    with transaction(service.repository.engine) as session:
        drop_builder(session, repo)
        facts = {"repository": str(repo), "token": grant.id, "name": grant.name}
        log.append(session, event="desk.builder-dropped", facts=facts, now=service.clock())
    return _answer({"repository": str(repo), "dropped": True})


def _pieces() -> Iterator[bytes]:
    """Yield the body; one that breaks off is taken as far as it came, since the next request goes on from there."""
    try:
        while piece := request.stream.read(_PIECE):
            yield piece
    except ClientDisconnected:
        return


def _uploads(service: DeskService) -> Uploads:
    return service.uploads


def _grant() -> Grant:
    grant: Grant = g.grant
    return grant


def _repo(abi: str, channel: str) -> PackageRepo:
    return PackageRepo.parse(f"{abi}/{channel}", where="path")


def _wanted(value: object, where: str) -> tuple[Sha256, int]:
    fields = Fields.of(value, where=where)
    digest = parse_sha256(fields.take("sha256"), where=fields.place("sha256"))
    size = fields.integer("size", maximum=MAX_PACKAGE_BYTES)
    fields.done()
    return digest, size


def _argument(name: str) -> int:
    text = request.args.get(name, "")
    if not _NUMBER.fullmatch(text):
        raise FormatError("not a number of bytes", where=name)
    return int(text)


def _document(limit: int) -> Any:
    return parse_json(request.get_data(cache=False), where="body", max_bytes=limit)


def _part(name: str, limit: int) -> bytes:
    files = request.files.getlist(name)
    if len(files) != 1 or name in request.form:
        raise FormatError("must be there once, as a file", where=name)
    data = files[0].stream.read(limit + 1)
    if len(data) > limit:
        raise FormatError(f"larger than {limit} bytes", where=name)
    return data


def _answer(document: dict[str, Any]) -> Response:
    response = jsonify(document)
    response.headers["Cache-Control"] = "no-store"
    return response


def _route(  # noqa: PLR0917 - as for Route: the table below reads like one
    method: str,
    path: str,
    name: str,
    summary: str,
    view: Callable[..., Response],
    answer: schemas.Schema,
    *,
    parts: dict[str, schemas.Schema] | None = None,
    **more: Any,
) -> Route[DeskService]:
    return Route(
        method,
        f"/desk/pkg/{{abi}}/{{channel}}{path}",
        name,
        summary,
        view,
        answer,
        parts={"abi": schemas.ABI, "channel": schemas.CHANNEL, **(parts or {})},
        scope=f"{PUBLISH_PKG}:{{abi}}/{{channel}}",
        **more,
    )


PKG_DESK_ROUTES: Final[tuple[Route[DeskService], ...]] = (
    _route(
        "POST",
        "/missing",
        "missing_blobs",
        "Which of these files are not here.",
        _missing,
        schemas.MISSING,
        body=Body(media_type=_JSON, schema=schemas.QUESTIONS, max_bytes=MAX_QUESTIONS * 256),
        cost=2,
    ),
    _route(
        "GET",
        "/uploads/{sha256}",
        "get_upload",
        "How many bytes of a file are here.",
        _offset,
        schemas.OFFSET,
        parts={"sha256": schemas.SHA256},
        query={"size": schemas.BYTES},
        cost=0,
    ),
    _route(
        "PUT",
        "/uploads/{sha256}",
        "put_upload",
        "The next piece of a file, at most 32 MiB.",
        _receive,
        schemas.OFFSET,
        parts={"sha256": schemas.SHA256},
        query={"size": schemas.BYTES, "offset": schemas.BYTES},
        body=Body(media_type=_OCTETS, schema=schemas.OCTETS, max_bytes=MAX_PIECE),
        cost=0,
    ),
    _route(
        "POST",
        "/builds",
        "hand_in_build",
        "Publish the build that this signed metadata of the builder's role names.",
        _build,
        schemas.ACCEPTED_BUILD,
        body=Body(media_type=_JSON, schema=schemas.METADATA, max_bytes=MAX_ROLE_BYTES),
        cost=20,
    ),
    Route(
        "POST",
        "/desk/advisories",
        "hand_in_advisories",
        "Publish a list of known vulnerabilities that a curator signed.",
        _advisories,
        schemas.ADVISORIES_TAKEN,
        body=Body(
            media_type=_MULTIPART,
            schema=schemas.ADVISORIES,
            max_bytes=MAX_LIST_BYTES + MAX_ROLE_BYTES + _SMALL,
        ),
        scope=CURATE.text,
        cost=20,
    ),
    Route(
        "POST",
        "/desk/builders",
        "propose_builder",
        "Propose whose key builds a repository; curators sign that by /desk/signatures.",
        _propose_builder,
        schemas.PROPOSALS,
        body=Body(media_type=_JSON, schema=schemas.BUILDER, max_bytes=_SMALL),
        scope=CURATE.text,
        cost=4,
    ),
    Route(
        "DELETE",
        "/desk/builders/{abi}/{channel}",
        "drop_builder",
        "Give up the builder who is proposed, and the signatures on that.",
        _drop_builder,
        schemas.BUILDER_DROPPED,
        parts={"abi": schemas.ABI, "channel": schemas.CHANNEL},
        scope=CURATE.text,
        cost=4,
    ),
)
