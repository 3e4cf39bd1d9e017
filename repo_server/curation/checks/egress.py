"""Where data can go: addresses, and the commands and calls that send something there.

*Catchers* take anything from anybody (request bins, tunnels, pastes, chat web-hooks); their use is to hand data to
whoever opened them. The owner of a secret's name is guessed from its first word, to tell a key that goes to its own
service from one that goes elsewhere.
"""

import ipaddress
import re
from functools import lru_cache
from typing import NamedTuple

from repo_server.curation.checks import late
from repo_server.curation.checks.document import Document, once
from repo_server.curation.checks.phrases import Phrases

CATCHERS = (
    *(
        "webhook.site",
        "requestbin.com",
        "requestbin.net",
        "pipedream.net",
        "beeceptor.com",
        "requestcatcher.com",
        "hookbin.com",
        "requestrepo.com",
    ),
    *(
        "interact.sh",
        "interactsh.com",
        "oast.fun",
        "oast.live",
        "oast.me",
        "oast.online",
        "oast.pro",
        "oast.site",
        "dnslog.cn",
        "canarytokens.com",
    ),
    *(
        "burpcollaborator.net",
        "ngrok.io",
        "ngrok.app",
        "ngrok-free.app",
        "ngrok-free.dev",
        "trycloudflare.com",
        "serveo.net",
        "loca.lt",
        "localhost.run",
        "lhr.life",
    ),
    *(
        "pastebin.com",
        "paste.ee",
        "rentry.co",
        "rentry.org",
        "hastebin.com",
        "termbin.com",
        "ix.io",
        "sprunge.us",
        "dpaste.com",
        "dpaste.org",
        "glot.io",
        "ghostbin.com",
        "privatebin.net",
        "controlc.com",
    ),
    *(
        "transfer.sh",
        "0x0.st",
        "file.io",
        "gofile.io",
        "catbox.moe",
        "bashupload.com",
        "temp.sh",
        "tmpfiles.org",
        "uguu.se",
        "filebin.net",
        "oshi.at",
        "anonfiles.com",
    ),
)
CHAT_HOOKS = (
    "hooks.slack.com",
    "api.telegram.org",
    "discord.com",
    "discordapp.com",
    "maker.ifttt.com",
    "hooks.zapier.com",
)
FORGES = (
    "github.com",
    "gitlab.com",
    "bitbucket.org",
    "codeberg.org",
    "huggingface.co",
    "sr.ht",
    "gitee.com",
    "dev.azure.com",
)
# Where programs that everybody knows are published by those who make them.
OFFICIAL = (
    "python.org",
    "nodejs.org",
    "git-scm.com",
    "microsoft.com",
    "apple.com",
    "docker.com",
    "rust-lang.org",
    "rustup.rs",
    "golang.org",
    "go.dev",
    "brew.sh",
    "ffmpeg.org",
    "libreoffice.org",
    "pandoc.org",
    "imagemagick.org",
    "anaconda.com",
    "graphviz.org",
    "jetbrains.com",
    "oracle.com",
    "adoptium.net",
    "postgresql.org",
    "google.com",
    "mozilla.org",
    "gnu.org",
    "debian.org",
    "ubuntu.com",
    "blender.org",
    "obsidian.md",
    "1password.com",
    "ollama.com",
    "ollama.ai",
)
SHORTENERS = (
    *(
        "bit.ly",
        "t.co",
        "tinyurl.com",
        "is.gd",
        "v.gd",
        "goo.gl",
        "ow.ly",
        "cutt.ly",
        "rb.gy",
        "t.ly",
        "rebrand.ly",
        "shorturl.at",
        "tiny.cc",
        "buff.ly",
        "s.id",
        "dub.sh",
        "shorten.ly",
    ),
)
LOCAL = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", "host.docker.internal"})  # noqa: S104 - named in a text, not bound
URL = late.pattern(
    r"(?<![a-z0-9+.-])(?:https?|wss?|ftp)://(?P<authority>[^\s/\\?#\"'`<>()|]{1,300})(?P<rest>[^\s\"'`<>|\\]{0,600})",
    re.IGNORECASE,
)
MAILBOX = late.pattern(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}")
SAMPLE = late.pattern(r"(?:^|\.)example\.(?:com|org|net)$|^[a-z]\.com$")
"""What stands for any host in examples."""
_BARE_HOST = late.pattern(
    r"(?<![\w@/.-])(?:[a-z0-9-]{1,40}\.){1,4}(?:com|net|org|io|dev|app|site|xyz|top|ru|cn|invalid|example|online|live|cloud|tech|info|co|ai|cc|test)(?![\w.(-])",
    re.IGNORECASE,
)
_SENDING = Phrases(
    # curl and wget with a body or an upload; a GET with a command's output in its address
    r"\b(?:curl|wget|xh|http|https|httpie)\b(?=[^\n;|]{0,600}?(?:[?&/]\w{0,20}=\$\{?\w|\$\{?\w{0,30}(?:KEY|TOKEN|SECRET|PASS)\w{0,12}|\s-A\s|\s-e\s|--user-agent|--referer|\s-{1,2}(?:d|data(?:-\w{1,10})?|F|form|T|upload-file|post-data|post-file|body-data|body-file|json)\b|-X\s?(?:POST|PUT|PATCH)|--request[= ](?:POST|PUT)|--method[= ]?(?:POST|PUT)|\$\(|=@|`))"
    r"|\b(?:requests|httpx|session|client|axios|http|aiohttp|got|ky|superagent)\.(?:post|put|patch|request)\s{0,3}\("
    r"|\burlopen\s{0,3}\(|\burllib\.request\.Request\s{0,3}\(|\bfetch\s{0,3}\(\s{0,3}[^)]{0,400}?method[\"']?\s{0,3}:\s{0,3}[\"'](?:POST|PUT)|\bsendBeacon\s{0,3}\(|\bXMLHttpRequest\b"
    r"|\b(?:Invoke-RestMethod|Invoke-WebRequest|irm|iwr)\b[^\n]{0,300}?-Method\s{1,3}[\"']?(?:Post|Put)|\bUpload(?:String|Data|File)\s{0,3}\("
    r"|\b(?:nc|ncat|netcat|socat)\s{1,4}(?:-\w{1,8}\s{1,4}){0,4}[\w.:-]{4,100}|/dev/(?:tcp|udp)/|\.sendall\s{0,3}\(|\bsmtplib\b|\bsendmail\s|\bmail\s{1,3}-s\b|\bmutt\s{1,3}-|\bmsmtp\b"
    r"|\b(?:scp|rsync)\s[^\n;|]{1,300}?[\w.-]{1,60}@?[\w.-]{3,80}:|\baws\s{1,4}s3\s{1,4}(?:cp|sync|mv)\b|\brclone\s{1,4}(?:copy|sync)\b|\bgh\s{1,4}gist\s{1,4}create\b|\bsftp\s|\bftp\s{1,3}-"
    r"|\bdns(?:\.promises)?\.(?:resolve\w{0,5}|lookup)\s?\(|\b(?:ws|socket|sock|conn|websocket)\.(?:send|write)\s?\(|\bthis\.send\s?\(|\bnew\s+Image\b|\bNet::HTTP\.post|\bHTTParty\.post|\bCURLOPT_POSTFIELDS|\bPost(?:Async|Form)?\s?\(|\b(?:reqwest|client|agent|ureq)[^\n]{0,40}\bpost\s?\(|\bftp_put\s?\(|\bmail\s?\(\s?[\"'][\w.]{1,60}@|\bhttp\.client\.HTTPS?Connection\b|\bhttps?\.request\s{0,3}\(|\b(?:dig|nslookup|host|ping)\s[^\n;|]{0,100}?(?:\$\(|\$\{?\w|`)"
)
# Put together from their parts: no address of a package index stands in this project.
PACKAGE_INDEXES = tuple(
    f"{name}.{ending}" for name, ending in (("npmjs", "org"), ("npmjs", "com"), ("pypi", "org"))
)
# The hosts of services whose keys everybody has: only theirs may be sent there without a word.
OWNERS: dict[str, tuple[str, ...]] = {
    "openai": ("openai.com", "azure.com", "oaiusercontent.com", "openrouter.ai"),
    "anthropic": ("anthropic.com", "claude.ai", "claude.com"),
    "github": ("github.com", "githubusercontent.com", "ghcr.io", "githubcopilot.com", "github.ai"),
    "gh": ("github.com", "githubusercontent.com", "ghcr.io"),
    "gitlab": ("gitlab.com",),
    "aws": ("amazonaws.com", "amazon.com", "aws.amazon.com"),
    "npm": PACKAGE_INDEXES[:2],
    "stripe": ("stripe.com",),
    "hf": ("huggingface.co", "hf.co"),
    "huggingface": ("huggingface.co", "hf.co"),
    "gemini": ("googleapis.com", "google.com", "google.dev"),
    "google": ("googleapis.com", "google.com", "google.dev"),
}


