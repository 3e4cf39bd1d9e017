"""Evidence that upstream put into a skill: verified, compared with every file, and with the last version's."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from repo_server.attesting.evidence import UpstreamTrust
from repo_server.attesting.material import MAX_EVIDENCE_BYTES
from repo_server.attesting.upstream import identity_findings, upstream_facts
from signing.format.canonical import canonical
from signing.format.digest import sha256_of
from signing.format.review import Finding, Severity
from signing.format.statement import STATEMENT_TYPE
from tests.repo_server.attesting.vendor import FILES, Vendor, model_statement, tree_of
from tests.support.private_sigstore import (
    BUNDLE_TYPE,
    IDENTITY,
    ISSUER,
    REPOSITORY,
    PrivateSigstore,
    key_usage,
    now,
)

SIGSTORE = PrivateSigstore()
VENDOR = Vendor()
TRUST = UpstreamTrust(trusted_root=SIGSTORE.trusted_root(), certificates=VENDOR.roots)
OMS = "skill.oms.sig"
DATA = Path(__file__).parents[2] / "data/upstream"
Json = dict[str, Any]


def look(
    files: Mapping[str, bytes], *, trust: UpstreamTrust = TRUST, at: datetime | None = None
) -> tuple[dict[str, str], tuple[Finding, ...]]:
    return upstream_facts(tree_of(files), trust=trust, now=at or now())


def kinds(findings: tuple[Finding, ...]) -> list[tuple[str, str]]:
    return [(finding.check.removeprefix("upstream."), finding.severity.value) for finding in findings]


def provenance(*contents: bytes) -> bytes:
    subjects = [{"name": f"file-{i}", "digest": {"sha256": sha256_of(c)}} for i, c in enumerate(contents)]
    predicate = {"predicateType": "https://slsa.dev/provenance/v1", "predicate": {}}
    return canonical({"_type": STATEMENT_TYPE, "subject": subjects, **predicate})


# --- what verifies


def test_a_list_of_all_files_under_a_sigstore_identity() -> None:
    evidence = SIGSTORE.sign_statement(model_statement(FILES))
    facts, findings = look({**FILES, OMS: evidence})
    assert facts == {
        "upstream.identity": IDENTITY,
        "upstream.issuer": ISSUER,
        "upstream.source_repository": REPOSITORY,
        "upstream.evidence_sha256": sha256_of(evidence),
        "upstream.kind": "sigstore",
        "upstream.coverage": "all",
    }
    assert kinds(findings) == [("verified", "note")]
    assert "all 3 files" in findings[0].message


def test_a_list_of_all_files_under_a_certificate_says_that_there_is_no_log() -> None:
    facts, findings = look({**FILES, OMS: VENDOR.sign(model_statement(FILES))})
    assert facts["upstream.identity"] == "CN=Vendor Skills,O=Example"
    assert facts["upstream.issuer"] == "CN=Vendor Root,O=Example"
    assert facts["upstream.kind"] == "certificate"
    assert kinds(findings) == [("verified", "note")]
    assert "no transparency log" in findings[0].message


def test_a_signature_made_by_model_signing_itself() -> None:
    """tests/data/upstream: FILES, signed by `model_signing sign certificate` 1.1.1 with a key of this test's maker."""
    trust = UpstreamTrust(certificates=(DATA / "vendor-root.pem").read_bytes())
    files = {**FILES, OMS: (DATA / OMS).read_bytes()}
    signed_at = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)

    facts, findings = look(files, trust=trust, at=signed_at)

    assert facts["upstream.identity"] == "CN=Vendor Skills,O=Example"
    assert facts["upstream.coverage"] == "all"
    assert kinds(findings) == [("verified", "note")]
    _, findings = look({**files, ".gitignore": b"*\n"}, trust=trust, at=signed_at)
    assert kinds(findings) == [("invalid", "block")]  # it asks to ignore this one
    _, findings = look(files, trust=trust, at=signed_at + timedelta(days=365))
    assert kinds(findings) == [("unverifiable", "look")]


