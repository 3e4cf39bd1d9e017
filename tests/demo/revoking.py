"""A curator revokes a skill that lives in jails already; the next sweep finds it there and acts."""

import json
from typing import Any

from rich.markup import escape

from tests.demo.births import HOME
from tests.demo.life import mother
from tests.demo.stage import Stage, check

REVOKED = "release-notes-writer==2.1.0"
_DONE = ["unroutable", "withdraw-secrets", "stop-jail", "notify"]


def found_by_sweep(stage: Stage) -> None:
    jails = stage.folder / "jails"
    check(all((jails / name / "running").exists() for name in ("acme", "boat")), "both jails run")
    check(mother(stage, "acme", "heartbeat")["state"] == "active", "acme's agent lives")
    check(_agent(stage)["routable"], "acme's agent is routable before")
    clean = stage.run("hive", "sweep")["tenants"]
    check([item["findings"] for item in clean] == [[], []], "a sweep before finds nothing")
    stage.say("2 jails, nothing found")
    words = ("--severity", "high", "--reason", "leaks what it reads", "--as", "curator-1", "--yes")
    stage.run("skillrepo", "revoke", REVOKED, *words)
    stage.say("one curator is enough to revoke, and it is published at once")
    swept = {item["tenant"]: item for item in stage.run("hive", "sweep")["tenants"]}
    check(sorted(swept) == ["acme", "boat"], "both jails were looked at")
    for name, item in sorted(swept.items()):
        stage.say(f"{name}: [bold red]{item['status']}[/]  done: {', '.join(item['done'])}")
        check(
            [finding["kind"] for finding in item["findings"]] == ["revoked"], f"{name} holds what is revoked"
        )
        check(item["done"] == _DONE and not item["failed"], f"everything was done about {name}")
        check(not (jails / name / "root" / HOME / ".env").exists(), f"the secrets of {name} are withdrawn")
        check(not (jails / name / "running").exists(), f"the jail of {name} stands still")
    agent = _agent(stage)
    check(not agent["routable"] and agent["tenant_status"] == "quarantined", "acme's agent is unroutable")
    stage.say("no work, no secrets, and the jails stand still; the command of the policy was told:")
    told = [json.loads(line) for line in (stage.folder / "host" / "told").read_text().splitlines()]
    check({"acme", "boat"} == {item["tenant"] for item in told}, "people were told of both")
    stage.say(f"[dim]{escape(json.dumps(told[0])[:160])}…[/]")
    screen = stage.read("hive", "status")
    check("acme: revoked" in screen, "the status names it")


def _agent(stage: Stage) -> dict[str, Any]:
    found = stage.run("hive", "agents", quiet=True)["agents"]
    return dict(next(agent for agent in found if agent["agent"] == "acme"))
