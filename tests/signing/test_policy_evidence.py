"""The policy file of a host, signed by its operators: each way to get another one past them."""

import copy
import json
import pickle  # noqa: TID251 - that it does not work is the test
from dataclasses import replace
from datetime import timedelta
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signing.errors import (
    BadSignatureError,
    CouldNotVerifyError,
    DigestMismatchError,
    ExpiredError,
    FormatError,
    RejectedError,
    SkillRepoError,
    ThresholdError,
    WrongSubjectError,
)
from signing.format.canonical import canonical
from signing.format.digest import sha256_of
from signing.format.envelope import Envelope, EnvelopeSignature
from signing.format.host_policy import (
    HOST_POLICY_TYPE,
    MAX_ENVELOPE_BYTES,
    MAX_LIFE,
    MAX_POLICY_BYTES,
    PolicyStatement,
    parse_policy_host,
)
from signing.format.statement import PAYLOAD_TYPE, Statement, Subject
from signing.policy_evidence import VerifiedPolicyFile, verify_policy_file
from signing.trusted import TrustedMetadata
from tests.signing.people import person
from tests.signing.repository import MALLORY, NOW, OLGA, TOPOLOGY, State, build, held

OTTO = person("otto")
ALICE = person("alice")
HOST = "jails1.example"
POLICY = b"reviewers = 2\n"
SAID = PolicyStatement(
    sha256=sha256_of(POLICY), host=HOST, serial=7, issued_at=NOW, expires_at=NOW + timedelta(days=90)
)


@cache
def trusted() -> TrustedMetadata:
    """A repository whose policies two of two operators sign."""
    return build(replace(TOPOLOGY, operators=held(OLGA, OTTO, threshold=2))).verify()


def signed(said: PolicyStatement = SAID, *people: object) -> Envelope:
    envelope = said.envelope()
    for someone in people or (OLGA, OTTO):
        envelope = someone.sign_envelope(envelope)  # type: ignore[attr-defined]
    return envelope


def verify(
    envelope: Envelope | bytes, data: bytes = POLICY, *, host: str = HOST, at: TrustedMetadata | None = None
) -> VerifiedPolicyFile:
    rendered = envelope if isinstance(envelope, bytes) else envelope.render()
    return verify_policy_file(data, rendered, host=host, trusted=at or trusted())


def later(seconds: int) -> TrustedMetadata:
    return build(replace(TOPOLOGY, operators=held(OLGA, OTTO, threshold=2))).verify(
        now=NOW + timedelta(seconds=seconds)
    )


def test_what_the_operators_signed_is_evidence() -> None:
    found = verify(signed())
    assert (found.data, found.said) == (POLICY, SAID)
    assert (found.signers, found.threshold, found.checked_at) == (("olga", "otto"), 2, NOW)
    assert found.signer_keyids == tuple(sorted(key.held.keyid for key in (OLGA, OTTO)))


def test_a_policy_for_every_host_is_for_this_one() -> None:
    assert verify(signed(replace(SAID, host="*"))).said.host == "*"


def test_signatures_of_others_beside_enough_count_for_nothing() -> None:
    found = verify(signed(SAID, MALLORY, OLGA, OTTO, ALICE))
    assert found.signers == ("olga", "otto")


def test_one_operator_is_not_two() -> None:
    with pytest.raises(ThresholdError) as caught:
        verify(signed(SAID, OLGA))
    assert caught.value.facts["missing"] == ("otto",)
    assert "operator" in caught.value.hint


def test_an_operator_and_a_stranger_are_one_operator() -> None:
    with pytest.raises(ThresholdError):
        verify(signed(SAID, OLGA, MALLORY))


def test_nobody_signed() -> None:
    with pytest.raises(ThresholdError):
        verify(SAID.envelope())


@pytest.mark.parametrize("people", [(MALLORY,), (ALICE, MALLORY)], ids=["stranger", "curator"])
def test_who_is_no_operator_signs_no_policy(people: tuple[object, ...]) -> None:
    with pytest.raises(BadSignatureError, match="no operator"):
        verify(signed(SAID, *people))


def test_one_key_twice_is_refused() -> None:
    envelope = signed(SAID, OLGA)
    document = json.loads(envelope.render())
    document["signatures"] *= 2
    with pytest.raises(FormatError, match="twice"):
        verify(canonical(document))


