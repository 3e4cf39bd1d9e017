from hypothesis import given, settings
from hypothesis import strategies as st

from repo_server.curation.rendering.sidebyside import Change, Effort, compare

LINES = st.lists(st.text("ab \t<\u202e", max_size=6), max_size=12)


@given(old=LINES, new=LINES, words=st.sampled_from([0, 5]), product=st.sampled_from([0, 1_000]))
@settings(max_examples=150, deadline=None)
def test_both_texts_are_in_the_rows_whole(old: list[str], new: list[str], words: int, product: int) -> None:
    """Whatever is compared and however hard: reading down a side gives that text, with its line numbers."""
    rows = list(compare(old, new, Effort(product=product, word_pairs=words)))
    left = [(row.old, "".join(piece.text for piece in row.left)) for row in rows if row.old]
    right = [(row.new, "".join(piece.text for piece in row.right)) for row in rows if row.new]
    assert left == list(enumerate(old, start=1))
    assert right == list(enumerate(new, start=1))
    for row in rows:
        if row.change is Change.SAME:
            assert row.left == row.right
        assert (row.change is Change.ADDED) == (row.old == 0)
        assert (row.change is Change.REMOVED) == (row.new == 0)


@given(old=st.text(max_size=30), new=st.text(max_size=30), words=st.sampled_from([0, 5]))
@settings(max_examples=150, deadline=None)
def test_what_is_not_emphasised_stands_on_both_sides(old: str, new: str, words: int) -> None:
    rows = list(compare([old], [new], Effort(word_pairs=words)))
    for row in rows:
        if row.change is Change.CHANGED and any(p.changed for p in (*row.left, *row.right)):
            assert "".join(p.text for p in row.left if not p.changed) == "".join(
                p.text for p in row.right if not p.changed
            )


def test_what_is_too_long_to_compare_is_shown_whole() -> None:
    old, new = [f"a{n}" for n in range(4_000)], [f"b{n}" for n in range(3_999)]
    rows = list(compare(old, new, Effort()))
    assert [row.change for row in rows] == [Change.REMOVED] * 4_000 + [Change.ADDED] * 3_999


def test_the_effort_is_counted_for_the_whole_tree() -> None:
    effort = Effort(product=100)
    assert effort.allows(["a"] * 9, ["b"] * 9)
    assert not effort.allows(["a"] * 9, ["b"] * 9)
    assert not effort.allows(["a"], ["b"])
