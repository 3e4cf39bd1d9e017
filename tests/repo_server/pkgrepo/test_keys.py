"""Keys that sign for pkg: sealed, never shown, and nothing unverified leaves them."""

import os
import shutil
import stat
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from nacl.bindings import crypto_scalarmult_ed25519_base_noclamp

from repo_server.pkgrepo.certificates import Certificate, split_certificate
from repo_server.pkgrepo.keys import PrivateKeySigner, VerifiedSigner, load_certificate, load_key, new_key
from repo_server.pkgrepo.keys_by_uri import UriSigner, is_key_uri
from repo_server.pkgrepo.public_keys import KeyKind
from repo_server.pkgrepo.wei25519 import wei25519_certificate
from signing.errors import ConflictError, FormatError, KeyAccessError, UsageError
from signing.format.digest import sha256_of
from signing.format.names import HolderName
from tests.repo_server.pkgrepo.signing_keys import DATA, fixture_signer, fresh_signer, raw_public

NAME = HolderName("builder")
SECRET = "correct horse battery"
H = sha256_of(b"payload")


def made(folder, kind=KeyKind.ECDSA):
    return new_key(folder, NAME, kind=kind, passphrase=SECRET)


@pytest.mark.parametrize("kind", list(KeyKind))
def test_a_new_key_is_sealed_private_and_signs(tmp_path, kind):
    key = made(tmp_path / "keys", kind)
    signer = load_key(key.key_file, passphrase=lambda _: SECRET)
    assert signer.kind is kind
    assert signer.fingerprint == key.fingerprint
    signer.sign(b"payload")
    assert stat.S_IMODE(key.key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.key_file.parent.stat().st_mode) == 0o700
    assert b"ENCRYPTED PRIVATE KEY" in key.key_file.read_bytes()
    assert split_certificate(key.certificate_file.read_bytes()) == (kind, signer.certificate)


def test_the_certificates_are_those_of_real_pkg():
    for name, file in (("rsa-a", "rsa-a.pub"), ("rsa-b", "rsa-b.pub"), ("ecdsa-ossl", "ecdsa-ossl.pub")):
        assert fixture_signer(name).certificate == (DATA / "keys" / file).read_bytes()
    trusted = (DATA / "fingerprints" / "a" / "trusted" / "demo.2026a").read_text()
    assert fixture_signer("rsa-a").fingerprint in trusted


def test_an_ed25519_certificate_is_the_point_that_real_pkg_writes():
    # The public half of the fixture's key: its private scalar times the base point, by libsodium.
    private = (DATA / "keys" / "TEST-ONLY-eddsa-a.key").read_bytes()
    scalar = int.from_bytes(private[-64:-32], "little") % (2**252 + 27742317777372353535851937790883648493)
    public = crypto_scalarmult_ed25519_base_noclamp(scalar.to_bytes(32, "little"))
    assert public.hex() == "fb3b0cb489bb420c30ed5bdd8e97a88fa9990a02dcfc46811e0944810e27b084"
    certificate = (DATA / "keys" / "eddsa-a.pub").read_bytes()
    assert wei25519_certificate(public) == certificate
    negated = public[:31] + bytes([public[31] ^ 0x80])
    assert wei25519_certificate(negated) != certificate


