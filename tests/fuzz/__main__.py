"""`make fuzz TIME=600`: every parser of bytes from outside, for so many seconds in all.

Each target runs in a process of its own, under limits of memory and time per input. What is found is written to
tests/data/fuzz/TARGET/, where the ordinary tests read it from then on.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.targets import FOUND, TARGETS, Target

_RUNS = re.compile(r"(?:Done|stat::number_of_executed_units:) (\d+)")
_COVERED = re.compile(r"cov: (\d+)")


def fuzz(target: Target, seconds: int) -> dict[str, object]:
    found = FOUND / target.name
    found.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"fuzz-{target.name}-") as place:
        corpus = Path(place)
        for number, data in enumerate(target.first_inputs()):
            (corpus / f"first-{number}").write_bytes(data)
        begun = time.monotonic()
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tests.fuzz.one", target.name, str(corpus)),
                *(f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=65536"),
                *("-print_final_stats=1", "-seed=1", f"-artifact_prefix={found}/"),
            ],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=seconds + 300,
        )
    if not any(found.iterdir()):
        found.rmdir()
    runs, covered = _RUNS.findall(done.stderr), _COVERED.findall(done.stderr)
    return {
        "target": target.name,
        "inputs": int(runs[-1]) if runs else 0,
        "edges": int(covered[-1]) if covered else 0,
        "seconds": round(time.monotonic() - begun),
        "status": done.returncode,
        "end": done.stderr[-3000:] if done.returncode else "",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--time", type=int, default=600, help="seconds in all")
    parser.add_argument("--only", action="append", choices=[target.name for target in TARGETS])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    chosen = [target for target in TARGETS if not given.only or target.name in given.only]
    results = []
    for target in chosen:
        result = fuzz(target, max(1, given.time // len(chosen)))
        results.append(result)
        print(
            f"{result['target']:20} {result['inputs']:>9} inputs {result['edges']:>6} edges"
            f" {result['seconds']:>5} s  {'FOUND' if result['status'] else 'nothing found'}",
            flush=True,
        )
        if result["status"]:
            print(result["end"])
    if given.json is not None:
        given.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(f"{sum(int(str(item['inputs'])) for item in results)} inputs")
    return int(any(item["status"] for item in results))


if __name__ == "__main__":
    sys.exit(main())
