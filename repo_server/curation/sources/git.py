"""A folder of one git commit, read from the object store (edge).

Nothing is ever checked out: `git ls-tree` lists, `git cat-file` gives the bytes. So no hook, no filter and no
attribute of the repository runs, links are only blobs that we refuse, and what is read is what was committed
(``export-ignore`` and line-end conversion do not apply). The commit id is checked by git against the content.

What could still run something is the transport, so protocols are on a list, the configuration of machine and
user is not read, no credentials are asked for, and redirects are not followed.
"""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from repo_server.curation.limits import Deadline, Limits
from repo_server.curation.sources.address import GitAddress
from repo_server.curation.sources.base import Fetched, claims_of, fact
from repo_server.curation.sources.process import Outcome, Runner
from repo_server.curation.textsafe import excerpt
from repo_server.curation.tree import Entry, SourceTree
from signing.errors import FormatError, NotFoundError, SkillRepoError, TransportError

_CONFIG = (
    *("core.hooksPath=/dev/null", "core.fsmonitor=false", "core.symlinks=false", "core.askPass="),
    *("protocol.ext.allow=never", "submodule.recurse=false", "fetch.recurseSubmodules=false"),
    *("transfer.fsckObjects=true", "http.followRedirects=false", "credential.helper=", "gc.auto=0"),
)
_REGULAR = {"100644": False, "100755": True}
_SPECIAL = {"120000": "a symbolic link", "160000": "a submodule"}
_LISTED = re.compile(rb"([0-7]{6}) ([a-z]+) ([0-9a-f]{40}) +([0-9]+|-)\t(.+)", re.DOTALL)
_MAX_LISTING = 1 << 20
_MAX_ANSWER = 1 << 16
_DISK_FACTOR = 16  # a repository around a skill may be larger than the skill, within reason
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")
_REF = re.compile(r"refs/(?:heads|tags)/[\w./+@-]+", re.ASCII)
_REFUSED = ("unadvertised object", "not valid", "not allowed")
_ABSENT = ("not our ref", "couldn't find remote ref", "could not find remote ref", "unadvertised object")


def fetch(address: GitAddress, *, limits: Limits, now: datetime) -> Fetched:
    """Return the files of the commit, or of one folder in it.

    Raises:
        NotFoundError: there is no such commit, or no such folder in it.
        FormatError: it holds something that cannot be part of a skill.
        TransportError: the repository cannot be reached, or not in time.
        HostError: there is no git on this machine.
    """
    with opened(address, limits=limits) as repository:
        return repository.fetched(now)


@contextmanager
def opened(address: GitAddress, *, limits: Limits) -> Iterator["Repository"]:
    """Fetch the commit and yield it, for whoever has to look around in it first.

    Raises:
        SkillRepoError: see `fetch`.
    """
    with tempfile.TemporaryDirectory(prefix="skillrepo-git-") as scratch:
        yield Repository.fetch(address, Path(scratch), limits)


@dataclass(frozen=True, slots=True)
class _Blob:
    path: str
    object_id: str
    size: int
    executable: bool


