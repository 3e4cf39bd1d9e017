"""Public keys: an id is computed, never believed, and one key is one key."""

import hashlib
import json

import pytest
from securesystemslib.formats import encode_canonical
from securesystemslib.signer import Key, SSlibKey

from signing.errors import FormatError
from signing.format.canonical import canonical
from signing.format.envelope import Envelope
from signing.format.names import HolderName
from signing.keys import HOLDER_FIELD, HeldKey, check_keys, envelope_signers, holder_of, key_id
from tests.signing.people import person

ALICE, BOB = person("alice"), person("bob")


def tuf_key(public: str, keyid: str | None = None, **fields: str) -> Key:
    kind = {"keytype": "ed25519", "scheme": "ed25519", **fields}
    keyid = keyid if keyid is not None else key_id(kind["keytype"], kind["scheme"], public)
    return SSlibKey(keyid, kind["keytype"], kind["scheme"], {"public": public})


def test_the_id_is_the_hash_of_what_another_implementation_calls_canonical():
    for someone in (ALICE, BOB):
        document = {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": someone.held.public}}
        assert someone.held.keyid == hashlib.sha256(encode_canonical(document).encode()).hexdigest()


def test_the_holders_name_is_beside_the_key_and_not_part_of_its_id():
    renamed = HeldKey(holder=HolderName("eve"), public=ALICE.held.public)
    assert renamed.keyid == ALICE.held.keyid
    assert renamed.to_tuf().unrecognized_fields == {HOLDER_FIELD: "eve"}


def test_a_printed_key_is_read_back_unchanged():
    assert HeldKey.parse(ALICE.held.render()) == ALICE.held
    assert HeldKey.parse(ALICE.held.render() + b"\n") == ALICE.held


SPOILS = {
    "another id": {"keyid": BOB.held.keyid},
    "no id": {"keyid": None},
    "upper-case key": {"public": ALICE.held.public.upper()},
    "short key": {"public": ALICE.held.public[:-2]},
    "spaced key": {"public": ALICE.held.public[:-1] + " "},
    "another key under this id": {"public": BOB.held.public},
    "another type": {"keytype": "rsa"},
    "another scheme": {"scheme": "ecdsa-sha2-nistp256"},
    "holder": {"holder": "Alice"},
    "schema": {"schema": "x"},
    "an unknown key": {"private": "00" * 32},
}


@pytest.mark.parametrize("change", SPOILS.values(), ids=SPOILS)
def test_a_spoiled_public_key_is_refused(change):
    with pytest.raises(FormatError) as caught:
        HeldKey.parse(canonical({**json.loads(ALICE.held.render()), **change}), where="alice.pub.json")
    assert caught.value.where.startswith("alice.pub.json")


def test_a_private_key_file_is_not_a_public_key():
    with pytest.raises(FormatError):
        HeldKey.parse(b'{"schema":"https://skills.clawdie.si/schema/sealed-key/v1","holder":"alice"}')


# --- one key under two ids ------------------------------------------------------------------------------


def by_id(*keys: Key) -> dict[str, Key]:
    return {key.keyid: key for key in keys}


def test_honest_keys_pass():
    check_keys(by_id(ALICE.public_key, BOB.public_key), where="root")
    check_keys({}, where="root")


PUBLIC = ALICE.held.public
SECOND_IDS = {
    "an invented id": tuf_key(PUBLIC, "0" * 64),
    "a short id": tuf_key(PUBLIC, "alice"),
    "the id of another key": tuf_key(PUBLIC, BOB.held.keyid),
    "upper case": tuf_key(PUBLIC.upper()),
    "one letter in upper case": tuf_key(PUBLIC.replace("a", "A", 1)),
    "spaces between bytes": tuf_key(f"{PUBLIC[:2]} {PUBLIC[2:]}"),
    "a space at the end": tuf_key(PUBLIC + " "),
    "a newline at the end": tuf_key(PUBLIC + "\n"),
    "another type": tuf_key(PUBLIC, keytype="ed25519-2"),
    "another scheme": tuf_key(PUBLIC, scheme="ed25519ph"),
}


@pytest.mark.parametrize("second", SECOND_IDS.values(), ids=SECOND_IDS)
def test_one_key_under_two_ids_is_refused(second):
    with pytest.raises(FormatError) as caught:
        check_keys(by_id(ALICE.public_key, second), where="root")
    assert caught.value.where == "root"


@pytest.mark.parametrize("second", SECOND_IDS.values(), ids=SECOND_IDS)
def test_one_key_under_a_second_id_cannot_sign_a_review_twice(second):
    envelope = ALICE.sign_envelope(Envelope(payload_type="x", payload=b"y"))
    with pytest.raises(FormatError):
        envelope_signers(envelope, [ALICE.public_key, second])


def test_a_key_listed_under_an_id_that_it_does_not_call_its_own_is_refused():
    with pytest.raises(FormatError):
        check_keys({BOB.held.keyid: ALICE.public_key}, where="root")


@pytest.mark.parametrize("public", ["", "zz" * 32, "00" * 31, "00" * 33, "٣" * 64], ids=ascii)
def test_what_is_no_ed25519_key_is_refused(public):
    with pytest.raises(FormatError):
        check_keys(by_id(tuf_key(public)), where="root")


def test_a_key_without_a_holders_name_is_called_by_its_id():
    assert holder_of(ALICE.public_key) == "alice"
    assert holder_of(tuf_key(PUBLIC)) == f"key {ALICE.held.keyid[:12]}"
    nameless = SSlibKey("ab" * 32, "ed25519", "ed25519", {"public": PUBLIC}, {HOLDER_FIELD: 7})
    assert holder_of(nameless) == "key abababababab"
