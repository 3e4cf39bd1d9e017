"""The one shape of a result: what was measured, beside its floor or peer of the same run, and whether the aim is met.

A benchmark is a file here with a function ``measure`` that yields rows, and ends with ``main(measure)``:

    def measure() -> Iterator[Row]:
        yield Row(work="publish one release", figure=31.0, unit="ms", against="at 100 releases", floor=28.0, aim="ratio <= 2")

    if __name__ == "__main__":
        sys.exit(main(measure))

An aim is one bound on the ratio to the floor, or on the figure itself: ``ratio <= 1.2``, ``figure >= 60``. So that the
table can be compared with an earlier one, ``work`` names the row and stays the same from run to run.
"""

import argparse
import json
import math
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_AIM = re.compile(r"(ratio|figure) (<=|>=) (\d+(?:\.\d+)?)", re.ASCII)
_HEADS = ("work", "figure", "against", "floor or peer", "ratio", "aim", "met")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure. ``floor`` is in the figure's unit; ``ratio`` is figure ÷ floor, unless the rounds gave a better one."""

    work: str
    figure: float | None
    unit: str = ""
    against: str = ""
    floor: float | None = None
    ratio: float | None = None
    aim: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        for value in (self.figure, self.floor, self.ratio):
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{self.work}: {value} is not a figure")
        if self.aim and not _AIM.fullmatch(self.aim):
            raise ValueError(f"{self.work}: {self.aim!r} is not an aim like 'ratio <= 1.2' or 'figure >= 60'")
        if self.ratio is None and self.figure is not None and self.floor:
            object.__setattr__(self, "ratio", self.figure / self.floor)
        if self.aim.startswith("ratio") and self.figure is not None and self.ratio is None:
            raise ValueError(f"{self.work}: an aim for a ratio, and no floor")

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; None where there is none, or nothing was measured."""
        found = _AIM.fullmatch(self.aim)
        if found is None or self.figure is None:
            return None
        of, sense, bound = found.groups()
        value = self.ratio if of == "ratio" else self.figure
        return {"<=": operator.le, ">=": operator.ge}[sense](value, float(bound))

    def as_json(self) -> dict[str, Any]:
        """Return the row as JSON values, with ``met``."""
        return {**asdict(self), "met": self.met}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Row":
        """Return the row that ``as_json`` gave.

        Raises:
            ValueError, TypeError: it is not one, or says of itself that it met an aim that it missed.
        """
        row = cls(**{key: item for key, item in value.items() if key != "met"})
        if value.get("met") != row.met:
            raise ValueError(f"{row.work}: met is {value.get('met')}, and by its figures {row.met}")
        return row


def skipped(work: str, why: str, *, aim: str = "") -> Row:
    """Return the row of what could not be measured here."""
    return Row(work=work, figure=None, aim=aim, note=f"skipped: {why}")


def load(text: str) -> list[Row]:
    """Return the rows of a JSON text by ``store``."""
    return [Row.from_json(value) for value in json.loads(text)["rows"]]


def store(rows: Iterable[Row], **facts: Any) -> str:
    """Return JSON with the rows, and facts about the run."""
    return json.dumps({**facts, "rows": [row.as_json() for row in rows]}, indent=2, ensure_ascii=False) + "\n"


def render(rows: Iterable[Row]) -> str:
    """Return a markdown table, its columns aligned, with the notes below it."""
    rows = list(rows)
    notes = list(dict.fromkeys(row.note for row in rows if row.note))
    body = [_cells(row, notes) for row in rows]
    widths = [max(len(line[place]) for line in [_HEADS, *body]) for place in range(len(_HEADS))]
    rule = tuple(
        "-" * (width - 1) + (":" if place in {1, 3, 4} else "-") for place, width in enumerate(widths)
    )
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in [_HEADS, rule, *body]
    ]
    if notes:
        lines += ["", *(f"{number}. {note}" for number, note in enumerate(notes, start=1))]
    return "\n".join(lines)


def _cells(row: Row, notes: list[str]) -> tuple[str, ...]:
    mark = f" ({notes.index(row.note) + 1})" if row.note else ""
    figure = "–" if row.figure is None else f"{number(row.figure)} {row.unit}".strip()
    floor = "" if row.floor is None else f"{number(row.floor)} {row.unit}".strip()
    ratio = "" if row.ratio is None else number(row.ratio)
    met = {True: "yes", False: "**no**", None: ""}[row.met]
    aim = row.aim.removeprefix("ratio ").removeprefix("figure ").replace("<=", "≤").replace(">=", "≥")
    if row.aim.startswith("figure"):
        aim = f"{aim} {row.unit}".strip()
    return tuple(
        cell.replace("|", "\\|") for cell in (row.work + mark, figure, row.against, floor, ratio, aim, met)
    )


def number(value: float) -> str:
    """Return a figure with three digits that matter."""
    if value == 0 or abs(value) >= 1_000:
        return f"{value:,.0f}"
    return (
        f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}" if abs(value) < 100 else f"{value:.0f}"
    )


def missed(rows: Iterable[Row]) -> list[str]:
    """Return a sentence for each aim that is missed: by how much."""
    sentences = []
    for row in rows:
        if row.met is False:
            value = row.ratio if row.aim.startswith("ratio") else row.figure
            assert value is not None
            sentences.append(f"missed: {row.work}: {number(value)}, and the aim is {row.aim}")
    return sentences


def main(
    measure: Callable[..., Iterable[Row]],
    add_arguments: Callable[[argparse.ArgumentParser], None] | None = None,
    *,
    words: Sequence[str] | None = None,
) -> int:
    """Measure, print the table, and store it as JSON where ``--json FILE`` says so; a missed aim is told, not an error.

    The options that ``add_arguments`` adds are given to ``measure`` by name.
    """
    parser = argparse.ArgumentParser(description=(measure.__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the rows here too")
    if add_arguments is not None:
        add_arguments(parser)
    options = vars(parser.parse_args(words))
    target: Path | None = options.pop("json")
    rows = list(measure(**options))
    print(render(rows))
    for sentence in missed(rows):
        print(sentence)
    if target is not None:
        target.write_text(store(rows), encoding="utf-8")
    return 0