class Send(NamedTuple):
    """Something that sends: where, with what piece of text, and the addresses named in it."""

    at: int
    end: int
    hosts: tuple[str, ...]


@once
def sends_in(document: Document) -> list[Send]:
    """Return every command or call that can carry data out, in order."""
    found = []
    for match in document.places(_SENDING):
        end = _end_of_command(document.joined, match.start(), match.end())
        piece = document.joined[match.start() : end]
        found.append(
            Send(match.start(), end, tuple(host_of(url["authority"]) for url in URL.finditer(piece)))
        )
    return found


@once
def urls_in(document: Document) -> list[re.Match[str]]:
    """Return every complete address, in order."""
    return document.places(URL, "://")


def spoken_host(text: str) -> str:
    """Return the first host that ``text`` names without a scheme, or an empty text."""
    match = _BARE_HOST.search(text)
    return match.group().lower() if match else ""


def host_of(authority: str) -> str:
    """Return the host in ``authority`` in lower case, without user and port."""
    return re.sub(r":[0-9]{0,5}$", "", authority.rpartition("@")[2].lower()).rstrip(".,;:!*_}]")


def belongs(host: str, domains: tuple[str, ...]) -> bool:
    """Return whether ``host`` is one of ``domains`` or below one."""
    return host in domains or host.endswith(_below(domains))


