"""The environment file: one spelling, read back by the mother skill and by a shell as what was put in."""

import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hive.vault.dotenv import MAX_FILE_BYTES, parse_text, render
from signing.errors import FormatError
from tests.skills.agent_home import load_mother

MOTHER = load_mother()

NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,20}", fullmatch=True)
VALUES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=1, max_size=60
).filter(lambda text: "\0" not in text)
VARIABLES = st.dictionaries(NAMES, VALUES, max_size=6)
UNHURRIED = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])

SPELLINGS = {
    b"sk-or-v1_0.1/2:3@4%5+6,7=8~9^": b"A=sk-or-v1_0.1/2:3@4%5+6,7=8~9^\n",
    b"two words": b"A='two words'\n",
    b'$HOME `id` \\n "x"': b"A='$HOME `id` \\n \"x\"'\n",
    b"it's": b'A="it\'s"\n',
    b"it's $5 \\ \" `": b'A="it\'s \\$5 \\\\ \\" \\`"\n',
    "schlüssel".encode(): "A='schlüssel'\n".encode(),
    b"#not a comment": b"A='#not a comment'\n",
}


def encoded(variables):
    return {name: value.encode() for name, value in variables.items()}


@pytest.mark.parametrize("value", SPELLINGS, ids=range(len(SPELLINGS)))
def test_a_value_has_one_spelling(value):
    assert render({"A": value}) == SPELLINGS[value]


def test_the_file_is_sorted_and_the_same_every_time():
    assert render({"B": b"2", "A": b"1", "_C": b"3"}) == b"A=1\nB=2\n_C=3\n"
    assert render({"_C": b"3", "A": b"1", "B": b"2"}) == b"A=1\nB=2\n_C=3\n"
    assert render({}) == b""


@UNHURRIED
@given(VARIABLES)
def test_the_mother_skill_reads_what_was_written(variables):
    assert MOTHER.parse_variables(render(encoded(variables))) == variables


@UNHURRIED
@given(VARIABLES)
def test_it_reads_its_own_spelling(variables):
    text = render(encoded(variables)).decode()
    assert {name: value for name, value, _ in parse_text(text, where=".env")} == variables


@UNHURRIED
@given(st.dictionaries(NAMES.map("T_{}".format), VALUES, min_size=1, max_size=4))
def test_a_shell_reads_the_same(variables):
    script = render(encoded(variables)) + b"".join(
        b"printf '%%s\\0' \"$%s\"\n" % name.encode() for name in variables
    )
    said = subprocess.run(["/bin/sh"], input=script, capture_output=True, check=True, env={}).stdout
    assert said.decode().split("\0")[:-1] == list(variables.values())


@pytest.mark.parametrize(
    "value",
    [b"", b"a\nb", b"a\r", b"a\0b", b"\x1b[31m", b"tab\t", "\x85".encode(), "\u2028".encode(), b"\xff\xfe"],
    ids=["empty", "newline", "return", "nul", "escape", "tab", "nel", "line-separator", "not-utf8"],
)
def test_a_value_that_readers_disagree_about_is_refused(value):
    with pytest.raises(FormatError) as caught:
        render({"GOOD": b"1", "NAME": value})
    assert "NAME" in str(caught.value)


@pytest.mark.parametrize("name", ["", "a", "1A", "A-B", "A B", "A\n", "Ä", "A=B", "A" * 101])
def test_a_bad_name_is_refused_and_not_shown(name):
    with pytest.raises(FormatError) as caught:
        render({name: b"1"})
    assert str(caught.value) == "variable 1: not the name of a variable"


def test_a_file_that_the_mother_skill_would_not_read_is_refused():
    value = b"x" * (MAX_FILE_BYTES - len("A=\n"))
    assert len(render({"A": value})) == MAX_FILE_BYTES == MOTHER.MAX_SECRETS_FILE
    with pytest.raises(FormatError, match="more than"):
        render({"A": value + b"x"})


def test_dotenv_text_of_a_form_may_have_comments_and_an_unfinished_end():
    text = "# keys\n\nA=1\nB='two words'\nC=\"it's\""
    assert [(name, value) for name, value, _ in parse_text(text, where="n")] == [
        ("A", "1"),
        ("B", "two words"),
        ("C", "it's"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "export A=planted",
        "A = planted",
        " A=planted",
        "planted",
        "a=planted",
        "A=",
        "A=''",
        "A='planted",
        "A=planted$HOME",
        'A="planted\\n"',
        "A=planted # comment",
        "A=planted\r",
        "A='plan'ted",
    ],
)
def test_a_line_in_another_form_is_refused_by_number(line):
    with pytest.raises(FormatError) as caught:
        list(parse_text(f"GOOD=1\n{line}\n", where="notes"))
    assert "notes, line 2" in str(caught.value)
    assert "planted" not in str(caught.value.to_document())
