import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from repo_server.cli.engines import engine
from repo_server.curation.engines import installing
from repo_server.curation.engines.cisco import CISCO
from repo_server.curation.engines.confinement import best_confinement
from repo_server.curation.engines.installing import MARKER, Installable
from signing.errors import NotFoundError


def answer(*words: str) -> dict[str, Any]:
    done = CliRunner().invoke(engine, [*words, "--json"], catch_exceptions=False, standalone_mode=False)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_list_says_what_is_there_and_how_far_it_is_confined(tmp_path: Path) -> None:
    said = answer("list", "--engines", str(tmp_path))
    assert said["engines"] == [
        {"engine": "cisco", "version": "2.3.2", "absence": "not installed: skillrepo engine install cisco"}
    ]
    assert said["confinement"] == best_confinement().value
    (tmp_path / "cisco").mkdir()
    (tmp_path / "cisco" / MARKER).write_text(json.dumps(CISCO.marker(tmp_path / "cisco")))
    assert answer("list", "--engines", str(tmp_path))["engines"][0]["absence"] == ""
    text = CliRunner().invoke(engine, ["list", "--engines", str(tmp_path)]).stdout
    assert text.startswith("cisco 2.3.2  installed\nconfined by ")


def test_remove(tmp_path: Path) -> None:
    (tmp_path / "cisco").mkdir()
    (tmp_path / "cisco" / MARKER).write_text(json.dumps(CISCO.marker(tmp_path / "cisco")))
    assert answer("remove", "cisco", "--engines", str(tmp_path))["engine"] == "cisco"
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(NotFoundError):
        answer("remove", "cisco", "--engines", str(tmp_path))


@pytest.mark.parametrize("verb", ["install", "remove"])
def test_an_engine_that_nobody_knows(tmp_path: Path, verb: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        answer(verb, "../../home", "--engines", str(tmp_path))
    assert caught.value.hint == "one of: cisco"
    assert list(tmp_path.iterdir()) == []


def test_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def install(item: Installable, folder: Path) -> Path:
        asked.append((item, folder))
        return folder / item.name

    monkeypatch.setattr(installing, "install", install)
    said = answer("install", "cisco", "--engines", str(tmp_path))
    assert asked == [(CISCO, tmp_path)]
    assert said["folder"] == str(tmp_path / "cisco")
    assert said["lock_sha256"] == CISCO.lock_sha256
