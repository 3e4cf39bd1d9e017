"""A small published tree, a catalogue in memory, and a program that serves both."""

import hashlib
import json
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from flask import Flask

from repo_server.web.app import create_app
from repo_server.web.catalogue import (
    ProfileFacts,
    ReleaseFacts,
    RepositoryStatus,
    RoleStatus,
    SkillSummary,
)
from repo_server.web.config import WebConfig
from repo_server.web.serve import ServerKind, serve
from signing.errors import NotFoundError
from signing.format.digest import Sha256, sha256_of
from signing.format.manifest import Kind
from signing.format.moment import render_moment
from signing.format.names import Pin, ReleaseVersion, SkillName

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
EXPIRES = NOW + timedelta(hours=24)

BUNDLE = b"\x1f\x8b" + bytes(range(256)) * 1000
BUNDLE_SHA256 = hashlib.sha256(BUNDLE).hexdigest()
BUNDLE_PATH = f"targets/skills/web-search/1.2.0/{BUNDLE_SHA256}.web-search-1.2.0.tar.gz"
REVIEW = b'{"payload":""}'
REVIEW_PATH = f"targets/skills/web-search/1.2.0/{sha256_of(REVIEW)}.review.dsse.json"
SKILL_MD = b"---\nname: web-search\n---\n"
META_CONF = b"version = 2;\n"


def write(root: Path, path: str, content: bytes) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def timestamp(expires: datetime = EXPIRES) -> bytes:
    return json.dumps({"signatures": [], "signed": {"expires": render_moment(expires)}}).encode()


def write_trees(folder: Path) -> WebConfig:
    skills, pkg = folder / "skills", folder / "pkg"
    write(skills, "metadata/timestamp.json", timestamp())
    for name in ("1.root", "7.snapshot", "2.targets", "3.skills", "12.skills-0a"):
        write(skills, f"metadata/{name}.json", b'{"signed":"' + name.encode() + b'"}')
    write(skills, BUNDLE_PATH, BUNDLE)
    write(skills, REVIEW_PATH, REVIEW)
    write(skills, ".well-known/agent-skills/index.json", b'{"skills":[]}')
    write(skills, ".well-known/skills/index.json", b'{"skills":[]}')
    write(skills, ".well-known/skills/web-search/SKILL.md", SKILL_MD)
    write(skills, ".well-known/skills/web-search/page.html", b"<script>alert(1)</script>")
    write(skills, "metadata/empty.json", b"")
    write(pkg, "serials/FreeBSD:14:amd64/latest/7/meta.conf", META_CONF)
    (pkg / "FreeBSD:14:amd64").mkdir()
    (pkg / "FreeBSD:14:amd64/latest").symlink_to("../serials/FreeBSD:14:amd64/latest/7")
    write(folder, "secret", b"not published")
    return WebConfig(skills_root=skills, pkg_root=pkg)


def release(pin: Pin) -> ReleaseFacts:
    return ReleaseFacts(
        name=pin.name,
        version=pin.version,
        kind=Kind.SKILL,
        state="published",
        bundle_path=pin.bundle_path,
        bundle_sha256=Sha256(BUNDLE_SHA256),
        bundle_bytes=len(BUNDLE),
        tree_sha256=sha256_of(b"tree"),
        review_path=pin.review_path,
        review_sha256=sha256_of(REVIEW),
        published_at=NOW,
        reviewers=("alice", "bob"),
    )


@dataclass
class CatalogueInMemory:
    pins: list[Pin] = field(default_factory=lambda: [Pin.parse("web-search==1.2.0")])
    error: Exception | None = None

    def skills(self) -> list[SkillSummary]:
        self._fail()
        return [
            SkillSummary(name=pin.name, kind=Kind.SKILL, latest=pin.version, description="Searches.")
            for pin in self.pins
        ]

    def releases(self, name: SkillName) -> list[ReleaseFacts]:
        self._fail()
        found = [release(pin) for pin in self.pins if pin.name == name]
        if not found:
            raise NotFoundError(f"no skill {name}")
        return found

    def release(self, pin: Pin) -> ReleaseFacts:
        self._fail()
        if pin not in self.pins:
            raise NotFoundError(f"no release {pin}")
        return release(pin)

    def profiles(self) -> list[ProfileFacts]:
        self._fail()
        digest = sha256_of(b"profile")
        return [ProfileFacts(name=SkillName("support"), version=ReleaseVersion("3"), sha256=digest)]

    def status(self) -> RepositoryStatus:
        self._fail()
        return RepositoryStatus(
            dev=True,
            roles={"timestamp": RoleStatus(version=9, expires=EXPIRES)},
            problems=("a throw-away key",),
        )

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


def make_app(folder: Path) -> Flask:
    config = WebConfig(skills_root=folder / "skills", pkg_root=folder / "pkg")
    return create_app(config, catalogue=CatalogueInMemory(), clock=lambda: NOW)


def refuse_to_start() -> Flask:
    raise NotFoundError("no repository here")


if __name__ == "__main__":
    kind, port, workers, where = sys.argv[1:]
    factory = "tests.repo_server.web.published:refuse_to_start"
    serve(
        factory if where == "nowhere" else partial(make_app, Path(where)),
        host="127.0.0.1",
        port=int(port),
        workers=int(workers),
        server=ServerKind(kind),
    )
