"""The other half of the demo: a finished poudriere build becomes packages in a jail, and four forgeries do not."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from repo_server.pkgrepo.catalogue import parse_data, read_catalogue
from repo_server.pkgrepo.keys import load_key
from repo_server.pkgrepo.writing import write_catalogue
from tests.demo.births import register
from tests.demo.stage import DemoFailedError, Stage, fingerprint
from tests.repo_server.pkgrepo.poudriere_tree import NAME, hook_environment, logs_of, make_tree

REPO = "FreeBSD:14:amd64/latest"
WANTED = ("demo-agent", "demo-skills")
DATA = Path(__file__).parents[1] / "data" / "pkg"
HOOKS = Path(__file__).parents[2] / "deploy" / "poudriere"
_OLDER, _NEWER = ".real_1795000000", ".real_1795348800"
_CATALOGUE = ("data.pkg", "packagesite.pkg", "meta.conf")


def publish_packages(stage: Stage) -> None:
    """Two builds of one tree, published by poudriere's own hook; and the list of known vulnerabilities."""
    keys = stage.folder / "repo" / "keys"
    made = stage.run(
        "skillrepo",
        *("--keys", str(keys), "--passphrase-file", str(keys / "passphrase")),
        *("pkg", "key", "new", "pkg-demo"),
    )
    stage.say(f"pkg's own key, {made['kind']}: clients trust its fingerprint {made['fingerprint'][:16]}…")
    stage.run("skillrepo", "pkg", "advisories", str(DATA / "audit" / "vuln.xml"), "--as", "curator-1")
    packages = make_tree(stage.folder / "poudriere")
    _whole_build(packages, _OLDER, "2026-11-18_09h00m00s")
    _bulk_done(stage, packages, _OLDER, failed=0, name="2026-11-18_09h00m00s")
    _bulk_done(stage, packages, _NEWER, failed=1)
    stage.say("one port failed in that build, so it stays back; asked for, it is published:")
    _bulk_done(stage, packages, _NEWER, failed=1, settings=("PUBLISH_FAILED=yes",))
    serials = stage.run("skillrepo", "pkg", "serials", REPO)["serials"]
    if [item["serial"] for item in serials] != [2, 1]:
        raise DemoFailedError(f"serials are {serials}")


def four_attacks(stage: Stage, url: str) -> None:
    for number, (title, attack) in enumerate(_ATTACKS, 6):
        stage.screen.print(f"\n[bold]attack {number}: {title}[/]")
        before = fingerprint(stage.folder / "jails")
        attack(stage, url)
        if fingerprint(stage.folder / "jails") != before:
            raise DemoFailedError(f"attack {number} changed a jail")
        stage.say("[green]jails unchanged[/]")


def same_size_forgery(stage: Stage, _url: str) -> None:
    """The server hands out another package of the same size; a signature over a catalogue does not notice."""
    digest = _digest_of(_index(stage), "demo-base")
    served = _public(stage) / "by-sha256" / f"{digest}.pkg"
    content = served.read_bytes()
    forged = content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]
    with _replaced(served, forged):
        _birth_refused(stage, "victim6", code="digest-mismatch")


def rolled_back_catalogue(stage: Stage, url: str) -> None:
    """The server shows yesterday's catalogue, correctly signed. pkg accepts that without a word."""
    old = _public(stage) / "serials" / REPO / "1"
    with contextlib.ExitStack() as stack:
        stack.enter_context(_missing(_public(stage) / REPO / "files.pkg"))
        for name in _CATALOGUE:
            stack.enter_context(_replaced(_public(stage) / REPO / name, (old / name).read_bytes()))
        _accepted_by_pkg_refused_by_us(stage, url)


def foreign_catalogue(stage: Stage, url: str) -> None:
    """Another repository's catalogue, signed by the very same key."""
    other = next(DATA.glob("repos/fp-rsa-other/*/latest/data.pkg"))
    keys = stage.folder / "repo" / "keys"
    passphrase = (keys / "passphrase").read_text().strip()
    written = write_catalogue(
        [entry.raw for entry in parse_data(read_catalogue(other.read_bytes(), "data").payload).entries],
        groups=(),
        files_payload=None,
        files_name="files",
        meta=None,
        signers=[load_key(keys / "pkg-demo.pkg.key", passphrase=lambda _: passphrase)],
        created=datetime.now(UTC),
    )
    with contextlib.ExitStack() as stack:
        stack.enter_context(_missing(_public(stage) / REPO / "files.pkg"))
        for name in _CATALOGUE:
            stack.enter_context(_replaced(_public(stage) / REPO / name, written.files[name]))
        _accepted_by_pkg_refused_by_us(stage, url)


def endless_not_modified(stage: Stage, _url: str) -> None:
    """A server, or a proxy before it, that answers "304 Not Modified" to everything. pkg calls that up to date."""
    with _frozen() as frozen:
        stage.environment["HIVE_SERVER"], honest = frozen, stage.environment["HIVE_SERVER"]
        try:
            _birth_refused(stage, "victim9", code="unreachable")
        finally:
            stage.environment["HIVE_SERVER"] = honest


