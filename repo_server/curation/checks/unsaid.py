"""Further ways to ask for silence: by what is left out of a report, by what the user need not know, by a lie.

    "keep that out of the summary"  "the answer covers the layout only"      left out
    "nobody has to hear of it"      "this stays off the record"              need not know
    "if they wonder, blame the disk"  "as though nothing had happened"       lies

Each is a small frame of meanings in one sentence, so that it holds in every language of the lexicon; what no frame can
hold is an idiom. See `silence` for what a silence is worth.
"""

import re
from collections.abc import Iterator

from repo_server.curation.checks import late
from repo_server.curation.checks.destination import is_verb
from repo_server.curation.checks.document import Document, Language
from repo_server.curation.checks.lexicon import Meaning
from repo_server.curation.checks.phrases import Phrases
from repo_server.curation.checks.sentences import Sentences, Token

_M = Meaning
_VERB_LAST = "\u3040"
_TO_WHOM = r"(?:the |your |any |their )?(?:users?|humans?|owners?|operators?|customers?|clients?|people|readers?|reviewers?|them|anyone|anybody|somebody|someone|others|recipients?|team|boss|person)"
_WHAT = r"(?:it|this|that|these|those|them|the (?:step|call|upload|transfer|copy|request|change|check|run|sync|part|rule|detail|visit|message|mail|lookup|line|adjustment|connection|delivery|script|download|entry|export)s?)"
STRONG = Phrases(
    r"so that (?:nobody|no one|no-one|none of them|the (?:user|reader|owner|customer|reviewer|person)s? (?:does not|doesn't|will not|won't|never|cannot|can't|isn't|is not|aren't|are not)) (?:\w{1,10} )?(?:notic|see|suspect|spot|realis|realiz|learn|find|ask|object|alarm|wonder|know)\w{0,4}|(?:nobody|no one|no-one|(?:the )?(?:user|reader|owner|customer|traveller|client|recipient|sender|person at the keyboard)s?) (?:will|would|can|does|do)(?: not|n't|n’t)? (?:\w{1,10} )?(?:notice|suspect|spot|realise|realize|tell the difference|see it)|(?:won't|will not|does not|doesn't) notice\b|goes unnoticed|(?:small|little|rare|long|subtle) enough (?:to pass|to go|not to|that nobody|that no one)|(?:looks?|reads?|seems?|appears?) (?:right|normal|complete|untouched|unchanged|genuine) (?:in|to|on|like|as)|seems? to come from|as if the (?:user|author|owner|customer) had (?:written|typed|asked|made|done|approved|chosen)|(?:with|restore|keep|reset|preserve)s? (?:its|the|their|the file's) (?:old |original )?(?:modification|creation|change) (?:date|time|stamp)|(?:in|with) white (?:letters|text|on white)|as (?:your|its|their) own (?:independent |honest |unbiased |impartial )?(?:opinion|analysis|view|idea|finding|choice)|\bbury (?:the|it|this|that)\b|(?:with|under|behind) (?:a |an )?(?:dull|harmless|boring|innocent|unsuspicious|inconspicuous|bland|other|different|false) (?:name|label|title|heading)|\bso (?:they|he|she|the (?:user|owner|customer)s?) (?:isn't|aren't|is not|are not|won't be|will not be) alarmed|isn't alarmed|invites (?:questions|doubts)|which is why (?:status )?messages speak|tend to object|told in the terms|bringing it up|(?:not|never) (?:be )?reportable|not reach the|do not document it|carry(?:ing)? on as though|collapse (?:it|this)[^.\n]{0,20} (?:under|into)|with the indicator hidden|(?:are|is|be) (?:to )?(?:kept|hidden|left) out of the (?:report|summary|log|list|proposals|overview|minutes|answer|message)|change the subject|must not (?:appear|show) in|should not appear in (?:your|the) (?:reply|answer|summary|report|plan|message)"
    r"|(?:aby|ať) (?:si )?(?:toho )?(?:nikdo|nikt|nitko|niko)\b|чтобы[^.\n]{0,20} никто|щоб[^.\n]{0,20} ніхто|незаметна|damit (?:es |das )?(?:niemand|keiner)|para que nadie|pour que personne|perché nessuno|affinché nessuno|così nessuno|para que ninguém|zodat niemand|så att ingen|slik at ingen|så ingen|da (?:nihče|nitko|niko) ne|supaya tidak ada yang|agar tidak ada yang|để không ai|hogy senki|kimse (?:fark|anla)|ca nimeni|como (?:una )?(?:opinión|elección) (?:propia|imparcial)|cela ne regarde pas|keine rede|laat niets merken|ne le documentez|no tiene por qué saberlo|hoeft het niet te weten|radera (?:sedan )?spåren|cancella le tracce|borra (?:las huellas|el rastro)|efface (?:les traces|l'historique)|lösche (?:danach )?die spuren"
    r"|off the record|off the books|under wraps|under the radar|in the dark\b(?! mode| theme)|none the wiser|(?:is|are|be|remain)s? not for (?:discussion|the user|others|them)|not (?:apparent|visible|noticeable) (?:to (?:the user|them|anyone|readers)|from the outside)|isn't apparent|(?:arrangement|agreement|deal|reason|purpose|fact|list|partnership)\b[^.\n]{0,40} (?:is|are|stays?|remains?) (?:strictly )?(?:confidential|secret|private|undisclosed|not for)|not to reach the |not (?:be )?disclose|literally (?:correct|true)|out of (?:their|the user'?s?|his|her|anyone'?s) sight|hush-hush|without (?:a |any |leaving (?:a |any )?)?(?:comment(?:ary|ing)|remark|word|mention|fanfare|notice|trace|fuss|announcement|announcing|ado|hint)\b(?! of the| line)"
    r"|(?:worth|deserv\w{1,4}) (?:a )?mention(?:ing)?\b|goes without saying|(?:no|not a|without) (?:mention|word|trace|hint) (?:of|about|to|on) (?:it|this|that|these)\b|no mention of|pass(?:es|ed)? (?:over )?[^.\n]{1,20}in silence|gloss over|hold (?:your|its) (?:tongue|peace)|keep (?:silent|quiet|mum|schtum)|for your eyes only|(?:internal|private) (?:matter|affair|business|detail|housekeeping)\b|for internal (?:purposes|use)|cover (?:your|its|the) tracks|make up (?:an excuse|some|a reason)|play (?:it|this|the matter) down"
    r"|\bas (?:if|though) (?:nothing|none|it (?:had|has|were|was) (?:never|not|always)|they had (?:never|always|not)|you had (?:never|not|only|always)|this (?:had|never|was|were))|nothing (?:but|except|other than) [^.\n]{1,40} (?:took place|happened|was done|occurred|has been done)|say (?:that )?(?:the |a |an )?[^.\n]{1,30} did (?:it|this|so|that)\b",
    prose=True,
)
_APART = late.pattern(
    r"\b(?:out|off|from|away|of|ohne|weg|raus|aus|außen|iz|hors|dehors|fuera|fuori|fora|uit|z|ze|ur|fra|из|з)\b|外"
)
_ONLY = late.pattern(
    r"\b(?:only|solely|merely|exclusively|nothing but|limited to|restricted to|confined to|nur|lediglich|samo|zgolj|seulement|uniquement|solo|sólo|solamente|únicamente|soltanto|solamente|apenas|somente|только|лишь|alleen|slechts|tylko|wyłącznie|jen|pouze|лише|тільки|endast|bara|kun|bare|vain|csak|doar|numai|sadece|yalnızca|hanya|chỉ|μόνο|فقط)\b|只|だけ|のみ|만"
)
_DATA_SHOWN = late.pattern(
    r"\b(?:secrets?|tokens?|passwords?|keys?|credentials?|raw|json|html|xml|ids?|stack|diff|markdown|debug|verbose|prompt|file paths?|uuid|scores?|numbers?|jargon|opinions?|emojis?|headings?|filler|apolog\w{2,4}|adjectives?|names? of|internal (?:names?|tickets?|tools?|notes?|links?|codes?)|personal|private data|customer (?:names?|data)|brands?|prices?)\b"
)
# Each is tried only where a word of its meaning stands.
_BY_WORD: tuple[tuple[Meaning, re.Pattern[str], bool], ...] = tuple(
    (meaning, late.pattern(source.replace(" ", r"\s{1,8}")), strong)
    for meaning, source, strong in (
        (
            _M.OMIT,
            rf"(?:keep|keeps|kept) (?:{_WHAT}|everything|all) (?:\w{{1,10}} )?(?:quiet|hidden|unmentioned|undisclosed|out of sight|from {_TO_WHOM})|(?:keep|keeps|kept) (?:it|this|that|the (?:step|call|upload|transfer|copy|request|change|sync)) (?:confidential|private|internal|secret)\b(?! key)|(?:stays?|remains?|kept|left) (?:\w{{1,10}} )?(?:unmentioned|undisclosed|unreported|unsaid|untold|unspoken|confidential|between|hidden from|invisible to|unnoticed|unseen|undocumented|unlisted|silent|quiet|mum)\b",
            True,
        ),
        (
            _M.LIE,
            rf"(?:describe|present|pass|explain|report|call|disguise) (?:{_WHAT}|the result|all of (?:it|this))(?: off)?\b[^.\n]{{0,20}}\bas (?:an? |the |your |routine|normal|ordinary|part|log|temporary|usual|being|something)|blame [^.\n]{{1,60}}|(?:pretend|deny|feign|fabricate)\b (?:that|having|any|knowledge|it|to (?:have|be|know)|you|nothing|ignorance)",
            True,
        ),
        (
            _M.USER,
            r"[\w']{1,12} (?:(?:will|would|might|may|can|only|often|usually|tend to) ){0,2}(?:get|be|become|feel|grow|are|find)s? [^.\n]{0,20}(?:anxious|confus|alarm|worr|nervous|annoy|upset|suspicious|distract|bother|overwhelm|irritat|scare|uneasy|unsettl|frighten)|[\w']{1,12} (?:only |rarely |never |hardly )(?:care|want|ask|check|read|compare|notice|worry|panic)",
            False,
        ),
        (
            _M.SPEAK,
            r"(?:mention|report|list|describe|show|include|discuss|name|document|cover)s? (?:only )?(?:the )?(?:other|remaining|rest|visible|obvious|ordinary)[^.\n]{0,30} only",
            False,
        ),
    )
)
_IF = late.pattern(
    r"\b(?:if|should|in case|when|whenever|once|falls|wenn|sollte|če|si|se|если|als|mocht|jeśli|gdyby|když|pokud|ako|якщо|om|hvis|jos|ha|dacă|eğer|jika|kalau|nếu|αν|إذا|اگر)\b[^.\n]{0,40}$|如果|若|(?:たら|ば|なら|면)"
)
_INSTEAD = late.pattern(
    r"\b(?:blame|deny|denies|pretend|(?:is to |are to )?claim|assure|insist|invent|make up|pass it off|pass them off|pass this off|answer ['\"“`]|explain (?:that|it)|excuse|change the subject|brush|dodge|evade|deflect|play (?:it )?down|(?:say|answer|reply|explain|respond|tell (?:them|him|her|the user)) (?:that |only )?(?:that )?(?:it|this|they|these|nothing|everything|no\b|it's|you (?:did|have|only))|describe [^.\n]{1,20} as|call (?:it|them|this) )"
    r"|behaupt\w{1,3}|leugn\w{1,3}|(?:sag|antworte|erkläre?)\w{0,2},? (?:es|das|dass|alles|nur|nichts|die|der)|(?:reci|povej|odgovori),? da|zanikaj|(?:dis|dites|réponds|répondez|prétends?) (?:que|qu')|(?:di|diga|responde|responda|contesta) que|niega|(?:di'?|rispondi|sostieni) che|nega\b|(?:diga|responda|afirme) que|negue|(?:скажи|ответь|отвечай|говори|утверждай),? что|отрицай|(?:zeg|antwoord) dat|ontken|(?:powiedz|odpowiedz|twierdź), że|zaprzecz|(?:řekni|odpověz|tvrď), že|popři|(?:reci|odgovori|kaži) da|poreci|(?:скажи|відповідай), що|заперечуй|(?:säg|svara|si|sig|svar) att?|förneka|benekt|benægt|mondd|(?:spune|răspunde) că|neagă|inkar|katakan bahwa|jawab|nói (?:rằng|là)|πες ότι|قل (?:إن|أن|له)|أنكر|بگو",
)
_GERUND = late.pattern(r"[a-z]+ing\b")
_CLAUSE = late.pattern(r"[,;:](?=\s)|[，；]|\s\|\s")
_SAYS_SO = late.pattern(
    r"\b(?:and|but|then|also|instead|,) (?:\w{1,10} )?(?:tell|inform|ask|show|notify|warn|remind|let) (?:the user|them|him|her|the reader)|\bsay so\b"
)
_NOT_ONLY = late.pattern(
    r"[\w']{2,8}\s{1,3}(?:just|only|merely|simply|necessarily|yet|nur|pas seulement|solo)\b"
)
_WHO = late.pattern(r"\b(?:who|whoever|which|that)\s{1,3}$")
_AND_THEN = late.pattern(r"\b(?:and|but|then)\s{1,3}(?:\w{1,10}ly\s{1,3})?$")
_PAUSES = late.pattern(r"\b(?:stop|pause|wait|halt|interrupt|go back|turn|log|record)\b")
_SECRET_ITSELF = late.pattern(
    r"\w{2,14}\s{1,3}(?:(?:the|a|an|any|your|its|their|actual|raw|full|secret|api|access|values?|contents?|of|these|those|such|or|and)\s{1,3}){0,5}(?:secrets?|tokens?|passwords?|keys?|credentials?|passphrases?|key material)\b(?![^.\n]{0,30}\b(?:sent|send|upload\w{0,3}|go(?:es)?|copied|copies|leaves?|step|transfer)\b)"
)
_THIS_ONE = late.pattern(r"\w{2,14}\s{1,3}(?:this|that|these|it|them)\b")
_KEPT_OUT = late.pattern(
    r"\b(?:logs?|command lines?|commits?|repositor(?:y|ies)|stdout|stderr|argv|version control|git|source code|error messages?|traces?)\b[^\n]{0,80}(?:,|\bor\b|\band\b)|(?:,|\bor\b|\band\b)[^\n]{0,60}\b(?:logs?|command lines?|commits?|repositor(?:y|ies)|stdout|stderr|argv|version control|git|source code|error messages?|traces?)\b"
)
_TO_SOMEBODY = late.pattern(
    r"\b(?:users?|owners?|humans?|customers?|clients?|reviewers?|operators?|this (?:step|part|call|upload|transfer|change)|summar(?:y|ies)|upload\w{0,3}|transfers?)\b"
)
# Languages that say "tell it not", and those that write the "not" and the verb as one word.
_BEHIND = late.pattern(r"(?:nichts?|niets?|inte|ikke|ej)\b")
_FUSED = Phrases(
    r"ne soufflez mot|(?:pas|plus) un mot|ani słow[ao]|ani slovo|niti riječi|kein (?:sterbens)?wort|keine silbe|geen woord|inte ett ord|ikke et ord|ni una palabra|nem una palavra|nem uma palavra|neanche una parola|non far\w{0,3} parola|ни слова|ані слова|(?:ни|ані) одн\w{1,3} слов|nikomu (?:ne|nic|nie)|à personne|a nadie|a nessuno|a ninguém|никому|нікому|nimănui|kimseye|kepada siapa ?pun|belli etme|rahasiakan|prešuti|zamolči|zatají|verschweig|passe[zr]? sous silence|calla que|cala que|taci\b|keine rede|не расскаж|đừng (?:cho|nhắc|nói|kể|để)[^.\n]{0,30}(?:biết|bước|điều|người dùng|này)|(?:말하지|알리지|언급하지) (?:말|마)|요약에서도? 빼|知らせず|(?:報告|要約|サマリー)[^。\n]{0,12}含めない|言及しない|伏せ(?:て|る)|न बताएँ|उल्लेख न|چیزی[^.\n]{0,20}نگو|یاد نکن|nu spune|ne szólj|\bne(?:říkej|zmiňuj|informuj|sděluj|ukazuj|prozrazuj|uváděj|pověz|povídej)\w{0,4}|\bsöyleme(?:yin|den)?\b|\bbahsetme\w{0,4}|\bbildirme(?:yin|den)?\b|نگو(?:ی\w{0,3})?\b|مگو|(?:उपयोगकर्ता|यूज़र|उसे)[^।\n]{0,30}(?:न बता|मत बता|नहीं बता|न कह|मत कह)|बिना (?:बताए|बताये)|(?:से|को) (?:छिपा|छुपा)",
    prose=True,
)
_NOBODY = late.pattern(
    r"nobody|no-?one|none|niemand|nihče|personne|nadie|nessuno|ninguém|никто|никому|nikt|nikdo|nitko|niko|ніхто|ingen|senki|nimeni|kimse|κανείς|没有人|没人|誰も|誰にも|아무"
)


