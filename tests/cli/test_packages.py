"""Package repositories by commands: appoint, publish, go back, publish over HTTPS, renew; what each exit status says."""

import shutil
from pathlib import Path

import pytest

from tests.cli.session import Desk
from tests.cli.warm import WarmDesk
from tests.repo_server.pkgrepo.poudriere_tree import MASTER, NAME, hook_environment, logs_of, make_tree
from tests.support.publishing import make_build

DATA = Path(__file__).parents[1] / "data" / "pkg"
REPO = "FreeBSD:14:amd64/latest"
WHERE = ("--abi", "FreeBSD:14:amd64", "--channel", "latest")

pytestmark = pytest.mark.slow


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_from_poudriere_to_the_served_tree(desk: Desk) -> None:
    with WarmDesk(desk) as warm:
        _story(desk, warm)


def _story(desk: Desk, warm: WarmDesk) -> None:
    repo = ("skillrepo", "--repo", "r")
    env = {"XDG_CACHE_HOME": str(desk.folder / "cache"), "XDG_STATE_HOME": str(desk.folder / "state")}
    desk.json("skillrepo", "init", "r", "--dev", "--curators", "2")
    own = ("--keys", "r/keys", "--passphrase-file", "r/keys/passphrase")
    desk.json(*repo, *own, "pkg", "key", "new", "pkg-14")
    key = str(next(desk.folder.rglob("pkg-14.pkg.key")))
    env["SKILLREPO_PKG_PASSPHRASE_FILE"] = str(desk.folder / "r/keys/passphrase")
    packages = make_tree(desk.folder / "poudriere")
    words = ("pkg", "publish", "--packages", str(packages), *WHERE, "--build", str(logs_of(packages)))
    words = (*words, "--key", key)

    secret = {"SKILLREPO_PASSPHRASE_FILE": _secret(desk)}
    desk.json("skillrepo", "--keys", "host", "key", "new", "host-1", env=secret)
    public = str(desk.folder / "host/host-1.pub.json")

    # The build host: its own keys, its own anchor.
    shutil.copy(desk.folder / "r/trust-anchor.json", desk.folder / "host/trust-anchor.json")
    host = {**env, "SKILLREPO_PASSPHRASE_FILE": _secret(desk), "SKILLREPO_KEYS": str(desk.folder / "host")}
    host |= {"SKILLREPO_AS": "host-1"}
    host |= {"SKILLREPO_ONLINE_PASSPHRASE_FILE": str(desk.folder / "r/keys/passphrase")}
    refused = desk.json(*repo, *words, "--allow-failed", status=12, env=host)
    assert "the key of host-1 does not build" in refused["error"]["message"]

    first = desk.json(*repo, "pkg", "builder", REPO, "--key", public, "--as", "curator-1")
    assert (first["complete"], first["missing"], first["published"]) == (False, ["curator-2"], False)
    second = desk.json(*repo, "pkg", "builder", REPO, "--key", public, "--as", "curator-2")
    assert (second["builder"], second["published"]) == ("host-1", True)
    status = warm.json(*repo, "status")
    mine = {"repository": REPO, "builders": ["host-1"], "serial": 0, "packages": 0, "expires": None}
    assert mine in status["packages"]

    _, hook = hook_environment("bulk-done", packages)
    not_whole = desk.json(*repo, *words, status=12, env={**host, **hook})
    assert "not whole" in not_whole["error"]["message"]
    done = desk.json(*repo, *words, "--allow-failed", env={**host, **hook})
    assert (done["state"], done["serial"], done["pkg_site_checked"]) == ("published", 1, True)
    for more in ((), ("--rehash",)):
        again = desk.json(*repo, *words, *more, "--allow-failed", env=host)
        assert (again["state"], again["serial"], again["sent"]) == ("unchanged", 1, 0)
    index = desk.folder / "r/public/pkg/FreeBSD:14:amd64/latest/repo.json"
    assert f'"master":"{MASTER}","name":"{NAME}"'.encode() in index.read_bytes()

    renewed = desk.json(*repo, "pkg", "renew", REPO, env=host)
    assert renewed["serial"] == 1
    feed = str(next((DATA / "audit").glob("*.xml")))
    listed = desk.json(*repo, "pkg", "advisories", feed, "--as", "curator-1")
    assert listed["advisories"] > 0
    assert (desk.folder / "r/public/pkg/vuln.xml").exists()
    text = desk.run(*repo, "status").stdout
    assert f"packages  {REPO}  serial 1, 4 packages, built by host-1" in text

    _far_away(desk, host, key)


def _far_away(desk: Desk, host: dict[str, str], key: str) -> None:
    repo = ("skillrepo", "--repo", "r")
    token = desk.run(
        *repo, "token", "new", "--scope", f"publish-pkg:{REPO}", "--expires", "7", "--name", "host-1"
    )
    (desk.folder / "token").write_text(token.stdout)
    (desk.folder / "token").chmod(0o600)
    curator = desk.run(*repo, "token", "new", "--scope", "curate", "--expires", "7", "--name", "curator-1")
    (desk.folder / "curate").write_text(curator.stdout)
    (desk.folder / "curate").chmod(0o600)
    build = make_build(desk.folder / "next", {"demo-agent": "9.0", "demo-base": "9.0"})
    words = ("pkg", "publish", "--packages", str(build), *WHERE, "--key", key)
    host.pop("SKILLREPO_ONLINE_PASSPHRASE_FILE")
    with desk.serving(*repo, "serve", "--desk", "--port", "0") as url:
        far = ("skillrepo", "--repo", url, "--token-file", "token", "--mirror", "mirror")
        done = desk.json(*far, *words, env=host)
        assert (done["state"], done["serial"], done["pkg_site_checked"]) == ("published", 2, True)
        older = make_build(desk.folder / "older", {"demo-agent": "1.0", "demo-base": "9.0"})
        back = ("pkg", "publish", "--packages", str(older), *WHERE, "--key", key)
        refused = desk.json(*far, *back, status=12, env=host)
        assert "older than what was published" in refused["error"]["message"]
        done = desk.json(*far, *back, "--allow-downgrade", "9.0 does not start", env=host)
        assert done["gate"]["changes"]["downgraded"] == ["demo-agent-9.0 -> 1.0"]
        assert desk.json(*far, "pkg", "renew", REPO, env=host)["serial"] == 3
        other = ("--abi", "FreeBSD:15:amd64", "--channel", "latest")
        wrong = desk.json(
            *far, "pkg", "publish", "--packages", str(build), *other, "--key", key, status=3, env=host
        )
        assert "nobody is appointed" in wrong["error"]["message"]
        feed = str(next((DATA / "audit").glob("*.xml")))
        curate = (
            "skillrepo",
            "--repo",
            url,
            "--token-file",
            "curate",
            "--mirror",
            "mirror",
            "--keys",
            "r/keys",
        )
        mine = {
            "SKILLREPO_TRUST_ANCHOR": "r/trust-anchor.json",
            "SKILLREPO_PASSPHRASE_FILE": "r/keys/passphrase",
        }
        listed = desk.json(*curate, "pkg", "advisories", feed, "--as", "curator-2", env=mine)
        assert (listed["added"], listed["lost"]) == ([], [])


def _secret(desk: Desk) -> str:
    path = desk.folder / "secret"
    path.write_text("a passphrase of the build host")
    path.chmod(0o600)
    return str(path)
