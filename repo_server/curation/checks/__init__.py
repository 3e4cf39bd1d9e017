"""Deterministic checks: what a reviewer must see before deciding.

    run_checks(tree, name=None, strict=False) -> EngineReport      findings, with version and policy digest
    surface_of(tree) -> Surface                                    hosts named, files that want to execute

Each family is one module with a ``check(tree)`` that yields findings and knows nothing of the others. A new
check is a new module and one line in `_FAMILIES`; a changed one gets a new version there, so that a signed
review says by which rules it was made.

**What a finding weighs.** *block*: stands until a curator waives it in writing. *look*: a person must read that
place. *note*: good to know. A skill without any finding is not thereby good: a bland sentence can do more harm
than a binary, and only reading, and the diff to the last version, shows it.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice

from repo_server.curation.checks import executables, frontmatter, hosts, remote_execution, structure, unicode
from repo_server.curation.tree import SourceTree
from signing.format.canonical import canonical
from signing.format.digest import sha256_of
from signing.format.names import SkillName
from signing.format.review import EngineReport, Finding, Severity, Surface

ENGINE = "skillrepo-checks"
VERSION = "2"
MAX_FINDINGS = 300  # of one family; a review of thousands of lines is a review that nobody reads

__all__ = ["ENGINE", "MAX_FINDINGS", "VERSION", "run_checks", "surface_of"]

Check = Callable[[SourceTree], Iterator[Finding]]

_FAMILIES: tuple[tuple[str, str, Check], ...] = (
    ("structure", "2", structure.check),
    ("unicode", "2", unicode.check),
    ("executables", "1", executables.check),
    ("hosts", "2", hosts.check),
    ("remote-execution", "2", remote_execution.check),
)
_WEIGHT = {Severity.BLOCK: 0, Severity.LOOK: 1, Severity.NOTE: 2}


def run_checks(tree: SourceTree, *, name: SkillName | None = None, strict: bool = False) -> EngineReport:
    """Return what all families find in ``tree``, heaviest first, always in the same order.

    Args:
        tree: the files.
        name: the name under which they are to be published, when that is known.
        strict: the publish profile of the front matter; otherwise the import profile.
    """
    front_matter: Check = partial(frontmatter.check, name=name, strict=strict)
    families = (*_FAMILIES, ("frontmatter", "2", front_matter))
    findings = [finding for family, _, check in families for finding in _bounded(family, check(tree))]
    policy = {
        "checks": [[family, version] for family, version, _ in families],
        "profile": "publish" if strict else "import",
    }
    return EngineReport(
        name=ENGINE,
        version=VERSION,
        policy_sha256=sha256_of(canonical(policy)),
        findings=tuple(sorted(findings, key=_order)),
    )


def surface_of(tree: SourceTree) -> Surface:
    """Return what ``tree`` says it touches."""
    return Surface(hosts=hosts.hosts_of(tree), executables=executables.executables_of(tree))


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
