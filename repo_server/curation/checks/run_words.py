"""Words and pieces of commands by which `remote_execution` finds what fetches, decodes and runs."""

import re

from repo_server.curation.checks import late
from repo_server.curation.checks.phrases import Phrases


def compiled(pattern: str) -> re.Pattern[str]:
    """Return ``pattern``, in which case does not matter."""
    return late.pattern(pattern, re.IGNORECASE)


PROGRAMS = r"curl|wget|aria2c|axel|fetch|lynx|w3m|links|elinks|xh|https?ie|lwp-request|lwp-download|iwr|irm|invoke-webrequest|invoke-restmethod"


FETCH = compiled(rf"\b(?:{PROGRAMS})(?:\.exe)?(?=[\s\"'`)$<]|$)")
DECODE = compiled(
    r"\b(?:base(?:64|32)\b[^\n|]{0,80}?\s-{1,2}d|openssl\s{1,9}(?:enc|base64)\b[^\n|]{0,80}?\s-d|xxd\b[^\n|]{0,40}?\s-\w{0,5}r"
    r"|gunzip\b|zcat\b|gzip\s{1,3}-\w{0,4}d|\brev\b\s{0,3}(?=[|<])|\btr\s{1,3}[\"']?[\w-]{2,12}[\"']?\s{1,3}[\"']?[\w-]{2,12}|printf\s{1,3}[\"']?(?:\\x|\\[0-7]{3})|uudecode\b|dd\s{1,3}if=\S{1,80}\s[^\n|]{0,60}skip=)"
)
# What else hands over something from elsewhere, and what cuts a piece out of a file that is no program.
HANDED = Phrases(
    r"\b(?:nc|ncat|netcat|socat|telnet|tftp)\s[^\n|]{0,120}\|"
    r"|\bssh\s[^\n|]{1,160}\|"
    r"|\baws\s{1,9}s3\s{1,9}cp\s[^\n|]{1,160}\|"
    r"|\bgsutil\s[^\n|]{0,40}\bcat\s[^\n|]{1,160}\||\bgcloud\s{1,9}storage\s{1,9}cat\s[^\n|]{1,160}\||\brclone\s{1,9}cat\s[^\n|]{1,160}\||\baz\s{1,9}storage\s[^\n|]{1,160}\||\bmc\s{1,9}cat\s[^\n|]{1,160}\||\bipfs\s{1,9}cat\s[^\n|]{1,160}\|"
    r"|\b(?:gh|glab)\s{1,9}(?:api|gist|release|run)\s[^\n|]{1,160}\|"
    r"|\b(?:dig|nslookup|host|drill|kdig|resolvectl)\s[^\n|]{0,100}\btxt\b[^\n|]{0,100}\|"
    r"|\b(?:kubectl|jq|yq|psql|mysql|redis-cli|himalaya|notmuch|xmllint|mosquitto_sub|nats|kcat|rsstail)\s[^\n|]{1,200}\|"
    r"|\b(?:docker|podman|nerdctl)\s{1,9}run\s[^\n|]{1,200}\|"
    r"|\bgit\s{1,9}archive\s[^\n|]{0,60}--remote[^\n|]{1,160}\||\bhttp\s{1,9}get\s[^\n|]{1,160}\||\bopenssl\s{1,9}s_client\s[^\n|]{1,160}\||<&[3-9][^\n|]{0,80}\|"
)
HIDDEN = Phrases(
    r"\b(?:sed|g?awk|tail|head|strings|cut|grep|cat|tr|fold|rev|tac|iconv|perl|dd)\s[^\n|]{0,160}(?:references/|assets/|\.(?:md|txt|png|jpe?g|gif|svg|dat|bin|ico|pdf|csv|webp|woff2?)\b)[^\n]{0,160}\|"
    r"|\bgpg2?\s[^\n|]{0,120}(?:\s-d\b|--decrypt)[^\n|]{0,120}\||\bage\s[^\n|]{0,60}(?:\s-d\b|--decrypt)[^\n|]{0,120}\||\b(?:zstd|xz|bzip2|lz4|brotli)\s[^\n|]{0,40}-\w{0,4}d[^\n|]{0,120}\||\b(?:xzcat|bzcat|zstdcat|uncompress)\s[^\n|]{1,120}\||\bunzip\s[^\n|]{0,40}-\w{0,4}p[^\n|]{1,120}\||\bfunzip\b[^\n|]{0,80}\||\btar\s{1,4}-?\w{0,6}O\w{0,4}\s[^\n|]{1,120}\||\bsteghide\s[^\n|]{1,120}\||\bexiftool\s[^\n|]{1,160}\||\b(?:base58|base91|basenc|uudecode|qprint)\s[^\n|]{0,80}\|"
)
SUBSTITUTED = compiled(
    r"(?:\beval|\bsource|(?<!\S)\.|\b(?:ba|z|da|k)?sh|\$[({]?SHELL[)}]?|\bpython[0-9]{0,2}(?:\.[0-9]{1,3})?|\bperl|\bruby|\bnode)"
    r"(?:\s{1,9}(?:-{1,2}\w{0,20}|/dev/(?:stdin|fd/0))){0,3}\s{0,9}(?:<{1,3}\s{0,9})?[\"']?\s{0,40}(?:\${1,2}\(|<\()"
)
# In prose, a backtick only begins a piece of code: "in sh `curl` fetches".
BACKTICKED = compiled(
    r"(?:\beval\s{1,9}[\"']?|\b(?:ba|z|da|k)?sh\s{1,9}(?:-\w{1,9}\s{1,9}[\"']|<<<\s{0,9}[\"']?))\s{0,40}`"
)
IEX = compiled(r"\b(?:iex|invoke-expression)\b|\[scriptblock\]::create\b")
IEX_PIPED = compiled(r"\|\s{0,40}(?:iex|invoke-expression)\b")
POWERSHELL_FETCH = compiled(
    r"\b(?:iwr|irm|invoke-webrequest|invoke-restmethod|downloadstring|downloaddata|net\.webclient|start-bitstransfer)\b"
)
EXEC = compiled(r"\b(?:exec|eval)\s{0,9}\(")
RUNNER_CALL = compiled(r"\b(?:exec|eval|compile|system|popen|run|call|check_output|loads)\s{0,9}\(")
INLINE_GET = compiled(
    r"\b(?:Rscript|R)\s{1,4}-e\b[^\n]{0,80}source\([^\n]{0,20}https?:|\bjulia\s{1,4}-e\b[^\n]{0,80}(?:include|eval)\([^\n]{0,40}download|\blua\S{0,4}\s{1,4}-e\b[^\n]{0,120}load(?:string)?\s?\([^\n]{0,160}request|\bhttps?\s{1,3}(?:--body\s{1,3})?GET\s{1,3}[^\n|]{4,200}\|\s{0,4}(?:sudo\s{1,3})?(?:ba|z|da|fi)?sh\b|\b(?:sudo\s{1,3})?(?:dpkg|rpm|installer)\s[^\n]{0,20}<\(\s{0,3}(?:curl|wget)"
    r"|\b(?:perl|ruby)\b[^\n]{0,200}\beval\b[^\n]{0,60}(?:\bget\b|open|LWP|Net::HTTP|URI)|\bnode\s{1,9}-e\b[^\n]{0,300}(?:eval|Function|vm\.)[^\n]{0,300}|\bphp\s{1,9}-r\b[^\n]{0,200}eval[^\n]{0,60}file_get_contents"
)
EVALUATES = compiled(r"\bvm\.run\w{0,20}\s{0,3}\(|\bnew\s{1,3}Function\s{0,3}\(|(?<![.\w])eval\s{0,3}\(")
ANY_GET = compiled(r"\bhttps?\.(?:get|request)\s{0,3}\(|\bfetch\s{0,3}\(|\baxios(?:\.get)?\s{0,3}\(")
THEN_EVAL = compiled(r"\.then\s{0,9}\(\s{0,9}eval\b")
URL_CALL = compiled(r"\b(?:urlopen|urlretrieve|(?:requests|httpx|axios|session)\.get|fetch)\s{0,9}\(")
INLINE = compiled(r"\bpython[0-9]{0,2}(?:\.[0-9]{1,3})?\s{1,9}-c\b")
DECODE_CALL = compiled(r"\b(?:\w{0,20}b64decode|frombase64string|atob\s{0,9}\()")
DECODE_RUNNER = compiled(r"\b(?:exec|eval|iex|invoke-expression)\b")
ENCODED = compiled(
    r"(?<![\w-])-e(?:nc|ncodedcommand)\s{1,9}[A-Za-z0-9+/=]{24}"
    r"|\b(?:pwsh|powershell)\b[^\n]{0,40}?\s-e[a-z]{0,14}\s{1,9}[A-Za-z0-9+/=]{24}"
)
MAKES_EXECUTABLE = (
    r"chmod\s{1,9}(?:-\w{1,9}\s{1,9}){0,2}(?:[augo]{0,4}[+=][rwx]{0,3}|[0-7]{0,3}[1357][0-7]{0,2})\b"
)
RUN_ANY = compiled(
    r"\b(?:ba|z)?sh\s{1,4}[^\s;|&]{0,60}|\bchmod\s{1,4}\S{1,9}\s{1,4}[^\s;|&]{0,60}|\s\.{0,2}/[\w*][^\s;|&]{0,60}"
)
INSTRUCTIONS = compiled(
    r"(?:skill|claude|claude\.local|agents?|gemini|soul|memory|copilot-instructions)\.md|\.(?:cursor|windsurf|cline)rules|[\w-]{1,40}\.mdc"
)
UNPACKS = compiled(
    r"\|\s{0,9}(?:sudo\s{1,4})?(?:bsd)?tar\b|\bunzip\b|\btar\s{1,4}-?\w{0,4}x|\b7z\s{1,4}x|\bcpio\b"
)
RUN_FILE = compiled(
    rf"(?:(?<![\w./-])(?:{MAKES_EXECUTABLE}|(?:ba|z|da|k|fi)?sh\b|python[0-9]{{0,2}}(?:\.[0-9]{{1,3}})?\b|perl\b|ruby\b"
    r"|node\b|php\b|pwsh\b|powershell\b|source\b|exec\b)|(?<!\S)\.(?=\s))"
    r"(?:\s{1,9}-{1,2}[\w-]{0,30}){0,4}\s{1,9}(?:<\s{0,9})?[\"']?(?P<file>[^\s\"'`;|&<>()]{1,200})"
    r"|(?<![^\s\"'`;&|(])\./(?P<here>[^\s\"'`;|&<>()]{1,200})"
)
SAVED = compiled(
    r"(?:\s-\w{0,12}o|--output(?:-document)?|(?<!<)>{1,2}|\btee)[\s=]{0,3}[\"']?(?P<file>[^\s\"'`;|&<>()]{1,200})"
)
DIGEST_CHECKED = compiled(
    r"\b[0-9a-f]{64}\b[^\n]{0,200}(?:sha256sum|shasum|sha256)\b[^\n]{0,60}(?:-c|--check)|(?:sha256sum|shasum|sha256)\b[^\n]{0,60}(?:-c|--check)[^\n]{0,60}[0-9a-f]{64}|sha256\w{0,6}=[\"']?[0-9a-f]{64}|\bcosign verify|\bgpg --verify"
)
SEPARATORS = str.maketrans(dict.fromkeys("\n\r\t\"'`;|&<>()={}$/,", " "))

