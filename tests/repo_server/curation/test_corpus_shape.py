"""The corpus is what its README says: well-formed, balanced, harmless, and its halves are strangers to each other."""

import base64
import json
import re
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

CORPUS = Path(__file__).parents[2] / "data" / "corpus"
SPLITS = ("dev", "held-out")
LABELS = ("hostile", "honest")
AT_LEAST = {"hostile": 150, "honest": 160}  # in each split
KEYS = {"id", "label", "technique", "language", "files", "executable", "note"}

# Where a hostile example may point: names nobody can register, the machine itself, and the link-local metadata service.
UNREGISTRABLE = re.compile(r"(?:^|\.)(?:invalid|example)$")
LOCAL = {"localhost", "127.0.0.1", "169.254.169.254"}
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
        assert example["id"].startswith(f"{split.removesuffix('-out')}-{label}-{example['technique']}-"), (
            example["id"]
        )
        assert re.fullmatch(r"[a-z]{2}", example["language"]), example["id"]
        assert len(example["note"]) >= 8, example["id"]
        assert example["note"].isascii(), example["id"]


@EVERY_FILE
def test_the_file_itself_hides_nothing(split: str, label: str) -> None:
    content = (CORPUS / split / f"{label}.jsonl").read_bytes()
    assert content.isascii()
    assert content.endswith(b"}\n")


def test_ids_are_unique_over_all_four_files() -> None:
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
        assert [h for h in hosts - LOCAL if not UNREGISTRABLE.search(h)] == [], example["id"]


@EVERY_FILE
def test_no_package_index_is_named_by_address(split: str, label: str) -> None:
    for example in ALL[split, label]:
        assert not any(host in text_of(example).lower() for host in INDEX_HOSTS), example["id"]


@EVERY_FILE
def test_there_is_enough_to_measure(split: str, label: str) -> None:
    examples = ALL[split, label]
    assert len(examples) >= AT_LEAST[label]
    assert len({example["language"] for example in examples}) >= 10
    assert sum(len(text_of(example)) >= 1000 for example in examples) >= 0.8 * len(examples)


@pytest.mark.parametrize("label", LABELS)
def test_both_halves_cover_the_same_families(label: str) -> None:
    counted = {split: Counter(example["technique"] for example in ALL[split, label]) for split in SPLITS}
    assert set(counted["dev"]) == set(counted["held-out"])
    assert len(counted["dev"]) >= 28
    assert min(min(counts.values()) for counts in counted.values()) >= 2


def test_the_halves_have_no_sentence_in_common() -> None:
    # A sentence in both halves would let a rule tuned on one be measured on itself.
    dev, held = ([*ALL[split, "hostile"], *ALL[split, "honest"]] for split in SPLITS)
    assert min(len(shingles(dev)), len(shingles(held))) > 10_000
    assert shingles(dev) & shingles(held) == set()
    assert lines(dev) & lines(held) == set()


@pytest.mark.parametrize("split", SPLITS)
def test_the_subject_does_not_give_the_label_away(split: str) -> None:
    hostile, honest = (shingles(ALL[split, label]) for label in LABELS)
    assert len(hostile & honest) > 0.3 * len(hostile)
