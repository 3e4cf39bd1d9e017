"""The manifest lists every file once, under a path that is the same file everywhere."""

import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signing.errors import FormatError
from signing.format.canonical import canonical
from signing.format.digest import sha256_of
from signing.format.manifest import (
    MAX_DEPTH,
    MAX_FILE_BYTES,
    MAX_FILES,
    MAX_MANIFEST_BYTES,
    MAX_PATH_BYTES,
    FileEntry,
    Kind,
    Manifest,
    MemberPath,
    Mode,
    check_file_set,
    check_no_twins,
    parse_member_path,
    twin_key,
)
from signing.format.names import Pin

PIN = Pin.parse("web-search==1.2.0")


def entry(path: str, size: int = 0) -> FileEntry:
    return FileEntry(path=MemberPath(path), size=size, mode=Mode.PLAIN, sha256=sha256_of(path.encode()))


def manifest(*paths: str) -> Manifest:
    files = tuple(entry(path) for path in sorted({"SKILL.md", *paths}))
    return Manifest(kind=Kind.SKILL, pin=PIN, files=files)


def changed(**changes: object) -> bytes:
    return canonical({**json.loads(manifest("a.txt").render()), **changes})


SEGMENT = st.text(st.sampled_from("abcXYZ019 ._-é日"), min_size=1, max_size=8)
PATHS = st.lists(SEGMENT, min_size=1, max_size=4).map("/".join)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    paths = draw(st.sets(PATHS, max_size=6)) | {"SKILL.md"}
    try:
        accepted = [parse_member_path(path) for path in sorted(paths)]
        check_file_set(accepted)
    except FormatError:
        accepted = [MemberPath("SKILL.md")]
    files = tuple(
        FileEntry(
            path=path,
            size=draw(st.integers(0, 1_000)),
            mode=draw(st.sampled_from(Mode)),
            sha256=sha256_of(draw(st.binary(max_size=4))),
        )
        for path in accepted
    )
    return Manifest(kind=draw(st.sampled_from(Kind)), pin=PIN, files=files)


@given(manifests())
@settings(max_examples=100, deadline=None)
def test_law_parse_of_render_is_the_manifest(given_manifest):
    assert Manifest.parse(given_manifest.render()) == given_manifest
    assert given_manifest.tree_digest == sha256_of(given_manifest.render())


@given(manifests(), st.data())
@settings(max_examples=150, deadline=None)
def test_law_render_of_parse_is_the_bytes_or_a_format_error(given_manifest, data):
    mutated = bytearray(given_manifest.render())
    at = data.draw(st.integers(0, len(mutated) - 1))
    mutated[at] = data.draw(st.integers(0, 255))
    try:
        parsed = Manifest.parse(bytes(mutated))
    except FormatError:
        return
    assert parsed.render() == bytes(mutated)


HOSTILE_PATHS = {
    "empty": "",
    "absolute": "/etc/passwd",
    "parent": "../x",
    "parent inside": "a/../b",
    "parent last": "a/..",
    "here": "./a",
    "here inside": "a/./b",
    "only dots": "..",
    "double slash": "a//b",
    "slash last": "a/",
    "backslash": "a\\..\\b",
    "drive": "C:x",
    "stream": "a.md:hidden",
    "NUL": "a\x00b",
    "newline": "a\n",
    "carriage return": "a\rb",
    "tab": "a\tb",
    "escape sequence": "\x1b[2Ja",
    "delete": "a\x7f",
    "C1 control": "a\x9bb",
    "space first": " a",
    "space last": "a ",
    "space last in a folder": "a /b",
    "dot last": "a.",
    "dot last in a folder": "a./b",
    "no-break space": "a\u00a0b",
    "ideographic space": "a\u3000b",
    "line separator": "a\u2028b",
    "paragraph separator": "a\u2029b",
    "zero-width space": "a\u200bb",
    "zero-width joiner": "a\u200db",
    "right-to-left override": "a\u202egnp.sh",
    "isolate": "a\u2066b",
    "soft hyphen": "a\u00adb",
    "byte order mark": "\ufeffa",
    "tag character": "a\U000e0041",
    "private use": "a\ue000",
    "unassigned": "a\U000e1000",
    "noncharacter": "a\uffff",
    "lone surrogate": "a\ud800",
    "decomposed": unicodedata.normalize("NFD", "é"),
    "compatibility singleton": "\u212b",
    "too long": "a" * (MAX_PATH_BYTES + 1),
    "too long in bytes": "日" * 70,
    "too deep": "/".join("a" * (MAX_DEPTH + 1)),
}