_ATTACKS: tuple[tuple[str, Callable[[Stage, str], None]], ...] = (
    ("a package altered at the same size", same_size_forgery),
    ("a rolled-back catalogue", rolled_back_catalogue),
    ("another repository, signed by the same key", foreign_catalogue),
    ("an endless 304", endless_not_modified),
)


def _bulk_done(
    stage: Stage,
    packages: Path,
    build: str,
    *,
    failed: int,
    name: str = NAME,
    settings: tuple[str, ...] = (),
) -> None:
    """Run the hook as poudriere does when a bulk build is done."""
    latest = packages / ".latest"
    latest.unlink()
    latest.symlink_to(build)
    keys = stage.folder / "repo" / "keys"
    conf = stage.folder / "pkg-publish.conf"
    conf.write_text(
        "\n".join(
            [
                f"PROGRAM={Path(sys.executable).parent / 'skillrepo'}",
                f"REPO={stage.folder / 'repo'}",
                f"PKG_KEY={keys / 'pkg-demo.pkg.key'}",
                f"PKG_PASSPHRASE_FILE={keys / 'passphrase'}",
                "BUILD.143amd64-clawdie=FreeBSD:14:amd64 latest",
                *settings,
            ]
        )
        + "\n"
    )
    _, environment = hook_environment("bulk-done", packages)
    environment = {key: value.replace(NAME, name) for key, value in environment.items()}
    words = ["done", "2", str(failed), "1", str(failed), "0"]
    stage.screen.print(
        f"[cyan]$[/] bulk.sh {' '.join(words)}   [dim](poudriere's hook; .latest -> {build})[/]"
    )
    done = subprocess.run(
        ["/bin/sh", str(HOOKS / "bulk.sh"), *words],
        env={"PATH": os.environ["PATH"], **environment, "SKILLREPO_PUBLISH_CONF": str(conf)},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=60,
        check=False,
    )
    for line in done.stderr.splitlines():
        stage.say(f"[dim]{line.replace(str(stage.folder) + '/', '')}[/]")
    if done.returncode != 0:
        raise DemoFailedError(f"bulk.sh ended with {done.returncode}: {done.stderr}")


def _whole_build(packages: Path, build: str, name: str) -> None:
    """Make ``build`` an earlier one, in which nothing failed."""
    recorded = logs_of(packages) / ".data.json"
    told = json.loads(recorded.read_text())
    told |= {"buildname": name, "skipped": {}}
    told["ports"] |= {"failed": [], "skipped": []}
    told["stats"] |= {"failed": "0", "skipped": "0", "queued": "3"}
    folder = recorded.parent.with_name(name)
    folder.mkdir()
    (folder / ".data.json").write_text(json.dumps(told))
    named = packages / build / ".buildname"
    named.chmod(0o644)
    named.write_text(f"{name}\n")


def _accepted_by_pkg_refused_by_us(stage: Stage, url: str) -> None:
    site = f"{url}/pkg/{REPO}"
    trusted = _public(stage) / "fingerprints" / REPO
    index = str(_index(stage))
    words = ["skillrepo", "pkg", "verify", site, "--fingerprints", str(trusted), "--packages", "none"]
    stage.run(*words)
    stage.say("that is all that pkg looks at: it would take this. Held against our signed index:")
    stage.refused(*words, "--index", index, code="not-verified")


def _birth_refused(stage: Stage, tenant: str, *, code: str) -> None:
    state = str(stage.folder / f"{tenant}-host")
    register(stage, tenant, quiet=True)
    stage.refused("hive", "--state", state, "birth", tenant, code=code)


def _index(stage: Stage) -> Path:
    """Fetch the signed index as anybody can, who has the trust anchor."""
    folder, places = stage.folder / "client", stage.folder / "index"
    words = ("skillrepo-client", "--metadata-dir", str(folder))
    if not folder.exists():
        stage.run(*words, "init", str(stage.folder / "repo" / "trust-anchor.json"), quiet=True)
    named = ("--target-name", f"pkg/{REPO}/repo.json", "--target-dir", str(places))
    stage.run(*words, "--server", stage.environment["HIVE_SERVER"], *named, "download")
    return next(path for path in places.rglob("*") if path.is_file())


def _digest_of(index: Path, name: str) -> str:
    from signing.format.pkg.index import RepoIndex

    return next(p.sha256 for p in RepoIndex.parse(index.read_bytes()).packages if p.name == name)


@contextlib.contextmanager
def _replaced(path: Path, content: bytes) -> Iterator[None]:
    """Put another file in the place of ``path``; the honest one comes back."""
    aside = path.with_name(f"{path.name}.aside")
    path.rename(aside)
    path.write_bytes(content)
    try:
        yield
    finally:
        aside.replace(path)


@contextlib.contextmanager
def _missing(path: Path) -> Iterator[None]:
    aside = path.with_name(f"{path.name}.aside")
    path.rename(aside)
    try:
        yield
    finally:
        aside.replace(path)


@contextlib.contextmanager
def _frozen() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(304)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _public(stage: Stage) -> Path:
    return stage.folder / "repo" / "public" / "pkg"
