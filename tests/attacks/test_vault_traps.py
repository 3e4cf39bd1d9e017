"""The nine ways in which the real `bw` exits 0 and is wrong: each is shown to be there, and to be refused by us.

Against a Bitwarden-speaking server of our own on loopback https, with the real client (make bw-cli). Slow: the
client takes seconds for each command.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hive.vault.bw import BwVault, forget_login
from hive.vault.bw_command import BwProgram, Said
from hive.vault.bw_settings import BwSettings
from hive.vault.secret import Secret
from signing.errors import (
    CouldNotVerifyError,
    KeyAccessError,
    NotFoundError,
    TransportError,
)
from signing.format.names import parse_tenant_id
from tests.support.fake_bitwarden import PASSWORD, FakeBitwarden

PLACE = Path(__file__).parents[2] / ".venv/share/bw/node_modules/.bin/bw"
PROGRAM = Path(os.environ.get("BW_CLI", PLACE))
ACME, BETA, GAMMA = (parse_tenant_id(name) for name in ("acme", "beta", "gamma"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("node") is None or not PROGRAM.exists(),
        reason=f"the real client was NOT run: needs node, and bw at {PROGRAM} (make bw-cli)",
    ),
]


class Scene:
    """A server, and a folder in which the client is logged in and was unlocked once."""

    def __init__(self, folder: Path, server: FakeBitwarden) -> None:
        self.folder, self.server = folder, server
        self.session = Secret(b"")
        self.buckets = {name: collection_id for collection_id, name in server.collections.items()}

    @property
    def settings(self) -> BwSettings:
        return BwSettings(
            program=str(PROGRAM),
            url=self.server.url,
            organization_id=self.server.organization_id,
            credentials_file=self.write_credentials(),
            folder=self.folder / "bw",
        )

    def write_credentials(self, **other: str) -> Path:
        values = {
            "client_id": self.server.client_id,
            "client_secret": self.server.client_secret,
            "password": PASSWORD,
            "ca_file": str(self.server.ca_file),
            **other,
        }
        path = self.folder / "vault.toml"
        path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
        path.chmod(0o600)
        return path

    def bw(self, *words: str, **secrets: Secret) -> Said:
        """Run the client as somebody would who trusts its exit status."""
        program = BwProgram.open(str(PROGRAM), self.folder / "bw", ca_file=self.server.ca_file)
        try:
            return program.run(*words, secrets={"BW_SESSION": self.session, **secrets})
        finally:
            program.close()

    def log_in(self) -> Said:
        return self.bw(
            "login",
            "--apikey",
            BW_CLIENTID=Secret(self.server.client_id.encode()),
            BW_CLIENTSECRET=Secret(self.server.client_secret.encode()),
        )

    def unlock(self) -> Said:
        return self.bw("unlock", "--passwordenv", "PW", "--raw", PW=Secret(PASSWORD.encode()))

    def fetch(self, tenant=ACME, collection_id=None) -> dict[str, str]:
        """Fetch one bucket as the hive does."""
        with BwVault(self.settings, lambda: datetime.now(UTC)) as vault:
            bucket = vault.bucket(tenant, collection_id or self.buckets[tenant])
            return {name: secret.reveal().decode() for name, secret in bucket.variables.items()}


@pytest.fixture(scope="module")
def _logged_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("vault")
    server = FakeBitwarden(folder)
    server.add_bucket("acme", {"OPENROUTER_API_KEY": "sk-acme", "GREETING": "good morning"})
    server.add_bucket("beta", {"OPENROUTER_API_KEY": "sk-beta", "ONLY_BETAS": "sk-only"})
    gamma = server.add_collection("gamma")
    server.add_marker(gamma, "gamma", ["ONLY_BETAS"])
    scene = Scene(folder, server)
    for done in (scene.bw("config", "server", server.url), scene.log_in(), unlocked := scene.unlock()):
        assert done.status == 0, done.words
    scene.session = Secret(unlocked.out.strip())
    assert scene.bw("sync", "--force").status == 0
    yield scene
    server.stop()
    assert server.unhandled == []


@pytest.fixture
def scene(_logged_in: Scene, tmp_path: Path) -> Iterator[Scene]:
    shutil.copytree(_logged_in.folder / "bw", tmp_path / "bw")
    scene = Scene(tmp_path, _logged_in.server)
    scene.session = _logged_in.session
    yield scene
    scene.server.faults.clear()
    scene.server.hidden.clear()
    scene.server.requests.clear()


def names(said: Said) -> list[str]:
    return sorted(item["name"] for item in json.loads(said.out))


def test_trap_1_two_filters_are_joined_by_or(scene: Scene) -> None:
    acme = scene.buckets[ACME]
    both = scene.bw("list", "items", "--collectionid", acme, "--organizationid", scene.server.organization_id)
    assert both.status == 0
    assert "ONLY_BETAS" in names(both)
    scene.server.requests.clear()
    assert scene.fetch() == {"OPENROUTER_API_KEY": "sk-acme", "GREETING": "good morning"}
    # A kept login: one token, one sync, whatever the number of buckets.
    assert scene.server.count("/identity/connect/token") == 1
    assert scene.server.count("/api/sync") == 1


def test_trap_2_a_collection_that_cannot_be_read_is_an_empty_list(scene: Scene) -> None:
    beta = scene.buckets[BETA]
    scene.server.hidden.add(beta)
    assert scene.bw("sync", "--force").status == 0
    listed = scene.bw("list", "items", "--collectionid", beta)
    assert (listed.status, names(listed)) == (0, [])
    with pytest.raises(NotFoundError, match="0 collections named beta"):
        scene.fetch(BETA)


def test_traps_3_and_4_a_login_without_its_sync_and_an_unlock_without_a_key(scene: Scene) -> None:
    scene.bw("logout")
    scene.server.faults["/api/sync"] = 500
    assert scene.log_in().status == 0
    assert json.loads(scene.bw("status").out)["lastSync"] is None
    unlocked = scene.unlock()
    assert (unlocked.status, unlocked.out.strip()) == (0, b"")
    with pytest.raises(TransportError, match="its sync failed"):
        scene.fetch()  # the login that was left is undone, and so is the one of our own
    scene.server.faults.clear()
    assert scene.fetch()["GREETING"] == "good morning"


@pytest.mark.parametrize("fault", ["drop", 500, "html"])
def test_trap_5_a_server_that_is_gone_is_answered_for_by_the_cache(scene: Scene, fault: int | str) -> None:
    scene.server.faults = {"/api/": fault, "/identity/": fault}
    if fault == "drop":
        listed = scene.bw("list", "items", "--collectionid", scene.buckets[ACME])
        assert (listed.status, len(names(listed))) == (0, 3)
    with pytest.raises(TransportError):
        scene.fetch()


def test_traps_6_and_7_two_at_once_each_get_a_whole_bucket(scene: Scene) -> None:
    """Lists during a sync come back empty, and of parallel unlocks one key works: so there are no two at once."""
    found: dict[str, object] = {}

    def fetch(tenant):
        found[tenant] = scene.fetch(tenant)

    workers = [threading.Thread(target=fetch, args=(tenant,)) for tenant in (ACME, BETA)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(300)
    assert found == {
        ACME: {"OPENROUTER_API_KEY": "sk-acme", "GREETING": "good morning"},
        BETA: {"OPENROUTER_API_KEY": "sk-beta", "ONLY_BETAS": "sk-only"},
    }


def test_trap_8_an_item_by_name_comes_from_whoever_has_it(scene: Scene) -> None:
    by_name = scene.bw("get", "item", "ONLY_BETAS")
    assert json.loads(by_name.out)["login"]["password"] == "sk-only"
    with pytest.raises(CouldNotVerifyError, match="missing ONLY_BETAS"):
        scene.fetch(GAMMA)


def test_trap_9_a_damaged_state_is_emptied_without_a_word(scene: Scene) -> None:
    data = scene.folder / "bw/data/data.json"
    data.write_text('{"half":')
    status = json.loads(scene.bw("status").out)
    assert (status["status"], status["serverUrl"]) == ("unauthenticated", None)
    data.write_text('{"half":')
    scene.server.requests.clear()
    assert scene.fetch()["GREETING"] == "good morning"
    assert scene.server.count("/identity/connect/token") == 2  # the login came to us, and so did the sync


@pytest.mark.parametrize("both", [True, False], ids=["with-its-client", "alone"])
@pytest.mark.parametrize("path", ["/identity/connect/token", "/api/sync"])
def test_killed_while_the_client_logs_in_the_next_run_has_the_bucket(
    scene: Scene, path: str, both: bool
) -> None:
    """The login is half done, on the server's side or on the disk; alone, the client goes on and holds the lock."""
    forget_login(scene.settings)
    scene.server.requests.clear()
    settings = scene.settings
    program = (
        "from datetime import UTC, datetime\nfrom pathlib import Path\n"
        "from hive.vault.bw import BwVault\nfrom hive.vault.bw_settings import BwSettings\n"
        f"settings = BwSettings(program={settings.program!r}, url={settings.url!r}, "
        f"organization_id={settings.organization_id!r}, credentials_file=Path({str(settings.credentials_file)!r}), "
        f"folder=Path({str(settings.folder)!r}))\n"
        f"BwVault(settings, lambda: datetime.now(UTC)).bucket('acme', {scene.buckets[ACME]!r})\n"
    )
    hive = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[2])
    until = time.monotonic() + 120
    while not scene.server.count(path):
        assert hive.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(hive.pid)], capture_output=True, text=True, check=True
    )
    hive.kill()
    hive.wait()
    if both:
        for pid in map(int, listed.stdout.split()):
            os.kill(pid, signal.SIGKILL)
    left = _content(scene.folder / "bw")
    assert PASSWORD.encode() not in left
    assert b"sk-acme" not in left
    assert scene.fetch() == {"OPENROUTER_API_KEY": "sk-acme", "GREETING": "good morning"}


