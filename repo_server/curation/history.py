"""What changed about a skill besides its files, compared with the release that was published last.

Who takes over a name, or its account, publishes from another place, under another name, or an old version with a
known hole once more. None of that is visible in the files, so each is a finding that somebody must look at.
"""

from dataclasses import dataclass

from repo_server.curation.textsafe import excerpt
from signing.format.manifest import SKILL_NAME
from signing.format.names import ReleaseVersion, version_key
from signing.format.review import Finding, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFacts:
    """What is known about one release: its version, and the source's words about where it came from."""

    version: ReleaseVersion
    source: str
    publisher: str
    licence: str


def history_findings(*, new: HistoryFacts, old: HistoryFacts | None) -> tuple[Finding, ...]:
    """Return what a curator must look at in ``new`` because ``old`` was published last (None: nothing was)."""
    if old is None:
        return ()
    found = []
    if version_key(new.version) <= version_key(old.version):
        message = (
            f"version {new.version} does not follow {old.version}, which is published: an older release comes "
            "back with its faults; import a higher version, or say why this one"
        )
        found.append(_finding("backwards", message))
    for check, what, before, after in (
        ("source-changed", "source", old.source, new.source),
        ("publisher-changed", "publisher", old.publisher, new.publisher),
        ("licence-changed", "licence", old.licence, new.licence),
    ):
        if before != after:
            message = (
                f"the {what} was {_shown(before)} and is {_shown(after)}; find out who changed it and why"
            )
            found.append(_finding(check, message))
    return tuple(found)


def _shown(text: str) -> str:
    # ascii(), because the change may be one letter that looks like another.
    return ascii(excerpt(text)) if text else "not given"


def _finding(check: str, message: str) -> Finding:
    return Finding(check=f"history.{check}", severity=Severity.LOOK, path=SKILL_NAME, line=0, message=message)
