"""Whatever refuses a package, the audit log says which bytes, of which index, by whose role and keys, and the verdict."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hive.policy import POLICY
from signing.errors import (
    DigestMismatchError,
    FormatError,
    NotFoundError,
    RejectedError,
    RevokedError,
    VulnerableError,
    YankedError,
)
from signing.format.digest import sha256_of
from signing.format.pkg.names import PackagePin, PackageRepo
from signing.format.withdrawal import Withdrawn
from tests.support.harbour import Harbour, open_harbour
from tests.support.packages import AGENT, BASE, HARMLESS, OLD_AGENT, VULNERABLE, index_of, listed, waiver
from tests.support.pkg_archives import compact, member, package
from tests.support.world import PACKAGES, World

ROLE = "pkg-FreeBSD_14_amd64-latest"


@pytest.fixture
def harbour(world: World, tmp_path: Path) -> Iterator[Harbour]:
    with open_harbour(world, tmp_path / "host") as harbour:
        yield harbour


def altered(harbour: Harbour) -> None:
    harbour.shelf.stock(BASE[:-1] + bytes([BASE[-1] ^ 1]), sha256=sha256_of(BASE))


def revoked(harbour: Harbour) -> None:
    harbour.shelf.forge.revoke(sha256=sha256_of(BASE))
    harbour.shelf.serve()


def yanked(harbour: Harbour) -> None:
    harbour.shelf.forge.revoke(state=Withdrawn.YANKED, package="demo-base")
    harbour.shelf.serve()


def vulnerable(harbour: Harbour) -> None:
    feed = HARMLESS.replace(b"<name>other<", b"<name>demo-base<").replace(b"<lt>1</lt>", b"<le>1.0.0</le>")
    harbour.shelf.advise(feed)


def lying(harbour: Harbour) -> None:
    """Its manifest lists a file that it does not hold."""
    entry = {"sum": f"1${sha256_of(b'x')}", "uname": "root", "gname": "wheel", "perm": "0644"}
    data = package(manifest=compact("demo-base", "1.0.0"), files={"/usr/local/x": entry})
    harbour.arrange(data)


def misnamed(harbour: Harbour) -> None:
    """The profile pins these bytes by another name than the index lists them."""
    harbour.shelf.publish([BASE, AGENT], serial=2)
    profile = harbour.shelf.profile("base==3", [BASE])
    (item,) = profile.packages[0].items
    pins = replace(profile.packages[0], items=(replace(item, pin=PackagePin.parse("demo-other-1.0.0")),))
    harbour.shelf.forge.add("profiles/base/3.json", replace(profile, packages=(pins,)).render(), by=["olga"])
    harbour.shelf.serve()
    harbour.point("base==3")


@pytest.mark.parametrize(
    ("attack", "expected"),
    [
        (altered, DigestMismatchError),
        (revoked, RevokedError),
        (yanked, YankedError),
        (vulnerable, VulnerableError),
        (lying, FormatError),
        (misnamed, RejectedError),
    ],
    ids=lambda value: value.__name__,
)
def test_a_refusal_names_digest_role_and_keys(
    harbour: Harbour, attack: Callable[[Harbour], None], expected: type[RejectedError]
) -> None:
    attack(harbour)
    harbour.refused(expected)
    record = harbour.scene.events("boat")[-1]
    assert record.event == "birth.refused"
    assert record.facts["verdict"] == "refused"
    evidence = record.facts["error"]["facts"]["evidence"]
    index = harbour.shelf.index
    (package_,) = [item for item in index.packages if item.sha256 == evidence["sha256"]]
    assert evidence["pin"] == str(package_.pin)
    assert (evidence["kind"], evidence["repository"]) == ("package", str(index.repo))
    assert (evidence["serial"], evidence["index_sha256"]) == (index.serial, sha256_of(index.render()))
    assert (evidence["role"], evidence["signed_by"]) == (ROLE, ["builder"])
    assert [len(keyid) for keyid in evidence["signer_keyids"]] == [64]
    if expected in {RevokedError, YankedError, VulnerableError}:
        assert evidence["policy_sha256"] == POLICY.sha256


def test_a_refused_skill_is_named_too(harbour: Harbour) -> None:
    harbour.shelf.forge.revoke(name="web-search")
    harbour.shelf.serve()
    harbour.refused(RevokedError)
    evidence = harbour.scene.events("boat")[-1].facts["error"]["facts"]["evidence"]
    assert (evidence["kind"], evidence["pin"]) == ("skill", "web-search==1.0")
    assert evidence["role"].startswith("skills-")
    assert len(evidence["tree_sha256"]) == len(evidence["bundle_sha256"]) == 64
    assert sorted(evidence["signed_by"]) == ["alice", "bob"]


# --- lists that no honest draft makes ---------------------------------------------------------------


def needing(name: str, *deps: str) -> bytes:
    said = {dep: {"origin": f"misc/{dep}", "version": "1.0"} for dep in deps}
    return package(manifest=compact(name, deps=said))


@pytest.mark.parametrize(
    "datas",
    [
        [needing("a", "b"), needing("b", "a")],
        [needing("b", "a"), needing("a", "b")],
        [needing("a", "a")],
        [needing("a", "b"), needing("b", "c"), needing("c", "a")],
        [needing("a"), needing("b", "a", "c")],
    ],
    ids=["cycle", "cycle, other way round", "itself", "cycle of three", "missing"],
)
def test_a_list_that_has_no_order(harbour: Harbour, datas: list[bytes]) -> None:
    harbour.arrange(*datas)
    refusal = harbour.refused(FormatError)
    assert "which is not pinned before it" in str(refusal.error)
    assert harbour.scene.server.asked_for("by-sha256") == 0


def test_one_name_twice_is_no_profile(harbour: Harbour) -> None:
    harbour.shelf.publish([OLD_AGENT, BASE, AGENT], serial=2)
    with pytest.raises(FormatError, match="pins one name twice"):
        harbour.shelf.profile("base==3", [BASE, OLD_AGENT, AGENT])
    text = harbour.shelf.profile("base==3", [BASE, AGENT]).render()
    doubled = text.replace(b'"name":"demo-agent"', b'"name":"demo-base"')
    assert doubled != text
    harbour.shelf.forge.add("profiles/base/3.json", doubled, by=["olga"])
    harbour.shelf.serve()
    harbour.point("base==3")
    harbour.refused(FormatError)
    assert harbour.scene.server.asked_for("by-sha256") == 0


def test_pins_of_one_abi_with_packages_of_another(harbour: Harbour) -> None:
    """The profile says 14, the digests are those of 15: the index of 14 has never heard of them."""
    other = PackageRepo.parse("FreeBSD:15:amd64/latest")
    foreign = package(manifest=compact("demo-base", "1.0.0", abi="FreeBSD:15:amd64"))
    harbour.shelf.publish_index(index_of([listed(foreign)], serial=2, repo=other))
    harbour.shelf.stock(foreign)
    harbour.pinned("base==3", [foreign])
    harbour.refused(NotFoundError)
    assert harbour.scene.server.asked_for("by-sha256") == 0


def test_bytes_of_two_names(harbour: Harbour) -> None:
    """An index that lists one package under two names, signed by its builder: what is revoked by one has another."""
    other = listed(BASE, name="demo-twin", path="All/demo-twin-1.0.0.pkg", sha256=sha256_of(b"a twin"))
    index = index_of([listed(BASE), other], serial=2)
    harbour.shelf.stock(BASE)
    harbour.shelf.publish_index(index)
    harbour.pinned("base==3", [BASE])
    forged = index.render().replace(sha256_of(b"a twin").encode(), sha256_of(BASE).encode())
    harbour.shelf.sign_alone(PACKAGES.role, PACKAGES.index_path, forged, by=["builder"])
    refusal = harbour.refused(FormatError)
    assert "the same file as" in str(refusal.error)
    assert harbour.scene.server.asked_for("by-sha256") == 0


# --- lists of vulnerabilities -----------------------------------------------------------------------


def test_a_list_of_which_nothing_is_in_force(harbour: Harbour) -> None:
    """Everything cancelled: signed, fresh, well-formed, and says that nothing is vulnerable."""
    cancelled = HARMLESS.replace(b"<topic>", b"<cancelled/><topic>")
    harbour.shelf.advise(cancelled)
    refusal = harbour.refused(FormatError)
    assert "in force" in str(refusal.error)
    assert harbour.scene.server.asked_for("by-sha256") == 0


@pytest.mark.parametrize(
    ("version", "test", "affected"),
    [
        ("1.2.0", b"<lt>1.2.0_1</lt>", True),
        ("1.2.0_1", b"<lt>1.2.0_1</lt>", False),
        ("1.2.0_1", b"<le>1.2.0_1</le>", True),
        ("1.2.0,1", b"<lt>9.9</lt>", False),
        ("9.9", b"<lt>1.0,1</lt>", True),
        ("1.2.0_9,1", b"<lt>1.2.0_10,1</lt>", True),
        ("1.2.0_10,1", b"<lt>1.2.0_9,1</lt>", False),
        ("1.10", b"<lt>1.9</lt>", False),
        ("1.0.rc1", b"<lt>1.0</lt>", True),
        ("1.0a", b"<lt>1.0</lt>", False),
        ("1.0", b"<eq>1.0.0</eq>", True),
        ("1.5", b"<ge>1.0</ge><lt>1.5</lt>", False),
        ("1.5", b"<gt>1.0</gt><le>1.5</le>", True),
        ("1.5", b"", True),
        ("2024.01.02", b"<ge>0</ge>", True),
    ],
)
def test_versions_at_the_edge_of_a_range(harbour: Harbour, version: str, test: bytes, affected: bool) -> None:
    """Revision before epoch, numbers as numbers, stages before releases: who compares text lets these in."""
    data = package(manifest=compact("edge", version))
    harbour.arrange(data)
    feed = HARMLESS.replace(b"<name>other<", b"<name>edge<").replace(b"<lt>1</lt>", test)
    harbour.shelf.advise(feed)
    if affected:
        harbour.refused(VulnerableError)
    else:
        assert harbour.born()["status"] == "born"


@pytest.mark.parametrize("name", [b"e*", b"edg?", b"[a-f]dge", b"edge"])
def test_names_as_globs(harbour: Harbour, name: bytes) -> None:
    harbour.arrange(package(manifest=compact("edge", "0.5")))
    harbour.shelf.advise(HARMLESS.replace(b"<name>other<", b"<name>" + name + b"<"))
    harbour.refused(VulnerableError)


def test_a_waiver_answers_for_one_of_two_advisories(harbour: Harbour) -> None:
    """Two advisories for one package, one of them waived: the other is not."""
    vid = "11111111-2222-3333-4444-555555555555"
    other = vid.replace("1111", "2222", 1)
    second = VULNERABLE.replace(vid.encode(), other.encode())
    both = VULNERABLE.replace(
        b"</vuxml>", second[second.index(b"<vuln ") : second.rindex(b"</vuxml>")] + b"</vuxml>"
    )
    harbour.shelf.publish([BASE, OLD_AGENT], serial=2)
    harbour.shelf.advise(both)
    given = [waiver("demo-agent-1.2.0", vid, until=timedelta(days=1))]
    harbour.pinned("base==3", [BASE, OLD_AGENT], waivers=given)
    refusal: Any = harbour.refused(VulnerableError)
    assert refusal.error.facts["vid"] == other
    harbour.pinned("base==4", [BASE, OLD_AGENT], waivers=[*given, waiver("demo-agent-1.2.0", other)])
    assert harbour.born()["status"] == "born"
    (record,) = [item for item in harbour.events("admission") if item["pin"] == "demo-agent-1.2.0"]
    assert {item["vid"] for item in record["waived"]} == {vid, other}


def test_a_waiver_that_ends_at_this_moment_has_ended(harbour: Harbour) -> None:
    vid = "11111111-2222-3333-4444-555555555555"
    given = waiver("demo-agent-1.2.0", vid, until=timedelta(hours=1))
    harbour.shelf.publish([BASE, OLD_AGENT], serial=2)
    harbour.shelf.advise(VULNERABLE)
    harbour.pinned("base==3", [BASE, OLD_AGENT], waivers=[given])
    harbour.scene.at(given.expires_at)
    harbour.refused(VulnerableError)
    harbour.scene.at(given.expires_at - timedelta(microseconds=1))
    # The log is at that moment already; it may not be told an earlier one, but for some slack.
    assert harbour.born()["status"] == "born"


def test_members_that_are_listed_twice_are_one_refusal(harbour: Harbour) -> None:
    path = "/usr/local/x"
    entry = {"sum": f"1${sha256_of(b'x')}", "uname": "root", "gname": "wheel", "perm": "0644"}
    harbour.arrange(package(member(path, b"x"), member(path, b"x"), manifest=compact(), files={path: entry}))
    refusal = harbour.refused(FormatError)
    assert "twice" in str(refusal.error)
