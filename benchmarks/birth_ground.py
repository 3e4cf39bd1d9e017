"""What births are measured on: a signed repository with one profile, served as plain files, and a host that has none of it.

The profile pins 20 skills (200 files, 2 MiB) and 40 packages (200 MiB), all of it from one seed. Their files cannot be
packed, so that the bytes on the wire are the bytes on the disk. Everything is kept in the folder that is given.
"""

import ctypes
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from hive.birth.mother import Mother
from hive.jails.contained import JailRoot
from hive.jails.materialise import LOCK_PATH, SOUL_PATH
from hive.jails.places import check_source, make_place
from hive.packages.admitted_bytes import AdmittedBytes, check_admitted
from hive.packages.receipts import STREAMED, Placed
from hive.tenants import Tenant, Tier
from repo_client.verify_at import VerifyAt
from signing.format.digest import sha256_of
from signing.format.names import Pin, TenantId
from signing.format.pkg.pins import PackagePins, PinnedPackage
from signing.format.profile import Profile
from tests.attacks.scene import Scene, open_scene
from tests.support.packages import Shelf, listed
from tests.support.pkg_archives import compact, member, package
from tests.support.world import PACKAGES, World

SEED = 20261123
SKILLS, FILES, SKILL_BYTES = 20, 10, 2 << 20
PACKAGES_COUNT, PACKAGE_BYTES = 40, 200 << 20
PROFILE = Pin.parse("base==2")
TENANT = "boat"


@dataclass
class Ground:
    """A repository that is served, and the paths of everything that a birth of the profile fetches."""

    folder: Path
    scene: Scene
    site: Path
    contents: tuple[str, ...]

    def mother(self, name: str, url: str) -> Mother:
        """Return a host that has nothing yet, below the folder ``name``, with the tenant registered."""
        state = self.folder / name
        mother = replace(self.scene.world.mother(url, state), abi=PACKAGES.abi)
        scene = Scene(self.scene.world, self.scene.server, mother)
        scene.register(TENANT, profile=str(PROFILE), tier=Tier.FREE)  # a paying one is always hashed at birth
        return mother

    def verifying(self, mother: Mother, verify: VerifyAt) -> Mother:
        """Return ``mother`` with this setting."""
        return replace(mother, verify=verify)

    def tenant(self, mother: Mother) -> Tenant:
        """Return the tenant that is born."""
        return Scene(self.scene.world, self.scene.server, mother).tenant(TENANT)


@contextmanager
def ground(folder: Path) -> Iterator[Ground]:
    """Yield a signed repository below ``folder``, not served yet."""
    world = World.build(folder / "world")
    world.publish_skill("web-search==1.0")
    world.publish_profile("base==1", skills=["web-search==1.0"])
    with open_scene(world, folder / "scene") as scene:
        shelf = Shelf(scene)
        packages = list(_packages())
        shelf.publish(packages)
        shelf.advise()
        items = [shelf.forge.release(*_skill(shelf, number)) for number in range(SKILLS)]
        pins = tuple(PinnedPackage(pin=one.pin, sha256=one.sha256) for one in map(listed, packages))
        profile = Profile(
            pin=PROFILE,
            skills=tuple(sorted(items, key=lambda item: item.pin.name)),
            souls=(),
            capabilities=(),
            packages=(PackagePins(repo=PACKAGES, items=pins),),
        )
        shelf.forge.add(PROFILE.profile_path, profile.render(), by=["olga"])
        shelf.serve()
        site = folder / "site"
        shutil.copytree(world.public, site)
        for path, data in scene.server.lies.items():
            place = site / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        contents = [path for path in scene.server.lies if "/skills/" in path or path.endswith(".pkg")]
        scene.server.lies.clear()
        try:
            yield Ground(folder=folder, scene=scene, site=site, contents=tuple(sorted(contents)))
        finally:
            world.close()


