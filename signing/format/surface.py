"""The capability surface: what the files of a skill say they touch, as a part of the signed review.

    {"commands":["curl","git"],"env_names":["GITHUB_TOKEN"],"executables":["scripts/run.sh"],
     "file_types":["md","sh"],"hosts":["example.com"],"instructions":["fetches-instructions"],
     "packages":["npx:create-app@latest"],"paths_read":["~/.netrc"],"paths_written":["~/.bashrc"],
     "runtimes":["python"],"tools":["Bash(git:*)"],"urls":["https://example.com/x"]}

It is what was *seen*, never a promise that there is no more. Two surfaces can be compared entry by entry, and that
comparison is what a curator reads first: what may this version do that the last one could not?
"""

from dataclasses import dataclass, fields
from typing import Any, Self

from signing.errors import FormatError
from signing.format.canonical import canonical
from signing.format.digest import Sha256, sha256_of
from signing.format.fields import Fields

MAX_ENTRIES = 5_000  # of one kind
MAX_ENTRY_LENGTH = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """What was seen, by kind; each kind sorted, without repetitions.

    Attributes:
        hosts: names and addresses of machines, in lower case.
        urls: complete URLs, without credentials.
        commands: programs that scripts and instructions run.
        runtimes: interpreters that are needed, such as ``python`` or ``node``.
        packages: what is installed or run from a package index, ``tool:name@version``.
        paths_read, paths_written: paths outside the skill's own folder.
        env_names: names of environment variables.
        tools: agent tools that the front matter asks for.
        file_types: endings of the files, and ``(none)``.
        executables: files that want to be executed.
        instructions: kinds of instruction to the agent that a reviewer must know of, such as ``conceals``.
    """

    hosts: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    paths_read: tuple[str, ...] = ()
    paths_written: tuple[str, ...] = ()
    env_names: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    file_types: tuple[str, ...] = ()
    executables: tuple[str, ...] = ()
    instructions: tuple[str, ...] = ()

    @classmethod
    def kinds(cls) -> tuple[str, ...]:
        """Return the names of all kinds, in the order in which they are shown."""
        return tuple(field.name for field in fields(cls))

    def of(self, kind: str) -> tuple[str, ...]:
        """Return the entries of one kind."""
        entries: tuple[str, ...] = getattr(self, kind)
        return entries

    def to_json(self) -> dict[str, Any]:
        """Return the surface as it stands in a review."""
        return {kind: list(self.of(kind)) for kind in self.kinds()}

    @classmethod
    def from_json(cls, value: object, where: str) -> Self:
        """Return the surface written as ``value``.

        Raises:
            FormatError: not a surface, or entries that are not sorted or appear twice.
        """
        given = Fields.of(value, where=where)
        surface = cls(**{kind: _entries(given, kind) for kind in cls.kinds()})
        given.done()
        return surface


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfaceChange:
    """One entry that came or went between two versions."""

    kind: str
    entry: str
    added: bool

    def to_json(self) -> dict[str, Any]:
        """Return the change as it stands in a review."""
        return {"kind": self.kind, "entry": self.entry, "added": self.added}

    @classmethod
    def from_json(cls, value: object, where: str) -> Self:
        """Return the change written as ``value``."""
        given = Fields.of(value, where=where)
        kind, added = given.text("kind"), given.take("added")
        if kind not in Surface.kinds() or not isinstance(added, bool):
            raise FormatError("not a change of a surface", where=where)
        change = cls(kind=kind, entry=given.text("entry", max_length=MAX_ENTRY_LENGTH), added=added)
        given.done()
        return change


def compare_surfaces(old: Surface, new: Surface) -> tuple[SurfaceChange, ...]:
    """Return what came and what went, by kind; within a kind what came first, each sorted."""
    changes = []
    for kind in Surface.kinds():
        before, after = set(old.of(kind)), set(new.of(kind))
        changes += [SurfaceChange(kind=kind, entry=entry, added=True) for entry in sorted(after - before)]
        changes += [SurfaceChange(kind=kind, entry=entry, added=False) for entry in sorted(before - after)]
    return tuple(changes)


def digest_of_changes(changes: tuple[SurfaceChange, ...]) -> Sha256:
    """Return the digest by which a decision acknowledges exactly these changes."""
    return sha256_of(canonical([change.to_json() for change in changes]))


def _entries(given: Fields, kind: str) -> tuple[str, ...]:
    entries = given.items(kind, _entry, maximum=MAX_ENTRIES)
    if list(entries) != sorted(set(entries)):
        raise FormatError("is not sorted, or names an entry twice", where=given.place(kind))
    return entries


def _entry(value: object, where: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_ENTRY_LENGTH:
        raise FormatError("not a string, or too long", where=where)
    return value
