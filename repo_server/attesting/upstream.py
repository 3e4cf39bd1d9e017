"""What the evidence found in an imported tree means for the candidate, and for the version after it.

A signature by somebody unknown says little by itself; that the *same* somebody signed the last version, and not
this one, says much. So who it was is kept with the candidate, and compared:

    upstream.identity, upstream.issuer     who signed (several: sorted, joined by " + ")
    upstream.source_repository             when the certificate says so
    upstream.evidence_sha256               of the evidence itself
    upstream.kind                          sigstore, or certificate (no transparency log)
    upstream.coverage                      all: every file; part: some are covered by nobody's signature
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final

from repo_server.attesting.evidence import (
    Kind,
    Standing,
    UpstreamEvidence,
    UpstreamTrust,
    evidence_paths,
    examine_evidence,
)
from repo_server.curation.textsafe import excerpt
from repo_server.curation.tree import SourceTree
from signing.format.manifest import SKILL_NAME, MemberPath
from signing.format.review import Finding, Severity

__all__ = ["UpstreamEvidence", "UpstreamTrust", "identity_findings", "upstream_facts"]

PREFIX: Final = "upstream."
_MAX_EVIDENCE: Final = 16
_WHO: Final = ("identity", "issuer", "source_repository")
# Each from the stronger to the weaker.
_RANKED: Final = {"kind": ("sigstore", "certificate"), "coverage": ("all", "part")}
_WEIGHT: Final = {
    Standing.VERIFIED: Severity.NOTE,
    Standing.UNVERIFIABLE: Severity.LOOK,
    Standing.INVALID: Severity.BLOCK,
}


def upstream_facts(
    tree: SourceTree, *, trust: UpstreamTrust, now: datetime
) -> tuple[dict[str, str], tuple[Finding, ...]]:
    """Verify all evidence in ``tree``; return what is to be kept with the candidate, and what to look at.

    Only verified evidence makes facts. Whatever it holds, and whatever a library makes of it, becomes a finding.
    """
    paths = evidence_paths(tree)
    examined = [examine_evidence(tree, path, trust=trust, now=now) for path in paths[:_MAX_EVIDENCE]]
    signed = frozenset(tree.files) - set(paths)
    findings = [_finding(item, signed) for item in examined]
    if len(paths) > _MAX_EVIDENCE:
        message = f"{len(paths)} pieces of evidence; only {_MAX_EVIDENCE} were looked at"
        findings.append(_make("invalid", Severity.BLOCK, paths[_MAX_EVIDENCE], message))
    return _facts(examined, signed), tuple(findings)


def identity_findings(new: Mapping[str, str], old: Mapping[str, str] | None) -> tuple[Finding, ...]:
    """Return what a curator must know about who signed ``new`` when ``old`` was published last.

    Args:
        new: what is kept of the candidate (``resolved``).
        old: the same of the release that was published last; None: there is none.
    """
    return tuple(_compared(_known(new), _known(old or {})))


def _compared(new: Mapping[str, str], old: Mapping[str, str]) -> Iterator[Finding]:
    if not new and not old:
        return
    if not old:
        message = f"upstream signs it now: {_shown(new)}; the next version will be compared with that"
        yield _make("identity-new", Severity.NOTE, SKILL_NAME, message)
        return
    if not new:
        message = f"the last version was signed by {_shown(old)}, and nothing that verifies signs this one"
        yield _make("identity-vanished", Severity.BLOCK, SKILL_NAME, f"{message}; ask upstream why")
        return
    if any(new.get(key) != old.get(key) for key in _WHO):
        message = f"the last version was signed by {_shown(old)}, this one by {_shown(new)}"
        yield _make("identity-changed", Severity.BLOCK, SKILL_NAME, f"{message}; find out who that is")
    for key, order in _RANKED.items():
        before, after = old.get(key, ""), new.get(key, "")
        if before in order and (after not in order or order.index(after) > order.index(before)):
            message = f"the evidence of the last version was {key} {before!a}, this one's is {after!a}, which is less"
            yield _make("identity-weaker", Severity.BLOCK, SKILL_NAME, message)


def _known(resolved: Mapping[str, str]) -> dict[str, str]:
    return {
        key.removeprefix(PREFIX): value for key, value in resolved.items() if key.startswith(PREFIX) and value
    }


def _shown(known: Mapping[str, str]) -> str:
    # ascii(), because the change may be one letter that looks like another.
    return " of ".join(ascii(excerpt(known.get(key, ""), limit=300)) for key in ("identity", "issuer"))


def _facts(examined: Iterable[UpstreamEvidence], signed: frozenset[MemberPath]) -> dict[str, str]:
    verified = [item for item in examined if item.verified]
    whole = [item for item in verified if item.covers >= signed]
    best = whole or verified
    if not best:
        return {}
    facts = {
        "identity": _joined(item.identity for item in best),
        "issuer": _joined(item.issuer for item in best),
        "source_repository": _joined(item.source_repository for item in best),
        "evidence_sha256": _joined(item.evidence_sha256 for item in best),
        # One without a log among them is as weak as all without.
        "kind": max((item.kind for item in best), key=_RANKED["kind"].index).value,
        "coverage": "all" if whole else "part",
    }
    return {f"{PREFIX}{key}": value for key, value in facts.items() if value}


def _joined(texts: Iterable[str]) -> str:
    """Return what is compared: whole, and in ASCII, so that two that look alike differ visibly."""
    return " + ".join(sorted({ascii(text)[1:-1] for text in texts if text}))


def _finding(item: UpstreamEvidence, signed: frozenset[MemberPath]) -> Finding:
    weight = _WEIGHT[item.standing]
    if not item.verified:
        return _make(item.standing.value, weight, item.path, f"upstream's evidence: {item.problem}")
    who = f"signed by {excerpt(item.identity, limit=300)!a} of {excerpt(item.issuer, limit=300)!a}"
    if item.kind is Kind.CERTIFICATE:
        who += " (a certificate; no transparency log, no proof of when)"
    if missing := sorted(signed - item.covers):
        message = f"{who}, but {len(missing)} of {len(signed)} files are not covered, first: {missing[0]}"
        return _make("partial", Severity.LOOK, item.path, message)
    return _make(item.standing.value, weight, item.path, f"{who}, all {len(signed)} files")


def _make(check: str, severity: Severity, path: str, message: str) -> Finding:
    return Finding(
        check=f"{PREFIX}{check}", severity=severity, path=path[:500], line=0, message=message[:2_000]
    )
