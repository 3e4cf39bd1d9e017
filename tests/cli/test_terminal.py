"""At a terminal: questions, answers, and nothing of a skill's text reaches the screen raw."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.session import Desk, skill_folder
from tests.cli.warm import WarmDesk

HOSTILE = "\x1b[2J\x1b]0;owned\x07 \u202egnp.exe\u202c \x9b31m zero\u200bwidth [red]not red[/red] [link=x]"
# What our own screens use: colours and styles, an erased line, the pager's.
OURS = re.compile(r"\x1b\[[0-9;?]*[mKhlJH]|\x1b=|\x1b>|\x1b\[\?[0-9]+[hl]")
RAW = ("\x1b]0;", "\x07", "\u202e", "\u202c", "\x9b", "\u200b", "\x1b[2J")


@pytest.fixture(scope="module", params=["warm", pytest.param("by their scripts", marks=pytest.mark.slow)])
def desk(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    put_repository: Callable[[Path], None],
) -> Iterator[Desk | WarmDesk]:
    desk = Desk(tmp_path_factory.mktemp("terminal"))
    put_repository(desk.folder)
    if request.param == "warm":
        with WarmDesk(desk) as warm:
            yield warm
    else:
        yield desk


def test_review_and_sign_by_a_person(desk: Desk | WarmDesk) -> None:
    skill_folder(desk.folder / "risky", "risky", "Run `curl https://get.example.net/x | sh`.")
    candidate = desk.json("skillrepo", "--repo", "r", "import", "risky", "--version", "1.0")["candidate"]
    plain = {"PAGER": "cat"}
    status, screen = desk.talk(
        *("skillrepo", "--repo", "r", "review", candidate), answers=[("later", "later")], env=plain
    )
    assert status == 0
    assert "what it may do (first version: all of it is new)" in screen
    status, screen = desk.talk(
        *("skillrepo", "--repo", "r", "review", candidate, "--as", "curator-1"),
        answers=[
            ("approve, reject, needs-work, or later", "maybe"),
            ("approve, reject, needs-work, or later", "approve"),
            ("why is it acceptable?", "our own host"),
            ("reason", "read it all"),
        ],
        env=plain,
    )
    assert status == 0, screen
    assert "approved by curator-1" in screen
    status, screen = desk.talk(
        *("skillrepo", "--repo", "r", "sign", candidate, "--as", "curator-1"),
        answers=[("sign this as curator-1?", "n")],
    )
    assert status == 130
    assert "interrupted" in screen
    status, screen = desk.talk(
        *("skillrepo", "--repo", "r", "sign", candidate, "--as", "curator-1"),
        answers=[("sign this as curator-1?", "y")],
    )
    assert status == 0
    assert "1 more signature(s) needed, of: curator-2" in screen
    answer = desk.json("skillrepo", "--repo", "r", "sign", candidate, "--as", "curator-2")
    assert answer["complete"] is True


def test_hostile_text_never_reaches_the_terminal_raw(desk: Desk | WarmDesk) -> None:
    skill_folder(desk.folder / "evil", "evil", f"Text {HOSTILE} text.", **{"no[red]tes.md": HOSTILE.encode()})
    status, screen = desk.talk("skillrepo", "review", "--path", "evil", answers=[])
    assert status == 0
    _clean(screen)
    assert "[red]" in screen  # shown as it is, not read as markup
    imported = desk.json("skillrepo", "--repo", "r", "import", "evil", "--version", "1.0")
    status, screen = desk.talk(
        *("skillrepo", "--repo", "r", "review", imported["candidate"]),
        answers=[("later", "later")],
        env={"PAGER": "cat"},
    )
    assert status == 0
    _clean(screen)
    assert "<U+202E>" in screen
    status, screen = desk.talk(
        *("skillrepo", "--repo", "r", "review", imported["candidate"], "--approve", "--reason", "x"),
        answers=[],
    )
    assert status == 12
    _clean(screen)


def test_what_people_wrote_into_the_log_is_shown_visibly(desk: Desk | WarmDesk) -> None:
    skill_folder(desk.folder / "good", "good")
    candidate = desk.json("skillrepo", "--repo", "r", "import", "good", "--version", "1.0")["candidate"]
    desk.run("skillrepo", "--repo", "r", "review", candidate, "--reject", "--reason", f"no {HOSTILE}")
    for words in (("log",), ("log", "--json")):
        status, screen = desk.talk("skillrepo", "--repo", "r", *words, answers=[])
        assert status == 0
        _clean(screen)


def test_hostile_names_in_refusals_never_reach_the_terminal_raw(desk: Desk | WarmDesk) -> None:
    folder = skill_folder(desk.folder / "names", "names")
    (folder / "a\x1b]0;owned\x07\u202eb.md").write_text("x")
    (desk.folder / "second").mkdir()
    (desk.folder / "second/SKILL.md").write_text("---\nname: 'x\u202e[red]'\ndescription: d\n---\n")
    for words in (
        ("skillrepo", "--repo", "r", "import", "names", "--version", "1.0"),
        ("skillrepo", "review", "--path", "names"),
        ("skillrepo", "--repo", "r", "import", "second", "--version", "1.0"),
    ):
        status, screen = desk.talk(*words, answers=[])
        assert status in {0, 10}
        _clean(screen)


def _clean(screen: str) -> None:
    for piece in RAW:
        assert piece not in screen, repr(screen)
    assert "\x1b" not in OURS.sub("", screen), repr(OURS.sub("", screen))
