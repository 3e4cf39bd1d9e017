import os
from pathlib import Path

import pytest

from repo_server.pkgrepo.fingerprints import (
    FingerprintAnchors,
    fingerprint_of,
    load_anchors,
    parse_fingerprint,
    render_fingerprint,
    write_anchors,
)
from signing.errors import FormatError, NotFoundError
from signing.format.digest import Sha256, sha256_of
from tests.support.pkg_archives import DATA

A, B = Sha256("a" * 64), Sha256("b" * 64)


def test_the_folders_of_a_client() -> None:
    wanted = fingerprint_of((DATA / "keys" / "rsa-a.pub").read_bytes())
    assert load_anchors(DATA / "fingerprints" / "a") == FingerprintAnchors(trusted=frozenset({wanted}))
    assert load_anchors(DATA / "fingerprints" / "a-revoked").revoked == {wanted}


def test_the_header_of_a_certificate_does_not_count_and_its_last_line_end_does() -> None:
    assert fingerprint_of(b"$PKGSIGN:eddsa$abc") == fingerprint_of(b"abc") == sha256_of(b"abc")
    assert fingerprint_of(b"abc\n") != fingerprint_of(b"abc")


@pytest.mark.parametrize(
    ("trusted", "revoked"), [({A}, set()), ({A, B}, set()), (set(), {A}), ({A}, {A, B}), (set(), set())],
    ids=["one", "two", "none-trusted", "both", "nothing"],
)  # fmt: skip
def test_what_is_written_is_what_is_loaded_whatever_was_there(
    tmp_path: Path, trusted: set[Sha256], revoked: set[Sha256]
) -> None:
    wanted = FingerprintAnchors(trusted=frozenset(trusted), revoked=frozenset(revoked))
    write_anchors(tmp_path / "x", FingerprintAnchors(trusted=frozenset({B}), revoked=frozenset({A})))
    for _ in range(2):
        write_anchors(tmp_path / "x", wanted)
        assert load_anchors(tmp_path / "x") == wanted
    assert parse_fingerprint(render_fingerprint(A)) == A


@pytest.mark.parametrize(
    "text",
    [
        b"x",
        b'function: "sha256"\n',
        b'fingerprint: "' + b"a" * 64 + b'"\n',
        b'function: "sha1"\nfingerprint: "' + b"a" * 64 + b'"\n',
        b'function: "sha256"\nfingerprint: "' + b"A" * 64 + b'"\n',
        b'function: "sha256"\nfingerprint: "' + b"a" * 64 + b'"\nfingerprint: "' + b"b" * 64 + b'"\n',
        b'.include "/etc/passwd"\n',
    ],
)
def test_a_file_that_is_none_is_an_error_and_is_left_alone(tmp_path: Path, text: bytes) -> None:
    """pkg passes it over; a revocation with a typing error would then revoke nothing."""
    write_anchors(tmp_path, FingerprintAnchors(trusted=frozenset({A})))
    (tmp_path / "revoked" / "x").write_bytes(text)
    with pytest.raises(FormatError):
        load_anchors(tmp_path)
    with pytest.raises(FormatError):
        write_anchors(tmp_path, FingerprintAnchors(trusted=frozenset({B})))
    assert (tmp_path / "revoked" / "x").read_bytes() == text
    assert len(list((tmp_path / "trusted").iterdir())) == 1


def test_links_pipes_and_missing_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        load_anchors(tmp_path / "none")
    with pytest.raises(NotFoundError):
        load_anchors(tmp_path)
    write_anchors(tmp_path, FingerprintAnchors(trusted=frozenset({A})))
    (tmp_path / "trusted" / "fifo").touch()
    assert load_anchors(tmp_path).trusted == {A}  # empty
    (tmp_path / "trusted" / "fifo").unlink()
    os.mkfifo(tmp_path / "trusted" / "fifo")
    with pytest.raises(FormatError):
        load_anchors(tmp_path)
    (tmp_path / "trusted" / "fifo").unlink()
    (tmp_path / "trusted" / "link").symlink_to("/etc/passwd")
    with pytest.raises(Exception, match="is a link"):
        load_anchors(tmp_path)
