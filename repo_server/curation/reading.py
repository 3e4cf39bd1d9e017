"""What can be read in a file, also when it is not quite text.

An agent, a shell and an editor read a file with one wrong byte in it without a word; so do the checks and the
diff. `reading_of` therefore gives a text for everything that does not begin like a picture, a font or another
known kind of data, and says whether that text is faithful: UTF-8, without a NUL. What *claims* to be text, by its
name, its place or by wanting to be executed, is read whatever it begins with: ``GIF89a`` is also a shell command.
"""

import posixpath
from collections.abc import Iterator
from typing import NamedTuple

from repo_server.curation.tree import SourceTree, text_of
from signing.format.archive import SourceFile
from signing.format.manifest import MemberPath, Mode

# Characters of one text and of all together that the checks look at; more is blocked by the structure checks.
MAX_EXAMINED = 1 << 20
MAX_ALL_EXAMINED = 4 << 20

_TEXT_ENDINGS = (
    *(".md", ".txt", ".sh", ".py", ".js", ".ts", ".json", ".yaml", ".yml", ".toml", ".html", ".css", ".rb"),
    *(".pl", ".ps1", ".bat", ".bash", ".zsh", ".fish", ".cmd", ".mjs", ".cjs", ".jsx", ".tsx", ".php"),
    *(".lua", ".xml", ".svg", ".ini", ".cfg", ".conf", ".env", ".csv", ".tsv", ".rst", ".psm1", ".htm"),
)
_READ_AS_TEXT = ("scripts/", "references/")
_MAGIC = (
    *(b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\0", b"MM\0*", b"\0\0\1\0"),
    *(b"wOFF", b"wOF2", b"OTTO", b"ttcf", b"\0\1\0\0\0", b"true\0"),
    *(b"PK\3\4", b"PK\5\6", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"7z\xbc\xaf\x27\x1c", b"\x28\xb5\x2f\xfd"),
    *(b"Rar!\x1a\x07", b"!<arch>\n", b"MSCF", b"\xd0\xcf\x11\xe0", b"%PDF-", b"SQLite format 3\0"),
    *(b"RIFF", b"OggS", b"fLaC", b"ID3", b"\x1aE\xdf\xa3", b"\x7fELF", b"\xca\xfe\xba\xbe", b"\0asm"),
    *(b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe"),
)
_FTYP = slice(4, 8)  # where MP4, HEIC and AVIF say what they are


class Reading(NamedTuple):
    """What a file says. ``faithful`` when these characters are exactly its bytes."""

    text: str
    faithful: bool


def reading_of(path: str, file: SourceFile) -> Reading | None:
    """Return what ``file`` says, or None when it is recognisably something else than text."""
    text = text_of(file.content)
    if text is not None:
        return Reading(text, faithful=True)
    if _is_known_data(file.content) and not _is_called_text(path, file):
        return None
    return Reading(file.content.decode("utf-8", errors="replace"), faithful=False)


def claims_text(path: str, file: SourceFile) -> bool:
    """Return whether readers will take ``file`` for text, whatever it holds."""
    return path.startswith(_READ_AS_TEXT) or _is_called_text(path, file)


def examined(tree: SourceTree) -> Iterator[tuple[MemberPath, str]]:
    """Yield the beginning of everything that can be read in ``tree``, as far as the two limits allow."""
    left = MAX_ALL_EXAMINED
    for path, file in tree.files.items():
        reading = reading_of(path, file)
        if reading is not None:
            text = reading.text[: min(MAX_EXAMINED, left)]
            left -= len(text)
            yield path, text


def _is_called_text(path: str, file: SourceFile) -> bool:
    name = posixpath.basename(path).lower()
    return (
        name.endswith(_TEXT_ENDINGS)
        or "." not in name.lstrip(".")
        or file.mode is Mode.EXECUTABLE
        or file.content.startswith(b"#!")
    )


def _is_known_data(content: bytes) -> bool:
    return content.startswith(_MAGIC) or content[_FTYP] == b"ftyp"
