"""Installing from a lock, with a wheel of our own and no index at all."""

import base64
import hashlib
import json
import subprocess
import zipfile
from pathlib import Path

import pytest

from repo_server.curation.engines.cisco import CISCO, cisco
from repo_server.curation.engines.engine import EngineLimits
from repo_server.curation.engines.installing import MARKER, Installable, absence_of, install, remove
from repo_server.curation.tree import SourceTree
from signing.errors import HostError, NotFoundError


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

    install(tiny, folder)  # once more, in place of itself
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
    (elsewhere / MARKER).write_text(json.dumps(tiny.marker()))
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "tiny").symlink_to(elsewhere)
    with pytest.raises(HostError, match="was not made by"):
        remove(tiny, tmp_path / "links")
    assert (elsewhere / MARKER).exists()


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
