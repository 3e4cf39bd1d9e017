"""A lying manifest: both curators' keys sign an archive that is not what its own list says.

Signatures cover bytes. That the bytes are the files that the review was about is checked from the bytes.
"""

import gzip
import io
import tarfile
import zlib
from dataclasses import replace

import pytest

from signing.errors import DigestMismatchError, FormatError, RejectedError, WrongSubjectError
from signing.format import archive as archive_format
from signing.format.archive import Bundle, SourceFile, render_bundle
from signing.format.manifest import Kind, MemberPath, Mode
from signing.format.names import Pin
from tests.attacks.forge import Forge
from tests.attacks.scene import Scene
from tests.support.world import jail_files, skill_md

PIN = "calendar==1.0"
SKILL = MemberPath("SKILL.md")
EXTRA = MemberPath("scripts/run.sh")


def honest() -> Bundle:
    files = {
        SKILL: SourceFile(content=skill_md("calendar")),
        EXTRA: SourceFile(content=b"#!/bin/sh\n", mode=Mode.EXECUTABLE),
    }
    return Bundle.build(pin=Pin.parse(PIN), kind=Kind.SKILL, files=files)


def offer(scene: Scene, forge: Forge, archive: bytes, tree_sha256: str) -> None:
    item = forge.release(PIN, archive, tree_sha256)
    forge.profile("base==2", item)
    forge.state()
    forge.answer(scene.server)
    scene.register("other", profile="base==2")


def packed(*members: bytes) -> bytes:
    """A gzip file of our own form around any tar members."""
    tar = b"".join([*members, bytes(1024)])
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = compressor.compress(tar) + compressor.flush()
    trailer = zlib.crc32(tar).to_bytes(4, "little") + len(tar).to_bytes(4, "little")
    return archive_format._GZIP_HEADER + body + trailer


def member(path: str, content: bytes, mode: Mode = Mode.PLAIN) -> bytes:
    return archive_format._member(MemberPath(path), content, mode)


def members_of(bundle: Bundle) -> list[bytes]:
    listed = [member(entry.path, bundle.contents[entry.path], entry.mode) for entry in bundle.manifest.files]
    return [member("MANIFEST.json", bundle.manifest.render()), *listed]


def other_tar(bundle: Bundle) -> bytes:
    """The same files, packed by an ordinary tar."""
    stream = io.BytesIO()
    with tarfile.TarFile(fileobj=stream, mode="w") as tar:
        for path, content in {"MANIFEST.json": bundle.manifest.render(), **bundle.contents}.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(stream.getvalue(), mtime=0)


def lie_about_digest(bundle: Bundle) -> bytes:
    files = tuple(
        replace(entry, sha256="0" * 64) if entry.path == EXTRA else entry for entry in bundle.manifest.files
    )
    lying = replace(bundle.manifest, files=files)
    return packed(member("MANIFEST.json", lying.render()), *members_of(bundle)[1:])


def swap_contents(bundle: Bundle) -> bytes:
    content = bytes(len(bundle.contents[EXTRA]))
    return packed(*members_of(bundle)[:-1], member(EXTRA, content, Mode.EXECUTABLE))


LIES = {
    "a digest in the list is another": (lie_about_digest, DigestMismatchError),
    "a listed file has other bytes": (swap_contents, DigestMismatchError),
    "an unlisted file at the end": (lambda b: packed(*members_of(b), member("evil.sh", b"x")), FormatError),
    "an unlisted file in between": (
        lambda b: packed(*members_of(b)[:-1], member("evil.sh", b"x"), members_of(b)[-1]),
        FormatError,
    ),
    "a listed file is missing": (lambda b: packed(*members_of(b)[:-1]), FormatError),
    "a listed file twice": (lambda b: packed(*members_of(b), members_of(b)[-1]), FormatError),
    "another order": (lambda b: packed(members_of(b)[0], *reversed(members_of(b)[1:])), FormatError),
    "no manifest": (lambda b: packed(*members_of(b)[1:]), FormatError),
    "another mode": (lambda b: packed(*members_of(b)[:-1], member(EXTRA, b.contents[EXTRA])), FormatError),
    "another path": (
        lambda b: packed(*members_of(b)[:-1], member("../run.sh", b.contents[EXTRA], Mode.EXECUTABLE)),
        FormatError,
    ),
    "an ordinary tar": (other_tar, FormatError),
    "bytes after the archive": (lambda b: render_bundle(b) + b"\0", FormatError),
    "a second gzip member": (lambda b: render_bundle(b) + gzip.compress(b"x"), FormatError),
    "a bomb": (lambda b: packed(*members_of(b), bytes(80 << 20)), FormatError),
    "not an archive": (lambda _: b"<html>not here</html>", FormatError),
}


@pytest.mark.parametrize(("make", "expected"), LIES.values(), ids=LIES.keys())
def test_an_archive_that_its_manifest_does_not_describe(
    scene: Scene, forge: Forge, make, expected: type[RejectedError]
) -> None:
    bundle = honest()
    offer(scene, forge, make(bundle), bundle.manifest.tree_digest)
    refusal = scene.refused(expected, name="other")
    assert refusal.requests[-1].endswith("calendar-1.0.tar.gz")
    assert not list((scene.mother.state / "store").rglob("*.md"))


def test_a_manifest_about_another_name(scene: Scene, forge: Forge) -> None:
    bundle = honest()
    lying = replace(bundle.manifest, pin=Pin.parse("calendar==9.0"))
    archive = packed(member("MANIFEST.json", lying.render()), *members_of(bundle)[1:])
    offer(scene, forge, archive, lying.tree_digest)
    scene.refused(WrongSubjectError, name="other")
    assert not list((scene.mother.state / "store").rglob("*.md"))


def test_a_tree_digest_of_other_files(scene: Scene, forge: Forge) -> None:
    """The archive is whole; the tree digest that was signed, and reviewed, is that of harmless files."""
    harmless, _ = forge.archive(PIN)
    bundle = honest()
    offer(scene, forge, render_bundle(bundle), harmless.manifest.tree_digest)
    refusal = scene.refused(WrongSubjectError, name="other")
    assert "tree_sha256" in str(refusal.error)


def test_a_tree_digest_that_names_another_stored_tree(scene: Scene, forge: Forge) -> None:
    """The store is looked up by tree digest: web-search is stored, and calendar claims its digest."""
    scene.born()
    stored = next(
        target.custom["tree_sha256"]
        for target in forge.read(
            forge.owner("skills/web-search/1.0/web-search-1.0.tar.gz")
        ).signed.targets.values()
        if target.custom
    )
    offer(scene, forge, render_bundle(honest()), stored)
    scene.refused(WrongSubjectError, name="other")
    assert not [path for path in jail_files(scene.mother) if path.startswith("other/")]
