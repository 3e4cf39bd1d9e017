"""Metadata of odd shapes, signed or not: a refusal with a code, never a traceback, and nothing is believed."""

import json

import pytest
from securesystemslib.formats import encode_canonical
from tuf.api.metadata import TargetFile

from signing.errors import FormatError, RejectedError
from signing.trusted import verify_metadata
from tests.attacks.forge import CURATORS, Forge
from tests.attacks.scene import Scene
from tests.support.world import World, now

BUNDLE = "skills/web-search/1.0/web-search-1.0.tar.gz"

HTML = b"<!doctype html><title>Sign in</title>" + b"<p>welcome to this network</p>" * 20
SHAPES = {
    "nothing": b"",
    "a space": b" ",
    "html": HTML,
    "not utf-8": b"\xff\xfe{}",
    "byte order mark": b"\xef\xbb\xbf{}",
    "null": b"null",
    "number": b"1",
    "string": b'"x"',
    "list": b"[]",
    "empty object": b"{}",
    "no signatures": b'{"signed":{}}',
    "no signed": b'{"signatures":[]}',
    "deep lists": b"[" * 15_000,
    "deep objects": b'{"a":' * 3_000,
    "deep and closed": b"[" * 8_000 + b"]" * 8_000,
    "nan": b'{"signatures":[],"signed":NaN}',
    "huge number": b'{"signatures":[],"signed":{"version":1' + b"0" * 10_000 + b"}}",
    "cut": b'{"signatures":[],"signed":{"_type":"timestamp"',
    "nul bytes": bytes(1000),
    "other type": b'{"signatures":[],"signed":{"_type":"mirrors","version":1}}',
    "wrong types": b'{"signatures":{},"signed":[]}',
    "signatures of nothing": b'{"signatures":[null,1,{}],"signed":{"_type":"timestamp"}}',
    "lone surrogate": b'{"signatures":[],"signed":{"_type":"\\ud800"}}',
}


def edited(data: bytes, change) -> bytes:
    document = json.loads(data)
    change(document)
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


@pytest.mark.parametrize("name", ["timestamp.json", "2.root.json"])
def test_every_shape_in_place_of_the_first_files(scene: Scene, name: str) -> None:
    for shape in SHAPES.values():
        scene.server.lies[f"/metadata/{name}"] = shape
        with pytest.raises(RejectedError), scene.mother.client.session(now()):
            raise AssertionError(f"trusted {shape[:40]!r}")
        assert scene.remembered() == {"root": 1}
        assert scene.server.requests[-1] == f"/metadata/{name}"


@pytest.mark.parametrize("role", ["root", "timestamp", "snapshot", "targets"])
def test_our_own_check_refuses_every_shape(world: World, role: str) -> None:
    for shape in SHAPES.values():
        forge = Forge(world)
        forge.roots = [shape] if role == "root" else []
        forge.documents[role] = shape
        with pytest.raises(RejectedError):
            forge.verify()
        with pytest.raises(RejectedError):
            verify_metadata(shape, roots=[], files=forge.documents, now=now())


@pytest.mark.parametrize("shape", ["html", "deep lists", "empty object", "wrong types", "lone surrogate"])
@pytest.mark.parametrize("role", ["targets", "skills", "profiles", "bin"])
def test_a_shape_that_the_online_key_vouches_for(scene: Scene, forge: Forge, role: str, shape: str) -> None:
    """Length and digest are right: the thief of the online key signed the snapshot over it."""
    role = forge.owner(BUNDLE) if role == "bin" else role
    forge.state_naming(role, SHAPES[shape])
    forge.answer(scene.server)
    refusal = scene.refused(RejectedError)
    assert role not in scene.remembered()
    assert not refusal.fetched("web-search")


def test_a_target_with_only_md5(scene: Scene, forge: Forge) -> None:
    """Both curators signed it; python-tuf would compare the md5 and be content."""
    path = next((scene.world.public / "targets").rglob("*.web-search-1.0.tar.gz"))
    data = path.read_bytes()
    custom = forge.read(forge.owner(BUNDLE)).signed.targets[BUNDLE].custom
    target = TargetFile.from_data(BUNDLE, data, ["md5"])
    target.unrecognized_fields["custom"] = custom
    forge.add(BUNDLE, data, by=CURATORS, target=target)
    forge.state()
    forge.answer(scene.server)
    refusal = scene.refused(FormatError, code="malformed")
    assert not refusal.fetched("web-search")
    with pytest.raises(FormatError):
        forge.verify().vouch(BUNDLE)


@pytest.mark.parametrize("digest", ["", "0" * 63, "0" * 65, "Z" * 64, "A" * 64])
def test_a_target_whose_sha256_is_none(scene: Scene, forge: Forge, digest: str) -> None:
    data = next((scene.world.public / "targets").rglob("*.web-search-1.0.tar.gz")).read_bytes()
    forge.add(BUNDLE, data, by=CURATORS, target=TargetFile(len(data), {"sha256": digest}, BUNDLE))
    forge.state()
    forge.answer(scene.server)
    refusal = scene.refused(FormatError)
    assert not refusal.fetched("web-search")