@pytest.mark.parametrize(
    ("curve", "digest"),
    [(ec.SECP384R1(), hashes.SHA384()), (ec.SECP521R1(), hashes.SHA512())],
    ids=["p384", "p521"],
)
def test_certificates_over_larger_curves(curve: ec.EllipticCurve, digest: hashes.HashAlgorithm) -> None:
    key = ec.generate_private_key(curve)
    _, findings = look({**FILES, OMS: VENDOR.sign(model_statement(FILES), key=key, digest=digest)})
    assert kinds(findings) == [("verified", "note")]


def test_a_signature_over_one_file_covers_that_file_only() -> None:
    evidence = SIGSTORE.sign_artifact(FILES["SKILL.md"])
    facts, findings = look({**FILES, "SKILL.md.sigstore.json": evidence})
    assert (facts["upstream.coverage"], facts["upstream.identity"]) == ("part", IDENTITY)
    assert kinds(findings) == [("partial", "look")]
    assert "2 of 3 files are not covered" in findings[0].message


def test_signatures_over_every_file_by_one_statement() -> None:
    facts, findings = look({**FILES, "all.sigstore": SIGSTORE.sign_statement(provenance(*FILES.values()))})
    assert facts["upstream.coverage"] == "all"
    assert kinds(findings) == [("verified", "note")]


def test_several_who_sign_are_all_kept() -> None:
    other = SIGSTORE.sign_statement(provenance(*FILES.values()), identity="b@example.org")
    both = {
        **FILES,
        "a.sigstore.json": SIGSTORE.sign_statement(provenance(*FILES.values())),
        "b.sigstore.json": other,
    }
    facts, _ = look(both)
    assert facts["upstream.identity"] == f"b@example.org + {IDENTITY}"
    # One who signs a single file does not stand beside those who sign all.
    both["b.sigstore.json"] = SIGSTORE.sign_statement(provenance(FILES["SKILL.md"]), identity="b@example.org")
    facts, findings = look(both)
    assert facts["upstream.identity"] == IDENTITY
    assert sorted(kinds(findings)) == [("partial", "look"), ("verified", "note")]


def test_a_skill_without_evidence_has_no_facts_and_no_findings() -> None:
    assert look(FILES) == ({}, ())
    detached = {"release.sig": b"-----BEGIN PGP SIGNATURE-----", "x.sig": b'{"mediaType":"text/x"}'}
    assert look({**FILES, **detached}) == ({}, ())


def test_without_a_root_nobody_can_tell() -> None:
    nobody = UpstreamTrust()
    for evidence in (
        SIGSTORE.sign_statement(model_statement(FILES)),
        VENDOR.sign(model_statement(FILES)),
        SIGSTORE.sign_artifact(b"x"),
    ):
        facts, findings = look({**FILES, OMS: evidence}, trust=nobody)
        assert facts == {}
        assert kinds(findings) == [("unverifiable", "look")]
        assert "configured" in findings[0].message


# --- what does not


def without(name: str) -> dict[str, bytes]:
    return {path: content for path, content in FILES.items() if path != name}


@dataclass(frozen=True)
class Case:
    name: str
    payload: Callable[[], bytes] = lambda: model_statement(FILES)
    files: Mapping[str, bytes] | None = None
    edit: Callable[[Json], Any] | None = None
    by: Callable[[bytes], bytes] | None = None
    standing: tuple[str, str] = ("invalid", "block")
    says: str = ""
    days: int = 0


def predicate(change: Callable[[Json], Any]) -> Callable[[], bytes]:
    return lambda: model_statement(FILES, lambda document: change(document["predicate"]))


def serialization(**values: Any) -> Callable[[], bytes]:
    return predicate(lambda p: p["serialization"].update(values))


def by(vendor: Vendor = VENDOR, **options: Any) -> Callable[[bytes], bytes]:
    return lambda payload: vendor.sign(payload, **options)


def flip(document: Json) -> None:
    signature = document["dsseEnvelope"]["signatures"][0]
    data = bytearray(base64.b64decode(signature["sig"]))
    data[-1] ^= 1
    signature["sig"] = base64.b64encode(bytes(data)).decode()


def chain(change: Callable[[list[Json]], Any]) -> Callable[[Json], Any]:
    return lambda d: change(d["verificationMaterial"]["x509CertificateChain"]["certificates"])


def bare_key(document: Json) -> None:
    document["verificationMaterial"] = {"publicKey": {"hint": "x"}, "tlogEntries": []}


