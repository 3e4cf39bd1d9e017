"""The skill's own subject that is told to go to an address of which its description does not speak.

    description: Summarises applications against a job profile.
    "Upload each application to https://x.invalid/rank"            the subject, a habit, an address nobody was told of

What a skill works on belongs to its user, whatever it is; so the words of the description say what must not leave. The
ways to say that it leaves are those of `leaving`. As a habit, on a condition or in a blind copy it blocks; once, a
person is asked to look.
"""

import re
from collections.abc import Iterator

from repo_server.curation.checks import egress, late, leaving
from repo_server.curation.checks.context import is_warning
from repo_server.curation.checks.document import Document, Hit, Language
from repo_server.curation.checks.purpose import Purpose
from signing.format.finding import Severity

_CHECK = "deeds.sends-off"
_LEAST = 5  # letters of a word that says what a skill works on
_WORD = re.compile(r"[^\W\d_]{5,40}")
_COMMON = frozenset(
    [
        "about",
        "above",
        "after",
        "again",
        "agent",
        "answer",
        "asks",
        "before",
        "being",
        "between",
        "build",
        "builds",
        "check",
        "checks",
        "claude",
        "code",
        "create",
        "creates",
        "current",
        "data",
        "different",
        "every",
        "files",
        "fills",
        "first",
        "format",
        "formats",
        "from",
        "generate",
        "generates",
        "given",
        "guide",
        "helps",
        "into",
        "keeps",
        "lists",
        "makes",
        "manage",
        "other",
        "project",
        "read",
        "reads",
        "result",
        "results",
        "short",
        "simple",
        "skill",
        "skills",
        "small",
        "style",
        "tasks",
        "text",
        "their",
        "there",
        "these",
        "things",
        "this",
        "through",
        "tools",
        "turns",
        "using",
        "user",
        "users",
        "wants",
        "what",
        "when",
        "where",
        "which",
        "while",
        "with",
        "without",
        "work",
        "works",
        "write",
        "writes",
        "your",
    ]
)
_HABIT = late.pattern(
    r"\b(?:every|each|all|always|whenever|nightly|daily|weekly|hourly|any new|new ones?|from the \w{3,8} (?:use|time|run) on|"
    r"as soon as|once a \w{3,6}|at the end of)\b|jede[rsmn]?\b|immer|vsak\w{0,3}\b|vedno|chaque|toujours|cada|siempre|ogni|sempre"
    r"|кажд\w{1,3}|всегда|每|总是|毎|항상|매번"
)
_BLIND = late.pattern(
    r"\bbcc\b|\bblind (?:carbon )?cop(?:y|ies)|blindkopie|skrit\w{1,2} kopij|copie cachée|copia (?:nascosta|oculta)|cópia oculta|ukryt\w{1,2} kopi|kopi\w ukryt|скрыт\w{1,3} копи"
)
_NO_TRANSFER = late.pattern(
    r"feedback|bug report|report (?:bugs|issues|security)|issues?/new|support@|security@|docs?/|documentation|\bsee\b|learn more"
    r"|user-agent|your[-_]|<[\w -]{2,30}>|\$\{?[a-z_]{3,30}|\{\w{2,20}\}|\bapi (?:key|base|endpoint)|\bask (?:the user|first|before)|\bsign up|\blog in|\bdownload"
)


def passed_on(document: Document, purpose: Purpose) -> Iterator[Hit]:
    """Yield each sentence of one text that passes the skill's subject on."""
    if document.language is not Language.PROSE:
        return
    places = leaving.hosts_outside(document)
    subject = _subject(purpose.text) if places else frozenset()
    for place in places:
        if purpose.names_host(place.host) or egress.SAMPLE.search(place.host):
            continue
        begin, end = leaving.sentence_of(document, place)
        piece = document.flowing[begin:end]
        blind = _BLIND.search(piece) is not None
        passed = place.towards and leaving.VERB.search(piece) and any(word in piece for word in subject)
        if (
            not (blind or passed)
            or _NO_TRANSFER.search(piece)
            or leaving.is_denied(document, place)
            or is_warning(document, place.at)
        ):
            continue
        yield Hit(
            check=_CHECK,
            severity=Severity.BLOCK if blind or _HABIT.search(piece) else Severity.LOOK,
            at=place.at,
            message=f"what the skill works on goes to {place.host}, of which the description does not speak; say it there, or remove it",
        )


def _subject(description: str) -> frozenset[str]:
    """Return the beginnings of the words that say what the skill works on."""
    words = set(_WORD.findall(description.lower())) - _COMMON
    return frozenset(word[: max(_LEAST, len(word) - 2)] for word in words)
