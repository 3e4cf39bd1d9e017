"""The mother skill before it talks to anybody: who am I, and are my secrets safe?"""

import os
import subprocess

import pytest

from tests.skills.agent_home import DIGEST, SKILLS, TOKEN, AgentHome, load_mother
from tests.skills.hive_stand_in import Hive

mother = load_mother()


def test_identity_names_tenant_profile_layers_and_skills(agent: AgentHome):
    done = agent.mother("identity")
    assert done.status == 0
    assert done.answer["tenant"] == done.answer["agent"] == "acme"
    assert done.answer["profile"] == {"name": "support-agent", "version": "3"}
    assert done.answer["layers"] == [{"name": "clawdie-base", "version": "1.0.0", "tree_sha256": DIGEST}]
    assert done.answer["skills"] == [{"name": "mother", "version": "1.0.0", "tree_sha256": DIGEST}]
    assert done.answer["capabilities"] == ["image-render", "web-search"]


def test_missing_identity_is_said_plainly(agent: AgentHome):
    agent.lock.unlink()
    with pytest.raises(mother.NotFoundError, match="lock"):
        mother.load_identity(agent.home, agent.lock)
    agent.soul.unlink()
    done = agent.mother("identity")
    assert (done.status, done.code) == (3, "not-found")
    assert "SOUL.md" in done.answer["error"]["message"]


def test_changed_soul_is_not_verified(agent: AgentHome):
    agent.soul.write_text("# somebody else\n")
    assert agent.mother("identity").status == 11


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tenant", "Acme"),
        ("tenant", "acme\n"),
        ("tenant", None),
        ("profile", []),
        ("skills", [{"name": "mother", "version": "1.0.0", "tree_sha256": "AB" * 32}]),
        ("capabilities", ["root access"]),
        ("soul_sha256", 7),
    ],
)
def test_lock_record_in_another_spelling_is_malformed(agent: AgentHome, name: str, value: object):
    agent.record[name] = value
    agent.write_lock()
    with pytest.raises(mother.MalformedError):
        mother.load_identity(agent.home, agent.lock)


@pytest.mark.parametrize("text", ['{"tenant":"acme","tenant":"other"}', "[" * 100_000, "[]", "NaN", ""])
def test_lock_record_that_is_not_strict_json_is_malformed(agent: AgentHome, text: str):
    agent.lock.write_text(text)
    with pytest.raises(mother.MalformedError):
        mother.load_identity(agent.home, agent.lock)


def test_a_malformed_lock_record_is_status_10(agent: AgentHome):
    agent.lock.write_text("[" * 100_000)
    done = agent.mother("identity")
    assert (done.status, done.code) == (10, "malformed")


def test_secrets_shows_names_and_no_value(agent: AgentHome):
    done = agent.mother("secrets")
    assert done.status == 0
    assert done.answer == {"ok": True, "names": ["HIVE_TOKEN", "HIVE_URL", "OTHER"]}


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o400, 0o700, 0o4600])
def test_secrets_of_another_mode_are_refused(agent: AgentHome, mode: int):
    agent.secrets.chmod(mode)
    with pytest.raises(mother.SecretError):
        mother.load_secrets(agent.home)


def test_secrets_that_others_may_read_are_not_used(agent: AgentHome, hive: Hive):
    agent.secrets.chmod(0o644)
    for verb in ("secrets", "register"):
        done = agent.mother(verb)
        assert (done.status, done.code) == (7, "secret-not-available")
    assert hive.asked == []


def test_secrets_behind_a_symlink_are_refused(agent: AgentHome):
    agent.secrets.rename(agent.folder / "real")
    agent.secrets.symlink_to(agent.folder / "real")
    assert agent.mother("secrets").status == 7


def test_secrets_with_a_second_name_are_refused(agent: AgentHome):
    os.link(agent.secrets, agent.folder / "second")
    with pytest.raises(mother.SecretError):
        mother.load_secrets(agent.home)


def test_a_fifo_in_place_of_secrets_is_refused_and_not_waited_for(agent: AgentHome):
    agent.secrets.unlink()
    os.mkfifo(agent.secrets, 0o600)
    done = agent.mother("secrets")
    assert done.status == 7
    assert done.seconds < 15


def test_missing_secrets(agent: AgentHome):
    agent.secrets.unlink()
    with pytest.raises(mother.SecretError):
        mother.load_secrets(agent.home)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_secrets_of_another_owner_are_refused(agent: AgentHome):
    os.chown(agent.secrets, 65534, -1)
    with pytest.raises(mother.SecretError):
        mother.load_secrets(agent.home)


