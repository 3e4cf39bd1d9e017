"""`hive provision`, `withdraw` and `vault` as an operator uses them."""

import io
import json
import os
import sys
from types import SimpleNamespace

import pytest

from hive.agents.token_file import load_token_key
from hive.agents.tokens import authenticate
from hive.cli import cli
from hive.db.session import open_engine, transaction
from hive.jails.directory import DirectoryHost
from hive.tenants import TenantStatus, load_row
from signing.console import run
from signing.errors import KeyAccessError
from signing.format.names import parse_tenant_id
from tests.hive.vault.jailed import OWNER
from tests.skills.agent_home import load_mother

ACME, BETA = parse_tenant_id("acme"), parse_tenant_id("beta")


class Desk:
    """A folder with hive.toml, and `hive` run in this process."""

    def __init__(self, folder, capsys, monkeypatch):
        self.folder, self._capsys, self._monkeypatch = folder, capsys, monkeypatch
        self.settings = {
            "db": str(folder / "hive.db"),
            "state": str(folder / "state"),
            "jail_root_base": str(folder / "jails"),
            "jail_uid": str(OWNER[0]),
            "jail_gid": str(OWNER[1]),
        }

    def hive(self, *words, status=0, given=""):
        config = self.folder / "hive.toml"
        config.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in self.settings.items()))
        stdin = SimpleNamespace(buffer=io.BytesIO(given.encode()), isatty=lambda: False)
        self._monkeypatch.setattr(sys, "stdin", stdin)
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            run(cli, "hive", ["--config", str(config), *words])
        out, err = self._capsys.readouterr()
        assert ended.value.code == status, out + err
        self.err = err
        return out

    def json(self, *words, status=0, given=""):
        return json.loads(self.hive(*words, "--json", status=status, given=given))

    def tenant(self, name, *, collection=True, jail=True):
        more = ["--collection-id", f"c-{name}"] if collection else []
        self.hive("register-tenant", name, "--tier", "paid", "--profile", "base==1", *more)
        if jail:
            DirectoryHost(self.folder / "jails").create(parse_tenant_id(name), mark="0" * 32)

    def env(self, name="acme"):
        return self.folder / f"jails/{name}/root/usr/home/agent/.env"

    def variables(self, name="acme"):
        return load_mother().parse_variables(self.env(name).read_bytes())


@pytest.fixture
def desk(tmp_path, capsys, monkeypatch):
    for name in [name for name in os.environ if name.startswith("HIVE_")]:
        monkeypatch.delenv(name)
    return Desk(tmp_path, capsys, monkeypatch)


@pytest.fixture
def acme(desk):
    desk.tenant("acme")
    desk.hive("vault", "set", "acme", "KEY", given="planted\n")
    return desk


def test_from_the_vault_into_the_jail_and_out_again(acme):
    said = acme.hive("provision", "acme")
    assert said == f"acme: provisioned, 1 variables (KEY)\n  {acme.env()}\n"
    assert (acme.variables(), acme.env().stat().st_mode & 0o777) == ({"KEY": "planted"}, 0o600)
    assert acme.json("provision", "acme") == {
        "ok": True,
        "tenant_id": "acme",
        "names": ["KEY"],
        "changed": False,
        "path": str(acme.env()),
    }
    assert acme.hive("withdraw", "acme") == "withdrawn: the secrets of acme\n"
    assert not acme.env().exists()
    assert acme.json("withdraw", "acme") == {"ok": True, "tenant_id": "acme", "removed": False}
    events = [record["event"] for record in acme.json("audit", "show")["records"]]
    assert events[-2:] == ["secrets.provisioned", "secrets.withdrawn"]


def test_a_refusal_is_said_and_recorded(desk):
    desk.tenant("acme")
    assert desk.json("provision", "acme", status=3)["error"]["code"] == "not-found"
    assert desk.hive("provision", "acme", status=3) == ""
    assert "hint: hive vault set acme NAME" in desk.err
    assert not desk.env().exists()
    assert [record["event"] for record in desk.json("audit", "show")["records"]][-1] == "secrets.refused"


def test_several_tenants_in_one_go_and_a_refused_one_does_not_stop_the_next(acme):
    acme.tenant("beta")
    acme.tenant("gamma", collection=False)
    acme.tenant("delta", jail=False)
    answer = acme.json("provision", "--all", status=3)
    assert answer["error"]["facts"] == {"done": ["acme", "gamma"], "refused": ["beta"]}
    assert "beta: refused [not-found]" in acme.err
    acme.hive("vault", "set", "beta", "KEY", given="two")
    answer = acme.json("provision", "--all")
    assert [(item["tenant_id"], item["names"]) for item in answer["tenants"]] == [
        ("acme", ["KEY"]),
        ("beta", ["KEY"]),
        ("gamma", []),
    ]
    assert acme.variables("beta") == {"KEY": "two"}
    assert not acme.env("gamma").exists()


