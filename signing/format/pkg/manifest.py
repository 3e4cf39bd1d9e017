"""``+COMPACT_MANIFEST`` and ``+MANIFEST``: what a package says about itself (reference/freebsd-pkg §2.5, §2.8).

    {"name":"demo-base","origin":"misc/demo-base","version":"1.0.0","abi":"FreeBSD:14:amd64","arch":"freebsd:14:x86:64",
     "prefix":"/usr/local","flatsize":66,"deps":{"zlib":{"origin":"archivers/zlib","version":"1.3"}},
     "files":{"/usr/local/bin/demo-base":{"sum":"1$7ef2…","uname":"root","gname":"wheel","perm":"0755","mtime":1764547200}},
     "directories":{"/usr/local/etc/demo":{"uname":"root","gname":"wheel","perm":"0755"}},
     "config":["/usr/local/etc/demo.conf"],"scripts":{"post-install":"echo done"},"users":["demo"],"groups":["demo"]}

The compact one has neither files nor scripts. It is pkg's format, and grows with pkg: keys that we do not know stay in
``raw``. Keys that we know have the one form that pkg writes, and paths are absolute, plain and free of tricks.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Self

from signing.errors import FormatError
from signing.format.fields import integer_of, list_of, object_of, placed, text_of
from signing.format.pkg.json_text import read_json
from signing.format.pkg.names import (
    PackageName,
    PackagePin,
    PackageVersion,
    parse_origin,
    parse_package_abi,
    parse_package_name,
    parse_package_version,
    parse_pin,
)
from signing.format.pkg.sums import Sum

MAX_MANIFEST_BYTES: Final = 64 << 20
MAX_PATH: Final = 1024  # FreeBSD's PATH_MAX
MAX_DEPTH: Final = 64
MAX_FLATSIZE: Final = 1 << 50
_PERM: Final = re.compile(r"[0-7]{3,5}", re.ASCII)
_OWNER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}\$?", re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]", re.ASCII)
_MODE_BITS: Final = 0o7777


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """A file, a link or (without sum) a folder, as its manifest lists it; None stands for what is not said."""

    sum: Sum | None = None
    uname: str | None = None
    gname: str | None = None
    perm: int | None = None
    mtime: int | None = None
    symlink_target: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a package says about itself. ``raw`` is the complete object, with what we do not read."""

    name: PackageName
    version: PackageVersion
    origin: str
    abi: str
    arch: str
    prefix: str
    deps: tuple[PackagePin, ...]
    files: Mapping[str, FileEntry]
    directories: Mapping[str, FileEntry]
    scripts: Mapping[str, str]
    lua_scripts: Mapping[str, tuple[str, ...]]
    config: tuple[str, ...]
    users: tuple[str, ...]
    groups: tuple[str, ...]
    flatsize: int
    raw: Mapping[str, Any]

    @property
    def pin(self) -> PackagePin:
        """Which package this is."""
        return PackagePin(self.name, self.version)

    @classmethod
    def parse(cls, data: bytes, where: str = "manifest") -> Self:
        """Return the manifest written as ``data``.

        Raises:
            FormatError: not a manifest that pkg writes, or larger than `MAX_MANIFEST_BYTES`.
        """
        return cls.of(read_json(data, where=where, max_bytes=MAX_MANIFEST_BYTES), where)

    @classmethod
    def of(cls, value: object, where: str = "manifest") -> Self:
        """Return the manifest that the parsed object ``value`` is.

        Raises:
            FormatError: not a manifest that pkg writes.
        """
        raw = object_of(value, where)
        try:
            return cls(
                name=parse_package_name(raw.get("name"), where="name"),
                version=parse_package_version(raw.get("version")),
                origin=parse_origin(raw.get("origin")),
                abi=parse_package_abi(raw.get("abi")),
                arch=text_of(raw.get("arch", ""), "arch"),
                prefix=parse_payload_path(raw.get("prefix"), where="prefix"),
                deps=parse_deps(raw.get("deps", {}), where="deps"),
                files=_entries(raw.get("files", {}), "files", _file),
                directories=_entries(raw.get("directories", {}), "directories", _folder),
                scripts=_scripts(raw.get("scripts", {}), "scripts"),
                lua_scripts=_lua_scripts(raw.get("lua_scripts", {}), "lua_scripts"),
                config=tuple(
                    [
                        parse_payload_path(path, where="config")
                        for path in list_of(raw.get("config", []), "config")
                    ]
                ),
                users=_owners(raw.get("users", []), "users"),
                groups=_owners(raw.get("groups", []), "groups"),
                flatsize=integer_of(raw.get("flatsize", 0), "flatsize", MAX_FLATSIZE),
                raw=MappingProxyType(raw),
            )
        except FormatError as error:
            raise placed(error, where) from error


