"""The third form: `skillrepo spread` into a real S3 engine, deploy/nginx/skillrepo-s3.conf by a real nginx, a real client."""

import hashlib
import hmac
import http.client
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from repo_server.publishing.spreading import Content, spread
from repo_server.publishing.spreading_s3 import Bucket
from repo_server.storage.choose import BlobSettings
from signing.errors import HostError
from signing.format.names import Pin
from tests.repo_server.web.test_nginx import DEPLOY, NGINX, Answer, changed, free_port, running
from tests.support import ceph
from tests.support.ceph import S3Server
from tests.support.serials import make_index, publish_serial
from tests.support.withdrawing import withdraw
from tests.support.world import World, now

pytest.importorskip("obstore", reason="obstore is not installed: nothing was tested on S3")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path(NGINX).exists(), reason="nginx is not installed: its example is not run"),
]
BIN = Path(sys.executable).parent
TIMESTAMP = "/metadata/timestamp.json"


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with ceph.running() as server:
        yield server


def let_everybody_read(server: S3Server, bucket: str) -> None:
    """Set the policy of a bucket as docs/serving.md says: read below the prefix, and list nothing."""
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": ["*"]},
                "Action": ["s3:GetObject"],
                "Resource": [f"arn:aws:s3:::{bucket}/*"],
            }
        ],
    }
    body, host = json.dumps(policy).encode(), urlsplit(server.endpoint).netloc
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    headers = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": moment}
    names = ";".join(sorted(headers))
    lines = ["PUT", f"/{bucket}", "policy=", *(f"{key}:{headers[key]}" for key in sorted(headers)), "", names]
    canonical = "\n".join([*lines, digest])
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
        connection.request("PUT", f"/{bucket}?policy", body=body, headers=headers)
        answer = connection.getresponse()
        assert answer.status in {200, 204}, answer.read()
    finally:
        connection.close()


@dataclass
class Scene:
    """A repository, its bucket, and nginx in front of that."""

    world: World
    settings: BlobSettings
    port: int
    log: Path

    @property
    def bucket(self) -> Bucket:
        return Bucket.of(self.repository)

    @property
    def repository(self):  # type: ignore[no-untyped-def]
        return replace(
            self.world.repository, config=replace(self.world.repository.config, published=self.settings)
        )

    def ask(
        self, path: str, *, method: str = "GET", host: str = "skills.clawdie.si", **headers: str
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host=True)
            connection.putheader("Host", host)
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    def verified(self, *pins: str) -> None:
        """Let a client that knows nothing verify ``pins`` through nginx, and take them."""
        state = self.world.folder / f"client-{secrets.token_hex(4)}"
        client = self.world.client(f"http://127.0.0.1:{self.port}", state)
        with client.session(now()) as session:
            for pin in pins:
                assert session.release(Pin.parse(pin)).pin == Pin.parse(pin)


@pytest.fixture
def scene(server: S3Server, world: World, tmp_path: Path) -> Iterator[Scene]:
    bucket, port = f"b{secrets.token_hex(6)}", free_port()
    ceph.make_bucket(server, bucket)
    let_everybody_read(server, bucket)
    credentials = tmp_path / "s3.toml"
    credentials.write_text(f'key_id = "{server.key_id}"\nsecret = "{server.secret}"\n')
    credentials.chmod(0o600)
    settings = BlobSettings(
        bucket=bucket,
        prefix="tree",
        endpoint=server.endpoint,
        region="us-east-1",
        credentials=str(credentials),
    )
    folder = tmp_path / "nginx"
    folder.mkdir()
    store = urlsplit(server.endpoint).netloc
    for path in sorted(DEPLOY.glob("*.conf")):
        text = changed(path.read_text(), tmp_path, port, 1)
        text = text.replace("server 127.0.0.1:9000;", f"server {store};")
        text = text.replace('"s3.example.net"', f'"{store}"')
        text = text.replace('"/clawdie-published"', f'"/{bucket}/tree"')
        text = text.replace("/var/cache/nginx/skillrepo", str(folder / "cache"))
        # The client speaks plain http to this machine only.
        text = text.replace("server_name skills.clawdie.si;", "server_name skills.clawdie.si 127.0.0.1;")
        (folder / path.name).write_text(text)
    user = "user root;\n" if os.geteuid() == 0 else ""
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = folder / "nginx.conf"
    main.write_text(
        f"{user}daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;\n"
        'events { }\nhttp {\nlog_format asked "$uri $upstream_cache_status $upstream_status";\n'
        f"access_log {folder}/access.log asked;\n{temporary}include skillrepo-s3.conf;\n}}\n"
    )
    with running(main, port):
        yield Scene(world, settings, port, folder / "access.log")


