"""The curator's HTTP client against servers that stall, redirect, lie about lengths, and want the token."""

import time
import traceback

import pytest

from repo_server.desk.client import DeskAddress, DeskClient, Upload
from repo_server.desk.problems import ServerFailedError, TooManyRequestsError, error_of
from repo_server.tokens import TokenRefusedError
from signing.errors import (
    ConflictError,
    FormatError,
    KeyAccessError,
    SkillRepoError,
    ThresholdError,
    TransportError,
    UsageError,
)
from signing.format.canonical import canonical
from tests.attacks.raw_server import RawServer, Talk, raw_server

TOKEN = "skt_0123456789ab_" + "A" * 43


def client(server: RawServer, *, seconds: float = 5) -> DeskClient:
    return DeskClient(DeskAddress.parse(server.url), TOKEN, seconds=seconds)


@pytest.mark.parametrize(
    "url",
    [
        "http://skills.example",
        "ftp://skills.example",
        "https://user:pass@skills.example",
        "https://skills.example/path",
        "https://skills.example?x=1",
        "https://skills.example#x",
        "https://",
        "https://exa mple",
        "https://skills.example:port",
        "https://ex\u00e4mple.example",
    ],
)
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(UsageError):
        DeskAddress.parse(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://skills.example", "https://skills.example"),
        ("https://skills.example/", "https://skills.example"),
        ("https://skills.example:443", "https://skills.example"),
        ("https://skills.example:8443", "https://skills.example:8443"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://localhost", "http://localhost"),
    ],
)
def test_addresses_that_are_accepted(url: str, shown: str) -> None:
    assert str(DeskAddress.parse(url)) == shown


@pytest.mark.parametrize(
    "status", [b"301 Moved", b"302 Found", b"303 See", b"307 Temporary", b"308 Permanent"]
)
def test_a_redirect_is_an_error_and_the_token_stays(status: bytes) -> None:
    def catch(talk: Talk) -> None:
        talk.answer(b"caught")

    with raw_server(catch) as thief:

        def send_away(talk: Talk) -> None:
            talk.answer(
                status=status.decode(), headers=b"Location: %s/api/v1/desk/state\r\n" % thief.url.encode()
            )

        with raw_server(send_away) as server, pytest.raises(TransportError, match="redirects"):
            client(server).ask("GET", "/state")
        assert thief.requests == []
        assert thief.connections == 0


def test_environment_chooses_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with raw_server(lambda talk: talk.answer(b"proxied")) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        with raw_server(lambda talk: talk.answer(b"direct")) as server:
            assert client(server).ask("GET", "/state").body == b"direct"
        assert proxy.connections == 0


def test_the_token_travels_in_one_header() -> None:
    with raw_server(lambda talk: talk.answer(b"{}")) as server:
        client(server).ask("GET", "/state")
        (request,) = server.requests
    assert request.count(TOKEN.encode()) == 1
    assert f"Authorization: Bearer {TOKEN}\r\n".encode() in request
    assert TOKEN.encode() not in request.partition(b"\r\n")[0]


def test_the_token_is_in_no_error_and_no_representation() -> None:
    with raw_server(lambda talk: talk.connection.close()) as server:
        asker = client(server)
        with pytest.raises(TransportError) as caught:
            asker.ask("GET", "/state")
    said = "".join(traceback.format_exception(caught.value)) + repr(asker) + repr(caught.value.to_document())
    assert TOKEN not in said
    assert caught.value.__cause__ is None


def test_headers_that_drip() -> None:
    with raw_server(lambda talk: talk.drip(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 10_000, pause=0.02)) as server:
        begun = time.monotonic()
        with pytest.raises(TransportError, match="not finished"):
            client(server, seconds=0.5).ask("GET", "/state")
        assert time.monotonic() - begun < 30  # of the 200 that the answer takes


def test_a_body_that_drips() -> None:
    def drip(talk: Talk) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        talk.drip(b"x" * 100_000, pause=0.02)

    with raw_server(drip) as server:
        begun = time.monotonic()
        with pytest.raises(TransportError, match="not finished"):
            client(server, seconds=0.5).ask("GET", "/state")
        assert time.monotonic() - begun < 30  # of the 200 that the answer takes


def test_silence() -> None:
    with raw_server(lambda talk: talk.silence()) as server:
        with pytest.raises(TransportError, match="not finished"):
            client(server, seconds=0.3).ask("GET", "/state")
        server.stopping.set()


def test_a_body_without_end() -> None:
    def endless(talk: Talk) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\n\r\n")
        talk.for_ever(b"x" * 65_536)

    with raw_server(endless) as server:
        with pytest.raises(FormatError, match="more than 100000 bytes"):
            client(server).ask("GET", "/state", limit=100_000)
        assert server.sent < 30 << 20


def test_an_error_without_end() -> None:
    def endless(talk: Talk) -> None:
        talk.send(b"HTTP/1.1 500 Oops\r\nContent-Type: application/problem+json\r\n\r\n")
        talk.for_ever(b"x" * 65_536)

    with raw_server(endless) as server, pytest.raises(FormatError, match="more than"):
        client(server).ask("GET", "/state")


