"""What an expression of Python says when nothing is run: dotted names, texts put together, paths below the home folder.

    import os as o; getattr(o, "sys" + "tem")         os.system
    "/".join(["https:", "", "x.example"])             https://x.example
    Path.home() / ".ssh" / name                       ~/.ssh/{}

What cannot be told is ``{}``, so that the known rest of a path or an address still counts.
"""

import ast
import posixpath
import warnings
from collections.abc import Iterator

UNKNOWN = "{}"
MAX_SOURCE = 300_000  # characters; more is not parsed
_MAX_TEXT = 4_000
_MAX_DEPTH = 40
_HOMES = frozenset({"pathlib.Path.home", "Path.home", "os.path.expanduser", "posixpath.expanduser"})
_PATHS = frozenset(
    {
        "pathlib.Path",
        "Path",
        "pathlib.PurePath",
        "pathlib.PosixPath",
        "os.path.join",
        "posixpath.join",
        "os.path.abspath",
    }
    | {"os.path.realpath", "os.path.normpath", "os.path.expandvars", "str", "os.fspath"}
)
_OPENED = frozenset({"open", "io.open", "zipfile.ZipFile", "tarfile.open", "tarfile.TarFile", "gzip.open"})
_SAME = frozenset(
    {"expanduser", "resolve", "absolute", "as_posix", "strip", "decode", "encode", "lower", "__str__"}
)
_TEXT = (ast.Constant, ast.JoinedStr, ast.BinOp)