# Without one of these words (in lower case), the pattern cannot be there: looking for a word is much faster.
NEEDS = {
    SUBSTITUTED: ("$(", "<("),
    BACKTICKED: ("eval ", "eval\t", "sh -", "sh\t", "<<<"),
    FETCH: (
        "curl",
        "wget",
        "aria2c",
        "axel",
        "fetch",
        "lynx",
        "w3m",
        "links",
        "xh",
        "httpie",
        "httpsie",
        "lwp-",
        "iwr",
        "irm",
        "invoke-",
    ),
    IEX: ("iex", "invoke-", "scriptblock"),
    IEX_PIPED: ("iex", "invoke-"),
    POWERSHELL_FETCH: ("iwr", "irm", "invoke-", "download", "webclient", "bitstransfer"),
    EXEC: ("exec", "eval"),
    THEN_EVAL: ("eval",),
    URL_CALL: ("urlopen", "urlretrieve", ".get", "fetch"),
    INLINE: ("python",),
    EVALUATES: ("vm.run", "function", "eval"),
    ANY_GET: ("http", "fetch", "axios"),
    INLINE_GET: (
        "eval",
        "function",
        "vm.",
        "source(",
        "include(",
        "load",
        " get ",
        "dpkg",
        "rpm ",
        "installer",
    ),
    DECODE: (
        "base64",
        "base32",
        "openssl",
        "xxd",
        "gunzip",
        "zcat",
        "gzip",
        "rev",
        "tr ",
        "printf",
        "uudecode",
        "dd if",
    ),
    DECODE_CALL: ("b64decode", "base64string", "atob"),
    DECODE_RUNNER: ("exec", "eval", "iex", "invoke-"),
    ENCODED: ("-e",),
}
