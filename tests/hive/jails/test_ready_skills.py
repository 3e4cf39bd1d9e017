"""Skills from a ready set: whose birth compares them, what the shelf notes, and what a sweep sees of it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hive.admission import Admission
from hive.birth.verifying import check_born
from hive.config import HiveConfig
from hive.jails.compare import Expected, differences
from hive.jails.contained import JailRoot
from hive.jails.materialise import READY_NOTE, note_ready, noted_ready, take_ready
from hive.tenants import Tenant, Tier
from repo_client.ready import ReadySet, ReadySets
from repo_client.verify_at import VerifyAt
from signing.errors import DigestMismatchError, FormatError, HostError, WrongSubjectError
from signing.format.archive import Bundle, SourceFile
from signing.format.manifest import Kind, MemberPath
from signing.format.names import Pin, parse_tenant_id


def bundle(name: str) -> Bundle:
    content = f"---\nname: {name}\n---\n".encode()
    files = {MemberPath("SKILL.md"): SourceFile(content=content)}
    return Bundle.build(pin=Pin.parse(f"{name}==1.0"), kind=Kind.SKILL, files=files)


BUNDLES = [bundle("calendar"), bundle("web-search")]
EXPECTED = Expected(skills={one.manifest.pin.name: one.manifest.tree_digest for one in BUNDLES}, files={})


def tenant(tier: Tier, name: str = "acme") -> Tenant:
    return cast("Tenant", SimpleNamespace(tenant_id=parse_tenant_id(name), tier=tier))


def admissions(whose: Tenant) -> Sequence[Admission]:
    return [
        cast("Admission", SimpleNamespace(tenant=whose, kind=Kind.SKILL, bundle=one, pin=one.manifest.pin))
        for one in BUNDLES
    ]


@pytest.fixture
def sets(tmp_path: Path) -> ReadySets:
    return ReadySets(tmp_path / "ready")


@pytest.fixture
def ready(sets: ReadySets) -> ReadySet:
    return sets.take(BUNDLES, verify=VerifyAt.BIRTH)


@pytest.fixture
def jail(tmp_path: Path) -> tuple[JailRoot, JailRoot]:
    for part in ("root", "shelf"):
        (tmp_path / part).mkdir(mode=0o755)
    return JailRoot.open(tmp_path / "root"), JailRoot.open(tmp_path / "shelf")


@pytest.mark.parametrize("setting", list(VerifyAt))
@pytest.mark.parametrize("tier", list(Tier))
def test_no_setting_puts_off_what_a_paid_birth_compares(
    sets: ReadySets, monkeypatch: pytest.MonkeyPatch, tier: Tier, setting: VerifyAt
) -> None:
    asked: list[VerifyAt] = []

    def take(bundles: Sequence[Bundle], *, verify: VerifyAt) -> Any:
        assert list(bundles) == BUNDLES
        asked.append(verify)

    monkeypatch.setattr(sets, "take", take)
    take_ready(sets, tenant(tier), admissions(tenant(tier)), verify=setting)
    assert asked == [VerifyAt.BIRTH if tier is Tier.PAID else setting]


def test_what_was_admitted_for_another_tenant_is_in_no_set(sets: ReadySets, tmp_path: Path) -> None:
    with pytest.raises(WrongSubjectError):
        take_ready(
            sets, tenant(Tier.FREE), admissions(tenant(Tier.FREE, "other")), verify=VerifyAt.STORE_ENTRY
        )
    assert not (tmp_path / "ready").exists()


def test_a_jail_whose_skills_are_shown_is_as_it_was_born(
    jail: tuple[JailRoot, JailRoot], ready: ReadySet
) -> None:
    root, shelf = jail
    assert noted_ready(root, shelf) is None
    note_ready(root, shelf, ready)
    assert noted_ready(root, shelf) == ready.path
    check_born(root, shelf, EXPECTED, ready=ready)
    assert differences(root, shelf, EXPECTED) == ()  # a sweep, which reads all of it


def test_a_sweep_sees_what_is_wrong_with_a_set(jail: tuple[JailRoot, JailRoot], ready: ReadySet) -> None:
    root, shelf = jail
    note_ready(root, shelf, ready)
    skill = ready.path / "web-search/SKILL.md"
    skill.chmod(0o644)
    skill.write_bytes(b"---\nname: web-hijack\n---\n")
    (ready.path / "evil").mkdir()
    assert [item.path for item in differences(root, shelf, EXPECTED)] == [
        "usr/home/agent/skills/evil",
        "usr/home/agent/skills/web-search",
    ]
    ready.path.rename(ready.path.with_name("away"))
    assert [item.what for item in differences(root, shelf, EXPECTED)] == ["is gone"]


def test_a_set_that_is_not_the_one_that_was_let_in(
    jail: tuple[JailRoot, JailRoot], ready: ReadySet, sets: ReadySets
) -> None:
    root, shelf = jail
    other = sets.take(BUNDLES[:1], verify=VerifyAt.BIRTH)
    for noted, given in ((other, ready), (other, other)):
        note_ready(root, shelf, noted)
        with pytest.raises(DigestMismatchError, match="not the set of skills"):
            check_born(root, shelf, EXPECTED, ready=given)


def test_something_beside_the_set_on_the_shelf(jail: tuple[JailRoot, JailRoot], ready: ReadySet) -> None:
    """It is not shown; but nobody put it there with our knowledge."""
    root, shelf = jail
    note_ready(root, shelf, ready)
    shelf.install_file("usr/home/agent/skills/evil/SKILL.md", b"x", mode=0o444)
    with pytest.raises(DigestMismatchError, match="evil"):
        check_born(root, shelf, EXPECTED, ready=ready)


def test_a_tenant_cannot_note_a_set_of_its_own(jail: tuple[JailRoot, JailRoot], tmp_path: Path) -> None:
    """Where skills are copied into the jail, root there can write a note; it is not read."""
    root, _ = jail
    root.install_tree("usr/home/agent/skills", "web-search", BUNDLES[1])
    root.install_file(READY_NOTE, f"{tmp_path / 'own'}\n".encode(), mode=0o444)
    assert noted_ready(root, root) is None
    one = replace(EXPECTED, skills={"web-search": EXPECTED.skills["web-search"]})
    assert differences(root, root, one) == ()


def test_a_host_without_mounts_notes_no_set(jail: tuple[JailRoot, JailRoot], ready: ReadySet) -> None:
    root, _ = jail
    with pytest.raises(HostError, match="no mounts"):
        note_ready(root, root, ready)


def test_the_setting(tmp_path: Path) -> None:
    file = tmp_path / "hive.toml"
    for text, wanted in (
        ("", VerifyAt.BIRTH),
        ('verify = "birth"', VerifyAt.BIRTH),
        ('verify = "store-entry"', VerifyAt.STORE_ENTRY),
    ):
        file.write_text(text)
        assert HiveConfig.load(file, {}).verify_at is wanted
    for text in ('verify = "never"', 'verify = ""', 'verify = "Birth"'):
        file.write_text(text)
        with pytest.raises(FormatError, match="neither"):
            _ = HiveConfig.load(file, {}).verify_at
