"""The desk of a repository behind https: read through a mirror, signed here, handed in (edge).

    desk = RemoteDesk(client, place, anchor=…, tell=console.note)

Keys never leave this machine: what travels are files to be looked at, statements and signatures that were made
here, over bytes that were checked here. The server may refuse any of it; it cannot make anything of it that a
curator did not sign.
"""

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from securesystemslib.signer import Signature
from sqlalchemy import select
from tuf.api.metadata import Targets

from repo_server.curation.candidates import Origin, stage
from repo_server.curation.examination import describe
from repo_server.curation.seconding import Differing
from repo_server.curation.textsafe import visible
from repo_server.curation.tree import SourceTree
from repo_server.db.models import CandidateRow, LogRow
from repo_server.db.session import snapshot, transaction
from repo_server.desk.client import MAX_ANSWER_BYTES, DeskClient, Upload
from repo_server.desk.mirror import Mirror, MirrorPlace
from repo_server.desk.state import add_rows, row_from_json
from repo_server.desk.wire import multipart, signatures_to_json
from repo_server.publishing.handed_in import GivenSignature, signed_sha256
from repo_server.publishing.profiles import load_profile
from repo_server.publishing.proposals import open_proposals
from repo_server.publishing.withdrawals import KIND as WITHDRAWALS
from repo_server.repository import Repository
from signing.errors import ConflictError, FormatError
from signing.format.archive import render_bundle
from signing.format.canonical import canonical, parse_json
from signing.format.digest import Sha256, parse_sha256
from signing.format.fields import Fields
from signing.format.manifest import Kind
from signing.format.names import Pin
from signing.format.pkg.names import PackageRepo
from signing.keys import HeldKey
from signing.metadata import parse

_JSON: Final = "application/json"
_UPLOAD_SECONDS: Final = 900.0
_PUBLISH_SECONDS: Final = 300.0
_MAX_TEXT: Final = 4_000
_MAX_PUBLISHED: Final = 20_000
_MAX_INTEGER: Final = 2**53 - 1


