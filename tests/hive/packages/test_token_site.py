"""Births by a package site that wants a token: the real service, and the real service behind a real nginx."""

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from werkzeug.serving import make_server

from hive.cli import cli
from repo_client.access_token import AccessToken
from repo_client.updater import Server
from repo_server.db.session import open_engine, transaction
from repo_server.tokens import Scope, new_token, revoke_token
from repo_server.web.app import create_app
from repo_server.web.config import WebConfig
from repo_server.web.pkg_guard import PullGuard
from signing.console import run
from signing.errors import TransportError
from signing.format.digest import sha256_of
from signing.format.names import HolderName
from tests.repo_server.desk.scene import _Quiet
from tests.repo_server.web.published import CatalogueInMemory, write
from tests.repo_server.web.test_nginx import NGINX, configure, free_port, running
from tests.support.harbour import Harbour
from tests.support.packages import AGENT, BASE
from tests.support.world import PACKAGES, jail_files, now

MINE, OTHERS = f"pull-pkg:{PACKAGES}", "pull-pkg:FreeBSD:15:amd64/latest"
WAYS = [
    "service",
    pytest.param(
        "nginx", marks=pytest.mark.skipif(not Path(NGINX).exists(), reason="nginx is not installed")
    ),
]


@dataclass
class Site:
    """The package site, and who may fetch from it."""

    url: str
    engine: Engine

    def token(self, scope: str = MINE) -> str:
        with transaction(self.engine) as session:
            _, text = new_token(
                session,
                name=HolderName("host"),
                scope=Scope.parse(scope),
                expires=now() + timedelta(days=1),
                now=now(),
            )
        return text


@pytest.fixture(params=WAYS)
def site(request: pytest.FixtureRequest, harbour: Harbour, tmp_path: Path) -> Iterator[Site]:
    """The harbour's packages as a publisher writes them, on a site with access = "tokens"; nowhere else any more."""
    root = tmp_path / "public" / "pkg"
    (tmp_path / "public" / "skills").mkdir(parents=True)
    write(root, f"serials/{PACKAGES}/1/repo.json", harbour.shelf.index.render())
    link = root / str(PACKAGES)
    link.parent.mkdir(parents=True)
    link.symlink_to(f"../serials/{PACKAGES}/1")
    for data in (BASE, AGENT):
        write(root, f"by-sha256/{sha256_of(data)}.pkg", data)
        del harbour.scene.server.lies[f"/pkg/by-sha256/{sha256_of(data)}.pkg"]
    with ExitStack() as stack:
        engine = open_engine(f"sqlite:///{tmp_path / 'repository.db'}")
        stack.callback(engine.dispose)
        port = stack.enter_context(serving(root, engine))
        url = f"http://127.0.0.1:{port}/pkg"
        if request.param == "nginx":
            front = free_port()
            (tmp_path / "nginx").mkdir()
            main = configure(tmp_path / "nginx", root.parent, front, service=port, tokens=True)
            for path in main.parent.glob("skillrepo*.conf"):  # no name of ours leads to a loopback address
                named = path.read_text().replace(
                    "server_name pkg.clawdie.si;", "server_name pkg.clawdie.si 127.0.0.1;"
                )
                path.write_text(named)
            stack.enter_context(running(main, front))
            url = f"http://127.0.0.1:{front}"
        yield Site(url, engine)


@contextmanager
def serving(root: Path, engine: Engine) -> Iterator[int]:
    config = WebConfig(skills_root=root.parent / "skills", pkg_root=root)
    guard = PullGuard(engine=engine, clock=now)
    app = create_app(config, catalogue=CatalogueInMemory(), clock=now, guard=guard)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def fetch_from(harbour: Harbour, site: Site, token: str | None) -> None:
    """Let this host fetch packages from ``site``, with ``token``."""
    server = Server.parse(site.url)
    shown = AccessToken.parse(token.encode(), origin=server.origin) if token is not None else None
    ask = (lambda: shown) if shown is not None else None
    client = replace(harbour.scene.mother.client, pkg_server=server, pkg_token=ask)
    harbour.scene.mother = replace(harbour.scene.mother, client=client)


def test_a_birth_shows_its_token_and_fetches(harbour: Harbour, site: Site) -> None:
    token = site.token()
    fetch_from(harbour, site, token)
    receipt = harbour.born()
    assert [item["package"] for item in receipt["packages"]] == ["demo-base-1.0.0", "demo-agent-1.2.1_1"]
    secret = token.split("_", 2)[2]
    assert secret not in str(receipt)
    for path in harbour.scene.mother.state.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path


@pytest.mark.parametrize(
    ("shown", "said"),
    [("none", "wants a token"), ("bad", "does not take our token"), ("revoked", "does not take our token")],
)
def test_without_a_good_token_nothing_comes(harbour: Harbour, site: Site, shown: str, said: str) -> None:
    token = site.token()
    if shown == "revoked":
        with transaction(site.engine) as session:
            revoke_token(session, token.split("_")[1], now=now())
    given = {"none": None, "bad": f"{token[:-4]}AAAA", "revoked": token}[shown]
    fetch_from(harbour, site, given)
    refusal = harbour.refused(TransportError)
    assert said in refusal.error.message
    assert token.split("_", 2)[2][:-4] not in str(refusal.error.to_document())
    assert jail_files(harbour.scene.mother) == {}


def test_a_token_for_another_repository_opens_nothing_and_the_right_one_continues(
    harbour: Harbour, site: Site
) -> None:
    fetch_from(harbour, site, site.token(OTHERS))
    refusal = harbour.refused(TransportError)
    assert "does not entitle" in refusal.error.message
    fetch_from(harbour, site, site.token())
    assert harbour.born()["status"] == "born"


def test_a_host_shows_the_token_of_its_file_and_says_it_nowhere(
    harbour: Harbour, site: Site, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    state, token = harbour.scene.mother.state, tmp_path / "pkg.token"
    (state / "anchor").write_bytes(harbour.scene.world.anchor)
    settings = tmp_path / "hive.toml"
    settings.write_text(
        f'state = "{state}"\nserver = "{harbour.scene.server.url}"\ntrust_anchor = "{state / "anchor"}"\n'
        f'pkg_server = "{site.url}"\npkg_token_file = "{token}"\nabi = "{PACKAGES.abi}"\n'
    )
    good = site.token()

    def ask(text: str) -> tuple[int, str]:
        token.write_text(text)
        token.chmod(0o600)
        with pytest.raises(SystemExit) as ended:
            run(
                cli,
                "hive",
                [
                    "--json",
                    "--config",
                    str(settings),
                    "policy",
                    "test",
                    "--tier",
                    "paid",
                    f"{PACKAGES}:demo-agent",
                ],
            )
        said = capfd.readouterr()
        for secret in (good, bad):
            assert secret.split("_", 2)[2][:-4] not in said.out + said.err
        return int(str(ended.value)), said.out

    bad = f"{good[:-4]}AAAA"
    status, said = ask(bad)
    assert (status, "does not take our token" in said) == (5, True)
    status, said = ask(f"{good}\n")
    assert (status, json.loads(said)["verdict"]) == (0, "admitted")
    assert good.split("_", 2)[2] not in "".join(harbour.scene.server.requests)
