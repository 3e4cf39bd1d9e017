"""What the benchmarks have in common: the shape of a result, the one table, and that none is forgotten. Nothing is timed."""

import ast
import importlib
import os
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
PAGE = Path(__file__).parents[1] / "docs/performance.md"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch):
    """Import a benchmark's module as the benchmarks do, from their folder; nobody else gets to see it."""
    monkeypatch.syspath_prepend(FOLDER)
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == FOLDER:
            del sys.modules[name]


@pytest.fixture
def table(module) -> ModuleType:
    return module("table")


def measuring() -> set[str]:
    found = set()
    for path in FOLDER.glob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        if any(isinstance(node, ast.FunctionDef) and node.name == "measure" for node in tree.body):
            found.add(path.stem)
    return found


def test_every_benchmark_is_in_the_one_table_and_on_its_page(module) -> None:
    listed = module("all").BENCHMARKS
    assert len(set(listed)) == len(listed)
    assert set(listed) == measuring()
    page = PAGE.read_text("utf-8")
    assert [name for name in listed if f"`{name}.py`" not in page] == []


@pytest.mark.parametrize(
    ("figure", "aim", "met"),
    [
        (12.0, "ratio <= 1.2", True),
        (12.1, "ratio <= 1.2", False),
        (8.0, "ratio >= 0.8", True),
        (7.9, "ratio >= 0.8", False),
        (60.0, "figure >= 60", True),
        (59.9, "figure >= 60", False),
        (0.03, "figure <= 0.03", True),
        (5.0, "", None),
    ],
)
def test_an_aim_is_checked_by_its_figures(table, figure: float, aim: str, met: bool | None) -> None:
    assert table.Row(work="work", figure=figure, floor=10.0, aim=aim).met is met


@pytest.mark.parametrize(
    "values",
    [
        {"figure": 1.0, "aim": "fast"},
        {"figure": 1.0, "aim": "ratio < 2"},
        {"figure": 1.0, "aim": "ratio <= 2\n", "floor": 1.0},
        {"figure": 1.0, "aim": "ratio <= 2"},  # and no floor to be a ratio of
        {"figure": float("nan")},
        {"figure": 1.0, "floor": float("inf")},
    ],
)
def test_a_row_that_nobody_could_check_is_refused(table, values: dict) -> None:
    with pytest.raises(ValueError, match="work: "):
        table.Row(work="work", **values)


def test_the_ratio_of_the_rounds_counts_before_that_of_the_figures(table) -> None:
    assert table.Row(work="work", figure=10.0, floor=20.0).ratio == 0.5
    assert table.Row(work="work", figure=10.0, floor=20.0, ratio=0.6, aim="ratio >= 0.6").met is True


def rows_of(table):
    return [
        table.Row(work="a | b", figure=1.25, unit="ms", against="floor", floor=1.0, aim="ratio <= 1.2"),
        table.Row(work="rate", figure=44100.0, unit="/s", aim="figure >= 60", note="asked by wrk"),
        table.skipped("serving", "nginx is not installed", aim="ratio >= 0.95"),
    ]


def test_a_table_is_rendered(table) -> None:
    lines = table.render(rows_of(table)).splitlines()
    assert [" ".join(line.split()) for line in [lines[0], *lines[2:]]] == [
        "| work | figure | against | floor or peer | ratio | aim | met |",
        "| a \\| b | 1.25 ms | floor | 1.00 ms | 1.25 | ≤ 1.2 | **no** |",
        "| rate (1) | 44,100 /s | | | | ≥ 60 /s | yes |",
        "| serving (2) | – | | | | ≥ 0.95 | |",
        "",
        "1. asked by wrk",
        "2. skipped: nginx is not installed",
    ]
    assert {len(line) for line in lines[:5]} == {len(lines[0])}
    assert set(lines[1]) == set("|-: ")
    assert table.missed(rows_of(table)) == ["missed: a | b: 1.25, and the aim is ratio <= 1.2"]


def test_rows_are_the_same_after_json(table) -> None:
    rows = rows_of(table)
    assert table.load(table.store(rows, machine={"cores": "2"})) == rows


def test_a_row_that_lies_about_its_aim_is_refused(table) -> None:
    text = table.store(rows_of(table)).replace('"met": false', '"met": true')
    with pytest.raises(ValueError, match="met is True, and by its figures False"):
        table.load(text)


def test_a_benchmark_prints_its_table_and_writes_its_rows(table, tmp_path: Path, capsys) -> None:
    def measure(*, count: int):
        """Count."""
        yield table.Row(work="count", figure=float(count), aim="figure <= 1")

    def add_arguments(parser) -> None:
        parser.add_argument("--count", type=int, default=1)

    target = tmp_path / "rows.json"
    assert table.main(measure, add_arguments, words=["--count", "2", "--json", str(target)]) == 0
    assert "missed: count: 2.00, and the aim is figure <= 1" in capsys.readouterr().out
    assert table.load(target.read_text()) == [table.Row(work="count", figure=2.0, aim="figure <= 1")]


