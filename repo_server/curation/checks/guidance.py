"""Instructions that come from elsewhere when the skill runs, told in any words.

A source (an address, a page, a feed, a record, somebody's comment) and, in the next sentences, obedience to whatever it
says: "do as they say", "carry it out", "continue there", "its wording takes the place of this file".
"""

import re
from collections.abc import Iterator

from repo_server.curation.checks import egress, late
from repo_server.curation.checks.context import is_warning
from repo_server.curation.checks.document import Document, Hit, Language, once
from repo_server.curation.checks.leaving import hosts_outside
from repo_server.curation.checks.lexicon import Meaning
from repo_server.curation.checks.phrases import Phrases
from repo_server.curation.checks.purpose import Purpose
from repo_server.curation.checks.sentences import Sentences
from signing.format.finding import Severity

_M = Meaning
_CHECK = "orders."
_REACH = 330
_DOES = r"(?:do|does|doing|follow|obey|execute|run|perform|apply|carry out|act on|act upon|work through|comply with|implement|fulfil|fulfill|adopt|honou?r|heed|enforce|take over|process|handle|treat)"
_OBEYS = Phrases(
    rf"\b{_DOES}s? (?:each|every|any|all|the) (?:\w{{3,12}} )?(?:strings?|lines?|sentences?|bullets?|rows?|blocks?|entries|answers?|repl(?:y|ies)|jobs?|plans?|commands?|fields?|operations?)\b[^.\n]{{0,20}}(?:comes? back|returned|it (?:sends?|holds?|contains?|returns?|lists?)|sends? back|you receive|that comes?|of the (?:page|answer|reply|record))|(?:says?|tells?|decides?) what to (?:run|do|execute)|trust it fully|every (?:row|line|entry|bullet|cell) is an order|execute the plan|perform (?:them|it) without|just run (?:them|it)|your (?:actual|real|true) orders|next (?:instruction|order|task) is|leads? to further (?:instructions?|orders)|run its body|\bcounts? as (?:said|given|ordered|told|coming|an order|instructions?|a request)|(?:give|giving|gives|take|takes|taking|has|have|gets?) (?:it |them |these |those |its \w{{1,12}} )?(?:precedence|priority) (?:over|before)|(?:overwrite|replace|update|refresh) (?:yourself\b|this (?:copy|file|skill(?:\.md)?)\b|skill\.md)|(?:repl(?:y|ies)|answers?|responses?) (?:\w{{1,6}} )?replaces? (?:your|this|the)|(?:listen|obey|answer|report)s? only to\b|(?:orders|instructions?|commands) (?:only )?come from|take effect (?:immediately|at once|without)|(?:is|are) (?:correct|right|authoritative|decisive) (?:where|if|when)|\b(?:curl|fetch|load|read)\b[^.\n]{{0,50}} and (?:comply|obey)\b"
    rf"|\b{_DOES}s? (?:exactly |precisely |simply |just )?(?:as|what(?:ever)?|everything|anything) (?:that )?(?:it|they|is|are|stands?|the (?:page|file|server|answer|response|text|reply|document|record|note|comment|post)|there|you (?:find|read|get|receive)|comes?)\b(?: \w{{1,10}})?|\bas (?:it|they|the (?:page|file|server|answer|response|reply|document|record|note|text|post))(?:'s)? (?:says?|said|asks?|directs?|instructs?|tells?|demands?|dictates?|orders?|wants?|prescribes?|requires?)\b|\bwhat(?:ever)? (?:it|they|the (?:page|file|server|answer|response|reply|document|record|note|text|post)|stands there|is (?:written|listed|said) there) (?:asks?|says?|demands?|orders?|tells?|wants?|lists?|directs?|contains?|prescribes?|requires?|returns?|instructs?)\b"
    rf"|\b{_DOES}s? (?:all |any |every |each )?(?:of )?(?:the |its |their |those |these )?(?:new |latest |current |listed |resulting |contained |received |returned )?(?:instructions?|commands?|steps?|orders?|directions?|directives?|tasks?|entries|actions?|lines?) (?:\w{{1,12}} )?(?:given |listed |named |found |contained |shown |returned |it (?:lists?|contains?|gives?|returns?|sends?) |received |printed |posted |written |you (?:find|get|receive) )?(?:there|in it|in them|on it|from it|inside|in (?:the|that) (?:answer|response|reply|page|file|body|record|header|feed|post|comment|document|issue|note)|it (?:lists?|contains?|gives?|returns?|sends?)|exactly|verbatim|to the letter|word for word)|\b(?:run|execute|evaluate|carry out|act on|perform|obey|follow) (?:exactly )?(?:what|whatever|everything|all that)\b|\b(?:its|their) (?:terminal |setup |written |own )?(?:instructions?|orders?|commands?|directions?|steps|wording|directives?|guidance) (?:to the letter|exactly|without|are (?:binding|orders|to be)|take|takes|must be|have to be|come first|count|prevail|override|apply|go first|win)"
    r"|\bcarry (?:it|them|these|each|those) out\b|\b(?:continue|go on|proceed|carry on|resume) (?:from )?there\b|\b(?:guide|steer|direct|lead|command|instruct|govern)s? (?:you|the agent|your)\b[^.\n]{0,20}\b(?:there|its|next|what|from|:|through|and)|(?:tells?|told|says?|instructs?|orders?|advises?) (?:you|the agent|the assistant) (?:what|how|which|to|where|next)|\bhands? (?:out|down|you) (?:the )?(?:steps|tasks|jobs|orders|work)|\b(?:are|as|is) (?:a |an |your |the )?(?:new |next |further |additional )?(?:jobs?|orders?|tasks?|assignments?|commands?|instructions?|directives?|marching orders) (?:for|to) (?:you|the (?:agent|assistant)|be (?:done|carried|executed|followed))|\b(?:takes?|taking) the place of (?:this|these|what|the)|\b(?:replaces?|supersedes?|overrides?|amends?|extends?|updates?|completes?) (?:this (?:file|page|skill|section|document|text)|these (?:steps|instructions|rules|lines)|what (?:is|stands) here|the (?:steps|rules|instructions) (?:below|above|here))"
    r"|\bas (?:if|though) (?:it|they|its \w{1,12}) (?:were|was|had been|stood|came) (?:\w{1,10} )?(?:here|this|these|part|in this|from the (?:user|system|developer|operator))|\b(?:part|rest|remainder|continuation|second half|other half|body|section|chapter)s? of (?:this|these|the) (?:skill|instructions?|file|page|steps|guide|procedure)\b[^.\n]{0,40}\b(?:at|on|under|lives?|is|are|can be|from|in)\b|(?:is|are|counts? as|stays?|remains?) (?:the )?(?:authoritative|binding|decisive|definitive|canonical|mandatory|the law|gospel)\b|\bto the letter\b|\bword for word\b|\b(?:do|follow|obey) what (?:this|that|the|it|they)\b|(?:take|adopt|copy|read|import|merge) (?:that|this|the|its) (?:text|content|page|line|wording)s? (?:over )?(?:into|as|without)|\bas an? (?:order|command|instruction)\b|(?:contents?|text|wording|version|page) (?:\w{1,10} )?(?:authoritative|binding)|follow any (?:remarks?|notes?|comments?|hints?)|has to be done|(?:is|are) to be (?:obeyed|followed|done|carried out|executed)|\bgo(?:es)? by (?:what|whatever|the (?:text|word))|\btreat (?:it|its|the|them|this|these|each|every|any)\b[^.\n]{0,50}\bas (?:an? |your |the |if |though |part |coming )?(?:instructions?|orders?|commands?|instruction|order|command|rules?|system|developer|part of|user|it |they )|(?:into|to|as part of) (?:your|the) (?:system )?(?:prompt|instructions|context)\b",
    prose=True,
)
_SOURCE = Phrases(
    r"remote (?:guide|planner|version|prompt|playbook|list)|live document|\bpastebin\b|\bmotd\b|page title|licen[cs]e server|\bqr code\b|changelog page|raw gist|invit\w{1,6}'s description|mcp server for|\bour partner\b|(?:message|mail)s? whose subject|shared sheet|(?:txt|dns) records?|response headers?|pinned (?:post|comment|issue|message)|(?:first|last|latest|newest|top|pinned|most recent) (?:comment|post|message|issue|release note|reply|tweet|entry|commit message)|issue tracker|\bgist\b|notion|google doc|\bwiki\b|\bfeed\b|\bpastes?\b(?! the| it| into| in)|(?:shared|online|remote|public|hosted) (?:doc(?:ument)?|page|note|sheet|playbook|runbook|calendar|list|file|board)|calendar (?:entry|event|invitation)|telegram|discord channel|slack channel|(?:web)?site's (?:page|text|note)|\btracker\b|(?:a|the) header [`'\"]|(?:server|gateway|service|api|endpoint|proxy) (?:may|can|will|might|sends?|returns?|answers?)|log lines?\b|commit messages?|file names?\b|control (?:server|channel|endpoint)|command (?:server|channel|endpoint)|(?:our|the|its|their) (?:server|endpoint|service|api|backend|bot|channel|playbook page|page) (?:at|hands|says|sends|tells|returns|answers|replies|responds|gives)",
    prose=True,
)
_ELSEWHERE = late.pattern(
    r"(?:was|wie) (?:dort|da|auf der seite|er|sie|es) (?:steht|sagt|verlangt|gesagt|geschrieben|vorschreibt|angibt)|(?:dort|darin|da) (?:steht|stehenden?|gilt|gelten|genannten?)|was dort verlangt|setze um|maßgeblich|verbindlich (?:ist|sind)|obedece|à risca|vale a página|велено|befolge (?:ihn|sie|es|alles)|führe (?:ihn|sie|es|alles|jeden?)[^.\n]{0,30}aus|(?:kar|kot|kakor) (?:tam )?(?:piše|zahteva|pravi|zapisan\w|veleva)|(?:velja|drži)\b[^.\n]{0,20}(?:tam|stran)|(?:ce qu(?:e|'|i)|comme|tout ce qu)\b[^.\n]{0,20}(?:dit|demande|écrit|indiqu|prescri|ordonn|exige)|fait foi|fait autorité|à la lettre|prime sur|(?:lo que|como|cuanto)\b[^.\n]{0,20}(?:dice|diga|pide|pida|ordena|indica|manda|exige)|al pie de la letra|(?:quello|ciò) che\b[^.\n]{0,20}(?:dice|chiede|ordina|indica|scritto|prescrive|richiede)|come (?:dice|indicato|scritto|ordina)|fa fede|alla lettera|(?:o que|conforme|tudo que|como)\b[^.\n]{0,20}(?:diz|disser|pede|pedir|manda|indica|ordena|exige)|ao pé da letra"
    r"|(?:что|как|всё, что|указания|команды)\b[^.\n]{0,20}(?:сказано|написано|велит|требует|говорит|указано|оттуда|с неё|с него)|(?:що|як|усе, що|вказівки|команди)\b[^.\n]{0,24}(?:сказано|написано|наказує|вимагає|каже|велить|вказано|звідти)|(?:co|jak|wszystko, co|czego)\b[^.\n]{0,24}(?:napisano|każe|mówi|nakazuje|żąda|podan|zapisano)|(?:co|jak|cokoliv|vše, co)\b[^.\n]{0,24}(?:píše|říká|přikaz|nařizuje|stojí|žádá|psáno|uvedeno)|(?:što|šta|kako|sve što)\b[^.\n]{0,24}(?:piše|kaže|traži|nalaže|zahtijeva|stoji|zahteva)|(?:wat|zoals|alles wat)\b[^.\n]{0,20}(?:staat|zegt|vraagt|opdraagt|voorschrijft|geschreven)|(?:vad|det|som|allt)\b[^.\n]{0,20}(?:står|säger|kräver|begär|anger|beordrar)|(?:hvad|hva|det|som|alt)\b[^.\n]{0,20}(?:står|siger|sier|kræver|krever|beder om|ber om)|orada (?:yaz|belirt|söyle)\w{1,8}|(?:ne )?(?:yazıyorsa|diyorsa|istiyorsa|söylüyorsa|derse|isterse)|apa pun yang|(?:sesuai|seperti) yang (?:tertulis|diminta|diperintahkan)|làm (?:theo|đúng) (?:những gì|nội dung|hướng dẫn|lệnh)|(?:ό,τι|όσα|όπως)\b[^.\n]{0,20}(?:λέει|γράφει|ζητά|ορίζει)|(?:ما|كما|كل ما)\b[^.\n]{0,20}(?:يقول|مكتوب|يطلب|تقول|ورد|يأمر)|(?:هر چه|آنچه|هرچه)\b|(?:amit|ahogy|mindent, amit)\b[^.\n]{0,20}(?:ír|mond|kér|előír|parancsol)|(?:ce|cum|tot ce)\b[^.\n]{0,20}(?:scrie|spune|cere|ordon|indic)"
    r"|其中的?(?:指令|命令|步骤|内容)|(?:按|照)[^。\n]{0,14}(?:执行|操作|做|行事)|以[^。\n]{0,14}为准|(?:书か|書か|記載さ|示さ)れ[^。\n]{0,8}(?:とおり|通り|従|指示|手順|内容)|(?:指示|内容|命令)に(?:従|沿)|(?:적힌|나온|쓰인|있는|지시한?)[^.\n]{0,8}(?:대로|지시|명령)|(?:लिखा|कहा|बताए|दिए गए|मांगे)[^।\n]{0,20}(?:करें|करो|पालन|अनुसार|मानें)"
)
_FETCHES = (_M.READ, _M.DOWNLOAD, _M.OPEN, _M.FOLLOW, _M.LATEST, _M.ASK)
_HINDI = late.pattern("खोल|पढ़|देख|लाए|डाउनलोड")
_PINNED = late.pattern(r"[0-9a-f]{40}|sha256|@[0-9a-f]{7,40}")
_READS_ONLY = late.pattern(
    r"\b(?:untrusted|as data|data only|quote|never (?:follow|obey|execute)|do not (?:follow|obey|execute)|not (?:an )?instructions?|show (?:it|them) to the user|ask the user|the user (?:confirms|agrees|approves|decides)|review (?:it|them) first|with the user's)\b"
)
_NOT_TO_OBEY = late.pattern(
    r"\b(?:never|not|n't|don't|cannot|without)\b[^.\n]{0,20}$|\b(?:if|when|whenever|where|should) (?:an? |any |the |some |it |one )[^.,\n]{0,24}$"
)
_NEAR = 500  # characters between an address and the order to obey what it holds
_INSTRUCTION_URL = late.pattern(r"https?://[^\s\"'`<>)\]]{4,400}", re.IGNORECASE)
_GENERIC = late.pattern(
    r"\b(?:follow|obey|execute|run|perform|do|apply|carry out|act on|comply with)\b[^.\n]{0,30}\b(?:what(?:ever)?\b|everything|(?:any|all|the|those|these|its|their)\b[^.\n]{0,20}\b(?:instructions?|commands?|orders|steps|directives)\b[^.\n]{0,30}\b(?:there|it (?:says|contains|gives|lists)|found|named|given|listed|contained|inside|returned|in (?:it|the (?:file|response|page)))|its (?:contents?|instructions|steps|orders))|treat (?:it|its|the|their|them)\b[^.\n]{0,40}\bas (?:instructions?|orders|commands|the user|if)|(?:loaded|fetched|remote|online|that|its|the) (?:text|version|file|content|page|rules|copy|document)s? (?:wins?|takes? precedence|prevails?|overrides?|supersedes?|is authoritative|has priority)"
    r"|(?:dort|darin) (?:genannten|stehenden|angegebenen|beschriebenen|aufgeführten)|was dort steht|tam (?:naveden|zapisan|opisan)\w{0,3}|ce qui y est|qui s'y trouve\w{0,2}|l'emporte\w{0,2}|lo que (?:diga|indique|digan|ponga|encuentres)|que encuentre\w{0,2} (?:allí|ahí|en ella)|(?:ordens|instruções|passos|regras) que (?:encontrar|estiver\w{0,2}|achar)|o que (?:diz|disser|estiver)|mesmo que contradi\w{1,5}|quello che (?:dice|trovi|c'è)|(?:istruzioni|indicazioni|comandi) che (?:trovi|contiene)|(?:что|всё|все|как) там (?:написано|указано|сказано)|выполня\w{1,4} (?:всё|все|только команды)|(?:其中|里面|上面|该处)的?(?:指令|步骤|命令|说明)|按(?:照)?(?:其|该)(?:内容|指示)|そこに(?:書|記載|ある)|(?:書かれ|記載され)た(?:指示|手順|命令|とおり|通り)|거기에? (?:적힌|있는)"
)
_SEE = late.pattern(
    r"\b(?:see|refer to|documentation|docs|reference|more (?:info|details)|learn more|described in|source|based on|link|homepage|follows the)\b[^\n]{0,60}$"
)
_PINNED_URL = late.pattern(
    r"[0-9a-f]{40}|[0-9a-f]{64}|sha256|/v?[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}(?:/|$)|@[0-9a-f]{7,40}"
)
_INSTRUCTIONS = late.pattern(
    r"\b(?:instructions?|steps|rules|prompts?|guidelines?|directives?|playbook|recipe|commands?|tasks?|policy|policies|procedures?|workflow|config(?:uration)?|skill(?:\.md)?|anweisung\w{0,3}|schritte?|regeln|befehle?|navodil\w{0,2}|korak\w{0,2}|ukaz\w{0,2}|pravil\w{0,2}|consignes?|étapes?|règles|commandes?|instrucciones|pasos|reglas|comandos?|órdenes|istruzioni|passaggi|regole|comandi|instruções|passos|regras|инструкци\w{0,2}|шаг\w{0,2}|правил\w{0,2}|команд\w{0,2})\b|指令|步骤|规则|说明|指示|手順|命令|ルール|[a-z-]{2,20}\.(?:md|txt)\b"
)


