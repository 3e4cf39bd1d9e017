"""Where the demo happens: it runs the real commands and shows what a person would see."""

import hashlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

_BIN = Path(sys.executable).parent
_SECONDS = 60
_CHECKOUT = Path(__file__).parents[2]


class DemoFailedError(Exception):
    """Something that the demo promises did not happen."""


@dataclass
class Stage:
    """A temporary folder, an environment, and a screen."""

    folder: Path
    screen: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))
    begun: float = field(default_factory=time.monotonic)
    environment: dict[str, str] = field(default_factory=dict)

    def act(self, title: str, text: str) -> None:
        self.screen.print()
        self.screen.rule(f"[bold]{escape(title)}[/]", align="left", style="blue")
        self.screen.print(f"[dim]{escape(text)}[/]")

    def say(self, text: str) -> None:
        self.screen.print(f"  {text}")

    def run(self, *words: str, quiet: bool = False) -> dict[str, Any]:
        """Run a command that has to succeed, and return its answer."""
        status, answer = self.call(*words, quiet=quiet)
        if status != 0:
            raise DemoFailedError(f"{' '.join(words)}: exit {status}: {json.dumps(answer)}")
        return answer

    def refused(self, *words: str, code: str) -> dict[str, Any]:
        """Run a command that has to be refused with ``code``, and return the error."""
        status, answer = self.call(*words)
        error = answer.get("error", {})
        if status == 0 or error.get("code") != code:
            raise DemoFailedError(
                f"{' '.join(words)}: expected {code}, got exit {status}: {json.dumps(answer)}"
            )
        self.say(f"[bold red]refused[/]  [bold]{code}[/]  (exit {status})")
        self.say(f"         {escape(error['message'])}")
        return dict(error)

    def call(self, *words: str, quiet: bool = False) -> tuple[int, dict[str, Any]]:
        """Run a command with --json; return its exit status and its answer."""
        if not quiet:
            self.screen.print(f"[cyan]$[/] {escape(self._short(' '.join(words)))}")
        done = subprocess.run(
            [str(_BIN / words[0]), *words[1:], "--json"],
            cwd=_CHECKOUT,
            env={**os.environ, **self.environment},
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=False,
        )
        try:
            return done.returncode, json.loads(done.stdout)
        except ValueError as error:
            raise DemoFailedError(
                f"{' '.join(words)}: {done.stdout.decode()}{done.stderr.decode()}"
            ) from error

    def show_tree(self, root: Path) -> None:
        """Print a folder as a tree."""
        picture = Tree(f"[bold]{escape(self._short(str(root)))}[/]")
        _grow(picture, root)
        self.screen.print(picture)

    def _short(self, text: str) -> str:
        return text.replace(str(self.folder) + "/", "")


def fingerprint(folder: Path) -> dict[str, str]:
    """Every name below ``folder`` with its mode and digest: what an attack must not change."""
    result = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        result[str(path.relative_to(folder))] = f"{status.st_mode:o} {digest}"
    return result


def _grow(picture: Tree, folder: Path) -> None:
    for path in sorted(folder.iterdir(), key=lambda item: (item.is_file(), item.name)):
        if path.is_dir():
            _grow(picture.add(f"{escape(path.name)}/"), path)
        else:
            picture.add(f"{escape(path.name)}  [dim]{path.stat().st_size} bytes[/]")
