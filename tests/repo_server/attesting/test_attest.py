"""`skillrepo attest --ci` against a loopback Fulcio, Rekor and timestamp authority, with the real signer."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, text

from repo_server.attesting import making
from repo_server.attesting.ci import VerifiedAttestation, ci_statement
from repo_server.attesting.kept import attestable, attestations_of, verified_attestations
from repo_server.attesting.making import sign_statement
from repo_server.cli.attesting import attest
from repo_server.curation.candidates import find
from repo_server.curation.deciding import Verdict, decide
from repo_server.curation.examination import examine
from repo_server.db import log
from repo_server.db.models import AttestationRow
from repo_server.db.session import snapshot, transaction
from repo_server.policy import CiPolicy, Policy, check_policy, load_policy
from signing.errors import (
    BlockedError,
    CouldNotVerifyError,
    DigestMismatchError,
    FormatError,
    KeyAccessError,
    NotFoundError,
    PolicyError,
    SkillRepoError,
    TransportError,
    UsageError,
    VerificationError,
    WrongSubjectError,
)
from signing.format.review import Decision
from tests.repo_server.attesting.conftest import SIGNER, Reviewed
from tests.support.private_sigstore import IDENTITY, ISSUER, REPOSITORY, PrivateSigstore, Service, now

POLICY = f"""
[ci]
required = true
identity = "{IDENTITY}"
issuer = "{ISSUER}"
trusted_root = "root.json"
"""


@pytest.fixture(autouse=True)
def _no_ambient_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests themselves may run in a CI that has one, and must not use it."""
    monkeypatch.setattr("sigstore.oidc.detect_credential", lambda: None)


