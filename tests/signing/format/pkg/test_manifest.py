import json
from typing import Any

import pytest

from signing.errors import FormatError
from signing.format.pkg.archive import read_package
from signing.format.pkg.json_text import read_json
from signing.format.pkg.manifest import Manifest, parse_payload_path
from signing.format.pkg.names import PackagePin
from signing.format.pkg.sums import Sum
from tests.support.pkg_archives import compact, repository, text


def read(**more: Any) -> Manifest:
    return Manifest.parse(text(compact(**more)))


def test_a_manifest_that_pkg_wrote() -> None:
    with (repository("fp-rsa") / "All" / "demo-base-1.0.0.pkg").open("rb") as stream:
        manifest = read_package(stream).manifest
    assert str(manifest.pin) == "demo-base-1.0.0"
    assert (manifest.origin, manifest.abi, manifest.arch) == (
        "misc/demo-base",
        "FreeBSD:14:amd64",
        "freebsd:14:x86:64",
    )
    assert (manifest.prefix, manifest.flatsize, manifest.deps) == ("/usr/local", 66, ())
    assert sorted(manifest.scripts) == ["post-install", "pre-deinstall"]
    assert sorted(manifest.directories) == ["/usr/local/etc/demo"]
    link = manifest.files["/usr/local/bin/demo-base-link"]
    assert (link.symlink_target, link.perm, link.uname, link.gname) == ("demo-base", 0o777, "root", "wheel")
    assert manifest.files["/usr/local/bin/demo-base"].perm == 0o755
    assert manifest.raw["licenselogic"] == "single"


@pytest.mark.parametrize("kind", ["fp-rsa", "fp-rsa-pkg275"])
def test_dependencies_users_groups_and_config_of_both_generations(kind: str) -> None:
    with (repository(kind) / "All" / "demo-agent-1.2.1_1.pkg").open("rb") as stream:
        manifest = read_package(stream).manifest
    assert manifest.deps == (PackagePin.parse("demo-base-1.0.0"),)
    assert (manifest.users, manifest.groups) == (("demo",), ("demo",))
    assert manifest.config == ("/usr/local/etc/demo-agent.conf",)


def test_the_old_forms_of_files_and_folders() -> None:
    manifest = read(files={"/a": "1$" + "a" * 64}, directories={"/d": "y"})
    assert manifest.files["/a"].sum == Sum.parse("1$" + "a" * 64)
    assert (manifest.files["/a"].uname, manifest.files["/a"].perm, manifest.directories["/d"].perm) == (
        None,
    ) * 3


def test_lua_scripts_and_keys_of_the_future_are_kept() -> None:
    manifest = read(lua_scripts={"post-install": ["print(1)"]}, novelty={"x": [True, None]})
    assert manifest.lua_scripts == {"post-install": ("print(1)",)}
    assert manifest.raw["novelty"] == {"x": [True, None]}


def test_nothing_of_it_can_be_changed_by_mistake() -> None:
    manifest = read(files={"/a": "1$" + "a" * 64})
    for mapping in (manifest.files, manifest.raw, manifest.scripts):
        with pytest.raises(TypeError):
            mapping["/b"] = None  # type: ignore[index]


@pytest.mark.parametrize(
    "more",
    [
        {"name": "../x"},
        {"name": 3},
        {"version": "1-2"},
        {"origin": "misc"},
        {"origin": "misc/a/b"},
        {"abi": "Linux:5:amd64"},
        {"abi": ["FreeBSD:14:amd64"]},
        {"prefix": "usr/local"},
        {"prefix": None},
        {"deps": []},
        {"deps": {"zlib": "1.3"}},
        {"deps": {"zlib": {"origin": "a/zlib"}}},
        {"deps": {"../z": {"version": "1"}}},
        {"flatsize": -1},
        {"flatsize": True},
        {"flatsize": "3"},
        {"files": []},
        {"files": {"/a": None}},
        {"files": {"/a": {"uname": "root"}}},
        {"files": {"/a": {"sum": "-"}}},
        {"files": {"a": "1$" + "a" * 64}},
        {"files": {"/../etc/passwd": "1$" + "a" * 64}},
        {"files": {"/a": {"sum": "1$" + "a" * 64, "perm": "0999"}}},
        {"files": {"/a": {"sum": "1$" + "a" * 64, "perm": "17777"}}},
        {"files": {"/a": {"sum": "1$" + "a" * 64, "perm": 493}}},
        {"files": {"/a": {"sum": "1$" + "a" * 64, "uname": "ro ot"}}},
        {"files": {"/a": {"sum": "1$" + "a" * 64, "mtime": -1}}},
        {"files": {"/a": {"sum": "1$" + "a" * 64, "symlink_target": 3}}},
        {"directories": {"/d/": "y"}},
        {"config": ["relative"]},
        {"scripts": {"post-install": ["echo"]}},
        {"lua_scripts": {"post-install": "print(1)"}},
        {"users": {"demo": 1}},
        {"users": ["a:b"]},
    ],
    ids=lambda more: json.dumps(more)[:50],
)
def test_other_forms_are_refused(more: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        read(**more)


@pytest.mark.parametrize("key", ["name", "version", "origin", "abi", "prefix"])
def test_what_has_to_be_said_is_said(key: str) -> None:
    said = compact()
    del said[key]
    with pytest.raises(FormatError):
        Manifest.parse(text(said))


@pytest.mark.parametrize(
    "path",
    ["", "a", "./a", "/", "//a", "/a/", "/a//b", "/a/./b", "/a/../b", "/..", "/a\n", "/a\0b", "/\x7f", "/" + "a" * 1024,
     "/a" * 65, None, 3],
    ids=lambda path: ascii(path)[:20],
)  # fmt: skip
def test_tricks_with_paths_are_refused(path: object) -> None:
    with pytest.raises(FormatError):
        parse_payload_path(path, where="x")


@pytest.mark.parametrize(
    "path", ["/a", "/usr/local/share/x/..y/...", "/a b", "/Főtanúsítvány.crt", "/a\\b", "/-rf"]
)
def test_unusual_names_that_ports_have_are_accepted(path: str) -> None:
    assert parse_payload_path(path, where="x") == path


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[",
        b"{}x",
        b"\xef\xbb\xbf{}",
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":1.5}',
        b'{"a":1e5}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":' + b"9" * 20 + b"}",
        b'{"a":' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b'{"\\uDfff":1}',
        b'{"a":"\n"}',
    ],
    ids=lambda data: ascii(data[:16]),
)
def test_tricks_with_json_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        read_json(data, where="x", max_bytes=1 << 20)


def test_json_of_libucl_is_read() -> None:
    value = {"é": ["\U0001f600", "\x1f", -3, True, None, {}]}
    assert read_json(json.dumps(value).encode(), where="x", max_bytes=99) == value
    assert read_json(json.dumps(value, ensure_ascii=False).encode(), where="x", max_bytes=99) == value
    with pytest.raises(FormatError, match="larger"):
        read_json(b"[" + b" " * 99, where="x", max_bytes=99)
