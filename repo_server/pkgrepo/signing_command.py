r"""The protocol between pkg (or poudriere) and a program that signs for it (edge).

reference/freebsd-pkg §3.

    in    5d0c…e1\n                                   H, 64 lower-case hexadecimal digits; the input stays open after it
    out   [TYPE\necdsa\n]SIGNATURE\n<bytes>\nCERT\n<bytes>END\n

pkg hardly looks at what comes back: it packed empty signatures for three days in April 2026. So the whole answer is
made and verified before its first byte is written, and a failure writes nothing at all.

Whoever may start the program gets any digest signed, without saying what it is of. So the key that answers here is
good for one ABI and one channel and nothing else, and our own publisher, which has the payload, computes H itself.

The same bytes, for the sha256 of ``Latest/pkg.pkg``, are the bootstrap signature ``Latest/pkg.pkg.sig``.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, final

from repo_server.pkgrepo.certificates import Certificate
from repo_server.pkgrepo.keys import PkgSigner, VerifiedSigner
from repo_server.pkgrepo.public_keys import KeyKind
from signing.errors import FormatError, HostError, KeyAccessError, TransportError
from signing.format.digest import Sha256, parse_sha256, sha256_of

SECONDS: Final = 60
_DIGITS: Final = 64
_MAX_ANSWER: Final = 64 << 10


def read_digest(descriptor: int, *, seconds: float = SECONDS) -> Sha256:
    """Return the one digest line on ``descriptor``; its end is not waited for, because pkg leaves it open.

    Raises:
        FormatError: anything but 64 lower-case hexadecimal digits and a newline.
        TransportError: the line did not come in time. HostError: there is nothing to read from.
    """
    line, until = b"", time.monotonic() + seconds
    while not line.endswith(b"\n"):
        piece = _read(descriptor, _DIGITS + 2 - len(line), until)
        if piece is None:
            raise TransportError(
                "no digest came on the standard input", hint="pkg and poudriere start this command"
            )
        if not piece or len(line) + len(piece) > _DIGITS + 1:
            raise FormatError("not one line of 64 hexadecimal digits", where="standard input")
        line += piece
    return parse_sha256(line[:-1].decode("ascii", errors="replace"), where="standard input")


def _read(descriptor: int, count: int, until: float) -> bytes | None:
    """Return what is there to be read; None when nothing came in time."""
    try:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, until - time.monotonic()))
        return os.read(descriptor, count) if ready else None
    except OSError as error:
        raise HostError(f"cannot read the standard input: {error.strerror}") from error


def render_answer(signer: PkgSigner, digest: Sha256) -> bytes:
    """Return what the signing command prints for ``digest``.

    Raises:
        KeyAccessError: the key cannot be used.
    """
    signature = signer.sign_digest(digest)
    kind = b"" if signer.kind is KeyKind.RSA else f"TYPE\n{signer.kind}\n".encode()
    return b"".join((kind, b"SIGNATURE\n", signature, b"\nCERT\n", signer.certificate, b"END\n"))


def bootstrap_signature(package: bytes, signer: PkgSigner) -> bytes:
    """Return ``Latest/pkg.pkg.sig`` for the bytes of ``Latest/pkg.pkg``.

    Raises:
        KeyAccessError: the key cannot be used.
    """
    return render_answer(signer, sha256_of(package))


def check_bootstrap(package: bytes, answer: bytes, certificate: Certificate) -> None:
    """Return None when ``answer`` is a bootstrap signature of ``package`` by ``certificate``.

    Raises:
        FormatError: not an answer of the protocol. KeyAccessError: the signature, or the certificate, is another.
    """
    certificate.check(parse_answer(answer, certificate), sha256_of(package))


def parse_answer(answer: bytes, certificate: Certificate) -> bytes:
    """Return the signature in ``answer``, which must carry ``certificate``. It is not verified yet.

    What is between the fixed words is binary and may hold them, so the answer is read from both of its ends.

    Raises:
        FormatError: not an answer of the protocol.
        KeyAccessError: it carries another certificate.
    """
    start = b"SIGNATURE\n"
    if certificate.kind is not KeyKind.RSA or answer.startswith(b"TYPE\n"):
        start = f"TYPE\n{certificate.kind}\n".encode() + start
    if not answer.startswith(start) or not answer.endswith(b"END\n"):
        raise FormatError("not the answer of a signing command", where="signing command")
    body = answer[len(start) : -len(b"END\n")]
    for end in (b"\nCERT\n" + certificate.data, b"\nCERT\n" + certificate.data + b"\n"):
        if body.endswith(end):
            return body[: -len(end)]
    raise KeyAccessError(
        "the signing command answers with another certificate than the one pinned",
        hint="it holds another key, or the certificate beside the publisher is an old one",
    )


@final
class CommandSigner(VerifiedSigner):
    """A key on another host, reached by a command that speaks the protocol: ``ssh signer@host``.

    The certificate is pinned on this side. What comes back is used only if it verifies under it.
    """

    def __init__(self, argv: Sequence[str], certificate: Certificate, *, seconds: float = SECONDS) -> None:
        super().__init__(certificate)
        self._argv: Final = tuple(argv)
        self._seconds: Final = seconds

    def _sign(self, message: bytes) -> bytes:
        try:
            process = subprocess.Popen(
                self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True
            )
        except OSError as error:
            raise HostError(f"cannot start {self._argv[0]}: {error.strerror}") from error
        with process:
            try:
                answer = _ask(process, message + b"\n", self._seconds)
                status = _end(process, self._seconds)
            except BaseException:
                # Also what it started: an ssh that hangs must not live on. Not after its end, when its number may be another's.
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise
        if status != 0:
            raise KeyAccessError(
                f"the signing command {self._argv[0]} failed with status {status}",
                hint="what it said is above",
            )
        return parse_answer(answer, self._certificate)


def _ask(process: subprocess.Popen[bytes], line: bytes, seconds: float) -> bytes:
    """Write the line and nothing more, and read until the other side ends."""
    if process.stdin is None or process.stdout is None:
        raise HostError("no pipe to the signing command")
    with suppress(BrokenPipeError):  # it ended without reading; its status says why
        process.stdin.write(line)
    process.stdin.close()  # pkg leaves it open; some commands wait for the end, and none needs it open
    answer, until = b"", time.monotonic() + seconds
    while True:
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            raise TransportError(f"the signing command did not answer in {seconds:g} s")
        piece = os.read(process.stdout.fileno(), _MAX_ANSWER)
        if not piece:
            return answer
        answer += piece
        if len(answer) > _MAX_ANSWER:
            raise FormatError("an endless answer", where="signing command")


def _end(process: subprocess.Popen[bytes], seconds: float) -> int:
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise TransportError(f"the signing command did not end in {seconds:g} s") from error
