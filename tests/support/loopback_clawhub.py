"""A ClawHub of one's own: the recorded answers in tests/data/marketplaces/clawhub, served on 127.0.0.1.

    with LoopbackClawHub() as hub:
        settings = SourceSettings(bases={"clawhub": hub.url})

It can misbehave in one way at a time (`Fault`), and remembers what was asked of it (`hub.requests`).
"""

import enum
import io
import json
import threading
import zipfile
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.support.scenes import Scene

MARKETPLACES = Path(__file__).parent.parent / "data" / "marketplaces"
DATA = MARKETPLACES / "clawhub"
EXPECTED = json.loads((MARKETPLACES / "expected.json").read_text("utf-8"))["skills"]
HANDED_OFF = "589c9fd95ec3832b17aa923709364f2bcd3cbfc5"  # a commit that loopback_github has


class Fault(enum.StrEnum):
    """One way in which a registry can fail or lie."""

    HTML = "html"  # a captive portal, or a wrong base URL
    NOT_JSON = "not-json"
    TRUNCATED = "truncated"  # the archive ends before the announced length
    DRIP = "drip"  # the archive comes a byte at a time
    DRIP_HEADERS = "drip-headers"
    ENDLESS = "endless"
    RATE_LIMITED = "429"
    DELETED = "410"
    FAILING = "500"
    WITHHELD = "403"
    AMBIGUOUS = "409"
    REDIRECT_ELSEWHERE = "redirect-elsewhere"
    REDIRECT_LOOP = "redirect-loop"
    REDIRECT_ONCE = "redirect-once"  # inside the origin: allowed
    WRONG_DIGEST = "wrong-digest"
    WRONG_SIZE = "wrong-size"
    EXTRA_FILE = "extra-file"
    MISSING_FILE = "missing-file"
    WRONG_META = "wrong-meta"
    WRONG_OWNER = "wrong-owner"
    NO_LICENCE = "no-licence"
    HANDOFF = "handoff"  # the skill has no version here, only a commit on GitHub
    API_ELSEWHERE = "api-elsewhere"
    OTHER_ARTIFACT = "other-artifact"
    OTHER_FINGERPRINT = "other-fingerprint"
    OTHER_VERSION = "other-version"  # the files are known as those of another version
    NO_EVIDENCE = "no-evidence"
    ZIP_BOMB = "zip-bomb"


