"""Is this repository good? Everything that a client checks, and what it does not (reference/freebsd-pkg §1, §4).

    meta.conf          pkg's own names for the files; not past its end of life; what the index names
    data.pkg           there, signed by somebody trusted and by nobody revoked, well-formed
    packagesite.pkg    the same, listing the same
    files.pkg, filesite.pkg   when there: the same, about the same packages
    every package      there, of that size and sum, saying of itself what the catalogue says; on demand every file in it
    the set            for one ABI, each dependency in it
    repo.json          when given: the same files, packages and fingerprints

A real client checks no meta.conf, falls back when data.pkg is missing, says "up to date" to a bad signature, and
believes files on its own disk. Here everything is looked at, and everything that is wrong is said at once.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from repo_server.pkgrepo.against_index import (
    check_catalogue,
    check_files,
    check_listed,
    check_packagesite,
)
from repo_server.pkgrepo.catalogue import (
    ARCHIVES,
    MAX_ARCHIVE_BYTES,
    Catalogue,
    CatalogueEntry,
    SignedPayload,
    parse_data,
    parse_packagesite,
    read_catalogue,
)
from repo_server.pkgrepo.filelist import parse_files, parse_filesite
from repo_server.pkgrepo.fingerprints import FingerprintAnchors
from repo_server.pkgrepo.metaconf import MetaConf
from repo_server.pkgrepo.packages import ExaminedPackage, examine_package
from repo_server.pkgrepo.reading import MAX_META_BYTES, RepositoryReader
from repo_server.pkgrepo.signatures import check_fingerprints, check_pubkey, check_signature
from repo_server.pkgrepo.verdict import Findings, Problem, Severity, Verdict
from signing.errors import (
    DigestMismatchError,
    ExpiredError,
    NotFoundError,
    RejectedError,
    UsageError,
    VerificationError,
    WrongSubjectError,
)
from signing.format.digest import sha256_of
from signing.format.pkg.index import RepoIndex, fits

__all__ = ["Packages", "Problem", "Severity", "Verdict", "check_catalogue", "verify_repository"]

Packages = Literal["all", "none", "sample"]
SAMPLE: Final = 50
_SHOWN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trust:
    """Who may have signed: exactly one of these says it."""

    anchors: FingerprintAnchors | None
    pubkey: bytes | None

    def check(self, signed: SignedPayload, where: str) -> list[str]:
        if self.anchors is not None:
            return list(check_fingerprints(signed.payload, signed.signatures, self.anchors, where=where))
        if self.pubkey is not None:
            return [check_pubkey(signed.payload, signed.signatures, self.pubkey, where=where).value]
        return []


def verify_repository(
    reader: RepositoryReader,
    *,
    anchors: FingerprintAnchors | None = None,
    pubkey: bytes | None = None,
    unsigned: bool = False,
    index: RepoIndex | None = None,
    packages: Packages = "all",
    files: bool = False,
    now: datetime,
    choose: Callable[[Sequence[CatalogueEntry], int], Iterable[CatalogueEntry]] | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Verdict:
    """Return what is wrong with the repository behind ``reader``, all of it, and what it is.

    Args:
        reader: where it is read.
        anchors: who is trusted and who is revoked, in a repository signed by fingerprint; or
        pubkey: the one key of another; or
        unsigned: True when nobody signs it. Exactly one of the three is given.
        index: our own index, checked by the caller; None when there is none.
        packages: which package files are read.
        files: whether every file in them is compared with the package's manifest.
        now: for what ends.
        choose: takes a sample; at random when it is not given, so that nobody can prepare for it.
        tell: hears how far it is.

    Raises:
        UsageError: not exactly one way to trust.
        HostError, TransportError: it cannot be read, so that nothing can be said about it.
    """
    if (anchors is not None) + (pubkey is not None) + unsigned != 1:
        raise UsageError("whose signature?", hint="--fingerprints DIR, --pubkey FILE, or --unsigned")
    look = _Look(reader, _Trust(anchors=anchors, pubkey=pubkey), index)
    look.meta(now)
    catalogue = look.catalogues()
    if catalogue is not None:
        look.whole(catalogue)
        wanted: Iterable[CatalogueEntry] = catalogue.entries
        if packages == "sample" and len(catalogue.entries) > SAMPLE:
            wanted = (choose or random.SystemRandom().sample)(catalogue.entries, SAMPLE)
        if packages != "none":
            look.packages(wanted, files=files, tell=tell)
    return Verdict(repository=reader.label, problems=tuple(look.findings.problems), facts=look.facts)


class _Look:
    """One look at a repository, step by step."""

    def __init__(self, reader: RepositoryReader, trust: _Trust, index: RepoIndex | None) -> None:
        self._reader, self._trust, self._index = reader, trust, index
        self._named = {file.name: file for file in index.catalogue} if index is not None else {}
        self.findings = Findings()
        self.facts: dict[str, Any] = {"catalogues": {}}
        if index is not None:
            self.facts["index"] = {
                "repository": index.repository,
                "abi": index.repo.abi,
                "channel": index.repo.channel,
                "serial": index.serial,
            }

    def meta(self, now: datetime) -> None:
        """Look at meta.conf, which nobody signs."""
        with self.findings.at("meta.conf"):
            data = self._reader.load("meta.conf", max_bytes=MAX_META_BYTES)
            self._as_indexed("meta.conf", data)
            conf = MetaConf.parse(data)
            self.facts["meta"] = dict(conf.raw)
            if conf.eol is not None and conf.eol <= now.timestamp():
                raise ExpiredError("says that the repository is past its end of life")
        with self.findings.at("meta"):
            try:
                old = self._reader.load("meta", max_bytes=MAX_META_BYTES)
            except NotFoundError:
                return
            self._as_indexed("meta", old)

    def catalogues(self) -> Catalogue | None:
        """Look at all catalogues and return what they agree on; None when there is nothing to go on with."""
        catalogue = None
        with self.findings.at("data.pkg"):
            catalogue = parse_data(self._payload("data.pkg"))
        with self.findings.at("packagesite.pkg"):
            payload = self._payload("packagesite.pkg")
            if catalogue is None:
                catalogue = parse_packagesite(payload)
            else:
                check_packagesite(payload, catalogue)
        for name, parse in (("files.pkg", parse_files), ("filesite.pkg", parse_filesite)):
            with self.findings.at(name):
                try:
                    payload = self._payload(name)
                except NotFoundError:
                    if name in self._named:
                        raise
                    continue
                if catalogue is not None:
                    check_files(parse(payload), (entry.pin for entry in catalogue.entries), where=name)
        return catalogue

    def whole(self, catalogue: Catalogue) -> None:
        """Look at the set of packages: one ABI, closed, and what the index lists."""
        entries = catalogue.entries
        abis = sorted({entry.abi for entry in entries})
        self.facts |= {
            "packages": len(entries),
            "bytes": sum(entry.size for entry in entries),
            "abis": abis,
            "groups": sorted(str(group["name"]) for group in catalogue.groups),
        }
        with self.findings.at("catalogue"):
            _check_abis(abis)
        names = {entry.name for entry in entries}
        for entry in entries:
            for dep in entry.deps:
                if dep.name not in names:
                    message = f"{entry.pin} needs {dep.name}, which is not in the repository"
                    self.findings.add(NotFoundError(message, hint=_OPEN), where=entry.path)
        if self._index is not None:
            with self.findings.at("catalogue"):
                _check_fits(entries, self._index)
                check_listed(self._index, entries)

    def packages(
        self, entries: Iterable[CatalogueEntry], *, files: bool, tell: Callable[[str], None]
    ) -> None:
        """Look at package files."""
        found: dict[str, ExaminedPackage] = {}
        for place, entry in enumerate(entries, start=1):
            with self.findings.at(entry.path), self._reader.open(entry.path, max_bytes=entry.size) as stream:
                found[entry.path] = examine_package(stream, entry, files=files)
            if place % _SHOWN == 0:
                tell(f"{place} packages read")
            self.facts["packages_read"] = place
        self.facts["packages_good"] = len(found)
        self.facts["files_checked"] = sum(one.files or 0 for one in found.values()) if files else None
        if self._index is not None:
            self._sums(found)

    def _sums(self, found: dict[str, ExaminedPackage]) -> None:
        if self._index is None:
            return
        for package in self._index.packages:
            if (one := found.get(package.path)) is None:
                continue
            with self.findings.at(package.path):
                if one.digests.sha256 != package.sha256:
                    raise DigestMismatchError("is not the package that the index names", hint=_ALTERED)

    def _payload(self, name: str) -> bytes:
        """Return the payload of a catalogue that is signed by whom we trust.

        What nobody vouches for is not read any further: it could name packages without end, to be fetched.
        """
        data = self._reader.load(name, max_bytes=MAX_ARCHIVE_BYTES)
        with self.findings.at(name):
            self._as_indexed(name, data)
        signed = read_catalogue(data, ARCHIVES[name])
        facts: dict[str, Any] = {
            "sha256": sha256_of(data),
            "size": len(data),
            "compression": signed.compression.value,
            "members": list(signed.members),
            "payload_sha256": sha256_of(signed.payload),
            "signatures": [_described(signed, place) for place in range(len(signed.signatures))],
            "trusted": [],
        }
        self.facts["catalogues"][name] = facts
        facts["trusted"] = self._trust.check(signed, name)
        if self._index is not None and self._trust.anchors is not None:
            _check_named(facts["trusted"], self._index)
        return signed.payload

    def _as_indexed(self, name: str, data: bytes) -> None:
        if self._index is None:
            return
        file = self._named.get(name)
        if file is None or (file.size, file.sha256) != (len(data), sha256_of(data)):
            raise DigestMismatchError("is not the file that the index names", where=name, hint=_ALTERED)


def _described(signed: SignedPayload, place: int) -> dict[str, Any]:
    """Return what one signature is: also of a stranger, so that a person sees who it was."""
    signature = signed.signatures[place]
    found: dict[str, Any] = {
        "name": signature.name,
        "kind": None,
        "fingerprint": signature.fingerprint,
        "good": None,
    }
    try:
        found["kind"] = signature.kind().value
        if signature.certificate is not None:
            check_signature(signed.payload, signature)
            found["good"] = True
    except RejectedError:
        found["good"] = False
    return found


def _check_abis(abis: Sequence[str]) -> None:
    """Return None when there is a machine that can install all of them."""
    parts = [abi.split(":") for abi in abis]
    for column in zip(*parts, strict=True):
        if len(set(column) - {"*"}) > 1:
            raise WrongSubjectError(f"holds packages for {', '.join(abis[:4])} at once", hint=_MIXED)


def _check_fits(entries: Iterable[CatalogueEntry], index: RepoIndex) -> None:
    for entry in entries:
        if not fits(entry.abi, index.repo):
            message = f"{entry.pin} is for {entry.abi}, not for {index.repo.abi}"
            raise WrongSubjectError(message, where=entry.path)


def _check_named(trusted: Iterable[str], index: RepoIndex) -> None:
    if missing := set(index.fingerprints) - set(trusted):
        shown = min(missing)[:16]
        raise VerificationError(
            f"carries no good signature of {shown}…, which the index names", hint=_ALTERED
        )


_OPEN: Final = "build it too; pkg would fetch it from another repository, or fail"
_MIXED: Final = "one repository is for one ABI"
_ALTERED: Final = (
    "one of the two is of another build, or was changed; publish again, or treat the server as compromised"
)
