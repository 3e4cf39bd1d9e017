import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repo_server.curation.frontmatter import FrontMatter, read_front_matter
from signing.format.names import parse_skill_name
from signing.format.review import Severity
from tests.repo_server.curation.material import CLAWHUB, HOSTILE, recorded

# What each hostile front matter is called, and whether it blocks already at import.
EXPECTED = {
    "bom-first": ("bom", True),
    "description-1025": ("description", False),
    "description-empty": ("description", False),
    "duplicate-keys": ("duplicate", True),
    "extra-fields": ("unknown-key", False),
    "name-double-hyphen": ("name", False),
    "name-homoglyph": ("confusable-name", True),
    "name-too-long": ("name", False),
    "name-uppercase": ("name", False),
    "no-closing-fence": ("unclosed", True),
    "yaml-anchor-bomb": ("anchor", True),
    "yaml-python-tag": ("tag", True),
}


def codes(content: bytes | str, *, strict: bool = True, severity: Severity | None = None) -> set[str]:
    data = content if isinstance(content, bytes) else content.encode()
    problems = read_front_matter(data, strict=strict)[1]
    return {problem.code for problem in problems if severity in {None, problem.severity}}


def test_every_hostile_front_matter_has_a_row() -> None:
    assert {path.name for path in (HOSTILE / "frontmatter").iterdir()} == set(EXPECTED)
    assert len(EXPECTED) == 12


@pytest.mark.parametrize(("name", "code", "blocks"), [(name, *row) for name, row in EXPECTED.items()])
def test_hostile_front_matter(name: str, code: str, blocks: bool) -> None:
    content = (HOSTILE / "frontmatter" / name / "SKILL.md").read_bytes()
    assert code in codes(content, strict=True, severity=Severity.BLOCK)
    at_import = Severity.BLOCK if blocks else Severity.LOOK
    assert code in codes(content, strict=False, severity=at_import)


@pytest.mark.parametrize(
    "archive", sorted(path.name for path in CLAWHUB.glob("*.zip") if "glossary" not in path.name)
)
def test_recorded_skills_have_a_clean_front_matter(archive: str) -> None:
    tree = recorded(archive.removeprefix("GET_api_v1_download.").removesuffix(".zip"))
    front, problems = read_front_matter(tree.skill_md, strict=True)
    assert problems == []
    assert front.name in archive
    assert front.metadata["version"] in archive


def test_everything_is_read_as_text() -> None:
    front, problems = read_front_matter(
        b'---\nname: x\ndescription: >-\n  two\n  lines\nlicense: "MIT"\ncompatibility: Python 3.11+\n'
        b'metadata:\n  version: "1.0"\nallowed-tools: Read Bash(git:*)\n---\nbody: [\n',
        strict=True,
    )
    assert problems == []
    assert front == FrontMatter(
        name="x",
        description="two lines",
        licence="MIT",
        compatibility="Python 3.11+",
        metadata={"version": "1.0"},
        allowed_tools="Read Bash(git:*)",
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("# no front matter\n", "missing"),
        ("----\nname: x\n----\n", "missing"),
        ("---\n- a\n---\n", "shape"),
        ("---\njust text\n---\n", "shape"),
        ("---\nname: x\n? [a]\n: b\n---\n", "shape"),
        ("---\nname: [x\n---\n", "yaml"),
        ("---\nname: \x00\n---\n", "yaml"),
        ("---\n%YAML 1.1\n---\n", "yaml"),
        ("---\nname: x\n...\nname: y\n---\n", "yaml"),
        ("---\nname: x\ndescription: d\nmetadata:\n  version: 1.0\n---\n", "type"),
        ("---\nname: x\ndescription: yes\n---\n", "type"),
        ("---\nname: x\ndescription:\n  - d\n---\n", "type"),
        ("---\nname: x\ndescription: d\nmetadata: text\n---\n", "type"),
        ("---\nname: x\ndescription: d\ncompatibility: " + "c" * 501 + "\n---\n", "compatibility"),
        ("---\nname: x\ndescription: d\nlicense: " + "c" * 70_000 + "\n---\n", "size"),
        (
            "---\nname: x\ndescription: d\nmetadata:\n"
            + "".join("  " * n + f"a{n}:\n" for n in range(1, 20))
            + "---\n",
            "depth",
        ),
        ("---\nname: x\ndescription: d\nmetadata: " + "{a: " * 30_000 + "\n---\n", "size"),
        ("---\nname: x\ndescription: d\nmetadata: " + "[" * 5_000 + "\n---\n", "depth"),
        ("---\nmetadata:\n  a: b\n  a: c\n---\n", "duplicate"),
        ("---\nname: !!str x\n---\n", "tag"),
        ("---\nname: &a x\ndescription: *a\n---\n", "anchor"),
    ],
)
def test_what_yaml_allows_and_we_do_not(text: str, code: str) -> None:
    found = codes(text, severity=Severity.BLOCK)
    assert code in found or (code == "yaml" and found)


def test_warnings_stay_warnings_at_publish() -> None:
    text = "---\r\nname: x\r\ndescription: d\r\nmetadata: {a: b}\r\nallowed-tools: Bash(*) Read\r\n---\r\n"
    assert codes(text, severity=Severity.LOOK) == {"carriage-return", "flow", "wide-tools"}
    assert codes(text, severity=Severity.BLOCK) == set()


def test_the_name_must_be_the_expected_one() -> None:
    content = b"---\nname: x\ndescription: d\n---\n"
    assert read_front_matter(content, strict=True, expected=parse_skill_name("x"))[1] == []
    [problem] = read_front_matter(content, strict=True, expected=parse_skill_name("y"))[1]
    assert (problem.code, problem.severity, problem.line) == ("name", Severity.BLOCK, 2)


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.text(max_size=200).map(lambda text: f"---\n{text}\n---\n".encode(errors="replace")),
    )
)
def test_any_bytes_give_problems_and_no_exception(content: bytes) -> None:
    front, _ = read_front_matter(content, strict=True)
    assert isinstance(front, FrontMatter)
