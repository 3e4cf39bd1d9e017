import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from repo_server.pkgrepo.catalogue import read_catalogue
from repo_server.pkgrepo.fingerprints import FingerprintAnchors, fingerprint_of, load_anchors
from repo_server.pkgrepo.public_keys import KeyKind, load_public_key
from repo_server.pkgrepo.signatures import Signature, check_fingerprints, check_pubkey, check_signature
from signing.errors import (
    BadSignatureError,
    CouldNotVerifyError,
    FormatError,
    RejectedError,
    RevokedError,
    VerificationError,
)
from signing.format.digest import Sha256
from tests.support.pkg_archives import DATA, repository

A, B = (fingerprint_of((DATA / "keys" / f"rsa-{name}.pub").read_bytes()) for name in "ab")
KEYS = {"rsa": "rsa-a", "ecdsa": "ecdsa-ossl", "eddsa": "eddsa-a"}
KINDS = list(KEYS)


def signed(kind: str, archive: str = "data.pkg") -> tuple[bytes, tuple[Signature, ...]]:
    found = read_catalogue((repository(kind) / archive).read_bytes(), "data")
    return found.payload, found.signatures


def trusting(*trusted: Sha256, revoked: tuple[Sha256, ...] = ()) -> FingerprintAnchors:
    return FingerprintAnchors(trusted=frozenset(trusted), revoked=frozenset(revoked))


def key_of(kind: str) -> bytes:
    return (DATA / "keys" / f"{KEYS[kind]}.pub").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_fingerprint_signatures_of_real_pkg(kind: str) -> None:
    payload, signatures = signed(f"fp-{kind}")
    anchors = load_anchors(DATA / "fingerprints" / {"rsa": "a"}.get(kind, kind))
    assert check_fingerprints(payload, signatures, anchors) == tuple(anchors.trusted)
    assert [item.kind().value for item in signatures] == [kind]
    with pytest.raises(BadSignatureError, match="changed"):
        check_fingerprints(payload + b" ", signatures, anchors)


@pytest.mark.parametrize("kind", KINDS)
def test_pubkey_signatures_of_real_pkg(kind: str) -> None:
    payload, signatures = signed(f"pubkey-{kind}")
    assert check_pubkey(payload, signatures, key_of(kind)).value == kind
    with pytest.raises(BadSignatureError):
        check_pubkey(payload + b" ", signatures, key_of(kind))
    for other in KINDS:
        if other != kind:
            with pytest.raises(RejectedError):
                check_pubkey(payload, signatures, key_of(other))


