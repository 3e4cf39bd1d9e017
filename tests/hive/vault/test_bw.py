"""Driving `bw`, against a stand-in that says what the real one says: in which order, with what, and when not."""

import os
from datetime import UTC, datetime, timedelta

import pytest

from hive.config import HiveConfig
from hive.vault import bw_command
from hive.vault.bw import BwVault, forget_login
from hive.vault.bw_command import BwProgram
from hive.vault.bw_settings import BwSettings
from repo_client.entries import UnsafePathError
from signing.errors import (
    ConflictError,
    CouldNotVerifyError,
    FormatError,
    HostError,
    KeyAccessError,
    NotFoundError,
    TransportError,
    WrongSubjectError,
)
from signing.format.names import parse_tenant_id
from tests.support.standin_bw import PASSWORD, SECRET, SESSION, URL

ACME, BETA = parse_tenant_id("acme"), parse_tenant_id("beta")
FIRST = ["--version", "status", "config", "status", "login", "status"]
UNLOCK = ["unlock", "sync", "status", "list collections"]


def fetch(bw, tenant=ACME, collection_id=None, **settings):
    """One batch of one tenant, with a driver of its own."""
    if collection_id is None:
        collection_id = next(i for i, name in bw.collections if name == tenant)
    with BwVault(bw.settings(**settings), lambda: datetime.now(UTC)) as vault:
        bucket = vault.bucket(tenant, collection_id)
        return {name: secret.reveal().decode() for name, secret in bucket.variables.items()}


# --- the way that is meant ---------------------------------------------------------------------------


def test_the_first_bucket_costs_a_login_and_a_sync_and_the_next_none(bw, vault):
    acme, beta = bw.add_bucket("acme", {"A": "1"}), bw.add_bucket("beta", {"A": "2"})
    assert vault.bucket(ACME, acme).variables["A"].reveal() == b"1"
    assert bw.commands() == [*FIRST, *UNLOCK, "list items"]
    bw.forget_calls()
    assert vault.bucket(BETA, beta).variables["A"].reveal() == b"2"
    assert bw.commands() == ["list items"]


def test_the_login_is_kept_for_the_next_batch_and_locked_meanwhile(bw):
    bw.add_bucket("acme", {"A": "1"})
    fetch(bw)
    assert bw.commands()[-1] == "lock"
    bw.forget_calls()
    assert fetch(bw) == {"A": "1"}
    assert bw.commands() == ["--version", "status", *UNLOCK, "list items", "lock"]


def test_nothing_is_asked_before_the_first_bucket(bw):
    with BwVault(bw.settings(credentials_file=bw.folder / "absent"), lambda: datetime.now(UTC)):
        pass
    assert bw.calls() == []
    assert not bw.settings().folder.exists()


def test_the_child_gets_an_environment_made_from_nothing(bw, monkeypatch):
    for name in (
        "BW_CLEANEXIT",
        "BW_QUIET",
        "BW_RAW",
        "BW_SESSION",
        "NODE_OPTIONS",
        "HTTPS_PROXY",
        "BWCLI_ENV",
    ):
        monkeypatch.setenv(name, "poison")
    bw.add_bucket("acme", {"A": "1"})
    assert fetch(bw) == {"A": "1"}
    folder = str(bw.settings().folder)
    plain = {
        "PATH": f"{bw.program.parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": f"{folder}/home",
        "TMPDIR": f"{folder}/home",
        "LC_ALL": "C.UTF-8",
        "BITWARDENCLI_APPDATA_DIR": f"{folder}/data",
        "BW_NOINTERACTION": "true",
    }
    for call in bw.calls():
        more = {name: value for name, value in call["env"].items() if name not in plain}
        assert {**plain, **more} == call["env"]
        given = {
            "login": {"BW_CLIENTID": f"user.{bw.account}", "BW_CLIENTSECRET": SECRET},
            "unlock": {"HIVE_BW_PASSWORD": PASSWORD},
        }
        after = {"BW_SESSION": SESSION} if call["argv"][0] in {"sync", "list", "lock"} else {}
        if call["argv"][0] == "status" and more:
            after = {"BW_SESSION": SESSION}
        assert more == given.get(call["argv"][0], after)


