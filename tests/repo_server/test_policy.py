"""policy.toml: read strictly, covered by its digest with the files that it names, and held to."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from repo_server.attesting.ci import VerifiedAttestation, verify_attestation
from repo_server.attesting.identity import ANYBODY
from repo_server.policy import NAME, Policy, check_policy, load_policy, policy_for
from signing.errors import BlockedError, FormatError, HostError, PolicyError, ThresholdError
from signing.format.digest import Sha256, sha256_of
from signing.format.names import HolderName, Pin
from signing.format.review import (
    Candidate,
    Decision,
    EngineReport,
    Finding,
    Review,
    Severity,
    Surface,
    Waiver,
)
from tests.support.private_sigstore import IDENTITY, ISSUER, PrivateSigstore

NOW = datetime.now(UTC).replace(microsecond=0)
WHOLE = f"""
[review]
reviewers = 2
required_engines = ["cisco", "skillrepo-checks"]

[ci]
required = true
identity = "{IDENTITY}"
issuer = "{ISSUER}"
trusted_root = "root.json"

[waivers]
max_days = 90

[upstream]
trusted_root = "root.json"
certificates = "vendors.pem"
"""
SIGSTORE = PrivateSigstore()
FILES = {"root.json": SIGSTORE.trusted_root(), "vendors.pem": b"pem"}


def folder_with(folder: Path, text: str, files: dict[str, bytes] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / NAME).write_text(text)
    for name, content in (FILES if files is None else files).items():
        (folder / name).write_bytes(content)
    return folder


def engine(name: str, *, failure: str = "", findings: tuple[Finding, ...] = ()) -> EngineReport:
    return EngineReport(
        name=name, version="1", policy_sha256=sha256_of(b""), findings=findings, failure=failure
    )


FINDING = Finding(check="x.y", severity=Severity.BLOCK, path="SKILL.md", line=1, message="bad")


def review(policy: Policy | None = None, **changes: Any) -> Review:
    made = Review(
        pin=Pin.parse("csv-summarizer==1.0"),
        bundle_sha256=sha256_of(b"bundle"),
        tree_sha256=sha256_of(b"tree"),
        candidate=Candidate(
            source="folder",
            address="folder:x",
            resolved={},
            publisher="",
            licence="",
            imported_at=NOW,
            tree_sha256=sha256_of(b"source"),
        ),
        engines=(engine("cisco"), engine("skillrepo-checks")),
        surface=Surface(),
        previous=None,
        policy_sha256=policy.digest if policy else None,
        waivers=(),
        decision=Decision.APPROVE,
        reason="fine",
        reviewer=HolderName("alice"),
        reviewed_at=NOW,
    )
    return replace(made, **changes)


def attested(
    about: Review, *, identity: str = IDENTITY, issuer: str = ISSUER, sigstore: PrivateSigstore = SIGSTORE
) -> VerifiedAttestation:
    from repo_server.attesting.ci import ci_statement

    evidence = sigstore.sign_statement(ci_statement(about).render(), identity=identity, issuer=issuer)
    root = sigstore.trusted_root()
    return verify_attestation(
        evidence, review=about, signer=ANYBODY, trusted_root=root, now=datetime.now(UTC)
    )


def waiver(days: int) -> Waiver:
    until = NOW + timedelta(days=days)
    return Waiver(finding=FINDING.id, reason="harmless", by=HolderName("alice"), until=until)


@pytest.fixture
def whole(tmp_path: Path) -> Policy:
    policy = load_policy(folder_with(tmp_path / "whole", WHOLE))
    assert policy is not None
    return policy


# --- reading


def test_a_whole_policy_is_read(whole: Policy) -> None:
    assert (whole.reviewers, whole.required_engines) == (2, ("cisco", "skillrepo-checks"))
    assert whole.ci is not None
    assert (whole.ci.required, whole.ci.signer.identity) == (True, IDENTITY)
    assert whole.waiver_life == timedelta(days=90)
    assert (whole.upstream.trusted_root, whole.upstream.certificates) == (FILES["root.json"], b"pem")


def test_without_a_file_there_is_no_policy(tmp_path: Path) -> None:
    assert load_policy(tmp_path) is None
    assert load_policy(tmp_path / "nowhere") is None


def test_an_empty_file_is_a_policy_that_demands_little(tmp_path: Path) -> None:
    policy = load_policy(folder_with(tmp_path / "p", ""))
    assert policy == Policy()
    assert policy.waiver_life is None


@pytest.mark.parametrize(
    "text",
    [
        "[reviews]\nreviewers = 2",
        "reviewers = 2",
        "[review]\nreviewer = 2",
        "[review]\nreviewers = 0",
        "[review]\nreviewers = 33",
        "[review]\nreviewers = true",
        '[review]\nreviewers = "2"',
        "[review]\nreviewers = 2.0",
        '[review]\nrequired_engines = "cisco"',
        "[review]\nrequired_engines = [1]",
        '[review]\nrequired_engines = [""]',
        "review = 1",
        "[[review]]\nreviewers = 2",
        "[ci]\nrequired = true",
        '[ci]\nrequired = true\nidentity = "x"\ntrusted_root = "root.json"',
        '[ci]\nrequired = true\nidentity = "x"\nissuer = ""\ntrusted_root = "root.json"',
        '[ci]\nidentity = "x"\nissuer = "y"\ntrusted_root = "root.json"',
        '[ci]\nrequired = 1\nidentity = "x"\nissuer = "y"\ntrusted_root = "root.json"',
        '[ci]\nrequired = true\nidentity = "x"\nissuer = "y"',
        '[ci]\nrequired = true\nidentity = "x"\nissuer = "y"\ntrusted_root = "absent.json"',
        '[ci]\nrequired = true\nidentity = "x"\nissuer = "y"\ntrusted_root = "../root.json"',
        '[ci]\nrequired = true\nidentity = "x"\nissuer = "y"\ntrusted_root = "/root.json"',
        '[ci]\nrequired = true\nidentity = "x"\nissuer = "y"\ntrusted_root = ".."',
        '[ci]\nrequired = true\nidentity = "x"\nissuer = "y"\ntrusted_root = "root.json"\nroot = 1',
        "[waivers]\nmax_days = -1",
        "[waivers]\nmax_days = 36500",
        "[waivers]\ndays = 1",
        '[upstream]\ntrusted_root = "absent.json"',
        "[upstream]\nany = true",
        "[review",
        "[review]\nreviewers = 1\nreviewers = 2",
        "a = " + "[" * 3_000,
        "#" * 70_000,
    ],
)
def test_what_is_no_policy_is_refused(text: str, tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "p", text)
    (tmp_path / "root.json").write_bytes(b"{}")  # where ../root.json would lead
    with pytest.raises(FormatError):
        load_policy(folder)


def test_a_policy_that_cannot_be_read_is_not_none(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "p", WHOLE)
    (folder / NAME).unlink()
    (folder / NAME).symlink_to(tmp_path / "gone")
    with pytest.raises(HostError):
        load_policy(folder)
    (folder / NAME).unlink()
    (folder / NAME).mkdir()
    with pytest.raises(HostError):
        load_policy(folder)
    (tmp_path / "binary").mkdir()
    (tmp_path / "binary" / NAME).write_bytes(b"\xff\xfe")
    with pytest.raises(FormatError):
        load_policy(tmp_path / "binary")


def test_the_digest_is_of_what_is_demanded_not_of_how_it_is_written(tmp_path: Path, whole: Policy) -> None:
    again = folder_with(tmp_path / "again", "# the same\n" + WHOLE.replace('"root.json"', '"other.json"'), {})
    for name, content in (("other.json", FILES["root.json"]), ("vendors.pem", b"pem")):
        (again / name).write_bytes(content)
    assert load_policy(again) == whole
    assert load_policy(again).digest == whole.digest  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("reviewers = 2", "reviewers = 1"),
        ('"cisco", ', ""),
        ("required = true", "required = false"),
        (IDENTITY, "https://ci.example/evil"),
        (ISSUER, "https://evil.example"),
        ("max_days = 90", "max_days = 91"),
        ('certificates = "vendors.pem"\n', ""),
    ],
)
def test_every_demand_is_covered_by_the_digest(old: str, new: str, tmp_path: Path, whole: Policy) -> None:
    assert old in WHOLE
    weaker = load_policy(folder_with(tmp_path / "weaker", WHOLE.replace(old, new)))
    assert weaker is not None
    assert weaker.digest != whole.digest


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_named_files_are_covered_by_the_digest(name: str, tmp_path: Path, whole: Policy) -> None:
    """Who exchanges the trusted root on the server need not touch policy.toml."""
    other = load_policy(folder_with(tmp_path / "p", WHOLE, {**FILES, name: b"{}"}))
    assert other is not None
    assert other.digest != whole.digest


def test_a_signer_goes_by_the_policy_of_the_own_side(tmp_path: Path, whole: Policy) -> None:
    server = folder_with(tmp_path / "server", "[review]\nreviewers = 1\n")
    mine, none = tmp_path / "whole", tmp_path / "none"
    assert policy_for(server, mine) == whole
    assert policy_for(server, none) == policy_for(server, None) == Policy(reviewers=1)
    shutil.rmtree(server)
    assert policy_for(server, mine) == whole
    assert policy_for(server, none) is None


# --- holding to it


def test_what_meets_the_policy_passes(whole: Policy) -> None:
    made = review(whole, waivers=(waiver(90),), engines=(*review().engines, engine("other", failure="x")))
    check_policy(whole, review=made, reviewers=["alice", "bob"], identities=[attested(made)], now=NOW)
    check_policy(None, review=review(), reviewers=["alice"], now=NOW)


def test_a_policy_that_was_weakened_or_removed_does_not_help(whole: Policy) -> None:
    made = review(whole)
    for other in (Policy(), replace(whole, reviewers=1), None):
        with pytest.raises(PolicyError, match="was reviewed under policy") as caught:
            check_policy(other, review=made, reviewers=["alice"], identities=[], now=NOW)
        assert caught.value.exit_status == 12
    with pytest.raises(PolicyError, match="was reviewed under no policy"):
        check_policy(Policy(), review=review(), reviewers=["alice", "bob"], now=NOW)


@pytest.mark.parametrize("reviewers", [[], ["alice"], ["alice", "alice"]], ids=["none", "one", "twice"])
def test_too_few_curators_are_refused(reviewers: list[str], whole: Policy) -> None:
    made = review(whole)
    with pytest.raises(ThresholdError) as caught:
        check_policy(whole, review=made, reviewers=reviewers, identities=[attested(made)], now=NOW)
    assert (caught.value.facts["signed"], caught.value.facts["threshold"]) == (len(set(reviewers)), 2)


@pytest.mark.parametrize(
    ("engines", "says"),
    [
        ((engine("skillrepo-checks"),), "without the engine 'cisco'"),
        ((engine("cisco", failure="timed out"), engine("skillrepo-checks")), "timed out"),
        ((engine("cisco"), engine("cisco", failure="killed"), engine("skillrepo-checks")), "killed"),
        ((engine("Cisco"), engine("skillrepo-checks")), "without the engine 'cisco'"),
        ((), "without the engine"),
    ],
    ids=["absent", "failed", "failed-once", "another-name", "none"],
)
def test_a_demanded_engine_must_have_run_to_its_end(
    engines: tuple[EngineReport, ...], says: str, whole: Policy
) -> None:
    made = review(whole, engines=engines)
    with pytest.raises(PolicyError, match=says):
        check_policy(whole, review=made, reviewers=["alice", "bob"], identities=[attested(made)], now=NOW)


def test_waivers_that_last_too_long_do_not_count(whole: Policy) -> None:
    for changes in (
        {"waivers": (waiver(90), waiver(91))},
        # Dated ahead, so that the end seems near.
        {"waivers": (waiver(120),), "reviewed_at": NOW + timedelta(days=60)},
    ):
        made = review(whole, **changes)
        with pytest.raises(BlockedError, match="for longer than 90 days") as caught:
            check_policy(whole, review=made, reviewers=["alice", "bob"], identities=[attested(made)], now=NOW)
        assert caught.value.facts["findings"] == [FINDING.id]
    none = Policy(max_waiver_days=0)
    check_policy(none, review=review(none), reviewers=["alice"], now=NOW)
    with pytest.raises(BlockedError):
        check_policy(none, review=review(none, waivers=(waiver(1),)), reviewers=["alice"], now=NOW)


def test_only_the_demanded_ci_over_this_review_counts(whole: Policy) -> None:
    made = review(whole)
    other = review(whole, reason="another one")
    for identities in (
        [],
        [attested(made, identity="https://ci.example/skills/fork@refs/heads/main")],
        [attested(made, issuer="https://evil.example")],
        [attested(other)],
    ):
        with pytest.raises(PolicyError, match="not attested by") as caught:
            check_policy(whole, review=made, reviewers=["alice", "bob"], identities=identities, now=NOW)
        assert caught.value.facts["identity"] == IDENTITY
    wrong, right = attested(other), attested(made)
    check_policy(whole, review=made, reviewers=["alice", "bob"], identities=[wrong, right], now=NOW)


def test_a_ci_that_is_only_named_is_not_demanded(tmp_path: Path) -> None:
    text = WHOLE.replace("required = true", "required = false")
    policy = load_policy(folder_with(tmp_path / "p", text))
    check_policy(policy, review=review(policy), reviewers=["alice", "bob"], now=NOW)


def test_digests_are_written_in_full_in_the_facts(whole: Policy) -> None:
    with pytest.raises(PolicyError) as caught:
        check_policy(whole, review=review(), reviewers=["alice"], now=NOW)
    assert caught.value.facts == {"recorded": None, "in_force": Sha256(whole.digest)}
