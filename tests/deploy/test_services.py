"""Scripts and units start what exists: they are read by shells and systemd, and their commands by our own parsers."""

import configparser
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from hive.agents.token_file import KEY_NAME as TOKEN_KEY
from hive.config import HiveConfig
from hive.gates.required import required_gates
from hive.policy_file import parse_policy, read_policy
from hive.sweep.notify import Notifier
from hive.vault.host_key import KEY_NAME as SECRETS_KEY
from hive.vault.sealed import KEY_NAME as SEALED_KEY
from tests.docs.test_docs import ROOT, check_call

DEPLOY = ROOT / "deploy"
SCRIPTS = ("skillrepo", "hive_serve", "hive_jails", "hive_sweep", "hive_womb", "hive_worker")
UNITS = sorted((DEPLOY / "systemd").glob("hive-*"))
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
# A stand-in for /etc/rc.subr: it says what would be run.
SUBR = """
load_rc_config() { :; }
err() { shift; echo "err: $*" >&2; exit 1; }
install() { echo "install $*"; }
run_rc_command() { $start_precmd || exit 1; echo "RUN $command $command_args"; }
"""


def started(script: str, tmp_path: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run the script's own shell code with a stand-in for rc.subr."""
    (tmp_path / "rc.subr").write_text(SUBR)
    text = (DEPLOY / "freebsd" / script).read_text()
    assert ". /etc/rc.subr" in text
    copy = tmp_path / script
    copy.write_text(text.replace(". /etc/rc.subr", f". {tmp_path}/rc.subr"))
    return subprocess.run(
        ["sh", copy, "start"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/bin:/usr/bin", **variables},
    )


def call_of(done: "subprocess.CompletedProcess[str]") -> list[str]:
    """Our own command in what daemon(8) would be given."""
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("RUN ")]
    words = shlex.split(line)
    assert words[1] == "/usr/sbin/daemon"
    at = words.index("/usr/local/bin/hive")
    return ["hive", *words[at + 1 :]]


@pytest.mark.skipif(shutil.which("sh") is None, reason="there is no sh")
@pytest.mark.parametrize("script", SCRIPTS)
def test_rc_scripts_are_shell(script: str) -> None:
    done = subprocess.run(
        ["sh", "-n", DEPLOY / "freebsd" / script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (DEPLOY / "freebsd" / script).stat().st_mode & 0o111


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("script", SCRIPTS)
def test_shellcheck_finds_nothing(script: str) -> None:
    # rc.subr reads the variables (SC2034), and is not here (SC1091).
    done = subprocess.run(
        ["shellcheck", "-s", "sh", "-e", "SC2034,SC1091", DEPLOY / "freebsd" / script],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("script", "command"),
    [("hive_serve", "serve"), ("hive_sweep", "sweep"), ("hive_jails", "start-tenant"), ("hive_womb", "womb")],
    ids=["serve", "sweep", "jails", "womb"],
)
def test_rc_scripts_start_what_exists(script: str, command: str, tmp_path: Path) -> None:
    done = started(script, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    call = call_of(done)
    assert call[:4] == ["hive", "--config", "/usr/local/etc/hive/hive.toml", command]
    check_call(call)


def test_serve_takes_more_options_from_rc_conf(tmp_path: Path) -> None:
    done = started("hive_serve", tmp_path, hive_serve_options="--metrics 127.0.0.1:9109")
    assert call_of(done)[-2:] == ["--metrics", "127.0.0.1:9109"]


def test_a_worker_is_told_everything_or_does_not_start(tmp_path: Path) -> None:
    variables = {
        "hive_worker_agent": "lane-1",
        "hive_worker_capabilities": "image-render pdf",
        "hive_worker_url": "https://hive.internal:8443",
        "hive_worker_command": "/usr/local/libexec/render --fast",
    }
    done = started("hive_worker", tmp_path, **variables)
    assert (done.returncode, done.stderr) == (0, "")
    call = call_of(done)
    assert "-u hive-worker" in done.stdout
    assert call[call.index("--") + 1 :] == ["/usr/local/libexec/render", "--fast"]
    assert [call[i + 1] for i, word in enumerate(call) if word == "--capability"] == ["image-render", "pdf"]
    check_call(call)
    for name in variables:
        refused = started("hive_worker", tmp_path, **{**variables, name: ""})
        assert refused.returncode == 1
        assert "RUN" not in refused.stdout
    as_root = started("hive_worker", tmp_path, **variables, hive_worker_runas="root")
    assert (as_root.returncode, "RUN" in as_root.stdout) == (1, False)


def test_logs_are_rotated_where_they_are_written_and_by_the_right_pid() -> None:
    rules = (DEPLOY / "freebsd/hive.newsyslog.conf").read_text().splitlines()
    found = {(line.split()[0], line.split()[-1]) for line in rules if line.startswith("/")}
    wanted = set()
    for script in SCRIPTS[1:]:
        text = (DEPLOY / "freebsd" / script).read_text()
        log = re.search(r"_logfile:=([^}]+)}", text)
        assert log is not None
        assert "-H" in text
        wanted.add((log[1], f"/var/run/{script}.pid"))
    assert found == wanted


def test_what_cron_runs_exists() -> None:
    lines = (DEPLOY / "freebsd/hive.cron").read_text().splitlines()
    (job,) = [line for line in lines if re.match(r"[0-9*]", line)]
    check_call(job.split()[6:])


def unit(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(path)
    return parser


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_units_start_what_exists_and_are_shut_in(path: Path) -> None:
    service = unit(path)["Service"]
    words = shlex.split(service["ExecStart"])
    assert words[0].endswith("/hive")
    given = {"$OFFERS": ["--capability", "pdf"], "$JOB_COMMAND": ["render"]}
    check_call(["hive", *(part for word in words[1:] for part in given.get(word, [word]))])
    for key in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices", "LockPersonality"):
        assert service[key] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["UMask"] == "0077"
    assert "CAP_SYS" not in service["CapabilityBoundingSet"]


def test_the_api_reaches_what_an_activation_needs_and_no_other_key() -> None:
    """An agent becomes active in there: gates' documents are compared, and the host's key signs."""
    text = (DEPLOY / "systemd/hive-serve.service").read_text()
    state = Path("/var/lib/hive/state")
    hidden = [Path(line.lstrip("-")) for line in re.findall(r"^InaccessiblePaths=(.*)$", text, re.MULTILINE)]
    for needed in ("host-key/seed", "host-key/public.json", "documents"):
        assert not any((state / needed).is_relative_to(path) for path in hidden), needed
    for key in (TOKEN_KEY, SECRETS_KEY, f"vault/{SEALED_KEY}", "bw"):
        assert any((state / key).is_relative_to(path) for path in hidden), key


def test_a_worker_never_runs_as_root() -> None:
    assert unit(DEPLOY / "systemd/hive-worker@.service")["Service"]["User"] == "hive-worker"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd")
@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_knows_every_line(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / path.name.replace("@.", "@one.")
    text = path.read_text().replace("/opt/skillrepo/bin/hive", "/bin/true")
    copy.write_text(text)
    (tmp_path / "hive-sweep.service").write_text(
        (DEPLOY / "systemd/hive-sweep.service").read_text().replace("/opt/skillrepo/bin/hive", "/bin/true")
    )
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if path.name.split("@")[0].split(".")[0] in line]
    assert [line for line in complaints if re.search("Unknown|Invalid|Failed to parse|ignoring", line)] == []


def test_example_policy_and_gates_load() -> None:
    policy = parse_policy(read_policy(DEPLOY / "policy.toml"), where="policy.toml")
    assert policy.notifier == Notifier()
    assert policy.policy.reviewers == 2
    assert len(required_gates(DEPLOY / "gates.toml")) > len(required_gates())


def test_every_setting_is_shown_in_the_example_and_loads_when_it_is_uncommented(tmp_path: Path) -> None:
    text = (DEPLOY / "hive.toml").read_text()
    whole = tmp_path / "hive.toml"
    whole.write_text(re.sub(r'^# ([a-z_]+ = ".*")$', r"\1", text, flags=re.MULTILINE))
    config = HiveConfig.load(whole, {})
    unset = {name for name in HiveConfig.__dataclass_fields__ if getattr(config, name) is None}
    assert unset == set()


AGENT = DEPLOY / "poudriere/clawdie-agent/files"


@pytest.mark.parametrize("name", ["clawdie_agent.in", "work"])
def test_the_agents_package_is_shell(name: str) -> None:
    done = subprocess.run(["sh", "-n", AGENT / name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    if shutil.which("shellcheck") is not None:
        words = ["shellcheck", "-s", "sh", "-e", "SC2034,SC1091", AGENT / name]
        assert subprocess.run(words, capture_output=True, text=True, check=False).stdout == ""


def agent_started(tmp_path: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    (tmp_path / "rc.subr").write_text(SUBR)
    script = tmp_path / "clawdie_agent"
    text = (AGENT / "clawdie_agent.in").read_text().replace("%%PREFIX%%", "/usr/local")
    script.write_text(text.replace(". /etc/rc.subr", f". {tmp_path}/rc.subr"))
    environment = {"PATH": "/bin:/usr/bin", **variables}
    return subprocess.run(
        ["sh", script, "start"], capture_output=True, text=True, check=False, env=environment
    )


def test_the_agents_service_runs_mother_as_its_user_and_never_as_root(tmp_path: Path) -> None:
    command = {"clawdie_agent_command": "/usr/local/libexec/clawdie-agent/work"}
    done = agent_started(tmp_path, **command)
    words = shlex.split(done.stdout)
    assert words[words.index("-u") + 1] == "agent"
    mother = words.index("/usr/home/agent/skills/mother/scripts/mother.sh")
    assert words[mother - 1 :][:1] == ["/bin/sh"]
    assert words[mother + 1 :] == ["run", "--", "/usr/local/libexec/clawdie-agent/work"]
    assert agent_started(tmp_path).returncode == 1
    assert agent_started(tmp_path, **command, clawdie_agent_runas="root").returncode == 1
    brought = (AGENT / "rc.conf.d").read_text()
    assert 'clawdie_agent_command="/usr/local/libexec/clawdie-agent/work"' in brought


def test_the_agents_example_answers_a_job_as_mother_wants_it() -> None:
    done = subprocess.run([AGENT / "work"], input=b'{"id": "1"}', capture_output=True, check=False)
    assert json.loads(done.stdout) == {"bytes": 11}
