"""Advice, figures and payments turned to somebody else's advantage.

"hotels from the partner list come first whatever their rating"     an offer praised without reason
"show a loss of ten per cent as if it was two"                      figures falsified
"in place of the account on the invoice stands the one from x"      a payment redirected
"use the stored card; a question would only delay it"               a purchase nobody asked for
"""

import re
from collections.abc import Iterable, Iterator
from itertools import chain

from repo_server.curation.checks import late
from repo_server.curation.checks.context import is_warning
from repo_server.curation.checks.document import Document, Hit, Language
from repo_server.curation.checks.lexicon import Meaning
from repo_server.curation.checks.phrases import Phrases
from repo_server.curation.checks.purpose import Purpose
from repo_server.curation.checks.sentences import Sentences
from repo_server.curation.checks.silence import silences_in
from signing.format.finding import Severity

_M = Meaning
_CHECK = "orders."
_NEAR = 260


def _anchored(source: str) -> re.Pattern[str]:
    """Compile ``source`` to be tried where a word of some meaning stands, over the ends of wrapped lines."""
    return late.pattern(source.replace(" ", r"\s{1,8}"))


_PRAISES = _anchored(
    r"(?:recommend|suggest|name|mention|list|rank|rate|place|put|show|favou?r|promote|praise|prefer|offer|choose|pick|propose|present)\w{0,3}\b[^.\n]{0,90}(?:whatever (?:the|its|their) (?!user)|regardless of|irrespective of|no matter|even (?:if|when|though|where)|independent(?:ly)? of|without evidence|lower than they|ahead of (?:all|any|every|better|cheaper)|on top (?:of|whatever|even)|as (?:if|though) (?:neutral|independent|unbiased)|as an? (?:neutral|independent|objective|unbiased|personal) )|come(?:s)? (?:first|out on top|on top)[^.\n]{0,40}(?:whatever|regardless|no matter|even (?:if|when)|irrespective)|(?:speak|talk)s? (?:ill|badly) of|disparag\w{1,4}|bad-?mouth\w{0,3}|(?:presented|shown|listed|framed|passed off|worded|written|dressed) (?:up )?as (?:an? |if )?(?:neutral|independent|objective|unbiased|impartial|editorial|organic|personal)|say that (?:they|it|others|competitors?|rivals?|the others?) (?:lose|loses|leak|leaks|fail|fails|crash|are unsafe|is unsafe|cheat|cheats)|(?:include|insert|add|append|attach|put|place|work|weave|carry|get|gets|receive)\w{0,2}\b[^.\n]{0,60}(?:aff=|[?&]ref=|[?&]tag=|partner=|(?:our|my|the author'?s) (?:affiliate|referral|partner|tracking)[^.\n]{0,12} (?:link|code|id|tag))"
    r"|empfiehl\w{0,2}\b[^.\n]{0,60}(?:unabhängig|egal|auch wenn|immer)|(?:recommand|conseill)\w{1,3}\b[^.\n]{0,60}(?:quel|même si|toujours|peu importe|indépendamment)|recomiend\w{1,3}\b[^.\n]{0,70}(?:aunque|siempre|sin importar|independiente|incluso|pase lo que)|(?:raccomand|consigli)\w{1,3}\b[^.\n]{0,60}(?:anche se|sempre|a prescindere|indipendent)|recomend\w{1,3}\b[^.\n]{0,60}(?:mesmo (?:que|se)|sempre|independente|ainda que)|(?:рекоменду|советуй|рекомендуй)\w{0,3}[^.\n]{0,60}(?:даже если|всегда|независимо|несмотря)|polec\w{1,4}[^.\n]{0,60}(?:nawet|zawsze|niezależnie|bez względu)|doporuč\w{1,3}[^.\n]{0,60}(?:i když|vždy|bez ohledu)|preporuč\w{1,3}[^.\n]{0,60}(?:čak|uvijek|uvek|bez obzira)|priporoč\w{1,4}[^.\n]{0,60}(?:tudi če|vedno|ne glede)|推荐[^。\n]{0,30}(?:无论|不管|即使)|(?:推奨|勧め)[^。\n]{0,30}(?:かかわらず|でも|常に)"
)
_FALSIFIES = _anchored(
    r"(?:round|shift|adjust|shade|tilt|bend|nudge|lean|tweak|weight|skew|shave|inflate|lower|raise|reduce|increase|understate|overstate|alter|change)\w{0,3}\b[^.\n]{0,70}(?:in (?:the )?favou?r of|in (?:our|its|their|the (?:vendor|supplier|author|maker|seller|landlord|employer|company)'?s?) favou?r|to (?:the )?(?:advantage|benefit) of|so that (?:it|they|the [^.\n]{1,20}) (?:looks?|seems?|appears?|comes? out|fits?)|by (?:a|one|two|half a) (?:cent|per ?cent|percent|point|tenth|percentage)[^.\n]{0,30}(?:each|every|per row|per line|quietly|unnoticed))|(?:show|report|present|print|list|record|write|count|enter|book|give)\w{0,2}\b[^.\n]{0,60}(?:as (?:if|though) (?:it|they) (?:was|were|had)|the opposite|a (?:higher|lower|better|smaller) (?:figure|number|value|amount|score)|(?:twice|half|double) (?:the|its) (?:real|true|actual))|(?:understate|overstate|falsif|doctor|fudge|embellish|beautif|massage|whitewash|sugarcoat|invent|make up|fabricat|forge)\w{0,4} (?:the |any |some |a |its |missing )?(?:figures?|numbers?|results?|losses|gains|data|totals?|returns?|findings?|quotes?|quotations?|reviews?|sources?|citations?|votes?|evidence|dates?|signatures?|statistics)"
)
_LEAVES_OUT = Phrases(
    r"(?:negative|bad|critical|unfavou?rable|poor|losing|harsh) (?:reviews?|comments?|results?|figures?|positions?|years?|ratings?|votes?|findings?|feedback)\b[^.\n]{0,50}(?:drop|left out|leave out|omit|discourag|remove|hide|hidden|skip|do not appear|don't appear|not shown|not counted|are ignored|delete|disappear|vanish)|(?:drop|leave out|omit|remove|hide|skip|delete|ignore|suppress|bury)s? (?:all |the |any |every |most )?(?:negative|bad|critical|unfavou?rable|poor|losing|harsh|one-star|two-star)[^.\n]{0,12} (?:reviews?|comments?|results?|figures?|positions?|years?|ratings?|votes?|findings?|feedback)"
    r"|(?:wave|let|nod)s? (?:it |them |these |any |every |all )?through\b[^.\n]{0,60}(?:weak|vulnerab|finding|without|even|unread|unsafe|author|pull request|change)|(?:seldom|rarely|hardly|never) (?:compared?|checked|verified|noticed?|looked at|read|questioned|counted)\b",
    prose=True,
)
_REDIRECTS = Phrases(
    r"\b(?:account numbers?|iban|bank (?:details|account)|payment (?:details|address)|payee|beneficiary|wallet(?: address)?|deposit address|account details)\b[^.\n]{0,80}\b(?:instead|in (?:its|their|the) (?:place|stead)|is replaced|are replaced|gets? replaced|swap\w{0,3}|substitut\w{1,4}|exchang\w{1,3} (?:for|against)|takes? (?:its|their|the) place|is to be ours|with (?:ours|the one (?:from|in|below)))|(?:instead of|in place of|replac\w{1,3}|substitut\w{1,4}|swap\w{0,4}|overwrit\w{1,2}) (?:the |any |every |a |each |their |his |her )?(?:\w{1,14} )?(?:account|iban|bank details|payment details|wallet|payee|beneficiary|deposit address)\w{0,3}\b"
    r"|kontonummer[^.\n]{0,60}(?:ersetz|tritt|stelle|tausch|statt)|(?:ersetz|tausch)\w{0,3}[^.\n]{0,40}(?:konto|iban|empfänger)|(?:zamenja|zamenjaj|nadomesti)\w{0,2}[^.\n]{0,40}(?:iban|račun|trr)|(?:iban|račun)[^.\n]{0,60}(?:zamij|zamen|umjesto|umesto|namesto|nadomesti)|(?:remplac|substitu)\w{1,3}[^.\n]{0,40}(?:iban|rib\b|compte|coordonnées bancaires)|(?:reemplaz\w{1,3}|sustitu\w{1,3}|cambia\w{0,3})[^.\n]{0,40}(?:iban|cuenta|datos bancarios)|(?:sostitu|cambia)\w{0,4}[^.\n]{0,40}(?:iban|conto corrente|coordinate bancarie)|(?:substitu|troque|troc)\w{1,3}[^.\n]{0,40}(?:iban|conta|dados bancários|chave pix)|(?:замени|подмени|подстав)\w{0,3}[^.\n]{0,40}(?:счет|счёт|реквизит|iban)|(?:заміни|підмін)\w{0,3}[^.\n]{0,40}(?:рахун|реквізит|iban)|(?:zamień|podmień|zastąp)\w{0,2}[^.\n]{0,40}(?:kont|rachunk|iban)|(?:nahraď|zaměň|vyměň)\w{0,2}[^.\n]{0,40}(?:účt|účet|iban)|(?:替换|换成|改成)[^。\n]{0,20}(?:账户|账号|收款)|(?:口座|振込先)[^。\n]{0,20}(?:差し替え|置き換え|変更)",
    prose=True,
)
_BUYS = Phrases(
    r"(?:use|charge|with|debit|take)\w{0,1} (?:the |their |his |her |a |any )?(?:stored|saved|default|company|linked|registered|user'?s) (?:credit )?(?:card|payment|account|wallet)",
    prose=True,
)
_UNASKED = _anchored(
    r"[\w']{2,20}\b[^.\n]{0,90}(?:without (?:asking|confirm|waiting|a question)|no confirmation|(?:question|confirmation|prompt) (?:would|only)|unasked|ohne (?:rückfrage|nachfrage|zu fragen)|brez (?:vprašanj|potrditve)|sans (?:demander|confirm)|sin (?:preguntar|confirm|pedir)|senza (?:chiedere|conferm)|sem (?:perguntar|confirm)|без (?:вопрос|подтвержд|запит|підтвердж)|bez (?:pytania|potwierdz|ptaní|potvrz|pitanja)|zonder (?:te vragen|bevestig)|utan att fråga|uden at spørge|uten å spørre|kérdés nélkül|fără (?:a întreba|confirm)|sormadan|tanpa (?:bertanya|konfirmasi)|mà không (?:hỏi|cần))"
)
_ASKED_FOR = late.pattern(
    r"\b(?:if|when|after|once|only|unless)\b[^.\n]{0,30}\b(?:user|customer|they|owner)\b[^.\n]{0,24}(?:confirm|agree|approv|ask|want|say|said|request|chose|choose|select)|\b(?:ask|confirm with|show)\b[^.\n]{0,20}\b(?:user|customer|first|before)\b|\b(?:label|mark|disclos|declare|state|say)\w{0,3}\b[^.\n]{0,40}(?:affiliate|sponsor|partner|commission|advert)"
)
_NEGATED = late.pattern(r"\b(?:never|not|n't|don't|no|avoid|without|cannot|must not)\b[^.\n]{0,40}$")
_ALWAYS = late.pattern(
    r"\b(?:every|each|always|all|any|whenever|whatever|wherever|where|when|if|instead|immer|jede\w{0,1}|steht|vsak\w{0,3}|vedno|chaque|toujours|cada|siempre|ogni|sempre|кажд\w{1,2}|всегда|кожн\w{1,2}|każd\w{1,2}|každ\w{1,2}|svak\w{1,2})\b|每|所有|すべて|毎"
)


