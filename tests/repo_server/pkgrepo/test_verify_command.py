"""`skillrepo pkg verify`, over folders and over HTTP on this machine."""

import functools
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from click.testing import CliRunner

from repo_server.cli.pkg.verify import verify
from repo_server.pkgrepo.reading import open_repository
from signing.errors import FormatError, NotFoundError, SkillRepoError, TransportError, UsageError
from tests.support.pkg_archives import DATA, repository

ANCHORS = str(DATA / "fingerprints" / "a")


def run(*words: str) -> tuple[str, SkillRepoError | None]:
    done = CliRunner().invoke(verify, list(words))
    error = done.exception
    assert error is None or isinstance(error, SkillRepoError), done.output
    return done.stdout, error


class Quiet(http.server.SimpleHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.startswith("/moved/"):
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.2:9/x")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        super().do_GET()


@pytest.fixture
def url() -> Iterator[str]:
    Quiet.asked.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(DATA)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_good_repository_reads_well() -> None:
    text, error = run(str(repository("fp-rsa-dualsig")), "--fingerprints", ANCHORS, "--files")
    assert error is None
    assert text.startswith("GOOD  ")
    assert "4 read, 4 good" in text
    assert text.count(": trusted") == 3
    assert text.count(": not trusted") == 2


def test_a_bad_one_is_said_to_be_bad_with_what_to_do() -> None:
    text, error = run(str(repository("fp-rsa-mixedsig")), "--fingerprints", ANCHORS)
    assert text.startswith("REFUSED  ")
    assert "BAD" in text
    assert "ERROR[bad-signature] data.pkg" in text
    assert "hint: " in text
    assert error is not None
    assert (error.code, error.exit_status) == ("not-verified", 11)


def test_json_is_one_object_for_good_and_bad() -> None:
    text, error = run(str(repository("fp-rsa")), "--fingerprints", ANCHORS, "--json")
    document = json.loads(text)
    assert error is None
    assert (document["ok"], document["accepted"], document["problems"]) == (True, True, [])
    text, error = run(str(repository("fp-rsa-nodata")), "--fingerprints", ANCHORS, "--json")
    assert text == ""
    assert error is not None
    verdict = error.to_document()["verdict"]
    assert not verdict["accepted"]
    assert verdict["problems"][0]["where"] == "data.pkg"
    json.dumps(verdict)


def test_what_is_damaged_only_has_its_own_exit_status(tmp_path: Path) -> None:
    for name in ("meta.conf", "data.pkg", "packagesite.pkg"):
        (tmp_path / name).write_bytes(b"x")
    _, error = run(str(tmp_path), "--unsigned")
    assert error is not None
    assert (error.code, error.exit_status) == ("malformed", 10)


def test_words_from_the_repository_cannot_steer_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "meta.conf").write_bytes(b'version = 2;\ndata = "\xc2\x9b2K\xe2\x80\xae";\n')
    text, _ = run(str(tmp_path), "--unsigned")
    assert "\x9b" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize(
    "words", [[], ["--unsigned", "--fingerprints", ANCHORS], ["--pubkey", "/none"]], ids=range(3)
)
def test_whose_signature_it_is_to_be_is_said_once(words: list[str]) -> None:
    _, error = run(str(repository("fp-rsa")), *words)
    assert isinstance(error, UsageError)


@pytest.mark.parametrize("kind", ["fp-rsa", "fp-rsa-hashed", "fp-rsa-pkg275"])
def test_a_repository_behind_a_url(url: str, kind: str) -> None:
    text, error = run(f"{url}/repos/{kind}/FreeBSD:14:amd64/latest", "--fingerprints", ANCHORS, "--files")
    assert error is None, text
    assert text.startswith("GOOD")
    assert any(path.endswith(".pkg") and "/All/" in path for path in Quiet.asked)


def test_none_of_the_packages_and_a_sample(url: str) -> None:
    place = f"{url}/repos/fp-rsa/FreeBSD:14:amd64/latest"
    text, error = run(place, "--fingerprints", ANCHORS, "--packages", "none")
    assert error is None
    assert "0 read" in text
    assert not any("/All/" in path for path in Quiet.asked)
    assert run(place, "--fingerprints", ANCHORS, "--packages", "sample")[1] is None


def test_a_url_is_asked_with_limits_and_nobody_else_is(url: str) -> None:
    with open_repository(f"{url}/repos/fp-rsa/FreeBSD:14:amd64/latest") as reader:
        with pytest.raises(NotFoundError):
            reader.load("none.pkg", max_bytes=9)
        with pytest.raises(FormatError):
            reader.load("data.pkg", max_bytes=9)
        with pytest.raises(FormatError):
            reader.load("../latest/data.pkg", max_bytes=1 << 20)
        with reader.open("data.pkg", max_bytes=9) as stream:
            assert len(stream.read(100)) == 10  # one more than was wanted, by which it is seen to be too long
            assert stream.read(100) == b""
    with open_repository(f"{url}/moved") as reader, pytest.raises(TransportError, match="another server"):
        reader.load("data.pkg", max_bytes=9)
    with pytest.raises(UsageError):
        open_repository("http://pkg.example/x")


def test_a_package_that_grew_is_a_finding_in_a_folder_and_behind_a_url(url: str) -> None:
    for place in (str(repository("fp-rsa-bigpkg")), f"{url}/repos-bad/fp-rsa-bigpkg/FreeBSD:14:amd64/latest"):
        text, error = run(place, "--fingerprints", ANCHORS)
        assert error is not None
        assert error.exit_status == 11
        assert "has more than 1042 bytes" in text
