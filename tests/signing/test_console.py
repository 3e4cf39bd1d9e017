"""One answer on stdout, one exit status, and nothing heavy behind --help."""

import inspect
import json
import subprocess
import sys
import textwrap

import click
import pytest

from signing import errors
from signing.console import Console, LazyGroup, console_option, run
from signing.errors import (
    FormatError,
    KeyAccessError,
    NotFirstPartyError,
    NotFoundError,
    RejectedError,
    SkillRepoError,
    ThresholdError,
    UsageError,
)

STATUSES = {
    "SkillRepoError": ("error", 1),
    "UsageError": ("usage", 2),
    "RejectedError": ("rejected", 11),
    "FormatError": ("malformed", 10),
    "VerificationError": ("not-verified", 11),
    "BadSignatureError": ("bad-signature", 11),
    "ThresholdError": ("threshold-not-met", 11),
    "DigestMismatchError": ("digest-mismatch", 11),
    "ExpiredError": ("expired", 11),
    "RollbackError": ("rollback", 11),
    "RevokedError": ("revoked", 11),
    "WrongSubjectError": ("wrong-subject", 11),
    "CouldNotVerifyError": ("could-not-verify", 11),
    "PolicyError": ("not-allowed", 12),
    "NotFirstPartyError": ("not-first-party", 12),
    "QuarantinedError": ("quarantined", 12),
    "YankedError": ("yanked", 12),
    "NotEntitledError": ("not-entitled", 12),
    "BlockedError": ("blocked-by-findings", 12),
    "NotFoundError": ("not-found", 3),
    "ConflictError": ("conflict", 4),
    "TransportError": ("unreachable", 5),
    "HostError": ("host-failed", 6),
    "KeyAccessError": ("key-not-available", 7),
}
CLASSES = {
    name: item for name, item in vars(errors).items() if inspect.isclass(item) and issubclass(item, Exception)
}


def instance(name: str) -> SkillRepoError:
    if name == "ThresholdError":
        return ThresholdError("root", signed=1, threshold=2, missing=("bob",))
    return CLASSES[name]("it happened", hint="do this", where="files[3].path", path="x", count=2)


def outcome(command, *words: str) -> int:
    """Run ``command`` as the whole program would."""

    @click.group()
    @click.option("--json", "json_output", is_flag=True)
    def group(json_output: bool) -> None:
        pass

    group.add_command(click.command("do")(command))
    with pytest.raises(SystemExit) as caught:
        run(group, "program", ["do", *words])
    assert isinstance(caught.value.code, int)
    return caught.value.code


def raising(error: BaseException):
    @console_option
    def command(console: Console) -> None:
        raise error

    return command


# --- errors ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STATUSES)
def test_every_error_has_its_exit_status_and_is_one_json_object(name, capsys):
    error, (code, status) = instance(name), STATUSES[name]
    assert outcome(raising(error), "--json") == status
    out = capsys.readouterr().out
    assert json.loads(out) == {"ok": False, "error": error.to_document()}
    assert json.loads(out)["error"]["code"] == code
    assert json.loads(out)["error"]["hint"]


@pytest.mark.parametrize("name", STATUSES)
def test_without_json_every_error_is_a_line_and_a_hint_on_stderr(name, capsys):
    code, status = STATUSES[name]
    assert outcome(raising(instance(name))) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert lines[0].startswith(f"program: error[{code}]: ")
    assert lines[1].startswith("hint: ")


def test_codes_are_stable_and_distinct():
    known = {name: (item.code, item.exit_status) for name, item in CLASSES.items() if name in STATUSES}
    assert known == STATUSES
    assert len({item.code for item in CLASSES.values()}) == len(CLASSES)
    assert all(item.exit_status in {1, 2, 3, 4, 5, 6, 7, 10, 11, 12} for item in CLASSES.values())


def test_every_refusal_is_caught_as_one():
    for name, (_, status) in STATUSES.items():
        assert issubclass(CLASSES[name], RejectedError) == (status >= 10)


def test_a_place_stands_before_the_message_and_facts_are_plain():
    error = FormatError("bad", where="a.b", paths=("x", frozenset({1})), other=object)
    document = error.to_document()
    assert document["message"] == "a.b: bad"
    assert document["facts"]["paths"] == ["x", [1]]
    assert isinstance(document["facts"]["other"], str)
    json.dumps(document)


def test_an_unknown_exception_is_our_bug_and_still_one_json_object(capsys):
    assert outcome(raising(ZeroDivisionError("secret detail")), "--json") == 1
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["ok"] is False
    assert document["error"]["code"] == "error"
    assert "ZeroDivisionError" in document["error"]["message"]
    assert "secret detail" not in captured.out
    assert "Traceback" in captured.err


def test_an_unknown_exception_without_json_leaves_stdout_empty(capsys):
    assert outcome(raising(RecursionError())) == 1
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), click.Abort(), EOFError()], ids=lambda e: type(e).__name__
)
def test_an_interrupt_is_130_without_a_traceback(error, capsys):
    assert outcome(raising(error), "--json") == 130
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert "interrupted" in captured.err


@pytest.mark.parametrize("words", [("--no-such-option",), ("surplus",), ("--json", "surplus")], ids=" ".join)
def test_a_wrong_command_line_is_2(words, capsys):
    assert outcome(raising(AssertionError()), *words) == 2
    captured = capsys.readouterr()
    if "--json" in words:
        assert json.loads(captured.out)["error"]["code"] == "usage"
    else:
        assert captured.out == ""
        assert "error[usage]" in captured.err


