"""The signing command: one digest in, one whole verified answer out, or nothing."""

import os
import sys
import time

import pytest

from repo_server.pkgrepo.public_keys import KeyKind
from repo_server.pkgrepo.signing_command import (
    CommandSigner,
    bootstrap_signature,
    check_bootstrap,
    parse_answer,
    read_digest,
    render_answer,
)
from signing.errors import FormatError, HostError, KeyAccessError, TransportError
from signing.format.digest import sha256_of
from tests.repo_server.pkgrepo.signing_keys import DATA, fixture_signer, fresh_signer

H = sha256_of(b"payload")
PACKAGE = (DATA / "bootstrap" / "pkg.pkg").read_bytes()


def test_the_bootstrap_signature_is_the_recorded_one():
    assert (
        bootstrap_signature(PACKAGE, fixture_signer("rsa-a"))
        == (DATA / "bootstrap" / "pkg.pkg.sig").read_bytes()
    )


def test_the_recorded_bootstrap_signature_is_checked():
    recorded = (DATA / "bootstrap" / "pkg.pkg.sig").read_bytes()
    certificate = fixture_signer("rsa-a")._certificate
    check_bootstrap(PACKAGE, recorded, certificate)
    with pytest.raises(KeyAccessError):
        check_bootstrap(PACKAGE[:-1], recorded, certificate)
    with pytest.raises(KeyAccessError):
        check_bootstrap(PACKAGE, recorded, fixture_signer("rsa-b")._certificate)
    with pytest.raises(KeyAccessError):
        check_bootstrap(PACKAGE, recorded.replace(b"\n", b"\n\n", 1), certificate)
    with pytest.raises(FormatError):
        check_bootstrap(PACKAGE, recorded[:-4], certificate)


@pytest.mark.parametrize("kind", list(KeyKind))
def test_an_answer_is_read_back(kind):
    signer = fresh_signer(kind)
    answer = render_answer(signer, H)
    assert parse_answer(answer, signer._certificate) == signer.sign(b"payload")
    assert answer.startswith(b"SIGNATURE\n" if kind is KeyKind.RSA else f"TYPE\n{kind}\nSIGNATURE\n".encode())


def test_other_commands_end_the_certificate_with_a_newline_or_name_rsa():
    signer = fixture_signer("ecdsa-ossl")
    answer = render_answer(signer, H)
    assert parse_answer(answer[:-4] + b"\nEND\n", signer._certificate) == signer.sign(b"payload")
    signer = fixture_signer("rsa-a")
    assert parse_answer(b"TYPE\nrsa\n" + render_answer(signer, H), signer._certificate)


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_the_line_is_enough_the_input_stays_open(pipe):
    os.write(pipe[1], f"{H}\n".encode())
    assert read_digest(pipe[0], seconds=5) == H


def test_a_line_may_come_in_pieces(pipe):
    import threading

    def write():
        for piece in (H[:10], H[10:64], "\n"):
            os.write(pipe[1], piece.encode())
            time.sleep(0.02)

    writer = threading.Thread(target=write)
    writer.start()
    assert read_digest(pipe[0], seconds=5) == H
    writer.join()


@pytest.mark.parametrize(
    "line",
    [
        "\n",
        f"{H[:63]}\n",
        f"{H}0\n",
        f"{H.upper()}\n",
        f" {H[1:]}\n",
        f"{H}\r\n",
        f"{H}\n\n",
        f"{H}\n{H}\n",
        f"{H}\nrm -rf\n",
        "é" * 32 + "\n",
        f"{H[:63]}\0\n",
        "x" * 5000,
    ],
    ids=range(12),
)
def test_anything_else_is_refused(pipe, line):
    os.write(pipe[1], line.encode())
    with pytest.raises(FormatError):
        read_digest(pipe[0], seconds=5)


def test_an_end_before_the_newline_is_refused():
    reading, writing = os.pipe()
    os.write(writing, H.encode())
    os.close(writing)
    with pytest.raises(FormatError):
        read_digest(reading, seconds=5)
    os.close(reading)


