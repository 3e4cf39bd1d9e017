"""Where evidence of an upstream stands in an imported tree, whether it holds, and which files it covers.

    SKILL.md.sigstore.json    a signature over SKILL.md, or a statement that names its sha256
    skill.oms.sig             a list of all files (model-signing)
    x.sig, x.sigstore         likewise, when it is a Sigstore bundle

*Verified*: somebody whom the configured roots vouch for signed these very files. *Unverifiable*: nobody could
tell, for want of a root or of the signed file. *Invalid*: the evidence says something else than the files do, or
was tampered with; no evidence would have been better.
"""

import enum
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from repo_server.attesting.chains import verify_chain
from repo_server.attesting.identity import ANYBODY
from repo_server.attesting.material import MAX_EVIDENCE_BYTES, Claim, Material
from repo_server.attesting.model import PREDICATE_TYPE as MODEL
from repo_server.attesting.model import check_model
from repo_server.attesting.verifying import verify_artifact, verify_envelope
from repo_server.curation.textsafe import excerpt
from repo_server.curation.tree import SourceTree
from signing.errors import ExpiredError, FormatError, RejectedError
from signing.format.canonical import parse_json
from signing.format.digest import Sha256, sha256_of
from signing.format.manifest import MemberPath

SUFFIXES: Final = (".sigstore.json", ".sigstore", ".sig")
_ALWAYS: Final = (".sigstore.json", ".sigstore", "skill.oms.sig")
_BUNDLE: Final = "application/vnd.dev.sigstore.bundle"


class Standing(enum.StrEnum):
    """How far a piece of evidence is to be believed."""

    VERIFIED = "verified"
    UNVERIFIABLE = "unverifiable"
    INVALID = "invalid"


class Kind(enum.StrEnum):
    """What stands behind an identity: a transparency log that everybody can watch, or a certificate alone."""

    SIGSTORE = "sigstore"
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamTrust:
    """Who may vouch for upstream identities: a Sigstore trusted root (JSON), authorities of certificates (PEM)."""

    trusted_root: bytes | None = None
    certificates: bytes | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the digests of both, as a policy's digest covers them."""
        return {
            "trusted_root_sha256": _digest(self.trusted_root),
            "certificates_sha256": _digest(self.certificates),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamEvidence:
    """One piece of evidence in a tree, and what came of verifying it."""

    path: MemberPath
    kind: Kind
    evidence_sha256: Sha256
    standing: Standing
    problem: str = ""
    identity: str = ""
    issuer: str = ""
    source_repository: str = ""
    covers: frozenset[MemberPath] = field(default=frozenset())

    @property
    def verified(self) -> bool:
        """Whether an identity stands behind the files that it covers."""
        return self.standing is Standing.VERIFIED


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signed:
    """Who signed, and the files."""

    identity: str
    issuer: str
    source_repository: str
    covers: frozenset[MemberPath]


class _UnverifiableError(Exception):
    """Nobody can tell; says why."""


def evidence_paths(tree: SourceTree) -> tuple[MemberPath, ...]:
    """Return which files of ``tree`` are, or want to be, Sigstore bundles."""
    return tuple(path for path, file in tree.files.items() if _is_evidence(path, file.content))


def examine_evidence(
    tree: SourceTree, path: MemberPath, *, trust: UpstreamTrust, now: datetime
) -> UpstreamEvidence:
    """Return what the evidence at ``path`` is worth; what it holds is never a reason to raise."""
    content = tree.files[path].content
    kind, standing, problem, signed = Kind.SIGSTORE, Standing.INVALID, "", None
    try:
        material = Material.parse(content, where=path)
        kind = Kind.SIGSTORE if material.logged else Kind.CERTIFICATE
        signed = _signed(tree, path, material, trust=trust, now=now)
        standing = Standing.VERIFIED
    except (_UnverifiableError, ExpiredError) as error:
        standing, problem = Standing.UNVERIFIABLE, str(error)
    except RejectedError as error:
        problem = str(error)
    return UpstreamEvidence(
        path=path,
        kind=kind,
        evidence_sha256=sha256_of(content),
        standing=standing,
        problem=excerpt(problem, limit=400),
        identity=signed.identity if signed else "",
        issuer=signed.issuer if signed else "",
        source_repository=signed.source_repository if signed else "",
        covers=signed.covers if signed else frozenset(),
    )


def _is_evidence(path: MemberPath, content: bytes) -> bool:
    name = path.lower()
    if name.endswith(_ALWAYS):
        return True
    if not name.endswith(SUFFIXES) or len(content) > MAX_EVIDENCE_BYTES:
        return False
    try:
        document = parse_json(content)
    except FormatError:
        return False  # a detached signature of another kind, for one
    return isinstance(document, dict) and str(document.get("mediaType")).startswith(_BUNDLE)


def _signed(
    tree: SourceTree, path: MemberPath, material: Material, *, trust: UpstreamTrust, now: datetime
) -> _Signed:
    content = tree.files[path].content
    if not material.logged:
        return _signed_by_certificate(tree, path, material, trust, now)
    if trust.trusted_root is None:
        raise _UnverifiableError("no trusted root is configured for upstream evidence")
    if material.envelope is None:
        subject = _subject_of(tree, path)
        if subject is None:
            raise _UnverifiableError("the file that it signs is not here")
        verified = verify_artifact(
            content,
            artifact=tree.files[subject].content,
            signer=ANYBODY,
            trusted_root=trust.trusted_root,
            now=now,
        )
        covers = frozenset({subject})
    else:
        verified = verify_envelope(content, signer=ANYBODY, trusted_root=trust.trusted_root, now=now)
        covers = _covered(tree, path, verified.claim)
    return _Signed(
        identity=verified.identity,
        issuer=verified.issuer,
        source_repository=verified.source_repository,
        covers=covers,
    )


def _signed_by_certificate(
    tree: SourceTree, path: MemberPath, material: Material, trust: UpstreamTrust, now: datetime
) -> _Signed:
    if not material.certificates:
        raise _UnverifiableError("a bare key signed it, and nobody says whose that is")
    if trust.certificates is None:
        raise _UnverifiableError(
            "it was signed by a certificate without transparency log, and no authority is configured for those"
        )
    found = verify_chain(material, roots=trust.certificates, now=now)
    payload = material.envelope.payload if material.envelope is not None else b""
    return _Signed(
        identity=found.identity,
        issuer=found.issuer,
        source_repository="",
        covers=_covered(tree, path, Claim.parse(payload)),
    )


def _covered(tree: SourceTree, path: MemberPath, claim: Claim) -> frozenset[MemberPath]:
    """Return the files that ``claim`` is about."""
    if claim.predicate_type == MODEL:
        check_model(claim, tree, signature=path)
        return frozenset(tree.files) - {path}
    named = {digest for _, digest in claim.subjects}
    covered = frozenset(
        other
        for other, file in tree.files.items()
        if other != path and file.content and sha256_of(file.content) in named
    )
    subject = _subject_of(tree, path)
    if subject is not None and subject not in covered:
        raise FormatError(f"is about another {subject}", where=path)
    if not covered:
        raise _UnverifiableError("nothing that it is about is here")
    return covered


def _subject_of(tree: SourceTree, path: MemberPath) -> MemberPath | None:
    """Return the file beside ``path`` that its name says it signs."""
    suffix = next(item for item in SUFFIXES if path.lower().endswith(item))
    beside = MemberPath(path[: -len(suffix)])
    return beside if beside in tree.files else None


def _digest(data: bytes | None) -> Sha256 | None:
    return sha256_of(data) if data is not None else None
