"""Which keys a client trusts: a folder of fingerprints, as pkg has it (reference/freebsd-pkg §3) (edge).

    DIR/trusted/…   files of two lines:  function: "sha256"
    DIR/revoked/…                        fingerprint: "<64 lower-case hexadecimal digits>"

A fingerprint is the SHA-256 of a certificate, which for pkg is only a public key: the bytes as they stand beside a
signature, without the ``$PKGSIGN:…$`` before them; of PEM, the whole text with its last line end. The names of the
files say nothing.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from repo_server.pkgrepo.ucl import parse_ucl
from repo_server.storage.durable import make_folder_durably, sync_folder, write_durably
from signing.errors import FormatError, HostError, NotFoundError
from signing.format.digest import Sha256, parse_sha256, sha256_of

MAX_FINGERPRINTS: Final = 1_000
_MAX_FILE: Final = 1 << 16
_HEADER: Final = b"$PKGSIGN:"
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class FingerprintAnchors:
    """Whose signatures count, and whose presence refuses everything."""

    trusted: frozenset[Sha256]
    revoked: frozenset[Sha256] = frozenset()


def fingerprint_of(certificate: bytes) -> Sha256:
    """Return the fingerprint of ``certificate``, with or without its header."""
    if certificate.startswith(_HEADER):
        certificate = certificate[len(_HEADER) :].partition(b"$")[2]
    return sha256_of(certificate)


def load_anchors(folder: Path) -> FingerprintAnchors:
    """Return the fingerprints in ``folder``.

    Raises:
        NotFoundError: there is no such folder, or no ``trusted`` in it.
        FormatError: a file in it is none of this form; nothing is passed over, a revocation could be among it.
        HostError: it cannot be read.
    """
    with _opened(folder) as root:
        trusted, revoked = _load(root, folder, "trusted"), _load(root, folder, "revoked")
    if trusted is None:
        raise NotFoundError(f"{folder} holds no folder trusted", hint="skillrepo pkg fingerprint writes one")
    return FingerprintAnchors(
        trusted=frozenset(trusted.values()), revoked=frozenset((revoked or {}).values())
    )


def write_anchors(folder: Path, anchors: FingerprintAnchors) -> None:
    """Make ``folder`` hold exactly ``anchors``: afterwards, `load_anchors` returns them.

    What is revoked is written before anything else is touched, so that no moment trusts more than before and after.

    Raises:
        FormatError: a file in it is not a fingerprint's; it is left alone.
        HostError: it cannot be written.
    """
    try:
        for name, wanted in (("revoked", anchors.revoked), ("trusted", anchors.trusted)):
            make_folder_durably(folder / name)
            with _opened(folder) as root:
                found = _load(root, folder, name) or {}
            for digest in sorted(wanted - set(found.values())):
                write_durably(folder / name / digest[:16], render_fingerprint(digest))
            for file, digest in found.items():
                if digest not in wanted:
                    (folder / name / file).unlink()
            sync_folder(folder / name)
    except OSError as error:
        raise HostError(f"cannot write {folder}: {error.strerror}") from error


def render_fingerprint(digest: Sha256) -> bytes:
    """Return the file of one fingerprint."""
    return f'function: "sha256"\nfingerprint: "{digest}"\n'.encode()


def parse_fingerprint(data: bytes, *, where: str = "fingerprint") -> Sha256:
    """Return the fingerprint in a file's ``data``.

    Raises:
        FormatError: another function, another spelling, or more than pkg reads.
    """
    said = parse_ucl(data, where=where)
    if set(said) != {"function", "fingerprint"} or said["function"] != "sha256":
        raise FormatError("is not a sha256 fingerprint", where=where)
    return parse_sha256(said["fingerprint"], where=where)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    try:
        handle = os.open(folder, _FOLDER)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no folder {folder}", where="fingerprints") from error
    except OSError as error:
        raise HostError(f"cannot open {folder}: {error.strerror}", where="fingerprints") from error
    try:
        yield handle
    finally:
        os.close(handle)


def _load(root: int, folder: Path, name: str) -> dict[str, Sha256] | None:
    """Return file names and fingerprints of the folder ``name``; None when there is none."""
    try:
        handle = os.open(name, _FOLDER, dir_fd=root)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HostError(f"cannot open {folder / name}: {error.strerror}", where="fingerprints") from error
    try:
        with os.scandir(handle) as entries:
            names = sorted(entry.name for entry, _ in zip(entries, range(MAX_FINGERPRINTS + 1), strict=False))
        if len(names) > MAX_FINGERPRINTS:
            raise FormatError(f"more than {MAX_FINGERPRINTS} files", where=str(folder / name))
        texts = {file: _read(handle, file, where=str(folder / name / file)) for file in names}
    except OSError as error:
        raise HostError(f"cannot read {folder / name}: {error.strerror}", where="fingerprints") from error
    finally:
        os.close(handle)
    return {
        file: parse_fingerprint(text, where=str(folder / name / file))
        for file, text in texts.items()
        # An empty file keeps a folder in git; the others are what a killed `write_anchors` left.
        if text and not file.startswith(".new-")
    }


def _read(handle: int, name: str, *, where: str) -> bytes:
    descriptor = os.open(name, _FILE, dir_fd=handle)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FormatError("is not a file", where=where)
    with os.fdopen(descriptor, "rb") as stream:
        data = stream.read(_MAX_FILE + 1)
    if len(data) > _MAX_FILE:
        raise FormatError(f"larger than {_MAX_FILE} bytes", where=where)
    return data
