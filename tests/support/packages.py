"""Packages for births: an index by the builder's own key, bytes on the server, a profile that pins them.

    shelf = Shelf(scene)                              # nothing published yet
    shelf.publish([fixture("demo-base-1.0.0"), …])    # serial 1, as an honest builder
    shelf.advise()                                    # the fixtures' list of vulnerabilities
    shelf.pin("base==2", ["demo-base", "demo-agent"]) # in this order, whether it is right or not
    scene.register("boat", profile="base==2")

What is signed here is signed by those whom the anchor appoints, with the attacker's pen (`tests.attacks.forge`), so
an index need not be consistent with any catalogue; births do not read catalogues.
"""

import io
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from tuf.api.metadata import TargetFile

from hive.packages.admitted_bytes import AdmittedBytes
from repo_server.publishing.alone import next_metadata
from signing import package_evidence
from signing.format.digest import Sha256, sha256_of
from signing.format.names import Pin, TargetPath
from signing.format.pkg.archive import read_package
from signing.format.pkg.index import CatalogueFile, IndexedPackage, RepoIndex
from signing.format.pkg.names import (
    ADVISORIES_PATH,
    PackagePin,
    PackageRepo,
    parse_package_name,
    parse_package_version,
)
from signing.format.pkg.pins import PackagePins, PinnedPackage, VulnerabilityWaiver
from signing.format.profile import Profile
from signing.package_evidence import VerifiedPackageSet
from signing.roles import ADVISORIES
from tests.attacks.forge import Forge
from tests.attacks.scene import Scene
from tests.support.pkg_archives import compact, member, package
from tests.support.world import PACKAGES, now

DATA = Path(__file__).parents[1] / "data" / "pkg"
FINGERPRINT = Sha256("67345c481c0d0175c03c8e982d7df0edc35fac89c175ce91e3780c0de0f39af6")
HARMLESS = b"""<?xml version="1.0" encoding="utf-8"?>
<vuxml xmlns="http://www.vuxml.org/apps/vuxml-1">
<vuln vid="00000000-0000-4000-8000-000000000001"><topic>other</topic><affects><package><name>other</name>
<range><lt>1</lt></range></package></affects></vuln></vuxml>
"""


def fixture(name: str, *, kind: str = "fp-rsa", abi: str = "FreeBSD:14:amd64") -> bytes:
    """A package of the fixtures, like ``demo-base-1.0.0``."""
    return (DATA / "repos" / kind / abi / "latest/All" / f"{name}.pkg").read_bytes()


BASE, AGENT, OLD_AGENT = (
    fixture(name) for name in ("demo-base-1.0.0", "demo-agent-1.2.1_1", "demo-agent-1.2.0")
)
VULNERABLE = (DATA / "audit/vuln.xml").read_bytes()


def listed(data: bytes, **other: Any) -> IndexedPackage:
    """The entry of an index for this package, as an honest builder writes it; or with ``other`` facts."""
    manifest = read_package(io.BytesIO(data)).manifest
    facts: dict[str, Any] = {
        "name": manifest.name,
        "version": manifest.version,
        "origin": manifest.origin,
        "path": f"All/{manifest.name}-{manifest.version}.pkg",
        "sha256": sha256_of(data),
        "size": len(data),
        "abi": manifest.abi,
        "deps": manifest.deps,
    }
    return IndexedPackage(**{**facts, **other})


def large(size: int = (3 << 20) + 100) -> bytes:
    """A package of more than a piece: one file that cannot be packed."""
    content = random.Random(4).randbytes(size)
    entry = {"sum": f"1${sha256_of(content)}", "uname": "root", "gname": "wheel", "perm": "0644"}
    path = "/usr/local/share/large"
    return package(member(path, content), manifest=compact("large"), files={path: entry}, how="none")


def forged_bytes(pieces: Iterator[bytes], *, jail: str = "boat") -> AdmittedBytes:
    """What nobody admitted, in the dress of what was: for programs that misbehave, whatever they are given."""
    given: Any = object.__new__(AdmittedBytes)
    given.admission = SimpleNamespace(tenant=SimpleNamespace(jail=jail), pin="forged-1.0")
    given._pieces, given._size = pieces, 0
    return cast("AdmittedBytes", given)


def package_set(index: RepoIndex) -> VerifiedPackageSet:
    """An index as evidence, for what only reads it."""
    target: Any = None
    return VerifiedPackageSet(index=index, target=target, seal=package_evidence._SEAL)