def elsewhere(document: Document, words: Sentences, purpose: Purpose) -> Iterator[Hit]:
    """Yield each source beyond the skill that the agent is told to obey."""
    if document.language is not Language.PROSE:
        return
    seen: set[int] = set()
    for at, end in _sources(document):
        row = document.row(at)
        if row in seen or document.in_fence(at):
            continue
        begin, stop = _section(document, at, end)
        near = max(begin, at - 200), min(stop, end + 60)
        if words.within(*near, *_FETCHES) is None and not _HINDI.search(document.text, *near):
            continue
        if (
            not _obeyed(document, at, begin, stop)
            or is_warning(document, at)
            or _READS_ONLY.search(document.flowing, begin, stop)
        ):
            continue
        seen.add(row)
        declared = purpose.names("documentation", "docs", "tutorial") or _is_own_service(
            document, at, end, purpose
        )
        message = (
            "what stands elsewhere is obeyed when the skill runs; it can change after the review, so ship it"
        )
        severity = Severity.LOOK if declared else Severity.BLOCK
        yield Hit(check=f"{_CHECK}remote-instructions", severity=severity, at=at, message=message)


def _is_own_service(document: Document, at: int, end: int, purpose: Purpose) -> bool:
    url = egress.URL.match(document.text, at, end + 1)
    return url is not None and purpose.names_host(egress.host_of(url["authority"]))


