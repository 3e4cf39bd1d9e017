"""The mother skill that a birth put into a jail, run by the jail's user, against the real `hive serve`.

Nothing is put beside it by hand: who the agent is, what it may do, where the hive listens and its token are what
`hive birth` left in the jail.
"""

import contextlib
import json
import os
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hive import audit, certificate
from hive.agents import tokens
from hive.agents.names import AgentId
from hive.db.session import open_engine, snapshot, transaction
from repo_server.db.session import transaction as repo_transaction
from repo_server.publishing.profiles import draft_profile, sign_profile
from signing.format.manifest import Kind
from signing.format.names import Pin, parse_tenant_id
from tests.hive.agents.hall import Hall
from tests.hive.agents.serving import answer, hive, serving
from tests.skills.agent_home import SKILLS, Done, alive, load_mother, wait_until
from tests.support.open_gates import open_required_gates
from tests.support.world import World, now

# A user of its own cannot reach a Python below root's home.
PATH = "/usr/local/bin:/usr/bin:/bin" if os.geteuid() == 0 else os.environ["PATH"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("python3", path=PATH) is None, reason="no Python for the jail's user"),
]

# As root the jail's user is somebody else, as in production; without root it can only be ourselves.
USER = (12345, 12346) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
# What the payload says decides; a file in the folder of $0 says which process waits, and makes it wait once only.
WORK = """
read -r job
case "$job" in
    *'"fail"'*) exit 4 ;;
    *'"wait"'*) [ -e "$0" ] || { echo $$ > "$0"; sleep 300; } ;;
esac
printf '%s' "$job"
"""


@dataclass
class Jail:
    """A born tenant's jail on a directory host, and the hive that bore it."""

    folder: Path
    hall: Hall
    tenant: str

    @property
    def root(self) -> Path:
        return self.folder / "jails" / self.tenant / "root"

    @property
    def home(self) -> Path:
        return self.root / "usr/home/agent"

    @property
    def db(self) -> Path:
        return self.folder / "hive.db"

    @property
    def waiting(self) -> Path:
        return self.folder / "scratch" / self.tenant

    @property
    def status(self) -> str:
        return self.hall.status_of(self.tenant)

    @property
    def token(self) -> str:
        return load_mother().parse_variables((self.home / ".env").read_bytes())["HIVE_TOKEN"]

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        words = ("--heartbeat", "0.5", "--socket-mode", "0666")
        with serving(self.db, *words, listen=f"unix:{self.folder}/run/hive.sock"):
            yield

    def start(self, verb: str, *words: str) -> "subprocess.Popen[bytes]":
        """The skill's own script, as the jail's user, with next to nothing around it."""
        script = self.home / "skills/mother/scripts/mother.sh"
        lock = [] if verb == "secrets" else ["--lock", str(self.root / "var/db/clawdie/lock.json")]
        user = {"user": USER[0], "group": USER[1], "extra_groups": []} if os.geteuid() == 0 else {}
        return subprocess.Popen(
            ["sh", str(script), verb, *lock, *words],
            env={"PATH": PATH, "HOME": str(self.home)},
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **user,  # type: ignore[call-overload]
        )

    @contextlib.contextmanager
    def running(self) -> Iterator["subprocess.Popen[bytes]"]:
        command = ["sh", "-c", WORK, str(self.waiting)]
        process = self.start("run", "--wait", "1", "--backoff", "0.2", "--", *command)
        try:
            yield process
        finally:
            process.kill()

    def finish(self, process: "subprocess.Popen[bytes]") -> Done:
        stdout, stderr = process.communicate(timeout=60)
        for stream in (stdout, stderr):
            assert self.token.encode() not in stream
            assert b"Traceback" not in stream
        return Done(
            process.returncode, [json.loads(line) for line in stdout.splitlines()], stderr.decode(), 0
        )

    def says(self, verb: str) -> dict[str, Any]:
        done = self.finish(self.start(verb))
        assert done.status == 0, done.stderr
        return done.answer

    def submit(self, payload: str, **more: Any) -> str:
        return self.hall.submit("work.general", tenant=self.tenant, payload=payload, **more)

    def working(self) -> int:
        """Wait until the command waits, and return its process."""
        wait_until(lambda: self.waiting.exists() and self.waiting.read_text().endswith("\n"))
        return int(self.waiting.read_text())


