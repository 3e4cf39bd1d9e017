"""The hooks of poudriere, run as poudriere runs them: /bin/sh FILE EVENT ARGS, on the recorded environments."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from repo_server.pkgrepo.poudriere import open_source, read_build
from signing.errors import PolicyError
from tests.repo_server.pkgrepo.poudriere_tree import MASTER, NAME, hook_environment, logs_of, make_tree

HOOKS = Path(__file__).parents[3] / "deploy" / "poudriere"
SHELLS = [shell for shell in ("dash", "sh", "busybox") if shutil.which(shell)]
PROGRAM = """#!/bin/sh
{ for word; do printf 'arg %s\\n' "$word"; done; env | sed 's/^/env /'; } > "$0.record"
echo "published serial 7"; echo "note on stderr" >&2
read -r line && echo "stdin $line" >> "$0.record"
exit "$(cat "$0.status")"
"""
LOGGER = """#!/bin/sh
printf '%s\\n' "$*" >> "$0.record"
"""


class Host:
    """A build host: the tree, the hooks in their place, a skillrepo that writes down how it was called."""

    def __init__(self, folder, shell):
        self.shell = [shell, "sh"] if shell == "busybox" else [shell]
        self.folder = folder
        self.packages = make_tree(folder / "data")
        self.plugin = folder / "hooks" / "plugins" / "skillrepo"
        self.plugin.mkdir(parents=True)
        for name in ("bulk.sh", "pkgrepo.sh", "publish-again.sh", "skillrepo-publish.sh"):
            shutil.copy(HOOKS / name, self.plugin / name)
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.program = self._program("skillrepo", PROGRAM)
        self.logger = self._program("logger", LOGGER)
        self.exit_with(0)
        self.conf = folder / "pkg-publish.conf"
        self.configure()

    def _program(self, name, text):
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def exit_with(self, status):
        Path(f"{self.program}.status").write_text(str(status))

    def configure(self, *lines, target=f"BUILD.{MASTER}=FreeBSD:14:amd64 latest"):
        self.conf.write_text("\n".join([f"PROGRAM={self.program}", "", "# words", *lines, target]) + "\n")

    def run(self, hook, *words, status=0, **changes):
        recorded, environment = hook_environment("bulk-done" if hook == "bulk" else "publish", self.packages)
        environment |= {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "SKILLREPO_PUBLISH_CONF": str(self.conf),
            "PYTHONPATH": "/evil",
            "SKILLREPO_TOKEN": "from outside",
        } | changes
        environment = {key: value for key, value in environment.items() if value is not None}
        answer = subprocess.run(
            [*self.shell, str(self.plugin / f"{hook}.sh"), *(words or recorded)],
            env=environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert answer.returncode == status, answer.stderr
        assert answer.stdout == ""
        return answer.stderr

    @property
    def called(self):
        """The arguments that skillrepo got; None when it was not called."""
        return self._record("arg")

    @property
    def environment(self):
        return dict(line.split("=", 1) for line in self._record("env"))

    def _record(self, kind):
        path = Path(f"{self.program}.record")
        if not path.exists():
            return None
        lines = path.read_text().splitlines()
        assert not [line for line in lines if line.startswith("stdin ")]
        return [line.removeprefix(f"{kind} ") for line in lines if line.startswith(f"{kind} ")]

    @property
    def logged(self):
        path = Path(f"{self.logger}.record")
        return path.read_text() if path.exists() else ""


@pytest.fixture(params=SHELLS)
def host(tmp_path, request):
    return Host(tmp_path, request.param)


GOOD = ("done", "4", "0", "1", "0", "0")


def test_scripts_are_posix_sh():
    for path in sorted(HOOKS.glob("*.sh")):
        for shell in SHELLS:
            words = [shell, "sh", "-n"] if shell == "busybox" else [shell, "-n"]
            subprocess.run([*words, path], check=True)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="no shellcheck")
def test_shellcheck_finds_nothing():
    words = ["shellcheck", "-x", "-P", str(HOOKS), "-s", "sh", *sorted(map(str, HOOKS.glob("*.sh")))]
    answer = subprocess.run(words, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout


def test_a_finished_bulk_build_is_published(host):
    said = host.run("bulk", *GOOD)
    assert host.called == [
        *("pkg", "publish", "--packages", str(host.packages / ".latest")),
        *("--abi", "FreeBSD:14:amd64", "--channel", "latest", "--build", str(logs_of(host.packages))),
    ]
    assert "published serial 7" in said
    assert "note on stderr" in host.logged
    assert f"{MASTER} {NAME}: published to FreeBSD:14:amd64/latest" in host.logged


def test_what_the_hook_hands_over_is_what_the_publisher_reads(host):
    host.run("bulk", *GOOD)
    with open_source(Path(host.called[3])) as source:
        record = read_build(source, environment=host.environment, records=Path(host.called[9]))
    assert (record.master, record.name, record.git_hash) == (MASTER, NAME, "0123abcd")
    assert record.stats["built"] == 4
    record.check_whole(allow_failed=False)


def test_only_what_is_configured_reaches_the_program(host):
    host.configure(
        "REPO=https://skills.example",
        "TOKEN_FILE=/etc/token file",
        "PKG_KEY=/k/a.pkg.key /k/b.pkg.pub=ssh:s@h",
        "PKG_SITE=https://packages.example",
        "ONLINE_PASSPHRASE_FILE=/etc/online",
    )
    host.run("bulk", *GOOD)
    ours = {key: value for key, value in host.environment.items() if key.startswith(("SKILLREPO", "PYTHON"))}
    assert ours == {
        "SKILLREPO_REPO": "https://skills.example",
        "SKILLREPO_TOKEN_FILE": "/etc/token file",
        "SKILLREPO_PKG_KEY": "/k/a.pkg.key /k/b.pkg.pub=ssh:s@h",
        "SKILLREPO_PKG_SITE": "https://packages.example",
        "SKILLREPO_ONLINE_PASSPHRASE_FILE": "/etc/online",
        "SKILLREPO_BULK_DONE": "4 0 1 0 0",
    }
    assert host.environment["MASTERNAME"] == MASTER
    assert "POUDRIERE_DATA" not in host.environment


def test_the_recorded_build_had_failures_and_is_not_published(host):
    said = host.run("bulk")
    assert host.called is None
    assert "2 built, 1 failed, 1 skipped: not published" in said
    assert "not published" in host.logged


def test_a_build_with_failures_is_published_when_asked(host):
    host.configure("PUBLISH_FAILED=yes")
    host.run("bulk")
    assert host.called[-1] == "--allow-failed"
    assert host.environment["SKILLREPO_BULK_DONE"] == "2 1 1 1 0"


def test_poudriere_goes_on_after_a_refusal_unless_configured(host):
    host.exit_with(12)
    said = host.run("bulk", *GOOD)
    assert "was not published to FreeBSD:14:amd64/latest (status 12)" in said
    assert f"mend the cause, then: sh {host.plugin}/publish-again.sh {MASTER}" in host.logged
    host.configure("FAIL_BUILD=yes")
    host.run("bulk", *GOOD, status=1)
    host.exit_with(0)
    host.run("bulk", *GOOD)


def test_a_failed_build_stops_poudriere_only_when_configured(host):
    host.configure("FAIL_BUILD=yes")
    host.run("bulk", status=1)
    assert host.called is None


@pytest.mark.parametrize("event", ["start", "crashed", "", "unknown"])
def test_other_events_do_nothing(host, event):
    host.conf.unlink()
    host.run("bulk", event)
    host.run("pkgrepo", event)
    assert host.called is None
    assert host.logged == ""


@pytest.mark.parametrize(
    "words", [("done",), ("done", "1"), ("done", "4", "0", "x", "0", "0"), ("done", "", "0", "0", "0", "0")]
)
def test_a_bulk_without_its_numbers_is_not_published(host, words):
    host.configure("FAIL_BUILD=yes")
    host.run("bulk", *words, status=1)
    assert host.called is None


def test_a_build_that_nobody_named_is_not_published(host):
    host.configure("FAIL_BUILD=yes", target="BUILD.143amd64-other=FreeBSD:14:amd64 latest")
    assert f"no BUILD.{MASTER}" in host.run("bulk", *GOOD)
    assert host.called is None


def test_the_configuration_is_never_evaluated(host):
    trap = host.folder / "trap"
    host.configure(f"REPO=$(touch {trap})", f"AS=`touch {trap}`;touch {trap}", "KEYS=a 'b \"c\\")
    host.run("bulk", *GOOD)
    assert not trap.exists()
    assert host.environment["SKILLREPO_REPO"] == f"$(touch {trap})"
    assert host.environment["SKILLREPO_KEYS"] == "a 'b \"c\\"


@pytest.mark.parametrize(
    "line", ["UNKNOWN=1", "words", "PUBLISH_FAILED=maybe", "FAIL_BUILD=1", "PATH=/evil", "export A=b"]
)
def test_a_line_that_says_nothing_known_stops_the_hook(host, line):
    host.configure("FAIL_BUILD=yes", line)
    assert str(host.conf) in host.run("bulk", *GOOD, status=1)
    assert host.called is None


@pytest.mark.parametrize("target", ["", "FreeBSD:14:amd64", "FreeBSD:14:amd64  latest", "a b c"])
def test_a_target_is_an_abi_and_a_channel(host, target):
    host.configure(target=f"BUILD.{MASTER}={target}")
    host.run("bulk", *GOOD)
    assert host.called is None


def test_a_missing_configuration_publishes_nothing(host):
    host.conf.unlink()
    assert "nothing is published" in host.run("bulk", *GOOD)
    assert host.called is None


@pytest.mark.parametrize("missing", ["MASTERNAME", "PACKAGES"])
def test_an_environment_without_names_publishes_nothing(host, missing):
    said = host.run("bulk", *GOOD, **{missing: None})
    assert "nothing is published" in said or "no BUILD." in said
    assert host.called is None


def test_a_committed_repository_is_published(host):
    host.run("pkgrepo")
    assert host.called == [
        *("pkg", "publish", "--packages", str(host.packages / ".latest")),
        *("--abi", "FreeBSD:14:amd64", "--channel", "latest", "--build", str(logs_of(host.packages))),
    ]
    assert "SKILLREPO_BULK_DONE" not in host.environment


def test_the_publisher_refuses_the_failures_that_a_publish_hook_is_not_told(host):
    host.run("pkgrepo")
    with open_source(Path(host.called[3])) as source:
        record = read_build(source, environment=host.environment, records=Path(host.called[9]))
    with pytest.raises(PolicyError, match="1 failed, 1 skipped"):
        record.check_whole(allow_failed=False)


def test_a_repository_that_is_published_again_names_the_build_that_made_it(host):
    host.run("pkgrepo", POUDRIERE_BUILD_TYPE="pkgclean", BUILDNAME="2026-11-30_00h00m00s", LOG="/elsewhere")
    assert host.called[9] == str(logs_of(host.packages))
    assert host.environment["BUILDNAME"] == NAME


def test_a_build_name_that_is_a_way_out_is_not_followed(host):
    (host.packages / ".real_1795348800" / ".buildname").write_text("../../../etc\n")
    host.run("pkgrepo", POUDRIERE_BUILD_TYPE="repo")
    assert "--build" not in host.called


def test_a_port_that_somebody_tries_is_not_published(host):
    host.run("pkgrepo", POUDRIERE_BUILD_TYPE="testport")
    assert host.called is None


def test_signing_is_left_to_the_publisher(host):
    host.conf.unlink()
    host.run("pkgrepo", "sign", str(host.packages), "", "no", "")
    assert host.logged == ""
    said = host.run("pkgrepo", "sign", str(host.packages), "/keys/repo.key", "no", "")
    assert "PKG_REPO_SIGNING_KEY is set" in said
    assert host.called is None


def test_nothing_depends_on_logger(host):
    host.logger.unlink()
    host.run("bulk", *GOOD, PATH="/usr/bin:/bin")
    assert host.called is not None


def test_the_sample_configuration_is_read(host):
    sample = (HOOKS / "pkg-publish.conf.sample").read_text()
    host.conf.write_text(sample + f"PROGRAM={host.program}\n")
    host.run("bulk", *GOOD)
    assert host.environment["SKILLREPO_AS"] == "builder"
    assert host.called[5:8] == ["FreeBSD:14:amd64", "--channel", "latest"]


def test_the_records_of_the_fixture_are_those_that_the_hook_names(host):
    assert json.loads((logs_of(host.packages) / ".data.json").read_text())["buildname"] == NAME


# --- by hand -----------------------------------------------------------------------------------


def again(host, *words, status=0):
    return host.run("publish-again", *words, status=status, POUDRIERE_DATA=str(host.packages.parents[1]))


def test_by_hand_it_is_what_the_hook_does(host):
    host.run("bulk", *GOOD)
    called = host.called
    said = again(host, MASTER)
    assert host.called == called
    assert "SKILLREPO_BULK_DONE" not in host.environment  # the numbers are read from the build's records
    assert host.environment["BUILDNAME"] == NAME
    assert "published to FreeBSD:14:amd64/latest" in said


def test_by_hand_a_failure_is_an_exit_status(host):
    host.exit_with(12)
    assert "(status 12)" in again(host, MASTER, status=1)
    host.exit_with(0)
    again(host, MASTER, "publish-failed")
    assert host.called[-1] == "--allow-failed"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ((MASTER, "now"), 2, "usage"),
        ((MASTER, "publish-failed", "x"), 2, "usage"),
        (("143amd64-other",), 1, "is 143amd64-other the name of a build?"),
        (("../../etc",), 1, "the name of a build?"),
    ],
    ids=["a-word", "two-words", "no-such-build", "a-way-out"],
)
def test_by_hand_what_means_nothing_publishes_nothing(host, words, status, said):
    assert said in again(host, *words, status=status)
    assert host.called is None


def test_by_hand_a_build_that_nobody_named_says_where_to_name_it(host):
    host.configure(target="BUILD.143amd64-other=FreeBSD:14:amd64 latest")
    assert f"no BUILD.{MASTER} in {host.conf}" in again(host, MASTER, status=1)
    assert host.called is None


@pytest.mark.parametrize("broken", ["missing", "unknown"])
def test_by_hand_a_broken_configuration_is_a_failure(host, broken):
    if broken == "missing":
        host.conf.unlink()
    else:
        host.configure("UNKNOWN=1")
    assert str(host.conf) in again(host, MASTER, status=1)
    assert host.called is None


def test_by_hand_from_the_folder_where_it_stands(host):
    environment = {"PATH": f"{host.bin}:/usr/bin:/bin", "SKILLREPO_PUBLISH_CONF": str(host.conf)}
    environment["POUDRIERE_DATA"] = str(host.packages.parents[1])
    words = [*host.shell, "publish-again.sh", MASTER]
    answer = subprocess.run(
        words, env=environment, cwd=host.plugin, capture_output=True, text=True, timeout=30, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert host.called[:2] == ["pkg", "publish"]
