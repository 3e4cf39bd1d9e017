"""Units and scripts of the repository start what exists, shut in, and keep the timestamp fresh."""

import configparser
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from repo_server.config import RepositoryConfig
from tests.deploy.test_services import DEPLOY, started, unit
from tests.docs.test_docs import check_call


def commands(path: Path) -> list[list[str]]:
    """Every command of ours in a unit, those in comments too: somebody will uncomment them."""
    lines = re.findall(r"^#?ExecStart=(.*)$", path.read_text(), re.MULTILINE)
    return [["skillrepo", *shlex.split(line)[1:]] for line in lines]


def service(path: Path) -> configparser.SectionProxy:
    return unit(path)["Service"]


@pytest.mark.parametrize("name", ["skillrepo", "skillrepo-refresh", "skillrepo-keeper"])
def test_units_start_what_exists_and_are_shut_in(name: str) -> None:
    path = DEPLOY / f"systemd/{name}.service"
    for call in commands(path):
        check_call(call)
    for key in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices"):
        assert service(path)[key] == "yes"
    assert service(path)["ProtectSystem"] == "strict"
    assert service(path)["CapabilityBoundingSet"] == ""


def test_the_passphrase_is_handed_over_as_a_file_and_the_service_reaches_no_key() -> None:
    for name in ("skillrepo-refresh", "skillrepo-keeper"):
        text = (DEPLOY / f"systemd/{name}.service").read_text()
        assert "LoadCredential=online.passphrase:" in text
        assert "--passphrase-file %d/online.passphrase" in text
    assert service(DEPLOY / "systemd/skillrepo.service")["InaccessiblePaths"].endswith("/keys")


def test_the_service_has_longer_to_end_than_its_requests() -> None:
    own = service(DEPLOY / "systemd/skillrepo.service")
    for call in commands(DEPLOY / "systemd/skillrepo.service"):
        assert int(call[call.index("--grace") + 1]) + 2 <= int(own["TimeoutStopSec"])
    assert own["ExecReload"] == "/bin/kill -HUP $MAINPID"


def test_the_keeper_of_freebsd_starts_what_exists(tmp_path: Path) -> None:
    (tmp_path / "repository.toml").write_text("")
    done = started("skillrepo_keeper", tmp_path, skillrepo_keeper_repo=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("RUN ")]
    words = shlex.split(line)
    assert words[1] == "/usr/sbin/daemon"
    call = ["skillrepo", *words[words.index("/usr/local/bin/skillrepo") + 1 :]]
    check_call(call)
    assert call[-3:] == ["refresh", "--every", "6h"]
    (tmp_path / "repository.toml").unlink()
    refused = started("skillrepo_keeper", tmp_path, skillrepo_keeper_repo=str(tmp_path))
    assert (refused.returncode, "RUN" in refused.stdout) == (1, False)


def test_logs_are_rotated_where_they_are_written() -> None:
    rules = (DEPLOY / "freebsd/skillrepo.newsyslog.conf").read_text().splitlines()
    found = {(line.split()[0], line.split()[-1]) for line in rules if line.startswith("/")}
    assert found == {
        (f"/var/log/{name}.log", f"/var/run/{name}.pid") for name in ("skillrepo", "skillrepo_keeper")
    }


def test_every_setting_of_the_example_loads_when_it_is_uncommented(tmp_path: Path) -> None:
    text = (DEPLOY / "repository.toml").read_text()
    text = re.sub(r'^# ?(\[[a-z]+\]|[a-z-]+ = ".*")$', r"\1", text, flags=re.MULTILINE)
    (tmp_path / "repository.toml").write_text(text)
    config = RepositoryConfig.load(tmp_path)
    assert config.published.bucket == "clawdie-published"
    assert config.blobs.bucket == "clawdie-blobs"
    assert config.published.credentials != config.blobs.credentials
    assert RepositoryConfig(published=config.published).render().count("[published]") == 1
    (tmp_path / "repository.toml").write_text(config.render())
    assert RepositoryConfig.load(tmp_path) == config
    assert tomllib.loads(config.render())["published"]["url"] == "s3://clawdie-published"
