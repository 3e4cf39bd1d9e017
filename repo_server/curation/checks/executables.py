"""What can be executed: compiled code blocks whatever it is called, scripts are listed.

Compiled code cannot be reviewed here, and a loader looks at the first bytes, not at the name: an ELF file called
``notes.md`` runs. A script outside ``scripts/`` is where a reviewer does not expect one.
"""

import re
from collections.abc import Iterator

from repo_server.curation.checks import late
from repo_server.curation.textsafe import excerpt
from repo_server.curation.tree import SourceTree, text_of
from signing.format.archive import SourceFile
from signing.format.finding import Finding, Severity
from signing.format.manifest import Mode

_MAGIC = (
    (b"\x7fELF", "an ELF program"),
    (b"\xfe\xed\xfa\xce", "a Mach-O program"),
    (b"\xfe\xed\xfa\xcf", "a Mach-O program"),
    (b"\xce\xfa\xed\xfe", "a Mach-O program"),
    (b"\xcf\xfa\xed\xfe", "a Mach-O program"),
    (b"\xca\xfe\xba\xbe", "a Java class or a Mach-O program"),
    (b"\xca\xfe\xba\xbf", "a Mach-O program"),
    (b"\x00asm", "a WebAssembly module"),
    (b"dex\n", "a Dalvik program"),
    (b"BC\xc0\xde", "LLVM bitcode"),
    (b"\x1bLua", "Lua bytecode"),
)
_ENDINGS = (
    ".exe",
    ".dll",
    ".so",
    ".dylib",
    ".node",
    ".wasm",
    ".class",
    ".jar",
    ".pyc",
    ".pyd",
    ".pyo",
    ".msi",
)
_OFFICE_MACROS = re.compile(rb"vbaProject\.bin|_VBA_PROJECT|xl/macrosheets/|V\x00B\x00A\x00")
_PDF_STARTS = late.pattern(
    rb"/(?:JavaScript|JS|Launch|EmbeddedFile|OpenAction\s{0,9}<<[^>]{0,200}/(?:JS|Launch))\b"
)
_PICTURES = (
    (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82", "a PNG picture"),
    (b"\xff\xd8\xff", b"\xff\xd9", "a JPEG picture"),
    (b"%PDF-", b"%%EOF", "a PDF file"),
)
_SLACK = 16  # bytes of padding that writers leave
_PE_POINTER = slice(0x3C, 0x40)
_PYC_MAGIC = range(3000, 4000)  # CPython 3.0 to far ahead; followed by CR LF
_HEADER = 4


def check(tree: SourceTree) -> Iterator[Finding]:
    """Yield what can be executed, and what does not look like it."""
    for path, file in tree.files.items():
        in_scripts = path.startswith("scripts/")
        script = _shebang(file.content)
        if kind := compiled(file.content):
            message = f"is {kind}: compiled code cannot be reviewed here; ship the source, or package it"
            yield _finding("compiled", Severity.BLOCK, path, message)
        elif found := _two_things(file.content):
            check_id, severity, message = found
            yield _finding(check_id, severity, path, message)
        elif path.lower().endswith(_ENDINGS):
            message = "has the name of compiled code, but is none that we know; what loads it?"
            yield _finding("compiled-name", Severity.LOOK, path, message)
        if file.mode is Mode.EXECUTABLE and not in_scripts:
            message = (
                "may be executed, but is not under scripts/, where a reviewer looks for programs; move it"
            )
            yield _finding("mode", Severity.LOOK, path, message)
        if script and in_scripts:
            yield _finding(
                "script", Severity.NOTE, path, "is a script: read it as a program", excerpt(script)
            )
        elif script:
            message = (
                "begins like a script, but is not under scripts/; move it there or remove the first line"
            )
            yield _finding("script-elsewhere", Severity.LOOK, path, message, excerpt(script))


def _two_things(content: bytes) -> tuple[str, Severity, str] | None:
    """Return what else a document or picture is: a program for its viewer, or something behind its end."""
    if _OFFICE_MACROS.search(content) and content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        return "macros", Severity.BLOCK, "is an Office document with macros, which start when it is opened"
    if content.startswith(b"%PDF-") and _PDF_STARTS.search(content):
        return "macros", Severity.BLOCK, "is a PDF file that starts a script or a program when it is opened"
    for begin, end, kind in _PICTURES:
        if content.startswith(begin):
            at = content.rfind(end)
            rest = content[at + len(end) :] if at >= 0 else b""
            if len(rest) > _SLACK:
                harmful = (
                    rest.lstrip()[:4].startswith((b"#!", b"MZ", b"\x7fELF", b"<?ph", b"<scr"))
                    or text_of(rest) is not None
                )
                severity = Severity.BLOCK if harmful else Severity.LOOK
                return (
                    "polyglot",
                    severity,
                    f"is {kind} with {len(rest)} bytes behind its end: what reads them?",
                )
    return None


def executables_of(tree: SourceTree) -> tuple[str, ...]:
    """Return the files that want to be executed, sorted."""
    return tuple(path for path, file in tree.files.items() if _wants_to_run(file))


def compiled(content: bytes) -> str:
    """Return what kind of compiled code ``content`` is, or an empty string."""
    for magic, kind in _MAGIC:
        if content.startswith(magic):
            return kind
    if content.startswith(b"MZ") and _is_pe(content):
        return "a Windows or DOS program"
    if content[2:_HEADER] == b"\r\n" and int.from_bytes(content[:2], "little") in _PYC_MAGIC:
        return "Python bytecode"
    return ""


def _is_pe(content: bytes) -> bool:
    # Two letters are not proof (a text may begin with them), but a text has no NUL bytes.
    at = int.from_bytes(content[_PE_POINTER], "little")
    return content[at : at + 4] == b"PE\0\0" or text_of(content) is None


def _wants_to_run(file: SourceFile) -> bool:
    return file.mode is Mode.EXECUTABLE or bool(_shebang(file.content)) or bool(compiled(file.content))


def _shebang(content: bytes) -> str:
    if not content.startswith(b"#!"):
        return ""
    return content[:200].split(b"\n")[0].decode("utf-8", errors="replace")


def _finding(check_id: str, severity: Severity, path: str, message: str, shown: str = "") -> Finding:
    return Finding(
        check=f"executables.{check_id}", severity=severity, path=path, line=0, message=message, excerpt=shown
    )