def unsaid(document: Document, words: Sentences) -> Iterator[tuple[int, bool]]:
    """Yield each place that asks for silence in one of these ways, and whether it says so of the user or of a deed."""
    if document.language is not Language.PROSE:
        return
    yield from _idioms(document, words)
    yield from _lies(document, words)
    for token in words.all(_M.NOT, _M.WITHOUT, _M.AVOID):
        yield from _unspoken(document, words, token)
        if _M.AVOID not in token.meanings and _need_not_know(document, words, token):
            yield token.at, True
    for token in words.all(_M.OMIT):
        yield from _left_out(document, words, token)
    for token in words.all(_M.REPORT):
        said = words.near(token, _M.SPEAK, after=6)
        if said is not None and _ONLY.search(document.lower, said.at, said.at + 60):
            yield token.at, False


def _idioms(document: Document, words: Sentences) -> Iterator[tuple[int, bool]]:
    flowing = document.flowing
    for match in document.places(STRONG):
        if not _SAYS_SO.search(flowing, match.start(), match.end() + 100):
            yield match.start(), True
    for match in document.places(_FUSED):
        yield match.start(), True
    for meaning, pattern, strong in _BY_WORD:
        for token in words.all(meaning):
            # `git blame` is a command, and blames nobody.
            if pattern.match(flowing, token.at) and not document.in_code_span(token.at):
                yield token.at, strong