@lru_cache(maxsize=64)
def _below(domains: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f".{domain}" for domain in domains)


def is_local(host: str) -> bool:
    """Return whether ``host`` is this machine or a private network."""
    if host in LOCAL or host.endswith((".local", ".localhost", ".internal")) or "." not in host:
        return True
    try:
        return ipaddress.ip_address(host).is_private and host != "169.254.169.254"
    except ValueError:
        return False


def is_address(host: str) -> bool:
    """Return whether ``host`` is a public numeric address, in any notation that browsers read."""
    try:
        return not ipaddress.ip_address(host).is_private or host.startswith(
            ("192.0.2.", "198.51.100.", "203.0.113.")
        )
    except ValueError:
        # inet_aton also reads 2130706433, 0x7f000001 and 0177.1 as addresses, and so do browsers.
        return bool(re.fullmatch(r"(?:0x[0-9a-f]+|[0-9]+)(?:\.(?:0x[0-9a-f]+|[0-9]+)){0,3}", host, re.ASCII))


def is_catcher(host: str) -> bool:
    """Return whether ``host`` hands what it is sent to whoever asked for the address."""
    return belongs(host, CATCHERS)


def is_foreign_to(name: str, host: str) -> bool:
    """Return whether the secret ``name`` (a variable) belongs to a well-known service that ``host`` is not of."""
    owner = OWNERS.get(name.lower().partition("_")[0])
    return (
        owner is not None
        and "." in host
        and not belongs(host, owner)
        and not is_local(host)
        and "$" not in host
        and "{" not in host
    )


def _end_of_command(text: str, begin: int, end: int) -> int:
    """Return where the command or call that begins at ``begin`` ends, at most a few lines on."""
    stop = min(len(text), end + 900)
    line = text.find("\n", end, stop)
    if "(" in text[begin:end]:
        line = text.find("\n\n", end, stop)
    return stop if line < 0 else line
