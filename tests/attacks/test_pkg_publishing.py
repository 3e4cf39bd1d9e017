"""Attacks on publishing packages: by a builder, a token, a server, a clock.

Each is refused by name; what was published before is published still, to the byte, and nothing of the attack is served.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tuf.api.metadata import TargetFile

from repo_server.db.models import PackageSerialRow
from repo_server.db.session import snapshot
from repo_server.desk.client import Upload
from repo_server.pkgrepo.local_desk import take_build
from repo_server.pkgrepo.remote_desk import RemotePackageDesk
from repo_server.pkgrepo.submitting import Blob, Outcome
from repo_server.pkgrepo.uploads import FOLDER
from repo_server.publishing.alone import next_metadata, published_alone
from repo_server.tokens import CURATE, Scope
from signing.errors import (
    ConflictError,
    CouldNotVerifyError,
    DigestMismatchError,
    ExpiredError,
    NotEntitledError,
    NotFoundError,
    RejectedError,
    RollbackError,
    SkillRepoError,
    ThresholdError,
    VerificationError,
    WrongSubjectError,
)
from signing.format.digest import Sha256, sha256_of
from signing.format.pkg.index import CatalogueFile, RepoIndex
from signing.format.pkg.names import PackageRepo
from signing.metadata import render, sign
from tests.repo_server.desk.liar import Liar
from tests.repo_server.desk.scene import Scene
from tests.support.publishing import keys_of, later, make_build, publish, remote_desk
from tests.support.world import PACKAGES, World, now

Forged = Callable[[RepoIndex], RepoIndex]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.build(tmp_path / "world")


@pytest.fixture
def liar() -> Liar:
    return Liar()


@pytest.fixture
def scene(world: World, tmp_path: Path, liar: Liar) -> Iterator[Scene]:
    with Scene(world, tmp_path / "people").serving(liar.wrap) as served:
        yield served


def tree(world: World) -> dict[str, bytes]:
    """Everything that clients can fetch."""
    public = world.repository.folder / "public"
    return {
        str(path.relative_to(public)): path.read_bytes()
        for path in sorted(public.rglob("*"))
        if path.is_file()
    }


def serials(world: World) -> list[int]:
    with snapshot(world.repository.engine) as session:
        return sorted(session.scalars(select(PackageSerialRow.serial)))


def first(world: World, tmp_path: Path) -> Outcome:
    return publish(world, make_build(tmp_path / "first", {"demo": "1.0", "base": "2.0"}))


def signed(world: World, index: RepoIndex, *, by: str = "builder", repo: PackageRepo = PACKAGES) -> bytes:
    """The role's next metadata as somebody with the key of ``by`` signs it, over any index."""
    data = index.render()
    world.repository.blobs.store(data)
    with snapshot(world.repository.engine) as session:
        published = published_alone(world.repository, session, repo.role)
    target = TargetFile.from_data(repo.index_path, data, ["sha256"])
    metadata = next_metadata(published, repo.role, target, now=now())
    sign(metadata, world.signers[by])
    return render(metadata)


def hand_in(world: World, metadata: bytes, repo: PackageRepo = PACKAGES) -> None:
    take_build(world.repository, repo, metadata, world.signers["online"], now=now())


def following(world: World, tmp_path: Path, forge: Forged) -> bytes:
    """A good next build of which ``forge`` makes another one, signed with the true builder's key."""
    made = publish(
        world.copy_to(tmp_path / "aside"), make_build(tmp_path / "next", {"demo": "1.1", "base": "2.0"})
    )
    aside = tmp_path / "aside/repo/blobs"
    for path in aside.rglob("*"):
        if path.is_file():
            world.repository.blobs.store(path.read_bytes())
    return signed(world, forge(made.index))