def test_no_secret_is_ever_an_argument_and_only_known_commands_are_run(bw):
    acme = bw.add_bucket("acme", {"A": "1"})
    fetch(bw)
    said = [call["argv"] for call in bw.calls()]
    assert not {PASSWORD, SECRET, SESSION} & {word for words in said for word in words}
    # Trap 8: no `get`, which looks in all buckets. Trap 1: no --organizationid beside --collectionid.
    assert {words[0] for words in said} <= {
        "--version", "status", "config", "login", "unlock", "sync", "list", "lock"
    }  # fmt: skip
    assert [words for words in said if words[:2] == ["list", "items"]] == [
        ["list", "items", "--collectionid", acme]
    ]


def test_the_folder_is_private_whatever_the_umask_is(bw):
    bw.add_bucket("acme", {"A": "1"})
    umask = os.umask(0)
    try:
        fetch(bw)
    finally:
        os.umask(umask)
    folder = bw.settings().folder
    assert [path.stat().st_mode & 0o777 for path in (folder, folder / "data", folder / "home")] == [0o700] * 3


# --- versions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["2026.6.0", "2026.6.1", "2026.7.0", "2026.8.0"])
def test_known_versions_are_used(bw, version):
    bw.version = version
    bw.add_bucket("acme", {"A": "1"})
    assert fetch(bw) == {"A": "1"}


@pytest.mark.parametrize("version", ["2026.5.9", "2026.8.1", "2026.9.0", "2027.1.0", "next"])
def test_other_versions_are_refused_before_anything_is_said_to_them(bw, version):
    bw.version = version
    bw.add_bucket("acme", {"A": "1"})
    with pytest.raises(HostError, match=r"2026\.6\.0 to 2026\.8\.0 are allowed"):
        fetch(bw)
    assert bw.commands() == ["--version"]


# --- traps: it exits 0 and is wrong ------------------------------------------------------------------


def test_1_a_list_with_items_of_others_is_refused(bw):
    acme, beta = bw.add_bucket("acme", {"A": "1"}), bw.add_collection("beta")
    bw.add_item(beta, "B", password="planted")["listed_for"] = [acme]
    bw.set()
    with pytest.raises(WrongSubjectError, match="another bucket") as caught:
        fetch(bw)
    assert "planted" not in str(caught.value.to_document())


def test_2_a_collection_that_is_not_there_is_not_an_empty_bucket(bw):
    bw.add_bucket("acme", {"A": "1"})
    with pytest.raises(NotFoundError, match="none with the registered id"):
        fetch(bw, collection_id="00000000-0000-4000-8000-000000000000")
    with pytest.raises(NotFoundError, match="0 collections named beta"):
        fetch(bw, tenant=BETA, collection_id="00000000-0000-4000-8000-000000000000")
    assert "list items" not in bw.commands()


@pytest.mark.parametrize("collection_id", ["null", "", "garbage", "notnull", "A" * 36])
def test_2_an_id_that_is_none_is_not_even_asked_for(bw, collection_id):
    bw.add_bucket("acme", {"A": "1"})
    with pytest.raises(FormatError, match="collection id"):
        fetch(bw, collection_id=collection_id)
    assert bw.calls() == []


def test_2_two_collections_of_one_name_are_refused(bw):
    acme = bw.add_bucket("acme", {"A": "1"})
    bw.add_collection("acme")
    with pytest.raises(NotFoundError, match="2 collections named acme"):
        fetch(bw, collection_id=acme)


def test_2_a_collection_of_another_name_is_refused(bw):
    with_other_name = bw.add_bucket("beta", {"A": "1"})
    bw.add_bucket("acme", {"A": "1"})
    with pytest.raises(NotFoundError, match="1 collections named acme, and one with the registered id"):
        fetch(bw, collection_id=with_other_name)


def test_2_a_collection_of_another_organisation_is_refused(bw):
    bw.add_bucket("acme", {"A": "1"})
    with pytest.raises(NotFoundError, match="our organisation"):
        fetch(bw, organization_id="00000000-0000-4000-8000-000000000000")


def test_3_and_4_a_login_whose_sync_failed_is_undone_and_the_next_run_heals(bw):
    bw.add_bucket("acme", {"A": "1"})
    bw.set(login_without_sync=True)
    with pytest.raises(TransportError, match="its sync failed"):
        fetch(bw)
    assert bw.commands() == [*FIRST, "logout"]
    bw.set(login_without_sync=False)
    assert fetch(bw) == {"A": "1"}


