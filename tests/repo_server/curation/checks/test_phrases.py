"""Searching close to a needle finds what searching the whole text finds."""

import importlib
import json
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import repo_server.curation.checks
from repo_server.curation.checks.document import Document, Language
from repo_server.curation.checks.phrases import Phrases
from repo_server.curation.checks.vocabulary import Standing, Vocabulary
from signing.format.manifest import MemberPath

DEV = Path(__file__).parents[3] / "data" / "corpus" / "dev"
EVERY = 12  # of the corpus' texts


def document(text: str, language: Language = Language.PROSE) -> Document:
    return Document(path=MemberPath("a.md"), original=text, language=language)


def phrases_of_all_checks() -> Iterator[tuple[str, Phrases]]:
    for module in pkgutil.iter_modules(repo_server.curation.checks.__path__):
        loaded = importlib.import_module(f"repo_server.curation.checks.{module.name}")
        for name, value in vars(loaded).items():
            if isinstance(value, Phrases):
                yield f"{module.name}.{name}", value


def spans(read: Document, phrases: Phrases) -> set[tuple[int, int]]:
    return {match.span() for match in read.places(phrases)}


def spans_in_all(read: Document, phrases: Phrases) -> set[tuple[int, int]]:
    whole = read.flowing if phrases.prose else read.joined
    return {match.span() for _, pattern in phrases.alternatives for match in pattern.finditer(whole)}


@pytest.mark.slow
@pytest.mark.parametrize("half", ["hostile", "honest"])
def test_nothing_is_lost_close_to_its_needle(half: str) -> None:
    lines = (DEV / f"{half}.jsonl").read_text("ascii").splitlines()[::EVERY]
    texts = [document(json.loads(line)["files"]["SKILL.md"][:3_000]) for line in lines]
    found = 0
    for name, phrases in dict(phrases_of_all_checks()).items():
        for text in texts:
            expected = spans_in_all(text, phrases)
            assert spans(text, phrases) == expected, name
            found += len(expected)
    assert found > 20


@pytest.mark.parametrize(
    "pattern",
    [
        r"a[^\n]{0,80}needle",
        r"needle[^\n]{0,90}z{3}\b",
        r"(?:one|two){2,4} \w{0,30}needle(?! not)",
        r"x+ needle y*",
        r"(?<!q)\bneedle(?:s|\.exe)?[^\n]{3,5}?end",
        r"\bnew\s+needle\s?\((?P<inside>[^\n]{1,160})",
        r"(?:xx |one)?(?:two|needle)\w{0,3}",
        r"--[-=]{1,30}needle",
    ],
)
@pytest.mark.parametrize("prose", [False, True])
def test_a_match_reaches_as_far_as_its_pattern_says(pattern: str, *, prose: bool) -> None:
    phrases = Phrases(pattern, prose=prose)
    filler = "needle lies here, " * 40
    for text in (
        f"{filler}a{'-' * 80}needle{'-' * 90}zzz {filler}",
        f"{filler}onetwo {'w' * 30}needle\nonetwotwo needle not\nneedles 123end {filler}",
        f"{filler}\nxxxx needle yyy\nnew  needle ({'i' * 159}\nneedle.exe12345end",
        "xx needle",
    ):
        assert spans(document(text), phrases) == spans_in_all(document(text), phrases)


def test_an_alternative_without_a_needle_is_always_searched() -> None:
    assert spans(document("a1b22c"), Phrases(r"[0-9]{2}|\bneedle\b")) == {(3, 5)}


def test_the_needle_of_a_short_word_has_no_triple_and_is_found() -> None:
    assert spans(document("run nc -l 1"), Phrases(r"\bnc(?:\.exe)?[ \t]|\bcurl\b")) == {(4, 7)}


def test_what_begins_within_its_own_beginning_is_found() -> None:
    assert spans(document("==== needle"), Phrases(r"==(?! ?=) needle|== needle")) == {(2, 11)}


def test_a_pattern_of_signs_alone_is_found_however_often_they_stand() -> None:
    read = document("$a " * 6_000 + "$(needle)")
    assert spans(read, Phrases(r"\$\([a-z]{2,9}\)")) == {(18_000, 18_009)}
    assert not read.crowded


def test_the_rarest_needles_decide_where_a_pattern_is_tried() -> None:
    read = document("common " * 6_000 + "common or seldom")
    assert spans(read, Phrases(r"\bcommon or seldom\b|\bseldom or common\b")) == {(42_000, 42_016)}
    assert not read.crowded


def test_a_word_is_asked_for_its_pieces_once_and_answers_the_same() -> None:
    pieces = {"needle", "dle", "eed", "hay stack", "-x", "ed"}
    vocabulary = Vocabulary(pieces)
    long = "a" * 40 + "needles"
    for text in ("needles, needed; hay  stack", f"{long} hay stack -x", "haystack", "", "needles -X"):
        for _ in range(2):
            standing = Standing(vocabulary, text)
            assert standing.pieces == {piece for piece in pieces if piece in text}
            assert all(standing.count(piece) == text.count(piece) for piece in standing.pieces)
            assert all(
                text.startswith(piece, at) for piece in standing.pieces for at in standing.places(piece)
            )