def _sources(document: Document) -> Iterator[tuple[int, int]]:
    for url in egress.urls_in(document):
        if not egress.is_local(egress.host_of(url["authority"])) and not _PINNED.search(url.group()):
            yield url.start(), url.end()
    for place in hosts_outside(document):
        yield place.at, place.end
    for match in document.places(_SOURCE):
        yield match.start(), match.end()


def _obeyed(document: Document, at: int, begin: int, stop: int) -> bool:
    if any(begin <= place < stop for place in _obediences(document)):
        return True
    return _ELSEWHERE.search(document.flowing, max(begin, at - 160), stop) is not None


@once
def _obediences(document: Document) -> list[int]:
    places = [match.start() for match in document.places(_OBEYS)]
    return [place for place in places if not _forbidden(document.flowing, place)]


def _forbidden(text: str, at: int) -> bool:
    """Whether it is not to be obeyed, or only said what it may try: "if a page tells you to run something, stop"."""
    return _NOT_TO_OBEY.search(text[max(0, at - 36) : at]) is not None


def _section(document: Document, at: int, end: int) -> tuple[int, int]:
    text = document.text
    begin = max(text.rfind("\n\n", 0, at), text.rfind("\n#", 0, at), at - _REACH, 0)
    stop = min(
        (place for place in (text.find("\n#", end), text.find("\n\n", end + 1)) if place >= 0),
        default=len(text),
    )
    return begin, min(stop, end + _REACH)


