"""GitHub's answers about a repository that exists in memory only.

    repository = FakeRepository("owner/repo", {"skills/a/SKILL.md": b"…"})
    with LoopbackSite(repository.routes()) as site: ...

Ids of blobs, trees and commits are the real ones of git, computed here on their own.
"""

import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from tests.support.loopback_site import Page

LINK, FILE, EXECUTABLE, FOLDER = "120000", "100644", "100755", "040000"
_PERSON = {"name": "Fixture", "email": "team@example.invalid", "date": "2026-09-01T12:00:00Z"}


class FakeRepository:
    """One commit on the branch ``main``; ``modes`` says which files are no plain ones."""

    def __init__(
        self,
        name: str,
        files: Mapping[str, bytes],
        modes: Mapping[str, str] | None = None,
        licence: str = "MIT",
    ) -> None:
        self.name, self.files, self.modes, self.licence = name, dict(files), dict(modes or {}), licence
        self.entries: list[dict[str, Any]] = []
        self.tree = self._add_tree("")
        person = f"Fixture <team@example.invalid> {1788264000} +0000"
        self._raw = f"tree {self.tree}\nauthor {person}\ncommitter {person}\n\nfixture\n".encode()
        self.commit = _object_id("commit", self._raw)

    def routes(self, *refs: str) -> dict[str, Page]:
        """Return the table of answers; ``refs`` are further names of the commit."""
        api = f"/repos/{self.name}"
        commit = {
            "sha": self.commit,
            "commit": {
                "tree": {"sha": self.tree},
                "message": "fixture\n",
                "author": _PERSON,
                "committer": _PERSON,
            },
            "parents": [],
        }
        facts = {"full_name": self.name, "default_branch": "main", "license": {"spdx_id": self.licence}}
        table = {
            api: Page.json(facts),
            f"{api}/git/trees/{self.tree}": Page.json(
                {"sha": self.tree, "tree": self.entries, "truncated": False}
            ),
            f"{api}/compare/main...{self.commit}": Page.json({"status": "identical"}),
        }
        table |= {
            f"{api}/commits/{quote(ref, safe='')}": Page.json(commit) for ref in ("main", self.commit, *refs)
        }
        # The raw bytes are what the ids are of: no placeholder is filled in.
        return table | {
            f"/{self.name}/{self.commit}/{quote(path)}": Page(content) for path, content in self.files.items()
        }

    def _add_tree(self, folder: str) -> str:
        prefix = f"{folder}/" if folder else ""
        names = {
            path.removeprefix(prefix).partition("/")[0] for path in self.files if path.startswith(prefix)
        }
        listed: list[tuple[str, str, str]] = []
        for name in sorted(names):
            path = prefix + name
            if path in self.files:
                mode, object_id = self.modes.get(path, FILE), _object_id("blob", self.files[path])
                self._add(path, mode, "blob", object_id)
            else:
                mode, object_id = FOLDER, self._add_tree(path)
                self._add(path, mode, "tree", object_id)
            listed.append((name, mode, object_id))
        listed.sort(key=lambda item: item[0].encode() + (b"/" if item[1] == FOLDER else b""))
        return _object_id(
            "tree",
            b"".join(f"{m.lstrip('0')} {n}\0".encode() + bytes.fromhex(i) for n, m, i in listed),
        )

    def _add(self, path: str, mode: str, kind: str, object_id: str) -> None:
        size = {"size": len(self.files[path])} if kind == "blob" else {}
        self.entries.append({"path": path, "mode": mode, "type": kind, "sha": object_id, **size})


def _object_id(kind: str, content: bytes) -> str:
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()
