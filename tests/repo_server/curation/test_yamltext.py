"""The fast reader of YAML and the slow one say the same of every text: a review is equal on every machine."""

import json
import random
from pathlib import Path

import pytest
import yaml

from repo_server.curation import yamltext
from repo_server.curation.yamltext import Parsed, parse_mapping

DEV = Path(__file__).parents[2] / "data" / "corpus" / "dev"
EVERY = 6  # of the corpus' texts
SIGNS = [
    *" \n\t:-'\"#[]{}&*!|>%@`,?\\a1.~=<\r\x85\u2028\xa0\ufeffč\U0001f600\0\x07\x7f\ud800",
    *(": ", "- ", "\n  ", "--- ", "...", "\n---\n", "\n- ", "? ", "!!str ", "&a ", "*a", "|-\n", ">#"),
    *("<<: ", "\n\n", " #", "'':", "\\x41", '"\\\n', "%YAML 1.1\n", "b:", "1.0", "yes"),
]
SHORT = [
    *("a: b", "a: 'b'", 'a: "b"', "- a", "a:\n  b: c", "a: |\n  x\n  y", "a: >\n  x\n\n  y", "a: [b, c]"),
    *("a: {b: c}", "? a\n: b", "a: b # c", "name: x\ndescription: y z\nmetadata:\n  v: 1", "a:\nb: 1.0"),
]


pytestmark = pytest.mark.skipif(
    yamltext._FAST is None, reason="PyYAML was built without its C reader: there is only the slow one"
)


def both(text: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Parsed, Parsed]:
    fast = parse_mapping(text)
    with monkeypatch.context() as without:
        without.setattr(yamltext, "_FAST", None)
        return fast, parse_mapping(text)


def fronts() -> list[str]:
    lines = (DEV / "honest.jsonl").read_text("ascii").splitlines()[::EVERY]
    texts = [json.loads(line)["files"]["SKILL.md"] for line in lines]
    return [text.removeprefix("---\n").split("\n---")[0] for text in texts]


def test_the_corpus_is_read_alike_and_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    found = fronts()
    for text in found:
        fast, slow = both(text, monkeypatch)
        assert fast == slow, text
        assert fast.root["name"].text
    assert sum(yamltext._read_fast(text, yaml.CSafeLoader) is not None for text in found) > len(found) // 2


@pytest.mark.parametrize(
    "text",
    [
        *("a:", "a:\nb: c", "a:\tb", "a: [b, c?]", "a: {b:, c}", "a: >#\n  x", "!!str a: ![b]", "\ufeffa: b"),
        *(
            "a: 1.0\nb: yes\nc: 'yes'\nd: ~",
            "a: &x b\nc: *x",
            "a: b\na: c",
            "--- a\n--- b",
            "%YAML 1.1\n--- a",
        ),
        *(
            "a: [[[[[[[[[[b]]]]]]]]]]",
            "- a",
            "a",
            "",
            "a: 'b",
            "a: {b: c",
            "? [a]\n: b",
            "a: \ud800",
            "a: \x07",
        ),
    ],
)
def test_what_readers_differ_about_is_read_alike(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fast, slow = both(text, monkeypatch)
    assert fast == slow


def test_changed_texts_are_read_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(20261123)
    for _ in range(300):
        text = chance.choice(SHORT)
        for _ in range(chance.randint(1, 4)):
            at = chance.randint(0, len(text))
            text = text[:at] + chance.choice(SIGNS) + text[at + chance.randint(0, 1) :]
        fast, slow = both(text, monkeypatch)
        assert fast == slow, text
