"""The policy of a host demands more than the floor, and never less."""

from datetime import timedelta
from pathlib import Path

import pytest

from hive.policy import POLICY
from hive.policy_file import load_policy, parse_policy
from signing.errors import FormatError, NotFoundError

FULL = """
reviewers = 2
evidence_minutes = 10
engines = ["skillrepo"]
review_policies = ["{digest}"]
[caps.paid]
hosts = ["b.example", "*.a.example"]
[sweep]
drift = ["notify"]
"""


def test_no_file_is_the_floor() -> None:
    found = load_policy(None)
    assert found.policy is POLICY
    assert found.policy.sha256 == POLICY.sha256


def test_a_file_demands_more(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(FULL.format(digest="a" * 64))
    found = load_policy(path).policy
    assert found.reviewers == 2
    assert found.evidence_life == timedelta(minutes=10)
    assert found.engines == ("skillrepo",)
    assert found.review_policies == ("a" * 64,)
    assert found.caps_of("paid").to_json() == {"hosts": ["*.a.example", "b.example"]}
    assert not found.caps_of("free")
    assert found.sha256 != POLICY.sha256


def test_an_empty_file_is_the_floor(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("")
    assert load_policy(path).policy.sha256 == POLICY.sha256


@pytest.mark.parametrize(
    "text",
    [
        "reviewers = 0",
        "reviewers = -1",
        "reviewers = true",
        "reviewers = '2'",
        "evidence_minutes = 16",
        "evidence_minutes = 0",
        "engines = []",
        "engines = ''",
        "review_policies = ['abc']",
        "review_policies = []",
        "paid = 'anything'",
        "allow_external = true",
        "[tiers]\npaid = 'free'",
        "[caps.gratis]\nhosts = []",
        "[caps.paid]\nhosts = ['*']",
        "[caps.paid]\nhosts = 3",
        "caps = 3",
        "sweep = 3",
        "reviewers = ",
    ],
)
def test_a_host_cannot_demand_less(text: str) -> None:
    with pytest.raises(FormatError):
        parse_policy(text.encode(), where="policy.toml")


def test_a_policy_that_is_named_and_not_there_is_no_floor(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        load_policy(tmp_path / "policy.toml")
    with pytest.raises(NotFoundError):
        load_policy(tmp_path)
    (tmp_path / "bin").write_bytes(b"\xff\xfe")
    with pytest.raises(FormatError):
        load_policy(tmp_path / "bin")
