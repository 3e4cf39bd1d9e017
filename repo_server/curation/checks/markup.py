"""What Markdown and HTML hold and do not show: comments, collapsed or invisible parts, titles, alternative text.

A person reads the page, the agent reads the source. An instruction that only the source has is meant for the one who
cannot be asked. Plain comments are common and harmless, so they are noted.
"""

import re
from collections.abc import Iterator

from repo_server.curation.checks import late
from repo_server.curation.checks.context import is_warning
from repo_server.curation.checks.document import Document, Hit, Language
from repo_server.curation.checks.lexicon import Meaning
from repo_server.curation.checks.purpose import Purpose
from signing.format.finding import Severity

_M = Meaning
_COMMENT = late.pattern(r"<!--(?P<text>.{0,4000}?)(?:-->|\Z)", re.DOTALL)
_REFERENCE_COMMENT = late.pattern(
    r"^[ \t]{0,3}\[(?://|comment|#|_|hidden|note)[^\]\n]{0,40}\]:\s{0,4}(?:#|<>)?\s{0,4}[\"'(](?P<text>[^\n]{1,1000})[\"')]",
    re.MULTILINE | re.IGNORECASE,
)
_INVISIBLE = late.pattern(
    r"<(?P<tag>\w{1,12})\b[^>\n]{0,200}(?:display\s?:\s?none|visibility\s?:\s?hidden|font-size\s?:\s?[01](?:px|pt|em)?\b|opacity\s?:\s?0(?:\.0\d?)?\b|color\s?:\s?(?:white|#fff(?:fff)?|transparent)|(?<![\w-])hidden(?![\w-])|left\s?:\s?-\d{3,5}px|aria-hidden=[\"']true)[^>\n]{0,200}>(?P<text>[^<]{0,2000})",
    re.IGNORECASE,
)
_DETAILS = late.pattern(
    r"<details\b(?![^>]{0,60}\bopen\b)[^>]{0,100}>(?P<text>.{0,3000}?)(?:</details>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_TITLE = late.pattern(
    r"\]\(\s{0,3}<?[^)\s]{1,400}>?\s{1,4}[\"'(](?P<text>[^\"\n]{12,600})[\"')]\s{0,3}\)|^\[[^\]\n]{1,60}\]:\s{1,4}\S{1,300}\s{1,4}[\"'(](?P<ref>[^\"\n]{12,600})[\"')]",
    re.MULTILINE,
)
_ALT = late.pattern(
    r"!\[(?P<text>[^\]\n]{40,800})\]\(|\balt=[\"'](?P<alt>[^\"'\n]{40,800})[\"']", re.IGNORECASE
)
_YAML_COMMENT = late.pattern(r"^[ \t]{0,12}#(?P<text>[^\n]{12,500})", re.MULTILINE)
_TO_AGENT = late.pattern(
    r"^\W{0,4}(?:agents?|assistants?|ai|llm|claude|(?:\w{3,12} )?models?)\b(?: only)?\s?[:,]|^\W{0,4}(?:hey|dear|hi|hello) (?:agent|assistant|ai|claude|model|llm)|\b(?:audience|for|to) ?:? ?(?:the |language |automated |machine |ai )?(?:models?|agents?|assistants?|llms?|readers|summari[sz]ers?) only\b|\b(?:automated|machine|non-human|ai) readers?\b|\blanguage models?\b|\bllm-instructions?\b|\b(?:humans?|people|users?|readers?)\b[^.\n]{0,24}\b(?:cannot|can't|need not|do not|don't|won't|will not) see\b|\b(?:not (?:shown|visible|rendered)|invisible)\b[^.\n]{0,24}\b(?:preview|users?|readers?|people|page)\b|\bfrom now on\b|\bwhen you read this\b|\b(?:agents?|assistants?|models?|ai|llms?) reading this\b|\b(?:assistants?|agents?|models?|ai|llms?|claude|gpt|codex|chatbots?|copilot|gemini|bots?)\b[^.\n]{0,60}\b(?:must|should|shall|will|need|have to|please|always|never|treat|follow|execute|run|read|ignore|send|note|do)\b|\b(?:instructions?|note|message|reminder) (?:for|to) (?:the )?(?:assistants?|agents?|models?|ai|llms?|claude)\b|\b(?:ignore|disregard|override)\b[^.\n]{0,40}\b(?:instructions?|rules|previous|above)\b|\byou must\b|\b(?:do not|don't|never) (?:tell|mention|show|reveal|inform)\b|\bsystem(?: prompt| note| message)?:"
    r"|\b(?:reviewers?|scanners?|auditors?)\b[^.\n]{0,60}\b(?:approved|safe|skip|ignore|trusted|verified|clean|benign)\b|\b(?:mandatory|authoritative)\b[^.\n]{0,40}\b(?:step|instruction)",
    re.IGNORECASE,
)
_HARMLESS = late.pattern(
    r"^\s{0,4}(?:markdownlint|prettier|eslint|toc|tocstop|omit|begin|end|start|stop|region|endregion|vale|spell|cspell|textlint|lint|auto-?generated|generated|template|todo|fixme|badges?|image|copyright|license|spdx|more|break|nav|header|footer|slot|section|if|else|vim|doctoc|all-contributors|readme|insert|example|placeholder|optional|@\w|#|/|-{3,})\b|^\W{0,40}$",
    re.IGNORECASE,
)
# What no note to an editor asks for: something private or protected, beside something to be done with it.
_GRAVE = late.pattern(
    r"\b(?:credentials?|passwords?|passphrases?|secrets?|id_(?:rsa|ed25519)|clipboard|transcript|birth names?|home address|shell history|saved data|user's (?:questions|mail|files|messages|context)|environment (?:into|to)|paste the environment|accepts any (?:token|password)|(?:approve|merge) (?:this|the|every|any) (?:pull request|diff|change)|verdict is|blind copy|remote desktop|allowed-tools|already (?:approved|consented)|user (?:has )?(?:approved|consented)|empty list of issues|private key|skip (?:the )?(?:checksum|signature|allergy|safety)\w{0,8}|debug_auth|backdoor)\b",
    re.IGNORECASE,
)
# Far to the right of what a window shows; a table or a drawing has no such gap.
_FAR_RIGHT = late.pattern(r"\S[ \t]{120,2000}(?P<text>\S[^\n]{12,1000})")
_FOLDED_AWAY = "is folded away"
_FAR_AWAY = "stands so far to the right that nobody sees it"
_PLACES: tuple[tuple[tuple[str, ...], re.Pattern[str], str, Severity | None], ...] = (
    (("style", "hidden"), _INVISIBLE, "is styled so that nobody sees it", Severity.LOOK),
    (("<details",), _DETAILS, _FOLDED_AWAY, Severity.NOTE),
    (("](", "]:"), _TITLE, "stands in the title of a link", None),
    (("![", "alt="), _ALT, "stands in a picture's alternative text", None),
    ((" " * 120,), _FAR_RIGHT, _FAR_AWAY, Severity.LOOK),
)
_ACTING = (_M.SEND, _M.DOWNLOAD, _M.RUN, _M.IGNORE, _M.FOLLOW, _M.READ, _M.WRITE, _M.DELETE, _M.INSTALL)
_MAX = 1_000


