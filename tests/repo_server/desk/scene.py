"""Two machines: a repository that serves its desk over real HTTP, and curators elsewhere with a mirror each.

with Scene.of(world, tmp_path) as scene:
    alice = scene.desk("alice")                     # a RemoteDesk with a token and a cache of her own
    candidate = scene.stage(alice, "notes==1.0")
    scene.review(alice, candidate, by="alice")
    scene.sign(alice, candidate, by="alice")
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from securesystemslib.signer import Signer
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from repo_server.curation.candidates import Origin, find
from repo_server.curation.deciding import Verdict, decide
from repo_server.curation.examination import examine
from repo_server.curation.tree import SourceTree
from repo_server.db.session import snapshot, transaction
from repo_server.desk.client import DeskAddress, DeskClient
from repo_server.desk.mirror import MirrorPlace
from repo_server.desk.remote import RemoteDesk
from repo_server.publishing.releases import give_signature, load_reviewed, plan_signature, subject_of
from repo_server.tokens import CURATE, Scope, new_token
from repo_server.web.app import create_app
from repo_server.web.config import WebConfig
from repo_server.web.desk_guard import DeskService
from repo_server.web.limiter import Limiter
from repo_server.web.local import DatabaseCatalogue
from signing.errors import KeyAccessError
from signing.format.digest import Sha256
from signing.format.manifest import Kind
from signing.format.names import HolderName, Pin
from signing.format.review import Decision
from tests.support.world import World, now, skill_md


class _Quiet(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        return


def origin(address: str = "folder:notes", **facts: Any) -> Origin:
    values: dict[str, Any] = {"resolved": {}, "publisher": "", "licence": "", "observations": ()}
    return Origin(source="folder", address=address, **{**values, **facts})


def tree_of(files: Mapping[str, bytes]) -> SourceTree:
    return SourceTree.of((path, content, path.startswith("scripts/")) for path, content in files.items())


@dataclass
class Scene:
    world: World
    folder: Path
    online: bool = True
    service: DeskService | None = None
    app: Flask | None = None
    server: BaseWSGIServer | None = None
    tell: list[tuple[int, int]] = field(default_factory=list)
    desks: list[RemoteDesk] = field(default_factory=list)
    clock: Callable[[], datetime] = now

    def build(self, **limits: Limiter) -> Flask:
        """The application, not served yet."""
        self.service = DeskService(
            repository=self.world.repository,
            online=self._online,
            clock=lambda: self.clock(),  # noqa: PLW0108 - tests let time pass
            **limits,
        )
        config = WebConfig(
            skills_root=self.world.repository.skills_root, pkg_root=self.world.repository.pkg_root
        )
        catalogue = DatabaseCatalogue(self.world.repository)
        self.app = create_app(config, catalogue=catalogue, clock=self.clock, desk=self.service)
        return self.app

    @contextlib.contextmanager
    def serving(self, wrap: Callable[[Any], Any] | None = None) -> Iterator["Scene"]:
        """Serve it; ``wrap`` makes a liar of the application."""
        app: Any = self.app or self.build()
        self.server = make_server(
            "127.0.0.1", 0, wrap(app) if wrap else app, threaded=True, request_handler=_Quiet
        )
        thread = threading.Thread(target=self.server.serve_forever, args=[0.02], daemon=True)
        thread.start()
        try:
            yield self
        finally:
            for desk in self.desks:
                desk.close()
            self.server.shutdown()
            self.server.server_close()
            thread.join()

    @property
    def url(self) -> str:
        assert self.server is not None
        return f"http://127.0.0.1:{self.server.server_port}"

    def token(self, name: str, *, scope: Scope = CURATE, days: int = 7) -> str:
        with transaction(self.world.repository.engine) as session:
            _, text = new_token(
                session, name=HolderName(name), scope=scope, expires=now() + timedelta(days=days), now=now()
            )
        return text

    def client(self, name: str = "alice", *, token: str | None = None, seconds: float = 20) -> DeskClient:
        return DeskClient(DeskAddress.parse(self.url), token or self.token(name), seconds=seconds)

    def place(self, name: str) -> MirrorPlace:
        # Not by the port, which is another one after each start: the same curator, the same server.
        return MirrorPlace.of("desk", self.world.anchor, folder=self.folder / name)

    def desk(self, name: str, *, token: str | None = None, anchor: bytes | None = None) -> RemoteDesk:
        desk = RemoteDesk(
            self.client(name, token=token),
            self.place(name),
            anchor=anchor or self.world.anchor,
            tell=lambda sent, total: self.tell.append((sent, total)),
        )
        self.desks.append(desk)
        return desk

    def stage(
        self, desk: RemoteDesk, pin: str, files: Mapping[str, bytes] | None = None, **facts: Any
    ) -> str:
        wanted = Pin.parse(pin)
        tree = tree_of(files or {"SKILL.md": skill_md(wanted.name)})
        where = origin(f"folder:{wanted.name}", **facts)
        document = desk.stage(tree, pin=wanted, kind=Kind.SKILL, origin=where, now=now())
        return str(document["candidate"])

    def review(
        self, desk: RemoteDesk, candidate: str, *, by: str, decision: Decision = Decision.APPROVE
    ) -> None:
        """As `skillrepo review` does it."""
        replaces = self.decide(desk, candidate, by=by, decision=decision)
        desk.hand_in_review(candidate, replaces=replaces)

    def decide(
        self,
        desk: RemoteDesk,
        candidate: str,
        *,
        by: str,
        decision: Decision = Decision.APPROVE,
        reason: str = "looks fine",
    ) -> Sha256 | None:
        """Decide on the mirror only, and return which review that replaces."""
        with transaction(desk.repository.engine) as session:
            row = find(session, candidate)
            replaces = Sha256(row.review_sha256) if row.review_sha256 is not None else None
            examination = examine(desk.repository, session, row)
            verdict = Verdict(decision=decision, reason=reason, acknowledged=examination.acknowledgement)
            decide(desk.repository, session, examination, verdict, signer=self.world.signers[by], now=now())
        return replaces

    def sign(self, desk: RemoteDesk, candidate: str, *, by: str) -> None:
        """As `skillrepo sign` does it."""
        subject = self.give(desk, candidate, by=by)
        desk.hand_in_signatures(subject, keyid=self.world.signers[by].public_key.keyid)

    def give(self, desk: RemoteDesk, candidate: str, *, by: str) -> str:
        """Sign on the mirror only, and return the subject."""
        with snapshot(desk.repository.engine) as session:
            subject = subject_of(find(session, candidate))
        desk.prepare_proposals(subject)
        with transaction(desk.repository.engine) as session:
            row = find(session, candidate)
            release = load_reviewed(desk.repository, session, row, now=now())
            plan_signature(session, row, release, now=now())
            give_signature(session, row, release, self.world.signers[by], now=now())
        return subject

    def state_of(self, candidate: str) -> str:
        with snapshot(self.world.repository.engine) as session:
            return find(session, candidate).state

    def _online(self) -> Signer:
        if not self.online:
            raise KeyAccessError("the online key is not at hand on the server")
        return self.world.signers["online"]
