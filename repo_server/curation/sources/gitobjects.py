r"""Git's names for contents: blob, tree and commit ids, computed (pure).

    blob      sha1("blob SIZE\0" + content)
    tree      sha1("tree SIZE\0" + entries), an entry being "MODE NAME\0" and the 20 bytes of its id
    commit    sha1("commit SIZE\0" + headers and message)

With them, files that any server sent are tied to a commit id without trusting that server. SHA-1 is git's choice, not
ours: finding two contents with one id is expensive, not impossible, so what we pin is our own sha256 of the files, and
the git ids say which commit they were asked for.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

TREE: Final = "040000"
REGULAR: Final = {"100644": False, "100664": False, "100755": True}  # mode: executable
SPECIAL: Final = {"120000": "a symbolic link", "160000": "a submodule"}
_OBJECT_ID: Final = re.compile(r"[0-9a-f]{40}", re.ASCII)
_QUARTERS: Final = tuple(range(-12 * 60, 14 * 60 + 1, 15))  # the offsets from UTC in use, in minutes
_MAX_MESSAGE: Final = 10_000
_MAX_FOLDERS: Final = 100_000  # no host lists more in one answer; deep paths could name millions
_PERSON: Final = re.compile(r"[^<>\n\0]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One name in a folder: its mode in six octal digits, and the id of what stands there."""

    name: str
    mode: str
    object_id: str


def is_object_id(text: object) -> bool:
    """Return whether ``text`` is a git id in full."""
    return isinstance(text, str) and _OBJECT_ID.fullmatch(text) is not None


def blob_id(content: bytes) -> str:
    """Return the id of a file's content."""
    return _object_id(b"blob", content)


def tree_id(entries: Iterable[TreeEntry]) -> str:
    """Return the id of a folder with exactly ``entries``."""
    # Git sorts by bytes, a folder as if its name ended in a slash.
    ordered = sorted(
        entries, key=lambda entry: f"{entry.name}/".encode()[: None if entry.mode == TREE else -1]
    )
    return _object_id(b"tree", b"".join(_raw(entry) for entry in ordered))


def subtree_ids(leaves: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """Return the id of every folder, by path, in the tree whose files (mode and id) are ``leaves``; "" is its root.

    Raises:
        ValueError: a path is a file and a folder, or there are more than 100,000 folders.
    """
    folders: dict[str, dict[str, TreeEntry]] = {"": {}}
    for path, (mode, object_id) in leaves.items():
        parent, _, name = path.rpartition("/")
        _open(folders, parent)
        if folders[parent].setdefault(name, entry := TreeEntry(name, mode, object_id)) is not entry:
            raise ValueError("a file and a folder have one path")
    found: dict[str, str] = {}
    for path in sorted(folders, key=lambda folder: folder.count("/") if folder else -1, reverse=True):
        found[path] = tree_id(folders[path].values())
        if path:
            parent, _, name = path.rpartition("/")
            folders[parent][name] = TreeEntry(name, TREE, found[path])
    return found


def _open(folders: dict[str, dict[str, TreeEntry]], path: str) -> None:
    """Make ``path`` and the folders above it known to ``folders``."""
    while path not in folders:
        if len(folders) >= _MAX_FOLDERS:
            raise ValueError("more folders than any host lists")
        folders[path] = {}
        path, _, name = path.rpartition("/")
        _open(folders, path)
        if name in folders[path]:
            raise ValueError("a file and a folder have one path")
        folders[path][name] = TreeEntry(name, TREE, "")


def commit_is(commit: str, document: Mapping[str, Any], tree: str) -> bool:
    """Return whether ``commit`` is the id of the commit that ``document`` describes, with ``tree`` as its tree.

    ``document`` is what GitHub's API answers. It keeps a signed commit whole, and of an unsigned one everything but
    the time zones of author and committer, of which there are few: they are tried. False means "cannot be told".
    """
    with suppress(TypeError, ValueError, LookupError, AttributeError, OverflowError, OSError):
        return any(_object_id(b"commit", raw) == commit for raw in _possible(document, tree))
    return False


def _possible(document: Mapping[str, Any], tree: str) -> Iterator[bytes]:
    commit = document["commit"]
    signed = commit.get("verification") or {}
    payload, signature = signed.get("payload"), signed.get("signature")
    if isinstance(payload, str) and isinstance(signature, str):
        head, _, message = payload.partition("\n\n")
        if head.startswith(f"tree {tree}\n"):
            lines = signature.rstrip("\n").split("\n")
            # Some signers end with an empty line, which stays in the commit.
            for more in ([], [""]):
                header = "\n ".join([f"gpgsig {lines[0]}", *lines[1:], *more])
                yield f"{head}\n{header}\n\n{message}".encode()
        return
    parents = [f"parent {parent['sha']}\n" for parent in document["parents"]]
    head = f"tree {tree}\n{''.join(parents)}"
    message = commit["message"]
    if len(message) > _MAX_MESSAGE:
        return  # tried thousands of times, a long message would take long
    committers = _people("committer", commit["committer"])
    for author in _people("author", commit["author"]):
        for committer in committers:
            start = f"{head}{author}{committer}\n{message}".encode()
            yield start
            yield start + b"\n"


def _people(role: str, person: Mapping[str, str]) -> list[str]:
    """Return the ways in which a commit's header may name ``person``: one for each offset from UTC."""
    name, email = person["name"], person["email"]
    seconds = int(datetime.fromisoformat(person["date"]).timestamp())
    if not _PERSON.fullmatch(name) or not _PERSON.fullmatch(email):
        return []
    offsets = (f"{'-' if m < 0 else '+'}{abs(m) // 60:02}{abs(m) % 60:02}" for m in _QUARTERS)
    return [f"{role} {name} <{email}> {seconds} {offset}\n" for offset in offsets]


def _raw(entry: TreeEntry) -> bytes:
    return f"{entry.mode.lstrip('0')} {entry.name}\0".encode() + bytes.fromhex(entry.object_id)


def _object_id(kind: bytes, content: bytes) -> str:
    return hashlib.sha1(b"%s %d\0%s" % (kind, len(content), content), usedforsecurity=False).hexdigest()
