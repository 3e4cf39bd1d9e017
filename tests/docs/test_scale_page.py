"""docs/scale.md says what benchmarks/scale_plan.py prints."""

import subprocess
import sys

from tests.docs.test_docs import ROOT

PAGE = ROOT / "docs/scale.md"


def test_the_tables_are_those_of_the_plan() -> None:
    command = [sys.executable, ROOT / "benchmarks/scale_plan.py"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    tables = said.strip().split("\n\n")
    assert len(tables) == 3
    page = PAGE.read_text()
    assert [table in page for table in tables] == [True] * 3