def _packages() -> Iterator[bytes]:
    source = random.Random(SEED)
    for number in range(PACKAGES_COUNT):
        content = source.randbytes(PACKAGE_BYTES // PACKAGES_COUNT)
        path = f"/usr/local/share/part{number}"
        entry = {"sum": f"1${sha256_of(content)}", "uname": "root", "gname": "wheel", "perm": "0644"}
        yield package(
            member(path, content), manifest=compact(f"part{number:02}"), files={path: entry}, how="none"
        )


def _skill(shelf: Shelf, number: int) -> tuple[str, bytes, str]:
    source = random.Random(SEED + 1 + number)
    pin = f"skill-{number:02}==1.0"
    size = SKILL_BYTES // (SKILLS * FILES)
    files = {f"data/d{part % 3}/f{part}.bin": source.randbytes(size) for part in range(1, FILES)}
    front = f"---\nname: skill-{number:02}\ndescription: measured\n---\n".encode()
    files["SKILL.md"] = front + b"a" * (size - len(front))
    bundle, archive = shelf.forge.archive(pin, files)
    return pin, archive, bundle.manifest.tree_digest


_NGINX = """
daemon off; worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/error.log;
{user}
events {{ worker_connections 256; }}
http {{
  access_log off; sendfile on; default_type application/octet-stream; keepalive_requests 10000;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}; root {site}; }}
}}
"""


@contextmanager
def served(site: Path, folder: Path) -> Iterator[str]:
    """Serve the folder ``site`` by nginx on loopback, and yield its address; by Python's own server where none is.

    Raises:
        RuntimeError: it does not answer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if nginx is not None:
        user = "user root;" if os.geteuid() == 0 else ""
        settings = folder / "nginx.conf"
        settings.write_text(_NGINX.format(folder=folder, port=port, site=site, user=user))
        words = [nginx, "-e", f"{folder}/error.log", "-c", str(settings)]
    else:
        words = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "-d", str(site), str(port)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait_for(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the server does not answer")


class ShowingHost:
    """A host whose jail is an empty folder, with read-only bind mounts, and a pkg that takes every byte and does nothing.

    Where nothing can be mounted (not root, or no Linux), what the kernel does for that is not measured.
    """

    can_mount = True

    def __init__(self, state: Path) -> None:
        self._jail = state / "jail"
        self._mounts: list[tuple[Path, Path]] = []
        self._shown: list[Path] = []
        for part in ("root", "shelf"):
            (self._jail / part).mkdir(parents=True, mode=0o755)
        for part in (SOUL_PATH, LOCK_PATH):
            place = self._jail / "shelf" / part
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(b"x")

    def open_root(self, _: TenantId) -> JailRoot:
        return JailRoot.open(self._jail / "root")

    def open_shelf(self, _: TenantId) -> JailRoot:
        return JailRoot.open(self._jail / "shelf")

    def shelf(self, _: TenantId) -> Path:
        return self._jail / "shelf"

    def install_package(self, given: AdmittedBytes) -> Placed:
        check_admitted(given)
        for _ in given:
            pass
        return Placed(way=STREAMED, jail=TENANT)

    def mount_read_only(self, tenant: TenantId, source: Path, inside: str) -> None:
        with self.open_root(tenant) as root:
            make_place(root, inside, check_source(source), empty=True)
        self._mounts.append((source, self._jail / "root" / inside))

    def start(self, _: TenantId, **__: str) -> None:
        for source, target in self._mounts:
            if _bind_read_only(source, target):
                self._shown.append(target)

    def clear(self) -> None:
        for target in reversed(self._shown):
            _unmount(target)
        shutil.rmtree(self._jail)


_MS_RDONLY, _MS_REMOUNT, _MS_BIND = 1, 32, 4096


def _bind_read_only(source: Path, target: Path) -> bool:
    """Show ``source`` at ``target``, read-only; return whether that is possible here."""
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    there = os.fsencode(target)
    if libc.mount(os.fsencode(source), there, None, _MS_BIND, None) != 0:
        return False
    return bool(libc.mount(None, there, None, _MS_BIND | _MS_REMOUNT | _MS_RDONLY, None) == 0)


def _unmount(target: Path) -> None:
    ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(target), 0)
