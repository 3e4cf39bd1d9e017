"""The quick way answers as the routed one does, from memory only what is on disk, and from nowhere else."""

import gzip
import os
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from repo_server.publishing.siblings import compressed
from repo_server.web import quick
from repo_server.web.answering import Asked
from repo_server.web.app import create_app
from repo_server.web.config import WebConfig
from repo_server.web.hot import LARGEST, HeldFile, HotFiles
from repo_server.web.tree import PublishedFile
from signing.errors import NotFoundError
from tests.repo_server.web.published import (
    BUNDLE_PATH,
    BUNDLE_SHA256,
    NOW,
    REVIEW_PATH,
    CatalogueInMemory,
    write,
)

SNAPSHOT = "metadata/8.snapshot.json"
DOCUMENT = b'{"signed":' + b'"many words" ' * 400 + b"}"
INDEX = ".well-known/agent-skills/index.json"
LONG_AGO = 1_700_000_000 * 10**9


def settled(path: Path) -> Path:
    """Make ``path`` look like a file of last year, as far as a clock for the cache is told so."""
    os.utime(path, ns=(LONG_AGO, LONG_AGO))
    return path


@pytest.fixture
def tree(config: WebConfig) -> Path:
    root = config.skills_root
    write(root, SNAPSHOT, DOCUMENT)
    write(root, f"{SNAPSHOT}.gz", compressed(DOCUMENT) or b"")
    write(root, INDEX, DOCUMENT)
    write(root, f"{INDEX}.gz", compressed(DOCUMENT) or b"")
    for path in (INDEX, f"{INDEX}.gz"):
        settled(root / path)
    return root


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize(
    "path",
    [
        SNAPSHOT,
        INDEX,
        BUNDLE_PATH,
        REVIEW_PATH,
        "metadata/timestamp.json",
        "metadata/nothing.json",
        "metadata/",
        f"{SNAPSHOT}.gz",
        f"{INDEX}.gz",
    ],
)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Accept-Encoding": "gzip"},
        {"Accept-Encoding": "br;q=1, GZIP;q=0.5"},
        {"Accept-Encoding": "gzip;q=0"},
        {"Accept-Encoding": "identity"},
        {"If-None-Match": "*"},
        {"If-None-Match": f'"{BUNDLE_SHA256}"'},
        {"Range": "bytes=1-5"},
        {"Range": "bytes=1-5,7-9"},
        {"Range": "bytes=99999999-"},
        {"Range": "bytes=1-5", "Accept-Encoding": "gzip"},
        {"Range": "bytes=1-5", "If-Range": '"other"'},
        {"Content-Length": "70000"},
    ],
    ids=str,
)
def test_both_ways_give_one_answer(
    tree: Path,
    method: str,
    path: str,
    headers: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = WebConfig(skills_root=tree, pkg_root=tree.parent / "pkg")
    app = create_app(config, catalogue=CatalogueInMemory(), clock=lambda: NOW)
    answers = []
    for folders in (quick._FOLDERS, ("/no-such-folder/",)):
        monkeypatch.setattr(quick, "_FOLDERS", folders)
        answer = app.test_client().open(
            f"/{path}", method=method, headers={"Host": "skills.clawdie.si", **headers}
        )
        answers.append((answer.status_code, sorted(answer.headers.items()), answer.data))
    assert answers[0] == answers[1]


def test_the_quick_way_is_taken(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def routed(*_: object, **__: object) -> Any:
        raise AssertionError("this went to Flask")

    monkeypatch.setattr(client.application, "dispatch_request", routed)
    assert client.get("/metadata/7.snapshot.json").status_code == 200


def test_gzip_for_who_takes_it(client: FlaskClient, tree: Path) -> None:
    for path in (SNAPSHOT, INDEX):
        plain = client.get(f"/{path}")
        packed = client.get(f"/{path}", headers={"Accept-Encoding": "gzip"})
        assert plain.data == gzip.decompress(packed.data) == (tree / path).read_bytes()
        assert "Content-Encoding" not in plain.headers
        assert packed.headers["Content-Encoding"] == "gzip"
        assert packed.headers["Content-Length"] == str(len(packed.data))
        assert packed.headers["Content-Type"] == plain.headers["Content-Type"] == "application/json"
        assert packed.headers["Cache-Control"] == plain.headers["Cache-Control"]
        assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
        assert packed.headers["ETag"] != plain.headers["ETag"]
        assert "Accept-Ranges" not in packed.headers


def test_each_encoding_is_not_modified_by_its_own_tag_only(client: FlaskClient, tree: Path) -> None:
    assert tree.exists()
    for path in (SNAPSHOT, INDEX):
        plain = client.get(f"/{path}").headers["ETag"]
        packed = client.get(f"/{path}", headers={"Accept-Encoding": "gzip"}).headers["ETag"]
        for tag, accepts, status in (
            (plain, "identity", 304),
            (packed, "identity", 200),
            (packed, "gzip", 304),
            (plain, "gzip", 200),
            (f"{plain}, {packed}", "gzip", 304),
        ):
            again = client.get(f"/{path}", headers={"Accept-Encoding": accepts, "If-None-Match": tag})
            assert again.status_code == status
            assert again.headers["Vary"] == "Accept-Encoding"


def test_a_file_without_a_sibling_does_not_vary(client: FlaskClient) -> None:
    answer = client.get("/metadata/7.snapshot.json", headers={"Accept-Encoding": "gzip"})
    assert answer.status_code == 200
    assert "Vary" not in answer.headers
    assert "Content-Encoding" not in answer.headers


def test_a_sibling_alone_is_nothing(client: FlaskClient, tree: Path) -> None:
    (tree / SNAPSHOT).unlink()
    answer = client.get(f"/{SNAPSHOT}", headers={"Accept-Encoding": "gzip"})
    assert answer.status_code == 404
    assert client.get(f"/{SNAPSHOT}.gz").status_code == 404


def test_an_old_sibling_beside_a_newer_index_is_not_given(client: FlaskClient, tree: Path) -> None:
    """As a copy of the tree in the wrong order, or by other hands, leaves it."""
    write(tree, INDEX, DOCUMENT + b"newer")
    answer = client.get(f"/{INDEX}", headers={"Accept-Encoding": "gzip"})
    assert (answer.status_code, answer.data) == (200, DOCUMENT + b"newer")
    assert "Content-Encoding" not in answer.headers


def test_what_an_author_put_beside_a_file_is_no_sibling(client: FlaskClient, tree: Path) -> None:
    """Two contents for one address: reviewers would read the one, agents get the other."""
    folder = ".well-known/skills/web-search"
    write(tree, f"{folder}/data.json", b"{}" * 1000)
    write(tree, f"{folder}/data.json.gz", gzip.compress(b"other" * 1000))
    answer = client.get(f"/{folder}/data.json", headers={"Accept-Encoding": "gzip"})
    assert answer.data == b"{}" * 1000
    assert "Vary" not in answer.headers
    assert client.get(f"/{folder}/data.json.gz").status_code == 200  # it is one of the skill's files


@pytest.mark.parametrize(
    ("header", "takes"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("deflate, gzip;q=1.0", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("gzip;q=0.001", True),
        ("x-gzip, *", False),
        ("br", False),
        ("notgzip", False),
        ("gzip" * 5000, False),
    ],
    ids=lambda value: str(value)[:20],
)
def test_who_takes_gzip(header: str | None, takes: bool) -> None:
    assert Asked(accept_encoding=header).takes_gzip is takes


# ------------------------------------------------------------------------------------------- held in memory


class Later:
    """A clock that is minutes ahead of the files: they have settled."""

    def __init__(self) -> None:
        self.ahead_ns = 600 * 10**9

    def __call__(self) -> int:
        import time

        return time.time_ns() + self.ahead_ns


def opened(files: HotFiles, path: str) -> tuple[bytes, bool]:
    file = files.open(path)
    try:
        return file.read(0, file.size), isinstance(file, HeldFile)
    finally:
        file.close()


def test_what_has_settled_is_held_and_given_from_memory(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = HotFiles(tree, clock_ns=Later())
    assert opened(files, SNAPSHOT) == (DOCUMENT, True)

    def read_again(*_: object) -> Any:
        raise AssertionError("it was opened again")

    monkeypatch.setattr("repo_server.web.hot.open_published", read_again)
    assert opened(files, SNAPSHOT) == (DOCUMENT, True)


def test_what_changed_a_moment_ago_is_not_held(tree: Path) -> None:
    """Its successor could get its inode, size and time: within one tick of the clock they are not told apart."""
    files = HotFiles(tree)
    write(tree, "metadata/timestamp.json", b"a new one")
    assert opened(files, "metadata/timestamp.json") == (b"a new one", False)


@pytest.mark.parametrize(
    "change", ["replaced", "in place", "same size and time", "gone", "a link", "a folder"]
)
def test_what_is_on_disk_goes_before_what_is_held(tree: Path, tmp_path: Path, change: str) -> None:
    files, path = HotFiles(tree, clock_ns=Later()), tree / SNAPSHOT
    settled(path)
    assert opened(files, SNAPSHOT)[1]
    other = bytes(reversed(DOCUMENT))
    if change in {"replaced", "same size and time"}:
        fresh = write(tree, "metadata/.next", other)
        if change != "replaced":
            settled(fresh)
        fresh.replace(path)
    elif change == "in place":
        path.write_bytes(other)
        settled(path)
    else:
        path.unlink()
        if change == "a link":
            path.symlink_to(write(tmp_path, "outside", other))
        elif change == "a folder":
            path.mkdir()
    if change in {"gone", "a link", "a folder"}:
        for _ in range(2):
            with pytest.raises(NotFoundError):
                files.open(SNAPSHOT)
    else:
        assert opened(files, SNAPSHOT)[0] == other


def test_a_link_on_the_way_gives_nothing_but_what_was_held(tree: Path, tmp_path: Path) -> None:
    """A planted link can only lead to the very file that was published under this name."""
    files = HotFiles(tree, clock_ns=Later())
    assert opened(files, SNAPSHOT)[1]
    (tree / "metadata").rename(tmp_path / "elsewhere")
    write(tmp_path, "elsewhere/9.snapshot.json", b"not published")
    (tree / "metadata").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotFoundError):
        files.open("metadata/9.snapshot.json")
    (tmp_path / "elsewhere/8.snapshot.json").write_bytes(b"not published")
    with pytest.raises(NotFoundError):
        files.open(SNAPSHOT)


def test_memory_is_bounded(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repo_server.web.hot._MOST", 10_000)
    files = HotFiles(tree, clock_ns=Later())
    for number in range(1, 20):
        write(tree, f"metadata/{number}.big.json", bytes([number]) * 3000)
        assert opened(files, f"metadata/{number}.big.json") == (bytes([number]) * 3000, True)
        held = files._held
        assert sum(file.size for file in held.values()) == files._bytes <= 10_000
    write(tree, "metadata/1.huge.json", b"x" * (LARGEST + 1))
    huge = files.open("metadata/1.huge.json")
    assert isinstance(huge, PublishedFile)
    huge.close()
