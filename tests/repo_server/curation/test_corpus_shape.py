"""The corpus is what its README says: well-formed, balanced, harmless, and what measures is a stranger to what tunes."""

import base64
import json
import re
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

CORPUS = Path(__file__).parents[2] / "data" / "corpus"
PAIRED = ("dev", "second")  # written as two halves of one plan
SPLITS = (*PAIRED, "red-team", "held-out")
LABELS = ("hostile", "honest")
AT_LEAST = {"hostile": 150, "honest": 130}  # in each part
PREFIXES = {
    "dev": ("dev",),
    "second": ("held",),
    "red-team": ("r1", "r2"),
    "held-out": ("held2",),
}
KEYS = {"id", "label", "technique", "language", "files", "executable", "note"}

# Where a hostile example may point: names nobody can register, the machine itself, and the link-local metadata service.
UNREGISTRABLE = re.compile(r"(?:^|\.)(?:invalid|example)$|^(?:192\.0\.2|198\.51\.100|203\.0\.113)\.[0-9]+$")
LOCAL = {"localhost", "127.0.0.1", "169.254.169.254"}
# Services that some attacks need by name, with ids that nobody has; and what is no address at all.
NAMED = {"api.telegram.org", "discord.com", "webhook.site", "github.com", "www.w3.org", "host", "pre"}
URL_HOST = re.compile(r"\b(?:https?|wss?|sftp|ftp|stratum\+\w+)://(?:[^\s/@\"'`]+@)?([\w.-]+)", re.IGNORECASE)
# Joined here, so that no address of a package index stands in this file.
INDEX_HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("crates", "io"),
        ("rubygems", "org"),
    )
]
WORDS_IN_COMMON = 10
LINE = 24  # characters; a shorter line is a heading or a table rule

Example = dict[str, Any]


def load(split: str, label: str) -> list[Example]:
    lines = (CORPUS / split / f"{label}.jsonl").read_bytes().splitlines()
    return [json.loads(line) for line in lines]


ALL = {(split, label): load(split, label) for split in SPLITS for label in LABELS}
EVERY_FILE = pytest.mark.parametrize(("split", "label"), list(ALL))


def text_of(example: Example) -> str:
    return "\n".join(example["files"].values())


def prose_of(example: Example) -> str:
    """Return what is read as prose: Markdown, without fenced code, whose idioms two authors would share anyway."""
    markdown = "\n".join(text for path, text in example["files"].items() if path.endswith(".md"))
    return re.sub(r"^```.*?^```", "", markdown, flags=re.DOTALL | re.MULTILINE)


def shingles(examples: list[Example]) -> set[tuple[str, ...]]:
    found = set()
    for example in examples:
        words = re.findall(r"\w+", prose_of(example).lower())
        found |= {tuple(words[i : i + WORDS_IN_COMMON]) for i in range(len(words) - WORDS_IN_COMMON + 1)}
    return found


def lines(examples: list[Example]) -> set[str]:
    """Return the longer lines of prose: scripts that write no blanks between words have no shingles."""
    stripped = (line.strip() for example in examples for line in prose_of(example).splitlines())
    return {line for line in stripped if len(line) >= LINE}


@EVERY_FILE
def test_every_line_is_a_whole_example(split: str, label: str) -> None:
    for example in ALL[split, label]:
        assert KEYS <= set(example) <= KEYS | {"binary"}, example["id"]
        assert example["label"] == label, example["id"]
        begins = [f"{prefix}-{label}-{example['technique']}-" for prefix in PREFIXES[split]]
        assert example["id"].startswith(tuple(begins)), example["id"]
        assert re.fullmatch(r"[a-z]{2}", example["language"]), example["id"]
        assert len(example["note"]) >= 3, example["id"]


@EVERY_FILE
def test_the_file_itself_hides_nothing(split: str, label: str) -> None:
    content = (CORPUS / split / f"{label}.jsonl").read_bytes()
    assert content.isascii()
    assert content.endswith(b"}\n")


