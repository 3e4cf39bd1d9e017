"""Birth certificates: what the host saw when it admitted, kept; and what it signs when the agent is active.

at admission    `keep`     the signed metadata and the profile of that moment, beside the birth
at activation   `issue`    the admission records of that birth, signed, with what was kept: the customer's proof
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from sqlalchemy.orm import Session

from hive import audit
from hive.bom import bill_of_materials
from hive.db.certificate_tables import BirthEvidenceRow, CertificateRow
from hive.host_key import HostKey
from hive.jails.materialise import LOCK_PATH, SOUL_PATH
from hive.tenants import Tenant
from signing.errors import CouldNotVerifyError, FormatError, NotFoundError
from signing.format.birth import MAX_CERTIFICATE_BYTES, BirthStatement, CertificateFile
from signing.format.canonical import canonical, parse_canonical
from signing.format.chain import Record
from signing.format.digest import Sha256, parse_sha256, sha256_of
from signing.format.fields import Fields
from signing.format.moment import parse_moment, render_moment
from signing.format.names import TenantId
from signing.format.profile import Profile

_SCHEMA: Final = "https://skills.clawdie.si/schema/birth-evidence/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class BirthEvidence:
    """What a birth was admitted on, and what it put into the jail: digests of trees by skill, and of files by path.

    ``looked_at`` is the moment for which the metadata was judged.
    """

    looked_at: datetime
    anchor_sha256: Sha256
    versions: Mapping[str, int]
    roots: Sequence[bytes]
    files: Mapping[str, bytes]
    profile: bytes
    skills: Mapping[str, Sha256]
    written: Mapping[str, Sha256]

    def render(self) -> bytes:
        """Return the canonical bytes."""
        return canonical(
            {
                "schema": _SCHEMA,
                "looked_at": render_moment(self.looked_at),
                "anchor_sha256": self.anchor_sha256,
                "versions": dict(self.versions),
                "roots": [_encode(root) for root in self.roots],
                "files": {role: _encode(data) for role, data in self.files.items()},
                "profile": _encode(self.profile),
                "skills": dict(self.skills),
                "written": dict(self.written),
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the evidence written as ``data``.

        Raises:
            FormatError: the database was tampered with.
        """
        where = "birth evidence"
        fields = Fields.of(parse_canonical(data, where=where, max_bytes=MAX_CERTIFICATE_BYTES), where=where)
        fields.constant("schema", _SCHEMA)
        versions = Fields.of(fields.take("versions"), where=fields.place("versions"))
        found = cls(
            looked_at=parse_moment(fields.take("looked_at")),
            anchor_sha256=parse_sha256(fields.take("anchor_sha256")),
            versions={
                role: versions.integer(role, maximum=1 << 53) for role in ("root", "timestamp", "snapshot")
            },
            roots=fields.items("roots", _decode),
            files={role: _decode(text, fields.place(role)) for role, text in fields.mapping("files").items()},
            profile=_decode(fields.take("profile"), fields.place("profile")),
            skills={name: parse_sha256(digest) for name, digest in fields.mapping("skills").items()},
            written={path: parse_sha256(digest) for path, digest in fields.mapping("written").items()},
        )
        versions.done()
        fields.done()
        if not {LOCK_PATH, SOUL_PATH} <= set(found.written):
            raise FormatError("names neither lock record nor identity", where=where)
        return found


def keep(
    session: Session, tenant_id: TenantId, lock_sha256: Sha256, evidence: BirthEvidence, *, now: datetime
) -> None:
    """Keep what the birth was admitted on; what an earlier try kept is replaced."""
    session.merge(
        BirthEvidenceRow(tenant_id=tenant_id, lock_sha256=lock_sha256, evidence=evidence.render(), at=now)
    )


def kept(session: Session, tenant_id: TenantId) -> BirthEvidence:
    """Return what was kept of the birth of a tenant.

    Raises:
        CouldNotVerifyError: nothing was. FormatError: the database was tampered with.
    """
    return BirthEvidence.parse(_row(session, tenant_id).evidence)