FORGERIES: dict[str, tuple[Forged, type[SkillRepoError]]] = {
    "a jump of the serial": (lambda index: replace(index, serial=index.serial + 1), ConflictError),
    "a serial again": (lambda index: replace(index, serial=index.serial - 1), ConflictError),
    "another site's index": (lambda index: replace(index, repository="pkg.other.example"), WrongSubjectError),
    "another ABI's index": (
        lambda index: replace(index, repo=PackageRepo.parse("FreeBSD:14:aarch64/latest")),
        WrongSubjectError,
    ),
    "made in the future": (
        lambda index: replace(index, created=index.created + timedelta(days=1)),
        RollbackError,
    ),
    "made before the last one": (
        lambda index: replace(index, created=index.created - timedelta(days=1)),
        RollbackError,
    ),
    "a package that is not here": (
        lambda index: replace(
            index,
            packages=tuple(
                replace(item, sha256=sha256_of(b"nowhere")) if item.name == "demo" else item
                for item in index.packages
            ),
        ),
        NotFoundError,
    ),
    "a catalogue that is not here": (
        lambda index: replace(
            index,
            catalogue=tuple(
                replace(file, sha256=sha256_of(b"nowhere")) if file.name == "data.pkg" else file
                for file in index.catalogue
            ),
        ),
        NotFoundError,
    ),
    "a package of another size": (
        lambda index: replace(
            index, packages=tuple(replace(item, size=item.size + 1) for item in index.packages)
        ),
        NotFoundError,
    ),
    "a package that pkg does not see": (
        lambda index: replace(index, packages=index.packages[:1]),
        WrongSubjectError,
    ),
    "a package under another name": (
        lambda index: replace(
            index, packages=tuple(replace(item, origin="evil/demo") for item in index.packages)
        ),
        WrongSubjectError,
    ),
    "signatures that nobody made": (
        lambda index: replace(index, fingerprints=(sha256_of(b"a key of mine"),)),
        VerificationError,
    ),
    "a kept package that never was": (
        lambda index: replace(index, kept=(replace(index.packages[0], sha256=sha256_of(b"mine"), size=4),)),
        WrongSubjectError,
    ),
    "a catalogue of somebody else's bytes": (
        lambda index: replace(
            index,
            catalogue=tuple(
                CatalogueFile(name=file.name, size=index.packages[0].size, sha256=index.packages[0].sha256)
                if file.name == "meta.conf"
                else file
                for file in index.catalogue
            ),
        ),
        RejectedError,
    ),
}


@pytest.mark.parametrize("name", sorted(FORGERIES))
def test_the_builder_s_own_key_cannot_publish(world: World, tmp_path: Path, name: str) -> None:
    forge, refusal = FORGERIES[name]
    first(world, tmp_path)
    metadata = following(world, tmp_path, forge)
    before = tree(world)
    with pytest.raises(refusal):
        hand_in(world, metadata)
    assert tree(world) == before
    assert serials(world) == [1]


def test_a_version_that_goes_back_without_intent(world: World, tmp_path: Path) -> None:
    first(world, tmp_path)
    aside = world.copy_to(tmp_path / "aside")
    old = publish(aside, make_build(tmp_path / "old", {"demo": "0.9", "base": "2.0"}), downgrade="meant")
    for path in (tmp_path / "aside/repo/blobs").rglob("*"):
        if path.is_file():
            world.repository.blobs.store(path.read_bytes())
    before = tree(world)
    with pytest.raises(RollbackError, match=r"demo-1\.0 -> 0\.9"):
        hand_in(world, signed(world, replace(old.index, intent=None)))
    assert tree(world) == before
    hand_in(world, signed(world, old.index))
    assert serials(world) == [1, 2]


@pytest.mark.parametrize("by", ["mallory", "alice", "online"])
def test_somebody_else_s_key(world: World, tmp_path: Path, by: str) -> None:
    index = first(world, tmp_path).index
    before = tree(world)
    with pytest.raises(ThresholdError):
        hand_in(
            world,
            signed(world, replace(index, serial=2, created=index.created + timedelta(seconds=3)), by=by),
        )
    with pytest.raises(NotEntitledError, match="does not build"):
        publish(world, make_build(tmp_path / "mine", {"demo": "2.0"}), keys=keys_of(world, builder=by))
    assert tree(world) == before


def test_a_builder_of_another_repository(world: World, tmp_path: Path) -> None:
    """The key for FreeBSD:14 signs for FreeBSD:15, where nobody is appointed, and its metadata is handed in there."""
    index = first(world, tmp_path).index
    other = PackageRepo.parse("FreeBSD:15:amd64/latest")
    before = tree(world)
    with pytest.raises(NotFoundError, match="nobody is appointed"):
        hand_in(world, signed(world, index, repo=other), other)
    with pytest.raises(WrongSubjectError):
        hand_in(world, signed(world, index, repo=other), PACKAGES)
    assert tree(world) == before


def test_an_old_build_handed_in_again(world: World, tmp_path: Path) -> None:
    first(world, tmp_path)
    role = world.public / f"metadata/1.{PACKAGES.role}.json"
    publish(world, make_build(tmp_path / "second", {"demo": "1.1", "base": "2.0"}))
    before = tree(world)
    with pytest.raises(ConflictError):
        hand_in(world, role.read_bytes())
    assert tree(world) == before


