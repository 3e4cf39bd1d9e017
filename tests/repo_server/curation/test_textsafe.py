"""What a stranger writes is seen as it is, and stays where it stands."""

import pytest

from repo_server.curation.rendering.shown import spelled
from repo_server.curation.textsafe import excerpt, visible

WORDS = [
    "Việt Nam",
    "Vie\u0323\u0302t",  # two marks on one letter
    "בְּרֵאשִׁ֖ית",
    "ที่นี่",
    "बाँध",
    "བསྒྲུབས",
    "e\u0301" * 50,
]


@pytest.mark.parametrize("text", WORDS, ids=range(len(WORDS)))
def test_languages_are_left_alone(text: str) -> None:
    assert visible(text) == text
    assert str(spelled(text)) == text


def test_a_pile_of_marks_does_not_cover_its_neighbours() -> None:
    pile = "a" + "\u0301\u0489" * 50
    shown = visible(f"before {pile} after")
    assert shown.startswith("before a\u0301\u0489\u0301\u0489<U+0301><U+0489>")
    assert shown.endswith("<U+0489> after")
    assert shown.count("\u0301") == shown.count("\u0489") == 2
    markup = str(spelled(pile))
    assert markup.startswith('a\u0301\u0489\u0301\u0489<mark class="hidden">&lt;U+0301&gt;')
    assert markup.count("<mark") == 1
    assert excerpt(pile).count("\u0301") == 2


def test_hidden_characters_do_not_begin_a_new_pile() -> None:
    shown = visible("a" + ("\u0301" * 4 + "\u200b") * 3)
    assert shown == "a" + "\u0301" * 4 + ("<U+200B>" + "\u0301" * 4) * 2 + "<U+200B>"
