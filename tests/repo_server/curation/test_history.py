import dataclasses

import pytest

from repo_server.curation.history import HistoryFacts, history_findings, tree_findings
from repo_server.curation.tree import SourceTree
from signing.format.names import parse_version
from signing.format.review import Finding, Severity

OLD = HistoryFacts(
    version=parse_version("1.2"),
    source="clawhub",
    address="clawhub:@o/notes@1.2",
    publisher="@o",
    licence="MIT",
)
NEXT = dataclasses.replace(OLD, version=parse_version("1.10"))


def test_a_first_release_and_a_next_one_have_no_findings() -> None:
    assert history_findings(new=OLD, old=None) == ()
    assert history_findings(new=NEXT, old=OLD) == ()


@pytest.mark.parametrize(
    ("changed", "check"),
    [
        ({"version": "1.1"}, "backwards"),
        ({"version": "1.2"}, "backwards"),
        ({"source": "git"}, "source-changed"),
        ({"address": "clawhub:@someone-else/notes@1.10"}, "place-changed"),
        ({"publisher": "@\u043e"}, "publisher-changed"),
        ({"licence": ""}, "licence-changed"),
    ],
)
def test_each_change_is_looked_at(changed: dict[str, str], check: str) -> None:
    [finding] = history_findings(new=dataclasses.replace(NEXT, **changed), old=OLD)
    assert (finding.check, finding.severity, finding.path, finding.line) == (
        f"history.{check}",
        Severity.LOOK,
        "SKILL.md",
        0,
    )
    assert finding.message.isascii()
    assert finding.message.isprintable()
    assert Finding.from_json(finding.to_json(), "f") == finding


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("clawhub:@o/notes@1.2", "clawhub:@o/notes@1.10"),
        (
            "git+https://h.example/r@" + "a" * 40 + "#skills/x",
            "git+https://h.example/r@" + "b" * 40 + "#skills/x",
        ),
        ("github:o/r/skills/x@v1", "github:o/r/skills/x@v2"),
    ],
    ids=["marketplace", "commit", "tag"],
)
def test_another_version_is_not_another_place(old: str, new: str) -> None:
    before, after = (
        dataclasses.replace(facts, address=address) for facts, address in ((OLD, old), (NEXT, new))
    )
    assert history_findings(new=after, old=before) == ()


def tree() -> SourceTree:
    return SourceTree.of([("SKILL.md", b"See references/b.md\n", False)])


def test_a_file_that_was_not_there_is_named_with_the_line_that_leads_to_it() -> None:
    old, new = (
        tree(),
        SourceTree.of(
            [
                ("SKILL.md", b"Read.\nSee references/b.md\n", False),
                ("references/b.md", b"b", False),
                ("x.md", b"", False),
            ]
        ),
    )
    found = {finding.path: finding.message for finding in tree_findings(new=new, old=old, growing=False)}
    assert found == {
        "references/b.md": "is new; SKILL.md:2 sends the agent there",
        "x.md": "is new; nothing mentions it",
    }
    assert tree_findings(new=new, old=None, growing=True) == ()
    assert tree_findings(new=new, old=new, growing=False) == ()


def test_many_new_files_are_counted_and_a_growing_version_says_so() -> None:
    new = SourceTree.of(
        [("SKILL.md", b"Changed.\n", False), *((f"references/{n}.md", b"", False) for n in range(120))]
    )
    found = tree_findings(new=new, old=tree(), growing=True)
    assert found[0].check == "history.grows"
    assert sum(finding.check == "history.new-file" for finding in found) == 100
    assert found[-1].message.startswith("20 more files are new")
