"""Catalogues: the same bytes for the same packages, and in every detail what real pkg wrote and accepted."""

import io
import json
import random
from datetime import UTC, datetime, timedelta
from tarfile import TarFile

import pytest
import zstandard

from repo_server.pkgrepo.metaconf import MetaConf
from repo_server.pkgrepo.public_keys import KeyKind
from repo_server.pkgrepo.writing import pack, write_catalogue
from signing.errors import FormatError
from signing.format.digest import sha256_of
from tests.repo_server.pkgrepo.signing_keys import DATA, LATEST, fixture_signer, fresh_signer

NOW = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
REPOS = ("fp-rsa", "fp-rsa-dualsig", "fp-rsa-hashed", "fp-ecdsa", "fp-eddsa", "fp-rsa-pkg275", "unsigned")


def unzstd(data):
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


def members(data):
    with TarFile(fileobj=io.BytesIO(unzstd(data))) as archive:
        return [(member.name, archive.extractfile(member).read(), member) for member in archive]


def real(kind, name):
    return (DATA / "repos" / kind / LATEST / name).read_bytes()


def payload(kind, name):
    return members(real(kind, f"{name}.pkg"))[-1][1]


def catalogue(kind):
    return json.loads(payload(kind, "data"))


def written(kind="fp-rsa", signers=None, **options):
    found = catalogue(kind)
    return write_catalogue(
        options.pop("entries", found["packages"]),
        groups=found["groups"],
        signers=signers or [fixture_signer("rsa-a")],
        created=NOW,
        **options,
    )


def test_the_same_packages_in_another_order_give_the_same_bytes():
    entries = catalogue("fp-rsa")["packages"]
    shuffled = [dict(random.Random(7).sample(list(entry.items()), len(entry))) for entry in reversed(entries)]
    shuffled[0]["annotations"] = dict(reversed(shuffled[0]["annotations"].items()))
    first, second = written(entries=entries), written(entries=shuffled)
    assert dict(first.files) == dict(second.files)
    assert first.modified == second.modified


def test_another_package_gives_other_bytes():
    entries = catalogue("fp-rsa")["packages"]
    changed = [dict(entries[0], desc="changed"), *entries[1:]]
    for name in ("data.pkg", "packagesite.pkg"):
        assert written().files[name] != written(entries=changed).files[name]


@pytest.mark.parametrize("kind", REPOS)
def test_nothing_of_a_real_catalogue_is_lost(kind):
    files = written(kind).files
    before, after = catalogue(kind), json.loads(members(files["data.pkg"])[-1][1])
    assert list(after) == list(before) == ["groups", "expired_packages", "packages"]
    assert after["groups"] == before["groups"]

    def by_path(package):
        return package["repopath"]

    assert sorted(after["packages"], key=by_path) == sorted(before["packages"], key=by_path)
    lines = members(files["packagesite.pkg"])[-1][1].decode().splitlines()
    assert [json.loads(line) for line in lines] == after["packages"]


@pytest.mark.parametrize("kind", [kind for kind in REPOS if kind != "fp-rsa-pkg275"])
def test_each_package_is_spelled_to_the_byte_as_real_pkg_spells_it(kind):
    ours = members(written(kind).files["packagesite.pkg"])[-1][1].splitlines(keepends=True)
    theirs = payload(kind, "packagesite").splitlines(keepends=True)
    assert sorted(ours) == sorted(theirs)
    data = members(written(kind).files["data.pkg"])[-1][1]
    assert all(line.rstrip(b"\n") in data for line in theirs)
    assert not data.endswith(b"\n")


def test_an_archive_is_to_the_byte_what_real_pkg_accepted():
    """The dual-signed fixture was made by another writer and accepted by a real client with either key."""
    signers = [fixture_signer("rsa-a"), fixture_signer("rsa-b")]
    for name, member in (("data", "data"), ("packagesite", "packagesite.yaml")):
        found = unzstd(real("fp-rsa-dualsig", f"{name}.pkg"))
        from repo_server.pkgrepo.writing import _archive

        assert unzstd(_archive(member, payload("fp-rsa", name), signers)) == found


@pytest.mark.parametrize(("kind", "key"), [("fp-rsa", "rsa-a"), ("fp-rsa-hashed", "rsa-a")])
def test_our_signatures_are_those_that_real_pkg_carried(kind, key):
    for name in ("data", "packagesite", "files"):
        signature, certificate, signed = (data for _, data, _ in members(real(kind, f"{name}.pkg")))
        assert fixture_signer(key).sign(signed) == signature
        assert fixture_signer(key).certificate == certificate


