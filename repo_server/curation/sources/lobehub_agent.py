r"""An old LobeHub agent template, written again as a SKILL.md.

    {"identifier":"sql-explainer",                      ---
     "meta":{"title":"SQL explainer",                   name: "sql-explainer"
             "description":"Explains SQL …"},     ─►    description: "Explains SQL …"
     "config":{"systemRole":"You explain SQL.\n"}}      metadata:
                                                          title: "SQL explainer"
                                                        ---
                                                        You explain SQL.

A template is text from a stranger that becomes front matter, and front matter grants tools. Joining strings lets
a line break in ``description`` add the key ``allowed-tools``. So every value is written as one double-quoted line
with its line breaks escaped, and the result is read back: it must say what was put in, key by key, or it is
refused. Characters that are hidden but legal stay as they are, where the checks of the raw text see them.

The same template always gives the same bytes. What a SKILL.md has no place for (a model, plug-ins, opening
messages) is named, not carried over.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from repo_server.curation.frontmatter import read_front_matter
from signing.errors import FormatError, WrongSubjectError

MAX_TEXT: Final = 4_000
_CARRIED: Final = frozenset({"systemRole"})
# Bookkeeping of the index, not instructions: these may disappear without a word.
_BOOKKEEPING: Final = frozenset(
    {"author", "config", "createdAt", "homepage", "identifier", "meta", "schemaVersion", "tokenUsage"}
)
_METADATA: Final = ("title", "category", "tags", "author", "homepage", "created")
_NOT_IN_NAME = re.compile(r"[^a-z0-9]+", re.ASCII)
# All but what YAML calls printable; and of that, quotes, its other line breaks, and the byte order mark.
_ESCAPED = re.compile(r'["\\\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]')
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """An agent template as far as a skill can hold it. ``left_out`` names what it cannot."""

    identifier: str
    description: str
    body: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the skill: the identifier in the one spelling that skills have."""
        name = _NOT_IN_NAME.sub("-", self.identifier.lower()).strip("-")
        return name if name[:1].isalpha() else f"agent-{name}"


def parse_agent(document: Mapping[str, Any], *, identifier: str) -> Agent:
    """Return the agent that ``document`` describes.

    Raises:
        WrongSubjectError: it is about another agent.
        FormatError: it has no system role, or a text is missing, endless or none.
    """
    if document.get("identifier") != identifier:
        raise WrongSubjectError("the index answers about another agent", where=f"lobehub agent {identifier}")
    meta, config = _object(document, "meta"), _object(document, "config")
    body = config.get("systemRole")
    if not isinstance(body, str) or not body.strip():
        raise FormatError(
            "has no system role, so there is nothing to import", where="lobehub config.systemRole"
        )
    created, tags = document.get("createdAt", ""), meta.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise FormatError("is not a list of texts", where="lobehub meta.tags")
    said = {
        "title": _text(meta, "title"),
        "category": _text(meta, "category"),
        "tags": ", ".join(tags)[: MAX_TEXT + 1],
        "author": _text(document, "author"),
        "homepage": _text(document, "homepage"),
        "created": created if isinstance(created, str) else "",
    }
    for key, text in said.items():
        _check_length(text, key)
    left_out = [f"config.{key}" for key in config if key not in _CARRIED and _says_something(config[key])]
    left_out += [key for key in document if key not in _BOOKKEEPING and _says_something(document[key])]
    return Agent(
        identifier=identifier,
        description=_text(meta, "description"),
        body=body,
        metadata={key: said[key] for key in _METADATA if said[key]},
        left_out=tuple(sorted(left_out)),
    )


def render_skill_md(agent: Agent) -> bytes:
    """Return ``agent`` as a SKILL.md that says exactly what the agent says.

    Raises:
        FormatError: it cannot be written so that it is read back as it is.
    """
    lines = ["---", f"name: {_quoted(agent.name)}", f"description: {_quoted(agent.description)}"]
    if agent.metadata:
        lines.append("metadata:")
        lines += [f"  {key}: {_quoted(text)}" for key, text in agent.metadata.items()]
    front = "\n".join([*lines, "---", ""])
    try:
        content = f"{front}{agent.body}".encode()
    except UnicodeEncodeError as error:
        raise FormatError("holds half a character", where="lobehub agent") from error
    _check_read_back(content, agent)
    return content if content.endswith(b"\n") else content + b"\n"


def _check_read_back(content: bytes, agent: Agent) -> None:
    """Read the front matter as everybody will. A mistake in the lines above is then an error, not a key."""
    front, _ = read_front_matter(content)
    told = (agent.name, agent.description, dict(agent.metadata), "", "", "", ())
    heard = (front.name, front.description, dict(front.metadata))
    if (*heard, front.licence, front.compatibility, front.allowed_tools, front.unknown) != told:
        raise FormatError("cannot be written as front matter without changing it", where="lobehub agent")


def _quoted(text: str) -> str:
    """Return ``text`` as a double-quoted YAML scalar on one line (YAML 1.1, section 5.6)."""
    return f'"{_ESCAPED.sub(_escape, text)}"'


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    code = f"\\x{ord(character):02X}" if character <= "\xff" else f"\\u{ord(character):04X}"
    return _SHORT.get(character, code)


def _object(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key)
    if not isinstance(value, dict):
        raise FormatError("is not an object", where=f"lobehub {key}")
    return value


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key, "")
    if not isinstance(value, str):
        raise FormatError("is not text", where=f"lobehub {key}")
    _check_length(value, key)
    return value


def _check_length(text: str, key: str) -> None:
    if len(text) > MAX_TEXT:
        raise FormatError(f"is longer than {MAX_TEXT} characters", where=f"lobehub {key}")


def _says_something(value: object) -> bool:
    return bool(value)
