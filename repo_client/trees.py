"""Bundles as folders: written whole or not at all, compared without following anything.

A tree holds the manifest's files and MANIFEST.json, and nothing else. It is built beside its place under a
random name that starts with ``.new-`` and renamed when every byte is on the disk, so a tree that has its name
is complete. It is written from the bytes that were verified; no path is opened again.
"""

import contextlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from repo_client.entries import MissingPathError, UnsafePathError, check_component, temporary_name
from repo_client.handles import Directory
from repo_client.syncing import sync_tree
from signing.errors import ConflictError, FormatError, SkillRepoError
from signing.format.archive import Bundle
from signing.format.digest import Sha256, sha256_of
from signing.format.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, Manifest, Mode

_EXECUTABLE: Final = 0o111
# Also setuid, setgid and sticky: a manifest cannot ask for them, so their presence is a difference.
_COMPARED_BITS: Final = 0o7000 | _EXECUTABLE
_WRITABLE: Final = 0o222


@dataclass(frozen=True, slots=True)
class _Wanted:
    content: bytes
    executable: bool


def write_tree(parent: Directory, name: str, bundle: Bundle, *, read_only: bool) -> None:
    """Write ``bundle`` as the new folder ``name`` of ``parent``; durable on return.

    Args:
        parent: where the tree is to stand.
        name: its name, which must be free.
        bundle: the bytes that were verified.
        read_only: files 0444 or 0555 and folders 0555; else 0644 or 0755 and folders 0755.

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
            # One sync for all: a sync per file is 25 to 70 times dearer.
            sync_tree(tree)
        parent.rename(temporary, name)
    except BaseException:
        with contextlib.suppress(SkillRepoError):
            parent.remove_tree(temporary)
        raise
    parent.sync()


def tree_matches(parent: Directory, name: str, bundle: Bundle) -> bool:
    """Return whether the folder ``name`` is exactly ``bundle``: nothing more, nothing less, no links.

    Every file is equal in bytes and executable bit, is nobody's hard link and has no setuid, setgid or sticky
    bit. Other mode bits and the owner are not compared.

    Raises:
        UnsafePathError: ``name`` is not a plain name.
        HostError: cannot be read.
    """
    check_component(name, where=parent.label)
    try:
        with parent.descend(name) as tree:
            return _matches(tree, _wanted_files(bundle))
    except (MissingPathError, UnsafePathError, FormatError):
        return False  # absent, a link or a device, one more name than wanted, or a longer file


def tree_problem(parent: Directory, name: str, tree_sha256: Sha256) -> str:
    """Return how the folder ``name`` differs from the tree of that digest; empty when it is exactly that tree.

    Needs no bundle: the manifest that stands in the folder is the tree's if it has the digest, and lists the rest.

    Raises:
        UnsafePathError: ``name`` is not a plain name.
        HostError: cannot be read.
    """
    check_component(name, where=parent.label)
    try:
        with parent.descend(name) as tree:
            listed = tree.read_file(MANIFEST_NAME, max_bytes=MAX_MANIFEST_BYTES, single_link=True)
            if sha256_of(listed) != tree_sha256:
                return "is another tree"
            manifest = Manifest.parse(listed)
            contents = {
                entry.path: _read_below(tree, str(entry.path), entry.size) for entry in manifest.files
            }
    except MissingPathError:
        return "is gone, or a part of it"
    except (UnsafePathError, FormatError) as error:
        return f"is not the tree that was let in ({error.message})"
    for entry in manifest.files:
        if sha256_of(contents[entry.path]) != entry.sha256:
            return f"was changed: {entry.path}"
    same = manifest.pin.name == name and tree_matches(
        parent, name, Bundle(manifest=manifest, contents=contents)
    )
    return "" if same else "has a file too many, or another mode"


def _read_below(tree: Directory, path: str, size: int) -> bytes:
    folder, _, name = path.rpartition("/")
    if not folder:
        return tree.read_file(name, max_bytes=size, single_link=True)
    with tree.descend(folder) as place:
        return place.read_file(name, max_bytes=size, single_link=True)


def _wanted_files(bundle: Bundle) -> dict[str, _Wanted]:
    files = {
        str(entry.path): _Wanted(bundle.contents[entry.path], entry.mode is Mode.EXECUTABLE)
        for entry in bundle.manifest.files
    }
    return {MANIFEST_NAME: _Wanted(bundle.manifest.render(), executable=False), **files}


def _split(files: Mapping[str, _Wanted]) -> tuple[dict[str, _Wanted], dict[str, dict[str, _Wanted]]]:
    """Return the files that stand here, and those of each folder that stands here."""
    here: dict[str, _Wanted] = {}
    below: defaultdict[str, dict[str, _Wanted]] = defaultdict(dict)
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


def _matches(folder: Directory, files: Mapping[str, _Wanted]) -> bool:
    here, below = _split(files)
    found = {entry.name: entry.kind for entry in folder.entries(limit=len(here) + len(below))}
    if found != dict.fromkeys(here, "file") | dict.fromkeys(below, "folder"):
        return False
    if not all(_file_matches(folder, name, file) for name, file in here.items()):
        return False
    for name, inner in below.items():
        with folder.descend(name) as child:
            if not _matches(child, inner):
                return False
    return True


def _file_matches(folder: Directory, name: str, wanted: _Wanted) -> bool:
    found = folder.load_file(name, max_bytes=len(wanted.content), single_link=True)
    bits = _EXECUTABLE if wanted.executable else 0
    return found.content == wanted.content and found.mode & _COMPARED_BITS == bits
