"""Where blobs are: what may stand in ``[blobs]``, and who may read the credentials."""

from pathlib import Path

import pytest

from repo_server.config import RepositoryConfig
from repo_server.storage.choose import BlobSettings
from repo_server.storage.local import LocalBlobs
from signing.errors import FormatError, KeyAccessError

GOOD = {
    "url": "s3://clawdie-blobs/skills",
    "endpoint": "https://s3.example.net",
    "region": "eu-central-1",
    "credentials": "/usr/local/etc/skillrepo/s3.toml",
}


def test_without_a_table_blobs_stand_beside_the_repository(tmp_path: Path) -> None:
    assert isinstance(BlobSettings.from_toml({}, where="x").open(tmp_path), LocalBlobs)
    assert "[blobs]" not in RepositoryConfig().render()


@pytest.mark.parametrize("url", ["s3://clawdie-blobs/skills", "s3://clawdie-blobs", "s3://b.c-d/a/b_c/d.e"])
def test_what_is_written_is_read_back(tmp_path: Path, url: str) -> None:
    config = RepositoryConfig(blobs=BlobSettings.from_toml({**GOOD, "url": url}, where="x"))
    (tmp_path / "repository.toml").write_text(config.render())
    assert RepositoryConfig.load(tmp_path) == config


@pytest.mark.parametrize(
    "change",
    [
        {"url": "https://bucket/x"},
        {"url": "s3://UPPER"},
        {"url": "s3://b"},
        {"url": "s3://bucket/../other"},
        {"url": "s3://bucket/a/b/c/d/e"},
        {"url": "s3://key:secret@bucket"},
        {"endpoint": "http://s3.example.net"},
        {"endpoint": "https://key:secret@s3.example.net"},
        {"endpoint": "https://"},
        {"endpoint": "https://[::1"},
        {"endpoint": "https://s3.example.net:many"},
        {"endpoint": "https://s3.example.net/#x"},
        {"endpoint": "s3.example.net"},
        {"region": ""},
        {"region": "eu central"},
        {"credentials": "s3.toml"},
        {"credentials": 1},
        {"key_id": "AK"},
    ],
    ids=str,
)
def test_what_may_not_stand_there(change: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        BlobSettings.from_toml({**GOOD, **change}, where="repository.toml: blobs")


def test_all_of_it_or_nothing() -> None:
    for key in GOOD:
        with pytest.raises(FormatError):
            BlobSettings.from_toml({name: value for name, value in GOOD.items() if name != key}, where="x")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_credentials_that_others_can_read_are_not_used(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "s3.toml"
    path.write_text('key_id = "AK"\nsecret = "not-to-be-seen"\n')
    path.chmod(mode)
    settings = BlobSettings.from_toml({**GOOD, "credentials": str(path)}, where="x")
    with pytest.raises(KeyAccessError, match="others") as refused:
        settings.open(tmp_path)
    assert "not-to-be-seen" not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["", "key_id = 1", 'key_id = "AK"', 'key_id = "AK"\nsecret = ""', "\xff", "x"]
)
def test_credentials_that_are_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "s3.toml"
    path.write_text(text, encoding="latin-1")
    path.chmod(0o600)
    settings = BlobSettings.from_toml({**GOOD, "credentials": str(path)}, where="x")
    with pytest.raises(FormatError):
        settings.open(tmp_path)


def test_a_link_is_no_file_of_credentials(tmp_path: Path) -> None:
    (tmp_path / "real").write_text('key_id = "AK"\nsecret = "x"\n')
    (tmp_path / "real").chmod(0o600)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    settings = BlobSettings.from_toml({**GOOD, "credentials": str(tmp_path / "link")}, where="x")
    with pytest.raises(KeyAccessError):
        settings.open(tmp_path)