def index_of(
    packages: Iterable[IndexedPackage],
    *,
    serial: int = 1,
    repo: PackageRepo = PACKAGES,
    created: datetime | None = None,
    **other: Any,
) -> RepoIndex:
    facts: dict[str, Any] = {
        "repository": "pkg.clawdie.si",
        "build": {"git_hash": "8c", "master": "143amd64", "name": "today", "system": "poudriere"},
        "catalogue": tuple(
            CatalogueFile(name=name, size=1, sha256=sha256_of(name.encode()))
            for name in ("data.pkg", "meta.conf", "packagesite.pkg")
        ),
        "fingerprints": (FINGERPRINT,),
        **other,
    }
    created = (created or now()).replace(microsecond=0)
    return RepoIndex(
        repo=repo,
        serial=serial,
        created=created,
        packages=tuple(sorted(packages, key=lambda item: (item.name, item.version, item.sha256))),
        **facts,
    )


@dataclass
class Shelf:
    scene: Scene
    forge: Forge = field(init=False)
    index: RepoIndex = field(init=False)

    def __post_init__(self) -> None:
        self.forge = self.scene.forge()

    def stock(self, *datas: bytes, sha256: str | None = None) -> None:
        """Serve these packages by their digests; or anything under another one's digest."""
        for data in datas:
            path = f"/pkg/by-sha256/{sha256 or sha256_of(data)}.pkg"
            self.scene.server.lies[path] = data

    def publish(self, datas: Sequence[bytes], *, serial: int = 1, **other: Any) -> RepoIndex:
        self.stock(*datas)
        return self.publish_index(index_of([listed(data) for data in datas], serial=serial, **other))

    def publish_index(
        self,
        index: RepoIndex,
        *,
        by: Iterable[str] = ("builder",),
        path: TargetPath | None = None,
        expires: timedelta | None = None,
    ) -> RepoIndex:
        self.index = index
        repo = index.repo if path is None else PackageRepo.of_index_path(path)
        self.sign_alone(repo.role, repo.index_path, index.render(), by=by, expires=expires)
        return index

    def advise(self, data: bytes = HARMLESS, *, expires: timedelta | None = None) -> None:
        self.sign_alone(ADVISORIES, ADVISORIES_PATH, data, by=("alice",), expires=expires)

    def sign_alone(
        self,
        role: str,
        path: TargetPath,
        data: bytes,
        *,
        by: Iterable[str],
        expires: timedelta | None = None,
    ) -> None:
        """Sign the next metadata of a role with one holder, and a state that names it."""
        published = self.forge.read(role).signed if role in self.forge.documents else None
        digest = sha256_of(data)
        target = TargetFile(len(data), {"sha256": digest}, path)
        metadata = next_metadata(published, role, target, now=now())
        if expires is not None:
            metadata.signed.expires = (now() + expires).replace(microsecond=0)
        self.forge.put(role, metadata, by=by)
        folder, _, name = path.rpartition("/")
        self.forge.answers[f"/targets/{folder}/{digest}.{name}"] = data
        self.serve()

    def serve(self) -> None:
        self.forge.state()
        self.forge.answer(self.scene.server)

    def profile(
        self,
        pin: str,
        wanted: Sequence[bytes],
        *,
        repo: PackageRepo = PACKAGES,
        waivers: Sequence[VulnerabilityWaiver] = (),
    ) -> Profile:
        published = next((self.scene.world.public / "targets/profiles/base").glob("*.1.json")).read_bytes()
        items = tuple(
            PinnedPackage(pin=item.pin, sha256=item.sha256) for item in (listed(data) for data in wanted)
        )
        return replace(
            Profile.parse(published),
            pin=Pin.parse(pin),
            packages=(PackagePins(repo=repo, items=items),) if items else (),
            waivers=tuple(waivers),
        )

    def pin(self, pin: str, wanted: Sequence[bytes], **other: Any) -> Profile:
        """Publish a profile that pins ``wanted`` in this order."""
        profile = self.profile(pin, wanted, **other)
        name = Pin.parse(pin)
        self.forge.add(f"profiles/{name.name}/{name.version}.json", profile.render(), by=["olga"])
        self.serve()
        return profile


def waiver(package: str, vid: str, *, until: timedelta = timedelta(days=1)) -> VulnerabilityWaiver:
    name, _, version = package.rpartition("-")
    return VulnerabilityWaiver(
        package=PackagePin(parse_package_name(name), parse_package_version(version)),
        vid=vid,
        owner="olga",
        reason="not reachable",
        expires_at=(now() + until).replace(microsecond=0),
    )
