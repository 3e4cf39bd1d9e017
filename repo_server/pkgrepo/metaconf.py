"""``meta.conf``: how a repository's files are called and packed (reference/freebsd-pkg §2.2). Nobody signs it.

    version = 2;
    packing_format = "tzst";
    manifests = "packagesite.yaml";
    data = "data";
    filesite = "files";
    manifests_archive = "packagesite";
    filesite_archive = "files";

A client reads it in the clear before anything that is signed, so it can only be trusted as far as it says what is so
anyway. Ours says the seven lines above, and our signed index names its digest. Others may say who maintains a
repository and carry their own words in ``extra``; the names of files are pkg's, or they are refused: whoever can write
meta.conf could else point a client at other files.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Self

from repo_server.pkgrepo.ucl import parse_ucl, render_ucl
from signing.errors import FormatError

PACKING_FORMATS: Final = ("tzst", "txz", "tbz", "tgz", "tar")
FILES, FILESITE = "files", "filesite.yaml"
_MAX_NUMBER: Final = 2**63 - 1
# In the order in which pkg writes them.
_TEXTS: Final = (
    "maintainer", "source", "packing_format", "digest_format", "digests", "digests_archive", "manifests", "data",
    "filesite", "manifests_archive", "filesite_archive", "source_identifier",
)  # fmt: skip
_NUMBERS: Final = ("version", "revision", "eol")
_FIXED: Final = {
    "manifests": ("packagesite.yaml",),
    "manifests_archive": ("packagesite",),
    "data": ("data",),
    "data_archive": ("data",),
    "filesite": (FILES, FILESITE),
    "filesite_archive": ("files", "filesite"),
    "digests": ("digests",),
    "digests_archive": ("digests",),
    "packing_format": PACKING_FORMATS,
}
_FIELDS: Final = (
    "version", "maintainer", "source", "packing_format", "manifests", "data", "filesite", "manifests_archive",
    "filesite_archive", "source_identifier", "revision", "eol", "extra",
)  # fmt: skip
_KNOWN: Final = {*_TEXTS, *_NUMBERS, *_FIXED, "extra"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MetaConf:
    """What a meta.conf says. ``eol`` is the time, in seconds since 1970, after which nobody cares for it."""

    version: int = 2
    packing_format: str = "tzst"
    manifests: str = "packagesite.yaml"
    data: str = "data"
    filesite: str = FILES
    manifests_archive: str = "packagesite"
    filesite_archive: str = "files"
    maintainer: str | None = None
    source: str | None = None
    source_identifier: str | None = None
    revision: int | None = None
    eol: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: bytes, *, where: str = "meta.conf") -> Self:
        """Return what ``data`` says.

        Raises:
            FormatError: not what pkg writes, another version, or it names other files than pkg's own.
        """
        raw = parse_ucl(data, where=where)
        for key in raw:
            if key not in _KNOWN:
                # `cert {}` hands out keys; whatever else may come, it is not signed.
                raise FormatError(f"says {key[:40]!a}, which a repository has no need to say", where=where)
        for key in (*_TEXTS, *_FIXED):
            if not isinstance(raw.get(key, ""), str):
                raise FormatError("not a string", where=f"{where}: {key}")
        for key in _NUMBERS:
            number = raw.get(key, 0)
            if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= _MAX_NUMBER:
                raise FormatError("not a number", where=f"{where}: {key}")
        for key, allowed in _FIXED.items():
            if raw.get(key, allowed[0]) not in allowed:
                raise FormatError(
                    f"names {raw[key][:60]!a}, not {' or '.join(allowed)}", where=f"{where}: {key}"
                )
        if raw.get("version") not in {1, 2}:
            raise FormatError("is of a version that pkg does not read", where=f"{where}: version")
        if not isinstance(raw.get("extra", {}), dict):
            raise FormatError("not an object", where=f"{where}: extra")
        said = {key: raw[key] for key in _FIELDS if key in raw}
        return cls(**said, raw=MappingProxyType(raw))

    def render(self) -> bytes:
        """Return the text as pkg writes it.

        Raises:
            FormatError: something has no spelling in UCL.
        """
        values = {key: value for key in _FIELDS if (value := getattr(self, key)) is not None and value != {}}
        return render_ucl(values).encode()

    @property
    def is_plain(self) -> bool:
        """Whether it says nothing but how the files are called and packed."""
        said = (self.maintainer, self.source, self.source_identifier, self.revision, self.eol)
        return not self.extra and all(value is None for value in said)


def render_meta_conf(*, packing_format: str = "tzst") -> bytes:
    """Return the meta.conf of our repositories.

    Raises:
        FormatError: pkg knows no such packing format.
    """
    return MetaConf.parse(MetaConf(packing_format=packing_format).render()).render()