def test_the_rate_limit_is_recognised_at_the_sync(scene: Scene) -> None:
    scene.server.faults["/identity/"] = 429
    with pytest.raises(TransportError, match="rate limit") as caught:
        scene.fetch()
    assert "try later" in caught.value.hint


def test_a_refused_login_says_why_and_shows_no_credential(scene: Scene) -> None:
    forget_login(scene.settings)
    settings = scene.settings
    scene.server.faults["/identity/"] = 429
    with pytest.raises(TransportError, match="bw login: the vault's rate limit"):
        scene.fetch()
    scene.server.faults.clear()
    for wrong, match in (
        ({"client_secret": "planted-1"}, "API key"),
        ({"password": "planted-2"}, "master password"),
    ):
        scene.write_credentials(**wrong)
        vault = BwVault(settings, lambda: datetime.now(UTC))
        with vault, pytest.raises(KeyAccessError, match=match) as caught:
            vault.bucket(ACME, scene.buckets[ACME])
        assert "planted" not in str(caught.value.to_document())


def test_what_is_left_on_disk(scene: Scene) -> None:
    """While logged in: the API key's secret, in clear. No session key and no value of an item. After logout: neither."""
    scene.fetch()
    left = _content(scene.folder / "bw")
    assert scene.server.client_secret.encode() in left
    for secret in (b"sk-acme", b"sk-beta", b"sk-only", b"good morning", PASSWORD.encode()):
        assert secret not in left
    forget_login(scene.settings)
    left = _content(scene.folder / "bw")
    assert scene.server.client_secret.encode() not in left


def _content(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
