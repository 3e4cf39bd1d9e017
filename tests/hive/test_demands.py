"""Who counts as a reviewer: persons, by the names and by the keys that they signed with."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from hive.demands import check_demands
from hive.policy import Policy
from signing.errors import ThresholdError
from signing.evidence import VerifiedRelease
from signing.format.names import Pin


def release(names: Sequence[str], keyids: Sequence[str]) -> VerifiedRelease:
    review = SimpleNamespace(engines=(), policy_sha256=None)
    verified = SimpleNamespace(reviewers=tuple(names), reviewer_keyids=tuple(keyids), review=review)
    return cast("VerifiedRelease", SimpleNamespace(pin=Pin.parse("web-search==1.0"), review=verified))


@pytest.mark.parametrize(
    ("names", "keyids", "persons"),
    [
        (["alice", "bob"], ["a1", "b1"], 2),
        (["alice"], ["a1"], 1),
        (["alice", "alice"], ["a1", "a2"], 1),
        (["alice", "alice", "bob"], ["a1", "a2", "b1"], 2),
        (["alice", "bob"], ["a1", "a1"], 1),
    ],
    ids=["two", "one", "an old and a new key", "two, one with two keys", "two names for one key"],
)
def test_a_policy_counts_persons(names: Sequence[str], keyids: Sequence[str], persons: int) -> None:
    found = release(names, keyids)
    check_demands(found, Policy(reviewers=persons), [])
    with pytest.raises(ThresholdError) as caught:
        check_demands(found, Policy(reviewers=persons + 1), [])
    assert (caught.value.facts["signed"], caught.value.facts["threshold"]) == (persons, persons + 1)
