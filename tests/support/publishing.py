"""Builds that are published for real: folders of packages as poudriere leaves them, a builder, a desk.

build = make_build(tmp_path, {"demo": "1.0", "base": "2.0"})      a folder with All/, data.pkg, files
outcome = publish(world, build)                                   through the local desk
"""

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from repo_server.desk.client import DeskAddress, DeskClient
from repo_server.pkgrepo.facts import FactsCache
from repo_server.pkgrepo.local_desk import LocalPackageDesk
from repo_server.pkgrepo.poudriere import BuildRecord, open_source
from repo_server.pkgrepo.remote_desk import RemotePackageDesk
from repo_server.pkgrepo.served import ServedSite
from repo_server.pkgrepo.submitting import Keys, Outcome, PackageDesk, Wanted
from repo_server.pkgrepo.submitting import publish as publish_build
from repo_server.pkgrepo.writing import pack
from repo_server.storage.local import LocalBlobs
from repo_server.tokens import Scope
from tests.repo_server.desk.scene import Scene
from tests.repo_server.pkgrepo.signing_keys import fixture_signer
from tests.support.pkg_archives import member
from tests.support.world import PACKAGES, World, now

FIXTURES = Path(__file__).parents[1] / "data" / "pkg" / "repos"


def fixture(kind: str = "fp-rsa", abi: str = "FreeBSD:14:amd64") -> Path:
    """A repository that real pkg made."""
    return FIXTURES / kind / abi / "latest"


def package_file(
    name: str, version: str, *, mark: str = "", abi: str = "FreeBSD:14:*", payload: bytes = b"", **more: Any
) -> bytes:
    """A small package, unless its payload is large."""
    payload = payload or f"{name} {version} {mark}\n".encode()
    manifest = {
        "name": name,
        "origin": f"clawdie/{name}",
        "version": version,
        "comment": f"{name} {mark}".strip(),
        "maintainer": "ports@clawdie.example",
        "www": "https://clawdie.example",
        "abi": abi,
        "arch": abi.lower(),
        "prefix": "/usr/local",
        "flatsize": len(payload),
        "desc": name,
        "categories": ["clawdie"],
        **more,
    }
    path = f"/usr/local/share/{name}"
    full = {**manifest, "files": {path: f"1${hashlib.sha256(payload).hexdigest()}"}}
    return b"".join(
        [
            member("+COMPACT_MANIFEST", json.dumps(manifest, separators=(",", ":")).encode()),
            member("+MANIFEST", json.dumps(full, separators=(",", ":")).encode()),
            member(path, payload),
            bytes(1024),
        ]
    )


def make_build(folder: Path, packages: Mapping[str, str], *, mark: str = "", **more: Any) -> Path:
    """A folder as `pkg repo` leaves it, unsigned: name to version."""
    (folder / "All").mkdir(parents=True, exist_ok=True)
    entries = []
    for name, version in packages.items():
        data = package_file(name, version, mark=mark, **more)
        path = f"All/{name}-{version}.pkg"
        (folder / path).write_bytes(data)
        compact = json.loads(_manifest(data))
        digest = hashlib.sha256(data).hexdigest()
        entries.append({**compact, "sum": digest, "path": path, "repopath": path, "pkgsize": len(data)})
    write_data(folder, entries)
    return folder


def write_data(folder: Path, entries: list[dict[str, Any]]) -> None:
    payload = json.dumps({"groups": [], "expired_packages": [], "packages": entries}, separators=(",", ":"))
    (folder / "data.pkg").write_bytes(pack([("data", payload.encode())]))


def copy_fixture(folder: Path, kind: str = "fp-rsa") -> Path:
    shutil.copytree(fixture(kind), folder)
    return folder


def _manifest(data: bytes) -> bytes:
    from signing.format.pkg.archive import read_package

    return read_package(io.BytesIO(data), where="test").compact_bytes


def local_desk(world: World) -> LocalPackageDesk:
    return LocalPackageDesk(repository=world.repository, online=lambda: world.signers["online"])


def keys_of(world: World, *, builder: str = "builder", pkg: tuple[str, ...] = ("rsa-a",)) -> Keys:
    signers = [fixture_signer(name) for name in pkg]
    return Keys(holder=builder, builder=world.signers[builder], pkg=signers)


def publish(
    world: World,
    build: Path,
    *,
    desk: PackageDesk | None = None,
    keys: Keys | None = None,
    at: datetime | None = None,
    record: BuildRecord | None = None,
    cache: FactsCache | None = None,
    tell: Callable[[str], None] = lambda _: None,
    **wanted: Any,
) -> Outcome:
    """Publish ``build``; each publication is dated some seconds after the one before."""
    request = replace(Wanted(repo=PACKAGES, repository="pkg.clawdie.si"), **wanted)
    with open_source(build) as source:
        return publish_build(
            desk or local_desk(world),
            source,
            record or BuildRecord(),
            request,
            keys or keys_of(world),
            cache=cache or FactsCache(),
            clock=(lambda: at) if at is not None else now,
            tell=tell,
        )


def later(**distance: float) -> datetime:
    return now() + timedelta(**distance)


def remote_desk(scene: Scene, folder: Path, *, token: str | None = None, **more: Any) -> RemotePackageDesk:
    """A build host elsewhere, with a token for the world's packages and a memory below ``folder``."""
    token = token or scene.token("builder", scope=Scope.parse(f"publish-pkg:{PACKAGES}"))
    site = ServedSite(
        skills=scene.url,
        packages=f"{scene.url}/pkg",
        anchor=scene.world.anchor,
        kept=LocalBlobs(folder / "kept"),
    )
    values: dict[str, Any] = {"sleep": lambda _: None, **more}
    return RemotePackageDesk(
        client=DeskClient(DeskAddress.parse(scene.url), token, seconds=20),
        site=site,
        seen=folder / "seen.json",
        **values,
    )
