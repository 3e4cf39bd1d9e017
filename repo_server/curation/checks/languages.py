"""How a text is read by whoever uses it, by its first line and its name."""

import enum
import posixpath

from signing.format.manifest import SKILL_NAME


class Language(enum.StrEnum):
    """How a text is read by whoever uses it."""

    PROSE = "prose"
    SHELL = "shell"
    PYTHON = "python"
    SCRIPT = "script"
    DATA = "data"


BY_ENDING = {
    **dict.fromkeys((".md", ".txt", ".rst", ".mdx", ".html", ".htm", ".adoc"), Language.PROSE),
    **dict.fromkeys(
        (".sh", ".bash", ".zsh", ".fish", ".ksh", ".command", ".mk", ".bats", ".nu"), Language.SHELL
    ),
    **dict.fromkeys((".py", ".pyw"), Language.PYTHON),
    **dict.fromkeys(
        (
            ".js",
            ".mjs",
            ".cjs",
            ".ts",
            ".mts",
            ".jsx",
            ".tsx",
            ".rb",
            ".pl",
            ".php",
            ".lua",
            ".ps1",
            ".psm1",
            ".bat",
            ".cmd",
            ".vbs",
            ".applescript",
            ".scpt",
            ".go",
            ".rs",
            ".swift",
            ".java",
            ".c",
            ".r",
            *(
                ".kt",
                ".kts",
                ".cs",
                ".groovy",
                ".gradle",
                ".scala",
                ".clj",
                ".ex",
                ".exs",
                ".erl",
                ".tcl",
                ".jl",
                ".dart",
                ".nim",
                ".zig",
            ),
            *(
                ".cpp",
                ".cc",
                ".h",
                ".m",
                ".pm",
                ".rake",
                ".gemspec",
                ".coffee",
                ".vue",
                ".svelte",
                ".el",
                ".vb",
                ".fs",
                ".fsx",
                ".hta",
                ".wsf",
                ".awk",
            ),
        ),
        Language.SCRIPT,
    ),
    **dict.fromkeys((".json", ".csv", ".tsv", ".svg", ".xml", ".xsd", ".css", ".lock"), Language.DATA),
}


_BY_NAME = {
    **dict.fromkeys(
        ("makefile", "gnumakefile", "justfile", "dockerfile", "containerfile", "procfile"), Language.SHELL
    ),
    **dict.fromkeys(
        ("gemfile", "rakefile", "vagrantfile", "jenkinsfile", "brewfile", "podfile"), Language.SCRIPT
    ),
}


def language_of(path: str, text: str) -> Language:
    """Return how the file ``path`` is read."""
    if text.startswith("#!"):
        first = text[:200].partition("\n")[0]
        if "python" in first:
            return Language.PYTHON
        return Language.SHELL if "sh" in first else Language.SCRIPT
    if path == SKILL_NAME:
        return Language.PROSE
    if language := _BY_NAME.get(posixpath.basename(path).lower().partition(".")[0]):
        return language
    return BY_ENDING.get(posixpath.splitext(path.lower())[1], Language.PROSE)
