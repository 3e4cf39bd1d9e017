"""Publishing a repository of 35,000 packages: how long it takes and how much memory, as ratios to a floor of the same run.

The floor hashes the bytes of every package once (sha256 and BLAKE2b, as our digests are), and parses the catalogue with
the standard library. Packages are made here: small ones, so that what is measured is our work for each package and not
the disk. Each step runs in a process of its own, so that its peak memory is its own.

    first       read and check every file, write, sign, copy into the repository, accept, publish, look at it again
    unchanged   the same once more: no package is read and nothing is sent; it has to take seconds
    one-more    one package of all is new
    verify      `skillrepo pkg verify` of what is served, every package file read

Both the time and the processor's time are told. A first publication waits for the disk, once for each file; on a
machine that does something else too, the processor's time is what can be compared.

    python benchmarks/pkg_repositories.py [COUNT]
"""

import hashlib
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(FOLDER))

COUNT = 35_000
PADDING = 2_000
ABI, CHANNEL = "FreeBSD:14:amd64", "latest"
UNCHANGED_SECONDS = 15.0  # of the processor
MEMORY_MIB = 1_000
STEPS = ("floor", "first", "unchanged", "one-more", "verify")


def make_packages(folder: Path, count: int, *, mark: str = "") -> None:
    """Write ``count`` packages, each asking for some of those before it."""
    from repo_server.pkgrepo.writing import pack

    (folder / "All").mkdir(parents=True, exist_ok=True)
    entries = []
    for number in range(count):
        name, version = f"p{number:05d}", f"1.{number % 90}{mark if number == count - 1 else ''}"
        deps = {
            f"p{other:05d}": {"origin": f"bench/p{other:05d}", "version": f"1.{other % 90}"}
            for other in {number // 2, number // 3, number // 5, number - 1}
            if 0 <= other < number
        }
        payload = hashlib.sha256(name.encode()).digest() * (PADDING // 32)
        manifest: dict[str, Any] = {
            "name": name, "origin": f"bench/{name}", "version": version, "comment": f"package {number}",
            "maintainer": "ports@bench.example", "www": "https://bench.example", "abi": "FreeBSD:14:*",
            "arch": "freebsd:14:*", "prefix": "/usr/local", "flatsize": len(payload), "desc": f"package {number} " * 20,
            "deps": deps, "categories": ["bench"], "shlibs_provided": [f"lib{name}.so.1"],
        }  # fmt: skip
        path = f"/usr/local/share/{name}"
        full = {**manifest, "files": {path: f"1${hashlib.sha256(payload).hexdigest()}"}}
        data = tar(
            ("+COMPACT_MANIFEST", json.dumps(manifest).encode()),
            ("+MANIFEST", json.dumps(full).encode()),
            (path, payload),
        )
        place = f"All/{name}-{version}.pkg"
        if not (folder / place).exists():  # as a build leaves alone what it did not build
            (folder / place).write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        entries.append({**manifest, "sum": digest, "path": place, "repopath": place, "pkgsize": len(data)})
    text = json.dumps({"groups": [], "expired_packages": [], "packages": entries}, separators=(",", ":"))
    (folder / "data.pkg").write_bytes(pack([("data", text.encode())]))


def tar(*members: tuple[str, bytes]) -> bytes:
    """Return a plain tar, which pkg takes too."""
    from tarfile import USTAR_FORMAT, TarInfo

    pieces = []
    for name, data in members:
        info = TarInfo(name)
        info.size, info.mode, info.uname, info.gname = len(data), 0o644, "root", "wheel"
        pieces += [info.tobuf(USTAR_FORMAT), data, bytes(-len(data) % 512)]
    return b"".join([*pieces, bytes(1024)])


def floor(folder: Path) -> None:
    """Hash every package twice, and parse the catalogue: less than that cannot be done."""
    from repo_server.pkgrepo.catalogue import read_catalogue

    for path in (folder / "build/All").iterdir():
        data = path.read_bytes()
        hashlib.sha256(data).digest()
        hashlib.blake2b(data).digest()
    json.loads(read_catalogue((folder / "build/data.pkg").read_bytes(), "data").payload)


def publish(folder: Path) -> None:
    """Publish the build, with the cache of the last time."""
    from repo_server.pkgrepo.facts import FactsCache
    from repo_server.repository import Repository
    from signing.keystore import load_key
    from tests.support import publishing
    from tests.support.world import PASSPHRASE, World

    signers = {
        name: load_key(folder / f"world/people/{name}.key.json", passphrase=lambda _: PASSPHRASE)
        for name in ("builder", "online")
    }
    world = World(folder / "world", Repository.open(folder / "world/repo"), signers)
    cache = FactsCache.load(folder / "facts")
    outcome = publishing.publish(world, folder / "build", cache=cache)
    cache.store(folder / "facts")
    print(f"  {outcome.state}, serial {outcome.index.serial}, {outcome.sent} sent", file=sys.stderr)


def verify(folder: Path) -> None:
    """Verify the repository that is served, with its index, package by package."""
    from datetime import UTC, datetime

    from repo_server.pkgrepo.fingerprints import load_anchors
    from repo_server.pkgrepo.reading import open_repository
    from repo_server.pkgrepo.verifying import verify_repository
    from signing.format.pkg.index import RepoIndex

    public = folder / "world/repo/public/pkg"
    served = public / ABI / CHANNEL
    with open_repository(served) as reader:
        verdict = verify_repository(
            reader,
            anchors=load_anchors(public / "fingerprints" / ABI / CHANNEL),
            index=RepoIndex.parse((served / "repo.json").read_bytes()),
            now=datetime.now(UTC),
        )
    if not verdict.accepted:
        sys.exit(f"refused: {verdict.errors[0].message}")
    print(f"  {verdict.facts['packages_good']} packages good", file=sys.stderr)


def main(count: int) -> int:
    """Measure each step; say no when an unchanged publish is slow or memory grows."""
    from tests.support.world import World

    folder = Path(tempfile.mkdtemp(prefix="pkg-repositories-"))
    try:
        World.build(folder / "world").close()
        begun = time.perf_counter()
        make_packages(folder / "build", count)
        print(f"{count} packages made in {time.perf_counter() - begun:.1f} s")
        time.sleep(2.5)  # what changed just now is read each time
        measured = {}
        for step in STEPS:
            if step == "one-more":
                make_packages(folder / "build", count, mark="_1")
            measured[step] = run(step, folder)
            seconds, busy, memory = measured[step]
            print(
                f"{step:10} {seconds:7.2f} s  {busy:7.2f} s of the processor  "
                f"{busy / measured['floor'][1]:6.1f} x floor  {memory:6.0f} MiB",
                flush=True,
            )
        slow = measured["unchanged"][1] > UNCHANGED_SECONDS
        large = max(memory for *_, memory in measured.values()) > MEMORY_MIB
        return int(slow or large)
    finally:
        shutil.rmtree(folder)


def run(step: str, folder: Path) -> tuple[float, float, float]:
    """Return the seconds, those of the processor, and the peak memory (MiB) of a step, imports not counted."""
    done = subprocess.run(
        [sys.executable, __file__, "--step", step, str(folder)], stdout=subprocess.PIPE, check=True, text=True
    )
    seconds, busy, memory = map(float, done.stdout.split())
    return seconds, busy, memory


def measure(work: Callable[[Path], None], folder: Path) -> None:
    """Run one step and print what it took."""
    import tests.support.publishing  # noqa: F401 - imported before the clock runs

    begun, busy = time.perf_counter(), time.process_time()
    work(folder)
    print(
        time.perf_counter() - begun,
        time.process_time() - busy,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        measure({"floor": floor, "verify": verify}.get(sys.argv[2], publish), Path(sys.argv[3]))
        sys.exit(0)
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT))
