"""The curator's desk over HTTP: what a curator's machine reads, and hands in.

    GET    /api/v1/desk/state                      the rows that verbs read (repo_server.desk.state); ETag
    GET    /api/v1/desk/blobs/<sha256>             bytes by their digest, staged ones too
    GET    /api/v1/desk/candidates/<id>/bundle     all files of a candidate, as the archive that would publish them
    GET    /api/v1/desk/log?after=N                records of the log
    POST   /api/v1/desk/candidates                 stage files: multipart, origin and bundle
    POST   /api/v1/desk/candidates/<id>/reviews    a signed review
    POST   /api/v1/desk/candidates/<id>/attestations    evidence of the CI that the policy names
    POST   /api/v1/desk/profiles                   draft a profile; DELETE …/<name>/<version> gives it up
    POST   /api/v1/desk/lists                      keep a list of withdrawals, to be proposed
    POST   /api/v1/desk/proposals                  make the proposals of a subject
    POST   /api/v1/desk/signatures                 signatures on the proposals of a subject: all, or none
    POST   /api/v1/desk/publish                    publish what has enough signatures; needs the online key here

Only mounted where the service is told to. A token says who may talk (`desk_guard`); what counts is decided by the
same functions as on this machine, which believe signatures and nothing else.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from flask import Blueprint, Response, g, jsonify, request
from sqlalchemy import select
from sqlalchemy.orm import Session

from repo_server.attesting.kept import accept_attestation
from repo_server.curation.candidates import load_tree, pin_of, stage
from repo_server.curation.deciding import accept_review
from repo_server.curation.examination import describe
from repo_server.curation.seconding import Differing
from repo_server.db import log
from repo_server.db.models import CandidateRow, LogRow
from repo_server.db.session import snapshot, transaction
from repo_server.desk.state import Setting, render_state, row_to_json
from repo_server.desk.wire import (
    MAX_ORIGIN_BYTES,
    MAX_SUBJECT,
    envelope_from_json,
    origin_from_json,
    replaces_from_json,
    signatures_from_json,
    tree_of,
)
from repo_server.policy import policy_files
from repo_server.publishing.handed_in import accept_signatures, prepare, signed_sha256
from repo_server.publishing.profiles import draft_profile, drop_profile
from repo_server.publishing.publish import publish
from repo_server.publishing.withdrawals import keep_list
from repo_server.tokens import CURATE, Grant
from repo_server.web import schemas
from repo_server.web.api import skills_site_only
from repo_server.web.desk_guard import DeskService, guarded, refused
from repo_server.web.routes import PREFIX, Body, Route, body_limits, register
from signing.errors import FormatError, NotFoundError, PolicyError, SkillRepoError, WrongSubjectError
from signing.format.archive import MAX_ARCHIVE_BYTES, render_bundle
from signing.format.canonical import canonical, parse_json
from signing.format.digest import parse_sha256, sha256_of
from signing.format.fields import Fields
from signing.format.manifest import Kind
from signing.format.names import Pin, parse_skill_name, parse_version
from signing.format.profile import Profile

_JSON: Final = "application/json"
_MULTIPART: Final = "multipart/form-data"
_SMALL: Final = 64 << 10
_MAX_DOCUMENT: Final = 6 << 20
_MAX_UPLOAD: Final = MAX_ARCHIVE_BYTES + MAX_ORIGIN_BYTES + _SMALL
_LOG_PAGE: Final = 200
_SEQUENCE: Final = re.compile(r"0|[1-9][0-9]{0,14}", re.ASCII)
_BLOB_CACHING: Final = "private, max-age=31536000, immutable"


def desk_blueprint(service: DeskService) -> tuple[Blueprint, dict[str, int]]:
    """Return the views of the desk, and how many bytes each may be sent."""
    blueprint = Blueprint("desk", __name__, url_prefix=PREFIX)
    blueprint.before_request(skills_site_only)
    blueprint.register_error_handler(SkillRepoError, refused)
    register(blueprint, DESK_ROUTES, service, guard=lambda route, view: guarded(service, route, view))
    return blueprint, body_limits(blueprint, DESK_ROUTES)


# ------------------------------------------------------------------------------------------------ reading


def _state(service: DeskService) -> Response:
    repository = service.repository
    setting = Setting(dev=repository.config.dev, policy=policy_files(repository.folder))
    with snapshot(repository.engine) as session:
        data = render_state(session, setting)
    response = Response(data, mimetype=_JSON)
    response.headers["Cache-Control"] = "private, no-cache"
    response.set_etag(sha256_of(data))
    response.make_conditional(request)
    return response


def _blob(service: DeskService, sha256: str) -> Response:
    data = service.repository.blobs.load(parse_sha256(sha256))
    return _file(data)


def _bundle(service: DeskService, candidate: str) -> Response:
    with snapshot(service.repository.engine) as session:
        row = _candidate(session, candidate)
        tree = load_tree(service.repository, row)
    return _file(render_bundle(tree.to_bundle(pin_of(row), Kind(row.kind))))


def _log(service: DeskService) -> Response:
    text = request.args.get("after", "0")
    if not _SEQUENCE.fullmatch(text):
        raise FormatError("not the number of a record", where="after")
    with snapshot(service.repository.engine) as session:
        later = select(LogRow).where(LogRow.sequence > int(text)).order_by(LogRow.sequence).limit(_LOG_PAGE)
        return _answer({"records": [row_to_json(row) for row in session.scalars(later)]})


# --------------------------------------------------------------------------------------------- handing in


def _stage(service: DeskService) -> Response:
    origin = origin_from_json(
        parse_json(_part("origin", MAX_ORIGIN_BYTES), where="origin", max_bytes=MAX_ORIGIN_BYTES)
    )
    bundle, tree = tree_of(_part("bundle", MAX_ARCHIVE_BYTES))
    service.check_room()
    repository = service.repository
    for (
        file
    ) in tree.files.values():  # before the transaction: while many small files are synced, others can write
        repository.blobs.store(file.content)
    with transaction(repository.engine) as session:
        row = stage(
            repository,
            session,
            tree,
            pin=bundle.manifest.pin,
            kind=bundle.manifest.kind,
            origin=origin,
            now=service.clock(),
        )
        _record(service, session, "desk.candidate", {"candidate": row.id})
        return _answer(describe(row))


def _review(service: DeskService, candidate: str) -> Response:
    fields = Fields.of(_document(_MAX_DOCUMENT), where="body")
    envelope = envelope_from_json(fields.take("envelope"))
    replaces = replaces_from_json(fields.take("replaces"))
    differing = None
    if "engines_differ" in fields:
        differing = Differing.from_json(fields.take("engines_differ"), fields.place("engines_differ"))
    fields.done()
    with transaction(service.repository.engine) as session:
        row = _candidate(session, candidate, lock=True)
        accept_review(
            service.repository,
            session,
            row,
            envelope,
            replaces=replaces,
            now=service.clock(),
            differing=differing,
        )
        return _answer({**describe(row), "review_sha256": row.review_sha256})


def _attest(service: DeskService, candidate: str) -> Response:
    evidence = request.get_data(cache=False)
    policy = service.repository.policy
    if policy is None or policy.ci is None:
        raise PolicyError("no policy here names a CI, so no attestation counts", hint="see policy.toml")
    with transaction(service.repository.engine) as session:
        kept, _ = accept_attestation(
            service.repository,
            session,
            _candidate(session, candidate, lock=True),
            evidence,
            signer=policy.ci.signer,
            trusted_root=policy.ci.trusted_root,
            now=service.clock(),
        )
        return _answer({"candidate": candidate, "evidence_sha256": kept.evidence_sha256})


def _draft(service: DeskService) -> Response:
    fields = Fields.of(_document(_MAX_DOCUMENT), where="body")
    profile, repository = Profile.parse(canonical(fields.take("profile"))), service.repository
    fields.done()
    with transaction(repository.engine) as session:
        made = draft_profile(
            *(repository, session, profile.pin),
            skills=[item.pin for item in profile.skills],
            souls=[item.pin for item in profile.souls],
            capabilities=profile.capabilities,
            packages=profile.packages,
            waivers=profile.waivers,
            now=service.clock(),
        )
        if made != profile:
            raise WrongSubjectError(
                f"{profile.pin} pins other digests than are published", hint="draft it again"
            )
        _record(service, session, "desk.profile", {"profile": str(made.pin)})
    return _answer({"profile": str(made.pin), "sha256": sha256_of(made.render())})


def _drop(service: DeskService, name: str, version: str) -> Response:
    pin = Pin(parse_skill_name(name), parse_version(version))
    with transaction(service.repository.engine) as session:
        drop_profile(session, pin, now=service.clock())
        _record(service, session, "desk.profile-dropped", {"profile": str(pin)})
    return _answer({"profile": str(pin), "dropped": True})


def _keep_list(service: DeskService) -> Response:
    document = canonical(_document(_MAX_DOCUMENT))
    with transaction(service.repository.engine) as session:
        return _answer({"subject": keep_list(service.repository, session, document, now=service.clock())})


def _propose(service: DeskService) -> Response:
    fields = Fields.of(_document(_SMALL), where="body")
    subject = fields.text("subject", max_length=MAX_SUBJECT)
    fields.done()
    with transaction(service.repository.engine) as session:
        rows = prepare(service.repository, session, subject, now=service.clock())
        proposals = [
            {"role": row.role, "version": row.version, "signed_sha256": signed_sha256(row)} for row in rows
        ]
    return _answer({"subject": subject, "proposals": proposals})


def _sign(service: DeskService) -> Response:
    subject, given = signatures_from_json(_document(_MAX_DOCUMENT))
    with transaction(service.repository.engine) as session:
        changes = accept_signatures(service.repository, session, subject, given, now=service.clock())
    return _answer({"subject": subject, "changes": [change.to_json() for change in changes]})


def _publish(service: DeskService) -> Response:
    Fields.of(_document(_SMALL), where="body").done()
    document = publish(service.repository, service.online(), now=service.clock()).to_json()
    plain = {"hint": "", "where": ""}
    document["blocked"] = [
        {key: str({**plain, **item}[key]) for key in ("subject", "code", "message", "hint", "where")}
        for item in document["blocked"]
    ]
    if document["snapshot_version"] is not None:
        with transaction(service.repository.engine) as session:
            _record(service, session, "desk.publish", {"snapshot": document["snapshot_version"]})
    return _answer(document)


# ------------------------------------------------------------------------------------------------- shared


def _grant() -> Grant:
    grant: Grant = g.grant
    return grant


def _record(service: DeskService, session: Session, event: str, facts: dict[str, Any]) -> None:
    """Write down whose token did what no signature tells."""
    grant = _grant()
    log.append(
        session, event=event, facts={**facts, "token": grant.id, "name": grant.name}, now=service.clock()
    )


def _candidate(session: Session, candidate: str, *, lock: bool = False) -> CandidateRow:
    row: CandidateRow | None = session.get(CandidateRow, candidate, with_for_update=lock or None)
    if row is None:
        raise NotFoundError("no such candidate", hint="skillrepo status lists candidates")
    return row


def _document(limit: int) -> Any:
    """Return the JSON that the request carries; its media type was checked."""
    return parse_json(request.get_data(cache=False), where="body", max_bytes=limit)


def _part(name: str, limit: int) -> bytes:
    """Return one part of a multipart body.

    Raises:
        FormatError: it is not there, there are several, or it is too large.
    """
    files, texts = request.files.getlist(name), request.form.getlist(name)
    if len(files) + len(texts) != 1:
        raise FormatError("must be there once", where=name)
    data = files[0].stream.read(limit + 1) if files else texts[0].encode("utf-8", "replace")
    if len(data) > limit:
        raise FormatError(f"larger than {limit} bytes", where=name)
    return data


def _file(data: bytes) -> Response:
    return Response(data, mimetype="application/octet-stream", headers={"Cache-Control": _BLOB_CACHING})


def _answer(document: dict[str, Any]) -> Response:
    response = jsonify(document)
    response.headers["Cache-Control"] = "no-store"
    return response


def _takes(schema: schemas.Schema, limit: int = _MAX_DOCUMENT) -> Body:
    return Body(media_type=_JSON, schema=schema, max_bytes=limit)


def _route(  # noqa: PLR0917 - as for Route: the table below reads like one
    method: str,
    path: str,
    name: str,
    summary: str,
    view: Callable[..., Response],
    answer: schemas.Schema | None,
    **more: Any,
) -> Route[DeskService]:
    return Route(method, f"/desk{path}", name, summary, view, answer, scope=CURATE.text, **more)


DESK_ROUTES: Final[tuple[Route[DeskService], ...]] = (
    _route("GET", "/state", "get_state", "The rows that verbs read.", _state, schemas.STATE, cost=4),
    _route(
        "GET",
        "/blobs/{sha256}",
        "get_blob",
        "Bytes by their digest, staged ones too.",
        _blob,
        None,
        parts={"sha256": schemas.SHA256},
    ),
    _route(
        "GET",
        "/candidates/{candidate}/bundle",
        "get_bundle",
        "All files of a candidate, unsigned.",
        _bundle,
        None,
        parts={"candidate": schemas.CANDIDATE_ID},
        cost=4,
    ),
    _route(
        "GET",
        "/log",
        "get_log",
        "Records of the log, oldest first.",
        _log,
        schemas.LOG,
        query={"after": {"type": "integer", "minimum": 0, "maximum": 10**15 - 1}},
        cost=2,
    ),
    _route(
        "POST",
        "/candidates",
        "stage",
        "Stage files as a candidate.",
        _stage,
        schemas.CANDIDATE,
        body=Body(media_type=_MULTIPART, schema=schemas.UPLOAD, max_bytes=_MAX_UPLOAD),
        cost=20,
    ),
    _route(
        "POST",
        "/candidates/{candidate}/reviews",
        "hand_in_review",
        "Hand in a signed review.",
        _review,
        schemas.CANDIDATE,
        parts={"candidate": schemas.CANDIDATE_ID},
        body=_takes(schemas.REVIEW),
        cost=4,
    ),
    _route(
        "POST",
        "/candidates/{candidate}/attestations",
        "hand_in_attestation",
        "Hand in evidence of the CI that the policy names: a Sigstore bundle.",
        _attest,
        schemas.record(candidate=schemas.CANDIDATE_ID, evidence_sha256=schemas.SHA256),
        parts={"candidate": schemas.CANDIDATE_ID},
        body=_takes({"type": "object"}),
        cost=4,
    ),
    _route(
        "POST",
        "/profiles",
        "draft_profile",
        "Draft a profile.",
        _draft,
        schemas.DRAFTED,
        body=_takes(schemas.PROFILE),
        cost=4,
    ),
    _route(
        "DELETE",
        "/profiles/{name}/{version}",
        "drop_profile",
        "Give up a drafted profile.",
        _drop,
        schemas.DROPPED,
        parts={"name": schemas.NAME, "version": schemas.VERSION},
        cost=4,
    ),
    _route(
        "POST",
        "/lists",
        "keep_list",
        "Keep a list of withdrawals, to be proposed.",
        _keep_list,
        schemas.record(subject=schemas.SUBJECT),
        body=_takes({"type": "object"}),
        cost=4,
    ),
    _route(
        "POST",
        "/proposals",
        "propose",
        "Make the proposals of a subject, anew when their base is gone.",
        _propose,
        schemas.PROPOSALS,
        body=_takes(schemas.SUBJECT_BODY, _SMALL),
        cost=4,
    ),
    _route(
        "POST",
        "/signatures",
        "sign",
        "Hand in signatures on the proposals of a subject: all of them, or none is taken.",
        _sign,
        schemas.SIGNED,
        body=_takes(schemas.SIGNATURES),
        cost=4,
    ),
    _route(
        "POST",
        "/publish",
        "publish",
        "Publish what has enough signatures; the online key must be on the server.",
        _publish,
        schemas.PUBLISHED,
        body=_takes(schemas.record(), _SMALL),
        cost=20,
    ),
)
