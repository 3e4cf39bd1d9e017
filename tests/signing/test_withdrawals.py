"""Which withdrawals are in force: the curators' threshold, and nothing else, lifts one."""

from dataclasses import replace

import pytest
from tuf.api.metadata import Targets

from signing.errors import CouldNotVerifyError, QuarantinedError, RevokedError, RollbackError, YankedError
from signing.format.digest import Sha256, sha256_of
from signing.format.envelope import EnvelopeSignature
from signing.format.names import HolderName, Pin, parse_skill_name
from signing.format.reinstatement import Reinstatement
from signing.format.revocations import Revocations
from signing.format.scope import Scope
from signing.format.withdrawal import Harm, Withdrawal, Withdrawn
from signing.keystore import SealedKeySigner
from signing.metadata import build_targets
from signing.withdrawals import Curators, check_continues, refusal
from tests.signing.people import person
from tests.signing.repository import CURATORS, MALLORY, NOW, OLGA, TOPOLOGY, held

ALICE, BOB = CURATORS
PIN = Pin.parse("web-search==1.0")
BUNDLE, TREE = sha256_of(b"bundle"), sha256_of(b"tree")
TWO = Curators.of(build_targets(TOPOLOGY, version=1, now=NOW).signed)


def entry(state: Withdrawn = Withdrawn.REVOKED, reason: str = "leaks the query") -> Withdrawal:
    return Withdrawal(
        state=state,
        scope=Scope(name=parse_skill_name("web-search")),
        severity=Harm.HIGH if state is Withdrawn.REVOKED else None,
        reason=reason,
        by=HolderName("bob"),
        at=NOW,
    )


def lifted(given: Withdrawal, *by: SealedKeySigner, about: Sha256 | None = None) -> Withdrawal:
    envelope = Reinstatement(
        withdrawal=about or given.id, reason="a false alarm", by=HolderName("alice"), at=NOW
    ).to_envelope()
    for someone in by:
        signature = someone.sign(envelope.signed_bytes)
        envelope = envelope.with_signature(
            EnvelopeSignature(keyid=signature.keyid, signature=bytes.fromhex(signature.signature))
        )
    return given.with_lifting(envelope)


def states(curators: Curators, *entries: Withdrawal, pin: Pin = PIN) -> list[str]:
    found = curators.covering(Revocations(entries=entries), pin, bundle_sha256=BUNDLE, tree_sha256=TREE)
    return [item.state.value for item in found]


def test_curators_are_those_who_publish():
    assert {key.keyid for key in TWO.keys} == {someone.public_key.keyid for someone in CURATORS}
    assert TWO.threshold == 2
    with pytest.raises(CouldNotVerifyError):
        Curators.of(Targets())


@pytest.mark.parametrize(
    ("by", "in_force"),
    [
        ((), True),
        ((ALICE,), True),
        ((BOB,), True),
        ((ALICE, BOB), False),
        ((ALICE, OLGA), True),
        ((ALICE, MALLORY, OLGA), True),
        ((ALICE, BOB, MALLORY), False),
    ],
    ids=["nobody", "alice", "bob", "both", "an operator", "strangers", "both and a stranger"],
)
def test_the_threshold_lifts(by, in_force):
    assert states(TWO, lifted(entry(), *by)) == (["revoked"] if in_force else [])


def test_one_signature_twice_is_one():
    half = lifted(entry(), ALICE)
    assert half.lifted is not None
    own = half.lifted.signatures[0]
    again = half.lifted.with_signature(replace(own, keyid=BOB.public_key.keyid))  # alice's, in bob's name
    assert states(TWO, half.with_lifting(again)) == ["revoked"]


def test_a_lifting_of_another_entry_lifts_nothing():
    other = entry(reason="a false alarm")
    assert states(TWO, lifted(entry(), ALICE, BOB, about=other.id)) == ["revoked"]


def test_when_curators_change_those_in_office_have_to_sign():
    """Fail closed: a lifting by people who left counts no more."""
    carol = person("carol")
    topology = replace(TOPOLOGY, curators=held(ALICE, carol, threshold=2))
    new = Curators.of(build_targets(topology, version=2, now=NOW).signed)
    assert states(new, lifted(entry(), ALICE, BOB)) == ["revoked"]
    assert states(new, lifted(entry(), ALICE, carol)) == []


def test_a_threshold_of_one_is_met_by_one():
    topology = replace(TOPOLOGY, curators=held(*CURATORS, threshold=1))
    one = Curators.of(build_targets(topology, version=1, now=NOW).signed)
    assert states(one, lifted(entry(), BOB)) == []


def test_the_gravest_comes_first_and_others_do_not_count():
    yanked, quarantined, revoked = (entry(state) for state in Withdrawn)
    assert states(TWO, yanked, quarantined, revoked) == ["revoked", "quarantined", "yanked"]
    assert states(TWO, yanked, quarantined, lifted(revoked, ALICE, BOB)) == ["quarantined", "yanked"]
    assert states(TWO, yanked, quarantined, revoked, pin=Pin.parse("calendar==1.0")) == []


def test_a_list_has_to_begin_with_what_was_seen():
    seen = Revocations(entries=(entry(),))
    memory = {"count": 1, "head": seen.head()}
    check_continues(Revocations(entries=(lifted(entry(), ALICE), entry(Withdrawn.YANKED))), **memory)
    for offered in (Revocations(), Revocations(entries=(entry(Withdrawn.YANKED), entry()))):
        with pytest.raises(RollbackError, match="lost or changed an entry"):
            check_continues(offered, **memory)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        (Withdrawn.REVOKED, RevokedError),
        (Withdrawn.QUARANTINED, QuarantinedError),
        (Withdrawn.YANKED, YankedError),
    ],
    ids=str,
)
def test_a_refusal_says_by_whom_and_why(state, kind):
    error = refusal(entry(state), PIN)
    assert type(error) is kind
    assert "by bob since 2026-11-22T12:00:00Z: leaks the query" in error.message
    assert error.facts["withdrawal"] == entry(state).id
    assert error.facts["pin"] == "web-search==1.0"
    assert error.hint
