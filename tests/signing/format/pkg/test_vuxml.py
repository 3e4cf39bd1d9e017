import json

import pytest

from signing.errors import FormatError
from signing.format.pkg.vuxml import parse_vuxml
from tests.support.pkg_archives import DATA

FEED = (DATA / "audit" / "vuln.xml").read_bytes()
ANSWER = json.loads((DATA / "audit" / "expected-demo-agent-1.2.0.json").read_text())
VID = "11111111-2222-3333-4444-555555555555"


def feed(body: str, *, vid: str = VID, head: str = "", root: str = "vuxml") -> bytes:
    return (
        f'<?xml version="1.0" encoding="utf-8"?>{head}<{root} xmlns="http://www.vuxml.org/apps/vuxml-1">'
        f'<vuln vid="{vid}"><topic>t -- x</topic>{body}</vuln></{root}>'
    ).encode()


def affects(names: str, ranges: str = "") -> str:
    return f"<affects><package>{names}{ranges}</package></affects>"


def test_the_answer_of_real_pkg_audit() -> None:
    issues = ANSWER["packages"]["demo-agent"]["issues"]
    (found,) = parse_vuxml(FEED).affecting("demo-agent", "1.2.0")
    assert found.topic == issues[0]["description"]
    assert list(found.cves) == issues[0]["cve"]
    assert [str(found.range_of("demo-agent", "1.2.0"))] == issues[0]["Affected versions"]
    assert found.vid in issues[0]["url"]
    assert len(issues) == 1


@pytest.mark.parametrize("version", ["1.2.1_1", "1.2.2", "1.2.0,1"])
def test_what_is_mended_is_not_affected(version: str) -> None:
    assert parse_vuxml(FEED).affecting("demo-agent", version) == ()
    assert parse_vuxml(FEED).affecting("demo-base", "1.0.0") == ()


@pytest.mark.parametrize(
    ("ranges", "yes", "no"),
    [
        ("<range><lt>2</lt></range>", ["1", "1.9_9"], ["2", "2.0", "3"]),
        ("<range><le>2</le></range>", ["2", "2.0"], ["2_1"]),
        ("<range><gt>1</gt><lt>2</lt></range>", ["1.5", "1_1"], ["1", "2"]),
        ("<range><ge>1</ge></range>", ["1", "9"], ["0.9"]),
        ("<range><eq>1.0</eq></range>", ["1.0", "1.0.0"], ["1.0_1"]),
        ("<range><lt>1</lt></range><range><ge>2</ge><lt>3</lt></range>", ["0", "2.5"], ["1.5", "3"]),
        ("<range><lt>1,1</lt></range>", ["99"], ["1,1"]),
        ("", ["0", "99,9"], []),
        ("<range/>", ["0", "99,9"], []),
    ],
    ids=["lt", "le", "between", "ge", "eq", "two", "epoch", "no-range", "empty-range"],
)
def test_ranges(ranges: str, yes: list[str], no: list[str]) -> None:
    found = parse_vuxml(feed(affects("<name>x</name>", ranges)))
    assert [version for version in [*yes, *no] if found.affecting("x", version)] == yes


def test_names_are_exact_or_globs_and_several() -> None:
    found = parse_vuxml(feed(affects("<name>x</name><name>py3*-y</name>", "<range><lt>2</lt></range>")))
    assert [name for name in ("x", "X", "xx", "py311-y", "py3-y", "py27-y", "py3*-y") if found.affecting(name, "1")] == [
        "x", "py311-y", "py3-y", "py3*-y",
    ]  # fmt: skip


def test_what_is_cancelled_does_not_count_and_is_no_empty_feed() -> None:
    assert parse_vuxml(feed(f"<cancelled/>{affects('<name>x</name>')}")).affecting("x", "1") == ()


def test_descriptions_are_passed_over_however_deep_they_are_marked_up() -> None:
    body = "<description><body xmlns='http://www.w3.org/1999/xhtml'><p>x <b>y</b></p></body></description>"
    assert parse_vuxml(feed(body + affects("<name>x</name>"))).affecting("x", "1")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<",
        b"<vuxml></vuxml>",
        feed("", root="html"),
        feed("", vid="x"),
        feed(affects("<name>x</name>", "<range><lt></lt></range>")),
        feed(affects("<name>x</name>", "<range><near>2</near></range>")),
        feed("", head='<!DOCTYPE vuxml [<!ENTITY a "b">]>'),
        feed("&a;", head='<!DOCTYPE vuxml [<!ENTITY a SYSTEM "file:///etc/passwd">]>'),
        feed("", head='<!DOCTYPE v [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;"><!ENTITY c "&b;&b;">]>'),
        feed("<x>" * 100 + "</x>" * 100),
        feed("") + feed(""),
        feed("")[:-5],
    ],
    ids=[
        "empty",
        "lt",
        "no-advisory",
        "html",
        "vid",
        "no-version",
        "test",
        "entity",
        "file",
        "laughs",
        "deep",
        "two",
        "cut",
    ],
)
def test_what_is_not_a_feed_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        parse_vuxml(data)
