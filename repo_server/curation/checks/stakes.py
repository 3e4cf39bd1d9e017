"""What is at stake at a place of a text: something that its user would want to know of, or to be asked about.

    sent        to an address of which the description does not speak
    secret      passwords, keys, the environment of the machine
    run         a script of the skill, a download, a command with the highest privileges
    deleted     what belongs to the user
    altered     accounts, prices, licences, results: what others rely on
    steered     one offer praised above the others
    opened      protection switched off, permissions widened

Each is found by its meaning in one sentence. None is a finding: an honest skill sends, runs and deletes. They weigh
beside an order to be silent, a lie, a consent that nobody gave.
"""

import enum
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from repo_server.curation.checks import egress, late, leaving, secrets
from repo_server.curation.checks.destination import destination_of, is_denied
from repo_server.curation.checks.document import Document, Language, once
from repo_server.curation.checks.lexicon import Meaning
from repo_server.curation.checks.phrases import Phrases
from repo_server.curation.checks.sentences import Token

_M = Meaning
_NEAR = 420
_CLOSE_BY = 14  # characters between an address and a verb that comes last


class Kind(enum.IntEnum):
    """What is at stake."""

    SENT = 1
    SECRET = 2
    RUN = 3
    DELETED = 4
    ALTERED = 5
    STEERED = 6
    OPENED = 7


class Stake(NamedTuple):
    """Where something is at stake, what, and the host it goes to when it is sent."""

    at: int
    kind: Kind
    host: str = ""


_SCRIPT = late.pattern(
    r"scripts?/|\.(?:sh|py|js|mjs|exe|bat|ps1|command)\b|\bsudo\b|as (?:root|administrator)"
)
_FILE_OF_THE_USER = late.pattern(
    r"\b(?:files?|folders?|director(?:y|ies)|backups?|originals?|database|tables?|notes?|histor(?:y|ies)|logs?|records?|archives?|drafts?|photos?|branch(?:es)?|repositor(?:y|ies)|lines?|entries|row|mails?|messages?|documents?|copies|volumes?|namespaces?|tests?|commits?|volumes|trash|snapshots?|warnings?|findings?|evidence)\b"
    r"|datei|ordner|sicherung|verlauf|datotek|map[oae]\b|varnostn|fichier|dossier|sauvegarde|archivo|carpeta|copia|cartell|arquivo|pasta|cópia|файл|папк|копи|журнал|bestand|map(?:pen)?\b|plik|soubor|složk|datotek|fil(?:er|en)?\b|dosya|berkas|文件|备份|ファイル|バックアップ"
)
_OPENS = Phrases(
    r"(?:accept|approve|confirm|sign)s? (?:every|each|all|any) |unlock(?:s|ed)? (?:the|every|a) |(?:goes?|going) live (?:directly|at once|immediately|without)|(?:rate|grade|score)s? (?:each|every|the) (?:participant|employee|colleague|person|user|customer|child)|in(?:to)? the background of each|collaborators?\b|allow[- ]?list|deny[- ]?list|bypasspermissions|dangerously|skip-permissions|cluster-admin|public-read|world-readable|0777|chmod 777|without (?:authentication|a password|credentials)|master password|backdoor|back door|(?:accepts?|lets?|passes?) [^.\n]{0,40}(?:without|for every|any) [^.\n]{0,20}(?:authentication|account|password|token)|(?:admin|administrator|root|service|superuser) (?:account|user|rights|access|role)|trust(?:ed)? (?:all|any|every)|(?:certificate|tls|ssl|signature|csrf|origin|input) (?:checks?|verification|validation)\b",
    prose=True,
)
_SPENDS = Phrases(
    r"(?:buy|purchase|order|subscribe|book|pay|checkout|check out|donate|tip|invest|trade|sell)\b[^.\n]{0,60}(?:card|plan|annual|licen[cs]e|ticket|account|share|coin|token|euro|dollar|usd|eur|wallet|balance|credit|https?://)|(?:stored|saved|default|company) (?:credit )?(?:card|payment method)|commission|affiliate|kickback|referral (?:code|link|id)|[?&`](?:ref|aff|tag|utm_source|partner)=",
    prose=True,
)


_SENT_IN_HINDI = Phrases(r"https?://(?P<host>[^\s/]{4,100})[^\s]{0,200}[^।\n]{0,30}(?:भेज|अपलोड|डाल)")
_SAMPLE = late.pattern(r"\bexample\.(?:com|org|net)$|^(?:you|me|a|user|name|your[\w.-]{0,12})@|@b\.com$")