def _lies(document: Document, words: Sentences) -> Iterator[tuple[int, bool]]:
    """If somebody asks, something else is said."""
    flowing = document.flowing
    for token in words.all(_M.WONDER):
        asked = (
            not document.text[token.at].isascii()
            or words.near(token, _M.USER, before=4) is not None
            or document.lower.startswith(("asked", "questioned"), token.at)
        )
        if (
            asked
            and _INSTEAD.search(flowing, token.at, _end_of_passage(flowing, token.at))
            and _IF.search(flowing, max(0, token.at - 60), token.at)
        ):
            yield token.at, True


def _unspoken(document: Document, words: Sentences, token: Token) -> Iterator[tuple[int, bool]]:
    """A NOT before a word of saying or appearing, with a report or a person beside it."""
    back = 7 if document.text[token.at] >= _VERB_LAST else 8 if _BEHIND.match(document.lower, token.at) else 0
    spoken = words.near(token, _M.SPEAK, after=6, before=back) or words.near(
        token, _M.TELL, after=6, before=back
    )
    if (
        spoken is None
        or _CLAUSE.search(document.text, token.at, spoken.at)
        or not is_verb(document, spoken.at)
        or is_told_all_the_same(document, token, spoken)
        or is_discreet(document, spoken)
    ):
        return
    if _NOT_ONLY.match(document.lower, token.at):
        return
    where = words.near(spoken, _M.REPORT, before=9, after=9) or words.near(spoken, _M.USER, before=7, after=8)
    if where is None or _DATA_SHOWN.search(document.lower, spoken.at, spoken.at + 90):
        return
    of_this = words.near(spoken, _M.THIS, after=4) or words.near(token, _M.THIS, before=4)
    yield token.at, of_this is not None and of_this.at != where.at


