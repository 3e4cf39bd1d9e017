"""From a folder of packages to what its builder signs: read it, let it pass the gate, write its catalogue, number it.

    content = read_content(source, cache=…)           what poudriere left, each new file read once
    gate = check_content(content, repo, previous, …)  what must hold (repo_server.pkgrepo.gate)
    catalogue = make_catalogue(content, signers, …)   pkg's files, written anew and signed (repo_server.pkgrepo.writing)
    if is_unchanged(gate, catalogue, previous): …     nothing to publish, at most to renew
    index = make_index(…)                             repo.json: the next serial

The catalogue that poudriere wrote is read and never passed on: ours is sorted, so that the same packages give the same
bytes, and carries the signatures of our keys. For one content, one serial and one moment the index is always the same.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from repo_server.pkgrepo.against_index import check_catalogue, check_files
from repo_server.pkgrepo.beneath import read_beneath
from repo_server.pkgrepo.catalogue import (
    ARCHIVES,
    MAX_ARCHIVE_BYTES,
    Catalogue,
    parse_data,
    read_catalogue,
)
from repo_server.pkgrepo.facts import FactsCache, PackageFacts, Progress, collect_facts
from repo_server.pkgrepo.filelist import parse_files, parse_filesite
from repo_server.pkgrepo.fingerprints import FingerprintAnchors
from repo_server.pkgrepo.gate import Gate, GatePolicy, check_build
from repo_server.pkgrepo.going_back import gone_after
from repo_server.pkgrepo.keys import PkgSigner
from repo_server.pkgrepo.metaconf import FILES
from repo_server.pkgrepo.poudriere import BuildSource
from repo_server.pkgrepo.signing_command import bootstrap_signature
from repo_server.pkgrepo.succession import MIN_STEP
from repo_server.pkgrepo.writing import CatalogueFiles, write_catalogue
from signing.errors import ConflictError, NotFoundError, RollbackError
from signing.format.digest import Sha256, sha256_of
from signing.format.pkg.index import IndexedPackage, Intent, RepoIndex
from signing.format.pkg.names import PackageRepo
from signing.format.pkg.version import VersionKey
from signing.format.pkg.vuxml import Advisories

# A clock that was set right by this much is no reason to stop; one that is further behind would date builds wrongly.
_CLOCK_SLACK: Final = timedelta(minutes=10)
_PKG: Final = "pkg"
_MAX_BOOTSTRAP: Final = 64 << 20
_LISTS: Final = (("files.pkg", parse_files), ("filesite.pkg", parse_filesite))


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildContent:
    """What a folder of packages holds: its catalogue, what each file is, and pkg itself for hosts that have none."""

    catalogue: Catalogue
    facts: Mapping[str, PackageFacts]
    files: bytes | None
    files_name: str
    bootstrap: bytes | None


def read_content(source: BuildSource, *, cache: FactsCache, progress: Progress | None = None) -> BuildContent:
    """Return what the folder holds; files that ``cache`` knows are not read again.

    Raises:
        NotFoundError: the catalogue, or a file that it lists, is not there.
        FormatError: one of them is not what it should be. WrongSubjectError: the file list is about other packages.
        ConflictError: a file was changed while it was read. HostError: it cannot be read.
    """
    catalogue = parse_data(_payload(source, "data.pkg"))
    files, files_name = None, FILES
    for name, parse in _LISTS:
        with suppress(NotFoundError):
            files, files_name = _payload(source, name), ARCHIVES[name]
            check_files(parse(files), [entry.pin for entry in catalogue.entries], where=name)
            break
    paths = [entry.path for entry in catalogue.entries]
    facts = collect_facts(source.folder, paths, cache=cache, progress=progress)
    return BuildContent(
        catalogue=catalogue,
        facts=facts,
        files=files,
        files_name=files_name,
        bootstrap=_bootstrap(source, catalogue, facts),
    )


def check_content(
    content: BuildContent,
    repo: PackageRepo,
    previous: RepoIndex | None,
    *,
    advisories: Advisories | None,
    policy: GatePolicy,
    allow_downgrade: Intent | None,
    now: datetime,
) -> Gate:
    """Return what the gate says about ``content``; see `repo_server.pkgrepo.gate.check_build`."""
    return check_build(
        content.catalogue.entries,
        content.facts,
        repo=repo,
        previous=previous,
        advisories=advisories,
        policy=policy,
        allow_downgrade=allow_downgrade,
        now=now,
    )


def make_catalogue(
    content: BuildContent, signers: Sequence[PkgSigner], *, created: datetime
) -> CatalogueFiles:
    """Return pkg's own files for ``content``, signed by all ``signers``; the first of them signs ``Latest/pkg.pkg``.

    Raises:
        FormatError: something has no place in a catalogue. KeyAccessError: a key cannot be used.
    """
    written = write_catalogue(
        [entry.raw for entry in content.catalogue.entries],
        groups=content.catalogue.groups,
        files_payload=content.files,
        files_name=content.files_name,
        signers=signers,
        created=created,
    )
    if content.bootstrap is None:
        return written
    # pkg(7) of a new machine fetches these two before there is any pkg; it knows one signature.
    signature = bootstrap_signature(content.bootstrap, signers[0])
    files = {
        **written.files,
        "Latest/pkg.pkg": content.bootstrap,
        "Latest/pkg.pkg.sig": signature,
    }
    return replace(written, files=files)


def is_unchanged(gate: Gate, catalogue: CatalogueFiles, previous: RepoIndex | None) -> bool:
    """Return whether what is published is the same to the byte: packages, catalogue, and who signed it."""
    return previous is not None and (
        (previous.packages, previous.catalogue, previous.fingerprints)
        == (gate.packages, catalogue.indexed(), catalogue.fingerprints)
    )


def created_after(previous: RepoIndex | None, *, now: datetime) -> datetime:
    """Return the moment by which the next build is dated: now, and later than the last one.

    Raises:
        RollbackError: this host's clock is behind the last build.
    """
    now = now.replace(microsecond=0)
    if previous is None:
        return now
    if now + _CLOCK_SLACK < previous.created:
        raise RollbackError(
            f"this host's clock says {now:%Y-%m-%d %H:%M}, serial {previous.serial} was made at "
            f"{previous.created:%Y-%m-%d %H:%M}",
            hint="set the clock; a build that is dated before the last one is fetched by nobody",
        )
    return max(now, previous.created + MIN_STEP)


def make_index(
    gate: Gate,
    catalogue: CatalogueFiles,
    *,
    repo: PackageRepo,
    repository: str,
    previous: RepoIndex | None,
    kept: tuple[IndexedPackage, ...],
    build: Mapping[str, str],
    allow_downgrade: Intent | None,
    created: datetime,
) -> RepoIndex:
    """Return the index that follows ``previous``; the intent stands in it when something does go back.

    Raises:
        FormatError: it would be none.
    """
    return RepoIndex(
        repository=previous.repository if previous is not None else repository,
        repo=repo,
        serial=previous.serial + 1 if previous is not None else 1,
        created=created,
        build=dict(build),
        catalogue=catalogue.indexed(),
        packages=gate.packages,
        kept=kept,
        fingerprints=catalogue.fingerprints,
        intent=allow_downgrade if gate.changes.downgraded else None,
        gone=gone_after(previous, gate.packages),
    )


def check_made(index: RepoIndex, catalogue: CatalogueFiles, content: BuildContent) -> None:
    """Return None when what was made is what a client accepts: read again, as the server will.

    Raises:
        VerificationError, FormatError: it is not; nothing was signed as a builder yet.
    """
    made = {sha256_of(data): data for data in catalogue.files.values()}
    check_catalogue(
        index,
        made.__getitem__,
        FingerprintAnchors(trusted=frozenset(index.fingerprints)),
        digests={facts.digests.sha256: facts.digests for facts in content.facts.values()},
    )


def paths_by_digest(content: BuildContent) -> dict[Sha256, str]:
    """Return where in the folder the bytes with a digest stand."""
    return {facts.digests.sha256: path for path, facts in content.facts.items()}


def _payload(source: BuildSource, name: str) -> bytes:
    data = read_beneath(source.folder, name, max_bytes=MAX_ARCHIVE_BYTES)
    return read_catalogue(data, ARCHIVES[name]).payload


def _bootstrap(source: BuildSource, catalogue: Catalogue, facts: Mapping[str, PackageFacts]) -> bytes | None:
    """Return the newest package called pkg, if the build holds one."""
    found = [entry for entry in catalogue.entries if entry.name == _PKG]
    if not found:
        return None
    newest = max(found, key=lambda entry: VersionKey.of(entry.version))
    data = read_beneath(source.folder, newest.path, max_bytes=_MAX_BOOTSTRAP)
    if sha256_of(data) != facts[newest.path].digests.sha256:
        raise ConflictError(
            f"{newest.path} was changed while it was read", hint="let the build finish, then try again"
        )
    return data
