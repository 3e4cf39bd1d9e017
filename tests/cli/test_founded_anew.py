"""Too few holders of root are left: a repository is founded anew, and each host is told so, on record."""

from pathlib import Path

import pytest

from tests.cli.session import Desk, skill_folder
from tests.cli.warm import WarmDesk

pytestmark = pytest.mark.slow


def found(warm: WarmDesk, repo: str) -> str:
    """Make a repository, publish one skill and one profile, and return its anchor."""
    at = ("skillrepo", "--repo", repo)
    anchor = str(
        warm.json("skillrepo", "init", repo, "--dev", "--curators", "2", "--bins", "2")["trust_anchor"]
    )
    candidate = warm.json(*at, "import", "web-search", "--version", "1.0")["candidate"]
    warm.run(*at, "review", candidate, "--approve", "--reason", "read", "--as", "curator-1")
    for name in ("curator-1", "curator-2"):
        warm.run(*at, "sign", candidate, "--as", name)
    warm.run(*at, "publish")
    warm.run(*at, "profile", "new", "base==1", "--skill", "web-search==1.0")
    warm.run(*at, "profile", "sign", "base==1", "--as", "operator-1")
    return anchor


def test_a_repository_founded_anew(tmp_path: Path) -> None:
    with WarmDesk(Desk(tmp_path)) as warm:
        skill_folder(tmp_path / "web-search", "web-search")
        old = found(warm, "old")
        database = ("hive", "--db", f"sqlite:///{tmp_path}/hive.db")
        jails = ("--jail-root-base", "jails")
        with warm.serving("skillrepo", "--repo", "old", "serve", "--host", "127.0.0.1", "--port", "0") as url:
            before = (*database, "--trust-anchor", old, "--server", url)
            for tenant in ("acme", "beta"):
                warm.run(
                    *before, "register-tenant", tenant, "--tier", "paid", "--profile", "base==1", "--scratch"
                )
            warm.run(*before, "birth", "acme", *jails)
        new = found(warm, "new")
        with warm.serving("skillrepo", "--repo", "new", "serve", "--host", "127.0.0.1", "--port", "0") as url:
            after = (*database, "--trust-anchor", new, "--server", url)
            # Nobody exchanges the anchor in passing: not by an option, and not by a new folder.
            refused = warm.json(*after, "birth", "beta", *jails, status=11)
            assert refused["error"]["code"] == "could-not-verify"
            assert not (tmp_path / "jails/beta").exists()
            shown = warm.json(*after, "trust", "show")
            replaced = warm.json(*after, "trust", "replace", new, "--reason", "root was lost", "--yes")
            assert replaced["before"] == shown["anchor_sha256"] != replaced["anchor_sha256"]
            born = warm.json(*after, "birth", "beta", *jails)
            assert (born["status"], born["skills"]) == ("born", ["web-search==1.0"])
            # The old anchor is none any more on this host either.
            warm.run(
                *database, "register-tenant", "gamma", "--tier", "paid", "--profile", "base==1", "--scratch"
            )
            stale = (*database, "--trust-anchor", old, "--server", url)
            assert (
                warm.json(*stale, "birth", "gamma", *jails, status=11)["error"]["code"] == "could-not-verify"
            )
            warm.run(*after, "audit", "verify")
            events = [item["event"] for item in warm.json(*after, "audit", "show")["records"]]
            assert any("trust" in event for event in events), events
