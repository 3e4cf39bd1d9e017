"""Somebody changes a package repository between its builder and its clients: refused, whatever real pkg says of it."""

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from repo_server.pkgrepo.against_index import check_catalogue
from repo_server.pkgrepo.catalogue import ARCHIVES, parse_data, read_catalogue
from repo_server.pkgrepo.fingerprints import FingerprintAnchors, fingerprint_of, load_anchors
from repo_server.pkgrepo.reading import FolderReader, open_repository
from repo_server.pkgrepo.verifying import Verdict, verify_repository
from signing.errors import (
    BadSignatureError,
    CouldNotVerifyError,
    DigestMismatchError,
    FormatError,
    NotFoundError,
    RejectedError,
    RevokedError,
    UsageError,
    VerificationError,
    WrongSubjectError,
)
from signing.format.digest import Sha256, sha256_of
from signing.format.pkg.index import CatalogueFile, IndexedPackage, RepoIndex
from signing.format.pkg.names import PackageRepo
from signing.format.pkg.sums import Digests, Hasher
from tests.support.pkg_archives import ABI, DATA, member, pack, repository, tar

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
A, B = (fingerprint_of((DATA / "keys" / f"rsa-{name}.pub").read_bytes()) for name in "ab")
GOOD = sorted(path.name for path in (DATA / "repos").iterdir())
BAD = {
    "fp-rsa-badcat": {"bad-signature"},
    "fp-rsa-badmeta": {"expired"},
    "fp-rsa-badpkg": {"digest-mismatch"},
    "fp-rsa-bigpkg": {"digest-mismatch"},
    "fp-rsa-mixedsig": {"bad-signature"},
    "fp-rsa-nodata": {"not-found"},
    "fp-rsa-nosig": {"bad-signature"},
    "fp-rsa-tarbad": {"digest-mismatch"},
    "fp-rsa-unknownkey": {"not-verified"},
    "pubkey-rsa-badcat": {"bad-signature"},
    "pubkey-rsa-unknownkey": {"bad-signature"},
}


def trust(kind: str) -> dict[str, Any]:
    if kind.startswith("fp-"):
        return {
            "anchors": load_anchors(
                DATA / "fingerprints" / {"fp-ecdsa": "ecdsa", "fp-eddsa": "eddsa"}.get(kind, "a")
            )
        }
    if kind.startswith("pubkey-"):
        name = {"ecdsa": "ecdsa-ossl", "eddsa": "eddsa-a"}.get(kind.split("-")[1], "rsa-a")
        return {"pubkey": (DATA / "keys" / f"{name}.pub").read_bytes()}
    return {"unsigned": True}


def look(folder: Path, **how: Any) -> Verdict:
    with open_repository(folder) as reader:
        return verify_repository(reader, **{"now": NOW, **how})


def codes(verdict: Verdict) -> set[str]:
    return {problem.code for problem in verdict.errors}


