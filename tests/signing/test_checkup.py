"""Making checks: what cannot be checked is bad, nothing is passed over, and no secret is said."""

from collections.abc import Iterator

from hive.doctor.machine import room
from signing.checkup import Outcome, Said, examine, ok
from signing.errors import HostError

SECRET = "hunter2"


def good(_host: None) -> Iterator[Said]:
    yield ok("fine")


def refusing(_host: None) -> Iterator[Said]:
    yield ok("the first half")
    raise HostError("no such program", hint="install it")


def crashing(_host: None) -> Iterator[Said]:
    raise KeyError(SECRET)
    yield


def denied(_host: None) -> Iterator[Said]:
    raise PermissionError(13, "Permission denied", f"/{SECRET}")
    yield


def silent(_host: None) -> Iterator[Said]:
    yield from ()


def test_a_check_that_cannot_be_made_is_bad_and_the_others_are_made() -> None:
    checks = {"one": refusing, "two": crashing, "three": silent, "four": denied, "five": good}
    found = examine(checks, None)
    assert [(item.check, item.said.outcome.value) for item in found] == [
        ("one", "ok"),
        ("one", "bad"),
        ("two", "bad"),
        ("three", "bad"),
        ("four", "bad"),
        ("five", "ok"),
    ]
    assert found[1].said.fix == "install it"
    assert all(item.said.fix for item in found if item.said.outcome is Outcome.BAD)
    assert SECRET not in str([item.to_json() for item in found])


def test_how_much_room_is_enough() -> None:
    assert room("state", 6 << 30).outcome is Outcome.OK
    assert room("state", 2 << 30).outcome is Outcome.WARN
    assert room("state", (1 << 30) - 1).outcome is Outcome.BAD