class Repository:
    """A bare repository that holds one commit. Made by `opened`."""

    def __init__(self, address: GitAddress, runner: Runner, limits: Limits) -> None:
        self._address, self._runner, self._limits = address, runner, limits

    @classmethod
    def fetch(cls, address: GitAddress, scratch: Path, limits: Limits) -> "Repository":
        """Fetch the commit into ``scratch``."""
        runner = Runner(
            folder=scratch,
            environment=_environment(scratch, local=address.local),
            deadline=Deadline.after(limits.seconds),
            max_disk_bytes=_DISK_FACTOR * limits.max_total_bytes,
        )
        repository = cls(address, runner, limits)
        url = os.path.abspath(address.url) if address.local and "://" not in address.url else address.url  # noqa: PTH100 - Path would not keep what git should see
        # An empty template: git's own would put sample hooks and whatever the machine's owner added.
        repository._git("init", "--quiet", "--bare", "--template=", "repository")
        fetched = repository._fetch(url, address.commit, shallow=True)
        if fetched.status != 0 and any(phrase in fetched.errors for phrase in _REFUSED):
            fetched = repository._fetch_advertised(url)
        if fetched.status != 0:
            raise repository._fetch_error(fetched)
        return repository

    def at(self, path: str) -> "Repository":
        """Return the same commit, seen from the folder ``path``."""
        return Repository(replace(self._address, path=path), self._runner, self._limits)

    def fetched(self, now: datetime) -> Fetched:
        """Return the folder as a source's answer."""
        tree_id = self.tree_id()
        tree = SourceTree.of(self.read(self.blobs(tree_id)))
        claims = claims_of(tree)
        return Fetched(
            tree=tree,
            source="git",
            address=self._address.recorded,
            resolved={"commit": self._address.commit, "tree": tree_id, "files_sha256": tree.digest},
            publisher="" if self._address.local else fact(_publisher(self._address.url)),
            licence=claims.licence,
            suggested_version=claims.version,
            observations=claims.observations,
            fetched_at=now,
        )

    def paths(self) -> list[str]:
        """Return the paths of all files in the folder, links and submodules too."""
        names = self._git(
            "ls-tree", "-r", "-z", "--name-only", "--full-tree", self.tree_id(), max_output=_MAX_LISTING
        )
        return [name.decode("utf-8", "surrogateescape") for name in names.split(b"\0") if name]

    def file(self, path: str, *, max_bytes: int) -> bytes:
        """Return the content of the file ``path``, relative to the folder.

        Raises:
            NotFoundError: there is no such file. FormatError: it is no file, or larger than ``max_bytes``.
        """
        listing = self._git("ls-tree", "-z", "-l", "--full-tree", self.tree_id(), "--", path)
        records = [record for record in listing.split(b"\0") if record]
        if len(records) != 1:
            raise NotFoundError(
                f"there is no {fact(path)} in commit {self._address.commit[:12]}", where="git"
            )
        blob = _blob(records[0])
        if blob.size > max_bytes:
            raise FormatError(f"larger than {max_bytes} bytes", where=ascii(blob.path))
        return self.read([blob])[0][1]

    def _fetch(self, url: str, *wanted: str, shallow: bool) -> Outcome:
        return self._try(
            *("fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"),
            *(("--depth=1",) if shallow else ()),
            *("--", url, *wanted),
        )

    def _fetch_advertised(self, url: str) -> Outcome:
        """Fetch what a server offers that gives no commit by its id, as far as time and disk allow.

        A commit that no branch and no tag leads to is not there, which is how it should be.
        """
        listed = self._try("ls-remote", "--quiet", "--", url, max_output=_MAX_LISTING)
        if listed.status != 0:
            return listed
        tips = (line.split("\t") for line in listed.output.decode("utf-8", "replace").splitlines())
        names = [
            tip[1].removesuffix("^{}") for tip in tips if tip[0] == self._address.commit and len(tip) > 1
        ]
        if names and _REF.fullmatch(names[0]):
            fetched = self._fetch(url, names[0], shallow=True)
        else:
            fetched = self._fetch(
                url, "+refs/heads/*:refs/found/heads/*", "+refs/tags/*:refs/found/tags/*", shallow=False
            )
        if fetched.status == 0 and self._try("cat-file", "-e", self._address.commit).status != 0:
            return replace(fetched, status=1, errors="not our ref: no branch and no tag leads to it")
        return fetched

    def tree_id(self) -> str:
        """Return the id of the tree that the address names."""
        commit, path = self._address.commit, self._address.path
        kind = self._git("cat-file", "-t", commit).strip()
        if kind != b"commit":
            raise FormatError(f"{commit} is a {excerpt(kind.decode())}, not a commit", where="git")
        found = self._try("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}:{path}")
        if found.status != 0:
            raise NotFoundError(f"commit {commit[:12]} has no folder {path!r}", where="git")
        tree_id = found.output.decode("ascii").strip()
        if self._git("cat-file", "-t", tree_id).strip() != b"tree":
            raise FormatError(f"{path!r} is a file", where="git", hint="name the folder that holds SKILL.md")
        return tree_id

    def blobs(self, tree_id: str) -> list[_Blob]:
        """Return what is in the tree; sizes are checked before any content is read."""
        listing = self._git("ls-tree", "-r", "-z", "-l", "--full-tree", tree_id, max_output=_MAX_LISTING)
        blobs = [_blob(record) for record in listing.split(b"\0") if record]
        if len(blobs) > self._limits.max_files:
            hint = "name the skill's folder: git+URL@COMMIT#skills/name"
            raise FormatError(f"more than {self._limits.max_files} files", where="git", hint=hint)
        for blob in blobs:
            if blob.size > self._limits.max_file_bytes:
                raise FormatError(f"larger than {self._limits.max_file_bytes} bytes", where=ascii(blob.path))
        if sum(blob.size for blob in blobs) > self._limits.max_total_bytes:
            raise FormatError(f"files add up to more than {self._limits.max_total_bytes} bytes", where="git")
        return blobs

    def read(self, blobs: list[_Blob]) -> list[Entry]:
        """Return the content of ``blobs``."""
        wanted = "".join(f"{blob.object_id}\n" for blob in blobs).encode()
        most = sum(blob.size + 100 for blob in blobs)
        answer = self._git("cat-file", "--batch", given=wanted, max_output=most)
        entries: list[Entry] = []
        at = 0
        for blob in blobs:
            head = b"%s blob %d\n" % (blob.object_id.encode(), blob.size)
            content = answer[at + len(head) : at + len(head) + blob.size]
            if not answer.startswith(head, at) or len(content) != blob.size:
                raise FormatError("git answered with something else", where=ascii(blob.path))
            entries.append((blob.path, content, blob.executable))
            at += len(head) + blob.size + 1
        return entries

    def _git(self, *words: str, given: bytes = b"", max_output: int = _MAX_ANSWER) -> bytes:
        outcome = self._try(*words, given=given, max_output=max_output)
        if outcome.status != 0:
            raise FormatError(f"git {words[0]} failed: {_said(outcome)}", where="git")
        return outcome.output

    def _try(self, *words: str, given: bytes = b"", max_output: int = _MAX_ANSWER) -> Outcome:
        config = [part for setting in _CONFIG for part in ("-c", setting)]
        place = [] if words[0] == "init" else ["--git-dir=repository"]
        return self._runner.run(["git", *config, *place, *words], given=given, max_output=max_output)

    def _fetch_error(self, outcome: Outcome) -> SkillRepoError:
        said = _said(outcome)
        if any(phrase in outcome.errors for phrase in _ABSENT):
            hint = "is the commit pushed, and reachable from a branch? (`git ls-remote URL` lists heads)"
            return NotFoundError(
                f"there is no commit {self._address.commit[:12]}: {said}", where="git", hint=hint
            )
        if "fsck" in outcome.errors:
            return FormatError(f"git refuses the repository's objects: {said}", where="git")
        if "does not appear to be a git repository" in outcome.errors:
            return NotFoundError("there is no git repository at this address", where="git")
        hint = "check the address; private repositories need an ssh key"
        return TransportError(f"cannot fetch from the repository: {said}", where="git", hint=hint)


