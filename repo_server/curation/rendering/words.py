"""The words that page, screen and log have in common: severities, kinds of surface, rules."""

from dataclasses import dataclass
from typing import Any, Final

from repo_server.curation.checks.catalogue import rule_of
from signing.format.finding import Finding, Severity

# Sign and word, because colour alone tells nothing to some readers and to no printer.
SIGNS: Final = {Severity.BLOCK: "■", Severity.LOOK: "▲", Severity.NOTE: "●"}


@dataclass(frozen=True, slots=True, kw_only=True)
class KindWords:
    """A kind of surface for people: its title, and why somebody should care."""

    title: str
    why: str


KINDS: Final = {
    "hosts": KindWords(title="hosts", why="machines that it names"),
    "urls": KindWords(title="addresses", why="pages and files that it names"),
    "commands": KindWords(title="commands", why="programs that it runs, or tells the agent to run"),
    "runtimes": KindWords(title="runtimes", why="interpreters that it needs"),
    "packages": KindWords(title="packages", why="other people's code that it installs or runs"),
    "paths_read": KindWords(title="files read", why="outside its own folder"),
    "paths_written": KindWords(title="files written", why="outside its own folder"),
    "env_names": KindWords(title="environment", why="variables that it names; some hold secrets"),
    "tools": KindWords(title="agent tools", why="what it asks the agent to be allowed"),
    "file_types": KindWords(title="file types", why="endings of the files that it brings"),
    "executables": KindWords(title="executables", why="files that want to be run"),
    "instructions": KindWords(title="instructions", why="what it tells the agent about itself or its user"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleWords:
    """What a check means, for people."""

    title: str
    why: str
    fix: str


def rule_words(check: str) -> RuleWords:
    """Return what ``check`` means; also for the checks of other people's engines, whose names say all we know."""
    if check.startswith("engine."):
        name = check.split(".")[1]
        return RuleWords(
            title=check.removeprefix("engine.").replace(".", ": ", 1),
            why=f"the engine {name} says so; its findings are evidence, not a verdict",
            fix="read the place; if it is harmless, say in the waiver why",
        )
    try:
        rule = rule_of(check)
    except KeyError:  # in a review by another version of this program
        return RuleWords(title=check.rpartition(".")[2].replace("-", " "), why="", fix="")
    return RuleWords(title=rule.title, why=rule.why, fix=rule.fix)


def explained(finding: Finding) -> dict[str, Any]:
    """Return a finding as ``--json`` answers show it: with what the check means, why it matters and what to do."""
    words = rule_words(finding.check)
    return {**finding.to_json(), "title": words.title, "why": words.why, "fix": words.fix}
