"""What the list of withdrawals says about a candidate, as findings; and which releases it is not compared with.

Whose releases were withdrawn once may come back under another name, and a name that was withdrawn may get a new
version. Neither is visible in the files, and both would be refused, or regretted, after they were published.

A release that was revoked or quarantined is no measure for the next one: compared with it, the very harm for which
it was withdrawn would look like nothing new.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from repo_server.curation.textsafe import excerpt, visible
from repo_server.publishing.origins import Published
from signing.format.finding import Finding, Severity
from signing.format.manifest import SKILL_NAME
from signing.format.names import Pin, ReleaseVersion
from signing.format.withdrawal import Withdrawal, Withdrawn


def withdrawn_findings(pin: Pin, publisher: str, entries: Iterable[Withdrawal]) -> tuple[Finding, ...]:
    """Return a finding for each of ``entries`` (those in force) that is about the name or the publisher.

    A yank is something to look at; what was quarantined or revoked blocks until somebody answers for it.
    """
    found = []
    for entry in entries:
        scope = entry.scope
        # Many sources take @Owner for @owner; who was withdrawn does not come back by a capital letter.
        if scope.publisher is not None and scope.publisher.casefold() == publisher.casefold():
            what = f"everything published from {visible(scope.publisher)} until then was"
        elif scope.name == pin.name and scope.version in {None, pin.version}:
            what = f"{scope} is"
        else:
            continue
        severity = Severity.LOOK if entry.state is Withdrawn.YANKED else Severity.BLOCK
        found.append(_finding(severity, f"{what} {_said(entry)}"))
    return tuple(found)


def withdrawn_releases(
    released: Iterable[Published], name: str, entries: Sequence[Withdrawal]
) -> dict[Published, Withdrawal]:
    """Return which releases of ``name`` are revoked or quarantined by ``entries`` (those in force), and by which."""
    grave = [entry for entry in entries if entry.state is not Withdrawn.YANKED]
    found: dict[Published, Withdrawal] = {}
    for item in released:
        release = item.release
        for entry in grave if release.pin.name == name else ():
            if entry.scope.covers(
                release.pin, bundle_sha256=release.bundle_sha256, tree_sha256=release.tree_sha256
            ):
                found.setdefault(item, entry)
    return found


def predecessor_findings(
    gone: Mapping[Published, Withdrawal],
    *,
    same_files: Iterable[Published],
    previous: ReleaseVersion | None,
) -> Iterator[Finding]:
    """Yield what is to be known of the withdrawn releases of the same name.

    ``same_files`` are those of ``gone`` that were made of the very files of the candidate; ``previous`` is what it
    is compared with instead.
    """
    same = set(same_files)
    for item, entry in sorted(gone.items(), key=lambda pair: pair[0].release):
        pin = item.release.pin
        if item in same:
            message = f"these are the very files of {pin}, which is {_said(entry)}"
            yield _finding(Severity.BLOCK, message)
        elif (
            entry.scope.name is None or entry.scope.version is not None
        ):  # else it is about this one too, and said
            instead = f"with {previous} instead" if previous is not None else "with nothing"
            message = f"{pin} is {_said(entry)}; this is not compared with it, but {instead}"
            yield _finding(Severity.LOOK, message)


def _said(entry: Withdrawal) -> str:
    return f"{entry.state.value} by {entry.by}: {excerpt(entry.reason)}"


def _finding(severity: Severity, message: str) -> Finding:
    return Finding(check="history.withdrawn", severity=severity, path=SKILL_NAME, line=0, message=message)
