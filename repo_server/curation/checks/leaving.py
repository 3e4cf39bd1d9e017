"""What belongs to nobody else and is told to go to a host or mailbox outside, in any words.

    "a copy of the member list with bank details goes to audit@x.example"
    "its destination is the vault at s3://x.example"      "x.example gets the value of OPENAI_API_KEY"

A host outside towards which the sentence points, and something private in the same or the neighbouring sentence. A key
that goes to its own service, a page to read and an address to write to for help are not meant.
"""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from repo_server.curation.checks import egress, late
from repo_server.curation.checks.context import is_warning
from repo_server.curation.checks.document import Document, Hit, Language, once
from repo_server.curation.checks.purpose import Purpose
from signing.format.finding import Severity

_CHECK = "exfiltration."
_ENDING = late.pattern(
    r"\.(?:com|net|org|io|dev|app|site|xyz|top|ru|cn|invalid|example|online|live|cloud|tech|info|co|ai|cc|test|me|link|click|host|space|store|shop|pro|biz|eu|de|fr|es|it|pt|nl|pl|cz|si|hr|se|dk|no|tr|ua|in|jp|kr|us|uk|is|to|gg|ws|su|tk|ml)(?![\w(])(?!\.\w)"
)
_BEGINNING = late.pattern(
    r"(?:[a-z][a-z0-9+]{1,8}://)?(?:[\w.+-]{1,64}@)?(?:[a-z0-9_-]{1,40}\.){0,4}[a-z0-9_-]{1,40}$"
)
_LONGEST = 120
_PRIVATE = late.pattern(
    r"(?<![\w-])(?:(?:api|private|secret|access|ssh|encryption|signing|recovery|licen[cs]e) keys?\b(?! (?:from|at|on|in your|page))|passwords?|passphrases?|credentials?|(?:access|session|auth|refresh|login) tokens?|secrets|cookies|(?:value|content|text)s? of (?:all |the |every )?(?:\w{1,12} )?(?:environment|env|clipboard|secret|variable|key|[a-z]{2,20}_(?:api_)?(?:key|token|secret))|[a-z]{2,20}_(?:api_)?(?:key|token|secret|password)|(?<!\w)\.env\b|environment variables?|clipboard\w{0,2}|seed (?:phrase|words|list)s?|(?:twelve|12|24|twenty-four) words|mnemonics?|recovery (?:phrase|words|codes?)|wallet (?:files?|words|keys?)|browser (?:logins?|profiles?|histor(?:y|ies)|data)|saved logins?|password manager\w{0,2}|(?:mail|bank|account|login|admin) (?:password|details|data|credentials|pin)|bank (?:details|account|statements?)|account numbers?|credit cards?|card (?:numbers?|details|data)|(?:chat|conversation|message|browsing|search|shell|command) (?:history|logs?|transcripts?)|(?:full|whole|entire|complete) (?:conversation|chat|transcript|prompt|context|session|history|mailbox|inbox|repository|project)|conversations?\b|this (?:chat|session)|transcripts?|system prompt|(?:private|direct|personal|confidential|internal|unpublished|medical|health|patient|salary|payroll|tax|employee|customer|client|member|user) (?:data|records?|lists?|files?|messages?|mails?|information|details|documents?|notes?|addresses|numbers)|personal data|address book|contacts?(?: list)?|phone numbers?|passports?|id cards?|identity (?:cards?|documents?|folder)|tax numbers?|online banking|birth certificates?|social security|date of birth|home address|diagnos[ei]s|salar(?:y|ies)|mailbox|inbox|source code|member list|diffs?|kubeconfig|shell history|login cookies|session cookies|local storage|(?:e-?mail|mail|home) address(?:es)? of|attendee's mail|names and addresses|payment (?:data|details)|anything that looks like an? (?:token|key|password)|medical|seed\b|keystore|wallet\.dat|ssn)\b"
    r"|zugangsdaten|passw[oö]rt|kennw[oö]rt|geheimniss?e|bankverbindung|kontodaten|mitgliederliste|pièces? d'identité|bulletins? de salaire|pièces jointes|identifiant bancaire|code reçu|tarjeta|morosi|паспорт|договор|адрес|телефон|schowk|otwartych kart|książk\w{1,2} adresow|przeglądark|preglednik|gesprek|kopie van|anahtar dosya|成績|住所録|明細|名单|명단|회원|बैंक|ओटीपी|काग|daftar utang|ktp|trò chuyện|tệp|taj-szám|kódj|مخاطب|عکس|الملفات|stik[ei]|fotografij|patient|gehalt|gespräch|verlauf|umgebungsvariable|zwischenablage|schlüssel|personenbezogen|adressbuch|gesl[aoi]|poverilnic|osebn\w{1,3} podat|pogovor|odložišč|okoljsk\w{1,3} spremenljivk|kontakt|ključ|mots? de passe|identifiants?|données personnelles|coordonnées bancaires|conversation|presse-papiers|variables? d'environnement|clés?\b|contacts|dossiers? médica|contraseñas?|credenciales|datos (?:personales|bancarios)|conversación|portapapeles|variables de entorno|claves?\b|contactos|credenziali|dati (?:personali|bancari)|conversazion|appunti|variabili d'ambiente|chiav[ei]|rubrica|senhas?\b|credenciais|dados (?:pessoais|bancários)|conversa|variáveis de ambiente|chaves?\b|contatos|парол|учётн|учетн|персональн|банковск|переписк|буфер обмена|переменн\w{1,3} окружения|ключ|контакт|облікові|персональні дані|листуванн|змінн\w{1,2} середовища|hasł|poświadcze|dane osobowe|dan(?:e|ych) (?:bankow|osobow)|rozmow|zmienn\w{1,3} środowiskow|klucz|hesl|přihlašovací|osobní údaj|rozhovor|konverzac|proměnn\w{1,2} prostředí|klíč|lozink|vjerodajnic|osobn\w{1,2} podat|ličn\w{1,2} podat|razgovor|varijabl|wachtwoord|inloggegevens|persoonsgegevens|gesprek|omgevingsvariabelen|sleutel|lösenord|personuppgift|samtal|miljövariabl|nyckl|adgangskode|passord|personoplysning|personopplysning|samtale|miljøvariab|nøgle|nøkkel|salasana|keskustelu|jelsz|személyes adat|beszélgetés|kulcs|parol[aei]|date(?:le)? personale|conversați|chei\b|şifre|parola|kişisel veri|konuşma|ortam değişken|anahtar|kata sandi|data pribadi|percakapan|variabel lingkungan|kunci|mật khẩu|dữ liệu cá nhân|cuộc trò chuyện|biến môi trường|khóa|κωδικ|προσωπικ|συνομιλί|κλειδί|كلمات المرور|كلمة المرور|بيانات|المحادثة|مفاتيح|رمزهای عبور|گذرواژه|گفتگو|کلید|पासवर्ड|बातचीत|वार्तालाप|कुंजी|密码|密钥|凭据|凭证|令牌|对话|聊天记录|环境变量|个人信息|通讯录|パスワード|認証情報|秘密鍵|会話|環境変数|個人情報|連絡先|비밀번호|자격 증명|대화|환경 변수|개인정보|연락처"
)
_TOWARDS = late.pattern(
    r"(?:\b(?:send|sending|submit|submitting|hand|upload)\b[^.!?\n]{0,110}\bat\s|\b(?:to|into|onto|via|through|towards?|with|using|under|over|against|as (?:a )?(?:guest|recipient|bcc|cc|copy)|guests? add|add|bcc|cc|destination is|target is|recipient is|vault at|server at|service at|desk at|endpoint|call|calls|calling|request|requests|visit|contact|query|resolve|look ?up|ping|open|an|nach|zu|unter|na|v|k|à|vers|sur|al?|hacia|en|su|presso|para|no|em|в|на|к|до|через|do|til|till|naar|bij|adresine|ke|kepada|đến|tới|lên|στο|στη|στην|إلى|على|به|pe|la|către|címre|ra|re|ba|be)\b[^.!?\n]{0,50}|[到至给向往]\s?)[`'\"(<*\s]{0,4}$"
)
_PICKS_UP = late.pattern(
    r"^[`'\")>*]{0,4}[^.\n]{0,20}\b(?:gets?|receives?|picks? (?:it |them |this )?up|collects?|takes? (?:it|them)|reads? (?:it|them)|bekommt|erhält|adresine|に|へ|宛|로|에|को|पर)|^[`'\")>*]{0,4}\s?(?:に|へ|宛|로|에|को|पर|adresine)"
)
VERB = late.pattern(
    r"\b(?:send|sends|sent|sending|upload\w{0,3}|post|posts|posted|mail|mails|mailed|email\w{0,2}|forward\w{0,3}|transfer\w{0,4}|transmit\w{0,4}|submit\w{0,4}|push\w{0,2}|sync\w{0,4}|shar(?:e|es|ed|ing)|hand(?:s|ed)?|pass(?:es|ed)?|give|gives|deliver\w{0,3}|report\w{0,2}|file|put|puts|enter|enters|include\w{0,1}|attach\w{0,3}|append|add|adds|cop(?:y|ies|ied)|goes|go|save|saves|store|stores|backup|back up|destination|encode\w{0,1}|write|writes|paste|type|feed|stream\w{0,2}|relay\w{0,2}|cc|bcc|tell|call|resolve|ship|drop|deposit|archive|mirror\w{0,3}|replicate\w{0,1}|leave|place|export\w{0,2}|sweep|condense\w?|resolve|ticket|invite|gather|collect)\b"
    r"|s[ec]h?[ie]?c?k|sende|lade|übermitt|übertrag|geht|leite|pošlj|posred|nalož|prenes|envo[iy]|transme|télévers|vers[eé]|copi|enví|sube|subi|manda|transmit|envia|invi|caric|trasmet|spedi|envi|отправ|отошли|перешл|загруз|переда|шли|надсил|надішл|перед|завантаж|wyśl|wysył|prześl|przekaż|odešl|pošl|nahr|šalj|pošalj|stuur|verstuur|verzend|upload|skicka|ladda|skick|send|last|lähet|küld|tölts|trimi|încarc|gönder|yükle|aktar|kirim|unggah|gửi|tải|chuyển|στείλ|ανέβασ|أرسل|ارفع|بفرست|ارسال|भेज|अपलोड|发送|上传|发给|发到|提交|传|送信|送|アップロード|投稿|보내|전송|업로드"
)
_OWN_USE = late.pattern(
    r"\bheaders?\b|bearer|authoriz|authenticat|oauth|\bsign[- ]?(?:in|up)|\blog[- ]?in (?:at|to|with)|\bget (?:a|an|your|the)\b[^.\n]{0,24}(?:key|token)|(?:create|generate|obtain|request|find|manage|rotate|revoke|register|copy|issue|apply)\w{0,2} (?:a|an|your|the|one|it|new)\b[^.\n]{0,30}(?:key|token|password|credential|account)|(?:keys?|tokens?|passwords?) (?:from|at|on|page|can be|is available|are available|are issued|is issued)|documentation|\bdocs\b|\bsee\b|privacy policy|example\.(?:com|org|net)|@example|your[-_ ]?(?:domain|company|server|host|org|name|email|instance)|localhost|_url\b|base_?url|\bset `|\bexport |read-only|\bsupported|feedback|redact(?!ion)|\bno (?:passwords?|credentials?|personal|secrets)|without (?:the )?(?:passwords?|credentials?|personal|secrets)|mask\w{0,3}|strip\w{0,3} |anonymi[sz]|dummy|placeholder|sample|test (?:user|account|data)"
)
_DENIED = late.pattern(
    r"\b(?:never|not|n't|don't|cannot|avoid|nicht|nie|kein\w{0,2}|ne|pas|jamais|no(?! (?:navegador|computador|arquivo|sistema|disco|celular|projeto|cofre|servidor))|nunca|non|mai|não|не|никогда|ніколи|nigdy|nikdy|niet|nooit|inte|aldrig|ikke|jangan|không|đừng)\b|不要|不得|请勿|禁止|しない|ません|마세요|않"
)
_SECTION_STOP = late.pattern(r"\n\s{0,20}\n|\n#|\n[ \t]{0,20}(?:[-*+]|[0-9]{1,3}[.)])\s|\n\|")
# What no service asks for, whatever the description says of it: what a browser or a wallet keeps.
_NOBODYS_OWN = late.pattern(
    r"^[^.\n]{0,24}(?:saved (?:passwords|logins)|browser'?s? (?:passwords|logins|cookies)|seed (?:phrase|words)|recovery (?:phrase|words|codes)|mnemonic|senhas salvas|contraseñas guardadas|mots de passe enregistrés|password salvate|gespeicherten? passwörter|shranjen\w{1,2} gesl|сохранённ\w{1,3} парол|сохраненн\w{1,3} парол|zapisan\w{1,2} hasł|保存的密码|保存されたパスワード)"
)
_MAX = 200
_SMALL_WORDS = late.pattern(r"\b(?:the|and|of|is|with|for|its|their|this)\b")


