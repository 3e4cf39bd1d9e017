"""Somebody planted a link in the package tree, put an old tree back, or asks for what is outside of it."""

import os
import threading
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.repo_server.web.published import NOW, write
from tests.repo_server.web.test_pkg_site import ABI, BASE, CHANNEL, DIGEST, PACKAGE, make_client, write_serial

CREATED = int(NOW.timestamp())
SECRET = b"the online key"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "public/pkg"
    write_serial(root, 7)
    write(root, f"by-sha256/{DIGEST}.pkg", PACKAGE)
    write(tmp_path, "keys/online.key.json", SECRET)
    write(tmp_path, "keys/meta.conf", SECRET)
    return root


@pytest.fixture
def client(root: Path) -> FlaskClient:
    return make_client(root)


def refused(client: FlaskClient, path: str) -> None:
    for method in ("GET", "HEAD"):
        answer = client.open(path, method=method)
        assert answer.status_code == 404
        assert SECRET not in answer.data


@pytest.mark.parametrize(
    "target",
    [
        "../../../keys",
        "../serials/FreeBSD:14:amd64/latest/../../../../../keys",
        "../serials/FreeBSD:14:amd64/latest/7/",
        "./../serials/FreeBSD:14:amd64/latest/7",
        "../serials/FreeBSD:14:amd64/other/7",
        "/etc",
        ".",
    ],
)
def test_a_repository_that_points_elsewhere_is_not_served(
    root: Path, client: FlaskClient, target: str
) -> None:
    link = root / ABI / CHANNEL
    link.unlink()
    link.symlink_to(target)
    for name in ("meta.conf", "online.key.json", "passwd"):
        refused(client, f"{BASE}/{name}")


@pytest.mark.parametrize("place", ["serials", f"serials/{ABI}", f"serials{BASE}", f"serials{BASE}/7", ABI])
def test_a_planted_folder_link_on_the_way_is_not_followed(
    root: Path, client: FlaskClient, place: str
) -> None:
    assert client.get(f"{BASE}/meta.conf").status_code == 200
    (root / place).rename(root / "moved")
    (root / place).symlink_to(root / "moved")  # even to the very same folder
    refused(client, f"{BASE}/meta.conf")


def test_planted_file_links_and_devices_are_not_served(root: Path, client: FlaskClient) -> None:
    folder = root / f"serials{BASE}/7"
    (folder / "All/key.pkg").symlink_to(root.parents[1] / "keys/online.key.json")
    (folder / "keys").symlink_to(root.parents[1] / "keys")
    (root / f"by-sha256/{'0' * 64}.pkg").symlink_to(root.parents[1] / "keys/online.key.json")
    (root / "vuln.xml").symlink_to(root.parents[1] / "keys/online.key.json")
    os.mkfifo(folder / "All/pipe.pkg")
    for path in (
        f"{BASE}/All/key.pkg",
        f"{BASE}/keys/online.key.json",
        f"/by-sha256/{'0' * 64}.pkg",
        "/vuln.xml",
        f"{BASE}/All/pipe.pkg",
    ):
        refused(client, path)


@pytest.mark.parametrize(
    "path",
    [
        f"{BASE}/../../../../keys/online.key.json",
        f"{BASE}/..%2f..%2f..%2f..%2fkeys%2fonline.key.json",
        f"{BASE}/%2e%2e/%2e%2e/%2e%2e/%2e%2e/keys/online.key.json",
        f"{BASE}/..%5c..%5ckeys",
        f"{BASE}/meta.conf%00",
        f"{BASE}/%00",
        f"{BASE}//meta.conf",
        f"//{ABI}/{CHANNEL}/meta.conf",
        f"{BASE}/./meta.conf",
        f"{BASE}/meta.conf/",
        f"{BASE}/meta.conf%0a",
        f"{BASE}/%ff%fe",
        f"{BASE}/.new-0123456789abcdef",
        f"{BASE}/" + "a" * 300,
        f"{BASE}/" + "a/" * 3000 + "a",
        "/%2e%2e/keys/online.key.json",
        f"/fingerprints/{ABI}/{CHANNEL}/trusted/..%2f..%2f..%2f..%2f..%2f..%2fkeys%2fonline.key.json",
        f"/by-sha256/..%2f..%2f..%2fkeys%2f{DIGEST}.pkg",
    ],
)
def test_nothing_outside_has_an_address(client: FlaskClient, path: str) -> None:
    refused(client, path)


def test_an_endless_304_is_not_to_be_had(root: Path, client: FlaskClient) -> None:
    """Whatever date a client shows, it gets the file unless it has exactly that one; and each build has another date."""
    date = client.get(f"{BASE}/data.pkg").headers["Last-Modified"]
    assert client.get(f"{BASE}/data.pkg", headers={"If-Modified-Since": date}).status_code == 304
    write_serial(root, 8, created=CREATED + 3)
    answer = client.get(f"{BASE}/data.pkg", headers={"If-Modified-Since": date})
    assert (answer.status_code, answer.data[:13]) == (200, b"data.pkg of 8")
    for name in ("meta.conf", "data.pkg", "packagesite.pkg", "repo.json"):
        for since in (date, "Fri, 31 Dec 9999 23:59:59 GMT"):
            assert client.get(f"{BASE}/{name}", headers={"If-Modified-Since": since}).status_code == 200


def test_a_rolled_back_tree_is_not_hidden_behind_a_304(root: Path, client: FlaskClient) -> None:
    """An old tree came back from a backup. Who knows a newer one sees the old bytes, and can tell; no "up to date"."""
    date = client.get(f"{BASE}/data.pkg").headers["Last-Modified"]
    write_serial(root, 6, created=CREATED - 3600)
    answer = client.get(f"{BASE}/data.pkg", headers={"If-Modified-Since": date})
    assert (answer.status_code, answer.data[:13]) == (200, b"data.pkg of 6")
    assert client.get(f"{BASE}/repo.json", headers={"If-Modified-Since": date}).status_code == 200


def test_while_it_is_switched_every_answer_is_of_one_serial(root: Path, client: FlaskClient) -> None:
    write_serial(root, 8, created=CREATED + 3)
    stop = threading.Event()
    link = root / ABI / CHANNEL

    def switch() -> None:
        serial = 7
        while not stop.is_set():
            serial = 15 - serial
            temporary = link.with_name(".new-switch")
            temporary.symlink_to(f"../serials{BASE}/{serial}")
            temporary.replace(link)

    thread = threading.Thread(target=switch)
    thread.start()
    try:
        seen = set()
        for _ in range(300):
            answer = client.get(f"{BASE}/data.pkg")
            assert answer.status_code == 200
            lines = set(answer.data.splitlines())
            assert len(lines) == 1
            of_eight = b"data.pkg of 8" in answer.data
            assert answer.headers["Last-Modified"].endswith("12:00:03 GMT" if of_eight else "12:00:00 GMT")
            seen.add(of_eight)
    finally:
        stop.set()
        thread.join()
    assert seen == {True, False}
