"""Every command explains itself and ends with 0."""

from importlib import import_module
from pathlib import Path

import click
import pytest

from tests.cli.session import Desk
from tests.cli.warm import WarmDesk

PROGRAMS = {"skillrepo": "repo_server.cli", "skillrepo-client": "repo_client.cli", "hive": "hive.cli"}


def commands(group: click.Group, before: tuple[str, ...]) -> list[tuple[str, ...]]:
    """All commands and groups below ``group``, as they are typed."""
    context = click.Context(group)
    found = [before]
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        if isinstance(command, click.Group):
            found += commands(command, (*before, name))
        else:
            found.append((*before, name))
    return found


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_command_is_there_and_says_what_it_does(program: str) -> None:
    group = import_module(PROGRAMS[program]).cli
    for words in commands(group, (program,)):
        context = click.Context(group)
        command: click.Command | None = group
        for word in words[1:]:
            assert isinstance(command, click.Group)
            command = command.get_command(context, word)
        assert command is not None
        assert command.get_short_help_str(), words
        # What sign-digest answers is pkg's protocol, and nothing else may stand in it.
        if not isinstance(command, click.Group) and words[-1] != "sign-digest":
            assert "--json" in command.get_help(context), words


def test_help_of_commands_by_their_scripts(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    calls = [
        *(("skillrepo", name) for name in ("import", "review", "publish", "profile", "root")),
        ("skillrepo-client", "get"),
        *(("hive", name) for name in ("birth", "policy")),
        *((name,) for name in PROGRAMS),
    ]
    with WarmDesk(desk) as warm:
        answers = [warm.run(*words, "--help", status=0) for words in calls]
    answers.append(desk.run("skillrepo", "--help"))
    for answer in answers:
        assert answer.stdout.startswith("Usage: ")
        assert answer.stderr == ""
    assert desk.run("skillrepo", "--version").stdout.startswith("skillrepo")
    assert "Usage:" in desk.run("hive", status=2).stderr
    assert list(tmp_path.iterdir()) == []
