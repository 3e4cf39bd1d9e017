"""Five attacks on the demo's repository. Each gives the attacker more than the one before."""

import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from repo_server.db.models import TargetRow
from repo_server.db.session import transaction
from repo_server.publishing.ceremony import succinct
from repo_server.publishing.online import sign_state
from repo_server.publishing.projection import project
from repo_server.publishing.refresh import refresh
from repo_server.publishing.state import add_versions, current_targets
from repo_server.repository import Repository
from signing.format.archive import Bundle, SourceFile, render_bundle
from signing.format.manifest import Kind, parse_member_path
from signing.format.names import Pin
from signing.keystore import KEY_SUFFIX, SealedKeySigner, load_key
from signing.metadata import build_target, render, sign, with_targets
from signing.roles import SKILLS
from tests.demo.births import register
from tests.demo.stage import DemoFailedError, Stage, fingerprint


def five_attacks(stage: Stage, url: str) -> None:
    for number, (title, attack) in enumerate(_ATTACKS, 1):
        stage.screen.print(f"\n[bold]attack {number}: {title}[/]")
        before = fingerprint(stage.folder / "jails")
        attack(stage)
        if fingerprint(stage.folder / "jails") != before:
            raise DemoFailedError(f"attack {number} changed a jail")
        stage.say("[green]jails unchanged[/]")


def tampered_bundle(stage: Stage) -> None:
    """The server swaps bytes of a signed bundle."""
    served = next(_public(stage).glob("targets/skills/release-notes-writer/2.1.0/*.tar.gz"))
    honest = served.read_bytes()
    served.chmod(0o644)
    served.write_bytes(honest[:-9] + bytes([honest[-9] ^ 1]) + honest[-8:])
    try:
        _birth_somewhere_new(stage, "victim1", code="digest-mismatch")
    finally:
        served.write_bytes(honest)


def rolled_back_timestamp(stage: Stage) -> None:
    """The server replays yesterday's signed state."""
    timestamp = _public(stage) / "metadata" / "timestamp.json"
    old = timestamp.read_bytes()
    stage.run("skillrepo", "refresh")
    stage.run("hive", "policy", "test", "--tier", "paid", "mother==1.0.0")
    fresh = timestamp.read_bytes()
    timestamp.write_bytes(old)
    try:
        register(stage, "victim2", quiet=True)
        stage.refused("hive", "birth", "victim2", code="rollback")
    finally:
        timestamp.write_bytes(fresh)


def unreviewed_external_skill(stage: Stage) -> None:
    """An operator tries to wave an external skill through to a paying customer."""
    candidate = stage.run("skillrepo", "import", "clawhub:@photo-desk/image-renamer@0.3.2")["candidate"]
    bundle = str(stage.folder / "image-renamer.tar.gz")
    stage.run("skillrepo", "export", candidate, "--output", bundle)
    stage.refused("hive", "policy", "test", "--tier", "paid", bundle, code="not-first-party")
    words = [
        "--bundle",
        bundle,
        "--owner",
        "me",
        "--reason",
        "the customer wants it",
        "--expires",
        "2099-01-01",
    ]
    stage.refused("hive", "optin", "add", "acme", "--source", "clawhub", *words, code="not-first-party")


def expired_repository(stage: Stage) -> None:
    """Somebody freezes the repository: everything is signed correctly, and old."""
    now = datetime.now(UTC)
    repository = _repository(stage)
    refresh(repository, _signer(stage, "online"), now=now - timedelta(days=2))
    stage.say("(the newest timestamp was signed two days ago and lived for one)")
    try:
        register(stage, "victim4", quiet=True)
        stage.refused("hive", "birth", "victim4", code="expired")
    finally:
        repository.engine.dispose()
        stage.run("skillrepo", "refresh")


def lying_manifest(stage: Stage) -> None:
    """Both curators' keys are stolen, and sign an archive whose manifest names other bytes than it holds."""
    pin = Pin.parse("helper==1.0")
    path = parse_member_path("SKILL.md")
    honest = b"---\nname: helper\ndescription: Helps.\n---\nHelp.\n"
    bundle = Bundle.build(pin=pin, kind=Kind.SKILL, files={path: SourceFile(content=honest)})
    archive = _swap(render_bundle(bundle), b"Help.\n", b"Harm!\n")
    custom = {
        "name": pin.name,
        "version": pin.version,
        "kind": "skill",
        "tree_sha256": bundle.manifest.tree_digest,
        "review_sha256": bundle.manifest.tree_digest,
    }
    target = build_target(pin.bundle_path, archive, custom)
    repository, now = _repository(stage), datetime.now(UTC)
    with transaction(repository.engine) as session:
        role = succinct(current_targets(session, SKILLS)).get_role_for_target(pin.bundle_path)
        forged = with_targets(current_targets(session, role), {pin.bundle_path: target}, role=role, now=now)
        for name in ("curator-1", "curator-2"):
            sign(forged, _signer(stage, name))
        add_versions(session, [(role, forged.signed.version, render(forged))], now=now)
        session.add(
            TargetRow(path=pin.bundle_path, sha256=repository.blobs.store(archive), length=len(archive))
        )
        sign_state(session, _signer(stage, "online"), now=now)
        project(repository, session)
    repository.engine.dispose()
    stage.say("(the metadata is signed by both curators and the online key; only the manifest lies)")
    stage.refused("hive", "policy", "test", "--tier", "paid", str(pin), code="digest-mismatch")


_ATTACKS: tuple[tuple[str, Callable[[Stage], None]], ...] = (
    ("a tampered bundle on the server", tampered_bundle),
    ("a rolled-back timestamp", rolled_back_timestamp),
    ("an unreviewed external skill for the paid tenant", unreviewed_external_skill),
    ("an expired repository", expired_repository),
    ("a bundle whose manifest lies", lying_manifest),
)


def _birth_somewhere_new(stage: Stage, tenant: str, *, code: str) -> None:
    """Birth on a host without a store of its own, which has to fetch everything."""
    state = str(stage.folder / f"{tenant}-host")
    register(stage, tenant, quiet=True)
    stage.refused("hive", "--state", state, "birth", tenant, code=code)


def _swap(archive: bytes, old: bytes, new: bytes) -> bytes:
    """Change bytes inside the archive and make its checksum right again."""
    tar = zlib.decompress(archive[10:-8], -zlib.MAX_WBITS).replace(old, new)
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = compressor.compress(tar) + compressor.flush()
    return archive[:10] + body + zlib.crc32(tar).to_bytes(4, "little") + len(tar).to_bytes(4, "little")


def _public(stage: Stage) -> Path:
    return stage.folder / "repo" / "public" / "skills"


def _repository(stage: Stage) -> Repository:
    return Repository.open(stage.folder / "repo")


def _signer(stage: Stage, name: str) -> SealedKeySigner:
    keys = stage.folder / "repo" / "keys"
    return load_key(
        keys / f"{name}{KEY_SUFFIX}", passphrase=lambda _: (keys / "passphrase").read_text().strip()
    )
