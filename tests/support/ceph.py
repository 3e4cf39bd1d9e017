"""A real S3 engine on loopback: a Ceph monitor, one OSD in memory, and radosgw; skipped aloud where they are not installed.

Ready in about ten seconds, as root, without containers (reference/storage-serving-performance §1.2 says why each setting is
there). Everything stands below one folder and is gone with it.
"""

import contextlib
import hashlib
import hmac
import http.client
import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "monmaptool")
SECONDS = 120
TRIES = 3
KEY_ID, SECRET = "AKtest", "SKtest-not-to-be-seen"
SETTINGS = """\
[global]
fsid = {cluster}
run dir = {folder}/run
admin socket = {folder}/run/$name.asok
pid file = {folder}/run/$name.pid
log file = {folder}/log/$name.log
mon cluster log file = {folder}/log/cluster.log
heartbeat file = {folder}/run/$name.heartbeat
auth cluster required = none
auth service required = none
auth client required = none
mon host = [v1:127.0.0.1:{mon_port}]
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
ms bind msgr2 = false
osd pool default size = 1
osd pool default min size = 1
mon allow pool size one = true
osd pool default pg num = 4
osd pool default pgp num = 4
mon max pg per osd = 1000
mon pg warn min per osd = 0
osd crush chooseleaf type = 0
[mon.a]
host = localhost
mon addr = 127.0.0.1:{mon_port}
mon data = {folder}/mon
[osd]
osd objectstore = memstore
memstore device bytes = 1073741824
osd data = {folder}/osd
osd class update on start = false
osd crush update on start = false
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{s3_port} tcp_nodelay=1
rgw run sync thread = false
rgw enable usage log = false
"""


@dataclass(frozen=True)
class S3Server:
    endpoint: str
    key_id: str = KEY_ID
    secret: str = SECRET


@contextlib.contextmanager
def running() -> Iterator[S3Server]:
    """Yield an engine with one user and no buckets."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)} on this machine: nothing was tested on a real S3 engine")
    if os.geteuid() != 0:
        pytest.skip("the S3 engine starts as root only: nothing was tested on a real one")
    with contextlib.ExitStack() as stack:
        yield _begun(stack)


def _begun(stack: contextlib.ExitStack) -> S3Server:
    """Return an engine; another port may have been taken meanwhile, or a monitor is not ready on a busy machine."""
    for _ in range(TRIES - 1):
        with contextlib.suppress(subprocess.SubprocessError):
            return stack.enter_context(_cluster())
    return stack.enter_context(_cluster())


@contextlib.contextmanager
def _cluster() -> Iterator[S3Server]:
    folder = Path(tempfile.mkdtemp(prefix="ceph-"))
    for name in ("mon", "osd", "run", "log"):
        (folder / name).mkdir()
    cluster, osd = str(uuid.uuid4()), str(uuid.uuid4())
    mon_port, s3_port = _free_ports(2)
    conf = folder / "ceph.conf"
    conf.write_text(SETTINGS.format(cluster=cluster, folder=folder, mon_port=mon_port, s3_port=s3_port))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        log = stack.enter_context((folder / "log/setup").open("wb"))

        def run(*words: str) -> None:
            subprocess.run(words, stdout=log, stderr=log, timeout=SECONDS, check=True)

        def start(*words: str) -> None:
            process = subprocess.Popen(words, stdout=log, stderr=log)
            stack.callback(_end, process)

        run(
            "monmaptool",
            "--create",
            "--fsid",
            cluster,
            "--addv",
            "a",
            f"[v1:127.0.0.1:{mon_port}]",
            f"{folder}/map",
        )
        run("ceph-mon", "-c", str(conf), "--mkfs", "-i", "a", "--monmap", f"{folder}/map")
        start("ceph-mon", "-c", str(conf), "-i", "a", "-f")
        run("ceph", "-c", str(conf), "--connect-timeout", "60", "osd", "new", osd)
        run("ceph", "-c", str(conf), "osd", "crush", "add", "osd.0", "1.0", "root=default", "host=localhost")
        run("ceph-osd", "-c", str(conf), "-i", "0", "--mkfs", "--osd-uuid", osd)
        start("ceph-osd", "-c", str(conf), "-i", "0", "-f")
        start("radosgw", "-c", str(conf), "-n", "client.rgw", "-f")
        _wait_for(s3_port)
        admin = ("radosgw-admin", "-c", str(conf), "-n", "client.rgw")
        run(
            *admin,
            "user",
            "create",
            "--uid=test",
            "--display-name=test",
            f"--access-key={KEY_ID}",
            f"--secret-key={SECRET}",
        )
        yield S3Server(f"http://127.0.0.1:{s3_port}")


def make_bucket(server: S3Server, name: str) -> None:
    """Make a bucket; an empty PUT of it, signed as S3 wants it."""
    host = urlsplit(server.endpoint).netloc
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    empty = hashlib.sha256(b"").hexdigest()
    headers = {"host": host, "x-amz-content-sha256": empty, "x-amz-date": moment}
    names = ";".join(sorted(headers))
    canonical = "\n".join(
        ["PUT", f"/{name}", "", *(f"{key}:{headers[key]}" for key in sorted(headers)), "", names, empty]
    )
    scope = f"{moment[:8]}/us-east-1/s3/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{server.secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={server.key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    connection = http.client.HTTPConnection(host, timeout=60)
    try:
        connection.request("PUT", f"/{name}", headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
    finally:
        connection.close()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _wait_for(port: int) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise AssertionError("the S3 engine does not answer")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:  # an OSD waits long for its monitor; there is nothing on disk to lose
        process.kill()
        process.wait()