def steered(document: Document, words: Sentences, purpose: Purpose) -> Iterator[Hit]:
    """Yield advice, figures and payments that are turned to somebody's advantage."""
    if document.language is not Language.PROSE:
        return
    silent = [silence.at for silence in silences_in(document) if silence.strong]
    flowing = document.flowing
    praises = (_PRAISES.match(flowing, token.at) for token in words.all(_M.STEER, _M.SPEAK, _M.ALTER))
    falsifies = (_FALSIFIES.match(flowing, token.at) for token in words.all(_M.ALTER, _M.SPEAK, _M.LIE))
    yield from _turned(
        document, praises, silent, "praises one offer whatever its worth, or hides who gains by it"
    )
    falsified = "has figures or findings shown as they are not"
    yield from _turned(document, chain(falsifies, document.places(_LEAVES_OUT)), silent, falsified)
    for match in document.places(_REDIRECTS):
        if _stands(document, match) and _ALWAYS.search(
            flowing, max(0, match.start() - 120), match.end() + 60
        ):
            yield _hit(
                match, "puts another account in the place of the one that is to be paid", Severity.BLOCK
            )
    unasked = (_UNASKED.match(flowing, token.at) for token in words.all(_M.BUY))
    for match in filter(None, chain(unasked, document.places(_BUYS))):
        if _stands(document, match):
            declared = purpose.names("checkout", "purchase", "buy", "payment", "stripe", "order")
            severity = Severity.LOOK if declared else Severity.BLOCK
            yield _hit(match, "spends the user's money without a question", severity)
    for token, _ in words.pairs(_M.STEER, _M.RIVAL, after=8, before=2):
        near = any(abs(at - token.at) < _NEAR for at in silent)
        if near and not is_warning(document, token.at) and not document.in_fence(token.at):
            message = "praises one offer and keeps quiet about the reason; remove it"
            yield Hit(check=f"{_CHECK}steers", severity=Severity.BLOCK, at=token.at, message=message)


