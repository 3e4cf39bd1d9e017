"""A whole repository in a temporary folder, with cheap keys, and a plain server over its published tree.

    world = World.build(tmp_path)                        # two curators (threshold 2), one operator, online
    world.publish_skill("web-search==1.0", {"SKILL.md": …})
    world.publish_profile("base==1", skills=["web-search==1.0"])
    with world.serve() as server:
        client = world.client(server.url, tmp_path / "state")

The server is a loopback HTTP server over plain files that keeps a list of what was asked for, and lies when told
to: ``server.lies["/metadata/timestamp.json"] = old_bytes``.
"""

import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from hive.birth.mother import Mother
from hive.db.session import open_engine, transaction
from hive.jails.directory import DirectoryHost
from hive.tenants import Tier, register
from repo_client.client import RepoClient
from repo_client.fetcher import FetchLimits
from repo_client.updater import Server
from repo_server.config import RepositoryConfig
from repo_server.curation.candidates import Origin, find, stage
from repo_server.curation.deciding import Verdict, decide
from repo_server.curation.examination import examine
from repo_server.curation.tree import SourceTree
from repo_server.db.session import transaction as repo_transaction
from repo_server.publishing.ceremony import draft, sign_documents
from repo_server.publishing.install import install
from repo_server.publishing.profiles import draft_profile, sign_profile
from repo_server.publishing.publish import Published, publish
from repo_server.publishing.refresh import refresh
from repo_server.publishing.releases import give_signature, load_reviewed
from repo_server.repository import Repository
from signing.format.manifest import Kind
from signing.format.names import HolderName, Pin, parse_tenant_id
from signing.format.pkg.names import PackageRepo
from signing.format.review import Decision
from signing.keystore import KEY_SUFFIX, SealCost, SealedKeySigner, load_key, new_key
from signing.metadata import Builder, Signatories, Topology
from tests.support.open_gates import open_gate

PASSPHRASE = "correct horse"
CHEAP = SealCost(opslimit=1, memlimit=8192)
HOLDERS = (
    "alice",
    "bob",
    "olga",
    "builder",
    "root-1",
    "online",
    "mallory",
)  # mallory holds a key and no role
PACKAGES = PackageRepo.parse("FreeBSD:14:amd64/latest")


def now() -> datetime:
    return datetime.now(UTC)


def skill_md(name: str, body: str = "Do the work.", description: str = "Does the work.") -> bytes:
    return f"---\nname: {name}\ndescription: {description}\n---\n{body}\n".encode()


@dataclass
class PlainServer:
    """What `World.serve` yields."""

    url: str
    root: Path
    requests: list[str] = field(default_factory=list)
    lies: dict[str, bytes] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)

    def asked_for(self, part: str) -> int:
        """How many requests had ``part`` in their path."""
        return sum(part in path for path in self.requests)


