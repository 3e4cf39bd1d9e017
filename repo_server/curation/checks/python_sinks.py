"""One call in a Python program, and whether it runs, sends, keeps or destroys what it is given."""

import ast
import re
from typing import TYPE_CHECKING

from repo_server.curation.checks import egress
from repo_server.curation.checks import python_names as known
from repo_server.curation.checks.python_facts import Holds, Kind

if TYPE_CHECKING:
    from repo_server.curation.checks.python_flow import Program


class Sinks:
    """One call, and whether it runs, sends, keeps or destroys what it is given."""

    def __init__(
        self,
        program: "Program",
        node: ast.Call,
        *,
        given: list[Holds],
        named: dict[str, Holds],
        receiver: Holds,
    ) -> None:
        self.program, self.node, self.name = program, node, program.scope.name_of(node.func)
        self.given, self.named, self.receiver = given, named, receiver
        self.method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        self.first = given[0] if given else next(iter(named.values()), Holds.NOTHING)
        self.all = self.first
        for held in (*given, *named.values()):
            self.all |= held

    def look(self) -> None:
        """Take note of everything that the call does."""
        if known.RUNS_TEXT.search(self.name) and not self.is_plain():
            self.run(self.first)
        if known.LOADS_CODE.search(self.name) or self.loads_objects():
            self.run((self.first | self.receiver) & (Holds.FETCHED | Holds.SAVED | Holds.TAKEN))
        elif known.RUNS_PROGRAM.search(self.name):
            self.program_run()
        elif known.LOADS_FILE.search(self.name):
            self.run(self.all & (Holds.SAVED | Holds.TAKEN))
        elif self.name == "os.chmod" and self.first & Holds.SAVED:
            self.program.notice(self.node, Kind.FETCHED_FILE_RUNS)
        elif self.method in known.FEEDING and self.receiver & Holds.SHELL:
            self.run(self.all)
        self.detour()
        self.keep()
        self.send()
        self.destroy()
        self.own()

    def detour(self) -> None:
        """A function that is found by a name which is worked out, in a module that runs things or is itself found so."""
        function = self.node.func
        found = (
            function.args
            if isinstance(function, ast.Call)
            else [function.value, function.slice]
            if isinstance(function, ast.Subscript)
            else []
        )
        if len(found) < 2 or self.program.scope.name_of(function):  # noqa: PLR2004 - where, and what
            return
        if isinstance(function, ast.Call) and self.program.scope.name_of(function.func) != "getattr":
            return
        owner = self.program.scope.name_of(found[0]).removesuffix(".vars()")
        hidden = self.program.value(found[1]) & Holds.DECODED
        if not isinstance(found[1], ast.Constant) and (
            owner in known.POWERFUL or (hidden and owner in {"", "__import__()"})
        ):
            self.program.notice(self.node, Kind.DETOUR)

    def is_plain(self) -> bool:
        """Whether the name is another thing's: ``re.compile``, ``df.eval``, ``cursor.exec``."""
        return "." in self.name and not self.name.startswith(
            ("os.", "subprocess.", "builtins.", "code.", "runpy.", "types.", "ctypes.")
        )

    def loads_objects(self) -> bool:
        """Whether a reader of data is told to build whatever the data ask for."""
        told = {keyword.arg: keyword.value for keyword in self.node.keywords}
        if self.name == "yaml.load":
            return "Safe" not in self.program.scope.name_of(told["Loader"]) if "Loader" in told else False
        unsafe = told.get({"torch.load": "weights_only", "numpy.load": "allow_pickle"}.get(self.name, ""))
        return isinstance(unsafe, ast.Constant) and unsafe.value is (self.name == "numpy.load")

    def run(self, held: Holds) -> None:
        """Note what is run, by where it comes from."""
        if held & Holds.FETCHED:
            self.program.notice(self.node, Kind.FETCHED_RUNS)
        elif held & Holds.SAVED:
            self.program.notice(self.node, Kind.FETCHED_FILE_RUNS)
        elif held & (Holds.DECODED | Holds.SHIPPED):
            self.program.notice(self.node, Kind.DECODED_RUNS)
        if held & Holds.TAKEN and self.program.function:
            self.program.runs.add(self.program.function)

    def program_run(self) -> None:
        """What is run is the first word, the whole line, or what an interpreter is given."""
        node, program = self.node, self.program
        words = node.args[0] if node.args else None
        line = program.line_of(node)
        if isinstance(words, ast.List | ast.Tuple) and words.elts:
            head = program.value(words.elts[0])
            interpreter = (
                bool(known.INTERPRETER.match(line))
                or program.scope.name_of(words.elts[0]) == "sys.executable"
            )
            if interpreter:
                for part in words.elts[1:4]:
                    head |= program.value(part)
                    text = program.scope.text_of(part)
                    head |= Holds.SAVED if text in program.saved else Holds.NOTHING
            head |= Holds.SAVED if program.scope.text_of(words.elts[0]) in program.saved else Holds.NOTHING
            self.run(head)
        elif words is not None:
            interpreter = bool(known.INTERPRETER.match(line))
            whole = isinstance(words, ast.Name | ast.Attribute | ast.Call | ast.Subscript | ast.Await)
            if whole or interpreter:
                for held in self.given:
                    self.run(held)
            if any(
                re.search(rf"(?:^|[\s;&|]){re.escape(path)}(?=$|[\s;&|])", line)
                for path in program.saved
                if path in line
            ):
                program.notice(node, Kind.FETCHED_FILE_RUNS)
        else:
            return
        if interpreter or known.INTERPRETER.match(line):
            self.run(self.named.get("input", Holds.NOTHING) | self.named.get("stdin", Holds.NOTHING))

    def keep(self) -> None:
        """Something that is written to a file, and any write to a path that is known."""
        program, node = self.program, self.node
        if self.name in {"open", "io.open"} and node.args:
            if self.opens_to_write(1):
                program.notice(node, Kind.WRITES, program.scope.text_of(node.args[0]))
            return
        if self.method == "open" and self.opens_to_write(0):
            self.writes(node.func)
            return
        target, content = self.kept()
        if target is None:
            return
        if content & Holds.FETCHED:
            self.mark(target)
        if content & Holds.SECRET or (
            self.method in {"write", "add", "writestr"} and self.first & Holds.BROAD
        ):
            program.mark_secret(target)

    def opens_to_write(self, at: int) -> bool:
        """Whether the mode, the argument ``at``, is one of writing."""
        return bool(
            known.WRITING_MODE.search("".join(self.program.scope.text_of(part) for part in self.modes(at)))
        )

    def kept(self) -> tuple[ast.expr | None, Holds]:
        """Return the file, or its path, that the call writes, and what it writes."""
        program, node = self.program, self.node
        if self.method in known.WRITING and isinstance(node.func, ast.Attribute):
            if self.method.startswith("write_"):
                self.writes(node.func)
            if self.method == "extractall":
                return (node.args[0] if node.args else node.func.value), self.first | self.receiver
            return node.func.value, self.first
        if (
            self.name.endswith(("urlretrieve", ".download_file", "wget.download", ".DownloadFile"))
            and len(node.args) > 1
        ):
            return node.args[1], Holds.FETCHED
        if self.name in known.COPIES and len(node.args) > 1:
            program.notice(node, Kind.WRITES, program.scope.text_of(node.args[1]))
            return node.args[1], self.first | (Holds.FETCHED if self.first & Holds.SAVED else Holds.NOTHING)
        if self.name == "shutil.make_archive" and node.args:
            whole = any(known.is_broad(program.scope.text_of(part)) for part in node.args[2:])
            return node.args[0], Holds.SECRET if whole else Holds.NOTHING
        return None, Holds.NOTHING

    def modes(self, at: int) -> list[ast.expr]:
        """The mode of a file that is opened."""
        return self.node.args[at : at + 1] + [
            keyword.value for keyword in self.node.keywords if keyword.arg == "mode"
        ]

    def writes(self, function: ast.expr) -> None:
        """A write to a path that is known."""
        if isinstance(function, ast.Attribute) and (path := self.program.scope.text_of(function.value)):
            self.program.notice(self.node, Kind.WRITES, path)

    def mark(self, target: ast.expr) -> None:
        """Every name in ``target`` is a file, or a path, that holds something fetched."""
        if text := self.program.scope.text_of(target):
            self.program.saved.add(text)
        for part in ast.walk(target):
            if isinstance(part, ast.Name):
                self.program.hold(part.id, Holds.SAVED)
                if text := self.program.scope.texts.get(part.id, ""):
                    self.program.saved.add(text)

    def send(self) -> None:
        """A secret, or the key of a service, in what leaves."""
        held = self.all if known.SENDS.search(self.name) else Holds.NOTHING
        if self.method in known.SENDING and not held:
            held = self.all
        elif known.ASKS.search(self.name):
            held = (
                self.all
                | (self.receiver & Holds.KEY)
                | self.program.names.get(("", ".headers"), Holds.NOTHING)
            )
        if not (held or self.names_secret()) or any(
            known.LOCAL.search(self.program.scope.text_of(part)) for part in self.node.args[:2]
        ):
            return
        if held & Holds.SECRET or (known.UPLOADS.search(self.name) and self.names_secret()):
            self.program.notice(self.node, Kind.SECRET_LEAVES)
        elif held & Holds.KEY and self.is_foreign():
            self.program.notice(self.node, Kind.KEY_LEAVES, ", ".join(sorted(self.program.keys)))
        if held & Holds.TAKEN and self.program.function:
            self.program.sends.add(self.program.function)

    def names_secret(self) -> bool:
        """Whether one of the arguments is the path of a secret."""
        return any(
            known.SECRET_PLACE.search(self.program.scope.text_of(part).lower()) for part in self.node.args[:3]
        )

    def is_foreign(self) -> bool:
        """Whether a key goes to an address that is not its service's."""
        url = next(
            (
                found
                for part in self.node.args[:2]
                if (found := egress.URL.search(self.program.scope.text_of(part)))
            ),
            None,
        )
        return url is not None and all(
            egress.is_foreign_to(name, egress.host_of(url["authority"])) for name in self.program.keys
        )

    def destroy(self) -> None:
        """A folder of the user that is removed, or overwritten."""
        if known.DESTROYS.search(self.name) and self.node.args:
            path = self.program.scope.text_of(self.node.args[0])
            if self.first & Holds.BROAD or known.is_broad(path):
                self.program.notice(self.node, Kind.DESTROYS, path)
        elif self.method in known.DESTROYING and isinstance(self.node.func, ast.Attribute):
            path = self.program.scope.text_of(self.node.func.value)
            if self.receiver & Holds.BROAD and self.method != "rename":
                self.program.notice(self.node, Kind.DESTROYS, path)

    def own(self) -> None:
        """A function of this or of another module that runs, or sends, what it is given."""
        module, _, function = self.name.rpartition(".")
        summary = self.program.siblings.get(module.rpartition(".")[2])
        own = not module or module in {"self", "cls"}
        if (own and function in self.program.runs) or (summary and function in summary.runs):
            self.run(self.all)
        if (
            (own and function in self.program.sends) or (summary and function in summary.sends)
        ) and self.all & Holds.SECRET:
            self.program.notice(self.node, Kind.SECRET_LEAVES)
