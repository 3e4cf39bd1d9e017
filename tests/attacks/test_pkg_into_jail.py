"""Packages on their way into a jail: forged, old, foreign, endless, revoked, vulnerable, incomplete."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from hive import trust
from hive.db.session import snapshot, transaction
from hive.external import read_external
from hive.packages import bringing
from hive.tenants import Tier, load_row
from repo_client.fetcher import FetchLimits
from repo_client.packages import PackageSource
from repo_client.updater import Server
from signing.errors import (
    BadSignatureError,
    DigestMismatchError,
    ExpiredError,
    FormatError,
    HostError,
    NotEntitledError,
    NotFirstPartyError,
    NotFoundError,
    QuarantinedError,
    RejectedError,
    RevokedError,
    RollbackError,
    SkillRepoError,
    TransportError,
    VulnerableError,
    WrongSubjectError,
)
from signing.format.digest import sha256_of
from signing.format.names import parse_tenant_id
from signing.format.pkg.names import PackageRepo, parse_abi
from signing.format.withdrawal import Withdrawn
from tests.attacks.raw_server import Talk, raw_server
from tests.support.harbour import Harbour, open_harbour
from tests.support.packages import (
    AGENT,
    BASE,
    DATA,
    OLD_AGENT,
    VULNERABLE,
    index_of,
    listed,
    waiver,
)
from tests.support.world import PACKAGES, World, jail_files, now

VID = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def harbour(world: World, tmp_path: Path) -> Iterator[Harbour]:
    with open_harbour(world, tmp_path / "host") as harbour:
        yield harbour


def kept(harbour: Harbour) -> list[str]:
    """What the store of packages holds, unfinished downloads too."""
    return sorted(path.name for path in harbour.store.iterdir()) if harbour.store.exists() else []


# --- the bytes -------------------------------------------------------------------------------------


def test_a_forged_package_of_the_same_size(harbour: Harbour) -> None:
    forged = bytearray(BASE)
    forged[len(forged) // 2] ^= 1
    harbour.shelf.stock(bytes(forged), sha256=sha256_of(BASE))
    refusal = harbour.refused(DigestMismatchError, code="digest-mismatch")
    asked = [path for path in refusal.requests if path.startswith("/pkg/")]
    assert set(asked) <= {
        f"/pkg/by-sha256/{sha256_of(one)}.pkg" for one in (BASE, AGENT)
    }  # they are fetched at once
    assert asked.count(f"/pkg/by-sha256/{sha256_of(BASE)}.pkg") == 1
    assert f"{sha256_of(BASE)}.pkg" not in kept(harbour)
    harbour.shelf.stock(BASE)
    assert harbour.born()["status"] == "born"


@pytest.mark.parametrize("length", [0, 1, len(BASE) - 1])
def test_a_package_that_is_cut_off(harbour: Harbour, length: int) -> None:
    harbour.shelf.stock(BASE[:length], sha256=sha256_of(BASE))
    harbour.refused(DigestMismatchError)
    assert f"{sha256_of(BASE)}.pkg" not in kept(harbour)


def test_a_longer_package(harbour: Harbour) -> None:
    harbour.shelf.stock(BASE + b"\0", sha256=sha256_of(BASE))
    refusal = harbour.refused(DigestMismatchError)
    assert "sends more" in str(refusal.error)
    assert f"{sha256_of(BASE)}.pkg" not in kept(harbour)


def test_a_package_that_the_server_lost(harbour: Harbour) -> None:
    del harbour.scene.server.lies[f"/pkg/by-sha256/{sha256_of(AGENT)}.pkg"]
    refusal = harbour.refused(NotFoundError)
    assert "signed but missing" in str(refusal.error)


def test_an_endless_package_costs_its_size_and_no_more(harbour: Harbour) -> None:
    def answer(talk: Talk) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\n\r\n")
        talk.for_ever(bytes(1 << 16))

    with raw_server(answer) as server:
        with_server(harbour, server.url)
        harbour.refused(DigestMismatchError)
        assert server.sent < 20 << 20  # what fits into buffers, not what the server would send
    assert kept(harbour) == []


def test_a_package_that_drips(harbour: Harbour) -> None:
    def answer(talk: Talk) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\n\r\n")
        talk.drip(BASE, pause=0.2)

    with raw_server(answer) as server:
        with_server(harbour, server.url, limits=FetchLimits(gap=5, deadline=0.5))
        harbour.refused(TransportError)
    assert kept(harbour) == []


def test_a_package_server_that_sends_elsewhere(harbour: Harbour) -> None:
    def answer(talk: Talk) -> None:
        talk.answer(status="302 Found", headers=b"Location: http://127.0.0.1:1/other.pkg\r\n")

    with raw_server(answer) as server:
        with_server(harbour, server.url)
        harbour.refused(TransportError)
        # One for each package at most, as they are fetched at once; and none a second time.
        assert 1 <= len(server.requests) <= 2
        assert len(set(server.requests)) == len(server.requests)


def with_server(harbour: Harbour, url: str, *, limits: FetchLimits | None = None) -> None:
    client = harbour.scene.mother.client
    client = replace(client, pkg_server=Server.parse(url), limits=limits or client.limits)
    harbour.scene.mother = replace(harbour.scene.mother, client=client)


def test_the_deadline_of_a_download_grows_with_the_size_that_is_signed() -> None:
    """A gigabyte is not cut off after a minute, and nobody drips for a day."""
    began = []

    def answer(talk: Talk) -> None:
        began.append(now())
        talk.silence()

    with raw_server(answer) as server:
        source = PackageSource(server=Server.parse(server.url), limits=FetchLimits(gap=0.3, deadline=0.1))
        with pytest.raises(TransportError):
            list(source.pieces(listed(BASE, size=1 << 30)))
        assert now() - began[0] > timedelta(seconds=0.25)  # the gap, not the deadline of small files


# --- the file on disk ------------------------------------------------------------------------------


def test_a_package_swapped_in_the_store_before_it_is_used(harbour: Harbour) -> None:
    """Whoever writes to the store does not decide what enters a jail: it is fetched again."""
    harbour.born()
    name = f"{sha256_of(BASE)}.pkg"
    (harbour.store / name).unlink()
    (harbour.store / name).write_bytes(AGENT)
    harbour.scene.register("raft", profile="base==2")
    before = harbour.scene.server.asked_for(name)
    harbour.scene.born("raft")
    assert harbour.scene.server.asked_for(name) == before + 1
    assert (harbour.store / name).read_bytes() == BASE


def test_a_package_swapped_between_verification_and_installation(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name leads to other bytes when the jail is filled: what was verified is what is installed."""
    genuine = bringing.admit_packages

    def swapped(*args: object, **how: object) -> object:
        admissions = genuine(*args, **how)  # type: ignore[arg-type]
        for path in harbour.store.glob("*.pkg"):
            path.unlink()
            path.write_bytes(b"evil")
        return admissions

    monkeypatch.setattr("hive.birth.admit_all.admit_packages", swapped)
    receipt = harbour.born()
    assert [item["sha256"] for item in receipt["packages"]] == [sha256_of(BASE), sha256_of(AGENT)]
    assert (harbour.root / "usr/local/bin/demo-base").is_file()


