import hashlib
import itertools
import json
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repo_server.curation.sources.fingerprints import (
    clawhub_content_hash,
    clawhub_fingerprint,
    locale_key,
    skills_sh_snapshot,
)
from tests.repo_server.curation.material import recorded
from tests.support.loopback_clawhub import EXPECTED

ASCII = "".join(map(chr, range(32, 127)))
# As node prints [...ASCII].sort((a, b) => a.localeCompare(b)).
COLLATED = " _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789aAbBcCdDeEfFgGhHiIjJkKlLmMnNoOpPqQrRsStTuUvVwWxXyYzZ"


@pytest.mark.parametrize(
    "name", ["csv-summarizer.1.0.0", "release-notes-writer.2.1.0", "image-renamer.0.3.2"]
)
def test_recorded_fingerprints(name: str) -> None:
    skill, _, version = name.partition(".")
    expected = EXPECTED[f"{skill}@{version}"]
    files: dict[str, bytes] = {path: file.content for path, file in recorded(name).files.items()}
    assert clawhub_fingerprint(files) == expected["clawhub_fingerprint"]
    assert skills_sh_snapshot(files) == expected["skills_sh_snapshot_hash"]


def test_dotted_files_are_left_out_of_the_fingerprint_only() -> None:
    plain, dotted = {"SKILL.md": b"x"}, {"SKILL.md": b"x", ".env": b"y", "a/.b/c": b"z"}
    assert clawhub_fingerprint(plain) == clawhub_fingerprint(dotted)
    assert clawhub_content_hash(plain) != clawhub_content_hash(dotted)
    assert skills_sh_snapshot(plain) != skills_sh_snapshot(dotted)


def test_content_hash_rule() -> None:
    files = {"b": b"1", "A": b""}
    line = "A\0{}\0{}\nb\0{}\0{}".format(
        0, hashlib.sha256(b"").hexdigest(), 1, hashlib.sha256(b"1").hexdigest()
    )
    assert clawhub_content_hash(files) == hashlib.sha256(line.encode()).hexdigest()


def test_order_of_single_characters() -> None:
    assert "".join(sorted(ASCII, key=locale_key)) == COLLATED


def test_case_decides_last() -> None:
    names = ["README.md", "ab", "AB", "a_b", "Ab", "aB", "a b", "readme.md", "a.b", "a-b", "Readme.MD"]
    assert sorted(names, key=locale_key) == (
        ["a b", "a_b", "a-b", "a.b", "ab", "aB", "Ab", "AB", "readme.md", "Readme.MD", "README.md"]
    )
    paths = ["SKILL.md", "LICENSE.txt", "assets/x", "a/B", "a/b", "A/a"]
    assert sorted(paths, key=locale_key) == ["A/a", "a/b", "a/B", "assets/x", "LICENSE.txt", "SKILL.md"]


def test_what_has_no_certain_order_is_not_compared() -> None:
    assert clawhub_fingerprint({"SKILL.md": b"", "caf\u00e9": b""}) is None
    assert skills_sh_snapshot({"\u0130": b""}) is None
    assert clawhub_content_hash({"a\x00b": b""}) is None


@given(st.lists(st.text(alphabet=ASCII, min_size=1, max_size=6), unique=True, max_size=8))
def test_the_order_is_total(names: list[str]) -> None:
    keys = [locale_key(name) for name in names]
    assert len(set(keys)) == len(names)


@pytest.mark.skipif(
    shutil.which("node") is None, reason="node is not installed: the order is that of the table above"
)
def test_the_order_is_that_of_node() -> None:
    letters = "aAbZ09_-. /$~("
    names = ["".join(word) for size in (1, 2, 3) for word in itertools.product(letters, repeat=size)][::7]
    script = (
        "console.log(JSON.stringify(JSON.parse(process.argv[1]).sort((a, b) => a.localeCompare(b, 'en'))))"
    )
    output = subprocess.run(
        ["node", "-e", script, json.dumps(names)], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    assert json.loads(output) == sorted(names, key=locale_key)
