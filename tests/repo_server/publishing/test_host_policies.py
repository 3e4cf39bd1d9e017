"""Operators sign the policy of a host: what the first one decides, and what the next one can still be led to sign."""

from dataclasses import replace
from datetime import timedelta

import pytest

from repo_server.db.session import snapshot
from repo_server.publishing.host_policies import Operators, Wanted, plan_envelope, sign_envelope
from signing.errors import (
    ConflictError,
    ExpiredError,
    FormatError,
    NotEntitledError,
    SkillRepoError,
    UsageError,
    WrongSubjectError,
)
from signing.format.digest import sha256_of
from signing.format.envelope import Envelope
from signing.format.host_policy import PolicyStatement
from signing.format.statement import PAYLOAD_TYPE
from signing.policy_evidence import verify_policy_file
from tests.signing.people import person
from tests.signing.repository import MALLORY, NOW, OLGA, TOPOLOGY, build, held
from tests.support.world import World

ALICE, OTTO = person("alice"), person("otto")
OPERATORS = Operators(keys=(OLGA.public_key, OTTO.public_key), threshold=2)
POLICY = b"reviewers = 2\n"
NOTHING = Wanted(serial=None, host=None, life=None)
FIRST = Wanted(serial=7, host="jails1.example", life=timedelta(days=90))


def begun() -> Envelope:
    return sign_envelope(plan_envelope(POLICY, None, FIRST, now=NOW), OLGA, OPERATORS)


def test_two_operators_sign_the_same_and_a_host_takes_it() -> None:
    first = begun()
    second = sign_envelope(
        plan_envelope(POLICY, first, NOTHING, now=NOW + timedelta(hours=2)), OTTO, OPERATORS
    )
    assert second.payload == first.payload
    assert OPERATORS.signed(second) == ["olga", "otto"]
    trusted = build(replace(TOPOLOGY, operators=held(OLGA, OTTO, threshold=2))).verify()
    found = verify_policy_file(POLICY, second.render(), host="jails1.example", trusted=trusted)
    assert found.said == PolicyStatement(
        sha256=sha256_of(POLICY),
        host="jails1.example",
        serial=7,
        issued_at=NOW,
        expires_at=NOW + timedelta(days=90),
    )


@pytest.mark.parametrize(
    "wanted",
    [NOTHING, Wanted(serial=1, host=None, life=None), Wanted(serial=1, host="*", life=None)],
    ids=["nothing", "serial", "no-end"],
)
def test_the_first_one_says_everything(wanted: Wanted) -> None:
    with pytest.raises(UsageError):
        plan_envelope(POLICY, None, wanted, now=NOW)


@pytest.mark.parametrize(
    ("data", "wanted", "expected"),
    [
        (POLICY + b"#", NOTHING, ConflictError),
        (POLICY + b"#", FIRST, ConflictError),
        (POLICY, Wanted(serial=6, host="*", life=timedelta(1)), ConflictError),
        (POLICY, Wanted(serial=7, host="*", life=None), ConflictError),
        (POLICY, Wanted(serial=None, host="*", life=None), ConflictError),
        (POLICY, Wanted(serial=7, host=None, life=timedelta(91)), ConflictError),
        (POLICY, Wanted(serial=8, host=None, life=None), UsageError),
    ],
    ids=[
        "another-file",
        "another-file-same-serial",
        "lower",
        "host",
        "host-alone",
        "life",
        "new-without-host",
    ],
)
def test_the_next_one_signs_the_same_or_something_newer(
    data: bytes, wanted: Wanted, expected: type[SkillRepoError]
) -> None:
    with pytest.raises(expected):
        plan_envelope(data, begun(), wanted, now=NOW)


def test_a_changed_policy_begins_anew_with_a_higher_serial() -> None:
    again = plan_envelope(b"", begun(), Wanted(serial=8, host="*", life=timedelta(1)), now=NOW)
    assert again.signatures == ()
    assert (PolicyStatement.of(again).serial, PolicyStatement.of(again).host) == (8, "*")


def test_what_has_ended_is_not_signed_any_more() -> None:
    with pytest.raises(ExpiredError):
        plan_envelope(POLICY, begun(), NOTHING, now=NOW + timedelta(days=90))


@pytest.mark.parametrize(
    ("envelope", "expected"),
    [
        (Envelope(payload_type="text/plain", payload=b"{}"), WrongSubjectError),
        (Envelope(payload_type=PAYLOAD_TYPE, payload=b"{}"), FormatError),
    ],
    ids=["type", "no-statement"],
)
def test_nobody_is_led_to_sign_something_else(envelope: Envelope, expected: type[SkillRepoError]) -> None:
    with pytest.raises(expected):
        plan_envelope(POLICY, envelope, NOTHING, now=NOW)


@pytest.mark.parametrize("life", [timedelta(0), timedelta(days=367)], ids=["none", "too-long"])
def test_a_life_has_bounds(life: timedelta) -> None:
    with pytest.raises(FormatError):
        plan_envelope(POLICY, None, Wanted(serial=1, host="*", life=life), now=NOW)


@pytest.mark.parametrize("signer", [MALLORY, ALICE], ids=lambda signer: signer.held.holder)
def test_only_operators_sign(signer: object) -> None:
    envelope = plan_envelope(POLICY, None, FIRST, now=NOW)
    with pytest.raises(NotEntitledError, match="no operator"):
        sign_envelope(envelope, signer, OPERATORS)  # type: ignore[arg-type]


def test_who_is_an_operator_is_said_by_the_repository(world: World) -> None:
    with snapshot(world.repository.engine) as session:
        operators = Operators.of(session, anchor=world.anchor)
    assert ([key.keyid for key in operators.keys], operators.threshold) == (
        [world.signers["olga"].held.keyid],
        1,
    )
