"""Caps: what a signed surface may hold, and nothing that a pattern lets through by surprise."""

import pytest

from signing.errors import FormatError
from signing.format.caps import Caps
from signing.format.surface import Surface


def excess(allowed: dict[str, list[str]], **surface: tuple[str, ...]) -> list[str]:
    return [str(item) for item in Caps.parse(allowed, "caps").excess(Surface(**surface))]


def test_a_kind_that_is_not_named_is_not_capped() -> None:
    assert excess({"hosts": []}, commands=("rm",)) == []


def test_an_empty_list_allows_nothing() -> None:
    assert excess({"hosts": []}, hosts=("a.example",)) == ["hosts: a.example"]


@pytest.mark.parametrize(
    ("pattern", "entry", "allowed"),
    [
        ("a.example", "a.example", True),
        ("a.example", "b.a.example", False),
        ("a.example", "a.example.evil.invalid", False),
        ("*.a.example", "b.a.example", True),
        ("*.a.example", "c.b.a.example", True),
        ("*.a.example", "a.example", False),
        ("*.a.example", ".a.example", False),
        ("*.a.example", "ba.example", False),
        ("*.a.example", "b.a.example.evil.invalid", False),
        ("Bash(git:*", "Bash(git:*)", True),
        ("Bash(git:*", "Bash(curl:*)", False),
        ("a?c", "abc", False),
        ("a[b]c", "abc", False),
    ],
)
def test_what_an_entry_allows(pattern: str, entry: str, allowed: bool) -> None:
    assert (excess({"hosts": [pattern]}, hosts=(entry,)) == []) is allowed


@pytest.mark.parametrize(
    "value",
    [
        {"hosts": ["*"]},
        {"hosts": ["a*b"]},
        {"hosts": ["*a*"]},
        {"hosts": ["b", "a"]},
        {"hosts": ["a", "a"]},
        {"hosts": "a"},
        {"hosts": [""]},
        {"hosts": [3]},
        {"urls_": []},
        [],
        None,
    ],
    ids=[
        "all",
        "middle",
        "two",
        "unsorted",
        "twice",
        "text",
        "empty",
        "number",
        "unknown",
        "list",
        "nothing",
    ],
)
def test_what_is_no_cap_is_refused(value: object) -> None:
    with pytest.raises(FormatError):
        Caps.parse(value, "caps")


def test_no_caps_are_false_and_leave_no_trace() -> None:
    assert not Caps.none()
    assert Caps.none().to_json() == {}
    assert Caps.parse({"tools": [], "hosts": ["a"]}, "caps").to_json() == {"hosts": ["a"], "tools": []}
