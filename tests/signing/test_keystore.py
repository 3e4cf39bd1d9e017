"""Key files: sealed, private, and refused without a word about the passphrase."""

import json
import os
import resource
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from securesystemslib.signer import SIGNER_FOR_URI_SCHEME, Signer
from tuf.api.metadata import Metadata, Root, Timestamp

from signing.errors import ConflictError, FormatError, KeyAccessError, SkillRepoError
from signing.format.envelope import Envelope
from signing.format.names import HolderName
from signing.keys import HeldKey, envelope_signers
from signing.keystore import SealCost, SealedKeySigner, load_key, new_key
from signing.metadata import render, sign

PASSPHRASE = "correct horse battery"
CHEAP = SealCost(opslimit=1, memlimit=8192)
ALICE = HolderName("alice")


@pytest.fixture
def folder(tmp_path) -> Path:
    new_key(tmp_path / "keys", ALICE, passphrase=PASSPHRASE, cost=CHEAP)
    return tmp_path / "keys"


@pytest.fixture
def file(folder) -> Path:
    return folder / "alice.key.json"


def load(file: Path, passphrase: str = PASSPHRASE) -> SealedKeySigner:
    return load_key(file, passphrase=lambda _: passphrase)


def never_asked(_: HolderName) -> str:
    raise AssertionError("the passphrase was asked for")


def rewrite(file: Path, **changes: object) -> None:
    document = json.loads(file.read_bytes())
    file.write_text(json.dumps({**document, **changes}))


def test_a_sealed_key_opens_with_its_passphrase_and_signs(folder, file):
    signer = load(file)
    held = HeldKey.parse((folder / "alice.pub.json").read_bytes())
    assert signer.public_key.keyid == held.keyid
    envelope = signer.sign_envelope(Envelope(payload_type="x", payload=b"y"))
    assert envelope_signers(envelope, [held.to_tuf()]) == (held.to_tuf(),)


def test_the_passphrase_is_asked_for_by_the_holders_name(file):
    asked = []
    load_key(file, passphrase=lambda holder: asked.append(holder) or PASSPHRASE)
    assert asked == ["alice"]


# --- the file -------------------------------------------------------------------------------------------


def test_only_the_owner_may_read_the_key_file_and_its_folder(folder, file):
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_generous_umask_does_not_open_the_key_file(tmp_path):
    before = os.umask(0)
    try:
        new_key(tmp_path, ALICE, passphrase=PASSPHRASE, cost=CHEAP)
    finally:
        os.umask(before)
    assert (tmp_path / "alice.key.json").stat().st_mode & 0o777 == 0o600


def test_neither_seed_nor_passphrase_stands_in_the_files(folder, file):
    seed = bytes(load(file)._signing_key).hex()
    for path in folder.iterdir():
        text = path.read_text()
        assert seed not in text
        assert PASSPHRASE not in text


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_existing_key_is_left_alone(folder):
    before = contents(folder)
    with pytest.raises(ConflictError):
        new_key(folder, ALICE, passphrase="other", cost=CHEAP)
    assert contents(folder) == before


def test_somebody_elses_public_key_of_that_name_gets_no_private_key_beside_it(tmp_path):
    (tmp_path / "alice.pub.json").write_bytes(b"received by mail")
    with pytest.raises(ConflictError, match=r"alice\.pub\.json"):
        new_key(tmp_path, ALICE, passphrase=PASSPHRASE, cost=CHEAP)
    assert contents(tmp_path) == {"alice.pub.json": b"received by mail"}


def test_a_link_planted_under_the_keys_name_is_not_followed(tmp_path):
    outside = tmp_path / "outside"
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/alice.key.json").symlink_to(outside)
    with pytest.raises(ConflictError):
        new_key(tmp_path / "keys", ALICE, passphrase=PASSPHRASE, cost=CHEAP)
    assert not outside.exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o644, 0o610])
