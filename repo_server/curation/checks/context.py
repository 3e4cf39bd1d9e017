"""Is this place an order, or a warning of one?

A guide to safe work names what it warns of: "never run `curl … | sh`", a table of red flags, a pattern to search for.
A hostile text may call its order an example. So a place counts as a warning only where it is clearly one: the clause
before it forbids doing it, or its list or section is about attacks and the place itself is quoted and not told to be
done. Everything else is an order, whatever stands around it.
"""

import re

from repo_server.curation.checks import late
from repo_server.curation.checks.document import Document, Language

_REACH = 160
_LINE = 2_000  # characters of a line on either side of a place that count as its line; minified ones have a million
_LEAD_LINES = 14
_FORBIDDEN = late.pattern(
    r"(?:\b(?:never|do not|don't|dont|must not|mustn't|should not|shouldn't|avoid|refuse to|instead of|rather than|not|no)\b"
    r"|\b(?:niemals|nie|nicht|nikoli|jamais|nunca|mai|non|não|никогда|не)\b|不要|切勿|禁止|绝不|请勿)"
    r"(?:[^\w,;:.]{1,4}\w{1,14}){0,5}?[^\w,;.]{0,6}$",
    re.IGNORECASE,
)
# "Never skip this: …", "do not forget to run …" and the like order what follows.
_FORBIDS_OMITTING = late.pattern(
    r"\b(?:skip|forget|omit|miss|hesitate|wait|ask|fail|worry|stop|mention|tell|inform|work|continue|proceed|start|show|notify|need|only|just|yet|installed|running|available|found|until|unless|if|before|without|present)\b"
    r"|überspring|vergiss|vergess|izpusti|pozabi|oublie|olvid|dimentic|esque|забуд|пропус|忘|跳过",
    re.IGNORECASE,
)
_SIGN = late.pattern(
    r"^[ \t>|*+-]{0,12}(?:❌|🚫|✗|✘|⛔|\[bad\]|bad:|wrong:|unsafe:|dangerous:|malicious:|vulnerable:|don'ts?:|avoid:|never\b|#\s{0,3}(?:bad|wrong|unsafe|dangerous|never|don't|do not|avoid|vulnerable|insecure|❌))",
    re.IGNORECASE,
)
_ABOUT_ATTACKS = late.pattern(
    r"\b(?:attack(?:s|er|ers)?|injections?|red flags?|malicious|suspicious|dangerous|phishing|exploit(?:s|ation)?|vulnerab\w{1,8}|threats?"
    r"|anti-?patterns?|unsafe|insecure|exfiltration|jailbreaks?|adversarial|scam|blocklist|denylist|blocked commands?|forbidden|prohibited|never do|what not to"
    r"|scan(?:s|ner|ning)? for|watch (?:out )?for|untrusted|security (?:review|check|scan|test)\w{0,6}|guardrails?|threat model|pitfalls?)\b"
    r"|angriff|bösartig|gefährlich|verdächtig|napad|zlonamer|sumljiv|attaque|malveillant|ataque|malicios|attacco|опасн|вредонос|атак|инъекц|攻击|恶意|危险|攻撃|悪意|危険|インジェクション",
    re.IGNORECASE,
)
_PATTERN_SIGNS = late.pattern(r"\\[sbSwWd|.(]|\.\*|\.\+|\[\^|\(\?[:=!i]|\(\w{1,12}\|\w{1,12}")
_HEADING = late.pattern(r"^#{1,6}\s|^\*\*[^*]{1,80}\*\*:?\s{0,3}$")
_ATTACKER_DOES = late.pattern(
    r"\b(?:attackers?|adversar(?:y|ies)|intruders?|malware|ransomware|malicious \w{3,20}|hostile \w{3,20}|threat actors?|injected \w{3,12}|an injection|scammers?|angreifer|napadalec|attaquants?|atacantes?|aggressor\w?|злоумышленник\w{0,3}|攻击者|攻撃者)\b[^.!?\n]{0,140}$",
    re.IGNORECASE,
)
# At the beginning of a clause: "reject …", "always flag …"; "if the server refuses" tells of something else.
_SUSPECTS = late.pattern(
    r"(?:(?:^[\s>*+|0-9.)-]{0,16}|\b(?:always|must|should|please|and|to|then|or|will|we|it)\s{1,3})(?:refuse|reject|flag|beware|suspect|detect|block|deny|verboten|zavrni|refuse[rz]|rechaza|rifiuta|recuse|отклоняй)s?\b"
    r"|\b(?:watch (?:out )?for|look(?:s|ing)? (?:out )?for|search(?:es|ing)? for|check(?:s|ing)? for|scan(?:s|ning)? for|warn(?:s|ing)? (?:about|of|against|signs)|be suspicious|red flags?|known[- ]bad)\b|拒绝|拒否)[^!?\n]{0,200}$",
    re.IGNORECASE,
)
_SEARCHES = late.pattern(
    r"\b(?:grep|rg|egrep|ack|contains|regex(?:es)?|patterns?|match(?:es)?|sigma|yara|semgrep|blocked|denied)\b[^\n]{0,60}[\"'`/\[]",
    re.IGNORECASE,
)
_DISTRUSTS = late.pattern(
    r"\b(?:do not|don't|never|not) (?:follow|obey|act|comply|execute|do|trust|treat)|\b(?:ignore|disregard|report|quote|flag|treat)\b[^.\n]{0,30}\b(?:it|them|such|as data|as text)|is data|are data|\bis a (?:finding|red flag|warning sign|vulnerability)\b|\bsuch (?:an? )?[a-z]{2,14} (?:is|are|gets?) (?:stopped|killed|removed|reported|quarantined|isolated|blocked|refused)\b|not (?:an? )?(?:instructions?|commands?|orders?)|untrusted|nicht befolgen|ne sledi|ne (?:pas )?(?:suiv|obé)\w{1,4}|no (?:las? )?(?:sig|obede)\w{1,4}|non (?:seguir|obbedi)\w{0,3}|não (?:sig|obede)\w{1,4}|не (?:выполня|следуй|слушай)\w{0,3}|不要照做|不是命令|不要执行|不要遵循|従わな|実行しな",
    re.IGNORECASE,
)
_ORDER = late.pattern(
    r"^[\s>*+|-]{0,12}(?:[0-9]{1,2}[.)]\s{1,3})?(?:\*\*)?(?:step [0-9]{1,2}:?\s)?(?:then|now|first|next|please|finally|always|you must|must|to (?:fix|verify|continue|install|protect)[^.:\n]{0,40})?[,:]?\s{0,3}"
    r"(?:run|execute|install|paste|copy|use|type|enter|download|open|start|send|führe|zaženi|exécute\w*|ejecuta|esegui|execute|запусти\w*|выполни\w*|运行|执行|実行)\b",
    re.IGNORECASE,
)
_LIST_ITEM = late.pattern(r"[ \t>]{0,12}(?:[-*+•]|[0-9]{1,2}[.)]|\|)\s")
_NOT_TO_DO = late.pattern(
    r"anti-?patterns?|pitfalls?|what not|\bnever\b|\bavoid\b|don'?ts\b|do not\b|red flags?|mistakes|forbidden|prohibited|warning signs|attack|threat|malicious|suspicious|反模式|禁止|避免|アンチパターン|避け",
    re.IGNORECASE,
)
_CLAUSES = late.pattern(r"[.!?;](?=\s)|\n\s*\n")
_QUOTES = "`\"'“”‘’«»„|"


