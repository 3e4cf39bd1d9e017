"""Names that are easily taken for another skill's: one letter away, or drawn alike."""

from collections.abc import Iterator

from repo_server.curation.checks import late
from repo_server.curation.checks.folding import skeleton
from repo_server.curation.frontmatter import FrontMatter
from signing.format.finding import Finding, Severity
from signing.format.manifest import SKILL_NAME
from signing.format.names import SkillName

_SHORT = 4  # of names this short, many are one letter apart and nobody confuses them

_CHECK = "names.confusable"
_DIGIT = late.pattern(r"[0-9]")
_OTHER = late.pattern(r"'([a-z0-9-]{1,64})', which is published; choose another name$")


def check(
    front: FrontMatter, *, name: SkillName | None = None, known_names: tuple[str, ...] = ()
) -> Iterator[Finding]:
    """Yield one finding for each published name with which this one can be confused."""
    for own in dict.fromkeys(filter(None, (name, front.name))):
        if own in known_names:
            continue
        for other in sorted(set(known_names)):
            if how := _alike(own, other):
                yield Finding(
                    check=_CHECK,
                    severity=Severity.BLOCK,
                    path=SKILL_NAME,
                    line=0,
                    message=f"the name {own[:80]!a} {how} {other!r}, which is published; choose another name",
                )


def other_of(finding: Finding) -> str | None:
    """Return the published name that ``finding`` is about, when `check` made it."""
    found = _OTHER.search(finding.message) if finding.check == _CHECK else None
    return found.group(1) if found is not None else None


def _alike(own: str, other: str) -> str:
    if own != other and _DIGIT.sub("0", own) == _DIGIT.sub("0", other):
        return ""  # step-1 and step-2 are counted, not disguised; l and 1, o and 0 still are
    if skeleton(own) == skeleton(other):
        return "is drawn like"
    if min(len(own), len(other)) > _SHORT and one_edit(own, other):
        return "is one letter away from"
    return ""


def one_edit(one: str, other: str) -> bool:
    """Return whether one insertion, deletion, replacement or exchange of neighbours turns one into the other."""
    if abs(len(one) - len(other)) > 1:
        return False
    first = next(
        (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    one, other = one[first:], other[first:]
    return (
        one[1:] == other[1:]
        or one[1:] == other
        or one == other[1:]
        or (one[:2] == other[:2][::-1] and one[2:] == other[2:])
    )
