"""What changed about a skill, compared with the release that was published last.

Who takes over a name, or its account, publishes from another place, under another name, or an old version with a
known hole once more. None of that is visible in the files, so each is a finding that somebody must look at; another
publisher blocks until somebody answers for the change. So is a file that was not there before, however bland the
sentence that sends the agent to it.

A name that its owner gave up is free for whoever wants it, so where a source gives the account's own id, or the
repository's, that is compared beside the name.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from repo_server.curation.reading import reading_of
from repo_server.curation.textsafe import excerpt, visible
from repo_server.curation.tree import SourceTree
from signing.format.finding import Finding, Severity
from signing.format.manifest import SKILL_NAME, MemberPath
from signing.format.names import ReleaseVersion, version_key

_VERSION_OF_ADDRESS = re.compile(r"@[^@/#]*(?=#|$)")
_LOCAL = frozenset({"folder", "archive"})
MAX_NEW_FILES = 100  # each a finding; the diff shows all of them


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFacts:
    """What is known about one release: its version, and the source's words about where it came from.

    ``resolved`` may hold ``owner_id``, ``repository`` and ``repository_id``, which are compared.
    """

    version: ReleaseVersion
    source: str
    publisher: str
    licence: str
    address: str = ""
    resolved: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """The address without version or commit: the repository, the slug. A local folder may be called anything."""
        return _VERSION_OF_ADDRESS.sub("", self.address) if self.source not in _LOCAL else ""


def history_findings(*, new: HistoryFacts, old: HistoryFacts | None) -> tuple[Finding, ...]:
    """Return what a curator must look at in ``new`` because ``old`` was published last (None: nothing was)."""
    if old is None:
        return ()
    found = []
    if version_key(new.version) <= version_key(old.version):
        message = (
            f"version {new.version} does not follow {old.version}, which is published: an older release comes "
            "back with its faults; import a higher version, or say why this one"
        )
        found.append(_finding("backwards", message))
    look, block = Severity.LOOK, Severity.BLOCK
    # Where one of the two has no publisher at all (a folder), there is nobody who took it over.
    handed_over = block if old.publisher and new.publisher else look
    for check, what, before, after, severity in (
        ("source-changed", "source", old.source, new.source, look),
        ("place-changed", "place at the source", old.place, new.place, look),
        ("publisher-changed", "publisher", old.publisher, new.publisher, handed_over),
        ("licence-changed", "licence", old.licence, new.licence, look),
    ):
        if before != after:
            found.append(_finding(check, _from_to(what, before, after), severity))
    if new.source == old.source:
        found += _upstream_findings(new.resolved, old.resolved)
    return tuple(found)


def _upstream_findings(new: Mapping[str, str], old: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what changed in who, and what, is behind names that stayed. What was never known cannot have changed."""
    for check, key, what, severity in (
        ("account-changed", "owner_id", "account behind the publisher's name", Severity.BLOCK),
        ("repository-changed", "repository", "source repository", Severity.LOOK),
        ("repository-changed", "repository_id", "repository behind the name of the source", Severity.BLOCK),
    ):
        before, after = old.get(key, ""), new.get(key, "")
        if before and before != after:  # also when it is not given any more: then nobody can tell
            yield _finding(check, _from_to(what, before, after), severity)


def tree_findings(*, new: SourceTree, old: SourceTree | None, growing: bool) -> tuple[Finding, ...]:
    """Return the files of ``new`` that ``old`` did not have, each with the line that mentions it first.

    Without ``old`` nothing is new. ``growing``: the new version may touch what the old one could not.
    """
    if old is None:
        return ()
    found = list(_new_files(new, old))
    if len(found) > MAX_NEW_FILES:
        rest = len(found) - MAX_NEW_FILES
        found = [*found[:MAX_NEW_FILES], _finding("new-files", f"{rest} more files are new; see the diff")]
    changed = [path for path, file in old.files.items() if path in new.files and new.files[path] != file]
    if growing and (changed or found):
        message = "this version may touch what the last one could not; read what changed before the rest"
        found.insert(0, _finding("grows", message))
    return tuple(found)


def _new_files(new: SourceTree, old: SourceTree) -> Iterator[Finding]:
    for path in new.files:
        if path not in old.files:
            where, line = _mention(new, path)
            by = f"{visible(where, keep='')}:{line} sends the agent there" if line else "nothing mentions it"
            yield Finding(
                check="history.new-file",
                severity=Severity.LOOK,
                path=path,
                line=0,
                message=f"is new; {by}",
            )


def _mention(tree: SourceTree, wanted: MemberPath) -> tuple[str, int]:
    """Return file and line that name ``wanted`` first, SKILL.md before others; line 0 when none does."""
    name = wanted.rpartition("/")[2]
    for path in sorted(tree.files, key=lambda path: (path != SKILL_NAME, path)):
        reading = reading_of(path, tree.files[path]) if path != wanted else None
        if reading is not None and (at := reading.text.find(name)) >= 0:
            return path, reading.text.count("\n", 0, at) + 1
    return "", 0


def _shown(text: str) -> str:
    # ascii(), because the change may be one letter that looks like another.
    return ascii(excerpt(text)) if text else "not given"


def _from_to(what: str, before: str, after: str) -> str:
    return f"the {what} was {_shown(before)} and is {_shown(after)}; find out who changed it and why"


def _finding(check: str, message: str, severity: Severity = Severity.LOOK) -> Finding:
    return Finding(check=f"history.{check}", severity=severity, path=SKILL_NAME, line=0, message=message)