@pytest.mark.parametrize(
    "bad",
    [
        f"export HIVE_TOKEN={TOKEN}\n",
        f"HIVE_TOKEN = {TOKEN}\n",
        f"HIVE_TOKEN={TOKEN}",  # cut short
        f"HIVE_TOKEN={TOKEN}\r\n",
        f"HIVE_TOKEN={TOKEN}\nHIVE_TOKEN={TOKEN}\n",
        f"HIVE_TOKEN={TOKEN} # comment\n",
        f'HIVE_TOKEN="{TOKEN}\n',
        f'HIVE_TOKEN="{TOKEN}$(id)"\n',
        f"hive_token={TOKEN}\n",
        f"HIVE_TOKEN='{TOKEN}\x00'\n",
        f"{TOKEN}\n",
    ],
)
def test_a_bad_line_is_refused_without_being_quoted(agent: AgentHome, bad: str):
    agent.write_secrets("HIVE_URL=http://127.0.0.1:1\n" + bad)
    with pytest.raises(mother.MalformedError) as caught:
        mother.load_secrets(agent.home)
    assert TOKEN not in f"{caught.value} {caught.value.hint}"


def test_a_bad_line_is_status_10(agent: AgentHome, hive: Hive):
    agent.write_secrets(f"HIVE_URL='{hive.url}'\nexport HIVE_TOKEN={TOKEN}\n")
    for verb in ("secrets", "register"):
        done = agent.mother(verb)  # which looks for the token in both streams
        assert (done.status, done.code) == (10, "malformed")
        assert "line 2" in done.stderr
    assert hive.asked == []


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("", ""),
        ("a.b/c:d@e%f+g,h=i~j^k-l_m", "a.b/c:d@e%f+g,h=i~j^k-l_m"),
        ("'a b\\$`\"#'", 'a b\\$`"#'),
        ('"a b\\\\\\$\\`\\"#\'"', "a b\\$`\"#'"),
        ("'grüß'", "grüß"),
    ],
)
def test_a_shell_reads_the_same_value(written: str, value: str):
    assert mother.parse_variables(f"X={written}\n".encode()) == {"X": value}
    script = f'X={written}\nprintf %s "$X"'
    shell = subprocess.run(["sh", "-c", script], capture_output=True, timeout=60, check=True)
    assert shell.stdout.decode() == value


def test_a_token_that_would_break_the_header_is_refused_without_being_quoted(agent: AgentHome):
    agent.write_secrets(f"HIVE_URL=http://127.0.0.1:1\nHIVE_TOKEN='{TOKEN} \u00e9'\n")
    assert agent.mother("register").status == 10


@pytest.mark.parametrize("lacking", ["HIVE_URL", "HIVE_TOKEN"])
def test_a_missing_name_is_named(agent: AgentHome, lacking: str):
    text = {"HIVE_URL": "HIVE_URL=http://127.0.0.1:1\n", "HIVE_TOKEN": f"HIVE_TOKEN={TOKEN}\n"}
    del text[lacking]
    agent.write_secrets("".join(text.values()))
    with pytest.raises(mother.SecretError, match=lacking):
        mother.load_secrets(agent.home)


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("https://hive.invalid", 0),
        ("http://[::1]:8080", 0),
        ("http://127.0.0.9:8080/base", 0),
        ("unix:/var/run/hive.sock", 0),
        ("http://10.0.0.1:8080", 12),
        ("http://127.0.0.1.hive.invalid", 12),
        ("http://localhost@10.0.0.1", 10),
        ("https://u:p@hive.invalid", 10),
        ("ftp://127.0.0.1", 10),
        ("file:///etc/passwd", 10),
        ("unix:relative.sock", 10),
        ("unix:/var/run/../hive.sock", 10),
        ("https://hive.invalid/?q=1", 10),
        ("https://hive.invalid:99999", 10),
    ],
)
def test_plain_http_is_for_loopback_only(url: str, status: int):
    if status == 0:
        assert mother.parse_endpoint(url)
    else:
        with pytest.raises(mother.MotherError) as caught:
            mother.parse_endpoint(url)
        assert caught.value.exit_status == status


def test_plain_http_to_another_machine_is_status_12(agent: AgentHome):
    agent.write_secrets(f"HIVE_URL='http://10.0.0.1:8080'\nHIVE_TOKEN={TOKEN}\n")
    assert agent.mother("register").status == 12


def test_usage_is_status_2_with_an_answer(agent: AgentHome, hive: Hive):
    cases = [
        [],
        ["poll", "--once"],
        ["poll", "--onc", "--", "true"],
        ["identity", "--", "true"],
        ["run", "--wait", "0"],
    ]
    script = str(SKILLS / "mother" / "scripts" / "mother.sh")
    running = [
        subprocess.Popen(
            ["sh", script, *case], env=agent.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for case in cases
    ]
    for done in map(agent.finish, running):
        assert (done.status, done.code) == (2, "usage")
    assert hive.asked == []


def test_the_shell_script_hands_over_and_leaves_nothing_behind(agent: AgentHome):
    before = sorted((SKILLS / "mother").rglob("*"))
    command = [str(SKILLS / "mother" / "scripts" / "mother.sh"), "identity", "--lock", str(agent.lock)]
    environment = {**agent.environment(), "PYTHONPATH": str(agent.folder)}
    (agent.folder / "json.py").write_text("raise SystemExit('planted')")
    done = subprocess.run(
        command, env=environment, cwd=agent.folder, capture_output=True, timeout=60, check=False
    )
    assert agent.checked(done.returncode, done.stdout, done.stderr, 0).answer["tenant"] == "acme"
    assert sorted((SKILLS / "mother").rglob("*")) == before
