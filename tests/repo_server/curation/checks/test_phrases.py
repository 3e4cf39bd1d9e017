"""Searching close to a needle finds what searching the whole text finds."""

import importlib
import json
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import repo_server.curation.checks
from repo_server.curation.checks import blocks
from repo_server.curation.checks.document import MAX_PLACES, Document, Language
from repo_server.curation.checks.phrases import Phrases
from repo_server.curation.checks.vocabulary import Vocabulary, places, standing_in
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
    pieces = ["needle", "dle", "eed", "hay stack", "-x", "ed", "|"]
    groups = [*({piece} for piece in pieces), {"needle", "-x"}, {"straw"}]
    vocabulary = Vocabulary([frozenset(group) for group in groups])
    long = "a" * 40 + "needles"
    many = "word " * 9_000 + "needle -x"
    for text in ("needles, needed; hay  stack", f"{long} hay stack -x", "haystack", "", "needles -X |", many):
        for _ in range(2):
            standing = standing_in(vocabulary, text)
            assert standing.pieces == {piece for piece in pieces if piece in text}
            assert standing.blocks.keys() == {
                number for number, group in enumerate(groups) if group & standing.pieces
            }
            for number, touched in standing.blocks.items():
                there = {at for piece in groups[number] for at in places(text, piece)}
                assert there <= {at for at in range(len(text)) if touched >> (at // blocks.SIZE) & 1}


def test_a_word_far_away_is_in_no_block_near_by() -> None:
    vocabulary = Vocabulary([frozenset({"needle"}), frozenset({"straw"})])
    for filler in ("word " * 40, "word " * 30_000):
        standing = standing_in(vocabulary, f"needle {filler}straw").blocks
        reach = blocks.shifts(100)
        assert not blocks.behind(standing[0], reach) & standing[1]
        assert not blocks.before(standing[1], reach) & standing[0]


@given(
    st.lists(st.integers(0, 5_000), min_size=1, max_size=100, unique=True).map(sorted),
    st.integers(0, 600),
)
def test_whatever_is_within_reach_is_in_a_block_of_it(spots: list[int], distance: int) -> None:
    standing, reach = blocks.in_blocks(spots), blocks.shifts(distance)
    covered = [at for begin, end in blocks.runs(blocks.before(standing, reach)) for at in range(begin, end)]
    assert {max(0, at - distance) for at in spots} | set(spots) <= set(covered)
    covered = [at for begin, end in blocks.runs(blocks.behind(standing, reach)) for at in range(begin, end)]
    assert {at + distance for at in spots} | set(spots) <= set(covered)
    assert all(
        any(at - blocks.SIZE < there < at + distance + 2 * blocks.SIZE for at in spots) for there in covered
    )


def test_a_text_in_which_all_needles_stand_too_often_is_crowded() -> None:
    read = document("do not tell " * (MAX_PLACES + 10))
    assert len(spans(read, Phrases(r"\bnot (?:tell|say)\b"))) == MAX_PLACES
    assert read.crowded


def test_a_start_that_stands_often_is_tried_as_often_as_other_needles_allow() -> None:
    size = MAX_PLACES // 2
    read = document("send send send it off. " * size)
    assert len(spans(read, Phrases(r"\bsend it off\b|\bsend (?:send )?it away\b|\bsend (?:it )?off"))) == size
    assert not read.crowded
