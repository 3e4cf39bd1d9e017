"""The front matter of SKILL.md: split, read strictly, judged in one of two profiles.

    ---
    name: web-search                       1 to 64 of a-z, 0-9 and single hyphens
    description: Search the web. Use when  1 to 1024 characters
    license: MIT                           optional
    compatibility: Requires network        optional, at most 500
    metadata:                              optional, text to text
      version: "1.0"
    allowed-tools: Read Bash(git:*)        optional, text
    ---

(Agent Skills specification, docs/specification.mdx.) Of real skills two in three are not in this form, so the
*import* profile only asks a reviewer to look; the *publish* profile refuses. Some problems block in both: what
makes two readers see two skills (anchors, tags, keys twice, byte order mark, a name in other letters).

A problem is returned, never raised: a reviewer wants all of them, also those of a hostile file.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from repo_server.curation.textsafe import excerpt
from repo_server.curation.yamltext import Parsed, Scalar, parse_mapping
from signing.errors import FormatError
from signing.format.finding import Severity
from signing.format.names import SkillName, parse_skill_name

MAX_BYTES = 64 << 10
MAX_DESCRIPTION = 1024
MAX_COMPATIBILITY = 500
_KNOWN = frozenset({"name", "description", "license", "compatibility", "metadata", "allowed-tools"})
_ALWAYS_BLOCK = frozenset(
    {
        "anchor",
        "bom",
        "confusable-name",
        "depth",
        "documents",
        "hijacks",
        "duplicate",
        "encoding",
        "inner-fence",
        "runs",
        "shape",
        "size",
    }
    | {"tag", "unclosed"}
)
_ALWAYS_LOOK = frozenset({"carriage-return", "flow", "wide-tools", "always", "orders", "settings"})
# Keys that some agents act on: they start programs, or switch the skill on without being asked.
_RUNNING = frozenset(
    {
        "hooks",
        "mcpservers",
        "mcp-servers",
        "mcp_servers",
        "mcp",
        "command",
        "install",
        "setup",
        "postinstall",
        "preinstall",
    }
)
_ALWAYS = frozenset(
    {"always", "alwaysapply", "always-apply", "always_apply", "autorun", "auto-run", "auto_run"}
)
_STARTS = re.compile(
    r"https?://|\b(?:curl|wget|iwr|irm|eval|base64|nc|powershell)\b|\b(?:ba|z)?sh\s{1,3}-c\b|\|\s{0,3}(?:ba|z)?sh\b|\bnpx\s{1,3}-y\b",
    re.IGNORECASE,
)
_APPLIES_ALWAYS = re.compile(
    r"\b(?:always (?:use|load|apply|activate|run|invoke|follow|start|call|read)|must (?:always )?(?:be )?(?:used?|load(?:ed)?|appl(?:y|ied)|run|activated?|invoked?|read|called) (?:first|before|for (?:every|each|all|any)|in (?:every|each|all)|on (?:every|each))|(?:for|in|on|before|at the start of) (?:every|each|all|any) (?:conversation|session|request|message|task|prompt|answer|response|question|turn)s?\b|regardless of (?:the )?(?:task|topic|request)|no matter what|takes? (?:precedence|priority) over|overrid\w{1,3} (?:all )?other|before (?:doing|answering) anything|instead of (?:any|all) other skills?)"
    r"|bei jede[rm] (?:anfrage|gespräch|aufgabe)|immer (?:verwenden|laden|nutzen|anwenden)|ob vsak\w{1,3} (?:pogovor|vprašanj|nalog)|vedno uporabi|toujours (?:utiliser|charger|appliquer)|(?:dans|à|pour) chaque (?:conversation|demande|message|tâche)|siempre (?:usar|usa|cargar|aplicar)|(?:en|para|antes de) cada (?:conversación|petición|mensaje|tarea|respuesta)|(?:in|per|a) ogni (?:conversazione|richiesta|messaggio|attività)|sempre (?:usare|usar|carregar|aplicar)|(?:em|para) cada (?:conversa|pedido|mensagem|tarefa)|(?:в|при|перед) кажд\w{1,3} (?:разговор|запрос|сообщени|задач|ответ)|всегда (?:использ|загруж|применя)|(?:每次|所有|任何|每个)(?:对话|请求|任务|会话|消息|问题)|必须(?:首先|始终|总是)|总是使用|(?:すべて|全て|毎回)の?(?:会話|依頼|リクエスト|タスク)|必ず(?:最初|使用)",
    re.IGNORECASE,
)
_ORDERS = re.compile(
    r"https?://[^\s\"']{3,200}|\b(?:run|execute|send|upload|post|ignore|disregard)\b[^.\n]{0,60}(?:`|scripts?/|\.sh\b|\.py\b|instructions|conversation|https?:)|\b(?:do not|don't|never) (?:tell|mention|inform|show)\b|不要告诉|без ведома",
    re.IGNORECASE,
)
_FENCE = "---"
_LIKE_A_FENCE = re.compile(r"\s*-{3,}\s*")
_TOOL = re.compile(r"[^\s,()]+(?:\([^()]*\)?)?")
_SHELL_TOOLS = frozenset(
    {"*", "bash", "shell", "sh", "zsh", "powershell", "pwsh", "terminal", "exec", "execute"}
)
_ANYTHING = frozenset({"", "*", ":*", "*:*", "**"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontMatter:
    """What the front matter says, as text; empty where it says nothing or nothing readable."""

    name: str = ""
    description: str = ""
    licence: str = ""
    compatibility: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    allowed_tools: str = ""
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong. ``line`` counts from 1 in SKILL.md."""

    code: str
    severity: Severity
    line: int
    message: str


