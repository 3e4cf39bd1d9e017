"""Claude marketplaces: every form of source, and lists that point where they should not."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from repo_server.curation.sources import Fetched, Hit, parse_address
from signing.errors import (
    ConflictError,
    DigestMismatchError,
    FormatError,
    NotFoundError,
    PolicyError,
    SkillRepoError,
    UsageError,
)
from signing.format.finding import Severity
from tests.repo_server.curation.sources.marketplaces import (
    EXPECTED,
    digests,
    expected_files,
    look,
    observed,
    take,
)
from tests.support.loopback_claude_marketplace import recorded_marketplace
from tests.support.loopback_repository import EXECUTABLE, LINK, FakeRepository
from tests.support.loopback_site import LoopbackSite, Page

NAME = "northwind-tools/marketplace"
AT = f"claude-marketplace:{NAME}"
COMMIT = EXPECTED["commits"][f"claude-marketplace {NAME}"]
TOOLBOX = EXPECTED["commits"]["skills-sh quiet-desk/toolbox"]
LIST = ".claude-plugin/marketplace.json"


def skill_md(name: str, **metadata: str) -> bytes:
    """A decent SKILL.md; ``licence`` is its licence."""
    lines = [f"name: {name}", "description: Does a thing"]
    lines += [f"license: {metadata['licence']}"] if "licence" in metadata else []
    return "\n".join(["---", *lines, "---", "", "Do it.", ""]).encode()


@pytest.fixture
def recorded() -> Iterator[LoopbackSite]:
    with LoopbackSite(recorded_marketplace()) as site:
        yield site


def bases(site: LoopbackSite, **more: str) -> dict[str, str]:
    # The recorded bytes, which the commit is made of, keep the placeholder of the server's own address.
    return {"github-api": site.url, "github-raw": site.url, "github": "__BASE_URL__", **more}


class Desk:
    """A marketplace in memory, with one other repository beside it."""

    def __init__(self, site: LoopbackSite) -> None:
        self.site = site
        self.other = FakeRepository(
            "quiet-desk/toolbox",
            {
                "skills/one/SKILL.md": skill_md("one", licence="MIT"),
                "deep/plugin/skills/two/SKILL.md": skill_md("two", licence="MIT"),
            },
        )
        site.routes |= self.other.routes("v1")

    def list(
        self,
        *plugins: Any,
        files: Mapping[str, bytes] | None = None,
        modes: Mapping[str, str] | None = None,
        **top: Any,
    ) -> FakeRepository:
        """Serve a marketplace that lists ``plugins`` and holds ``files``."""
        document = {"name": "m", "plugins": list(plugins)} | top
        held = {LIST: json.dumps(document).encode()} | dict(files or {})
        market = FakeRepository("o/m", held, modes)
        self.site.routes |= market.routes()
        return market

    def take(self, wanted: str) -> Fetched:
        return take(f"claude-marketplace:o/m#{wanted}", bases(self.site, github="https://github.com"))

    def look(self, query: str) -> tuple[Hit, ...]:
        return look("claude-marketplace", query, bases(self.site, github="https://github.com"))


@pytest.fixture
def desk() -> Iterator[Desk]:
    with LoopbackSite({}) as site:
        yield Desk(site)


def plugin(source: Any = "./", **more: Any) -> dict[str, Any]:
    return {"name": "p", "source": source} | more


ONE = {"skills/one/SKILL.md": skill_md("one", licence="MIT")}


# --- recorded -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "release"),
    [
        ("table-skills/csv-summarizer", "csv-summarizer@1.0.1"),
        ("table-skills/image-renamer", "image-renamer@0.3.2"),
        ("writing-desk/release-notes-writer", "release-notes-writer@2.1.0"),
        ("toolbox-pinned-subdir/meeting-notes-polisher", "meeting-notes-polisher@1.1.0"),
        ("toolbox-pinned-subdir/deploy-quickstart", "deploy-quickstart@1.2.0"),
        ("toolbox-pinned-url/meeting-notes-polisher", "meeting-notes-polisher@1.1.0"),
        ("toolbox-unpinned/deploy-quickstart", "deploy-quickstart@1.2.0"),
    ],
)
def test_recorded_skills(recorded: LoopbackSite, wanted: str, release: str) -> None:
    result = take(f"{AT}#{wanted}", bases(recorded))
    if wanted.startswith("toolbox-pinned-subdir"):
        assert result.resolved["path"].startswith(".agents/skills/")
    assert digests(result) == expected_files(release)
    assert result.address == f"{AT}@{COMMIT}#{wanted}"
    assert result.resolved["marketplace_commit"] == COMMIT
    assert result.resolved["commit"] == (TOOLBOX if wanted.startswith("toolbox") else COMMIT)
    assert ("unpinned" in observed(result, Severity.LOOK)) == wanted.startswith("toolbox-unpinned")
    again = take(f"{AT}#{wanted}", bases(recorded))
    assert (again.tree.digest, again.address, again.resolved) == (
        result.tree.digest,
        result.address,
        result.resolved,
    )
    assert take(result.address, bases(recorded)).tree.digest == result.tree.digest


def test_the_five_forms_of_sources(recorded: LoopbackSite) -> None:
    wanted = {
        "table-skills/csv-summarizer": "path",
        "writing-desk/release-notes-writer": "path",
        "toolbox-pinned-subdir/deploy-quickstart": "git-subdir",
        "toolbox-pinned-url/deploy-quickstart": "url",
        "toolbox-unpinned/deploy-quickstart": "github",
    }
    forms = {name: take(f"{AT}#{name}", bases(recorded)).resolved["source_form"] for name in wanted}
    assert forms == wanted


def test_what_else_a_plugin_installs_is_named(recorded: LoopbackSite) -> None:
    result = take(f"{AT}#writing-desk/release-notes-writer", bases(recorded))
    said = {o.check: o.message for o in result.observations if o.severity is Severity.LOOK}
    assert set(said) == {f"source.left-out-{kind}" for kind in ("hooks", "mcpservers", "commands")}
    assert "hooks/hooks.json, hooks/start.sh" in said["source.left-out-hooks"]
    assert ".mcp.json" in said["source.left-out-mcpservers"]
    assert "commands/minutes.md" in said["source.left-out-commands"]
    assert result.suggested_version == "2.1.0"
    assert result.resolved["plugin_version"] == "1.4.0"
    assert all(not path.startswith(("hooks", ".mcp", "commands")) for path in result.tree.files)
    assert [path for path in recorded.requests if "/hooks/" in path or path.endswith(".mcp.json")] == []


def test_several_skills_are_named_in_the_error(recorded: LoopbackSite) -> None:
    with pytest.raises(ConflictError, match="meeting-notes-polisher, release-notes-writer") as caught:
        take(f"{AT}#writing-desk", bases(recorded))
    assert caught.value.facts["matches"] == ["meeting-notes-polisher", "release-notes-writer"]
    with pytest.raises(NotFoundError) as missing:
        take(f"{AT}#writing-desk/other", bases(recorded))
    assert "meeting-notes-polisher" in missing.value.hint


def test_a_link_inside_a_skill_is_refused_and_one_beside_it_is_not(recorded: LoopbackSite) -> None:
    with pytest.raises(FormatError, match="symbolic link"):
        take(f"{AT}#toolbox-pinned-subdir/glossary-helper", bases(recorded))
    assert take(f"{AT}#toolbox-pinned-subdir/deploy-quickstart", bases(recorded)).tree.digest


def test_search_lists_what_can_be_imported(recorded: LoopbackSite) -> None:
    hits = {hit.name: hit for hit in look("claude-marketplace", NAME, bases(recorded))}
    assert list(hits) == [
        *("table-skills/csv-summarizer", "table-skills/image-renamer"),
        *("writing-desk/meeting-notes-polisher", "writing-desk/release-notes-writer"),
        *("toolbox-pinned-subdir", "toolbox-pinned-url", "toolbox-unpinned"),
    ]
    for hit in hits.values():
        assert str(parse_address(hit.address)) == hit.address
    assert hits["table-skills/image-renamer"].address == f"{AT}@{COMMIT}#table-skills/image-renamer"
    assert hits["toolbox-unpinned"].facts["kept in"] == "quiet-desk/toolbox at no commit"
    assert TOOLBOX in hits["toolbox-pinned-url"].facts["kept in"]
    assert not any("quiet-desk" in path for path in recorded.requests)
    (only,) = look("claude-marketplace", f"{NAME} IMAGE", bases(recorded))
    assert only.name == "table-skills/image-renamer"
    inside = look("claude-marketplace", f"{NAME}#toolbox-pinned-subdir", bases(recorded))
    assert [hit.name.partition("/")[2] for hit in inside] == [
        "deploy-quickstart",
        "glossary-helper",
        "meeting-notes-polisher",
    ]


# --- where a list may point -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "skill"),
    [
        pytest.param({"source": "github", "repo": "quiet-desk/toolbox"}, "one", id="github"),
        pytest.param({"source": "github", "repo": "quiet-desk/toolbox", "ref": "v1"}, "one", id="github-ref"),
        pytest.param({"source": "url", "url": "https://github.com/quiet-desk/toolbox"}, "one", id="url"),
        pytest.param(
            {"source": "url", "url": "https://github.com/quiet-desk/toolbox.git", "path": "./deep/plugin"},
            "two",
            id="path",
        ),
        pytest.param(
            {"source": "git-subdir", "url": "quiet-desk/toolbox", "path": "deep/plugin/"},
            "two",
            id="shorthand",
        ),
    ],
)
def test_sources_without_a_commit_are_resolved_and_pointed_out(desk: Desk, source: Any, skill: str) -> None:
    desk.list(plugin(source))
    result = desk.take("p")
    assert result.address.endswith(f"#p/{skill}")
    assert result.resolved["commit"] == desk.other.commit
    assert observed(result, Severity.LOOK) == {"unpinned"}
    assert result.publisher == "github.com/quiet-desk"


def test_a_pinned_commit_is_taken_exactly(desk: Desk) -> None:
    later = FakeRepository("quiet-desk/toolbox", {"skills/one/SKILL.md": skill_md("one") + b"Later.\n"})
    desk.site.routes |= later.routes("v1")
    source = {"source": "github", "repo": "quiet-desk/toolbox", "ref": "v1", "sha": desk.other.commit}
    desk.list(plugin(source))
    result = desk.take("p")
    assert result.tree.skill_md == skill_md("one", licence="MIT")
    assert result.resolved["commit"] == desk.other.commit
    assert "unpinned" not in observed(result, Severity.LOOK)
    assert not any(
        "/commits/v1" in path or "/commits/main" in path for path in desk.site.requests if "toolbox" in path
    )


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        pytest.param("../other", FormatError, "clean", id="parent"),
        pytest.param("./a/../../b", FormatError, "clean", id="inner-parent"),
        pytest.param("/etc", FormatError, "clean", id="absolute"),
        pytest.param("./a\\b", FormatError, "holds", id="backslash"),
        pytest.param("./nowhere", NotFoundError, "no folder", id="missing-folder"),
        pytest.param(None, FormatError, "neither", id="none"),
        pytest.param(["./"], FormatError, "neither", id="list"),
        pytest.param({}, FormatError, "of the form none", id="no-form"),
        pytest.param({"source": "npm", "package": "x"}, FormatError, "of the form npm", id="npm"),
        pytest.param({"source": "github"}, FormatError, "owner/repo", id="no-repo"),
        pytest.param({"source": "github", "repo": "o/../x"}, FormatError, "owner/repo", id="repo-escape"),
        pytest.param(
            {"source": "url", "url": "https://github.com/o"}, FormatError, "owner/repo", id="no-name"
        ),
        pytest.param(
            {"source": "git-subdir", "url": "quiet-desk/toolbox"}, FormatError, "no path", id="no-path"
        ),
        pytest.param(
            {"source": "git-subdir", "url": "quiet-desk/toolbox", "path": "../x"},
            FormatError,
            "clean",
            id="path-escape",
        ),
        pytest.param(
            {"source": "github", "repo": "quiet-desk/toolbox", "sha": "main"},
            FormatError,
            "not a commit",
            id="sha-branch",
        ),
        pytest.param(
            {"source": "github", "repo": "quiet-desk/toolbox", "sha": "abc1234"},
            FormatError,
            "not a commit",
            id="sha-short",
        ),
        pytest.param(
            {"source": "github", "repo": "quiet-desk/toolbox", "sha": None},
            FormatError,
            "not a commit",
            id="sha-null",
        ),
        pytest.param(
            {"source": "github", "repo": "quiet-desk/toolbox", "ref": "--x"},
            FormatError,
            "not a branch",
            id="ref-option",
        ),
        pytest.param(
            {"source": "url", "url": "https://tools.example/x.git"},
            PolicyError,
            "not declared",
            id="other-host",
        ),
        pytest.param(
            {"source": "url", "url": "https://github.com.tools.example/x/y"},
            PolicyError,
            "not declared",
            id="look-alike",
        ),
        pytest.param(
            {"source": "url", "url": "https://github.com@tools.example/x/y"},
            PolicyError,
            "not declared",
            id="user",
        ),
        pytest.param(
            {"source": "url", "url": "ssh://git@tools.example/x/y"}, PolicyError, "not declared", id="ssh"
        ),
        pytest.param({"source": "url", "url": "file:///etc"}, PolicyError, "not declared", id="file"),
        pytest.param({"source": "url", "url": "ext::sh -c x"}, FormatError, "no url", id="ext"),
        pytest.param(
            {"source": "url", "url": "https://gitlab.com/x/y.git"},
            FormatError,
            "names no commit",
            id="no-commit",
        ),
    ],
)
def test_sources_that_are_refused(desk: Desk, source: Any, error: type[SkillRepoError], words: str) -> None:
    market = desk.list(plugin(source), files=ONE)
    with pytest.raises(error, match=words) as caught:
        desk.take("p")
    assert type(caught.value) is error
    assert str(caught.value).isprintable()
    assert not any("toolbox" in path for path in desk.site.requests)
    assert not any(path.startswith(f"/o/m/{market.commit}/skills") for path in desk.site.requests)


def test_a_sha_that_is_no_commit_of_that_repository(desk: Desk) -> None:
    desk.list(plugin({"source": "github", "repo": "quiet-desk/toolbox", "sha": "a" * 40}))
    with pytest.raises(NotFoundError):
        desk.take("p")


def test_bytes_that_are_not_of_the_commit(desk: Desk) -> None:
    market = desk.list(plugin(), files=ONE)
    desk.site.routes[f"/o/m/{market.commit}/skills/one/SKILL.md"] = Page(skill_md("one") + b"More.\n")
    with pytest.raises(DigestMismatchError):
        desk.take("p")
    desk.site.routes[f"/o/m/{market.commit}/{LIST}"] = Page(b'{"plugins": []}')
    with pytest.raises(DigestMismatchError):
        desk.take("p")


def test_the_plugin_root_of_the_list(desk: Desk) -> None:
    files = {f"plugins/p/{path}": content for path, content in ONE.items()}
    desk.list(plugin("p"), files=files, metadata={"pluginRoot": "./plugins"})
    assert desk.take("p").resolved["path"] == "plugins/p/skills/one"
    desk.list(plugin("p"), files=files, metadata={"pluginRoot": "../plugins"})
    with pytest.raises(FormatError, match="clean"):
        desk.take("p")


# --- which of a plugin's files are its skills -----------------------------------------------------------------------


def test_strict_and_lists(desk: Desk) -> None:
    files = ONE | {"more/two/SKILL.md": skill_md("two"), "more/three/SKILL.md": skill_md("three")}
    for changes, names in (
        ({}, ["one"]),
        ({"skills": ["./more/two"]}, ["two", "one"]),
        ({"skills": "./more"}, ["three", "two", "one"]),
        ({"strict": False}, ["one"]),
        ({"strict": False, "skills": ["./more/two/"]}, ["two"]),
    ):
        desk.list(plugin(**changes), files=files)
        assert [hit.name for hit in desk.look("o/m#p")] == [f"p/{name}" for name in names]
    manifest = {".claude-plugin/plugin.json": json.dumps({"skills": "./more/two"}).encode()}
    desk.list(plugin(), files=files | manifest)
    assert [hit.name for hit in desk.look("o/m#p")] == ["p/two", "p/one"]


@pytest.mark.parametrize(
    ("changes", "manifest", "words"),
    [
        pytest.param({"strict": "no"}, {}, "neither true nor false", id="strict-text"),
        pytest.param({"strict": False}, {"hooks": {}}, "declares hooks", id="both-define"),
        pytest.param({"strict": False}, {"skills": []}, "declares skills", id="both-skills"),
        pytest.param({"skills": ["./gone"]}, {}, "not there", id="missing"),
        pytest.param({"skills": ["../x"]}, {}, "clean", id="escape"),
        pytest.param({"skills": ["./skills/one", "./skills/One"]}, {}, "twice", id="twins"),
        pytest.param({"skills": [5]}, {}, "list of paths", id="no-text"),
        pytest.param({"skills": {"a": 1}}, {}, "list of paths", id="object"),
        pytest.param({}, {"skills": ["../../etc"]}, "clean", id="manifest-escape"),
        pytest.param({}, {"skills": ["./skills/two"]}, "not there", id="manifest-missing"),
        pytest.param({}, [], "not an object", id="manifest-list"),
    ],
)
def test_definitions_that_contradict(desk: Desk, changes: dict[str, Any], manifest: Any, words: str) -> None:
    files = ONE | ({".claude-plugin/plugin.json": json.dumps(manifest).encode()} if manifest != {} else {})
    desk.list(plugin(**changes), files=files)
    with pytest.raises(FormatError, match=words):
        desk.take("p")


def test_a_plugin_that_is_one_skill_comes_whole_and_says_so(desk: Desk) -> None:
    files = {"x/SKILL.md": skill_md("x"), "x/hooks/hooks.json": b"{}", "y/SKILL.md": skill_md("y")}
    desk.list(plugin("./x"), files=files)
    result = desk.take("p")
    assert list(result.tree.files) == ["SKILL.md", "hooks/hooks.json"]
    assert observed(result, Severity.LOOK) == {"whole-plugin"}
    assert desk.take("p/p").tree.digest == result.tree.digest
    desk.list(plugin("./x", skills=["./"]), files=files)
    assert observed(desk.take("p"), Severity.LOOK) == {"whole-plugin"}


def test_undeclared_folders_are_offered_with_a_word(desk: Desk) -> None:
    desk.list(plugin(), files={".agents/skills/x/SKILL.md": skill_md("x", licence="MIT")})
    assert observed(desk.take("p"), Severity.LOOK) == {"undeclared"}


def test_a_plugin_without_skills(desk: Desk) -> None:
    desk.list(plugin(), files={"commands/x.md": b"x", "skills/x/deep/SKILL.md": b"x"})
    with pytest.raises(NotFoundError, match="no skills"):
        desk.take("p")


def test_two_skills_of_one_name_are_told_apart_by_path(desk: Desk) -> None:
    desk.list(
        plugin(skills=["./more/one"]), files=ONE | {"more/one/SKILL.md": skill_md("one", licence="MIT")}
    )
    with pytest.raises(ConflictError, match="more/one, skills/one"):
        desk.take("p/one")
    result = desk.take("p/more/one")
    assert result.resolved["path"] == "more/one"
    assert result.address.endswith("#p/more/one")


def test_a_folder_whose_name_cannot_be_seen(desk: Desk) -> None:
    desk.list(plugin(), files={"skills/x\u202e/SKILL.md": skill_md("x")})
    with pytest.raises(FormatError, match="invisible") as caught:
        desk.take("p")
    assert str(caught.value).isprintable()
    (hit,) = desk.look("o/m")
    assert (hit.address, hit.name) == ("", "p/x<U+202E>")


def test_case_twins_inside_a_skill(desk: Desk) -> None:
    desk.list(plugin(), files=ONE | {"skills/one/skill.md": b"x"})
    with pytest.raises(FormatError, match="twins"):
        desk.take("p")


def test_a_linked_skill_md_is_no_skill(desk: Desk) -> None:
    path = "skills/one/SKILL.md"
    desk.list(plugin(), files={path: b"../../README.md"}, modes={path: LINK})
    with pytest.raises(FormatError, match="symbolic link"):
        desk.take("p")


def test_a_linked_plugin_folder_is_no_folder(desk: Desk) -> None:
    desk.list(plugin("./x"), files=ONE | {"x": b"."}, modes={"x": LINK})
    with pytest.raises(NotFoundError):
        desk.take("p")


def test_every_kind_of_component_is_named_wherever_it_is_declared(desk: Desk) -> None:
    entry = plugin(hooks={"SessionStart": []}, lspServers={"pyls": {}}, agents=["./a.md", 5])
    manifest = {"mcpServers": {"minutes\u202e": {}}, "hooks": "./config/hooks.json", "license": "MIT"}
    files = ONE | {
        ".claude-plugin/plugin.json": json.dumps(manifest).encode(),
        **dict.fromkeys(
            ("bin/x", "settings.json", "themes/t.json", "output-styles/o.md", "hooks/link"), b"x"
        ),
    }
    desk.list(entry, files=files, modes={"bin/x": EXECUTABLE, "hooks/link": LINK})
    said = {o.check.removeprefix("source.left-out-"): o.message for o in desk.take("p").observations}
    assert said.keys() == {
        "hooks",
        "mcpservers",
        "lspservers",
        "agents",
        "bin",
        "settings",
        "themes",
        "outputstyles",
    }
    assert all(text in said["hooks"] for text in ("hooks/link", "SessionStart", "./config/hooks.json"))
    assert "minutes<U+202E>" in said["mcpservers"]
    assert all(len(message) < 2_000 and message.isprintable() for message in said.values())


def test_versions_and_licences_of_the_plugin(desk: Desk) -> None:
    files = {"skills/one/SKILL.md": skill_md("one")}
    desk.list(plugin(version="1.4.0", license="Apache-2.0"), files=files)
    result = desk.take("p")
    assert (result.suggested_version, result.licence) == ("1.4.0", "Apache-2.0")
    assert observed(result, Severity.NOTE) == {"licence-of-plugin"}
    manifest = {".claude-plugin/plugin.json": b'{"version": "1.5.0", "license": "MIT"}'}
    desk.list(plugin(version="1.4.0", license="Apache-2.0"), files=files | manifest)
    result = desk.take("p")
    assert (result.suggested_version, result.licence) == ("1.5.0", "MIT")


# --- the list itself ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "error"),
    [
        (["p", "p"], FormatError),
        (["p", "P"], FormatError),
        (["P"], NotFoundError),
        (["\uff50"], NotFoundError),
        ([None], NotFoundError),
        ([], NotFoundError),
    ],
    ids=["twice", "twins", "other-case", "full-width", "no-name", "empty"],
)
def test_names_that_could_be_two_things(desk: Desk, names: list[Any], error: type[SkillRepoError]) -> None:
    desk.list(*(plugin(name=name) for name in names), files=ONE)
    with pytest.raises(error) as caught:
        desk.take("p")
    assert type(caught.value) is error


def test_an_endless_list(desk: Desk) -> None:
    desk.list(*({"name": f"n{number}", "source": "./"} for number in range(100_000)))
    with pytest.raises(FormatError):
        desk.take("p")
    with pytest.raises(FormatError):
        desk.look("o/m")


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"plugins": {}}', b'{"plugins": [1]}', b"<html>", b"\xff", b'{"a":1,"a":2}'],
)
def test_a_list_that_is_none(desk: Desk, content: bytes) -> None:
    desk.site.routes |= FakeRepository("o/m", {LIST: content}).routes()
    with pytest.raises(FormatError):
        desk.take("p")


def test_a_repository_that_is_no_marketplace(desk: Desk) -> None:
    desk.site.routes |= FakeRepository("o/m", ONE).routes()
    with pytest.raises(NotFoundError) as caught:
        desk.take("p")
    assert LIST in caught.value.hint


def test_a_bad_entry_hides_no_other(desk: Desk) -> None:
    desk.list(
        plugin("../x", name="bad\x1b[2J"),
        plugin(),
        plugin({"source": "url", "url": "https://tools.example/x"}, name="far"),
        plugin(name="a@b#c"),
        files=ONE,
    )
    hits = desk.look("o/m")
    assert [(bool(hit.address), hit.name) for hit in hits] == [
        (False, "bad<U+001B>[2J"),
        (True, "p/one"),
        (False, "far"),
        (True, "a@b#c/one"),
    ]
    assert "clean" in hits[0].facts["cannot be imported"]
    assert desk.take("p").tree.skill_md == skill_md("one", licence="MIT")
    assert desk.take("a@b#c").address.endswith("#a@b#c/one")


@pytest.mark.parametrize("query", ["", "x", "o/m/x", "o /m", "../m"])
def test_a_search_names_a_marketplace(desk: Desk, query: str) -> None:
    with pytest.raises(UsageError):
        desk.look(query)


# --- another git host -----------------------------------------------------------------------------------------------


@pytest.fixture
def git_root(tmp_path: Path) -> Path:
    folder = tmp_path / "host" / "x" / "tools.git"
    for path, content in {
        "sub/skills/one/SKILL.md": skill_md("one", licence="MIT"),
        "sub/hooks/hooks.json": b"{}",
        "sub/.claude-plugin/plugin.json": b'{"version": "3.1"}',
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    (folder / "sub" / "link").symlink_to("/etc")
    _git(folder, "init", "--quiet", "-b", "main")
    _git(folder, "add", "-A")
    _git(folder, "commit", "--quiet", "-m", "fixture")
    _git(folder, "config", "uploadpack.allowAnySHA1InWant", "true")
    return tmp_path / "host"


def _git(folder: Path, *words: str) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.invalid")
    done = subprocess.run(
        ["git", *identity, *words], cwd=folder, env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_a_plugin_on_another_git_host(desk: Desk, git_root: Path) -> None:
    commit = _git(git_root / "x" / "tools.git", "rev-parse", "HEAD")
    source = {"source": "git-subdir", "url": "https://codeberg.org/x/tools.git", "path": "sub", "sha": commit}
    desk.list(plugin(source))
    mirror = bases(desk.site, codeberg=f"file://{git_root}")
    result = take("claude-marketplace:o/m#p", mirror)
    assert result.tree.skill_md == skill_md("one", licence="MIT")
    assert result.resolved["commit"] == commit
    assert result.resolved["path"] == "sub/skills/one"
    assert result.resolved["repository"] == "https://codeberg.org/x/tools.git"
    assert not any(
        str(git_root) in text for text in (result.address, result.publisher, *result.resolved.values())
    )
    assert result.suggested_version == "3.1"
    assert observed(result, Severity.LOOK) == {"left-out-hooks"}
    desk.list(plugin(source | {"sha": "a" * 40}))
    with pytest.raises(NotFoundError):
        take("claude-marketplace:o/m#p", mirror)


# --- addresses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *(
            "o/m",
            "o/m#",
            "o/m#/x",
            "o/m#p/",
            "o/m#p/../x",
            "o/m#..",
            "o#p",
            "o/m/x#p",
            "o/m@#p",
            "o/m@a..b#p",
        ),
        *("o/m@-x#p", "o/m#p\\x", "../m#p", f"o/m#{'p' * 101}", "o/m#p/./x"),
    ],
)
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(FormatError):
        parse_address(f"claude-marketplace:{text}")


@pytest.mark.parametrize("text", ["o/m#p", "o/m#p/s", "o/m@v1.0/x#p/skills/s", f"o/m@{'a' * 40}#p"])
def test_addresses_read_back(text: str) -> None:
    address = parse_address(f"claude-marketplace:{text}")
    assert str(address) == address.recorded == f"claude-marketplace:{text}"
