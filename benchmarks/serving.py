"""How many answers a second the embedded server and nginx on the published tree give, beside plain nginx in the same rounds.

    python benchmarks/serving.py [--json FILE]

A repository is made; into its published tree go a metadata file of 4 KiB and a bundle of 2 MiB. `skillrepo serve` with
two workers serves it, on granian where that is installed, else on waitress; nginx with deploy/nginx, ports and paths
changed and TLS left away; and, as the floor, nginx with nothing but sendfile and open_file_cache. Both nginx have two
workers and no access log. All are asked over 16 connections on loopback, one after the other in each round; the one that
asks runs on the same cores.
"""

import contextlib
import json
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from loader import loader, rate
from table import Row, main, skipped

ROUNDS, SECONDS = 5, 2.0
HOST = "skills.clawdie.si"
DEPLOY = Path(__file__).resolve().parents[1] / "deploy/nginx"
BIN = Path(sys.executable).parent
SERVING = re.compile(r"serving http://127\.0\.0\.1:(\d+) \((\w+)\)")
PLAIN, OURS = "plain nginx", "nginx, deploy/nginx"
AIMS = {
    "embedded": {"4 KiB": "ratio >= 0.09", "2 MiB": "ratio >= 0.8"},
    OURS: dict.fromkeys(("4 KiB", "2 MiB"), "ratio >= 0.95"),
}


def measure() -> Iterator[Row]:
    """How many answers a second each way to serve gives."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        yield skipped("serving", "nginx is not installed, and it is the floor")
        return
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        paths = published(folder)
        ports = {PLAIN: free_port(), OURS: free_port()}
        for label, conf in ((PLAIN, plain_conf), (OURS, our_conf)):
            place = folder / f"nginx-{len(label)}"
            place.mkdir()
            stack.enter_context(
                running_nginx(nginx, place, conf(tree(folder), place, ports[label]), ports[label])
            )
        ports["embedded"], server = stack.enter_context(running_embedded(folder))
        for size, path in paths.items():
            yield from compared(size, path, ports, server)


def compared(size: str, path: str, ports: dict[str, int], server: str) -> Iterator[Row]:
    """Yield a row for each server but the floor."""
    rates: dict[str, list[float]] = {label: [] for label in ports}
    for port in ports.values():
        rate(port, path, host=HOST, seconds=1)  # warms
    for number in range(ROUNDS):
        labels = list(ports)
        for label in labels if number % 2 else reversed(labels):
            rates[label].append(rate(ports[label], path, host=HOST, seconds=SECONDS))
    for label, aims in AIMS.items():
        pairs = zip(rates[label], rates[PLAIN], strict=True)
        yield Row(
            work=f"serve {size}: {label}",
            figure=statistics.median(rates[label]),
            unit="/s",
            against=PLAIN,
            floor=statistics.median(rates[PLAIN]),
            ratio=statistics.median(ours / plain for ours, plain in pairs),
            aim=aims[size],
            note=f"Asked by {loader()} over 16 connections; the embedded server is {server} with two workers.",
        )


def published(folder: Path) -> dict[str, str]:
    """Make a repository, put the two files into its published tree, and return their paths."""
    from repo_server.publishing.siblings import write_once_with_sibling
    from tests.support.world import World

    World.build(folder / "world").close()
    root = tree(folder)
    chance = Random(0)
    document = json.dumps({"digests": [chance.randbytes(32).hex() for _ in range(60)]}).encode()
    bundle = chance.randbytes(2 << 20)
    places = {
        "4 KiB": ("metadata/1000.snapshot.json", document.ljust(4 << 10)),
        "2 MiB": (f"targets/skills/bench/1.0/{sha256(bundle).hexdigest()}.bench-1.0.tar.gz", bundle),
    }
    for place, data in places.values():
        write_once_with_sibling(root, place, data)
    return {size: f"/{place}" for size, (place, _) in places.items()}


def tree(folder: Path) -> Path:
    return folder / "world/repo/public/skills"


def plain_conf(root: Path, _: Path, port: int) -> str:
    return (
        f"open_file_cache max=1000 inactive=20s;\n"
        f"server {{ listen 127.0.0.1:{port}; server_name {HOST}; root {root}; }}\n"
    )


def our_conf(root: Path, folder: Path, port: int) -> str:
    """Our files as they are deployed, but for ports, the place of the tree, and TLS."""
    for path in DEPLOY.glob("*.conf"):
        text = path.read_text().replace("/var/lib/skillrepo/public", str(root.parent))
        text = re.sub(
            r"^ *(?:listen \[::\]|ssl_certificate|ssl_reject_handshake).*\n", "", text, flags=re.MULTILINE
        )
        text = re.sub(
            r"listen (?:443 ssl|80) default_server", f"listen 127.0.0.1:{port} default_server", text, count=1
        )
        text = re.sub(
            r"listen (?:443 ssl|80) default_server", f"listen 127.0.0.1:{free_port()} default_server", text
        )
        (folder / path.name).write_text(text.replace("listen 443 ssl", f"listen 127.0.0.1:{port}"))
    return "include skillrepo.conf;\n"


@contextlib.contextmanager
def running_nginx(nginx: str, folder: Path, http: str, port: int) -> Iterator[None]:
    user = (
        "user root;\n" if Path("/proc/self").owner() == "root" else ""
    )  # the tree is below a folder of ours
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"{user}daemon off; worker_processes 2; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{ worker_connections 512; }}\n"
        f"http {{\naccess_log off; sendfile on; tcp_nopush on;\n{temporary}{http}}}\n"
    )
    process = subprocess.Popen(
        [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf")], stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for(process, port)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=10)


@contextlib.contextmanager
def running_embedded(folder: Path) -> Iterator[tuple[int, str]]:
    """Run `skillrepo serve`; yield its port and the name of the server."""
    words = [
        str(BIN / "skillrepo"),
        "--repo",
        str(folder / "world/repo"),
        "serve",
        "--port",
        "0",
        "--workers",
        "2",
    ]
    with (folder / "serve.log").open("w+") as log:
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=log)
        try:
            for _ in range(600):
                if found := SERVING.search((folder / "serve.log").read_text()):
                    break
                if process.poll() is not None:
                    raise RuntimeError(f"skillrepo serve ended: {(folder / 'serve.log').read_text()}")
                time.sleep(0.05)
            else:
                raise RuntimeError("skillrepo serve does not begin")
            yield int(found[1]), found[2]
        finally:
            process.terminate()
            process.wait(timeout=10)


def wait_for(process: subprocess.Popen[str], port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process.poll() is not None:
            raise RuntimeError(f"nginx ended: {process.communicate()[1]}")
        time.sleep(0.05)
    raise RuntimeError("nginx does not begin")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main(measure))
