"""DSSE envelopes: what is signed, one spelling, and that another implementation agrees."""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope as OtherEnvelope
from securesystemslib.exceptions import VerificationError

from signing.errors import FormatError
from signing.format.canonical import canonical
from signing.format.digest import sha256_of
from signing.format.envelope import MAX_SIGNATURES, Envelope, EnvelopeSignature
from signing.keys import envelope_signers
from tests.signing.format.samples import spoiled
from tests.signing.people import person

ALICE, BOB, MALLORY = person("alice"), person("bob"), person("mallory")
ENVELOPE = Envelope(payload_type="http://example.com/HelloWorld", payload=b"hello world")
SIGNED = BOB.sign_envelope(ALICE.sign_envelope(ENVELOPE))
RENDERED = SIGNED.render()


def test_the_pre_authentication_encoding_is_the_specifications_example():
    assert ENVELOPE.signed_bytes == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_lengths_are_counted_in_bytes():
    envelope = Envelope(payload_type="é", payload="日".encode())
    assert envelope.signed_bytes == b"DSSEv1 2 \xc3\xa9 3 \xe6\x97\xa5"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.binary(max_size=60))
@settings(max_examples=80, deadline=None)
def test_another_implementation_signs_the_same_bytes(kind, payload):
    assert Envelope(payload_type=kind, payload=payload).signed_bytes == OtherEnvelope(payload, kind, {}).pae()


@given(
    st.tuples(st.text("ab 1", max_size=6), st.binary(max_size=8)),
    st.tuples(st.text("ab 1", max_size=6), st.binary(max_size=8)),
)
@settings(max_examples=150, deadline=None)
def test_two_envelopes_never_sign_the_same_bytes(one, other):
    first = Envelope(payload_type=one[0], payload=one[1])
    second = Envelope(payload_type=other[0], payload=other[1])
    assert (first.signed_bytes == second.signed_bytes) == (one == other)


def test_another_implementation_verifies_our_envelope():
    other = OtherEnvelope.from_dict(json.loads(RENDERED))
    accepted = other.verify([ALICE.public_key, BOB.public_key], threshold=2)
    assert set(accepted) == {ALICE.public_key.keyid, BOB.public_key.keyid}
    other.payload += b"!"
    with pytest.raises(VerificationError):
        other.verify([ALICE.public_key, BOB.public_key], threshold=1)


def test_our_reader_verifies_the_envelope_of_another_implementation():
    other = OtherEnvelope(b"hello world", "text/plain", {})
    other.sign(ALICE)
    envelope = Envelope.parse(canonical(other.to_dict()))
    assert envelope_signers(envelope, [ALICE.public_key]) == (ALICE.public_key,)


@given(st.binary(max_size=100), st.sets(st.integers(0, 50), max_size=4), st.binary(max_size=70))
@settings(max_examples=80, deadline=None)
def test_a_printed_envelope_is_read_back_unchanged(payload, who, signature):
    envelope = Envelope(payload_type="text/plain", payload=payload)
    for number in who:
        envelope = envelope.with_signature(
            EnvelopeSignature(keyid=sha256_of(bytes([number])), signature=signature)
        )
    assert Envelope.parse(envelope.render()) == envelope


def test_a_key_that_signs_again_replaces_its_signature():
    assert ALICE.sign_envelope(SIGNED) == SIGNED
    assert len(SIGNED.signatures) == 2


def test_the_order_of_signing_leaves_no_trace():
    assert ALICE.sign_envelope(BOB.sign_envelope(ENVELOPE)) == SIGNED


# --- spellings ------------------------------------------------------------------------------------------

BASE64 = {
    "newline": "aGVsbG8gd29ybGQ=\n",
    "space": "aGVs bG8gd29ybGQ=",
    "no padding": "aGVsbG8gd29ybGQ",
    "too much padding": "aGVsbG8gd29ybGQ==",
    "padding inside": "aGVs=bG8gd29ybGQ=",
    "set bits before the padding": "aGVsbG8gd29ybGR=",
    "URL alphabet": "_-__",
    "not base64": "!!!!",
    "beyond ASCII": "aGVsbG8é",
    "full-width": "ａGVsbG8=",
}


@pytest.mark.parametrize("text", BASE64.values(), ids=BASE64)
def test_another_base64_spelling_of_the_payload_is_refused(text):
    with pytest.raises(FormatError) as caught:
        Envelope.parse(spoiled(RENDERED, lambda d: d.update(payload=text)), where="review")
    assert caught.value.where == "review.payload"


@pytest.mark.parametrize("text", BASE64.values(), ids=BASE64)
def test_another_base64_spelling_of_a_signature_is_refused(text):
    with pytest.raises(FormatError) as caught:
        Envelope.parse(spoiled(RENDERED, lambda d: d["signatures"][1].update(sig=text)))
    assert caught.value.where == "envelope.signatures[1].sig"