def test_4_a_login_that_was_killed_before_its_sync_is_done_again_at_once(bw):
    """As the real client was seen to leave it: it can never be unlocked, and says so to nobody."""
    bw.add_bucket("acme", {"A": "1"})
    bw.set_state(synced=None)
    assert fetch(bw) == {"A": "1"}
    assert bw.commands()[:5] == ["--version", "status", "logout", "status", "config"]


@pytest.mark.parametrize("printed", ["", "\n", "A" * 87, "A" * 89, "B" * 88, "?" * 86 + "=="])
def test_4_an_unlock_that_prints_no_session_key_is_undone_and_the_next_run_heals(bw, printed):
    bw.add_bucket("acme", {"A": "1"})
    bw.says["unlock"] = {"out": printed}
    bw.set()
    with pytest.raises(TransportError, match="no session key"):
        fetch(bw)
    assert bw.commands() == [*FIRST, "unlock", "logout"]
    bw.says.clear()
    bw.set()
    assert fetch(bw) == {"A": "1"}


def test_5_a_server_that_is_gone_is_not_the_cache(bw):
    bw.add_bucket("acme", {"A": "1"})
    fetch(bw)
    bw.forget_calls()
    bw.says["sync"] = {"status": 1, "err": "FetchError: request to … failed, reason: connect ECONNREFUSED"}
    bw.set()
    with pytest.raises(TransportError, match="does not answer"):
        fetch(bw)
    assert bw.commands() == ["--version", "status", "unlock", "sync", "lock"]


def test_5_a_sync_that_ended_well_and_changed_nothing_is_refused(bw):
    bw.add_bucket("acme", {"A": "1"})
    bw.set(old_sync=True)
    with pytest.raises(TransportError, match="what it holds is older"):
        fetch(bw)
    assert "list items" not in bw.commands()


def test_6_a_list_that_comes_back_empty_once_is_read_again(bw):
    bw.add_bucket("acme", {"A": "1"})
    bw.set(empty_lists=1)
    assert fetch(bw) == {"A": "1"}
    assert bw.commands().count("list items") == 2


def test_6_a_list_that_stays_empty_is_no_empty_bucket(bw):
    bw.add_bucket("acme", {"A": "1"})
    bw.set(empty_lists=9)
    with pytest.raises(CouldNotVerifyError, match="0 marker items"):
        fetch(bw)
    assert bw.commands().count("list items") == 2


def test_8_a_bucket_that_lacks_a_name_does_not_get_it_from_another(bw):
    acme, beta = bw.add_collection("acme"), bw.add_bucket("beta", {"ONLY_BETAS": "planted"})
    bw.add_item(acme, ".hive", fields={"tenant_id": "acme", "keys": "ONLY_BETAS"})
    with pytest.raises(CouldNotVerifyError, match="missing ONLY_BETAS"):
        fetch(bw, collection_id=acme)
    assert fetch(bw, tenant=BETA, collection_id=beta) == {"ONLY_BETAS": "planted"}


@pytest.mark.parametrize(
    "server", [None, "https://vault.bitwarden.com", URL + "/", URL.upper(), URL + ".evil.example"]
)
def test_9_no_credential_is_sent_while_another_server_is_named(bw, server):
    bw.add_bucket("acme", {"A": "1"})
    bw.set(server_instead=server)
    with pytest.raises(ConflictError, match="no credential was sent"):
        fetch(bw)
    assert bw.commands() == ["--version", "status", "config", "status"]
    assert not {SECRET, PASSWORD} & {value for call in bw.calls() for value in call["env"].values()}


def test_9_a_state_that_was_emptied_is_logged_in_anew_at_our_server(bw):
    bw.add_bucket("acme", {"A": "1"})
    fetch(bw)
    bw.set_state(server=None, account=None, synced=None)
    bw.forget_calls()
    assert fetch(bw) == {"A": "1"}
    assert bw.commands()[: len(FIRST)] == FIRST


def test_9_a_login_at_another_server_is_left_and_refused(bw):
    bw.add_bucket("acme", {"A": "1"})
    bw.set_state(server="https://other.example")
    with pytest.raises(ConflictError, match="no credential was sent"):
        fetch(bw)
    assert bw.commands() == ["--version", "status"]