def test_a_vault_that_fails_ends_the_batch_at_once(acme):
    acme.tenant("beta")
    (acme.folder / "state/vault/sealed.key").write_bytes(bytes(32))
    acme.hive("provision", "acme", "beta", status=KeyAccessError.exit_status)
    refused = [r for r in acme.json("audit", "show")["records"] if r["event"] == "secrets.refused"]
    assert [record["facts"]["tenant"] for record in refused] == ["acme"]


@pytest.mark.parametrize(
    "words",
    [("provision",), ("provision", "acme", "--all"), ("provision", "acme", "beta", "--jail-root", "/x")],
)
def test_whom_is_said_clearly(acme, words):
    acme.hive(*words, status=2)


def test_secrets_go_to_the_tenant_s_jail_and_to_no_folder_that_somebody_names(acme):
    acme.tenant("beta")
    root = acme.folder / "jails/acme/root"
    for wrong in (acme.folder, acme.folder / "jails/beta/root", root / ".." / "root", "/"):
        acme.hive("provision", "acme", "--jail-root", str(wrong), status=2)
        acme.hive("withdraw", "acme", "--jail-root", str(wrong), status=2)
    assert list(acme.folder.rglob(".env")) == []
    acme.hive("provision", "acme", "--jail-root", str(root))
    assert acme.env().exists()


@pytest.mark.parametrize("setting", ["jail_uid", "jail_gid"])
def test_without_an_owner_nothing_is_provisioned(acme, setting):
    for value in (None, "0"):
        acme.settings[setting] = value
        if value is None:
            del acme.settings[setting]
        acme.hive("provision", "acme", status=2)
        acme.settings[setting] = "1001"
    assert not acme.env().exists()


def test_withdrawing_needs_no_owner(acme):
    acme.hive("provision", "acme")
    del acme.settings["jail_uid"]
    acme.hive("withdraw", "acme")
    assert not acme.env().exists()


def test_the_agent_gets_its_token_and_rotating_gives_another(acme):
    acme.settings["hive_url"] = "https://hive.example:8443"
    acme.hive("provision", "acme")
    first = acme.variables()
    assert (first["HIVE_URL"], first["KEY"]) == ("https://hive.example:8443", "planted")
    acme.hive("provision", "acme")
    assert acme.variables() == first
    assert "provisioned" in acme.hive("provision", "acme", "--rotate")
    second = acme.variables()
    assert second["HIVE_TOKEN"] != first["HIVE_TOKEN"]
    engine = open_engine(f"sqlite:///{acme.folder / 'hive.db'}")
    with transaction(engine) as session:
        assert authenticate(session, second["HIVE_TOKEN"]) == "acme"
        with pytest.raises(Exception, match="token"):
            authenticate(session, first["HIVE_TOKEN"])
    engine.dispose()
    assert len(load_token_key(acme.folder / "state")) == 32
    shown = acme.hive("audit", "show", "--json")
    assert first["HIVE_TOKEN"] not in shown
    assert second["HIVE_TOKEN"] not in shown


def test_there_is_nothing_to_rotate_without_an_address(acme):
    acme.hive("provision", "acme", "--rotate", status=2)
    assert "rotated in the vault" in acme.err
    assert not acme.env().exists()


def test_a_quarantined_tenant_gets_nothing(acme):
    engine = open_engine(f"sqlite:///{acme.folder / 'hive.db'}")
    with transaction(engine) as session:
        load_row(session, ACME).status = TenantStatus.QUARANTINED.value
    engine.dispose()
    acme.hive("provision", "acme", status=12)
    assert acme.json("provision", "--all")["tenants"] == []


# --- hive vault -----------------------------------------------------------------------------------------


def test_values_come_from_stdin_and_are_shown_by_nobody(acme):
    acme.hive("vault", "set", "acme", "OTHER", given="two words")
    assert acme.json("vault", "list") == {"ok": True, "buckets": {"acme": ["KEY", "OTHER"]}}
    assert acme.hive("vault", "list").split() == ["acme", "KEY,", "OTHER"]
    assert acme.json("vault", "remove", "acme", "OTHER")["name"] == "OTHER"
    assert acme.hive("vault", "remove", "acme") == "removed: the bucket of acme\n"
    assert acme.json("vault", "list")["buckets"] == {}


def test_a_value_is_never_an_argument(acme):
    acme.hive("vault", "set", "acme", "KEY", "value", status=2)


@pytest.mark.parametrize("given", ["", "\n", "two\nlines\n", "x\0"])
def test_a_value_that_cannot_be_one_is_refused(acme, given):
    acme.hive("vault", "set", "acme", "KEY", given=given, status=10)
    acme.hive("provision", "acme")
    assert acme.variables() == {"KEY": "planted"}


def test_a_tenant_without_a_bucket_has_none_to_set(desk):
    desk.tenant("acme", collection=False)
    desk.hive("vault", "set", "acme", "KEY", given="1", status=2)
    assert "--collection-id" in desk.err


def test_a_real_vault_is_not_changed_from_here(acme):
    acme.settings["vault"] = "bw"
    for words in (("set", "acme", "KEY"), ("list",), ("remove", "acme")):
        acme.hive("vault", *words, status=2, given="1")
    acme.hive("vault", "logout", status=2)  # not configured whole
