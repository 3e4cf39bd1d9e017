"""What a Sigstore bundle says about itself, read strictly; nothing here is verified.

sigstore's own reader takes ``integrated_time`` for ``integratedTime``, ``" 12_0 "`` for a number, and skips what
is not base64. What we compare must be what it verifies, so any such second spelling is refused here first.
("Bundle" in this project is a skill's archive; these documents are called evidence.)
"""

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

from signing.errors import FormatError
from signing.format.canonical import parse_json
from signing.format.digest import Sha256, parse_sha256
from signing.format.statement import STATEMENT_TYPE

MAX_EVIDENCE_BYTES: Final = 1 << 20
MEDIA_TYPES: Final = frozenset(
    {
        "application/vnd.dev.sigstore.bundle+json;version=0.1",
        "application/vnd.dev.sigstore.bundle+json;version=0.2",
        "application/vnd.dev.sigstore.bundle+json;version=0.3",
        "application/vnd.dev.sigstore.bundle.v0.3+json",
    }
)
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,11}", re.ASCII)
_MAX_CERTIFICATES: Final = 10
_MAX_TOKENS: Final = 1
_MAX_SUBJECTS: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Enveloped:
    """A DSSE payload with its type and its only signature."""

    payload_type: str
    payload: bytes
    signature: bytes

    @property
    def signed_bytes(self) -> bytes:
        """The pre-authentication encoding: exactly what the signature covers."""
        kind = self.payload_type.encode()
        return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(self.payload), self.payload)


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """The parts of a Sigstore bundle that we look at ourselves.

    ``certificates`` are DER, the signer's first, and empty when a bare key signed. ``envelope`` is None when
    the signature is over a file. ``logged`` says whether it claims to stand in a transparency log.
    """

    certificates: tuple[bytes, ...]
    logged: bool
    integrated_at: datetime | None
    timestamp_tokens: tuple[bytes, ...]
    envelope: Enveloped | None

    @classmethod
    def parse(cls, data: bytes, *, where: str = "evidence") -> Self:
        """Return what ``data`` says.

        Raises:
            FormatError: not a Sigstore bundle, larger than `MAX_EVIDENCE_BYTES`, or in a second spelling.
        """
        document = parse_strictly(data, where=where)
        if document.get("mediaType") not in MEDIA_TYPES:
            raise FormatError("not a Sigstore bundle", where=f"{where}.mediaType")
        place = f"{where}.verificationMaterial"
        material = _mapping(document.get("verificationMaterial"), place)
        entries = _list(material.get("tlogEntries", []), f"{place}.tlogEntries", maximum=1)
        return cls(
            certificates=_certificates(material, place),
            logged=bool(entries),
            integrated_at=_integrated_at(entries[0], f"{place}.tlogEntries[0]") if entries else None,
            timestamp_tokens=_tokens(material, place),
            envelope=_envelope(document, where),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """An in-toto statement of somebody else: its type, its predicate, and those subjects that have a sha256."""

    predicate_type: str
    subjects: tuple[tuple[str, Sha256], ...]
    predicate: dict[str, Any]

    @classmethod
    def parse(cls, payload: bytes, *, where: str = "statement") -> Self:
        """Return the statement written as ``payload``, in whatever order and with whatever spaces.

        Raises:
            FormatError: not a Statement v1, or one about nothing that has a sha256.
        """
        document = _mapping(parse_json(payload, where=where, max_bytes=MAX_EVIDENCE_BYTES), where)
        if document.get("_type") != STATEMENT_TYPE:
            raise FormatError("not an in-toto statement of version 1", where=f"{where}._type")
        listed = _list(document.get("subject"), f"{where}.subject", maximum=_MAX_SUBJECTS)
        read = [_subject(item, f"{where}.subject[{index}]") for index, item in enumerate(listed)]
        subjects = tuple(subject for subject in read if subject is not None)
        if not subjects:
            raise FormatError("about nothing that has a sha256", where=f"{where}.subject")
        return cls(
            predicate_type=_text(document.get("predicateType"), f"{where}.predicateType"),
            subjects=subjects,
            predicate=_mapping(document.get("predicate", {}), f"{where}.predicate"),
        )


def parse_strictly(data: bytes, *, where: str, max_bytes: int = MAX_EVIDENCE_BYTES) -> dict[str, Any]:
    """Return a JSON object all of whose keys are in the one spelling of protocol buffers (no ``_``).

    Raises:
        FormatError: otherwise.
    """
    document = _mapping(parse_json(data, where=where, max_bytes=max_bytes), where)
    _refuse_second_spellings(document, where)
    return document


def decode_base64(value: object, where: str) -> bytes:
    """Return the bytes that ``value`` is canonical base64 for.

    Raises:
        FormatError: it is not.
    """
    text = _text(value, where, max_length=2 * MAX_EVIDENCE_BYTES)
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError("not base64", where=where) from error
    if base64.b64encode(data).decode() != text:
        raise FormatError("not canonical base64", where=where)
    return data


def _refuse_second_spellings(value: Any, where: str) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if "_" in key:
                raise FormatError(f"unknown key {key[:80]!r}", where=where)
            _refuse_second_spellings(item, where)
    elif isinstance(value, list):
        for item in value:
            _refuse_second_spellings(item, where)


def _certificates(material: dict[str, Any], where: str) -> tuple[bytes, ...]:
    single = material.get("certificate")
    if single is not None:
        return (_raw_bytes(single, f"{where}.certificate"),)
    chain = material.get("x509CertificateChain")
    if chain is None:
        return ()
    place = f"{where}.x509CertificateChain.certificates"
    listed = _list(_mapping(chain, place).get("certificates"), place, maximum=_MAX_CERTIFICATES)
    return tuple(_raw_bytes(item, f"{place}[{index}]") for index, item in enumerate(listed))


def _raw_bytes(value: object, where: str) -> bytes:
    return decode_base64(_mapping(value, where).get("rawBytes"), f"{where}.rawBytes")


def _integrated_at(entry: object, where: str) -> datetime | None:
    """Return the time that the log promises; without its promise a time is only a number."""
    fields = _mapping(entry, where)
    seconds = fields.get("integratedTime")
    if seconds is None:
        return None
    if not isinstance(seconds, str) or not _NUMBER.fullmatch(seconds):
        raise FormatError("not a number of seconds", where=f"{where}.integratedTime")
    if seconds == "0" or not fields.get("inclusionPromise"):
        return None
    try:
        return datetime.fromtimestamp(int(seconds), tz=UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise FormatError("not a time on the calendar", where=f"{where}.integratedTime") from error


def _tokens(material: dict[str, Any], where: str) -> tuple[bytes, ...]:
    data = material.get("timestampVerificationData")
    if data is None:
        return ()
    place = f"{where}.timestampVerificationData.rfc3161Timestamps"
    # One: of several, sigstore does not say which it verified.
    listed = _list(_mapping(data, place).get("rfc3161Timestamps", []), place, maximum=_MAX_TOKENS)
    return tuple(
        decode_base64(_mapping(item, place).get("signedTimestamp"), f"{place}[{index}]")
        for index, item in enumerate(listed)
    )


def _envelope(document: dict[str, Any], where: str) -> Enveloped | None:
    value = document.get("dsseEnvelope")
    if (value is None) == (document.get("messageSignature") is None):
        raise FormatError("holds neither or both of a statement and a file's signature", where=where)
    if value is None:
        return None
    place = f"{where}.dsseEnvelope"
    fields = _mapping(value, place)
    signatures = _list(fields.get("signatures"), f"{place}.signatures", maximum=1)
    if not signatures:
        raise FormatError("not signed", where=f"{place}.signatures")
    return Enveloped(
        payload_type=_text(fields.get("payloadType"), f"{place}.payloadType"),
        payload=decode_base64(fields.get("payload"), f"{place}.payload"),
        signature=decode_base64(
            _mapping(signatures[0], f"{place}.signatures").get("sig"), f"{place}.signatures"
        ),
    )


def _subject(value: object, where: str) -> tuple[str, Sha256] | None:
    """Return name and digest; None when the subject is named by other digests, such as a commit."""
    fields = _mapping(value, where)
    digests = _mapping(fields.get("digest"), f"{where}.digest")
    if "sha256" not in digests:
        return None
    return (
        _text(fields.get("name", ""), f"{where}.name"),
        parse_sha256(digests.get("sha256"), where=f"{where}.digest.sha256"),
    )


def _mapping(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise FormatError("not an object", where=where)
    return value


def _list(value: object, where: str, *, maximum: int) -> list[Any]:
    if not isinstance(value, list):
        raise FormatError("not a list", where=where)
    if len(value) > maximum:
        raise FormatError(f"more than {maximum} items", where=where)
    return value


def _text(value: object, where: str, *, max_length: int = 1_000) -> str:
    if not isinstance(value, str) or len(value) > max_length:
        raise FormatError(f"not a string of at most {max_length} characters", where=where)
    return value
