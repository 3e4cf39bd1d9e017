"""The host's key: made once, kept from others, never replaced silently."""

from pathlib import Path

import pytest

from hive.host_key import HostKey
from signing.errors import FormatError, KeyAccessError
from signing.format.envelope import Envelope
from signing.keys import envelope_signers


def test_it_is_made_once_and_signs(tmp_path: Path) -> None:
    key = HostKey.open(tmp_path)
    again = HostKey.open(tmp_path)
    assert again.held == key.held
    signed = again.sign(Envelope(payload_type="t", payload=b"p"))
    assert [signer.keyid for signer in envelope_signers(signed, [key.held.to_tuf()])] == [key.held.keyid]
    assert (tmp_path / "host-key/seed").stat().st_mode & 0o777 == 0o600


def test_it_shows_nothing_of_its_seed(tmp_path: Path) -> None:
    key = HostKey.open(tmp_path)
    assert (tmp_path / "host-key/seed").read_text() not in repr(key)
    assert "_seed" not in repr(key)


@pytest.mark.parametrize("half", ["seed", "public.json"])
def test_half_a_key_is_not_replaced(tmp_path: Path, half: str) -> None:
    HostKey.open(tmp_path)
    (tmp_path / "host-key" / half).unlink()
    left = {path.name: path.read_bytes() for path in (tmp_path / "host-key").iterdir() if path.is_file()}
    with pytest.raises(KeyAccessError):
        HostKey.open(tmp_path)
    assert {
        path.name: path.read_bytes() for path in (tmp_path / "host-key").iterdir() if path.is_file()
    } == left


def test_a_key_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    HostKey.open(tmp_path)
    (tmp_path / "host-key/seed").chmod(0o640)
    with pytest.raises(KeyAccessError):
        HostKey.open(tmp_path)


def test_halves_of_two_keys_are_refused(tmp_path: Path) -> None:
    HostKey.open(tmp_path / "a")
    HostKey.open(tmp_path / "b")
    (tmp_path / "a/host-key/public.json").write_bytes((tmp_path / "b/host-key/public.json").read_bytes())
    with pytest.raises(KeyAccessError):
        HostKey.open(tmp_path / "a")


def test_a_damaged_seed_is_refused(tmp_path: Path) -> None:
    HostKey.open(tmp_path)
    (tmp_path / "host-key/seed").write_text("x" * 64)
    with pytest.raises(FormatError):
        HostKey.open(tmp_path)
