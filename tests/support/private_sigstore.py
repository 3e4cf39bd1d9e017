"""A private Sigstore made on the fly: authority, certificate log, transparency log, timestamp authority.

    sigstore = PrivateSigstore()
    evidence = sigstore.sign_statement(payload)                 # or sign_artifact(data): bundles of the real format
    root = sigstore.trusted_root()                              # bytes of a trusted_root.json
    with sigstore.serve() as service:                           # Fulcio, Rekor and TSA on loopback
        service.trust_config, service.token()                   # for the real signer

Keys live in memory and every attribute may be exchanged by a test: a second instance is a foreign Sigstore.
Entries of the log are version 0.0.1 with the log's own time; with ``tsa=True`` 0.0.2, timed by an RFC 3161 token.
"""

import base64
import hashlib
import json
import os
import secrets
import struct
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from signing.format.canonical import canonical
from signing.format.envelope import Envelope
from signing.format.statement import PAYLOAD_TYPE

IDENTITY = "https://ci.example/skills/release@refs/heads/main"
ISSUER = "https://token.ci.example"
REPOSITORY = "https://code.example/acme/skills"
AUDIENCE = "sigstore"
BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
P256 = "PKIX_ECDSA_P256_SHA_256"

_DER = serialization.Encoding.DER
_PEM = serialization.Encoding.PEM
_SHA256 = hashes.SHA256()
_FULCIO = "1.3.6.1.4.1.57264.1"
_SCT_LIST = "1.3.6.1.4.1.11129.2.4.2"

