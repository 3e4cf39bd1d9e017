"""The capability surface: everything that the files of a skill say they touch, by kind.

What was seen is listed whether it is harmless or not; judging is the business of the other modules. Lists are capped,
and a capped list says so as its last entry, so that no flood pushes an entry out unnoticed.
"""

import posixpath
import re
from collections.abc import Iterable

from repo_server.curation.checks import egress, executables, late, orders, persistence, secrets
from repo_server.curation.checks.document import Document, Language
from repo_server.curation.checks.parsed import ParsedSkill
from repo_server.curation.checks.runtimes import packages_in
from repo_server.curation.textsafe import visible
from repo_server.curation.tree import SourceTree
from signing.format.surface import MAX_ENTRIES, Surface

MAX_LISTED = 2_000  # of one kind; keeps a review readable by its own parser, and by people
_MAX_LENGTH = 500
_MORE = "(and more)"
assert MAX_LISTED < MAX_ENTRIES  # noqa: S101 - a contract between two constants

_SHELL_FENCES = frozenset(
    {
        "bash",
        "sh",
        "shell",
        "zsh",
        "console",
        "shell-session",
        "terminal",
        "fish",
        "powershell",
        "ps1",
        "bat",
        "cmd",
    }
)
_COMMAND = late.pattern(
    r"(?:^|\|\s{0,9}|&&\s{0,9}|;\s{0,9}|\$\(\s{0,5}|`)(?:\$\s|>\s|%\s)?\s{0,40}(?:sudo\s{1,3}|env\s{1,3}|time\s{1,3}|exec\s{1,3}|nohup\s{1,3}|xargs\s{1,3}(?:-\w{1,6}\s{1,3})?|(?:if|while|then|do|else|!)\s{1,3}|[A-Za-z_]\w{0,40}=\S{0,200}\s{1,3}){0,4}(?P<name>[A-Za-z_][\w.+-]{0,40})(?=[\s;)|`]|$)",
    re.MULTILINE,
)
_INLINE = late.pattern(r"(?<!`)`(?P<name>[a-z][\w.+-]{1,30})(?:\s[^`\n]{1,300})`(?!`)")
_ARGV = late.pattern(
    r"(?:subprocess\.\w{3,20}|Popen|execFile(?:Sync)?|spawn(?:Sync)?|create_subprocess_exec)\s?\(\s{0,20}\[?\s{0,20}[\"'](?P<name>[\w./+-]{1,60})[\"']|(?:os\.system|os\.popen|execSync|exec|shell_exec|system)\s?\(\s{0,20}f?[\"'`](?P<line>[A-Za-z_][\w.+-]{0,40})"
)
_KEYWORDS = frozenset(
    [
        "if",
        "then",
        "else",
        "elif",
        "fi",
        "for",
        "while",
        "until",
        "do",
        "done",
        "case",
        "esac",
        "in",
        "function",
        "select",
        "true",
        "false",
        "return",
        "local",
        "export",
        "set",
        "unset",
        "shift",
        "exit",
        "break",
        "continue",
        "echo",
        "cd",
        "test",
        "read",
        "printf",
        "source",
        "eval",
        "trap",
        "readonly",
        "declare",
        "wait",
        "let",
        "the",
        "a",
        "an",
        "and",
        "or",
        "not",
        "to",
        "of",
        "is",
        "are",
        "this",
        "that",
        "your",
        "you",
        "use",
        "when",
        "run",
        "import",
        "from",
        "def",
        "class",
        "const",
        "var",
        "print",
        "note",
        "see",
        "with",
    ]
)
_RUNTIMES = {
    "python": ("python", "python3", "python2", "uv", "uvx", "pip", "pip3", "pipx"),
    "node": ("node", "npx", "npm", "pnpm", "yarn", "tsx", "ts-node"),
    "bun": ("bun", "bunx"),
    "deno": ("deno",),
    "ruby": ("ruby", "gem", "bundle"),
    "perl": ("perl",),
    "php": ("php", "composer"),
    "go": ("go",),
    "rust": ("cargo", "rustc"),
    "java": ("java", "mvn", "gradle"),
    "docker": ("docker", "docker-compose", "podman"),
    "powershell": ("powershell", "pwsh"),
    "shell": ("bash", "sh", "zsh"),
}
_BY_ENDING = {
    ".py": "python",
    ".js": "node",
    ".mjs": "node",
    ".cjs": "node",
    ".ts": "node",
    ".rb": "ruby",
    ".pl": "perl",
    ".php": "php",
    ".ps1": "powershell",
    ".sh": "shell",
    ".bash": "shell",
    ".lua": "lua",
    ".go": "go",
    ".jar": "java",
}
_ENV = late.pattern(
    r"\$\{?(?P<shell>[A-Z][A-Z0-9_]{2,60})\b|os\.environ(?:\.get\(|\[)\s?[\"'](?P<py>\w{2,60})|os\.getenv\(\s?[\"'](?P<get>\w{2,60})|process\.env\.(?P<js>\w{2,60})|process\.env\[[\"'](?P<jsk>\w{2,60})|\$env:(?P<ps>\w{2,60})|ENV\[[\"'](?P<rb>\w{2,60})|(?<!\S)export\s{1,3}(?P<ex>[A-Z][A-Z0-9_]{2,60})=|(?<![\w$])(?P<bare>[A-Z][A-Z0-9]{1,30}(?:_[A-Z0-9]{1,30}){0,5}_(?:API_?KEY|TOKEN|SECRET|PASSWORD|KEY|URL|ID|HOST))(?!\w)"
)
_SIGNS_OF_ENV = (
    *("$", "os.environ", "os.getenv", "process.env", "env[", "export"),
    *(f"_{ending}" for ending in ["api", "token", "secret", "password", "key", "url", "id", "host"]),
)
_SHELL_OWN = frozenset(
    [
        "HOME",
        "PATH",
        "PWD",
        "USER",
        "SHELL",
        "IFS",
        "RANDOM",
        "LINENO",
        "OLDPWD",
        "SECONDS",
        "BASH_SOURCE",
        "BASH",
        "TERM",
        "LANG",
        "EOF",
        "TMPDIR",
        "UID",
        "EUID",
        "HOSTNAME",
        "REPLY",
        "OPTARG",
        "OPTIND",
        "PIPESTATUS",
        "ARGUMENTS",
        "CLAUDE_PLUGIN_ROOT",
    ]
)
_PATH = late.pattern(
    r"(?<![\w/.:@-])(?:~/[\w.@+-][\w./@+*-]{0,120}|\$\{?HOME\}?/[\w.@+-][\w./@+*-]{0,120}|/(?:etc|home|root|var|usr|opt|tmp|Users|Library|proc|dev|sys|bin|private|mnt|srv)/[\w.@+-][\w./@+*-]{0,120}|%(?:APPDATA|USERPROFILE|LOCALAPPDATA|TEMP)%[\w\\.-]{0,120}|[A-Z]:\\[\w\\.-]{1,120})"
)
_SIGNS_OF_PATHS = (
    "~/",
    "$home",
    "${home",
    "%",
    ":\\",
    *(
        f"/{name}/"
        for name in [
            "etc",
            "home",
            "root",
            "var",
            "usr",
            "opt",
            "tmp",
            "users",
            "library",
            "proc",
            "dev",
            "sys",
            "bin",
            "private",
            "mnt",
            "srv",
        ]
    ),
)
_BEFORE_WRITTEN = late.pattern(
    r"(?:>{1,2}\s{0,3}|\btee\s{1,3}(?:-a\s{1,3})?|\b(?:mkdir|touch|rm|rmdir)\s{1,3}(?:-\w{1,6}\s{1,3}){0,3}|(?:-o|--output)[ =]{1,3}|\b(?:cp|mv|ln|install)\s[^\n|;&]{1,120}\s|\b(?:append|write|add|save|insert)\w{0,4}\b[^.\n]{0,60}\b(?:to|into|in)\b[^.\n]{0,12})[\"'`]?$",
    re.IGNORECASE,
)
_AFTER_WRITTEN = late.pattern(
    r"^[\"'`]?\)?\s{0,3}(?:,\s{0,3}[\"'](?:a|w|wb|ab|w\+|a\+)[\"']|\.write_|\)\.write_)"
)