# --- who is logged in ---------------------------------------------------------------------------------


def test_a_login_of_another_account_is_replaced(bw):
    bw.add_bucket("acme", {"A": "1"})
    bw.set_state(account="00000000-0000-4000-8000-00000000000a")
    assert fetch(bw) == {"A": "1"}
    assert bw.commands()[:4] == ["--version", "status", "logout", "status"]


def test_a_rotated_api_key_is_used_by_the_next_run(bw):
    """The login that was kept holds the old one; when the server refuses it, it is dropped."""
    bw.add_bucket("acme", {"A": "1"})
    fetch(bw)
    bw.says["sync"] = {"status": 1, "err": "Incorrect client_secret"}
    bw.set()
    with pytest.raises(KeyAccessError, match="API key"):
        fetch(bw)
    assert bw.commands()[-1] == "logout"
    bw.says.clear()
    bw.set()
    bw.forget_calls()
    assert fetch(bw) == {"A": "1"}
    assert "login" in bw.commands()


def test_a_wrong_master_password_is_said_and_not_shown(bw):
    bw.add_bucket("acme", {"A": "1"})
    bw.write_credentials(password="planted-wrong")
    with pytest.raises(KeyAccessError, match="master password is wrong") as caught:
        fetch(bw)
    assert "planted-wrong" not in str(caught.value.to_document())


def test_the_rate_limit_means_later_and_costs_no_further_request(bw):
    bw.add_bucket("acme", {"A": "1"})
    bw.says["login"] = {"status": 1, "err": "Too many login requests"}
    bw.set()
    with pytest.raises(TransportError, match="rate limit") as caught:
        fetch(bw)
    assert "try later" in caught.value.hint
    assert bw.commands() == FIRST[:-1]
    bw.says = {"sync": {"status": 1, "err": "Syncing failed: Rate limit exceeded. Try again later."}}
    bw.set()
    with pytest.raises(TransportError, match="rate limit"):
        fetch(bw)
    assert bw.commands()[-2:] == ["sync", "lock"]  # and the login is kept: another one would cost one more


def test_a_beginning_that_failed_can_be_tried_again_in_the_same_batch(bw, vault):
    """The lock is let go of; else the second try would wait for the first."""
    acme = bw.add_bucket("acme", {"A": "1"})
    bw.says["sync"] = {"status": 1, "err": "FetchError: reason: socket hang up"}
    bw.set()
    with pytest.raises(TransportError):
        vault.bucket(ACME, acme)
    bw.says.clear()
    bw.set()
    assert vault.bucket(ACME, acme).names == ("A",)


# --- failures of the program --------------------------------------------------------------------------


def test_words_that_are_not_known_are_shown_without_credentials(bw):
    bw.add_bucket("acme", {"A": "1"})
    bw.says["login"] = {"status": 1, "err": f"noise\nError: odd \x1b[31m {SECRET} {PASSWORD}\n"}
    bw.set()
    with pytest.raises(HostError, match="odd") as caught:
        fetch(bw)
    said = str(caught.value.to_document())
    assert SECRET not in said
    assert PASSWORD not in said
    assert "\x1b" not in str(caught.value)


NO_ANSWERS = {
    "status": ["planted", '{"a": "planted"}', '{"status": "planted"}', ""],
    "list collections": ['{"a": "planted"}', '["planted"]', '[{"name": "acme", "id": 5}]'],
    "list items": ["planted", "[1.5]", "[[[[" * 99],
}


@pytest.mark.parametrize(
    ("step", "out"), [(step, out) for step, outs in NO_ANSWERS.items() for out in outs], ids=range(10)
)
def test_an_answer_that_is_none_is_refused_and_not_shown(bw, step, out):
    bw.add_bucket("acme", {"A": "1"})
    bw.says[step] = {"out": out}
    bw.set()
    with pytest.raises((HostError, FormatError)) as caught:
        fetch(bw)
    assert "planted" not in str(caught.value.to_document())


def test_a_failing_list_shows_nothing_of_what_it_printed(bw):
    bw.add_bucket("acme", {"A": "1"})
    bw.says["list items"] = {"status": 1, "out": '[{"password": "planted"', "err": "Error: planted"}
    bw.set()
    with pytest.raises(HostError) as caught:
        fetch(bw)
    assert str(caught.value) == "bw list failed with status 1"