@pytest.mark.parametrize("power", [0.0, 1.0, 1.5])
def test_how_a_cost_grows_is_fitted(module, power: float) -> None:
    growing = module("growth")
    costs = {float(size): 0.003 * size**power for size in (100, 10_000, 100_000)}
    assert growing.exponent(costs) == pytest.approx(power)
    assert growing.growth("work", costs).against == "sizes 100 to 100,000"


@pytest.mark.parametrize("costs", [{}, {1.0: 1.0}, {1.0: 1.0, 2.0: 0.0}, {0.0: 1.0, 2.0: 1.0}])
def test_no_growth_is_fitted_through_nothing(module, costs: dict[float, float]) -> None:
    with pytest.raises(ValueError, match="no exponent"):
        module("growth").exponent(costs)


GOOD = (
    'import sys; open(sys.argv[2], "w").write(\'{"rows": [{"work": "good", "figure": 1.0, "met": null}]}\')'
)


def test_the_rest_is_measured_after_a_benchmark_that_fails(
    module, tmp_path: Path, monkeypatch, capsys
) -> None:
    every = module("all")
    left = tmp_path / "left"
    programs = {
        "breaks": "raise SystemExit(3)",
        "silent": "",
        "lies": GOOD.replace("null", "true"),
        "leaves": "import subprocess, sys\n"
        f"one = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(left)!r}, 'w').write(str(one.pid))\n{GOOD}",
        "good": GOOD,
    }
    for name, text in programs.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setattr(every, "HERE", tmp_path)
    monkeypatch.setattr(every, "BENCHMARKS", tuple(programs))
    target = tmp_path / "all.json"
    monkeypatch.setattr(sys, "argv", ["all.py", "--json", str(target)])

    assert every.main() == 1
    notes = [(row.work, row.figure, row.note.partition(":")[0]) for row in every.load(target.read_text())]
    assert notes == [
        ("benchmarks/breaks.py", None, "failed"),
        ("benchmarks/silent.py", None, "failed"),
        ("benchmarks/lies.py", None, "failed"),
        ("good", 1.0, ""),
        ("good", 1.0, ""),
    ]
    told = capsys.readouterr()
    assert "breaks FAILED: exit status 3" in told.err
    assert "failed: exit status 3" in told.out
    assert gone(int(left.read_text()))

    monkeypatch.setattr(sys, "argv", ["all.py", "good"])
    assert every.main() == 0


def gone(process: int) -> bool:
    for _ in range(100):
        try:
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
            os.kill(process, 0)
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("deaf", [False, True])
def test_a_benchmark_that_does_not_end_is_ended(module, tmp_path: Path, monkeypatch, deaf: bool) -> None:
    every = module("all")
    tidied = tmp_path / "tidied"
    (tmp_path / "endless.py").write_text(
        "import signal, time\n"
        f"signal.signal(signal.SIGINT, signal.{'SIG_IGN' if deaf else 'default_int_handler'})\n"
        f"try:\n    time.sleep(60)\nfinally:\n    open({str(tidied)!r}, 'w').close()\n"
    )
    monkeypatch.setattr(every, "HERE", tmp_path)
    limit = 0.5 if deaf else 2.0  # a slow machine needs a moment until it can tidy up
    monkeypatch.setattr(every, "LIMIT_SECONDS", limit)
    monkeypatch.setattr(every, "GRACE_SECONDS", 0.2 if deaf else 20)
    (row,) = every.run("endless")
    assert row.note == f"failed: not done after {limit} s"
    assert tidied.exists() is not deaf


def test_the_page_takes_the_table_between_its_markers(module) -> None:
    every = module("all")
    page = every.page_with(PAGE.read_text("utf-8"), "first")
    again = every.page_with(page, "second")
    assert again == page.replace("\nfirst\n", "\nsecond\n")
    assert "first" in page
    for broken in (page.replace(every.BEGIN, ""), page.replace(every.END, ""), page + every.BEGIN):
        with pytest.raises(ValueError, match="once each"):
            every.page_with(broken, "third")


def test_the_page_is_only_for_all_of_one_run(module, monkeypatch, capsys) -> None:
    every = module("all")
    for words, told in ((["--docs", "startup"], "of one run"), (["no-such"], "no benchmark: no-such")):
        monkeypatch.setattr(sys, "argv", ["all.py", *words])
        with pytest.raises(SystemExit, match="2"):
            every.main()
        assert told in capsys.readouterr().err


def test_the_machine_is_told(module) -> None:
    facts = module("machine").machine()
    assert {"date", "cores", "memory", "kernel", "Python"} <= facts.keys()
    assert all(facts.values())
