"""An ordinary agent's installer, the real one (npm ``skills``), takes skills from our index over loopback.

``make skills-cli`` puts the client where this looks for it; SKILLS_CLI names another place. Without it, or without
node, these tests are skipped aloud. The client's telemetry is off, and a guard inside its process refuses and notes
every connection to anything but this machine.
"""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from signing.format.withdrawal import Withdrawn
from tests.support.withdrawing import withdraw
from tests.support.world import PlainServer, World, skill_md

ROOT = Path(__file__).parents[2]
PLACE = ROOT / ".venv/share/skills-cli/node_modules/skills/bin/cli.mjs"
GUARD = Path(__file__).with_name("only_loopback.cjs")
V2, V1 = "/.well-known/agent-skills/index.json", "/.well-known/skills/index.json"


def _client() -> tuple[str, Path]:
    node, client = shutil.which("node"), Path(os.environ.get("SKILLS_CLI", PLACE))
    if node is None or not client.is_file():
        pytest.skip(
            f"the real client was NOT run: needs node, and npm's skills at {client} (make skills-cli)"
        )
    return node, client


@dataclass
class Installer:
    node: str
    client: Path
    home: Path

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run ``skills WORDS`` in a home of its own; it may talk to this machine only, and try nothing else."""
        noted = self.home / "refused"
        done = subprocess.run(
            [self.node, "--require", str(GUARD), str(self.client), *words],
            cwd=self.home,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.home),
                "ONLY_LOOPBACK": str(noted),
                "DISABLE_TELEMETRY": "1",
                "DO_NOT_TRACK": "1",
                "CI": "1",
                "NO_COLOR": "1",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert not noted.exists(), noted.read_text()
        return done

    def add(self, url: str, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run("add", url, "--yes", "--copy", "--agent", "claude-code", *words)

    @property
    def installed(self) -> dict[str, bytes]:
        """Every file below the agent's folder of skills."""
        folder = self.home / ".claude/skills"
        return {
            str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
        }


@pytest.fixture
def installer(tmp_path: Path) -> Installer:
    node, client = _client()
    (tmp_path / "home").mkdir()
    return Installer(node, client, tmp_path / "home")


def archive_url(server: PlainServer, name: str) -> str:
    index = json.loads((server.root / V2.lstrip("/")).read_bytes())
    (entry,) = [entry for entry in index["skills"] if entry["name"] == name]
    return "/" + entry["url"].removeprefix("../../")


def test_the_guard_refuses_and_notes_what_is_elsewhere(installer: Installer) -> None:
    with pytest.raises(AssertionError, match=r"skills\.example"):
        installer.add("https://skills.example")
    assert not installer.installed


def test_a_skill_is_installed_with_every_file(world: World, installer: Installer) -> None:
    with world.serve() as server:
        done = installer.add(server.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert installer.installed["web-search/SKILL.md"] == skill_md("web-search")
    assert installer.installed["web-search/scripts/run.sh"] == b"#!/bin/sh\nexit 0\n"
    assert server.asked_for("/targets/skills/web-search/1.0/") == 1
    assert server.asked_for("/.well-known/skills/web-search/") == 0  # by v0.2, whose digests it verifies
    lock = json.loads((installer.home / "skills-lock.json").read_bytes())
    assert lock["skills"]["web-search"]["sourceType"] == "well-known"


def test_one_of_several_is_installed_by_name(world: World, installer: Installer) -> None:
    world.publish_skill("pdf-tools==1.0")
    with world.serve() as server:
        done = installer.add(server.url, "--skill", "pdf-tools")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.partition("/")[0] for path in installer.installed} == {"pdf-tools"}


def test_other_bytes_than_the_digest_says_are_not_installed(world: World, installer: Installer) -> None:
    """Another archive under the URL: a good one, of another skill of ours, so that nothing but the digest is wrong."""
    world.publish_skill("pdf-tools==1.0", {"SKILL.md": skill_md("pdf-tools", body="Not what was asked for.")})
    with world.serve() as server:
        lie, truth = archive_url(server, "web-search"), archive_url(server, "pdf-tools")
        server.lies[lie] = (server.root / truth.lstrip("/")).read_bytes()
        done = installer.add(server.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert server.asked_for(lie) == 1
    assert {path.partition("/")[0] for path in installer.installed} == {"pdf-tools"}


def test_a_lying_index_installs_nothing(world: World, installer: Installer) -> None:
    """The digest in the index is wrong, and there is no v0.1 (without digests) to fall back to."""
    with world.serve() as server:
        index = json.loads((server.root / V2.lstrip("/")).read_bytes())
        index["skills"][0]["digest"] = f"sha256:{'0' * 64}"
        server.lies[V2] = json.dumps(index).encode()
        server.missing.add(V1)
        done = installer.add(server.url)
    assert done.returncode == 1
    assert "No skills found" in done.stdout + done.stderr
    assert not installer.installed


def test_the_client_falls_back_to_v1_which_has_no_digests(world: World, installer: Installer) -> None:
    """What docs/agents.md warns of: when nothing of v0.2 holds, this client takes v0.1 as it is served."""
    with world.serve() as server:
        server.lies[archive_url(server, "web-search")] = b"damaged"
        done = installer.add(server.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert server.asked_for("/.well-known/skills/web-search/SKILL.md") == 1
    assert installer.installed["web-search/SKILL.md"] == skill_md("web-search")


@pytest.mark.parametrize(
    "state",
    [
        Withdrawn.REVOKED,
        *(
            pytest.param(state, marks=pytest.mark.slow)
            for state in Withdrawn
            if state is not Withdrawn.REVOKED
        ),
    ],
    ids=str,
)
def test_what_is_withdrawn_is_not_offered(world: World, installer: Installer, state: Withdrawn) -> None:
    world.publish_skill("web-search==1.1", {"SKILL.md": skill_md("web-search", body="Anew.")})
    withdraw(world, "web-search==1.1", state=state)
    with world.serve() as server:
        assert installer.add(server.url).returncode == 0
        assert installer.installed["web-search/SKILL.md"] == skill_md("web-search")
        withdraw(world, "web-search==1.0", state=state)
        shutil.rmtree(installer.home / ".claude")
        assert installer.add(server.url).returncode == 1
    assert not installer.installed


def test_the_index_leads_to_the_review(world: World) -> None:
    """What this client passes over: the signed review that stands beside every archive, by digest."""
    from signing.format.digest import sha256_of
    from signing.format.envelope import Envelope

    index = json.loads((world.public / V2.lstrip("/")).read_bytes())
    (entry,) = index["skills"]
    review = (world.public / ".well-known/agent-skills" / entry["review"]).resolve().read_bytes()
    assert entry["review_digest"] == f"sha256:{sha256_of(review)}"
    assert entry["version"] == "1.0"
    assert Envelope.parse(review).signatures
