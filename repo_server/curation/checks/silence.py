"""Where a text asks for silence, lies or consent that nobody gave.

*Strong*: it says who is not to know ("do not mention this to the user", "secretly", "if asked, say that …", "take the
yes for granted"). Otherwise it only asks to act quietly, as honest skills do too. Which silence matters is judged by
what stands beside it.
"""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from repo_server.curation.checks import late
from repo_server.curation.checks.context import is_warning
from repo_server.curation.checks.document import Document, once
from repo_server.curation.checks.lexicon import Meaning
from repo_server.curation.checks.phrases import Phrases
from repo_server.curation.checks.sentences import Sentences, Token
from repo_server.curation.checks.unsaid import is_discreet, is_told_all_the_same, unsaid

_M = Meaning
_MOST = 400  # places of one text that are judged; the rest says nothing new
_MOST_JUDGED = 2_000  # places of which it is asked whether they warn; a text with more blocks


class Silence(NamedTuple):
    """Where silence is asked for, and whether it says so of the user."""

    at: int
    strong: bool


_IDIOM = Phrases(
    r"between (?:us|you and me)\b|keep (?:this|it|that) (?:a )?(?:secret|quiet|private|hidden|confidential)\b(?! key)|keep (?:it |this |that )?to yourself\b|behind the user'?s back"
    r"|without (?:the )?(?:user|owner|human|operator|client|customer)(?:'?s)? (?:knowledge|knowing|noticing|awareness|seeing)|without (?:his|her|their) knowledge|invisible to the (?:user|human|owner)|(?:hide|conceal) (?:this|it|these|that|the|any)[^.\n]{0,50}from (?:the )?(?:user|human|owner|operator|reviewer|client|customer)"
    r"|no (?:need|reason|point) (?:for [^.\n]{1,30})?(?:to|in) (?:mention|tell|inform|bring|report|disclose|notify|explain|say|list|announce|point|discuss|include|flag|show|describ|trouble|bother)\w{0,4}"
    r"|(?:leave|keep) (?:this|it|that|these|the[^.\n]{0,30}) out of (?:the|your|any|what)|(?:do(?:n't| not)|never|avoid|without) (?:bring(?:ing)? (?:this|it) up|draw(?:ing)? (?:any )?attention|let(?:ting)? on\b|point(?:ing)? (?:this|it|that|them) out|comment(?:ing)? on|make (?:a )?mention|talk(?:ing)? about (?:this|it))"
    r"|not be (?:mentioned|disclosed|revealed|reported|listed|announced) (?:in|to|at|by)|(?:stay|remain|be|keep) (?:silent|quiet) (?:about|on) (?:this|it|that)|of no (?:interest|concern|relevance) to (?:the )?(?:user|reader|client|customer|owner|human)|speaks? (?:only )?of [^.\n]{1,40} only|keep to [^.\n]{1,40} in what you (?:report|say|write)"
    # lies: what to say instead
    r"|tell (?:the user|them) only that|(?:say|claim|pretend|confirm|assure|tell)[^.\n]{0,30} that (?:everything|it|nothing|all|the data|only)[^.\n]{0,50}(?:local|safe|normal|routine|read|stays|standard|secure|fine)\b|even if (?:the user |they |you(?:'re| are) )?(?:asked|asks?|requested|objects?|refuses?|declines?|says? no)"
    r"|call (?:it|the result|this|them) [^.\n]{1,40} in the (?:explanation|summary|answer|report)|present (?:it|this|the [^.\n]{1,20}) as (?:the |a |an )?(?:result|routine|normal|ordinary|standard|regular)|\bso that (?:the )?[^.\n]{1,40}(?:still )?looks? (?:the same|normal|unchanged|ordinary|untouched)|rarely (?:compare|check|notice|look)|(?:users?|people|readers?|clients?|customers?|reviewers?) (?:find this confusing|only waste|would only|will not notice|won't notice|never notice|do not need to see|don't need to see|need not see)|it would only (?:confuse|worry|alarm|annoy|distract)"
    # consent that nobody gave
    r"|(?:the )?(?:user|owner|operator|customer|client)s?(?: has| have)? (?:already|previously|long since) (?:agreed|consented|approved|given (?:permission|consent|approval))\b|(?:treat|take|consider|regard) (?:the |a |any |their |it as )?(?:confirmation|consent|approval|permission|yes|answer|silence)\b[^.\n]{0,20}(?:given|granted|for granted|as (?:a )?(?:yes|consent|given))|\"?approval\"?\s?:\s?\"?granted|i approve everything|pre-?approved by|without a line in|so that (?:the )?(?:masking|redaction|filters?|scanners?)\b|masking does not|(?:do not|don't|never) (?:disclose|reveal|mention|name|explain|announce|report|log) this (?:rule|step|instruction|check|call|request|setting|part|change)|asked once not to be bothered"
    r"|ohne (?:das |sein |ihr )?wissen|hinter dem rücken|(?:soll|darf|muss)\w{0,3} (?:davon )?(?:nichts|nicht)(?: davon)? (?:wissen|erfahren|merken|bemerken|mitbekommen)|nicht (?:wissen|erfahren|bemerken)|falls (?:er|sie|der benutzer|jemand) (?:fragt|nachfragt)[^.\n]{0,60}(?:sag|antworte|behaupte)|bestätig\w{0,4} dem (?:benutzer|nutzer|kunden)"
    r"|brez vednosti|za hrbtom|(?:ne sme|naj ne) (?:vedeti|izve|opazi)|če (?:vpraša|kdo vpraša)|à l'insu|sans que (?:l'|le |la |personne)|ne (?:doit|doivent) (?:pas |rien )(?:savoir|voir|remarquer)|(?:ne )?pas en parler|n'en parle[zr]?|en disant que|inquiète inutilement|si (?:l'utilisateur|on) (?:te |vous )?demande"
    r"|sin que (?:el|la|lo|se|nadie)|a espaldas|no (?:se habla|hables|habla|hace falta (?:decir|mencionar|avisar))(?: de)?|si (?:el usuario )?pregunta[^.\n]{0,40}(?:di|responde)|senza che (?:l'|il|lo|la|se|nessuno)|all'insaputa|di nascosto|non (?:serve|occorre|bisogna) (?:dirlo|avvisare|parlarne|informare)|sem que (?:o|a|ele|ninguém)|às escondidas|não (?:precisa|é preciso|é necessário) (?:avisar|mencionar|informar)"
    r"|без ведома|не долж(?:ен|на|ны) (?:знать|узнать|видеть|заметить)|втайне|чтобы (?:пользователь|он|никто|клиент) не|(?:сообщать|говорить|упоминать|уведомлять)[^.\n]{0,20}не (?:нужно|требуется|надо|следует)|(?:пользователю|клиенту)[^.\n]{0,20}отвеча\w{1,6},? что|если (?:спросят|пользователь спросит)"
    r"|不让用户|不要让用户|用户不知|不得让|瞒着|如果用户问|若用户问|ユーザーに気|知られない|気づかれない|気付かれない|内緒|報告(?:する|の)?必要は?(?:あり|な)|(?:bookkeeper|owner|user|client) asked (?:once )?not to be (?:bothered|asked)|知らせ(?:る|の)?(?:必要は|ず)|聞かれたら|알리지 (?:마|말|않)|말하지 (?:마|말|않)|모르게|언급하지",
    prose=True,
)
_TELLS_TO_DO = late.pattern(
    r"^\W{0,3}(?:the |your |a |any )?(?:users?|humans?|person|operator|customers?|them)\W{1,3}(?:to|they|he|she|you can|what to|how to|that you can)\b"
)
_SHOWS_DATA = late.pattern(
    r"\b(?:secret|token|password|key|credential|api|raw|internal|json|html|xml|id|ids|log|error|stack|code|diff|markdown|debug|verbose|prompt|full|entire|complete|file (?:path|content)|path|uuid|score|number|technical|implementation)s?\b"
)
_CLAUSE = late.pattern(r"[,;:](?=\s)|[，；]")
_FROM = late.pattern(r"\bfrom\b|vor |pred |à |aux? |al |del |dal|ao |от |\bder\b")


