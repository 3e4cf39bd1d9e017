"""The files of a review, ready to be shown: what became of each, its lines, and the findings beside them.

Everything is shown, also what did not change, as far as a page that opens in a browser allows. What is left
out is counted, and the page says so at its top: no review of an incomplete page can be complete.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from repo_server.curation.reading import Reading, reading_of
from repo_server.curation.rendering.page import ReviewPage
from repo_server.curation.rendering.sidebyside import Change, Effort, Row, compare
from repo_server.curation.textsafe import visible
from signing.format.archive import SourceFile
from signing.format.digest import sha256_of
from signing.format.finding import Finding
from signing.format.manifest import SKILL_NAME, MemberPath, Mode

MAX_ROWS: Final = 20_000
MAX_CHARACTERS: Final = 4 << 20
_CONTEXT: Final = 3  # unchanged lines that stay open around a change
_FOLDED: Final = 4  # fewer are not worth a fold


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """A finding beside the line it is about; ``number`` is its place in the list of findings."""

    number: int
    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRow:
    """A row with what was found in its new line."""

    row: Row
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Rows that belong together; ``folded`` when none of them changed or has a remark."""

    rows: tuple[ShownRow, ...]
    folded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownFile:
    """One file. ``status`` is new, removed, changed or unchanged; ``notes`` are facts about it as a whole."""

    path: str
    status: str
    notes: tuple[str, ...]
    remarks: tuple[Remark, ...]
    blocks: tuple[Block, ...]
    one_sided: bool
    added: int
    removed: int
    left_out: int

    @property
    def open(self) -> bool:
        """Whether there is anything to look at first."""
        return self.status != "unchanged" or bool(self.remarks) or any(not b.folded for b in self.blocks)


@dataclass(slots=True)
class _Budget:
    rows: int = field(default_factory=lambda: MAX_ROWS)
    characters: int = field(default_factory=lambda: MAX_CHARACTERS)
    effort: Effort = field(default_factory=Effort)

    def allows(self, row: Row) -> bool:
        self.rows -= 1
        pieces = (*row.left, *row.right) if row.change is not Change.SAME else row.right
        # As shown: what is hidden takes eight characters to spell out.
        self.characters -= sum(len(visible(piece.text)) for piece in pieces)
        return self.rows >= 0 and self.characters >= 0


def shown_files(page: ReviewPage, findings: Sequence[Finding]) -> list[ShownFile]:
    """Return all files of both versions: what changed first, SKILL.md before others.

    Args:
        page: what is shown.
        findings: those of its findings that are shown, the first as number 0.
    """
    before = page.old.files if page.old is not None else {}
    after = page.new.files
    remarks: dict[str, list[Remark]] = defaultdict(list)
    for number, finding in enumerate(findings):
        remarks[finding.path].append(Remark(number=number, finding=finding))
    order = sorted({*before, *after}, key=lambda p: (before.get(p) == after.get(p), p != SKILL_NAME, p))
    budget = _Budget()
    return [_file(path, before.get(path), after.get(path), remarks.get(path, []), budget) for path in order]


def _file(
    path: MemberPath, old: SourceFile | None, new: SourceFile | None, remarks: list[Remark], budget: _Budget
) -> ShownFile:
    readings = (_reading(path, old), _reading(path, new))
    left_out = 0
    kept: list[Row] = []
    if readings[0] is not None and readings[1] is not None:
        before, after = _lines(readings[0]), _lines(readings[1])
        # What cannot be shown is not compared either: a text of megabytes may be nothing but ends of lines.
        most = max(0, budget.rows) + 1
        left_out = len(before[most:]) + len(after[most:])
        whole = True
        for row in compare(before[:most], after[:most], budget.effort):
            # Once something is left out, so is what follows: a page with gaps would look whole.
            whole = budget.allows(row) and whole
            if whole:
                kept.append(row)
            else:
                left_out += 1
    shown = {row.new for row in kept if row.new}
    return ShownFile(
        path=path,
        status=_status(old, new),
        notes=tuple(_notes(old, new, readings)),
        remarks=tuple(remark for remark in remarks if remark.finding.line not in shown),
        blocks=tuple(_blocks(_with_remarks(kept, remarks), whole=old is None or new is None)),
        one_sided=old is None or new is None or old.content == new.content,
        added=sum(row.change in {Change.ADDED, Change.CHANGED} for row in kept),
        removed=sum(row.change in {Change.REMOVED, Change.CHANGED} for row in kept),
        left_out=left_out,
    )


