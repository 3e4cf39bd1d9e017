"""deploy/nginx, run by a real nginx: the package site answers as the service does."""

import http.client
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from tests.repo_server.web.published import NOW, write
from tests.repo_server.web.test_pkg_site import ABI, BASE, CHANNEL, DIGEST, HASHED, ODD, PACKAGE, write_serial

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
DEPLOY = Path(__file__).parents[3] / "deploy/nginx"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path(NGINX).exists(), reason="nginx is not installed: its example is not run"),
]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Site:
    root: Path
    port: int

    def ask(self, path: str, *, method: str = "GET", **headers: str) -> Answer:
        """Send the path as it is: no client in between cleans it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.putrequest(method, path, skip_host=True)
            connection.putheader("Host", "pkg.clawdie.si")
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()


def changed(text: str, folder: Path, port: int, service: int) -> str:
    """One of our files with another port, without TLS, on the trees in ``folder``; nothing else is changed."""
    text = text.replace("/var/lib/skillrepo/public", str(folder))
    text = re.sub(r"    listen \[::\].*\n", "", text)
    text = re.sub(r"    (?:ssl_certificate|ssl_certificate_key|ssl_reject_handshake) .*\n", "", text)
    text = text.replace("listen 443 ssl default_server", f"listen 127.0.0.1:{port + 1} default_server")
    text = text.replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
    text = text.replace("server 127.0.0.1:8080", f"server 127.0.0.1:{service}")
    return text.replace("listen 80 default_server", f"listen 127.0.0.1:{port} default_server")


def configure(folder: Path, site: Path, port: int, *, service: int = 1, tokens: bool = False) -> Path:
    """Write our files to ``folder`` as an operator does: with tokens, one line is another; the desk, one is uncommented."""
    for path in sorted(DEPLOY.glob("*.conf")):
        text = changed(path.read_text(), site, port, service)
        if path.name == "skillrepo.conf":
            text = text.replace("    #include skillrepo-desk.conf;", "    include skillrepo-desk.conf;")
            if tokens:
                text = text.replace("include skillrepo-pkg.conf;", "include skillrepo-pkg-tokens.conf;")
        (folder / path.name).write_text(text)
    user = "user root;\n" if Path("/proc/self").owner() == "root" else ""
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = folder / "nginx.conf"
    main.write_text(
        f"{user}daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{ }}\nhttp {{\naccess_log {folder}/access.log;\n{temporary}include skillrepo.conf;\n}}\n"
    )
    return main


@contextmanager
def running(main: Path, port: int) -> Iterator[None]:
    process = subprocess.Popen(
        [NGINX, "-p", str(main.parent), "-c", str(main)], stderr=subprocess.PIPE, text=True
    )
    try:
        for _ in range(100):
            if _answers(port):
                break
            if process.poll() is not None:
                raise AssertionError(process.communicate()[1] + (main.parent / "error.log").read_text())
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=10)


def _answers(port: int) -> bool:
    """Whether nginx answers: its port is open before that, and what comes too early is cut off."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/", headers={"Host": "nobody.example"})
        return connection.getresponse().status == 421
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def free_port() -> int:
    """Return a port that is free, and the next one is free too: the default servers have one each."""
    while True:
        with socket.socket() as one, socket.socket() as next_one:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            try:
                next_one.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nginx")
    root = folder / "pkg"
    (folder / "skills").mkdir()
    write_serial(root, 6, created=int(NOW.timestamp()) - 3600)
    write_serial(root, 7)
    write(root, f"by-sha256/{DIGEST}.pkg", PACKAGE)
    write(root, f"fingerprints{BASE}/trusted/3b", b"a fingerprint")
    write(root, "vuln.xml", b"<vuxml/>")
    write(folder, "secret", b"not published")
    (root / f"serials{BASE}/7/All/planted.pkg").symlink_to(folder / "secret")
    (root / f"serials{BASE}/7/folder").symlink_to(folder)
    (root / f"by-sha256/{'0' * 64}.pkg").symlink_to(folder / "secret")
    return folder


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[Site]:
    port = free_port()
    settings = folder / "settings"
    settings.mkdir()
    with running(configure(settings, folder, port), port):
        yield Site(folder / "pkg", port)


IMMUTABLE, REVALIDATE = "public, max-age=31536000, immutable", "no-cache"


@pytest.mark.parametrize(
    ("path", "control"),
    [
        (f"{BASE}/meta.conf", REVALIDATE),
        (f"{BASE}/data.pkg", REVALIDATE),
        (f"{BASE}/packagesite.pkg", REVALIDATE),
        (f"{BASE}/repo.json", REVALIDATE),
        (f"{BASE}/Latest/pkg.pkg", REVALIDATE),
        (f"{BASE}/Latest/pkg.pkg.sig", REVALIDATE),
        (f"{BASE}/All/demo-1.0.pkg", REVALIDATE),
        (f"{BASE}/{HASHED}", IMMUTABLE),
        (f"{BASE}/{ODD}", REVALIDATE),
        (f"/by-sha256/{DIGEST}.pkg", IMMUTABLE),
        (f"/fingerprints{BASE}/trusted/3b", REVALIDATE),
        ("/vuln.xml", REVALIDATE),
    ],
)
def test_the_same_files_with_the_same_caching(site: Site, path: str, control: str) -> None:
    answer = site.ask(path)
    assert answer.status == 200
    assert answer.headers["cache-control"] == control
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert site.ask(path, method="HEAD").headers["content-length"] == str(len(answer.body))


