"""Keys that anybody could sign for, signatures that can be bent, and anchors that anybody can move."""

import hashlib
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from repo_server.pkgrepo.certificates import Certificate, split_certificate
from repo_server.pkgrepo.der import BIT_STRING, BOOLEAN, OBJECT, SEQUENCE, UTF8, der, der_integer
from repo_server.pkgrepo.fingerprints import (
    FingerprintAnchors,
    fingerprint_of,
    load_anchors,
    load_revoked,
    render_fingerprint,
    write_anchors,
)
from repo_server.pkgrepo.keys import PrivateKeySigner, load_certificate
from repo_server.pkgrepo.signatures import Signature, check_fingerprints, check_signature
from repo_server.pkgrepo.wei25519 import wei25519_certificate
from signing.errors import (
    BadSignatureError,
    CouldNotVerifyError,
    FormatError,
    HostError,
    KeyAccessError,
    RejectedError,
    RevokedError,
)
from signing.format.digest import Sha256

PAYLOAD = b"payload"
H = hashlib.sha256(PAYLOAD).hexdigest().encode()
ORDER = 2**252 + 27742317777372353535851937790883648493  # of the base point of Ed25519
P = 2**255 - 19


def item(value: bytes, certificate: bytes) -> Signature:
    return Signature(name="data", value=value, certificate=certificate)


def trusting(*items: Signature) -> FingerprintAnchors:
    """A client that trusts whoever signed: the operator was talked into it."""
    return FingerprintAnchors(trusted=frozenset(fingerprint_of(item.certificate or b"") for item in items))


def refused(signature: Signature, error: type[Exception] = RejectedError, said: str | None = None) -> None:
    with pytest.raises(error, match=said):
        check_signature(PAYLOAD, signature)
    with pytest.raises(RejectedError):
        check_fingerprints(PAYLOAD, [signature], trusting(signature))


def spki(modulus: int, exponent: int) -> bytes:
    algorithm = der(SEQUENCE, der(OBJECT, bytes.fromhex("2a864886f70d010101")), der(5))
    key = der(SEQUENCE, der_integer(modulus), der_integer(exponent))
    return der(SEQUENCE, algorithm, der(BIT_STRING, b"\0" + key))


# --- keys that mean nothing ------------------------------------------------------------------------


def test_rsa_with_the_exponent_one_is_signed_by_writing_the_padding_down() -> None:
    info = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(H).digest()
    forged = b"\0\1" + b"\xff" * (256 - 3 - len(info)) + b"\0" + info
    modulus = (1 << 2047) + 12345
    assert pow(int.from_bytes(forged, "big"), 1, modulus) == int.from_bytes(forged, "big")
    refused(item(forged, spki(modulus, 1)), FormatError)


@pytest.mark.parametrize("exponent", [0, 2, 4, (1 << 64) + 1, (1 << 2000) + 1], ids=hex)
def test_rsa_with_an_exponent_that_nobody_uses(exponent: int) -> None:
    refused(item(bytes(256), spki((1 << 2047) + 12345, exponent)), FormatError)


def test_rsa_of_few_bits() -> None:
    key = rsa.generate_private_key(65537, 1024)
    certificate = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    refused(item(key.sign(H, padding.PKCS1v15(), SHA256()), certificate), FormatError, "1024 bits")
    with pytest.raises(FormatError, match="1024 bits"):
        split_certificate(certificate)  # nor is its fingerprint written for clients to trust
    refused(item(bytes(64), spki((1 << 511) + 187, 65537)), FormatError, "512 bits")


