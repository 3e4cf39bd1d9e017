"""The policy of a host demands more than the floor, and never less."""

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hive.config import HiveConfig
from hive.policy import POLICY
from hive.policy_file import HostPolicy, parse_policy
from hive.policy_loading import load_host_policy
from hive.sweep.actions import FLOOR, Action
from hive.sweep.findings import Found
from signing.errors import FormatError, NotFoundError
from tests.support.world import now

FULL = """
reviewers = 2
evidence_minutes = 10
engines = ["skillrepo"]
review_policies = ["{digest}"]
[caps.paid]
hosts = ["b.example", "*.a.example"]
[sweep]
drift = ["unroutable", "notify"]
"""


def load(path: Path | None) -> HostPolicy:
    """The policy of a host that has no memory and asks nobody."""

    def no_client(_: HiveConfig) -> NoReturn:
        raise AssertionError("nobody is asked about an unsigned policy")

    config = HiveConfig(policy=str(path) if path is not None else None)
    return load_host_policy(config, engine=None, open_client=no_client, now=now())


def test_no_file_is_the_floor() -> None:
    found = load(None)
    assert found.policy is POLICY
    assert found.policy.sha256 == POLICY.sha256


def test_a_file_demands_more(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(FULL.format(digest="a" * 64))
    whole = load(path)
    assert whole.actions[Found.DRIFT] == {Action.UNROUTABLE, Action.NOTIFY}
    found = whole.policy
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
    assert load(path).policy.sha256 == POLICY.sha256


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
        '[sweep]\nrevoked = ["notify"]',
        "[sweep]\ndrift = []",
        '[sweep]\nmoonlight = ["notify"]',
        '[notify]\ncommand = "/bin/sh -c true"',
        '[notify]\nwebhook = "http://chat.example/x"',
        "notify = 3",
        '[sweep]\ndrift = [["notify"]]',
        "[sweep]\ndrift = [{}]",
        '[notify]\ncommand = ["/bin/\\u0000x"]',
        'engines = ["a\\u001bb"]',
        '[caps.paid]\nhosts = [["x"]]',
        "reviewers = " + "9" * 5000,
        "engines = " + "[" * 5000,
        "[caps]\npaid = 3",
        "reviewers = ",
    ],
)
def test_a_host_cannot_demand_less(text: str) -> None:
    with pytest.raises(FormatError):
        parse_policy(text.encode(), where="policy.toml")


@pytest.mark.parametrize(
    "less",
    [
        {"reviewers": 0},
        {"reviewers": -1},
        {"evidence_life": timedelta(minutes=16)},
        {"evidence_life": timedelta(0)},
        {"evidence_life": timedelta(-1)},
    ],
    ids=["nobody", "fewer", "longer", "never", "negative"],
)
def test_nor_can_our_own_code_by_mistake(less: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match="floor"):
        replace(POLICY, **less)


def test_a_policy_that_is_named_and_not_there_is_no_floor(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        load(tmp_path / "policy.toml")
    with pytest.raises(NotFoundError):
        load(tmp_path)
    (tmp_path / "bin").write_bytes(b"\xff\xfe")
    with pytest.raises(FormatError):
        load(tmp_path / "bin")


def test_what_is_no_plain_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "policy.toml")
    with pytest.raises(NotFoundError, match="no file"):
        load(tmp_path / "policy.toml")


WORDS = st.sampled_from(
    [
        "reviewers",
        "evidence_minutes",
        "engines",
        "caps",
        "[caps.paid]",
        "[sweep]",
        "hosts",
        "drift",
        "=",
        "[",
        "]",
        "\n",
        '"x"',
        "0",
        "1",
        "2",
        "true",
        "{",
        "}",
        ",",
        ".",
        "[[caps]]",
        "1979-05-27",
        "'",
        '"""',
        "review_policies",
    ]
)


@given(
    st.lists(WORDS, max_size=14).map(" ".join)
    | st.binary(max_size=80).map(lambda data: data.decode("latin-1"))
)
@settings(max_examples=300, deadline=None)
def test_whatever_stands_in_a_file_it_demands_the_floor_or_is_refused(text: str) -> None:
    try:
        found = parse_policy(text.encode(), where="policy.toml").policy
    except FormatError:
        return
    assert found.reviewers >= POLICY.reviewers
    assert found.evidence_life <= POLICY.evidence_life
    for kind, least in FLOOR.items():
        assert least <= parse_policy(text.encode(), where="policy.toml").actions[kind]
