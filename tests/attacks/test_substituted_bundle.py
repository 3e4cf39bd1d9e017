"""Substituted bundle: other bytes than those that were signed, on the server, on the way, or in the local store."""

import os
from pathlib import Path

import pytest

from signing.errors import DigestMismatchError, NotFoundError
from signing.format.digest import sha256_of
from signing.format.names import Pin
from tests.attacks.scene import Scene
from tests.support.world import World, jail_files, now

PIN = Pin.parse("web-search==1.0")


def served(world: World, name: str) -> tuple[str, bytes]:
    """The URL path and the bytes of a published target file."""
    path = next((world.public / "targets").rglob(f"*.{name}"))
    return f"/{path.relative_to(world.public)}", path.read_bytes()


def flipped(data: bytes, at: int = -20) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


@pytest.mark.parametrize(
    "tamper",
    [
        flipped,
        lambda data: flipped(data, 5),
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: data + b"\0",
        lambda data: data * 3,
        lambda data: bytes(len(data)),
    ],
    ids=["one bit", "header bit", "cut by one", "cut in half", "empty", "one more", "thrice", "zeros"],
)
def test_tampered_bytes_on_the_server(scene: Scene, tamper) -> None:
    url, data = served(scene.world, "web-search-1.0.tar.gz")
    scene.server.lies[url] = tamper(data)
    refusal = scene.refused(DigestMismatchError, code="digest-mismatch")
    assert refusal.requests[-1] == url  # nothing after it
    assert not list((scene.mother.state / "store").rglob("*.md"))


def test_an_external_archive_in_place_of_ours(scene: Scene) -> None:
    url, data = served(scene.world, "web-search-1.0.tar.gz")
    _, archive = scene.forge().archive(
        "web-search==1.0", {"SKILL.md": b"---\nname: web-search\ndescription: x\n---\n"}
    )
    assert sha256_of(archive) != sha256_of(data)
    scene.server.lies[url] = archive
    scene.refused(DigestMismatchError)
    assert not list((scene.mother.state / "store").rglob("*.md"))


def test_two_skills_swapped_on_the_server(scene: Scene) -> None:
    scene.world.publish_skill("calendar==1.0")
    scene.world.publish_profile("base==2", skills=["calendar==1.0", "web-search==1.0"])
    scene.register("other", profile="base==2")
    (one, first), (two, second) = (
        served(scene.world, "web-search-1.0.tar.gz"),
        served(scene.world, "calendar-1.0.tar.gz"),
    )
    scene.server.lies.update({one: second, two: first})
    scene.refused(DigestMismatchError, name="other")
    assert not list((scene.mother.state / "store").rglob("*.md"))


@pytest.mark.parametrize("name", ["review.dsse.json", "1.json", "revocations.json"])
def test_tampered_documents(scene: Scene, name: str) -> None:
    url, data = served(scene.world, name)
    scene.server.lies[url] = data.replace(b'"', b"'", 1)
    refusal = scene.refused(DigestMismatchError)
    assert refusal.requests[-1] == url


def test_a_signed_bundle_that_is_missing(scene: Scene) -> None:
    url, _ = served(scene.world, "web-search-1.0.tar.gz")
    scene.server.missing.add(url)
    refusal = scene.refused(NotFoundError, code="not-found")
    assert "signed but missing" in str(refusal.error)


# --- the local store -------------------------------------------------------------------------------


def stored(scene: Scene):
    """The folder of web-search==1.0 in the store of a host that has born it once."""
    skill = next((scene.mother.state / "store").rglob("SKILL.md"))
    return skill.parent


def make_writable(folder) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)


def tamper(victim: Path, how: str) -> None:
    content = victim.read_bytes()
    victim.unlink()
    if how == "same size":
        victim.write_bytes(flipped(content, 3))
    elif how == "longer":
        victim.write_bytes(content + b"x" * 100)
    elif how == "link":
        victim.symlink_to("/etc/hostname")
    elif how == "fifo":
        os.mkfifo(victim)
    elif how == "folder":
        victim.mkdir()


@pytest.mark.parametrize("name", ["SKILL.md", "MANIFEST.json", "scripts/run.sh"])
@pytest.mark.parametrize("how", ["same size", "longer", "gone", "link", "fifo", "folder"])
def test_a_tampered_store_is_dropped_and_filled_again(scene: Scene, name: str, how: str) -> None:
    with scene.mother.client.session(now()) as session:
        honest = session.bundle(PIN)
        folder = stored(scene)
        files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        make_writable(folder)
        tamper(folder / name, how)
        before = len(scene.server.requests)
        again = session.bundle(PIN)
    assert again.bundle.contents == honest.bundle.contents
    assert sum("web-search-1.0.tar.gz" in path for path in scene.server.requests[before:]) == 1
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == files


def test_an_unlisted_file_in_the_store_is_not_installed(scene: Scene) -> None:
    scene.born()
    folder = stored(scene)
    make_writable(folder)
    (folder / "scripts/evil.sh").write_bytes(b"#!/bin/sh\n")
    scene.register("other")
    scene.born("other")
    assert not [path for path in jail_files(scene.mother) if "evil" in path]


def test_a_consistent_forgery_in_the_store_is_not_installed(scene: Scene) -> None:
    """Manifest and files fit each other; the tree digest that curators signed is another."""
    scene.born()
    folder = stored(scene)
    bundle, _ = scene.forge().archive(
        "web-search==1.0", {"SKILL.md": b"---\nname: web-search\ndescription: x\n---\nevil\n"}
    )
    make_writable(folder)
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (folder / "MANIFEST.json").write_bytes(bundle.manifest.render())
    (folder / "SKILL.md").write_bytes(bundle.contents["SKILL.md"])
    scene.register("other")
    scene.born("other")
    assert not [data for data in jail_files(scene.mother).values() if b"evil" in data]


def test_a_store_full_of_links_is_not_followed(scene: Scene, tmp_path: Path) -> None:
    """The shelf is a link to somewhere else: nothing is read from there, and nothing written to it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    forge = scene.forge()
    digest = forge.read(forge.owner(PIN.bundle_path)).signed.targets[PIN.bundle_path].custom["tree_sha256"]
    store = scene.mother.state / "store"
    store.mkdir()
    (store / digest[:2]).symlink_to(outside)
    scene.born()
    assert list(outside.iterdir()) == []
