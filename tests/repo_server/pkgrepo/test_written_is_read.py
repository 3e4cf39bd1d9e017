"""What we write, read by the reader that reproduces real pkg's repositories, and refused when anybody touches it."""

import io
import os
import shutil
from datetime import UTC, datetime
from tarfile import TarFile

import pytest
import zstandard

from repo_server.pkgrepo.catalogue import parse_data, read_catalogue
from repo_server.pkgrepo.fingerprints import FingerprintAnchors
from repo_server.pkgrepo.public_keys import KeyKind
from repo_server.pkgrepo.reading import open_repository
from repo_server.pkgrepo.verifying import verify_repository
from repo_server.pkgrepo.writing import pack, write_catalogue
from tests.repo_server.pkgrepo.signing_keys import DATA, LATEST, fixture_signer, fresh_signer

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def write(folder, signers, kind="fp-rsa"):
    shutil.copytree(DATA / "repos" / kind / LATEST, folder)
    found = parse_data(read_catalogue((folder / "data.pkg").read_bytes(), "data").payload)
    files = read_catalogue((folder / "files.pkg").read_bytes(), "files").payload
    result = write_catalogue(
        [entry.raw for entry in found.entries],
        groups=found.groups,
        files_payload=files,
        signers=signers,
        created=NOW,
    )
    for name, data in result.files.items():
        (folder / name).write_bytes(data)
        os.utime(folder / name, (result.modified[name].timestamp(),) * 2)
    return result


def verdict(folder, *trusted, revoked=()):
    anchors = FingerprintAnchors(
        trusted=frozenset(signer.fingerprint for signer in trusted),
        revoked=frozenset(signer.fingerprint for signer in revoked),
    )
    with open_repository(folder) as reader:
        return verify_repository(reader, anchors=anchors, files=True, now=NOW)


@pytest.mark.parametrize("kind", list(KeyKind))
@pytest.mark.parametrize("repo", ["fp-rsa", "fp-rsa-hashed"])
def test_what_we_write_is_a_good_repository(tmp_path, kind, repo):
    signer = fresh_signer(kind)
    write(tmp_path / "repo", [signer], repo)
    found = verdict(tmp_path / "repo", signer)
    assert found.accepted, found.problems
    assert not found.problems


def test_a_client_needs_to_trust_only_one_of_two_keys(tmp_path):
    old, new, other = fixture_signer("rsa-a"), fresh_signer(KeyKind.EDDSA), fixture_signer("rsa-b")
    write(tmp_path / "repo", [old, new])
    assert verdict(tmp_path / "repo", old).accepted
    assert verdict(tmp_path / "repo", new).accepted
    assert verdict(tmp_path / "repo", old, new).accepted
    assert not verdict(tmp_path / "repo", other).accepted


def test_a_revoked_key_beside_a_trusted_one_refuses_everything(tmp_path):
    old, new = fixture_signer("rsa-a"), fixture_signer("rsa-b")
    write(tmp_path / "repo", [old, new])
    assert not verdict(tmp_path / "repo", new, revoked=[old]).accepted


def repacked(data, change):
    raw = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    with TarFile(fileobj=io.BytesIO(raw)) as archive:
        return pack(change([(member.name, archive.extractfile(member).read()) for member in archive]))


ATTACKS = {
    "payload changed": lambda m: [*m[:-1], (m[-1][0], m[-1][1].replace(b"demo", b"evil", 1))],
    "signature taken": lambda m: m[-1:],
    "signature empty": lambda m: [(m[0][0], b""), *m[1:]],
    "certificate swapped": lambda m: [m[0], (m[1][0], fixture_signer("rsa-b").certificate), m[2]],
    "signature of another archive": lambda m: [(m[0][0], fixture_signer("rsa-a").sign(b"old")), *m[1:]],
    "payload twice": lambda m: [*m, m[-1]],
}


@pytest.mark.parametrize("attack", sorted(ATTACKS))
@pytest.mark.parametrize("name", ["data.pkg", "packagesite.pkg", "files.pkg"])
def test_what_somebody_touched_is_refused(tmp_path, name, attack):
    signer = fixture_signer("rsa-a")
    write(tmp_path / "repo", [signer])
    path = tmp_path / "repo" / name
    path.write_bytes(repacked(path.read_bytes(), ATTACKS[attack]))
    assert not verdict(tmp_path / "repo", signer).accepted
