"""Every reading in tests/data/pkg/expected, made by an independent reader beside real pkg, is reproduced by ours."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from repo_server.pkgrepo.catalogue import (
    ARCHIVES,
    CatalogueEntry,
    parse_data,
    parse_packagesite,
    read_catalogue,
)
from repo_server.pkgrepo.fingerprints import fingerprint_of
from repo_server.pkgrepo.metaconf import MetaConf
from repo_server.pkgrepo.signatures import Signature, check_pubkey, check_signature
from signing.errors import BadSignatureError, FormatError
from signing.format.digest import sha256_of
from signing.format.pkg.archive import read_package
from signing.format.pkg.compression import open_decompressed
from signing.format.pkg.sums import Hasher
from signing.format.pkg.tar import MemberKind, TarReader
from tests.support.pkg_archives import DATA

EXPECTED = sorted((DATA / "expected").glob("repos*.json"))
KEYS = {path.stem: path.read_bytes() for path in (DATA / "keys").glob("*.pub")}
NAMED = {"ecdsa": "ecdsa-ossl", "eddsa": "eddsa-a"}
CASES = [
    (path.stem, abi, folder, wanted)
    for path in EXPECTED
    for document in [json.loads(path.read_text())]
    for abi, wanted in document["abis"].items()
    for folder in [DATA / document["repo"] / abi / "latest"]
]


@pytest.mark.parametrize(
    ("name", "abi", "folder", "wanted"), CASES, ids=[f"{name}-{abi}" for name, abi, _, _ in CASES]
)
def test_a_fixture_is_read_as_expected(name: str, abi: str, folder: Path, wanted: dict[str, Any]) -> None:
    meta = (folder / "meta.conf").read_text()
    assert meta == wanted["meta.conf"]
    assert MetaConf.parse(meta.encode()).version == 2
    here = {path.name for path in folder.iterdir()} & set(ARCHIVES)
    assert here == set(wanted["archives"])
    for archive, expected in wanted["archives"].items():
        assert archive_of(folder / archive, expected) == expected
    payload, parse = (
        ("data.pkg", parse_data) if "data.pkg" in here else ("packagesite.pkg", parse_packagesite)
    )
    signed = read_catalogue((folder / payload).read_bytes(), ARCHIVES[payload])
    entries = sorted(parse(signed.payload).entries, key=lambda entry: (entry.name, entry.version))
    assert len(entries) == len(wanted["packages"]) > 0
    for entry, expected in zip(entries, wanted["packages"], strict=True):
        assert package_of(folder / entry.path, entry, expected) == expected


def test_all_fixtures_are_expected() -> None:
    assert len(EXPECTED) == 29
    assert {path.parents[1].name for path in (DATA / "repos").glob("*/*/latest")} == {
        path.stem.removeprefix("repos--") for path in EXPECTED if path.stem.startswith("repos--")
    }


def archive_of(path: Path, expected: dict[str, Any]) -> dict[str, Any]:
    signed = read_catalogue(path.read_bytes(), ARCHIVES[path.name])
    digests = Hasher.of(signed.payload)
    return {
        "compression": signed.compression.value,
        "member": ARCHIVES[path.name],
        "members": list(signed.members),
        "sha256_hex": digests.sha256,
        "blake2b_hex": digests.blake2b,
        "signatures": [
            by_fingerprint(signed.payload, item)
            if item.certificate is not None
            else by_key(signed.payload, item)
            for item in signed.signatures
        ],
    }


def by_fingerprint(payload: bytes, item: Signature) -> dict[str, Any]:
    try:
        check_signature(payload, item)
        valid = True
    except BadSignatureError:
        valid = False
    owner = next((name for name, key in KEYS.items() if fingerprint_of(key) == item.fingerprint), None)
    return {
        "style": "fingerprints",
        "name": item.name,
        "type": item.kind().value,
        "siglen": len(item.value.removeprefix(f"$PKGSIGN:{item.kind()}$".encode())),
        "fingerprint": item.fingerprint,
        "key": {value: key for key, value in NAMED.items()}.get(owner or "", owner),
        "signed": "ascii hex of sha256",
        "valid": valid,
    }


def by_key(payload: bytes, item: Signature) -> dict[str, Any]:
    kind, fitting = item.kind().value, []
    for name, key in KEYS.items():
        try:
            check_pubkey(payload, [item], key)
        except (BadSignatureError, FormatError):
            continue
        fitting.append({value: key for key, value in NAMED.items()}.get(name, name))
    nul = kind == "rsa" and len(item.value) == 257 and item.value.endswith(b"\0")
    return {
        "style": "pubkey",
        "type": kind,
        "trailing_nul": nul,
        "siglen": len(item.value.removeprefix(f"$PKGSIGN:{kind}$".encode())) - nul,
        "signed": "ascii hex of sha256" if kind == "rsa" else "raw blake2b-512",
        "verifies_with": fitting,
    }


def package_of(path: Path, entry: CatalogueEntry, expected: dict[str, Any]) -> dict[str, Any]:
    data = path.read_bytes()
    found: dict[str, Any] = {
        "name": entry.name,
        "origin": entry.origin,
        "version": entry.version,
        "abi": entry.abi,
        "arch": entry.arch,
        "sum": str(entry.sum),
        "pkgsize": entry.size,
        "flatsize": entry.flatsize,
        "repopath": entry.path,
        "deps": {dep.name: dep.version for dep in entry.deps},
        "file_size": len(data),
        "file_sha256": sha256_of(data),
        "sum_matches": entry.sum.matches(Hasher.of(data, blake2s=True)),
        "size_matches": len(data) == entry.size,
    }
    try:
        found["archive"] = contents_of(data)
        with read_package(io.BytesIO(data)) as package:
            list(package.members())
            found["manifest_files"] = {name: str(file.sum) for name, file in package.manifest.files.items()}
    except FormatError:
        # The other reader's library says it in its own word.
        found = {key: value for key, value in found.items() if key not in {"archive", "manifest_files"}}
        found["archive_error"] = expected.get("archive_error")
        assert found["archive_error"] is not None
    return found


def contents_of(data: bytes) -> dict[str, Any]:
    stream = open_decompressed(io.BytesIO(data))
    reader, members = TarReader(stream, where="package"), []
    while (header := reader.next()) is not None:
        content = b"".join(reader.content())
        members.append(
            {
                "name": header.name,
                "type": header.kind.value,
                "mode": f"{header.mode:04o}",
                "uname": header.uname,
                "gname": header.gname,
                "size": header.size,
                "sha256": sha256_of(content) if header.kind is MemberKind.FILE else None,
                "linkname": header.link or None,
            }
        )
    return {"compression": stream.kind.value, "members": members}
