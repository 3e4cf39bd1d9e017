"""A birth with packages: what stands in the jail, what is recorded, and what is said about it."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hive import trust
from hive.birth import carry_out
from hive.birth.carry_out import birth, plan
from hive.birth.journal import receipts_of
from hive.db.session import snapshot, transaction
from hive.packages.jail_config import PUBLIC_NAMES
from hive.packages.records import record_path
from hive.tenants import TenantStatus
from repo_client.handles import Directory
from signing.errors import DigestMismatchError, RollbackError
from signing.format.canonical import parse_canonical
from signing.format.digest import sha256_of
from signing.format.names import parse_tenant_id
from tests.support.harbour import Harbour
from tests.support.packages import AGENT, BASE, DATA, FINGERPRINT
from tests.support.pkg_archives import member, package, pax
from tests.support.world import now

BOAT = parse_tenant_id("boat")


def test_packages_stand_in_the_jail_in_order(harbour: Harbour) -> None:
    receipt = harbour.born()
    assert [item["package"] for item in receipt["packages"]] == ["demo-base-1.0.0", "demo-agent-1.2.1_1"]
    assert [item["sha256"] for item in receipt["packages"]] == [sha256_of(BASE), sha256_of(AGENT)]
    assert [item["size"] for item in receipt["packages"]] == [len(BASE), len(AGENT)]
    assert {item["serial"] for item in receipt["packages"]} == {1}
    program = harbour.root / "usr/local/bin/demo-base"
    assert program.is_file()
    assert program.stat().st_mode & 0o7777 == 0o755
    assert (harbour.root / "usr/local/bin/demo-base-link").readlink() == Path("demo-base")
    assert (harbour.root / "usr/local/etc/demo-agent.conf").stat().st_mode & 0o7777 == 0o640
    assert (harbour.root / "usr/local/etc/demo").is_dir()
    assert (harbour.root / "usr/home/agent/skills/web-search/SKILL.md").is_file()
    assert harbour.open_packages() == []


def test_the_record_in_the_jail_lists_what_was_installed(harbour: Harbour) -> None:
    receipt = harbour.born()
    data = (harbour.root / record_path("demo-base")).read_bytes()
    record = parse_canonical(data)
    assert record["sha256"] == sha256_of(BASE)
    assert receipt["packages"][0]["record_sha256"] == sha256_of(data)
    assert [item["path"] for item in record["files"]] == [
        "usr/local/bin/demo-base",
        "usr/local/etc/demo/base.conf.sample",
        "usr/local/share/demo/data.txt",
    ]
    assert record["links"] == [{"path": "usr/local/bin/demo-base-link", "target": "demo-base"}]
    for item in record["files"]:
        assert sha256_of((harbour.root / item["path"]).read_bytes()) == item["sha256"]
    assert {"script post-install", "script pre-deinstall"} <= set(record["omitted"])
    assert not list((harbour.root / "var/db/clawdie/packages").glob(".*"))


def test_scripts_are_not_run_and_that_is_said(harbour: Harbour) -> None:
    receipt = harbour.born()
    base, agent = receipt["packages"]
    assert "script post-install" in base["omitted"]
    assert "user demo" in agent["omitted"]
    assert {base["way"], agent["way"]} == {"unpacked"}


def test_the_lock_in_the_jail_names_the_packages(harbour: Harbour) -> None:
    receipt = harbour.born()
    lock = json.loads((harbour.root / "var/db/clawdie/lock.json").read_bytes())
    assert lock["lock_sha256"] == receipt["lock_sha256"]
    assert lock["packages"] == [
        {
            "name": name,
            "version": version,
            "sha256": sha256_of(data),
            "repository": "FreeBSD:14:amd64/latest",
            "serial": 1,
        }
        for name, version, data in (("demo-base", "1.0.0", BASE), ("demo-agent", "1.2.1_1", AGENT))
    ]


def test_a_profile_without_packages_leaves_no_trace_of_any(harbour: Harbour) -> None:
    receipt = harbour.scene.born("acme")
    assert receipt["packages"] == []
    root = harbour.scene.mother.state / "jails/acme/root"
    assert "packages" not in json.loads((root / "var/db/clawdie/lock.json").read_bytes())
    assert not (root / "usr/local").exists()
    assert not harbour.store.exists()


def test_receipts_stand_in_the_database_and_the_audit_log(harbour: Harbour) -> None:
    answered = harbour.born()["packages"]
    with snapshot(harbour.scene.mother.engine) as session:
        assert [item.to_json() for item in receipts_of(session, BOAT)] == answered
        assert trust.serials(session) == {"FreeBSD:14:amd64/latest": 1}
    installed = harbour.events("package.installed")
    assert [{key: item[key] for key in answered[0]} for item in installed] == answered
    admitted = [item for item in harbour.events("admission") if item["kind"] == "package"]
    assert [item["pin"] for item in admitted] == ["demo-base-1.0.0", "demo-agent-1.2.1_1"]
    assert {item["signed_by"][0] for item in admitted} == {"builder"}
    assert birth(harbour.scene.mother, BOAT)["packages"] == answered  # a second birth tells it again


def test_the_plan_has_a_step_a_package_before_the_skills_and_changes_nothing(harbour: Harbour) -> None:
    _, steps = plan(harbour.scene.mother, BOAT)
    assert [step.name for step in steps] == [
        "create-jail",
        "package:demo-base-1.0.0",
        "package:demo-agent-1.2.1_1",
        "package-configuration",
        "skill:web-search==1.0",
        "identity",
        "lock",
        "secrets",
        "verify",
        "start",
    ]
    assert not (harbour.scene.mother.state / "jails").exists()
    assert harbour.open_packages() == []


def test_pkg_in_the_jail_reads_our_repository_and_no_public_one(harbour: Harbour) -> None:
    harbour.born()
    etc = harbour.root / "usr/local/etc"
    assert (etc / "pkg.conf").read_text() == 'REPOS_DIR: [ "/usr/local/etc/pkg/repos/" ]\n'
    off = (etc / "pkg/repos/00-public-off.conf").read_text()
    assert off == (DATA / "client-conf/00-disable-public.conf").read_text()
    assert all(f"{name}: {{ enabled: no }}\n" in off for name in PUBLIC_NAMES)
    defaults = (DATA / "client-conf/example-FreeBSD-15-defaults.conf").read_text()
    assert {line.partition(":")[0] for line in defaults.splitlines()} <= set(PUBLIC_NAMES)
    ours = (etc / "pkg/repos/clawdie.conf").read_text()
    assert f'url: "{harbour.scene.server.url}/pkg/FreeBSD:14:amd64/latest"' in ours
    assert 'signature_type: "fingerprints"' in ours
    assert 'fingerprints: "/usr/local/etc/pkg/fingerprints/clawdie"' in ours
    trusted = list((etc / "pkg/fingerprints/clawdie/trusted").iterdir())
    assert [path.name for path in trusted] == [FINGERPRINT]
    assert trusted[0].read_text() == (DATA / "fingerprints/a/trusted/demo.2026a").read_text()
    assert list((etc / "pkg/fingerprints/clawdie/revoked").iterdir()) == []


def test_a_second_birth_fetches_nothing_again(harbour: Harbour) -> None:
    harbour.born()
    harbour.scene.register("raft", profile="base==2")
    before = harbour.scene.server.asked_for("/pkg/by-sha256/")
    harbour.scene.born("raft")
    assert before == 2
    assert harbour.scene.server.asked_for("/pkg/by-sha256/") == 2


def test_a_slow_download_is_no_reason_to_look_at_old_evidence(harbour: Harbour) -> None:
    """What was seen before the bytes came is not what is decided by: the repository is asked again."""
    offset = timedelta()

    def progress(*_: object) -> None:
        nonlocal offset
        offset = timedelta(minutes=20)

    harbour.scene.mother = replace(harbour.scene.mother, clock=lambda: now() + offset, progress=progress)
    harbour.born()
    decided = [record.time for record in harbour.scene.events("boat") if record.event == "admission"]
    assert len(decided) == 3


def test_a_repository_that_was_founded_anew_begins_with_serial_one(harbour: Harbour) -> None:
    """Replacing the anchor is a recorded act, and forgets the serials that the old one led to."""
    harbour.born()
    mother = harbour.scene.mother
    with transaction(mother.engine) as session:
        assert trust.serials(session)
        trust.replace(session, mother.client.anchor_sha256, reason="founded anew", now=now())
        assert trust.serials(session) == {}


def test_a_serial_that_this_host_has_seen_is_the_least_it_takes(harbour: Harbour) -> None:
    with transaction(harbour.scene.mother.engine) as session:
        for serial in (4, 4, 7):
            trust.remember_serial(session, replace(harbour.shelf.index, serial=serial))
        for index in (
            replace(harbour.shelf.index, serial=6),
            replace(harbour.shelf.index, serial=8, repository="other.example"),
        ):
            with pytest.raises(RollbackError):
                trust.remember_serial(session, index)
        assert trust.serials(session) == {"FreeBSD:14:amd64/latest": 7}


def test_a_birth_is_on_disk_before_it_is_called_active(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of the jail, once, behind the last file: a power cut afterwards takes nothing of it."""
    synced: list[set[str]] = []

    def seen(folder: Directory, *, links: bool = False) -> None:
        assert links
        assert harbour.scene.tenant("boat").status is TenantStatus.BIRTHING
        with Directory.open(harbour.root) as root:
            assert folder.same_as(root)
        synced.append({str(path.relative_to(harbour.root)) for path in harbour.root.rglob("*")})

    monkeypatch.setattr(carry_out, "sync_tree", seen)
    harbour.born()
    (before,) = synced
    assert before == {str(path.relative_to(harbour.root)) for path in harbour.root.rglob("*")}


