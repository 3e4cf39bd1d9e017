"""Nothing outside the published tree is reachable, whatever the path or whoever planted a link."""

import os
import socket
import tempfile
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from flask.testing import FlaskClient

from repo_server.web.config import WebConfig
from repo_server.web.tree import open_published, parse_tree_path, read_published
from signing.errors import NotFoundError
from tests.repo_server.web.published import write

HOSTILE = [
    "/metadata/../../secret",
    "/metadata/../../../../../../etc/passwd",
    "/metadata/%2e%2e/%2e%2e/secret",
    "/metadata/..%2f..%2fsecret",
    "/..%2fsecret",
    "/%2e%2e/secret",
    "//secret",
    "//metadata/timestamp.json",
    "///metadata/timestamp.json",
    "/metadata//timestamp.json",
    "/metadata/./timestamp.json",
    "/metadata/timestamp.json/",
    "/metadata/",
    "/metadata",
    "/",
    "/metadata/timestamp.json%00",
    "/metadata/timestamp.json%00.png",
    "/metadata%5ctimestamp.json",
    "/..%5c..%5csecret",
    "/metadata/timestamp.json%0a",
    "/metadata/%7f",
    "/metadata/%ff%fe",
    "/metadata/%ed%a0%80",
    "/%c0%ae%c0%ae/secret",
    "/.hidden",
    "/metadata/.hidden",
    "/metadata/.well-known/index.json",
    "/.well-known/.well-known/index.json",
    "/.well-known/skills/.git/config",
    "/.well-known",
    "/.well-known2/index.json",
    "/" + "a" * 300,
    "/" + "a/" * 600 + "a",
    "/C:/secret",
    "/etc/passwd",
]


@pytest.fixture
def planted(config: WebConfig) -> Path:
    """The skills tree with everything in it that must not be served."""
    root = config.skills_root
    write(root, ".hidden", b"not published")
    write(root, "metadata/.hidden", b"not published")
    write(root, "metadata/.well-known/index.json", b"not published")
    write(root, ".well-known/.well-known/index.json", b"not published")
    write(root, ".well-known/skills/.git/config", b"not published")
    write(root, ".well-known2/index.json", b"not published")
    return root


@pytest.mark.parametrize("path", HOSTILE)
@pytest.mark.parametrize("host", ["skills.clawdie.si", "pkg.clawdie.si", "127.0.0.1"])
def test_hostile_paths_are_not_found(client: FlaskClient, planted: Path, path: str, host: str) -> None:
    for prefix in ("", "/skills", "/pkg") if host == "127.0.0.1" else ("",):
        # As a server hands it over; the test client would read //host/path as a host.
        raw = unquote_to_bytes(prefix + path).decode("latin-1")
        answer = client.get("/", headers={"Host": host}, environ_overrides={"PATH_INFO": raw})
        assert answer.status_code == 404, prefix
        assert answer.get_json()["detail"] == "nothing is published at this address"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        ".",
        "..",
        "a/..",
        "a/./b",
        "a\\b",
        "a\0b",
        "a\nb",
        ".a",
        "a/.b",
        "a\ud800",
    ],
)
def test_unclean_paths_are_refused_before_the_disk_is_asked(path: str) -> None:
    with pytest.raises(NotFoundError):
        parse_tree_path(path)


@pytest.mark.parametrize(
    "path", ["a", "a/b.c", ".well-known/x", "a b/\u00e9", "FreeBSD:14:amd64/All/x~1,2.pkg", "a..b"]
)
def test_clean_paths(path: str) -> None:
    assert "/".join(parse_tree_path(path)) == path


def test_links_planted_in_the_tree_are_not_followed(client: FlaskClient, config: WebConfig) -> None:
    secret = config.skills_root.parent / "secret"
    # The package site has paths of its own: tests/attacks/test_pkg_served_tree.
    for root, host in ((config.skills_root, "skills.clawdie.si"),):
        write(root, "real/file.json", b"{}")
        (root / "file.json").symlink_to(secret)
        (root / "relative.json").symlink_to("../secret")
        (root / "inside.json").symlink_to("real/file.json")
        (root / "folder").symlink_to(root.parent, target_is_directory=True)
        (root / "real" / "up").symlink_to("..", target_is_directory=True)
        (root / "loop").symlink_to("loop")
        headers = {"Host": host}
        assert client.get("/real/file.json", headers=headers).status_code == 200
        for path in (
            "file.json",
            "relative.json",
            "inside.json",
            "folder/secret",
            "real/up/real/file.json",
            "loop",
        ):
            answer = client.get(f"/{path}", headers=headers)
            assert answer.status_code == 404, path
            assert b"not published" not in answer.data


def test_only_regular_files_are_served(client: FlaskClient, config: WebConfig) -> None:
    os.mkfifo(config.skills_root / "pipe")  # opening it would wait for a writer for ever
    assert client.get("/pipe").status_code == 404
    with tempfile.TemporaryDirectory(dir="/tmp") as short, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{short}/s")
        with pytest.raises(NotFoundError):
            open_published(Path(short), "s")


def test_the_root_may_be_switched_by_a_link(config: WebConfig, tmp_path: Path) -> None:
    current = tmp_path / "current"
    current.symlink_to(config.skills_root, target_is_directory=True)
    assert read_published(current, "metadata/7.snapshot.json", limit=1000)


def test_reading_is_bounded(config: WebConfig) -> None:
    with pytest.raises(NotFoundError):
        read_published(config.skills_root, "metadata/7.snapshot.json", limit=3)


def test_missing_root_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        open_published(tmp_path / "absent", "x")


def test_file_closes_once(config: WebConfig) -> None:
    file = open_published(config.skills_root, "metadata/7.snapshot.json")
    descriptor = file.descriptor
    file.close()
    with ExitStack() as stack:
        # Opens until one takes the descriptor that was freed; others may have been freed meanwhile.
        other = next(
            taken
            for taken in (stack.enter_context(Path(os.devnull).open()) for _ in range(200))
            if taken.fileno() == descriptor
        )
        file.close()
        assert other.read() == ""
