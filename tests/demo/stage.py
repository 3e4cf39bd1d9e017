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
_SECONDS = 120
_MOST_FILES = 8  # of one folder that are shown one by one
_CHECKOUT = Path(__file__).parents[2]


class DemoFailedError(Exception):
    """Something that the demo promises did not happen."""


def check(true: bool, what: str) -> None:
    """Raise unless ``what`` was told rightly."""
    if not true:
        raise DemoFailedError(f"it is not so: {what}")


@dataclass
class Stage:
    """A temporary folder, an environment, and a screen."""

    folder: Path
    screen: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))
    begun: float = field(default_factory=time.monotonic)
    environment: dict[str, str] = field(default_factory=dict)
    heard: bytearray = field(
        default_factory=bytearray
    )  # everything that any command said, for finding secrets in it

    def act(self, title: str, text: str) -> None:
        self.screen.print()
        self.screen.rule(f"[bold]{escape(title)}[/]", align="left", style="blue")
        self.screen.print(f"[dim]{escape(text)}[/]")

    def say(self, text: str) -> None:
        self.screen.print(f"  {text}")

    def run(self, *words: str, quiet: bool = False, stdin: bytes = b"") -> dict[str, Any]:
        """Run a command that has to succeed, and return its answer."""
        status, answer = self.call(*words, quiet=quiet, stdin=stdin)
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

    def call(self, *words: str, quiet: bool = False, stdin: bytes = b"") -> tuple[int, dict[str, Any]]:
        """Run a command with --json; return its exit status and its answer."""
        if not quiet:
            self.typed(*words, more="   < (a value that is never shown)" if stdin else "")
        done = self._done(*words, "--json", stdin=stdin)
        try:
            return done.returncode, json.loads(done.stdout)
        except ValueError as error:
            raise DemoFailedError(
                f"{' '.join(words)}: {done.stdout.decode()}{done.stderr.decode()}"
            ) from error

    def read(self, *words: str) -> str:
        """Run a command as a person does, show what it answers, and return that."""
        self.typed(*words)
        done = self._done(*words)
        if done.returncode != 0:
            raise DemoFailedError(f"{' '.join(words)}: exit {done.returncode}: {done.stderr.decode()}")
        text = done.stdout.decode()
        for line in text.splitlines():
            self.say(escape(self._short(line)))
        return text

    def typed(self, *words: str, more: str = "") -> None:
        """Show a command as it would be typed."""
        self.screen.print(f"[cyan]$[/] {escape(self._short(' '.join(words)))}[dim]{escape(more)}[/]")

    def spawn(self, *words: str) -> "subprocess.Popen[bytes]":
        """Start a command that goes on; whoever starts it ends it."""
        return subprocess.Popen(
            [str(_BIN / words[0]), *words[1:]],
            cwd=_CHECKOUT,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def _done(self, *words: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        done = subprocess.run(
            [str(_BIN / words[0]), *words[1:]],
            cwd=_CHECKOUT,
            env={**os.environ, **self.environment},
            capture_output=True,
            input=stdin,
            timeout=_SECONDS,
            check=False,
        )
        self.heard += done.stdout + done.stderr
        return done

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
    entries = sorted(folder.iterdir(), key=lambda item: (item.is_file(), item.name))
    files = [path for path in entries if path.is_file()]
    for path in entries:
        if path.is_dir():
            _grow(picture.add(f"{escape(path.name)}/"), path)
        elif len(files) <= _MOST_FILES:
            picture.add(f"{escape(path.name)}  [dim]{path.stat().st_size} bytes[/]")
    if len(files) > _MOST_FILES:
        picture.add(f"{len(files)} files  [dim]{sum(path.stat().st_size for path in files)} bytes[/]")