def index_of(folder: Path, *fingerprints: Sha256, **change: Any) -> RepoIndex:
    """The index of a fixture, as its builder would sign it."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    signed = read_catalogue((folder / "data.pkg").read_bytes(), "data")
    packages = [
        IndexedPackage(
            name=entry.name, version=entry.version, origin=entry.origin, path=entry.path, size=entry.size, abi=entry.abi,
            deps=entry.deps, sha256=sha256_of((folder / entry.path).read_bytes()),
        )
        for entry in parse_data(signed.payload).entries
    ]  # fmt: skip
    what: dict[str, Any] = {
        "repository": "pkg.example",
        "repo": PackageRepo.parse(f"{ABI}/latest"),
        "serial": 7,
        "created": NOW,
        "build": {"git_hash": "0", "master": "m", "name": "n", "system": "poudriere"},
        "catalogue": tuple(
            CatalogueFile(
                name=name, size=(folder / name).stat().st_size, sha256=sha256_of((folder / name).read_bytes())
            )
            for name in names
        ),
        "packages": tuple(sorted(packages)),
        "fingerprints": tuple(sorted(fingerprints)),
    }
    return RepoIndex(**{**what, **change})


def loader(folder: Path) -> Callable[[Sha256], bytes]:
    blobs = {sha256_of(path.read_bytes()): path.read_bytes() for path in folder.iterdir() if path.is_file()}
    return blobs.__getitem__


def digests_of(folder: Path, index: RepoIndex) -> dict[Sha256, Digests]:
    return {package.sha256: Hasher.of((folder / package.path).read_bytes()) for package in index.packages}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(repository("fp-rsa"), tmp_path / "repository"))


@pytest.mark.parametrize("kind", GOOD)
def test_every_good_repository_is_accepted(kind: str) -> None:
    verdict = look(repository(kind), files=True, **trust(kind))
    assert verdict.accepted, verdict.problems
    assert verdict.facts["packages_good"] == verdict.facts["packages"] > 0
    assert verdict.facts["files_checked"] > 0


@pytest.mark.parametrize("kind", BAD)
def test_every_bad_repository_is_refused_also_those_that_real_pkg_accepts(kind: str) -> None:
    verdict = look(repository(kind), **trust(kind))
    assert not verdict.accepted
    assert codes(verdict) == BAD[kind]
    # What nobody vouches for names no packages that we would go and fetch.
    assert ("packages_read" in verdict.facts) == (kind in {
        "fp-rsa-badmeta", "fp-rsa-badpkg", "fp-rsa-bigpkg", "fp-rsa-nodata", "fp-rsa-tarbad",
    })  # fmt: skip


@pytest.mark.parametrize("kind", ["fp-rsa-badmeta", "fp-rsa-old", "fp-rsa-other", "fp-rsa-badpkg"])
def test_our_index_refuses_what_the_signature_of_pkg_lets_through(kind: str) -> None:
    """Rollback, another repository under the same key, an altered meta.conf, and a package of the same size."""
    index = index_of(repository("fp-rsa"), A)
    assert look(repository("fp-rsa"), index=index, **trust("fp-rsa")).accepted
    verdict = look(repository(kind), index=index, **trust("fp-rsa"))
    assert "digest-mismatch" in codes(verdict)


def test_a_missing_data_pkg_is_missed_although_pkg_falls_back() -> None:
    verdict = look(repository("fp-rsa-nodata"), index=index_of(repository("fp-rsa"), A), **trust("fp-rsa"))
    assert [(problem.code, problem.where) for problem in verdict.errors] == [("not-found", "data.pkg")]


def test_a_signature_that_the_index_names_is_not_left_out() -> None:
    verdict = look(repository("fp-rsa"), index=index_of(repository("fp-rsa"), A, B), **trust("fp-rsa"))
    assert "not-verified" in codes(verdict)


def test_trust_is_named_once() -> None:
    for how in ({}, {"unsigned": True, "pubkey": b"x"}, {"unsigned": True, **trust("fp-rsa")}):
        with pytest.raises(UsageError):
            look(repository("fp-rsa"), **how)


@pytest.mark.parametrize(
    "name", ["meta.conf", "data.pkg", "packagesite.pkg", "files.pkg", "All/demo-base-1.0.0.pkg"]
)
def test_links_pipes_and_folders_in_the_place_of_files_are_refused(copy: Path, name: str) -> None:
    content = (copy / name).read_bytes()
    for put in (
        lambda path: path.symlink_to(copy / "elsewhere"),
        os.mkfifo,
        lambda path: path.mkdir(),
    ):
        (copy / "elsewhere").write_bytes(content)
        (copy / name).unlink()
        put(copy / name)
        verdict = look(copy, **trust("fp-rsa"))
        assert codes(verdict) == {"malformed"}
        assert verdict.malformed_only
        (copy / name).rmdir() if (copy / name).is_dir() else (copy / name).unlink()
        (copy / name).write_bytes(content)


def test_a_linked_folder_is_not_entered_and_nothing_outside_is_read(copy: Path, tmp_path: Path) -> None:
    (copy / "All").rename(tmp_path / "outside")
    (copy / "All").symlink_to(tmp_path / "outside")
    assert codes(look(copy, **trust("fp-rsa"))) == {"malformed"}
    with FolderReader(copy) as reader:
        for path in ("../outside/demo-base-1.0.0.pkg", "/etc/passwd", "All/../data.pkg", "."):
            with pytest.raises(FormatError):
                reader.load(path, max_bytes=99)


def test_the_folder_itself_may_be_a_link_as_poudrieres_latest_is(copy: Path, tmp_path: Path) -> None:
    (tmp_path / ".latest").symlink_to(copy.name)
    assert look(tmp_path / ".latest", **trust("fp-rsa")).accepted
    with pytest.raises(NotFoundError):
        open_repository(tmp_path / "none")


def test_catalogue_and_index_agree() -> None:
    folder = repository("fp-rsa")
    index = index_of(folder, A)
    anchors = FingerprintAnchors(trusted=frozenset({A}))
    check_catalogue(index, loader(folder), anchors)
    check_catalogue(index, loader(folder), anchors, digests=digests_of(folder, index))
    dual = repository("fp-rsa-dualsig")
    # Its file list carries one signature only: a client that trusts the new key alone could not use it.
    with pytest.raises(BadSignatureError, match="exactly"):
        check_catalogue(index_of(dual, A, B), loader(dual), FingerprintAnchors(trusted=frozenset({A, B})))


@pytest.mark.parametrize("kind", ["fp-rsa-hashed", "fp-rsa-pkg275"])
def test_both_generations_and_hashed_names_agree_with_their_index(kind: str) -> None:
    folder = repository(kind)
    index = index_of(folder, A)
    check_catalogue(
        index, loader(folder), FingerprintAnchors(trusted=frozenset({A})), digests=digests_of(folder, index)
    )


@pytest.mark.parametrize(
    ("fingerprints", "anchors", "error"),
    [
        ((B,), FingerprintAnchors(trusted=frozenset({A, B})), VerificationError),
        ((A, B), FingerprintAnchors(trusted=frozenset({A, B})), BadSignatureError),
        ((), FingerprintAnchors(trusted=frozenset({A})), CouldNotVerifyError),
        ((A,), FingerprintAnchors(trusted=frozenset({B})), VerificationError),
        ((A,), FingerprintAnchors(trusted=frozenset({A}), revoked=frozenset({A})), RevokedError),
    ],
    ids=["another", "one-missing", "none", "nobody-trusted", "revoked"],
)
def test_the_signatures_are_those_that_the_index_names(
    fingerprints: tuple[Sha256, ...], anchors: FingerprintAnchors, error: type[RejectedError]
) -> None:
    folder = repository("fp-rsa")
    with pytest.raises(error):
        check_catalogue(index_of(folder, *fingerprints), loader(folder), anchors)


@pytest.mark.parametrize("field", ["version", "origin", "path", "size", "abi", "deps", "sha256", "left-out"])
def test_an_index_that_says_otherwise_than_the_catalogue_is_refused(field: str) -> None:
    folder = repository("fp-rsa")
    index = index_of(folder, A)
    *rest, last = index.packages
    other = {
        "version": "9", "origin": "a/b", "path": "All/x.pkg", "size": 1, "abi": ABI, "deps": (), "sha256": Sha256("0" * 64),
    }  # fmt: skip
    changed = [] if field == "left-out" else [
        IndexedPackage(**{slot: getattr(last, slot) for slot in last.__slots__} | {field: other[field]})
    ]  # fmt: skip
    wrong = index_of(folder, A, packages=(*rest, *changed))
    anchors = FingerprintAnchors(trusted=frozenset({A}))
    with pytest.raises(CouldNotVerifyError if field == "sha256" else WrongSubjectError):
        check_catalogue(wrong, loader(folder), anchors, digests=digests_of(folder, index))


def test_a_catalogue_whose_sums_are_of_other_bytes_is_refused() -> None:
    folder = repository("fp-rsa")
    index = index_of(folder, A)
    known = digests_of(folder, index)
    first = index.packages[0].sha256
    known[first] = Digests(sha256=first, blake2b="0" * 128)
    with pytest.raises(DigestMismatchError):
        check_catalogue(index, loader(folder), FingerprintAnchors(trusted=frozenset({A})), digests=known)


def test_a_meta_conf_with_more_in_it_and_bytes_of_another_size_are_refused() -> None:
    anchors = FingerprintAnchors(trusted=frozenset({A}))
    folder = repository("fp-rsa-meta")
    with pytest.raises(WrongSubjectError, match=r"meta\.conf"):
        check_catalogue(index_of(folder, A), loader(folder), anchors)
    folder = repository("fp-rsa")
    with pytest.raises(NotFoundError):
        check_catalogue(index_of(folder, A), lambda digest: loader(folder)(digest) + b"x", anchors)


def test_unsigned_repositories_that_lie_about_themselves_are_refused(tmp_path: Path) -> None:
    """packagesite lists other things than data; a dependency is missing; two ABIs; a bomb for a catalogue."""
    good = repository("unsigned")
    other = repository("unsigned", abi="FreeBSD:15:amd64")
    for name, replace, code in (
        ("packagesite.pkg", (other / "packagesite.pkg").read_bytes(), "wrong-subject"),
        ("files.pkg", pack(tar(member("files", b"\n"))), "wrong-subject"),
        ("data.pkg", pack(bytes(1 << 30)), "malformed"),
        ("data.pkg", b"", "malformed"),
        ("meta.conf", b'version = 2;\ndata = "x";\n', "malformed"),
    ):
        folder = Path(shutil.copytree(good, tmp_path / f"{name}-{code}-{len(replace)}"))
        (folder / name).write_bytes(replace)
        verdict = look(folder, unsigned=True)
        assert code in codes(verdict), (name, verdict.problems)
    assert set(ARCHIVES) == {"data.pkg", "packagesite.pkg", "files.pkg", "filesite.pkg"}