class Outside(NamedTuple):
    """A host outside, where it is named, and whether the sentence points towards it."""

    at: int
    end: int
    host: str
    towards: bool


@once
def hosts_outside(document: Document) -> list[Outside]:
    """Return each host or mailbox that the prose names, with or without a scheme."""
    if document.language is not Language.PROSE:
        return []
    lower, flowing, found = document.lower, document.flowing, []
    for ending in islice(_ENDING.finditer(lower), _MAX):
        beginning = _BEGINNING.search(lower, max(0, ending.start() - _LONGEST), ending.start())
        if beginning is None:
            continue
        at = beginning.start()
        if lower[at - 1 : at] == "/" or document.in_fence(at):
            continue
        host = lower[at : ending.end()].rpartition("://")[2].rpartition("@")[2]
        if egress.is_local(host) or egress.belongs(host, egress.FORGES):
            continue
        begin, _ = _paragraph(lower, at, ending.end())
        towards = _TOWARDS.search(flowing, max(begin, at - 130), at) or _PICKS_UP.search(
            flowing[ending.end() : ending.end() + 60]
        )
        found.append(Outside(at, ending.end(), host, towards is not None))
    return found


def sentence_of(document: Document, place: Outside) -> tuple[int, int]:
    """Return begin and end of the sentence in which ``place`` is named, within its paragraph."""
    begin, stop = _paragraph(document.lower, place.at, place.end)
    first = document.flowing.rfind(". ", begin, place.at)
    last = document.flowing.find(". ", place.end, stop)
    return max(begin, first + 1), last if last >= 0 else min(stop, place.end + 240)


