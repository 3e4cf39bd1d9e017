"""Runs inside the engine's own environment (edge): one line of JSON for each folder in the arguments.

Nothing of ours can be imported here. The policy is the package's own default, ``balanced``; nothing is read from
variables, and the rule packs that are known to be noisy stay off.
"""

import contextlib
import importlib
import importlib.metadata
import json
import os
import sys
from typing import Any

PACKAGE = "cisco-ai-skill-scanner"
MAX_TEXT = 4_000  # characters of a message or an excerpt; whoever reads this cuts again


def main(folders: list[str]) -> None:
    """Scan ``folders`` and print what was found."""
    # Whatever a library prints must not stand between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    version = importlib.metadata.version(PACKAGE)
    with contextlib.closing(importlib.import_module("skill_scanner").SkillScanner()) as scanner:
        for folder in folders:
            answer = {"version": version, **look(scanner, folder)}
            print(json.dumps(answer), file=answers, flush=True)


def look(scanner: Any, folder: str) -> dict[str, Any]:
    """Return findings and failures about one folder."""
    try:
        # Lenient: wrong front matter is for our own checks to judge, and must not hide the rest.
        result = scanner.scan_skill(folder, lenient=True)
    except Exception as error:  # noqa: BLE001 - whatever a scanner throws is an answer: it failed
        return {"findings": [], "failed": [f"{type(error).__name__}: {error}"[:MAX_TEXT]]}
    failed = [f"{item.get('analyzer')}: {item.get('error')}"[:MAX_TEXT] for item in result.analyzers_failed]
    return {"findings": [describe(finding) for finding in result.findings], "failed": failed}


def describe(finding: Any) -> dict[str, Any]:
    """Return a finding as the answer holds it."""
    words = [text for text in (finding.title, finding.description) if text]
    return {
        "rule": str(finding.rule_id),
        "severity": str(finding.severity.value),
        "path": finding.file_path,
        "line": finding.line_number,
        "message": ": ".join(words)[:MAX_TEXT],
        "excerpt": (finding.snippet or "")[:MAX_TEXT],
    }


if __name__ == "__main__":
    main(sys.argv[1:])
