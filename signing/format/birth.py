"""The birth certificate: what stands in one tenant's jail, on what evidence it was let in, said by the host.

An in-toto statement (`signing.format.statement`) in the style of SLSA's verification summary, about the lock
record, the identity, the bill of materials and each bundle. Its predicate:

    {"activated_at":"2026-11-01T12:00:31Z","anchor_sha256":"…","audit":{"digest":"…","sequence":41},
     "bom_sha256":"…","born_at":"2026-11-01T12:00:00Z","capabilities":["work.general"],
     "decisions":[{"kind":"skill","pin":"web-search==1.2.0","tree_sha256":"…","role":"skills-2f","…":"…"}],
     "jail_lock_sha256":"…","lock_sha256":"…","policy_sha256":"…",
     "profile":{"name":"base","sha256":"…","version":"1"},"soul_sha256":"…","tenant":"acme","tier":"paid",
     "verdict":"admitted","verifier":{"host":"mother-1","keyid":"…"},"versions":{"root":1,"…":4}}

``decisions`` are the host's admission records as they stand in its audit log. The certificate travels with what is
needed to check it without us: the signed metadata of that moment, and the profile.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from signing.errors import FormatError
from signing.format.canonical import canonical, parse_canonical
from signing.format.digest import Sha256, parse_sha256
from signing.format.envelope import Envelope
from signing.format.fields import Fields
from signing.format.moment import parse_moment, render_moment
from signing.format.names import Pin, parse_skill_name, parse_tenant_id, parse_version
from signing.format.statement import PAYLOAD_TYPE, Statement, Subject

PREDICATE_TYPE: Final = "https://skills.clawdie.si/attestations/birth/v1"
SCHEMA: Final = "https://skills.clawdie.si/schema/birth-certificate/v1"
MAX_CERTIFICATE_BYTES: Final = 64 << 20
_MAX_DECISIONS: Final = 21_000
_MAX_PART: Final = 24 << 20
_MAX_ROLES: Final = 2_000
_VERDICT: Final = "admitted"
_TIERS: Final = frozenset({"paid", "free"})
ROLES: Final = ("root", "timestamp", "snapshot")


@dataclass(frozen=True, slots=True, kw_only=True)
class BirthStatement:
    """What the host claims; nothing about it is verified. The predicate of the module's text."""

    tenant: str
    tier: str
    host: str
    host_keyid: str
    born_at: datetime
    activated_at: datetime
    anchor_sha256: Sha256
    versions: Mapping[str, int]
    policy_sha256: Sha256
    profile: Pin
    profile_sha256: Sha256
    lock_sha256: Sha256
    jail_lock_sha256: Sha256
    soul_sha256: Sha256
    bom_sha256: Sha256
    capabilities: tuple[str, ...]
    decisions: tuple[Mapping[str, Any], ...]
    audit_sequence: int
    audit_digest: Sha256

    def statement(self) -> Statement:
        """Return the statement to sign."""
        return Statement(
            subjects=self._subjects(), predicate_type=PREDICATE_TYPE, predicate=self._predicate()
        )

    def envelope(self) -> Envelope:
        """Return the envelope, without signatures."""
        return Envelope(payload_type=PAYLOAD_TYPE, payload=self.statement().render())

    def _subjects(self) -> tuple[Subject, ...]:
        return (
            Subject(name=f"jail/{self.tenant}/lock.json", sha256=self.jail_lock_sha256),
            Subject(name=f"jail/{self.tenant}/SOUL.md", sha256=self.soul_sha256),
            Subject(name=f"jail/{self.tenant}/bom.json", sha256=self.bom_sha256),
        )

    def _predicate(self) -> dict[str, Any]:
        return {
            "verifier": {"host": self.host, "keyid": self.host_keyid},
            "tenant": self.tenant,
            "tier": self.tier,
            "born_at": render_moment(self.born_at),
            "activated_at": render_moment(self.activated_at),
            "anchor_sha256": self.anchor_sha256,
            "versions": dict(self.versions),
            "policy_sha256": self.policy_sha256,
            "profile": {
                "name": self.profile.name,
                "version": self.profile.version,
                "sha256": self.profile_sha256,
            },
            "lock_sha256": self.lock_sha256,
            "jail_lock_sha256": self.jail_lock_sha256,
            "soul_sha256": self.soul_sha256,
            "bom_sha256": self.bom_sha256,
            "capabilities": list(self.capabilities),
            "decisions": [dict(decision) for decision in self.decisions],
            "audit": {"sequence": self.audit_sequence, "digest": self.audit_digest},
            "verdict": _VERDICT,
        }

    @classmethod
    def of(cls, envelope: Envelope) -> Self:
        """Return what the payload of ``envelope`` claims; whether anybody signed it is not looked at.

        Raises:
            FormatError: not a birth statement in its one spelling.
        """
        if envelope.payload_type != PAYLOAD_TYPE:
            raise FormatError("not an in-toto statement", where="certificate")
        statement = Statement.parse(envelope.payload, where="certificate")
        if statement.predicate_type != PREDICATE_TYPE:
            raise FormatError(f"not a birth, but {statement.predicate_type[:80]!a}", where="certificate")
        found = cls._read(Fields.of(statement.predicate, where="certificate.predicate"))
        if found.statement() != statement:
            raise FormatError("its subjects are not those of its predicate", where="certificate.subject")
        return found

    @classmethod
    def _read(cls, fields: Fields) -> Self:
        def digest(key: str) -> Sha256:
            return parse_sha256(fields.take(key), where=fields.place(key))

        verifier = Fields.of(fields.take("verifier"), where=fields.place("verifier"))
        profile = Fields.of(fields.take("profile"), where=fields.place("profile"))
        versions = Fields.of(fields.take("versions"), where=fields.place("versions"))
        audit = Fields.of(fields.take("audit"), where=fields.place("audit"))
        fields.constant("verdict", _VERDICT)
        tier = fields.text("tier", max_length=8)
        if tier not in _TIERS:
            raise FormatError(f"{tier!a} is not a tier", where=fields.place("tier"))
        found = cls(
            tenant=parse_tenant_id(fields.take("tenant")),
            tier=tier,
            host=verifier.text("host", max_length=64),
            host_keyid=parse_sha256(verifier.take("keyid"), where=verifier.place("keyid")),
            born_at=parse_moment(fields.take("born_at"), where=fields.place("born_at")),
            activated_at=parse_moment(fields.take("activated_at"), where=fields.place("activated_at")),
            anchor_sha256=digest("anchor_sha256"),
            versions={role: versions.integer(role, maximum=1 << 53) for role in ROLES},
            policy_sha256=digest("policy_sha256"),
            profile=Pin(
                parse_skill_name(profile.take("name"), where=profile.place("name")),
                parse_version(profile.take("version"), where=profile.place("version")),
            ),
            profile_sha256=parse_sha256(profile.take("sha256"), where=profile.place("sha256")),
            lock_sha256=digest("lock_sha256"),
            jail_lock_sha256=digest("jail_lock_sha256"),
            soul_sha256=digest("soul_sha256"),
            bom_sha256=digest("bom_sha256"),
            capabilities=fields.items("capabilities", _text, maximum=200),
            decisions=fields.items("decisions", _mapping, maximum=_MAX_DECISIONS),
            audit_sequence=audit.integer("sequence", maximum=1 << 53),
            audit_digest=parse_sha256(audit.take("digest"), where=audit.place("digest")),
        )
        for part in (verifier, profile, versions, audit, fields):
            part.done()
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFile:
    """The certificate as the customer holds it: the signed statement, and what is needed to check it offline.

    ``roots`` are later versions of root, oldest first; ``files`` the metadata of that moment by role name.
    """

    envelope: Envelope
    bom: bytes
    profile: bytes
    roots: tuple[bytes, ...]
    files: Mapping[str, bytes]

    def render(self) -> bytes:
        """Return the canonical bytes."""
        return canonical(
            {
                "schema": SCHEMA,
                "envelope": _encode(self.envelope.render()),
                "bom": _encode(self.bom),
                "profile": _encode(self.profile),
                "metadata": {
                    "roots": [_encode(root) for root in self.roots],
                    "files": {role: _encode(data) for role, data in self.files.items()},
                },
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the certificate written as ``data``.

        Raises:
            FormatError: not one of ours in its one spelling, or larger than MAX_CERTIFICATE_BYTES.
        """
        where = "certificate"
        fields = Fields.of(parse_canonical(data, where=where, max_bytes=MAX_CERTIFICATE_BYTES), where=where)
        fields.constant("schema", SCHEMA)
        metadata = Fields.of(fields.take("metadata"), where=fields.place("metadata"))
        files = metadata.mapping("files")
        if len(files) > _MAX_ROLES:
            raise FormatError(f"more than {_MAX_ROLES} roles", where=metadata.place("files"))
        found = cls(
            envelope=Envelope.parse(_decode(fields.take("envelope"), "certificate.envelope")),
            bom=_decode(fields.take("bom"), "certificate.bom"),
            profile=_decode(fields.take("profile"), "certificate.profile"),
            roots=metadata.items("roots", _decode, maximum=1_000),
            files={
                role: _decode(text, f"certificate.metadata.{role[:80]!a}") for role, text in files.items()
            },
        )
        metadata.done()
        fields.done()
        return found


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: object, where: str) -> bytes:
    if not isinstance(text, str) or len(text) > _MAX_PART:
        raise FormatError("not a text, or too long", where=where)
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError("not base64", where=where) from error
    if _encode(data) != text:
        raise FormatError("not canonical base64", where=where)
    return data


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or len(value) > 100:  # noqa: PLR2004 - names of capabilities are shorter
        raise FormatError("not a name", where=where)
    return value


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise FormatError("not an object", where=where)
    return value