def test_a_file_of_nobody_in_our_places_is_noticed(harbour: Harbour, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = carry_out.install_lock
    for place in (
        "usr/home/agent/.profile",
        "usr/home/agent/skills/other/SKILL.md",
        "var/db/clawdie/packages/x",
    ):

        def planted(root: Any, record: Any, place: str = place) -> None:
            genuine(root, record)
            (harbour.root / place).parent.mkdir(parents=True, exist_ok=True)
            (harbour.root / place).write_text("mine")

        monkeypatch.setattr(carry_out, "install_lock", planted)
        with pytest.raises(DigestMismatchError, match=r"was not (admitted|let in)"):
            harbour.born()
        assert not harbour.root.exists()


def test_more_files_than_one_looks_at_elsewhere_are_no_hindrance(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large set brings more files than a listing may have; only our own places are listed."""
    monkeypatch.setattr("hive.jails.contained.MAX_ENTRIES", 20)
    monkeypatch.setattr("hive.jails.contained._MAX_DEPTH", 6)
    assert harbour.born()["status"] == "born"


def test_file_flags_are_not_set_and_that_is_on_record(harbour: Harbour) -> None:
    """FreeBSD's sappnd or schg: nobody is told that a file cannot be changed when it can."""
    path, content = "/usr/local/share/demo.conf", b"x"
    entry = {"sum": f"1${sha256_of(content)}", "uname": "root", "gname": "wheel", "perm": "0644"}
    member_of = [pax(("SCHILY.fflags", "schg,uarch")), member(path, content)]
    harbour.arrange(package(*member_of, files={path: entry}))
    receipt = harbour.born()
    assert "flags schg,uarch of usr/local/share/demo.conf" in receipt["packages"][0]["omitted"]
