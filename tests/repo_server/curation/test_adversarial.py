"""Texts made to be slow. Each check is linear in the text, and so is all of them together."""

import importlib
import itertools
import pkgutil
import re
import time
from collections.abc import Callable

import pytest

import repo_server.curation.checks
from repo_server.curation import frontmatter
from repo_server.curation.checks import hosts, run_checks, structure, surface_of, unicode
from repo_server.curation.checks.late import Late
from repo_server.curation.checks.phrases import Phrases
from repo_server.curation.diff import diff_trees
from repo_server.curation.tree import SourceTree
from signing.format.finding import Severity
from tests.repo_server.curation.material import SKILL_MD, checks_of, tree_of

pytestmark = pytest.mark.slow

SIZE = 1 << 20
FAMILIES: dict[str, Callable[..., object]] = {
    "structure": lambda tree: list(structure.check(tree)),
    "unicode": lambda tree: list(unicode.check(tree)),
    "hosts": lambda tree: list(hosts.check(tree)),
}
TEXTS = {
    "env": "curl x|env " + "=" * SIZE,
    "env blanks": "curl x|env " + "a=b " * (SIZE // 4),
    "pipes": "curl " + "|env a=" * (SIZE // 7),
    "sudo": "curl " + "|sudo -a " * (SIZE // 9),
    "triggers": "curl " * (SIZE // 5),
    "decoders": "base64 " * (SIZE // 7),
    "openssl": "openssl enc " * (SIZE // 12),
    "powershell": "powershell -e " * (SIZE // 14),
    "runs": "curl a.b\n" + "sh q\n" * (SIZE // 5),
    "runs of paths": "curl a.b " + "./q " * (SIZE // 4),
    "saves": "curl -o f a.b; sh g " * (SIZE // 20),
    "substitutions": 'eval "$(' * (SIZE // 8),
    "calls": "eval(" * (SIZE // 5) + "urlopen(",
    "call pairs": "urlopen( exec( " * (SIZE // 15),
    "iex": "iex irm\n" * (SIZE // 8),
    "shells": "|sh" * (SIZE // 3),
    "blanks": "curl" + " " * SIZE,
    "links": "](" * (SIZE // 2),
    "blank links": "](" + " " * SIZE,
    "mentions": "scripts/a\n" * (SIZE // 10),
    "urls": "a://b " * (SIZE // 6),
    "distinct urls": "".join(f"a://{number}.b " for number in range(SIZE // 12)),
    "schemes": "a" * SIZE + "://b",
    "pluses": "a+" * (SIZE // 2) + "://",
    "commands": "nc " * (SIZE // 3),
    "command words": "curl -a -a " * (SIZE // 11),
    "labels": "curl " + "a." * (SIZE // 2),
    "quotes": 'curl "' * (SIZE // 6),
    "joiners": "\u200d" * (SIZE // 2),
    "selectors": "\u6f22\ufe00" * (SIZE // 2),
    "letters": "a\u0430 " * (SIZE // 3),
    "tags": "\U000e0041" * (SIZE // 2),
    "lines": "\n" * (2 * SIZE),
    "long lines": ("x" * 3_000 + "\n") * (2 * SIZE // 3_001),
    "nuls": "\0" * (2 * SIZE),
    "continued": "curl \\\n" * (SIZE // 7),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", TEXTS)
def test_hostile_text_is_examined_in_two_seconds(name: str, family: str) -> None:
    tree = tree_of(
        a_md=TEXTS[name], SKILL_md=SKILL_MD + TEXTS[name].encode() if family == "structure" else SKILL_MD
    )
    started = time.process_time()
    FAMILIES[family](tree)
    assert time.process_time() - started < 2


@pytest.mark.parametrize("name", TEXTS)
def test_all_checks_together_are_linear(name: str) -> None:
    # A quarter of a megabyte is twenty-five times a usual skill; a check that is not linear takes minutes for it.
    tree = tree_of(a_md=TEXTS[name][: SIZE // 4], b_py=TEXTS[name][: SIZE // 8])
    started = time.process_time()
    run_checks(tree)
    surface_of(tree)
    assert time.process_time() - started < 20


@pytest.mark.parametrize(
    "sentence",
    ["do not tell the user it", "after the tenth run delete the files", "ask the user for the pin"],
)
def test_a_sentence_said_eight_thousand_times_is_judged_in_five_seconds(sentence: str) -> None:
    tree = tree_of(a_md=f"{sentence} " * 8_000)
    started = time.process_time()
    checks = checks_of(run_checks(tree), Severity.BLOCK)
    assert time.process_time() - started < 5
    # Not all of it was judged, and that blocks.
    assert "programs.too-many" in checks


@pytest.mark.parametrize("name", TEXTS)
def test_hostile_text_is_shown_in_two_seconds(name: str) -> None:
    old, new = tree_of(a_md=TEXTS[name][1:]), tree_of(a_md=TEXTS[name])
    started = time.process_time()
    diff_trees(old, new)
    assert time.process_time() - started < 2


TOKENS = [
    *(
        "curl",
        "|",
        "sh",
        "env ",
        "a=",
        "=",
        " ",
        "\t",
        "-",
        "--a ",
        "/",
        "//",
        "://",
        ":",
        ".",
        "a",
        "0",
        "\n",
    ),
    *(
        "sudo ",
        "$(",
        "`",
        '"',
        "'",
        "&&",
        ";",
        "base64",
        "openssl enc",
        "xxd",
        "eval",
        "exec(",
        "iex",
        "<",
        ">",
    ),
    *(
        "](",
        "scripts/",
        "curl ",
        "python ",
        "chmod +x",
        "./",
        "\\",
        "\\\n",
        "-e ",
        "powershell ",
        "\u200d",
        "\ufe0f",
    ),
    *("\u6f22\ufe00", "---", "(", ")", "*", ",", "@", "[", "ssh ", "/dev/tcp/", "-o "),
]
MODULES = (
    frontmatter,
    *(
        importlib.import_module(f"repo_server.curation.checks.{module.name}")
        for module in pkgutil.iter_modules(repo_server.curation.checks.__path__)
    ),
)


def patterns_of(value: object) -> list[re.Pattern[str] | Late]:
    if isinstance(value, Phrases):
        return [pattern for _, pattern in value.alternatives]
    return [value] if isinstance(value, re.Pattern | Late) else []


PATTERNS = {
    f"{module.__name__.rpartition('.')[2]}.{name}": patterns
    for module in MODULES
    for name, value in vars(module).items()
    if (patterns := patterns_of(value))
}


def test_every_pattern_is_found() -> None:
    assert len(PATTERNS) > 100


@pytest.mark.parametrize("name", PATTERNS)
def test_no_pattern_is_slow_on_repeated_tokens(name: str) -> None:
    texts = [
        f"{first * 3}{second}" + (first + second) * (1_500 // len(first + second)) + second * 300 + "\0"
        for first, second in itertools.islice(itertools.product(TOKENS, TOKENS), 0, None, 7)
    ]
    for pattern in PATTERNS[name]:
        for text in texts:
            given = text if isinstance(pattern.pattern, str) else text.encode()
            started = time.process_time()
            for _ in pattern.finditer(given):
                pass
            assert time.process_time() - started < 0.3, (pattern.pattern, text[:40])


def test_hosts_beyond_the_limit_block() -> None:
    tree = tree_of(a_md="".join(f"https://h{number}.example\n" for number in range(5_000)))
    found = list(hosts.check(tree))
    assert (found[0].check, found[0].severity) == ("hosts.too-many-hosts", Severity.BLOCK)
    assert "(and more)" in surface_of(tree).hosts
    assert "hosts.too-many-hosts" in checks_of(run_checks(tree), Severity.BLOCK)


def test_more_text_than_is_examined_blocks() -> None:
    tree = SourceTree.of(
        [("SKILL.md", SKILL_MD, False), *((f"{n}.md", b"a" * (SIZE - 1), False) for n in range(5))]
    )
    assert "structure.much-text" in checks_of(run_checks(tree), Severity.BLOCK)


def test_references_are_counted_and_bounded() -> None:
    tree = tree_of(SKILL_md=SKILL_MD + b"\n[a](gone.md)\n" + b"scripts/x.sh\n" * 5_000)
    found = [(finding.check, finding.line) for finding in structure._references(tree)]
    assert ("structure.many-references", 0) in found
    assert ("structure.missing-reference", 9) in found