def test_ids_are_unique_over_all_files() -> None:
    counted = Counter(example["id"] for examples in ALL.values() for example in examples)
    assert [name for name, count in counted.items() if count > 1] == []


@EVERY_FILE
def test_no_two_examples_are_the_same_skill(split: str, label: str) -> None:
    counted = Counter(json.dumps([example["files"], example.get("binary")]) for example in ALL[split, label])
    assert max(counted.values()) == 1


@EVERY_FILE
def test_front_matter_names_and_describes(split: str, label: str) -> None:
    for example in ALL[split, label]:
        head = re.match(r"---\n(.*?)\n---\n", example["files"]["SKILL.md"], re.DOTALL)
        assert head, example["id"]
        assert re.search(r"^name: \S", head[1], re.MULTILINE), example["id"]
        assert re.search(r"^description: \S", head[1], re.MULTILINE), example["id"]


@pytest.mark.parametrize("split", SPLITS)
def test_honest_names_are_plain(split: str) -> None:
    for example in ALL[split, "honest"]:
        assert re.match(r"---\nname: [a-z0-9]+(?:-[a-z0-9]+)*\n", example["files"]["SKILL.md"]), example["id"]


@EVERY_FILE
def test_paths_stay_inside_and_executables_exist(split: str, label: str) -> None:
    for example in ALL[split, label]:
        paths = [*example["files"], *example.get("binary", {})]
        assert len(paths) == len(set(paths)), example["id"]
        for path in map(PurePosixPath, paths):
            assert not path.is_absolute(), example["id"]
            assert ".." not in path.parts, example["id"]
        assert set(example["executable"]) <= set(paths), example["id"]
        for content in example.get("binary", {}).values():
            assert base64.b64decode(content, validate=True), example["id"]


@pytest.mark.parametrize("split", SPLITS)
def test_hostile_addresses_lead_nowhere(split: str) -> None:
    for example in ALL[split, "hostile"]:
        hosts = {host.rstrip(".").lower() for host in URL_HOST.findall(text_of(example))}
        allowed = LOCAL if split in PAIRED else LOCAL | NAMED
        assert [h for h in hosts - allowed if not UNREGISTRABLE.search(h)] == [], example["id"]


@EVERY_FILE
def test_no_package_index_is_named_by_address(split: str, label: str) -> None:
    for example in ALL[split, label]:
        assert not any(host in text_of(example).lower() for host in INDEX_HOSTS), example["id"]


@EVERY_FILE
def test_there_is_enough_to_measure(split: str, label: str) -> None:
    examples = ALL[split, label]
    assert len(examples) >= AT_LEAST[label]
    assert len({example["language"] for example in examples}) >= 10
    assert sum(len(text_of(example)) >= 600 for example in examples) >= 0.8 * len(examples)


@pytest.mark.parametrize("label", LABELS)
def test_both_halves_cover_the_same_families(label: str) -> None:
    counted = {split: Counter(example["technique"] for example in ALL[split, label]) for split in PAIRED}
    assert set(counted["dev"]) == set(counted["second"])
    assert len(counted["dev"]) >= 28
    assert min(min(counts.values()) for counts in counted.values()) >= 2


@pytest.mark.parametrize("tuned", [split for split in SPLITS if split != "held-out"])
def test_what_measures_has_no_sentence_of_what_tunes(tuned: str) -> None:
    # A sentence in both would let a rule tuned on one be measured on itself.
    dev, held = ([*ALL[split, "hostile"], *ALL[split, "honest"]] for split in (tuned, "held-out"))
    assert min(len(shingles(dev)), len(shingles(held))) > 10_000
    # Idioms of installing and of front matter are nobody's: two authors write them alike.
    assert len(shingles(dev) & shingles(held)) < 0.002 * len(shingles(held))
    assert len(lines(dev) & lines(held)) < 0.01 * len(lines(held))


@pytest.mark.parametrize("split", SPLITS)
def test_the_subject_does_not_give_the_label_away(split: str) -> None:
    hostile, honest = (shingles(ALL[split, label]) for label in LABELS)
    assert len(hostile & honest) > 0.3 * len(hostile)
