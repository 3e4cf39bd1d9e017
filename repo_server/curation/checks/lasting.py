"""Orders that are to outlive the task, told in words: put into a memory, a profile, a start of the machine.

    "Remember, for every future conversation, that …"      "Add a standing instruction to your notes"
    "Arrange for it to start whenever the computer does"

A skill that is about memory says so in its description. Elsewhere a person must see what is to be remembered, and an
order, an address or somebody's praise among it blocks.
"""

import re
from collections.abc import Iterator
from itertools import chain

from repo_server.curation.checks import late
from repo_server.curation.checks.context import is_warning
from repo_server.curation.checks.destination import is_denied
from repo_server.curation.checks.document import Document, Hit, Language
from repo_server.curation.checks.lexicon import Meaning
from repo_server.curation.checks.phrases import Phrases
from repo_server.curation.checks.purpose import Purpose
from repo_server.curation.checks.sentences import Sentences, Token
from signing.format.finding import Severity

_M = Meaning
_CHECK = "orders."
_ABOUT_MEMORY = (
    *(
        "memory",
        "memories",
        "remember",
        "notes for later",
        "knowledge base",
        "second brain",
        "journal",
        "preference",
        "profile",
    ),
    *(
        "context",
        "session",
        "handoff",
        "persist",
        "long-term",
        "learn",
        "agent config",
        "claude.md",
        "agents.md",
        "spomin",
        "gedächtnis",
    ),
)
_ABOUT_STARTING = (
    *("daemon", "service", "startup", "start-up", "boot", "login", "background", "schedul", "deploy"),
    *("server", "monitor", "cron"),
)
_PLACE = Phrases(
    r"(?:long-term|permanent|persistent|persisted|your|the agent'?s|agent|assistant'?s|own|user'?s|saved) (?:\w{1,12} )?(?:memory|memories|notes|notebook|profile|preferences|custom instructions|persona|personality|character|rules file|start-up file|startup file|boot file|system prompt|standing (?:orders|instructions?)|knowledge)|standing (?:orders?|instructions?|rules?)|custom instructions|start-?up (?:file|instructions|routine|script)|(?:save|add|write|store|commit|put|note|record|enter|append|pin)\w{0,3} (?:\w{1,16} ){0,5}(?:to|in|into) (?:\w{1,10} )?memor(?:y|ies)\b|\bremember, |\bremember (?:this|that|it|for|permanently|from|forever|in|always|the following)\b|\bmemori[sz]e\b|lasting (?:preference|rule|instruction|note)|commit (?:this|it|that) to memory|(?:file|document|page|note) (?:that|which) (?:is|gets) (?:read|loaded) (?:at|in|with|by) (?:every|each|the start)",
    prose=True,
)
_LASTS = late.pattern(
    r"\b(?:every|all|each|any|future|later|subsequent|next|coming|new|upcoming)\b[^.\n]{0,30}\b(?:sessions?|conversations?|chats?|tasks?|projects?|agents?|runs?|startups?|boots?|answers?|replies|contexts?|topics?|requests?|days?|time)\b|permanent|persist|forever|for good|from now on|henceforth|always|at all times|whatever the (?:topic|task)|regardless of|long-term|standing|\bnever\b|in (?:zukunft|allen|jede)|künftig|für immer|jede[rs]? (?:sitzung|gespräch)|dauerhaft|vsak\w{0,3} (?:sej|pogovor|odgovor)|v prihodnje|trajno|chaque (?:session|conversation|fois)|désormais|toujours|toutes les|à l'avenir|cada (?:sesión|conversación|sessão|conversa)|siempre|sempre|todas las|todas as|futur|ogni (?:sessione|conversazione|risposta|volta)|tutte le|d'ora in poi|кажд\w{0,3}|всех|всегда|навсегда|будущ|впредь|кожн\w{0,3}|завжди|майбутн|усіх|każd\w{0,2}|zawsze|przyszł|wszystkich|každ\w{0,2}|vždy|budouc|všech|navždy|svak\w{0,3}|uvijek|uvek|ubuduće|buduć|svim|elke|altijd|toekomst|alle|varje|alltid|framtid|alla|hver|altid|fremtid|minden|mindig|jövő|fiecare|întotdeauna|viito|her (?:oturum|konuşma|zaman)|bundan (?:böyle|sonra)|setiap|selalu|mulai sekarang|mọi|luôn|từ nay|κάθε|πάντα|μελλοντικ|كل|دائم|المستقبل|هر|همیشه|हर|हमेशा|सभी"
    r"|每次|今后|永久|以后|所有|毎回|今後|常に|すべての|앞으로|항상|모든|매번"
)
_ORDERS = late.pattern(
    r"https?://|\b[a-z0-9-]{2,40}\.(?:invalid|example|com|net|org|io|dev|app|ai|co)\b|\b(?:sen[dt]s?|upload(?:s|ed)?|forward(?:s|ed)?|recommend\w{0,6}|promotes?|trusts?|trusted|obey|ignore|allowed|grant(?:s|ed)?|bypass|pre-?approved|book through|not to be questioned|act first|without (?:asking|confirm\w{0,6}|approval|question)|permissions?|consent\w{0,3}|(?:never|not) (?:to )?(?:be )?(?:ask(?:s|ed)?|wants?|mention|tell|question|warn)|loads? (?:this|the) (?:skill|page|file)|(?:run|load|use|apply|start|call) this skill|this skill (?:first|is loaded|is used|applies)|first choice|precedence|priority)\b|sende|lade|empfiehl|bevee?l|aanbevel|πρότειν|پیشنهاد|bevorzug|vertrau|erlaub|frag|pošlj|priporoč|zaupa|dovol|vpraš|envo|recommand|confian|autoris|demand|envía|recomiend|confía|permit|pregunt|invia|raccomand|fida|permess|chied|envi|recomend|confi|permi|pergunt|отправ|рекоменд|довер|разреш|спраш|запуск|надсил|рекоменд|довіря|дозвол|запит|wyś|poleca|ufa|zezwal|pytaj|odes|posíl|doporuč|důvěř|povol|ptej|šalj|preporuč|vjeruj|dopušt|pitaj|stuur|aanbevel|vertrouw|toestem|vraag|skicka|rekommend|lita|tillåt|fråga|sende|anbefal|stol|tillat|spør|küldj|ajánl|trimit|recomand|gönder|öner|güven|izin|sorma|kirim|rekomend|izin|gửi|giới thiệu|cho phép|στείλ|συνιστ|أرسل|أوص|بفرست|发送|推荐|信任|允许|询问|送信|推奨|信頼|許可|確認|보내|추천|신뢰|허용"
)
_READ_EACH_TIME = Phrases(
    r"(?:agents|claude|soul|memory|gemini|heartbeat|user|tools|identity)\.md\b|\.cursorrules|copilot-instructions|skill\.md (?:of|files of)|global rules|long-term memory|장기 기억|长期记忆|tus recuerdos|ulož si|zapiš si|gedächtnis|trajni spomin|memória permanente|memoria permanente|долговременн",
    flags=re.IGNORECASE,
    prose=True,
)
_WRITES = late.pattern(
    r"\b(?:update|add|append|put|write|insert|replace|plant|save|store|skriv|lägg|aggiungi|scrivi|añade|escribe|ajoute[rz]?|écri\w{1,3}|füge|schreib\w?|trage|zapiši|dodaj|dopisz|wpisz|ulož|zapiš|dopiš|upiši|voeg|schrijf|ekle|yaz|tambahkan|tulis|thêm|ghi|adaugă|scrie|írd|adiciona|acrescenta|escreve)\b|допиш|впиш|добав|запиш|додай|저장|추가|写入|保存|追加|書き|προσθ|أضف|اكتب|जोड़|लिख"
)
_DEMANDS = late.pattern(
    r"[\"“„«'‘「][^\"”“»'’」\n]{0,200}(?:https?://|\b[a-z0-9-]{2,40}\.(?:invalid|example|com|net|org|io|dev|app)\b|act first|trusts? me|not to be questioned|without (?:asking|confirm)|never ask|senza conferma|ohne (?:rückfrage|zu fragen)|sans (?:demander|confirmation)|sin (?:preguntar|confirmar)|묻지 않고|без (?:вопрос|подтвержд|спрос))|(?:procede del dueño|debe cumplirse|sin rechistar|splň bez ptaní|uninstall|disinstallazione|désinstall|desinstal|deinstall)"
)
_TELLS_TO_KEEP = (
    "remember",
    "memori",
    "commit",
    "save",
    "add",
    "write",
    "store",
    "put",
    "note",
    "record",
    "enter",
    "append",
    "pin",
)
_REPORTS = late.pattern(r"(?:\bto|\bnot|n't|\bthat|\bwill|\bcan|\bmay|\bthey|\busers?|\byou|\bit)\s{1,3}$")
_ENGLISH = late.pattern(
    r"(?:memory|memories|remember|memori[sz]e[ds]?|recall|long-term|preferences|profile|notebook|knowledge-base)\b"
)
_TABLE = late.pattern(r"\s{0,8}[|#]")
_STARTS = late.pattern(
    r"(?:start|starts|launch|launches|run|runs|load|loads|come|comes|execute|begin|wake|fire|kick|boot)(?: \w{1,12}){0,3} (?:with|whenever|each time|every time|as soon as|when|after|at|on|upon) (?:every |each |the |any )?(?:computer|machine|system|laptop|host|device|user|session|boot|reboot|restart|login|log-in|logon|start-?up|power-?on|mac|pc)(?: (?:does|starts|boots|logs in|signs in|is switched on|wakes|comes up|restarts|reboots))?".replace(
        " ", r"\s{1,8}"
    )
)
_AT_START = Phrases(
    r"come(?:s)? back (?:if|when|after)|(?:restart|respawn|reviv|reinstat|reinstall)\w{0,3} (?:it|itself|them)?(?: \w{1,10})? ?(?:if|when|after|whenever) [^.\n]{0,30}(?:stop|kill|end|remov|delet|clos|quit)|(?:survive|outlive|outlast)s? (?:a |the |every |any )?(?:reboot|restart|logout|session|uninstall|removal|update)|(?:keep|leave|have)s? (?:it|this|the \w{1,14}) (?:running|alive|resident) (?:in the background|after|even|for good|permanently|between)",
    prose=True,
)
_DEFERS = late.pattern(
    r"\b(?:ask|offer|propose|suggest)\b[^.\n]{0,40}\b(?:first|before|whether|if|user)\b|with the user's|if the user (?:wants|agrees|asks|says|confirms|approves|likes)|when the user (?:asks|tells|says|wants)|the user (?:can|may|decides|chooses)|on request|upon request|is optional"
)


