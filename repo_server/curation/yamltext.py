"""YAML, reduced to what a front matter needs: one mapping of text.

    name: web-search                 ->  Scalar("web-search")
    metadata: {version: 1.0}         ->  {"version": Scalar("1.0", typed=True)}, flow style noted

It works on PyYAML's *events*, so nothing is constructed and nothing expands: an alias is a problem instead of
a billion copies, a tag is a problem instead of a Python object, a key that comes twice is a problem instead of
the last one winning. Nesting is kept on a list, so depth costs no stack. Errors are returned, never raised.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from repo_server.curation.textsafe import excerpt

MAX_DEPTH = 8
# PyYAML reads the same text twenty times faster in C, but not quite the same: an empty value has another place there, an
# error other words, and what holds one of these is here and there read although YAML forbids it. All that is read slowly.
_FAST: type[Any] | None = getattr(yaml, "CSafeLoader", None)
_FOR_THE_SLOW = re.compile(
    r"[!?]|[|>][-+0-9 ]*#|[^\n\x20-\x7e\xa1-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_PLAIN = "tag:yaml.org,2002:str"


@dataclass(frozen=True, slots=True)
class Scalar:
    """A piece of text. ``typed`` when YAML readers would make a number, a date or a boolean of it."""

    text: str
    line: int
    typed: bool = False


Node = Scalar | dict[str, Any] | list[Any]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something in the text that YAML allows and a front matter does not. Lines count from 1."""

    code: str
    line: int
    message: str


@dataclass(slots=True)
class Parsed:
    """The mapping at the root, the line of each of its keys, and the troubles on the way."""

    root: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    troubles: list[Trouble] = field(default_factory=list)


def parse_mapping(text: str) -> Parsed:
    """Return what ``text`` holds. Never raises; what cannot be read is a trouble."""
    if (
        _FAST is not None
        and not _FOR_THE_SLOW.search(text)
        and (parsed := _read_fast(text, _FAST)) is not None
    ):
        return parsed
    reader = _Reader()
    try:
        reader.take_all(yaml.parse(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        reader.trouble("yaml", line, f"not YAML: {excerpt(error.problem or 'syntax error')}")
    except Exception as error:  # noqa: BLE001 - hostile text; whatever the library throws is one more trouble
        reader.trouble("yaml", 1, f"not YAML ({type(error).__name__})")
    return reader.result


def _read_fast(text: str, loader: type[Any]) -> Parsed | None:
    """Return what ``text`` holds, or None when only the slow reader can tell."""
    reader = _Reader()
    try:
        reader.take_all(_without_empty(yaml.parse(text, Loader=loader)))
    except Exception:  # noqa: BLE001 - whatever it is, the slow reader finds it again and says what
        return None
    return reader.result


def _without_empty(events: Iterable[Any]) -> Iterator[Any]:
    for event in events:
        if isinstance(event, yaml.ScalarEvent) and not event.value and not event.style:
            raise ValueError("an empty value")
        yield event


class _Reader:
    """Builds nested dicts and lists from events."""

    def __init__(self) -> None:
        self.result = Parsed()
        self.stopped = False
        self._open: list[dict[str, Any] | list[Any]] = []
        self._keys: list[str | None] = []  # for each open mapping the key whose value comes next
        self._documents = 0

    def trouble(self, code: str, line: int, message: str) -> None:
        self.result.troubles.append(Trouble(code, line, message))

    def take_all(self, events: Iterable[Any]) -> None:
        """Take ``events`` until one stops the reading."""
        for event in events:
            self.take(event)
            if self.stopped:
                return

    def take(self, event: Any) -> None:
        """Take the next event."""
        line = event.start_mark.line + 1
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1 or event.version or event.tags:
                    self.trouble("documents", line, "several YAML documents, or directives")
                    self.stopped = True
            case yaml.AliasEvent():
                self.trouble("anchor", line, "an alias (*name) repeats other text; write the text itself")
                self._add(Scalar("", line), line)
            case yaml.ScalarEvent():
                self._check_node(event, line)
                self._add(Scalar(event.value, line, typed=not event.style and _is_typed(event.value)), line)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._check_node(event, line)
                self._start(
                    {} if isinstance(event, yaml.MappingStartEvent) else [], line, flow=event.flow_style
                )
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._open.pop()
                self._keys.pop()
            case _:
                pass

    def _check_node(self, event: Any, line: int) -> None:
        if event.anchor is not None:
            self.trouble("anchor", line, "an anchor (&name) lets one text stand in many places")
        if event.tag is not None:
            self.trouble("tag", line, f"the tag {excerpt(event.tag)} asks the reader to build an object")

    def _start(self, container: dict[str, Any] | list[Any], line: int, *, flow: bool | None) -> None:
        if not self._open and isinstance(container, dict):
            container = self.result.root
        elif not self._open:
            self.trouble("shape", line, "the front matter is a list, not a mapping")
        else:
            self._add(container, line)
        if flow:
            self.trouble("flow", line, "flow style ({…} or […]) is refused by strict readers; use lines")
        if len(self._open) >= MAX_DEPTH:
            self.trouble("depth", line, f"nested deeper than {MAX_DEPTH}")
            self.stopped = True
        self._open.append(container)
        self._keys.append(None)

    def _add(self, node: Node, line: int) -> None:
        if not self._open:
            self.trouble("shape", line, "the front matter is not a mapping")
            return
        container = self._open[-1]
        if isinstance(container, list):
            container.append(node)
        elif self._keys[-1] is None:
            self._keys[-1] = self._key(container, node, line)
        else:
            container[self._keys[-1]] = node
            self._keys[-1] = None

    def _key(self, container: dict[str, Any], node: Node, line: int) -> str:
        key = node.text if isinstance(node, Scalar) else "?"
        if not isinstance(node, Scalar):
            self.trouble("shape", line, "a key is not text")
        if key in container:
            self.trouble(
                "duplicate", line, f"{excerpt(key)!r} appears twice; readers disagree which one counts"
            )
        container[key] = Scalar("", line)
        if container is self.result.root:
            self.result.lines.setdefault(key, line)
        return key


def _is_typed(text: str) -> bool:
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers.get(text[:1], [])
    return any(tag != _PLAIN and pattern.match(text) for tag, pattern in resolvers)
