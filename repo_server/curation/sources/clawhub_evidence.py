"""What ClawHub says about a version, as findings for the reviewer.

A verdict against the skill counts: ``malicious`` and its like block until somebody answers for them, everything that is
neither that nor good must be looked at. A verdict for it is recorded and weighs nothing: the registry's scanners are
not ours, and whoever holds the registry's server can write any verdict.
"""

from collections.abc import Iterator
from typing import Any, Final

from repo_server.curation.sources.base import (
    number_at,
    object_at,
    observation,
    plain_fact,
    text_at,
)
from repo_server.curation.sources.clawhub_api import Registry
from repo_server.curation.sources.fingerprints import clawhub_fingerprint
from repo_server.curation.tree import SourceTree
from signing.errors import DigestMismatchError
from signing.format.digest import sha256_of
from signing.format.finding import Finding, Severity

_BAD: Final = {"malicious", "blocked", "malware-blocked", "revoked", "quarantined"}
_GOOD: Final = {"", "clean", "benign", "passed", "pass"}
_MAX_CODES: Final = 10
_MAX_EVIDENCE: Final = 50
_MAX_LINE: Final = 10_000_000


class Evidence:
    """Everything that the registry says about one version of a skill (None: of a skill that GitHub keeps)."""

    def __init__(
        self, registry: Registry, skill: dict[str, Any], tree: SourceTree, version: str | None
    ) -> None:
        """Ask the registry for its evidence.

        Raises:
            DigestMismatchError: it says that the version has other files than the ones that came.
            SkillRepoError: an answer is none.
        """
        self._tree, self._version = tree, version
        self._moderation = object_at(skill, "moderation")
        said = registry.evidence("moderation", version) if self._moderation else None
        self._moderation_detail = object_at(said or {}, "moderation")
        self._verify = registry.evidence("verify", version)
        self._scan = registry.evidence("scan", version)
        if self._verify is not None and version is not None:
            if text_at(self._verify, "version") == version:
                _check_artifact(self._verify, tree)
            else:
                self._verify = None  # about another version, which is nothing about this one
        files: dict[str, bytes] = {path: file.content for path, file in tree.files.items()}
        self._fingerprint = clawhub_fingerprint(files) if version else None
        self._resolved = registry.resolve(self._fingerprint) if self._fingerprint else None

    def facts(self, detail: dict[str, Any]) -> dict[str, str]:
        """Return what is kept beside the candidate."""
        verify = self._verify or {}
        return {
            "moderation": plain_fact(self._verdict()) or "none",
            "security": plain_fact(text_at(object_at(detail, "security"), "status")) or "none",
            "verify": plain_fact(text_at(verify, "decision")) or "none",
            "scan": plain_fact(text_at(object_at(self._scan or {}, "security"), "status")) or "none",
            "provenance": plain_fact(text_at(object_at(verify, "provenance"), "source")) or "none",
            "signature": plain_fact(text_at(object_at(verify, "signature"), "status")) or "none",
            "fingerprint": self._fingerprint or "not comparable",
            "known_as": plain_fact(self._resolved or "") or "none",
        }

    def observations(self, detail: dict[str, Any]) -> Iterator[Finding]:
        """Yield what a reviewer must know."""
        verify = object_at(self._verify or {}, "security")
        scan = object_at(self._scan or {}, "security")
        yield from _judged("moderation", self._verdict(), _codes(self._moderation, "reasonCodes"))
        yield from _judged("security", text_at(object_at(detail, "security"), "status"))
        yield from _judged("verify", text_at(verify, "status"), _codes(self._verify or {}, "reasons"))
        yield from _judged("scan", text_at(scan, "status"))
        for name, signal in sorted(object_at(verify, "signals").items())[:_MAX_CODES]:
            if isinstance(signal, dict):
                label = f"verify ({plain_fact(name)[:40]})"
                yield from _judged("verify", text_at(signal, "status"), _codes(signal, "reasonCodes"), label)
        yield from self._pointed_at()
        yield from self._compared()
        if self._verify is not None:
            status = plain_fact(text_at(object_at(self._verify, "signature"), "status"))[:80] or "nothing"
            message = f"about signatures ClawHub says {status!r}; none was verified: all of this is its server's word"
            yield observation("unsigned", Severity.NOTE, message)
        if self._verify is None:
            yield observation(
                "no-evidence", Severity.NOTE, "the registry has no verification of this version"
            )

    def _verdict(self) -> str:
        if self._moderation.get("isMalwareBlocked") is True:
            return "malicious"
        suspicious = "suspicious" if self._moderation.get("isSuspicious") is True else ""
        return text_at(self._moderation, "verdict") or suspicious

    def _pointed_at(self) -> Iterator[Finding]:
        """Yield the places that the registry's scanners point at, where they are places of these files."""
        found = self._moderation_detail.get("evidence")
        for item in found[:_MAX_EVIDENCE] if isinstance(found, list) else ():
            if not isinstance(item, dict):
                continue
            path, line = text_at(item, "file"), number_at(item, "line") or 0
            known = path in self._tree.files
            yield Finding(
                check="source.evidence",
                severity=Severity.LOOK,
                path=path if known else "",
                line=line if known and 0 <= line <= _MAX_LINE else 0,
                message=f"ClawHub points here: {plain_fact(text_at(item, 'code'))}: "
                f"{plain_fact(text_at(item, 'message'))} (it spoke of the latest version)",
            )

    def _compared(self) -> Iterator[Finding]:
        """Yield what does not agree about which files this version is."""
        if self._version is None:
            return
        if self._fingerprint is None:
            message = "ClawHub's fingerprint cannot be compared: a path is not ASCII"
            yield observation("fingerprint", Severity.NOTE, message)
            return
        claimed = text_at(object_at(self._verify or {}, "artifact"), "sourceFingerprint")
        if claimed and claimed != self._fingerprint:
            message = (
                f"ClawHub's fingerprint is {plain_fact(claimed)[:64]}, that of the files {self._fingerprint}"
            )
            yield observation("fingerprint", Severity.LOOK, message)
        if self._resolved is not None and self._resolved != self._version:
            other = f"version {plain_fact(self._resolved)}" if self._resolved else "no version"
            message = f"ClawHub knows these files as {other}, not as {plain_fact(self._version)}"
            yield observation("fingerprint", Severity.LOOK, message)


def _judged(check: str, verdict: str, codes: str = "", label: str = "") -> Iterator[Finding]:
    verdict = verdict.lower()
    if verdict not in _GOOD:
        severity = Severity.BLOCK if verdict in _BAD else Severity.LOOK
        because = f" ({codes})" if codes else ""
        message = f"ClawHub's {label or check} says {plain_fact(verdict)[:80]}{because}; find out why before deciding otherwise"
        yield observation(check, severity, message)


def _codes(document: dict[str, Any], key: str) -> str:
    codes = document.get(key)
    if not isinstance(codes, list):
        return ""
    return ", ".join(plain_fact(code)[:60] for code in codes[:_MAX_CODES] if isinstance(code, str))


def _check_artifact(verify: dict[str, Any], tree: SourceTree) -> None:
    """Compare the files with the second list of them that the registry gives, if it is about this version."""
    files = object_at(verify, "artifact").get("files")
    for item in files if isinstance(files, list) else ():
        path = text_at(item, "path") if isinstance(item, dict) else ""
        if path in tree.files and text_at(item, "sha256") != sha256_of(tree.files[path].content):  # type: ignore[index]
            raise DigestMismatchError(
                "the registry's verification is about another file",
                where=plain_fact(path),
                hint="fetch again; if it repeats, do not use it and tell the registry",
            )