def judge(document: Document, _: Purpose) -> Iterator[Hit]:
    """Yield what one page does not show."""
    if document.language is not Language.PROSE or document.how:
        return
    lower = document.lower
    if "<!--" in lower:
        yield from _comments(document, _COMMENT.finditer(document.text))
    if "]:" in lower:
        yield from _comments(document, _REFERENCE_COMMENT.finditer(document.text))
    for needles, pattern, how, otherwise in _PLACES:
        if any(needle in lower for needle in needles):
            for match in _limited(document, pattern.finditer(document.text)):
                yield from _hidden(document, match, how, otherwise)
    if document.text.startswith("---\n"):
        end = document.text.find("\n---", 4)
        for match in _limited(document, _YAML_COMMENT.finditer(document.text, 4, max(4, end))):
            yield from _hidden(document, match, "is a comment in the front matter", Severity.NOTE)


def _limited(document: Document, matches: Iterator[re.Match[str]]) -> Iterator[re.Match[str]]:
    for count, match in enumerate(matches):
        if count >= _MAX:
            document.crowded = True
            return
        yield match


def _comments(document: Document, matches: Iterator[re.Match[str]]) -> Iterator[Hit]:
    for match in _limited(document, matches):
        if document.in_fence(match.start()) or _HARMLESS.match(match["text"]):
            continue
        yield from _hidden(document, match, "is a comment, which is not shown", Severity.NOTE)


def _hidden(document: Document, match: re.Match[str], how: str, otherwise: Severity | None) -> Iterator[Hit]:
    """Yield a block for instructions, and ``otherwise`` (None: nothing) for other text."""
    group = next(name for name, found in match.groupdict().items() if name != "tag" and found is not None)
    at, text = match.start(group), match[group]
    if not text.strip() or (document.in_fence(match.start()) and how != _FAR_AWAY):
        return
    folded_away = how == _FOLDED_AWAY
    if _is_order(
        document, at, match.end(group), text, strict=folded_away or otherwise is Severity.NOTE
    ) and not is_warning(document, match.start()):
        template = document.path.startswith(("assets/", "templates/")) and not re.search(
            r"https?://|~/|\.env\b|scripts?/", text
        )
        severity = Severity.LOOK if folded_away or template else Severity.BLOCK
        yield Hit(
            check="markup.hidden-order",
            severity=severity,
            at=match.start(),
            message=f"gives the agent an order and {how}; say it openly",
        )
    elif otherwise is not None and not folded_away:
        yield Hit(
            check="markup.hidden-text", severity=otherwise, at=match.start(), message=f"{how}; agents read it"
        )


def _is_order(document: Document, begin: int, end: int, text: str, *, strict: bool) -> bool:
    if _TO_AGENT.search(text):
        return True
    words = document.sentences
    acting = [words.within(begin, end, meaning) for meaning in _ACTING]
    found = sum(token is not None for token in acting)
    target = re.search(r"https?://|~/|\.env\b|\.ssh|scripts?/|`[^`]{3,60}`|\.(?:sh|py|md)\b", text)
    silent = words.within(begin, end, _M.SECRETLY, _M.QUIETLY)
    if _GRAVE.search(text) and found:
        return True
    return bool(silent and found) or (
        bool(target)
        and found >= (3 if strict else 2)
        and words.within(begin, end, _M.SEND, _M.DOWNLOAD, _M.IGNORE) is not None
    )