def is_told_all_the_same(document: Document, token: Token, said: Token) -> bool:
    """Return whether the NOT at ``token`` is not about what is said: "do no work and tell", "to nobody who says"."""
    between = document.flowing[token.at : said.at]
    if _WHO.search(between):
        return True
    if between.startswith("without ") and not _GERUND.match(document.lower, said.at):
        return True  # "resources without an owner are listed": what is without is a thing, not the saying
    return _AND_THEN.search(between) is not None and _PAUSES.search(between) is None


def is_discreet(document: Document, said: Token) -> bool:
    """Return whether what is not said is a secret itself, or is kept out of logs and commits: that is discretion."""
    reach = max(0, said.at - 160)
    begin = max(
        document.flowing.rfind(". ", reach, said.at), document.flowing.rfind("\n", reach, said.at), reach
    )
    behind = document.flowing[said.at : _end_of_passage(document.flowing, said.at)]
    if _SECRET_ITSELF.match(behind):
        return True
    if _THIS_ONE.match(behind):
        return False
    return _KEPT_OUT.search(behind.partition(". ")[0]) is not None and not _TO_SOMEBODY.search(
        document.flowing, begin, said.at + len(behind)
    )


def _end_of_passage(flowing: str, at: int) -> int:
    end = flowing.find("\n", at, at + 120)
    return end if end >= 0 else at + 120


