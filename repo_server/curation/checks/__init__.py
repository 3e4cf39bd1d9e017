"""Deterministic checks: what a reviewer must see before deciding.

    run_checks(tree, name=None, strict=False) -> EngineReport      findings, with version and policy digest
    surface_of(tree) -> Surface                                    what the files say they touch
    ParsedSkill.of(tree) -> ParsedSkill                            read once for both: `report_on`, `surface_on`

First every text is made plain: letters, line ends, quoting, variables, encodings (`document`, `folding`, `unquoting`,
`decoding`). Then each family judges what stands in it, alone and together: a download and an execution, a secret
and a way out, an order to be silent and something worth hiding. A family is one module with ``judge(document)`` for
what one text shows, or ``check(tree)`` for what the files show; it knows nothing of the others. A new check is a new
module, one line in a table below, and its rules in `catalogue`; a changed one gets a new version here, so that a
signed review says by which rules it was made.

**What a finding weighs.** *block*: stands until a curator waives it in writing. *look*: a person must read that
place. *note*: good to know. A skill without any finding is not thereby good: a bland sentence can do more harm
than a binary, and only reading, and the diff to the last version, shows it.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from repo_server.curation.checks import (
    acquisition,
    deeds,
    disguise,
    executables,
    exfiltration,
    frontmatter,
    harms,
    hosts,
    lookalikes,
    markup,
    names,
    orders,
    persistence,
    programs,
    remote_execution,
    runtimes,
    scattered,
    structure,
    system,
    unicode,
)
from repo_server.curation.checks.extraction import surface_of, surface_on
from repo_server.curation.checks.parsed import Judge, ParsedSkill
from repo_server.curation.tree import SourceTree
from signing.format.canonical import canonical
from signing.format.digest import sha256_of
from signing.format.finding import EngineReport, Finding, Severity
from signing.format.names import SkillName

ENGINE = "skillrepo-checks"
VERSION = "4"
MAX_FINDINGS = 300  # of one family; a review of thousands of lines is a review that nobody reads

__all__ = [
    "ENGINE",
    "MAX_FINDINGS",
    "VERSION",
    "ParsedSkill",
    "report_on",
    "run_checks",
    "surface_of",
    "surface_on",
]

Check = Callable[[SourceTree], Iterator[Finding]]

_OF_FILES: tuple[tuple[str, str, Check], ...] = (
    ("structure", "3", structure.check),
    ("unicode", "3", unicode.check),
    ("executables", "2", executables.check),
)
_OF_HOSTS = ("hosts", "3")
_OF_TEXTS: tuple[tuple[str, str, Judge], ...] = (
    ("remote-execution", "5", remote_execution.judge),
    ("acquisition", "3", acquisition.judge),
    ("exfiltration", "2", exfiltration.judge),
    ("orders", "2", orders.judge),
    ("deeds", "3", deeds.judge),
    ("harms", "2", harms.judge),
    ("persistence", "1", persistence.judge),
    ("system", "3", system.judge),
    ("disguise", "1", disguise.judge),
    ("lookalikes", "1", lookalikes.judge),
    ("markup", "2", markup.judge),
    ("runtimes", "1", runtimes.judge),
)
_OF_PROGRAMS = (("programs", "1", programs.judge), ("scattered", "1", scattered.judge))
_OF_THE_HEAD = (("frontmatter", "3"), ("names", "1"))
_WEIGHT = {Severity.BLOCK: 0, Severity.LOOK: 1, Severity.NOTE: 2}


def run_checks(
    tree: SourceTree, *, name: SkillName | None = None, strict: bool = False, known_names: Iterable[str] = ()
) -> EngineReport:
    """Return what all families find in ``tree``, heaviest first, always in the same order.

    Args:
        tree: the files.
        name: the name under which they are to be published, when that is known.
        strict: the publish profile of the front matter; otherwise the import profile.
        known_names: names that are published already; one that is easily taken for another of them blocks.
    """
    return report_on(ParsedSkill.of(tree, name=name, strict=strict), known_names=known_names)


def report_on(skill: ParsedSkill, *, known_names: Iterable[str] = ()) -> EngineReport:
    """Return what `run_checks` returns, of a skill that is parsed already."""
    tree = skill.tree
    findings = [finding for family, _, check in _OF_FILES for finding in _bounded(family, check(tree))]
    findings += _bounded("hosts", hosts.judged(skill.hosts))
    findings += _bounded("frontmatter", frontmatter.check(tree, skill.problems))
    findings += _bounded("names", names.check(skill.front, name=skill.name, known_names=tuple(known_names)))
    for family, _, judge in _OF_TEXTS:
        findings += _bounded(family, _judged(skill, judge))
    for family, _, judge_all in _OF_PROGRAMS:
        together = (document.finding(hit) for document, hit in judge_all(skill.documents, skill.purpose))
        known = {(found.check, found.path, found.line, found.severity) for found in findings}
        findings += _bounded(
            family,
            (
                found
                for found in together
                if (found.check, found.path, found.line, found.severity) not in known
            ),
        )
    policy = {
        "checks": [
            *([family, version] for family, version, _ in _OF_FILES),
            list(_OF_HOSTS),
            *([family, version] for family, version, _ in (*_OF_TEXTS, *_OF_PROGRAMS)),
            *([family, version] for family, version in _OF_THE_HEAD),
        ],
        "profile": "publish" if skill.strict else "import",
    }
    return EngineReport(
        name=ENGINE,
        version=VERSION,
        policy_sha256=sha256_of(canonical(policy)),
        findings=tuple(sorted(dict.fromkeys(findings), key=_order)),
    )


def _judged(skill: ParsedSkill, judge: Judge) -> Iterator[Finding]:
    """Yield what ``judge`` finds in each text, once a line and check: what a file says, its decoded copy need not."""
    seen: set[tuple[str, int, str, Severity]] = set()
    for document, hit in skill.judged(judge):
        key = (document.path, document.line(hit.at), hit.check, hit.severity)
        if key not in seen:
            seen.add(key)
            yield document.finding(hit)


def _bounded(family: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    iterator = iter(findings)
    yield from islice(iterator, MAX_FINDINGS)
    if next(iterator, None) is not None:
        # Blocking, because what was cut off is unseen: noise must not be a way to hide a finding.
        yield Finding(
            check=f"{family}.too-many",
            severity=Severity.BLOCK,
            path="",
            line=0,
            message=f"more than {MAX_FINDINGS} findings of this family, the rest is not shown; "
            "make the skill smaller or cleaner, then import it again",
        )


def _order(finding: Finding) -> tuple[int, str, int, str, str, str]:
    weight = _WEIGHT[finding.severity]
    return weight, finding.path, finding.line, finding.check, finding.message, finding.excerpt