def publish(world: World) -> None:
    """The mother skill and the first layer of identity, as they stand in this repository, and a profile of both."""
    for pin, kind, folder in (
        ("mother==1.0.0", Kind.SKILL, SKILLS / "mother"),
        ("clawdie-base==1.0.0", Kind.SOUL, SKILLS / "souls/clawdie-base"),
    ):
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        world.publish_skill(pin, files, kind=kind)
    with repo_transaction(world.repository.engine) as session:
        draft_profile(
            world.repository,
            session,
            Pin.parse("agent==1"),
            skills=[Pin.parse("mother==1.0.0")],
            souls=[Pin.parse("clawdie-base==1.0.0")],
            capabilities=["work.general"],
            now=now(),
        )
        sign_profile(world.repository, session, Pin.parse("agent==1"), world.signers["olga"], now=now())
    world.publish()


@dataclass
class Town:
    """A hive with its settings, and a repository to bear agents from. Each test bears its own."""

    folder: Path
    hall: Hall
    born: list[str] = field(default_factory=list)

    def bear(self) -> Jail:
        tenant, db = f"acme{len(self.born)}", self.folder / "hive.db"
        self.born.append(tenant)
        answer(hive(db, "--json", "register-tenant", tenant, "--tier", "paid", "--profile", "agent==1"))
        receipt = answer(hive(db, "--config", str(self.folder / "hive.toml"), "--json", "birth", tenant))
        assert receipt["status"] == "born"
        # A tenant's folder is closed to others; from inside a real jail its root is simply /.
        (self.folder / "jails" / tenant).chmod(0o711)
        return Jail(self.folder, self.hall, tenant)


