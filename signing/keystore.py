"""Private keys on disk (edge): an Ed25519 seed sealed by a passphrase.

    {"holder":"alice","box":"…","kdf":"argon2id","memlimit":268435456,"opslimit":3,"public":"9f…",
     "salt":"…","schema":"https://skills.clawdie.si/schema/sealed-key/v1"}

argon2id turns the passphrase into a key and SecretBox (XSalsa20-Poly1305) seals the seed (PyNaCl). The file is
made with O_EXCL and mode 0600, and read only while nobody else may read it. The passphrase comes from a
prompt, a file or a descriptor, never from an argument or the environment: both are visible to others.
"""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from securesystemslib.signer import Key, SecretsHandler, Signature, Signer

from signing.errors import ConflictError, FormatError, KeyAccessError
from signing.format.canonical import canonical, parse_json
from signing.format.envelope import Envelope, EnvelopeSignature
from signing.format.fields import Fields
from signing.format.names import HolderName, parse_holder_name
from signing.keys import HeldKey

SCHEMA: Final = "https://skills.clawdie.si/schema/sealed-key/v1"
KEY_SUFFIX: Final = ".key.json"
PUBLIC_SUFFIX: Final = ".pub.json"
# A key file may ask for this much at most: it is read before its owner is known to be honest.
_MAX_MEMLIMIT: Final = 1 << 30
_MAX_OPSLIMIT: Final = 10

Passphrase = Callable[[HolderName], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SealCost:
    """What guessing one passphrase costs: argon2id passes and bytes of memory."""

    opslimit: int
    memlimit: int

    @classmethod
    def moderate(cls) -> "SealCost":
        """For people's keys: 256 MiB, about a second."""
        return cls(opslimit=3, memlimit=256 << 20)

    @classmethod
    def interactive(cls) -> "SealCost":
        """For throw-away keys: 64 MiB, about a tenth of a second."""
        return cls(opslimit=2, memlimit=64 << 20)


class SealedKeySigner(Signer):
    """A securesystemslib signer over an opened key file."""

    def __init__(self, held: HeldKey, signing_key: Any) -> None:
        self.held = held
        self._signing_key = signing_key
        self._public_key = held.to_tuf()

    def __repr__(self) -> str:
        return f"SealedKeySigner({self.held.holder})"

    @property
    def public_key(self) -> Key:
        """The public half, as TUF metadata carries it."""
        return self._public_key

    def sign(self, payload: bytes) -> Signature:
        """Return the signature over ``payload``."""
        return Signature(self._public_key.keyid, self._signing_key.sign(payload).signature.hex())

    def sign_envelope(self, envelope: Envelope) -> Envelope:
        """Return ``envelope`` with this key's signature."""
        signature = self._signing_key.sign(envelope.signed_bytes).signature
        return envelope.with_signature(EnvelopeSignature(keyid=self._public_key.keyid, signature=signature))

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Key, secrets_handler: SecretsHandler | None = None
    ) -> "SealedKeySigner":
        """Return the signer of ``skillkey:PATH`` (the interface of securesystemslib)."""
        scheme, _, path = priv_key_uri.partition(":")
        if scheme != "skillkey" or secrets_handler is None:
            raise KeyAccessError("needs a skillkey: URI and a way to ask for the passphrase")
        signer = load_key(Path(path), passphrase=lambda _: secrets_handler("passphrase"))
        if signer.public_key.keyid != public_key.keyid:
            raise KeyAccessError("the key file holds another key than the one asked for")
        return signer