def test_a_program_that_prints_without_end_is_killed(bw, monkeypatch):
    monkeypatch.setattr(bw_command, "MAX_ANSWER_BYTES", 1000)
    bw.says["--version"] = {"out": "x" * 5000}
    bw.set()
    with pytest.raises(HostError, match="more than anybody would read"):
        fetch(bw, collection_id="00000000-0000-4000-8000-000000000000")


def test_a_program_that_hangs_is_killed(bw):
    bw.set(seconds={"status": 600})
    program = BwProgram.open(str(bw.program), bw.settings().folder, ca_file=None)
    try:
        with pytest.raises(TransportError, match="took too long"):
            program.run("status", seconds=0.5)
    finally:
        program.close()
    with pytest.raises(ProcessLookupError):
        os.kill(bw.calls()[-1]["pid"], 0)


def test_a_program_that_is_not_there_is_said(bw):
    with pytest.raises(HostError, match="no program"):
        fetch(bw, collection_id="00000000-0000-4000-8000-000000000000", program=str(bw.folder / "absent"))


@pytest.mark.parametrize("beside", ["program", "its-target"])
def test_a_bw_data_folder_that_would_take_the_login_is_refused(bw, beside):
    program = bw.program
    if beside == "its-target":
        (bw.folder / "links").mkdir()
        program = bw.folder / "links/bw"
        program.symlink_to(bw.program)
    (bw.program.parent / "bw-data").mkdir()
    with pytest.raises(HostError, match="bw-data"):
        fetch(bw, collection_id="00000000-0000-4000-8000-000000000000", program=str(program))
    assert bw.calls() == []


@pytest.mark.parametrize("program", ["./bw", "bin/bw", "../bw"])
def test_a_program_below_wherever_somebody_works_is_refused(tmp_path, program):
    config = HiveConfig(
        db=str(tmp_path / "hive.db"),
        vault_url=URL,
        vault_organization="00000000-0000-4000-8000-000000000000",
        vault_credentials=str(tmp_path / "vault.toml"),
        bw=program,
    )
    with pytest.raises(FormatError, match="absolute"):
        BwSettings.of(config)


# --- the folder, the lock, logging out ----------------------------------------------------------------


def test_a_folder_that_others_can_enter_is_refused(bw):
    folder = bw.settings().folder
    folder.mkdir(parents=True)
    folder.chmod(0o750)
    with pytest.raises(HostError, match="not yours alone"):
        fetch(bw, collection_id="00000000-0000-4000-8000-000000000000")
    assert bw.calls() == []


@pytest.mark.parametrize("which", ["bw", "bw/data"])
def test_a_folder_that_is_a_link_is_refused(bw, which, tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    link = bw.settings().folder.parent / which
    link.parent.mkdir(parents=True, mode=0o700)
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafePathError):
        fetch(bw, collection_id="00000000-0000-4000-8000-000000000000")
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert bw.calls() == []


def test_another_driver_waits_for_its_turn(bw, monkeypatch):
    acme = bw.add_bucket("acme", {"A": "1"})
    with BwVault(bw.settings(), lambda: datetime.now(UTC)) as first:
        first.bucket(ACME, acme)
        monkeypatch.setattr(BwProgram.open.__func__, "__kwdefaults__", {"seconds": 0.1})
        bw.forget_calls()
        with pytest.raises(ConflictError, match="in use"):
            fetch(bw)
        assert bw.calls() == []
    assert fetch(bw) == {"A": "1"}


def test_logging_out_leaves_no_login_and_twice_is_fine(bw):
    bw.add_bucket("acme", {"A": "1"})
    fetch(bw)
    bw.forget_calls()
    forget_login(bw.settings())
    forget_login(bw.settings())
    assert bw.commands() == ["logout", "logout"]
    bw.says["logout"] = {"status": 1, "err": "Error: disk full"}
    bw.set()
    with pytest.raises(HostError, match="disk full"):
        forget_login(bw.settings())


def test_a_clock_that_was_set_back_does_not_make_an_old_sync_new(bw):
    bw.add_bucket("acme", {"A": "1"})
    ahead = datetime.now(UTC) + timedelta(hours=1)
    with BwVault(bw.settings(), lambda: ahead) as vault, pytest.raises(TransportError, match="older"):
        vault.bucket(ACME, bw.collections[0][0])