def read_front_matter(
    content: bytes, *, strict: bool = False, expected: SkillName | None = None
) -> tuple[FrontMatter, list[Problem]]:
    """Return the front matter of the SKILL.md ``content`` and everything that is wrong with it.

    Args:
        content: the bytes of SKILL.md.
        strict: the publish profile; otherwise the import profile.
        expected: the name under which the skill is to be published, when that is known.
    """
    judge = _Judge(strict=strict)
    block = _split(content, judge)
    if block is None:
        return FrontMatter(), judge.problems
    parsed = parse_mapping(block)
    for trouble in parsed.troubles:
        judge.problem(trouble.code, trouble.line + 1, trouble.message)
    fields = _Texts(parsed, judge)
    front = FrontMatter(
        name=fields.text("name"),
        description=fields.text("description"),
        licence=fields.text("license"),
        compatibility=fields.text("compatibility"),
        metadata=fields.mapping("metadata"),
        allowed_tools=fields.text("allowed-tools"),
        unknown=tuple(sorted(set(parsed.root) - _KNOWN)),
    )
    _check(front, fields, judge, expected)
    return front, list(dict.fromkeys(judge.problems))


class _Judge:
    """Collects problems and weighs them by profile."""

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self.problems: list[Problem] = []

    def problem(self, code: str, line: int, message: str) -> None:
        if code in _ALWAYS_BLOCK or (self._strict and code not in _ALWAYS_LOOK):
            severity = Severity.BLOCK
        else:
            severity = Severity.LOOK
        self.problems.append(Problem(code=code, severity=severity, line=line, message=message))


class _Texts:
    """The values of the root mapping, as text or as a problem."""

    def __init__(self, parsed: Parsed, judge: _Judge) -> None:
        self._root, self._lines, self._judge = parsed.root, parsed.lines, judge

    def line(self, key: str) -> int:
        return self._lines.get(key, 0) + 1

    def text(self, key: str) -> str:
        node: Any = self._root.get(key)
        if node is None:
            return ""
        if not isinstance(node, Scalar):
            self._judge.problem("type", self.line(key), f"{key} must be text")
            return ""
        if node.typed:
            self._judge.problem(
                "type", self.line(key), f"{key} is read as a number, date or boolean; quote it"
            )
        return node.text

    def all_text(self, key: str) -> str:
        """Return every piece of text under ``key``, however deep, in order."""
        found: list[str] = []
        waiting: list[Any] = [self._root.get(key)]
        while waiting:
            node = waiting.pop(0)
            if isinstance(node, Scalar):
                found.append(node.text)
            elif isinstance(node, dict):
                waiting = [*node.values(), *waiting]
            elif isinstance(node, list):
                waiting = [*node, *waiting]
        return " ".join(found)

    def mapping(self, key: str) -> dict[str, str]:
        node: Any = self._root.get(key)
        if node is None:
            return {}
        if not isinstance(node, dict):
            self._judge.problem("type", self.line(key), f"{key} must be a mapping of text to text")
            return {}
        for name, value in node.items():
            if not isinstance(value, Scalar) or value.typed:
                line = value.line + 1 if isinstance(value, Scalar) else self.line(key)
                message = f"{key}.{excerpt(name)} must be text; put a number or date in quotes"
                self._judge.problem("type", line, message)
        return {name: value.text for name, value in node.items() if isinstance(value, Scalar)}


