import copy
import dataclasses

import pytest

from repo_server.curation.tree import SourceTree
from signing.errors import FormatError
from signing.format.archive import SourceFile
from signing.format.manifest import MAX_FILE_BYTES, MAX_FILES, Kind, MemberPath
from signing.format.names import Pin
from tests.repo_server.curation.material import SKILL_MD, tree_of


def test_only_of_makes_a_tree() -> None:
    tree = tree_of()
    with pytest.raises(TypeError):
        SourceTree({MemberPath("../x"): SourceFile(content=b"")}, object())  # type: ignore[arg-type]
    with pytest.raises((TypeError, ValueError)):
        dataclasses.replace(tree, files={})
    with pytest.raises(TypeError):
        copy.deepcopy(tree)
    with pytest.raises(TypeError):
        copy.copy(tree)
    with pytest.raises(TypeError):
        tree.files["x"] = SourceFile(content=b"")  # type: ignore[index]


@pytest.mark.parametrize(
    ("entries", "where"),
    [
        ([("a.md", b"", False)], "files"),
        ([("sub/SKILL.md", b"", False)], "files"),
        ([("SKILL.md", b"", False), ("skill.md", b"", False)], "files"),
        ([("SKILL.md", b"", False), ("SKILL.md", b"", False)], "files"),
        ([("SKILL.md", b"", False), ("MANIFEST.json", b"", False)], "MANIFEST.json"),
        ([("SKILL.md", b"", False), ("../x", b"", False)], "files"),
        ([("SKILL.md", bytes(MAX_FILE_BYTES + 1), False)], "SKILL.md"),
        ([("SKILL.md", b"", False), *((f"{n}.md", b"", False) for n in range(MAX_FILES))], "999.md"),
    ],
)
def test_refused_trees_say_where(entries: list[tuple[str, bytes, bool]], where: str) -> None:
    with pytest.raises(FormatError) as caught:
        SourceTree.of(entries)
    assert caught.value.where == where


def test_digest_covers_paths_modes_and_content_and_nothing_else() -> None:
    base = [("SKILL.md", SKILL_MD, False), ("a.md", b"a", False)]
    digest = SourceTree.of(base).digest
    assert SourceTree.of(reversed(base)).digest == digest
    for changed in (("b.md", b"a", False), ("a.md", b"b", False), ("a.md", b"a", True)):
        assert SourceTree.of([base[0], changed]).digest != digest


def test_bundle_holds_exactly_the_tree() -> None:
    tree = tree_of(a_md="a")
    bundle = tree.to_bundle(Pin.parse("x==1.0"), Kind.SKILL)
    assert {path: file.content for path, file in tree.files.items()} == dict(bundle.contents)
