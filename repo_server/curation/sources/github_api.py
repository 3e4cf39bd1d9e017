"""A repository on GitHub at one commit, for every source whose files are kept there.

    GET /repos/OWNER/REPO                          its name now, its default branch, its licence
    GET /repos/OWNER/REPO/commits/REF              the commit, and the id of its tree
    GET /repos/OWNER/REPO/compare/BRANCH...COMMIT  whether a commit given by its id belongs to the default branch
    GET /repos/OWNER/REPO/git/trees/TREE?recursive=1
    GET https://raw.githubusercontent.com/OWNER/REPO/COMMIT/PATH

Nobody is believed about contents: every tree id is computed from the listing and every blob id from the bytes that
came, up to the id of the commit's tree; the commit's own id is computed as far as the API tells enough. Archives of
the repository are not used: ``export-ignore`` and ``export-subst`` make them differ from what was committed.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Self
from urllib.parse import quote

from repo_server.curation.limits import Limits
from repo_server.curation.sources import gitobjects
from repo_server.curation.sources.base import (
    fact,
    number_at,
    object_at,
    observation,
    plain_fact,
    reading,
    text_at,
)
from repo_server.curation.sources.github_names import RepositoryName, parse_ref
from repo_server.curation.sources.github_trees import Leaf, Trees
from repo_server.curation.sources.gitobjects import REGULAR, SPECIAL
from repo_server.curation.sources.http import Web
from repo_server.curation.tree import Entry, SourceTree
from signing.errors import DigestMismatchError, FormatError, NotFoundError, WrongSubjectError
from signing.format.finding import Finding, Severity
from signing.format.manifest import SKILL_NAME, parse_member_path

__all__ = ["BASES", "Folder", "RepositoryName", "Snapshot", "parse_ref"]

BASES: Final[Mapping[str, str]] = MappingProxyType(
    {"github-api": "https://api.github.com", "github-raw": "https://raw.githubusercontent.com"}
)
# What names a commit that need not be on any branch or tag of the repository: an id in any letters, whole or short,
# also behind the words of `git describe`; a pull request, which anybody may open; anything by its whole path.
_ANYBODYS = re.compile(r"(?:.*-g)?[0-9a-f]{4,40}|pull/.*|refs/(?!heads/|tags/).*", re.ASCII | re.IGNORECASE)
_NO_SUCH_COMMIT = 422  # GitHub's answer about the id of a commit that it does not have
_LFS = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """One folder of a commit: every file in it, with ids computed from the bytes."""

    repository: RepositoryName
    commit: str
    path: str
    tree_id: str
    tree: SourceTree
    resolved: Mapping[str, str]
    observations: tuple[Finding, ...]


class Snapshot:
    """A repository at one commit."""

    def __init__(
        self,
        web: Web,
        limits: Limits,
        *,
        name: RepositoryName,
        facts: dict[str, Any],
        ref: str,
        answer: dict[str, Any],
    ) -> None:
        """Prepare a snapshot; made by `Snapshot.of`."""
        self._web, self._limits, self.name, self.ref = web, limits, name, ref
        self.commit = text_at(answer, "sha")
        self.root = text_at(object_at(object_at(answer, "commit"), "tree"), "sha")
        if not gitobjects.is_object_id(self.commit) or not gitobjects.is_object_id(self.root):
            raise FormatError("answers without the ids of a commit and its tree", where=f"github {name}")
        self.licence = plain_fact(text_at(object_at(facts, "license"), "spdx_id"))
        # A name that was given up is free for whoever wants it; these numbers are not given out again.
        numbers = {
            "owner_id": number_at(object_at(facts, "owner"), "id"),
            "repository_id": number_at(facts, "id"),
        }
        self._numbers = {key: str(number) for key, number in numbers.items() if number is not None}
        self._branch = text_at(facts, "default_branch")
        self._archived = facts.get("archived") is True
        self._proven = gitobjects.commit_is(self.commit, answer, self.root)
        self._trees = Trees(web, name, self.root)

    @classmethod
    def of(cls, web: Web, name: RepositoryName, ref: str | None, *, limits: Limits) -> Self:
        """Return the repository at ``ref``, or at its default branch.

        Raises:
            NotFoundError: there is no such repository or ref.
            WrongSubjectError: the answer is about another repository, or another commit than the one asked for.
        """
        with reading(f"github {name}"):
            facts = web.json(web.at("github-api", f"/repos/{name}"), what=f"github {name}")
            full = text_at(facts, "full_name")
            # GitHub forwards a renamed repository; its old name is free for whoever wants it.
            if full.lower() != str(name).lower():
                hint = "the repository was renamed or transferred; look at it before importing it from there"
                raise WrongSubjectError(
                    f"GitHub answers about {plain_fact(full)}", where=f"github {name}", hint=hint
                )
            name = RepositoryName.parse(full, where=f"github {name}: full_name")  # as GitHub spells it
            wanted = ref or parse_ref(
                text_at(facts, "default_branch"), where=f"github {name}: default_branch"
            )
            what = f"github {name}@{wanted}"
            url = web.at("github-api", f"/repos/{name}/commits/{quote(wanted, safe='')}")
            try:
                answer = web.json(url, what=what)
            except FormatError as error:
                if error.facts.get("status") == _NO_SUCH_COMMIT:
                    raise NotFoundError("there is no such commit", where=what) from error
                raise
            snapshot = cls(web, limits, name=name, facts=facts, ref=wanted, answer=answer)
        if gitobjects.is_object_id(wanted.lower()) and snapshot.commit != wanted.lower():
            raise WrongSubjectError("GitHub answers about another commit", where=what)
        return snapshot

    def skill_folders(self) -> list[str]:
        """Return every folder that holds a SKILL.md, in order; "" is the repository itself.

        Raises:
            FormatError: there are more files than GitHub lists in one answer.
        """
        whole = self._trees.everything()
        if whole.truncated:
            hint = f"name the folder: github:{self.name}/FOLDER@{self.commit}"
            raise FormatError(
                "has more files than can be listed at once", where=f"github {self.name}", hint=hint
            )
        found = (path.rpartition("/") for path, leaf in whole.leaves.items() if leaf.mode in REGULAR)
        return sorted(parent for parent, _, name in found if name == SKILL_NAME)

    def tree_id_of(self, path: str) -> str:
        """Return the id of the folder ``path``.

        Raises:
            NotFoundError: there is no such folder.
        """
        return self._trees.resolve(path)[0]

    def file(self, path: str, *, max_bytes: int | None = None) -> bytes:
        """Return the content of the file ``path``, its id computed.

        Raises:
            NotFoundError: there is no such file. FormatError: it is no regular file, or too large.
        """
        parent, _, name = path.rpartition("/")
        found = self._trees.resolve(parent)[1].get(name)
        if found is None:
            raise NotFoundError(
                f"there is no {fact(path)} in commit {self.commit[:12]}", where=f"github {self.name}"
            )
        return self._blob(path, found, max_bytes or self._limits.max_file_bytes)

    def paths(self, path: str = "") -> list[str]:
        """Return the paths of all files below the folder ``path``, relative to it, links and submodules too."""
        return sorted(self._trees.resolve(path)[1])

    def folder(self, path: str) -> Folder:
        """Return the folder ``path`` with all its files.

        Raises:
            NotFoundError: there is no such folder.
            FormatError: it holds a link, a submodule, or more than the limits allow.
            DigestMismatchError: what came is not what the commit holds.
        """
        tree_id, listing = self._trees.resolve(path)
        self._check(listing)
        entries = list(self._entries(path, listing))
        leaves = {name: (listing[name].mode, gitobjects.blob_id(content)) for name, content, _ in entries}
        if gitobjects.subtree_ids(leaves)[""] != tree_id:
            raise DigestMismatchError(
                "the files do not add up to the commit's tree", where=f"github {self.name}"
            )
        resolved = {
            "repository": str(self.name),
            "ref": self.ref,
            "commit": self.commit,
            "tree": tree_id,
            "commit_id": "computed" if self._proven else "as GitHub says",
            **self._numbers,
        }
        tree = SourceTree.of(entries)
        return Folder(
            repository=self.name,
            commit=self.commit,
            path=path,
            tree_id=tree_id,
            tree=tree,
            resolved=resolved | {"files_sha256": tree.digest},
            observations=tuple(self._observations(entries)),
        )

    def _observations(self, entries: list[Entry]) -> Iterator[Finding]:
        if _ANYBODYS.fullmatch(self.ref) and not self._on_default_branch():
            message = (
                f"commit {self.commit[:12]} is not in the history of {fact(self._branch)}: GitHub shows the commits "
                "of every fork and pull request under this repository's name, so somebody else may have written it; "
                "find its branch"
            )
            yield observation("foreign-commit", Severity.LOOK, message)
        if self._archived:
            yield observation("archived", Severity.NOTE, "the repository is archived: nobody maintains it")
        for path, content, _ in entries:
            if content.startswith(_LFS):
                message = f"{fact(path)} is a pointer to a file in Git LFS, which is not part of the commit"
                yield observation("lfs-pointer", Severity.LOOK, message)

    def _on_default_branch(self) -> bool:
        what = f"github {self.name} compare"
        span = f"{quote(self._branch, safe='')}...{self.commit}"
        url = self._web.at("github-api", f"/repos/{self.name}/compare/{span}")
        try:
            # The second page leaves out the differences, which may be larger than any answer we take.
            answer = self._web.json(url, {"per_page": "1", "page": "2"}, what=what)
        except NotFoundError:  # no common history
            return False
        return text_at(answer, "status") in {"behind", "identical"}

    def _check(self, listing: Mapping[str, Leaf]) -> None:
        """Check everything that can be known before any file is fetched."""
        where = f"github {self.name}"
        if len(listing) > self._limits.max_files:
            raise FormatError(
                f"more than {self._limits.max_files} files", where=where, hint="name the skill's folder"
            )
        for path, leaf in listing.items():
            if leaf.mode not in REGULAR:
                message = f"{fact(path)} is {SPECIAL[leaf.mode]}"
                raise FormatError(message, where=where, hint="a skill holds regular files only")
            parse_member_path(path, where=where)
            if leaf.size > self._limits.max_file_bytes:
                raise FormatError(
                    f"{fact(path)} is larger than {self._limits.max_file_bytes} bytes", where=where
                )
        if sum(leaf.size for leaf in listing.values()) > self._limits.max_total_bytes:
            raise FormatError(f"files add up to more than {self._limits.max_total_bytes} bytes", where=where)

    def _entries(self, path: str, listing: Mapping[str, Leaf]) -> Iterator[Entry]:
        prefix = f"{path}/" if path else ""
        left = self._limits.max_total_bytes
        for name, leaf in sorted(listing.items()):
            content = self._blob(prefix + name, leaf, min(left, self._limits.max_file_bytes))
            left -= len(content)
            yield name, content, REGULAR[leaf.mode]

    def _blob(self, path: str, leaf: Leaf, max_bytes: int) -> bytes:
        what = f"github {self.name} {fact(path)}"
        if leaf.mode not in REGULAR:
            raise FormatError(f"is {SPECIAL[leaf.mode]}", where=what)
        url = self._web.at("github-raw", f"/{self.name}/{self.commit}/{quote(path)}")
        content = self._web.get(url, what=what, max_bytes=max_bytes).body
        if gitobjects.blob_id(content) != leaf.object_id:
            raise DigestMismatchError(
                "is not the file that the commit holds",
                where=what,
                hint="fetch again; if it repeats, something between GitHub and here changes files",
            )
        return content
