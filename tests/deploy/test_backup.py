"""What docs/operating.md says about backup and restore, done word for word with a born tenant, into another folder."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hive import trust
from hive.birth.carry_out import birth
from hive.cli import cli
from hive.db.session import open_engine, transaction
from hive.host_key import HostKey
from repo_client.client import RepoClient
from signing.errors import RollbackError
from signing.format.names import parse_tenant_id
from tests.attacks.scene import Scene, open_scene
from tests.docs.test_docs import DOCS
from tests.support.open_gates import open_gate
from tests.support.world import World, now

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("tar") is None, reason="there is no tar"),
]
PAGE = DOCS / "operating.md"


def shell_of(heading: str) -> str:
    """The shell commands under a heading of the page."""
    section = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)
    (text,) = [part for part in section if part.startswith(f"{heading}\n")]
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```$", text, flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) == 1
    return str(blocks[0])


def run_as_written(heading: str, places: dict[str, Path]) -> None:
    text = shell_of(heading)
    for written, real in places.items():
        assert written in text, f"the page does not name {written} any more"
        text = text.replace(written, str(real))
    text = text.replace("python3 ", f"{sys.executable} ")
    done = subprocess.run(["sh", "-e", "-c", text], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def ask(folder: Path, *arguments: str) -> dict[str, Any]:
    words = ["--db", str(folder / "db/hive.db"), "--state", str(folder / "state"), "--json", *arguments]
    done = CliRunner().invoke(cli, words, standalone_mode=False)
    assert done.exception is None, done.exception
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


@pytest.fixture
def scene(world: World, tmp_path: Path) -> Iterator[Scene]:
    with open_scene(world, tmp_path / "scene") as scene:
        yield scene


def laid_out(scene: Scene, host: Path) -> tuple[RepoClient, Path]:
    """Give the scene's tenant a host with folders as the page has them; return its client."""
    (host / "db").mkdir(parents=True)
    state = host / "state"
    client = replace(scene.mother.client, metadata_dir=state / "metadata", store_dir=state / "store")
    engine = open_engine(f"sqlite:///{host / 'db/hive.db'}")
    scene.world.engines.append(engine)
    scene.mother = replace(
        scene.mother, engine=engine, client=client, state=state, gates=open_gate(engine, state)
    )
    scene.register("acme")
    birth(scene.mother, parse_tenant_id("acme"))
    return client, state


def test_what_was_backed_up_comes_back(scene: Scene, tmp_path: Path) -> None:
    old, backup, new = tmp_path / "old", tmp_path / "backup", tmp_path / "new"
    client, state = laid_out(scene, old)
    key = HostKey.open(state).held
    (state / "packages").mkdir()
    (state / "packages/large.pkg").write_bytes(b"x")
    (state / "bw").mkdir()
    (state / "bw/login").write_bytes(b"an API key")
    settings = old / "etc"
    settings.mkdir()
    (settings / "trust-anchor.json").write_bytes(scene.world.anchor)
    before, log = ask(old, "show-tenant", "acme"), ask(old, "audit", "verify")
    remembered = scene.remembered()
    backup.mkdir()
    assert (old / "db/hive.db-wal").stat().st_size > 0, "nothing is in the WAL: this test would prove nothing"
    run_as_written(
        "Backup",
        {"/var/db/hive/hive.db": old / "db/hive.db", "/var/db/hive/state": state}
        | {"/usr/local/etc/hive": settings, "/backup": backup},
    )
    assert not (backup / "new/hive.db").stat().st_mode & 0o077
    for path in (new / "db", new / "etc"):
        path.mkdir(parents=True)
    # An older database and its journal lie where the restore goes: a journal that stays would be played into the new file.
    shutil.copy(old / "db/hive.db", new / "db/hive.db")
    (new / "db/hive.db-wal").write_bytes((old / "db/hive.db-wal").read_bytes())
    run_as_written(
        "Restore",
        {"/var/db/hive/hive.db": new / "db/hive.db", "/var/db/hive/state": new / "state"}
        | {"/usr/local/etc/hive": new / "etc", "/backup": backup},
    )
    # The same tenant, the same log, the same keys, and no cache and no login of the vault.
    assert ask(new, "show-tenant", "acme") == before
    assert ask(new, "audit", "verify") == log
    assert HostKey.open(new / "state").held == key
    assert (new / "state/host-key/seed").stat().st_mode & 0o777 == 0o600
    assert (new / "etc/trust-anchor.json").read_bytes() == scene.world.anchor
    assert [(new / "state" / name).exists() for name in ("store", "packages", "bw")] == [False] * 3
    # The memory that stops rollback, twice: the client's, and the row in the database.
    restored = replace(client, metadata_dir=new / "state/metadata", store_dir=new / "state/store")
    found = {
        path.name.removesuffix(".json"): json.loads(path.read_bytes())["signed"]["version"]
        for path in (new / "state/metadata").glob("*.json")
    }
    assert found == remembered
    engine = open_engine(f"sqlite:///{new / 'db/hive.db'}")
    scene.world.engines.append(engine)
    with restored.session(now()) as session:
        standing = session.standing()
    older = replace(standing, timestamp=standing.timestamp - 1)
    with transaction(engine) as database:
        with pytest.raises(RollbackError):
            trust.remember(database, older)
        trust.remember(database, standing)
