"""Serials of a package repository, signed by the world's builder, without what a real catalogue takes.

    first = make_index(1, {"demo": "1.0"}, at=now())
    publish_serial(world, first)                      # as accept_build does at its end, and then the tree

What a catalogue must be is the matter of other tests; here the bytes of its files only have to be different.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from tuf.api.metadata import TargetFile

from repo_server.db.models import PackageSerialRow, TargetRow
from repo_server.db.session import transaction
from repo_server.publishing.alone import check_next, next_metadata, published_alone
from repo_server.publishing.online import sign_state
from repo_server.publishing.projection import project
from repo_server.publishing.state import add_versions
from repo_server.repository import Repository
from signing.format.digest import Sha256, sha256_of
from signing.format.pkg.index import BUILD_FIELDS, CatalogueFile, IndexedPackage, RepoIndex
from signing.format.pkg.names import PackageName, PackageRepo, PackageVersion
from signing.metadata import render, sign
from tests.support.world import PACKAGES, World

NAMES = ("data.pkg", "files.pkg", "meta.conf", "packagesite.pkg")
FINGERPRINT = sha256_of(b"a certificate")


def content(name: str, version: str) -> bytes:
    return f"the package {name} {version}\n".encode() * 7


def package(name: str, version: str, *, path: str | None = None) -> IndexedPackage:
    data = content(name, version)
    return IndexedPackage(
        name=PackageName(name),
        version=PackageVersion(version),
        origin=f"clawdie/{name}",
        path=path or f"All/{name}-{version}.pkg",
        sha256=sha256_of(data),
        size=len(data),
        abi="FreeBSD:14:*",
        deps=(),
    )


def catalogue_of(mark: str) -> dict[str, bytes]:
    return {name: f"{name} of {mark}\n".encode() for name in NAMES}


def make_index(
    serial: int,
    packages: Mapping[str, str],
    *,
    at: datetime,
    kept: tuple[IndexedPackage, ...] = (),
    repo: PackageRepo = PACKAGES,
    extra: tuple[IndexedPackage, ...] = (),
) -> RepoIndex:
    listed = [*(package(name, version) for name, version in packages.items()), *extra]
    return RepoIndex(
        repository="pkg.clawdie.si",
        repo=repo,
        serial=serial,
        created=at.replace(microsecond=0),
        build=dict.fromkeys(BUILD_FIELDS, "test"),
        catalogue=tuple(
            CatalogueFile(name=name, size=len(data), sha256=sha256_of(data))
            for name, data in catalogue_of(str(serial)).items()
        ),
        packages=tuple(sorted(listed, key=lambda item: (item.name, item.version, item.sha256))),
        kept=tuple(sorted(kept, key=lambda item: (item.name, item.version, item.sha256))),
        fingerprints=(FINGERPRINT,),
    )


def store_blobs(repository: Repository, index: RepoIndex, *, mark: str | None = None) -> Sha256:
    for data in catalogue_of(mark or str(index.serial)).values():
        repository.blobs.store(data)
    for item in index.all_packages():
        repository.blobs.store(content(item.name, item.version))
    return repository.blobs.store(index.render())


def record_serial(world: World, index: RepoIndex, *, at: datetime) -> None:
    """What the database says when a build was accepted; the tree is not written."""
    repository, repo = world.repository, index.repo
    data = index.render()
    digest = store_blobs(repository, index)
    with transaction(repository.engine) as session:
        target = TargetFile.from_data(repo.index_path, data, ["sha256"])
        published = published_alone(repository, session, repo.role)
        metadata = next_metadata(published, repo.role, target, now=at)
        sign(metadata, world.signers["builder"])
        _, _, signers = check_next(repository, session, repo.role, render(metadata), now=at)
        session.merge(TargetRow(path=repo.index_path, sha256=digest, length=len(data)))
        session.add(
            PackageSerialRow(
                repo=str(repo),
                serial=index.serial,
                index_sha256=digest,
                role_version=metadata.signed.version,
                packages=len(index.packages),
                signed_by=",".join(signers),
                created_at=index.created,
                published_at=at,
            )
        )
        add_versions(session, [(repo.role, metadata.signed.version, render(metadata))], now=at)
        sign_state(session, world.signers["online"], now=at)


def publish_serial(world: World, index: RepoIndex, *, at: datetime | None = None) -> None:
    record_serial(world, index, at=at or index.created)
    with transaction(world.repository.engine) as session:
        project(world.repository, session)


def days(number: float) -> timedelta:
    return timedelta(days=number)
