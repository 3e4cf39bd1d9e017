"""The sealed vault: one file, whole or nothing, and the same promises as the real one."""

import json

import pytest

from hive.config import HiveConfig
from hive.vault.bw import BwVault
from hive.vault.choose import open_vault, sealed_vault
from hive.vault.sealed import SealedVault
from signing.errors import (
    FormatError,
    KeyAccessError,
    NotEntitledError,
    NotFoundError,
    UsageError,
    WrongSubjectError,
)
from tests.hive.vault.jailed import ACME, BETA


@pytest.fixture
def sealed(tmp_path):
    sealed = SealedVault(tmp_path / "vault")
    sealed.put(ACME, "c-acme", "KEY", "planted one")
    return sealed


def values(sealed, tenant=ACME, collection_id="c-acme"):
    found = sealed.bucket(tenant, collection_id).variables
    return {name: secret.reveal().decode() for name, secret in found.items()}


def test_what_is_put_in_comes_out(sealed, tmp_path):
    sealed.put(ACME, "c-acme", "OTHER", "schlüssel")
    sealed.put(ACME, "c-acme", "KEY", "two")
    sealed.put(BETA, "c-beta", "KEY", "three")
    assert values(SealedVault(tmp_path / "vault")) == {"KEY": "two", "OTHER": "schlüssel"}
    assert values(sealed, BETA, "c-beta") == {"KEY": "three"}
    assert sealed.names() == {"acme": ("KEY", "OTHER"), "beta": ("KEY",)}


def test_nothing_of_it_can_be_read_from_the_files(sealed, tmp_path):
    folder = tmp_path / "vault"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        "sealed.json": 0o600,
        "sealed.key": 0o600,
    }
    content = (folder / "sealed.json").read_bytes()
    for word in (b"planted", b"KEY", b"acme"):
        assert word not in content
        assert word.hex().encode() not in content


def test_a_bucket_that_is_not_there_is_not_an_empty_one(sealed, tmp_path):
    with pytest.raises(NotFoundError, match="no bucket for beta"):
        sealed.bucket(BETA, "c-beta")
    with pytest.raises(NotFoundError):
        SealedVault(tmp_path / "new").bucket(ACME, "c-acme")


def test_a_bucket_is_given_to_its_own_tenant_only(sealed):
    for deed in (
        lambda: sealed.bucket(BETA, "c-acme"),
        lambda: sealed.put(BETA, "c-acme", "KEY", "mine"),
        lambda: sealed.remove(BETA, "c-acme", None),
    ):
        with pytest.raises(WrongSubjectError, match="another tenant's"):
            deed()
    assert values(sealed) == {"KEY": "planted one"}


def test_a_bucket_without_variables_is_none(sealed):
    sealed.put(ACME, "c-acme", "OTHER", "2")
    sealed.remove(ACME, "c-acme", "OTHER")
    assert values(sealed) == {"KEY": "planted one"}
    sealed.remove(ACME, "c-acme", "KEY")
    assert sealed.names() == {}
    with pytest.raises(NotFoundError):
        sealed.bucket(ACME, "c-acme")
    with pytest.raises(NotFoundError):
        sealed.remove(ACME, "c-acme", None)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("key", "1", FormatError),
        ("KEY", "", FormatError),
        ("KEY", "a\nb", FormatError),
        ("HIVE_TOKEN", "1", NotEntitledError),
    ],
)
def test_what_no_bucket_may_hold_is_not_put_in(sealed, name, value, error):
    with pytest.raises(error):
        sealed.put(ACME, "c-acme", name, value)
    assert values(sealed) == {"KEY": "planted one"}


@pytest.mark.parametrize("collection_id", ["", "a b", "../x", "x" * 65, "ä"])
def test_a_collection_id_has_one_spelling(sealed, collection_id):
    with pytest.raises(FormatError):
        sealed.put(ACME, collection_id, "KEY", "1")


