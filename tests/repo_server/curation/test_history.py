import dataclasses
import re
from pathlib import Path

import pytest

from repo_server.attesting import upstream
from repo_server.attesting.evidence import Standing
from repo_server.curation import history, withdrawn
from repo_server.curation.checks.catalogue import COMPARED, rule_of
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
    assert (finding.check, finding.path, finding.line) == (f"history.{check}", "SKILL.md", 0)
    assert finding.severity is (Severity.BLOCK if check == "publisher-changed" else Severity.LOOK)
    assert finding.message.isascii()
    assert finding.message.isprintable()
    assert Finding.from_json(finding.to_json(), "f") == finding


@pytest.mark.parametrize("key", ["owner_id", "repository_id", "repository"])
@pytest.mark.parametrize("after", ["8", ""], ids=["another", "not given"])
def test_who_is_behind_a_name_that_stayed_is_compared(key: str, after: str) -> None:
    """A name that was given up is free for whoever wants it; and an id that is gone may have been left out."""
    old = dataclasses.replace(OLD, resolved={key: "7"})
    same = dataclasses.replace(NEXT, resolved={key: "7"})
    assert history_findings(new=same, old=old) == ()
    [finding] = history_findings(new=dataclasses.replace(NEXT, resolved={key: after}), old=old)
    assert finding.check == f"history.{'account' if key == 'owner_id' else 'repository'}-changed"
    assert finding.severity is (Severity.LOOK if key == "repository" else Severity.BLOCK)
    assert finding.message.endswith(
        f"was '7' and is {repr(after) if after else 'not given'}; find out who changed it and why"
    )


def test_what_the_last_release_did_not_record_has_not_changed() -> None:
    new = dataclasses.replace(NEXT, resolved={"owner_id": "7", "repository": "o/r"})
    assert history_findings(new=new, old=OLD) == ()


def test_ids_of_another_source_are_not_compared() -> None:
    """Each source counts on its own; that the source is another one is said."""
    old = dataclasses.replace(OLD, resolved={"owner_id": "publishers:x"})
    new = dataclasses.replace(NEXT, source="github", resolved={"owner_id": "7"})
    assert {finding.check for finding in history_findings(new=new, old=old)} == {"history.source-changed"}


@pytest.mark.parametrize(("before", "after"), [("", "@o"), ("@o", "")], ids=["gets one", "has none"])
def test_without_a_publisher_nobody_took_over(before: str, after: str) -> None:
    """A folder has none: whoever brings in an own copy is looked at, and need not waive it."""
    old, new = (
        dataclasses.replace(facts, publisher=publisher) for facts, publisher in ((OLD, before), (NEXT, after))
    )
    [finding] = history_findings(new=new, old=old)
    assert (finding.check, finding.severity) == ("history.publisher-changed", Severity.LOOK)


def test_every_finding_of_the_comparison_has_its_own_words() -> None:
    """The identifiers that stand in the sources, each with its own title, reason and advice."""
    emitted = set()
    for module in (history, withdrawn, upstream):
        text = Path(str(module.__file__)).read_text()
        family = "upstream" if module is upstream else "history"
        emitted |= {f"{family}.{name}" for name in re.findall(r'_(?:finding|make)\(\s*"([a-z-]+)"', text)}
        emitted |= {f"{family}.{name}" for name in re.findall(r'\("([a-z]+-changed)"', text)}
        emitted |= set(re.findall(r'check="([a-z-]+\.[a-z-]+)"', text))
    emitted |= {f"upstream.{standing.value}" for standing in Standing}
    assert emitted == set(COMPARED)
    rules = [rule_of(check) for check in sorted(emitted)]
    for part in ("title", "why", "fix"):
        assert len({getattr(rule, part) for rule in rules}) == len(rules)
    for rule in rules:
        assert ("waive" in rule.fix) is (rule.severity is Severity.BLOCK)


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
