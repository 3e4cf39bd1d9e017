"""docs/operator.md: every setting is in its table, its FreeBSD walk names what exists, and its settings load."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from hive.cli import cli
from hive.config import HiveConfig
from hive.jails.choose import open_host
from tests.docs.test_docs import calls_in, check_call
from tests.docs.walking import section_of, typed_in

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operator.md"
FREEBSD = section_of(PAGE, "## FreeBSD, from nothing")
_NAMED = re.compile(r"`([a-z_]+)`")
_COPIED = re.compile(r"deploy/[a-z_./]+")


def root_commands() -> list[str]:
    return [one.command.replace("\\\n", " ") for one in typed_in(FREEBSD, prompt="# ")]


def settings_table() -> dict[str, str]:
    """The last column by the names in the first one."""
    rows = [
        line.strip("|").split("|")
        for line in section_of(PAGE, "## Settings").splitlines()
        if line.startswith("| `")
    ]
    return {name: row[2] for row in rows for name in _NAMED.findall(row[0])}


def test_the_table_has_every_setting_and_no_other() -> None:
    assert set(settings_table()) == {field.name for field in fields(HiveConfig)}


def test_the_example_names_every_setting() -> None:
    example = (ROOT / "deploy/hive.toml").read_text()
    assert {
        name for name in settings_table() if not re.search(rf"^(# )?{name} = ", example, re.MULTILINE)
    } == set()


def test_options_and_variables_are_those_of_the_command() -> None:
    options = {
        option: param.envvar for param in cli.params for option in param.opts if option.startswith("--")
    }
    for name, said in settings_table().items():
        option = f"--{name.replace('_', '-')}"
        if option in options:
            assert f"`{option}`, `{options[option]}`" in said, name


@pytest.mark.parametrize("line", root_commands())
def test_commands_of_the_freebsd_walk_exist(line: str) -> None:
    for words in calls_in(f"$ {line}"):
        check_call(words)
    for path in _COPIED.findall(line):
        assert (ROOT / path).is_file(), path


def test_the_freebsd_walk_is_a_walk() -> None:
    calls = [words[:2] for line in root_commands() for words in calls_in(f"$ {line}")]
    order = [
        "register-tenant",
        "gates",
        "doctor",
        "first-proof",
        "birth",
        "show-tenant",
        "audit",
        "sweep",
        "retire-tenant",
    ]
    verbs = [words[1] for words in calls if words[0] == "hive"]
    assert [
        verb for number, verb in enumerate(verbs) if verb in order and verb not in verbs[:number]
    ] == order


def test_the_settings_of_the_freebsd_walk_load(tmp_path: Path) -> None:
    block = FREEBSD.split("```toml\n")[1].split("```")[0]
    example = tomllib.loads((ROOT / "deploy/hive.toml").read_text())
    merged = example | tomllib.loads(block)
    file = tmp_path / "hive.toml"
    file.write_text("".join(f'{key} = "{value}"\n' for key, value in merged.items()))
    config = HiveConfig.load(file, {})
    assert all(getattr(config, key) == value for key, value in tomllib.loads(block).items())
    limits = tmp_path / "limits.toml"
    limits.write_text((ROOT / "deploy/limits.toml").read_text())
    assert open_host(HiveConfig.load(file, {"limits": str(limits)})).can_mount
