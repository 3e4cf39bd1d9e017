"""The documentation says what is so: commands exist, links lead somewhere, every error code is explained.

Commands are parsed with click's own parsers and not run; the tour in README.md is run by test_readme_tour.
"""

import importlib
import pkgutil
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hive.cli import cli as hive
from hive.config import HiveConfig
from repo_client.cli import cli as skillrepo_client
from repo_server.cli import cli as skillrepo
from repo_server.config import RepositoryConfig
from signing.errors import SkillRepoError

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
INDEX = DOCS / "README.md"
OTHERS = ("README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "deploy/README.md")
PAGES = sorted([*DOCS.rglob("*.md"), *(ROOT / name for name in OTHERS)])
PROGRAMS = {"skillrepo": skillrepo, "skillrepo-client": skillrepo_client, "hive": hive}
PACKAGES = ("signing", "repo_client", "repo_server", "hive")

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`((?:skillrepo|skillrepo-client|hive) [^`]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_ERROR_ROW = re.compile(r"^\| `([a-z-]+)` \| (\d+) \|", re.MULTILINE)
_ASSIGNMENT = re.compile(r"[A-Z_]+=")
_SEPARATORS = frozenset("();<>|&")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose_of(page: Path) -> str:
    return _FENCED.sub("", page.read_text())


def console_lines(text: str) -> Iterator[str]:
    """The lines of all console blocks, continued lines joined."""
    for language, block in _FENCED.findall(text):
        if language == "console":
            yield from block.replace("\\\n", " ").splitlines()


def calls_in(line: str) -> Iterator[list[str]]:
    """The calls of our programs in one line of a console block; none when it is output."""
    first = line.removeprefix("$ ").split(maxsplit=1)[:1]
    if not line.startswith("$ ") and (not first or first[0] not in PROGRAMS):
        return
    lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars=True)
    lexer.commenters = "#"
    lexer.whitespace_split = True  # punctuation_chars alone would split at : and @ too
    words: list[str] = []
    for word in [*lexer, ";"]:
        if not set(word) <= _SEPARATORS:
            words.append(word)
            continue
        while words and _ASSIGNMENT.match(words[0]):
            words.pop(0)
        if words and words[0] in PROGRAMS:
            yield words
        words = []


def check_call(words: list[str]) -> None:
    """Raise unless every command and option in ``words`` exists; values and required options are not looked at."""
    command: click.Command = PROGRAMS[words[0]]
    rest = words[1:]
    while True:
        context = click.Context(command, info_name=command.name)
        context.help_option_names = ["-h", "--help"]
        _, rest, _ = command.make_parser(context).parse_args(rest)
        if not isinstance(command, click.Group):
            assert not rest, f"too many arguments: {rest}"
            return
        if not rest or rest[0] == "…":
            return
        found = command.get_command(context, rest[0])
        assert found is not None, f"no command {rest[0]!r}"
        command, rest = found, rest[1:]


def written_calls() -> list[tuple[str, list[str]]]:
    return [
        (name_of(page), words)
        for page in PAGES
        for line in console_lines(page.read_text())
        for words in calls_in(line)
    ]


@pytest.mark.parametrize(
    ("page", "words"), written_calls(), ids=lambda value: value if isinstance(value, str) else " ".join(value)
)
def test_commands_in_console_blocks_exist(page: str, words: list[str]) -> None:
    try:
        check_call(words)
    except (click.UsageError, AssertionError) as error:
        pytest.fail(f"{page}: {' '.join(words)}: {error}")


def test_the_check_of_commands_can_fail() -> None:
    assert [words for _, words in written_calls()], "no commands found"
    for wrong in ("skillrepo nonsense", "hive birth acme --force", "skillrepo --json root sing X --as a"):
        with pytest.raises((click.UsageError, AssertionError)):
            check_call(wrong.split())
    assert list(calls_in("hive: error[usage]: x")) == []
    assert list(calls_in("$ A=1 hive birth x && skillrepo serve & # skillrepo y")) == [
        ["hive", "birth", "x"],
        ["skillrepo", "serve"],
    ]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_prose_exist(page: Path) -> None:
    for span in _INLINE.findall(prose_of(page)):
        words = span.replace("\n", " ").split()
        command: click.Command | None = PROGRAMS[words[0]]
        for word in words[1:]:
            if word.startswith("-") or word == "…" or not isinstance(command, click.Group):
                break
            command = command.get_command(click.Context(command), word)
            assert command is not None, f"`{span}` names no command"


def slug_of(heading: str) -> str:
    text = re.sub(r"[^\w\- ]", "", heading.lower())
    return text.strip().replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_resolve(page: Path) -> None:
    for link in _LINK.findall(prose_of(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        assert target.is_relative_to(ROOT), f"{link} leads out of the repository"
        if anchor and target.suffix == ".md":
            headings = {slug_of(text) for text in _HEADING.findall(prose_of(target))}
            assert anchor in headings, f"{link}: no such heading"


def test_every_page_is_reachable_from_the_index() -> None:
    seen: set[Path] = set()
    waiting = [INDEX]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        targets = [(page.parent / link.partition("#")[0]).resolve() for link in _LINK.findall(prose_of(page))]
        waiting += [target for target in targets if target.suffix == ".md" and target.is_file()]
    assert set(DOCS.rglob("*.md")) - seen == set()


def error_classes() -> dict[str, type[SkillRepoError]]:
    """Every error of the product by its code; a subclass without a code of its own is its parent to a user."""
    for package in PACKAGES:
        module = importlib.import_module(package)
        for info in pkgutil.walk_packages(module.__path__, f"{package}."):
            importlib.import_module(info.name)
    found: dict[str, type[SkillRepoError]] = {}
    waiting = [SkillRepoError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__.partition(".")[0] in PACKAGES:
            known = found.setdefault(kind.code, kind)
            assert issubclass(kind, known), f"{kind.__name__} and {known.__name__} share {kind.code}"
    return found


def test_every_error_code_is_explained_with_its_status() -> None:
    rows = {code: int(status) for code, status in _ERROR_ROW.findall((DOCS / "errors.md").read_text())}
    assert rows == {code: kind.exit_status for code, kind in error_classes().items()}


def test_example_settings_load() -> None:
    config = HiveConfig.load(ROOT / "deploy/hive.toml", {})
    assert config.server is not None
    assert config.state_dir.is_absolute()
    # The example shows the defaults, so that leaving it as it is changes nothing.
    assert RepositoryConfig.load(ROOT / "deploy") == RepositoryConfig()


@pytest.mark.skipif(shutil.which("sh") is None, reason="there is no sh to read the rc.d script")
def test_the_rc_script_is_shell() -> None:
    done = subprocess.run(
        ["sh", "-n", ROOT / "deploy/freebsd/skillrepo"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