@pytest.mark.parametrize("kind", list(KeyKind))
def test_members_are_those_of_real_archives(kind):
    repo = {KeyKind.RSA: "fp-rsa", KeyKind.ECDSA: "fp-ecdsa", KeyKind.EDDSA: "fp-eddsa"}[kind]
    ours = members(written(signers=[fresh_signer(kind)]).files["data.pkg"])
    theirs = members(real(repo, "data.pkg"))
    for (name, data, info), (real_name, real_data, real_info) in zip(ours, theirs, strict=True):
        assert name == real_name
        assert (info.mode, info.uid, info.gid, info.uname, info.gname) == (
            *(real_info.mode, real_info.uid, real_info.gid, real_info.uname, real_info.gname),
        )
        assert info.mtime == 0
        assert data.startswith(kind.header) or name == "data"
        assert len(real_data) > 0


def test_two_keys_sign_each_archive():
    signers = [fixture_signer("rsa-a"), fresh_signer(KeyKind.EDDSA)]
    result = written(signers=signers, files_payload=payload("fp-rsa", "files"))
    assert result.fingerprints == tuple(sorted(signer.fingerprint for signer in signers))
    for archive, stem in (("data", "data"), ("packagesite", "packagesite.yaml"), ("files", "files")):
        found = {name: data for name, data, _ in members(result.files[f"{archive}.pkg"])}
        assert list(found) == ["new.sig", "new.pub", f"{stem}.sig", f"{stem}.pub", stem]
        for name, signer in ((stem, signers[0]), ("new", signers[1])):
            digest = sha256_of(found[stem])
            assert found[f"{name}.pub"] == signer.kind.header + signer.certificate
            signer._certificate.check(found[f"{name}.sig"].removeprefix(signer.kind.header), digest)


def test_a_catalogue_has_one_to_four_different_keys():
    one = fixture_signer("rsa-a")
    four = [fresh_signer(KeyKind.ECDSA, number) for number in range(4)]
    assert len(members(written(signers=four).files["data.pkg"])) == 9
    entries = catalogue("fp-rsa")["packages"]
    for signers in ([], [one, one], [one, *four]):
        with pytest.raises(FormatError):
            write_catalogue(entries, signers=signers, created=NOW)


def test_packagesite_is_younger_than_data():
    modified = written(files_payload=b"\n").modified
    assert modified["data.pkg"] == NOW.replace(microsecond=0)
    for name in ("packagesite.pkg", "files.pkg"):
        assert modified[name] - modified["data.pkg"] >= timedelta(seconds=1)


def test_the_index_lists_exactly_these_files():
    result = written(files_payload=b"\n")
    listed = result.indexed()
    assert [file.name for file in listed] == sorted(result.files) == sorted(result.modified)
    assert all(file.sha256 == sha256_of(result.files[file.name]) for file in listed)
    assert "files.pkg" not in written().files


def test_meta_conf_is_the_one_of_real_pkg():
    assert written().files["meta.conf"] == written().files["meta"] == real("fp-rsa", "meta.conf")
    old = written(
        "fp-rsa-pkg275", files_payload=payload("fp-rsa-pkg275", "filesite"), files_name="filesite.yaml"
    )
    assert old.files["meta.conf"] == real("fp-rsa-pkg275", "meta.conf")
    assert [name for name, _, _ in members(old.files["filesite.pkg"])] == [
        name for name, _, _ in members(real("fp-rsa-pkg275", "filesite.pkg"))
    ]


def test_meta_conf_says_what_it_is_told_but_not_other_names():
    told = MetaConf(
        source="https://example.invalid/", revision=7, packing_format="txz", filesite="filesite.yaml"
    )
    text = written(meta=told).files["meta.conf"]
    found = MetaConf.parse(text)
    assert (found.source, found.revision, found.packing_format) == ("https://example.invalid/", 7, "tzst")
    assert (found.filesite, found.filesite_archive) == ("files", "files")


@pytest.mark.parametrize(
    "change",
    [
        {"name": None},
        {"version": 1},
        {"path": "All/demo-base-1.0.0.pkg"},
        {"desc": "\ud800"},
        {"flatsize": 1.5},
        {"extra": object()},
    ],
    ids=["no-name", "version", "path-twice", "surrogate", "float", "object"],
)
def test_an_entry_that_no_catalogue_can_hold_is_refused(change):
    entries = catalogue("fp-rsa")["packages"]
    entries = [e for e in entries if e["name"] == "demo-base"] + [
        e | change for e in entries if e["name"] == "demo-skills"
    ]
    with pytest.raises(FormatError):
        written(entries=entries)


def test_a_name_too_long_for_ustar_is_refused_not_split():
    with pytest.raises(ValueError, match="name is too long"):
        pack([("x" * 300, b"")])
