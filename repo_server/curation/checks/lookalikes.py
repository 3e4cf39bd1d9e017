"""Names that are meant to be taken for others: of hosts, of commands, of packages.

    https://github.com.login.example     a known host, as a label of somebody else's
    https://githuub.example              one letter away, or drawn alike (rn for m, 0 for o)
    сurl, sudо                           a command with one letter of another alphabet
    pip install reqeusts                 a package one letter away from what everybody uses

Only a bounded list of names that everybody knows is compared. Look-alike letters are looked for in the text as it was
written: everything else reads it folded, so that the disguise itself would not be seen.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from repo_server.curation.checks import egress, late
from repo_server.curation.checks.context import is_warning
from repo_server.curation.checks.document import Document, Hit, Language
from repo_server.curation.checks.folding import folded, skeleton
from repo_server.curation.checks.names import one_edit
from repo_server.curation.checks.purpose import Purpose
from repo_server.curation.checks.runtimes import packages_in
from signing.format.finding import Severity

_CHECK = "lookalikes."
_HOSTS_NAMED = (
    "github.com gitlab.com bitbucket.org google.com googleapis.com microsoft.com microsoftonline.com "
    "apple.com icloud.com amazon.com amazonaws.com paypal.com stripe.com dropbox.com facebook.com "
    "instagram.com linkedin.com twitter.com discord.com telegram.org whatsapp.com anthropic.com "
    "claude.ai openai.com chatgpt.com huggingface.co cloudflare.com docker.com python.org debian.org "
    "ubuntu.com mozilla.org metamask.io coinbase.com binance.com wikipedia.org youtube.com "
    "netflix.com spotify.com atlassian.com jetbrains.com digitalocean.com heroku.com vercel.com "
    "netlify.com supabase.com salesforce.com hubspot.com shopify.com airtable.com zapier.com "
    "oracle.com nvidia.com pytorch.org tensorflow.org kubernetes.io hashicorp.com stackoverflow.com "
    "revolut.com sourceforge.net "
)
_HOSTS = tuple(_HOSTS_NAMED.split())
_BRANDS = tuple(sorted({host.partition(".")[0] for host in _HOSTS}))
_PACKAGES_NAMED = (
    "requests numpy pandas scipy matplotlib tensorflow pytorch torchvision transformers scikit-learn "
    "pillow django fastapi uvicorn starlette pydantic sqlalchemy alembic celery beautifulsoup4 "
    "selenium playwright openpyxl python-docx python-pptx python-dateutil pypdf pypdf2 pdfplumber "
    "reportlab pyyaml cryptography urllib3 certifi aiohttp httpx jinja2 boto3 botocore psycopg2 "
    "psycopg2-binary pymongo pytest pytest-xdist setuptools virtualenv poetry openai anthropic "
    "langchain langchain-core tiktoken gitpython paramiko cython networkx seaborn plotly streamlit "
    "gradio jupyter jupyterlab notebook ipython xgboost lightgbm opencv-python tokenizers "
    "huggingface-hub colorama requests-oauthlib icalendar markdown pandoc weasyprint lodash express "
    "typescript webpack eslint prettier mongoose puppeteer react react-dom react-router angular "
    "next-auth nodemon dotenv chalk commander inquirer axios moment socket.io mocha sharp redux "
    "tailwindcss postcss autoprefixer babel-core svelte vitest esbuild rollup turbo prisma sequelize "
    "passport jsonwebtoken bcrypt cors helmet multer winston cheerio jquery bootstrap discord.js "
    "ethers web3 hardhat asciidoctor asciidoctor-pdf "
)
_PACKAGES = frozenset(_PACKAGES_NAMED.split())
_PACKAGES_IN_ORDER = sorted(_PACKAGES)
_SHORTEST = 6  # letters: of shorter names many are one letter apart, and nobody confuses them
# Names that are one letter away from a known one, and are known themselves.
_KNOWN_NAMED = (
    "preact preact-router reach-router enquirer msbuild jslint bcrypto auto-prefixer calendar network "
    "networks openapi python cpython bpython mcrypt gramio nollup chalks request types mutter redis "
    "mquery pgtest scrapy django-rest discord "
)
_KNOWN = frozenset(_KNOWN_NAMED.split())
_COMMANDS_NAMED = (
    "curl wget sudo ssh scp git npm npx pip pip3 python python3 node bash sh zsh docker kubectl aws "
    "gcloud gh rm cp cat cd ls chmod brew apt yarn pnpm uv uvx cargo make "
)
_COMMANDS = frozenset(_COMMANDS_NAMED.split())
_TOKEN = late.pattern(r"[^\s\"'`<>()\[\]{}|;,=]{2,200}")
_HOST_SHAPE = late.pattern(
    r"^(?:[a-z][a-z0-9+.-]{1,10}://)?[\w.-]{1,120}\.[a-z]{2,12}(?:[/:?#]|$)", re.IGNORECASE
)
_TWO_ALPHABETS = late.pattern(
    r"[A-Za-z][^\W\d_]{0,60}[\u0370-\u03ff\u0400-\u052f\u0531-\u0587]|[\u0370-\u03ff\u0400-\u052f\u0531-\u0587][^\W\d_]{0,60}[A-Za-z]"
)
_ANOTHER_ALPHABET = late.pattern("[\u0370-\u03ff\u0400-\u052f\u0531-\u0587]")
_FOREIGN_INDEX = late.pattern(
    r"--(?:extra-)?index-url|\s-i\s|--registry|--source|git\+|--find-links|\s-c\s{1,3}https?:"
)
_MAX = 2_000


def judge(document: Document, purpose: Purpose) -> Iterator[Hit]:
    """Yield names in one text that are meant to be taken for others."""
    if document.language is Language.DATA and not document.how:
        return
    if not document.how and not document.original.isascii() and _ANOTHER_ALPHABET.search(document.original):
        yield from _drawn_alike(document)
    yield from _hosts(document, purpose)
    yield from _packages(document)


def _drawn_alike(document: Document) -> Iterator[Hit]:
    """Hosts and commands with a letter of another alphabet; a word of prose is `unicode.mixed-script`."""
    for row, line in enumerate(document.original.split("\n")):
        if _TWO_ALPHABETS.search(line):
            for token in _TOKEN.findall(line)[:_MAX]:
                if not _TWO_ALPHABETS.search(token):
                    continue
                plain = folded(token)
                is_host = _HOST_SHAPE.match(plain) is not None and plain != token
                if is_host or plain.strip(".:!$\\").lower() in _COMMANDS:
                    kind = "host" if is_host else "command"
                    message = f"{token[:80]!a} is written with letters of two alphabets: it is not the {kind} that it looks like"
                    begin = document.line_bounds(row)[0]
                    yield Hit(check=f"{_CHECK}{kind}", severity=Severity.BLOCK, at=begin, message=message)
                    break


def _hosts(document: Document, purpose: Purpose) -> Iterator[Hit]:
    seen: set[str] = set()
    for url in egress.urls_in(document):
        authority = url["authority"]
        host = egress.host_of(authority)
        if host in seen or egress.is_local(host) or len(seen) > _MAX:
            continue
        seen.add(host)
        like = _like(host) or _before_at(authority)
        if like and not purpose.names_host(host) and not is_warning(document, url.start()):
            message = f"{host[:80]!a} looks like {like}, and is another host"
            yield Hit(check=f"{_CHECK}host", severity=Severity.BLOCK, at=url.start(), message=message)


def _like(host: str) -> str:
    """Return the known name for which ``host`` can be taken, or an empty text."""
    if egress.belongs(host, _HOSTS):
        return ""
    for known in _HOSTS:
        if f".{known}." in f".{host}." and not known.startswith("python."):
            return known
    label = host.rpartition(".")[0].rpartition(".")[2]
    plain = skeleton(_decoded(label)).replace("rn", "m").replace("vv", "w")
    if label in _BRANDS or len(label) < _SHORTEST:
        return ""
    for brand in _BRANDS:
        if plain == _skeleton(brand) or (len(brand) >= _SHORTEST and one_edit(label, brand)):
            return brand
    return ""


@lru_cache(maxsize=len(_BRANDS))
def _skeleton(brand: str) -> str:
    return skeleton(brand)


def _decoded(label: str) -> str:
    """Return the letters that a punycode label stands for."""
    if not label.startswith("xn--"):
        return label
    try:
        return folded(label.removeprefix("xn--").encode().decode("punycode"))
    except UnicodeError:
        return label


def _before_at(authority: str) -> str:
    """Return a known host that stands where the user's name belongs: https://github.com@x.example."""
    user = authority.rpartition("@")[0].partition(":")[0].lower()
    return user if user and egress.belongs(user, _HOSTS) else ""