Json = dict[str, Any]


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def rfc3339(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    return key.sign(data, ec.ECDSA(_SHA256))


def spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(_DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def key_id(key: ec.EllipticCurvePrivateKey) -> bytes:
    return hashlib.sha256(spki(key)).digest()


def der_text(text: str) -> bytes:
    return _der(0x0C, text.encode())


def _der(tag: int, data: bytes) -> bytes:
    size = len(data)
    if size < 128:
        return bytes([tag, size]) + data
    return bytes([tag, 0x82]) + struct.pack(">H", size) + data


def name_of(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def make_authority(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    *,
    issuer: x509.Certificate | None = None,
    issuer_key: ec.EllipticCurvePrivateKey | None = None,
    path_length: int | None = None,
    eku: x509.ObjectIdentifier | None = None,
    start: datetime | None = None,
    days: int = 3650,
) -> x509.Certificate:
    start = start or now() - timedelta(days=400)
    signer = issuer_key or key
    builder = (
        x509.CertificateBuilder()
        .subject_name(name_of(name))
        .issuer_name(issuer.subject if issuer else name_of(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if eku is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([eku]), critical=False)
    return builder.sign(signer, _SHA256)


def key_usage(**given: bool) -> x509.KeyUsage:
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: given.get(name, False) for name in names})


class Log:
    """An RFC 6962 tree that writes entries as a Sigstore bundle carries them."""

    def __init__(self, origin: str = "log.example") -> None:
        self.key = new_key()
        self.origin = origin
        self.leaves: list[bytes] = []

    def add(self, body: Json, *, when: datetime | None = None, with_time: bool = True) -> Json:
        data = canonical(body)
        self.leaves.append(hashlib.sha256(b"\0" + data).digest())
        size = len(self.leaves)
        root = b64(self._root(self.leaves))
        entry: Json = {
            "logIndex": str(size - 1),
            "logId": {"keyId": b64(key_id(self.key))},
            "kindVersion": {"kind": body["kind"], "version": body["apiVersion"]},
            "canonicalizedBody": b64(data),
            "inclusionProof": {
                "logIndex": str(size - 1),
                "rootHash": root,
                "treeSize": str(size),
                "hashes": [b64(node) for node in self._path(size - 1, self.leaves)],
                "checkpoint": {"envelope": self.checkpoint(size, root)},
            },
        }
        if with_time:
            seconds = int((when or now()).timestamp())
            promise = {"body": b64(data), "integratedTime": seconds, "logIndex": size - 1}
            signed = canonical({**promise, "logID": key_id(self.key).hex()})
            entry["integratedTime"] = str(seconds)
            entry["inclusionPromise"] = {"signedEntryTimestamp": b64(sign(self.key, signed))}
        return entry

    def checkpoint(self, size: int, root: str) -> str:
        note = f"{self.origin}\n{size}\n{root}\n"
        return f"{note}\n\u2014 {self.origin} {b64(key_id(self.key)[:4] + sign(self.key, note.encode()))}\n"

    @classmethod
    def _root(cls, leaves: list[bytes]) -> bytes:
        if len(leaves) == 1:
            return leaves[0]
        half = 1 << ((len(leaves) - 1).bit_length() - 1)
        return hashlib.sha256(b"\1" + cls._root(leaves[:half]) + cls._root(leaves[half:])).digest()

    @classmethod
    def _path(cls, index: int, leaves: list[bytes]) -> list[bytes]:
        if len(leaves) == 1:
            return []
        half = 1 << ((len(leaves) - 1).bit_length() - 1)
        if index < half:
            return [*cls._path(index, leaves[:half]), cls._root(leaves[half:])]
        return [*cls._path(index - half, leaves[half:]), cls._root(leaves[:half])]


class TimestampAuthority:
    """RFC 3161: a token over a digest, and the moment."""

    def __init__(self) -> None:
        root_key, self.key = new_key(), new_key()
        root = make_authority("tsa-root", root_key)
        public = self.key.public_key()
        leaf = (
            x509.CertificateBuilder()
            .subject_name(name_of("tsa"))
            .issuer_name(root.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now() - timedelta(days=300))
            .not_valid_after(now() + timedelta(days=3000))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False
            )
            .sign(root_key, _SHA256)
        )
        self.chain = (leaf, root)

    def stamp(self, message: bytes, when: datetime | None = None) -> bytes:
        return self.respond(hashlib.sha256(message).digest(), when=when)

    def respond(self, digest: bytes, *, when: datetime | None = None, nonce: int | None = None) -> bytes:
        when = when or now()
        sha256 = algos.DigestAlgorithm({"algorithm": "sha256"})
        info = {
            "version": "v1",
            "policy": "1.3.6.1.4.1.57264.2",
            "message_imprint": {"hash_algorithm": sha256, "hashed_message": digest},
            "serial_number": int.from_bytes(os.urandom(16), "big"),
            "gen_time": when,
        }
        if nonce is not None:
            info["nonce"] = nonce
        content = tsp.TSTInfo(info).dump()
        certificate = asn1_x509.Certificate.load(self.chain[0].public_bytes(_DER))
        certificate_hash = {"cert_hash": hashlib.sha256(certificate.dump()).digest()}
        attributes = cms.CMSAttributes(
            [
                cms.CMSAttribute({"type": "content_type", "values": ["tst_info"]}),
                cms.CMSAttribute({"type": "signing_time", "values": [cms.Time({"utc_time": when})]}),
                cms.CMSAttribute({"type": "message_digest", "values": [hashlib.sha256(content).digest()]}),
                cms.CMSAttribute(
                    {
                        "type": "signing_certificate_v2",
                        "values": [tsp.SigningCertificateV2({"certs": [certificate_hash]})],
                    }
                ),
            ]
        )
        serial = {"issuer": certificate.issuer, "serial_number": certificate.serial_number}
        signer = cms.SignerInfo(
            {
                "version": "v1",
                "sid": cms.SignerIdentifier({"issuer_and_serial_number": serial}),
                "digest_algorithm": sha256,
                "signed_attrs": attributes,
                "signature_algorithm": {"algorithm": "sha256_ecdsa"},
                "signature": sign(self.key, attributes.dump()),
            }
        )
        signed = cms.SignedData(
            {
                "version": "v3",
                "digest_algorithms": [sha256],
                "encap_content_info": {
                    "content_type": "tst_info",
                    "content": core.ParsableOctetString(content),
                },
                "certificates": [cms.CertificateChoices("certificate", certificate)],
                "signer_infos": [signer],
            }
        )
        token = cms.ContentInfo({"content_type": "signed_data", "content": signed})
        return tsp.TimeStampResp({"status": {"status": "granted"}, "time_stamp_token": token}).dump()


class PrivateSigstore:
    def __init__(self, *, tsa: bool = False) -> None:
        self.root_key, self.ca_key, self.ct_key = new_key(), new_key(), new_key()
        self.root = make_authority("root", self.root_key)
        self.ca = make_authority(
            "intermediate",
            self.ca_key,
            issuer=self.root,
            issuer_key=self.root_key,
            path_length=0,
            eku=ExtendedKeyUsageOID.CODE_SIGNING,
        )
        self.log = Log()
        for number in range(3):
            self.log.add({"apiVersion": "0.0.1", "kind": "hashedrekord", "filler": number})
        self.tsa = TimestampAuthority() if tsa else None
        self.base_url = "http://127.0.0.1:1"

    def issue(
        self,
        public_key: Any,
        *,
        identity: str = IDENTITY,
        issuer: str = ISSUER,
        when: datetime | None = None,
        life: timedelta = timedelta(minutes=10),
        omit: Collection[str] = (),
        names: Collection[x509.GeneralName] | None = None,
        issuer_v2: str | None = None,
    ) -> x509.Certificate:
        """A signing certificate with its proof from the certificate log; ``omit`` drops extensions by name."""
        when = when or now()
        san = x509.UniformResourceIdentifier(identity) if "://" in identity else x509.RFC822Name(identity)
        extensions: dict[str, tuple[x509.ExtensionType, bool]] = {
            "KU": (key_usage(digital_signature=True), True),
            "EKU": (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False),
            "SKI": (x509.SubjectKeyIdentifier.from_public_key(public_key), False),
            "AKI": (x509.AuthorityKeyIdentifier.from_issuer_public_key(self.ca_key.public_key()), False),
            "SAN": (x509.SubjectAlternativeName(names or [san]), True),
            "issuer": (_fulcio("1", issuer.encode()), False),
            "issuer-v2": (_fulcio("8", der_text(issuer_v2 or issuer)), False),
            "repository": (_fulcio("12", der_text(REPOSITORY)), False),
        }
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.ca.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(when - timedelta(seconds=30))
            .not_valid_after(when - timedelta(seconds=30) + life)
        )
        for name, (extension, critical) in extensions.items():
            if name not in omit:
                builder = builder.add_extension(extension, critical)
        if "SCT" in omit:
            return builder.sign(self.ca_key, _SHA256)
        # The CT key signs the certificate as it would be without this extension; then it is signed again with it.
        tbs = builder.sign(self.ca_key, _SHA256).tbs_certificate_bytes
        proof = x509.UnrecognizedExtension(x509.ObjectIdentifier(_SCT_LIST), _der(0x04, self._sct(tbs, when)))
        return builder.add_extension(proof, critical=False).sign(self.ca_key, _SHA256)

    def _sct(self, tbs: bytes, when: datetime) -> bytes:
        stamp = int(when.timestamp() * 1000)
        head = struct.pack("!BBQH", 0, 0, stamp, 1) + key_id(self.ca_key)
        signature = sign(self.ct_key, head + struct.pack("!I", len(tbs))[1:] + tbs + b"\0\0")
        sct = b"\0" + key_id(self.ct_key) + struct.pack("!Q", stamp) + b"\0\0\x04\x03"
        sct += struct.pack("!H", len(signature)) + signature
        sct = struct.pack("!H", len(sct)) + sct
        return struct.pack("!H", len(sct)) + sct

    def trusted_root(self) -> bytes:
        return canonical(self.trusted_root_document())

    def trusted_root_document(self) -> Json:
        since = {"start": rfc3339(now() - timedelta(days=365))}

        def log(key: ec.EllipticCurvePrivateKey) -> Json:
            return {
                "baseUrl": self.base_url,
                "hashAlgorithm": "SHA2_256",
                "logId": {"keyId": b64(key_id(key))},
                "publicKey": {"rawBytes": b64(spki(key)), "keyDetails": P256, "validFor": dict(since)},
            }

        def authority(*chain: x509.Certificate) -> Json:
            return {
                "subject": {"organization": "Example", "commonName": "x"},
                "uri": self.base_url,
                "validFor": dict(since),
                "certChain": {"certificates": [{"rawBytes": b64(item.public_bytes(_DER))} for item in chain]},
            }

        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(self.log.key)],
            "certificateAuthorities": [authority(self.ca, self.root)],
            "ctlogs": [log(self.ct_key)],
            "timestampAuthorities": [authority(*self.tsa.chain)] if self.tsa else [],
        }

    def sign_artifact(self, data: bytes, *, when: datetime | None = None, **issue: Any) -> bytes:
        key = new_key()
        certificate = self.issue(key.public_key(), when=when, **issue)
        digest, signature = hashlib.sha256(data).digest(), sign(key, data)
        if self.tsa:
            body = _record_v2(digest, signature, certificate)
        else:
            public = {"content": b64(certificate.public_bytes(_PEM))}
            body = _body(
                "hashedrekord",
                {
                    "data": {"hash": {"algorithm": "sha256", "value": digest.hex()}},
                    "signature": {"content": b64(signature), "publicKey": public},
                },
            )
        message = {
            "messageDigest": {"algorithm": "SHA2_256", "digest": b64(digest)},
            "signature": b64(signature),
        }
        return self.bundle(certificate, body, signature, {"messageSignature": message}, when=when)

    def sign_statement(
        self, payload: bytes, *, when: datetime | None = None, payload_type: str = PAYLOAD_TYPE, **issue: Any
    ) -> bytes:
        key = new_key()
        certificate = self.issue(key.public_key(), when=when, **issue)
        to_sign = Envelope(payload_type=payload_type, payload=payload).signed_bytes
        signature = sign(key, to_sign)
        envelope = {
            "payload": b64(payload),
            "payloadType": payload_type,
            "signatures": [{"sig": b64(signature)}],
        }
        if self.tsa:
            body = _record_v2(hashlib.sha256(to_sign).digest(), signature, certificate)
        else:
            body = dsse_body(
                canonical(envelope), payload, b64(signature), b64(certificate.public_bytes(_PEM))
            )
        return self.bundle(certificate, body, signature, {"dsseEnvelope": envelope}, when=when)

    def bundle(
        self,
        certificate: x509.Certificate,
        body: Json,
        signature: bytes,
        content: Json,
        *,
        when: datetime | None = None,
    ) -> bytes:
        material: Json = {
            "certificate": {"rawBytes": b64(certificate.public_bytes(_DER))},
            "tlogEntries": [self.log.add(body, when=when, with_time=self.tsa is None)],
        }
        if self.tsa:
            token = {"signedTimestamp": b64(self.tsa.stamp(signature, when))}
            material["timestampVerificationData"] = {"rfc3161Timestamps": [token]}
        return canonical({"mediaType": BUNDLE_TYPE, "verificationMaterial": material, **content})

    @contextmanager
    def serve(self, *, identity: str = IDENTITY, issuer: str = ISSUER) -> Iterator["Service"]:
        service = Service(sigstore=self, identity=identity, issuer=issuer)
        handler = type("BoundHandler", (_Handler,), {"service": service})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        self.base_url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield service
        finally:
            service.released.set()
            server.shutdown()
            server.server_close()
            thread.join()