class Scope:
    """The names of one module: what each was imported as or set to."""

    def __init__(self) -> None:
        """Begin without names."""
        self.dotted: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        self.modules: set[str] = set()

    def imports(self, tree: ast.AST) -> None:
        """Take the imports of the whole module, wherever they stand."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self.modules.add(alias.asname or alias.name.partition(".")[0])
                    self.dotted[alias.asname or alias.name.partition(".")[0]] = (
                        alias.name if alias.asname else alias.name.partition(".")[0]
                    )
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    self.dotted[alias.asname or alias.name] = f"{node.module or ''}.{alias.name}".lstrip(".")

    def name_of(self, node: ast.AST, depth: int = 0) -> str:
        """Return the dotted name that ``node`` stands for, or an empty text."""
        if depth > _MAX_DEPTH:
            return ""
        if isinstance(node, ast.Name):
            return self.dotted.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            before = self.name_of(node.value, depth + 1)
            before = "" if before in {"builtins", "__builtins__"} else before
            return (
                f"{before}.{node.attr}"
                if before
                else node.attr
                if isinstance(node.value, ast.Name)
                else f"?.{node.attr}"
            )
        if isinstance(node, ast.Call):
            return self._reached(node, depth)
        if isinstance(
            node, ast.Subscript
        ):  # vars(builtins)["exec"], globals()["eval"], os.__dict__["system"]
            key = self.text_of(node.slice, depth + 1)
            of = self.name_of(node.value, depth + 1)
            if key.isidentifier() and of.endswith(
                ("__dict__", "vars()", "globals()", "locals()", "__builtins__", "modules")
            ):
                owner = (
                    of.removesuffix(".__dict__")
                    .removesuffix("vars()")
                    .removesuffix("globals()")
                    .removesuffix("locals()")
                )
                owner = (
                    ""
                    if owner in {"builtins", "__builtins__", "sys.modules", "builtins."}
                    else owner.rstrip(".")
                )
                return f"{owner}.{key}" if owner else key
        return ""

    def _reached(self, node: ast.Call, depth: int) -> str:
        called = self.name_of(node.func, depth + 1)
        if called == "getattr" and len(node.args) > 1:
            before = self.name_of(node.args[0], depth + 1)
            name = self.text_of(node.args[1], depth + 1)
            before = "" if before in {"builtins", "__builtins__"} else before
            return (f"{before}.{name}" if before else name) if name.isidentifier() else ""
        if called in {"__import__", "importlib.import_module", "importlib.__import__"} and node.args:
            name = self.text_of(node.args[0], depth + 1)
            return name if name.replace(".", "").isidentifier() else ""
        if called in {"vars", "globals", "locals"}:
            return f"{self.name_of(node.args[0], depth + 1) if node.args else ''}.{called}()".lstrip(".")
        return f"{called}()" if called else ""

    def text_of(self, node: ast.AST | None, depth: int = 0) -> str:
        """Return what ``node`` says, with `UNKNOWN` for what cannot be told; empty when nothing can."""
        if node is None or depth > _MAX_DEPTH:
            return ""
        text = self._text(node, depth + 1)
        return text[:_MAX_TEXT]

    def _text(self, node: ast.AST, depth: int) -> str:
        if isinstance(node, ast.Constant):
            value = node.value
            return (
                value
                if isinstance(value, str)
                else value.decode("latin-1")
                if isinstance(value, bytes)
                else ""
            )
        if isinstance(node, ast.Name):
            return self.texts.get(node.id, "")
        if isinstance(node, ast.Attribute):
            return self.texts.get(node.attr, "")
        if isinstance(node, ast.JoinedStr):
            return "".join(
                self.text_of(part.value if isinstance(part, ast.FormattedValue) else part, depth) or UNKNOWN
                for part in node.values
            )
        if isinstance(node, ast.BinOp):
            return self._joined(node, depth)
        if isinstance(node, ast.Subscript):
            return self._part(node, depth)
        return self._called(node, depth) if isinstance(node, ast.Call) else ""

    def _joined(self, node: ast.BinOp, depth: int) -> str:
        left, right = self.text_of(node.left, depth), self.text_of(node.right, depth)
        if not left and not right:
            return ""
        if isinstance(node.op, ast.Add):
            return (left or UNKNOWN) + (right or UNKNOWN)
        if isinstance(node.op, ast.Div):
            return posixpath.join(left or UNKNOWN, right or UNKNOWN)
        return left.replace("%s", UNKNOWN) if isinstance(node.op, ast.Mod) else ""

    def _part(self, node: ast.Subscript, depth: int) -> str:
        if self.name_of(node.value, depth) == "os.environ":
            key = self.text_of(node.slice, depth)
            return "~" if key in {"HOME", "USERPROFILE"} else ""
        cut = node.slice
        if isinstance(cut, ast.Slice) and isinstance(cut.step, ast.UnaryOp) and cut.lower is None:  # [::-1]
            return self.text_of(node.value, depth)[::-1]
        return ""

    def _called(self, node: ast.Call, depth: int) -> str:  # noqa: PLR0911 - one for each kind of call
        name = self.name_of(node.func, depth)
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        given = [self.text_of(argument, depth) for argument in node.args[:20]]
        if name in _OPENED:
            return given[0] if given else ""
        if name in _HOMES:
            return given[0] if given else "~"
        if name in {"os.environ.get", "os.getenv"}:
            return "~" if given[:1] in (["HOME"], ["USERPROFILE"]) else ""
        if name in _PATHS:
            return posixpath.join(*[part or UNKNOWN for part in given]) if any(given) else ""
        if not isinstance(node.func, ast.Attribute):
            return ""
        of = self.text_of(node.func.value, depth)
        if method in {"joinpath", "with_name"} and of:
            base = posixpath.dirname(of) if method == "with_name" else of
            return posixpath.join(base, *[part or UNKNOWN for part in given])
        if (
            method == "join"
            and node.args
            and self.name_of(getattr(node.args[0], "func", node), depth) == "reversed"
        ):
            return self.text_of(node.args[0].args[0], depth)[::-1] if node.args[0].args else ""  # type: ignore[attr-defined]
        if method == "join" and node.args and isinstance(node.args[0], ast.List | ast.Tuple):
            return of.join(self.text_of(part, depth) or UNKNOWN for part in node.args[0].elts[:200])
        if method in {"glob", "rglob", "iterdir"} and of:
            return posixpath.join(of, given[0] if given and given[0] else "*")
        if method == "replace" and of and len(given) > 1:
            return of.replace(given[0], given[1]) if given[0] else of
        return of if method in _SAME or method == "format" else ""


def parsed(source: str) -> ast.Module | None:
    """Return the tree of ``source``, or None when it is too long, too deep or not Python."""
    if len(source) > MAX_SOURCE:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a text that is only read
            return ast.parse(source.replace("\0", ""))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


_RUNNERS = (
    "subprocess.",
    "os.system",
    "os.popen",
    "os.exec",
    "os.spawn",
    "asyncio.create_subprocess",
    "pexpect.",
    "pty.spawn",
)
_MAX_WORDS = 60


def commands_in(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line, from 1, and text of each command line that a program gives in pieces or as a list of words."""
    scope = Scope()
    scope.imports(tree)
    try:
        calls = []
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Assign)
                and len(node.targets) == 1
                and isinstance(node.targets[0], ast.Name)
            ):
                if text := scope.text_of(node.value):
                    scope.texts[node.targets[0].id] = text
                elif isinstance(node.value, ast.List | ast.Tuple):
                    scope.texts[node.targets[0].id] = _line(scope, node.value)
                elif dotted := scope.name_of(node.value):
                    scope.dotted[node.targets[0].id] = dotted
            elif isinstance(node, ast.Call) and node.args:
                calls.append(node)
        for node in calls:
            first = node.args[0]
            if isinstance(first, ast.Constant) or not scope.name_of(node.func).startswith(_RUNNERS):
                continue
            line = _line(scope, first) if isinstance(first, ast.List | ast.Tuple) else scope.text_of(first)
            if line.replace(UNKNOWN, "").strip():
                yield node.lineno, line
    except RecursionError:
        return


def _line(scope: Scope, words: ast.List | ast.Tuple) -> str:
    found = []
    for word in words.elts[:_MAX_WORDS]:
        text = "python3" if scope.name_of(word) == "sys.executable" else scope.text_of(word) or UNKNOWN
        found.append(f'"{text}"' if " " in text and len(words.elts) > 1 else text)
    return " ".join(found)