def test_a_file_name_that_is_not_unicode_does_not_break_the_answer():
    result = program(
        """
        def build(console):
            raise FormatError("bad name \\udcff", where="é")
        """,
        "do",
        "--json",
        encoding="utf-8:strict",
    )
    assert result.returncode == 10
    assert json.loads(result.stdout)["error"]["message"] == "é: bad name \udcff"


# --- answers --------------------------------------------------------------------------------------------


def answering():
    @console_option
    def command(console: Console) -> None:
        console.note("working")
        console.answer({"name": "é", "count": 1}, "done: é")

    return command


def test_the_answer_is_on_stdout_and_the_conversation_on_stderr(capsys):
    assert outcome(answering()) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("done: é\n", "working\n")


def test_the_answer_is_one_json_object(capsys):
    assert outcome(answering(), "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"ok": True, "name": "é", "count": 1}
    assert captured.err == "working\n"


def test_json_may_be_asked_for_before_the_command(capsys):
    @click.group()
    @click.option("--json", "json_output", is_flag=True)
    def group(json_output: bool) -> None:
        pass

    group.add_command(click.command("do")(answering()))
    with pytest.raises(SystemExit) as caught:
        run(group, "program", ["--json", "do"])
    assert caught.value.code == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


def test_a_prompt_never_appears_without_a_terminal(monkeypatch):
    assert not Console(as_json=True).can_ask()
    assert not Console(as_json=False).can_ask()


def test_a_command_may_end_with_its_own_status():
    def ending() -> None:
        click.get_current_context().exit(3)

    assert outcome(ending) == 3


# --- in a process of its own ----------------------------------------------------------------------------


def program(
    body: str, *words: str, encoding: str = "utf-8", shell: str = ""
) -> subprocess.CompletedProcess[str]:
    code = (
        "import click, sys\nfrom signing.console import *\nfrom signing.errors import *\n"
        + textwrap.dedent(body)
        + "\ndo = click.command('do')(console_option(lambda console: build(console)))\n"
        + "group = LazyGroup('program', lazy={'do': ('__main__:do', 'Does it.', 'Work')})\n"
        + "group.params.append(click.Option(['--json', 'json_output'], is_flag=True, expose_value=False))\n"
        + "run(group, 'program')\n"
    )
    command = [sys.executable, "-c", code, *words]
    if shell:
        command = ["sh", "-c", shell, *command]  # the program is "$0" "$@" there
    return subprocess.run(
        command,
        env={"PYTHONIOENCODING": encoding, "PATH": "/usr/bin:/bin"},
        cwd=errors.__file__.rpartition("/signing/")[0],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


MANY = """
def build(console):
    for _ in range(20_000):
        console.answer({}, "x" * 100)
"""
REFUSING = """
import time
def build(console):
    time.sleep(0.2)
    raise NotFoundError("nothing here")
"""


def test_a_reader_that_goes_away_is_no_traceback():
    result = program(MANY, "do", shell='"$0" "$@" | head -n 1')
    assert result.stdout == "x" * 100 + "\n"
    assert result.stderr == ""


def test_a_refusal_that_nobody_reads_keeps_its_status():
    result = program(REFUSING, "do", "--json", shell='{ "$0" "$@"; echo "status $?" >&2; } | true')
    assert result.stderr == "status 3\n"


def test_a_call_without_a_command_shows_the_help():
    result = program("def build(console): pass")
    assert result.returncode == 2
    assert "Usage: program" in result.stderr
    assert "error[" not in result.stderr
    assert result.stdout == ""


def test_a_call_without_a_command_is_one_json_object():
    result = program("def build(console): pass", "--json")
    assert result.returncode == 2
    assert json.loads(result.stdout)["error"]["code"] == "usage"


def test_an_unknown_command_is_2():
    result = program("def build(console): pass", "undo")
    assert result.returncode == 2
    assert "error[usage]" in result.stderr


# --- lazy commands --------------------------------------------------------------------------------------


def test_help_lists_commands_in_their_sections_without_importing_them(capsys):
    lazy = {
        "one": ("no.such.module:one", "First.", "Early"),
        "two": ("no.such.module:two", "Second.", "Late"),
    }
    with pytest.raises(SystemExit) as caught:
        run(LazyGroup("program", lazy=lazy), "program", ["--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert out.index("Early") < out.index("one") < out.index("Late") < out.index("two")


def test_a_lazy_name_that_is_no_command_is_our_bug(capsys):
    group = LazyGroup("program", lazy={"do": ("json:dumps", "Wrong.", "X")})
    with pytest.raises(SystemExit) as caught:
        run(group, "program", ["do"])
    assert caught.value.code == 1
    assert capsys.readouterr().out == ""


HEAVY = ("sqlalchemy", "tuf", "flask", "requests", "nacl", "rich", "alembic", "urllib3", "yaml", "sigstore")
PROGRAMS = {"skillrepo": "repo_server.cli", "hive": "hive.cli", "skillrepo-client": "repo_client.cli"}


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_imports_nothing_heavy(name):
    code = textwrap.dedent(f"""
        import sys
        sys.argv = [{name!r}, "--help"]
        from {PROGRAMS[name]} import main
        try:
            main()
        except SystemExit as end:
            assert end.code == 0, end.code
        heavy = sorted({set(HEAVY)!r} & {{module.partition(".")[0] for module in sys.modules}})
        print("heavy:", heavy)
        """)
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=errors.__file__.rpartition("/signing/")[0],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "heavy: []"
    assert f"Usage: {name}" in result.stdout


def test_a_hint_is_left_out_when_there_is_none():
    assert UsageError("x").to_document() == {"code": "usage", "message": "x"}
    assert "hint" not in NotFoundError("x").to_document()
    assert KeyAccessError("x", hint="y").to_document()["hint"] == "y"
    assert NotFirstPartyError("x", tenant="acme").to_document()["facts"] == {"tenant": "acme"}
