"""Installing from a lock, with a wheel of our own and no index at all."""

import base64
import fcntl
import hashlib
import json
import os
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from repo_server.curation.engines import installing
from repo_server.curation.engines.cisco import CISCO, cisco
from repo_server.curation.engines.engine import EngineLimits
from repo_server.curation.engines.installing import MARKER, Installable, absence_of, install, remove
from repo_server.curation.tree import SourceTree
from signing.errors import ConflictError, HostError, NotFoundError


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    path = folder / "tiny_scanner-1.0-py3-none-any.whl"
    files = {
        "tiny_scanner.py": b"VALUE = 7\n",
        "tiny_scanner-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny-scanner\nVersion: 1.0\n",
        "tiny_scanner-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip('=')},{len(data)}\n"
        for name, data in files.items()
    )
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.writestr(
            "tiny_scanner-1.0.dist-info/RECORD", record + "tiny_scanner-1.0.dist-info/RECORD,,\n"
        )
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return path


def installable(tmp_path: Path, wheel: Path, digest: str | None = None) -> Installable:
    digest = digest or hashlib.sha256(wheel.read_bytes()).hexdigest()
    lock = tmp_path / f"requirements-{digest[:8]}.txt"
    lock.write_text(f"tiny-scanner==1.0 --hash=sha256:{digest}\n")
    return Installable(name="tiny", version="1.0", package="tiny-scanner", lock=lock)


@pytest.mark.slow
def test_from_a_lock_into_its_own_environment_and_away_again(tmp_path: Path, wheel: Path) -> None:
    tiny, folder = installable(tmp_path, wheel), tmp_path / "engines"
    assert absence_of(tiny, folder) == "not installed: skillrepo engine install tiny"
    place = install(tiny, folder)
    assert absence_of(tiny, folder) == ""
    said = subprocess.run(
        [tiny.python(folder), "-I", "-c", "import tiny_scanner; print(tiny_scanner.VALUE)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "7\n"
    assert [path.name for path in folder.iterdir()] == ["tiny"]

    other = installable(tmp_path, wheel, "0" * 64)  # to which the file on the index does not fit
    assert absence_of(other, folder) == (
        "installed from another lock than the pinned one: skillrepo engine install tiny"
    )
    with pytest.raises(HostError, match="installing tiny-scanner failed") as caught:
        install(other, folder)
    assert "index" in caught.value.hint
    assert absence_of(tiny, folder) == ""  # what was there is still there, whole
    assert [path.name for path in folder.iterdir()] == ["tiny"]

    library = next(place.rglob("tiny_scanner.py"))
    library.write_text("VALUE = 8\n")
    assert absence_of(tiny, folder).startswith("its files are not those that were installed")

    install(tiny, folder)  # once more, in place of itself
    assert absence_of(tiny, folder) == ""
    remove(tiny, folder)
    assert not place.exists()
    with pytest.raises(NotFoundError):
        remove(tiny, folder)


def test_what_was_not_made_here_is_neither_replaced_nor_removed(tmp_path: Path, wheel: Path) -> None:
    tiny = installable(tmp_path, wheel)
    precious = tmp_path / "engines" / "tiny" / "thesis.txt"
    precious.parent.mkdir(parents=True)
    precious.write_text("years of work")
    for action in (install, remove):
        with pytest.raises(HostError, match="was not made by"):
            action(tiny, tmp_path / "engines")
    assert precious.read_text() == "years of work"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / MARKER).write_text(json.dumps(tiny.marker(elsewhere)))
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "tiny").symlink_to(elsewhere)
    with pytest.raises(HostError, match="was not made by"):
        remove(tiny, tmp_path / "links")
    assert (elsewhere / MARKER).exists()


def installed(tmp_path: Path, item: Installable) -> Path:
    """What looks like an environment of ``item``."""
    place = tmp_path / item.name
    (place / "lib").mkdir(parents=True)
    (place / "lib" / "scanner.py").write_text("VALUE = 7\n")
    (place / "lib64").symlink_to("lib")
    (place / MARKER).write_text(json.dumps(item.marker(place)))
    return place


def relink(place: Path) -> None:
    (place / "lib64").unlink()
    (place / "lib64").symlink_to("/tmp")