def test_one_key_under_another_id_is_nobodys() -> None:
    envelope = signed(SAID, OLGA)
    mine = envelope.signatures[0]
    for keyid in (OTTO.held.keyid, sha256_of(b"made up")):
        both = envelope.with_signature(EnvelopeSignature(keyid=keyid, signature=mine.signature))
        with pytest.raises((BadSignatureError, ThresholdError)):
            verify(both)


def test_an_altered_file_is_refused() -> None:
    for data in (POLICY + b" ", b"", POLICY.replace(b"2", b"1")):
        with pytest.raises(DigestMismatchError, match="not the one that was signed"):
            verify(signed(), data)


@pytest.mark.parametrize("host", ["jails2.example", "jails1", "jails1.example.evil.example", "", "*"])
def test_another_hosts_policy_is_refused(host: str) -> None:
    with pytest.raises(WrongSubjectError, match="is the policy of"):
        verify(signed(), host=host)


def test_its_end_is_its_end() -> None:
    soon = replace(SAID, expires_at=NOW + timedelta(seconds=600))
    assert verify(signed(soon), at=later(599)).said == soon
    with pytest.raises(ExpiredError, match="ended"):
        verify(signed(soon), at=later(600))


def test_what_has_not_begun_does_not_hold() -> None:
    near, far = (replace(SAID, issued_at=NOW + timedelta(minutes=minutes)) for minutes in (5, 6))
    assert verify(signed(near)).said == near
    with pytest.raises(CouldNotVerifyError, match="begins at") as caught:
        verify(signed(far))
    assert "clock" in caught.value.hint


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"payload_type": "text/plain"}, WrongSubjectError),
        ({"predicate_type": "https://skills.clawdie.si/attestations/review/v1"}, WrongSubjectError),
        ({"subjects": (Subject(name="web-search", sha256=SAID.sha256),)}, WrongSubjectError),
        ({"subjects": (Subject(name="host-policy", sha256=SAID.sha256),) * 2}, WrongSubjectError),
        ({"predicate": {}}, FormatError),
        ({"predicate": {**SAID.statement().predicate, "more": 1}}, FormatError),
        ({"predicate": {**SAID.statement().predicate, "serial": 0}}, FormatError),
        ({"predicate": {**SAID.statement().predicate, "serial": "7"}}, FormatError),
        ({"predicate": {**SAID.statement().predicate, "serial": True}}, FormatError),
        ({"predicate": {**SAID.statement().predicate, "host": "Jails1.example"}}, FormatError),
        ({"predicate": {**SAID.statement().predicate, "host": ["*"]}}, FormatError),
        ({"predicate": {**SAID.statement().predicate, "expires_at": "2026-11-22T12:00:00Z"}}, FormatError),
        ({"predicate": {**SAID.statement().predicate, "expires_at": "2029-11-22T12:00:00Z"}}, FormatError),
        ({"predicate": {**SAID.statement().predicate, "expires_at": "never"}}, FormatError),
    ],
    ids=lambda value: None if isinstance(value, type) else "-".join(value),
)
def test_what_operators_sign_beside_policies_is_none(
    change: dict[str, object], expected: type[SkillRepoError]
) -> None:
    """They sign other things too, and somebody may trick two of them into signing nonsense."""
    facts: dict[str, object] = {
        "subjects": SAID.statement().subjects,
        "predicate_type": HOST_POLICY_TYPE,
        "predicate": SAID.statement().predicate,
        "payload_type": PAYLOAD_TYPE,
        **change,
    }
    payload_type = str(facts.pop("payload_type"))
    envelope = Envelope(payload_type=payload_type, payload=Statement(**facts).render())  # type: ignore[arg-type]
    for someone in (OLGA, OTTO):
        envelope = someone.sign_envelope(envelope)
    with pytest.raises(expected):
        verify(envelope)


def test_what_is_too_large_is_not_read() -> None:
    with pytest.raises(FormatError, match="too large"):
        verify(signed(), b" " * (MAX_POLICY_BYTES + 1))
    with pytest.raises(FormatError, match="too large"):
        verify(b" " * (MAX_ENVELOPE_BYTES + 1))