def _packages(document: Document) -> Iterator[Hit]:
    for package in packages_in(document):
        if package.tool in {"docker", "go", "brew"}:
            continue
        name = package.name.lower().replace("_", "-")
        if name.startswith("@") or name in _PACKAGES or name in _KNOWN:
            continue
        whole = _near(name)
        foreign = _FOREIGN_INDEX.search(document.line_text(package.at)) is not None
        like = whole or (_near(name.partition("-")[0]) if foreign else "")
        if like and not is_warning(document, package.at):
            message = f"the package {name[:80]!a} is one letter away from {like!r}, which everybody knows"
            severity = Severity.BLOCK if foreign or _is_slip(name, like) else Severity.LOOK
            yield Hit(check=f"{_CHECK}package", severity=severity, at=package.at, message=message)


def _is_slip(name: str, like: str) -> bool:
    """Whether a hand slips so: a letter left out, doubled or exchanged with its neighbour; ``djongo`` is chosen."""
    return (
        len(name) < len(like)
        or sorted(name) == sorted(like)
        or any(name[at] == name[at + 1] and name[:at] + name[at + 1 :] == like for at in range(len(name) - 1))
        or skeleton(name) == skeleton(like)
    )


def _near(name: str) -> str:
    if len(name) < _SHORTEST or name.rstrip("0123456789") in _PACKAGES or name in _PACKAGES | _KNOWN:
        return ""
    return next(
        (known for known in _PACKAGES_IN_ORDER if len(known) >= _SHORTEST and one_edit(name, known)), ""
    )