@pytest.mark.parametrize(
    "path",
    [
        "/FreeBSD%3A14%3Aamd64/latest/All/c%2B%2B-1.0%2C1%7Ex%40y%24z.pkg",
        "/FreeBSD:14:amd64/latest/All/c++-1.0,1~x@y$z.pkg",
        f"/FreeBSD%3a14%3aamd64/latest/{HASHED.replace('$', '%24').replace('~', '%7E')}",
    ],
)
def test_raw_and_encoded_characters_name_the_same_file(site: Site, path: str) -> None:
    assert site.ask(path).body == PACKAGE


@pytest.mark.parametrize(
    "path",
    [
        "/",
        BASE,
        f"{BASE}/",
        f"{BASE}/All",
        f"{BASE}/All/",
        f"{BASE}/meta.txz",
        "/by-sha256/",
        f"/by-sha256/{DIGEST.upper()}.pkg",
        f"/serials{BASE}/7/meta.conf",
        f"/fingerprints{BASE}/trusted/",
        "/FreeBSD:15:amd64/latest/meta.conf",
        f"{BASE}/../../../secret",
        f"{BASE}/..%2f..%2f..%2fsecret",
        f"{BASE}/%2e%2e/%2e%2e/%2e%2e/secret",
        f"{BASE}/meta.conf%00",
        f"{BASE}/All/planted.pkg",
        f"{BASE}/folder/secret",
        f"/by-sha256/{'0' * 64}.pkg",
        f"/{'x' * 7000}",
    ],
)
def test_nothing_else(site: Site, path: str) -> None:
    answer = site.ask(path)
    assert answer.status in {301, 400, 403, 404, 414}
    assert answer.status != 301 or path in {
        f"{BASE}/All",
        BASE,
    }  # a folder without its slash; the next answer is 403
    assert b"not published" not in answer.body


def test_not_modified_for_exactly_what_the_client_has(site: Site) -> None:
    dates = {
        name: site.ask(f"{BASE}/{name}").headers["last-modified"]
        for name in ("meta.conf", "data.pkg", "packagesite.pkg", "repo.json")
    }
    assert dates["data.pkg"] == dates["meta.conf"] == format_datetime(NOW, usegmt=True)
    for name, date in dates.items():
        assert site.ask(f"{BASE}/{name}", If_Modified_Since=date).status == 304
        for other in (NOW + timedelta(days=4000), NOW - timedelta(seconds=1), NOW + timedelta(seconds=2)):
            since = format_datetime(other, usegmt=True)
            assert site.ask(f"{BASE}/{name}", If_Modified_Since=since).status == 200
        assert site.ask(f"{BASE}/{name}", If_Modified_Since="nonsense").status == 200
        assert site.ask(f"{BASE}/{name}", If_None_Match='"other"', If_Modified_Since=date).status == 200
    assert site.ask(f"{BASE}/packagesite.pkg", If_Modified_Since=dates["data.pkg"]).status == 200


def test_packages_have_no_date(site: Site) -> None:
    answer = site.ask(f"{BASE}/All/demo-1.0.pkg")
    assert "last-modified" not in answer.headers
    assert "etag" not in answer.headers
    written = (site.root / f"serials{BASE}/7/All/demo-1.0.pkg").stat().st_mtime
    since = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(written))
    assert site.ask(f"{BASE}/All/demo-1.0.pkg", If_Modified_Since=since).status == 200
    assert site.ask(f"{BASE}/All/demo-1.0.pkg", Range="bytes=1-", If_Range=since).status == 200


def test_ranges(site: Site) -> None:
    for path in (f"/by-sha256/{DIGEST}.pkg", f"{BASE}/All/demo-1.0.pkg"):
        part = site.ask(path, Range="bytes=100-")
        assert (part.status, part.body) == (206, PACKAGE[100:])
        assert site.ask(path, Range=f"bytes={len(PACKAGE)}-").status == 416


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
def test_only_get_and_head(site: Site, method: str) -> None:
    answer = site.ask(f"{BASE}/meta.conf", method=method)
    assert answer.status in {403, 405}
    assert b"meta.conf of" not in answer.body


def test_a_switch_is_seen_at_once_and_never_answered_304(site: Site) -> None:
    date = site.ask(f"{BASE}/data.pkg").headers["last-modified"]
    link = site.root / ABI / CHANNEL
    try:
        link.unlink()
        link.symlink_to(f"../serials{BASE}/6")
        answer = site.ask(f"{BASE}/data.pkg", If_Modified_Since=date)
        assert (answer.status, answer.body[:13]) == (200, b"data.pkg of 6")
    finally:
        link.unlink()
        link.symlink_to(f"../serials{BASE}/7")