@pytest.fixture(params=[False, True], ids=["rekor-1", "rekor-2"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    with PrivateSigstore(tsa=request.param).serve() as service:
        yield service


@pytest.fixture
def first(tmp_path: Path) -> Iterator[Service]:
    with PrivateSigstore().serve() as service:
        yield service


def run(desk: Reviewed, *words: str, keys: Path | None = None) -> None:
    folder = desk.world.repository.folder
    options = {"repo": folder, "database": None, "keys": keys, "trust_anchor": None}
    attest.main([desk.candidate, "--ci", "--json", *words], obj=options, standalone_mode=False)


def given(service: Service, folder: Path) -> list[str]:
    """The options that name the service and a token, as files."""
    config, token = folder / "trust.json", folder / "token"
    config.write_bytes(service.trust_config)
    token.write_text(service.token() + "\n")
    token.chmod(0o600)
    return ["--trust-config", str(config), "--identity-token-file", str(token)]


def with_policy(desk: Reviewed, sigstore: PrivateSigstore) -> Policy:
    """Write a policy that demands this CI into the repository, and return it."""
    folder = desk.world.repository.folder
    (folder / "root.json").write_bytes(sigstore.trusted_root())
    (folder / "policy.toml").write_text(POLICY)
    policy = load_policy(folder)
    assert policy is not None
    return policy


def review_under(desk: Reviewed, policy: Policy) -> Reviewed:
    """Let alice review the candidate once more, under ``policy``."""
    repository, signer = desk.world.repository, desk.world.signers["alice"]
    with transaction(repository.engine) as session:
        seen = examine(repository, session, find(session, desk.candidate))
        verdict = Verdict(decision=Decision.APPROVE, reason="looks fine", acknowledged=seen.acknowledgement)
        review = decide(
            repository, session, seen, verdict, signer=signer, now=now(), policy_sha256=policy.digest
        )
    return Reviewed(desk.world, desk.candidate, review)


def demands(sigstore: PrivateSigstore) -> CiPolicy:
    return CiPolicy(required=True, signer=SIGNER, trusted_root=sigstore.trusted_root())


def test_a_ci_attests_what_was_reviewed(
    service: Service, desk: Reviewed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(desk, *given(service, tmp_path))

    said = capsys.readouterr()
    document = json.loads(said.out)
    assert {key: document[key] for key in ("ok", "identity", "issuer", "source_repository")} == {
        "ok": True,
        "identity": IDENTITY,
        "issuer": ISSUER,
        "source_repository": REPOSITORY,
    }
    assert document["bundle_sha256"] == desk.review.bundle_sha256
    assert "no policy says" in said.err
    repository = desk.world.repository
    with snapshot(repository.engine) as session:
        row = find(session, desk.candidate)
        verified = verified_attestations(
            repository, session, row, review=desk.review, demand=demands(service.sigstore), now=now()
        )
        records = [record for record in log.read(session) if record.event == "candidate.attested"]
        listed = attestations_of(session, row)
    assert [item.signer.identity for item in verified] == [IDENTITY]
    assert [record.facts["evidence_sha256"] for record in records] == [document["evidence_sha256"]]
    assert [(item["identity"], item["issuer"]) for item in listed] == [(IDENTITY, ISSUER)]
    check_policy(
        None, review=desk.review, reviewers=["alice"], identities=verified, now=now()
    )  # the review was made without one


def test_the_token_is_read_from_a_descriptor_too(first: Service, desk: Reviewed, tmp_path: Path) -> None:
    config, _, *_ = given(first, tmp_path)[1:]
    read, write = os.pipe()
    os.write(write, first.token().encode())
    os.close(write)
    run(desk, "--trust-config", config, "--identity-token-fd", str(read))
    assert desk.kept()[0] == 1


def test_a_token_from_the_surroundings_is_used(
    first: Service, desk: Reviewed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = given(first, tmp_path)[:2]
    monkeypatch.setattr("sigstore.oidc.detect_credential", first.token)
    run(desk, *config)
    assert desk.kept()[0] == 1


def test_without_a_configuration_it_is_the_public_good_instance(
    first: Service, desk: Reviewed, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sigstore.models import ClientTrustConfig

    asked = []

    def production() -> ClientTrustConfig:
        asked.append("production")
        return ClientTrustConfig.from_json(first.trust_config.decode())

    monkeypatch.setattr(ClientTrustConfig, "production", production)
    evidence = sign_statement(ci_statement(desk.review), token=first.token(), trust_config=None)
    assert asked == ["production"]
    desk.offer(evidence, trusted_root=first.sigstore.trusted_root())


def test_a_review_from_before_the_policy_is_not_attested(
    first: Service, desk: Reviewed, tmp_path: Path
) -> None:
    with_policy(desk, first.sigstore)
    before = desk.kept()
    with pytest.raises(PolicyError, match="under no policy"):
        run(desk, *given(first, tmp_path))
    assert desk.kept() == before
    assert first.requests == []  # nothing was published to a log that could not be kept


def test_the_policy_says_whose_attestation_is_kept_and_is_then_met(
    first: Service, desk: Reviewed, tmp_path: Path
) -> None:
    policy = with_policy(desk, first.sigstore)
    under = review_under(desk, policy)
    repository = desk.world.repository

    def attestations() -> tuple[VerifiedAttestation, ...]:
        assert policy.ci is not None
        with snapshot(repository.engine) as session:
            row = find(session, desk.candidate)
            return verified_attestations(
                repository, session, row, review=under.review, demand=policy.ci, now=now()
            )

    with pytest.raises(PolicyError, match="not attested by"):
        check_policy(policy, review=under.review, reviewers=["alice"], identities=attestations(), now=now())

    first.certified = "https://ci.example/skills/fork@refs/heads/main"
    before = desk.kept()
    with pytest.raises(VerificationError, match="another identity"):
        run(desk, *given(first, tmp_path))
    assert desk.kept() == before

    first.certified = None
    run(desk, *given(first, tmp_path))
    check_policy(policy, review=under.review, reviewers=["alice"], identities=attestations(), now=now())


def test_a_policy_beside_the_keys_goes_first(first: Service, desk: Reviewed, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "policy.toml").write_text("[review]\nreviewers = 2\n")
    (keys / "trust-anchor.json").write_bytes(desk.world.anchor)
    before = desk.kept()
    with pytest.raises(PolicyError, match="in force is policy"):
        run(desk, *given(first, tmp_path), keys=keys)
    (keys / "trust-anchor.json").write_bytes(b"{}")
    with pytest.raises(CouldNotVerifyError, match="not the one that you brought along"):
        run(desk, *given(first, tmp_path), keys=keys)
    assert desk.kept() == before
    assert first.requests == []


def test_an_identity_that_the_authority_made_up_is_not_kept(first: Service, desk: Reviewed) -> None:
    first.certified = "https://ci.example/skills/fork@refs/heads/main"
    evidence = sign_statement(ci_statement(desk.review), token=first.token(), trust_config=first.trust_config)
    before = desk.kept()
    with pytest.raises(VerificationError, match="another identity"):
        desk.offer(evidence, trusted_root=first.sigstore.trusted_root())
    assert desk.kept() == before


def test_the_same_evidence_again_changes_nothing(desk: Reviewed) -> None:
    sigstore = PrivateSigstore()
    evidence = sigstore.sign_statement(desk.payload)
    desk.offer(evidence, trusted_root=sigstore.trusted_root())
    before = desk.kept()
    desk.offer(evidence, trusted_root=sigstore.trusted_root())
    assert desk.kept() == before


@pytest.mark.parametrize("what", ["unset", "expired", "nonsense", "for-others", "empty", "two"])
def test_without_a_usable_token_nothing_is_asked(
    what: str, first: Service, desk: Reviewed, tmp_path: Path
) -> None:
    config, value, option, name = given(first, tmp_path)
    token = Path(name)
    words = [config, value, option, name]
    secret = token.read_text()
    error: type[SkillRepoError] = KeyAccessError
    if what == "unset":
        words = words[:2]
    elif what == "expired":
        token.write_text(first.token(seconds=-60))
    elif what == "nonsense":
        token.write_text("not.a.token")
    elif what == "for-others":
        token.chmod(0o644)
    elif what == "empty":
        token.write_text("")
    else:
        words += ["--identity-token-fd", "0"]
        error = UsageError
    before = desk.kept()

    with pytest.raises(error) as caught:
        run(desk, *words)

    assert first.requests == []
    assert desk.kept() == before
    assert secret.strip() not in str(caught.value.to_document())


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/api/v2/signingCert", (500, b"broken")),
        ("/api/v2/signingCert", (201, b"{}")),
        ("/api/v2/signingCert", (201, b"not JSON")),
        ("/api/v1/log/entries", (503, b"later")),
        ("/api/v1/log/entries", (201, b'{"a":{},"b":{}}')),
        ("/api/v1/log/entries", (201, b"<html>")),
    ],
    ids=["authority-500", "authority-empty", "authority-text", "log-503", "log-nonsense", "log-html"],
)
def test_services_that_fail_leave_nothing(
    path: str, answer: tuple[int, bytes], first: Service, desk: Reviewed, tmp_path: Path
) -> None:
    words = given(first, tmp_path)
    first.answers[path] = answer
    before = desk.kept()
    with pytest.raises(TransportError, match="could not sign"):
        run(desk, *words)
    assert path in first.requests
    assert desk.kept() == before


def test_a_token_echoed_by_a_service_is_not_shown(first: Service, desk: Reviewed) -> None:
    token = first.token()
    first.answers["/api/v2/signingCert"] = (400, f'{{"message":"bad token {token}"}}'.encode())
    with pytest.raises(TransportError) as caught:
        sign_statement(ci_statement(desk.review), token=token, trust_config=first.trust_config)
    assert token not in str(caught.value.to_document())
    assert token.split(".")[2] not in str(caught.value.to_document())
    assert caught.value.__cause__ is None


def test_a_service_that_never_answers_is_given_up(first: Service, desk: Reviewed) -> None:
    first.silent = True
    with pytest.raises(TransportError, match=r"within 0\.5 seconds"):
        sign_statement(
            ci_statement(desk.review), token=first.token(), trust_config=first.trust_config, patience=0.5
        )


@pytest.mark.parametrize("config", [b"{}", b"[]", b"\xff", b""], ids=["empty", "list", "binary", "nothing"])
def test_what_is_no_trust_configuration_is_refused(
    config: bytes, first: Service, desk: Reviewed, tmp_path: Path
) -> None:
    words = given(first, tmp_path)
    Path(words[1]).write_bytes(config)
    before = desk.kept()
    with pytest.raises(FormatError):
        run(desk, *words)
    with pytest.raises(FormatError):
        sign_statement(ci_statement(desk.review), token=first.token(), trust_config=config)
    assert desk.kept() == before
    assert first.requests == []


def test_without_a_root_to_verify_by_nothing_is_signed(desk: Reviewed) -> None:
    with pytest.raises(UsageError, match="nothing to verify"):
        run(desk)


def test_only_approved_candidates_are_attested(first: Service, desk: Reviewed, tmp_path: Path) -> None:
    world = desk.world
    words = given(first, tmp_path)
    world.review(desk.candidate, decision=Decision.NEEDS_WORK)
    with pytest.raises(BlockedError):
        run(desk, *words)
    fresh = Reviewed(world, world.import_skill("image-renamer==1.0"), desk.review)
    with pytest.raises(NotFoundError, match="not reviewed"):
        run(fresh, *words)
    assert first.requests == []
    assert desk.kept()[0] == 0


def test_files_exchanged_in_the_database_are_not_attested(desk: Reviewed) -> None:
    repository = desk.world.repository
    other = desk.world.import_skill("image-renamer==1.0")
    with transaction(repository.engine) as session:
        # The review of one candidate under another one's files.
        source, target = find(session, desk.candidate), find(session, other)
        target.name, target.version = source.name, source.version
        target.review_sha256, target.bundle_sha256 = source.review_sha256, source.bundle_sha256
        target.bundle_tree_sha256, target.state = source.bundle_tree_sha256, source.state
        session.flush()
        with pytest.raises(DigestMismatchError):
            attestable(repository, session, target, now=now())


def test_a_second_curator_does_not_undo_it_and_a_new_review_does(desk: Reviewed) -> None:
    sigstore = PrivateSigstore()
    desk.offer(sigstore.sign_statement(desk.payload), trusted_root=sigstore.trusted_root())
    repository, demand = desk.world.repository, demands(sigstore)

    desk.world.review(desk.candidate, by="bob")
    with snapshot(repository.engine) as session:
        row = find(session, desk.candidate)
        assert verified_attestations(repository, session, row, review=desk.review, demand=demand, now=now())
    desk.world.review(desk.candidate, decision=Decision.REJECT)
    desk.world.review(desk.candidate, by="bob")
    with snapshot(repository.engine) as session:
        row = find(session, desk.candidate)
        review = attestable(repository, session, row, now=now()).review
        with pytest.raises(WrongSubjectError, match="another review"):
            verified_attestations(repository, session, row, review=review, demand=demand, now=now())


def test_what_the_database_says_is_not_believed(desk: Reviewed) -> None:
    """A row that names the right identity, over evidence by somebody else, and evidence that is gone."""
    sigstore = PrivateSigstore()
    repository = desk.world.repository
    evil = sigstore.sign_statement(desk.payload, identity="https://ci.example/evil")
    good = sigstore.sign_statement(desk.payload)
    desk.offer(good, trusted_root=sigstore.trusted_root())
    with transaction(repository.engine) as session:
        digest = repository.blobs.store(evil)
        session.execute(text("UPDATE attestations SET evidence_sha256 = :d"), {"d": digest})

    def verified() -> Any:
        with snapshot(repository.engine) as session:
            row = find(session, desk.candidate)
            return verified_attestations(
                repository, session, row, review=desk.review, demand=demands(sigstore), now=now()
            )

    with pytest.raises(VerificationError, match="another identity"):
        verified()
    with transaction(repository.engine) as session:
        session.execute(text("UPDATE attestations SET evidence_sha256 = :d"), {"d": "0" * 64})
    with pytest.raises(NotFoundError):
        verified()
    desk.offer(good, trusted_root=sigstore.trusted_root())
    assert len(verified()) == 1  # one that holds is enough, whatever lies beside it
    with transaction(repository.engine) as session:
        session.execute(delete(AttestationRow))
        assert session.scalars(select(AttestationRow)).all() == []
    assert verified() == ()


def test_patience_is_limited_by_default() -> None:
    assert 0 < making.PATIENCE <= 300