def ignoring(*paths: str) -> Callable[[], bytes]:
    """The signed document asks not to look at these."""

    def make() -> bytes:
        return model_statement(
            {path: content for path, content in FILES.items() if path not in paths},
            lambda d: d["predicate"]["serialization"].update(ignore_paths=[OMS, *paths]),
        )

    return make


CASES = [
    Case("a file changed", files={**FILES, "scripts/sum.py": b"import os\n"}, says="scripts/sum.py: is not the file"),
    Case("a file added", files={**FILES, "scripts/more.py": b"1\n"}, says="scripts/more.py: is not in the signed list"),
    Case("a file missing", files=without("references/rows.md"), says="was signed and is not there"),
    Case("a file that the list asks to ignore", ignoring("scripts/sum.py"), says="scripts/sum.py: is not in the signed list"),
    Case("a second signature beside", files={**FILES, "x.md.sigstore.json": b"{}"}, says="x.md.sigstore.json"),
    Case("links allowed", serialization(allow_symlinks=True), says="allow_symlinks"),
    Case("links allowed by a number", serialization(allow_symlinks=0), says="allow_symlinks"),
    Case("shards", serialization(method="shards"), says="method"),
    Case("another hash", serialization(hash_type="blake2b"), says="hash_type"),
    Case("no serialization", predicate(lambda p: p.pop("serialization")), says="method"),
    Case("no list", predicate(lambda p: p.pop("resources")), says="not a list of files"),
    Case("an empty list", predicate(lambda p: p.update(resources=[])), says="not a list of files"),
    Case("a file listed twice", predicate(lambda p: p["resources"].append(p["resources"][0])), says="twice"),
    Case("a resource without name", predicate(lambda p: p["resources"][0].pop("name")), says="name"),
    Case("another algorithm", predicate(lambda p: p["resources"][0].update(algorithm="sha1")), says="sha256"),
    Case("list and subject disagree", lambda: model_statement(FILES, lambda d: d["subject"][0]["digest"].update(sha256="0" * 64)), says="not what it is about"),
    Case("two subjects", lambda: model_statement(FILES, lambda d: d["subject"].append({"name": "x", "digest": {"sha256": "0" * 64}})), says="not what it is about"),
    Case("an empty statement", lambda: b"{}"),
    Case("no JSON", lambda: b"signed"),
    Case("a statement of the old kind", lambda: model_statement(FILES, lambda d: d.update(predicateType="https://model_signing/Digests/v0.1")), standing=("unverifiable", "look"), says="nothing that it is about is here"),
    # by certificate
    Case("certificate: flipped signature", by=by(), edit=flip, says="does not fit"),
    Case("certificate: payload exchanged", by=by(), edit=lambda d: d["dsseEnvelope"].update(payload=base64.b64encode(model_statement(without("SKILL.md"))).decode())),
    Case("certificate: another payload type", by=by(payload_type="text/x"), says="not a signed statement"),
    Case("certificate: another vendor", by=by(Vendor("Evil")), says="no configured root vouches"),
    Case("certificate: another vendor of the same name", by=by(Vendor()), says="no configured root vouches"),
    Case("certificate: chain without its middle", by=by(), edit=chain(lambda c: c.pop()), says="no configured root vouches"),
    Case("certificate: chain without the signer", by=by(), edit=chain(lambda c: c.pop(0))),
    Case("certificate: empty chain", by=by(), edit=chain(lambda c: c.clear()), standing=("unverifiable", "look"), says="bare key"),
    Case("certificate: not DER", by=by(), edit=chain(lambda c: c[0].update(rawBytes="AAAA"))),
    Case("certificate: eleven of them", by=by(), edit=chain(lambda c: c.extend([c[0]] * 9)), says="more than 10"),
    Case("certificate: may not sign", by=by(usage=key_usage(key_encipherment=True))),
    Case("certificate: for servers", by=by(eku=ExtendedKeyUsageOID.SERVER_AUTH)),
    Case("certificate: Ed25519", by=by(key=ed25519.Ed25519PrivateKey.generate()), says="not ECDSA"),
    Case("certificate: wrong digest", by=by(digest=hashes.SHA512())),
    Case("certificate: ended", by=by(ends=now() - timedelta(days=1)), standing=("unverifiable", "look"), says="nothing proves"),
    Case("certificate: not begun", by=by(), days=-200),
    Case("certificate: a file changed", by=by(), files={**FILES, "SKILL.md": FILES["SKILL.md"] + b"\n"}, says="SKILL.md: is not the file"),
    Case("certificate: a bare key", by=by(), edit=bare_key, standing=("unverifiable", "look"), says="bare key"),
    Case("certificate: a log entry that is none", by=by(), edit=lambda d: d["verificationMaterial"].update(tlogEntries=[{}])),
    # by Sigstore
    Case("a foreign Sigstore", by=lambda payload: PrivateSigstore().sign_statement(payload)),
    Case("a log entry taken away", edit=lambda d: d["verificationMaterial"].update(tlogEntries=[]), says="no configured root vouches"),
    Case("flipped signature", edit=flip),
    Case("an unknown field", edit=lambda d: d.update(note="x")),
    Case("malformed", by=lambda payload: SIGSTORE.sign_statement(payload)[:-1]),
    Case("huge", by=lambda payload: SIGSTORE.sign_statement(payload) + b" " * MAX_EVIDENCE_BYTES, says="larger than"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_evidence_that_does_not_hold_makes_no_facts(case: Case) -> None:
    evidence = (case.by or SIGSTORE.sign_statement)(case.payload())
    if case.edit is not None:
        document = json.loads(evidence)
        case.edit(document)
        evidence = canonical(document)
    files = {**(case.files or FILES), OMS: evidence}

    facts, findings = look(files, at=now() + timedelta(days=case.days))

    assert facts == {}
    of_it = [finding for finding in findings if finding.path == OMS]
    assert kinds(tuple(of_it)) == [case.standing]
    assert case.says in of_it[0].message


def test_a_certificate_that_may_not_issue_vouches_for_nobody() -> None:
    """A leaf of the vendor's, used as an authority by whoever stole it."""
    key = ec.generate_private_key(ec.SECP256R1())
    thief = Vendor("Thief")
    thief.ca, thief.ca_key = VENDOR.leaf(key), key
    evidence = json.loads(thief.sign(model_statement(FILES)))
    evidence["verificationMaterial"]["x509CertificateChain"]["certificates"].append(
        {"rawBytes": base64.b64encode(_der(VENDOR.ca)).decode()}
    )
    facts, findings = look({**FILES, OMS: canonical(evidence)})
    assert facts == {}
    assert kinds(findings) == [("invalid", "block")]


def _der(certificate: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    data: bytes = certificate.public_bytes(Encoding.DER)
    return data


def test_a_key_of_another_kind_is_refused() -> None:
    """RSA: model-signing makes none, so nothing of ours has to understand it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    class Signing:
        def public_key(self) -> Any:
            return key.public_key()

        def sign(self, data: bytes, _: Any) -> bytes:
            from cryptography.hazmat.primitives.asymmetric import padding

            return key.sign(data, padding.PKCS1v15(), hashes.SHA256())

    _, findings = look({**FILES, OMS: VENDOR.sign(model_statement(FILES), key=Signing())})
    assert kinds(findings) == [("invalid", "block")]


@pytest.mark.parametrize(
    ("name", "evidence", "kind"),
    [
        ("SKILL.md.sigstore.json", SIGSTORE.sign_artifact(b"other"), ("invalid", "block")),
        ("SKILL.md.sigstore", SIGSTORE.sign_statement(provenance(FILES["scripts/sum.py"])), ("invalid", "block")),
        ("gone.md.sigstore.json", SIGSTORE.sign_artifact(b"gone"), ("unverifiable", "look")),
        ("gone.sigstore.json", SIGSTORE.sign_statement(provenance(b"gone")), ("unverifiable", "look")),
        ("NOTES.SIGSTORE.JSON", b"{}", ("invalid", "block")),
        ("deep/in.sigstore", b"", ("invalid", "block")),
        ("x.sig", canonical({"mediaType": BUNDLE_TYPE}), ("invalid", "block")),
    ],
    ids=["other-bytes", "about-another-file", "file-gone", "nothing-here", "no-bundle", "empty", "sig-no-bundle"],
)  # fmt: skip
def test_evidence_about_something_else(name: str, evidence: bytes, kind: tuple[str, str]) -> None:
    facts, findings = look({**FILES, name: evidence})
    assert facts == {}
    assert kinds(findings) == [kind]


def test_an_empty_file_is_covered_by_nobody_in_passing() -> None:
    """The digest of nothing is in many statements; it must not tie one of them to this skill."""
    files = {**FILES, "empty.md": b""}
    facts, findings = look({**files, "a.sigstore.json": SIGSTORE.sign_statement(provenance(b""))})
    assert facts == {}
    assert kinds(findings) == [("unverifiable", "look")]


def test_a_flood_of_evidence_is_cut_off_loudly() -> None:
    flood = {f"{number:02}.sigstore.json": b"{}" for number in range(20)}
    _, findings = look({**FILES, **flood})
    assert len(findings) == 17
    assert findings[-1].severity is Severity.BLOCK
    assert "20 pieces" in findings[-1].message


def test_what_upstream_wrote_is_shown_harmless() -> None:
    vendor = Vendor("Ev\u202eil\x1b[2J")
    trust = UpstreamTrust(certificates=vendor.roots)
    facts, findings = look({**FILES, OMS: vendor.sign(model_statement(FILES))}, trust=trust)
    shown = json.dumps([facts, [finding.message for finding in findings]], ensure_ascii=False)
    assert shown.isascii()
    assert "\x1b" not in shown
    assert "\\u202e" in facts["upstream.identity"]


# --- compared with the last version


OLD = {
    "commit": "abc",
    "upstream.identity": IDENTITY,
    "upstream.issuer": ISSUER,
    "upstream.source_repository": REPOSITORY,
    "upstream.evidence_sha256": "1" * 64,
    "upstream.kind": "sigstore",
    "upstream.coverage": "all",
}


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        ({}, None, []),
        ({"commit": "x"}, {"commit": "y"}, []),
        (OLD, None, [("identity-new", "note")]),
        (OLD, {"commit": "y"}, [("identity-new", "note")]),
        ({**OLD, "commit": "x", "upstream.evidence_sha256": "2" * 64}, OLD, []),
        ({"commit": "x"}, OLD, [("identity-vanished", "block")]),
        ({**OLD, "upstream.identity": "mallory@example.org"}, OLD, [("identity-changed", "block")]),
        ({**OLD, "upstream.identity": IDENTITY.replace("a", "\u0430")}, OLD, [("identity-changed", "block")]),
        ({**OLD, "upstream.issuer": "https://evil.example"}, OLD, [("identity-changed", "block")]),
        ({**OLD, "upstream.source_repository": ""}, OLD, [("identity-changed", "block")]),
        ({**OLD, "upstream.kind": "certificate"}, OLD, [("identity-weaker", "block")]),
        ({**OLD, "upstream.coverage": "part"}, OLD, [("identity-weaker", "block")]),
        ({**OLD, "upstream.kind": ""}, OLD, [("identity-weaker", "block")]),
        (OLD, {**OLD, "upstream.kind": "certificate", "upstream.coverage": "part"}, []),
    ],
    ids=[
        "never-any",
        "never-any-in-two",
        "first",
        "first-after-unsigned",
        "same",
        "vanished",
        "changed",
        "confusable",
        "issuer",
        "repository",
        "no-log-any-more",
        "part-only",
        "kind-unknown",
        "stronger",
    ],
)
def test_identity_is_compared_with_the_last_version(
    new: dict[str, str], old: dict[str, str] | None, expected: list[tuple[str, str]]
) -> None:
    findings = identity_findings(new, old)
    assert kinds(findings) == expected
    assert all(finding.message.isascii() for finding in findings)


def test_a_taken_over_skill_is_told_from_the_version_before() -> None:
    """End to end: the same files but one, under another identity of the same authority; then without any."""
    before, _ = look({**FILES, OMS: SIGSTORE.sign_statement(model_statement(FILES))})
    changed = {**FILES, "scripts/sum.py": b"print(2)\n"}
    evil = SIGSTORE.sign_statement(model_statement(changed), identity="https://ci.example/fork")
    after, findings = look({**changed, OMS: evil})
    assert kinds(findings) == [("verified", "note")]  # by itself it looks well
    assert kinds(identity_findings(after, before)) == [("identity-changed", "block")]
    bare, _ = look(changed)
    assert kinds(identity_findings(bare, before)) == [("identity-vanished", "block")]
