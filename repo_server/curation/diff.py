r"""What changed between two trees, as text that is safe to look at.

    new file 0644 references/notes.md
    --- /dev/null
    +++ b/references/notes.md
    @@ -0,0 +1,2 @@
    +# Notes
    +Ask first.<U+200B>

The diff is the most valuable check there is, so it may not be fooled: all text files are in it, every line ends
only at a line feed (``str.splitlines`` also ends lines at U+2028), characters that are not drawn or that steer
a terminal are spelled out, and a file too large to be compared line by line is shown whole, old and new. A text
with a byte in it that is not UTF-8 is text. What is longer than a person reads is cut, and says so at its end.
"""

import difflib
from collections.abc import Iterable, Iterator

from repo_server.curation.reading import Reading, reading_of
from repo_server.curation.textsafe import visible
from repo_server.curation.tree import SourceTree
from signing.format.archive import SourceFile
from signing.format.digest import sha256_of
from signing.format.manifest import MemberPath
from signing.format.surface import SurfaceChange

# difflib's time grows with the square of the lines, and a hostile text can ask for all of it.
_MAX_COMPARED_LINES = 3_000
_MAX_COMPARED_PRODUCT = 20_000_000  # lines of old times lines of new, of all files together
MAX_LINES = 20_000
MAX_CHARACTERS = 8 << 20
_NO_END = "\\ no line feed at the end of the file"


def diff_trees(old: SourceTree | None, new: SourceTree) -> str:
    """Return everything that changed from ``old`` (None: there was nothing) to ``new``; empty if nothing did."""
    before = old.files if old is not None else {}
    lines: list[str] = []
    characters = left_out = 0
    effort = _Effort()
    for path in sorted({*before, *new.files}):
        for line in _file(path, before.get(path), new.files.get(path), effort):
            if len(lines) < MAX_LINES and characters < MAX_CHARACTERS:
                lines.append(line)
                characters += len(line)
            else:
                left_out += 1
    if left_out:
        lines.append(
            f"({left_out} more lines are left out: this diff is not complete, and no review of it can be)"
        )
    return "".join(f"{line}\n" for line in lines)


def render_surface_changes(changes: Iterable[SurfaceChange]) -> list[str]:
    """Return the changes of a surface as lines for people: ``+ hosts example.com``."""
    return [f"{'+' if item.added else '-'} {item.kind} {visible(item.entry, keep='')}" for item in changes]


class _Effort:
    """How much comparing is left, for the whole tree: a thousand files can each ask for a little too much."""

    def __init__(self) -> None:
        self._left = _MAX_COMPARED_PRODUCT

    def allows(self, old: list[str], new: list[str]) -> bool:
        if not old or not new:
            return True
        self._left -= len(old) * len(new)
        return max(len(old), len(new)) <= _MAX_COMPARED_LINES and self._left >= 0


def _file(path: MemberPath, old: SourceFile | None, new: SourceFile | None, effort: _Effort) -> Iterator[str]:
    if old == new:
        return
    shown = visible(path, keep="")
    if old is None and new is not None:
        yield f"new file {new.mode} {shown}"
    elif new is None and old is not None:
        yield f"removed file {old.mode} {shown}"
    elif old is not None and new is not None and old.mode != new.mode:
        yield f"mode {old.mode} -> {new.mode} {shown}"
    if (old.content if old is not None else b"") == (new.content if new is not None else b""):
        return
    reading_before, reading_after = _reading(path, old), _reading(path, new)
    if reading_before is None or reading_after is None:
        yield f"binary {shown}: {_facts(old)} -> {_facts(new)}"
        return
    if not (reading_before.faithful and reading_after.faithful):
        yield f"not UTF-8 text without NUL {shown}: {_facts(old)} -> {_facts(new)}; U+FFFD stands for what is not"
    names = (
        f"a/{shown}" if old is not None else "/dev/null",
        f"b/{shown}" if new is not None else "/dev/null",
    )
    yield from _text(_lines(reading_before.text), _lines(reading_after.text), names, effort)


def _reading(path: MemberPath, file: SourceFile | None) -> Reading | None:
    return reading_of(path, file) if file is not None else Reading("", faithful=True)


def _text(old: list[str], new: list[str], names: tuple[str, str], effort: _Effort) -> Iterator[str]:
    if effort.allows(old, new):
        yield from difflib.unified_diff(old, new, *names, lineterm="")
        return
    yield from (f"--- {names[0]}", f"+++ {names[1]}", f"@@ -1,{len(old)} +1,{len(new)} @@ (whole: too long)")
    yield from (f"-{line}" for line in old)
    yield from (f"+{line}" for line in new)


def _lines(text: str) -> list[str]:
    if not text:
        return []
    lines = visible(text).split("\n")
    return lines[:-1] if lines[-1] == "" else [*lines, _NO_END]


def _facts(file: SourceFile | None) -> str:
    return f"{len(file.content)} bytes, sha256 {sha256_of(file.content)}" if file is not None else "nothing"
