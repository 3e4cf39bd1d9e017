"""Archives as pkg makes them, and as nobody should: tar member by member, packed by the libraries themselves."""

import bz2
import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import zstandard

DATA = Path(__file__).parents[1] / "data" / "pkg"
ABI = "FreeBSD:14:amd64"


def repository(kind: str, *, abi: str = ABI) -> Path:
    """The folder of a fixture, good or bad."""
    for root in ("repos", "repos-bad"):
        folder = DATA / root / kind / abi / "latest"
        if folder.is_dir():
            return folder
    raise AssertionError(kind)


def header(
    name: str,
    size: int = 0,
    *,
    kind: bytes = b"0",
    link: str = "",
    mode: int = 0o644,
    uname: bytes = b"root",
    gname: bytes = b"wheel",
    magic: bytes = b"ustar\x0000",
    size_field: bytes | None = None,
    raw_name: bytes | None = None,
) -> bytes:
    """One ustar header with a right checksum."""
    head = b"".join(
        [
            (raw_name if raw_name is not None else name.encode()).ljust(100, b"\0"),
            b"%06o \0" % mode,
            b"000000 \0" * 2,
            size_field if size_field is not None else b"%011o " % size,
            b"00000000000 ",
            b" " * 8,
            kind,
            link.encode().ljust(100, b"\0"),
            magic,
            uname.ljust(32, b"\0"),
            gname.ljust(32, b"\0"),
            b"000000 \0" * 2,
            bytes(155 + 12),
        ]
    )
    return head[:148] + b"%06o\0 " % sum(head) + head[156:]


def member(name: str, content: bytes = b"", **how: Any) -> bytes:
    """A whole member."""
    return header(name, len(content), **how) + content + bytes(-len(content) % 512)


def pax(*records: tuple[str, str]) -> bytes:
    """An extension header for the member after it."""
    content = b""
    for key, value in records:
        body = f" {key}={value}\n".encode()
        length = len(body) + 1
        while len(str(length)) + len(body) != length:
            length += 1
        content += str(length).encode() + body
    return member("PaxHeader", content, kind=b"x")


def tar(*members: bytes, end: bytes = bytes(1024)) -> bytes:
    return b"".join(members) + end


def pack(data: bytes, how: str = "zstd") -> bytes:
    """Pack as one of pkg's packing formats does."""
    match how:
        case "zstd":
            return zstandard.ZstdCompressor(level=3).compress(data)
        case "xz":
            return lzma.compress(data)
        case "bzip2":
            return bz2.compress(data)
        case "gzip":
            return gzip.compress(data, mtime=0)
    return data


def text(value: object) -> bytes:
    """Compact JSON, as pkg writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def compact(name: str = "demo", version: str = "1.0", **more: Any) -> dict[str, Any]:
    """A compact manifest."""
    return {
        "name": name,
        "origin": f"misc/{name}",
        "version": version,
        "comment": name,
        "abi": ABI,
        "arch": "freebsd:14:x86:64",
        "prefix": "/usr/local",
        "flatsize": 3,
        **more,
    }


def package(
    *members: bytes, manifest: dict[str, Any] | None = None, how: str = "zstd", **in_full: Any
) -> bytes:
    """A package with these members behind its manifests."""
    said = manifest if manifest is not None else compact()
    head = [
        member("+COMPACT_MANIFEST", text(said)),
        member("+MANIFEST", text({**said, **in_full})),
    ]
    return pack(tar(*head, *members), how)


def entry(said: dict[str, Any], data: bytes, path: str | None = None, **more: Any) -> dict[str, Any]:
    """The entry of a catalogue for a package of these bytes."""
    from signing.format.pkg.sums import Hasher

    path = path or f"All/{said['name']}-{said['version']}.pkg"
    return {
        **said,
        "sum": Hasher.of(data).pkg_sum,
        "path": path,
        "repopath": path,
        "pkgsize": len(data),
        **more,
    }


def data_payload(*entries: dict[str, Any]) -> bytes:
    return text({"groups": [], "expired_packages": [], "packages": list(entries)})


def packagesite_payload(*entries: dict[str, Any]) -> bytes:
    return b"".join(text(one) + b"\n" for one in entries)
