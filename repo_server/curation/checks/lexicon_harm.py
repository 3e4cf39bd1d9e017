"""Words for harm that an instruction does with ordinary verbs: falsifying, redirecting, weakening, carrying out, luring.

Each harm is a class of sentence: a *sign*, which is rare, and the facts that must stand in the same sentence. "Round"
stands in every guide; "round down and add the difference to the account of …" in none that is honest. The words are
here, the judgement is in `harms`.
"""

import re

from repo_server.curation.checks import late
from repo_server.curation.checks.phrases import Phrases


def _any(source: str) -> re.Pattern[str]:
    return late.pattern(source, re.IGNORECASE)


# What others rely on: figures, findings, votes, papers.
RECORDS = _any(
    r"\b(?:statements?|checks?|suites?|quantit(?:y|ies)|invoices?|series|hotels?|changes|revenues?|figures|numbers|amounts?|totals?|sums?|expenses?|refunds?|readings?|measurements?|values?|rows?|scores?|ratings?|stars?|reviews?|votes?|ballots?|answers?|timestamps?|logs?|entries|minutes|clauses?|signatures?|checklists?|results?|findings?|citations?|sources?|quot(?:es?|ations?)|tests?|suite|samples?|benchmarks?|hours|dates?|digests?|invoices?|ledger|statements?|reports?|study|witness|inspections?|attendance|mileage|emissions?|medication|backups|balances?|losses|gains|grades?|wages|authors|axis|verdict|approvals?|temperatures?|single items|items|phone numbers)\b"
    r"|beträge?\b|zahlen|messwert|protokoll|ergebnis|rechnung|noten\b|chiffres|montants?|résultats?|état des lieux|cifras|importes|resultados|calificaciones|voti\b|valori|importi|risultati|valores|числ|сумм|оцен|результат|показани|оцін|výnos|hodnot|výsledk|kwot|wynik|cijfers|bedrag|angka|nilai|kilometraj|数值|数据|结果|金额|分数|数字|数値|金額|수치|결과"
)
MADE_TO_FIT = Phrases(
    r"(?:change|alter|adjust|edit|modify|fudge|move|shift|correct|tweak|rewrite|bend|massage)(?:s|d|ed)?\b[^.\n]{0,80}\b(?:until|so that|such that) [^.\n]{0,40}\b(?:match|agree|favou?r|disappear|vanish|equal|wins?|appears? first|is used up|can't be reused|looks? (?:better|higher|lower|clean|smaller)|stays? (?:below|under|above))|(?:must|should|has to|have to) equal (?:the )?(?:budget|forecast|target|plan)\b"
    r"|(?:invent|fabricate|make up|forge)s? (?:a |an |the |some |missing )?(?:citation|quote|source|figure|number|result|reference|error code|review|statistic|signature|measurement|testimonial)s?\b[^.\n]{0,40}\b(?:if|where|when|whenever|so that|and say|reviewers)\b|(?:change|turn|replace|fill)s? (?:a few |some |in |the |any )?(?:of them |missing |absent |failed |negative |bad )[^.\n]{0,40}\b(?:to neutral|plausible|by the best|neutral ones|made-up)|backdate (?:the |a |all |each )?(?:signature|document|invoice|contract|entry|entries|form|report)s?\b"
    r"|(?:move|shift) the decimal (?:point|comma)|(?:subtract|divide|halve|double|multiply|shift|raise|lower|increase|reduce|inflate|round|bump|lift)s?\b[^.;\n]{0,80}\bbefore (?:you |it is |they are )?(?:storing|stor|count|chart|report|plot|total|print|show|enter)\w{0,4}\b|(?:shift|raise|lower|increase|reduce|inflate|round|bump|lift)s?\b[^.\n]{0,70}\b(?:up |down )?by [^.\n]{0,20}(?:%|per ?cent|percent|points?|steps?|stars?)[^.\n]{0,50}(?:wherever|don't mark|do not mark|without (?:marking|saying|noting))|(?:give|grant)s? [^.\n]{0,60}\bmore than they (?:have|got|deserve)"
    r"|swap\w{0,3} (?:two|some) digits|(?:drop|leave out|omit|remove|skip|delete)s? (?:the |all )?(?:runs?|cases|rows|samples|years|results|tests|side effects|expenses|reviews|findings) [^.\n]{0,40}\b(?:we lose|loses?|lost|frighten|paid to|against (?:us|our)|look bad)|(?:every|each) (?:tenth|fifth|third|hundredth) (?:row|entry|record|line)[^.\n]{0,40}(?:silently|quietly|unnoticed)|where nobody looks|nobody compares|reviewers seldom|(?:write|enter|put|record|report)s? (?:the )?(?:nearest value inside|result of the previous|last (?:year|month)'s|yesterday's)|print (?:ok|success|passed) regardless|(?:let the|have the) (?:witness|patient|customer) say|claim a (?:sample size|margin)|used? last year's [^.\n]{0,30}replacing the (?:year|date)"
    r"|(?:generate|create|make|add|fill in|simulate|supply|complete)s? (?:the )?(?:missing|absent|lacking) (?:ones?|series|values|readings|rows|measurements|entries|samples)\b[^.\n]{0,60}\b(?:random|plausible|invented|dates?|deviat)|(?:entered|replaced|recorded|stored|kept|reported) (?:as|by|with) the mean\b[^.\n]{0,60}\bwithout (?:the |a |any )?(?:mark|flag|note|remark)|must (?:come out|end up|stay|be|fall|land) (?:within|inside|below|above|in) (?:tolerance|the limits?|limits?|range|spec)\w{0,8}[.;] ?(?:scale|adjust|shift|correct|change) (?:them|it)"
    r"|(?:downgraded?|reduced?|lowered?|demoted?) to (?:style|nits?|notes?|remarks?|minor|info)\b|(?:remove|drop|leave out|delete|omit|strike|cut)s? (?:the |all |any )?(?:statements?|objections?|remarks|comments|votes|passages|criticism|concerns) (?:against|by|of|from|about)\b[^.\n]{0,60}\bbefore (?:any(?:one|body)|they|the (?:others|board|customer|client))",
    prose=True,
)
FALSE_STATUS = Phrases(
    r"(?:mark|label|report|present|declare|certify|show|claim|state|describe|sign|record|set|say)s?\b[^.\n]{0,70}\b(?:as|that|to|the)\b[^.\n]{0,40}\b(?:passed|passing|green|verified|observed|measured|original|unmodified|approved|successful|safe|clean|tested|signed off|calibrated|genuine|healthy|reviewed|vaccinated|were deleted)\b"
    r"|(?:show|mark|list|count|report|record)s? (?:every|each|all) [^.\n]{0,30}\b(?:green|passed|matched|approved|healthy|verified|tested)\b|counts? as (?:matched|passed|paid|verified|approved|tested|delivered|checked)\b|(?:is|are|gets?) (?:approved|accepted|merged|waved through|signed off) (?:without being|unread|unseen)|(?:described|presented|listed|sold|shown|offered) as [^.\n]{2,40}, (?:although|even though|though) (?:they|it) (?:are|is|were|was) not",
    prose=True,
)
UNTRUE = _any(
    r"\b(?:failing|failed tests?|although|even though|regardless|whatever (?:it|they|the)|after you have (?:changed|edited|modified)|nobody (?:checked|carried|looked)|is skipped|as skipped|not (?:carried out|been run|verified|checked)|unverified|flaky|absent|plausible (?:ones|values)|over the limit|without (?:running|checking|looking|reading)|everyone on the list|and keep them|no matter what|whether or not|favours)\b"
    r"|\b(?:if|when|whenever|where|even (?:if|when|where|though)) [^.\n]{0,60}\b(?:fails?|failed|differs?|is missing|are missing|does not|did not|do not|crash\w{0,3}|were not|was not)\b|\b(?:that|which) (?:were|was|have|has) (?:not|never)\b|\b(?:they|it) (?:are|is|were|was) not\b|without being (?:read|tested|checked|run)\b"
)
# What is said to have happened, and did not; and what shows that it is not so.
FALSE_ACCOUNT = Phrases(
    r"(?:write|say|state|report|answer|reply|claim|record|log|note|enter|tell)s? [^.\n]{0,30}[\"'“”‘’]?(?:no action (?:was )?taken|nothing (?:was |has been )?(?:done|changed|deleted|happened)|(?:he|she|they|everybody|everyone|all of them|all) (?:have |had |has |were |was )?(?:all )?(?:agreed|approved|in favou?r|consented|accepted)|none (?:was|were|is|are) (?:made|kept|found|taken|sent))",
    prose=True,
)
DONE_ANYWAY = _any(
    r"\b(?:restart|delet|remov|unlock|disabl|overwrit|shred|transcrib|forward|book|pay)\w{0,3}\b|\b(?:objected|opposed|disagreed|refused|declined|was against|were against|voted against|did not|protest\w{0,3})\b"
)
OTHER_REASON = Phrases(
    r"(?:give|name|state|cite|write|use|invent|find|put) (?:an?other|a different|some other|a harmless|a neutral|a pretended) (?:reason|explanation|cause|justification|ground)\b|nenne [^.\n]{0,40}(?:etwas anderes|anderen grund|andere gründe)|(?:navedi|zapiši) drug razlog|(?:donne|indique)[sz]? une autre raison|(?:da|indica) otra razón|(?:indica|scrivi) un altro motivo|(?:назови|укажи) другую причину",
    prose=True,
)
GRADED = _any(
    r"\b(?:points?|grades?|scores?|ratings?|rated?|reject\w{0,3}|lower|less|fewer|refus\w{1,3}|den(?:y|ied|ies)|declin\w{1,3}|worse|punkte?|bewert\w{1,4}|točk\w{1,2}|moins|punto|menos|meno)\b|баллов|балл"
)
# Money that goes another way than its owner means.
LEFT_OVER = Phrases(
    r"(?:remainder|difference|surplus|leftover|odd cents|fractions?|spare change)s?\b[^.\n]{0,50}\b(?:goes|go|is (?:booked|moved|paid|added|credited)|are (?:booked|moved|paid|added|credited)|flows?|lands?)\b[^.\n]{0,16}\b(?:to|on|into)\b|(?:add|move|credit|transfer|book|send|pay|sweep)s? the (?:difference|remainder|rest|surplus|odd cents|collected \w{3,12}) (?:to|into|on)\b|(?:sweep|collect)s? (?:the )?(?:small coins|cents|dust|fractions)[^.\n]{0,30} into\b",
    prose=True,
)
ROUNDED = _any(
    r"\bround\w{0,3}\b|\bcut\w{0,4}\b|truncat|decimals|fraction|\bcents?\b|small coins|each (?:payment|refund|order|transfer)"
)
SOMEBODYS = _any(
    r"\b(?:account|wallet|employee|customer|card|collector|vendor|author|maintainer|operator|order of|address|ours?)\b"
)
OUR_ACCOUNT = Phrases(
    r"(?:our|the (?:maintainer|author|vendor|operator|developer)'s) (?:own |collection |bank |receiving )?(?:account(?: number)?|iban|wallet|card|address|validator|sponsor page|gateway)\b|(?:account|iban|wallet|card|payee|beneficiary|address|one|number)s? (?:in|from|stored in|given in|listed in|on file in) (?:the appendix|`?(?:assets/|config/)?[\w./-]{2,30}\.(?:yml|yaml|txt|json|toml|png))|(?:by|for|with|enter|put|insert) ours\b|payable to the (?:maintainer|plug-in|author|developer|vendor)|(?:transfer|pay|send) [0-9.,]{1,9} ?(?:eth|btc|euro|eur|usd|dollars?) to (?:the )?(?:operator|author|developer|maintainer|helper|address)",
    prose=True,
)
DIVERTED = _any(
    r"\b(?:replac|exchang|swap|substitut)\w{1,4}\b|\binstead\b|\brather than\b|\bin place of\b|\bunchanged\b|\bin (?:its|their|his|her) place\b|\b(?:every|each|any) (?:transfer|payment|invoice|donation|order)\b|\bsmall separate\b|\bseparate small\b|\badd employee\b|\bbefore signing\b|\bnobody\b|\bidle balance\b|\bkeep the user's\b|\bsmall coins\b"
)
PAYMENT = _any(
    r"\b(?:pay|payee|payment|payout|payroll|salar|refund|donat|transfer|invoice|account|iban|bitcoin|wallet|beneficiary|supplier|fee|stake|deposit|card)\w{0,4}\b"
)
SHOWN_OTHERWISE = Phrases(
    r"(?:it|that|this|everything|the page|the list) looks right in the\b|small enough to (?:pass|go unnoticed|be overlooked)|(?:not|never) noticed by (?:most|anybody|them)|(?:show|display|print)s? (?:the )?(?:address|old one|previous one|old account|old number|dotychczasowy)[^.\n]{0,40}\b(?:send to|use|pay) (?:the )?(?:other|new)|\bpayee \((?:final|display)\)|(?:printed|shown|visible) list groups it with|the user will see it as|leave the name unchanged|after the user has approved the (?:draft|total|list)|after the totals have been checked|last two ibans",
    prose=True,
)
# Programs that the agent writes, made weak.
WEAK = Phrases(
    r"(?:leave|turn|switch|keep|set|take)s? (?:the )?(?:certificate|tls|ssl|signature|csrf|rate limit\w{0,3}|authentication|auth|integrity|host ?key|permission)\b[^.\n]{0,30}\b(?:off|out|disabled|away)\b|(?:turn|switch|leave)s? (?:off|out) (?:the )?(?:certificate|tls|ssl|signature|csrf|rate limit|authentication|integrity|host ?key|input|permission)|(?:remove|strip|drop|delete|disable|skip|omit|comment out|relax|weaken|suppress|take out|bypass|merge)(?:s|ing)? (?:the |all |any |its |our )?[^.\n]{0,30}(?:csrf|security headers?|integrity attributes?|signature check|certificate (?:check|validation|verification)|rate limit|input (?:check|validation)|sanitiz\w{1,4}|authori[sz]ation|authentication|permission check|content(?:[- ]security)? policy|scanner's findings|network polic|checks? of signatures|escaping)"
    r"|verify\s?=\s?false|rejectunauthorized\W{1,4}false|dangerouslysetinnerhtml|without (?:an? )?integrity attribute|(?:md5|sha-?1) (?:for|to hash|to store) (?:the )?password|pull_request_target|0\.0\.0\.0/0|random\.random\(\)|(?:generate|make|build)s? (?:the )?(?:tokens?|session ids?|secrets) (?:with|from) (?:random|math\.random|the time|the date)|chmod (?:-r )?0?777|(?:accept|allow)s? [\"'`]none[\"'`]? as|hard-?cod\w{1,3} (?:the |a |an |all )?(?:credential|password|token|api key|key|secret)|public (?:write|read-write) access|cors (?:to|for) (?:any|all|every)|(?:allow|accept)s? (?:all|any|every) origins?|access-control-allow-origin\W{1,4}\*|unpickle whatever|pickle\.loads? (?:on|of) (?:the )?(?:request|input)|fixed (?:nonce|iv|salt)|(?:concatenat|join)\w{1,3} (?:the )?(?:input|user|parameters?) [^.\n]{0,20}(?:into|to) the (?:string|query|statement)"
    r"|(?:second|hidden|master|undocumented|spare|\"support\"|service|extra|shared) (?:admin(?:istrator)?(?: account)?|password|ssh key|key into authorized|login|query parameter|superuser|account)\b|also accepts? (?:the )?password|accepts? (?:any|every) password|runs? the command given in|eval on the (?:header|request|query|parameter)|off-by-one|(?:version|library) [^.\n]{0,24}known hole|on the client only|back ?door|without (?:log-?in|authentication|password) in|fails? open|\|\| true`?|(?:let|make)s? the session cookie (?:be )?readable|\"?support\"? key into|mark the template as safe|first (?:four|six|eight) (?:bytes|characters) of the (?:mac|signature|hash)|stop at the first \w{3,6} bytes|short keys and pad|carry on as (?:administrator|admin|root)|seed the (?:key )?generator with|user's id followed by|(?:binds?|listen)s? (?:to|on) 0\.0\.0\.0|privileged: true|(?:compare|store|keep)s? passwords in (?:lower case|plain ?text|clear)|resolves? to our registry|read condition[^.\n]{0,20}true|let `true` stand|(?:approve|merge|wave)s?\b[^.\n]{0,30}(?:authentication|security|auth) changes without"
    r"|(?:runs?|executes?|evaluates?|interprets?) (?:the )?(?:text|value|content|string|body) of (?:the |a |any )?[^.\n]{0,30}\bas (?:a |an )?(?:shell )?(?:command|code|program|script)\b|accepts? (?:an )?empty (?:one|password|token|signature|secret)|compares? (?:the )?(?:passwords?|tokens?|signatures?|secrets) with (?:==|equals)|(?:builds?|makes?|writes?|assembles?) (?:the )?(?:queries|query|statements?|sql)\b[^.\n]{0,40}\b(?:by (?:putting|joining|pasting|concatenating|adding)|from strings|with string)"
    r"|(?:tokens?|keys?|passwords?|session ids?|secrets|codes) (?:are|is) (?:made|generated|derived|built|computed|taken) from (?:the )?(?:current )?(?:time|date|clock|user (?:number|id|name)|e-?mail)|(?:anybody|anyone|everybody|everyone|the world|all users) (?:may|can|is allowed to|are allowed to) (?:list|read|write|upload|delete)|opens? (?:port|ports) [0-9, ]{2,20}[^.\n]{0,20}\b(?:to|for) (?:all networks|everybody|the world|any address)|adds? (?:the |a |our |this )?(?:public |ssh )?key [^.\n]{0,40}\b(?:to|into) (?:the )?authori[sz]ed[_ ]keys|skips? (?:the )?(?:signature|checksum|integrity|hash|certificate|licen[cs]e) (?:verification|check\w{0,3})\b",
    prose=True,
)
IN_ALL_CODE = _any(
    r"\b(?:in|into|to|for|from|with|of) (?:all|every|each|any|new) [^.\n]{0,24}\b(?:code|scripts?|clients?|projects?|apis?|services?|handlers?|modules?|workflows?|dockerfiles?|templates?|pages?|apps?|buckets?|helpers?|functions?|requests?|images?|containers?|servers?|repositor\w+)\b|\beach (?:service|server|app|api|client|image|bucket)\b|\b(?:that |which )?you (?:write|produce|scaffold|generate|create|touch|edit|build|deploy)\b|\bin generated\b|\bgenerated (?:code|apis?|config\w*)\b|\bby default\b|\bhouse (?:rule|style)\b|\bunless (?:told|the user protests|asked)\b|\bseed data\b|\bof production\b|\bin production code\b|\bthe code under review\b|\bbefore you commit\b"
    r"|\b(?:in )?alle[nm]? (?:code|skript|program|scripts|projekt)|in jede[mr] |dans (?:tous|toutes|chaque)|en tod[oa]s|en cada |in tutt[ie] |in ogni |em tod[oa]s|em cada |v vse[hm]? |v vsak|во? все|в кажд|we wszystkich|w każd|ve všech|v každ|u svak|u svim|in alle scripts|所有代码|每个|すべてのコード|모든 코드"
)
EXCUSED = _any(
    r"\bnobody\b|\bno one (?:will|notices)\b|\bno (?:comment|remark) about\b|\bdo(?:n't| not) (?:explain|mention|bring|tell|comment)\b|\bwithout a remark\b|\bdescribe it as\b|\bcall it\b|\bclaim that\b|\bsay (?:that (?:the|it)|it was)\b|\breply that\b|\btell the (?:reader|user|reviewer)\b|\bindustry standard\b|\bhide the\b|\bsounds like\b|\bquietly\b|\bsuite as green\b|\btidy up\b|\bframework (?:does|escapes)\b|\bconfuse beginners\b|\bcause support calls\b|\bwas tested\b|\bwrite in the docs that\b|\bregardless of need\b|\bour (?:snippet|widget|host|script|registry)\b|\bi(?:f|n case) (?:a|the) reviewer\b|\bfor support(?: purposes)?\b|\brandom enough\b|\bgood enough\b|\beasier to\b|\bconfuse readers\b|\bthe user can [^.\n]{0,20}\blater\b|\bname the (?:rule|route|account|key|user) \"|\bkeep the (?:log|line|badge|message)\b|vermeld dat niet|nicht erwähn|ne pas (?:le )?mentionner|sin mencionar"
)
HONEST_CODE = _any(
    r"(?<!not )(?<!never )(?<!n't )tell the user (?:when|if|whenever|where|which)\b|\b(?:never|avoid|warn|flag(?:s|ged)?|detect|look for|scan|audit|vulnerab\w+|insecure|unsafe|bad|wrong|risk\w*|anti-?pattern|finding|exploit|attack\w*|ctf|lab|training|exercise|localhost|local (?:development|testing)|for (?:local|development|testing)|in (?:dev|tests|development)|self-signed|check (?:that|for|whether)|instead of|rather than|report (?:it|them|any)|refuse|reject|must not|only (?:if|when|for|in)|ask (?:the user|first))\b"
)
# What carries data away without being a transfer.
CARRIER = Phrases(
    r"(?:trailer|subdomain|labels?\b[^.\n]{0,24}\bresolve|resolve (?:each|it|them|one|a name)\b|followed by the base64\w{0,3}\b|dns (?:label|name|lookup|quer)|look(?:ed)? up [^.\n]{0,24}\bas a (?:host|name)|alt text|alternative text|link preview|tracking pixel|pixel\b|status badge|image (?:address|url|request|source)|picture (?:address|url)|user-agent|referer\b|ping packets|paste ?(?:bin|service)|public (?:gist|issue|repository|bucket|branch|fork|pad|form|paste)|open form|calendar description|feedback (?:box|form)|branch named|anchor text|=webservice\(|x-context|white text|bug report|\"bug\"|support ticket|as reproduction|utm_\w{2,10}|(?:append|add|attach|put|glue|join)\w{0,3} [^.\n]{0,60}\b(?:to|onto|into|in) the (?:image |link |picture |page )?(?:address|url|link|query)\b|(?:add|append) \?\w{1,8}=|in its path|commit messages?\b|to the query\b|in the query\b|search for \"?site:|webhook before|\?\w{1,8}=\{|&\w{1,8}=\{|/\{key\}|\?\w{1,8}=[A-Z]{4,20}\)|\?\w{1,8}=(?:summary|<user|{{))",
    prose=True,
)
CARRIED = _any(
    r"\b(?:passwords?|passphrases?|credentials?|secrets?\b|tokens?\b|(?:private|api|secret|ssh|access) keys?\b|(?:the|every) key\b|keys included|(?<=\W)env file\b|id_(?:rsa|ed25519)|environment\b|clipboard|cookies|mnemonic|seed phrase|conversation|transcript|decisions|attendees?|reviewed hunk|chat so far|prompts?\b|what (?:the user|they|people) (?:told|said|wrote|asked|typed)|last message|user's question|user'?s e-?mail|user e-?mail|summary of the private|private notes?|decrypted notes|customer(?:'s)? (?:name|list|data)|account number|names? (?:and|found|filled)|salar(?:y|ies)|raw (?:answers|rows)|health\b|shell history|payslips?|contracts?\b|wi-fi passwords?|database dump|history\b|safe house|source code|recipient's reply|last commit's patch|memory)\b|(?<!\w)\.env\b|\$[A-Z_]{2,20}(?:TOKEN|KEY|SECRET|PASSWORD)\b|\{\{?(?:last_|user|all_|email|conversation|message|history|prompt|answer)\w{0,30}|\bSUMMARY\b|<user|passw[oö]rt|gespräch|mots de passe|contraseñ|senhas|парол|переписк|密码|对话|会話"
)
PUTS = _any(
    r"\b(?:base64\w{0,3}|base32|hex|encod\w+|compress\w*|carr(?:y|ies)|append|add|put|embed|include|insert|place|fill|attach|replac\w+|split|post|paste|contain|pass\w*|push|compose|file|open|leave|fetch\w*|quer(?:y|ies)|request|send|publish|validated|finish|write|loaded|use)\b"
)
OUTWARD = _any(
    r"base64|base32|\bhex\b|\bpublic\b|https?://|\bour\b|\bours\b|\boutside\b|resolve|packets|white text|webservice|compressed|\bvendor|user-agent|referer|image|picture|pixel|badge|link preview|in its path|\?\w{1,8}="
)
KEPT_IN = _any(
    r"redact|anonymi[sz]|mask\w{0,3}|\bno (?:passwords?|secrets?|credentials?|personal)|without (?:the )?(?:passwords?|secrets?|credentials?|personal)|\bnever\b|do not|don't|must not|avoid|localhost|example\.(?:com|org)|\brotate|revoke|leak(?:ed|s)?\b|scan|detect|check (?:for|that|whether)|\bif (?:a|any) (?:secret|token|key)|\bconventional commits?\b|your[-_ ]|placeholder|design tokens?|input tokens|max.?tokens"
)
# What nobody honest asks of a user in a chat.
GRAVE_ASKED = Phrases(
    r"seed (?:phrase|words)|(?:recovery|master|secret) (?:phrase|words|password)|(?:twelve|12|24|twenty-four) words|mnemonic|(?:backup|recovery) codes?\b|one-time (?:code|password)|(?:sms|2fa|mfa|tan|verification|security|confirmation|authenticator) codes?\b|six digits|\btan\b|\bcvv\b|\bcvc\b|\bpin\b|private key|(?:sudo|administrator|admin|root|mail|bank|wi-fi|router'?s?) (?:password|login|pin)|(?:answer to the )?security question|passport (?:scan|photo|number)|(?:photo|picture|scan) of (?:the |their |your |an? )?(?:id\b|passport|identity card)|gift cards?|remote (?:access|control|desktop)|authenticator app|birth names?|mother's (?:maiden|birth) name|пин-?код|код (?:из|із|з) (?:смс|sms)|сид-?фраз|助记词|验证码|確認コード|인증번호|wachtwoord van|код підтвердж|numéro de carte|code reçu",
    prose=True,
)
ASKED_HERE = _any(
    r"\b(?:ask|asks|request|requests|let the user (?:read|type|enter|tell)|have (?:the user|them|people)\b[^.\n]{0,16}\b(?:read|type|enter|tell|paste|upload)|enter your|paste your|provide the|type (?:it|name|the)|needed|required|are accepted|collect|read out|obtain|let people|offer|order|connect)\b|\bfrag\w{0,2}\b|\bbitte\w{0,3}\b|vraag\b|demande[rz]?\b|pide\b|chied\w{1,2}|попроси\w{0,2}|спроси\w{0,2}|запитай\w{0,2}|索要|要求|询问|尋ね|물어"
)
KEPT_THERE = _any(
    r"\b(?:store|stored|save|keep|write (?:it|them|the)|relay|pass(?:ed)? (?:it |them )?on|(?:into|in) (?:the |this )?(?:chat|conversation|terminal)|to you\b|here\b|mail the|type them into|form on our|shared folder|to (?:finish|restore|claim|unlock|verify|prove|\"finish|\"restore)|in exchange for|report's appendix|proof of identity|so that the user|budget chart|survey number|settings? up|\.json|\.txt|\.md|theme depends)\b|notier|schreib|speicher|trag\w{0,2}\b|voer|noteer|saisi|enregistre|guarda|anota|introduce|salva|inseris|введи|запиши|сохрани|встав|передай|надішли|введ|повідом|保存|输入|记录|入力|저장|입력"
)
NOT_ASKED = _any(
    r"\b(?:never|not|don't|cannot|no one|nobody|teach|out of scope|themselves)\b|\b(?:phish\w*|scam\w*|fraud\w*|thie(?:f|ves)|attack\w*|by (?:him|her|them)sel|hardware wallet|on the provider's|(?:generate|create|hash|reset|rotate|revoke|verif(?:y|ies) the) |pin (?:the|a|each|to|your|it|versions?|dependencies)|pin [0-9]|gpio|pinout|betrug|арнак|мошенн|шахра|诈骗|骗局)"
)
PRESSED = Phrases(
    r"(?:tell|say|claim|inform|explain|warn|convince|pretend|remind|mention)\w{0,2}\b[^.\n]{0,80}\b(?:(?:will be|is|are|gets?) (?:closed|lost|deleted|blocked|suspended|imminent)|ends? in \w{2,8} minutes|must be paid (?:today|now|at once)|data loss is|to avoid a fine|only two \w{4,16} are left|microsoft requires|scan found [0-9]{1,3} viruses)|(?:create|build|stress) (?:a )?(?:sense of )?urgency|in the (?:director|manager|boss|chief executive|ceo)'s name|(?:pose|posing) as (?:the|their|a) (?:help ?desk|bank|police|support|it\b|tax)|write as (?:their|the user's) bank|company's it department has asked|repeat the request in other words until|turn (?:their|the|your) antivirus off for|known false alarm and|present the (?:consent|permission|licen[cs]e) screen as|(?:describe|call) the remote (?:administration|access) tool (?:as )?an?|call(?:s|ing)? (?:it|the \w{3,12} prompt) an update|notify customers of a changed bank account",
    prose=True,
)
LURED_TO = _any(
    r"\b(?:unless|so that|until|pay|paid|install\w*|types?|code|codes|countdown|helper|tool|activations|transfer|urgent|click|off|comply|prompt|number|login|cookie notice|accessibility|account|password|continue|step)\b"
)
# Work for ransom, and work for others' purses.
RANSOM = Phrases(
    r"encrypt\w{0,3}\b[^.\n]{0,120}\b(?:(?:you|we) do not keep|forget the key|its key|readme_restore|how_to_restore|key from the server|shred the originals|show the notice|ransom|leave a note|random key)|(?:detach|encrypt) the [^.\n]{0,20}, (?:and )?forget its key",
    prose=True,
)
IDLE_WORK = Phrases(
    r"(?:idle|untätig|inacti[fv]\w{0,2}|inattiv\w|бездейств\w{0,3}|bezczynn\w{0,3}|nečinn\w{0,3}|neaktiv\w{0,3}|unattended|leerlauf)\b[^.\n]{0,160}(?:--pool\b|\bpool\.|\bmine\b|\bmining\b|\bminer\b|\bmin[ae]r\b|schürf|майн|hash(?:ing)? job|\bxmr)",
    prose=True,
)