def _environment(scratch: Path, *, local: bool) -> dict[str, str]:
    """Return the whole environment; nothing is inherited but where programs and the ssh agent are."""
    inherited = {name: os.environ[name] for name in ("PATH", "SSH_AUTH_SOCK") if name in os.environ}
    return inherited | {
        "HOME": str(scratch),
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "file" if local else "https:ssh",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ClearAllForwardings=yes",
    }


def _blob(record: bytes) -> _Blob:
    match = _LISTED.fullmatch(record)
    if match is None:
        raise FormatError("git listed something unreadable", where="git")
    mode, kind, object_id, size, raw = (part.decode("utf-8", "surrogateescape") for part in match.groups())
    if mode not in _REGULAR or kind != "blob" or not size.isdigit():
        message = f"is {_SPECIAL.get(mode, f'a {kind} of mode {mode}')}"
        raise FormatError(message, where=ascii(raw), hint="a skill holds regular files only")
    return _Blob(raw, object_id, int(size), _REGULAR[mode])


def _said(outcome: Outcome) -> str:
    return excerpt(_CREDENTIALS.sub("", outcome.errors).strip().replace("\n", "; "), limit=300)


def _publisher(url: str) -> str:
    """Return host and first path part: who answers for the repository, as far as the URL tells."""
    authority, _, path = url.partition("://")[2].partition("/")
    return f"{authority.rpartition('@')[2]}/{path.partition('/')[0]}"
