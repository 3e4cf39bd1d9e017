"""What poudriere left: the folder of a finished build, and what it says about that build (edge).

reference/freebsd-pkg §7.

    POUDRIERE_DATA/packages/143amd64-clawdie/.latest -> .real_1795348800     a build; the link is switched by rename
    POUDRIERE_DATA/packages/143amd64-clawdie/.buildname -> .latest/.buildname
    POUDRIERE_DATA/logs/bulk/143amd64-clawdie/2026-11-22_12h00m00s/.data.json   the records, numbers as text

A hook runs before the records are finished: ``status`` is not yet "done:", and "ended" may be missing. And by default
poudriere publishes what was built although other ports failed, so the numbers are looked at here: a build with failures, one
that was cut short, and one whose records are missing, is not published unless somebody asks for it.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self

from repo_server.pkgrepo.beneath import open_beneath, open_folder, read_beneath
from signing.errors import FormatError, NotFoundError, PolicyError, WrongSubjectError
from signing.format.pkg.json_text import read_json

LATEST: Final = ".latest"
RESULT: Final = "SKILLREPO_BULK_DONE"
RECORDS: Final = (".data.json", ".data.mini.json")
SYSTEM: Final = "poudriere"
FOLDER: Final = "folder"
UNKNOWN: Final = "unknown"
_BUILDNAME: Final = ".buildname"
_UNFINISHED: Final = ".building"
_MAX_RECORDS: Final = 64 << 20
_MAX_NAME: Final = 200
_SHOWN: Final = 5
_BUILD: Final = re.compile(r"\.real_[0-9]{1,20}", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 +.,_:@/-]{0,199}", re.ASCII)
# What becomes of a queued port; what is in none of these was not reached.
_OUTCOMES: Final = ("built", "failed", "ignored", "skipped", "fetched", "inspected")
_DONE: Final = ("built", "failed", "ignored", "skipped", "fetched")
_BROKEN: Final = ("stopped:", "crashed:", "sig", "failed:", "error:")


class BuildSource:
    """A folder with packages and their catalogue, held open: it is the same one however often ``.latest`` is switched."""

    def __init__(self, folder: int, path: Path, name: str) -> None:
        self.folder: Final = folder
        self.path: Final = path
        self.name: Final = name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.folder)

    def buildname(self) -> str | None:
        """Return the name of the build that made the folder, if it says so.

        Raises:
            FormatError: what stands there is not a name.
        """
        try:
            text = read_beneath(self.folder, _BUILDNAME, max_bytes=_MAX_NAME)
        except NotFoundError:
            return None
        return _word(text.decode("ascii", "replace").strip(), _BUILDNAME)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRecord:
    """What a build says about itself. ``recorded`` is False when it left no records: only its names are known.

    ``system`` is ``folder`` when nothing speaks of poudriere: somebody ran `pkg repo`, and answers for what is there.
    """

    system: str = FOLDER
    master: str = UNKNOWN
    name: str = UNKNOWN
    git_hash: str = UNKNOWN
    status: str = ""
    stats: Mapping[str, int] = field(default_factory=dict)
    failed: tuple[str, ...] = ()
    recorded: bool = False

    def to_build(self) -> dict[str, str]:
        """Return the build as ``repo.json`` names it."""
        return {"system": self.system, "master": self.master, "name": self.name, "git_hash": self.git_hash}

    def unreached(self) -> int:
        """Return how many queued ports came to no end."""
        queued = self.stats.get("queued")
        return max(0, queued - sum(self.stats.get(key, 0) for key in _OUTCOMES)) if queued is not None else 0

    def check_whole(self, *, allow_failed: bool) -> str:
        """Return one line with the numbers.

        Raises:
            PolicyError: ports failed, were skipped for that, or were never reached, or poudriere left no records of
                it; and ``allow_failed`` is not given.
        """
        numbers = ", ".join(f"{self.stats[key]} {key}" for key in _OUTCOMES if key in self.stats)
        wrong = self._wrong()
        if wrong and not allow_failed:
            shown = [*self.failed[:_SHOWN], *(["…"] if len(self.failed) > _SHOWN else [])]
            raise PolicyError(
                f"build {self.master} {self.name} is not whole: {', '.join(wrong)}"
                + (f" ({', '.join(shown)})" if shown else ""),
                hint="build what failed, or publish it all the same with --allow-failed",
                stats=[f"{key}={value}" for key, value in sorted(self.stats.items())],
            )
        return f"build {self.master} {self.name}: {numbers or 'no numbers'}{'; not whole' if wrong else ''}"

    def _wrong(self) -> list[str]:
        wrong = ["it left no records"] if self.system == SYSTEM and not self.recorded else []
        wrong += [f"{self.stats[key]} {key}" for key in ("failed", "skipped") if self.stats.get(key, 0)]
        if self.unreached():
            wrong.append(f"{self.unreached()} not reached")
        if self.status.startswith(_BROKEN):
            wrong.append(f"its status is {self.status!a}")
        return wrong


def open_source(packages: Path) -> BuildSource:
    """Return the build that ``packages`` means: the folder itself, or where its ``.latest`` points now.

    Raises:
        NotFoundError: no folder, or one without a catalogue.
        FormatError: ``.latest`` points out of its folder, or at a build that is not finished.
    """
    outer = open_folder(packages)
    try:
        link = _latest(outer)
        folder = os.dup(outer) if link is None else _enter(outer, link, packages)
    finally:
        os.close(outer)
    source = BuildSource(folder, packages, link or packages.resolve().name)
    try:
        _check_finished(source)
    except BaseException:
        os.close(folder)
        raise
    return source


def read_build(
    source: BuildSource, *, environment: Mapping[str, str], records: Path | None = None
) -> BuildRecord:
    """Return what is known about the build in ``source``: from its records, from the hook's environment, from itself.

    ``records`` is the folder of the build's log; without it, the hook's ``LOG`` is. The numbers that ``bulk done`` gives to
    its hook (`RESULT`: built, failed, ignored, skipped, fetched) are newer than those of the records.

    Raises:
        WrongSubjectError: the records, or the hook, are about another build than the one in the folder.
        FormatError: the records are not what poudriere writes.
    """
    told = {
        key: _word(environment[name], name) for key, name in (("master", "MASTERNAME"), ("name", "BUILDNAME"))
        if environment.get(name)
    }  # fmt: skip
    place = records if records is not None else Path(environment["LOG"]) if environment.get("LOG") else None
    found = _records(place) if place is not None else None
    if records is not None and found is None:
        raise NotFoundError(
            f"{records} holds no records of a build", hint="name the folder that holds .data.json"
        )
    record = _record(found) if found is not None else BuildRecord()
    result = _result(environment.get(RESULT, ""))
    own = source.buildname()
    names = _known(own, told.get("name"), record.name)
    masters = _known(told.get("master"), record.master)
    for what, given in (("build", names), ("master", masters)):
        if len(given) > 1:
            raise WrongSubjectError(
                f"the packages, the records and the hook name several {what}s: {', '.join(sorted(given))}",
                hint="another build came between: publish that one",
                where=str(source.path),
            )
    return replace(
        record,
        system=SYSTEM if names or masters else FOLDER,
        master=masters.pop() if masters else UNKNOWN,
        name=names.pop() if names else UNKNOWN,
        stats=MappingProxyType({**record.stats, **result}),
        recorded=record.recorded or bool(result),
    )


def _known(*names: str | None) -> set[str]:
    return {name for name in names if name is not None and name != UNKNOWN}


def _latest(folder: int) -> str | None:
    """Return what ``.latest`` in the folder points at, or None when there is none."""
    try:
        link = os.readlink(LATEST, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FormatError("is not a link", where=LATEST) from error
    # The link is in a folder that builds write to; it names a neighbour and nothing else.
    if not _BUILD.fullmatch(link):
        raise FormatError(f"points at {link[:80]!a}, not at a build beside it", where=LATEST)
    return link


def _enter(outer: int, link: str, packages: Path) -> int:
    try:
        return os.open(link, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=outer)
    except OSError as error:
        raise NotFoundError(
            f"{packages}: its {LATEST} points at nothing: {error.strerror}",
            hint="was the build cleaned away?",
        ) from error


def _check_finished(source: BuildSource) -> None:
    if source.name == _UNFINISHED:
        raise FormatError("is a build that is not finished", where=str(source.path))
    try:
        os.close(open_beneath(source.folder, "data.pkg"))
    except NotFoundError as error:
        raise NotFoundError(
            f"{source.path} holds no catalogue (data.pkg)",
            hint="name the folder of a poudriere build, or its .latest",
        ) from error


def _records(place: Path) -> dict[str, Any] | None:
    folder = None
    with suppress(NotFoundError):
        folder = open_folder(place)
    if folder is None:
        return None
    try:
        for name in RECORDS:
            with suppress(NotFoundError):
                data = read_beneath(folder, name, max_bytes=_MAX_RECORDS)
                value = read_json(data, where=name, max_bytes=_MAX_RECORDS)
                if not isinstance(value, dict):
                    raise FormatError("not an object", where=name)
                return value
    finally:
        os.close(folder)
    return None


def _record(found: Mapping[str, Any]) -> BuildRecord:
    stats = found.get("stats", {})
    if not isinstance(stats, dict):
        raise FormatError("not an object", where="records.stats")
    ports = found.get("ports", {})
    failed = ports.get("failed", []) if isinstance(ports, dict) else []
    names = (
        [port.get("pkgname") for port in failed if isinstance(port, dict)] if isinstance(failed, list) else []
    )
    status = found.get("status", "")
    return BuildRecord(
        master=_named(found, "mastername"),
        name=_named(found, "buildname"),
        git_hash=_named(found, "git_hash"),
        status=status[:_MAX_NAME] if isinstance(status, str) else "",
        stats=MappingProxyType(
            {key: _count(value, key) for key, value in stats.items() if value not in {"", None}}
        ),
        failed=tuple(sorted(name for name in names if isinstance(name, str) and _WORD.fullmatch(name))),
        recorded=isinstance(found.get("stats"), dict) and bool(stats),
    )


def _named(found: Mapping[str, Any], key: str) -> str:
    value = found.get(key)
    return _word(value, f"records.{key}") if value not in {None, ""} else UNKNOWN


def _word(value: object, where: str) -> str:
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise FormatError("not a name as poudriere writes it", where=where)
    return value


def _count(value: object, key: str) -> int:
    # Numbers are text there; a later release may write them as numbers.
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        raise FormatError("not a number", where=f"records.stats.{key[:40]!a}")
    return int(value)


def _result(text: str) -> dict[str, int]:
    """Return the five numbers of ``bulk done``; none when it was not a bulk build that called."""
    words = text.split(" ") if text else []
    if len(words) not in {0, len(_DONE)}:
        raise FormatError(f"not the {len(_DONE)} numbers of bulk done", where=RESULT)
    return {key: _count(word, key) for key, word in zip(_DONE, words, strict=False)}