@dataclass
class Service:
    """The loopback services: what they were asked, and how they misbehave when told to."""

    sigstore: PrivateSigstore
    identity: str
    issuer: str
    secret: str = field(default_factory=lambda: secrets.token_hex(32))
    requests: list[str] = field(default_factory=list)
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    silent: bool = False
    certified: str | None = None  # the authority certifies this instead of what the token says
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def trust_config(self) -> bytes:
        base, since = self.sigstore.base_url, {"start": rfc3339(now() - timedelta(days=1))}

        def at(url: str, version: int) -> Json:
            return {"url": url, "majorApiVersion": version, "validFor": since, "operator": "example"}

        signing = {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [at(base, 1)],
            "oidcUrls": [at(self.issuer, 1)],
            "rekorTlogUrls": [at(base, 2 if self.sigstore.tsa else 1)],
            "rekorTlogConfig": {"selector": "ANY"},
        }
        if self.sigstore.tsa:
            signing |= {"tsaUrls": [at(f"{base}/tsa", 1)], "tsaConfig": {"selector": "ANY"}}
        return canonical(
            {
                "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
                "trustedRoot": self.sigstore.trusted_root_document(),
                "signingConfig": signing,
            }
        )

    def token(self, *, seconds: int = 300) -> str:
        moment = int(time.time())
        claims = {"iss": self.issuer, "sub": self.identity, "aud": AUDIENCE, "iat": moment}
        return jwt.encode({**claims, "exp": moment + seconds}, self.secret, algorithm="HS256")


