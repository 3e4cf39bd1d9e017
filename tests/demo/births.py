"""Births: secrets from a sealed bucket, and a birth that is killed half-way and continued by the same command."""

import os
import secrets
import signal
import stat
import time
from pathlib import Path

from tests.demo.stage import DemoFailedError, Stage, check

HOME = "usr/home/agent"
VARIABLE, LATER = "OPENROUTER_API_KEY", "GITHUB_TOKEN"
_OWN = ("HIVE_TOKEN", "HIVE_URL")
_SECONDS = 120.0


def agent_user() -> int:
    """The user that the agent runs as: never root, so somebody else when the demo itself is run by root."""
    return os.getuid() or 1001


def born_with_secrets(stage: Stage) -> list[bytes]:
    """Birth acme, bring one secret more, and return the values, which nobody may ever see elsewhere."""
    register(stage, "acme", "--collection-id", "acme-bucket")
    values = [secrets.token_hex(20).encode() for _ in (VARIABLE, LATER)]
    stage.run("hive", "vault", "set", "acme", VARIABLE, stdin=values[0])
    receipt = stage.run("hive", "birth", "acme")
    check(receipt["status"] == "born", "acme is born")
    root = Path(receipt["jail_root"])
    stage.show_tree(root)
    show_environment(stage, root, {VARIABLE: values[0]})
    stage.say("a variable more in the bucket:")
    stage.run("hive", "vault", "set", "acme", LATER, stdin=values[1])
    check(stage.run("hive", "provision", "acme")["changed"], "the new secret was brought in")
    show_environment(stage, root, {VARIABLE: values[0], LATER: values[1]})
    again = stage.run("hive", "provision", "acme")
    check(not again["changed"], "a second provisioning writes nothing")
    stage.say("unchanged: what is right already is not written again")
    return values


def show_environment(stage: Stage, root: Path, expected: dict[str, bytes]) -> None:
    """Show the .env without its values; check mode, owner, names, and the values that were sealed."""
    path = root / HOME / ".env"
    facts = path.lstat()
    lines = dict(line.split(b"=", 1) for line in path.read_bytes().splitlines() if b"=" in line)
    names = sorted(name.decode() for name in lines)
    stage.say(
        f"{stat.filemode(facts.st_mode)}  {facts.st_uid}:{facts.st_gid}  {HOME}/.env  [dim]{', '.join(names)}[/]"
    )
    check(stat.S_IMODE(facts.st_mode) == 0o600, "the .env has mode 0600")
    check(facts.st_uid == agent_user(), "the .env belongs to the agent's user")
    check(names == sorted([*expected, *_OWN]), f"the .env holds what was sealed, not {names}")
    check(all(lines[name.encode()].strip(b"'\"") == value for name, value in expected.items()), "its values")


def killed_and_continued(stage: Stage) -> None:
    """Kill a birth with -9 while it installs, and give the same command again."""
    register(stage, "boat")
    jail = stage.folder / "jails" / "boat"
    _kill_when(stage, jail / "root" / HOME / "skills", "hive", "birth", "boat")
    check(not (jail / "running").exists(), "the half-born jail does not run")
    check(not (jail / "root" / HOME / ".env").exists(), "the half-born jail has no secrets")
    half = stage.run("hive", "show-tenant", "boat")
    steps = half["birth_steps"]
    done = [name for name, state in steps.items() if state == "done"]
    check(half["status"] == "birthing" and bool(done), "boat is birthing, and not born")
    check("secrets" not in done and "start" not in done, "it has come half-way")
    stage.say(f"boat is {half['status']}; done: {', '.join(done)}. Its jail stands still, without secrets")
    receipt = stage.run("hive", "birth", "boat")
    check(receipt["continued"] and receipt["status"] == "born", "boat's birth was continued")
    steps = stage.run("hive", "show-tenant", "boat", quiet=True)["birth_steps"]
    check(set(steps.values()) == {"done"}, "every step is done")
    stage.say(f"continued, and born: {len(steps)} steps, all done")


def register(stage: Stage, tenant: str, *more: str, quiet: bool = False) -> None:
    """Register a paid tenant for proofs: its gates are nobody's papers, so it may never be real."""
    words = ("--tier", "paid", "--scratch", "--profile", "support-agent==1", *more)
    stage.run("hive", "register-tenant", tenant, *words, quiet=quiet)


def _kill_when(stage: Stage, there: Path, *words: str) -> None:
    """Run a command, and kill it with SIGKILL as soon as ``there`` stands."""
    stage.typed(*words, more=" &")
    process = stage.spawn(*words)
    os.setpriority(os.PRIO_PROCESS, process.pid, 10)  # who looks is not overtaken on a busy machine
    end = time.monotonic() + _SECONDS
    while not there.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.0005)
    stage.screen.print("[cyan]$[/] kill -9 %1")
    process.kill()
    stage.heard += b"".join(process.communicate())
    if process.returncode != -signal.SIGKILL:
        raise DemoFailedError(f"{' '.join(words)} ended with {process.returncode} before it was killed")