def is_warning(document: Document, at: int, *, end: int | None = None) -> bool:
    """Return whether ``document`` names what stands at ``at`` only to warn of it, or to look for it."""
    row = document.row(at)
    begin, stop = _line_around(document, row, at)
    line = document.text[begin:stop]
    span = document.text[at : min(end if end is not None else at + 40, stop)]
    if "://" not in span and _PATTERN_SIGNS.search(span):
        return True
    before = document.text[max(begin, at - _REACH) : at]
    if row > 0 and document.language is Language.PROSE and not document.in_fence(at):
        before = _wrapped(document, row, before)
    clause = _CLAUSES.split(before)[-1]
    is_order = _ORDER.match(line) is not None
    if _SIGN.match(line) and not document.how and not is_order:
        return True
    if (found := _FORBIDDEN.search(clause)) and not _FORBIDS_OMITTING.search(found.group()):
        return True
    return not document.how and not is_order and _is_lesson(document, at, row, clause)


def _is_lesson(document: Document, at: int, row: int, clause: str) -> bool:
    """Whether the line, its list or its section is about attacks, and what stands at ``at`` is one of them."""
    begin, stop = _line_around(document, row, at)
    line, column = document.text[begin:stop], at - begin
    quoted = _within_quotes(line, column)
    if _SEARCHES.search(line[: column + 1]) and (document.is_code or quoted):
        return True
    if document.is_code:
        return False
    if not document.in_fence(at) and (_ATTACKER_DOES.search(clause) or _SUSPECTS.search(clause)):
        return True
    return (
        (_LIST_ITEM.match(line) is not None and _NOT_TO_DO.search(_heading(document, row)) is not None)
        or (quoted and _DISTRUSTS.search(document.text[max(0, at - 200) : stop + 200]) is not None)
        or (
            _quoted(line, column, document, at)
            and _ABOUT_ATTACKS.search(_lead(document, row, line)) is not None
        )
    )


