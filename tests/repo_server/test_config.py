"""repository.toml: the mirrors of sources."""

from pathlib import Path

import pytest

from repo_server.config import NAME, RepositoryConfig
from repo_server.curation.sources import SourceSettings, check_bases, source_of
from signing.errors import FormatError


def load(folder: Path, text: str) -> RepositoryConfig:
    (folder / NAME).write_text(text)
    return RepositoryConfig.load(folder)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    config = RepositoryConfig(
        dev=True, sources={"clawhub": 'https://h.example/a"b', "github-api": "http://127.0.0.1:1"}
    )
    assert load(tmp_path, config.render()) == config
    assert load(tmp_path, RepositoryConfig().render()) == RepositoryConfig()
    assert "sources" not in RepositoryConfig().render()


@pytest.mark.parametrize(
    "text",
    [
        "sources = 5",
        "[sources]\nclawhub = 5",
        '[sources]\nclawhub = "clawhub.ai"',
        '[sources]\nClawHub = "https://x.example"',
        '[sources.clawhub]\nurl = "https://x.example"',
        'clawhub_url = "https://x.example"',
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(FormatError):
        load(tmp_path, text)


def test_a_misspelt_mirror_is_not_passed_over() -> None:
    check_bases({"clawhub": "https://x.example", "github-raw": "https://y.example"})
    check_bases({})
    with pytest.raises(FormatError) as caught:
        check_bases({"clawhub-url": "https://x.example"})
    assert "github-api" in caught.value.hint


def test_a_mirror_replaces_one_server_only() -> None:
    bases = source_of("clawhub").bases
    settings = SourceSettings(bases={"github-raw": "https://raw.example"})
    assert settings.bases_of(bases) == {**bases, "github-raw": "https://raw.example"}
