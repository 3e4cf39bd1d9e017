"""Evidence about packages comes from the verifiers alone: nobody makes, alters, copies or reuses it."""

import copy
import dataclasses
import os
import pickle  # noqa: TID251 - that it does not work is the test
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from hive import admission
from hive.admission import admit
from hive.policy import POLICY
from hive.tenants import Tier
from repo_client.packages import PackageStore
from signing import evidence, package_evidence, trusted
from signing.errors import DigestMismatchError, NotFirstPartyError, NotFoundError
from signing.format.names import Pin
from signing.package_evidence import VerifiedPackage, verify_package
from tests.support.harbour import Harbour, open_harbour
from tests.support.packages import BASE
from tests.support.world import PACKAGES, World, jail_files, now

KINDS = ["VerifiedPackageSet", "VerifiedAdvisories", "VerifiedPackage", "PackageAdmission"]


@dataclasses.dataclass
class Shown:
    harbour: Harbour
    facts: dict[str, Any]
    given: dict[str, Any]

    def admit(self, what: Any) -> Any:
        return admit(what, **self.facts)


@pytest.fixture
def shown(world: World, tmp_path: Path) -> Iterator[Shown]:
    with ExitStack() as stack:
        harbour = stack.enter_context(open_harbour(world, tmp_path / "host"))
        client = harbour.scene.mother.client
        with client.session(now()) as session:
            packages, advisories = session.packages(PACKAGES), session.advisories()
            facts = {
                "tenant": harbour.scene.tenant("boat"),
                "profile": session.profile(Pin.parse("base==2")),
                "revocations": session.revocations(),
                "advisories": advisories,
                "policy": POLICY,
                "now": now(),
            }
        store = PackageStore(folder=harbour.store, max_bytes=1 << 24)
        package = stack.enter_context(
            client.package(packages.index.packages[-1].sha256, packages=packages, store=store)
        )
        yield Shown(
            harbour,
            facts,
            {
                "VerifiedPackageSet": packages,
                "VerifiedAdvisories": advisories,
                "VerifiedPackage": package,
                "PackageAdmission": admit(package, **facts),
            },
        )


@pytest.mark.parametrize("kind", KINDS)
def test_it_cannot_be_made_by_hand(shown: Shown, kind: str) -> None:
    genuine = shown.given[kind]
    values = {field.name: getattr(genuine, field.name) for field in dataclasses.fields(genuine) if field.init}
    own = type(genuine).__module__
    modules = [m for m in (admission, evidence, package_evidence, trusted) if m.__name__ != own]
    seals = [{}, {"seal": None}, {"seal": object()}, {"seal": package_evidence._Seal()}]
    for seal in [*seals, *({"seal": module._SEAL} for module in modules)]:
        with pytest.raises(TypeError):
            type(genuine)(**values, **seal)


@pytest.mark.parametrize("kind", KINDS)
def test_it_cannot_be_altered_or_copied(shown: Shown, kind: str) -> None:
    genuine = shown.given[kind]
    name = dataclasses.fields(genuine)[0].name
    attempts: list[Callable[[], object]] = [
        lambda: dataclasses.replace(genuine, **{name: getattr(genuine, name)}),
        lambda: copy.copy(genuine),
        lambda: copy.deepcopy(genuine),
        lambda: pickle.dumps(genuine),
        lambda: setattr(genuine, name, None),
    ]
    for attempt in attempts:
        with pytest.raises((TypeError, AttributeError, ValueError)):
            attempt()


@pytest.mark.parametrize("tier", list(Tier), ids=lambda tier: tier.value)
def test_a_part_of_it_and_something_like_it_is_no_evidence(shown: Shown, tier: Tier) -> None:
    package: VerifiedPackage = shown.given["VerifiedPackage"]

    class Lookalike:
        def __init__(self) -> None:
            self.package, self.packages = package.package, package.packages

        def stream(self) -> Iterator[bytes]:
            yield b"anything"

    shown.facts["tenant"] = dataclasses.replace(shown.facts["tenant"], tier=tier)
    for given in (package.package, package.packages, package.packages.index, BASE, Lookalike(), None):
        with pytest.raises(NotFirstPartyError, match="is not evidence"):
            shown.admit(given)
    assert jail_files(shown.harbour.scene.mother) == {}


def test_bytes_that_change_after_they_were_verified_are_not_handed_out(shown: Shown, tmp_path: Path) -> None:
    packages = shown.given["VerifiedPackageSet"]
    package = next(item for item in packages.index.packages if item.name == "demo-base")
    file = tmp_path / "demo-base.pkg"
    file.write_bytes(BASE)
    descriptor = os.open(file, os.O_RDONLY)
    try:
        with verify_package(descriptor, sha256=package.sha256, packages=packages) as found:
            assert b"".join(found.stream()) == BASE
            file.write_bytes(bytes([BASE[0] ^ 1]) + BASE[1:])
            handed_out: list[bytes] = []
            with pytest.raises(DigestMismatchError):
                handed_out.extend(found.stream())
            assert b"".join(handed_out) != file.read_bytes()  # never a whole package
        with pytest.raises(DigestMismatchError):
            verify_package(descriptor, sha256=package.sha256, packages=packages)
        with pytest.raises(NotFoundError):
            verify_package(descriptor, sha256=packages.target.sha256, packages=packages)
    finally:
        os.close(descriptor)
