"""`skillrepo pkg key`, `fingerprint` and `sign-digest`, as an operator, pkg and ssh run them."""

import os
import select
import shutil
import stat
import subprocess
import time

import pytest

from repo_server.pkgrepo.certificates import Certificate
from repo_server.pkgrepo.signing_command import parse_answer
from signing.format.digest import sha256_of
from tests.cli.session import BIN, Desk
from tests.repo_server.pkgrepo.signing_keys import DATA, fixture_signer

SECRET = "correct horse battery"
H = sha256_of(b"payload")
KEYS = ("skillrepo", "--keys", "keys", "--passphrase-file", "secret")
SIGN = ("pkg", "sign-digest", "--key", "keys/builder.pkg.key")


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path)
    (tmp_path / "secret").write_text(SECRET + "\n")
    (tmp_path / "secret").chmod(0o600)
    return desk


@pytest.fixture
def keyed(desk):
    desk.json(*KEYS, "pkg", "key", "new", "builder", "--kind", "ecdsa")
    return desk


def certificate(desk):
    return Certificate.parse((desk.folder / "keys" / "builder.pkg.pub").read_bytes())


def as_pkg(desk, *words, line=f"{H}\n", env=None, pass_fds=()):
    """Ask as pkg does: the standard input stays open until the answer is complete."""
    process = subprocess.Popen(
        [str(BIN / words[0]), *words[1:]],
        cwd=desk.folder,
        env=desk.environment(env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=pass_fds,
    )
    with process:
        process.stdin.write(line.encode())
        process.stdin.flush()
        answer, until = b"", time.monotonic() + 60
        while select.select([process.stdout], [], [], max(0, until - time.monotonic()))[0]:
            piece = os.read(process.stdout.fileno(), 4096)
            if not piece:
                break
            answer += piece
        status = process.wait(timeout=60)
        said = process.stderr.read().decode()
        assert not process.stdin.closed
    assert "Traceback" not in said, said
    return status, answer, said


def test_a_new_key_is_shown_by_its_fingerprint_alone(desk):
    made = desk.json(*KEYS, "pkg", "key", "new", "builder")
    assert made["kind"] == "rsa"
    shown = desk.json("skillrepo", "pkg", "key", "show", made["certificate_file"])
    assert shown["fingerprint"] == made["fingerprint"]
    assert stat.S_IMODE((desk.folder / made["key_file"]).stat().st_mode) == 0o600
    said = "".join(answer.stdout + answer.stderr for answer in desk.transcript)
    assert SECRET not in said
    assert "PRIVATE" not in said


def test_a_key_is_made_once_and_where_it_was_said(keyed):
    before = (keyed.folder / "keys" / "builder.pkg.key").read_bytes()
    keyed.run(*KEYS, "pkg", "key", "new", "builder", status=4)
    assert (keyed.folder / "keys" / "builder.pkg.key").read_bytes() == before
    keyed.run("skillrepo", "pkg", "key", "new", "builder", status=2)
    keyed.run(*KEYS, "pkg", "key", "new", "../builder", status=10)


def test_a_fingerprint_is_written_as_real_clients_have_it(desk):
    desk.run("skillrepo", "pkg", "fingerprint", "--key", str(DATA / "keys" / "rsa-a.pub"), "--out", "anchors")
    written = list((desk.folder / "anchors" / "trusted").iterdir())
    real = (DATA / "fingerprints" / "a" / "trusted" / "demo.2026a").read_text()
    assert [path.read_text().split() for path in written] == [real.split()]
    assert list((desk.folder / "anchors" / "revoked").iterdir()) == []


@pytest.mark.slow
def test_rotation_then_revocation(keyed):
    old, new = str(DATA / "keys" / "rsa-a.pub"), "keys/builder.pkg.key"
    anchors = ("skillrepo", "pkg", "fingerprint", "--out", "anchors")
    keyed.json(*anchors, "--key", old)
    both = keyed.json(*anchors, "--key", new)
    fingerprints = [fixture_signer("rsa-a").fingerprint, certificate(keyed).fingerprint]
    assert both["trusted"] == sorted(fingerprints)
    revoked = keyed.json(*anchors, "--revoke", old)
    assert (revoked["trusted"], revoked["revoked"]) == (fingerprints[1:], fingerprints[:1])
    again = keyed.json(*anchors, "--key", fingerprints[0], status=12)
    assert "revoked" in again["error"]["message"]
    assert len(list((keyed.folder / "anchors" / "revoked").iterdir())) == 1
    assert len(list((keyed.folder / "anchors" / "trusted").iterdir())) == 1


def test_what_is_no_certificate_has_no_fingerprint(keyed):
    anchors = ("skillrepo", "pkg", "fingerprint", "--out", "anchors")
    keyed.run(*anchors, status=2)
    keyed.run(*anchors, "--key", "secret", status=10)
    keyed.run(*anchors, "--key", "missing", status=7)
    keyed.run(*anchors, "--key", "A" * 64, status=10)
    assert not (keyed.folder / "anchors").exists()


def test_half_a_folder_is_not_begun_anew(keyed):
    anchors = ("skillrepo", "pkg", "fingerprint", "--out", "anchors")
    keyed.run(*anchors, "--key", "keys/builder.pkg.pub", "--revoke", fixture_signer("rsa-a").fingerprint)
    shutil.rmtree(keyed.folder / "anchors" / "trusted")
    keyed.run(*anchors, "--key", fixture_signer("rsa-a").fingerprint, status=3)
    assert len(list((keyed.folder / "anchors" / "revoked").iterdir())) == 1


def test_pkg_gets_a_signature_while_its_pipe_stays_open(keyed):
    status, answer, said = as_pkg(keyed, *KEYS[:1], *KEYS[3:], *SIGN)
    assert (status, said) == (0, "")
    certificate(keyed).check(parse_answer(answer, certificate(keyed)), H)


def test_the_passphrase_may_come_from_a_pipe_that_an_agent_fills(keyed):
    reading, writing = os.pipe()
    os.write(writing, SECRET.encode())
    os.close(writing)
    words = ("skillrepo", "--passphrase-fd", str(reading), *SIGN)
    status, answer, said = as_pkg(keyed, *words, pass_fds=(reading,))
    os.close(reading)
    assert (status, said) == (0, "")
    assert parse_answer(answer, certificate(keyed))


@pytest.mark.parametrize(
    ("line", "status"),
    [("\n", 10), (f"{H}\n{H}\n", 10), (f"{H.upper()}\n", 10), ("x" * 300, 10)],
    ids=range(4),
)
def test_anything_but_a_digest_gets_nothing(keyed, line, status):
    found, answer, said = as_pkg(keyed, *KEYS[:1], *KEYS[3:], *SIGN, line=line)
    assert (found, answer) == (status, b"")
    assert "error[malformed]" in said


@pytest.mark.slow
def test_a_failure_of_any_kind_writes_nothing(keyed):
    (keyed.folder / "wrong").write_text("a wrong guess")
    (keyed.folder / "wrong").chmod(0o600)
    shutil.copy(keyed.folder / "secret", keyed.folder / "open")
    (keyed.folder / "open").chmod(0o644)
    cases = [
        (("skillrepo", "--passphrase-file", "wrong", *SIGN), 7),
        (("skillrepo", "--passphrase-file", "open", *SIGN), 7),
        (("skillrepo", "--passphrase-file", "missing", *SIGN), 7),
        (("skillrepo", *SIGN), 7),
        (("skillrepo", "--passphrase-file", "secret", *SIGN[:3], "keys/other.pkg.key"), 7),
        (("skillrepo", "--passphrase-file", "secret", *SIGN[:3], "keys/builder.pkg.pub"), 7),
        (("skillrepo", "--passphrase-file", "secret", *SIGN[:3], "keys/builder.pkg.pub=file2:/x"), 2),
        (
            (
                "skillrepo",
                "--passphrase-file",
                "secret",
                *SIGN[:3],
                "keys/builder.pkg.pub=ssh:-oProxyCommand=x",
            ),
            2,
        ),
        (("skillrepo", "--json", "--passphrase-file", "secret", *SIGN), 2),
    ]
    for words, status in cases:
        found, answer, said = as_pkg(keyed, *words)
        assert (found, answer) == (status, b""), (words, said)
        assert "error[" in said
        assert "a wrong guess" not in said
        assert SECRET not in said


def another_host(desk, forced):
    """An ssh whose far side runs the forced command of its authorized_keys, whatever it is asked for."""
    program = desk.folder / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(
        f"#!/bin/sh\nprintf '%s\\n' \"$*\" >> '{desk.folder}/asked'\ncd '{desk.folder}/far'\nexec {forced}\n"
    )
    program.chmod(0o755)
    far = desk.folder / "far"
    far.mkdir()
    (desk.folder / "keys" / "builder.pkg.key").rename(far / "builder.pkg.key")
    (desk.folder / "secret").rename(far / "secret")
    return {"PATH": f"{program.parent}:/usr/bin:/bin"}


FORCED = f"{BIN}/skillrepo --passphrase-file secret pkg sign-digest --key builder.pkg.key"
NEAR = ("skillrepo", "pkg", "sign-digest", "--key", "keys/builder.pkg.pub=ssh:signer@keys.example")


def test_the_key_may_be_on_another_host(keyed):
    env = another_host(keyed, FORCED)
    status, answer, said = as_pkg(keyed, *NEAR, env=env)
    assert (status, said) == (0, "")
    certificate(keyed).check(parse_answer(answer, certificate(keyed)), H)
    asked = (keyed.folder / "asked").read_text()
    assert asked.endswith("-- signer@keys.example\n")
    assert "BatchMode=yes" in asked
    assert H not in asked


@pytest.mark.parametrize(
    "forced",
    ["false", "true", "printf 'SIGNATURE\\n\\nCERT\\nEND\\n'", f"cat {DATA}/bootstrap/pkg.pkg.sig"],
    ids=range(4),
)
def test_a_signer_elsewhere_that_fails_or_lies_gets_nothing_through(keyed, forced):
    status, answer, _ = as_pkg(keyed, *NEAR, env=another_host(keyed, forced))
    assert status in {7, 10}
    assert answer == b""