def _need_not_know(document: Document, words: Sentences, token: Token) -> bool:
    """Whether somebody shall or need not learn of something: "nobody has to hear about that"."""
    nobody = _M.USER in token.meanings or _NOBODY.match(document.lower, token.at) is not None
    if not nobody and words.near(token, _M.USER, before=6, after=4) is None:
        return False
    if words.near(token, _M.WITHOUT if _M.NOT in token.meanings else _M.NOT, before=7, after=6) is not None:
        return False  # "nothing is deleted without a list that the user has seen"
    known = words.near(token, _M.KNOW, after=7, before=5 if not document.text[token.at].isascii() else 0)
    if known is None or words.near(token, _M.MUST, before=3, after=5) is None:
        return False
    return _DATA_SHOWN.search(document.lower, known.at, known.at + 60) is None


def _left_out(document: Document, words: Sentences, token: Token) -> Iterator[tuple[int, bool]]:
    """Something is kept out of a report: strong when it is "this", or a deed."""
    report = words.near(token, _M.REPORT, after=10)
    if (
        report is None
        or not _APART.search(document.lower, token.at, report.at)
        or _CLAUSE.search(document.text, token.at, report.at)
    ):
        return
    if _SAYS_SO.search(document.flowing, token.at, report.at + 100):
        return
    deed = words.near(token, _M.THIS, after=3) or words.near(token, _M.SEND, after=4)
    yield (
        token.at,
        deed is not None
        and deed.at < report.at
        and not _DATA_SHOWN.search(document.lower, token.at, report.at),
    )