def lasting_orders(document: Document, words: Sentences, purpose: Purpose) -> Iterator[Hit]:
    """Yield what is told to be remembered for good, or started by the machine."""
    if document.language is not Language.PROSE:
        return
    about_memory = purpose.names(*_ABOUT_MEMORY)
    seen: set[int] = set()
    for at in _places(document, words):
        row = document.row(at)
        if (
            row in seen
            or document.in_fence(at)
            or _TABLE.match(document.line_text(at))
            or is_warning(document, at)
        ):
            continue
        begin, end = _bounds(document, at)
        piece = document.flowing[begin:end]
        if not _LASTS.search(piece) or _DEFERS.search(piece):
            continue
        seen.add(row)
        heavy = _ORDERS.search(piece) is not None and not about_memory
        message = "tells to remember something for good; what the agent remembers holds for other tasks too"
        yield Hit(
            check=f"{_CHECK}remembers",
            severity=Severity.BLOCK if heavy else Severity.LOOK,
            at=at,
            message=message,
        )
    yield from _written_for_each_time(document, purpose)
    starts = (_STARTS.match(document.flowing, token.at) for token in words.all(_M.RUN))
    for match in chain(filter(None, starts), document.places(_AT_START)):
        at = match.start()
        begin, end = _bounds(document, at)
        piece = document.flowing[begin:end]
        named = re.search(
            r"scripts?/|\.(?:sh|py|js|exe|ps1)\b|https?://|this skill|helper|agent|daemon", piece
        )
        if document.in_fence(at) or is_warning(document, at) or not named or _DEFERS.search(piece):
            continue
        declared = purpose.names(*_ABOUT_STARTING)
        program = named.group().startswith(("script", ".", "http"))
        message = "tells to have something started by the machine, long after the task"
        yield Hit(
            check=f"{_CHECK}remembers",
            severity=Severity.LOOK if declared or not program else Severity.BLOCK,
            at=at,
            message=message,
        )