def _status(old: SourceFile | None, new: SourceFile | None) -> str:
    if old is None:
        return "new"
    if new is None:
        return "removed"
    return "unchanged" if old == new else "changed"


def _notes(
    old: SourceFile | None, new: SourceFile | None, readings: tuple[Reading | None, Reading | None]
) -> Iterator[str]:
    """Yield what the lines do not show; whatever differs is either in a line or here."""
    if old is not None and new is not None and old.mode != new.mode:
        yield f"mode {old.mode} → {new.mode}"
    elif (file := new or old) is not None and file.mode is Mode.EXECUTABLE:
        yield "executable"
    facts = f"{_facts(old)} → {_facts(new)}" if old != new else _facts(new)
    before, after = readings
    if before is None or after is None:
        yield f"not text: {facts}"
    elif not (before.faithful and after.faithful):
        yield f"not UTF-8 text without NUL; U+FFFD stands for what is not: {facts}"
    elif old is not None and new is not None and _ends(before) != _ends(after):
        yield f"its end: {_ends(before)} → {_ends(after)}"
    if new is not None and not new.content:
        yield "empty"


def _ends(reading: Reading) -> str:
    return "a line feed" if reading.text.endswith("\n") else "no line feed"


def _facts(file: SourceFile | None) -> str:
    return f"{len(file.content)} bytes, sha256 {sha256_of(file.content)}" if file is not None else "nothing"


def _reading(path: MemberPath, file: SourceFile | None) -> Reading | None:
    return reading_of(path, file) if file is not None else Reading("", faithful=True)


def _lines(reading: Reading) -> list[str]:
    # Only a line feed ends a line; ``str.splitlines`` would also do so at U+2028, which editors do not show.
    if not reading.text:
        return []
    lines = reading.text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _with_remarks(rows: Iterable[Row], remarks: list[Remark]) -> Iterator[ShownRow]:
    at: dict[int, list[Remark]] = defaultdict(list)
    for remark in remarks:
        at[remark.finding.line].append(remark)
    for row in rows:
        yield ShownRow(row=row, remarks=tuple(at[row.new]) if row.new in at and row.new else ())


def _blocks(rows: Iterable[ShownRow], *, whole: bool) -> Iterator[Block]:
    """Yield ``rows`` in blocks: open around everything that changed or was remarked on, folded elsewhere."""
    listed = list(rows)
    if not listed:
        return
    loud = [whole or bool(row.remarks) or row.row.change is not Change.SAME for row in listed]
    near = _near(loud)
    start = 0
    for index in range(1, len(listed) + 1):
        if index == len(listed) or near[index] != near[start]:
            yield Block(rows=tuple(listed[start:index]), folded=not near[start])
            start = index


def _near(loud: list[bool]) -> list[bool]:
    """Return which rows stay open: those around a loud one, and gaps between them that are too short to fold."""
    near = [False] * len(loud)
    last = -1  # the last open row
    for index in (index for index, is_loud in enumerate(loud) if is_loud):
        start = max(0, index - _CONTEXT)
        start = start if start - last > _FOLDED else min(start, last + 1)
        last = min(len(loud) - 1, index + _CONTEXT)
        near[start : last + 1] = [True] * (last + 1 - start)
    if last >= 0 and len(loud) - 1 - last < _FOLDED:
        near[last + 1 :] = [True] * (len(loud) - 1 - last)
    return near