@pytest.mark.parametrize("path", HOSTILE_PATHS.values(), ids=HOSTILE_PATHS)
def test_a_hostile_member_path_is_refused(path):
    with pytest.raises(FormatError) as caught:
        parse_member_path(path, where="files[3].path")
    assert caught.value.where == "files[3].path"
    assert str(caught.value).isascii() or "…" in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("path", [path for path in HOSTILE_PATHS.values() if "\ud800" not in path], ids=ascii)
def test_a_hostile_member_path_is_refused_inside_a_manifest(path):
    row = {"path": path, "size": 0, "mode": "0644", "sha256": "0" * 64}
    with pytest.raises(FormatError) as caught:
        Manifest.parse(changed(files=[row]))
    assert caught.value.where == "MANIFEST.json.files[0].path"


@pytest.mark.parametrize("path", [None, 7, b"a", ["a"]], ids=repr)
def test_what_is_not_text_is_not_a_path(path):
    with pytest.raises(FormatError):
        parse_member_path(path)


@pytest.mark.parametrize(
    "path", ["SKILL.md", ".hidden", "a b.txt", "docs/日本語.md", "a-_+=@!~$&'(),;.x", "é", "x/" * 9 + "y"]
)
def test_ordinary_paths_are_accepted(path):
    assert parse_member_path(path) == path


@given(st.text(max_size=30))
@settings(max_examples=300, deadline=None)
def test_an_accepted_path_stays_inside_its_folder(text):
    try:
        path = parse_member_path(text)
    except FormatError:
        return
    assert not path.startswith("/")
    assert not {"", ".", ".."} & set(path.split("/"))
    assert unicodedata.normalize("NFC", path) == path


TWINS = {
    "case": ["A.md", "a.md"],
    "case of SKILL.md": ["SKILL.md", "skill.md"],
    "case of a folder": ["Docs/a", "docs/b"],
    "compatibility forms": ["file", "\ufb01le"],
    "full width": ["a", "\uff41"],
    "sharp s": ["strasse", "straße"],
    "Kelvin sign": ["k", "\u212a"],
    "superscript": ["x2", "x²"],
    "composed and decomposed": ["\u00e9", "e\u0301"],
    "capital with dot": ["i\u0307", "\u0130"],
    "the manifest itself": ["MANIFEST.json", "a"],
    "the manifest's twin": ["manifest.json", "a"],
    "the manifest as a folder": ["MANIFEST.json/a", "a"],
    "the manifest as a folder's twin": ["Manifest.JSON/a", "a"],
    "one path twice": ["a", "a"],
    "a file that is a folder": ["a", "a/b"],
    "a file that is a folder by case": ["A", "a/b"],
}


@pytest.mark.parametrize("paths", TWINS.values(), ids=TWINS)
def test_two_files_that_are_one_somewhere_are_refused(paths):
    with pytest.raises(FormatError, match=r"twins|twice|file and a folder"):
        check_no_twins([MemberPath(path) for path in paths])


def test_neighbours_that_only_look_alike_may_stay():
    check_no_twins([MemberPath(path) for path in ("a", "a.b", "a-b/c", "a-b/d", "ab", "MANIFEST.json.txt")])


@given(st.text(max_size=8))
@settings(max_examples=200, deadline=None)
def test_the_twin_key_does_not_depend_on_case_or_normal_form(text):
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert twin_key(unicodedata.normalize(form, text)) == twin_key(text)


def test_unsorted_files_are_refused():
    rows = json.loads(manifest("a.txt").render())["files"]
    with pytest.raises(FormatError, match="not sorted"):
        Manifest.parse(changed(files=rows[::-1]))


@pytest.mark.parametrize("paths", [[], ["README.md"], ["docs/SKILL.md"], ["skill.md"]], ids=repr)
def test_no_skill_md_at_the_root_is_refused(paths):
    with pytest.raises(FormatError, match=r"no SKILL\.md"):
        check_file_set([MemberPath(path) for path in paths])


