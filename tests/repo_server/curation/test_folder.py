import os
import socket
from pathlib import Path

import pytest

from repo_server.curation.limits import Limits
from signing.errors import FormatError, NotFoundError
from signing.format.manifest import Mode
from signing.format.review import Severity
from tests.repo_server.curation.material import DEPLOY, HOSTILE, SKILL_MD, fetched


@pytest.fixture
def skill(tmp_path: Path) -> Path:
    folder = tmp_path / "x"
    (folder / "scripts").mkdir(parents=True)
    (folder / "SKILL.md").write_bytes(SKILL_MD)
    (folder / "scripts" / "run.sh").write_bytes(b"#!/bin/sh\n")
    (folder / "scripts" / "run.sh").chmod(0o755)
    return folder


def test_a_folder_is_read_whole(skill: Path) -> None:
    (skill / ".env").write_bytes(b"A=1")
    result = fetched(str(skill))
    assert list(result.tree.files) == [".env", "SKILL.md", "scripts/run.sh"]
    assert result.tree.files["scripts/run.sh"].mode is Mode.EXECUTABLE  # type: ignore[index]
    assert (result.source, result.licence, result.publisher, result.suggested_version) == (
        "folder",
        "MIT",
        "",
        None,
    )
    assert result.resolved == {"files_sha256": result.tree.digest}
    assert result.observations == ()


def test_licence_and_version_come_from_the_front_matter() -> None:
    result = fetched(str(DEPLOY))
    assert (result.licence, result.suggested_version) == ("", "1.2.0")
    assert [(o.check, o.severity) for o in result.observations] == [("source.no-licence", Severity.LOOK)]


@pytest.mark.parametrize("kind", ["file link", "folder link", "dangling link", "fifo", "socket"])
def test_special_files_are_refused(skill: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = skill / "odd"
    match kind:
        case "file link":
            odd.symlink_to("SKILL.md")
        case "folder link":
            odd.symlink_to("/etc")
        case "dangling link":
            odd.symlink_to("nowhere")
        case "fifo":
            os.mkfifo(odd)
        case _:
            monkeypatch.chdir(skill)  # socket paths are short
            with socket.socket(socket.AF_UNIX) as server:
                server.bind("odd")
    with pytest.raises(FormatError, match="link, a device"):
        fetched(str(skill))


def test_a_repository_is_refused_with_a_hint(skill: Path) -> None:
    (skill / "sub" / ".git").mkdir(parents=True)
    with pytest.raises(FormatError) as caught:
        fetched(str(skill))
    assert caught.value.where == "sub/.git"
    assert "git+" in caught.value.hint


def test_hostile_names_are_made_visible(skill: Path) -> None:
    (skill / "a\x1b[2J" / ".git").mkdir(parents=True)
    with pytest.raises(FormatError) as caught:
        fetched(str(skill))
    assert caught.value.where == "a<U+001B>[2J/.git"


def test_limits_hold(skill: Path) -> None:
    for limits in (Limits(max_files=1), Limits(max_file_bytes=5), Limits(max_total_bytes=55)):
        with pytest.raises(FormatError):
            fetched(str(skill), limits=limits)
    deep = skill.joinpath(*"abcdefghijklmn")
    deep.mkdir(parents=True)
    with pytest.raises(FormatError, match="nested deeper"):
        fetched(str(skill))


def test_names_that_are_not_text_are_refused(skill: Path) -> None:
    Path(os.fsdecode(os.fsencode(skill) + b"/caf\xe9.md")).write_bytes(b"")
    with pytest.raises(FormatError):
        fetched(str(skill))


def open_handles() -> int:
    folder = Path("/dev/fd")
    return sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0


def test_no_handle_is_left_open(skill: Path) -> None:
    before = open_handles()
    (skill / "z").symlink_to("x")
    for _ in range(5):
        with pytest.raises(FormatError):
            fetched(str(skill))
    assert open_handles() == before


def test_what_is_not_there(tmp_path: Path) -> None:
    for address in (tmp_path / "none", tmp_path / "none.zip"):
        with pytest.raises(NotFoundError):
            fetched(str(address))
    (tmp_path / "dir.zip").mkdir()
    os.mkfifo(tmp_path / "fifo.zip")
    for address in (tmp_path / "dir.zip", tmp_path / "fifo.zip"):
        with pytest.raises(FormatError):
            fetched(str(address))


def test_an_archive_is_pinned_by_its_digest() -> None:
    result = fetched(str(HOSTILE / "zip-latin1.zip"))
    assert result.source == "archive"
    assert set(result.resolved) == {"archive_sha256", "files_sha256"}
    with pytest.raises(FormatError):
        fetched(str(HOSTILE / "zip-latin1.zip"), limits=Limits(max_archive_bytes=100))