def test_a_key_file_that_others_may_touch_is_refused_before_the_passphrase(file, mode):
    file.chmod(mode)
    with pytest.raises(KeyAccessError, match="others may read") as caught:
        load_key(file, passphrase=never_asked)
    assert "chmod 600" in caught.value.hint


def test_a_link_instead_of_a_key_file_is_refused(folder, file):
    (folder / "bob.key.json").symlink_to(file)
    with pytest.raises(KeyAccessError):
        load_key(folder / "bob.key.json", passphrase=never_asked)


def test_a_folder_instead_of_a_key_file_is_refused(folder):
    (folder / "bob.key.json").mkdir(mode=0o700)
    with pytest.raises(KeyAccessError):
        load_key(folder / "bob.key.json", passphrase=never_asked)


def test_a_pipe_instead_of_a_key_file_is_refused_and_not_waited_for(folder):
    os.mkfifo(folder / "bob.key.json", mode=0o600)
    with pytest.raises(KeyAccessError, match="not a file"):
        load_key(folder / "bob.key.json", passphrase=never_asked)


def test_a_missing_key_file_is_refused_with_a_hint(folder):
    with pytest.raises(KeyAccessError) as caught:
        load_key(folder / "bob.key.json", passphrase=never_asked)
    assert caught.value.hint
    assert caught.value.exit_status == 7


# --- the passphrase -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "passphrase", ["hunter2-secret", "", PASSPHRASE + "\n", PASSPHRASE.upper()], ids=ascii
)
def test_a_wrong_passphrase_is_refused_and_not_repeated(file, passphrase):
    with pytest.raises(KeyAccessError) as caught:
        load(file, passphrase)
    text = "".join(traceback.format_exception(caught.value)) + json.dumps(caught.value.to_document())
    assert caught.value.exit_status == 7
    assert "hunter2-secret" not in text
    assert PASSPHRASE not in text


@pytest.mark.parametrize("at", ["new", "load"])
def test_a_passphrase_that_is_not_unicode_is_refused_and_not_repeated(tmp_path, file, at):
    """What a terminal in another encoding gives: Python's own error would carry the whole passphrase."""
    passphrase = "hunter2-secret-\udcff"
    attempts = {
        "new": lambda: new_key(tmp_path / "other", ALICE, passphrase=passphrase, cost=CHEAP),
        "load": lambda: load(file, passphrase),
    }
    with pytest.raises(KeyAccessError) as caught:
        attempts[at]()
    assert "hunter2-secret" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__cause__ is None
    assert not (tmp_path / "other").exists()


def test_an_empty_passphrase_seals_nothing(tmp_path):
    with pytest.raises(KeyAccessError):
        new_key(tmp_path / "keys", ALICE, passphrase="", cost=CHEAP)
    assert not (tmp_path / "keys").exists()


def test_no_secret_is_shown_by_repr(file):
    signer = load(file)
    seed = bytes(signer._signing_key)
    for shown in (repr(signer), str(signer), f"{signer}", repr([signer]), repr(signer.held)):
        assert seed.hex() not in shown
        assert repr(seed) not in shown
    assert repr(signer) == "SealedKeySigner(alice)"


# --- damaged and hostile files --------------------------------------------------------------------------


def test_every_truncated_key_file_is_refused_by_an_error_of_ours(file):
    whole = file.read_bytes().rstrip()
    for length in range(0, len(whole), 7):
        file.write_bytes(whole[:length])
        with pytest.raises((FormatError, KeyAccessError)):
            load(file)


def test_every_flipped_bit_in_a_key_file_is_refused_by_an_error_of_ours_or_changes_nothing_secret(file):
    public = load(file).held.public
    whole = file.read_bytes()
    for at in range(len(whole)):
        for flip in (0x01, 0x10):
            mutated = bytearray(whole)
            mutated[at] ^= flip
            file.write_bytes(bytes(mutated))
            try:
                opened = load(file)
            except SkillRepoError as error:
                assert isinstance(error, FormatError | KeyAccessError)  # noqa: PT017 - most must fail, few may not
            else:
                assert opened.held.public == public  # the holder's name, or white space