def surface_of(tree: SourceTree) -> Surface:
    """Return what ``tree`` says it touches."""
    return surface_on(ParsedSkill.of(tree))


def surface_on(skill: ParsedSkill) -> Surface:
    """Return what a parsed skill says it touches."""
    tree, documents = skill.tree, skill.documents
    commands = {name for document in documents for name in _commands(document)}
    read, written = _paths(documents)
    return Surface(
        hosts=_listed(skill.hosts.names),
        urls=_listed(url for document in documents for url in _urls(document)),
        commands=_listed(commands),
        runtimes=_listed(_runtimes(tree, commands)),
        packages=_listed(package.entry for document in documents for package in packages_in(document)),
        paths_read=_listed(read),
        paths_written=_listed(written),
        env_names=_listed(name for document in documents for name in _env_names(document)),
        tools=_listed(re.findall(r"[^\s,()]+(?:\([^()]*\)?)?", skill.front.allowed_tools)),
        file_types=_listed(_file_type(path) for path in tree.files),
        executables=_listed(executables.executables_of(tree)),
        instructions=_listed(_instructions(skill)),
    )


def _listed(entries: Iterable[str]) -> tuple[str, ...]:
    """Return the entries as a surface holds them: visible, sorted, once, bounded."""
    seen = {visible(entry, keep="")[:_MAX_LENGTH] for entry in entries}
    found = sorted(seen - {_MORE})
    cut = _MORE in seen or len(found) > MAX_LISTED
    return tuple(sorted([*found[:MAX_LISTED], _MORE])) if cut else tuple(found)


