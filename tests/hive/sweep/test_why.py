"""`hive audit why`: who let this file into that jail, for every kind of file; and what nobody vouches for."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hive.cli import cli
from hive.jails.materialise import LOCK_PATH, SOUL_PATH
from hive.vault.provision import Provisioner
from hive.vault.secret import Secret
from signing.console import run
from signing.format.names import parse_tenant_id
from tests.support.harbour import Harbour, open_harbour
from tests.support.hurry import in_a_hurry
from tests.support.world import World

BOAT = parse_tenant_id("boat")
RECORD = "var/db/clawdie/packages/demo-base.json"
FILE, LINK = "usr/local/bin/demo-base", "usr/local/bin/demo-base-link"
CONFIG = "usr/local/etc/pkg.conf"
OWNER = (os.getuid() or 1001, os.getgid() or 1001)


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield


@pytest.fixture
def harbour(world: World, tmp_path: Path) -> Iterator[Harbour]:
    with open_harbour(world, tmp_path / "host") as harbour:
        harbour.born()
        yield harbour


@pytest.fixture
def why(harbour: Harbour, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], Any]:
    """Ask by the command; returns what it answered, and fails when it did not."""
    state = harbour.scene.mother.state
    settings = tmp_path / "hive.toml"
    settings.write_text(
        f'db = "{state / "hive.db"}"\nstate = "{state}"\njail_root_base = "{state / "jails"}"\n'
        f'jail_uid = "{OWNER[0]}"\njail_gid = "{OWNER[1]}"\n'
    )

    def asking(path: str) -> Any:
        with pytest.raises(SystemExit) as ended:
            run(cli, "hive", ["--json", "--config", str(settings), "audit", "why", "boat", path])
        said = json.loads(capsys.readouterr().out)
        return said if str(ended.value) == "0" else said["error"]

    return asking


def change(harbour: Harbour, path: str, content: bytes = b"changed") -> None:
    place = harbour.root / path
    place.chmod(0o644)
    place.write_bytes(content)


def test_a_file_of_a_package_names_its_admission_and_its_receipt(harbour: Harbour, why: Any) -> None:
    for path in (FILE, f"/{FILE}", RECORD):
        said = why(path)
        assert (said["admitted"], said["why"]) == (True, "installed from demo-base-1.0.0"), path
        assert [record["event"] for record in said["records"]] == ["admission", "package.installed"]
        assert said["records"][0]["facts"]["pin"] == "demo-base-1.0.0"
    links = [path for path in (harbour.root / "usr/local").rglob("*") if path.is_symlink()]
    for link in links:
        assert why(str(link.relative_to(harbour.root)))["admitted"]


def test_a_file_of_a_package_that_is_not_what_it_was(harbour: Harbour, why: Any) -> None:
    change(harbour, FILE)
    assert why(FILE)["why"] == "installed from demo-base-1.0.0, and changed since: it is drift"
    (harbour.root / FILE).unlink()
    assert why(FILE)["why"] == "installed from demo-base-1.0.0, and gone since: it is drift"
    (harbour.root / FILE).symlink_to("/etc/passwd")
    assert "and replaced since" in why(FILE)["why"]
    (harbour.root / FILE).unlink()
    os.mkfifo(harbour.root / FILE)
    said = why(FILE)
    assert (said["admitted"], "and replaced since" in said["why"]) == (False, True)
    (harbour.root / FILE).unlink()
    with (harbour.root / FILE).open("wb") as file:
        file.truncate(50 << 30)  # of holes: no more of it is read than tells it apart
    assert why(FILE)["why"].endswith("and changed since: it is drift")


def test_a_list_of_files_that_the_tenant_wrote_vouches_for_nothing(harbour: Harbour, why: Any) -> None:
    honest = (harbour.root / RECORD).read_bytes()
    evil = harbour.root / "usr/local/bin/evil"
    evil.write_bytes(b"evil")
    change(harbour, RECORD, honest.replace(FILE.encode(), b"usr/local/bin/evil-----"[: len(FILE)]))
    said = why("usr/local/bin/evil")
    assert not said["admitted"]
    assert "gone or altered" in said["why"]
    (harbour.root / RECORD).unlink()
    assert "gone or altered" in why(FILE)["why"]


def test_what_this_host_wrote_itself(harbour: Harbour, why: Any) -> None:
    for path in (SOUL_PATH, LOCK_PATH, CONFIG):
        said = why(path)
        assert (said["admitted"], said["why"]) == (True, "written by this host at the birth"), path
        assert said["records"]
        change(harbour, path)
        assert why(path)["why"].endswith("changed since: it is drift")
        (harbour.root / path).unlink()
        assert why(path)["why"] == "there is no such file"


def test_the_environment_file(harbour: Harbour, why: Any) -> None:
    env = harbour.root / "usr/home/agent/.env"
    asked = "usr/home/agent/.env"
    assert why(asked)["why"].startswith("no secrets were provisioned here")
    mother = harbour.scene.mother
    provisioner = Provisioner(
        engine=mother.engine, host=mother.host, state=mother.state, owner=OWNER, clock=mother.clock
    )
    provisioner.provision(
        None,  # type: ignore[arg-type] - the tenant has no bucket, so no vault is asked
        BOAT,
        own=lambda _: {"HIVE_URL": Secret(b"https://hive.example")},
    )
    said = why(asked)
    assert (said["admitted"], [r["event"] for r in said["records"]]) == (True, ["secrets.provisioned"])
    env.write_bytes(b"HIVE_URL=https://evil.example\n")
    said = why(asked)
    assert (said["admitted"], "changed since" in said["why"]) == (False, True)
    assert "evil.example" not in json.dumps(said)
    env.unlink()
    assert "gone since" in why(asked)["why"]
    provisioner.withdraw(BOAT)
    assert why(asked)["why"] == "the secrets were withdrawn, and nothing stands there"
    env.write_bytes(b"mine")
    assert "the tenant's own, or drift" in why(asked)["why"]


@pytest.mark.parametrize("path", ["usr/home/agent/notes.txt", "etc/passwd", "usr/local/bin/other", "usr"])
def test_what_nobody_vouches_for(harbour: Harbour, why: Any, path: str) -> None:
    place = harbour.root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        place.write_text("mine")
    said = why(path)
    assert (said["admitted"], said["records"]) == (False, [])
    assert said["why"] == "nobody vouches for this: it is the tenant's own, or drift"


@pytest.mark.parametrize(
    "path", ["../../etc/passwd", "usr/../etc/passwd", "usr//bin", "", "/", "usr/./bin", "//etc/passwd"]
)
def test_what_is_no_plain_path_is_refused_and_not_read(why: Any, path: str) -> None:
    assert why(path)["code"] == "unsafe-path"


def test_a_folder_that_leads_out_of_the_jail_is_not_followed(harbour: Harbour, why: Any) -> None:
    (harbour.root / "usr/local/bin").rename(harbour.root / "usr/local/aside")
    (harbour.root / "usr/local/bin").symlink_to("/bin")
    said = why(FILE)
    assert (said["admitted"], "and replaced since" in said["why"]) == (False, True)
