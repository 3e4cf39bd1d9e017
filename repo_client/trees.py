"""Bundles as folders: written whole or not at all, compared without following anything.

A tree holds the manifest's files and MANIFEST.json, and nothing else. It is built beside its place under a
random name that starts with ``.new-`` and renamed when every byte is on the disk, so a tree that has its name
is complete. It is written from the bytes that were verified; no path is opened again.
"""

import contextlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, TypeVar

from repo_client.entries import MissingPathError, UnsafePathError, check_component, temporary_name
from repo_client.handles import Directory
from repo_client.single_files import kinds_in
from repo_client.syncing import sync_tree
from signing.errors import ConflictError, FormatError, SkillRepoError
from signing.format.archive import Bundle
from signing.format.digest import Sha256, sha256_of
from signing.format.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, FileEntry, Manifest, Mode

_EXECUTABLE: Final = 0o111
# Also setuid, setgid and sticky: a manifest cannot ask for them, so their presence is a difference.
_COMPARED_BITS: Final = 0o7000 | _EXECUTABLE
_WRITABLE: Final = 0o222
_ODD_NAMES: Final = 1  # of what is too much in a folder, one name is enough to know

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Wanted:
    content: bytes
    executable: bool


def names_of(manifest: Manifest) -> list[str]:
    """Return the path of everything that stands in the tree of ``manifest``: files, folders, and MANIFEST.json."""
    files = [str(entry.path) for entry in manifest.files]
    folders = {path[:at] for path in files for at, letter in enumerate(path) if letter == "/"}
    return [MANIFEST_NAME, *files, *sorted(folders)]


def write_tree(parent: Directory, name: str, bundle: Bundle, *, read_only: bool, sync: bool = True) -> None:
    """Write ``bundle`` as the new folder ``name`` of ``parent``; durable on return.

    Args:
        parent: where the tree is to stand.
        name: its name, which must be free.
        bundle: the bytes that were verified.
        read_only: files 0444 or 0555 and folders 0555; else 0644 or 0755 and folders 0755.
        sync: False when the caller syncs once for many trees, and compares what it finds after a power cut.

    Raises:
        ConflictError: the name is taken.
        UnsafePathError: not a plain name, or somebody put a link into the unfinished tree.
        HostError: cannot be written; the unfinished tree is gone.
    """
    if parent.find(name) is not None:
        raise ConflictError("the tree's name is taken", where=f"{parent.label}/{name}")
    temporary = temporary_name()
    parent.make_folder(temporary, 0o700, sync=False)
    try:
        with parent.descend(temporary) as tree:
            _fill(tree, _wanted_files(bundle), read_only=read_only)
            if sync:  # once for all: a sync per file is 25 to 70 times dearer
                sync_tree(tree)
        parent.rename(temporary, name)
    except BaseException:
        with contextlib.suppress(SkillRepoError):
            parent.remove_tree(temporary)
        raise
    if sync:
        parent.sync()


def tree_matches(parent: Directory, name: str, bundle: Bundle) -> bool:
    """Return whether the folder ``name`` is exactly ``bundle``: nothing more, nothing less, no links.

    Every file is equal in bytes and executable bit, is nobody's hard link and has no setuid, setgid or sticky
    bit. Other mode bits and the owner are not compared.

    Raises:
        UnsafePathError: ``name`` is not a plain name.
        HostError: cannot be read.
    """
    if parent.find(name) is None:
        return False
    return not _differs(parent, name, bundle.manifest.tree_digest, None, bundle.manifest)[1]


def tree_problem(
    parent: Directory,
    name: str,
    tree_sha256: Sha256,
    *,
    check_folder: Callable[[Directory], None] | None = None,
) -> str:
    """Return how the folder ``name`` differs from the tree of that digest; empty when it is exactly that tree.

    Needs no bundle: the manifest that stands in the folder is the tree's if it has the digest, and lists the rest. All
    is read once; ``check_folder`` is asked about each folder, and what it raises as UnsafePathError is a difference.

    Raises:
        UnsafePathError: ``name`` is not a plain name.
        HostError: cannot be read.
    """
    manifest, problem = _differs(parent, name, tree_sha256, check_folder)
    if manifest is not None and manifest.pin.name != name:
        return problem or "stands under the name of another skill"
    return problem


