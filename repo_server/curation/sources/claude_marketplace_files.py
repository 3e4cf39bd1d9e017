"""The folder of a Claude plugin at a commit: on GitHub, or on another git host (edge)."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Protocol

from repo_server.curation.sources import git
from repo_server.curation.sources.base import Fetched, fact, plain_fact
from repo_server.curation.sources.github import fetched_folder
from repo_server.curation.sources.github_api import Snapshot

_MAX_FILE: Final = 1 << 20


class PluginFiles(Protocol):
    """Where the files of a plugin are; ``root`` is its folder there, "" for everything."""

    def paths(self) -> Collection[str]:
        """Return the paths of all files in it, links too."""

    def file(self, path: str) -> bytes:
        """Return one file of it."""

    def fetched(self, path: str, now: datetime) -> Fetched:
        """Return the folder ``path`` of it as a source's answer."""


@dataclass(frozen=True, slots=True)
class OnGitHub:
    """In a repository on GitHub."""

    snapshot: Snapshot
    root: str

    def paths(self) -> Collection[str]:
        """Return the paths of all files in it, links too."""
        return self.snapshot.paths(self.root)

    def file(self, path: str) -> bytes:
        """Return one file of it."""
        return self.snapshot.file(_joined(self.root, path), max_bytes=_MAX_FILE)

    def fetched(self, path: str, now: datetime) -> Fetched:
        """Return the folder ``path`` of it, verified against the commit."""
        folder = self.snapshot.folder(_joined(self.root, path))
        fetched = fetched_folder(self.snapshot, folder, now=now)
        return replace(fetched, resolved={**fetched.resolved, "path": fact(folder.path)})


@dataclass(frozen=True, slots=True)
class OnGitHost:
    """In a repository that git itself has fetched."""

    repository: git.Repository
    url: str
    root: str

    def paths(self) -> Collection[str]:
        """Return the paths of all files in it, links too."""
        return self.repository.at(self.root).paths()

    def file(self, path: str) -> bytes:
        """Return one file of it."""
        return self.repository.at(self.root).file(path, max_bytes=_MAX_FILE)

    def fetched(self, path: str, now: datetime) -> Fetched:
        """Return the folder ``path`` of it, verified against the commit by git."""
        inner = _joined(self.root, path)
        fetched = self.repository.at(inner).fetched(now)
        place = {"repository": plain_fact(self.url), "path": fact(inner)}
        return replace(fetched, resolved={**fetched.resolved, **place})


def _joined(root: str, path: str) -> str:
    return f"{root}/{path}" if root and path else root or path
