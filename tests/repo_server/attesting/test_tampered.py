"""What must not pass as a CI's attestation: each is refused by its error, and leaves nothing behind.

Every case changes one thing about evidence that would be accepted, or about the root that it is verified by.
"""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519

from repo_server.attesting.identity import ExpectedSigner
from repo_server.attesting.material import MAX_EVIDENCE_BYTES
from signing.errors import (
    CouldNotVerifyError,
    FormatError,
    RejectedError,
    VerificationError,
    WrongSubjectError,
)
from signing.format.canonical import canonical
from signing.format.envelope import Envelope
from signing.format.statement import PAYLOAD_TYPE
from tests.repo_server.attesting.conftest import SIGNER, Reviewed
from tests.support.private_sigstore import (
    IDENTITY,
    ISSUER,
    PrivateSigstore,
    TimestampAuthority,
    b64,
    dsse_body,
    new_key,
    now,
    rfc3339,
)

Json = dict[str, Any]
PAST = {"start": "2020-01-01T00:00:00Z", "end": "2020-02-01T00:00:00Z"}


@dataclass
class Bench:
    """A Sigstore, the right payload, and evidence in the making."""

    sigstore: PrivateSigstore
    payload: bytes
    signer: ExpectedSigner = SIGNER
    moment: datetime | None = None


Make = Callable[[Bench], bytes]
Edit = Callable[[Json, Bench], Any]


@dataclass(frozen=True)
class Case:
    name: str
    error: type[RejectedError]
    make: Make = lambda bench: bench.sigstore.sign_statement(bench.payload)
    edit: Edit | None = None
    root: Callable[[Json], Any] | None = None
    tsa: bool = False
    says: str = ""
    raised: str | None = None


def signed(**options: Any) -> Make:
    return lambda bench: bench.sigstore.sign_statement(bench.payload, **options)


def over(change: Callable[[Json], Any]) -> Make:
    """Rightly signed, over another statement."""

    def make(bench: Bench) -> bytes:
        document = json.loads(bench.payload)
        change(document)
        return bench.sigstore.sign_statement(canonical(document))

    return make


def raw(payload: bytes) -> Make:
    return lambda bench: bench.sigstore.sign_statement(payload)


def entry(document: Json) -> Json:
    return document["verificationMaterial"]["tlogEntries"][0]


def flip(text: str) -> str:
    data = bytearray(base64.b64decode(text))
    data[-1] ^= 1
    return b64(bytes(data))


def flip_signature(document: Json, _: Bench) -> None:
    signature = document["dsseEnvelope"]["signatures"][0]
    signature["sig"] = flip(signature["sig"])


def flip_proof(document: Json, _: Bench) -> None:
    hashes = entry(document)["inclusionProof"]["hashes"]
    hashes[0] = flip(hashes[0])


def later(document: Json, _: Bench) -> None:
    entry(document)["integratedTime"] = str(int(entry(document)["integratedTime"]) + 1)


def entry_of_another(document: Json, bench: Bench) -> None:
    other = json.loads(bench.sigstore.sign_statement(b'{"other":1}'))
    document["verificationMaterial"]["tlogEntries"] = other["verificationMaterial"]["tlogEntries"]


def wrong_identity(bench: Bench) -> bytes:
    return bench.sigstore.sign_statement(
        bench.payload, identity="https://ci.example/skills/fork@refs/heads/main"
    )


def foreign_authority(bench: Bench) -> bytes:
    other = PrivateSigstore()
    other.log, other.ct_key = bench.sigstore.log, bench.sigstore.ct_key
    return other.sign_statement(bench.payload)


def foreign_everything(bench: Bench) -> bytes:
    return PrivateSigstore().sign_statement(bench.payload)


def unknown_certificate_log(bench: Bench) -> bytes:
    known, bench.sigstore.ct_key = bench.sigstore.ct_key, new_key()
    evidence = bench.sigstore.sign_statement(bench.payload)
    bench.sigstore.ct_key = known
    return evidence


def entered_after_the_certificate_ended(bench: Bench) -> bytes:
    issue, old = bench.sigstore.issue, now() - timedelta(hours=1)
    bench.sigstore.issue = lambda key, **options: issue(key, **{**options, "when": old})  # type: ignore[method-assign]
    return bench.sigstore.sign_statement(bench.payload)


def in_the_future(bench: Bench) -> bytes:
    bench.moment = now() - timedelta(hours=1)
    return bench.sigstore.sign_statement(bench.payload)


