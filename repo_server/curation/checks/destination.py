"""Where an instruction in prose sends something: the address, mailbox or host that its verb leads to."""

import re

from repo_server.curation.checks import egress, late
from repo_server.curation.checks.document import Document
from repo_server.curation.checks.lexicon import Meaning
from repo_server.curation.checks.sentences import Token

_REACH = 320
_VERB_LAST = "\u3040"  # from here on scripts whose languages name the place before the verb
_PARAGRAPH = late.pattern(r"\n\s{0,20}\n|\n[ \t>]{0,20}(?:[-*+]\s|[0-9]{1,3}[.)]\s|#|\||```)")
_TOWARDS = late.pattern(
    r"(?:\b(?:to|into|at|with|via|through|over|an|nach|zu|unter|na|v|k|à|vers|au|sur|a|al|en|hacia|su|per|para|no|em|в|на|к|через)\b|到|至|に|へ|宛|로|에)[^.\n]{0,50}$",
    re.IGNORECASE,
)
_FROM = late.pattern(
    r"(?:\b(?:from|at|von|unter|aus|iz|s|z|depuis|de|sur|desde|da|dal|из|с|со)\b|从|自|から|より|에서)[^.\n]{0,40}$",
    re.IGNORECASE,
)
_CLAUSE = late.pattern(r"[,;:.!?](?=\s)|[，。；]")
_POINTS = late.pattern("[到至向给往]|に|へ|まで|宛|로|에")
_NAMESPACES = frozenset(
    {"www.w3.org", "schemas.openxmlformats.org", "schemas.microsoft.com"}
)  # names, not places
_NOT_A_VERB = frozenset("._-/$=<>@")


def is_verb(document: Document, at: int) -> bool:
    """Return whether the word at ``at`` stands alone, and is no part of a name such as ``message.send.port``."""
    text = document.text
    if at > 0 and text[at - 1] in _NOT_A_VERB:
        return False
    end = at
    while end < len(text) and text[end].isalpha():
        end += 1
    following = text[end : end + 2]
    return not (
        following[:1] in {"_", "/", "(", "=", "-", ":"} or (following[:1] == "." and following[1:].isalnum())
    )


def destination_of(document: Document, token: Token, end: int | None = None, *, origin: bool = False) -> str:
    """Return the host or mailbox outside this machine that follows ``token`` in its paragraph, or an empty text.

    With ``origin`` it is where something comes from, for verbs of fetching.
    """
    if not is_verb(document, token.at):
        return ""
    stop = min(len(document.text), token.at + _REACH, end if end is not None else len(document.text))
    if document.text[token.at] >= _VERB_LAST and (host := _named_before(document, token)):
        return host
    piece = document.text[token.at : stop]
    if paragraph := _PARAGRAPH.search(piece):
        piece = piece[: paragraph.start()]
    if _in_front_matter(document, token.at):
        piece = piece.partition("\n")[0]
    for url in egress.URL.finditer(piece):
        host = egress.host_of(url["authority"])
        if not egress.is_local(host) and host not in _NAMESPACES:
            return host
    if mailbox := egress.MAILBOX.search(piece):
        return mailbox.group()
    host = egress.spoken_host(piece)
    preposition = _FROM if origin else _TOWARDS
    return host if host and preposition.search(piece[: piece.lower().find(host)]) else ""


def _named_before(document: Document, token: Token) -> str:
    """Return the host to which a particle points, before a verb that comes last."""
    begin = max(
        0,
        document.text.rfind("\n", 0, token.at),
        document.text.rfind("。", 0, token.at),
        token.at - _REACH // 2,
    )
    for url in egress.URL.finditer(document.text, begin, token.at):
        host = egress.host_of(url["authority"])
        around = (
            document.text[max(begin, url.start() - 8) : url.start()]
            + document.text[url.end() : url.end() + 8]
        )
        if not egress.is_local(host) and _POINTS.search(around):
            return host
    return ""


def is_denied(document: Document, token: Token, *, before: int = 4) -> bool:
    """Return whether a NOT or an AVOID stands shortly before ``token`` in the same clause."""
    words = document.sentences
    for meaning in (Meaning.NOT, Meaning.AVOID):
        other = words.near(token, meaning, before=before)
        if other is not None and not _CLAUSE.search(document.text, other.at, token.at):
            return True
    return False


def _in_front_matter(document: Document, at: int) -> bool:
    return document.text.startswith("---\n") and at < document.text.find("\n---", 4)