@pytest.mark.parametrize(
    "change",
    [
        {"memlimit": 1 << 40},
        {"memlimit": (1 << 30) + 1},
        {"memlimit": -1},
        {"memlimit": "8192"},
        {"opslimit": 11},
        {"opslimit": 2**53},
        {"opslimit": True},
        {"kdf": "scrypt"},
        {"kdf": "none"},
        {"schema": "x"},
        {"holder": "../alice"},
        {"salt": "zz"},
        {"salt": "AA" * 16},
        {"box": "a"},
        {"box": " 00"},
        {"box": "00" * 300},
        {"public": 1},
        {"comment": "x"},
    ],
    ids=str,
)
def test_a_hostile_key_file_is_refused_before_the_passphrase_and_before_any_allocation(file, change):
    rewrite(file, **change)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FormatError):
        load_key(file, passphrase=never_asked)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


@pytest.mark.parametrize(
    "change",
    [
        {"memlimit": 0},
        {"memlimit": 1},
        {"opslimit": 0},
        {"salt": ""},
        {"salt": "00" * 15},
        {"salt": "00" * 17},
        {"box": ""},
        {"box": "00"},
        {"box": "00" * 24},
        {"box": "00" * 40},
        {"box": "00" * 72},
    ],
    ids=str,
)
def test_a_key_file_with_impossible_numbers_cannot_be_opened(file, change):
    rewrite(file, **change)
    with pytest.raises((KeyAccessError, FormatError)):
        load(file)


def test_another_public_key_beside_the_sealed_one_is_refused(file):
    rewrite(file, public="00" * 32)
    with pytest.raises(FormatError, match="not the public key beside it"):
        load(file)


def test_a_key_file_larger_than_any_key_is_refused(file):
    file.write_bytes(file.read_bytes() + b" " * 20_000)
    with pytest.raises(FormatError, match="larger than"):
        load_key(file, passphrase=never_asked)


# --- the interface of securesystemslib ------------------------------------------------------------------


def test_it_signs_tuf_metadata_that_python_tuf_verifies(file):
    signer = load(file)
    assert isinstance(signer, Signer)
    root = Root(consistent_snapshot=True)
    root.add_key(signer.public_key, "timestamp")
    metadata = Metadata(Timestamp())
    sign(metadata, signer)
    again = Metadata.from_bytes(render(metadata))
    root.verify_delegate("timestamp", again.signed_bytes, again.signatures)
    signer.public_key.verify_signature(signer.sign(b"payload"), b"payload")


def test_it_is_found_by_its_uri(file, monkeypatch):
    monkeypatch.setitem(SIGNER_FOR_URI_SCHEME, "skillkey", SealedKeySigner)
    public = load(file).public_key
    signer = Signer.from_priv_key_uri(f"skillkey:{file}", public, lambda _: PASSPHRASE)
    assert signer.public_key == public


@pytest.mark.parametrize("uri", ["file:x", "skillkey2:x", "x", ""])
def test_another_uri_is_refused(file, uri):
    with pytest.raises(KeyAccessError):
        SealedKeySigner.from_priv_key_uri(uri, load(file).public_key, lambda _: PASSPHRASE)


def test_a_uri_without_a_way_to_ask_is_refused(file):
    with pytest.raises(KeyAccessError):
        SealedKeySigner.from_priv_key_uri(f"skillkey:{file}", load(file).public_key)


def test_a_uri_of_another_key_is_refused(folder, file):
    other = new_key(folder, HolderName("bob"), passphrase=PASSPHRASE, cost=CHEAP)
    with pytest.raises(KeyAccessError, match="another key"):
        SealedKeySigner.from_priv_key_uri(f"skillkey:{file}", other.to_tuf(), lambda _: PASSPHRASE)


def test_reading_keys_needs_no_pynacl():
    """PyNaCl is not on the run-time path; only using a private key imports it."""
    code = "import sys, signing.keystore, signing.keys; sys.exit(any(m.split('.')[0] == 'nacl' for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