def parse_payload_path(text: object, *, where: str) -> str:
    """Return ``text`` as the absolute path of something that a package installs.

    Raises:
        FormatError: relative, too long, too deep, or with empty, ``.`` or ``..`` parts or control characters.
    """
    if (
        not isinstance(text, str)
        or not text.startswith("/")
        or len(text.encode("utf-8", "replace")) > MAX_PATH
    ):
        raise FormatError(f"{_shown(text)} is not an absolute path", where=where)
    if text.count("/") > MAX_DEPTH or not {"", ".", ".."}.isdisjoint(text[1:].split("/")):
        raise FormatError(f"{_shown(text)} is not a plain path", where=where)
    if _CONTROL.search(text):
        raise FormatError(f"{_shown(text)} holds a control character", where=where)
    return text


def parse_deps(value: object, *, where: str) -> tuple[PackagePin, ...]:
    """Return ``{name: {"origin": …, "version": …}}`` as pins, sorted.

    Raises:
        FormatError: in another form.
    """
    said = object_of(value, where)
    return tuple(
        [parse_pin(name, object_of(said[name], where).get("version"), where=where) for name in sorted(said)]
    )


def _entries(value: object, where: str, read: Callable[[object, str], FileEntry]) -> Mapping[str, FileEntry]:
    return MappingProxyType(
        {
            parse_payload_path(path, where=where): read(said, where)
            for path, said in object_of(value, where).items()
        }
    )


def _file(value: object, where: str) -> FileEntry:
    if isinstance(value, str):  # before owners and modes were written: the sum alone
        return FileEntry(sum=Sum.parse(value, where=where))
    said = object_of(value, where)
    target = said.get("symlink_target")
    return FileEntry(
        sum=Sum.parse(said.get("sum"), where=f"{where}.sum"),
        symlink_target=text_of(target, where) if target is not None else None,
        **_attributes(said, where),
    )


def _folder(value: object, where: str) -> FileEntry:
    if isinstance(value, str):  # "y" or "n": whether to try to remove it
        return FileEntry()
    return FileEntry(**_attributes(object_of(value, where), where))


def _attributes(said: Mapping[str, Any], where: str) -> dict[str, Any]:
    return {
        "uname": parse_owner(said["uname"], where=where) if "uname" in said else None,
        "gname": parse_owner(said["gname"], where=where) if "gname" in said else None,
        "perm": _perm(said["perm"], where) if "perm" in said else None,
        "mtime": integer_of(said["mtime"], where, 2**63 - 1) if "mtime" in said else None,
    }


def parse_owner(value: object, *, where: str) -> str:
    """Return ``value`` as the name of a user or group.

    Raises:
        FormatError: not in the spelling of such names.
    """
    if not isinstance(value, str) or not _OWNER.fullmatch(value):
        raise FormatError(f"{_shown(value)} is not the name of a user or group", where=where)
    return value


def _perm(value: object, where: str) -> int:
    if not isinstance(value, str) or not _PERM.fullmatch(value) or int(value, 8) > _MODE_BITS:
        raise FormatError(f"{_shown(value)} is not a mode", where=where)
    return int(value, 8)


def _scripts(value: object, where: str) -> Mapping[str, str]:
    return MappingProxyType({name: text_of(text, where) for name, text in object_of(value, where).items()})


def _lua_scripts(value: object, where: str) -> Mapping[str, tuple[str, ...]]:
    return MappingProxyType(
        {
            name: tuple(text_of(text, where) for text in list_of(texts, where))
            for name, texts in object_of(value, where).items()
        }
    )


def _owners(value: object, where: str) -> tuple[str, ...]:
    return tuple(parse_owner(name, where=where) for name in list_of(value, where))


def _shown(value: object) -> str:
    return ascii(value[:80]) if isinstance(value, str) else type(value).__name__