class LoopbackClawHub:
    """The server; use as a context manager."""

    def __init__(self, fault: Fault | str | None = None) -> None:
        self.fault = Fault(fault) if fault is not None else None
        self.requests: list[str] = []
        self.stopping = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, str, bytes]:
        """Return status, content type and body, as the registry would give them."""
        if self.fault in _ERRORS:
            return _ERRORS[self.fault]()
        if self.fault in _NONSENSE:
            return _NONSENSE[self.fault]
        if path == "/api/v1/resolve":
            return 200, "application/json", json.dumps(self._resolved(query)).encode()
        if path.endswith("/scan"):
            return self._scanned(path, query)
        name = _recorded_name(path, query)
        if path == "/api/v1/download" and self.fault is Fault.HANDOFF:
            name = "GET_api_v1_download.github-backed-skill.handoff.json"
        if path.endswith("/verify") and self.fault is Fault.NO_EVIDENCE:
            name = "none"
        return self._recorded(path, query, DATA / name)

    def _recorded(self, path: str, query: dict[str, str], file: Path) -> tuple[int, str, bytes]:
        if path == "/api/v1/download" and self._withheld(query.get("slug", "")):
            return _ERRORS[Fault.WITHHELD]()
        if not file.is_file() or not self._owned(path, query):
            return _NOT_FOUND
        if file.suffix == ".zip":
            return 200, "application/zip", self._spoil_zip(file.read_bytes())
        document = json.loads(file.read_text("utf-8").replace("__BASE_URL__", self.url))
        if path.endswith("/verify") and document["version"] != query.get("version"):
            return _NOT_FOUND
        return 200, "application/json", json.dumps(self._spoil(document)).encode()

    @staticmethod
    def _scanned(path: str, query: dict[str, str]) -> tuple[int, str, bytes]:
        """Return what the version's detail says about security, in the shape that the scan has."""
        file = (
            DATA
            / f"{_recorded_name(path.replace('/scan', '/versions'), {})[:-5]}_{query.get('version')}.json"
        )
        if not file.is_file():
            return _NOT_FOUND
        security = json.loads(file.read_text("utf-8"))["version"]["security"]
        return 200, "application/json", json.dumps({"security": security | {"hasScanResult": True}}).encode()

    def _resolved(self, query: dict[str, str]) -> dict[str, Any]:
        slug = query["slug"]
        versions = {
            facts["clawhub_fingerprint"]: name.partition("@")[2]
            for name, facts in EXPECTED.items()
            if name.startswith(f"{slug}@")
        }
        found = "0.0.1" if self.fault is Fault.OTHER_VERSION else versions.get(query["hash"])
        return {"slug": slug, "match": {"version": found} if found else None, "latestVersion": None}

    def _owned(self, path: str, query: dict[str, str]) -> bool:
        """Return whether the skill belongs to the owner that was asked for, if one was."""
        slug = query.get("slug") or path.removeprefix("/api/v1/skills/").partition("/")[0]
        recorded, owner = DATA / f"GET_api_v1_skills_{slug}.json", query.get("ownerHandle")
        if owner is None or not recorded.is_file():
            return True
        return bool(json.loads(recorded.read_text("utf-8"))["owner"]["handle"] == owner)

    @staticmethod
    def _withheld(slug: str) -> bool:
        recorded = DATA / f"GET_api_v1_skills_{slug}.json"
        moderation = json.loads(recorded.read_text("utf-8"))["moderation"] if recorded.is_file() else None
        return bool(moderation and moderation["isMalwareBlocked"])

    def _spoil(self, document: dict[str, Any]) -> dict[str, Any]:
        version = document.get("version", {})
        files = version.get("files", []) if isinstance(version, dict) else []
        if self.fault is Fault.WRONG_DIGEST and files:
            files[0]["sha256"] = "0" * 64
        if self.fault is Fault.WRONG_SIZE and files:
            files[0]["size"] += 1
        if self.fault is Fault.MISSING_FILE and files:
            files.append(
                {"path": "scripts/gone.sh", "size": 1, "sha256": "0" * 64, "contentType": "text/plain"}
            )
        if self.fault is Fault.NO_LICENCE and files:
            version["license"] = None
        if self.fault is Fault.WRONG_OWNER and "owner" in document:
            document["owner"]["handle"] = "northwlnd-tools"
        if self.fault is Fault.HANDOFF:
            document |= {"latestVersion": None} if "latestVersion" in document else {}
            document |= {"commit": HANDED_OFF} if "commit" in document else {}
        if self.fault is Fault.API_ELSEWHERE and "apiBase" in document:
            document["apiBase"] = self.url.replace("127.0.0.1", "localhost")
        if self.fault is Fault.OTHER_ARTIFACT and "artifact" in document:
            document["artifact"]["files"][0]["sha256"] = "0" * 64
        if self.fault is Fault.OTHER_FINGERPRINT and "artifact" in document:
            document["artifact"]["sourceFingerprint"] = "0" * 64
        return document

    def _spoil_zip(self, data: bytes) -> bytes:
        if self.fault is Fault.EXTRA_FILE:
            return _rewritten(data, lambda files: files | {"scripts/extra.sh": b"#!/bin/sh\n"})
        if self.fault is Fault.WRONG_META:
            return _rewritten(
                data, lambda files: files | {"_meta.json": b'{"slug":"other","version":"1.0.1"}'}
            )
        if self.fault is Fault.ZIP_BOMB:
            return _rewritten(data, lambda files: files | {"zeros.txt": bytes(20 << 20)})
        return data


