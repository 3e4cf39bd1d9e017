"""Packages that a builder signed and that lie: about their files, their names, their place, their neighbours.

The builder's key is genuine; the package is not what an honest build makes. Each is refused, and no file of it stands.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hive.birth import carry_out
from hive.db.session import transaction
from hive.packages.staging import PackageConflictError
from hive.tenants import load_row
from signing.errors import DigestMismatchError, FormatError, RejectedError, SkillRepoError, WrongSubjectError
from signing.format.canonical import parse_canonical
from signing.format.digest import sha256_of
from signing.format.names import parse_tenant_id
from tests.support.harbour import Harbour, open_harbour
from tests.support.packages import index_of, listed
from tests.support.pkg_archives import compact, member, package
from tests.support.world import World


@pytest.fixture
def harbour(world: World, tmp_path: Path) -> Iterator[Harbour]:
    with open_harbour(world, tmp_path / "host") as harbour:
        yield harbour


def said(content: bytes, mode: str = "0644", **more: Any) -> dict[str, Any]:
    """An entry of +MANIFEST."""
    return {"sum": f"1${sha256_of(content)}", "uname": "root", "gname": "wheel", "perm": mode, **more}


def folder(mode: str = "0755") -> dict[str, Any]:
    return {"uname": "root", "gname": "wheel", "perm": mode}


def one(*members: bytes, name: str = "demo", files: dict[str, Any] | None = None, **more: Any) -> bytes:
    return package(*members, manifest=compact(name), files=files or {}, **more)


def bear(harbour: Harbour, *datas: bytes) -> dict[str, Any]:
    harbour.arrange(*datas)
    return harbour.born()


def refused(harbour: Harbour, *datas: bytes, expected: type[SkillRepoError] = FormatError) -> SkillRepoError:
    harbour.arrange(*datas)
    return harbour.refused(expected).error


FILE = "/usr/local/bin/demo"


def test_a_file_that_the_manifest_does_not_list(harbour: Harbour) -> None:
    data = one(member(FILE, b"a"), member("/usr/local/bin/more", b"b"), files={FILE: said(b"a")})
    assert "not in the manifest" in str(refused(harbour, data))


def test_a_folder_that_the_manifest_does_not_list(harbour: Harbour) -> None:
    refused(harbour, one(member("/usr/local/more", kind=b"5", mode=0o755)))


def test_a_file_that_is_listed_and_not_there(harbour: Harbour) -> None:
    error = refused(harbour, one(member(FILE, b"a"), files={FILE: said(b"a"), "/usr/b": said(b"b")}))
    assert "are not there" in str(error)


@pytest.mark.parametrize(
    "entry",
    [said(b"other"), said(b"a", "0755"), {**said(b"a"), "uname": "daemon"}, {**said(b"a"), "gname": "staff"}],
    ids=["content", "mode", "owner", "group"],
)
def test_a_file_that_is_not_what_the_manifest_says(harbour: Harbour, entry: dict[str, Any]) -> None:
    refused(harbour, one(member(FILE, b"a"), files={FILE: entry}), expected=DigestMismatchError)


def test_a_link_that_is_not_what_the_manifest_says(harbour: Harbour) -> None:
    entry = {**said(b"there", "0777"), "symlink_target": "there"}
    data = one(member(FILE, kind=b"2", link="elsewhere", mode=0o777), files={FILE: entry})
    refused(harbour, data, expected=DigestMismatchError)


@pytest.mark.parametrize("path", ["/../../etc/passwd", "/usr/../../x", "relative", "//x", "/usr/./x"])
def test_a_name_that_leads_out_of_the_jail(harbour: Harbour, tmp_path: Path, path: str) -> None:
    data = package(member(path, b"a"), manifest=compact(), files={FILE: said(b"a")})
    refused(harbour, data)
    assert not (tmp_path / "etc").exists()


def test_a_file_below_a_link_of_the_same_package(harbour: Harbour, tmp_path: Path) -> None:
    """First a link to a folder outside, then a file through it."""
    target = str(tmp_path / "outside")
    Path(target).mkdir()
    files = {
        "/usr/local/way": {**said(target.encode(), "0777"), "symlink_target": target},
        "/usr/local/way/evil": said(b"a"),
    }
    data = one(
        member("/usr/local/way", kind=b"2", link=target, mode=0o777),
        member("/usr/local/way/evil", b"a"),
        files=files,
    )
    refused(harbour, data)
    assert list(Path(target).iterdir()) == []


def test_a_file_below_a_link_of_another_package(harbour: Harbour, tmp_path: Path) -> None:
    """One package brings the link, the next one a file through it: links are made, and never followed."""
    target = str(tmp_path / "outside")
    Path(target).mkdir()
    first = one(
        member("/usr/local/way", kind=b"2", link=target, mode=0o777),
        name="first",
        files={"/usr/local/way": {**said(target.encode(), "0777"), "symlink_target": target}},
    )
    second = one(
        member("/usr/local/way/evil", b"a"), name="second", files={"/usr/local/way/evil": said(b"a")}
    )
    error = refused(harbour, first, second, expected=RejectedError)
    assert error.code == "unsafe-path"
    assert list(Path(target).iterdir()) == []


@pytest.mark.parametrize(
    "path",
    [
        "/usr/home/agent/.env",
        "/usr/home/agent/skills/web-search/SKILL.md",
        "/usr/home/agent",
        "/var/db/clawdie/lock.json",
        "/var/db/clawdie/packages/other.json",
        "/usr/local/etc/pkg.conf",
        "/usr/local/etc/pkg/repos/clawdie.conf",
        "/usr/local/etc/pkg/repos/00-public-off.conf",
        "/usr/local/etc/pkg/fingerprints/clawdie/trusted/evil",
    ],
)
def test_a_package_in_the_place_of_ours(harbour: Harbour, path: str) -> None:
    """What we put into a jail is not a package's to bring: no .env, no skill, no record, no trust of pkg's."""
    data = one(member(path, b"a"), files={path: said(b"a")})
    refused(harbour, data, expected=PackageConflictError)


@pytest.mark.parametrize(
    "path", ["/usr/home", "/usr", "/var/db", "/usr/local/etc/pkg", "/usr/local/etc/pkg/repos"]
)
def test_a_link_in_the_way_to_ours(harbour: Harbour, path: str) -> None:
    data = one(
        member(path, kind=b"2", link="/tmp", mode=0o777),
        files={path: {**said(b"/tmp", "0777"), "symlink_target": "/tmp"}},
    )
    refused(harbour, data, expected=PackageConflictError)


def test_a_package_that_is_another_one(harbour: Harbour) -> None:
    """The index calls it ``demo-other``; the package says ``demo``."""
    data = one(member(FILE, b"a"), files={FILE: said(b"a")})
    wrong = listed(data, name="demo-other")
    harbour.shelf.stock(data)
    harbour.shelf.publish_index(index_of([wrong], serial=2))
    profile = harbour.shelf.profile("base==3", [data])
    assert profile.packages[0].items[0].pin.name == "demo"
    pins = replace(profile.packages[0], items=(replace(profile.packages[0].items[0], pin=wrong.pin),))
    profile = replace(profile, packages=(pins,))
    harbour.shelf.forge.add("profiles/base/3.json", profile.render(), by=["olga"])
    harbour.shelf.serve()
    with transaction(harbour.scene.mother.engine) as session:
        load_row(session, parse_tenant_id("boat")).profile = "base==3"
    error = harbour.refused(WrongSubjectError).error
    assert "the package says that it is demo-1.0" in str(error)


def test_two_packages_with_one_file(harbour: Harbour) -> None:
    """The second one does not write over the first, and the birth is refused as a whole."""
    first, second = (
        one(member(FILE, name.encode()), name=name, files={FILE: said(name.encode())})
        for name in ("first", "second")
    )
    error = refused(harbour, first, second, expected=PackageConflictError)
    assert "second-1.0 is there already" in str(error)


def test_two_packages_with_one_configuration_file(harbour: Harbour) -> None:
    path = "/usr/local/etc/demo.conf"
    first, second = (
        one(member(path, name.encode()), name=name, files={path: said(name.encode())}, config=[path])
        for name in ("first", "second")
    )
    refused(harbour, first, second, expected=PackageConflictError)


def test_a_file_where_another_package_has_a_folder(harbour: Harbour) -> None:
    first = one(member("/usr/local/x/y", b"a"), name="first", files={"/usr/local/x/y": said(b"a")})
    second = one(member("/usr/local/x", b"a"), name="second", files={"/usr/local/x": said(b"a")})
    refused(harbour, first, second, expected=PackageConflictError)


def test_setuid_and_setgid_are_not_given(harbour: Harbour) -> None:
    """Nothing here confines who would run it; what was left out is said."""
    data = one(
        member(FILE, b"a", mode=0o6755),
        member("/usr/local/drop", kind=b"5", mode=0o3777),
        files={FILE: said(b"a", "06755")},
        directories={"/usr/local/drop": folder("03777")},
    )
    receipt = bear(harbour, data)
    assert stat.S_IMODE((harbour.root / FILE[1:]).stat().st_mode) == 0o755
    assert stat.S_IMODE((harbour.root / "usr/local/drop").stat().st_mode) == 0o1777
    assert "mode 6755 of usr/local/bin/demo" in receipt["packages"][0]["omitted"]
    assert "mode 3777 of usr/local/drop" in receipt["packages"][0]["omitted"]


def test_owners_of_the_jail_are_not_looked_up(harbour: Harbour) -> None:
    entry = {**said(b"a"), "uname": "www", "gname": "www"}
    data = one(member(FILE, b"a", uname=b"www", gname=b"www"), files={FILE: entry})
    receipt = bear(harbour, data)
    assert "owner www:www" in receipt["packages"][0]["omitted"]
    assert (harbour.root / FILE[1:]).stat().st_uid == os.geteuid()


def test_owners_of_folders_and_links_are_noted_as_well(harbour: Harbour) -> None:
    link = {**said(b"there", "0777"), "symlink_target": "there", "uname": "www", "gname": "wheel"}
    data = one(
        member("/usr/local/spool", kind=b"5", mode=0o755, uname=b"news"),
        member(FILE, kind=b"2", link="there", mode=0o777, uname=b"www"),
        files={FILE: link},
        directories={
            "/usr/local/spool": {**folder(), "uname": "news"},
            "/usr/local/empty": {**folder(), "uname": "mail"},
        },
    )
    omitted = bear(harbour, data)["packages"][0]["omitted"]
    assert {"owner news:wheel", "owner www:wheel", "owner mail:wheel"} <= set(omitted)


@pytest.mark.parametrize("what", ["file", "link", "fifo"])
def test_an_empty_folder_where_something_else_stands(harbour: Harbour, tmp_path: Path, what: str) -> None:
    """No file goes through it, and still it is not called installed."""
    first: Any = {
        "file": one(member("/usr/local/x", b"a"), name="first", files={"/usr/local/x": said(b"a")}),
        "link": one(
            member("/usr/local/x", kind=b"2", link=str(tmp_path), mode=0o777),
            name="first",
            files={"/usr/local/x": {**said(str(tmp_path).encode(), "0777"), "symlink_target": str(tmp_path)}},
        ),
        "fifo": one(name="first"),
    }[what]
    second = one(name="second", directories={"/usr/local/x": folder("0700")})
    harbour.arrange(first, second)
    if what == "fifo":
        genuine = carry_out.install_package

        def planting(*args: Any, **how: Any) -> Any:
            receipt = genuine(*args, **how)
            (harbour.root / "usr/local").mkdir(parents=True, exist_ok=True)
            if not (harbour.root / "usr/local/x").exists():
                os.mkfifo(harbour.root / "usr/local/x")
            return receipt

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(carry_out, "install_package", planting)
            harbour.refused(RejectedError)
        return
    error = harbour.refused(RejectedError).error
    assert error.code == "unsafe-path"


def test_hard_links_are_one_file(harbour: Harbour) -> None:
    again = "/usr/local/bin/again"
    data = one(
        member(FILE, b"a", mode=0o755),
        member(again, kind=b"1", link=FILE, mode=0o755),
        files={FILE: said(b"a", "0755"), again: said(b"a", "0755")},
    )
    bear(harbour, data)
    one_, other = (harbour.root / path[1:] for path in (FILE, again))
    assert one_.samefile(other)
    assert one_.stat().st_nlink == 2  # and no third one in the staging folder


def test_a_folder_that_nobody_may_write_to(harbour: Harbour) -> None:
    """Its files are put there first, its mode last."""
    data = one(
        member("/usr/local/shut", kind=b"5", mode=0o555),
        member("/usr/local/shut/x", b"a"),
        files={"/usr/local/shut/x": said(b"a")},
        directories={"/usr/local/shut": folder("0555")},
    )
    bear(harbour, data)
    assert stat.S_IMODE((harbour.root / "usr/local/shut").stat().st_mode) == 0o555
    assert (harbour.root / "usr/local/shut/x").read_bytes() == b"a"


@pytest.mark.parametrize("scripts", ["scripts", "lua_scripts"])
def test_no_script_runs(harbour: Harbour, tmp_path: Path, scripts: str) -> None:
    mark = tmp_path / "ran"
    text = f"touch {mark}"
    more: dict[str, Any] = {
        "scripts": {"scripts": {"post-install": text, "pre-install": text}},
        "lua_scripts": {"lua_scripts": {"post-install": [f"os.execute('{text}')"]}},
    }[scripts]
    receipt = bear(harbour, one(member(FILE, b"a"), files={FILE: said(b"a")}, **more))
    assert not mark.exists()
    assert "script post-install" in receipt["packages"][0]["omitted"]


@pytest.mark.parametrize("what", ["file", "mode", "link", "record", "gone"])
def test_what_was_altered_before_the_end_of_the_birth_is_noticed(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    genuine = carry_out.install_lock

    def altered(root: Any, record: Any) -> None:
        genuine(root, record)
        program = harbour.root / "usr/local/bin/demo-base"
        match what:
            case "file":
                program.write_bytes(b"evil")
            case "mode":
                program.chmod(0o4755)
            case "link":
                link = harbour.root / "usr/local/bin/demo-base-link"
                link.unlink()
                link.symlink_to("/etc/passwd")
            case "record":
                path = harbour.root / "var/db/clawdie/packages/demo-base.json"
                value = parse_canonical(path.read_bytes())
                path.unlink()
                path.write_text(str(value))
            case _:
                program.unlink()

    monkeypatch.setattr(carry_out, "install_lock", altered)
    with pytest.raises(SkillRepoError) as caught:
        harbour.born()
    assert caught.value.code in {"digest-mismatch", "path-missing"}
    assert harbour.scene.tenant("boat").status.value == "failed"
    monkeypatch.undo()
    harbour.born()


def test_words_of_a_package_do_not_become_lines_of_ours(harbour: Harbour) -> None:
    """The name of a script is free text; it reaches terminals and the log."""
    scripts = {"post-install\n\x1b[2Jscript harmless": "true", "x" * 5000: "true"}
    receipt = bear(harbour, one(member(FILE, b"a"), files={FILE: said(b"a")}, scripts=scripts))
    omitted = receipt["packages"][0]["omitted"]
    assert "script post-install\\n\\x1b[2Jscript harmless" in omitted
    assert all(len(line) < 100 and line.isprintable() for line in omitted)
    assert birth_again(harbour)["packages"] == receipt["packages"]


def birth_again(harbour: Harbour) -> dict[str, Any]:
    return carry_out.birth(harbour.scene.mother, parse_tenant_id("boat"))


def test_more_left_out_than_anybody_reads(harbour: Harbour) -> None:
    names = [f"/usr/local/bin/x{number:03}" for number in range(250)]
    data = one(
        *(member(name, b"a", mode=0o4755) for name in names),
        files={name: said(b"a", "04755") for name in names},
    )
    omitted = bear(harbour, data)["packages"][0]["omitted"]
    assert len(omitted) == 201
    assert omitted[-1].startswith("and ")
    record = parse_canonical((harbour.root / "var/db/clawdie/packages/demo.json").read_bytes())
    assert len(record["omitted"]) >= 250


def test_something_behind_a_package_in_its_last_piece(harbour: Harbour) -> None:
    """Signed for as a whole, and still not a package: another reader may see the second one."""
    whole = one(member(FILE, b"a"), files={FILE: said(b"a")})
    for behind in (b"x", bytes(10), whole):
        harbour.arrange(whole + behind)
        harbour.refused(FormatError)


def test_odd_letters_of_a_path_do_not_reach_terminals_by_way_of_what_was_left_out(harbour: Harbour) -> None:
    name = "/usr/local/bin/\x9b2Jx\u202egnp"
    receipt = bear(harbour, one(member(name, b"a", mode=0o4755), files={name: said(b"a", "04755")}))
    (omitted,) = [line for line in receipt["packages"][0]["omitted"] if line.startswith("mode")]
    assert omitted == "mode 4755 of usr/local/bin/\\x9b2Jx\\u202egnp"


def test_a_record_that_would_be_too_long_to_check_is_not_begun(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be read back is refused now, and not at every look later."""
    monkeypatch.setattr("hive.packages.unpack.MAX_RECORD_BYTES", 100)
    refused(harbour, one(member(FILE, b"a"), files={FILE: said(b"a")}))
