"""Publishing a repository of packages, up to 35,000: processor's time and memory, as ratios to a floor of the same run.

    python benchmarks/pkg_repositories.py [--json FILE] [--full]

The floor hashes the bytes of every package once (sha256 and BLAKE2b, as pkg's sums need both), and parses the catalogue
with the standard library. Packages are made here, of two kinds: small ones of 4 kB, so that what is measured is our work
for each package and how it grows with their number; and 700 of 1 MiB, which is below the mean of a real repository, so
that the ratio to hashing is worse than there. Each step runs in a process of its own, so that its peak memory is its own.

    first       read and check every file, write, sign, copy into the repository, accept, publish, look at it again
    unchanged   the same once more: no package is read and nothing is sent; it has to take seconds
    one-more    one package of all is new
    verify      `skillrepo pkg verify` of what is served, every package file read

What is told is the processor's time: a first publication waits for the disk, once for each file. With ``--full``
there are 35,000 small packages too, which takes some minutes.
"""

import argparse
import hashlib
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from growth import growth
from table import Row, main

COUNTS, FULL_COUNT = (700, 3_500), 35_000
LARGE_COUNT, LARGE_BYTES = 700, 1 << 20
SMALL_BYTES = 2_000
ABI, CHANNEL = "FreeBSD:14:amd64", "latest"
HASHED_AIM = "ratio <= 1.3"  # of large packages; of small ones nearly all of the time is the catalogue's
UNCHANGED_AIM = "figure <= 15"  # seconds, also of 35,000
MEMORY_AIM = "figure <= 1000"  # MiB, the same
STEPS = ("floor", "first", "unchanged", "one-more", "verify")


def make_packages(folder: Path, count: int, size: int, *, mark: str = "") -> None:
    """Write ``count`` packages of about ``size`` bytes, each asking for some of those before it."""
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
        payload = hashlib.sha256(name.encode()).digest() * (size // 32)
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


def steps(count: int, size: int) -> dict[str, tuple[float, float]]:
    """Return the processor's seconds and the peak memory (MiB) of each step."""
    from tests.support.world import World

    folder = Path(tempfile.mkdtemp(prefix="pkg-repositories-"))
    try:
        World.build(folder / "world").close()
        make_packages(folder / "build", count, size)
        time.sleep(2.5)  # what changed just now is read each time
        measured = {}
        for step in STEPS:
            if step == "one-more":
                make_packages(folder / "build", count, size, mark="_1")
            measured[step] = run(step, folder)
        return measured
    finally:
        shutil.rmtree(folder)


def measure(*, full: bool = False) -> Iterator[Row]:
    """What publishing and verifying repositories of packages cost."""
    large = steps(LARGE_COUNT, LARGE_BYTES)
    for step in ("verify", "unchanged", "first"):
        yield Row(
            work=f"packages, {LARGE_COUNT} × {LARGE_BYTES >> 20} MiB: {step}",
            figure=large[step][0],
            unit="s",
            against="hashing their bytes",
            floor=large["floor"][0],
            aim="" if step == "first" else HASHED_AIM,
        )
    counts = (*COUNTS, FULL_COUNT) if full else COUNTS
    small = {count: steps(count, SMALL_BYTES) for count in counts}
    most = counts[-1]
    for step in STEPS[1:]:
        yield Row(
            work=f"packages, {most:,} × 4 kB: {step}",
            figure=small[most][step][0],
            unit="s",
            against="hashing their bytes",
            floor=small[most]["floor"][0],
            aim=UNCHANGED_AIM if step == "unchanged" else "",
        )
    yield Row(
        work=f"packages, {most:,} × 4 kB: memory, most of all steps",
        figure=max(memory for _, memory in small[most].values()),
        unit="MiB",
        aim=MEMORY_AIM,
    )
    for step in ("unchanged", "verify"):
        yield growth(f"packages × 4 kB: {step}", {count: found[step][0] for count, found in small.items()})


def run(step: str, folder: Path) -> tuple[float, float]:
    """Return the processor's seconds and the peak memory (MiB) of a step, imports not counted."""
    done = subprocess.run(
        [sys.executable, __file__, "--step", step, str(folder)], stdout=subprocess.PIPE, check=True, text=True
    )
    busy, memory = map(float, done.stdout.split())
    return busy, memory


def carry_out(work: Callable[[Path], None], folder: Path) -> None:
    """Carry out one step and print what it took."""
    import tests.support.publishing  # noqa: F401 - imported before the clock runs

    busy = time.process_time()
    work(folder)
    print(time.process_time() - busy, peak() / 1024)


def peak() -> float:
    """Return the most memory that this process had, in kB."""
    # Not ru_maxrss: of a child it begins with its parent's, which made the packages.
    for line in Path("/proc/self/status").read_text().splitlines() if sys.platform == "linux" else ():
        if line.startswith("VmHWM"):
            return float(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--full", action="store_true", help=f"also {FULL_COUNT:,} packages")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        carry_out({"floor": floor, "verify": verify}.get(sys.argv[2], publish), Path(sys.argv[3]))
        sys.exit(0)
    sys.exit(main(measure, add_arguments))
