"""What the list of withdrawals says about a candidate, as findings.

Whose releases were withdrawn once may come back under another name, and a name that was withdrawn may get a new
version. Neither is visible in the files, and both would be refused, or regretted, after they were published.
"""

from collections.abc import Iterable

from repo_server.curation.textsafe import excerpt, visible
from signing.format.finding import Finding, Severity
from signing.format.manifest import SKILL_NAME
from signing.format.names import Pin
from signing.format.withdrawal import Withdrawal, Withdrawn


def withdrawn_findings(pin: Pin, publisher: str, entries: Iterable[Withdrawal]) -> tuple[Finding, ...]:
    """Return a finding for each of ``entries`` (those in force) that is about the name or the publisher.

    A yank is something to look at; what was quarantined or revoked blocks until somebody answers for it.
    """
    found = []
    for entry in entries:
        scope = entry.scope
        if scope.publisher == publisher:
            what = f"everything published from {visible(publisher)} until then was"
        elif scope.name == pin.name and scope.version in {None, pin.version}:
            what = f"{scope} is"
        else:
            continue
        found.append(
            Finding(
                check="history.withdrawn",
                severity=Severity.LOOK if entry.state is Withdrawn.YANKED else Severity.BLOCK,
                path=SKILL_NAME,
                line=0,
                message=f"{what} {entry.state.value} by {entry.by}: {excerpt(entry.reason)}",
            )
        )
    return tuple(found)
