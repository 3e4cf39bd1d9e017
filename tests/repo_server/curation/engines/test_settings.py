import tomllib
from pathlib import Path
from typing import Any

import pytest

from repo_server.curation.engines import EngineSettings, engine_named, run_engines
from repo_server.curation.engines.catalogue import ENGINES, INSTALLABLE
from repo_server.curation.tree import SourceTree
from signing.errors import FormatError, NotFoundError

FULL = EngineSettings(use=("cisco",), folder=Path("/srv/engines"), seconds=60, memory_mib=512)


@pytest.mark.parametrize(
    "settings", [EngineSettings(), EngineSettings(use=("cisco",)), FULL], ids=["none", "one", "all"]
)
def test_what_is_written_is_read_back(settings: EngineSettings) -> None:
    table = tomllib.loads("dev = true\n" + settings.render()).get("engines", {})
    assert EngineSettings.from_toml(table) == settings


@pytest.mark.parametrize(
    "table",
    [
        [],
        {"use": "cisco"},
        {"use": [1]},
        {"use": ["cisco", "cisco"]},
        {"use": [str(n) for n in range(11)]},
        {"folder": ""},
        {"folder": 3},
        {"seconds": 0},
        {"seconds": True},
        {"seconds": 1.5},
        {"seconds": 100_000},
        {"memory_mib": 1},
        {"enabled": True},
    ],
    ids=str,
)
def test_what_is_not_a_setting_is_refused(table: Any) -> None:
    with pytest.raises(FormatError, match="engines"):
        EngineSettings.from_toml(table)


def test_where_the_engines_are() -> None:
    assert EngineSettings().below(Path("/srv/repo")).folder == Path("/srv/repo/engines")
    assert FULL.below(Path("/srv/repo")).folder == Path("/srv/engines")
    assert FULL.below(Path("/srv/repo"), chosen="/other").folder == Path("/other")
    assert FULL.limits.seconds == 60
    assert FULL.limits.memory_bytes == 512 << 20


def test_no_engine_runs_unless_named(tmp_path: Path) -> None:
    tree, notes = SourceTree.of([("SKILL.md", b"x", False)]), []
    assert run_engines(EngineSettings().below(tmp_path), tree, note=notes.append) == ()
    assert notes == []


def test_a_named_engine_that_is_absent_is_reported(tmp_path: Path) -> None:
    tree, notes = SourceTree.of([("SKILL.md", b"x", False)]), []
    [report] = run_engines(EngineSettings(use=("cisco",)).below(tmp_path), tree, note=notes.append)
    assert report.name == "cisco"
    assert report.failure == "not installed: skillrepo engine install cisco"
    assert notes[-1] == f"engine cisco: failed: {report.failure}, 0 s"


def test_an_engine_that_nobody_knows() -> None:
    with pytest.raises(NotFoundError) as caught:
        engine_named("norton", EngineSettings())
    assert caught.value.hint == "one of: cisco"
    assert ENGINES.keys() == INSTALLABLE.keys()