def issue(session: Session, tenant: Tenant, key: HostKey, *, now: datetime) -> Sha256:
    """Sign the certificate of ``tenant``'s birth, keep it, and return its digest.

    Raises:
        CouldNotVerifyError: nothing was kept, or the log does not hold the admissions: nothing can be certified.
        BrokenChainError: the audit log was altered.
    """
    row = _row(session, tenant.tenant_id)
    evidence = BirthEvidence.parse(row.evidence)
    head = audit.check(session)
    decisions = [
        record.facts
        for record in admissions_of(audit.read(session, tenant=tenant.tenant_id), row.lock_sha256)
    ]
    if not decisions:
        raise CouldNotVerifyError(
            f"the audit log holds no admission for {tenant.tenant_id}", hint="hive audit verify"
        )
    bom = bill_of_materials(
        decisions, tenant=tenant.tenant_id, lock_sha256=row.lock_sha256, born_at=evidence.looked_at
    )
    profile = Profile.parse(evidence.profile)
    statement = BirthStatement(
        tenant=tenant.tenant_id,
        tier=tenant.tier.value,
        host=key.held.holder,
        host_keyid=key.held.keyid,
        born_at=evidence.looked_at,
        activated_at=now,
        anchor_sha256=evidence.anchor_sha256,
        versions=evidence.versions,
        policy_sha256=parse_sha256(decisions[0].get("policy_sha256"), where="audit log"),
        profile=profile.pin,
        profile_sha256=sha256_of(evidence.profile),
        lock_sha256=Sha256(row.lock_sha256),
        jail_lock_sha256=evidence.written[LOCK_PATH],
        soul_sha256=evidence.written[SOUL_PATH],
        bom_sha256=sha256_of(bom),
        capabilities=profile.capabilities,
        decisions=tuple(decisions),
        audit_sequence=head.sequence,
        audit_digest=head.digest,
    )
    file = CertificateFile(
        envelope=key.sign(statement.envelope()),
        bom=bom,
        profile=evidence.profile,
        roots=tuple(evidence.roots),
        files=evidence.files,
    )
    data = file.render()
    digest = sha256_of(data)
    session.merge(CertificateRow(tenant_id=tenant.tenant_id, sha256=digest, certificate=data, at=now))
    facts = {"tenant": tenant.tenant_id, "certificate_sha256": digest, "host": key.held.holder}
    audit.append(session, event="certificate.issued", facts=facts, now=now)
    return digest


def load(session: Session, tenant_id: TenantId) -> bytes:
    """Return the certificate of a tenant.

    Raises:
        NotFoundError: it was never active.
    """
    row = session.get(CertificateRow, tenant_id)
    if row is None:
        raise NotFoundError(
            f"{tenant_id} has no certificate",
            hint="it is issued when the agent becomes active: hive show-tenant",
        )
    return row.certificate


def _row(session: Session, tenant_id: TenantId) -> BirthEvidenceRow:
    row = session.get(BirthEvidenceRow, tenant_id)
    if row is None:
        raise CouldNotVerifyError(f"nothing is kept of the birth of {tenant_id}", hint="birth it again")
    return row


def admissions_of(records: Sequence[Record], lock_sha256: str) -> list[Record]:
    """Return the admissions of the newest birth: a killed birth that was continued admitted everything anew."""
    begun = [n for n, record in enumerate(records) if record.event in {"birth.begun", "birth.continued"}]
    newest = records[begun[-1] :] if begun else []
    found: dict[tuple[Any, Any], Record] = {}
    for record in newest:
        if record.event == "admission" and record.facts.get("lock_sha256") == lock_sha256:
            found[record.facts.get("kind"), record.facts.get("pin")] = record
    return list(found.values())


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: object, where: str) -> bytes:
    if not isinstance(text, str):
        raise FormatError("not a text", where=where)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError("not base64", where=where) from error
