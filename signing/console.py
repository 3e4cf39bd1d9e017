"""What the three commands share (edge): the answer on stdout, the conversation on stderr, one exit status.

    {"ok": true, "candidate": "…"}                                              --json, done
    {"ok": false, "error": {"code": "not-first-party", "message": "…", "hint": "…"}}   --json, refused

    hive: error[not-first-party]: web-search==1.2 is not first-party; tenant acme is on the paid tier
    hint: have it reviewed and published, then pin it in the profile

Exit: 0 done, 1 our bug, 2 usage, 3 not found, 4 conflict or locked, 5 unreachable, 6 host command failed,
7 key not available, 10 malformed, 11 not verified, 12 not allowed, 130 interrupted.
"""

import importlib
import json
import os
import sys
import traceback
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn, TextIO

import click

from signing.errors import SkillRepoError, UsageError

INTERRUPTED: Final = 130
_STEERING: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})


class LazyGroup(click.Group):
    """A command group whose commands are imported when they are called, so that ``--help`` stays fast.

    ``lazy`` maps a command to ``(module:attribute, short help, section)``.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which they are used."""
        del ctx
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, or None when there is none of that name."""
        del ctx
        if cmd_name not in self._lazy:
            return None
        module, _, attribute = self._lazy[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{cmd_name} is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands in their sections."""
        del ctx
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, (_, summary, section) in self._lazy.items():
            sections.setdefault(section, []).append((name, summary))
        for section, rows in sections.items():
            with formatter.section(section):
                formatter.write_dl(rows)


class Console:
    """Where a command says its answer and what goes on meanwhile."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def answer(self, document: Mapping[str, Any], text: str = "") -> None:
        """Give the answer: ``document`` with --json, else ``text``."""
        if self.as_json:
            click.echo(json.dumps({"ok": True, **document}, indent=2, ensure_ascii=True))
        elif text:
            click.echo(harmless(text))

    def note(self, text: str) -> None:
        """Say something that is not the answer."""
        click.echo(harmless(text), err=True)

    def can_ask(self) -> bool:
        """Return whether a person is there to answer; a prompt never appears without a terminal."""
        return not self.as_json and sys.stdin.isatty() and sys.stderr.isatty()


def harmless(text: str) -> str:
    """Return ``text`` with everything that could steer a terminal or hide from a reader written as an escape.

    Names, reasons and answers from outside end up here; one place for all of them.
    """
    return "".join(
        character
        if character in "\n\t" or unicodedata.category(character) not in _STEERING
        else _escaped(character)
        for character in text
    )


def _escaped(character: str) -> str:
    return f"<U+{ord(character):04X}>"


def console_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``--json`` and a `Console` as its argument ``console``."""

    def build(ctx: click.Context, _param: click.Parameter, value: bool) -> Console:  # noqa: FBT001
        return Console(as_json=value or bool(ctx.find_root().params.get("json_output")))

    return click.option(
        "--json", "console", is_flag=True, callback=build, help="Answer with one JSON object."
    )(command)


def run(group: click.Group, program: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run ``group`` and end the process with the one fitting exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(_status(group, program, words))


def _status(group: click.Group, program: str, words: list[str]) -> int:
    as_json = "--json" in words
    try:
        result = group.main(words, prog_name=program, standalone_mode=False)
    except SkillRepoError as error:
        return _report(program, error, as_json=as_json)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        return _report_usage(program, error, as_json=as_json)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader went away; Python would complain about it at exit
        return 0
    except Exception as error:  # noqa: BLE001 - the one place that must not let a traceback be the answer
        traceback.print_exc()
        bug = SkillRepoError(
            f"{type(error).__name__}: this is a bug of ours", hint="report it, with the lines above"
        )
        return _report(program, bug, as_json=as_json)
    return result if isinstance(result, int) else 0


def _report_usage(program: str, error: click.ClickException, *, as_json: bool) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and not as_json:
        error.show()  # called without a command: the message is the help
        return UsageError.exit_status
    usage = UsageError(error.format_message(), hint=f"see {program} --help")
    return _report(program, usage, as_json=as_json)


def _report(program: str, error: SkillRepoError, *, as_json: bool) -> int:
    try:
        if as_json:
            document = {"ok": False, "error": error.to_document()}
            text = json.dumps(document, indent=2, ensure_ascii=True)
            # A file name that is not Unicode becomes an escape, which is what JSON would write for it.
            click.echo(text.encode(errors="backslashreplace"))
        else:
            click.echo(harmless(f"{program}: error[{error.code}]: {error}"), err=True)
            if error.hint:
                click.echo(harmless(f"hint: {error.hint}"), err=True)
    except BrokenPipeError:  # nobody reads the refusal; it still is one
        _let_go_of(sys.stdout if as_json else sys.stderr)
    return error.exit_status


def _let_go_of(stream: TextIO) -> None:
    """Point ``stream`` at nothing, so that Python does not fail again when it flushes at exit."""
    nothing = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(nothing, stream.fileno())
    os.close(nothing)
