"""Can a person read all of this, and does everybody read the same files?

Blocking: archives inside files (their content is reviewed by nobody), ignore files (a scanner that honours them
skips what an agent still reads), text too large to read. The rest is for the reviewer's eyes or to know.
"""

import posixpath
from collections.abc import Iterator
from itertools import islice

from repo_server.curation.checks import late
from repo_server.curation.reading import MAX_ALL_EXAMINED, MAX_EXAMINED, claims_text, reading_of
from repo_server.curation.textsafe import excerpt
from repo_server.curation.tree import SourceTree
from signing.format.finding import Finding, Severity
from signing.format.manifest import SKILL_NAME, MemberPath

MAX_SKILL_LINES = 500
MAX_SKILL_BYTES = 100 << 10
MAX_LINE = 2_000
MAX_TEXT_BYTES = MAX_EXAMINED
MAX_ALL_TEXT = MAX_ALL_EXAMINED

MAX_ALL_LINES = 20_000
MAX_REFERENCES = 1_000

_ARCHIVES = (
    (b"PK\x03\x04", "a ZIP file"),
    (b"\x1f\x8b\x08", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\x00", "an xz file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"),
    (b"Rar!\x1a\x07", "a RAR file"),
    (b"!<arch>\n", "an ar archive"),
    (b"MSCF", "a cabinet file"),
)
_ZIP_END = b"PK\x05\x06"
_ZIP_END_REACH = 65_557  # the end record may be followed by a comment of at most 65,535 bytes
_TAR_MAGIC = slice(257, 262)
_LINK = late.pattern(r"\]\(\s{0,20}<?([^()\s<>]{1,300})")
_GAP = 24  # blank lines
_MAX_GAPS = 20
_MAX_LED = 500
_SHORT_STEM = 3
_USUAL = (
    "license",
    "licence",
    "readme",
    "changelog",
    "notice",
    "copying",
    "contributing",
    "__init__",
    "package",
    "requirements",
    ".",
)
_DEEP = 2  # folders below the skill that a reference may stand in, the last one of them its topic
_MENTION = late.pattern(r"([sra](?<![\w./-].)(?:(?<=s)cripts|(?<=r)eferences|(?<=a)ssets)/[\w./-]{1,200})")


def check(tree: SourceTree) -> Iterator[Finding]:
    """Yield what stands in the way of reading."""
    yield from _amount(tree)
    for path, file in tree.files.items():
        yield from _names(path)
        if archive := archive_in(file.content):
            message = f"holds {archive}: its content is reviewed by nobody; ship the files themselves"
            yield _finding("nested-archive", Severity.BLOCK, path, message)
        reading = reading_of(path, file)
        if reading is not None and len(reading.text) > MAX_TEXT_BYTES:
            message = (
                f"has {len(reading.text)} characters: nobody will read that; split it, or leave data out"
            )
            yield _finding("huge-text", Severity.BLOCK, path, message)
        if reading is not None and reading.faithful:
            yield from _lines(path, reading.text)
            yield from _pushed_away(path, reading.text)
        elif claims_text(path, file):
            message = (
                "is not UTF-8 text without NUL, though its name, place or mode says text: readers will see "
                "different things; convert it, or keep data and pictures in assets/"
            )
            yield _finding("not-utf8", Severity.BLOCK, path, message)
        else:
            message = "is binary: no diff will show what changes in it; open it with its own program"
            yield _finding("binary", Severity.LOOK, path, message)
    yield from _skill_md(tree)
    yield from _references(tree)
    yield from _unreferenced(tree)


def archive_in(content: bytes) -> str:
    """Return what kind of archive ``content`` is or carries at its end, or an empty string."""
    for magic, kind in _ARCHIVES:
        if content.startswith(magic):
            return kind
    if content[_TAR_MAGIC] == b"ustar":
        return "a tar file"
    # A picture with a ZIP file behind it is both: ZIP is read from the end.
    return "a ZIP file behind other content" if _ZIP_END in content[-_ZIP_END_REACH:] else ""


def _amount(tree: SourceTree) -> Iterator[Finding]:
    """More text than anybody reads blocks, and so nothing is hidden behind what was not examined."""
    readings = [reading for path, file in tree.files.items() if (reading := reading_of(path, file))]
    characters = sum(len(reading.text) for reading in readings)
    lines = sum(reading.text.count("\n") for reading in readings)
    if characters > MAX_ALL_TEXT or lines > MAX_ALL_LINES:
        # What was examined to its end is only tedious to read: schemas and tables of honest skills are that long.
        severity = Severity.BLOCK if characters > MAX_ALL_TEXT else Severity.LOOK
        message = (
            f"has {characters} characters of text in {lines} lines; over {MAX_ALL_TEXT} characters or "
            f"{MAX_ALL_LINES} lines nobody reads it all, and the diff is cut; leave data out"
        )
        yield _finding("much-text", severity, "", message)


def _names(path: MemberPath) -> Iterator[Finding]:
    name = posixpath.basename(path)
    if name.startswith(".") and name.endswith("ignore"):
        message = "is an ignore file: scanners that honour it skip files that agents still read; remove it"
        severity = Severity.LOOK if path.startswith(("assets/", "templates/")) else Severity.BLOCK
        yield _finding("ignore-file", severity, path, message)
    elif any(part.startswith(".") for part in path.split("/")):
        message = "is hidden by most listings, but shipped and readable like any other file; is it needed?"
        yield _finding("dot-file", Severity.LOOK, path, message)


def _lines(path: MemberPath, text: str) -> Iterator[Finding]:
    for number, line in enumerate(text[:MAX_TEXT_BYTES].split("\n"), start=1):
        if len(line) > MAX_LINE:
            message = (
                f"line of {len(line)} characters: what stands far to the right is easily missed; wrap it"
            )
            yield _finding("long-line", Severity.LOOK, path, message, line=number, shown=excerpt(line))


def _pushed_away(path: MemberPath, text: str) -> Iterator[Finding]:
    """Text that begins where a reader believes that the page has ended."""
    blank = found = 0
    for number, line in enumerate(text[:MAX_TEXT_BYTES].split("\n"), start=1):
        if not line.strip():
            blank += 1
            continue
        if blank >= _GAP and number > blank + 1:
            message = f"stands behind {blank} blank lines, where a reader thinks the page has ended"
            yield _finding("pushed-away", Severity.LOOK, path, message, line=number)
            found += 1
        if found >= _MAX_GAPS:
            return
        blank = 0


def _unreferenced(tree: SourceTree) -> Iterator[Finding]:
    """Files to which no other leads: nobody can say what they are for."""
    texts = "\n".join(
        file.content[:MAX_TEXT_BYTES].decode("utf-8", errors="replace")
        for path, file in list(tree.files.items())[:_MAX_LED]
        if path.endswith((".md", ".txt", ".py", ".sh", ".js", ".json", ".yaml", ".yml", ".toml"))
        or path == SKILL_NAME
    )
    for path in list(tree.files)[:_MAX_LED]:
        name = posixpath.basename(path)
        if path == SKILL_NAME or name.lower().startswith(_USUAL) or name in texts or _stem(name) in texts:
            continue
        folder = posixpath.dirname(path)
        if folder and f"{folder}/" in texts:
            continue  # "use one of templates/"
        yield _finding("unreferenced", Severity.NOTE, path, "no other file leads to it; what is it for?")


def _stem(name: str) -> str:
    return name.partition(".")[0] if len(name.partition(".")[0]) > _SHORT_STEM else name


def _skill_md(tree: SourceTree) -> Iterator[Finding]:
    content = tree.skill_md
    lines = content.count(b"\n") + 1
    if lines > MAX_SKILL_LINES or len(content) > MAX_SKILL_BYTES:
        message = (
            f"has {lines} lines and {len(content)} bytes; over {MAX_SKILL_LINES} lines or {MAX_SKILL_BYTES} "
            "bytes agents drop parts of it; move detail into references/"
        )
        yield _finding("long-skill", Severity.NOTE, SKILL_NAME, message)


def _references(tree: SourceTree) -> Iterator[Finding]:
    """Files that SKILL.md points at and that are not there: whoever creates them later is obeyed."""
    text = tree.skill_md.decode("utf-8", errors="replace")[:MAX_TEXT_BYTES]
    folders = {posixpath.dirname(path) for path in tree.files}
    named: dict[str, int] = {}
    for pattern in (_LINK, _MENTION):
        line, counted = 1, 0
        matches = list(islice(pattern.finditer(text), MAX_REFERENCES + 1))
        if len(matches) > MAX_REFERENCES:
            message = f"points at more than {MAX_REFERENCES} files; the rest was not looked up; shorten it"
            yield _finding("many-references", Severity.LOOK, SKILL_NAME, message)
        for match in matches[:MAX_REFERENCES]:
            line += text.count("\n", counted, match.start())
            counted = match.start()
            named.setdefault(match.group(1).partition("#")[0].rstrip("."), line)
    for target, line in sorted(named.items()):
        if not target or ":" in target or target.startswith("//"):
            continue
        path = posixpath.normpath(target)
        if path.startswith(("..", "/")):
            message = (
                f"points outside the skill at {excerpt(target)!r}: the agent would read a file we never saw"
            )
            yield _finding("outside-reference", Severity.LOOK, SKILL_NAME, message, line=line)
        elif path in tree.files and path.count("/") > _DEEP:
            message = f"leads {path.count('/')} folders down, where agents read files in part or not at all"
            yield _finding("deep-reference", Severity.NOTE, SKILL_NAME, message, line=line)
        elif path not in tree.files and path not in folders and path != ".":
            message = f"names {excerpt(target)!r}, which is not in the skill; add it or remove the mention"
            yield _finding("missing-reference", Severity.NOTE, SKILL_NAME, message, line=line)


def _finding(
    check_id: str, severity: Severity, path: str, message: str, *, line: int = 0, shown: str = ""
) -> Finding:
    return Finding(
        check=f"structure.{check_id}", severity=severity, path=path, line=line, message=message, excerpt=shown
    )