@pytest.mark.parametrize("style", ["fp", "pubkey"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_bit_of_a_signature_can_be_changed(style: str, kind: str) -> None:
    payload, (signature,) = signed(f"{style}-{kind}")
    for place in range(len(signature.value)):
        value = bytearray(signature.value)
        value[place] ^= 1
        changed = Signature(name=signature.name, value=bytes(value), certificate=signature.certificate)
        with pytest.raises(RejectedError):  # noqa: PT012
            if style == "fp":
                check_signature(payload, changed)
            else:
                check_pubkey(payload, [changed], key_of(kind))


def test_exactly_one_zero_is_dropped_from_an_rsa_signature_of_a_pubkey_repository() -> None:
    payload, (signature,) = signed("pubkey-rsa")
    assert signature.value.endswith(b"\0")
    for value, good in (
        (signature.value, True),
        (signature.value[:-1], True),
        (signature.value + b"\0", False),
        (signature.value[:-1] + b"\1", False),
        (signature.value[:-2], False),
    ):
        changed = [Signature(name="signature", value=value)]
        if good:
            check_pubkey(payload, changed, key_of("rsa"))
        else:
            with pytest.raises(BadSignatureError):
                check_pubkey(payload, changed, key_of("rsa"))
    payload, (by_fingerprint,) = signed("fp-rsa")
    with pytest.raises(BadSignatureError):
        check_signature(
            payload,
            Signature(
                name="data", value=by_fingerprint.value + b"\0", certificate=by_fingerprint.certificate
            ),
        )


@pytest.mark.parametrize("trusted", [(A,), (B,), (A, B)], ids=["old", "new", "both"])
def test_of_two_signatures_one_is_enough(trusted: tuple[Sha256, ...]) -> None:
    payload, signatures = signed("fp-rsa-dualsig")
    assert check_fingerprints(payload, signatures, trusting(*trusted)) == tuple(sorted(trusted))


def test_any_revoked_certificate_refuses_everything() -> None:
    payload, signatures = signed("fp-rsa-dualsig")
    for revoked in (A, B):
        with pytest.raises(RevokedError):
            check_fingerprints(payload, signatures, trusting(A, B, revoked=(revoked,)))
        with pytest.raises(RevokedError):
            check_fingerprints(payload, signatures, trusting(A if revoked == B else B, revoked=(revoked,)))
    with pytest.raises(RevokedError):
        check_fingerprints(*signed("fp-rsa"), load_anchors(DATA / "fingerprints" / "a-revoked"))


def test_a_trusted_certificate_beside_a_signature_it_did_not_make_is_nothing() -> None:
    payload, signatures = signed("fp-rsa-mixedsig")
    with pytest.raises(BadSignatureError):
        check_fingerprints(payload, signatures, trusting(A))
    assert check_fingerprints(payload, signatures, trusting(B)) == (B,)


def test_nobody_trusted_strangers_and_no_signature_are_refused() -> None:
    payload, signatures = signed("fp-rsa")
    with pytest.raises(CouldNotVerifyError):
        check_fingerprints(payload, signatures, trusting())
    with pytest.raises(VerificationError, match=A[:16]):
        check_fingerprints(payload, signatures, trusting(B))
    with pytest.raises(BadSignatureError, match="not signed"):
        check_fingerprints(*signed("fp-rsa-nosig"), trusting(A))
    with pytest.raises(BadSignatureError, match="not signed"):
        check_fingerprints(*signed("pubkey-rsa"), trusting(A))
    with pytest.raises(BadSignatureError, match="not signed"):
        check_pubkey(payload, signatures, key_of("rsa"))
    with pytest.raises(BadSignatureError, match="not signed"):
        check_pubkey(*signed("unsigned"), key_of("rsa"))


@pytest.mark.parametrize(
    "header", [b"$PKGSIGN:dsa$", b"$PKGSIGN:RSA$", b"$PKGSIGN:$", b"$PKGSIGN:rsa", b"$PKGSIGN"]
)
def test_a_kind_that_nobody_knows_refuses_also_beside_a_good_signature(header: bytes) -> None:
    payload, (good,) = signed("fp-rsa")
    strange = Signature(name="x", value=header + b"s", certificate=header + b"c")
    with pytest.raises(BadSignatureError):
        check_fingerprints(payload, (good, strange), trusting(A))
    with pytest.raises(BadSignatureError):
        check_fingerprints(payload, (strange, good), trusting(A))


def test_signature_and_certificate_are_of_one_kind() -> None:
    payload, (good,) = signed("fp-ecdsa")
    mixed = Signature(
        name="x", value=good.value, certificate=(good.certificate or b"").replace(b"ecdsa", b"eddsa")
    )
    with pytest.raises(BadSignatureError, match="two kinds"):
        check_signature(payload, mixed)


def test_too_many_signatures_are_not_tried() -> None:
    payload, (good,) = signed("fp-rsa")
    with pytest.raises(BadSignatureError, match="more than"):
        check_fingerprints(payload, [good] * 9, trusting(A))


@pytest.mark.parametrize("bits", [1024, 2048])
def test_rsa_keys_that_mean_nothing_are_refused(bits: int) -> None:
    key = rsa.generate_private_key(65537, bits)
    certificate = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    digest = hashlib.sha256(b"payload").hexdigest().encode()
    item = Signature(name="x", value=key.sign(digest, padding.PKCS1v15(), SHA256()), certificate=certificate)
    if bits >= 2048:
        check_signature(b"payload", item)
    else:
        with pytest.raises(FormatError, match="bits"):
            check_signature(b"payload", item)


def test_what_is_signed_is_the_text_of_the_digest_and_nothing_else() -> None:
    key = rsa.generate_private_key(65537, 2048)
    certificate = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    digest = hashlib.sha256(b"payload")
    for message in (
        b"payload",
        digest.digest(),
        digest.hexdigest().encode() + b"\n",
        digest.hexdigest().upper().encode(),
    ):
        item = Signature(
            name="x", value=key.sign(message, padding.PKCS1v15(), SHA256()), certificate=certificate
        )
        with pytest.raises(BadSignatureError):
            check_signature(b"payload", item)


@pytest.mark.parametrize("curve", [ec.SECP256K1(), ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1(), ec.BrainpoolP256R1()],
                         ids=lambda curve: curve.name)  # fmt: skip
def test_ecdsa_on_the_curves_of_pkg_also_in_pkgs_own_form(curve: ec.EllipticCurve) -> None:
    from repo_server.pkgrepo.der import BIT_STRING, BOOLEAN, SEQUENCE, UTF8, der, der_integer

    key = ec.generate_private_key(curve)
    signature = b"$PKGSIGN:ecdsa$" + key.sign(
        hashlib.sha256(b"payload").hexdigest().encode(), ec.ECDSA(SHA256())
    )
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    name = {"secp521r1": b"SECP512R1"}.get(curve.name, curve.name.upper().encode())
    own = der(SEQUENCE, der(UTF8, b"pkg"), der_integer(1), der(UTF8, b"ecc"), der(UTF8, name), der(BOOLEAN, b"\xff"),
              der(BIT_STRING, b"\0" + point))  # fmt: skip
    for certificate in (spki, own):
        item = Signature(name="x", value=signature, certificate=b"$PKGSIGN:ecdsa$" + certificate)
        check_signature(b"payload", item)
        with pytest.raises(BadSignatureError):
            check_signature(b"other", item)
    wrong = own.replace(point, point[:-1] + bytes([point[-1] ^ 1]))
    with pytest.raises(FormatError):
        check_signature(
            b"payload", Signature(name="x", value=signature, certificate=b"$PKGSIGN:ecdsa$" + wrong)
        )


def test_ed25519_keys_in_weierstrass_form() -> None:
    def load(data: bytes) -> bytes:
        public = load_public_key(KeyKind.EDDSA, data, where="test")
        return public.public_bytes(Encoding.Raw, PublicFormat.Raw)

    container = key_of("eddsa")
    assert load(container).hex() == "fb3b0cb489bb420c30ed5bdd8e97a88fa9990a02dcfc46811e0944810e27b084"
    for place in range(len(container)):
        changed = bytearray(container)
        changed[place] ^= 1
        with pytest.raises(FormatError):
            load(bytes(changed))
    for wrong in (b"", container[:-1], container + b"\0", container[:44] + bytes(66)):
        with pytest.raises(FormatError):
            load(wrong)


@pytest.mark.parametrize(
    "value",
    [b"", b"\x30", b"\x30\x80\x00\x00", b"\x30\x03\x02\x01\x01", b"\x30\x06\x02\x01\x81\x02\x01\x01", b"\x30\x07\x02\x02\x00\x01\x02\x01\x01",
     b"\x30\x81\x06\x02\x01\x01\x02\x01\x01", b"\x30\x06\x02\x01\x01\x02\x01\x01x", b"\x30" + b"\x84\xff\xff\xff\xff"],
    ids=lambda value: value.hex()[:20],
)  # fmt: skip
def test_signatures_that_are_no_der_are_refused(value: bytes) -> None:
    payload, (good,) = signed("fp-eddsa")
    with pytest.raises(FormatError):
        check_signature(
            payload, Signature(name="x", value=b"$PKGSIGN:eddsa$" + value, certificate=good.certificate)
        )
