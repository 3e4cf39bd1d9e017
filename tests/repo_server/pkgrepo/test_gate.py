"""What must hold before a build is published: each refusal names the package and what to do."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from repo_server.pkgrepo.beneath import open_folder
from repo_server.pkgrepo.catalogue import CatalogueEntry, parse_data, read_catalogue
from repo_server.pkgrepo.facts import FactsCache, collect_facts
from repo_server.pkgrepo.gate import GatePolicy, check_build
from repo_server.pkgrepo.verdict import MAX_PROBLEMS
from signing.errors import FormatError, PolicyError, WrongSubjectError
from signing.format.digest import sha256_of
from signing.format.pkg.index import CatalogueFile, Intent, IntentKind, RepoIndex
from signing.format.pkg.names import PackagePin, PackageRepo
from signing.format.pkg.pins import VulnerabilityWaiver
from signing.format.pkg.vuxml import parse_vuxml
from tests.repo_server.pkgrepo.signing_keys import DATA, LATEST

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
REPO = PackageRepo.parse("FreeBSD:14:amd64/latest")
VULN = parse_vuxml((DATA / "audit" / "vuln.xml").read_bytes())
QUIET = parse_vuxml((DATA / "audit" / "vuln.xml").read_bytes().replace(b"demo-", b"nowhere-"))
DOWNGRADE = Intent(kind=IntentKind.DOWNGRADE, by="builder", reason="1.2.1 eats data", serial=6)


def load(kind="fp-rsa", group="repos"):
    root = DATA / group / kind / LATEST
    entries = parse_data(read_catalogue((root / "data.pkg").read_bytes(), "data").payload).entries
    return list(entries), collect_facts(
        open_folder(root), [entry.path for entry in entries], cache=FactsCache()
    )


def gate(entries, facts, **changes):
    options = {
        "repo": REPO,
        "previous": None,
        "advisories": QUIET,
        "policy": GatePolicy(),
        "allow_downgrade": None,
        "now": NOW,
    }
    return check_build(entries, facts, **(options | changes))


def index_of(kind):
    empty = sha256_of(b"")
    return RepoIndex(
        repository="pkg.clawdie.si",
        repo=REPO,
        serial=6,
        created=NOW,
        build={"system": "poudriere", "master": "m", "name": "n", "git_hash": "g"},
        catalogue=tuple(
            CatalogueFile(name=name, size=0, sha256=empty)
            for name in ("data.pkg", "meta.conf", "packagesite.pkg")
        ),
        packages=gate(*load(kind)).packages,
    )


def named(entries, name):
    return next(place for place, entry in enumerate(entries) if entry.name == name)


def codes(report):
    return [(problem.code, problem.where) for problem in report.errors]


@pytest.mark.parametrize(
    "kind", ["fp-rsa", "fp-rsa-hashed", "fp-rsa-pkg275", "unsigned", "fp-rsa-tar", "fp-rsa-meta"]
)
def test_real_builds_pass(kind):
    entries, facts = load(kind)
    report = gate(entries, facts)
    report.check()
    assert {package.path for package in report.packages} == {entry.path for entry in entries}
    assert [package.sha256 for package in report.packages if package.path == entries[0].path] == [
        facts[entries[0].path].digests.sha256
    ]
    json.dumps(report.to_json())


@pytest.mark.parametrize("kind", ["fp-rsa-bigpkg", "fp-rsa-tarbad"])
def test_a_package_that_is_not_the_one_of_the_catalogue_is_refused(kind):
    report = gate(*load(kind, "repos-bad"))
    assert codes(report) == [("digest-mismatch", "demo-base-1.0.0")]
    with pytest.raises(PolicyError, match=r"demo-base-1\.0\.0"):
        report.check()
    assert "demo-base" not in {package.name for package in report.packages}


def test_a_damaged_package_does_not_come_as_far_as_the_gate():
    with pytest.raises(FormatError, match=r"All/demo-base-1\.0\.0\.pkg"):
        load("fp-rsa-badpkg", "repos-bad")


def test_sizes_and_missing_files_are_seen():
    entries, facts = load()
    first = entries[0]
    smaller = facts | {first.path: replace(facts[first.path], size=first.size - 1)}
    assert codes(gate(entries, smaller)) == [("digest-mismatch", str(first.pin))]
    without = {path: fact for path, fact in facts.items() if path != first.path}
    assert codes(gate(entries, without)) == [("not-found", str(first.pin))]


@pytest.mark.parametrize(
    "change",
    [
        {"deps": {}},
        {"desc": "another"},
        {"shlibs_required": ["libevil.so"]},
        {"vital": True},
        {"version": "9.9"},
        {"arch": "freebsd:15:*"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_catalogue_that_says_something_else_than_the_package_is_refused(change):
    entries, facts = load()
    place = named(entries, "demo-skills")
    entries[place] = CatalogueEntry.of(dict(entries[place].raw) | change, where="entry")
    report = gate(entries, facts)
    assert codes(report) == [("digest-mismatch", str(entries[place].pin))]
    assert next(iter(change)) in report.errors[0].message


def test_a_package_says_more_than_the_catalogue():
    entries, facts = load()
    place = named(entries, "demo-skills")
    raw = {key: value for key, value in entries[place].raw.items() if key != "deps"}
    entries[place] = CatalogueEntry.of(raw, where="entry")
    assert codes(gate(entries, facts)) == [("digest-mismatch", str(entries[place].pin))]


def test_another_abi_is_refused():
    entries, facts = load()
    report = gate(entries, facts, repo=PackageRepo.parse("FreeBSD:15:amd64/latest"))
    assert {code for code, _ in codes(report)} == {"wrong-subject"}
    assert report.packages == ()
    assert len(report.errors) == len(entries)


def test_packages_for_every_machine_fit():
    entries, facts = load()
    arm = gate(entries, facts, repo=PackageRepo.parse("FreeBSD:14:aarch64/latest"))
    assert [package.name for package in arm.packages] == ["demo-skills"]


def test_a_dependency_that_is_not_there_is_refused_by_name():
    entries, facts = load()
    del entries[named(entries, "demo-base")]
    report = gate(entries, facts)
    assert ("not-found", "demo-agent-1.2.0") in codes(report)
    assert "demo-base-1.0.0" in report.errors[0].message
    assert "poudriere" in report.errors[0].hint


def test_a_refused_package_is_not_blamed_on_its_dependents():
    entries, facts = load()
    base = entries[named(entries, "demo-base")]
    report = gate(entries, facts | {base.path: replace(facts[base.path], size=1)})
    assert codes(report) == [("digest-mismatch", "demo-base-1.0.0")]


def test_an_empty_build_is_refused():
    with pytest.raises(PolicyError, match="no package at all"):
        gate([], {}).check()


def test_a_newest_version_that_goes_back_is_refused():
    report = gate(*load("fp-rsa-old"), previous=index_of("fp-rsa"))
    assert report.changes.downgraded == ("demo-agent-1.2.1_1 -> 1.2.0",)
    assert codes(report) == [("rollback", "demo-agent-1.2.1_1 -> 1.2.0")]
    with pytest.raises(PolicyError) as refused:
        report.check()
    assert "--allow-downgrade" in refused.value.hint


def test_a_downgrade_that_somebody_means_is_reported_with_the_reason():
    report = gate(*load("fp-rsa-old"), previous=index_of("fp-rsa"), allow_downgrade=DOWNGRADE)
    report.check()
    assert "1.2.1 eats data" in report.warnings[0].message


def test_the_intent_of_a_rollback_is_no_leave_to_downgrade_a_build():
    intent = replace(DOWNGRADE, kind=IntentKind.ROLLBACK)
    with pytest.raises(PolicyError):
        gate(*load("fp-rsa-old"), previous=index_of("fp-rsa"), allow_downgrade=intent).check()


def test_an_older_version_beside_the_newest_is_no_downgrade():
    report = gate(*load("fp-rsa"), previous=index_of("fp-rsa-old"))
    report.check()
    assert report.changes.upgraded == ("demo-agent-1.2.0 -> 1.2.1_1",)
    assert report.changes.new == ("demo-skills",)


def test_other_bytes_under_the_same_version_are_reported():
    report = gate(*load("fp-rsa-pkg275"), previous=index_of("fp-rsa"))
    report.check()
    assert len(report.changes.rebuilt) == 4
    assert "4 package(s) are other bytes" in report.warnings[0].message


def test_what_is_gone_is_reported():
    entries, facts = load()
    del entries[named(entries, "demo-skills")]
    report = gate(entries, facts, previous=index_of("fp-rsa"))
    report.check()
    assert report.changes.gone == ("demo-skills",)


def test_an_unchanged_build_reports_nothing():
    report = gate(*load(), previous=index_of("fp-rsa"))
    assert report.problems == ()
    assert not any(report.changes.to_json().values())


def test_the_last_serial_of_another_repository_is_no_comparison():
    with pytest.raises(WrongSubjectError):
        gate(*load(), previous=index_of("fp-rsa"), repo=PackageRepo.parse("FreeBSD:14:amd64/quarterly"))


def vulnerable():
    return next(item for item in VULN.affecting("demo-agent", "1.2.0"))


def test_known_vulnerabilities_are_reported_or_refused():
    report = gate(*load(), advisories=VULN)
    report.check()
    assert "demo-agent-1.2.0" in {problem.where for problem in report.warnings}
    with pytest.raises(PolicyError, match="known vulnerability"):
        gate(*load(), advisories=VULN, policy=GatePolicy(refuse_vulnerable=True)).check()


def waivers(**changes):
    found = [
        VulnerabilityWaiver(
            package=PackagePin.parse(f"{package.name}-{package.version}"),
            vid=item.vid,
            owner="alice",
            reason="not reachable",
            expires_at=NOW + timedelta(days=1),
        )
        for package in gate(*load()).packages
        for item in VULN.affecting(package.name, package.version)
    ]
    return tuple(replace(waiver, **changes) for waiver in found)


def test_somebody_answers_for_a_vulnerability_until_a_date():
    policy = GatePolicy(refuse_vulnerable=True, waivers=waivers())
    report = gate(*load(), advisories=VULN, policy=policy)
    report.check()
    assert all("alice answers for it" in problem.message for problem in report.warnings)


@pytest.mark.parametrize(
    "change",
    [
        {"expires_at": NOW},
        {"package": PackagePin.parse("demo-agent-1.2.2")},
        {"vid": "00000000-0000-0000-0000-000000000000"},
    ],
    ids=["expired", "another-version", "another-advisory"],
)
def test_a_waiver_for_something_else_waives_nothing(change):
    policy = GatePolicy(refuse_vulnerable=True, waivers=waivers(**change))
    with pytest.raises(PolicyError):
        gate(*load(), advisories=VULN, policy=policy).check()


def test_an_unknown_list_of_vulnerabilities_is_not_an_empty_one():
    gate(*load(), advisories=None).check()
    with pytest.raises(PolicyError, match="not looked up"):
        gate(*load(), advisories=None, policy=GatePolicy(refuse_vulnerable=True)).check()


def test_a_thousand_warnings_do_not_hide_an_error(monkeypatch):
    monkeypatch.setattr("repo_server.pkgrepo.gate.MAX_PROBLEMS", 1)
    policy = GatePolicy(refuse_vulnerable=True, waivers=waivers()[:-1])
    report = gate(*load(), advisories=VULN, policy=policy, previous=index_of("fp-rsa-pkg275"))
    assert len(report.errors) == 1
    assert len(report.warnings) == 1
    assert MAX_PROBLEMS > 100