class _Handler(BaseHTTPRequestHandler):
    service: Service

    def log_message(self, *_: Any) -> None:
        return

    def do_POST(self) -> None:
        self.service.requests.append(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.service.silent:
            self.service.released.wait(30)
            return
        if self.path in self.service.answers:
            self._reply(*self.service.answers[self.path])
        elif self.path.endswith("/signingCert"):
            self._reply(201, canonical(self._certificate(json.loads(body))))
        elif self.path == "/api/v1/log/entries":
            self._reply(201, canonical(self._entry_v1(json.loads(body))))
        elif self.path == "/api/v2/log/entries":
            self._reply(201, canonical(self._entry_v2(json.loads(body))))
        elif self.path == "/tsa":
            self._reply(201, self._timestamp(body), "application/timestamp-reply")
        else:
            self._reply(404, b"{}")

    def _reply(self, status: int, data: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _certificate(self, request: Json) -> Json:
        token = self.headers["Authorization"].split()[1]
        claims = jwt.decode(token, self.service.secret, algorithms=["HS256"], audience=AUDIENCE)
        wanted = x509.load_pem_x509_csr(base64.b64decode(request["certificateSigningRequest"]))
        sigstore = self.service.sigstore
        leaf = sigstore.issue(
            wanted.public_key(), identity=self.service.certified or claims["sub"], issuer=claims["iss"]
        )
        chain = [item.public_bytes(_PEM).decode() for item in (leaf, sigstore.ca, sigstore.root)]
        return {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}

    def _entry_v1(self, proposed: Json) -> Json:
        content = proposed["spec"]["proposedContent"]
        envelope = json.loads(content["envelope"])
        body = dsse_body(
            content["envelope"].encode(),
            base64.b64decode(envelope["payload"]),
            envelope["signatures"][0]["sig"],
            content["verifiers"][0],
        )
        entry = self.service.sigstore.log.add(body)
        proof = entry["inclusionProof"]
        in_hex = {name: base64.b64decode(proof[name]).hex() for name in ("rootHash",)}
        return {
            secrets.token_hex(32): {
                "body": entry["canonicalizedBody"],
                "integratedTime": int(entry["integratedTime"]),
                "logID": base64.b64decode(entry["logId"]["keyId"]).hex(),
                "logIndex": int(entry["logIndex"]),
                "verification": {
                    "signedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
                    "inclusionProof": {
                        "logIndex": int(proof["logIndex"]),
                        "treeSize": int(proof["treeSize"]),
                        "hashes": [base64.b64decode(node).hex() for node in proof["hashes"]],
                        "checkpoint": proof["checkpoint"]["envelope"],
                        **in_hex,
                    },
                },
            }
        }

    def _entry_v2(self, proposed: Json) -> Json:
        request = proposed["hashedRekordRequestV002"]
        record = {
            "data": {"algorithm": "SHA2_256", "digest": request["digest"]},
            "signature": request["signature"],
        }
        body = _body("hashedrekord", {"hashedRekordV002": record}, version="0.0.2")
        return self.service.sigstore.log.add(body, with_time=False)

    def _timestamp(self, raw: bytes) -> bytes:
        request = tsp.TimeStampReq.load(raw)
        tsa = self.service.sigstore.tsa
        assert tsa is not None
        digest = request["message_imprint"]["hashed_message"].native
        return tsa.respond(digest, nonce=request["nonce"].native)


def dsse_body(envelope: bytes, payload: bytes, signature: str, verifier: str) -> Json:
    return _body(
        "dsse",
        {
            "envelopeHash": {"algorithm": "sha256", "value": hashlib.sha256(envelope).hexdigest()},
            "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
            "signatures": [{"signature": signature, "verifier": verifier}],
        },
    )


def _record_v2(digest: bytes, signature: bytes, certificate: x509.Certificate) -> Json:
    verifier = {"keyDetails": P256, "x509Certificate": {"rawBytes": b64(certificate.public_bytes(_DER))}}
    record = {
        "data": {"algorithm": "SHA2_256", "digest": b64(digest)},
        "signature": {"content": b64(signature), "verifier": verifier},
    }
    return _body("hashedrekord", {"hashedRekordV002": record}, version="0.0.2")


def _body(kind: str, spec: Json, *, version: str = "0.0.1") -> Json:
    return {"apiVersion": version, "kind": kind, "spec": spec}


def _fulcio(number: str, value: bytes) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(f"{_FULCIO}.{number}"), value)