def fetched(document: Document, words: Sentences) -> Iterator[Hit]:
    """Instructions that stand elsewhere and can change after the review."""
    if document.is_code and not document.how:
        return
    for url in document.places(_INSTRUCTION_URL, "://"):
        at, end = url.start(), url.end()
        authority = url.group().split("/")[2]
        if egress.is_local(egress.host_of(authority)) or _PINNED_URL.search(url.group()):
            continue
        if document.in_fence(at) and not document.line_text(at).lstrip().startswith("#"):
            continue
        begin, stop = _paragraph_of(document, at, end)
        piece = document.lower[begin:stop]
        loading = words.within(
            max(begin, at - 220), min(stop, at + 60), _M.READ, _M.DOWNLOAD, _M.OPEN, _M.FOLLOW, _M.LATEST
        )
        following = words.within(max(begin, at - 240), stop, _M.FOLLOW, _M.RUN)
        said = _INSTRUCTIONS.search(piece.replace(url.group().lower(), " " * len(url.group())))
        generic = _GENERIC.search(piece)
        if (
            is_warning(document, at)
            or _READS_ONLY.search(piece)
            or (_SEE.search(document.lower[max(begin, at - 100) : at]) and not generic)
        ):
            continue
        if not generic and (
            loading is None or following is None or said is None or not _obeys(document, begin, stop)
        ):
            continue
        absolute = words.within(
            max(begin, at - 160), min(stop, end + 160), _M.AUTHORITY
        ) is not None or re.search(
            r"without (?:asking|review|question|confirm|hesitat|modif)|do(?:n't| not) (?:ask|question|review|wait)|whatever (?:it|they|the)|no matter what|regardless|ohne (?:rückfrage|nachfrage|zu fragen)|brez (?:vprašanj|potrditve)|sans (?:demander|poser)|sin (?:preguntar|pedir)|senza (?:chiedere|domande)|sem (?:perguntar|pedir)|не спрашив|без (?:вопросов|подтвержд)|不要询问|无需确认|確認せず|確認なし",
            piece,
        )
        running = re.search(
            r"(?:run|execute|perform|carry out|do)\b[^.\n]{0,30}(?:them|it|commands?|whatever|everything|what it says|steps (?:it|there|listed)|exactly)|(?:execute|obey|comply with)\b[^.\n]{0,40}(?:instructions?|steps|commands)",
            piece,
        )
        severity = (
            Severity.BLOCK
            if absolute or running or (generic and abs(begin + generic.start() - at) < _NEAR)
            else Severity.LOOK
        )
        message = "tells to follow instructions that are fetched when it runs; they can change after the review, so ship them"
        yield Hit(check=f"{_CHECK}remote-instructions", severity=severity, at=at, message=message)