def test_a_body_that_ends_too_early() -> None:
    short = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"
    with raw_server(lambda talk: talk.send(short)) as server, pytest.raises((FormatError, TransportError)):
        client(server).ask("GET", "/state")


def test_a_compressed_body() -> None:
    def answer(talk: Talk) -> None:
        talk.answer(b"\x1f\x8b", headers=b"Content-Encoding: gzip\r\n")

    with raw_server(answer) as server, pytest.raises(FormatError, match="compressed"):
        client(server).ask("GET", "/state")


@pytest.mark.parametrize("answer", [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\0" * 100 + b"\r\n\r\n"])
def test_what_is_no_http(answer: bytes) -> None:
    with raw_server(lambda talk: talk.send(answer)) as server, pytest.raises(TransportError):
        client(server).ask("GET", "/state")


def test_nobody_listens() -> None:
    with raw_server(lambda talk: talk.answer()) as server:
        gone = client(server)
    with pytest.raises(TransportError, match="cannot be reached") as caught:
        gone.ask("GET", "/state")
    assert caught.value.exit_status == 5


def test_a_refusal_before_the_upload_is_read() -> None:
    """The server answers 401 and closes; the client says why instead of that a pipe broke."""
    document = canonical({"error": {"code": "token-refused", "message": "ended"}})

    def refuse(talk: Talk) -> None:
        talk.answer(
            document, status="401 Unauthorized", headers=b"Content-Type: application/problem+json\r\n"
        )
        talk.connection.recv(1 << 20)

    upload = Upload(content=b"x" * 200_000, media_type="application/gzip")
    with raw_server(refuse) as server, pytest.raises((TokenRefusedError, TransportError)):
        client(server).ask("POST", "/candidates", upload=upload)


def test_slowing_down_is_waited_for_when_reading() -> None:
    asked: list[bytes] = []

    def answer(talk: Talk) -> None:
        asked.append(talk.request)
        if len(asked) == 1:
            talk.answer(status="429 Slow", headers=b"Retry-After: 1\r\n")
        else:
            talk.answer(b"now")

    with raw_server(answer) as server:
        assert client(server).ask("GET", "/state").body == b"now"
    assert len(asked) == 2


@pytest.mark.parametrize("after", [b"Retry-After: 3600\r\n", b"", b"Retry-After: soon\r\n"])
def test_slowing_down_for_long_is_an_error(after: bytes) -> None:
    with raw_server(lambda talk: talk.answer(status="429 Slow", headers=after)) as server:
        with pytest.raises(TooManyRequestsError) as caught:
            client(server).ask("GET", "/state")
        assert len(server.requests) == 1
    assert caught.value.exit_status == 5


def test_handing_in_is_never_repeated_by_itself() -> None:
    with raw_server(lambda talk: talk.answer(status="429 Slow", headers=b"Retry-After: 1\r\n")) as server:
        with pytest.raises(TooManyRequestsError):
            client(server).ask(
                "POST", "/publish", upload=Upload(content=b"{}", media_type="application/json")
            )
        assert len(server.requests) == 1


def problem(status: int, **said: object) -> SkillRepoError:
    document = {"type": "x", "title": "x", "status": status, "detail": "what happened", "error": said}
    return error_of(status, "application/problem+json", canonical(document))


def test_errors_come_back_as_what_they_were() -> None:
    for kind, code, exit_status in (
        (ConflictError, "conflict", 4),
        (KeyAccessError, "key-not-available", 7),
        (TokenRefusedError, "token-refused", 12),
        (FormatError, "malformed", 10),
    ):
        error = problem(409, code=code, message="m", hint="h")
        assert type(error) is kind
        assert (str(error), error.hint, error.exit_status) == ("m", "h", exit_status)
    short = problem(422, code="threshold-not-met", message="1 of 2", facts={"signed": 1, "missing": ["bob"]})
    assert type(short) is ThresholdError
    assert short.facts == {"signed": 1, "missing": ["bob"]}


@pytest.mark.parametrize(
    ("status", "media_type", "body", "kind"),
    [
        (500, "application/problem+json", b"{}", ServerFailedError),
        (503, "text/html", b"<html>", ServerFailedError),
        (502, "application/problem+json", b'{"error":{"code":"conflict","message":"x"}}', ServerFailedError),
        (404, "text/html", b"<html>", FormatError),
        (400, "application/problem+json", b"not json", FormatError),
        (400, "application/problem+json", b"[]", FormatError),
        (400, "application/problem+json", b'{"error":{"code":"no-such-code","message":"x"}}', FormatError),
        (400, "application/problem+json", b'{"error":[]}', FormatError),
        (201, "application/problem+json", b"{}", FormatError),
    ],
)
def test_errors_of_another_shape(
    status: int, media_type: str, body: bytes, kind: type[SkillRepoError]
) -> None:
    assert type(error_of(status, media_type, body)) is kind
