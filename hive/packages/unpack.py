"""Unpacking a package into a jail that is a folder (edge): first all of it aside, then every file gets its name.

    var/db/clawdie/packages/demo-base.json      what was installed, file by file; written last
    var/db/clawdie/packages/.new-3f…            the staging folder; gone when this returns

A file gets its name by a second link, which replaces nothing: what another package put there stays, and the whole
package is refused. A configuration file that stands there already and is nobody's is kept, and ours put beside it as
``.pkgnew``, as pkg does. After any error every name that was given is taken back.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Any, Final

from hive.admission import PackageAdmission
from hive.jails.contained import JailRoot
from hive.jails.materialise import RECORDS
from hive.packages.receipts import UNPACKED, Counted, Placed
from hive.packages.staging import PackageConflictError, Staged, check_digest, stage
from repo_client.entries import temporary_name
from repo_client.handles import Directory
from repo_client.single_files import digest_file, make_link, name_again, read_link
from repo_client.syncing import sync_tree
from signing.errors import ConflictError, DigestMismatchError, FormatError, SkillRepoError
from signing.format.canonical import canonical, parse_canonical
from signing.format.digest import Sha256, sha256_of

SCHEMA: Final = "https://skills.clawdie.si/schema/installed-package/v1"
MAX_RECORD_BYTES: Final = 128 << 20
MAX_RECORDS: Final = 20_000
_NEW_SUFFIX: Final = ".pkgnew"
_MAX_OMITTED: Final = 200


def record_path(name: str) -> str:
    """Return where the record of the package ``name`` stands, below the root."""
    return f"{RECORDS}/{name}.json"


def unpack_package(root: JailRoot, jail: str, admission: PackageAdmission, pieces: Counted) -> Placed:
    """Put the package whose bytes are ``pieces`` into the jail.

    Raises:
        PackageConflictError: something stands where it would write.
        WrongSubjectError, DigestMismatchError, FormatError: it is not what the index, or its manifest, says.
        UnsafePathError, HostError: the jail's file system does not allow it.
    """
    package, repo = admission.package.package, admission.package.packages.repo
    serial = admission.package.packages.index.serial
    with root.enter(RECORDS, create=True) as records, _staging_folder(records) as folder:
        staged = stage(folder, package, repo, pieces, as_root=os.geteuid() == 0)
        placing = _Placing(root, folder)
        try:
            placing.place(staged)
            record = canonical(
                {
                    "schema": SCHEMA,
                    "name": package.name,
                    "version": package.version,
                    "sha256": package.sha256,
                    "repository": str(repo),
                    "serial": serial,
                    **placing.listed(staged),
                }
            )
            records.create_file(f"{package.name}.json", record, 0o444)
        except ConflictError as error:
            placing.take_back()
            raise PackageConflictError(f"{package.pin} is there already", where=error.where) from error
        except BaseException:
            placing.take_back()
            raise
    with root.enter("") as whole:
        sync_tree(whole, links=True)
    return Placed(way=UNPACKED, jail=jail, omitted=_in_short(staged), record=sha256_of(record))


def check_package(root: JailRoot, name: str, record_sha256: Sha256) -> None:
    """Return None when the package ``name`` stands in the jail as it was installed, to the byte.

    Raises:
        DigestMismatchError: its record, or one of its files or links, is another one.
        UnsafePathError, HostError: it cannot be read; MissingPathError when something is gone.
    """
    data = root.read_file(record_path(name), MAX_RECORD_BYTES)
    check_digest(sha256_of(data), record_sha256, where=record_path(name))
    record: Any = parse_canonical(data, where=record_path(name), max_bytes=MAX_RECORD_BYTES)
    for item in record["files"]:
        with _parent(root, item["path"]) as (folder, base):
            found = folder.find(base)
            check_digest(digest_file(folder, base), item["sha256"], where=item["path"])
            if found is None or found.mode != item["mode"]:
                raise DigestMismatchError("has another mode than it was installed with", where=item["path"])
    for item in record["links"]:
        with _parent(root, item["path"]) as (folder, base):
            check_digest(read_link(folder, base), item["target"], where=item["path"])


class _Placing:
    """Gives staged files their names, and can take all of them back."""

    def __init__(self, root: JailRoot, folder: Directory) -> None:
        self._root, self._folder = root, folder
        self._names: list[str] = []
        self._kept: dict[str, str] = {}
        self._modes: dict[str, int] = {}

    def place(self, staged: Staged) -> None:
        """Make folders, then files and links; modes of folders last, since one may forbid to write."""
        for path, mode in sorted(staged.folders.items()):
            self._make_folder(path)
            if path in self._names:
                self._modes[path] = mode
        config = {path[1:] for path in staged.manifest.config}
        for path, file in sorted(staged.files.items()):
            with self._place_of(path) as (folder, wanted):
                base = wanted
                if path in config and folder.find(base) is not None:
                    if self._is_anothers(path):
                        raise PackageConflictError(f"{path!a} belongs to another package", where=folder.label)
                    self._kept[path] = path + _NEW_SUFFIX
                    base += _NEW_SUFFIX
                name_again(self._folder, file.place, folder, base)
                self._names.append(self._kept.get(path, path))
        for path, target in sorted(staged.links.items()):
            with self._place_of(path) as (folder, base):
                make_link(folder, base, target)
                self._names.append(path)
        for path, mode in sorted(self._modes.items(), reverse=True):
            with self._root.enter(path) as folder:
                folder.set_mode(mode)

    def listed(self, staged: Staged) -> dict[str, Any]:
        """Return what was put where, for the record."""
        return {
            "files": [
                {
                    "path": self._kept.get(path, path),
                    "size": file.size,
                    "sha256": file.sha256,
                    "mode": file.mode,
                }
                for path, file in sorted(staged.files.items())
            ],
            "links": [{"path": path, "target": target} for path, target in sorted(staged.links.items())],
            "folders": sorted(staged.folders),
            "omitted": sorted(staged.omitted),
        }

    def take_back(self) -> None:
        """Remove what was placed, newest first; what resists is removed with the jail."""
        for path in reversed(self._names):
            with contextlib.suppress(SkillRepoError):
                self._root.remove_tree(path)

    @contextlib.contextmanager
    def _place_of(self, path: str) -> Iterator[tuple[Directory, str]]:
        self._make_folder(path.rpartition("/")[0])
        with _parent(self._root, path) as place:
            yield place

    def _make_folder(self, path: str) -> None:
        """Make ``path`` and remember which of its components were not there."""
        done = ""
        for name in path.split("/") if path else []:
            with self._root.enter(done) as folder:
                done = f"{done}/{name}" if done else name
                if folder.find(name) is None:
                    folder.make_folder(name, 0o755, sync=False)
                    self._names.append(done)

    def _is_anothers(self, path: str) -> bool:
        with self._root.enter(RECORDS) as records:
            for entry in records.entries(limit=MAX_RECORDS):
                if entry.kind != "file":
                    continue
                where = f"{RECORDS}/{entry.name}"
                record: Any = parse_canonical(
                    records.read_file(entry.name, max_bytes=MAX_RECORD_BYTES),
                    where=where,
                    max_bytes=MAX_RECORD_BYTES,
                )
                if not isinstance(record, dict) or not isinstance(record.get("files"), list):
                    raise FormatError("is not a record of ours", where=where)
                if any(path == item["path"] for item in record["files"]):
                    return True
        return False


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
