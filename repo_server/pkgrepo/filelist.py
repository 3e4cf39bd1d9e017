r"""``files`` and ``filesite.yaml``: which package installs which file (reference/freebsd-pkg §2.4).

    0 /usr/local/bin            folders, each as how much of the one before it stays, and what follows
    11 etc                      /usr/local/etc
    14 /demo                    /usr/local/etc/demo
                                an empty line ends them
    demo-base 1.0.0             a package
    >0                          its files in the first folder: /usr/local/bin
    demo-base
    >2
    base.conf.sample
                                an empty line ends it

Up to pkg 2.7 it is one JSON object after the other: {"origin":…,"name":…,"version":…,"files":[…]}. Short numbers stand for
long paths here, so the sum of all paths is bounded, not only the size of the file.
"""

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from signing.errors import FormatError
from signing.format.fields import list_of, object_of
from signing.format.pkg.json_text import read_json
from signing.format.pkg.manifest import parse_payload_path
from signing.format.pkg.names import PackagePin, parse_package_name, parse_package_version

FileList = Mapping[PackagePin, tuple[str, ...]]
MAX_PATH_BYTES: Final = 2 << 30
MAX_FILES: Final = 20_000_000
_MAX_FOLDERS: Final = 5_000_000
_MAX_NUMBER: Final = 8


def parse_files(payload: bytes) -> FileList:
    """Return what ``files`` says: for each package its files.

    Raises:
        FormatError: not what pkg writes, or it unfolds to too much.
    """
    lines = iter(_text(payload, "files").split("\n"))
    budget = _Budget("files")
    folders = list(_folders(lines, budget))
    found: dict[PackagePin, tuple[str, ...]] = {}
    for line in lines:
        if not line:
            continue
        name, _, version = line.partition(" ")
        pin = _pin(name, version, "files")
        if pin in found:
            raise FormatError(f"names {pin} twice", where="files")
        found[pin] = tuple(_files(lines, folders, budget))
    return MappingProxyType(found)


def parse_filesite(payload: bytes) -> FileList:
    """Return what ``filesite.yaml`` says: for each package its files.

    Raises:
        FormatError: not what pkg writes.
    """
    text, decoder, at = _text(payload, "filesite.yaml"), json.JSONDecoder(), 0
    found: dict[PackagePin, tuple[str, ...]] = {}
    budget = _Budget("filesite.yaml")
    while at < len(text):
        try:
            _, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise FormatError("not JSON, or nested too deeply", where="filesite.yaml") from error
        raw = read_json(text[at:end].encode(), where="filesite.yaml", max_bytes=len(payload))
        value = object_of(raw, "filesite.yaml")
        pin = _pin(value.get("name"), value.get("version"), "filesite.yaml")
        if pin in found:
            raise FormatError(f"names {pin} twice", where="filesite.yaml")
        found[pin] = tuple(budget.path(path) for path in list_of(value.get("files"), "filesite.yaml"))
        at = end
        while text[at : at + 1] == "\n":
            at += 1
    return MappingProxyType(found)


class _Budget:
    """How much all paths together may be."""

    def __init__(self, where: str) -> None:
        self._where, self._bytes, self._files = where, 0, 0

    def path(self, path: object) -> str:
        found = parse_payload_path(path, where=self._where)
        self._bytes += len(found)
        self._files += 1
        if self._bytes > MAX_PATH_BYTES or self._files > MAX_FILES:
            raise FormatError("unfolds to too many paths", where=self._where)
        return found


def _folders(lines: Iterator[str], budget: _Budget) -> Iterator[str]:
    last = ""
    for place, line in enumerate(lines):
        if not line:
            return
        number, _, rest = line.partition(" ")
        kept = _number(number, "files")
        if kept > len(last.encode()) or place >= _MAX_FOLDERS:
            raise FormatError("takes more of a folder than there is, or too many", where="files")
        last = budget.path(_cut(last, kept) + rest)
        yield last
    raise FormatError("ends too early", where="files")


def _cut(text: str, count: int) -> str:
    try:
        return text[:count] if text.isascii() else text.encode()[:count].decode()
    except UnicodeDecodeError as error:
        raise FormatError("cuts a character in two", where="files") from error


def _files(lines: Iterator[str], folders: list[str], budget: _Budget) -> Iterator[str]:
    folder: str | None = None
    for line in lines:
        if not line:
            return
        if line.startswith(">"):
            number = _number(line[1:], "files")
            if number >= len(folders):
                raise FormatError("names a folder that is not there", where="files")
            folder = folders[number]
        elif folder is None or "/" in line:
            raise FormatError("names a file without its folder", where="files")
        else:
            yield budget.path(f"{folder.removesuffix('/')}/{line}")


def _number(text: str, where: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > _MAX_NUMBER:
        raise FormatError("not a number", where=where)
    return int(text)


def _pin(name: object, version: object, where: str) -> PackagePin:
    return PackagePin(parse_package_name(name, where=where), parse_package_version(version, where=where))


def _text(payload: bytes, where: str) -> str:
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError("not UTF-8", where=where) from error
