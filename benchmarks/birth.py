"""What a birth costs: taking everything from a warm store, verified, into a jail; and pulling it in the first place.

    python benchmarks/birth.py [--json FILE]

Measured is the code that births use, from the store to what is shown in the jail. Beside it, in the same rounds: sha256 and
a hard link of the same files, by the fewest calls that Python has for it; and curl of the same bytes, which are on the disk
at its end as ours are. What pkg does with the bytes of packages that it is handed is its own, and so is making the jail.
"""

import contextlib
import ctypes
import gc
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from birth_ground import PROFILE, TENANT, Ground, ShowingHost, ground, served
from table import Row, main, skipped

from hive.admission import admit
from hive.birth.mother import Mother
from hive.birth.verifying import check_born
from hive.jails.compare import Expected
from hive.jails.materialise import note_ready, show_shelf, take_ready
from hive.packages.bringing import PinnedSet, admit_packages, bring, look
from hive.packages.install import install_package
from hive.tenants import Tenant
from repo_client.client import Session
from repo_client.stamps import SETTLED_NS
from repo_client.verify_at import VerifyAt
from signing.evidence import VerifiedProfile, VerifiedReview, VerifiedRevocations, verify_release
from signing.format.manifest import Kind
from signing.format.names import Pin, parse_tenant_id

ROUNDS = 7
COLD_ROUNDS = 3
BOAT = parse_tenant_id(TENANT)
FLOOR = "sha256 + hard link of the same files"


@dataclass
class Times:
    """Wall and processor time of what was done, in milliseconds, by its name and round."""

    wall: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall.setdefault(name, []).append((time.perf_counter() - wall) * 1e3)
        self.cpu.setdefault(name, []).append((time.process_time() - cpu) * 1e3)

    def least(self, *names: str) -> float:
        """Return the wall time of all of ``names``, each in its quickest round."""
        return sum(min(self.wall[name]) for name in names)


@dataclass(frozen=True)
class Look:
    """What a birth knows before it takes anything from its store; fetching that is another benchmark's (client_scale)."""

    tenant: Tenant
    profile: VerifiedProfile
    revocations: VerifiedRevocations
    reviews: Sequence[VerifiedReview]
    pinned: PinnedSet | None

    @property
    def pins(self) -> list[Pin]:
        return [item.pin for _, item in self.profile.profile.items()]


def looked(ground: Ground, mother: Mother, session: Session) -> Look:
    profile = session.profile(PROFILE)
    pins = [item.pin for _, item in profile.profile.items()]
    session.expect(pins)
    return Look(
        tenant=ground.tenant(mother),
        profile=profile,
        revocations=session.revocations(),
        reviews=[session.release(pin).review for pin in pins],
        pinned=look(session, profile, mother.abi),
    )


def one_birth(ground: Ground, mother: Mother, times: Times, label: str) -> None:
    """Birth the tenant, by the code that births use but for the journal; what was made is removed again."""
    host: Any = ShowingHost(mother.state)
    gc.collect()
    with mother.client.session(mother.clock()) as session:
        seen = looked(ground, mother, session)
        with times.part(f"{label}: skills taken"):
            bundles = [session.bundle(pin) for pin in seen.pins]
    with contextlib.ExitStack() as stack:
        with times.part(f"{label}: packages taken"):
            held = stack.enter_context(bring(seen.pinned, mother.client, mother.pantry))
        with times.part(f"{label}: admitted"):
            facts: Any = {"profile": seen.profile, "revocations": seen.revocations, "policy": mother.policy}
            admissions = [
                admit(
                    verify_release(bundle, review),
                    tenant=seen.tenant,
                    kind=Kind.SKILL,
                    opt_ins=(),
                    now=mother.clock(),
                    **facts,
                )
                for bundle, review in zip(bundles, seen.reviews, strict=True)
            ]
            packages = admit_packages(held, seen.pinned, seen.tenant, clock=mother.clock, **facts)
        with times.part(f"{label}: packages handed over"):
            for package in packages:
                install_package(host, BOAT, package, now=mother.clock())
        with times.part(f"{label}: skills from the ready set"):
            ready = take_ready(mother.ready_sets, seen.tenant, admissions, verify=mother.verify)
        with host.open_root(BOAT) as root, host.open_shelf(BOAT) as shelf:
            note_ready(root, shelf, ready)  # durable, and the host's own, as making the jail is
            with times.part(f"{label}: looked at"):
                check_born(root, shelf, Expected(skills=dict(ready.trees), files={}), ready=ready)
        show_shelf(host, BOAT, ready=ready)
        with times.part(f"{label}: shown"):
            host.start(BOAT, mark="")
    host.clear()


PARTS = (
    "skills taken",
    "packages taken",
    "packages handed over",
    "skills from the ready set",
    "looked at",
    "shown",
)


def parts(label: str, *without: str) -> list[str]:
    return [f"{label}: {part}" for part in PARTS if part not in without]


