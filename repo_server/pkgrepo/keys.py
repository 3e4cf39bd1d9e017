"""Keys that sign catalogues for pkg: RSA, ECDSA or Ed25519, sealed on disk (edge).

    builder.pkg.key   PKCS#8 PEM, sealed by a passphrase (PBES2: scrypt, AES-256-CBC), mode 0600
    builder.pkg.pub   the certificate, exactly as it stands in a catalogue (with ``$PKGSIGN:…$`` before it, unless RSA)

What is signed is always H: the 64 lower-case hexadecimal digits of the sha256 of a payload (reference/freebsd-pkg §3).
RSA (PKCS#1 v1.5) and Ed25519 are deterministic, and ECDSA is made so (RFC 6979): signing one catalogue twice gives the
same bytes. Each signature is verified with the public half before it leaves: an empty one, as FreeBSD's own repository
carried in April 2026, or one by another key than the certificate's, is an error here and not at every client.

RSA is what every pkg, pkg(7) and poudriere understand. The others are for clients that are known to be new.
"""

import base64
import hashlib
import os
import stat
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, final

from repo_server.pkgrepo.certificates import Certificate
from repo_server.pkgrepo.der import OBJECT, OCTETS, SEQUENCE, der, der_integer
from repo_server.pkgrepo.public_keys import MAX_KEY_BYTES, KeyKind
from repo_server.storage.durable import make_folder_durably, sync_folder
from signing.errors import ConflictError, FormatError, HostError, KeyAccessError
from signing.format.digest import Sha256, parse_sha256, sha256_of
from signing.format.names import HolderName

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    PrivateKey: TypeAlias = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey

KEY_SUFFIX: Final = ".pkg.key"
CERTIFICATE_SUFFIX: Final = ".pkg.pub"
_NEW_RSA_BITS: Final = 3072
_MAX_KEY_FILE: Final = 32 << 10
# 16 MiB and 8 rounds: as dear as 128 MiB and one, and OpenSSL's own tools can still open the file.
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 1 << 14, 8, 8
_PBES2: Final = bytes.fromhex("2a864886f70d01050d")
_SCRYPT: Final = bytes.fromhex("2b06010401da47040b")
_AES_256_CBC: Final = bytes.fromhex("60864801650304012a")
_SEALED: Final = "ENCRYPTED PRIVATE KEY"

Passphrase = Callable[[HolderName], str]


class PkgSigner(Protocol):
    """A key that signs for pkg, wherever its private half is."""

    @property
    def kind(self) -> KeyKind:
        """The kind of its signatures."""
        ...

    @property
    def certificate(self) -> bytes:
        """The public half as clients see it, without the header of its kind."""
        ...

    @property
    def fingerprint(self) -> Sha256:
        """The sha256 of the certificate: what stands in a client's ``trusted/``."""
        ...

    def sign_digest(self, digest: Sha256) -> bytes:
        """Return the signature over H, verified, without the header of its kind."""
        ...

    def sign(self, payload: bytes) -> bytes:
        """Return the signature over the H of ``payload``, which is computed here."""
        ...


class VerifiedSigner(ABC):
    """What every signer shares: it has a certificate, and nothing unverified leaves it."""

    def __init__(self, certificate: Certificate) -> None:
        self._certificate: Final = certificate

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.kind}, {self.fingerprint[:16]})"

    @property
    def kind(self) -> KeyKind:
        """The kind of its signatures."""
        return self._certificate.kind

    @property
    def certificate(self) -> bytes:
        """The public half as clients see it."""
        return self._certificate.data

    @property
    def fingerprint(self) -> Sha256:
        """The sha256 of the certificate."""
        return self._certificate.fingerprint

    def sign_digest(self, digest: Sha256) -> bytes:
        """Return the signature over H.

        Raises:
            FormatError: ``digest`` is not 64 lower-case hexadecimal digits.
            KeyAccessError: the key cannot be used, or what came of it does not verify.
        """
        signature = self._sign(parse_sha256(digest).encode())
        self._certificate.check(signature, digest)
        return signature

    def sign(self, payload: bytes) -> bytes:
        """Return the signature over the H of ``payload``, which is computed here and not taken from anybody.

        Raises:
            KeyAccessError: see `sign_digest`.
        """
        return self.sign_digest(sha256_of(payload))

    @abstractmethod
    def _sign(self, message: bytes) -> bytes:
        """Return the bare signature over ``message``; whoever holds the key says how."""


