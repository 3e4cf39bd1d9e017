"""The tour in README.md is run as it stands there."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


def tour() -> list[str]:
    """The commands below the tour's heading, in order."""
    text = (ROOT / "README.md").read_text().split("## Five-minute tour")[1].split("\n## ")[0]
    return [line.removeprefix("$ ") for block in _BLOCK.findall(text) for line in block.splitlines()]


def test_the_first_two_commands_are_those_that_a_newcomer_is_promised() -> None:
    first = _BLOCK.findall((ROOT / "README.md").read_text())[0].splitlines()
    assert [line.split("#")[0].strip() for line in first] == ["$ make demo", "$ make test"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed; the tour uses it")
@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed; the tour is written for it")
def test_the_tour_works_as_written(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    commands = [line.replace("8787", port) for line in tour()]
    assert len(commands) > 15
    # The tour puts .venv/bin first on the PATH; here the commands of the running environment stand there.
    script = "\n".join(["set -euo pipefail", "trap 'kill %1 2>/dev/null || true' EXIT", *commands])
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path),
    }
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "born: acme (paid tier)" in done.stdout
    assert "chain intact" in done.stdout
    born = list(tmp_path.rglob("jails/acme/root/usr/home/agent/skills/mother/SKILL.md"))
    assert [path.read_bytes() for path in born] == [(ROOT / "skills/mother/SKILL.md").read_bytes()]