def ed25519_key(bench: Bench) -> bytes:
    key = ed25519.Ed25519PrivateKey.generate()
    certificate = bench.sigstore.issue(key.public_key())
    to_sign = Envelope(payload_type=PAYLOAD_TYPE, payload=bench.payload).signed_bytes
    signature = key.sign(to_sign)
    envelope = {
        "payload": b64(bench.payload),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"sig": b64(signature)}],
    }
    from cryptography.hazmat.primitives.serialization import Encoding

    pem = b64(certificate.public_bytes(Encoding.PEM))
    body = dsse_body(canonical(envelope), bench.payload, b64(signature), pem)
    return bench.sigstore.bundle(certificate, body, signature, {"dsseEnvelope": envelope})


def a_file(bench: Bench) -> bytes:
    return bench.sigstore.sign_artifact(bench.payload)


def put_token(document: Json, token: bytes) -> None:
    data = document["verificationMaterial"]["timestampVerificationData"]
    data["rfc3161Timestamps"] = [{"signedTimestamp": b64(token)}]


def unknown_timestamps(document: Json, _: Bench) -> None:
    signature = base64.b64decode(document["dsseEnvelope"]["signatures"][0]["sig"])
    put_token(document, TimestampAuthority().stamp(signature))


def timestamp_of_another(document: Json, bench: Bench) -> None:
    assert bench.sigstore.tsa is not None
    put_token(document, bench.sigstore.tsa.stamp(b"something else"))


