"""The curators' part: a skill from a marketplace and our own ones become signed releases."""

from rich.markup import escape

from tests.demo.stage import Stage

OURS = (
    ("mother", "skill", "skills/mother"),
    ("jail-housekeeping", "skill", "skills/jail-housekeeping"),
    ("clawdie-base", "soul", "skills/souls/clawdie-base"),
    ("tier-paid", "soul", "skills/souls/tier-paid"),
)
OUTSIDE = "clawhub:@northwind-tools/release-notes-writer@2.1.0"


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
