r"""What changed between two trees, as text that is safe to look at.

    new file 0644 references/notes.md
    --- /dev/null
    +++ b/references/notes.md
    @@ -0,0 +1,2 @@
    +# Notes
    +Ask first.<U+200B>

The diff is the most valuable check there is, so it may not be fooled: all text files are in it, every line ends
only at a line feed (``str.splitlines`` also ends lines at U+2028), characters that are not drawn or that steer
a terminal are spelled out, and a file too large to be compared line by line is shown whole, old and new.
"""

import difflib
from collections.abc import Iterator

from repo_server.curation.textsafe import visible
from repo_server.curation.tree import SourceTree, text_of
from signing.format.archive import SourceFile
from signing.format.digest import sha256_of
from signing.format.manifest import MemberPath
from signing.format.review import Surface

# difflib's time grows with the square of the lines, and a hostile text can ask for all of it.
_MAX_COMPARED_LINES = 3_000
_NO_END = "\\ no line feed at the end of the file"


def diff_trees(old: SourceTree | None, new: SourceTree) -> str:
    """Return everything that changed from ``old`` (None: there was nothing) to ``new``; empty if nothing did."""
    before = old.files if old is not None else {}
    lines: list[str] = []
    for path in sorted({*before, *new.files}):
        lines += _file(path, before.get(path), new.files.get(path))
    return "".join(f"{line}\n" for line in lines)


def surface_diff(old: Surface | None, new: Surface) -> list[str]:
    """Return what ``new`` touches that ``old`` did not, and the other way round: ``+ host example.com``."""
    before = old if old is not None else Surface()
    return [
        *_set_diff("host", before.hosts, new.hosts),
        *_set_diff("executable", before.executables, new.executables),
    ]


def _set_diff(kind: str, old: tuple[str, ...], new: tuple[str, ...]) -> list[str]:
    changes = [(item, "+") for item in set(new) - set(old)] + [(item, "-") for item in set(old) - set(new)]
    return [f"{sign} {kind} {visible(item, keep='')}" for item, sign in sorted(changes)]


def _file(path: MemberPath, old: SourceFile | None, new: SourceFile | None) -> Iterator[str]:
    if old == new:
        return
    shown = visible(path, keep="")
    if old is None and new is not None:
        yield f"new file {new.mode} {shown}"
    elif new is None and old is not None:
        yield f"removed file {old.mode} {shown}"
    elif old is not None and new is not None and old.mode != new.mode:
        yield f"mode {old.mode} -> {new.mode} {shown}"
    content_before = old.content if old is not None else b""
    content_after = new.content if new is not None else b""
    if content_before == content_after:
        return
    text_before, text_after = text_of(content_before), text_of(content_after)
    if text_before is None or text_after is None:
        yield f"binary {shown}: {_facts(old)} -> {_facts(new)}"
        return
    names = (
        f"a/{shown}" if old is not None else "/dev/null",
        f"b/{shown}" if new is not None else "/dev/null",
    )
    yield from _text(_lines(text_before), _lines(text_after), names)


def _text(old: list[str], new: list[str], names: tuple[str, str]) -> Iterator[str]:
    if max(len(old), len(new)) <= _MAX_COMPARED_LINES:
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
