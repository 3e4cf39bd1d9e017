"""Text that is written so that a reader does not recognise it.

Commands spelled in pieces block: nobody needs ``cu''rl``. What decodes to commands or orders blocks, and what decodes
to other text is shown decoded. Long runs of signs that decode to nothing known, in something that runs, are for a
person to look at.
"""

import re
from collections.abc import Iterator

from repo_server.curation.checks import late, spoken
from repo_server.curation.checks.document import Document, Hit, Language
from repo_server.curation.checks.phrases import Phrases
from repo_server.curation.checks.purpose import Purpose
from repo_server.curation.textsafe import excerpt
from signing.format.finding import Severity

_COMMANDS = late.pattern(
    r"\b(?:curl|wget|bash|zsh|/bin/sh|sh -c|powershell|pwsh|cmd\.exe|invoke-expression|iex|iwr|eval|exec|execsync|subprocess|os\.system|child_process|import os|import socket|urllib|requests\.(?:get|post)|urlopen|__import__|nc -|netcat|chmod|base64 -|osascript|certutil|mshta|rm -rf|crontab|launchctl|nslookup)(?![\w-])",
    re.IGNORECASE,
)
_URL = late.pattern(
    r"(?:https?|ftp|wss?)://(?!(?:www\.)?w3\.org|schemas?\.|(?:www\.)?example\.(?:com|org)|localhost|ns\.adobe)[^\s\"'<>]{4,200}",
    re.IGNORECASE,
)
_ORDERS = late.pattern(
    r"\b(?:ignore|disregard|do not (?:tell|mention)|don't (?:tell|mention)|never (?:tell|mention)|secretly|silently|system prompt|previous instructions|you must|send (?:it|them|the|all|this)|read (?:the|all|~|/)|\.ssh|\.env\b|\.aws|credentials|password)\b|忽略|不要告诉",
    re.IGNORECASE,
)
_MARKED_UP = late.pattern(r"^\s{0,8}(?:<svg|<\?xml|<!doctype|<html|\{\"|\[\{)", re.IGNORECASE)
_OPAQUE = late.pattern(r"(?<![\w+/=;,])[A-Za-z0-9+/]{600,}={0,2}")
_HELPERS = Phrases(
    r"(?:__import__|getattr)\s?\(\s?(?:__builtins__|builtins|os|subprocess|sys|\w{1,20})\s?,\s?[\"'](?:system|popen|exec|eval|\w{1,10}[\"']\s?\+)|\b__import__\s?\(\s?[\"'](?:os|subprocess|socket|base64|urllib|requests|ctypes|builtins)[\"']\s?\)\s?\.|globals\(\)\s?\[\s?[\"']__builtins__|\beval\s?\(\s?(?:String\.fromCharCode|unescape|atob)|\bmarshal\.loads|\bexec\s?\(\s?(?:bytes|bytearray|''\.join|\"\"\.join|__import__|compile\(|zlib|base64|codecs|b64decode)|\[\s?[\"']constructor[\"']\s?\]\s?\(|_0x[0-9a-f]{4,6}\b[^\n]{0,200}_0x[0-9a-f]{4,6}|\bchr\(\w{1,10}\s?\^\s?\w{1,10}\)"
)
_SHOWN = 300
_GUESSED = ("rot13", "reversed")
_VARIED = 20  # different signs; a drawn line has few
_SMALL = 2_000
_LONG = 600


def judge(document: Document, _: Purpose) -> Iterator[Hit]:
    """Yield what is disguised in one text; for a decoded text, what it says."""
    for at in document.apart[:50]:
        message = "a command is written in pieces, as nobody does who wants to be read"
        yield Hit(check="disguise.spelled-apart", severity=Severity.BLOCK, at=at, message=message)
    if document.how == spoken.HOW:
        return
    if document.how:
        yield from _decoded(document)
        return
    if document.language in {Language.PYTHON, Language.SCRIPT, Language.SHELL} or document.fences:
        for match in document.places(_HELPERS):
            severity = Severity.BLOCK if document.is_code else Severity.LOOK
            message = "code reaches what it runs by a detour that hides it"
            yield Hit(check="disguise.detour", severity=severity, at=match.start(), message=message)
        for match in (
            document.places(_OPAQUE) if max(map(len, document.text.split()), default=0) >= _LONG else ()
        ):
            before = document.text[max(0, match.start() - 40) : match.start()]
            if "data:" not in before and len(set(match.group())) > _VARIED:
                message = f"{len(match.group())} characters that decode to nothing readable; what are they?"
                yield Hit(check="disguise.opaque", severity=Severity.LOOK, at=match.start(), message=message)


def _decoded(document: Document) -> Iterator[Hit]:
    text = document.text
    if document.how.startswith(_GUESSED):
        # Any text is "rot13 of something", so that only an address, or a command with its signs, counts.
        harmful = bool(_URL.search(text)) or bool(_COMMANDS.search(text) and re.search(r"[|(]", text))
    else:
        told = not _MARKED_UP.match(text) and (
            (_URL.search(text) and len(text) < _SMALL) or _ORDERS.search(text)
        )
        harmful = bool(_COMMANDS.search(text) or told)
    shown = excerpt(text, limit=_SHOWN)
    if harmful:
        message = f"is written in {document.how} and says {shown!r}; write it in plain text"
        yield Hit(check="disguise.encoded", severity=Severity.BLOCK, at=0, message=message[:1_900])
    elif not document.how.startswith(_GUESSED):
        message = f"is written in {document.how} and says {shown!r}"
        yield Hit(check="disguise.encoded", severity=Severity.NOTE, at=0, message=message[:1_900])
