"""Deterministic checks: what a reviewer must see before deciding.

    run_checks(tree, name=None, strict=False) -> EngineReport      findings, with version and policy digest
    surface_of(tree) -> Surface                                    what the files say they touch

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
    hosts,
    markup,
    names,
    orders,
    persistence,
    remote_execution,
    runtimes,
    structure,
    system,
    unicode,
)
from repo_server.curation.checks.document import Document, Hit, documents_of
from repo_server.curation.checks.extraction import surface_of
from repo_server.curation.checks.purpose import Purpose
from repo_server.curation.frontmatter import read_front_matter
from repo_server.curation.tree import SourceTree
from signing.format.canonical import canonical
from signing.format.digest import sha256_of
from signing.format.finding import EngineReport, Finding, Severity
from signing.format.names import SkillName

ENGINE = "skillrepo-checks"
VERSION = "3"
MAX_FINDINGS = 300  # of one family; a review of thousands of lines is a review that nobody reads

__all__ = ["ENGINE", "MAX_FINDINGS", "VERSION", "run_checks", "surface_of"]

Check = Callable[[SourceTree], Iterator[Finding]]
Judge = Callable[[Document, Purpose], Iterator[Hit]]

_OF_FILES: tuple[tuple[str, str, Check], ...] = (
    ("structure", "3", structure.check),
    ("unicode", "3", unicode.check),
    ("executables", "2", executables.check),
    ("hosts", "3", hosts.check),
)
_OF_TEXTS: tuple[tuple[str, str, Judge], ...] = (
    ("remote-execution", "3", remote_execution.judge),
    ("acquisition", "1", acquisition.judge),
    ("exfiltration", "1", exfiltration.judge),
    ("orders", "1", orders.judge),
    ("deeds", "1", deeds.judge),
    ("persistence", "1", persistence.judge),
    ("system", "1", system.judge),
    ("disguise", "1", disguise.judge),
    ("markup", "1", markup.judge),
    ("runtimes", "1", runtimes.judge),
)
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
    front, problems = read_front_matter(tree.skill_md, strict=strict, expected=name)
    purpose = Purpose.said_by(front, tree)
    documents = documents_of(tree)
    findings = [finding for family, _, check in _OF_FILES for finding in _bounded(family, check(tree))]
    findings += _bounded("frontmatter", frontmatter.check(tree, problems))
    findings += _bounded("names", names.check(front, name=name, known_names=tuple(known_names)))
    for family, _, judge in _OF_TEXTS:
        findings += _bounded(family, _judged(documents, purpose, judge))
    policy = {
        "checks": [
            *([family, version] for family, version, _ in (*_OF_FILES, *_OF_TEXTS)),
            *([family, version] for family, version in _OF_THE_HEAD),
        ],
        "profile": "publish" if strict else "import",
    }
    return EngineReport(
        name=ENGINE,
        version=VERSION,
        policy_sha256=sha256_of(canonical(policy)),
        findings=tuple(sorted(dict.fromkeys(findings), key=_order)),
    )


def _judged(documents: list[Document], purpose: Purpose, judge: Judge) -> Iterator[Finding]:
    """Yield what ``judge`` finds in each text, once a line and check: what a file says, its decoded copy need not."""
    seen: set[tuple[str, int, str, Severity]] = set()
    for document in documents:
        for hit in judge(document, purpose):
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