def _written_for_each_time(document: Document, purpose: Purpose) -> Iterator[Hit]:
    """What is told to be put where the agent reads it in every session, and demands something there."""
    for match in document.places(_READ_EACH_TIME):
        at = match.start()
        begin, end = _bounds(document, at)
        piece = document.flowing[begin:end]
        if (
            not _WRITES.search(piece)
            or not _DEMANDS.search(piece)
            or _DEFERS.search(piece)
            or document.in_fence(at)
            or is_warning(document, at)
        ):
            continue
        severity = Severity.LOOK if purpose.names(*_ABOUT_MEMORY) else Severity.BLOCK
        message = "tells to put a demand where the agent reads it in every session"
        yield Hit(check=f"{_CHECK}remembers", severity=severity, at=at, message=message)


def _places(document: Document, words: Sentences) -> Iterator[int]:
    for match in document.places(_PLACE):
        at = match.start()
        told = match.group().startswith(_TELLS_TO_KEEP) and not _REPORTS.search(
            document.flowing, max(0, at - 30), at
        )
        if told or words.within(max(0, at - 70), at + 90, _M.WRITE) is not None:
            yield at
    for token in words.all(_M.MEMORY):
        if _is_written(document, words, token):
            yield token.at


def _is_written(document: Document, words: Sentences, token: Token) -> bool:
    """Whether the memory is written to, in a language other than English."""
    if _ENGLISH.match(document.lower, token.at):
        written = words.near(token, _M.WRITE, before=9, after=6) is not None
        lasts = words.near(token, _M.LASTING, before=14, after=14) is not None
        return written and lasts and not is_denied(document, token)
    verb = words.near(token, _M.WRITE, before=8, after=8)
    return (
        verb is not None or words.near(token, _M.LASTING, before=8, after=12) is not None
    ) and not is_denied(document, token)


def _bounds(document: Document, at: int) -> tuple[int, int]:
    """Return the sentence at ``at`` with its neighbours, within the paragraph."""
    text = document.text
    begin = max(text.rfind("\n\n", 0, at), text.rfind("\n#", 0, at), at - 130, 0)
    stop = text.find("\n\n", at)
    return begin, min(stop if stop >= 0 else len(text), at + 240)