SPOILS = {
    "an unknown key": (lambda d: d.update(x=1), "envelope"),
    "an unknown key in a signature": (
        lambda d: d["signatures"][0].update(cert="x"),
        "envelope.signatures[0]",
    ),
    "no payload": (lambda d: d.pop("payload"), "envelope.payload"),
    "no type": (lambda d: d.pop("payloadType"), "envelope.payloadType"),
    "no signatures": (lambda d: d.pop("signatures"), "envelope.signatures"),
    "signatures null": (lambda d: d.update(signatures=None), "envelope.signatures"),
    "no key id": (lambda d: d["signatures"][0].pop("keyid"), "envelope.signatures[0].keyid"),
    "empty key id": (lambda d: d["signatures"][0].update(keyid=""), "envelope.signatures[0].keyid"),
    "upper-case key id": (
        lambda d: d["signatures"][0].update(keyid=d["signatures"][0]["keyid"].upper()),
        "envelope.signatures[0].keyid",
    ),
    "one key twice": (lambda d: d["signatures"].append(d["signatures"][1]), "envelope"),
    "one key twice with two signatures": (
        lambda d: d["signatures"][0].update(keyid=d["signatures"][1]["keyid"]),
        "envelope",
    ),
    "signatures unsorted": (lambda d: d["signatures"].reverse(), "envelope"),
    "a payload that is an object": (lambda d: d.update(payload={}), "envelope.payload"),
}


@pytest.mark.parametrize(("spoil", "where"), SPOILS.values(), ids=SPOILS)
def test_a_malformed_envelope_is_refused_at_its_place(spoil, where):
    with pytest.raises(FormatError) as caught:
        Envelope.parse(spoiled(RENDERED, spoil))
    assert caught.value.where == where


def test_more_signatures_than_the_limit_are_refused():
    rows = [{"keyid": sha256_of(bytes([n])), "sig": "AAAA"} for n in range(MAX_SIGNATURES + 1)]
    rows.sort(key=lambda row: row["keyid"])
    with pytest.raises(FormatError, match="more than 32"):
        Envelope.parse(spoiled(RENDERED, lambda d: d.update(signatures=rows)))


def test_whitespace_is_another_spelling():
    for data in (RENDERED + b"\n", json.dumps(json.loads(RENDERED)).encode()):
        with pytest.raises(FormatError):
            Envelope.parse(data)


# --- who signed -----------------------------------------------------------------------------------------


def test_only_correct_signatures_by_given_keys_count():
    assert envelope_signers(SIGNED, [ALICE.public_key]) == (ALICE.public_key,)
    assert envelope_signers(SIGNED, [MALLORY.public_key]) == ()
    assert envelope_signers(SIGNED, []) == ()


def test_a_signature_under_another_persons_id_counts_for_nobody():
    stolen = MALLORY.sign_envelope(ENVELOPE).signatures[0].signature
    forged = ENVELOPE.with_signature(EnvelopeSignature(keyid=ALICE.public_key.keyid, signature=stolen))
    assert envelope_signers(forged, [ALICE.public_key, MALLORY.public_key]) == ()


@pytest.mark.parametrize("part", ["payload", "payload_type"])
def test_a_signature_covers_payload_and_type(part):
    other = {"payload": SIGNED.payload, "payload_type": SIGNED.payload_type}
    other[part] = b"hello World" if part == "payload" else "http://example.com/HelloWorle"
    moved = Envelope(**other, signatures=SIGNED.signatures)
    assert envelope_signers(moved, [ALICE.public_key, BOB.public_key]) == ()


@pytest.mark.parametrize("length", [0, 1, 32, 63, 65, 128, 6_000])
def test_a_signature_of_another_length_counts_for_nothing(length):
    odd = ENVELOPE.with_signature(EnvelopeSignature(keyid=ALICE.public_key.keyid, signature=b"\xff" * length))
    assert envelope_signers(Envelope.parse(odd.render()), [ALICE.public_key]) == ()


def test_every_flipped_bit_of_a_signature_counts_for_nothing():
    good = ALICE.sign_envelope(ENVELOPE).signatures[0]
    for at in range(64):
        bad = bytearray(good.signature)
        bad[at] ^= 0x10
        envelope = ENVELOPE.with_signature(EnvelopeSignature(keyid=good.keyid, signature=bytes(bad)))
        assert envelope_signers(envelope, [ALICE.public_key]) == ()


def test_a_second_spelling_of_a_signature_never_counts_as_a_second_signer():
    """Ed25519 malleability: some libraries accept S + L beside S (RFC 8032 5.1.7 refuses it).

    Whether it counts is the library's decision; that one key counts once is ours.
    """
    order = 2**252 + 27742317777372353535851937790883648493
    good = ALICE.sign_envelope(ENVELOPE).signatures[0]
    scalar = int.from_bytes(good.signature[32:], "little") + order
    twin = EnvelopeSignature(keyid=good.keyid, signature=good.signature[:32] + scalar.to_bytes(32, "little"))
    assert envelope_signers(ENVELOPE.with_signature(twin), [ALICE.public_key]) in {(), (ALICE.public_key,)}
    with pytest.raises(FormatError):
        Envelope(payload_type="x", payload=b"", signatures=tuple(sorted([good, twin])))


def test_base64_of_the_empty_payload_is_the_empty_text():
    empty = Envelope(payload_type="x", payload=b"")
    assert json.loads(empty.render())["payload"] == base64.b64encode(b"").decode() == ""
    assert Envelope.parse(empty.render()) == empty