@once
def stakes_in(document: Document) -> list[Stake]:
    """Return what is at stake, in order."""
    return sorted(set(_all(document)))


def near(document: Document, at: int, *, before: int = _NEAR, after: int = _NEAR) -> list[Stake]:
    """Return the stakes close to ``at`` in the same section, the nearest first."""
    stakes = stakes_in(document)
    text = document.text
    begin, end = max(0, at - before), at + after
    begin = max(begin, text.rfind("\n#", begin, at))
    heading = text.find("\n#", at, end)
    end = heading if heading >= 0 else end
    first = bisect_left(stakes, begin, key=_place)
    last = bisect_right(stakes, end, key=_place)
    return sorted(stakes[first:last], key=lambda stake: abs(stake.at - at))


def _place(stake: Stake) -> int:
    return stake.at


def _all(document: Document) -> Iterator[Stake]:
    if document.language is not Language.PROSE:
        return
    for place in secrets.secrets_in(document):
        if place.strong:
            yield Stake(place.at, Kind.SECRET)
    yield from _sent(document)
    yield from _run(document)
    yield from _changed(document)
    for pattern, kind in ((_OPENS, Kind.OPENED), (_SPENDS, Kind.STEERED)):
        for match in document.places(pattern):
            if not document.in_fence(match.start()):
                yield Stake(match.start(), kind)


def _sent(document: Document) -> Iterator[Stake]:
    words = document.sentences
    for token in words.all(_M.SEND):
        if document.in_fence(token.at) or document.in_code_span(token.at) or is_denied(document, token):
            continue
        host = destination_of(document, token) or _host_before(document, token)
        if host and not _SAMPLE.search(host):
            yield Stake(token.at, Kind.SENT, host)
        elif words.near(token, _M.SECRET, after=9) is not None:
            yield Stake(token.at, Kind.SECRET)
    for place in leaving.hosts_outside(document):
        clause = document.flowing[max(0, place.at - 130) : place.at]
        told = not leaving.is_english(clause) or leaving.VERB.search(clause.rpartition(". ")[2])
        if place.towards and told and not _SAMPLE.search(place.host):
            yield Stake(place.at, Kind.SENT, place.host)
    for match in document.places(_SENT_IN_HINDI):
        yield Stake(match.start(), Kind.SENT, egress.host_of(match["host"]))


def _host_before(document: Document, token: Token) -> str:
    """Return the host that stands before ``token`` in its sentence: "https://… gets a copy"."""
    begin = max(
        document.text.rfind("\n", 0, token.at), document.text.rfind(". ", 0, token.at), token.at - 160, 0
    )
    for url in egress.URL.finditer(document.text, begin, token.at):
        host = egress.host_of(url["authority"])
        between = document.text[url.end() : token.at]
        if (
            not egress.is_local(host)
            and len(between) < _CLOSE_BY
            and "," not in between
            and "." not in between
        ):
            return host
        if not egress.is_local(host) and re.search(
            r"\b(?:gets?|receives?|is (?:sent|given)|bekommt|erhält)\b",
            document.lower[url.end() : token.at + 8],
        ):
            return host
    return ""


def _run(document: Document) -> Iterator[Stake]:
    for token in document.sentences.all(_M.RUN):
        if document.in_fence(token.at) or is_denied(document, token):
            continue
        piece = document.lower[token.at : token.at + 100].partition("\n\n")[0]
        if _SCRIPT.search(piece):
            yield Stake(token.at, Kind.RUN)


def _changed(document: Document) -> Iterator[Stake]:
    words = document.sentences
    for token in words.all(_M.DELETE):
        if _is_told(document, token) and _FILE_OF_THE_USER.search(document.lower, token.at, token.at + 90):
            yield Stake(token.at, Kind.DELETED)
    for first, second, reach, kind in (
        (_M.ALTER, _M.STAKE, 9, Kind.ALTERED),
        (_M.STEER, _M.RIVAL, 14, Kind.STEERED),
        (_M.DISABLE, _M.GUARD, 9, Kind.OPENED),
    ):
        for token, _ in words.pairs(first, second, after=reach, before=reach // 2):
            if _is_told(document, token):
                yield Stake(token.at, kind)


def _is_told(document: Document, token: Token) -> bool:
    """Whether it is told in prose, and not forbidden: no command in a fence or a code span."""
    return not (document.in_fence(token.at) or document.in_code_span(token.at) or is_denied(document, token))
