"""Public keys: Ed25519 only, and an id that is the hash of the key.

    {"holder":"alice","keyid":"51b0…","keytype":"ed25519","public":"9f…","schema":"https://…/public-key/v1","scheme":"ed25519"}

That one line is what a key holder hands to others (``alice.pub.json``). In TUF metadata the holder's name
stands beside the key as a signed extra field, so that "who is missing" can be answered with names.

One key under two ids would meet a threshold of two alone; python-tuf and securesystemslib both accept that
(reference/tuf-and-signing §2). So a key id is always computed, never believed.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Self

from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError
from securesystemslib.signer import Key, Signature, SSlibKey

from signing.errors import FormatError
from signing.format.canonical import canonical, parse_json
from signing.format.digest import parse_sha256, sha256_of
from signing.format.envelope import Envelope
from signing.format.fields import Fields
from signing.format.names import HolderName, parse_holder_name

SCHEMA: Final = "https://skills.clawdie.si/schema/public-key/v1"
HOLDER_FIELD: Final = "x-skillrepo-holder"
# `bytes.fromhex` also takes upper case and spaces: two spellings of one key would be two ids.
_PUBLIC: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


def key_id(keytype: str, scheme: str, public: str) -> str:
    """Return the id of a key: sha256 of its canonical JSON, as securesystemslib computes it."""
    return sha256_of(canonical({"keytype": keytype, "scheme": scheme, "keyval": {"public": public}}))


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldKey:
    """A public key and the name of the person or service that holds its private half."""

    holder: HolderName
    public: str

    @property
    def keyid(self) -> str:
        """The id of the key."""
        return key_id("ed25519", "ed25519", self.public)

    def to_tuf(self) -> SSlibKey:
        """Return the key as TUF metadata carries it, with the holder's name signed beside it."""
        return SSlibKey(
            self.keyid,
            "ed25519",
            "ed25519",
            {"public": self.public},
            unrecognized_fields={HOLDER_FIELD: self.holder},
        )

    def render(self) -> bytes:
        """Return the line that a holder hands to others."""
        return canonical(
            {
                "schema": SCHEMA,
                "holder": self.holder,
                "keyid": self.keyid,
                "keytype": "ed25519",
                "scheme": "ed25519",
                "public": self.public,
            }
        )

    @classmethod
    def parse(cls, data: bytes, *, where: str = "public key") -> Self:
        """Return the key written as ``data``.

        Raises:
            FormatError: not a public key of ours, or its id is not the hash of the key.
        """
        fields = Fields.of(parse_json(data.strip(), where=where, max_bytes=4096), where=where)
        fields.constant("schema", SCHEMA)
        fields.constant("keytype", "ed25519")
        fields.constant("scheme", "ed25519")
        key = cls(
            holder=parse_holder_name(fields.take("holder"), where=fields.place("holder")),
            # 32 bytes in hex happen to be spelled like a sha256.
            public=parse_sha256(fields.take("public"), where=fields.place("public")),
        )
        if fields.take("keyid") != key.keyid:
            raise FormatError("is not the hash of the key", where=fields.place("keyid"))
        fields.done()
        return key


def check_keys(keys: Mapping[str, Key], *, where: str) -> None:
    """Return None when every key is Ed25519, has its own hash as id, and stands once.

    Raises:
        FormatError: otherwise (TUF specification 4.3: clients must check key ids).
    """
    seen: set[str] = set()
    for keyid, key in keys.items():
        public = key.keyval.get("public")
        if key.keytype != "ed25519" or key.scheme != "ed25519" or not isinstance(public, str):
            raise FormatError(f"key {keyid[:16]}… is not Ed25519", where=where)
        if not _PUBLIC.fullmatch(public):
            raise FormatError(f"key {keyid[:16]}… is not 64 lower-case hexadecimal digits", where=where)
        if keyid != key.keyid or keyid != key_id(key.keytype, key.scheme, public):
            raise FormatError(f"key id {keyid[:16]}… is not the hash of its key", where=where)
        if public in seen:
            raise FormatError(f"key {keyid[:16]}… stands there twice", where=where)
        seen.add(public)


def holder_of(key: Key) -> str:
    """Return the holder's name that is signed beside ``key``, or a short form of its id."""
    try:
        return parse_holder_name(key.unrecognized_fields.get(HOLDER_FIELD))
    except FormatError:
        return f"key {key.keyid[:12]}"


def envelope_signers(envelope: Envelope, keys: Iterable[Key]) -> tuple[Key, ...]:
    """Return those of ``keys`` that signed ``envelope`` correctly, each once.

    Signatures by other keys count for nothing; whether the result is enough is the caller's decision.
    """
    by_id = {key.keyid: key for key in keys}
    check_keys(by_id, where="envelope keys")
    signers = []
    for item in envelope.signatures:
        key = by_id.get(item.keyid)
        if key is None:
            continue
        try:
            key.verify_signature(Signature(item.keyid, item.signature.hex()), envelope.signed_bytes)
        except (UnverifiedSignatureError, VerificationError):
            continue
        signers.append(key)
    return tuple(signers)