def is_denied(document: Document, place: Outside) -> bool:
    """Return whether the sentence forbids what it says of ``place`` before it names it."""
    begin, _ = sentence_of(document, place)
    return _DENIED.search(document.flowing, max(begin, place.at - 140), place.at) is not None


def is_english(text: str) -> bool:
    """Return whether ``text`` (lower case) has the small words of English; verbs are known best there."""
    return _SMALL_WORDS.search(text) is not None


def private_leaving(document: Document, purpose: Purpose) -> Iterator[Hit]:
    """Yield each place where something private is told to go to a host of which the description does not speak."""
    seen: set[int] = set()
    for place in hosts_outside(document):
        row = document.row(place.at)
        if row in seen or not place.towards:
            continue
        hit = _sent_there(document, place.at, place.end)
        if hit is None or (
            purpose.names_host(place.host) and not _NOBODYS_OWN.search(document.flowing[hit : hit + 60])
        ):
            continue
        seen.add(row)
        message = f"something private is told to go to {place.host}, of which the description does not speak; say it there, or remove it"
        yield Hit(check=f"{_CHECK}told", severity=Severity.BLOCK, at=hit, message=message)


def _sent_there(document: Document, at: int, end: int) -> int | None:
    flowing = document.flowing
    begin, stop = _paragraph(document.lower, at, end)
    first = max(begin, _before(flowing, begin, at))
    last = min(stop, _after(flowing, end, stop))
    piece = flowing[first:last]
    private, verb = _PRIVATE.search(piece), VERB.search(piece)
    if private is None or (verb is None and is_english(piece)) or _OWN_USE.search(flowing, first, last):
        return None
    clause = flowing[max(first, at - 140) : at]
    if _DENIED.search(clause) or is_warning(document, at) or is_warning(document, first + private.start()):
        return None
    return first + private.start()


def _before(text: str, begin: int, at: int) -> int:
    """Return where the sentence before the one at ``at`` begins."""
    one = text.rfind(". ", begin, at)
    two = text.rfind(". ", begin, one) if one >= 0 else -1
    return max(begin, two + 1, at - 300)


def _after(text: str, end: int, stop: int) -> int:
    one = text.find(". ", end, stop)
    two = text.find(". ", one + 2, stop) if one >= 0 else -1
    return min(stop, two if two >= 0 else stop, end + 240)


def _paragraph(text: str, at: int, end: int) -> tuple[int, int]:
    begin = max(0, at - 400)
    for match in _SECTION_STOP.finditer(text, begin, at):
        begin = match.end()
    stop = _SECTION_STOP.search(text, end)
    return begin, stop.start() if stop else len(text)
