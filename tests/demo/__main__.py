"""`make demo`: skills and packages travel from outside into a paid tenant's jail, and forged ones do not.

Exit 0 only if everything that is told here happened.
"""

import sys
import tempfile
import time
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from tests.demo import services
from tests.demo.attacks import five_attacks
from tests.demo.births import HOME, agent_user, born_with_secrets, killed_and_continued
from tests.demo.curating import OURS, curate_ours, curate_outside
from tests.demo.life import certificate, first_heartbeat, job_to_a_lane
from tests.demo.packages import REPO, WANTED, four_attacks, publish_packages
from tests.demo.revoking import found_by_sweep
from tests.demo.stage import DemoFailedError, Stage, check
from tests.support.loopback_clawhub import LoopbackClawHub


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="skillrepo-demo-") as folder, LoopbackClawHub() as hub:
        stage = Stage(Path(folder).resolve())
        stage.folder.chmod(0o711)  # the agent's user goes through it to its home
        try:
            tell(stage, hub)
        except DemoFailedError as error:
            stage.screen.print(f"[bold red]the demo failed:[/] {escape(str(error))}")
            return 1
    return 0


def tell(stage: Stage, hub: LoopbackClawHub) -> None:
    address = services.free_address()
    set_up_host(stage, address)
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
    pin_profile(stage)
    with services.repository(stage) as url:
        stage.environment["HIVE_SERVER"] = url
        living(stage, url, address)
    head = stage.run("hive", "audit", "verify")
    stage.say(f"audit chain intact: {head['records']} records")
    seconds = time.monotonic() - stage.begun
    stage.screen.print(
        f"\n[bold green]done[/] in {seconds:.0f} s: an agent born, active and at work; a birth killed and continued; "
        "nine attacks refused; a revoked skill found in two jails"
    )


def set_up_host(stage: Stage, address: str) -> None:
    """Write the settings of the jail host, and its policy."""
    host = stage.folder / "host"
    host.mkdir(mode=0o700)
    teller = host / "tell-operator"
    teller.write_text(f"#!/bin/sh\ncat >> {host}/told\necho >> {host}/told\n")
    teller.chmod(0o700)
    (host / "policy.toml").write_text(f'reviewers = 1\n\n[notify]\ncommand = ["{teller}"]\n')
    settings = {
        "db": f"sqlite:///{host}/hive.db",
        "trust_anchor": f"{stage.folder}/repo/trust-anchor.json",
        "jail_root_base": f"{stage.folder}/jails",
        "abi": "FreeBSD:14:amd64",
        "hive_url": f"http://{address}",
        "listen": address,
        "jail_uid": str(agent_user()),
        "jail_gid": str(agent_user()),
        "policy": f"{host}/policy.toml",
    }
    (host / "hive.toml").write_text("".join(f'{key} = "{value}"\n' for key, value in settings.items()))
    stage.environment = {
        "SKILLREPO_REPO": str(stage.folder / "repo"),
        "HIVE_CONFIG": str(host / "hive.toml"),
    }


def pin_profile(stage: Stage) -> None:
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


def living(stage: Stage, url: str, address: str) -> None:
    """What happens on the jail host, from the first birth to the revocation."""
    stage.act("5  A birth", f"The Flask service answers at {url}; mother trusts the anchor, not the service.")
    values = born_with_secrets(stage)
    audit_trail(stage)
    stage.act(
        "6  A birth is killed",
        "Whatever stops it, the same command continues; half of a birth is never active.",
    )
    killed_and_continued(stage)
    with services.hive(stage, address):
        stage.act(
            "7  It lives", "The mother skill that was born with the agent finds the hive; then it is active."
        )
        first_heartbeat(stage)
        certificate(stage)
        stage.act(
            "8  Work finds a lane", "A job needs capabilities; it goes to whoever lends them, under a lease."
        )
        job_to_a_lane(stage)
        only_in_the_jail(stage, values)
        stage.act("9  Nine attacks", "Each is refused with its code, and nothing changes in any jail.")
        five_attacks(stage, url)
        four_attacks(stage, url)
        stage.act("10  A revocation arrives", "What is revoked is found in jails that were born long ago.")
        found_by_sweep(stage)
        nowhere(stage, values)


def only_in_the_jail(stage: Stage, values: list[bytes]) -> None:
    """Raise unless the secrets stand in acme's .env and in no other file, and no command ever said one."""
    allowed = stage.folder / "jails" / "acme" / "root" / HOME / ".env"
    found = files_with(stage, values)
    check(found == [allowed], f"the secrets stand in one file, not in {[str(path) for path in found]}")
    stage.say(
        "the secrets stand in one file, the .env of acme: no other file here has them, and no command said them"
    )


def nowhere(stage: Stage, values: list[bytes]) -> None:
    found = files_with(stage, values)
    check(not found, f"the withdrawn secrets stand nowhere, not in {[str(path) for path in found]}")
    stage.say("and the withdrawn secrets stand nowhere any more")


def files_with(stage: Stage, values: list[bytes]) -> list[Path]:
    check(not any(value in stage.heard for value in values), "no command ever said a secret")
    files = [path for path in stage.folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return [path for path in files if any(value in path.read_bytes() for value in values)]


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


if __name__ == "__main__":
    sys.exit(main())