@pytest.mark.parametrize("change", ["box", "key", "cut", "schema", "another-spelling"])
def test_a_changed_file_opens_nothing(sealed, tmp_path, change):
    file, key = tmp_path / "vault/sealed.json", tmp_path / "vault/sealed.key"
    document = json.loads(file.read_bytes())
    if change == "box":
        document["box"] = document["box"][:-1] + ("0" if document["box"][-1] != "0" else "1")
    elif change == "schema":
        document["schema"] += "2"
    elif change == "key":
        key.write_bytes(bytes(32))
    content = json.dumps(document, separators=(",", ":"), sort_keys=True)
    if change == "cut":
        content = content[:-10]
    elif change == "another-spelling":
        content += "\n"
    file.write_text(content)
    with pytest.raises((KeyAccessError, FormatError)):
        sealed.bucket(ACME, "c-acme")
    with pytest.raises((KeyAccessError, FormatError)):
        sealed.put(ACME, "c-acme", "NEW", "1")
    assert file.read_text() == content


def test_a_key_that_is_gone_is_not_replaced_by_a_new_one(sealed, tmp_path):
    (tmp_path / "vault/sealed.key").unlink()
    before = (tmp_path / "vault/sealed.json").read_bytes()
    with pytest.raises(KeyAccessError, match="is gone"):
        sealed.put(ACME, "c-acme", "NEW", "1")
    assert not (tmp_path / "vault/sealed.key").exists()
    assert (tmp_path / "vault/sealed.json").read_bytes() == before


def test_the_key_may_lie_elsewhere(tmp_path):
    config = HiveConfig(state=str(tmp_path / "state"), vault_credentials=str(tmp_path / "keys/vault.key"))
    sealed_vault(config).put(ACME, "c-acme", "KEY", "1")
    assert [path.name for path in (tmp_path / "state/vault").iterdir()] == ["sealed.json"]
    assert (tmp_path / "keys/vault.key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "keys/vault.key").chmod(0o644)
    with pytest.raises(KeyAccessError):
        sealed_vault(config).bucket(ACME, "c-acme")


# --- which vault ----------------------------------------------------------------------------------------

BW = {
    "vault": "bw",
    "vault_url": "https://vault.example",
    "vault_organization": "00000000-0000-4000-8000-000000000000",
    "vault_credentials": "/nowhere",
}


def chosen(tmp_path, **settings):
    return open_vault(HiveConfig(state=str(tmp_path / "state"), **settings), lambda: None)


def test_without_a_setting_it_is_the_sealed_one(tmp_path):
    for settings in ({}, {"vault": "sealed"}):
        with chosen(tmp_path, **settings) as vault:
            assert isinstance(vault, SealedVault)
    assert isinstance(chosen(tmp_path, **BW), BwVault)
    with pytest.raises(UsageError, match="no vault 'pass'"):
        chosen(tmp_path, vault="pass")


@pytest.mark.parametrize("missing", ["vault_url", "vault_organization", "vault_credentials"])
def test_a_real_vault_needs_all_its_settings(tmp_path, missing):
    with pytest.raises(UsageError, match=missing.replace("_", " ")):
        chosen(tmp_path, **{key: value for key, value in BW.items() if key != missing})


@pytest.mark.parametrize(
    "url",
    [
        "http://vault.example",
        "vault.example",
        "https://vault.example/",
        "https://Vault.example",
        "https://user:planted@vault.example",
        "https://vault.example?x=1",
        "https://vault.example#x",
        "https://vault.example:0",
        "https://vault.example\n",
        "https://",
        "not a url",
    ],
)
def test_an_address_has_one_spelling(tmp_path, url):
    with pytest.raises(FormatError) as caught:
        chosen(tmp_path, **{**BW, "vault_url": url})
    assert "planted" not in str(caught.value.to_document())


def test_the_client_s_folder_may_not_lie_where_jails_are(tmp_path):
    with pytest.raises(UsageError, match="below the jails"):
        chosen(tmp_path, **BW, jail_root_base=str(tmp_path))
    chosen(tmp_path, **BW, jail_root_base=str(tmp_path / "jails"))
