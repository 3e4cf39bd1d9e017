"""Where secrets lie: files, stores and environment variables, and what reads the whole environment.

*Strong* are places that hold nothing but secrets of the user, which no skill has business with. *Weak* is what an
honest skill reads for its own service: a ``.env`` in the project, the variable ``ACME_API_KEY``.
"""

import re
from typing import NamedTuple

from repo_server.curation.checks import late
from repo_server.curation.checks.document import MAX_PLACES, Document, once
from repo_server.curation.checks.phrases import Phrases

STRONG = (
    r"\.ssh(?:/|\\|\b)|\.aws\b|\.aws/credentials|\.netrc\b|\.kube(?:/|\\)config|\.docker(?:/|\\)config\.json|\.npmrc\b|\.pypirc\b|\.git-credentials\b"
    r"|\.gnupg\b|\.config/gcloud|\.azure(?:/|\\)|\.config/gh/hosts|\.config/op\b|\.password-store|\.vault-token|\.terraform\.d/credentials|\.cargo/credentials"
    r"|\.claude/\.?credentials|\.claude\.json|\.codex/auth\.json|\.hermes/\.env|\.openclaw/(?:\.env|credentials|openclaw\.json|config)|\.clawdbot/(?:\.env|credentials)|\.gemini/oauth"
    r"|id_rsa\b|id_ed25519\b|id_ecdsa\b|authorized_keys|/etc/shadow|/etc/master\.passwd|\.pgpass\b|\.my\.cnf\b|wallet\.dat|keystore\.json|\.electrum|\.ethereum|\.bitcoin|metamask|exodus[\\/]|\.config/solana/id\.json"
    r"|login data\b|cookies\.sqlite|logins\.json|key4\.db|/cookies\b(?=[\"'\s])|login\.keychain|web data\b(?=[\"'/])"
    r"|local storage/leveldb|discord/local|telegram desktop/tdata|tdata/|signal/config\.json|\.bash_history|\.zsh_history|\.lesshst|\.mysql_history|\.psql_history|consolehost_history"
)
_STRONG = Phrases(STRONG)
_STORES = Phrases(
    r"\bsecurity\s{1,4}(?:find-(?:generic|internet)-password|dump-keychain|export)|\bsecret-tool\s{1,4}(?:lookup|search)|\bcmdkey\s{1,4}/list|\bvaultcmd\b|\bkeyring\.get_password|mimikatz|lazagne"
    r"|credentialmanager|cryptunprotectdata|browser_cookie3|\bpass\s{1,3}show\b|169\.254\.169\.254|metadata\.google\.internal|\bgh\s{1,4}auth\s{1,4}token\b|\bgcloud\s{1,4}auth\s{1,4}print-access-token|\baws\s{1,4}configure\s{1,4}get\b|\bop\s{1,4}item\s{1,4}get\b"
    r"|seed phrase|mnemonic phrase|recovery phrase|private keys?\b(?=[^.\n]{0,40}wallet)|wallet(?:'s)? private key"
)
_WHOLE_ENVIRONMENT = Phrases(
    r"\bprintenv\b(?!\s{1,3}[a-z_])|(?:^|[\s`;|(&$])env\s{0,3}(?:\||>|\)|$)|(?:output|result|content|value)s? of `env`|(?:run|include|execute|dump|collect) `env`|(?:^|[\s`;|(])set\s{1,3}\|"
    r"|\bdict\(\s?os\.environ|\bos\.environ(?:\.(?:items|copy|values|keys)\(|\s{0,2}[,)}\n]|\b\s{0,3}\})|json\.dumps\(\s?(?:dict\()?os\.environ|object\.(?:entries|assign|keys)\(\s?(?:\{\},\s?)?process\.env\s?\)|json\.stringify\(\s?process\.env\s?[,)]|\.\.\.process\.env|(?<!env)[:(,]\s?process\.env\s{0,2}[,})]|(?:get-childitem|gci|dir|ls)\s{1,3}env:"
    r"|variables? (?:that |which )?(?:ends?|ending|named|matching|containing|contain|start\w{0,4})[^.\n]{0,30}`?_?(?:key|token|secret|password)|(?:contents?|values?) of (?:all|every)[^.\n]{0,20}(?:secrets?|variables?|credentials?)|path\.home\(\)[^\n]{0,60}(?:glob|iterdir|walk)\(|os\.walk\(\s?os\.path\.expanduser|(?:all|every|dump|the full|entire|complete)\s{1,3}(?:of the\s{1,3}|your\s{1,3}|the\s{1,3}|available\s{1,3})?(?:environment|env)(?:\s{1,3}variables?|\s{1,3}vars?)\b",
    flags=re.IGNORECASE | re.MULTILINE,
)
_DOT_ENV = late.pattern(
    r"(?<![\w.])(?:~/|\./|\.\./|\$home/|[\w./-]{1,40}/)?\.env(?:\.(?:local|production|prod|development))?\b(?!\.(?:example|sample|template))(?![(\[:])"
)
_SECRET_NAME = late.pattern(
    r"(?<![a-z0-9_])(?P<name>[a-z][a-z0-9]{0,30}(?:_[a-z0-9]{1,30}){0,5}_(?:api_?key|key|token|secret|password|passwd|pat|credentials?|auth|access_key(?:_id)?|secret_access_key|private_key|apikey|mnemonic|seed)|gh_token|openai_api_key|database_url|api_key|auth_token|access_token)(?![a-z0-9_])"
)


class SecretPlace(NamedTuple):
    """A place where secrets lie: its offset, what it is called there, and whether it is *strong*."""

    at: int
    name: str
    strong: bool


@once
def secrets_in(document: Document) -> list[SecretPlace]:
    """Return where ``document`` names a place of secrets, in order."""
    lower = document.lower
    found: list[SecretPlace] = []
    found += [
        SecretPlace(match.start(), match.group().lower(), strong=True) for match in document.places(_STRONG)
    ]
    found += [
        SecretPlace(match.start(), match.group().lower(), strong=True) for match in document.places(_STORES)
    ]
    found += [
        SecretPlace(match.start(), "the whole environment", strong=True)
        for match in document.places(_WHOLE_ENVIRONMENT)
    ]
    if ".env" in lower:
        found += [SecretPlace(match.start(), ".env", strong=False) for match in _DOT_ENV.finditer(lower)]
    document.crowded |= len(found) > MAX_PLACES
    return sorted(found)[:MAX_PLACES]


@once
def secret_names_in(document: Document) -> list[SecretPlace]:
    """Return the names of secret environment variables, in order."""
    found = [
        SecretPlace(match.start(), document.text[match.start() : match.end()], strong=False)
        for match in _SECRET_NAME.finditer(document.lower)
        if document.text[match.start() : match.end()].isupper()
    ]
    document.crowded |= len(found) > MAX_PLACES
    return found[:MAX_PLACES]