@final
class PrivateKeySigner(VerifiedSigner):
    """A signer that has the private key in memory."""

    def __init__(self, private: "PrivateKey") -> None:
        super().__init__(Certificate(private.public_key()))
        self._private: Final = private

    def _sign(self, message: bytes) -> bytes:
        from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils  # noqa: PLC0415
        from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

        if isinstance(self._private, rsa.RSAPrivateKey):
            return self._private.sign(message, padding.PKCS1v15(), SHA256())
        if isinstance(self._private, ec.EllipticCurvePrivateKey):
            return self._private.sign(message, ec.ECDSA(SHA256(), deterministic_signing=True))
        raw = self._private.sign(message)
        return utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """What was made: where it stands, and what clients must trust."""

    name: HolderName
    kind: KeyKind
    fingerprint: Sha256
    key_file: Path
    certificate_file: Path


def new_key(folder: Path, name: HolderName, *, kind: KeyKind, passphrase: str) -> NewKey:
    """Make a key and write ``NAME.pkg.key`` (0600) and ``NAME.pkg.pub`` to ``folder``.

    Raises:
        ConflictError: there is a key of that name already; it is left alone.
        KeyAccessError: the passphrase is empty. HostError: the folder cannot be written.
    """
    words = _passphrase_bytes(passphrase)
    key_file, certificate_file = folder / f"{name}{KEY_SUFFIX}", folder / f"{name}{CERTIFICATE_SUFFIX}"
    if os.path.lexists(certificate_file):
        # Asked before anything is written: a private key must not stay beside somebody else's certificate.
        raise _exists(certificate_file)
    private = _generate(kind)
    certificate = Certificate(private.public_key())
    try:
        if not folder.exists():
            make_folder_durably(folder)
            folder.chmod(0o700)
        _write_new(key_file, _seal(private, words), mode=0o600)
        _write_new(certificate_file, certificate.member, mode=0o644)
        sync_folder(folder)
    except OSError as error:
        raise HostError(f"cannot write the key to {folder}: {error.strerror}") from error
    return NewKey(
        name=name,
        kind=kind,
        fingerprint=certificate.fingerprint,
        key_file=key_file,
        certificate_file=certificate_file,
    )


def load_key(path: Path, *, passphrase: Passphrase) -> PrivateKeySigner:
    """Return the signer of the key file ``path``.

    Raises:
        KeyAccessError: there is none, others may read it, it is not sealed, or the passphrase is wrong.
        FormatError: it holds no key that pkg knows.
    """
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    data = _read_private(path)
    if f"-----BEGIN {_SEALED}-----".encode() not in data:
        raise KeyAccessError(
            f"{path.name} is not a sealed key",
            hint=f"seal it: openssl pkcs8 -topk8 -scrypt -in {path.name} -out NAME{KEY_SUFFIX}, then remove the open one",
        )
    words = _passphrase_bytes(passphrase(HolderName(path.name.removesuffix(KEY_SUFFIX))))
    try:
        private = load_pem_private_key(data, words)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # From nothing: what the library says may quote what it read.
        raise KeyAccessError(
            f"{path.name}: wrong passphrase, or the file is damaged",
            hint="try again; the file was not changed",
        ) from None
    if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise FormatError("not a key that pkg can use (RSA, ECDSA, Ed25519)", where=path.name)
    return PrivateKeySigner(private)