def _split(content: bytes, judge: _Judge) -> str | None:
    """Return the text between the fences, which are whole lines; None when there is none."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        judge.problem("encoding", 0, "SKILL.md is not UTF-8 text")
        return None
    if text.startswith("\ufeff"):
        judge.problem(
            "bom", 1, "starts with a byte order mark, so some readers see no front matter; remove it"
        )
        text = text[1:]
    lines = text[: 2 * MAX_BYTES].split("\n")
    if any(line.endswith("\r") for line in lines):
        judge.problem("carriage-return", 1, "has Windows line ends; save it with plain line feeds")
        lines = [line.removesuffix("\r") for line in lines]
    if lines[0] != _FENCE:
        judge.problem("missing", 1, "no front matter: the first line must be ---")
        return None
    if _FENCE not in lines[1:]:
        judge.problem("unclosed", 1, "the front matter is not closed by a line ---, or is far too long")
        return None
    block = "\n".join(lines[1 : lines.index(_FENCE, 1)])
    _check_fences(block, judge)
    if len(block.encode()) > MAX_BYTES:
        judge.problem("size", 1, f"the front matter is larger than {MAX_BYTES} bytes")
        return None
    return block


def _check_fences(block: str, judge: _Judge) -> None:
    """Find lines at which another reader ends the front matter: it would see other keys than this one."""
    for number, line in enumerate(block.split("\n"), start=2):
        # splitlines also ends lines at U+2028 and the like, as such a reader may.
        if any(_LIKE_A_FENCE.fullmatch(part) for part in line.splitlines()):
            message = (
                "looks like the end of the front matter, and is read as such elsewhere; remove the dashes"
            )
            judge.problem("inner-fence", number, message)


def _is_wide(tool: str) -> bool:
    """Return whether ``tool`` stands for any command."""
    name, scoped, scope = tool.partition("(")
    inside = "".join(scope.removesuffix(")").split())
    return inside in _ANYTHING if scoped else name.casefold() in _SHELL_TOOLS


def _check(front: FrontMatter, fields: _Texts, judge: _Judge, expected: SkillName | None) -> None:
    _check_name(front.name, fields.line("name"), judge, expected)
    if not 1 <= len(front.description.strip()) <= len(front.description) <= MAX_DESCRIPTION:
        size = len(front.description)
        message = f"description has {size} characters; 1 to {MAX_DESCRIPTION} are allowed"
        judge.problem("description", fields.line("description"), message)
    if len(front.compatibility) > MAX_COMPATIBILITY:
        message = f"compatibility is longer than {MAX_COMPATIBILITY} characters"
        judge.problem("compatibility", fields.line("compatibility"), message)
    for tool in _TOOL.findall(front.allowed_tools):
        if _is_wide(tool):
            message = f"allowed-tools grants {excerpt(tool)}: any command, without asking; name the commands"
            judge.problem("wide-tools", fields.line("allowed-tools"), message)
    _check_description(front.description, fields.line("description"), judge)
    for key in front.unknown:
        if key.casefold() in _RUNNING:
            _check_running(key, fields, judge)
            continue
        if key.casefold() in _ALWAYS:
            judge.problem(
                "always",
                fields.line(key),
                f"{excerpt(key)!r} switches the skill on without being asked; remove it",
            )
            continue
        message = f"{excerpt(key)!r} is not in the specification; some agents act on it and others do not"
        judge.problem("unknown-key", fields.line(key), message)


def _check_running(key: str, fields: _Texts, judge: _Judge) -> None:
    """A key by which an agent starts programs: with a download or a shell in it, it runs before anybody reads."""
    said = fields.all_text(key)
    if _STARTS.search(said):
        message = f"{excerpt(key)!r} starts a program when the skill is loaded: {excerpt(said)}; remove it"
        judge.problem("runs", fields.line(key), message)
    else:
        message = f"{excerpt(key)!r} lets some agents start programs when the skill is loaded; remove it"
        judge.problem("settings", fields.line(key), message)


def _check_description(description: str, line: int, judge: _Judge) -> None:
    """The description is read in every session, also when the skill is not used: it is no place for orders."""
    always, orders = _APPLIES_ALWAYS.search(description), _ORDERS.search(description)
    if always and orders:
        message = f"the description wants to apply always ({excerpt(always.group())!r}) and gives orders ({excerpt(orders.group())!r})"
        judge.problem("hijacks", line, message)
    elif always:
        judge.problem("orders", line, f"the description wants to apply always: {excerpt(always.group())!r}")


def _check_name(name: str, line: int, judge: _Judge, expected: SkillName | None) -> None:
    if not name.isascii():
        message = f"name {name[:80]!a} is not ASCII: it can look like another skill's name"
        judge.problem("confusable-name", line, message)
        return
    try:
        parse_skill_name(name)
    except FormatError as error:
        judge.problem("name", line, error.message if name else "there is no name")
        return
    if expected is not None and name != expected:
        judge.problem("name", line, f"name is {name!r}, but the skill is to be published as {expected!r}")