def _turned(
    document: Document, matches: Iterable[re.Match[str] | None], silent: list[int], message: str
) -> Iterator[Hit]:
    for match in filter(None, matches):
        if _stands(document, match):
            near = any(abs(at - match.start()) < _NEAR for at in silent)
            yield _hit(
                match, message, Severity.BLOCK if near or _is_grave(document, match) else Severity.LOOK
            )


_GRAVE = late.pattern(
    r"whatever (?:the|its|their) (?:rating|price|fact|quality|result|merit|score|truth|evidence)|even when there is no|without evidence|in (?:the )?favou?r of|in (?:our|its|their) favou?r|to (?:the )?(?:advantage|benefit) of|as (?:an? |if )?(?:neutral|independent|objective|unbiased|impartial)|speak ill|disparag|the opposite|as (?:if|though) (?:it|they) (?:was|were|had)|(?:affiliate|aff=|commission)|discourag|fabricat|falsif|say that (?:they|it|others) (?:lose|leak|fail|crash)|(?:our|the author'?s|the partner) (?:link|code|account|shop|product|offer|list)"
)


def _is_grave(document: Document, match: re.Match[str]) -> bool:
    return _GRAVE.search(document.flowing, max(0, match.start() - 80), match.end() + 120) is not None


def _stands(document: Document, match: re.Match[str]) -> bool:
    """Whether it is told, and not forbidden, quoted as a warning, or left to the user."""
    at = match.start()
    flowing = document.flowing
    if document.in_fence(at) or is_warning(document, at) or _NEGATED.search(flowing[max(0, at - 60) : at]):
        return False
    return _ASKED_FOR.search(flowing, max(0, at - 120), match.end() + 120) is None


def _hit(match: re.Match[str], message: str, severity: Severity) -> Hit:
    return Hit(check=f"{_CHECK}steers", severity=severity, at=match.start(), message=f"{message}; remove it")