def load_certificate(path: Path) -> bytes:
    """Return the certificate member in the file ``path``, as `new_key` wrote it.

    Raises:
        KeyAccessError: it cannot be read, or anybody may write it: it says which key elsewhere is believed.
        FormatError: it is empty, or larger than a certificate is.
    """
    try:
        with path.open("rb") as stream:
            others_write = os.fstat(stream.fileno()).st_mode & stat.S_IWOTH
            data = stream.read(MAX_KEY_BYTES + 1)
    except OSError as error:
        raise KeyAccessError(f"cannot read the certificate {path}: {error.strerror}") from error
    if others_write:
        raise KeyAccessError(f"{path.name}: anybody may write to it", hint=f"chmod o-w {path.name}")
    if not data or len(data) > MAX_KEY_BYTES:
        raise FormatError("not a certificate", where=path.name)
    return data


def _generate(kind: KeyKind) -> "PrivateKey":
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415

    match kind:
        case KeyKind.RSA:
            return rsa.generate_private_key(public_exponent=65537, key_size=_NEW_RSA_BITS)
        case KeyKind.ECDSA:
            # The curve that `pkg key` itself takes, so that every client with ECDSA has it.
            return ec.generate_private_key(ec.SECP256K1())
        case KeyKind.EDDSA:
            return ed25519.Ed25519PrivateKey.generate()


def _seal(private: "PrivateKey", passphrase: bytes) -> bytes:
    """Return the private key as sealed PEM (RFC 8018 PBES2, RFC 7914 scrypt), which `cryptography` cannot write."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415
    from cryptography.hazmat.primitives.padding import PKCS7  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    salt, vector = os.urandom(16), os.urandom(16)
    key = hashlib.scrypt(
        passphrase, salt=salt, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P, dklen=32, maxmem=64 << 20
    )
    padder, cipher = PKCS7(128).padder(), Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    open_key = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    box = cipher.update(padder.update(open_key) + padder.finalize()) + cipher.finalize()
    numbers = (der_integer(number) for number in (_SCRYPT_N, _SCRYPT_R, _SCRYPT_P))
    derivation = der(SEQUENCE, der(OBJECT, _SCRYPT), der(SEQUENCE, der(OCTETS, salt), *numbers))
    encryption = der(SEQUENCE, der(OBJECT, _AES_256_CBC), der(OCTETS, vector))
    how = der(SEQUENCE, der(OBJECT, _PBES2), der(SEQUENCE, derivation, encryption))
    lines = textwrap.wrap(base64.b64encode(der(SEQUENCE, how, der(OCTETS, box))).decode(), 64)
    return "\n".join((f"-----BEGIN {_SEALED}-----", *lines, f"-----END {_SEALED}-----", "")).encode()


def _passphrase_bytes(passphrase: str) -> bytes:
    if not passphrase:
        raise KeyAccessError("an empty passphrase seals nothing", hint="choose a passphrase")
    try:
        return passphrase.encode()
    except UnicodeEncodeError:
        # From nothing: the error carries the passphrase as an argument.
        raise KeyAccessError(
            "the passphrase is not valid Unicode", hint="check the terminal's locale"
        ) from None


def _exists(path: Path) -> ConflictError:
    return ConflictError(f"{path.name} exists already; it was left alone", hint="choose another name")


def _read_private(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise KeyAccessError(
            f"cannot open the key file {path.name}: {error.strerror}", hint="name the key file by --key"
        ) from error
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise KeyAccessError(f"{path.name} is not a file", hint="name the key file by --key")
        if status.st_mode & 0o077:
            raise KeyAccessError(f"{path.name}: others may read this key", hint=f"chmod 600 {path.name}")
        return stream.read(_MAX_KEY_FILE)


def _write_new(path: Path, data: bytes, *, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    except FileExistsError as error:
        raise _exists(path) from error
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(descriptor)
