"""What refreshing and getting one skill costs a client, with 100, 10,000 and 100,000 releases in the repository.

    python benchmarks/client_scale.py [--json FILE] [COUNT …]

Beside it, in the same run, python-tuf's own client on the same releases in one targets role, as most repositories have them. Each
client is a process of its own, with nothing kept from before. Processor time is what the system says of that process, without
what an empty Python with the same imports takes; memory is the most that it had, with the interpreter and all. The server is
a file server on loopback.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from growth import growth
from table import Row, main
from tuf.api.metadata import Metadata, Root, Snapshot, TargetFile, Targets, Timestamp

from repo_server.db.session import transaction
from repo_server.publishing.ceremony import bin_names
from repo_server.publishing.online import sign_state
from repo_server.publishing.projection import project
from repo_server.publishing.state import add_versions, current_targets
from signing.format.digest import sha256_of
from signing.metadata import describe, render, sign
from signing.roles import SKILLS
from tests.support.world import World, now

COUNTS = (100, 10_000, 100_000)
ROUNDS = 3
BINS = 256  # what a large repository has (docs/decisions/0026)
CPU_AIM, MEMORY_AIM = "figure <= 0.03", "figure <= 45"  # seconds, MiB, whatever the count
WANTED = "web-search==1.0"


def fill(world: World, count: int) -> list[TargetFile]:
    """Let the bins name ``count`` releases more, as they would after as many publications; return all targets."""
    everything: list[TargetFile] = []
    with transaction(world.repository.engine) as session:
        skills = current_targets(session, SKILLS)
        bins = {name: current_targets(session, name) for name in bin_names(skills)}
        assert skills.delegations is not None
        assert skills.delegations.succinct_roles is not None
        for number in range(count):
            name = f"skill-{number:06}"
            digest = sha256_of(name.encode())
            for file, size in ((f"{name}-1.0.tar.gz", 20_000), ("review.dsse.json", 4_000)):
                target = TargetFile(size, {"sha256": digest}, f"skills/{name}/1.0/{file}")
                bins[skills.delegations.succinct_roles.get_role_for_target(target.path)].targets[
                    target.path
                ] = target
                everything.append(target)
        documents = []
        for name, signed in bins.items():
            signed.version += 1
            metadata = Metadata(signed)
            for by in ("alice", "bob"):
                sign(metadata, world.signers[by])
            documents.append((name, signed.version, render(metadata)))
            everything += [target for target in signed.targets.values() if "web-search" in target.path]
        add_versions(session, documents, now=now())
        sign_state(session, world.signers["online"], now=now())
    with transaction(world.repository.engine) as session:
        project(world.repository, session)
    return everything


def one_role(world: World, everything: list[TargetFile], folder: Path) -> Path:
    """The same releases in one targets role, signed by the same keys, as python-tuf's tutorial has them."""
    expires = datetime(2040, 1, 1, tzinfo=UTC)
    root = Root(expires=expires, consistent_snapshot=True)
    for role in ("root", "targets", "snapshot", "timestamp"):
        root.add_key(world.signers["alice"].public_key, role)
    targets = Targets(expires=expires, targets={target.path: target for target in everything})
    files = {}
    for name, signed in (("root", root), ("targets", targets)):
        metadata = Metadata(signed)
        sign(metadata, world.signers["alice"])
        files[f"1.{name}.json"] = render(metadata)
    snapshot = Metadata(
        Snapshot(expires=expires, meta={"targets.json": describe(files["1.targets.json"], Targets, where="")})
    )
    sign(snapshot, world.signers["alice"])
    files["1.snapshot.json"] = render(snapshot)
    timestamp = Metadata(
        Timestamp(expires=expires, snapshot_meta=describe(files["1.snapshot.json"], Snapshot, where=""))
    )
    sign(timestamp, world.signers["alice"])
    files["timestamp.json"] = render(timestamp)
    (folder / "metadata").mkdir(parents=True)
    for name, data in files.items():
        (folder / "metadata" / name).write_bytes(data)
    return folder


def ours(url: str, anchor: Path, state: Path) -> None:
    from repo_client.client import RepoClient
    from repo_client.fetcher import FetchLimits
    from repo_client.updater import Server
    from signing.format.names import Pin

    _start()
    client = RepoClient(
        anchor=anchor.read_bytes(),
        server=Server.parse(url),
        metadata_dir=state / "metadata",
        store_dir=state / "store",
        limits=FetchLimits(gap=60, deadline=600),
    )
    with client.session(datetime.now(UTC)) as session:
        session.bundle(Pin.parse(WANTED))
    _end()


def theirs(url: str, anchor: Path, state: Path) -> None:
    from tuf.ngclient import Updater
    from tuf.ngclient.config import UpdaterConfig

    _start()
    state.mkdir(parents=True)
    updater = Updater(
        str(state),
        f"{url}/metadata/",
        target_dir=str(state),
        target_base_url=f"{url}/targets/",
        bootstrap=anchor.read_bytes(),
        config=UpdaterConfig(targets_max_length=200 << 20),
    )
    assert updater.get_targetinfo("skills/web-search/1.0/review.dsse.json") is not None
    _end()


_begun: list[float] = []


def _start() -> None:
    _begun.append(time.process_time())


def _end() -> None:
    print(
        json.dumps(
            {
                "cpu": time.process_time() - _begun[0],
                "all": _largest() / 1024,
            }
        )
    )


def _largest() -> float:
    # Not ru_maxrss: of a child it begins with its parent's.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return float(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measured(who: str, url: str, anchor: Path, folder: Path) -> dict[str, float]:
    rounds = []
    for number in range(ROUNDS):
        words = [sys.executable, __file__, f"--{who}", url, str(anchor), str(folder / f"{who}-{number}")]
        rounds.append(json.loads(subprocess.run(words, capture_output=True, check=True, text=True).stdout))
    return min(rounds, key=lambda found: found["cpu"])


def measure(counts: Sequence[int] = COUNTS) -> Iterator[Row]:
    """What a refresh and one bundle cost a client, as the repository grows."""
    cpu: dict[float, float] = {}
    for count in counts:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            world = World.build(folder / "world", bins=BINS)
            world.publish_skill(WANTED)
            everything = fill(world, count)
            with world.serve() as server:
                mine = measured("ours", server.url, world.repository.folder / "trust-anchor.json", folder)
                server.root = one_role(world, everything, folder / "one")
                peer = measured("theirs", server.url, folder / "one/metadata/1.root.json", folder)
            world.close()
        cpu[count] = mine["cpu"]
        work = f"client: refresh and get, {count:,} releases"
        against = "python-tuf, one targets role"
        yield Row(
            work=f"{work}: processor",
            figure=mine["cpu"],
            unit="s",
            against=against,
            floor=peer["cpu"],
            aim=CPU_AIM,
        )
        yield Row(
            work=f"{work}: memory",
            figure=mine["all"],
            unit="MiB",
            against=against,
            floor=peer["all"],
            aim=MEMORY_AIM,
        )
    if len(cpu) > 1:
        yield growth("client: refresh and get: processor", cpu)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "counts", nargs="*", type=int, default=list(COUNTS), help="releases in the repository"
    )


if __name__ == "__main__":
    if len(sys.argv) == 5 and sys.argv[1] in {"--ours", "--theirs"}:
        {"--ours": ours, "--theirs": theirs}[sys.argv[1]](sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
        sys.exit(0)
    sys.exit(main(measure, add_arguments))