def _differs(
    parent: Directory,
    name: str,
    digest: Sha256,
    check_folder: Callable[[Directory], None] | None,
    manifest: Manifest | None = None,
) -> tuple[Manifest | None, str]:
    """Return the manifest that stands there, if one could be read, and what is different.

    ``manifest`` is the one with this digest, where it is known: then it is compared, and not parsed once more.
    """
    check_component(name, where=parent.label)
    try:
        with parent.descend(name) as tree:
            listed = tree.load_file(MANIFEST_NAME, max_bytes=MAX_MANIFEST_BYTES, single_link=True)
            if sha256_of(listed.content) != digest:
                return None, "is another tree"
            manifest = manifest or Manifest.parse(listed.content)
            compared = _Compared(check_folder)
            compared.is_odd = bool(listed.mode & _COMPARED_BITS)
            compared.folder(
                tree, {str(entry.path): entry for entry in manifest.files}, "", beside={MANIFEST_NAME}
            )
    except MissingPathError:
        return manifest, "is gone, or a part of it"
    except (UnsafePathError, FormatError) as error:
        return manifest, f"is not the tree that was let in ({error.message})"
    if compared.changed:
        return manifest, f"was changed: {compared.changed[0]}"
    return manifest, "has a file too many, or another mode" if compared.is_odd else ""


def _wanted_files(bundle: Bundle) -> dict[str, _Wanted]:
    files = {
        str(entry.path): _Wanted(bundle.contents[entry.path], entry.mode is Mode.EXECUTABLE)
        for entry in bundle.manifest.files
    }
    return {MANIFEST_NAME: _Wanted(bundle.manifest.render(), executable=False), **files}


def _split(files: Mapping[str, T]) -> tuple[dict[str, T], dict[str, dict[str, T]]]:
    """Return the files that stand here, and those of each folder that stands here."""
    here: dict[str, T] = {}
    below: defaultdict[str, dict[str, T]] = defaultdict(dict)
    for path, file in files.items():
        first, slash, rest = path.partition("/")
        if slash:
            below[first][rest] = file
        else:
            here[path] = file
    return here, dict(below)


def _fill(folder: Directory, files: Mapping[str, _Wanted], *, read_only: bool) -> None:
    mask = ~_WRITABLE if read_only else ~0
    here, below = _split(files)
    for name, file in here.items():
        mode = Mode.EXECUTABLE if file.executable else Mode.PLAIN
        folder.create_file(name, file.content, mode.bits & mask, sync=False)
    for name, inner in below.items():
        folder.make_folder(name, 0o700, sync=False)
        with folder.descend(name) as child:
            _fill(child, inner, read_only=read_only)
    # Last, because nothing can be put into a read-only folder.
    folder.set_mode(0o755 & mask)


class _Compared:
    """One walk through a tree: which files have other bytes, and whether anything else is not as it should be."""

    def __init__(self, check_folder: Callable[[Directory], None] | None) -> None:
        self._check_folder = check_folder
        self.changed: list[str] = []
        self.is_odd = False

    def folder(
        self,
        folder: Directory,
        files: Mapping[str, FileEntry],
        prefix: str,
        *,
        beside: AbstractSet[str] = frozenset(),
    ) -> None:
        """Compare what stands in ``folder`` with ``files``; ``beside`` names files that were compared already.

        Raises:
            MissingPathError: something is not there. UnsafePathError, FormatError: it is no such file or folder.
            HostError: it cannot be read.
        """
        if self._check_folder is not None:
            self._check_folder(folder)
        here, below = _split(files)
        kinds = kinds_in(folder, limit=len(here) + len(below) + len(beside) + _ODD_NAMES)
        self.is_odd |= bool(kinds.keys() - here.keys() - below.keys() - beside)
        for name, entry in here.items():
            self._file(folder, name, entry, f"{prefix}{name}", looked=kinds.get(name) == "file")
        for name, inner in below.items():
            with folder.descend(name) as child:
                self.folder(child, inner, f"{prefix}{name}/")

    def _file(self, folder: Directory, name: str, entry: FileEntry, path: str, *, looked: bool) -> None:
        found = folder.load_file(name, max_bytes=entry.size, single_link=True, looked=looked)
        if sha256_of(found.content) != entry.sha256:
            self.changed.append(path)
        bits = _EXECUTABLE if entry.mode is Mode.EXECUTABLE else 0
        self.is_odd |= found.mode & _COMPARED_BITS != bits