def test_clients_get_what_was_published_and_what_follows(scene: Scene) -> None:
    spread(scene.repository, scene.bucket)
    scene.verified("web-search==1.0")
    scene.world.publish_skill("pdf-tools==1.0.post1")
    spread(scene.repository, scene.bucket)
    scene.verified("web-search==1.0", "pdf-tools==1.0.post1")
    withdraw(scene.world, "web-search==1.0")
    spread(scene.repository, scene.bucket)
    assert b"web-search" not in scene.ask("/.well-known/agent-skills/index.json").body
    assert scene.ask("/.well-known/skills/web-search/SKILL.md").status == 404
    scene.verified("pdf-tools==1.0.post1")


def test_every_file_is_the_published_one_with_the_caching_of_the_service(scene: Scene) -> None:
    publish_serial(scene.world, make_index(1, {"demo": "1.0"}, at=now()))
    spread(scene.repository, scene.bucket)
    from repo_server.web.answering import cache_control, content_type

    for path in sorted(scene.bucket.sizes("skills/")):
        inner = path.removeprefix("skills/")
        if inner in {".complete", ".listed"}:
            assert scene.ask(f"/{inner}").status == 404
            continue
        for _ in range(2):
            answer = scene.ask(f"/{inner}")
            assert answer.status == 200, inner
            assert answer.body == (scene.world.public / inner).read_bytes()
            assert answer.headers["cache-control"] == cache_control(inner)
            assert answer.headers["content-type"] == content_type(inner)
            assert answer.headers["x-content-type-options"] == "nosniff"
            foreign = [name for name in answer.headers if name.startswith(("x-amz", "x-rgw", "last-mod"))]
            assert foreign == []
        head = scene.ask(f"/{inner}", method="HEAD")
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-length"] == str(len(answer.body))
        assert scene.ask(f"/{inner}", If_None_Match=answer.headers["etag"]).status == 304
    for path in scene.bucket.sizes("pkg/"):
        answer = scene.ask(f"/{path.removeprefix('pkg/')}", host="pkg.clawdie.si")
        assert hashlib.sha256(answer.body).hexdigest() in path
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_what_lasts_is_asked_of_the_store_once_and_the_timestamp_each_time(scene: Scene) -> None:
    spread(scene.repository, scene.bucket)
    bundle = next(path for path in scene.bucket.sizes("skills/targets/") if path.endswith(".tar.gz"))
    for _ in range(3):
        scene.ask(f"/{bundle.removeprefix('skills/')}")
        scene.ask(TIMESTAMP)
        scene.ask("/metadata/99.root.json")
    end, lines = time.monotonic() + 30, list[list[str]]()
    while len(lines) < 10 and time.monotonic() < end:  # nginx writes a line when an answer is gone
        lines = [line.split() for line in scene.log.read_text().splitlines()]
    asked = {name: [words[1] for words in lines if words[0].endswith(name)] for name in (".gz", "stamp.json")}
    assert asked == {".gz": ["MISS", "HIT", "HIT"], "stamp.json": ["-"] * 3}
    missing = [words[1:] for words in lines if "99.root" in words[0]]
    assert [words[0] for words in missing] == ["MISS"] * 3
    scene.world.refresh()
    spread(scene.repository, scene.bucket)
    assert scene.ask(TIMESTAMP).body == (scene.world.public / "metadata/timestamp.json").read_bytes()