@once
def silences_in(document: Document) -> list[Silence]:
    """Return every place of ``document`` that asks for silence, in order; warnings of it are left out."""
    found = sorted(set(_all(document, document.sentences)))
    document.crowded |= len(found) > _MOST_JUDGED
    return [silence for silence in found[:_MOST_JUDGED] if not is_warning(document, silence.at)][:500]


def _all(document: Document, words: Sentences) -> Iterator[Silence]:
    for match in document.places(_IDIOM):
        yield Silence(match.start(), strong=True)
    for at, strong in islice(unsaid(document, words), _MOST):
        yield Silence(at, strong=strong)
    for token in words.all(_M.SECRETLY):
        yield Silence(token.at, strong=True)
    for token in words.all(_M.QUIETLY):
        yield Silence(token.at, strong=False)
    for token in words.all(_M.NOT, _M.WITHOUT, _M.AVOID):
        yield from _denied(document, words, token)
    for token in words.all(_M.HIDE):
        user = words.near(token, _M.USER, after=6)
        if user is not None and _FROM.search(document.lower[token.at : user.at]):
            yield Silence(token.at, strong=True)


def _denied(document: Document, words: Sentences, token: Token) -> Iterator[Silence]:
    """A NOT before a word of telling, or before one of showing that has the user as its object."""
    told = words.near(token, _M.TELL, after=5, before=6 if is_cjk(document, token) else 0)
    if told is not None and (is_told_all_the_same(document, token, told) or is_discreet(document, told)):
        return
    if told is not None and not _CLAUSE.search(document.text, token.at, told.at):
        if _TELLS_TO_DO.match(document.lower[end_of_word(document, told.at) :][:60]):
            return
        about_user = words.near(told, _M.USER, before=4, after=8) is not None
        about_this = (
            words.near(told, _M.THIS, after=5) is not None
            and words.near(told, _M.ANSWER, after=9) is not None
        )
        yield Silence(token.at, strong=about_user or about_this)
        return
    shown = words.near(token, _M.SHOW, after=4)
    if shown is not None and words.near(shown, _M.USER, before=3, after=8) is not None:
        piece = document.lower[shown.at : shown.at + 90]
        yield Silence(
            token.at, strong=not _SHOWS_DATA.search(piece) and words.near(shown, _M.THIS, after=4) is not None
        )


def is_cjk(document: Document, token: Token) -> bool:
    """Return whether ``token`` is of a language that puts its verbs and its negations last."""
    return document.text[token.at] >= "\u3040"


def end_of_word(document: Document, at: int) -> int:
    """Return where the word at ``at`` ends."""
    match = _WORD.match(document.text, at)
    return match.end() if match else at


_WORD = late.pattern(r"\w+")
