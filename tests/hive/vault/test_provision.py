"""Provisioning: one file, 0600, of the jail's user; nothing before everything is there; nothing forgotten."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from hive.config import HiveConfig
from hive.db.secret_tables import ProvisioningRow, SecretsState
from hive.db.session import transaction
from hive.jails.contained import JailRoot
from hive.tenants import TenantStatus
from hive.vault.owner import owner_of
from hive.vault.provision import WHILE_BIRTHING, Standing
from hive.vault.secret import Secret
from signing.errors import (
    ConflictError,
    FormatError,
    HostError,
    KeyAccessError,
    NotEntitledError,
    NotFoundError,
    QuarantinedError,
    TransportError,
    UsageError,
)
from tests.hive.vault.jailed import ACME, BETA, OWNER, Host, own_of
from tests.skills.agent_home import load_mother


@pytest.fixture
def host(tmp_path):
    host = Host.make(tmp_path)
    host.register(ACME, collection_id="c-acme")
    host.vault.values["c-acme"] = {"OPENROUTER_API_KEY": "sk-1", "GREETING": "good morning"}
    yield host
    host.provisioner.engine.dispose()


def facts_of(path):
    status = path.lstat()
    return status.st_mode & 0o7777, (status.st_uid, status.st_gid), status.st_nlink


# --- what is promised ---------------------------------------------------------------------------------


def test_a_bucket_becomes_a_private_file_of_the_jail_user(host):
    done = host.provision(own=own_of)
    assert done.to_json() == {
        "tenant_id": "acme",
        "names": ["GREETING", "HIVE_TOKEN", "HIVE_URL", "OPENROUTER_API_KEY"],
        "changed": True,
        "path": str(host.env()),
    }
    assert facts_of(host.env()) == (0o600, OWNER, 1)
    assert load_mother().parse_variables(host.env().read_bytes()) == {
        "GREETING": "good morning",
        "HIVE_TOKEN": "token-of-acme",
        "HIVE_URL": "https://hive.example",
        "OPENROUTER_API_KEY": "sk-1",
    }
    assert host.provisioner.standing(ACME) is Standing.AS_WRITTEN


def test_the_same_again_writes_nothing_and_is_no_news(host):
    host.provision(own=own_of)
    before, events = host.env().stat(), host.events()
    assert not host.provision(own=own_of).changed
    assert host.env().stat() == before
    assert host.events() == events


def test_a_changed_bucket_replaces_the_file_at_once(host):
    host.provision()
    with host.env().open() as held:
        host.vault.values["c-acme"] = {"OPENROUTER_API_KEY": "sk-2"}
        assert host.provision().changed
        assert held.read() == "GREETING='good morning'\nOPENROUTER_API_KEY=sk-1\n"
    assert host.env().read_text() == "OPENROUTER_API_KEY=sk-2\n"
    assert [path.name for path in host.env().parent.iterdir()] == [".env"]


@pytest.mark.parametrize("change", ["content", "mode", "owner", "gone", "second-name"])
def test_a_file_that_was_changed_is_noticed_and_mended(host, change, tmp_path):
    host.provision()
    if change == "content":
        host.env().write_text("OPENROUTER_API_KEY=other\n")
    elif change == "mode":
        host.env().chmod(0o644)
    elif change == "owner":
        if os.geteuid() != 0:
            pytest.skip("only root gives files away")
        os.chown(host.env(), 54321, OWNER[1])
    elif change == "gone":
        host.env().unlink()
    else:
        os.link(host.env(), tmp_path / "second")
    wanted = Standing.MISSING if change == "gone" else Standing.ALTERED
    assert host.provisioner.standing(ACME) is wanted
    assert host.provision().changed
    assert facts_of(host.env()) == (0o600, OWNER, 1)
    assert host.provisioner.standing(ACME) is Standing.AS_WRITTEN
    assert [event for event, _ in host.events()].count("secrets.provisioned") == 2


def test_only_a_tenant_without_a_bucket_is_provisioned_with_nothing(host):
    host.register(BETA)
    done = host.provision(BETA)
    assert (done.names, done.changed) == ((), False)
    assert host.vault.asked == []
    assert not host.env(BETA).exists()
    assert host.provisioner.standing(BETA) is Standing.NONE


def test_a_tenant_without_a_bucket_gets_the_token_of_the_hive(host):
    host.register(BETA)
    assert host.provision(BETA, own=own_of).names == ("HIVE_TOKEN", "HIVE_URL")
    assert host.env(BETA).read_text() == "HIVE_TOKEN=token-of-beta\nHIVE_URL=https://hive.example\n"


@pytest.mark.parametrize(
    "error",
    [
        NotFoundError("x"),
        TransportError("x"),
        KeyAccessError("x"),
        HostError("x"),
        FormatError("x"),
        ConflictError("x"),
    ],
    ids=lambda error: error.code,
)
def test_could_not_fetch_is_never_nothing_to_fetch(host, error):
    host.vault.error = error
    with pytest.raises(type(error)):
        host.provision(own=own_of)
    assert not host.env().exists()
    assert host.recorded() is None
    event, facts = host.events()[-1]
    assert (event, facts["error"]["code"]) == ("secrets.refused", error.code)
    host.vault.error = None
    host.provision()
    before = host.env().read_bytes()
    host.vault.error = error
    with pytest.raises(type(error)):
        host.provision()
    assert host.env().read_bytes() == before


def test_a_token_is_not_made_before_the_bucket_has_arrived(host):
    asked = []
    host.vault.error = TransportError("x")
    with pytest.raises(TransportError):
        host.provision(own=lambda tenant: asked.append(tenant) or {})
    assert asked == []


def test_of_two_that_rotate_at_once_the_newer_token_is_in_the_jail(host):
    """Else the jail holds a token that is refused already, and both were told that all is well."""
    host.register(BETA)
    issued = []

    def rotate(_tenant):
        issued.append(f"token-{len(issued)}")
        token = issued[-1]
        time.sleep(0.05)  # the other one is at it, too
        return {"HIVE_TOKEN": Secret(token.encode())}

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: host.provision(BETA, own=rotate, rotated=True), range(8)))
    assert all(one.changed for one in done)
    assert len(issued) == 8
    assert host.env(BETA).read_text() == "HIVE_TOKEN=token-7\n"
    assert host.provisioner.standing(BETA) is Standing.AS_WRITTEN


def test_nothing_of_a_bucket_is_kept_in_memory_whatever_comes_of_it(host, monkeypatch):
    fetched = []
    honest = host.vault.bucket

    def bucket(*asked):
        fetched.append(honest(*asked))
        return fetched[-1]

    monkeypatch.setattr(host.vault, "bucket", bucket)

    def fails(_tenant):
        raise KeyAccessError("no key")

    host.provision(own=own_of)
    with pytest.raises(KeyAccessError):
        host.provision(own=fails)
    assert len(fetched) == 2
    for secret in (one for found in fetched for one in found.variables.values()):
        with pytest.raises(ValueError, match="forgotten"):
            secret.reveal()


def test_the_hive_s_own_variables_are_called_so(host):
    with pytest.raises(FormatError, match="HIVE_"):
        host.provision(own=lambda _: {"OPENROUTER_API_KEY": Secret(b"other")})
    assert not host.env().exists()


def test_one_tenant_is_asked_for_by_its_own_bucket_only(host):
    host.register(BETA, collection_id="c-beta")
    host.vault.values["c-beta"] = {"B": "2"}
    host.provision(ACME)
    host.provision(BETA)
    assert host.vault.asked == [("acme", "c-acme"), ("beta", "c-beta")]
    assert "B" not in host.env(ACME).read_text()


# --- how a tenant stands --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", list(TenantStatus), ids=str)
def test_who_gets_secrets_and_who_does_not(host, status):
    host.status(ACME, status)
    if status in {TenantStatus.REGISTERED, TenantStatus.BORN, TenantStatus.ACTIVE}:
        assert host.provision().changed
        return
    wanted = QuarantinedError if status is TenantStatus.QUARANTINED else NotEntitledError
    with pytest.raises(wanted, match="gets no secrets"):
        host.provision()
    assert host.vault.asked == []
    assert not host.env().exists()


def test_a_birth_provisions_the_tenant_it_births_and_no_other(host):
    host.status(ACME, TenantStatus.BIRTHING)
    assert host.provision(allowed=WHILE_BIRTHING).changed
    host.status(ACME, TenantStatus.ACTIVE)
    with pytest.raises(NotEntitledError):
        host.provision(allowed=WHILE_BIRTHING)


def test_who_is_quarantined_while_the_vault_answers_gets_nothing(host):
    host.vault.before = lambda: host.status(ACME, TenantStatus.QUARANTINED)
    with pytest.raises(QuarantinedError):
        host.provision()
    assert not host.env().exists()


def test_a_tenant_or_a_jail_that_is_not_there_is_not_found(host):
    with pytest.raises(NotFoundError, match="no tenant"):
        host.provision(BETA)
    host.register(BETA, collection_id="c-beta", jail=False)
    with pytest.raises(NotFoundError, match="no jail"):
        host.provision(BETA)
    assert host.vault.asked == []
    with pytest.raises(NotFoundError, match="no tenant"):
        host.provisioner.withdraw("nobody")


# --- withdrawing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", list(TenantStatus), ids=str)
def test_secrets_are_withdrawn_however_the_tenant_stands(host, status):
    host.provision()
    host.status(ACME, status)
    assert host.provisioner.withdraw(ACME)
    assert list(host.env().parent.iterdir()) == []
    assert host.recorded().state is SecretsState.WITHDRAWN
    assert host.provisioner.standing(ACME) is Standing.NONE
    assert not host.provisioner.withdraw(ACME)
    events = [facts for event, facts in host.events() if event == "secrets.withdrawn"]
    assert events == [{"tenant": "acme", "names": ["GREETING", "OPENROUTER_API_KEY"], "removed": True}]


def test_withdrawing_takes_what_a_killed_write_left(host):
    host.provision()
    left = host.env().with_name(".new-0123456789abcdef")
    left.write_text("OPENROUTER_API_KEY=sk-1\n")
    (left.with_name(".new-mine")).write_text("the agent's own")
    host.provisioner.withdraw(ACME)
    assert [path.name for path in host.env().parent.iterdir()] == [".new-mine"]


def test_provisioning_takes_what_a_killed_write_left(host):
    host.provision()
    host.env().with_name(".new-0123456789abcdef").write_text("OPENROUTER_API_KEY=sk-0\n")
    assert not host.provision().changed
    assert [path.name for path in host.env().parent.iterdir()] == [".env"]


def test_withdrawing_from_a_jail_that_is_gone_is_recorded(host):
    host.provision()
    host.provisioner.host.destroy(ACME, mark="0" * 32)
    assert host.provisioner.standing(ACME) is Standing.MISSING
    assert not host.provisioner.withdraw(ACME)
    assert host.recorded().state is SecretsState.WITHDRAWN


def test_after_withdrawing_the_same_bucket_is_news_again(host):
    host.provision()
    host.provisioner.withdraw(ACME)
    assert host.provision().changed
    assert host.recorded().state is SecretsState.PRESENT


def test_secrets_that_nobody_recorded_are_seen(host):
    host.provision()
    with transaction(host.provisioner.engine) as session:
        session.delete(session.get_one(ProvisioningRow, "acme"))
    assert host.provisioner.standing(ACME) is Standing.LEFT_OVER


# --- what is remembered ---------------------------------------------------------------------------------


def test_names_are_recorded_and_no_value(host):
    host.provision(own=own_of, rotated=True)
    known = host.recorded()
    assert (known.state, known.collection_id) == (SecretsState.PRESENT, "c-acme")
    assert known.names == ("GREETING", "HIVE_TOKEN", "HIVE_URL", "OPENROUTER_API_KEY")
    assert host.events()[-1] == (
        "secrets.provisioned",
        {"tenant": "acme", "names": list(known.names), "rotated": True, "collection_id": "c-acme"},
    )


def test_the_digest_is_keyed_and_no_two_hosts_or_tenants_share_one(host, tmp_path):
    host.register(BETA, collection_id="c-beta")
    host.vault.values["c-beta"] = host.vault.values["c-acme"]
    host.provision(ACME)
    host.provision(BETA)
    assert host.env(ACME).read_bytes() == host.env(BETA).read_bytes()
    first, second = host.recorded(ACME).digest, host.recorded(BETA).digest
    assert first != second
    key = tmp_path / "state/secrets.key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.unlink()
    host.provision(ACME)
    assert host.recorded(ACME).digest != first


def test_a_key_that_others_can_read_is_refused(host, tmp_path):
    host.provision()
    (tmp_path / "state/secrets.key").chmod(0o640)
    host.vault.values["c-acme"] = {"NEW": "1"}
    with pytest.raises(KeyAccessError):
        host.provision()
    assert "NEW" not in host.env().read_text()


def test_a_write_that_failed_is_called_unfinished(host, monkeypatch):
    def full(*_, **__):
        raise HostError("no space left")

    host.provision()
    host.vault.values["c-acme"] = {"NEW": "1"}
    with monkeypatch.context() as patch:
        patch.setattr(JailRoot, "install_file", full)
        with pytest.raises(HostError, match="no space"):
            host.provision()
    assert "NEW" not in host.env().read_text()
    assert host.provisioner.standing(ACME) is Standing.UNFINISHED
    assert host.provision().changed
    assert host.provisioner.standing(ACME) is Standing.AS_WRITTEN


# --- whose the file is ----------------------------------------------------------------------------------


def test_the_owner_comes_from_the_configuration(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert owner_of(HiveConfig(jail_uid="1001", jail_gid="1002")) == (1001, 1002)


@pytest.mark.parametrize(
    ("uid", "gid", "error"),
    [
        (None, "1001", UsageError),
        ("1001", None, UsageError),
        ("0", "1001", UsageError),
        ("1001", "0", UsageError),
        ("00", "1001", UsageError),
        ("-1", "1001", FormatError),
        ("4294967295", "1001", FormatError),
        ("4294967296", "1001", FormatError),
        ("1_001", "1001", FormatError),
        ("agent", "1001", FormatError),
        ("", "1001", FormatError),
        ("١", "1001", FormatError),
    ],
)
def test_another_owner_is_refused(uid, gid, error, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(error):
        owner_of(HiveConfig(jail_uid=uid, jail_gid=gid))


def test_without_root_the_owner_is_oneself_and_nothing_is_skipped(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1001)
    monkeypatch.setattr(os, "getegid", lambda: 1002)
    monkeypatch.setattr(os, "getgroups", lambda: [1003])
    assert owner_of(HiveConfig(jail_uid="1001", jail_gid="1002")) == (1001, 1002)
    assert owner_of(HiveConfig(jail_uid="1001", jail_gid="1003")) == (1001, 1003)
    for uid, gid in (("1004", "1002"), ("1001", "1004")):
        with pytest.raises(UsageError, match="only root"):
            owner_of(HiveConfig(jail_uid=uid, jail_gid=gid))
