"""What a package installed, file by file, as it stands in the jail into which this host unpacked it.

    var/db/clawdie/packages/demo-base.json

    {"files":[{"mode":493,"path":"usr/local/bin/demo-base","sha256":"7e…","size":35}],"folders":["usr/local/etc/demo"],
     "links":[{"path":"usr/local/bin/demo-base-link","target":"demo-base"}],"name":"demo-base","omitted":["script post-install"],
     "repository":"FreeBSD:14:amd64/latest","schema":"…/installed-package/v1","serial":7,"sha256":"5d…","version":"1.0.0"}

Its own digest stands in the receipt, outside the jail: whoever is root in there can write another record, and then it
is not this one. So it is read as anything from outside is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Self

from hive.jails.contained import JailRoot
from hive.jails.materialise import RECORDS
from signing.errors import FormatError
from signing.format.canonical import canonical, parse_canonical
from signing.format.digest import Sha256, parse_sha256
from signing.format.fields import Fields
from signing.format.pkg.manifest import MAX_PATH
from signing.format.pkg.names import PackagePin, PackageRepo, parse_package_name, parse_package_version

SCHEMA: Final = "https://skills.clawdie.si/schema/installed-package/v1"
MAX_RECORD_BYTES: Final = 128 << 20
_MAX_RECORDS: Final = 20_000
_MAX_ITEMS: Final = 500_000
_MAX_TEXT: Final = 2_000
_MAX_TARGET: Final = 1 << 16
_MAX_NAME: Final = MAX_PATH + len(".pkgnew")
_MAX_NUMBER: Final = 2**53 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledFile:
    """A file as it was installed; ``path`` is below the jail's root."""

    path: str
    size: int
    sha256: Sha256
    mode: int

    def to_json(self) -> dict[str, Any]:
        """Return the file as it stands in a record."""
        return {"path": self.path, "size": self.size, "sha256": self.sha256, "mode": self.mode}

    @classmethod
    def from_json(cls, value: object, where: str) -> Self:
        """Return the file written as ``value``."""
        fields = Fields.of(value, where=where)
        file = cls(
            path=fields.text("path", max_length=_MAX_NAME),
            size=fields.integer("size", maximum=_MAX_NUMBER),
            sha256=parse_sha256(fields.take("sha256"), where=fields.place("sha256")),
            mode=fields.integer("mode", maximum=0o7777),
        )
        fields.done()
        return file


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledLink:
    """A symbolic link as it was installed."""

    path: str
    target: str

    def to_json(self) -> dict[str, Any]:
        """Return the link as it stands in a record."""
        return {"path": self.path, "target": self.target}

    @classmethod
    def from_json(cls, value: object, where: str) -> Self:
        """Return the link written as ``value``."""
        fields = Fields.of(value, where=where)
        link = cls(
            path=fields.text("path", max_length=_MAX_NAME),
            target=fields.text("target", max_length=_MAX_TARGET),
        )
        fields.done()
        return link


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledPackage:
    """Everything that one package installed, and what of it was left out."""

    pin: PackagePin
    sha256: Sha256
    repo: PackageRepo
    serial: int
    files: tuple[InstalledFile, ...]
    links: tuple[InstalledLink, ...]
    folders: tuple[str, ...]
    omitted: tuple[str, ...]

    def render(self) -> bytes:
        """Return the canonical bytes."""
        return canonical(
            {
                "schema": SCHEMA,
                "name": self.pin.name,
                "version": self.pin.version,
                "sha256": self.sha256,
                "repository": str(self.repo),
                "serial": self.serial,
                "files": [file.to_json() for file in self.files],
                "links": [link.to_json() for link in self.links],
                "folders": list(self.folders),
                "omitted": list(self.omitted),
            }
        )

    @classmethod
    def parse(cls, data: bytes, *, where: str) -> Self:
        """Return the record written as ``data``.

        Raises:
            FormatError: not a record of ours.
        """
        fields = Fields.of(parse_canonical(data, where=where, max_bytes=MAX_RECORD_BYTES), where=where)
        fields.constant("schema", SCHEMA)
        record = cls(
            pin=PackagePin(
                parse_package_name(fields.take("name"), where=fields.place("name")),
                parse_package_version(fields.take("version"), where=fields.place("version")),
            ),
            sha256=parse_sha256(fields.take("sha256"), where=fields.place("sha256")),
            repo=PackageRepo.parse(fields.take("repository"), where=fields.place("repository")),
            serial=fields.integer("serial", maximum=_MAX_NUMBER),
            files=fields.items("files", InstalledFile.from_json, maximum=_MAX_ITEMS),
            links=fields.items("links", InstalledLink.from_json, maximum=_MAX_ITEMS),
            folders=fields.items("folders", _text, maximum=_MAX_ITEMS),
            omitted=fields.items("omitted", _text, maximum=_MAX_ITEMS),
        )
        fields.done()
        return record


def record_path(name: str) -> str:
    """Return where the record of the package ``name`` stands, below the root."""
    return f"{RECORDS}/{name}.json"


def load_records(root: JailRoot) -> Iterator[InstalledPackage]:
    """Yield the record of every package in the jail.

    Raises:
        FormatError: one of them is not a record of ours.
        UnsafePathError, HostError: it cannot be read.
    """
    with root.enter(RECORDS) as folder:
        for entry in folder.entries(limit=_MAX_RECORDS):
            if entry.kind != "folder":  # the staging folder of the package that asks
                data = folder.read_file(entry.name, max_bytes=MAX_RECORD_BYTES, single_link=True)
                yield InstalledPackage.parse(data, where=f"{RECORDS}/{ascii(entry.name)[1:-1]}")


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise FormatError("not a string, or a very long one", where=where)
    return value