@pytest.mark.parametrize(
    "change",
    [
        lambda place: (place / "lib" / "scanner.py").write_text("VALUE = 8\n"),
        lambda place: (place / "lib" / "scanner.py").chmod(0o755),
        lambda place: (place / "lib" / "scanner.py").unlink(),
        lambda place: (place / "lib" / "sitecustomize.py").write_text(""),
        lambda place: (place / "lib" / "scanner").mkdir(),
        lambda place: os.mkfifo(place / "lib" / "pipe"),
        relink,
    ],
    ids=["content", "mode", "gone", "more", "folder", "pipe", "link"],
)
def test_an_environment_that_was_changed_is_not_run(tmp_path: Path, change: Callable[[Path], object]) -> None:
    place = installed(tmp_path, CISCO)
    assert absence_of(CISCO, tmp_path) == ""
    change(place)
    report = cisco(tmp_path).run(SourceTree.of([("SKILL.md", b"x", False)]), limits=EngineLimits())
    assert "its files are not those that were installed" in report.failure
    assert [finding.check for finding in report.findings] == ["engine.cisco.absent"]


def test_one_process_at_a_time(tmp_path: Path, wheel: Path) -> None:
    tiny = installable(tmp_path, wheel)
    place = installed(tmp_path / "engines", tiny)
    descriptor = os.open(tmp_path / "engines", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        for action in (install, remove):
            with pytest.raises(ConflictError, match="by another process"):
                action(tiny, tmp_path / "engines")
    finally:
        os.close(descriptor)
    assert absence_of(tiny, tmp_path / "engines") == ""
    assert list((tmp_path / "engines").iterdir()) == [place]


@pytest.mark.slow
def test_what_a_killed_installation_left_is_cleared_away(tmp_path: Path, wheel: Path) -> None:
    tiny, folder = installable(tmp_path, wheel, "0" * 64), tmp_path / "engines"  # which nothing fits
    place = installed(folder, tiny)
    (folder / ".tiny-new-half" / "new").mkdir(parents=True)
    (folder / ".tiny-new-swap" / "new").mkdir(parents=True)
    place.rename(folder / ".tiny-new-swap" / "old")  # killed between the two renames
    with pytest.raises(HostError):
        install(tiny, folder)
    assert list(folder.iterdir()) == [place]
    assert absence_of(tiny, folder) == ""


def test_an_interruption_between_the_renames_puts_the_old_one_back(
    tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny, folder = installable(tmp_path, wheel), tmp_path / "engines"
    place = installed(folder, tiny)
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    monkeypatch.setattr(
        installing, "_run", lambda argv, _: Path(argv[-1]).mkdir(exist_ok=True) if "venv" in argv else None
    )
    with pytest.raises(KeyboardInterrupt):
        install(tiny, folder)
    assert list(folder.iterdir()) == [place]
    assert absence_of(tiny, folder) == ""


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 5_000, '{"engine": "cisco"}'])
def test_a_broken_marker_is_not_an_installation(tmp_path: Path, text: str) -> None:
    (tmp_path / "cisco").mkdir()
    (tmp_path / "cisco" / MARKER).write_text(text)
    assert "skillrepo engine install cisco" in absence_of(CISCO, tmp_path)
    report = cisco(tmp_path).run(SourceTree.of([("SKILL.md", b"x", False)]), limits=EngineLimits())
    assert report.failure.endswith("skillrepo engine install cisco")
    assert [finding.check for finding in report.findings] == ["engine.cisco.absent"]


def test_the_lock_is_complete_pinned_and_names_no_index() -> None:
    lines = CISCO.lock.read_text().splitlines()
    packages = [line for line in lines if not line.startswith(" ")]
    assert all("==" in line and line.endswith("\\") for line in packages)
    hashes = [line.split() for line in lines if line.startswith(" ")]
    assert all(words[0].startswith("--hash=sha256:") and len(words[0]) == 78 for words in hashes)
    assert f"{CISCO.package}=={CISCO.version} \\" in packages
    assert "://" not in CISCO.lock.read_text()
    assert "--index" not in CISCO.lock.read_text()