def test_an_input_that_is_closed_is_an_error_of_the_host(pipe):
    closed = os.dup(pipe[0])
    os.close(closed)
    with pytest.raises(HostError):
        read_digest(closed, seconds=1)


def test_nobody_is_waited_for_without_end(pipe):
    os.write(pipe[1], H[:20].encode())
    with pytest.raises(TransportError):
        read_digest(pipe[0], seconds=0.05)


def command(tmp_path, code):
    program = tmp_path / "command.py"
    program.write_text(f"import sys, os, time\n{code}\n")
    return [sys.executable, str(program)]


def answering(tmp_path, signer, digest=H):
    (tmp_path / "answer").write_bytes(render_answer(signer, digest))
    return (
        f"line = sys.stdin.buffer.readline()\nassert line == b'{H}\\n', line\n"
        f"sys.stdout.buffer.write(open({str(tmp_path / 'answer')!r}, 'rb').read())"
    )


@pytest.mark.parametrize("name", ["rsa-a", "ecdsa-ossl"])
def test_a_key_elsewhere_signs(tmp_path, name):
    signer = fixture_signer(name)
    elsewhere = CommandSigner(command(tmp_path, answering(tmp_path, signer)), signer._certificate, seconds=20)
    assert elsewhere.sign(b"payload") == signer.sign(b"payload")
    assert elsewhere.fingerprint == signer.fingerprint


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("", FormatError),
        ("sys.stdin.readline(); print('SIGNATURE\\n\\nCERT\\nEND')", KeyAccessError),
        ("sys.stdin.readline(); sys.stdout.write('x' * 100000)", FormatError),
        ("sys.exit(7)", KeyAccessError),
        ("sys.stdin.readline(); time.sleep(60)", TransportError),
        ("os.close(1); time.sleep(60)", TransportError),
    ],
    ids=["nothing", "empty-signature", "endless", "fails", "hangs", "does-not-end"],
)
def test_a_bad_answer_from_elsewhere_signs_nothing(tmp_path, code, error):
    signer = CommandSigner(command(tmp_path, code), fixture_signer("rsa-a")._certificate, seconds=1.5)
    start = time.monotonic()
    with pytest.raises(error):
        signer.sign(b"payload")
    assert time.monotonic() - start < 20


def test_an_answer_for_another_digest_or_by_another_key_signs_nothing(tmp_path):
    pinned = fixture_signer("rsa-a")._certificate
    replayed = answering(tmp_path, fixture_signer("rsa-a"), sha256_of(b"old catalogue"))
    with pytest.raises(KeyAccessError, match="does not verify"):
        CommandSigner(command(tmp_path, replayed), pinned, seconds=20).sign(b"payload")
    other = answering(tmp_path, fixture_signer("rsa-b"))
    with pytest.raises(KeyAccessError, match="another certificate"):
        CommandSigner(command(tmp_path, other), pinned, seconds=20).sign(b"payload")


def test_a_command_that_waits_for_the_end_of_its_input_is_no_hang(tmp_path):
    signer = fixture_signer("rsa-a")
    code = answering(tmp_path, signer).replace("readline()", "read()")
    elsewhere = CommandSigner(command(tmp_path, code), signer._certificate, seconds=20)
    assert elsewhere.sign(b"payload") == signer.sign(b"payload")


def test_a_failing_command_that_answered_is_not_believed(tmp_path):
    signer = fixture_signer("rsa-a")
    code = answering(tmp_path, signer) + "\nsys.stdout.flush(); os._exit(3)"
    with pytest.raises(KeyAccessError, match="status 3"):
        CommandSigner(command(tmp_path, code), signer._certificate, seconds=20).sign(b"payload")


def test_a_missing_command_is_named():
    with pytest.raises(HostError, match="no-such-program"):
        CommandSigner(["/no-such-program"], fixture_signer("rsa-a")._certificate).sign(b"payload")