def test_the_build_host_s_clock_is_ahead(scene: Scene, tmp_path: Path) -> None:
    build = make_build(tmp_path / "build", {"demo": "1.0"})
    before = tree(scene.world)
    with pytest.raises(WrongSubjectError, match="expires"):
        publish(scene.world, build, desk=remote_desk(scene, tmp_path / "host"), at=later(hours=2))
    with pytest.raises(ExpiredError, match="expired"):
        publish(scene.world, build, desk=remote_desk(scene, tmp_path / "host"), at=later(days=3))
    assert tree(scene.world) == before


# ----------------------------------------------------------------------------------------------- tokens and bytes


@pytest.mark.parametrize(
    "scope",
    [
        "publish-pkg:FreeBSD:15:amd64/latest",
        "publish-pkg:FreeBSD:14:amd64/quarterly",
        "pull-pkg:FreeBSD:14:amd64/latest",
        "curate",
    ],
)
def test_a_token_of_another_scope(scene: Scene, tmp_path: Path, liar: Liar, scope: str) -> None:
    wanted = CURATE if scope == "curate" else Scope.parse(scope)
    desk = remote_desk(scene, tmp_path / "host", token=scene.token("builder", scope=wanted))
    before = tree(scene.world)
    with pytest.raises(NotEntitledError, match="is good for"):
        publish(scene.world, make_build(tmp_path / "build", {"demo": "1.0"}), desk=desk)
    for method, path in (("GET", "uploads/" + "0" * 64 + "?size=5"), ("POST", "builds")):
        upload = Upload(content=b"{}", media_type="application/json") if method == "POST" else None
        with pytest.raises(NotEntitledError):
            desk.client.ask(method, f"/pkg/{PACKAGES}/{path}", upload=upload)
    with pytest.raises(NotEntitledError):
        desk.send(PACKAGES, [blob(b"anything")], tell=lambda _: None)
    assert tree(scene.world) == before
    assert not (scene.world.repository.folder / FOLDER).exists()


def blob(data: bytes, *, digest: Sha256 | None = None, size: int | None = None) -> Blob:
    import io

    return Blob(
        digest=digest or sha256_of(data),
        size=len(data) if size is None else size,
        open=lambda: io.BytesIO(data),
    )


def test_other_bytes_under_a_digest(scene: Scene, tmp_path: Path) -> None:
    desk = remote_desk(scene, tmp_path / "host", piece=64)
    wanted = sha256_of(b"true " * 40)
    for size_of_piece in (64, 4096):
        with pytest.raises(DigestMismatchError):
            desk_of(desk, size_of_piece).send(
                PACKAGES, [blob(b"false" * 40, digest=wanted)], tell=lambda _: None
            )
        assert scene.world.repository.package_blobs.size_of(wanted) is None
        assert [path for path in (scene.world.repository.folder / FOLDER).rglob("*") if path.is_file()] == []
    desk.send(PACKAGES, [blob(b"true " * 40)], tell=lambda _: None)
    assert scene.world.repository.package_blobs.size_of(wanted) == 200


def desk_of(desk: RemotePackageDesk, piece: int) -> RemotePackageDesk:
    return replace(desk, piece=piece)


def test_a_file_that_is_longer_than_it_says(scene: Scene, tmp_path: Path) -> None:
    desk = remote_desk(scene, tmp_path / "host")
    digest = sha256_of(b"x" * 100)
    place = f"/pkg/{PACKAGES}/uploads/{digest}?size=100"
    for offset, body in ((0, b"x" * 101), (0, b"y" * 4096)):
        with pytest.raises(SkillRepoError, match="more than 100 bytes"):
            desk.client.ask(
                "PUT",
                f"{place}&offset={offset}",
                upload=Upload(content=body, media_type="application/octet-stream"),
            )
    with pytest.raises(SkillRepoError, match="a file has"):
        desk.client.ask("GET", f"/pkg/{PACKAGES}/uploads/{digest}?size={1 << 34}")
    assert scene.world.repository.package_blobs.size_of(digest) is None