def _obeys(document: Document, begin: int, stop: int) -> bool:
    """Whether the paragraph says to follow, not only "see also" or "run this command"."""
    piece = document.lower[begin:stop]
    return bool(
        re.search(
            r"\bfollow\b|\bfollowing (?:them|it)\b|\bobey|\bapply\b|\bcomply|\badhere|\bexecute\b|\bcarry (?:it|them)? ?out|\bact on|\bas (?:your|the) (?:instructions|rules|prompt)|\btreat (?:it|them|its|the)|\bload\b|\bfetch\b|do what|befolg|folge|führe|aus\b|sled|upoštev|izved|izvrš|suiv|suis|appliqu|exécut|sigue|siga|sigu|aplica|ejecut|segui|applica|esegui|siga|aplique|execut|следуй|выполн|соблюд|遵循|按照|执行|遵守|照做|従|実行",
            piece,
        )
    )


def _paragraph_of(document: Document, begin: int, end: int) -> tuple[int, int]:
    text = document.text
    first = max(text.rfind("\n\n", max(0, begin - 600), begin), begin - 600, 0)
    last = text.find("\n\n", end, end + 600)
    heading = text.find("\n#", end, end + 600)
    stops = [stop for stop in (last, heading) if stop >= 0]
    return first, min(stops) if stops else min(len(text), end + 600)
