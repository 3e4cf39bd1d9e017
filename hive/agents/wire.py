"""What agents send, read strictly; and JSON that is passed on, bounded.

As strict as `signing.format.canonical`, and by the same reader, but with finite fractions and any keys, because payloads
and results are other people's JSON and seconds have them. Numbers that no float holds are refused.
"""

import json
import math
from dataclasses import dataclass
from typing import Any, Final, Self

from hive.agents.errors import TooLargeError
from hive.agents.names import MAX_CAPABILITIES, AgentId, Capability, parse_agent_id, parse_capability
from hive.agents.registry import ClaimedSkill
from hive.agents.rules import MAX_PAYLOAD, MAX_PRIORITY, MAX_REASON, MAX_RESULT, MAX_WAIT
from signing.errors import FormatError
from signing.format.canonical import MAX_DEPTH, decode
from signing.format.digest import parse_sha256
from signing.format.fields import Fields
from signing.format.names import TenantId, parse_skill_name, parse_tenant_id

MAX_SKILLS: Final = 256
MAX_FENCE: Final = 2**53 - 1
_MAX_NUMBER: Final = 25  # characters
_MAX_VERSION: Final = 64


def parse_body(data: bytes) -> Fields:
    """Return the fields of a request.

    Raises:
        FormatError: not a strict JSON object.
    """
    return Fields.of(parse_strict(data, where="request"), where="request")


def parse_strict(data: bytes, *, where: str) -> Any:
    """Return the value of strict JSON.

    Raises:
        FormatError: not that, or nested deeper than 32.
    """
    value = decode(data, where=where, whole=_whole, fraction=_finite)
    _check_depth(value, where)
    render(value, where=where)
    return value


def render(value: Any, *, where: str) -> str:
    """Return ``value`` as compact JSON.

    Raises:
        FormatError: it holds a text that is not Unicode.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError as error:  # a lone surrogate, written as an escape
        raise FormatError("text is not valid Unicode", where=where) from error
    return text


def render_payload(payload: Any) -> str:
    """Return a payload as it is stored and sent.

    Raises:
        TooLargeError: it would not fit into an answer. FormatError: nested too deeply.
    """
    _check_depth(payload, "payload")
    return _bounded(payload, MAX_PAYLOAD, "payload")


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """The body of register."""

    agent_id: AgentId
    tenant_id: TenantId | None
    capabilities: frozenset[Capability]
    skills: frozenset[ClaimedSkill]

    @classmethod
    def of(cls, fields: Fields) -> Self:
        """Return the registration in ``fields``; a lane has no tenant."""
        tenant_id = None
        if "tenant" in fields:
            tenant_id = fields.optional(
                "tenant", lambda key: parse_tenant_id(fields.take(key), where=fields.place(key))
            )
        registration = cls(
            agent_id=take_agent(fields),
            tenant_id=tenant_id,
            capabilities=take_capabilities(fields, "capabilities"),
            skills=frozenset(fields.items("skills", _skill, maximum=MAX_SKILLS)),
        )
        if len({skill.name for skill in registration.skills}) != len(registration.skills):
            raise FormatError("names one skill twice", where=fields.place("skills"))
        fields.done()
        return registration


def take_agent(fields: Fields) -> AgentId:
    """Return and consume who says that it asks."""
    return parse_agent_id(fields.take("agent"), where=fields.place("agent"))


def take_capabilities(fields: Fields, key: str) -> frozenset[Capability]:
    """Return and consume a list of capabilities."""
    return frozenset(fields.items(key, parse_capability, maximum=MAX_CAPABILITIES))


def take_wait(fields: Fields) -> float:
    """Return and consume how long a claim may wait; longer than the hive waits is cut to that."""
    seconds = take_seconds(fields, "wait_seconds")
    return min(seconds, MAX_WAIT)


def take_seconds(fields: Fields, key: str) -> float:
    """Return and consume a number of seconds above 0 and up to a day."""
    value = fields.take(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 86_400:  # noqa: PLR2004
        raise FormatError("not a number of seconds above 0 and up to 86400", where=fields.place(key))
    return float(value)


def take_fence(fields: Fields) -> int:
    """Return and consume a fence."""
    fence = fields.integer("fence", maximum=MAX_FENCE)
    if fence < 1:
        raise FormatError("not above 0", where=fields.place("fence"))
    return fence


def take_priority(fields: Fields) -> int:
    """Return and consume a priority; which ones are allowed is `hive.agents.jobs`' to say."""
    value = fields.take("priority")
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > MAX_PRIORITY:
        raise FormatError(f"not from -{MAX_PRIORITY} to {MAX_PRIORITY}", where=fields.place("priority"))
    return value


def take_reason(fields: Fields) -> str:
    """Return and consume a reason: some text, cut to what is kept of it."""
    text = fields.text("reason", max_length=1 << 20)[:MAX_REASON]
    return text.replace("\0", "\ufffd")  # PostgreSQL keeps no NUL in a text


def take_flag(fields: Fields, key: str) -> bool:
    """Return and consume true or false."""
    value = fields.take(key)
    if not isinstance(value, bool):
        raise FormatError("neither true nor false", where=fields.place(key))
    return value


def take_result(fields: Fields) -> str:
    """Return and consume a result, as it is stored.

    Raises:
        TooLargeError: larger than is kept.
    """
    return _bounded(fields.mapping("result"), MAX_RESULT, "result")


def _bounded(value: Any, most: int, where: str) -> str:
    text = render(value, where=where)
    if len(text.encode()) > most:
        raise TooLargeError(f"larger than {most} bytes", where=where)
    return text


def _skill(value: Any, where: str) -> ClaimedSkill:
    fields = Fields.of(value, where=where)
    skill = ClaimedSkill(
        name=parse_skill_name(fields.take("name"), where=fields.place("name")),
        version=_version(fields),
        tree_sha256=parse_sha256(fields.take("tree_sha256"), where=fields.place("tree_sha256")),
    )
    fields.done()
    return skill


def _version(fields: Fields) -> str:
    text = fields.text("version", max_length=_MAX_VERSION)
    if not text or not text.isascii() or not text.isprintable():
        raise FormatError("not a version", where=fields.place("version"))
    return text


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise FormatError("a number is out of range")
    return number


def _whole(text: str) -> int:
    # Thousands of digits cost quadratic time.
    if len(text) > _MAX_NUMBER:
        raise FormatError("a number is out of range")
    return int(text)


def _check_depth(value: Any, where: str) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below += item.values()
            elif isinstance(item, list):
                below += item
        if not below:
            return
        level = below
    raise FormatError(f"nested deeper than {MAX_DEPTH}", where=where)
