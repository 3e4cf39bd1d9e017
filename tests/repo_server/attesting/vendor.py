"""A vendor who signs skills by certificates, without any log, as model-signing does; and lists of files."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID

from repo_server.attesting.model import PREDICATE_TYPE
from repo_server.curation.tree import SourceTree
from signing.format.canonical import canonical
from signing.format.envelope import Envelope
from signing.format.statement import PAYLOAD_TYPE, STATEMENT_TYPE
from tests.support.private_sigstore import BUNDLE_TYPE, b64, key_usage, make_authority, name_of, new_key, now
from tests.support.world import skill_md

_DER = serialization.Encoding.DER
Json = dict[str, Any]

FILES: Mapping[str, bytes] = {
    "SKILL.md": skill_md("csv-summarizer"),
    "references/rows.md": b"Rows.\n",
    "scripts/sum.py": b"print(1)\n",
}


def tree_of(files: Mapping[str, bytes]) -> SourceTree:
    return SourceTree.of((path, content, path.startswith("scripts/")) for path, content in files.items())


def model_statement(files: Mapping[str, bytes], change: Callable[[Json], Any] | None = None) -> bytes:
    """What model-signing writes about ``files``; ``change`` is made before the digest of the whole."""
    resources = [
        {"name": name, "algorithm": "sha256", "digest": hashlib.sha256(content).hexdigest()}
        for name, content in sorted(files.items())
    ]
    serialization_ = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}
    predicate: Json = {"serialization": {**serialization_, "ignore_paths": ["skill.oms.sig"]}}
    document: Json = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": "csv-summarizer", "digest": {}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {**predicate, "resources": resources},
    }
    if change is not None:
        change(document)
    digests = [item.get("digest", "") for item in document["predicate"].get("resources", [])]
    if document["subject"] and not document["subject"][0]["digest"]:
        whole = hashlib.sha256(b"".join(bytes.fromhex(digest) for digest in digests)).hexdigest()
        document["subject"][0]["digest"] = {"sha256": whole}
    return canonical(document)


@dataclass
class Vendor:
    """An authority, an intermediate, and what it signs."""

    name: str = "Vendor"
    root_key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    ca_key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)

    def __post_init__(self) -> None:
        self.root = make_authority(f"{self.name} Root", self.root_key)
        self.ca = make_authority(
            f"{self.name} CA", self.ca_key, issuer=self.root, issuer_key=self.root_key, path_length=0
        )

    @property
    def roots(self) -> bytes:
        """What a curator configures."""
        return self.root.public_bytes(serialization.Encoding.PEM)

    def leaf(
        self,
        key: Any,
        *,
        subject: str | None = None,
        ends: datetime | None = None,
        usage: x509.KeyUsage | None = None,
        eku: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.CODE_SIGNING,
        ca: bool = False,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(name_of(subject or f"{self.name} Skills"))
            .issuer_name(self.ca.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now() - timedelta(days=100))
            .not_valid_after(ends or now() + timedelta(days=100))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(usage or key_usage(digital_signature=True), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.ca_key.public_key()), critical=False
            )
        )
        if eku is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([eku]), critical=False)
        return builder.sign(self.ca_key, hashes.SHA256())

    def sign(
        self,
        payload: bytes,
        *,
        key: Any = None,
        digest: hashes.HashAlgorithm | None = None,
        payload_type: str = PAYLOAD_TYPE,
        **leaf: Any,
    ) -> bytes:
        """Evidence over ``payload`` with the certificate chain inside, and no log."""
        key = key or new_key()
        certificate = self.leaf(key, **leaf)
        to_sign = Envelope(payload_type=payload_type, payload=payload).signed_bytes
        if isinstance(key, ed25519.Ed25519PrivateKey):
            signature = key.sign(to_sign)
        else:
            signature = key.sign(to_sign, ec.ECDSA(digest or hashes.SHA256()))
        chain = [{"rawBytes": b64(item.public_bytes(_DER))} for item in (certificate, self.ca)]
        envelope = {
            "payload": b64(payload),
            "payloadType": payload_type,
            "signatures": [{"sig": b64(signature), "keyid": ""}],
        }
        material = {"x509CertificateChain": {"certificates": chain}, "tlogEntries": []}
        return canonical(
            {"mediaType": BUNDLE_TYPE, "verificationMaterial": material, "dsseEnvelope": envelope}
        )