@pytest.mark.parametrize("curve", [ec.SECP192R1(), ec.SECP224R1()], ids=lambda curve: curve.name)
def test_ecdsa_on_a_small_curve(curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    certificate = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    value = key.sign(H, ec.ECDSA(SHA256()))
    refused(item(b"$PKGSIGN:ecdsa$" + value, b"$PKGSIGN:ecdsa$" + certificate), FormatError, "curve")
    with pytest.raises(FormatError):
        PrivateKeySigner(key)


def small_points() -> list[tuple[int, int]]:
    """Points of order 4 and 8 of the curve, as u and v of its Montgomery form."""
    a = 486662
    found = [1]  # of order 4
    half = root_of(a + 2)
    assert half is not None
    for t in (1 + half, 1 - half):  # of order 8: doubling leads to u = 1 where u = t ± sqrt(t² - 1)
        if (r := root_of(t * t - 1)) is not None:
            found += [(t + r) % P, (t - r) % P]
    curve = [(u, root_of(u * (u * u + a * u + 1))) for u in found]
    return [(u, v) for u, v in curve if v is not None]


def root_of(square: int) -> int | None:
    square %= P
    root = pow(square, (P + 3) // 8, P)
    if root * root % P != square:
        root = root * pow(2, (P - 1) // 4, P) % P
    return root if root * root % P == square else None


def test_eddsa_keys_of_small_order() -> None:
    """For such a key S = 0 and R of small order is a signature over one of eight texts, and no secret is needed."""
    points = small_points()
    assert len(points) > 1
    zero = b"$PKGSIGN:eddsa$" + der(
        SEQUENCE, der_integer(int.from_bytes(b"\1" + bytes(31), "big")), der_integer(0)
    )
    for u, v in points:
        x = (u + 486662 * pow(3, -1, P)) % P
        point = b"\x00\x04" + x.to_bytes(32, "big") + v.to_bytes(32, "big")
        certificate = der(
            SEQUENCE, der(UTF8, b"pkg"), der_integer(1), der(UTF8, b"ecc"), der(UTF8, b"WEI25519"),
            der(BOOLEAN, b"\xff"), der(BIT_STRING, point),
        )  # fmt: skip
        refused(item(zero, b"$PKGSIGN:eddsa$" + certificate), FormatError, "small order")
    for public in (bytes(32), b"\1" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f"):
        with pytest.raises(FormatError, match="small order"):
            wei25519_certificate(public)


def test_a_certificate_in_another_spelling_is_not_pinned() -> None:
    """Another spelling is another fingerprint: what is shown and revoked would not be what clients see."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    full = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pressed = key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    algorithm = full[2 : -len(point) - 3]
    other = der(SEQUENCE, algorithm, der(BIT_STRING, b"\0" + pressed))
    assert Certificate.parse(b"$PKGSIGN:ecdsa$" + full).data == full
    with pytest.raises(FormatError):
        Certificate.parse(b"$PKGSIGN:ecdsa$" + other)


# --- signatures that can be bent -------------------------------------------------------------------


def test_eddsa_with_s_beyond_the_order_is_another_signature_over_the_same() -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    signer = PrivateKeySigner(private)
    good = signer.sign(PAYLOAD)
    first, second = utils.decode_dss_signature(good)
    check_signature(PAYLOAD, item(b"$PKGSIGN:eddsa$" + good, b"$PKGSIGN:eddsa$" + signer.certificate))
    scalar = int.from_bytes(second.to_bytes(32, "big"), "little") + ORDER
    bent = int.from_bytes(scalar.to_bytes(32, "little"), "big")
    for numbers in ((first, bent), (first + (1 << 256), second), (first,), (first, second, 1)):
        value = b"$PKGSIGN:eddsa$" + der(SEQUENCE, *(der_integer(number) for number in numbers))
        refused(item(value, b"$PKGSIGN:eddsa$" + signer.certificate))


def test_ecdsa_signatures_are_written_in_one_way() -> None:
    """(r, n - s) verifies too and changes the file: the index, which names it by its digest, refuses that."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    r, s = utils.decode_dss_signature(key.sign(H, ec.ECDSA(SHA256())))
    long = der(SEQUENCE, der(2, b"\0" * 2 + r.to_bytes(32, "big")), der_integer(s))
    trailing = der(SEQUENCE, der_integer(r), der_integer(s)) + b"\0"
    for value in (long, trailing, der(SEQUENCE, der_integer(0), der_integer(s)), b""):
        refused(item(b"$PKGSIGN:ecdsa$" + value, b"$PKGSIGN:ecdsa$" + certificate))


def test_der_without_end_is_not_read() -> None:
    signer = PrivateKeySigner(ed25519.Ed25519PrivateKey.generate())
    many = der(SEQUENCE, *[der_integer(1)] * 40)
    huge = der(SEQUENCE, *[der_integer(1)] * 300_000)
    for value in (many, huge):
        refused(
            item(b"$PKGSIGN:eddsa$" + value, b"$PKGSIGN:eddsa$" + signer.certificate), FormatError, "DER|more"
        )
    refused(item(bytes(256), b"-----BEGIN PUBLIC KEY-----\n" + b"A" * (1 << 20)), FormatError, "larger")


def test_two_signatures_by_one_certificate_of_which_clients_look_at_either() -> None:
    signer = PrivateKeySigner(ec.generate_private_key(ec.SECP256R1()))
    certificate = b"$PKGSIGN:ecdsa$" + signer.certificate
    good = item(b"$PKGSIGN:ecdsa$" + signer.sign(PAYLOAD), certificate)
    bad = item(b"$PKGSIGN:ecdsa$" + signer.sign(b"something else"), certificate)
    for pair in ([good, bad], [bad, good], [good, good]):
        with pytest.raises(BadSignatureError, match="two signatures by one"):
            check_fingerprints(PAYLOAD, pair, trusting(good))


def test_revoked_beats_trusted_under_any_header() -> None:
    signer = PrivateKeySigner(rsa.generate_private_key(65537, 2048))
    good = item(signer.sign(PAYLOAD), signer.certificate)
    revoked = FingerprintAnchors(
        trusted=frozenset({signer.fingerprint}), revoked=frozenset({signer.fingerprint})
    )
    assert check_fingerprints(PAYLOAD, [good], trusting(good)) == (signer.fingerprint,)
    for header in (b"", b"$PKGSIGN:rsa$", b"$PKGSIGN:other$"):
        with pytest.raises(RevokedError):
            check_fingerprints(PAYLOAD, [item(good.value, header + signer.certificate)], revoked)


# --- anchors that anybody can move -----------------------------------------------------------------

A, B = Sha256("a" * 64), Sha256("a" * 16 + "b" * 48)


@pytest.mark.parametrize("name", ["trusted", "revoked"])
@pytest.mark.parametrize("where", ["folder", "file"])
def test_what_anybody_may_write_is_no_anchor(tmp_path: Path, name: str, where: str) -> None:
    write_anchors(tmp_path, FingerprintAnchors(trusted=frozenset({A}), revoked=frozenset({A})))
    (file,) = (tmp_path / name).iterdir()
    (file if where == "file" else file.parent).chmod(0o777)
    with pytest.raises(CouldNotVerifyError, match="anybody may write"):
        load_anchors(tmp_path)


@pytest.mark.parametrize("to", ["nowhere", "elsewhere"])
@pytest.mark.parametrize("name", ["trusted", "revoked"])
def test_a_link_in_the_place_of_a_folder_does_not_read_as_nothing_revoked(
    tmp_path: Path, name: str, to: str
) -> None:
    folder = tmp_path / "anchors"
    write_anchors(folder, FingerprintAnchors(trusted=frozenset({A}), revoked=frozenset({B})))
    write_anchors(tmp_path / "elsewhere", FingerprintAnchors(trusted=frozenset({B})))
    (folder / name).rename(tmp_path / "moved")
    (folder / name).symlink_to(tmp_path / to / name)
    with pytest.raises(FormatError, match="not a folder"):
        load_anchors(folder)
    with pytest.raises((FormatError, HostError)):
        write_anchors(folder, FingerprintAnchors(trusted=frozenset({A})))
    assert load_anchors(tmp_path / "elsewhere").trusted == {B}


def test_revoking_a_key_does_not_forget_one_whose_name_begins_alike(tmp_path: Path) -> None:
    """64 bits alike are 2^33 keys to try: whoever was revoked has their next key revoked too, and is back."""
    write_anchors(tmp_path, FingerprintAnchors(trusted=frozenset(), revoked=frozenset({A})))
    both = FingerprintAnchors(trusted=frozenset(), revoked=frozenset({A, B}))
    write_anchors(tmp_path, both)
    assert load_anchors(tmp_path) == both
    other = tmp_path / "other"
    write_anchors(other, both)
    assert load_anchors(other) == both
    (other / "revoked" / B).write_bytes(render_fingerprint(Sha256("c" * 64)))
    with pytest.raises(FormatError, match="holds another"):
        write_anchors(other, both)
    assert load_anchors(other).revoked == {A, "c" * 64}


def test_what_is_revoked_counts_also_beside_no_trusted(tmp_path: Path) -> None:
    assert load_revoked(tmp_path / "none") == frozenset()
    (tmp_path / "revoked").mkdir()
    (tmp_path / "revoked" / "x").write_bytes(render_fingerprint(A))
    assert load_revoked(tmp_path) == {A}
    (tmp_path / "revoked" / "y").write_bytes(b"not a fingerprint")
    with pytest.raises(FormatError):
        load_revoked(tmp_path)


def test_a_pinned_certificate_that_anybody_may_write_pins_nothing(tmp_path: Path) -> None:
    pin = tmp_path / "next.pkg.pub"
    signer = PrivateKeySigner(ec.generate_private_key(ec.SECP256R1()))
    pin.write_bytes(b"$PKGSIGN:ecdsa$" + signer.certificate)
    assert Certificate.parse(load_certificate(pin)).fingerprint == signer.fingerprint
    os.chmod(pin, 0o666)  # noqa: PTH101
    with pytest.raises(KeyAccessError, match="anybody may write"):
        load_certificate(pin)
