"""What publishing one release costs with 100 and with 100,000 releases in the repository.

    python benchmarks/publish_scale.py [--json FILE] [COUNT …]

The same release, reviewed and signed by two curators, is published into two repositories, by turns; measured is the one call
that `skillrepo publish` makes: what is signed is checked once more, the database decides, snapshot and timestamp are signed,
and the published tree follows. Both repositories have the bins of a large one; what differs is how many releases they name.

How a large repository is made: its bins are filled and signed by the curators' keys, and the rows and files that as many
publications leave behind are written beside them. Only their archives are one archive: nobody reads a hundred thousand. That,
and having releases reviewed and signed for it, takes most of the two minutes that this runs for.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from growth import growth
from sqlalchemy import Table, insert, select
from table import Row, main
from tuf.api.metadata import Metadata

from repo_server.db.models import CandidateRow, CandidateState, MetadataRow, ReleaseRow, TargetRow
from repo_server.db.session import transaction
from repo_server.publishing.ceremony import bin_names, succinct
from repo_server.publishing.online import sign_state
from repo_server.publishing.state import add_versions, current_targets
from signing.format.digest import sha256_of
from signing.format.names import Pin, TargetPath
from signing.metadata import build_target, render, sign
from signing.roles import SKILLS, TIMESTAMP, hashed_path
from tests.support.world import World, now, skill_md

COUNTS = (100, 100_000)
ROUNDS = 3
BINS = 256
AIM = "ratio <= 2"
BEFORE = timedelta(days=1)
_MAX_LINKS = 50_000  # ext4 gives a file 65,000 names


def fill(world: World, count: int) -> None:
    """Bring ``world`` to the state after ``count`` publications of one release each."""
    archive, review = b"an archive that nobody reads", b"its review"
    digests = {world.repository.blobs.store(data): data for data in (archive, review)}
    bundle_sha256, review_sha256 = digests
    with transaction(world.repository.engine) as session:
        skills = current_targets(session, SKILLS)
        bins = {name: current_targets(session, name) for name in bin_names(skills)}
        rows: dict[type, list[dict[str, Any]]] = {CandidateRow: [], ReleaseRow: [], TargetRow: []}
        for number in range(count):
            pin = Pin.parse(f"skill-{number:06}==1.0")
            custom = {
                "name": pin.name,
                "version": pin.version,
                "kind": "skill",
                "tree_sha256": sha256_of(pin.name.encode()),
                "review_sha256": review_sha256,
            }
            for path, data in ((pin.bundle_path, archive), (pin.review_path, review)):
                target = build_target(path, data, custom if data is archive else None)
                bins[succinct(skills).get_role_for_target(path)].targets[path] = target
                rows[TargetRow].append({"path": path, "sha256": sha256_of(data), "length": len(data)})
            rows[CandidateRow].append(_candidate(number, pin, bundle_sha256, review_sha256))
            rows[ReleaseRow].append(_release(number, pin, bundle_sha256, review_sha256))
        documents = []
        for name, signed in bins.items():
            signed.version += 1
            metadata = Metadata(signed)
            for by in ("alice", "bob"):
                sign(metadata, world.signers[by])
            documents.append((name, signed.version, render(metadata)))
        add_versions(session, documents, now=now() - BEFORE)
        for kind, values in rows.items():
            table = kind.__table__  # type: ignore[attr-defined]
            assert isinstance(table, Table)
            session.execute(insert(table), values)
        sign_state(session, world.signers["online"], now=now() - BEFORE / 2)
    _write_tree(world, [(row["path"], row["sha256"]) for row in rows[TargetRow]], digests)


def _candidate(number: int, pin: Pin, bundle_sha256: str, review_sha256: str) -> dict[str, Any]:
    return {
        "id": f"{number:032x}",
        "state": CandidateState.PUBLISHED,
        "kind": "skill",
        "name": pin.name,
        "version": pin.version,
        "source": "folder",
        "address": f"folder:{pin.name}",
        "resolved": "{}",
        "publisher": "",
        "licence": "",
        "observations": "[]",
        "imported_at": now() - BEFORE,
        "tree_sha256": sha256_of(pin.name.encode()),
        "bundle_sha256": bundle_sha256,
        "bundle_tree_sha256": sha256_of(pin.name.encode()),
        "review_sha256": review_sha256,
    }


def _release(number: int, pin: Pin, bundle_sha256: str, review_sha256: str) -> dict[str, Any]:
    return {
        "name": pin.name,
        "version": pin.version,
        "kind": "skill",
        "state": "published",
        "description": "Does the work of a skill, and says so here in a sentence of the usual length.",
        "bundle_sha256": bundle_sha256,
        "bundle_bytes": 20_000,
        "tree_sha256": sha256_of(pin.name.encode()),
        "review_sha256": review_sha256,
        "reviewers": "alice",
        "candidate_id": f"{number:032x}",
        "published_at": now() - BEFORE,
    }


def _write_tree(world: World, targets: list[tuple[str, str]], contents: dict[Any, bytes]) -> None:
    """Write what the published tree holds then: metadata, indexes, and a file for each target."""
    tree = world.public
    for number, (path, digest) in enumerate(targets):
        place = tree / "targets" / hashed_path(TargetPath(path), digest)
        place.parent.mkdir(parents=True, exist_ok=True)
        original = tree / f"{digest}-{number // _MAX_LINKS}"
        if not original.exists():
            original.write_bytes(contents[digest])
        os.link(original, place)
    with transaction(world.repository.engine) as session:
        names = [path.split("/")[1] for path, _ in targets[::2]]
        for row in session.execute(select(MetadataRow.role, MetadataRow.version, MetadataRow.content)):
            name = "timestamp.json" if row.role == TIMESTAMP else f"{row.version}.{row.role}.json"
            (tree / "metadata" / name).write_bytes(row.content)
    for standard, entry in (("skills", {"files": ["SKILL.md"]}), ("agent-skills", {"type": "archive"})):
        place = tree / ".well-known" / standard / "index.json"
        said = {
            "description": "Does the work of a skill, and says so here in a sentence of the usual length."
        }
        place.write_text(
            json.dumps({"skills": [{"name": name, **said, **entry} for name in names]}, indent=1)
        )


def prepared(folder: Path, count: int) -> tuple[World, float]:
    """Return a world with ``count`` releases, and how many seconds it took to make it."""
    begun = time.monotonic()
    world = World.build(folder, bins=BINS)
    fill(world, count)
    return world, time.monotonic() - begun


def published(world: World, number: int) -> dict[str, float]:
    """Have one more release reviewed and signed; return what publishing it costs a process of its own."""
    pin = f"measured-{'abcdefghij'[number] * 6}==1.0"
    candidate = world.import_skill(pin, {"SKILL.md": skill_md(pin.partition("==")[0])})
    world.review(candidate)
    for name in ("alice", "bob"):
        world.sign(candidate, by=name)
    words = [
        sys.executable,
        __file__,
        "--publish",
        str(world.repository.folder),
        str(world.folder / "people"),
    ]
    return json.loads(subprocess.run(words, capture_output=True, check=True, text=True).stdout)


def publish_once(folder: Path, keys: Path) -> None:
    """Publish what is signed, and print what that took: processor time, and the time on the clock."""
    from repo_server.publishing.publish import publish
    from repo_server.repository import Repository
    from signing.keystore import KEY_SUFFIX, load_key
    from tests.support.world import PASSPHRASE

    online = load_key(keys / f"online{KEY_SUFFIX}", passphrase=lambda _: PASSPHRASE)
    repository = Repository.open(folder)
    cpu, clock = time.process_time(), time.monotonic()
    result = publish(repository, online, now=now())
    print(json.dumps({"cpu": time.process_time() - cpu, "clock": time.monotonic() - clock}))
    assert len(result.releases) == 1, result.to_json()


def measure(counts: Sequence[int] = COUNTS) -> Iterator[Row]:
    """What publishing one release costs, as the repository grows."""
    with tempfile.TemporaryDirectory() as name:
        worlds = {count: prepared(Path(name) / str(count), count) for count in counts}
        found: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
        for number in range(ROUNDS):  # by turns: a disk that is slow for a while is slow for all
            for count, (world, _) in worlds.items():
                found[count].append(published(world, number))
        for world, _ in worlds.values():
            world.close()
    least = min(counts)
    for kind, what in (("cpu", "processor"), ("clock", "on the clock")):
        best = {float(count): min(one[kind] for one in rounds) for count, rounds in found.items()}
        for count, (_, built) in worlds.items():
            against = f"at {least:,}" if count != least else ""
            yield Row(
                work=f"publish one release, {count:,} releases: {what}",
                figure=best[count] * 1_000,
                unit="ms",
                against=against,
                floor=best[least] * 1_000 if against else None,
                aim=AIM if against else "",
                note=f"the repository of {count:,} releases was made in {built:.0f} s"
                if kind == "cpu"
                else "",
            )
        if len(best) > 1:
            yield growth(f"publish one release: {what}", best)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add which sizes to measure."""
    parser.add_argument(
        "counts", nargs="*", type=int, default=list(COUNTS), help="releases in the repository"
    )


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "--publish":
        publish_once(Path(sys.argv[2]), Path(sys.argv[3]))
        sys.exit(0)
    sys.exit(main(measure, add_arguments))