def test_a_package_overwritten_between_verification_and_installation(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same file, other bytes in it: noticed before they are handed out, and nothing of it stands."""
    genuine = bringing.admit_packages

    def overwritten(*args: object, **how: object) -> object:
        admissions = genuine(*args, **how)  # type: ignore[arg-type]
        path = harbour.store / f"{sha256_of(BASE)}.pkg"
        path.chmod(0o600)
        content = bytearray(BASE)
        content[-1] ^= 1
        with path.open("r+b") as stream:
            stream.write(content)
        return admissions

    monkeypatch.setattr("hive.birth.admit_all.admit_packages", overwritten)
    refusal = harbour.refused(RejectedError)
    assert refusal.error.code == "digest-mismatch"
    assert harbour.events("package.installed") == []


# --- the index -------------------------------------------------------------------------------------


def test_a_rolled_back_index(harbour: Harbour) -> None:
    """The builder's key signs an old index again, as newer metadata: no version number shows it."""
    old = harbour.shelf.index
    harbour.shelf.publish([BASE, AGENT], serial=2)
    harbour.born()
    harbour.scene.register("raft", profile="base==2")
    harbour.shelf.publish_index(old)
    harbour.scene.refused(RollbackError, code="rollback", name="raft")
    with snapshot(harbour.scene.mother.engine) as session:
        assert trust.serials(session) == {str(PACKAGES): 2}


def test_a_rolled_back_index_after_the_client_forgot(harbour: Harbour) -> None:
    """Another state folder: the database remembers the serial too."""
    old = harbour.shelf.index
    harbour.shelf.publish([BASE, AGENT], serial=2)
    harbour.born()
    harbour.scene.register("raft", profile="base==2")
    harbour.shelf.publish_index(old)
    (harbour.scene.metadata / "seen-packages").unlink()
    refusal = harbour.scene.refused(RollbackError, code="rollback", name="raft")
    assert "this host has seen serial 2" in str(refusal.error)
    with snapshot(harbour.scene.mother.engine) as session:
        assert trust.serials(session) == {str(PACKAGES): 2}


def test_another_product_under_the_same_key(harbour: Harbour) -> None:
    """Same ABI and channel, a higher serial, signed by the same builder, and not the repository that it was."""
    harbour.born()
    harbour.scene.register("raft", profile="base==2")
    harbour.shelf.publish([BASE, AGENT], serial=9, repository="other.example")
    harbour.scene.refused(RollbackError, name="raft")


def test_the_index_of_another_abi_by_the_same_key(harbour: Harbour) -> None:
    """The builder of two repositories offers one's list as the other's."""
    other = PackageRepo.parse("FreeBSD:15:amd64/latest")
    packages = [listed(BASE, abi="FreeBSD:*:*"), listed(AGENT, abi="FreeBSD:*:*")]
    harbour.shelf.publish_index(index_of(packages, serial=2, repo=other), path=PACKAGES.index_path)
    harbour.refused(WrongSubjectError, code="wrong-subject")
    assert harbour.scene.server.asked_for("by-sha256") == 0


def test_an_index_that_somebody_else_signed(harbour: Harbour) -> None:
    harbour.shelf.publish_index(index_of([listed(BASE), listed(AGENT)], serial=2), by=("mallory",))
    harbour.refused(BadSignatureError)
    assert harbour.scene.server.asked_for("by-sha256") == 0


def test_an_expired_index(harbour: Harbour) -> None:
    harbour.shelf.publish_index(harbour.shelf.index, expires=timedelta(minutes=-1))
    harbour.refused(ExpiredError, code="expired")
    assert harbour.scene.server.asked_for("by-sha256") == 0


def test_an_altered_index(harbour: Harbour) -> None:
    for path in [path for path in harbour.scene.server.lies if path.endswith("repo.json")]:
        harbour.scene.server.lies[path] = harbour.scene.server.lies[path].replace(b"All/", b"Arr/")
    harbour.refused(DigestMismatchError)


def test_an_endless_index(harbour: Harbour) -> None:
    for path in [path for path in harbour.scene.server.lies if path.endswith("repo.json")]:
        harbour.scene.server.lies[path] += b" " * (1 << 20)
    harbour.refused(DigestMismatchError)
    assert harbour.scene.server.asked_for("by-sha256") == 0


def test_a_package_that_the_index_dropped(harbour: Harbour) -> None:
    """Its grace period is over, or it was taken out for a reason: the old bytes in the store do not count."""
    harbour.born()
    harbour.shelf.publish([BASE], serial=2)
    harbour.scene.register("raft", profile="base==2")
    refusal = harbour.scene.refused(NotFoundError, name="raft")
    assert "names no package" in str(refusal.error)


def test_a_package_that_is_kept_for_its_grace_period(harbour: Harbour) -> None:
    harbour.shelf.publish_index(index_of([listed(BASE)], serial=2, kept=(listed(AGENT),)))
    assert len(harbour.born()["packages"]) == 2


# --- what may not enter ----------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["digest", "name", "version"])
def test_a_revoked_package(harbour: Harbour, how: str) -> None:
    scope = {
        "digest": {"sha256": sha256_of(AGENT)},
        "name": {"package": "demo-agent"},
        "version": {"package": "demo-agent", "package_version": "1.2.1_1"},
    }[how]
    withdraw(harbour, scope)
    harbour.refused(RevokedError, code="revoked")


def test_a_quarantined_package(harbour: Harbour) -> None:
    withdraw(harbour, {"sha256": sha256_of(BASE)}, state=Withdrawn.QUARANTINED)
    harbour.refused(QuarantinedError, code="quarantined")


def test_a_revoked_package_is_refused_though_the_store_holds_it(harbour: Harbour) -> None:
    harbour.born()
    withdraw(harbour, {"sha256": sha256_of(BASE)})
    harbour.scene.register("raft", profile="base==2")
    harbour.scene.refused(RevokedError, name="raft")


def withdraw(harbour: Harbour, scope: dict[str, str], state: Withdrawn = Withdrawn.REVOKED) -> None:
    harbour.shelf.forge.revoke(state=state, **scope)
    harbour.shelf.serve()


def pin_vulnerable(harbour: Harbour, *waivers: object) -> None:
    """A profile with demo-agent 1.2.0, which the fixtures' advisory is about."""
    harbour.shelf.publish([BASE, OLD_AGENT], serial=2)
    harbour.shelf.advise(VULNERABLE)
    harbour.shelf.pin("base==3", [BASE, OLD_AGENT], waivers=waivers)
    with transaction(harbour.scene.mother.engine) as session:
        load_row(session, parse_tenant_id("boat")).profile = "base==3"


def test_a_vulnerable_package_that_nobody_waived(harbour: Harbour) -> None:
    pin_vulnerable(harbour)
    refusal = harbour.refused(VulnerableError, code="vulnerable-package")
    assert refusal.error.facts["vid"] == VID


def test_a_vulnerable_package_whose_waiver_has_ended(harbour: Harbour) -> None:
    pin_vulnerable(harbour, waiver("demo-agent-1.2.0", VID, until=timedelta(seconds=-1)))
    harbour.refused(VulnerableError)


@pytest.mark.parametrize(
    ("package", "vid"),
    [("demo-agent-1.2.1_1", VID), ("demo-agent-1.2.0", "99999999-2222-3333-4444-555555555555")],
    ids=["another version", "another advisory"],
)
def test_a_waiver_for_something_else(harbour: Harbour, package: str, vid: str) -> None:
    pin_vulnerable(harbour, waiver(package, vid))
    harbour.refused(VulnerableError)


def test_a_waived_vulnerability_stands_in_the_record(harbour: Harbour) -> None:
    pin_vulnerable(harbour, waiver("demo-agent-1.2.0", VID))
    harbour.born()
    record = next(item for item in harbour.events("admission") if item["pin"] == "demo-agent-1.2.0")
    assert record["waived"][0]["owner"] == "olga"
    assert record["waived"][0]["vid"] == VID


def test_withheld_advisories(harbour: Harbour) -> None:
    """Nothing known about vulnerabilities is not: nothing is vulnerable."""
    harbour.scene.server.lies = {
        path: data for path, data in harbour.scene.server.lies.items() if "vuln.xml" not in path
    }
    harbour.refused(SkillRepoError)
    assert harbour.scene.server.asked_for("by-sha256") == 0


def test_expired_advisories(harbour: Harbour) -> None:
    harbour.shelf.advise(expires=timedelta(minutes=-1))
    harbour.refused(ExpiredError)


# --- the list --------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [[AGENT], [AGENT, BASE]], ids=["incomplete", "out of order"])
def test_a_list_that_pkg_could_not_install(harbour: Harbour, wanted: list[bytes]) -> None:
    harbour.shelf.pin("base==3", wanted)
    harbour.scene.register("raft", profile="base==3")
    refusal = harbour.scene.refused(FormatError, code="malformed", name="raft")
    assert "not pinned before it" in str(refusal.error)
    assert harbour.scene.server.asked_for("by-sha256") == 0


def test_a_host_of_another_abi(harbour: Harbour) -> None:
    harbour.scene.mother = replace(harbour.scene.mother, abi=parse_abi("FreeBSD:15:amd64"))
    refusal = harbour.refused(NotEntitledError)
    assert "FreeBSD:15:amd64" in str(refusal.error)
    assert harbour.scene.server.asked_for("by-sha256") == 0


def test_a_host_that_knows_no_abi(harbour: Harbour) -> None:
    harbour.scene.mother = replace(harbour.scene.mother, abi=None)
    harbour.refused(NotEntitledError)


def test_a_package_of_another_abi_that_the_index_calls_ours(harbour: Harbour) -> None:
    """A builder who lies about what a package is for: the package itself says otherwise."""
    other = (DATA / "repos/fp-rsa/FreeBSD:15:amd64/latest/All/demo-base-1.0.0.pkg").read_bytes()
    lying = listed(other, abi="FreeBSD:14:amd64")
    harbour.shelf.stock(other)
    harbour.shelf.publish_index(index_of([lying], serial=2))
    harbour.shelf.pin("base==3", [other])
    with transaction(harbour.scene.mother.engine) as session:
        load_row(session, parse_tenant_id("boat")).profile = "base==3"
    refusal = harbour.refused(WrongSubjectError)
    assert "is for FreeBSD:15" in str(refusal.error)


@pytest.mark.parametrize("tier", list(Tier))
def test_an_external_package_is_for_nobody(harbour: Harbour, tier: Tier) -> None:
    """There is no evidence of that kind, and no consent to it: neither tier has a way."""
    del tier
    with pytest.raises(NotFirstPartyError, match="packages come from our own builds"):
        read_external(BASE)
    assert jail_files(harbour.scene.mother) == {}


def test_advisories_of_an_hour_ago_do_not_count(harbour: Harbour) -> None:
    """A host that sleeps between looking and deciding."""
    begun, looked = now(), []

    def clock() -> object:
        if harbour.scene.server.asked_for("vuln.xml") and not looked:
            looked.append(True)
        return begun + (timedelta(minutes=16) if looked else timedelta())

    harbour.scene.mother = replace(harbour.scene.mother, clock=clock)  # type: ignore[arg-type]
    assert harbour.born()["status"] == "born"  # it looked again, and then it was fresh
    assert harbour.scene.server.asked_for("vuln.xml") == 2


def test_a_store_that_is_too_small_for_a_birth(harbour: Harbour) -> None:
    """What is in use is never removed, so the birth is refused room instead of losing its first package."""
    harbour.scene.mother = replace(harbour.scene.mother, store_bytes=len(BASE) - 1)
    with pytest.raises(HostError, match="no room"):
        harbour.born()
    assert not harbour.root.exists()
    assert kept(harbour) == []


def test_a_link_in_the_store(harbour: Harbour, tmp_path: Path) -> None:
    """Not followed, not written through; the download takes its name."""
    outside = tmp_path / "outside"
    outside.write_bytes(BASE)
    harbour.store.mkdir(mode=0o700)
    (harbour.store / f"{sha256_of(BASE)}.pkg").symlink_to(outside)
    harbour.born()
    assert outside.read_bytes() == BASE
    assert not (harbour.store / f"{sha256_of(BASE)}.pkg").is_symlink()
    assert harbour.scene.server.asked_for(sha256_of(BASE)) == 1