@pytest.fixture(scope="module")
def town(_world_template: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    world = _world_template.copy_to(tmp_path_factory.mktemp("world"))
    publish(world)
    # Not below pytest's folder, into which no other user can go; and short, for the socket.
    folder = Path(tempfile.mkdtemp(prefix="born"))
    try:
        folder.chmod(0o711)
        (folder / "run").mkdir(mode=0o711)
        (folder / "scratch").mkdir()
        os.chown(folder / "scratch", *USER)
        (folder / "anchor.json").write_bytes(world.anchor)
        with world.serve() as server:
            settings = {
                "server": server.url,
                "jail_root_base": folder / "jails",
                "trust_anchor": folder / "anchor.json",
                "hive_url": f"unix:{folder}/run/hive.sock",
                "jail_uid": USER[0],
                "jail_gid": USER[1],
            }
            text = "".join(f'{key} = "{value}"\n' for key, value in settings.items())
            (folder / "hive.toml").write_text(text)
            engine = open_engine(f"sqlite:///{folder / 'hive.db'}")
            open_required_gates(engine, folder / "hive.state", now=datetime.now(UTC))
            yield Town(folder, Hall(engine))
            engine.dispose()
    finally:
        shutil.rmtree(folder)
        world.close()


@pytest.fixture
def jail(town: Town) -> Jail:
    return town.bear()


def test_a_born_agent_knows_itself_and_its_secrets_before_it_speaks_to_anybody(jail: Jail) -> None:
    facts = (jail.home / ".env").stat()
    assert (stat.S_IMODE(facts.st_mode), facts.st_uid, facts.st_gid) == (0o600, *USER)
    identity = jail.says("identity")
    assert identity["agent"] == identity["tenant"] == jail.tenant
    assert [skill["name"] for skill in identity["skills"]] == ["mother"]
    assert [layer["name"] for layer in identity["layers"]] == ["clawdie-base"]
    assert jail.says("secrets")["names"] == ["HIVE_TOKEN", "HIVE_URL"]
    before = sorted(path for path in jail.root.rglob("*"))
    assert jail.finish(jail.start("register")).status == 5  # nobody listens yet
    assert sorted(path for path in jail.root.rglob("*")) == before
    assert jail.status == "born"


def test_born_becomes_active_works_survives_the_hive_and_ends_with_its_token(jail: Jail) -> None:
    with jail.running() as process:
        with jail.serving():
            wait_until(lambda: jail.status == "active")
            with snapshot(jail.hall.engine) as session:
                assert certificate.load(session, parse_tenant_id(jail.tenant))
            good, bad = jail.submit("good"), jail.submit("fail")
            wait_until(lambda: (jail.hall.job(good).state, jail.hall.job(bad).state) == ("done", "dead"))
        assert json.loads(jail.hall.job(good).result or "")["payload"] == "good"
        assert jail.hall.job(bad).reason == "the command ended with status 4"
        late = jail.submit("while nobody serves")
        with jail.serving():
            wait_until(lambda: jail.hall.job(late).state == "done")
            with transaction(jail.hall.engine) as session:
                tokens.revoke(session, AgentId(jail.tenant), now=now())
            done = jail.finish(process)
            unheard = jail.submit("good")
            refused = jail.finish(jail.start("heartbeat"))
    assert (done.status, refused.status) == (12, 12)
    assert "trying again" in done.stderr
    assert "does not accept the token" in done.stderr
    assert done.lines[-1]["error"]["code"] == "not-allowed"
    assert jail.hall.job(unheard).state == "ready"
    events = [line.get("event") for line in done.lines[:-1]]
    assert events[:2] == ["registered", "state"]
    assert events.count("job") == 3
    with snapshot(jail.hall.engine) as session:
        records = audit.read(session, tenant=jail.tenant)
    assert [record.event for record in records].count("birth.active") == 1


def test_told_to_stop_it_gives_its_job_back_and_killed_it_lets_the_lease_run_out(jail: Jail) -> None:
    with jail.serving():
        with jail.running() as process:
            given_back = jail.submit("wait", lease_seconds=30.0)
            pid = jail.working()
            process.send_signal(signal.SIGTERM)
            assert jail.finish(process).status == 0
        assert not alive(pid)
        assert (jail.hall.job(given_back).state, jail.hall.job(given_back).reason) == (
            "ready",
            "the agent is stopping",
        )
        answer(hive(jail.db, "--json", "jobs", "cancel", given_back))
        jail.waiting.unlink()

        with jail.running() as process:
            left = jail.submit("wait", lease_seconds=1.5)
            pid = jail.working()
            process.kill()
            process.communicate(timeout=60)
        try:
            assert jail.hall.job(left).state == "leased"
            with jail.running() as process:
                wait_until(lambda: jail.hall.job(left).state == "done")
                process.terminate()
                assert jail.finish(process).status == 0
        finally:
            os.killpg(pid, signal.SIGKILL)  # what a killed program could not end
    assert jail.hall.outcomes(left) == ["lost", "completed"]


def test_an_agent_whose_lock_record_names_another_tenant_is_not_let_in(jail: Jail) -> None:
    lock = jail.root / "var/db/clawdie/lock.json"
    record = json.loads(lock.read_bytes())
    lock.chmod(0o600)
    lock.write_text(json.dumps({**record, "tenant": "beta"}))
    lock.chmod(0o444)
    with jail.serving(), jail.running() as process:
        done = jail.finish(process)
    assert done.status == 12
    assert "not of the same agent" in done.stderr
    assert jail.status == "born"


def test_a_tenant_whose_gate_shut_meanwhile_waits_and_is_active_when_it_opens(jail: Jail) -> None:
    jail.hall.run("UPDATE gate_entries SET expires_at = approved_at WHERE gate = 'containment'")
    with jail.serving(), jail.running() as process:
        wait_until(lambda: "birth.not-activated" in jail.hall.events())
        assert jail.status == "born"
        jail.hall.run("UPDATE gate_entries SET expires_at = (SELECT max(expires_at) FROM gate_entries)")
        wait_until(lambda: jail.status == "active")
        process.terminate()
        done = jail.finish(process)
    assert done.status == 0
    assert "status 503; trying again" in done.stderr
