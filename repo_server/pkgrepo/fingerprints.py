"""Which keys a client trusts: a folder of fingerprints, as pkg has it (reference/freebsd-pkg §3) (edge).

    DIR/trusted/…   files of two lines:  function: "sha256"
    DIR/revoked/…                        fingerprint: "<64 lower-case hexadecimal digits>"

A fingerprint is the SHA-256 of a certificate, which for pkg is only a public key: the bytes as they stand beside a
signature, without the ``$PKGSIGN:…$`` before them; of PEM, the whole text with its last line end. The names of the
files say nothing.

Nothing is passed over: a file that cannot be read may be a revocation. No link is followed, since one that leads nowhere
would read as "nothing is revoked"; and what anybody on the machine may write is no anchor.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from repo_server.pkgrepo.public_keys import without_header
from repo_server.pkgrepo.ucl import parse_ucl
from repo_server.storage.durable import NEW, make_folder_durably, sync_folder, write_durably
from signing.errors import CouldNotVerifyError, FormatError, HostError, NotFoundError
from signing.format.digest import Sha256, parse_sha256, sha256_of

MAX_FINGERPRINTS: Final = 1_000
_MAX_FILE: Final = 1 << 16
_SHORT: Final = 16
_ROOT: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FOLDER: Final = _ROOT | os.O_NOFOLLOW
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class FingerprintAnchors:
    """Whose signatures count, and whose presence refuses everything."""

    trusted: frozenset[Sha256]
    revoked: frozenset[Sha256] = frozenset()


def fingerprint_of(certificate: bytes) -> Sha256:
    """Return the fingerprint of ``certificate``, with or without its header."""
    return sha256_of(without_header(certificate))


def load_anchors(folder: Path) -> FingerprintAnchors:
    """Return the fingerprints in ``folder``.

    Raises:
        NotFoundError: there is no such folder, or no ``trusted`` in it.
        FormatError: a file in it is none of this form, or a link.
        CouldNotVerifyError: anybody may write to it. HostError: it cannot be read.
    """
    with _opened(folder) as root:
        trusted, revoked = _load(root, folder, "trusted"), _load(root, folder, "revoked")
    if trusted is None:
        raise NotFoundError(f"{folder} holds no folder trusted", hint="skillrepo pkg fingerprint writes one")
    return FingerprintAnchors(
        trusted=frozenset(trusted.values()), revoked=frozenset((revoked or {}).values())
    )


def load_revoked(folder: Path) -> frozenset[Sha256]:
    """Return what is revoked in ``folder``: nothing, where there is none; there need be no ``trusted`` in it.

    Raises:
        FormatError, CouldNotVerifyError, HostError: see `load_anchors`.
    """
    try:
        with _opened(folder) as root:
            return frozenset((_load(root, folder, "revoked") or {}).values())
    except NotFoundError:
        return frozenset()


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
                # The whole digest where the short name is another's: else revoking one key would forget another.
                file = digest[:_SHORT] if digest[:_SHORT] not in found else digest
                if file in found:
                    raise FormatError("holds another fingerprint", where=str(folder / name / file))
                write_durably(folder / name / file, render_fingerprint(digest))
                found[file] = digest
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
        handle = os.open(folder, _ROOT)
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
        if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.EMLINK}:  # EMLINK: a link, for FreeBSD
            raise FormatError("is not a folder", where=str(folder / name)) from error
        raise HostError(f"cannot open {folder / name}: {error.strerror}", where="fingerprints") from error
    try:
        _check_own(os.fstat(handle), str(folder / name))
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
        if text and not file.startswith(NEW)
    }


def _read(handle: int, name: str, *, where: str) -> bytes:
    try:
        descriptor = os.open(name, _FILE, dir_fd=handle)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EMLINK}:
            raise FormatError("is a link", where=where) from error
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise FormatError("is not a file", where=where)
    with os.fdopen(descriptor, "rb") as stream:
        _check_own(status, where)
        data = stream.read(_MAX_FILE + 1)
    if len(data) > _MAX_FILE:
        raise FormatError(f"larger than {_MAX_FILE} bytes", where=where)
    return data


def _check_own(status: os.stat_result, where: str) -> None:
    if status.st_mode & stat.S_IWOTH:
        raise CouldNotVerifyError("anybody may write to it", where=where, hint=f"chmod o-w {where}")
