"""What a birth costs: taking everything from a warm store, verified, into a jail; and pulling it in the first place.

    python benchmarks/birth.py [--json FILE]

Measured is the code that births use. Beside it, in the same rounds: sha256 and a hard link of the same files (by the
fewest calls that Python has for it), and curl of the same bytes.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from birth_ground import PROFILE, TENANT, Ground, ground, served, streaming_host
from table import Row, main

from hive.birth.admit_all import Admitted
from hive.birth.mother import Mother
from hive.birth.verifying import check_born
from hive.admission import Admission, admit
from hive.jails.compare import Expected
from hive.jails.materialise import install_skill
from hive.packages.bringing import admit_packages, bring, look
from hive.packages.install import install_package
from repo_client.stamps import SETTLED_NS
from signing.evidence import verify_release
from signing.format.manifest import Kind
from signing.format.names import parse_tenant_id

ROUNDS = 7
BOAT = parse_tenant_id(TENANT)


@dataclass
class Clock:
    """The least wall and processor time of several rounds, in milliseconds, by what was done."""

    wall: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall.setdefault(name, []).append((time.perf_counter() - wall) * 1e3)
        self.cpu.setdefault(name, []).append((time.process_time() - cpu) * 1e3)


def plain(copy: Path, folder: Path) -> None:
    """The floor: every file of the store is hashed by the standard library and gets a second name."""
    # Of a copy: a second name for a file of the store itself would change its stamp.
    for store, jail in ((copy / "store", "skills"), (copy / "packages", "packages")):
        names = {}
        for path in store.rglob("*"):
            if path.is_file():
                names[str(path)] = f"{folder}/{jail}/{path.relative_to(store)}"
        for parent in sorted({os.path.dirname(name) for name in names.values()}):
            os.makedirs(parent)
        for path, name in names.items():
            with open(path, "rb", buffering=0) as stream:
                hashlib.file_digest(stream, "sha256").hexdigest()
            os.link(path, name)


def one_birth(ground: Ground, mother: Mother, clock: Clock, label: str) -> None:
    host = mother.host
    host.create(BOAT, mark="measured")
    tenant = ground.tenant(mother)
    with mother.client.session(mother.clock()) as session:
        profile, revocations = session.profile(PROFILE), session.revocations()
        pins = [item.pin for _, item in profile.profile.items()]
        session.expect(pins)
        reviews = [session.release(pin).review for pin in pins]  # they are fetched, so they are not measured
        pinned = look(session, profile, mother.abi)
        with clock.part(f"{label}: skills from the store"):
            bundles = [session.bundle(pin) for pin in pins]
    with contextlib.ExitStack() as stack:
        with clock.part(f"{label}: packages from the store"):
            held = stack.enter_context(bring(pinned, mother.client, mother.pantry))
        with clock.part(f"{label}: admission"):
            facts = {"profile": profile, "revocations": revocations, "policy": mother.policy}
            admissions = [
                admit(
                    verify_release(bundle, review),
                    tenant=tenant,
                    kind=Kind.SKILL,
                    opt_ins=(),
                    now=mother.clock(),
                    **facts,
                )
                for bundle, review in zip(bundles, reviews, strict=True)
            ]
            packages = admit_packages(held, pinned, tenant, clock=mother.clock, **facts)
        with clock.part(f"{label}: packages handed over"):
            for package in packages:
                install_package(streaming_host(host), BOAT, package, now=mother.clock())
        with host.open_root(BOAT) as root, host.open_shelf(BOAT) as shelf:
            with clock.part(f"{label}: skills placed"):
                for admission in admissions:
                    install_skill(shelf, admission)
            with clock.part(f"{label}: compared, durable"):
                expected = Expected(
                    skills={item.pin.name: item.tree_sha256 for item in admissions}, files={}
                )
                check_born(root, shelf, expected)
    host.destroy(BOAT, mark="measured")


def main_():
    with tempfile.TemporaryDirectory(prefix="birth-") as name:
        folder = Path(name)
        begun = time.time()
        with ground(folder) as g, served(g.site, folder / "nginx") as url:
            print("ground", time.time() - begun)
            mother = g.mother("warm", url)
            t = time.time()
            one_birth(g, mother, Clock(), "cold")
            print("cold", time.time() - t)
            for part in ("store", "packages"): shutil.copytree(mother.state / part, folder / "copy" / part)
            time.sleep(2.5)
            one_birth(g, mother, Clock(), "second")
            clock = Clock()
            for _ in range(ROUNDS):
                target = folder / "plain"
                with clock.part("floor"):
                    plain(folder / 'copy', target)
                shutil.rmtree(target)
                one_birth(g, mother, clock, "birth")
            for key in clock.wall:
                print(f"{key:40} {min(clock.wall[key]):8.1f} {sorted(clock.wall[key])[ROUNDS//2]:8.1f} cpu {min(clock.cpu[key]):8.1f}")


main_()