@pytest.mark.parametrize("what", ["length", "hashes"])
@pytest.mark.parametrize("role", ["targets", "profiles", "bin"])
def test_a_snapshot_that_names_a_file_without(scene: Scene, forge: Forge, role: str, what: str) -> None:
    """TUF allows both to be left out; then nothing binds the file to this state."""
    name = f"{forge.owner(BUNDLE) if role == 'bin' else role}.json"
    forge.state(snapshot=[lambda signed: setattr(signed.meta[name], what, None)])
    forge.answer(scene.server)
    refusal = scene.refused(FormatError, code="malformed")
    assert "without length or sha256" in str(refusal.error)
    assert not refusal.fetched("web-search-1.0.tar.gz")


@pytest.mark.parametrize("what", ["length", "hashes"])
def test_a_timestamp_that_names_the_snapshot_without(scene: Scene, forge: Forge, what: str) -> None:
    forge.timestamp(lambda signed: setattr(signed.snapshot_meta, what, None))
    forge.answer(scene.server)
    refusal = scene.refused(FormatError, code="malformed")
    assert not refusal.targets


def test_duplicate_keys_do_not_hide_a_second_meaning(scene: Scene, forge: Forge) -> None:
    """``"version":9`` before the signed ``"version":N``: what is verified is what is used, whichever it is."""
    data = forge.documents["timestamp"]
    version = f'"version":{forge.version("timestamp")}'.encode()
    before, _, after = data.rpartition(version)
    scene.server.lies["/metadata/timestamp.json"] = before + version + b',"version":999' + after
    refusal = scene.refused(RejectedError, code="bad-signature")
    assert refusal.requests[-1] == "/metadata/timestamp.json"
    assert "timestamp" not in scene.remembered()
    scene.server.lies["/metadata/timestamp.json"] = before + b'"version":999,' + version + after
    scene.born()
    assert scene.remembered()["timestamp"] == forge.version("timestamp")


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document["signed"].update(version=1.5),
        lambda document: document["signed"].update(version="2"),
        lambda document: document["signed"].update(version=-1),
        lambda document: document["signed"].update(version=0),
        lambda document: document["signed"].update(version=True),
        lambda document: document["signed"].update(expires="never"),
        lambda document: document["signed"].update(expires="9999-12-31"),
        lambda document: document["signed"].update(spec_version="9.0.0"),
        lambda document: document["signed"].update(spec_version="1"),
        lambda document: document["signed"].update(extra=1.5),
        lambda document: document["signed"].update(meta=[]),
        lambda document: document["signed"].update(meta={}),
        lambda document: document["signed"].update(_type="snapshot"),
        lambda document: document["signatures"][0].update(sig="zz"),
        lambda document: document["signatures"][0].update(sig=""),
        lambda document: document["signatures"][0].update(keyid=""),
        lambda document: document["signatures"].clear(),
        lambda document: document.update(signatures=document["signatures"] * 2),
    ],
)
def test_an_edited_timestamp(scene: Scene, forge: Forge, change) -> None:
    shape = edited(forge.documents["timestamp"], change)
    scene.server.lies["/metadata/timestamp.json"] = shape
    with pytest.raises(RejectedError), scene.mother.client.session(now()):
        raise AssertionError("there is nothing to trust here")
    assert scene.remembered() == {"root": 1}
    forge.documents["timestamp"] = shape
    with pytest.raises(RejectedError):
        forge.verify()


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document["signed"].update(consistent_snapshot=False),
        lambda document: document["signed"]["roles"].pop("timestamp"),
        lambda document: document["signed"]["roles"]["timestamp"].update(threshold=0),
        lambda document: document["signed"]["roles"]["timestamp"].update(keyids=[]),
        lambda document: document["signed"]["keys"].clear(),
        lambda document: next(iter(document["signed"]["keys"].values())).update(scheme="rsa"),
        lambda document: next(iter(document["signed"]["keys"].values())).update(keyval={"public": "zz"}),
        lambda document: next(iter(document["signed"]["keys"].values())).update(keyval={}),
    ],
)
def test_an_edited_root_signed_by_the_root_key(scene: Scene, forge: Forge, change) -> None:
    """Even root's own holder cannot sign our rules away, by mistake or otherwise."""
    document = json.loads(forge.documents["root"])
    document["signed"]["version"] = 2
    change(document)
    signature = forge.signer("root-1").sign(encode_canonical(document["signed"]).encode())
    document["signatures"] = [{"keyid": signature.keyid, "sig": signature.signature}]
    forge.put_bytes("root", 2, json.dumps(document).encode())
    forge.answer(scene.server)
    for role in forge.documents:  # where a client looks that was told to forget consistent snapshots
        scene.server.lies[f"/metadata/{role}.json"] = forge.documents[role]
    scene.refused(RejectedError)
    with pytest.raises(RejectedError):
        forge.verify()


def test_a_login_page_instead_of_a_skill(scene: Scene) -> None:
    path = next((scene.world.public / "targets").rglob("*.web-search-1.0.tar.gz"))
    scene.server.lies[f"/{path.relative_to(scene.world.public)}"] = HTML
    scene.refused(RejectedError, code="digest-mismatch")