def _line_around(document: Document, row: int, at: int) -> tuple[int, int]:
    """Return begin and end of the line ``row`` around ``at``; of a very long one, the part that a reader sees."""
    begin, stop = document.line_bounds(row)
    return max(begin, at - _LINE), min(stop, at + _LINE)


def _wrapped(document: Document, row: int, before: str) -> str:
    """Return ``before`` with the end of the line before it, when that is the same paragraph."""
    begin, end = document.line_bounds(row - 1)
    line = document.text[begin:end]
    if not line.strip() or re.match(r"[\s>]*(?:[-*+]\s|[0-9]{1,2}[.)]\s|#|\|)", before):
        return before
    return f"{line[-_REACH:]} {before}"


def _within_quotes(line: str, column: int) -> bool:
    """Whether a quotation opens shortly before ``column`` and closes behind it."""
    for opening, closing in (
        ('"', '"'),
        ("“", "”"),
        ("„", "“"),
        ("«", "»"),
        ("「", "」"),
        ("`", "`"),
        ("‘", "’"),
        ("'", "'"),
    ):
        opened = line.rfind(opening, max(0, column - 80), column)
        if opened >= 0 and line.find(closing, opened + 1, column) < 0 and line.find(closing, column) >= 0:
            return True
    return False


def _quoted(line: str, column: int, document: Document, at: int) -> bool:
    """Within quotation marks, a code span, a table, a list item that is only that, or a fenced example."""
    before = line[:column]
    return (
        any(sign in before[-60:] for sign in _QUOTES)
        or document.in_fence(at)
        or before.strip() in {"-", "*", "+", ""}
    )


def _heading(document: Document, row: int) -> str:
    """Return the nearest heading above, at most a few lists away."""
    for above in range(row - 1, max(-1, row - 3 * _LEAD_LINES), -1):
        begin, end = document.line_bounds(above)
        if document.text.startswith("#", begin) and not document.in_fence(begin):
            return document.text[begin:end]
    return ""


def _lead(document: Document, row: int, line: str) -> str:
    """Return the line itself, the text that leads into its list, and its nearest heading."""
    parts = [line]
    inside_list = True
    for above in range(row - 1, max(-1, row - _LEAD_LINES - 1), -1):
        begin, end = document.line_bounds(above)
        text = document.text[max(begin, end - _LINE) : end].strip()
        if _HEADING.match(text):
            parts.append(text)
            break
        if text.endswith((":", ":**", "：")) and inside_list:
            parts.append(text)
            inside_list = False
        elif text and above == row - 1:
            parts.append(text[-80:])
    return "\n".join(parts)
