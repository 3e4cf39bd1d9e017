r"""Catalogues, written so that the same packages give the same bytes (no IO; reference/freebsd-pkg §2 and §3).

    meta.conf, meta    UCL text from a template; unsigned, so nothing that matters stands in it
    data.pkg           new.sig new.pub data.sig data.pub data                       {"groups":[],"expired_packages":[],"packages":[…]}
    packagesite.pkg    … packagesite.yaml.sig packagesite.yaml.pub packagesite.yaml   one package a line
    files.pkg          … files.sig files.pub files                                  as pkg wrote it, when it wrote one

Each archive is a ustar with every time 0 and root:wheel 0644, in one zstd frame of a fixed level. `pkg repo` itself writes
packages in the order in which its threads ended; here they are sorted, and so are the keys of each, as pkg orders them.
The payload, which is what signatures are about, depends on nothing but the packages; the frame around it can be
another one with another release of the zstd library.

Several keys can sign at once. The first gets the name that pkg gives; a client needs to trust only one of them, which is
how a key is replaced without a day on which clients fail. More than four would pass the limit of eight members.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from tarfile import BLOCKSIZE, RECORDSIZE, USTAR_FORMAT, TarInfo
from types import MappingProxyType
from typing import Any, Final

from repo_server.pkgrepo.keys import PkgSigner
from repo_server.pkgrepo.metaconf import FILES, FILESITE, MetaConf
from signing.errors import FormatError
from signing.format.collector import collector_paused
from signing.format.digest import Sha256, sha256_of
from signing.format.pkg.index import CatalogueFile
from signing.format.pkg.version import VersionKey

MAX_SIGNERS: Final = 4
LATER: Final = timedelta(seconds=1)
_LEVEL: Final = 9
# The order of pkg's own catalogues; a key that is not among them comes after them, by name.
_ORDER: Final = (
    *(
        "name",
        "origin",
        "version",
        "comment",
        "maintainer",
        "www",
        "abi",
        "arch",
        "prefix",
        "sum",
        "flatsize",
    ),
    *(
        "path",
        "repopath",
        "licenselogic",
        "licenses",
        "pkgsize",
        "desc",
        "deps",
        "categories",
        "users",
        "groups",
    ),
    *("shlibs_required", "shlibs_provided", "provides", "requires", "options", "annotations", "messages"),
)
_PLAIN: Final = frozenset({str, int, bool, type(None)})
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_RANK: Final = {key: rank for rank, key in enumerate(_ORDER)}


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueFiles:
    """The files of a catalogue by name, and the time that each must be served with.

    pkg, whose check of data.pkg failed, asks for packagesite.pkg "if newer than data.pkg". Of equal times the answer is
    "not modified", and pkg reports success (reference/freebsd-pkg §1.3); so packagesite.pkg is a second younger.
    """

    files: Mapping[str, bytes]
    modified: Mapping[str, datetime]
    fingerprints: tuple[Sha256, ...]

    def indexed(self) -> tuple[CatalogueFile, ...]:
        """Return the files as ``repo.json`` lists them."""
        return tuple(
            CatalogueFile(name=name, size=len(data), sha256=sha256_of(data))
            for name, data in sorted(self.files.items())
        )


@collector_paused()
def write_catalogue(
    entries: Sequence[Mapping[str, Any]],
    *,
    groups: Sequence[Mapping[str, Any]] = (),
    files_payload: bytes | None = None,
    files_name: str = FILES,
    meta: MetaConf | None = None,
    signers: Sequence[PkgSigner],
    created: datetime,
) -> CatalogueFiles:
    """Return the catalogue of ``entries``, signed by ``signers``; one of no signer is one that nobody can trust.

    ``files_name`` is ``files``, or ``filesite.yaml`` for a list as pkg 2.7 wrote it.

    Raises:
        FormatError: an entry that has no place in a catalogue, two packages on one path, or a wrong number of signers.
        KeyAccessError: a key cannot be used.
    """
    if not 1 <= len(signers) <= MAX_SIGNERS:
        raise FormatError(f"a catalogue has 1 to {MAX_SIGNERS} signatures", where="signers")
    if len({signer.fingerprint for signer in signers}) != len(signers):
        raise FormatError("one key signs twice", where="signers")
    if files_name not in {FILES, FILESITE}:
        raise FormatError("a file list is called files or filesite.yaml", where="files")
    packages = [_rendered(entry) for entry in _sorted(entries)]
    archive_name = files_name.removesuffix(".yaml")
    text = replace(
        meta or MetaConf(), packing_format="tzst", filesite=files_name, filesite_archive=archive_name
    ).render()
    data = b'{"groups":%b,"expired_packages":[],"packages":[%b]}' % (_groups(groups), b",".join(packages))
    files = {
        "meta.conf": text,
        "meta": text,
        "data.pkg": _archive("data", data, signers),
        "packagesite.pkg": _archive("packagesite.yaml", b"".join(line + b"\n" for line in packages), signers),
    }
    if files_payload is not None:
        files[f"{archive_name}.pkg"] = _archive(files_name, files_payload, signers)
    moment = created.astimezone(UTC).replace(microsecond=0)
    early = {"meta.conf", "meta", "data.pkg"}
    return CatalogueFiles(
        files=MappingProxyType(files),
        modified=MappingProxyType({name: moment if name in early else moment + LATER for name in files}),
        fingerprints=tuple(sorted(signer.fingerprint for signer in signers)),
    )


def pack(members: Sequence[tuple[str, bytes]]) -> bytes:
    """Return ``members`` as one archive: ustar in zstd, as pkg reads it."""
    from zstandard import ZstdCompressor  # noqa: PLC0415 - only who writes catalogues needs it

    blocks = []
    for name, data in members:
        info = TarInfo(name)
        info.size, info.mode, info.uname, info.gname = len(data), 0o644, "root", "wheel"
        blocks += [info.tobuf(USTAR_FORMAT, "ascii", "strict"), data, bytes(-len(data) % BLOCKSIZE)]
    blocks.append(bytes(2 * BLOCKSIZE))
    blocks.append(bytes(-sum(map(len, blocks)) % RECORDSIZE))
    return ZstdCompressor(level=_LEVEL, write_checksum=True, write_content_size=True).compress(
        b"".join(blocks)
    )


def _archive(name: str, payload: bytes, signers: Sequence[PkgSigner]) -> bytes:
    members: list[tuple[str, bytes]] = []
    for place, signer in reversed(list(enumerate(signers))):
        stem = name if place == 0 else "new" if place == 1 else f"new{place}"
        header = signer.kind.header
        members.append((f"{stem}.sig", header + signer.sign(payload)))
        members.append((f"{stem}.pub", header + signer.certificate))
    return pack([*members, (name, payload)])


def _sorted(entries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    for entry in entries:
        if not all(isinstance(entry.get(key), str) for key in ("name", "version", "path")):
            raise FormatError("a package without name, version or path", where="catalogue")
    paths = [entry["path"] for entry in entries]
    if len(set(paths)) != len(paths):
        twice = next(path for path in sorted(paths) if paths.count(path) > 1)
        raise FormatError(f"two packages on one path: {twice!a}", where="catalogue")
    # The spelling after the key: 1.0 and 1.0.0 are one version to pkg, and still need an order.
    return sorted(entries, key=lambda e: (e["name"], VersionKey.of(e["version"]), e["version"], e["path"]))


def _groups(groups: Sequence[Mapping[str, Any]]) -> bytes:
    if not all(isinstance(group.get("name"), str) for group in groups):
        raise FormatError("a group without a name", where="groups")
    return _json([dict(group) for group in sorted(groups, key=lambda group: str(group["name"]))])


def _rendered(entry: Mapping[str, Any]) -> bytes:
    return _json({key: _ordered(entry[key]) for key in _in_order(tuple(entry))})


@lru_cache(maxsize=1 << 10)  # packages have few sets of keys
def _in_order(keys: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(keys, key=lambda key: (_RANK.get(key, len(_RANK)), key)))


def _ordered(value: Any) -> Any:
    """Return ``value`` with the keys of objects sorted; lists keep their order, which can mean something."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is list:
        return [item if type(item) is str else _ordered(item) for item in value]
    if kind is dict:
        return {key: text if type(text := value[key]) is str else _ordered(text) for key in sorted(value)}
    raise FormatError(f"{kind.__name__} has no place in a catalogue", where="catalogue")


def _json(value: Any) -> bytes:
    try:
        return _ENCODER.encode(value).encode()
    except (UnicodeEncodeError, ValueError, TypeError) as error:
        raise FormatError("text that is not valid Unicode", where="catalogue") from error