@pytest.mark.parametrize(
    "public",
    [b"\x01" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f", b"\xff" * 32, b"\x02" + bytes(31), b"short"],
    ids=["neutral", "order-two", "above-p", "off-the-curve", "short"],
)
def test_what_is_no_point_has_no_certificate(public):
    with pytest.raises(FormatError):
        wei25519_certificate(public)


def test_an_ed25519_signature_is_two_numbers():
    private = ed25519.Ed25519PrivateKey.generate()
    first, second = utils.decode_dss_signature(PrivateKeySigner(private).sign(b"payload"))
    raw = private.sign(H.encode())
    assert first.to_bytes(32, "big") + second.to_bytes(32, "big") == raw
    assert raw_public(private) != raw


@pytest.mark.parametrize("kind", list(KeyKind))
def test_signatures_are_the_same_each_time(kind):
    signer = fresh_signer(kind)
    assert signer.sign(b"payload") == signer.sign(b"payload") == signer.sign_digest(H)
    assert signer.sign(b"payload") != signer.sign(b"another")


def test_another_keys_name_is_left_alone(tmp_path):
    key = made(tmp_path)
    before = key.key_file.read_bytes(), key.certificate_file.read_bytes()
    with pytest.raises(ConflictError):
        made(tmp_path, KeyKind.RSA)
    assert (key.key_file.read_bytes(), key.certificate_file.read_bytes()) == before


def test_a_private_key_is_not_put_beside_a_strangers_certificate(tmp_path):
    (tmp_path / "builder.pkg.pub").write_text("somebody else's")
    with pytest.raises(ConflictError):
        made(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["builder.pkg.pub"]


@pytest.mark.parametrize("passphrase", ["", "\ud800"], ids=["empty", "not-unicode"])
def test_a_passphrase_that_seals_nothing(tmp_path, passphrase):
    with pytest.raises(KeyAccessError):
        new_key(tmp_path / "keys", NAME, kind=KeyKind.ECDSA, passphrase=passphrase)
    assert not (tmp_path / "keys").exists()


def test_a_wrong_passphrase_tells_nothing(tmp_path):
    key = made(tmp_path)
    with pytest.raises(KeyAccessError) as refused:
        load_key(key.key_file, passphrase=lambda _: "a wrong guess")
    assert "a wrong guess" not in f"{refused.value!r}{refused.value.to_document()}"
    assert refused.value.__cause__ is None


def test_a_key_that_others_may_read_is_not_used(tmp_path):
    key = made(tmp_path)
    key.key_file.chmod(0o640)
    with pytest.raises(KeyAccessError, match="others may read"):
        load_key(key.key_file, passphrase=lambda _: pytest.fail("the passphrase was asked for"))


def test_links_and_pipes_are_no_key_files(tmp_path):
    key = made(tmp_path)
    (tmp_path / "link.pkg.key").symlink_to(key.key_file)
    os.mkfifo(tmp_path / "pipe.pkg.key", 0o600)
    for name in ("link", "pipe", "missing"):
        with pytest.raises(KeyAccessError):
            load_key(tmp_path / f"{name}.pkg.key", passphrase=lambda _: SECRET)


def test_an_open_key_is_not_used(tmp_path):
    path = tmp_path / "builder.pkg.key"
    shutil.copy(DATA / "keys" / "TEST-ONLY-rsa-a.key", path)
    path.chmod(0o600)
    with pytest.raises(KeyAccessError, match="not a sealed key") as refused:
        load_key(path, passphrase=lambda _: SECRET)
    assert "openssl pkcs8" in refused.value.hint


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")
def test_the_hint_for_an_open_key_works(tmp_path):
    path = tmp_path / "builder.pkg.key"
    words = ["openssl", "pkcs8", "-topk8", "-scrypt", "-passout", "pass:" + SECRET, "-out", path]
    subprocess.run([*words, "-in", DATA / "keys" / "TEST-ONLY-rsa-a.key"], check=True, capture_output=True)
    path.chmod(0o600)
    assert load_key(path, passphrase=lambda _: SECRET).fingerprint == fixture_signer("rsa-a").fingerprint


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")
def test_a_new_key_opens_with_openssl_too(tmp_path):
    key = made(tmp_path)
    words = [
        "openssl",
        "pkey",
        "-in",
        key.key_file,
        "-passin",
        "pass:" + SECRET,
        "-pubout",
        "-outform",
        "DER",
    ]
    assert (
        subprocess.run(words, check=True, capture_output=True).stdout
        == load_key(key.key_file, passphrase=lambda _: SECRET).certificate
    )


def test_a_short_rsa_key_is_not_used():
    private = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    with pytest.raises(FormatError, match="1024 bits"):
        PrivateKeySigner(private)


class Faulty(VerifiedSigner):
    """A signer elsewhere that hands back what it is told to."""

    def __init__(self, certificate, answer):
        super().__init__(certificate)
        self.answer = answer

    def _sign(self, message):
        return self.answer(message)


@pytest.mark.parametrize("kind", list(KeyKind))
@pytest.mark.parametrize("fault", ["empty", "another key", "another digest", "cut off", "garbage"])
def test_a_signature_that_does_not_verify_never_leaves(kind, fault):
    right, wrong = fresh_signer(kind), fresh_signer(kind, 1)
    answers = {
        "empty": lambda _: b"",
        "another key": lambda _: wrong.sign(b"payload"),
        "another digest": lambda _: right.sign(b"another payload"),
        "cut off": lambda _: right.sign(b"payload")[:-1],
        "garbage": lambda _: b"\x30\x06\x02\x01\x01\x02\x01\x01",
    }
    certificate = right._certificate
    with pytest.raises(KeyAccessError, match="does not verify"):
        Faulty(certificate, answers[fault]).sign(b"payload")
    assert Faulty(certificate, lambda _: right.sign(b"payload")).sign(b"payload") == right.sign(b"payload")


@pytest.mark.parametrize("text", ["", "0" * 63, "G" * 64, "A" * 64, "0" * 64 + "\n", "0" * 65])
def test_only_a_digest_is_signed(text):
    with pytest.raises(FormatError):
        fresh_signer(KeyKind.ECDSA).sign_digest(text)


def test_a_certificate_is_read_in_the_form_that_clients_see(tmp_path):
    for name in ("rsa-a", "ecdsa-ossl"):
        member = fixture_signer(name)._certificate.member
        (tmp_path / name).write_bytes(member)
        certificate = Certificate.parse(load_certificate(tmp_path / name))
        assert certificate.fingerprint == fixture_signer(name).fingerprint
        certificate.check(fixture_signer(name).sign(b"payload"), H)


@pytest.mark.parametrize(
    "change",
    [
        lambda pem: pem.rstrip(b"\n"),
        lambda pem: pem.replace(b"\n", b"\r\n"),
        lambda pem: b"comment\n" + pem,
        lambda pem: pem + b"\n",
        lambda _: b"",
        lambda _: b"$PKGSIGN:ecdsa$",
        lambda pem: b"x" * (33 << 10) + pem,
    ],
    ids=["no-newline", "crlf", "comment", "two-newlines", "empty", "header-only", "long"],
)
def test_another_spelling_would_be_another_fingerprint(change):
    with pytest.raises(FormatError):
        Certificate.parse(change(fixture_signer("rsa-a").certificate))


def test_a_key_service_whose_library_is_missing_says_so():
    certificate = fixture_signer("rsa-a")._certificate
    assert is_key_uri("hsm:2?label=a")
    assert not is_key_uri("/keys/builder.pkg.key")
    assert not is_key_uri("builder.pkg.key")
    with pytest.raises(KeyAccessError, match=r"cannot be used|keys by awskms"):
        UriSigner("awskms:alias/pkg", certificate, secret=lambda _: "")
    with pytest.raises(UsageError):
        UriSigner("file2:/keys/builder", certificate, secret=lambda _: "")


def test_a_key_by_uri_signs_what_pkg_reads(monkeypatch):
    """The message that reaches the module, and the spelling that comes back."""
    private = ec.generate_private_key(ec.SECP256R1())

    class Module:
        def sign(self, payload):
            asked.append(payload)
            return type("Signature", (), {"signature": private.sign(payload, ec.ECDSA(SHA256())).hex()})

    asked = []
    monkeypatch.setattr("securesystemslib.signer.Signer.from_priv_key_uri", lambda *_: Module())
    certificate = Certificate(private.public_key())
    signer = UriSigner("hsm:2?label=pkg", certificate, secret=lambda _: "1234")
    certificate.check(signer.sign(b"payload"), H)
    assert asked == [H.encode()]


def test_what_a_key_service_says_is_not_repeated(monkeypatch):
    def refuse(*_):
        raise RuntimeError("session 7, PIN 1234 rejected")

    monkeypatch.setattr("securesystemslib.signer.Signer.from_priv_key_uri", refuse)
    with pytest.raises(KeyAccessError) as refused:
        UriSigner("hsm:2?label=pkg", fixture_signer("rsa-a")._certificate, secret=lambda _: "1234")
    assert "1234" not in f"{refused.value!r}{refused.value.to_document()}"
    assert refused.value.__cause__ is None


def test_a_signer_shows_no_key():
    private = ec.generate_private_key(ec.SECP256K1())
    der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()).hex()
    assert der[40:60] not in repr(PrivateKeySigner(private))
