"""pkg's catalogue against our signed index: the same packages, under signatures that the index names.

The index (`signing.format.pkg.index`) is what births live by, the catalogue is what pkg on a tenant's machine lives by.
Both are made by the builder; only when they say the same is it one repository.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from repo_server.pkgrepo.catalogue import (
    ARCHIVES,
    Catalogue,
    CatalogueEntry,
    packagesite_objects,
    parse_data,
    read_catalogue,
)
from repo_server.pkgrepo.filelist import FileList, parse_files, parse_filesite
from repo_server.pkgrepo.fingerprints import FingerprintAnchors
from repo_server.pkgrepo.metaconf import MetaConf
from repo_server.pkgrepo.signatures import check_fingerprints
from signing.errors import (
    BadSignatureError,
    CouldNotVerifyError,
    DigestMismatchError,
    NotFoundError,
    VerificationError,
    WrongSubjectError,
)
from signing.format.digest import Sha256, check_sha256
from signing.format.pkg.index import CatalogueFile, IndexedPackage, RepoIndex
from signing.format.pkg.names import PackagePin
from signing.format.pkg.sums import Digests

_SHOWN: Final = 3


def check_catalogue(
    index: RepoIndex,
    load: Callable[[Sha256], bytes],
    anchors: FingerprintAnchors,
    *,
    digests: Mapping[Sha256, Digests] | None = None,
) -> None:
    """Return None when pkg's files, as ``index`` names them by digest, are the repository that ``index`` describes.

    Args:
        index: what the builder's key signed.
        load: returns the bytes with a digest.
        anchors: who may sign; at least one of them did, and nobody who is revoked.
        digests: what the packages hash to, by their sha256. Without them a BLAKE2b sum in the catalogue is not compared.

    Raises:
        BadSignatureError, RevokedError, CouldNotVerifyError: a file does not carry exactly the signatures that the
            index names, or none of somebody trusted.
        WrongSubjectError: a file lists other packages, or says other things about them.
        DigestMismatchError: a sum is not that of the package.
        FormatError: a file is not in pkg's format, or meta.conf says more than how files are called.
        NotFoundError: a file that there has to be is not named.
    """
    listed = {entry.path: entry for entry in _load_catalogues(index, load, anchors)}
    check_listed(index, listed.values())
    if digests is not None:
        check_sums(index.packages, listed, digests)


def check_listed(index: RepoIndex, entries: Iterable[CatalogueEntry]) -> None:
    """Return None when ``entries`` are exactly the packages of ``index``, and say the same of each.

    Raises:
        WrongSubjectError: they do not.
    """
    listed = [(entry.path, _facts(entry)) for entry in entries]
    found, wanted = dict(listed), {package.path: _indexed(package) for package in index.packages}
    if found != wanted or len(listed) != len(found):
        paths = sorted(path for path in {*found, *wanted} if found.get(path) != wanted.get(path))
        shown = ", ".join(paths[:_SHOWN]) + (" …" if len(paths) > _SHOWN else "")
        raise WrongSubjectError(
            f"{len(paths)} package(s) are not listed alike by the catalogue and the index: {shown}",
            where="catalogue",
            hint="one of the two belongs to another build",
        )


def check_sums(
    packages: Iterable[IndexedPackage],
    listed: Mapping[str, CatalogueEntry],
    digests: Mapping[Sha256, Digests],
) -> None:
    """Return None when the catalogue's sum of every package is that of the bytes which the index names.

    Raises:
        DigestMismatchError: one is not.
        CouldNotVerifyError: nobody gave the digests of one.
    """
    for package in packages:
        known = digests.get(package.sha256)
        if known is None or known.sha256 != package.sha256:
            raise CouldNotVerifyError(f"{package.pin} was not hashed", where=package.path)
        if not listed[package.path].sum.matches(known):
            raise DigestMismatchError(
                "the catalogue's sum is not that of the indexed package", where=package.path
            )


def check_packagesite(payload: bytes, data: Catalogue) -> None:
    """Return None when packagesite.yaml lists the same as ``data``: a client may be led to either.

    It is read line by line, and no line is kept.

    Raises:
        WrongSubjectError: they differ.
        FormatError: not what pkg writes.
    """
    left = {entry.path: entry.raw for entry in data.entries}
    for raw in packagesite_objects(payload):
        path = raw.get("path")
        if not isinstance(path, str) or left.pop(path, None) != raw:
            raise WrongSubjectError("lists something that data does not list so", where="packagesite.yaml")
    if left:
        raise WrongSubjectError(f"does not list {min(left)}", where="packagesite.yaml")


def check_files(files: FileList, pins: Iterable[PackagePin], *, where: str) -> None:
    """Return None when the file list is about exactly ``pins``.

    Raises:
        WrongSubjectError: it is not.
    """
    if strange := set(files) ^ set(pins):
        raise WrongSubjectError(f"{min(strange)} is in only one of file list and catalogue", where=where)


def check_plain_meta(meta: bytes, names: Iterable[str]) -> MetaConf:
    """Return the meta.conf of a repository of ours, which says how files are called and nothing else.

    Raises:
        WrongSubjectError: it says more, or names another file list than there is.
        FormatError: not a meta.conf.
    """
    conf = MetaConf.parse(meta)
    lists = {"files.pkg", "filesite.pkg"} & set(names)
    if not conf.is_plain or (lists and lists != {f"{conf.filesite_archive}.pkg"}):
        raise WrongSubjectError("says more than how the files are called", where="meta.conf")
    return conf


def _load_catalogues(
    index: RepoIndex, load: Callable[[Sha256], bytes], anchors: FingerprintAnchors
) -> tuple[CatalogueEntry, ...]:
    named = {file.name: file for file in index.catalogue}
    meta = _bytes(named["meta.conf"], load)
    check_plain_meta(meta, named)
    if "meta" in named and _bytes(named["meta"], load) != meta:
        raise WrongSubjectError("is not meta.conf", where="meta")
    data = parse_data(_payload(index, named["data.pkg"], load, anchors))
    check_packagesite(_payload(index, named["packagesite.pkg"], load, anchors), data)
    pins = [entry.pin for entry in data.entries]
    for name, parse in (("files.pkg", parse_files), ("filesite.pkg", parse_filesite)):
        if name in named:
            check_files(parse(_payload(index, named[name], load, anchors)), pins, where=name)
    return data.entries


def _payload(
    index: RepoIndex, file: CatalogueFile, load: Callable[[Sha256], bytes], anchors: FingerprintAnchors
) -> bytes:
    signed = read_catalogue(_bytes(file, load), ARCHIVES[file.name])
    named = frozenset(index.fingerprints)
    verified = check_fingerprints(
        signed.payload,
        signed.signatures,
        FingerprintAnchors(trusted=named, revoked=anchors.revoked),
        where=file.name,
    )
    carried = {signature.fingerprint for signature in signed.signatures}
    if not named == set(verified) == carried:
        # A second signature that is broken is noticed by those clients only who trust no other.
        raise BadSignatureError("does not carry exactly the signatures that the index names", where=file.name)
    if named.isdisjoint(anchors.trusted):
        raise VerificationError("nobody who is trusted signed it", where=file.name)
    return signed.payload


def _bytes(file: CatalogueFile, load: Callable[[Sha256], bytes]) -> bytes:
    data = load(file.sha256)
    if len(data) != file.size:
        raise NotFoundError(f"{file.name} has {len(data)} bytes here, {file.size} in the index")
    check_sha256(data, file.sha256, where=file.name)
    return data


_Facts = tuple[str, str, str, str, int, str, tuple[PackagePin, ...]]


def _facts(entry: CatalogueEntry) -> _Facts:
    return (entry.name, entry.version, entry.origin, entry.path, entry.size, entry.abi, entry.deps)


def _indexed(package: IndexedPackage) -> _Facts:
    deps = tuple(sorted(package.deps))
    return (package.name, package.version, package.origin, package.path, package.size, package.abi, deps)