def test_ranges_methods_and_paths(scene: Scene) -> None:
    spread(scene.repository, scene.bucket)
    bundle = next(path for path in scene.bucket.sizes("skills/targets/") if path.endswith(".tar.gz"))
    path = f"/{bundle.removeprefix('skills/')}"
    whole = scene.ask(path).body
    part = scene.ask(path, Range="bytes=5-9")
    assert (part.status, part.body) == (206, whole[5:10])
    assert scene.ask(path, Range="bytes=0-1,3-4").body == whole
    assert scene.ask(TIMESTAMP, method="POST").status == 405
    for nothing in (
        "/",
        "/metadata/",
        "/metadata/7.nothing.json",
        "/.complete",
        "/metadata/..%2f.complete",
        "/targets/x%0d%0aX:%20y/" + "0" * 64 + ".x",
        "/.well-known/skills/a%20b",
        "/.well-known/skills/a%3fpolicy",
        "/?list-type=2",
        "/metadata/timestamp.json%3fpolicy",
    ):
        answer = scene.ask(nothing)
        assert answer.status in {400, 404}, nothing
        assert b"<" not in answer.body or answer.status == 400
    assert (
        scene.ask(f"{TIMESTAMP}?policy").body == (scene.world.public / "metadata/timestamp.json").read_bytes()
    )


class Stopped:
    """A bucket whose writer dies before its n-th object."""

    def __init__(self, bucket: Bucket, left: int) -> None:
        self._bucket, self._left = bucket, left
        self.sizes, self.read, self.remove = bucket.sizes, bucket.read, bucket.remove

    def put(self, path: str, content: Content) -> None:
        if self._left == 0:
            raise HostError("the machine is gone")
        self._left -= 1
        self._bucket.put(path, content)


def test_half_way_clients_see_the_older_whole_state(scene: Scene) -> None:
    spread(scene.repository, scene.bucket)
    before = scene.ask(TIMESTAMP).body
    scene.world.publish_skill("pdf-tools==1.0")
    for sent in (0, 1, 2):
        with pytest.raises(HostError):
            spread(scene.repository, Stopped(scene.bucket, sent))
        assert scene.ask(TIMESTAMP).body == before
        scene.verified("web-search==1.0")
    spread(scene.repository, scene.bucket)
    scene.verified("web-search==1.0", "pdf-tools==1.0")


def test_the_command_killed_and_two_at_once(scene: Scene) -> None:
    """Whoever is killed, and however many run: the next whole run leaves what the database says."""
    toml = scene.repository.config.render()
    (scene.world.repository.folder / "repository.toml").write_text(toml)
    scene.world.publish_skill("pdf-tools==1.0")
    command = [str(BIN / "skillrepo"), "--json", "--repo", str(scene.world.repository.folder), "spread"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SKILLREPO_")}
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    end = time.monotonic() + 60
    while not scene.bucket.sizes("skills/") and killed.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait(30)
    together = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True)
        for _ in range(2)
    ]
    for process in together:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert json.loads(out)["timestamp_version"] >= 1
    assert scene.ask(TIMESTAMP).body == (scene.world.public / "metadata/timestamp.json").read_bytes()
    scene.verified("web-search==1.0", "pdf-tools==1.0")


def test_a_store_that_is_away_or_refuses_is_said_without_its_secret(scene: Scene) -> None:
    spread(scene.repository, scene.bucket)
    bundle = next(path for path in scene.bucket.sizes("skills/targets/") if path.endswith(".tar.gz"))
    held = scene.ask(f"/{bundle.removeprefix('skills/')}").body
    away = replace(
        scene.repository,
        config=replace(scene.repository.config, published=replace(scene.settings, bucket="nobodys-bucket")),
    )
    with pytest.raises(HostError) as refused:
        spread(away, Bucket.of(away))
    said = f"{refused.value} {refused.value.hint}"
    assert ceph.SECRET not in said
    assert "nobodys-bucket" in said
    assert scene.ask(f"/{bundle.removeprefix('skills/')}").body == held
