"""How many publications a database takes in a second from 1 and from 8 writers, beside the disk's own rate of syncs."""

import sys
import tempfile
from pathlib import Path
from datetime import UTC, datetime

sys.path.insert(0, str(Path(__file__).parents[1]))
from writers import Writers, databases, obey, synced
from repo_server.db import log
from repo_server.db.models import *
from repo_server.db.session import open_engine, snapshot, transaction
from signing.format.digest import sha256_of


def writer(url, number):
    engine = open_engine(url)
    count = iter(range(10**9))
    import os

    def publish():
        name = f"skill-{os.getpid()}-{next(count):06}"
        now = datetime.now(UTC)
        digest = sha256_of(name.encode())
        with transaction(engine) as session:
            session.add(
                ReleaseRow(
                    name=name,
                    version="1.0",
                    kind="skill",
                    state="published",
                    description="Does.",
                    bundle_sha256=digest,
                    bundle_bytes=1,
                    tree_sha256=digest,
                    review_sha256=digest,
                    reviewers="a,b",
                    candidate_id="candidate",
                    published_at=now,
                )
            )
            session.add_all(
                TargetRow(path=f"skills/{name}/1.0/{n}", sha256=digest, length=1) for n in range(10)
            )
            log.append(session, event="published", facts={"releases": [name]}, now=now)

    obey(publish)


def main():
    if sys.argv[1:2] == ["--writer"]:
        return writer(sys.argv[2], sys.argv[3])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with databases(folder) as found:
            for kind, url in found.items():
                engine = open_engine(url)
                with transaction(engine) as session:
                    session.add(
                        CandidateRow(
                            id="candidate",
                            state="x",
                            kind="skill",
                            name="x",
                            version="1",
                            source="x",
                            address="",
                            resolved="",
                            publisher="",
                            licence="",
                            observations="",
                            imported_at=datetime.now(UTC),
                            tree_sha256="",
                        )
                    )
                writers = Writers([sys.executable, __file__, "--writer", url], 8)
                total = 0
                for r in range(3):
                    for n in (1, 8):
                        f = synced(folder)
                        done = writers.work(n, 1.2)
                        f2 = synced(folder)
                        total += len(done.each)
                        print(
                            kind,
                            n,
                            f"{done.rate:.0f}/s floor {f:.0f} {f2:.0f} ratio {done.rate / ((f + f2) / 2):.2f} p50 {done.percentile(0.5) * 1e3:.1f} p99 {done.percentile(0.99) * 1e3:.1f} max {done.each[-1] * 1e3:.1f} ms",
                            flush=True,
                        )
                writers.end()
                with snapshot(engine) as s:
                    assert log.check(s).sequence == total
                engine.dispose()


if __name__ == "__main__":
    main()
