"""Planted secrets are looked for wherever a host leaves traces: state, database, journals, logs, errors, arguments.

The bootstrap credential (API key, master password, session key) and every value of a bucket. They may stand in the
one file of the jail and in the credentials file, and nowhere else.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import time
import traceback
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from hive.vault.bw import BwVault
from hive.vault.bw_command import BwProgram
from hive.vault.bw_settings import load_credentials
from signing.errors import KeyAccessError, SkillRepoError
from tests.hive.vault.jailed import ACME, BETA, Host, own_of
from tests.support.standin_bw import PASSWORD, SECRET, SESSION, StandInBw

VALUES = {"OPENROUTER_API_KEY": "sk-planted-1", "QUOTED": 'it\'s planted-2 \\ "$x"'}
PLANTED = [
    *(value.encode() for value in VALUES.values()),
    b"planted",
    PASSWORD.encode(),
    SECRET.encode(),
    SESSION.encode(),
    b"token-of-acme",
]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def bw(tmp_path):
    return StandInBw(tmp_path)


@pytest.fixture
def host(tmp_path, bw):
    host = Host.make(tmp_path)
    host.register(ACME, collection_id=bw.add_bucket("acme", VALUES))
    yield host
    host.provisioner.engine.dispose()


def provision(host, bw, tenant=ACME):
    with BwVault(bw.settings(), lambda: datetime.now(UTC)) as vault:
        return host.provisioner.provision(vault, tenant, own=own_of)


def leaks(folder: Path, bw: StandInBw) -> list[str]:
    """Return which files below ``folder`` hold something planted, but for those that must."""
    allowed = {bw.credentials_file, *bw.program.parent.iterdir(), *(folder / "jails").rglob(".env")}
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path not in allowed:
            content = path.read_bytes()
            found += [f"{path.name}: {secret!r}" for secret in PLANTED if secret in content]
    return found


BROKEN = {
    "login-refused": {"login": {"status": 1, "err": f"Incorrect client_secret {SECRET}"}},
    "login-in-odd-words": {
        "login": {"status": 1, "err": f"Error: {SECRET} {PASSWORD} is odd", "out": SECRET}
    },
    "unlock-refused": {"unlock": {"status": 1, "err": f"Cryptography error with {PASSWORD}"}},
    "unlock-in-odd-words": {"unlock": {"status": 1, "err": f"TypeError: {PASSWORD} is odd"}},
    "sync-in-odd-words": {"sync": {"status": 1, "err": f"TypeError: {SESSION}"}},
    "list-in-odd-words": {
        "list items": {"status": 1, "err": "Error: planted", "out": '[{"notes": "planted"}]'}
    },
    "list-half-written": {"list items": {"out": '[{"name": "A", "notes": "planted'}},
    "list-of-a-number": {"list items": {"out": '[{"planted": 1.5}]'}},
    "list-with-a-key-twice": {"list items": {"out": '[{"planted": "a", "planted": "b"}]'}},
    "list-of-bytes": {"list items": {"out": "planted\ufffd"}},
    "version-that-is-a-secret": {"--version": {"out": f"planted {SECRET}"}},
    "status-that-is-a-secret": {"status": {"out": f"planted {SECRET}"}},
    "status-half-written": {"status": {"out": '{"status": "unlocked", "planted'}},
    "collections-in-odd-words": {"list collections": {"status": 1, "err": f"Error: {SESSION}"}},
    "collections-that-are-none": {"list collections": {"out": '[{"name": "planted"}]'}},
    "session-key-and-more": {"unlock": {"out": f"{SESSION}\nplanted\n"}},
    "lock-in-odd-words": {
        "list items": {"out": "planted"},
        "lock": {"status": 1, "err": f"Error: {SESSION}"},
    },
    "login-that-echoes-a-form": {"login": {"status": 1, "err": f"Error: password={quote_plus(PASSWORD)}&x"}},
    "login-that-echoes-a-header": {
        "login": {"status": 1, "err": f"Error: Basic {b64encode(SECRET.encode()).decode()}"}
    },
    "unlock-that-echoes-json": {"unlock": {"status": 1, "err": f"Error: {json.dumps({'p': PASSWORD})}"}},
}
# As they look in a form, in a URL, in a header.
SPELLED = [
    quote(PASSWORD),
    quote_plus(PASSWORD),
    b64encode(SECRET.encode()).decode(),
    quote(SESSION, safe=""),
]


@pytest.mark.parametrize("says", BROKEN.values(), ids=BROKEN)
def test_a_failure_shows_nothing(host, bw, says, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    bw.says.update(says)
    bw.set()
    with pytest.raises(SkillRepoError) as caught:
        provision(host, bw)
    shown = "".join(traceback.format_exception(caught.value)) + str(caught.value.to_document())
    said = "".join(capfd.readouterr()) + caplog.text + str(host.events())
    assert [secret for secret in PLANTED if secret.decode() in shown + said] == []
    assert [secret for secret in SPELLED if secret in shown + said] == []
    assert leaks(bw.folder, bw) == []
    assert not host.env().exists()
    check_children(bw)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("planted-name", {"password": "planted"}),
        ("A", {"password": "planted\nplanted"}),
        (".env", {"notes": "planted\n"}),
        ("x", {"fields": {"sk-planted-1": "A"}}),
        ("OPENROUTER_API_KEY", {"password": "planted"}),
    ],
    ids=["name", "newline", "dotenv", "swapped", "twice"],
)
def test_a_bad_bucket_shows_nothing(host, bw, name, values, tmp_path):
    bw.add_item(bw.collections[0][0], name, **values)
    with pytest.raises(SkillRepoError) as caught:
        provision(host, bw)
    shown = (
        "".join(traceback.format_exception(caught.value))
        + str(caught.value.to_document())
        + str(host.events())
    )
    assert [secret for secret in PLANTED if secret.decode() in shown] == []
    assert leaks(tmp_path, bw) == []


def test_a_success_leaves_the_values_in_one_file_only(host, bw, tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    host.register(BETA, collection_id=bw.add_bucket("beta", {"OTHER": "planted-beta"}))
    done = provision(host, bw)
    provision(host, bw)
    provision(host, bw, BETA)
    assert b"sk-planted-1" in host.env().read_bytes()
    assert b"planted-beta" not in host.env().read_bytes()
    said = repr(done) + str(done.to_json()) + "".join(capfd.readouterr()) + caplog.text + str(host.events())
    assert "planted" not in said
    assert leaks(tmp_path, bw) == []
    host.provisioner.withdraw(ACME)
    host.provisioner.withdraw(BETA)
    assert list((tmp_path / "jails").rglob(".env")) == []
    assert leaks(tmp_path, bw) == []


def check_children(bw: StandInBw) -> None:
    """Nothing planted is an argument, where everybody on the machine reads it; and each child has what it needs."""
    needed = {"login": {SECRET}, "unlock": {PASSWORD}}
    assert bw.calls() != []
    for call in bw.calls():
        assert [secret for secret in PLANTED if secret.decode() in " ".join(call["argv"])] == []
        held = {value for value in call["env"].values() if value.encode() in PLANTED}
        assert held <= needed.get(call["argv"][0], {SESSION})


def test_nothing_planted_is_an_argument_and_no_child_gets_more_than_it_needs(host, bw):
    provision(host, bw)
    check_children(bw)


def test_no_process_of_ours_holds_a_credential_in_its_own_environment_or_arguments(host, bw, tmp_path):
    """Those of a process are in /proc for as long as it runs: they are for the one child that needs them."""
    seen = []
    honest = BwProgram.run

    def looked(program, *words, **options):
        for name in ("environ", "cmdline"):
            path = Path(f"/proc/self/{name}")
            seen.append(path.read_bytes() if path.exists() else b"")
        return honest(program, *words, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BwProgram, "run", looked)
        provision(host, bw)
    assert len(seen) > 10
    assert [secret for secret in PLANTED if secret in b"".join(seen)] == []
    assert [value for value in os.environ.values() if value.encode() in PLANTED] == []


def test_a_crash_of_the_command_leaves_no_image_of_its_memory():
    """And none of what it starts: a limit is inherited. On Linux, 0 would not keep it from a program for cores."""
    program = (
        "import resource, subprocess, sys\n"
        "from hive import cli\n"
        "ask = [sys.executable, '-c', 'import resource; print(resource.getrlimit(resource.RLIMIT_CORE)[0])']\n"
        "cli.run = lambda *_: subprocess.run(ask, check=True)\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)\n"
        "cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() in ({"0", "1"} if sys.platform == "linux" else {"0"})


def test_what_was_read_is_overwritten_when_the_batch_ends(host, bw, monkeypatch):
    kept = []
    honest = load_credentials

    def load(path):
        kept.append(honest(path))
        return kept[-1]

    monkeypatch.setattr("hive.vault.bw.load_credentials", load)
    provision(host, bw)
    bw.says["unlock"] = {"status": 1, "err": "Cryptography error"}
    bw.set()
    with pytest.raises(KeyAccessError):
        provision(host, bw)
    assert len(kept) == 2
    for credentials in kept:
        for secret in (credentials.client_id, credentials.client_secret, credentials.password):
            with pytest.raises(ValueError, match="forgotten"):
                secret.reveal()


def test_the_credentials_file_is_read_only_while_it_is_private(bw):
    for mode in (0o640, 0o604, 0o660):
        bw.credentials_file.chmod(mode)
        with pytest.raises(KeyAccessError):
            load_credentials(bw.credentials_file)
    bw.credentials_file.chmod(0o600)
    link = bw.folder / "link.toml"
    link.symlink_to(bw.credentials_file)
    with pytest.raises(KeyAccessError):
        load_credentials(link)
    os.mkfifo(bw.folder / "fifo.toml", 0o600)
    with pytest.raises(KeyAccessError):
        load_credentials(bw.folder / "fifo.toml")
    assert SECRET not in repr(load_credentials(bw.credentials_file))


@pytest.mark.parametrize(
    "text",
    [
        'client_secret = "planted',
        "planted",
        'client_id = "user.x"\nclient_secret = "planted"\npassword = "planted"\n',
        'client_id = 5\nclient_secret = "planted"\npassword = "planted"\n',
        'planted = "planted"\n',
        "\ufeffplanted",
    ],
    ids=["cut", "bare", "no-account", "number", "unknown", "bom"],
)
def test_a_damaged_credentials_file_is_refused_and_not_shown(bw, text):
    bw.credentials_file.write_text(text)
    with pytest.raises(KeyAccessError) as caught:
        load_credentials(bw.credentials_file)
    shown = "".join(traceback.format_exception(caught.value)) + str(caught.value.to_document())
    assert "planted" not in shown


def test_whoever_is_killed_does_not_let_a_second_client_in_before_the_first_has_ended(bw):
    """kill -9 of the hive during a sync: the client lives on, and the lock with it."""
    acme = bw.add_bucket("acme", VALUES)
    with BwVault(bw.settings(), lambda: datetime.now(UTC)) as vault:
        vault.bucket(ACME, acme)
    bw.set(seconds={"sync": 2.5})
    bw.forget_calls()
    program = (
        "import sys\nfrom datetime import UTC, datetime\nfrom pathlib import Path\n"
        "from hive.vault.bw import BwVault\nfrom hive.vault.bw_settings import BwSettings\n"
        f"settings = BwSettings(program={bw.settings().program!r}, url={bw.settings().url!r}, "
        f"organization_id={bw.organization!r}, credentials_file=Path({str(bw.credentials_file)!r}), "
        f"folder=Path({str(bw.settings().folder)!r}))\n"
        f"BwVault(settings, lambda: datetime.now(UTC)).bucket('acme', {acme!r})\n"
    )
    first = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    while "sync" not in bw.commands():
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    bw.set(seconds={})
    with BwVault(bw.settings(), lambda: datetime.now(UTC)) as vault:
        assert vault.bucket(ACME, acme).names == ("OPENROUTER_API_KEY", "QUOTED")
    running = 0
    for entry in bw.log():
        running += 1 if entry["what"] == "started" else -1
        assert running <= 1
    assert running == 0
