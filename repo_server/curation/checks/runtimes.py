"""Programs and packages that are taken from an index when the skill runs, without a version.

    npx -y tool@latest   uvx tool   pipx run tool   go run host/x@latest   docker run image   pip install x

What comes then is whatever the index has by then. Pinning is the cure; the surface lists every one of them.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from repo_server.curation.checks import late
from repo_server.curation.checks.context import is_warning
from repo_server.curation.checks.document import Document, Hit, Language
from repo_server.curation.checks.purpose import Purpose
from signing.format.finding import Severity

_WORD = r"[\"']?(?P<{0}>[@\w][\w@/.:~^=<>!+\[\],-]{{0,120}})[\"']?"
_OPTIONS = r"(?:-{1,2}[\w-]{1,30}(?:=[^\s]{1,60})?\s{1,4}){0,6}"
_RUNS = late.pattern(
    r"(?<![\w./-])(?:"
    rf"(?P<npx>npx|bunx|pnpm\s{{1,3}}dlx|yarn\s{{1,3}}dlx|pnpx)\s{{1,4}}{_OPTIONS}{_WORD.format('npx_name')}"
    rf"|(?P<uvx>uvx|uv\s{{1,3}}tool\s{{1,3}}run|pipx\s{{1,3}}run)\s{{1,4}}{_OPTIONS}{_WORD.format('uvx_name')}"
    rf"|(?P<go>go\s{{1,3}}(?:run|install))\s{{1,4}}{_OPTIONS}{_WORD.format('go_name')}"
    rf"|(?P<docker>(?:docker|podman)\s{{1,3}}(?:run|pull))\s{{1,4}}(?:-{{1,2}}[\w-]{{1,30}}(?:[= ](?!-)[^\s-][^\s]{{0,80}})?\s{{1,4}}){{0,10}}?{_WORD.format('docker_name')}(?=\s|$|`|\\)"
    r")",
)
_INSTALLS = late.pattern(
    r"(?<![\w./-])(?:"
    r"(?P<pip>pip3?|python3?\s{1,3}-m\s{1,3}pip|uv\s{1,3}pip|pipx|uv\s{1,3}tool)\s{1,4}install\s{1,4}(?P<pip_names>[^\n|;&`#]{1,300})"
    r"|(?P<npm>npm|pnpm|yarn|bun)\s{1,4}(?:i|install|add|global\s{1,3}add)\s{1,4}(?P<npm_names>[^\n|;&`#]{1,300})"
    r"|(?P<cargo>cargo|gem|brew|go)\s{1,4}(?:install|get)\s{1,4}(?P<cargo_names>[^\n|;&`#]{1,200})"
    r")",
)
_NEEDLES = (
    "npx",
    "bunx",
    "dlx",
    "pnpx",
    "uvx",
    "uv tool",
    "pipx",
    "go run",
    "go install",
    "docker",
    "podman",
)
_INSTALL_NEEDLES = ("pip", "npm", "yarn", "bun ", "cargo", "gem ", "brew", "uv ", "go get", "go install")
_PACKAGE = late.pattern(r"(?:@[a-z0-9~][\w.~-]{0,60}/)?[a-z0-9][\w.-]{0,80}", re.IGNORECASE | re.ASCII)
_PINNED = late.pattern(r"(?:==|@|:|=)v?[0-9]+(?:\.[0-9]+){0,3}[\w.+-]{0,30}$|@sha256:|@[0-9a-f]{7,40}$")
_NOT_PACKAGES = frozenset(
    [
        "and",
        "or",
        "the",
        "a",
        "an",
        "to",
        "for",
        "in",
        "on",
        "with",
        "from",
        "via",
        "using",
        "if",
        "you",
        "is",
        "are",
        "this",
        "that",
        "it",
        "your",
        "run",
        "then",
        "instead",
        "of",
        "as",
        ".",
        "..",
        "install",
    ]
)
_MAX = 1_000


class Package(NamedTuple):
    """Something taken from an index: where that is said, by which tool, its name, and its version as written."""

    at: int
    tool: str
    name: str
    version: str
    runs: bool

    @property
    def pinned(self) -> bool:
        """Whether the version names one release."""
        return (
            bool(self.version)
            and self.version not in {"latest", "next", "canary", "main", "master"}
            and not self.version.startswith(("^", "~", ">", "*"))
        )

    @property
    def entry(self) -> str:
        """The package as it stands in the capability surface."""
        return f"{self.tool}:{self.name}@{self.version}" if self.version else f"{self.tool}:{self.name}"


def packages_in(document: Document) -> list[Package]:
    """Return what ``document`` takes from an index, in order, at most `_MAX` of them."""
    if document.language is Language.DATA:
        return []
    found: list[Package] = []
    for match in document.places(_RUNS, *_NEEDLES):
        for kind, tool in (("npx", "npx"), ("uvx", "uvx"), ("go", "go"), ("docker", "docker")):
            if match[kind] and (package := _package(match.start(), tool, match[f"{kind}_name"], runs=True)):
                found.append(package)
    for match in document.places(_INSTALLS, *_INSTALL_NEEDLES):
        for kind in ("pip", "npm", "cargo"):
            if match[kind]:
                tool = {"pip": "pip", "npm": "npm", "cargo": match["cargo"] or ""}[kind]
                found += _listed(match.start(), tool, match[f"{kind}_names"])
    document.crowded |= len(found) > _MAX
    return sorted(found)[:_MAX]


def judge(document: Document, _: Purpose) -> Iterator[Hit]:
    """Yield what is taken from an index without a version."""
    for package in packages_in(document):
        if package.pinned or is_warning(document, package.at):
            continue
        severity = Severity.LOOK if package.runs and package.version == "latest" else Severity.NOTE
        message = f"takes {package.name} from an index without a version ({package.tool}); pin it"
        yield Hit(check="runtimes.unpinned", severity=severity, at=package.at, message=message)


def _listed(at: int, tool: str, words: str) -> list[Package]:
    packages, skip = [], False
    for word in words.split()[:30]:
        if skip:
            skip = False
            continue
        if word.startswith("-"):
            skip = word in {
                "-r",
                "-e",
                "-c",
                "--index-url",
                "--extra-index-url",
                "-i",
                "--target",
                "-t",
                "--prefix",
                "--registry",
                "--python",
                "--root",
                "--git",
                "--path",
            }
            continue
        package = _package(at, tool, word.strip("\"'(),*"), runs=False)
        if package is None:
            break
        packages.append(package)
    return packages


def _package(at: int, tool: str, written: str, *, runs: bool) -> Package | None:
    written = written.rstrip(".,:;)]}")
    if tool == "docker":
        name, _, version = written.partition("@sha256:")
        if version:
            return Package(at, tool, name, f"sha256:{version}", runs)
        name, _, version = written.rpartition(":") if ":" in written.rpartition("/")[2] else (written, "", "")
        name = name or written
        return Package(at, tool, name, version, runs) if _is_image(name) else None
    if tool == "go":
        name, _, version = written.partition("@")
        return (
            Package(at, tool, name, version, runs)
            if "." in name and "/" in name and not name.startswith(".")
            else None
        )
    separator = "==" if "==" in written else "@"
    head = written.removeprefix("@")
    name, found, version = head.partition(separator)
    name = re.split(r"[<>=~!\[]", name)[0]
    name = f"@{name}" if written.startswith("@") else name
    if not _PACKAGE.fullmatch(name) or name.lower() in _NOT_PACKAGES or name.startswith("."):
        return None
    return Package(at, tool, name, version if found else "", runs)


def _is_image(name: str) -> bool:
    return bool(re.fullmatch(r"[a-z0-9][a-z0-9._/-]{1,100}", name)) and name not in _NOT_PACKAGES
