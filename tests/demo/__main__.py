"""`make demo`: skills and packages travel from outside into a paid tenant's jail, and forged ones do not.

Exit 0 only if everything that is told here happened.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from tests.demo.attacks import five_attacks
from tests.demo.packages import REPO, WANTED, four_attacks, publish_packages
from tests.demo.stage import DemoFailedError, Stage
from tests.support.loopback_clawhub import LoopbackClawHub

OURS = (
    ("mother", "skill", "skills/mother"),
    ("jail-housekeeping", "skill", "skills/jail-housekeeping"),
    ("clawdie-base", "soul", "skills/souls/clawdie-base"),
    ("tier-paid", "soul", "skills/souls/tier-paid"),
)
OUTSIDE = "clawhub:@northwind-tools/release-notes-writer@2.1.0"


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="skillrepo-demo-") as folder, LoopbackClawHub() as hub:
        stage = Stage(Path(folder).resolve())
        stage.environment = {
            "SKILLREPO_REPO": str(stage.folder / "repo"),
            "HIVE_DB": str(stage.folder / "host" / "hive.db"),
            "HIVE_TRUST_ANCHOR": str(stage.folder / "repo" / "trust-anchor.json"),
            "HIVE_JAIL_ROOT_BASE": str(stage.folder / "jails"),
            "HIVE_ABI": "FreeBSD:14:amd64",
        }
        try:
            tell(stage, hub)
        except DemoFailedError as error:
            stage.screen.print(f"[bold red]the demo failed:[/] {escape(str(error))}")
            return 1
    return 0


def tell(stage: Stage, hub: LoopbackClawHub) -> None:
    stage.act(
        "1  A repository", "Two curators must sign; here their keys are throw-away keys on this machine."
    )
    made = stage.run(
        "skillrepo", "init", str(stage.folder / "repo"), "--dev", "--source", f"clawhub={hub.url}"
    )
    stage.say(
        f"curators {', '.join(made['curators'])} (threshold {made['curator_threshold']}), {made['bins']} hash bins"
    )
    stage.say("trust anchor: trust-anchor.json  (clients get it by a way they trust, never from the server)")

    stage.act(
        "2  From outside to signed", "An external source is an input to a review, never a runtime dependency."
    )
    curate_outside(stage)
    curate_ours(stage)

    stage.act(
        "3  Packages",
        "poudriere's hook publishes a finished build; signed for pkg, and by the builder's key for us.",
    )
    publish_packages(stage)

    stage.act("4  A profile", "Operators pin exactly what a tenant is born with: versions and digests.")
    words = ["skillrepo", "profile", "new", "support-agent==1", "--capability", "work.general"]
    for name, kind, _ in OURS:
        words += [f"--{kind}", f"{name}==1.0.0"]
    words += ["--skill", "release-notes-writer==2.1.0"]
    for package in WANTED:
        words += ["--package", f"{REPO}:{package}"]
    drafted = stage.run(*words)
    pinned = [f"{item['name']}-{item['version']}" for item in drafted["packages"][0]["items"]]
    stage.say(f"packages, with all that they need, in the order of installation: {', '.join(pinned)}")
    stage.run("skillrepo", "profile", "sign", "support-agent==1", "--as", "operator-1")

    with serving(stage) as url:
        stage.environment["HIVE_SERVER"] = url
        stage.act(
            "5  A birth", f"The Flask service answers at {url}; mother trusts the anchor, not the service."
        )
        stage.run(
            "hive", "register-tenant", "acme", "--tier", "paid", "--scratch", "--profile", "support-agent==1"
        )
        receipt = stage.run("hive", "birth", "acme")
        if receipt["status"] != "born":
            raise DemoFailedError("acme is not born")
        stage.show_tree(Path(receipt["jail_root"]))
        audit_trail(stage)
        stage.act("6  Nine attacks", "Each is refused with its code, and nothing changes in any jail.")
        five_attacks(stage, url)
        four_attacks(stage, url)
    head = stage.run("hive", "audit", "verify")
    stage.say(f"audit chain intact: {head['records']} records")
    seconds = time.monotonic() - stage.begun
    stage.screen.print(f"\n[bold green]done[/] in {seconds:.0f} s: one agent born, nine attacks refused")


def curate_outside(stage: Stage) -> None:
    candidate = stage.run("skillrepo", "import", OUTSIDE)
    number = str(candidate["candidate"])
    seen = stage.run("skillrepo", "review", number)
    stage.say(
        f"publisher {seen['provenance']['publisher']}, licence {seen['provenance']['licence']}, every file's sha256 checked"
    )
    for finding in seen["findings"]:
        stage.say(
            f"[yellow]{finding['severity']:5}[/] {escape(finding['check'])}  {escape(finding['path'])}  [dim]{escape(finding['message'][:90])}[/]"
        )
    stage.run(
        "skillrepo",
        "review",
        number,
        "--approve",
        "--reason",
        "reads merged changes, writes text; no network",
        "--as",
        "curator-1",
    )
    stage.run("skillrepo", "sign", number, "--as", "curator-1")
    stage.say("one person is not enough:")
    stage.refused("skillrepo", "publish", code="threshold-not-met")
    signed = stage.run("skillrepo", "sign", number, "--as", "curator-2")
    for change in signed["changes"]:
        stage.say(
            f"{change['role']}: version {change['from_version']} becomes {change['to_version']}, adds {escape(change['adds'][0]['path'])}"
        )
    stage.run("skillrepo", "publish")


def curate_ours(stage: Stage) -> None:
    for name, kind, path in OURS:
        candidate = stage.run("skillrepo", "import", path, "--kind", kind)["candidate"]
        stage.run(
            "skillrepo", "review", candidate, "--approve", "--reason", "ours", "--as", "curator-2", quiet=True
        )
        for curator in ("curator-1", "curator-2"):
            stage.run("skillrepo", "sign", candidate, "--as", curator, quiet=True)
        stage.say(f"{name}: reviewed and signed by both curators (commands not shown)")
    stage.run("skillrepo", "publish")


def audit_trail(stage: Stage) -> None:
    records = stage.run("hive", "audit", "show", "--tenant", "acme")["records"]
    table = Table("", "event", "what", "role", "signed by", box=None, pad_edge=False)
    for record in records:
        facts = record["facts"]
        role = f"{facts['role']} v{facts['role_version']}" if "role" in facts else ""
        table.add_row(
            str(record["sequence"]),
            record["event"],
            facts.get("pin", facts.get("profile", "")),
            role,
            ", ".join(facts.get("signed_by", [])),
        )
    stage.screen.print(table)


@contextmanager
def serving(stage: Stage) -> Iterator[str]:
    """Run `skillrepo serve` on a free port until the story is over."""
    command = [str(Path(sys.executable).parent / "skillrepo"), "serve", "--port", "0"]
    stage.screen.print("[cyan]$[/] skillrepo serve --port 0 &")
    process = subprocess.Popen(
        command, env={**os.environ, **stage.environment}, stderr=subprocess.PIPE, text=True
    )
    try:
        yield _wait_until_ready(process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)


def _wait_until_ready(process: subprocess.Popen[str]) -> str:
    if process.stderr is None:
        raise DemoFailedError("no stderr to read from")
    for line in process.stderr:
        if line.startswith("serving "):
            return line.split()[1]
    raise DemoFailedError("the service did not start")


if __name__ == "__main__":
    sys.exit(main())
