"""What flows where in a Python program, by its syntax tree: what is fetched, decoded or secret, and what runs or sends it.

    from urllib.request import urlopen as o; run = exec; run(o(u).read())         runs what it fetches
    p.write_bytes(get(u).content); subprocess.run(["python3", str(p)])            the same by way of a file
    for p in Path.home().rglob("*"): p.unlink()                                  destroys

Nothing is run. Branches are ignored, names are known by function, attributes by their last name; a few rounds carry what
functions return and take. What cannot be parsed is read as text by the other modules, as every other language is.
"""

import ast
from collections.abc import Iterable, Iterator

from repo_server.curation.checks import egress
from repo_server.curation.checks import python_names as known
from repo_server.curation.checks.python_facts import Deed, Holds, Kind, Summary
from repo_server.curation.checks.python_sinks import Sinks
from repo_server.curation.checks.python_values import UNKNOWN, Scope

_ROUNDS = 3
_MAX_DEPTH = 60
_MAX_HITS = 200


NO_IMPORTS: dict[str, Summary] = {}


def deeds_of(tree: ast.Module, siblings: dict[str, Summary] = NO_IMPORTS) -> tuple[list[Deed], Summary]:
    """Return what ``tree`` does, in order, and what it offers; ``siblings`` are the modules beside it, by name."""
    program = Program(siblings)
    try:
        program.scope.imports(tree)
        for last in [False] * (_ROUNDS - 1) + [True]:
            program.noticing = last
            program.block(tree.body)
    except RecursionError:
        pass  # what was noticed so far stands; the text is read by the other modules too
    return program.deeds[:_MAX_HITS], program.summary()