def two_tokens(document: Json, _: Bench) -> None:
    tokens = document["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]
    tokens.append(tokens[0])


def bare_key(document: Json, _: Bench) -> None:
    del document["verificationMaterial"]["certificate"]
    document["verificationMaterial"]["publicKey"] = {"hint": "ci-key"}


def second_spelling(document: Json, _: Bench) -> None:
    entry(document)["integrated_time"] = entry(document).pop("integratedTime")


def retired(key: str) -> Callable[[Json], Any]:
    """The end lies before the signature; sigstore itself would not look."""

    def edit(root: Json) -> None:
        item = root[key][0]
        item.get("publicKey", item)["validFor"]["end"] = rfc3339(now() - timedelta(days=1))

    return edit


def names(*values: x509.GeneralName) -> Make:
    return signed(names=list(values))


CASES = [
    # what it is about
    Case("another bundle", WrongSubjectError, over(lambda s: s["subject"][0]["digest"].update(sha256="0" * 64))),
    Case("one subject only", WrongSubjectError, over(lambda s: s["subject"].pop())),
    Case("a subject more", WrongSubjectError, over(lambda s: s["subject"].append({"name": "x", "digest": {"sha256": "1" * 64}}))),
    Case("subjects renamed", WrongSubjectError, over(lambda s: s["subject"][0].update(name="skills/other/1.0/x")), says="another review"),
    Case("another review", WrongSubjectError, over(lambda s: s["predicate"].update(review_sha256="0" * 64)), says="another review"),
    Case("another policy", WrongSubjectError, over(lambda s: s["predicate"].update(policy_sha256="0" * 64)), says="another review"),
    Case("another predicate type", WrongSubjectError, over(lambda s: s.update(predicateType="https://slsa.dev/provenance/v1"))),
    Case("another statement type", FormatError, over(lambda s: s.update(_type="https://in-toto.io/Statement/v0.1"))),
    Case("an empty object", FormatError, raw(b"{}"), says="statement"),
    Case("no JSON at all", FormatError, raw(b"attested!")),
    Case("about nothing", FormatError, over(lambda s: s.update(subject=[])), says="about nothing"),
    Case("a digest of another kind", WrongSubjectError, over(lambda s: s["subject"][0].update(digest={"sha1": "0" * 40}))),
    Case("digests of another kind only", FormatError, over(lambda s: [x.update(digest={"sha1": "0" * 40}) for x in s["subject"]]), says="about nothing"),
    Case("a malformed digest", FormatError, over(lambda s: s["subject"][0]["digest"].update(sha256="0" * 63))),
    Case("another payload type", WrongSubjectError, signed(payload_type="text/plain"), says="carries"),
    Case("the same statement, spelled otherwise", WrongSubjectError, lambda b: b.sigstore.sign_statement(json.dumps(json.loads(b.payload)).encode())),
    Case("a signature over a file", WrongSubjectError, a_file, says="over a file"),
    # who
    Case("another identity", VerificationError, wrong_identity, says="another identity"),
    Case("another issuer", VerificationError, signed(issuer="https://token.evil.example"), says="another issuer"),
    Case("two issuers in one certificate", VerificationError, signed(issuer_v2="https://token.evil.example"), says="2 issuers"),
    Case("no issuer", VerificationError, signed(omit=("issuer", "issuer-v2")), says="0 issuers"),
    Case("two identities", VerificationError, names(x509.UniformResourceIdentifier(IDENTITY), x509.RFC822Name("a@b.example")), says="2 identities"),
    Case("a host instead of an identity", VerificationError, names(x509.DNSName("ci.example")), says="something else"),
    Case("certificate for a year", VerificationError, signed(life=timedelta(days=365)), says="longer than"),
    # certificate
    Case("another authority, same logs", VerificationError, foreign_authority),
    Case("a foreign Sigstore", VerificationError, foreign_everything),
    Case("no proof from a certificate log", VerificationError, signed(omit=("SCT",))),
    Case("an unknown certificate log", VerificationError, unknown_certificate_log),
    Case("no key usage", CouldNotVerifyError, signed(omit=("KU",)), raised="ExtensionNotFound"),
    Case("no extended key usage", RejectedError, signed(omit=("EKU",))),
    Case("no authority key id", VerificationError, signed(omit=("AKI",))),
    Case("an Ed25519 key", CouldNotVerifyError, ed25519_key, raised="TypeError"),
    Case("a truncated certificate", CouldNotVerifyError, edit=lambda d, _: d["verificationMaterial"]["certificate"].update(rawBytes="AAAA"), raised="ValueError"),
    Case("a bare key", VerificationError, edit=bare_key, raised="InvalidBundle"),
    # signature, log and time
    Case("flipped signature", VerificationError, edit=flip_signature),
    Case("exchanged payload", VerificationError, edit=lambda d, _: d["dsseEnvelope"].update(payload=b64(b"{}"))),
    Case("exchanged payload type", VerificationError, edit=lambda d, _: d["dsseEnvelope"].update(payloadType="text/x")),
    Case("two signatures", FormatError, edit=lambda d, _: d["dsseEnvelope"]["signatures"].append(d["dsseEnvelope"]["signatures"][0])),
    Case("no signature", FormatError, edit=lambda d, _: d["dsseEnvelope"].update(signatures=[])),
    Case("flipped proof", VerificationError, edit=flip_proof),
    Case("no proof", RejectedError, edit=lambda d, _: entry(d).pop("inclusionProof")),
    Case("no checkpoint", RejectedError, edit=lambda d, _: entry(d)["inclusionProof"].pop("checkpoint")),
    Case("no promise of the log", VerificationError, edit=lambda d, _: entry(d).pop("inclusionPromise"), says="nothing says when"),
    Case("not in the log", VerificationError, edit=lambda d, _: d["verificationMaterial"].update(tlogEntries=[])),
    Case("two entries", FormatError, edit=lambda d, _: d["verificationMaterial"]["tlogEntries"].append(entry(d))),
    Case("entry of another statement", VerificationError, edit=entry_of_another),
    Case("time moved by a second", VerificationError, edit=later),
    Case("time beyond the calendar", FormatError, edit=lambda d, _: entry(d).update(integratedTime="999999999999")),
    Case("logged after the certificate ended", VerificationError, entered_after_the_certificate_ended),
    Case("from the future", VerificationError, in_the_future, says="in the future"),
    Case("token of an unknown authority", VerificationError, edit=unknown_timestamps, tsa=True),
    Case("token over something else", VerificationError, edit=timestamp_of_another, tsa=True),
    Case("two tokens", FormatError, edit=two_tokens, tsa=True),
    Case("no ASN.1 in the token", CouldNotVerifyError, edit=lambda d, _: put_token(d, b"now"), tsa=True, raised="ValueError"),
    # spelling
    Case("an unknown field", CouldNotVerifyError, edit=lambda d, _: d.update(skillrepo={"a": 1}), raised="InvalidBundle"),
    Case("a field in a second spelling", FormatError, edit=second_spelling, says="unknown key"),
    Case("a number with spaces", FormatError, edit=lambda d, _: entry(d).update(integratedTime=f" {entry(d)['integratedTime']}")),
    Case("loose base64", FormatError, edit=lambda d, _: d["dsseEnvelope"].update(payload=d["dsseEnvelope"]["payload"] + "\n")),
    Case("another media type", FormatError, edit=lambda d, _: d.update(mediaType="application/json")),
    Case("malformed", FormatError, lambda b: b.sigstore.sign_statement(b.payload)[:-1]),
    Case("no object", FormatError, lambda _: b"[]"),
    Case("empty", FormatError, lambda _: b""),
    Case("a key twice", FormatError, lambda b: b.sigstore.sign_statement(b.payload)[:-1] + b',"mediaType":"x"}'),
    Case("very deep", FormatError, lambda _: b'{"a":' * 5_000 + b"1" + b"}" * 5_000),
    Case("huge", FormatError, lambda b: b.sigstore.sign_statement(b.payload) + b" " * MAX_EVIDENCE_BYTES, says="larger than"),
    # the root
    Case("retired authority", VerificationError, root=retired("certificateAuthorities"), says="no certificate authority"),
    Case("retired log", VerificationError, root=retired("tlogs"), says="no transparency log"),
    Case("retired log, timed by a token", VerificationError, root=retired("tlogs"), tsa=True, says="no transparency log"),
    Case("retired certificate log", VerificationError, root=retired("ctlogs"), says="no certificate log"),
    Case("retired timestamp authority", VerificationError, root=retired("timestampAuthorities"), tsa=True),
    Case("log that begins later", VerificationError, root=lambda r: r["tlogs"][0]["publicKey"].update(validFor={"start": rfc3339(now() + timedelta(days=1))})),
    Case("authority long past", VerificationError, root=lambda r: r["certificateAuthorities"][0].update(validFor=PAST)),
    Case("root without periods", CouldNotVerifyError, root=lambda r: r["tlogs"][0]["publicKey"].pop("validFor"), says="since when"),
    Case("root without logs", VerificationError, root=lambda r: r.update(tlogs=[])),
    Case("root that is none", CouldNotVerifyError, root=lambda r: r.clear()),
    Case("root with times nobody can read", CouldNotVerifyError, root=lambda r: r["tlogs"][0]["publicKey"].update(validFor={"start": "once"})),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_tampered_evidence_is_refused_and_leaves_nothing(case: Case, untouched: Reviewed) -> None:
    bench = Bench(PrivateSigstore(tsa=case.tsa), untouched.payload)
    evidence = case.make(bench)
    if case.edit is not None:
        document = json.loads(evidence)
        case.edit(document, bench)
        evidence = canonical(document)
    root = bench.sigstore.trusted_root_document()
    if case.root is not None:
        case.root(root)
    before = untouched.kept()

    with pytest.raises(case.error, match=case.says or None) as caught:
        untouched.offer(evidence, trusted_root=canonical(root), signer=bench.signer, now=bench.moment)

    assert untouched.kept() == before
    if case.raised is not None:
        assert caught.value.facts["raised"] == case.raised


@pytest.mark.parametrize("tsa", [False, True], ids=["timed-by-the-log", "timed-by-a-token"])
def test_what_the_cases_start_from_is_accepted(tsa: bool, desk: Reviewed) -> None:
    sigstore = PrivateSigstore(tsa=tsa)
    evidence = sigstore.sign_statement(desk.payload)

    verified = desk.offer(evidence, trusted_root=sigstore.trusted_root())

    assert (verified.signer.identity, verified.signer.issuer) == (IDENTITY, ISSUER)
    assert verified.signer.evidence_sha256 == hashlib.sha256(evidence).hexdigest()
    assert abs(verified.signer.signed_at - now()) < timedelta(minutes=1)
    assert desk.kept()[0] == 1


def test_a_key_retired_after_the_signature_still_counts(desk: Reviewed) -> None:
    sigstore = PrivateSigstore()
    evidence = sigstore.sign_statement(desk.payload, when=now() - timedelta(days=20))
    root = sigstore.trusted_root_document()
    for item in (root["tlogs"][0]["publicKey"], root["certificateAuthorities"][0]):
        item["validFor"]["end"] = rfc3339(now() - timedelta(days=1))

    verified = desk.offer(evidence, trusted_root=canonical(root))

    assert verified.signer.signed_at < now() - timedelta(days=19)


def test_an_identity_without_issuer_cannot_be_expected() -> None:
    for identity, issuer in ((IDENTITY, ""), ("", ISSUER)):
        with pytest.raises(FormatError):
            ExpectedSigner(identity=identity, issuer=issuer)


def test_verifying_uses_no_network(desk: Reviewed, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*_: Any) -> None:
        raise AssertionError("verification wants to use the network")

    sigstore = PrivateSigstore(tsa=True)
    evidence = sigstore.sign_statement(desk.payload)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert desk.offer(evidence, trusted_root=sigstore.trusted_root()).signer.identity == IDENTITY