def test_a_repository_that_takes_a_key_away_takes_its_word_away() -> None:
    """Otto is no operator any more, and Mallory has taken his place: the old signatures are one."""
    after = build(replace(TOPOLOGY, operators=held(OLGA, MALLORY, threshold=2))).verify()
    with pytest.raises(ThresholdError) as caught:
        verify(signed(), at=after)
    assert caught.value.facts["missing"] == ("mallory",)


def test_the_life_of_a_policy_has_an_end() -> None:
    assert replace(SAID, expires_at=NOW + MAX_LIFE).expires_at == NOW + MAX_LIFE
    for end in (NOW, NOW - timedelta(1), NOW + MAX_LIFE + timedelta(seconds=1)):
        with pytest.raises(FormatError):
            replace(SAID, expires_at=end)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "A",
        "a_b",
        "-a",
        "a-",
        ".a",
        "a.",
        "a..b",
        "*.example",
        "**",
        "a b",
        "a\n",
        "ä",
        "a" * 254,
        3,
        None,
    ],
)
def test_a_host_has_one_spelling(host: object) -> None:
    with pytest.raises(FormatError):
        parse_policy_host(host)


def test_evidence_is_made_in_one_place() -> None:
    found = verify(signed())
    with pytest.raises(TypeError):
        VerifiedPolicyFile(
            data=b"reviewers = 1\n",
            said=SAID,
            statement_sha256=found.statement_sha256,
            signers=("olga", "otto"),
            signer_keyids=found.signer_keyids,
            threshold=2,
            checked_at=NOW,
            seal=object(),  # type: ignore[arg-type]
        )
    with pytest.raises((TypeError, ValueError)):
        replace(found, data=b"reviewers = 1\n")
    for travel in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            travel(found)


RENDERED = signed().render()


@given(st.integers(0, len(RENDERED) - 1), st.integers(1, 255))
@settings(max_examples=400, deadline=None)
def test_no_flipped_bit_of_the_signatures_is_taken(place: int, mask: int) -> None:
    altered = bytearray(RENDERED)
    altered[place] ^= mask
    with pytest.raises(RejectedError):
        verify(bytes(altered))


@given(st.integers(0, len(RENDERED)), st.binary(max_size=12), st.integers(0, 12))
@settings(max_examples=200, deadline=None)
def test_nothing_put_in_or_taken_out_is_taken(place: int, put: bytes, taken: int) -> None:
    altered = RENDERED[:place] + put + RENDERED[place + taken :]
    if altered == RENDERED:
        return
    with pytest.raises(RejectedError):
        verify(altered)


@given(st.binary(max_size=400))
@settings(max_examples=100, deadline=None)
def test_signed_nonsense_is_refused_with_our_errors(payload: bytes) -> None:
    envelope = Envelope(payload_type=PAYLOAD_TYPE, payload=payload)
    for someone in (OLGA, OTTO):
        envelope = someone.sign_envelope(envelope)
    with pytest.raises(RejectedError):
        verify(envelope)


@given(st.integers(0, len(POLICY) - 1), st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_no_flipped_bit_of_the_file_is_taken(place: int, mask: int) -> None:
    altered = bytearray(POLICY)
    altered[place] ^= mask
    with pytest.raises(DigestMismatchError):
        verify(signed(), bytes(altered))


def test_a_payload_spelled_otherwise_is_refused_although_it_is_signed() -> None:
    document = json.loads(SAID.statement().render())
    envelope = Envelope(payload_type=PAYLOAD_TYPE, payload=json.dumps(document, indent=1).encode())
    for someone in (OLGA, OTTO):
        envelope = someone.sign_envelope(envelope)
    with pytest.raises(FormatError):
        verify(envelope)


def test_a_state_without_operators_vouches_for_no_policy() -> None:
    state = State.fresh().spoil("targets", _without_profiles)
    with pytest.raises(CouldNotVerifyError):
        verify(signed(), at=state.verify())


def _without_profiles(signed_part: dict[str, object]) -> None:
    delegations = signed_part["delegations"]
    assert isinstance(delegations, dict)
    delegations["roles"] = [role for role in delegations["roles"] if role["name"] != "profiles"]