class Program:
    """The names of a program, and what they hold."""

    def __init__(self, siblings: dict[str, Summary]) -> None:
        """Begin with what the neighbours offer."""
        self.scope = Scope()
        self.siblings = siblings
        self.names: dict[tuple[str, str], Holds] = {}
        self.returned: dict[str, Holds] = {}
        self.runs: set[str] = set()
        self.sends: set[str] = set()
        self.parameters: dict[str, list[str]] = {}
        self.saved: set[str] = set()
        self.secret: set[str] = set()
        self.keys: set[str] = set()
        self.function = ""
        self.noticing = False
        self.deeds: list[Deed] = []

    def summary(self) -> Summary:
        """Return what the program offers to others."""
        plain = ~(Holds.TAKEN | Holds.SHIPPED | Holds.BROAD)
        holds = {name: held & plain for (function, name), held in self.names.items() if not function}
        holds |= {name: held & plain for name, held in self.returned.items()}
        return Summary(holds, frozenset(self.runs), frozenset(self.sends), frozenset(self.saved))

    # -- statements

    def block(self, statements: Iterable[ast.stmt]) -> None:
        """Read statements in order."""
        for statement in statements:
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        """Read one statement."""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            self.defined(node)
        elif isinstance(node, ast.Assign):
            held = self.value(node.value)
            for target in node.targets:
                self.bind(target, held, node.value)
        elif isinstance(node, ast.AnnAssign | ast.AugAssign):
            if node.value is not None:
                self.bind(
                    node.target,
                    self.value(node.value),
                    node.value if isinstance(node, ast.AnnAssign) else None,
                )
        elif isinstance(node, ast.Return):
            self.returned[self.function] = self.returned.get(self.function, Holds.NOTHING) | (
                self.value(node.value) if node.value is not None else Holds.NOTHING
            )
        elif isinstance(node, ast.For | ast.AsyncFor):
            self.bind(node.target, self.each(node.iter), node.iter)
            self.block([*node.body, *node.orelse])
        elif isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                held = self.value(item.context_expr)
                if item.optional_vars is not None:
                    self.bind(item.optional_vars, held, item.context_expr)
            self.block(node.body)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            self.imported(node)
        else:
            self.others(node)

    def others(self, node: ast.stmt) -> None:
        """Read what is in a statement of another kind."""
        for _, field in ast.iter_fields(node):
            for child in field if isinstance(field, list) else [field]:
                if isinstance(child, ast.stmt):
                    self.statement(child)
                elif isinstance(child, ast.ExceptHandler | ast.match_case):
                    self.block(child.body)
                elif isinstance(child, ast.expr):
                    self.value(child)

    def defined(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Read a function: its parameters are what it takes."""
        outside, self.function = self.function, node.name
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        self.parameters[node.name] = [argument.arg for argument in arguments]
        for argument in arguments:
            self.hold(argument.arg, Holds.TAKEN)
        self.block(node.body)
        self.function = outside

    def imported(self, node: ast.Import | ast.ImportFrom) -> None:
        """An import of a module that was fetched runs it."""
        modules = (
            [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        )
        for module in modules:
            if any(path.rpartition("/")[2].removesuffix(".py") == module for path in self.saved):
                self.notice(node, Kind.FETCHED_FILE_RUNS)

    # -- names

    def hold(self, name: str, held: Holds) -> None:
        """Let a name hold something more."""
        key = (self.function, name)
        self.names[key] = self.names.get(key, Holds.NOTHING) | held

    def held(self, name: str) -> Holds:
        """Return what a name holds, here or in the module."""
        found = self.names.get((self.function, name), Holds.NOTHING)
        return found | (self.names.get(("", name), Holds.NOTHING) if self.function else Holds.NOTHING)

    def bind(self, target: ast.expr, held: Holds, value: ast.expr | None) -> None:
        """Let the names of an assignment hold what is assigned."""
        if isinstance(target, ast.Tuple | ast.List):
            for part in target.elts:
                self.bind(part, held, None)
        elif isinstance(target, ast.Starred):
            self.bind(target.value, held, None)
        elif isinstance(target, ast.Name):
            self.hold(target.id, held)
            if value is not None:
                self.remember(target.id, value)
        elif isinstance(target, ast.Attribute):
            self.names["", f".{target.attr}"] = self.names.get(("", f".{target.attr}"), Holds.NOTHING) | held
            if value is not None:
                self.remember(target.attr, value)
        elif isinstance(target, ast.Subscript):
            self.bind(target.value, held, None)

    def remember(self, name: str, value: ast.expr) -> None:
        """Keep what ``name`` says, and what it stands for; of several texts in a loop the one that weighs most."""
        if isinstance(value, ast.Tuple | ast.List):
            texts = [text for part in value.elts[:40] if (text := self.scope.text_of(part))]
            if texts:
                self.scope.texts[name] = next(
                    (text for text in texts if known.SECRET_PLACE.search(text.lower())), texts[0]
                )
            return
        if text := self.scope.text_of(value):
            self.scope.texts[name] = text
        elif not isinstance(value, ast.Call | ast.Name | ast.Attribute | ast.Subscript | ast.Await):
            return
        dotted = self.scope.name_of(value.value if isinstance(value, ast.Await) else value)
        if dotted and dotted != name and len(dotted) < known.LONGEST and not dotted.startswith(f"{name}."):
            self.scope.dotted[name] = dotted

    # -- values

    def value(self, node: ast.AST | None, depth: int = 0) -> Holds:  # one line for each kind of expression
        """Return what an expression can be."""
        if node is None or depth > _MAX_DEPTH:
            return Holds.NOTHING
        if isinstance(node, ast.Constant):
            return self.constant(node.value)
        if isinstance(node, ast.Name):
            whole = Holds.SECRET if self.scope.name_of(node) == "os.environ" else Holds.NOTHING
            return self.held(node.id) | whole | self.offered(node)
        if isinstance(node, ast.Attribute):
            return self.attribute(node, depth)
        if isinstance(node, ast.Call):
            return self.called(node, depth)
        if isinstance(node, ast.Subscript):
            return self.part(node, depth)
        if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
            return self.comprehension(node, depth)
        return self.composed(node, depth)

    def composed(self, node: ast.AST, depth: int) -> Holds:
        """Return what the parts of ``node`` hold together; what is compared is a yes or a no."""
        held = Holds.NOTHING
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitXor):
            held = Holds.DECODED
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                held |= self.value(child, depth + 1)
        if isinstance(node, ast.NamedExpr):
            self.bind(node.target, held, node.value)
        return Holds.NOTHING if isinstance(node, ast.Compare) else held

    def constant(self, value: object) -> Holds:
        """A path counts as what is kept there."""
        if not isinstance(value, str):
            return Holds.NOTHING
        return (Holds.SAVED if value in self.saved else Holds.NOTHING) | (
            Holds.SECRET if value in self.secret else Holds.NOTHING
        )

    def key(self, node: ast.expr | None) -> Holds:
        """One variable of the environment, when it is the key of a service that everybody knows."""
        name = self.scope.text_of(node)
        if not name.isupper() or not egress.is_foreign_to(name, "x.invalid"):
            return Holds.NOTHING
        self.keys.add(name)
        return Holds.KEY

    def comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, depth: int
    ) -> Holds:
        """Return what a comprehension holds."""
        held = Holds.NOTHING
        for generator in node.generators:
            each = self.each(generator.iter, depth + 1)
            self.bind(generator.target, each, generator.iter)
            held |= each
            for condition in generator.ifs:
                self.value(condition, depth + 1)
        for child in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            held |= self.value(child, depth + 1)
        return held

    def each(self, node: ast.expr, depth: int = 0) -> Holds:
        """Return what the elements of ``node`` hold: those below the home folder are anything."""
        held = self.value(node, depth)
        text = self.scope.text_of(node)
        if not text and isinstance(node, ast.Call) and node.args:
            text = self.scope.text_of(node.args[0])  # os.walk, os.listdir, sorted, glob.glob
        return held | (Holds.BROAD if known.is_broad(text) else Holds.NOTHING)

    def attribute(self, node: ast.Attribute, depth: int) -> Holds:
        """Return what an attribute holds: what its object does, and what was assigned to any of that name."""
        if self.scope.name_of(node) == "os.environ":
            return Holds.SECRET
        held = self.value(node.value, depth + 1)
        if node.attr in known.NUMBERS:
            held &= Holds.SAVED
        elif node.attr == "headers" and isinstance(node.value, ast.Name):
            held |= self.held(node.value.id)
        return held | self.names.get(("", f".{node.attr}"), Holds.NOTHING) | self.offered(node)

    def part(self, node: ast.Subscript, depth: int) -> Holds:
        """Return what an element holds."""
        if self.scope.name_of(node.value) == "os.environ":
            return self.key(node.slice)
        held = self.value(node.value, depth + 1) | self.value(node.slice, depth + 1)
        if isinstance(node.slice, ast.Slice) and isinstance(node.slice.step, ast.UnaryOp):
            held |= Holds.DECODED if held & Holds.SHIPPED or self.scope.text_of(node.value) else Holds.NOTHING
        return held

    def offered(self, node: ast.expr) -> Holds:
        """Return what a name of a module beside this one holds."""
        module, _, name = self.scope.name_of(node).removesuffix("()").rpartition(".")
        summary = self.siblings.get(module.rpartition(".")[2])
        return summary.holds.get(name, Holds.NOTHING) if summary else Holds.NOTHING

    def called(self, node: ast.Call, depth: int) -> Holds:
        """Return what a call returns, after noting what it does."""
        name = self.scope.name_of(node.func)
        given = [self.value(argument, depth + 1) for argument in node.args]
        named = {keyword.arg or "": self.value(keyword.value, depth + 1) for keyword in node.keywords}
        receiver = (
            self.value(node.func.value, depth + 1) if isinstance(node.func, ast.Attribute) else Holds.NOTHING
        )
        if isinstance(node.func, ast.Lambda):
            for argument, held in zip(node.func.args.args, given, strict=False):
                self.hold(argument.arg, held)
            self.value(node.func.body, depth + 1)
        Sinks(self, node, given=given, named=named, receiver=receiver).look()
        self.passed_on(node, given, named)
        held = receiver
        for part in (*given, *named.values()):
            held |= part
        if (name in known.CLEANING and not (name == "int" and len(node.args) > 1)) or name.rpartition(".")[
            2
        ] in known.CLEANING_METHODS:
            return Holds.NOTHING
        if isinstance(node.func, ast.Name):
            held |= self.held(node.func.id)
        if known.FETCHES.search(name) or self.by_program(node, name):
            held |= Holds.FETCHED
        if (
            known.DECODES.search(name)
            or (name == "int" and len(node.args) > 1)
            or _computes_letters(node, name)
        ):
            held |= Holds.DECODED
        if known.SECRETS.search(name):
            held |= Holds.SECRET
            if node.args:
                self.mark_secret(node.args[0])
        if name in {"os.environ.get", "os.getenv", "os.environ.pop", "os.environ.setdefault"} and node.args:
            return self.key(node.args[0])
        if known.RUNS_PROGRAM.search(name) and known.INTERPRETER.match(self.line_of(node)):
            held |= Holds.SHELL
        held |= self.reads(node, name, receiver | (given[0] if given else Holds.NOTHING)) | self.offered(
            node.func
        )
        own = name.rpartition(".")[2] if name.startswith(("self.", "cls.", "?.")) or "." not in name else name
        return held | (self.returned.get(own, Holds.NOTHING) & ~Holds.TAKEN)

    def passed_on(self, node: ast.Call, given: list[Holds], named: dict[str, Holds]) -> None:
        """Let the parameters of an own function hold what it is called with."""
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        parameters = self.parameters.get(called)
        if parameters is None:
            return
        if isinstance(node.func, ast.Attribute) and parameters[:1] in (["self"], ["cls"]):
            parameters = parameters[1:]
        for parameter, held in [*zip(parameters, given, strict=False), *named.items()]:
            key = (called, parameter)
            if held & ~Holds.TAKEN and parameter:
                self.names[key] = self.names.get(key, Holds.NOTHING) | (held & ~Holds.TAKEN)

    def by_program(self, node: ast.Call, name: str) -> bool:
        """Whether a program is called that fetches, and its output is taken."""
        return bool(known.RUNS_PROGRAM.search(name)) and bool(
            known.FETCHING_PROGRAM.search(self.line_of(node))
        )

    def line_of(self, node: ast.Call) -> str:
        """Return the command line of a call, as far as it is known."""
        if not node.args:
            return ""
        first = node.args[0]
        if isinstance(first, ast.List | ast.Tuple):
            return " ".join(self.scope.text_of(part) or UNKNOWN for part in first.elts[:60])
        return (
            " ".join(self.scope.text_of(part) or UNKNOWN for part in node.args[:20])
            if self.scope.text_of(first)
            else ""
        )

    def mark_secret(self, target: ast.expr) -> None:
        """Every name in ``target`` is a file, or a path, that holds a secret."""
        if text := self.scope.text_of(target):
            self.secret.add(text)
        for part in ast.walk(target):
            if isinstance(part, ast.Name) and part.id not in self.scope.modules:
                self.hold(part.id, Holds.SECRET)
                if text := self.scope.texts.get(part.id, ""):
                    self.secret.add(text)

    def reads(self, node: ast.Call, name: str, which: Holds) -> Holds:
        """Return what a file that is read holds, by its path."""
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if (
            name in {"open", "io.open"} or name.endswith(("Image.open", ".loadtxt", ".imread"))
        ) and node.args:
            path = self.scope.text_of(node.args[0])
        elif method in known.READING and isinstance(node.func, ast.Attribute):
            path = self.scope.text_of(node.func.value)
        else:
            return Holds.NOTHING
        held = Holds.SAVED if path in self.saved else Holds.NOTHING
        if path in self.secret or (which & Holds.BROAD and method not in known.LISTING):
            held |= Holds.SECRET
        if known.SECRET_PLACE.search(path.lower()):
            return held | Holds.SECRET
        return held | (Holds.SHIPPED if known.NO_PROGRAM.search(path) else Holds.NOTHING)

    def notice(self, node: ast.AST, kind: Kind, detail: str = "") -> None:
        """Keep what the program was noticed to do, once."""
        deed = Deed(getattr(node, "lineno", 1), kind, detail)
        if self.noticing and deed not in self.deeds:
            self.deeds.append(deed)


def _computes_letters(node: ast.Call, name: str) -> bool:
    """Whether letters are worked out from numbers, as in ``map(chr, (n - 7 for n in numbers))``."""
    if name == "map" and node.args:
        return isinstance(node.args[0], ast.Name) and node.args[0].id == "chr"
    return name in {"chr", "bytes", "bytearray"} and any(
        isinstance(part, ast.BinOp) for argument in node.args[:1] for part in ast.walk(argument)
    )


def imports_of(tree: ast.Module) -> Iterator[str]:
    """Yield the last name of each module that ``tree`` imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.rpartition(".")[2] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").rpartition(".")[2]
            yield from (alias.name for alias in node.names)
