"""DSSE: a payload, its type, and any number of signatures over both.

    {"payload":"eyJf…","payloadType":"application/vnd.in-toto+json",
     "signatures":[{"keyid":"51b0…","sig":"MEUC…"}]}

What is signed is the pre-authentication encoding ``DSSEv1 SP len(type) SP type SP len(payload) SP payload``
(secure-systems-lab/dsse, protocol.md), so that no part can be read as another. Signatures are sorted by key
id, and a key id stands at most once: an envelope has one spelling.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Self

from signing.errors import FormatError
from signing.format.canonical import canonical, parse_canonical
from signing.format.digest import parse_sha256
from signing.format.fields import Fields

MAX_SIGNATURES = 32


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class EnvelopeSignature:
    """One signature and the id of the key that is said to have made it."""

    keyid: str
    signature: bytes

    def to_json(self) -> dict[str, Any]:
        """Return the signature as it stands in the envelope."""
        return {"keyid": self.keyid, "sig": base64.b64encode(self.signature).decode()}

    @classmethod
    def from_json(cls, value: object, where: str) -> Self:
        """Return the signature written as ``value``."""
        fields = Fields.of(value, where=where)
        keyid = parse_sha256(fields.take("keyid"), where=fields.place("keyid"))
        signature = _decode(fields.text("sig", max_length=8_192), fields.place("sig"))
        fields.done()
        return cls(keyid=keyid, signature=signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A payload with signatures; nothing about it is verified."""

    payload_type: str
    payload: bytes
    signatures: tuple[EnvelopeSignature, ...] = ()

    def __post_init__(self) -> None:
        ids = [item.keyid for item in self.signatures]
        if ids != sorted(set(ids)):
            raise FormatError("signatures are not sorted, or a key id appears twice", where="envelope")

    @property
    def signed_bytes(self) -> bytes:
        """The pre-authentication encoding: exactly what a signature covers."""
        kind = self.payload_type.encode()
        return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(self.payload), self.payload)

    def with_signature(self, signature: EnvelopeSignature) -> "Envelope":
        """Return the envelope with ``signature`` added, or replaced when its key had signed before."""
        others = [item for item in self.signatures if item.keyid != signature.keyid]
        return Envelope(
            payload_type=self.payload_type,
            payload=self.payload,
            signatures=tuple(sorted([*others, signature])),
        )

    def render(self) -> bytes:
        """Return the canonical bytes."""
        return canonical(
            {
                "payload": base64.b64encode(self.payload).decode(),
                "payloadType": self.payload_type,
                "signatures": [item.to_json() for item in self.signatures],
            }
        )

    @classmethod
    def parse(cls, data: bytes, *, where: str = "envelope") -> Self:
        """Return the envelope written as ``data``.

        Raises:
            FormatError: not a canonical envelope.
        """
        fields = Fields.of(parse_canonical(data, where=where), where=where)
        payload = _decode(fields.text("payload", max_length=3 << 20), fields.place("payload"))
        payload_type = fields.text("payloadType", max_length=200)
        signatures = fields.items("signatures", EnvelopeSignature.from_json, maximum=MAX_SIGNATURES)
        fields.done()
        return cls(payload_type=payload_type, payload=payload, signatures=signatures)


def _decode(text: str, where: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError("not base64", where=where) from error
    if base64.b64encode(data).decode() != text:  # unused bits before the padding: a second spelling
        raise FormatError("not canonical base64", where=where)
    return data
