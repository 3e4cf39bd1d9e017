"""The folder of a ceremony comes by mail or on a stick: what lies in it is read within bounds, and never elsewhere."""

import os
from pathlib import Path

import pytest

from repo_server.cli import ceremony_files
from repo_server.cli.ceremony_files import read_folder, write_folder
from signing.errors import FormatError, NotFoundError


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_folder(tmp_path / "c", {"root": b"{}", "targets": b"[]"})
    assert read_folder(tmp_path / "c") == {"root": b"{}", "targets": b"[]"}
    before = (tmp_path / "c/root.json").stat().st_ino
    write_folder(tmp_path / "c", {"root": b"{}"})
    assert (tmp_path / "c/root.json").stat().st_ino == before


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_plain_file_is_neither_read_nor_written_through(tmp_path: Path, kind: str) -> None:
    """A pipe would keep the holder waiting for ever, a link would show what is elsewhere."""
    folder, elsewhere = tmp_path / "c", tmp_path / "elsewhere"
    write_folder(folder, {"previous-root": b"{}"})
    elsewhere.write_bytes(b"mine")
    place = folder / "root.json"
    if kind == "link":
        place.symlink_to(elsewhere)
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        place.mkdir()
    with pytest.raises(FormatError):
        read_folder(folder)
    with pytest.raises(FormatError):
        write_folder(folder, {"root": b"{}"})
    assert elsewhere.read_bytes() == b"mine"
    assert sorted(path.name for path in folder.iterdir()) == ["previous-root.json", "root.json"]


def test_more_than_any_ceremony_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path, {"root": b"x" * 60, "targets": b"x" * 60})
    monkeypatch.setattr(ceremony_files, "_MAX_BYTES", 100)
    with pytest.raises(FormatError, match="more than"):
        read_folder(tmp_path)
    monkeypatch.setattr(ceremony_files, "_MAX_BYTES", 1000)
    monkeypatch.setattr(ceremony_files, "_MAX_ROLES", 1)
    with pytest.raises(FormatError, match="more than"):
        read_folder(tmp_path)


def test_an_empty_folder_is_no_ceremony(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_folder(tmp_path)
