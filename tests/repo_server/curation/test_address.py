from pathlib import Path

import pytest

from repo_server.curation.sources import (
    ArchiveAddress,
    FolderAddress,
    GitAddress,
    parse_address,
    source_of,
    sources,
)
from repo_server.curation.sources.clawhub import ClawHubAddress
from repo_server.curation.sources.github import GitHubAddress
from repo_server.curation.sources.github_api import RepositoryName
from repo_server.curation.sources.skills_sh import SkillsShAddress
from signing.errors import FormatError, UsageError

O_R = RepositoryName("o", "r.x")
C = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("skills/web-search", FolderAddress("skills/web-search")),
        (".", FolderAddress(".")),
        ("x.zip", ArchiveAddress("x.zip")),
        ("dir/X.TAR.GZ", ArchiveAddress("dir/X.TAR.GZ")),
        ("x.tgz", ArchiveAddress("x.tgz")),
        (f"git+https://h.example/r.git@{C}", GitAddress("https://h.example/r.git", C, "", local=False)),
        (
            f"git+https://h.example:8443/r@{C}#a/b",
            GitAddress("https://h.example:8443/r", C, "a/b", local=False),
        ),
        (f"git+ssh://git@h.example/r@{C}", GitAddress("ssh://git@h.example/r", C, "", local=False)),
        (f"git+/srv/r@{C}#s", GitAddress("/srv/r", C, "s", local=True)),
        (f"git+file:///srv/r@{C}", GitAddress("file:///srv/r", C, "", local=True)),
        ("clawhub:@o/s", ClawHubAddress("o", "s", None)),
        ("clawhub:@o-1/s.x@1.0.1", ClawHubAddress("o-1", "s.x", "1.0.1")),
        ("github:o/r.x", GitHubAddress(O_R, "", None)),
        ("github:o/r.x@v1.2", GitHubAddress(O_R, "", "v1.2")),
        ("github:o/r.x/skills/a b@feature/y", GitHubAddress(O_R, "skills/a b", "feature/y")),
        (f"github:o/r.x/.agents/skills/x@{C}", GitHubAddress(O_R, ".agents/skills/x", C)),
        ("skills-sh:o/r.x/skill", SkillsShAddress(O_R, "skill", None)),
        (f"skills-sh:o/r.x/skill@{C}", SkillsShAddress(O_R, "skill", C)),
    ],
)
def test_addresses_are_read_and_printed_again(text: str, address: object) -> None:
    assert parse_address(text) == address
    assert str(parse_address(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "a\nb", "a\u202eb", "x" * 3_000, "https://h.example/x.zip", "ftp://x", "npm:thing", "C:x"),
        *(
            "clawhub:s",
            "clawhub:o/s",
            "clawhub:@o",
            "clawhub:@o/",
            "clawhub:@o/s@",
            "clawhub:@o/../x",
            "clawhub:@\u043e/s",
        ),
        *("clawhub:@o/s?x=1", "clawhub:@o/s@1/../2", "clawhub:@o/S"),
        *("github:o", "github:o/", "github:/r", "github:o/..", "github:o/r/", "github:o/r//x", "github:o/r@"),
        *("github:o/r/../x", "github:o/r/a\\b", "github:o/r@a..b", "github:o/r@-x", "github:o/r@a b"),
        *(
            "github:-o/r",
            "github:o/r?x",
            "github:o/r#x",
            "github:o/r@x.lock",
            "github:\u043e/r",
            "github:o/r@x@y",
        ),
        *("skills-sh:o/r", "skills-sh:o/r/", "skills-sh:o/r/s/t", "skills-sh:o/r/s@", "skills-sh:o/r/.."),
        *("http:x", "base:x", "gitobjects:x", "GITHUB:o/r", "Clawhub:@o/s", "folder:x"),
        *("git+https://h.example/r", "git+https://h.example/r@main", f"git+https://h.example/r@{C[:12]}"),
        *(
            f"git+https://h.example/r@{C.upper()}",
            f"git+https://h.example/r@{C}0",
            f"git+http://h.example/r@{C}",
        ),
        *(
            f"git+git://h.example/r@{C}",
            f"git+ext::sh -c touch% /tmp/x@{C}",
            f"git+ext::sh@{C}",
            f"git+git@h.example:o/r@{C}",
        ),
        *(
            f"git+--upload-pack=touch@{C}",
            f"git+-x@{C}",
            f"git+https://u:p@h.example/r@{C}",
            f"git+https://u@h.example/r@{C}",
        ),
        *(
            f"git+ssh://-oProxyCommand=x/r@{C}",
            f"git+ssh://git:p@h/r@{C}",
            f"git+https:///r@{C}",
            f"git+https://h.example@{C}",
        ),
        *(
            f"git+https://h.example/r?x@{C}",
            f"git+https://h:x/r@{C}",
            f"git+https://h.example/r@{C}#../x",
            f"git+relative@{C}",
        ),
        *(
            f"git+https://h.example/r@{C}#/abs",
            f"git+https://h.example/r@{C}#a//b",
            f"git+@{C}",
            f"git+file://h/r@{C}",
        ),
    ],
)
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_address(text)
    assert caught.value.where.startswith("address")
    assert caught.value.exit_status == 10


def test_hints_say_what_to_write() -> None:
    with pytest.raises(FormatError) as caught:
        parse_address("git+https://h.example/r@main")
    assert "git ls-remote" in caught.value.hint
    with pytest.raises(FormatError) as caught:
        parse_address("clawhub:csv-summarizer")
    assert "clawhub:@owner/slug" in caught.value.hint


def test_an_unknown_source_is_told_the_known_ones() -> None:
    with pytest.raises(FormatError) as caught:
        parse_address("npm:thing")
    assert "clawhub:@owner/slug@1.0.1" in caught.value.hint
    assert "github:owner/repo" in caught.value.hint
    with pytest.raises(UsageError) as asked:
        source_of("npm")
    assert "skills-sh" in asked.value.hint


def test_nothing_but_a_listed_module_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    imported: list[str] = []
    monkeypatch.setattr("importlib.import_module", imported.append)
    for scheme in ("os", "..candidates", "repo_server", "__init__", "sources", "x.y", "well_known", ""):
        with pytest.raises((FormatError, UsageError)):
            source_of(scheme)
    assert not any(name.rpartition(".")[2] in {"os", "candidates", "repo_server"} for name in imported)


def test_every_source_and_every_server_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "sources.md").read_text("utf-8")
    for scheme, source in sources().items():
        assert f"`{scheme}:" in page
        for key in source.bases:
            assert f"`{key}`" in page, key


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("skills_sh:o/r/s", "write skills-sh:…, in these letters"),
        ("ClawHub:@o/s", "write clawhub:…, in these letters"),
        ("CLAUDE_MARKETPLACE:o/r#p", "write claude-marketplace:…, in these letters"),
        ("skills-sh:", "write it like skills-sh:owner/repo/skill"),
        ("github:x", "write it like github:owner/repo/skills/name@v1.2"),
        ("clawhub:@o/s/", "write it like clawhub:@owner/slug@1.0.1"),
        ("claude-marketplace:o#p", "write it like claude-marketplace:owner/repo#plugin/skill"),
    ],
)
def test_a_wrong_spelling_is_told_the_right_one(text: str, hint: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_address(text)
    assert caught.value.hint == hint
