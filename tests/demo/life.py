"""The life of an agent: its first heartbeat, the certificate of its birth, and a job that another machine does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.markup import escape

from tests.demo.births import HOME, agent_user
from tests.demo.stage import DemoFailedError, Stage, check

SKILL = f"{HOME}/skills/release-notes-writer/SKILL.md"
_RENDER = "import json, sys; job = json.load(sys.stdin); print(json.dumps({'drawn': job['payload']['text'].upper()}))"
_DRAWN = {"drawn": "A BIRTHDAY CARD FOR ACME"}
_SECONDS = 60


def first_heartbeat(stage: Stage) -> None:
    """Run the mother skill in acme's jail: the agent registers, is heard, and acme is active."""
    for verb in ("secrets", "register", "heartbeat"):
        answer = mother(stage, "acme", verb)
        shown = {key: answer[key] for key in ("names", "capabilities", "state") if key in answer}
        stage.say(f"[dim]{escape(json.dumps(shown or answer))}[/]")
    told = stage.run("hive", "show-tenant", "acme")
    check(told["status"] == "active", "the first heartbeat makes acme active")
    stage.say("acme is [bold green]active[/]")


def certificate(stage: Stage) -> None:
    """Give the customer the signed certificate, and check it as they would: offline, with three files."""
    root, file, key = (
        stage.folder / "jails/acme/root",
        stage.folder / "acme.json",
        stage.folder / "host.pub.json",
    )
    stage.run("hive", "audit", "certificate", "acme", "--out", str(file))
    key.write_text(stage.run("hive", "audit", "key", quiet=True)["public_key"])
    anchor = str(stage.folder / "repo" / "trust-anchor.json")
    words = ("--trust-anchor", anchor, "--host-key", str(key), "--root", str(root))
    stage.read("skillrepo-client", "verify-birth", str(file), *words)
    stage.say("and one file: who let it in?")
    answer = stage.run("hive", "audit", "why", "acme", SKILL)
    facts = [record["facts"] for record in answer["records"] if record["event"] == "admission"]
    check(answer["admitted"] and len(facts) == 1, "one admission answers for the file")
    check(facts[0]["pin"] == "release-notes-writer==2.1.0", "it is that of the skill")
    check(sorted(facts[0]["signed_by"]) == ["curator-1", "curator-2"], "both curators signed it")
    stage.say(
        f"{answer['why']}: {facts[0]['pin']}, {facts[0]['role']} v{facts[0]['role_version']}, "
        f"signed by {' and '.join(facts[0]['signed_by'])}, tree {facts[0]['tree_sha256'][:12]}"
    )


def job_to_a_lane(stage: Stage) -> None:
    """Submit a job that acme's own agent cannot do; it goes to a lane that lends the capability."""
    token, payload = stage.folder / "host" / "render1.token", stage.folder / "card.json"
    stage.run("hive", "register-agent", "render1", "--capability", "image-render", "--token-file", str(token))
    payload.write_text(json.dumps({"text": "a birthday card for acme"}))
    words = ("--kind", "render", "--need", "image-render", "--tenant", "acme", "--payload", str(payload))
    job = stage.run("hive", "submit", *words)["job"]
    idle = mother(stage, "acme", "poll", "--once", "--wait", "1", "--", "true")
    check(idle.get("outcome") == "idle", f"acme's agent is not given it: {idle}")
    stage.say("nothing for acme's own agent, which lends no image-render; a lane does:")
    worker = (
        "hive",
        "worker",
        "--agent",
        "render1",
        "--capability",
        "image-render",
        "--token-file",
        str(token),
    )
    stage.typed(*worker, "--once", "--", "draw", "a", "card")
    process = stage.spawn(*worker, "--once", "--wait", "10", "--", sys.executable, "-c", _RENDER)
    try:
        said = process.communicate(timeout=_SECONDS)
    except subprocess.TimeoutExpired as error:
        process.kill()
        raise DemoFailedError("the lane did not end") from error
    stage.heard += b"".join(said)
    told = stage.run("hive", "jobs", "show", job)
    check(told["state"] == "done", f"the job is done, not {told['state']}: {said[1].decode()}")
    check([one["agent"] for one in told["history"]] == ["render1"], "the lane did it, and nobody else")
    result = told["result"] if isinstance(told["result"], dict) else json.loads(told["result"])
    check(result == _DRAWN, f"the result is {told['result']}")
    stage.say(f"done by {told['history'][0]['agent']}: {escape(json.dumps(result))}")


def mother(stage: Stage, tenant: str, *words: str) -> dict[str, Any]:
    """Run the mother script that stands in the tenant's jail, as its agent's user; return its last line."""
    root = stage.folder / "jails" / tenant / "root"
    options = () if words[0] == "secrets" else ("--lock", str(root / "var/db/clawdie/lock.json"))
    script = root / HOME / "skills/mother/scripts/mother.sh"
    stage.typed("sh", "skills/mother/scripts/mother.sh", *words, more=f"   (in {tenant}'s jail)")
    done = subprocess.run(
        ["/bin/sh", str(script), words[0], *options, *words[1:]],
        env={"HOME": str(root / HOME), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=_SECONDS,
        check=False,
        **_user_of(root.parent),
    )
    stage.heard += done.stdout + done.stderr
    if done.returncode != 0:
        raise DemoFailedError(
            f"mother.sh {words[0]} as user {agent_user()}: {done.stdout.decode()}{done.stderr.decode()}"
        )
    lines = done.stdout.decode().splitlines()
    return dict(json.loads(lines[-1])) if lines else {}


def _user_of(jail: Path) -> dict[str, Any]:
    """How a process becomes the agent's user when root tells the story; only jails let it through to its own folder.

    A plain folder is no jail: the way to it is closed to that user, so it gets the group that the folder has.
    """
    if os.getuid() != 0:
        return {}
    user = agent_user()
    return {"user": user, "group": user, "extra_groups": [jail.stat().st_gid]}