def test_too_many_files_are_refused():
    paths = sorted(["SKILL.md", *(f"f{number:04}" for number in range(MAX_FILES))])
    with pytest.raises(FormatError, match="more than 1000 files"):
        check_file_set([MemberPath(path) for path in paths])
    check_file_set([MemberPath(path) for path in paths[:MAX_FILES]])


def test_a_file_larger_than_the_limit_is_refused():
    row = {"path": "SKILL.md", "size": MAX_FILE_BYTES + 1, "mode": "0644", "sha256": "0" * 64}
    with pytest.raises(FormatError) as caught:
        Manifest.parse(changed(files=[row]))
    assert caught.value.where == "MANIFEST.json.files[0].size"


def test_files_larger_than_the_limit_together_are_refused():
    with pytest.raises(FormatError, match="add up"):
        Manifest(
            kind=Kind.SKILL,
            pin=PIN,
            files=tuple(entry(path, MAX_FILE_BYTES) for path in ("SKILL.md", "a", "b")),
        )


def test_a_manifest_larger_than_the_limit_is_refused_unread():
    with pytest.raises(FormatError, match="larger than"):
        Manifest.parse(b" " * (MAX_MANIFEST_BYTES + 1))


BAD_DOCUMENTS = {
    "an unknown key": ({"ignore": ["*.pyc"]}, "MANIFEST.json"),
    "another schema": ({"schema": "https://skills.clawdie.si/schema/manifest/v2"}, "MANIFEST.json.schema"),
    "another kind": ({"kind": "plugin"}, "MANIFEST.json.kind"),
    "kind is a number": ({"kind": 1}, "MANIFEST.json.kind"),
    "name": ({"name": "Web"}, "MANIFEST.json.name"),
    "version": ({"version": "1.00"}, "MANIFEST.json.version"),
    "files is an object": ({"files": {}}, "MANIFEST.json.files"),
    "a file is a string": ({"files": ["SKILL.md"]}, "MANIFEST.json.files[0]"),
}


@pytest.mark.parametrize(("change", "where"), BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS)
def test_a_malformed_manifest_is_refused_at_its_place(change, where):
    with pytest.raises(FormatError) as caught:
        Manifest.parse(changed(**change))
    assert caught.value.where == where


@pytest.mark.parametrize("key", ["schema", "kind", "name", "version", "files"])
def test_a_missing_key_is_refused_at_its_place(key):
    document = json.loads(manifest().render())
    del document[key]
    with pytest.raises(FormatError) as caught:
        Manifest.parse(canonical(document))
    assert caught.value.where == f"MANIFEST.json.{key}"


BAD_ROWS = {
    "setuid": ({"mode": "4755"}, "mode"),
    "group-writable": ({"mode": "0664"}, "mode"),
    "mode as a number": ({"mode": 420}, "mode"),
    "mode in another spelling": ({"mode": "644"}, "mode"),
    "negative size": ({"size": -1}, "size"),
    "size true": ({"size": True}, "size"),
    "size as text": ({"size": "1"}, "size"),
    "upper-case digest": ({"sha256": "A" * 64}, "sha256"),
    "a link": ({"link": "/etc/passwd"}, ""),
}


@pytest.mark.parametrize(("change", "where"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_malformed_file_entry_is_refused_at_its_place(change, where):
    row = {"path": "SKILL.md", "size": 0, "mode": "0644", "sha256": "0" * 64, **change}
    with pytest.raises(FormatError) as caught:
        Manifest.parse(changed(files=[row]))
    assert caught.value.where == ".".join(filter(None, ["MANIFEST.json.files[0]", where]))


def test_the_tree_digest_covers_every_field():
    first = manifest("a.txt")
    digests = {first.tree_digest, manifest().tree_digest, manifest("b.txt").tree_digest}
    digests.add(Manifest(kind=Kind.SOUL, pin=PIN, files=first.files).tree_digest)
    digests.add(Manifest(kind=Kind.SKILL, pin=Pin.parse("web-search==1.2.1"), files=first.files).tree_digest)
    digests.add(
        Manifest(kind=Kind.SKILL, pin=Pin.parse("web-searcher==1.2.0"), files=first.files).tree_digest
    )
    assert len(digests) == 6