def _file_type(path: str) -> str:
    ending = posixpath.splitext(path.lower())[1]
    return ending[1:] or "(none)"


def _urls(document: Document) -> Iterable[str]:
    for match in egress.urls_in(document):
        scheme, _, rest = match.group().partition("://")
        authority, slash, path = rest.partition("/")
        # Without credentials: a surface is shown, signed and kept.
        yield f"{scheme.lower()}://{authority.rpartition('@')[2].lower()}{slash}{path}".rstrip(".,;:!*_)]}")


def _commands(document: Document) -> Iterable[str]:
    """The programs that scripts and instructions run, by their first words."""
    if document.language is Language.DATA:
        return
    if document.language is Language.SHELL:
        yield from _first_words(document.text)
    elif document.is_code:
        for match in document.places(_ARGV, "subprocess", "popen", "exec", "spawn", "system"):
            yield posixpath.basename(match["name"] or match["line"])
    else:
        for begin, end, language in document.fences:
            if language in _SHELL_FENCES:
                yield from _first_words(document.text[begin:end])
        for match in document.places(_INLINE, "`"):
            if match["name"] not in _KEYWORDS:
                yield match["name"]


def _first_words(text: str) -> Iterable[str]:
    for line in text.split("\n"):
        if line.lstrip().startswith("#"):
            continue
        for match in _COMMAND.finditer(line):
            if match["name"] not in _KEYWORDS and line[match.end() : match.end() + 1] != "=":
                yield match["name"]


def _runtimes(tree: SourceTree, commands: set[str]) -> Iterable[str]:
    for runtime, programs in _RUNTIMES.items():
        if commands.intersection(programs):
            yield runtime
    for path, file in tree.files.items():
        if by_ending := _BY_ENDING.get(posixpath.splitext(path.lower())[1]):
            yield by_ending
        if file.content.startswith(b"#!"):
            first = file.content[:200].split(b"\n")[0].decode("ascii", errors="replace")
            interpreter = re.sub(r"[0-9.]+$", "", posixpath.basename(first[2:].strip().rpartition(" ")[2]))
            yield {"bash": "shell", "sh": "shell", "zsh": "shell", "": "shell"}.get(interpreter, interpreter)


def _env_names(document: Document) -> Iterable[str]:
    for match in document.places(_ENV, *_SIGNS_OF_ENV):
        name = next(group for group in match.groups() if group)
        if name not in _SHELL_OWN:
            yield name


def _paths(documents: Iterable[Document]) -> tuple[set[str], set[str]]:
    read: set[str] = set()
    written: set[str] = set()
    for document in documents:
        for match in document.places(_PATH, *_SIGNS_OF_PATHS):
            path = re.sub(r"^\$\{?HOME\}?", "~", match.group()).rstrip(".*,:")
            before = document.joined[max(0, match.start() - 160) : match.start()]
            after = document.joined[match.end() : match.end() + 60]
            is_written = _BEFORE_WRITTEN.search(before) or _AFTER_WRITTEN.match(after)
            (written if is_written else read).add(path)
        read.update(
            place.name for place in secrets.secrets_in(document) if place.name != "the whole environment"
        )
    return read, written


def _instructions(skill: ParsedSkill) -> Iterable[str]:
    """The kinds of order to the agent, whatever they weigh."""
    for _, hit in skill.judged(orders.judge):
        yield hit.check.partition(".")[2]
    for _, hit in skill.judged(persistence.judge):
        yield f"changes-{hit.check.partition('.')[2]}"