def test_what_is_sent_and_not_published_is_served_to_nobody(scene: Scene, tmp_path: Path) -> None:
    before = tree(scene.world)
    desk = remote_desk(scene, tmp_path / "host")
    desk.send(PACKAGES, [blob(b"not published")], tell=lambda _: None)
    assert tree(scene.world) == before
    digest = sha256_of(b"not published")
    for path in (f"by-sha256/{digest}.pkg", f"{PACKAGES.abi}/{PACKAGES.channel}/All/{digest}"):
        with (
            desk.site.below(f"{scene.url}/pkg", path.rpartition("/")[0]) as reader,
            pytest.raises(NotFoundError),
        ):
            reader.load(path.rpartition("/")[2], max_bytes=100)


# --------------------------------------------------------------------------------------------------- the server


def test_a_server_that_shows_an_old_index_gets_no_signature(scene: Scene, tmp_path: Path, liar: Liar) -> None:
    """It would have serial 2 signed once more, over other packages."""
    world, desk = scene.world, remote_desk(scene, tmp_path / "host")
    publish(world, make_build(tmp_path / "one", {"demo": "1.0"}), desk=desk)
    old = world.copy_to(tmp_path / "old")
    publish(world, make_build(tmp_path / "two", {"demo": "1.1"}), desk=desk)
    # The thief of the online key signs the old state afresh.
    old.refresh(at=later(seconds=5))
    for path in (old.public / "metadata").iterdir():
        data = path.read_bytes()
        liar.lies[f"/metadata/{path.name}"] = lambda _, data=data: data
    liar.asked.clear()
    with pytest.raises(RollbackError, match="was seen here already"):
        publish(world, make_build(tmp_path / "three", {"demo": "1.2"}), desk=desk)
    assert (liar.count("PUT "), liar.count("POST ")) == (0, 0)
    assert serials(world) == [1, 2]
    old.close()


def test_a_server_that_shows_an_index_of_its_own(scene: Scene, tmp_path: Path, liar: Liar) -> None:
    world, desk = scene.world, remote_desk(scene, tmp_path / "host")
    publish(world, make_build(tmp_path / "one", {"demo": "1.0"}), desk=desk)
    host = remote_desk(scene, tmp_path / "another-host")
    liar.lies["repo.json"] = lambda document: {**document, "kept": [], "serial": 900}
    with pytest.raises(DigestMismatchError):
        publish(world, make_build(tmp_path / "two", {"demo": "1.1"}), desk=host)
    assert serials(world) == [1]


def test_a_server_whose_anchor_is_another(scene: Scene, tmp_path: Path) -> None:
    other = World.build(tmp_path / "other-world")
    desk = remote_desk(scene, tmp_path / "host")
    stranger = replace(desk, site=replace(desk.site, anchor=other.anchor))
    with pytest.raises(VerificationError):
        publish(scene.world, make_build(tmp_path / "one", {"demo": "1.0"}), desk=stranger)
    assert serials(scene.world) == []
    other.close()


def test_a_server_that_takes_a_build_and_serves_something_else(
    scene: Scene, tmp_path: Path, liar: Liar
) -> None:
    world = scene.world
    build = make_build(tmp_path / "one", {"demo": "1.0"})
    liar.lies["/pkg/FreeBSD:14:amd64/latest/data.pkg"] = lambda data: data[:-1] + bytes([data[-1] ^ 1])
    with pytest.raises(DigestMismatchError, match="served otherwise"):
        publish(world, build, desk=remote_desk(scene, tmp_path / "host"))
    del liar.lies["/pkg/FreeBSD:14:amd64/latest/data.pkg"]
    liar.lies["/All/demo-1.0.pkg"] = lambda data: bytes(len(data))
    with pytest.raises(DigestMismatchError, match="served otherwise"):
        publish(
            world,
            make_build(tmp_path / "two", {"demo": "1.0"}, mark="again"),
            desk=remote_desk(scene, tmp_path / "host"),
        )


def test_a_server_that_says_published_and_publishes_nothing(scene: Scene, tmp_path: Path, liar: Liar) -> None:
    from werkzeug.wrappers import Response

    desk = remote_desk(scene, tmp_path / "host")
    publish(scene.world, make_build(tmp_path / "one", {"demo": "1.0"}), desk=desk)
    said = json.dumps({"repository": str(PACKAGES), "serial": 2}).encode()
    real = liar.app

    def never(environ: dict[str, Any], start: Any) -> Any:
        if environ["PATH_INFO"].endswith("/builds"):
            return Response(said, mimetype="application/json")(environ, start)
        return real(environ, start)

    liar.app = never
    with pytest.raises(CouldNotVerifyError, match="serves something else"):
        publish(scene.world, make_build(tmp_path / "two", {"demo": "1.1"}), desk=desk)
    assert serials(scene.world) == [1]
