"""Every recorded skill version imports with exactly the files that it is known to have."""

import json
from collections.abc import Iterator

import pytest

from repo_server.curation.sources import SourceSettings
from signing.errors import PolicyError, RejectedError
from signing.format.digest import sha256_of
from tests.repo_server.curation.material import fetched
from tests.support.loopback_clawhub import EXPECTED, LoopbackClawHub
from tests.support.loopback_github import COMMITS, MARKETPLACES, SKILLS, TOOLBOX, recorded_github
from tests.support.loopback_site import LoopbackSite
from tests.support.loopback_skills_sh import recorded_skills_sh

OWNERS = {
    path.stem.removeprefix("GET_api_v1_skills_"): json.loads(path.read_text("utf-8"))["owner"]["handle"]
    for path in (MARKETPLACES / "clawhub").glob("GET_api_v1_skills_*.json")
    if "owner" in json.loads(path.read_text("utf-8"))
}
# What ClawHub's moderation withholds, and what GitHub's copy holds besides its files.
WITHHELD = {"deploy-quickstart@1.2.0"}
LINKED = {"glossary-helper@1.0.0"}
# The repositories hold the last version of each; of each the folder.
ON_GITHUB = {
    "csv-summarizer@1.0.1": (SKILLS, "skills"),
    "image-renamer@0.3.2": (SKILLS, "skills"),
    "release-notes-writer@2.1.0": (SKILLS, "skills"),
    "deploy-quickstart@1.2.0": (TOOLBOX, ".agents/skills"),
    "glossary-helper@1.0.0": (TOOLBOX, ".agents/skills"),
    "meeting-notes-polisher@1.1.0": (TOOLBOX, ".agents/skills"),
}


@pytest.fixture(scope="module")
def settings() -> Iterator[SourceSettings]:
    with LoopbackClawHub() as hub, LoopbackSite(recorded_github() | recorded_skills_sh()) as site:
        others = dict.fromkeys(("github-api", "github-raw", "skills-sh"), site.url)
        yield SourceSettings(bases={"clawhub": hub.url} | others)


def check(address: str, settings: SourceSettings, expected: str) -> None:
    result = fetched(address, settings=settings)
    files = {path: sha256_of(file.content) for path, file in result.tree.files.items()}
    assert files == EXPECTED[expected]["files"]


@pytest.mark.parametrize("release", sorted(EXPECTED))
def test_clawhub(release: str, settings: SourceSettings) -> None:
    name, _, version = release.partition("@")
    address = f"clawhub:@{OWNERS[name]}/{name}@{version}"
    if release in WITHHELD:
        with pytest.raises(PolicyError):
            fetched(address, settings=settings)
    else:
        check(address, settings, release)


@pytest.mark.parametrize("release", sorted(ON_GITHUB))
@pytest.mark.parametrize("scheme", ["github", "skills-sh"])
def test_github_and_skills_sh(scheme: str, release: str, settings: SourceSettings) -> None:
    name = release.partition("@")[0]
    repository, folder = ON_GITHUB[release]
    commit = COMMITS[repository]
    path = f"{folder}/{name}" if scheme == "github" else name
    address = f"{scheme}:{repository}/{path}@{commit}"
    if release in LINKED:
        with pytest.raises(RejectedError, match="symbolic link"):
            fetched(address, settings=settings)
    else:
        check(address, settings, release)


def test_the_table_is_complete() -> None:
    assert {release.partition("@")[0] for release in EXPECTED} == set(OWNERS)
    assert set(ON_GITHUB) | {"csv-summarizer@1.0.0", "meeting-notes-polisher@1.0.0"} == set(EXPECTED)
