"""The tree of a commit on GitHub, listed by its API and computed again.

    GET /repos/OWNER/REPO/git/trees/TREE?recursive=1      everything below a tree
    GET /repos/OWNER/REPO/git/trees/TREE                  one folder, where everything is too much

Every listing is turned into the id of its tree and compared, so a listing that leaves out, adds or changes a name,
a mode or a content's id is refused, from the root of the commit down to the folder that is wanted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from repo_server.curation.sources import gitobjects
from repo_server.curation.sources.base import fact, number_at, objects_at, plain_fact, reading, text_at
from repo_server.curation.sources.github_names import RepositoryName
from repo_server.curation.sources.gitobjects import REGULAR, SPECIAL, TREE, TreeEntry
from repo_server.curation.sources.http import Web
from signing.errors import DigestMismatchError, FormatError, NotFoundError

_MAX_LISTING: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Leaf:
    """What is not a folder: a file, a link or a submodule."""

    mode: str
    object_id: str
    size: int


@dataclass(frozen=True, slots=True)
class Listing:
    """Everything below one tree, with the ids of its folders computed; or the news that it is too much to list."""

    leaves: Mapping[str, Leaf]
    folders: Mapping[str, str]
    truncated: bool = False


class Trees:
    """What is below the root of one commit."""

    def __init__(self, web: Web, name: RepositoryName, root: str) -> None:
        """Prepare to list the tree ``root`` of a repository."""
        self._web, self._name, self._root = web, name, root
        self._whole: Listing | None = None

    def resolve(self, path: str) -> tuple[str, dict[str, Leaf]]:
        """Return the id of the folder ``path`` and what is below it, by relative path.

        Raises:
            NotFoundError: there is no such folder.
            DigestMismatchError: a listing is not that of its tree.
            FormatError: a listing is none, or the folder cannot be listed at once.
        """
        whole = self.everything()
        if whole.truncated:
            whole, top = self._walk(path), ""
        else:
            top = path
        if top not in whole.folders:
            raise NotFoundError(
                f"there is no folder {fact(path)} in tree {self._root[:12]}", where=f"github {self._name}"
            )
        prefix = f"{top}/" if top else ""
        below = {
            name.removeprefix(prefix): leaf for name, leaf in whole.leaves.items() if name.startswith(prefix)
        }
        return whole.folders[top], below

    def everything(self) -> Listing:
        """Return the whole tree, or the news that it is too much.

        Raises:
            SkillRepoError: see `resolve`.
        """
        if self._whole is None:
            self._whole = self._listing(self._root)
        return self._whole

    def _listing(self, tree_id: str) -> Listing:
        """Return everything below the tree ``tree_id``, which is computed again from what is listed."""
        what = f"github {self._name} tree {tree_id[:12]}"
        url = self._web.at("github-api", f"/repos/{self._name}/git/trees/{tree_id}")
        with reading(what):
            answer = self._web.json(url, {"recursive": "1"}, what=what, max_bytes=_MAX_LISTING)
            if answer.get("truncated") is True:
                return Listing({}, {}, truncated=True)
            leaves = {path: leaf for path, leaf in _listed(answer, what) if leaf.mode != TREE}
            folders = gitobjects.subtree_ids(
                {path: (leaf.mode, leaf.object_id) for path, leaf in leaves.items()}
            )
        if folders[""] != tree_id:
            raise _not_the_tree(what)
        return Listing(leaves, folders)

    def _walk(self, path: str) -> Listing:
        """Return what is below ``path`` in a repository that is too large to list, folder by folder."""
        tree_id = self._root
        for part in path.split("/") if path else ():
            what = f"github {self._name} tree {tree_id[:12]}"
            url = self._web.at("github-api", f"/repos/{self._name}/git/trees/{tree_id}")
            with reading(what):
                answer = self._web.json(url, what=what, max_bytes=_MAX_LISTING)
                names = dict(_listed(answer, what))
            entries = [TreeEntry(name, leaf.mode, leaf.object_id) for name, leaf in names.items()]
            if gitobjects.tree_id(entries) != tree_id:
                raise _not_the_tree(what)
            if part not in names or names[part].mode != TREE:
                return Listing({}, {})
            tree_id = names[part].object_id
        below = self._listing(tree_id)
        if below.truncated:
            raise FormatError("the folder has more files than a skill may have", where=f"github {self._name}")
        return below


def _listed(answer: Mapping[str, Any], what: str) -> Iterator[tuple[str, Leaf]]:
    """Return what a listing holds, by path.

    Raises:
        FormatError: something in it is not of git, or has the path of something else.
    """
    seen = set()
    for item in objects_at(answer, "tree"):
        path, mode, object_id = (text_at(item, key) for key in ("path", "mode", "sha"))
        known = mode == TREE or mode in REGULAR or mode in SPECIAL
        if not known or not path or path in seen or not gitobjects.is_object_id(object_id):
            raise FormatError(f"lists {plain_fact(path)[:80]}, which is nothing that git knows", where=what)
        seen.add(path)
        yield path, Leaf(mode, object_id, number_at(item, "size") or 0)


def _not_the_tree(what: str) -> DigestMismatchError:
    return DigestMismatchError("the listing is not that of this tree", where=what)