def plain(store: Path, jail: Path) -> float:
    """Return the milliseconds of the floor. Of a copy of the store: a second name would change the stamp of its own file."""
    names = {
        str(path): f"{jail}/{path.relative_to(store)}" for path in sorted(store.rglob("*")) if path.is_file()
    }
    parents = sorted({str(Path(name).parent) for name in names.values()})
    begun = time.perf_counter()
    # Plain strings: pathlib alone would add 3 ms.
    for parent in parents:
        os.makedirs(parent)  # noqa: PTH103
    for path, name in names.items():
        with open(path, "rb", buffering=0) as stream:  # noqa: PTH123
            hashlib.file_digest(stream, "sha256").hexdigest()
        os.link(path, name)
    return (time.perf_counter() - begun) * 1e3


def warm(ground: Ground, url: str) -> Iterator[Row]:
    mother = ground.mother("warm", url)
    one_birth(ground, mother, Times(), "first")
    copy = ground.folder / "copy"
    for part in ("store", "packages"):
        shutil.copytree(mother.state / part, copy / part)
    time.sleep(SETTLED_NS / 1e9 + 0.2)
    one_birth(
        ground, mother, Times(), "second"
    )  # compares all of it once more, and notes what the kernel says
    times, floors = Times(), []
    modes = {"hashed": VerifyAt.BIRTH, "by stamps": VerifyAt.STORE_ENTRY}
    for _ in range(ROUNDS):
        jail = ground.folder / "plain"
        floors.append(plain(copy, jail))
        shutil.rmtree(jail)
        for label, mode in modes.items():
            one_birth(ground, ground.verifying(mother, mode), times, label)
    floor = min(floors)
    yield Row(
        work="birth, warm store, hashed at birth",
        figure=times.least(*parts("hashed")),
        unit="ms",
        against=FLOOR,
        floor=floor,
        aim="ratio <= 1.2",
        note="20 skills (200 files, 2 MiB) and 40 packages (200 MiB), from the store to mounts and to the input of pkg;"
        " the jail itself with its list of mounts, pkg's own work, and asking the repository are apart",
    )
    yield Row(
        work="birth, warm store, verified at store entry",
        figure=times.least(*parts("by stamps", "packages handed over")),
        unit="ms",
        aim="figure <= 10",
        note="all stamps compared, packages open, skills mounted; packages are hashed when pkg reads them,"
        " in this mode too (the row below)",
    )
    yield Row(
        work="birth: packages handed to pkg, hashed on the way",
        figure=times.least("by stamps: packages handed over"),
        unit="ms",
        against="sha256 of the same files",
        floor=_sha256(copy / "packages"),
    )
    yield Row(work="birth: admission of 60 items", figure=times.least("hashed: admitted"), unit="ms")
    for name, found in times.wall.items():
        print(f"  {name}: {min(found):.1f} ms, processor {min(times.cpu[name]):.1f}", file=sys.stderr)


def _sha256(folder: Path) -> float:
    best = float("inf")
    for _ in range(3):
        begun = time.perf_counter()
        for path in folder.iterdir():
            with path.open("rb", buffering=0) as stream:
                hashlib.file_digest(stream, "sha256").hexdigest()
        best = min(best, (time.perf_counter() - begun) * 1e3)
    return best


def cold(ground: Ground, url: str) -> Iterator[Row]:
    curl = shutil.which("curl")
    if curl is None:
        yield skipped("cold pull of the profile over loopback", "no curl", aim="ratio <= 1.3")
        return
    ours, theirs, bare = [], [], []
    for number in range(COLD_ROUNDS + 1):  # the first warms the server's page cache and is not counted
        target = ground.folder / "curled"
        target.mkdir()
        lines = "".join(
            f'url = "{url}{path}"\noutput = "{number}"\n' for number, path in enumerate(ground.contents)
        )
        (ground.folder / "curl.conf").write_text(lines)
        os.sync()
        begun = time.perf_counter()
        subprocess.run([curl, "-s", "-f", "-K", str(ground.folder / "curl.conf")], check=True, cwd=target)
        bare.append((time.perf_counter() - begun) * 1e3)
        _syncfs(target)
        theirs.append((time.perf_counter() - begun) * 1e3)
        shutil.rmtree(target)
        mother = ground.mother(f"cold-{number}", url)
        with mother.client.session(mother.clock()) as session:
            session.expect([])
        os.sync()
        begun = time.perf_counter()
        with mother.client.session(mother.clock()) as session:
            seen = looked(ground, mother, session)
        with bring(seen.pinned, mother.client, mother.pantry):
            ours.append((time.perf_counter() - begun) * 1e3)
        shutil.rmtree(mother.state)
    print(f"  curl without the sync: {min(bare[1:]):.0f} ms", file=sys.stderr)
    yield Row(
        work="cold pull of the profile over loopback",
        figure=min(ours[1:]),
        unit="ms",
        against="curl of the same bytes, one connection, and one syncfs",
        floor=min(theirs[1:]),
        aim="ratio <= 1.3",
        note="with the metadata, 20 bundles, 20 reviews and 40 packages; verified, unpacked, and durable",
    )


def _syncfs(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        ctypes.CDLL(None).syncfs(descriptor)
    except AttributeError:
        os.sync()
    finally:
        os.close(descriptor)


def measure() -> Iterator[Row]:
    """What a birth costs, from a warm store and from none."""
    with tempfile.TemporaryDirectory(prefix="birth-") as name:
        folder = Path(name)
        with ground(folder) as made, served(made.site, folder / "server") as url:
            yield from warm(made, url)
            yield from cold(made, url)


if __name__ == "__main__":
    sys.exit(main(measure))