def new_key(folder: Path, holder: HolderName, *, passphrase: str, cost: SealCost) -> HeldKey:
    """Make a key, write ``HOLDER.key.json`` (0600) and ``HOLDER.pub.json`` to ``folder``.

    Raises:
        ConflictError: there is a key of that name already; it is left alone.
        KeyAccessError: the passphrase is empty.
    """
    from nacl import pwhash, secret, utils  # noqa: PLC0415 - PyNaCl is not on the run-time path
    from nacl.signing import SigningKey  # noqa: PLC0415

    if not passphrase:
        raise KeyAccessError("an empty passphrase seals nothing", hint="choose a passphrase")
    words = _passphrase_bytes(passphrase)
    if os.path.lexists(folder / f"{holder}{PUBLIC_SUFFIX}"):
        # Asked before anything is written: a private key must not stay beside somebody else's public one.
        raise _exists(folder / f"{holder}{PUBLIC_SUFFIX}")
    signing_key = SigningKey.generate()
    held = HeldKey(holder=holder, public=bytes(signing_key.verify_key).hex())
    salt = utils.random(pwhash.argon2id.SALTBYTES)
    sealing_key = pwhash.argon2id.kdf(
        secret.SecretBox.KEY_SIZE, words, salt, opslimit=cost.opslimit, memlimit=cost.memlimit
    )
    document = {
        "schema": SCHEMA,
        "holder": holder,
        "public": held.public,
        "kdf": "argon2id",
        "opslimit": cost.opslimit,
        "memlimit": cost.memlimit,
        "salt": salt.hex(),
        "box": bytes(secret.SecretBox(sealing_key).encrypt(bytes(signing_key))).hex(),
    }
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_new(folder / f"{holder}{KEY_SUFFIX}", canonical(document) + b"\n", mode=0o600)
    _write_new(folder / f"{holder}{PUBLIC_SUFFIX}", held.render() + b"\n", mode=0o644)
    return held


def load_key(path: Path, *, passphrase: Passphrase) -> SealedKeySigner:
    """Return the signer of the key file ``path``.

    Raises:
        KeyAccessError: there is no such file, others may read it, or the passphrase is wrong.
        FormatError: it is not a key file.
    """
    from nacl import exceptions, pwhash, secret  # noqa: PLC0415
    from nacl.signing import SigningKey  # noqa: PLC0415

    where = path.name
    fields = Fields.of(parse_json(_read_private(path), where=where, max_bytes=8192), where=where)
    fields.constant("schema", SCHEMA)
    fields.constant("kdf", "argon2id")
    holder = parse_holder_name(fields.take("holder"), where=fields.place("holder"))
    public = fields.text("public", max_length=64)
    opslimit = fields.integer("opslimit", maximum=_MAX_OPSLIMIT)
    memlimit = fields.integer("memlimit", maximum=_MAX_MEMLIMIT)
    salt = _unhex(fields.text("salt", max_length=64), fields.place("salt"))
    box = _unhex(fields.text("box", max_length=400), fields.place("box"))
    fields.done()
    words = _passphrase_bytes(passphrase(holder))
    try:
        sealing_key = pwhash.argon2id.kdf(secret.SecretBox.KEY_SIZE, words, salt, opslimit, memlimit)
        signing_key = SigningKey(secret.SecretBox(sealing_key).decrypt(box))
    except (exceptions.CryptoError, exceptions.TypeError, exceptions.ValueError) as error:
        raise KeyAccessError(
            f"{path.name}: wrong passphrase, or the file is damaged",
            hint="try again; the file was not changed",
        ) from error
    if bytes(signing_key.verify_key).hex() != public:
        raise FormatError("the sealed key is not the public key beside it", where=where)
    return SealedKeySigner(HeldKey(holder=holder, public=public), signing_key)


def _passphrase_bytes(passphrase: str) -> bytes:
    try:
        return passphrase.encode()
    except UnicodeEncodeError:
        # From nothing: the error carries the passphrase as an argument.
        raise KeyAccessError(
            "the passphrase is not valid Unicode", hint="check the terminal's locale"
        ) from None


def _exists(path: Path) -> ConflictError:
    return ConflictError(f"{path.name} exists already; it was left alone", hint="choose another name")


def _unhex(text: str, where: str) -> bytes:
    try:
        data = bytes.fromhex(text)
    except ValueError as error:
        raise FormatError("not hexadecimal", where=where) from error
    if data.hex() != text:
        raise FormatError("not canonical hexadecimal", where=where)
    return data


def _read_private(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise KeyAccessError(
            f"cannot open the key file {path.name}: {error.strerror}",
            hint="name the folder with the key by --keys or SKILLREPO_KEYS",
        ) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise KeyAccessError(f"{path.name} is not a file", hint="name the folder with the key by --keys")
        if status.st_mode & 0o077:
            raise KeyAccessError(f"{path.name}: others may read this key", hint=f"chmod 600 {path.name}")
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            return stream.read(16 << 10)
    finally:
        os.close(descriptor)


def _write_new(path: Path, data: bytes, *, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    except FileExistsError as error:
        raise _exists(path) from error
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)  # a root key that a power cut takes is a new ceremony
    finally:
        os.close(folder)