@dataclass
class World:
    folder: Path
    repository: Repository
    signers: dict[str, SealedKeySigner]
    engines: list[Engine] = field(default_factory=list)

    def close(self) -> None:
        """Close every database that this world opened."""
        for engine in (self.repository.engine, *self.engines):
            engine.dispose()

    @classmethod
    def build(
        cls,
        folder: Path,
        *,
        bins: int = 4,
        at: datetime | None = None,
        curators: int = 2,
        database: str | None = None,
        config: RepositoryConfig | None = None,
    ) -> "World":
        at = at or now()
        keys = folder / "people"
        held = {name: new_key(keys, HolderName(name), passphrase=PASSPHRASE, cost=CHEAP) for name in HOLDERS}
        signers = {
            name: load_key(keys / f"{name}{KEY_SUFFIX}", passphrase=lambda _: PASSPHRASE) for name in HOLDERS
        }
        topology = Topology(
            root=Signatories(keys=(held["root-1"],), threshold=1),
            curators=Signatories(keys=(held["alice"], held["bob"]), threshold=curators),
            operators=Signatories(keys=(held["olga"],), threshold=1),
            online=held["online"],
            bins=bins,
            builders=(Builder(repo=PACKAGES, key=held["builder"]),),
        )
        documents: Mapping[str, bytes] = draft(topology, now=at)
        for name in ("root-1", "alice", "bob", "olga"):
            documents, _ = sign_documents(documents, signers[name], now=at)
        repository = install(
            folder / "repo",
            config=config or RepositoryConfig(dev=True),
            documents=documents,
            online=signers["online"],
            now=at,
            database=database,
        )
        return cls(folder, repository, signers)

    def copy_to(self, folder: Path) -> "World":
        """An independent copy; quicker than building one."""
        self.repository.engine.dispose()
        shutil.copytree(self.folder, folder, dirs_exist_ok=True, symlinks=True)
        return World(folder, Repository.open(folder / "repo"), self.signers)

    @property
    def public(self) -> Path:
        return self.repository.skills_root

    @property
    def anchor(self) -> bytes:
        return self.repository.anchor

    def import_skill(
        self,
        pin: str,
        files: Mapping[str, bytes] | None = None,
        *,
        kind: Kind = Kind.SKILL,
        at: datetime | None = None,
    ) -> str:
        """Stage a candidate and return its id."""
        wanted = Pin.parse(pin)
        files = files or {"SKILL.md": skill_md(wanted.name)}
        tree = SourceTree.of((path, content, path.startswith("scripts/")) for path, content in files.items())
        origin = Origin(
            source="folder",
            address=f"folder:{wanted.name}",
            resolved={},
            publisher="",
            licence="",
            observations=(),
        )
        with repo_transaction(self.repository.engine) as session:
            return stage(
                self.repository, session, tree, pin=wanted, kind=kind, origin=origin, now=at or now()
            ).id

    def review(
        self,
        candidate: str,
        *,
        by: str = "alice",
        decision: Decision = Decision.APPROVE,
        waive: Mapping[str, str] | None = None,
        acknowledge: bool = True,
        at: datetime | None = None,
    ) -> None:
        with repo_transaction(self.repository.engine) as session:
            examination = examine(self.repository, session, find(session, candidate))
            decide(
                self.repository,
                session,
                examination,
                Verdict(
                    decision=decision,
                    reason="looks fine",
                    waive=waive or {},
                    acknowledged=examination.acknowledgement if acknowledge else None,
                ),
                signer=self.signers[by],
                now=at or now(),
            )

    def sign(self, candidate: str, *, by: str, at: datetime | None = None) -> None:
        with repo_transaction(self.repository.engine) as session:
            row = find(session, candidate)
            release = load_reviewed(self.repository, session, row, now=at or now())
            give_signature(session, row, release, self.signers[by], now=at or now())

    def publish(self, *, at: datetime | None = None) -> Published:
        return publish(self.repository, self.signers["online"], now=at or now())

    def publish_skill(
        self,
        pin: str,
        files: Mapping[str, bytes] | None = None,
        *,
        kind: Kind = Kind.SKILL,
        at: datetime | None = None,
    ) -> None:
        """Import, review, sign by both curators, publish."""
        candidate = self.import_skill(pin, files, kind=kind, at=at)
        self.review(candidate, at=at)
        for name in ("alice", "bob"):
            self.sign(candidate, by=name, at=at)
        self.publish(at=at)

    def publish_profile(
        self, pin: str, *, skills: Sequence[str], souls: Sequence[str] = (), at: datetime | None = None
    ) -> None:
        wanted, at = Pin.parse(pin), at or now()
        with repo_transaction(self.repository.engine) as session:
            draft_profile(
                self.repository,
                session,
                wanted,
                skills=[Pin.parse(item) for item in skills],
                souls=[Pin.parse(item) for item in souls],
                capabilities=[],
                now=at,
            )
            sign_profile(self.repository, session, wanted, self.signers["olga"], now=at)
        self.publish(at=at)

    def refresh(self, *, at: datetime | None = None) -> None:
        refresh(self.repository, self.signers["online"], now=at or now())

    def metadata(self) -> dict[str, bytes]:
        """The published metadata files by name, to be served again later."""
        return {path.name: path.read_bytes() for path in (self.public / "metadata").glob("*.json")}

    @contextmanager
    def serve(self) -> Iterator[PlainServer]:
        server = PlainServer(url="", root=self.public)

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                return

            def do_GET(self) -> None:
                server.requests.append(self.path)
                path = server.root / self.path.lstrip("/")
                known = path.is_file() and self.path not in server.missing
                content = server.lies.get(self.path, path.read_bytes() if known else None)
                self.send_response(200 if content is not None else 404)
                body = content if content is not None else b"not here"
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        http.daemon_threads = True
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        server.url = f"http://127.0.0.1:{http.server_port}"
        try:
            yield server
        finally:
            http.shutdown()
            http.server_close()
            thread.join()

    def client(self, url: str, state: Path) -> RepoClient:
        return RepoClient(
            anchor=self.anchor,
            server=Server.parse(url),
            metadata_dir=state / "metadata",
            store_dir=state / "store",
            limits=FetchLimits(gap=20, deadline=60),
        )

    def mother(self, url: str, state: Path) -> Mother:
        """A jail host: database and jails below ``state``."""
        state.mkdir(parents=True, exist_ok=True)
        self.engines.append(open_engine(f"sqlite:///{state / 'hive.db'}"))
        return Mother(
            engine=self.engines[-1],
            client=self.client(url, state),
            host=DirectoryHost(state / "jails"),
            state=state,
            clock=now,
            gates=open_gate(self.engines[-1], state),
        )


def register_tenant(mother: Mother, name: str, *, profile: str, tier: Tier = Tier.PAID) -> None:
    with transaction(mother.engine) as session:
        register(
            session,
            parse_tenant_id(name),
            tier=tier,
            profile=Pin.parse(profile),
            collection_id=None,
            scratch=False,
            now=now(),
        )


def jail_files(mother: Mother) -> dict[str, bytes]:
    """Everything below the jails, to compare before and after."""
    base = mother.state / "jails"
    return {
        str(path.relative_to(base)): path.read_bytes() for path in sorted(base.rglob("*")) if path.is_file()
    }
