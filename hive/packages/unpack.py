"""Unpacking a package into a jail that is a folder (edge): aside, then into place, then on record.

    var/db/clawdie/packages/.new-3f…            the staging folder (`hive.packages.staging`); gone when this returns
    usr/local/…                                 every file under its name (`hive.packages.placing`)
    var/db/clawdie/packages/demo-base.json      what was installed (`hive.packages.records`); written last

After any error every name that was given is taken back. Nothing is synced here: whoever calls the birth complete does
that once, for all packages, and a birth that is not complete is made anew.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Final

from hive.jails.contained import JailRoot
from hive.jails.materialise import RECORDS
from hive.packages.admitted_bytes import AdmittedBytes, check_admitted
from hive.packages.placing import Placing
from hive.packages.receipts import UNPACKED, Placed
from hive.packages.records import MAX_RECORD_BYTES, InstalledPackage, record_path
from hive.packages.staging import PackageConflictError, Staged, stage
from repo_client.entries import temporary_name
from repo_client.handles import Directory
from repo_client.single_files import digest_file, read_link
from signing.errors import ConflictError, DigestMismatchError, FormatError
from signing.format.digest import Sha256, sha256_of

_MAX_OMITTED: Final = 200


def unpack_package(root: JailRoot, jail: str, given: AdmittedBytes) -> Placed:
    """Put an admitted package into the jail, which people know as ``jail``.

    Raises:
        TypeError: nobody admitted it.
        PackageConflictError: something stands where it would write.
        WrongSubjectError, DigestMismatchError, FormatError: it is not what the index, or its manifest, says.
        UnsafePathError, HostError: the jail's file system does not allow it.
    """
    check_admitted(given)
    pin = given.admission.pin
    with root.enter(RECORDS, create=True) as records, _staging_folder(records) as folder:
        staged = stage(folder, given, as_root=os.geteuid() == 0)
        placing = Placing(root, folder)
        try:
            placing.place(staged)
            record = _record(given, staged, placing)
            records.create_file(f"{pin.name}.json", record, 0o444)
        except ConflictError as error:
            placing.take_back()
            raise PackageConflictError(f"{pin} is there already", where=error.where) from error
        except BaseException:
            placing.take_back()
            raise
    return Placed(way=UNPACKED, jail=jail, omitted=_in_short(staged), record=sha256_of(record))


def check_package(root: JailRoot, name: str, record_sha256: Sha256) -> None:
    """Return None when the package ``name`` stands in the jail as it was installed, to the byte.

    Raises:
        DigestMismatchError: its record, or one of its files or links, is another one.
        UnsafePathError, HostError: it cannot be read; MissingPathError when something is gone.
    """
    where = record_path(name)
    data = root.read_file(where, MAX_RECORD_BYTES)
    _check_same(sha256_of(data), record_sha256, where=where)
    record = InstalledPackage.parse(data, where=where)
    for file in record.files:
        with _parent(root, file.path) as (folder, base):
            found = digest_file(folder, base, size=file.size)
        _check_same(found.sha256, file.sha256, where=file.path)
        if found.mode != file.mode:
            raise DigestMismatchError("has another mode than it was installed with", where=file.path)
    for link in record.links:
        with _parent(root, link.path) as (folder, base):
            _check_same(read_link(folder, base), link.target, where=link.path)
    for path in record.folders:
        root.enter(path).close()


def _record(given: AdmittedBytes, staged: Staged, placing: Placing) -> bytes:
    evidence = given.admission.package
    record = InstalledPackage(
        pin=evidence.package.pin,
        sha256=evidence.package.sha256,
        repo=evidence.packages.repo,
        serial=evidence.packages.index.serial,
        files=placing.files(staged),
        links=placing.links(staged),
        folders=tuple(sorted(staged.folders)),
        omitted=tuple(sorted(staged.omitted)),
    ).render()
    if len(record) > MAX_RECORD_BYTES:
        raise FormatError("installs more than a record of it can hold", where=str(evidence.package.pin))
    return record


def _check_same(found: str, wanted: str, *, where: str) -> None:
    if found != wanted:
        raise DigestMismatchError("in the jail is not what was installed", where=where, hint="birth again")


def _in_short(staged: Staged) -> tuple[str, ...]:
    """Return what was left out, for the receipt; a very long list is complete only in the record."""
    omitted = sorted(staged.omitted)
    more = [f"and {len(omitted) - _MAX_OMITTED} more"] if len(omitted) > _MAX_OMITTED else []
    return (*omitted[:_MAX_OMITTED], *more)


@contextlib.contextmanager
def _staging_folder(records: Directory) -> Iterator[Directory]:
    name = temporary_name()
    records.make_folder(name, 0o700, sync=False)
    try:
        with records.descend(name) as folder:
            yield folder
    finally:
        records.remove_tree(name)


@contextlib.contextmanager
def _parent(root: JailRoot, path: str) -> Iterator[tuple[Directory, str]]:
    parent, _, base = path.rpartition("/")
    with root.enter(parent) as folder:
        yield folder, base