class RemoteDesk:
    """A desk on this machine over a repository on another: see `repo_server.desk.Desk`."""

    def __init__(
        self,
        client: DeskClient,
        place: MirrorPlace,
        *,
        anchor: bytes,
        signers_folder: Path | None = None,
        tell: Callable[[int, int], None] = lambda _sent, _total: None,
    ) -> None:
        """Fetch and check the repository's state.

        Args:
            client: asks the server.
            place: where the mirror is kept.
            anchor: the first root, from the curator's own side.
            signers_folder: where the curator's own policy stands, if there is one.
            tell: is told how many bytes of an upload are sent, and of how many.

        Raises:
            SkillRepoError: see `Mirror.refresh`.
        """
        self._client, self._tell = client, tell
        self._mirror = Mirror(client, place, anchor=anchor, signers_folder=signers_folder)
        self._mirror.refresh()

    @property
    def repository(self) -> Repository:
        """The mirror."""
        return self._mirror.repository

    @property
    def dev(self) -> bool:
        """Whether the server calls itself a development repository."""
        return self._mirror.dev

    def close(self) -> None:
        """Forget the mirror's database."""
        self._mirror.close()

    def stage(
        self, tree: SourceTree, *, pin: Pin, kind: Kind, origin: Origin, now: datetime
    ) -> dict[str, Any]:
        """Hand ``tree`` in as a candidate and return its description.

        Raises:
            ConflictError: this version is published with other files.
            FormatError: the server made another candidate of it.
        """
        with transaction(self.repository.engine) as session:
            row = stage(self.repository, session, tree, pin=pin, kind=kind, origin=origin, now=now)
            mine = describe(row)
        archive = render_bundle(tree.to_bundle(pin, kind))
        body, media_type = multipart(origin, archive, boundary=secrets.token_hex(16))
        upload = Upload(content=body, media_type=media_type, tell=self._tell)
        answer = self._client.ask("POST", "/candidates", upload=upload, seconds=_UPLOAD_SECONDS).json(
            "candidate"
        )
        if not isinstance(answer, dict) or answer.get("candidate") != mine["candidate"]:
            raise FormatError("the server made another candidate of what it was given", where="candidate")
        self._mirror.refresh()
        with snapshot(self.repository.engine) as session:
            return describe(session.get_one(CandidateRow, mine["candidate"]))

    def hand_in_review(
        self, candidate: str, *, replaces: Sha256 | None, differing: Differing | None = None
    ) -> None:
        """Hand in the review that the mirror holds for ``candidate``.

        Raises:
            ConflictError: somebody else decided in between. RejectedError: it is not taken.
        """
        with snapshot(self.repository.engine) as session:
            row = session.get_one(CandidateRow, candidate)
            envelope = self.repository.blobs.load(Sha256(row.review_sha256 or ""))
        document = {"envelope": parse_json(envelope, where="review"), "replaces": replaces}
        if differing is not None:
            document["engines_differ"] = differing.to_json()
        self._post(f"/candidates/{candidate}/reviews", document)

    def prepare_proposals(self, subject: str) -> None:
        """Have the server make the proposals of ``subject``, and fetch them; nothing about them is believed.

        The list of withdrawals that a ``revocations:SHA256`` names is handed in first.
        """
        kind, _, name = subject.partition(":")
        if kind == WITHDRAWALS:
            data = self.repository.blobs.load(parse_sha256(name, where="list"))
            self._client.ask("POST", "/lists", upload=Upload(content=data, media_type=_JSON))
        self._post("/proposals", {"subject": subject})
        self._mirror.refresh()

    def hand_in_signatures(self, subject: str, *, keyid: str) -> None:
        """Hand in what ``keyid`` signed of ``subject`` here: all of it, or the server takes none.

        Raises:
            ConflictError: what was signed is not proposed any more. RejectedError: it is not taken.
        """
        given = []
        with snapshot(self.repository.engine) as session:
            for row in open_proposals(session, subject):
                signature = parse(row.content, Targets, where=row.role).signatures.get(keyid)
                if signature is None:
                    raise ConflictError(f"{row.role} was not signed by this key", hint="sign again")
                given.append(
                    GivenSignature(
                        role=row.role,
                        signed_sha256=signed_sha256(row),
                        signature=Signature(keyid, signature.signature),
                    )
                )
        self._post("/signatures", signatures_to_json(subject, given))

    def hand_in_attestation(self, candidate: str, evidence: Sha256) -> None:
        """Hand in the CI's evidence that the mirror holds for ``candidate``.

        Raises:
            RejectedError: it is not taken.
        """
        data = self.repository.blobs.load(evidence)
        upload = Upload(content=data, media_type=_JSON)
        self._client.ask("POST", f"/candidates/{candidate}/attestations", upload=upload)

    def hand_in_profile(self, pin: Pin) -> None:
        """Hand in the draft of the profile ``pin``.

        Raises:
            ConflictError: this version is published with other pins.
        """
        with snapshot(self.repository.engine) as session:
            profile = load_profile(self.repository, session, pin)
        self._post("/profiles", {"profile": parse_json(profile.render(), where="profile")})

    def drop_profile(self, pin: Pin, *, now: datetime) -> None:
        """Give up the draft of ``pin`` on the server.

        Raises:
            NotFoundError: there is none. ConflictError: it is published.
        """
        del now  # the server's clock counts
        self._client.ask("DELETE", f"/profiles/{pin.name}/{pin.version}")
        self._mirror.refresh()

    def propose_builder(self, repo: PackageRepo, key: HeldKey) -> None:
        """Have the server propose ``key`` as the builder of ``repo``, and fetch the proposal; it is not believed.

        Raises:
            ConflictError: another change of ``targets`` waits. WrongSubjectError: another key is proposed.
        """
        self._post("/builders", {"repository": str(repo), "key": parse_json(key.render(), where="key")})
        self._mirror.refresh()

    def drop_builder(self, repo: PackageRepo) -> None:
        """Give up the proposed appointment for ``repo`` on the server."""
        self._client.ask("DELETE", f"/builders/{repo}")
        self._mirror.refresh()

    def publish(self, *, now: datetime) -> dict[str, Any]:
        """Have the server publish everything that has enough signatures, and return what that was.

        Raises:
            KeyAccessError: the server holds no online key. Else as on its own machine.
        """
        del now  # the server's clock counts
        answer = self._client.ask("POST", "/publish", upload=_json({}), seconds=_PUBLISH_SECONDS)
        return _published(answer.json("published"))

    def fetch_log(self) -> None:
        """Fetch the server's log into the mirror; whether its chain holds is for the reader to check."""
        rows: list[LogRow] = []
        while True:
            after = rows[-1].sequence if rows else 0
            answer = self._client.ask("GET", f"/log?after={after}", limit=MAX_ANSWER_BYTES).json("log")
            fields = Fields.of(answer, where="log")
            page = fields.items("records", lambda value, where: row_from_json(LogRow, value, where))
            fields.done()
            if not page:
                break
            for row in page:
                # One after the other, or the loop would go on for as long as the server likes.
                if not isinstance(row, LogRow) or row.sequence != (rows[-1].sequence if rows else 0) + 1:
                    raise FormatError("records do not follow each other", where="log")
                rows.append(row)
        with transaction(self.repository.engine) as session:
            for row in session.scalars(select(LogRow)):
                session.delete(row)
            session.flush()
            add_rows(session, rows)

    def _post(self, path: str, document: Mapping[str, Any]) -> None:
        self._client.ask("POST", path, upload=_json(document))


def _json(document: Mapping[str, Any]) -> Upload:
    return Upload(content=canonical(dict(document)), media_type=_JSON)


def _published(value: object) -> dict[str, Any]:
    """Return the server's answer to publishing, read strictly: commands print it.

    Raises:
        FormatError: another shape.
    """
    fields = Fields.of(value, where="published")
    document: dict[str, Any] = {
        "published": _items(fields, "published", "kind", "name", "version"),
        "renewed": list(fields.items("renewed", _text, maximum=_MAX_PUBLISHED)),
        "builders": list(fields.items("builders", _text, maximum=_MAX_PUBLISHED)),
        "withdrawals": _items(fields, "withdrawals", "id", "state", "scope"),
        "pending": list(fields.items("pending", _pending, maximum=_MAX_PUBLISHED)),
        "blocked": _items(fields, "blocked", "subject", "code", "message", "hint", "where"),
    }
    for key in ("snapshot_version", "timestamp_version"):
        document[key] = fields.optional(key, lambda name: fields.integer(name, maximum=_MAX_INTEGER))
    fields.done()
    return document


def _items(fields: Fields, key: str, *names: str) -> list[dict[str, str]]:
    def item(value: object, where: str) -> dict[str, str]:
        texts = Fields.of(value, where=where)
        found = {name: _text(texts.take(name), texts.place(name)) for name in names}
        texts.done()
        return found

    return list(fields.items(key, item, maximum=_MAX_PUBLISHED))


def _pending(value: object, where: str) -> dict[str, Any]:
    fields = Fields.of(value, where=where)
    found = {
        "subject": fields.text("subject", max_length=_MAX_TEXT),
        "missing": list(fields.items("missing", _text)),
    }
    fields.done()
    return found


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise FormatError(f"not a text of at most {_MAX_TEXT} characters", where=where)
    return visible(value, keep="")