def _recorded_name(path: str, query: dict[str, str]) -> str:
    name = "GET_" + path.strip("/").replace("/", "_")
    if path == "/api/v1/download":
        return f"{name}.{query.get('slug', '')}.{query.get('version', '')}.zip".replace("/", "_")
    if path == "/api/v1/search":
        return f"{name}.q-{query.get('q', '')}.json"
    if path == "/api/v1/skills":
        return f"{name}.page2.cursor-{query['cursor']}.json" if "cursor" in query else f"{name}.page1.json"
    return f"{name.removesuffix('.json')}.json"


def _rewritten(data: bytes, change: Callable[[dict[str, bytes]], dict[str, bytes]]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in change(files).items():
            archive.writestr(name, content)
    return target.getvalue()


def _text_error(status: int, text: str) -> Callable[[], tuple[int, str, bytes]]:
    return lambda: (status, "text/plain; charset=utf-8", text.encode())


_ERRORS: dict[Fault, Callable[[], tuple[int, str, bytes]]] = {
    Fault.RATE_LIMITED: _text_error(429, "Rate limit exceeded"),
    Fault.DELETED: lambda: (410, "text/plain; charset=utf-8", (DATA / "ERROR_410.txt").read_bytes()),
    Fault.FAILING: _text_error(500, "Internal error"),
    Fault.WITHHELD: _text_error(403, "Blocked by moderation"),
    Fault.AMBIGUOUS: lambda: (409, "application/json", (DATA / "ERROR_409_ambiguous_slug.json").read_bytes()),
}


_NONSENSE = {
    Fault.HTML: (200, "text/html; charset=utf-8", b"<!doctype html><title>Welcome</title>"),
    Fault.NOT_JSON: (200, "application/json", b'{"skill": '),
}
_NOT_FOUND = (404, "text/plain; charset=utf-8", (DATA / "ERROR_404.txt").read_bytes())


def _handler_for(hub: LoopbackClawHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Say nothing; ``hub.requests`` is the log."""

        def do_GET(self) -> None:
            hub.requests.append(self.path)
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            if self._redirected(parts.path):
                return
            status, kind, body = hub.answer(parts.path, query)
            is_archive = kind == "application/zip"
            if hub.fault is Fault.DRIP_HEADERS:
                self._drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 10_000)
                return
            self.send_response(status)
            self.send_header("Content-Type", kind)
            if status == 429:
                for name, value in json.loads((DATA / "ERROR_429.headers.json").read_text())[
                    "headers"
                ].items():
                    if name != "content-type":
                        self.send_header(name, value)
            length = len(body) + (50 if is_archive and hub.fault is Fault.TRUNCATED else 0)
            if is_archive and hub.fault is Fault.ENDLESS:
                length = 1 << 40
            self.send_header("Content-Length", str(length))
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            if is_archive and hub.fault is Fault.DRIP:
                self._drip(body)
            elif is_archive and hub.fault is Fault.ENDLESS:
                self._flood()
            else:
                self._send(body)

        def _redirected(self, path: str) -> bool:
            targets = {
                Fault.REDIRECT_ELSEWHERE: hub.url.replace("127.0.0.1", "localhost") + "/elsewhere",
                Fault.REDIRECT_LOOP: self.path,
                Fault.REDIRECT_ONCE: f"/api/v1{self.path}",
            }
            if hub.fault not in targets:
                return False
            if hub.fault is Fault.REDIRECT_ONCE:
                if not path.startswith("/api/v1/download") or "moved" in self.path:
                    return False
                targets[Fault.REDIRECT_ONCE] = f"{self.path}&moved=1"
            self.send_response(302)
            self.send_header("Location", targets[hub.fault])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return True

        def _drip(self, body: bytes) -> None:
            for byte in body:
                if hub.stopping.wait(0.1) or not self._send(bytes([byte])):
                    return

        def _flood(self) -> None:
            while not hub.stopping.is_set() and self._send(b"PK\x03\x04" * (1 << 14)):
                pass

        def _send(self, data: bytes) -> bool:
            try:
                self.wfile.write(data)
                self.wfile.flush()
            except OSError:
                return False
            return True

    return Handler


SCENE = Scene(
    server=LoopbackClawHub,
    address="clawhub:@northwind-tools/csv-summarizer",
    optional=("/.well-known/clawhub.json",),
)
