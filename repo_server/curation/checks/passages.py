"""The passage to which a place of a text belongs: what a reader takes in together with it.

Its own paragraph, list item or fenced example, and the one directly before it; the one behind it too, where it leads
over to it ("do not speak of the following:"). A heading always ends it.
"""

from repo_server.curation.checks import late
from repo_server.curation.checks.document import Document

_FAR = 420
_BREAK = late.pattern(r"\n[ \t]{0,8}\n|\n[ \t>]{0,12}(?:[-*+•]|[0-9]{1,3}[.)])[ \t]|\n#{1,6}[ \t]")
_LEADS_ON = late.pattern(
    r":\s{0,3}$|\b(?:following|below|next (?:step|command|part|section|paragraph|block))\b"
)


def passage(document: Document, at: int) -> tuple[int, int]:
    """Return where the passage around ``at`` begins and ends."""
    text = document.text
    first, last = max(0, at - _FAR), min(len(text), at + _FAR)
    breaks = [match.start() for match in _BREAK.finditer(text, first, at + 1)]
    # The last one before the place begins its own paragraph, the one before that the paragraph above.
    begin = breaks[-2] if len(breaks) > 1 else first
    if breaks and text.startswith("\n#", breaks[-1]):
        begin = breaks[-1]
    behind = [match.start() for match in _BREAK.finditer(text, at + 1, last)]
    end = behind[0] if behind else last
    own = breaks[-1] if breaks else first
    if len(behind) > 1 and _LEADS_ON.search(document.lower[own:end]) and not text.startswith("\n#", end):
        end = behind[1]
    elif behind and len(behind) == 1 and _LEADS_ON.search(document.lower[own:end]):
        end = last
    return begin, end


def sentence(document: Document, at: int) -> tuple[int, int]:
    """Return where the sentence around ``at`` begins and ends, within its paragraph."""
    flowing = document.flowing
    first, last = max(0, at - _FAR), min(len(flowing), at + _FAR)
    begin = max(flowing.rfind(". ", first, at), flowing.rfind("\n", first, at), first)
    ends = [end for end in (flowing.find(". ", at, last), flowing.find("\n", at, last)) if end >= 0]
    return begin, min(ends, default=last)
