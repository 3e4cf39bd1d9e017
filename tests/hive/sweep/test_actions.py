"""What is done about findings, and that no file makes it less than the floor."""

import pytest

from hive.sweep.actions import DEFAULTS, FLOOR, Action, actions_for, parse_actions
from hive.sweep.findings import Finding, Found
from signing.errors import FormatError


def finding(kind: Found) -> Finding:
    return Finding(kind=kind, subject="x", detail="y")


def test_every_kind_has_an_answer_of_at_least_the_floor() -> None:
    assert set(DEFAULTS) == set(Found)
    assert all(FLOOR[kind] <= DEFAULTS[kind] for kind in FLOOR)


def test_actions_come_in_their_order_each_once() -> None:
    found = [finding(Found.DRIFT), finding(Found.REVOKED), finding(Found.REVOKED)]
    assert actions_for(found, DEFAULTS) == (
        Action.UNROUTABLE,
        Action.WITHDRAW_SECRETS,
        Action.STOP_JAIL,
        Action.NOTIFY,
    )
    assert actions_for([], DEFAULTS) == ()
    assert actions_for([finding(Found.YANKED)], DEFAULTS) == ()


def test_a_file_may_add() -> None:
    chosen = parse_actions({"drift": ["unroutable", "stop-jail"], "yanked": ["notify"]}, where="policy")
    assert actions_for([finding(Found.DRIFT)], chosen) == (Action.UNROUTABLE, Action.STOP_JAIL)
    assert actions_for([finding(Found.YANKED)], chosen) == (Action.NOTIFY,)
    assert chosen[Found.REVOKED] == DEFAULTS[Found.REVOKED]


@pytest.mark.parametrize("kind", sorted(FLOOR))
def test_no_file_goes_below_the_floor(kind: Found) -> None:
    with pytest.raises(FormatError):
        parse_actions({kind.value: ["notify"]}, where="policy")
    with pytest.raises(FormatError):
        parse_actions({kind.value: []}, where="policy")


@pytest.mark.parametrize(
    "table",
    [{"drfit": ["notify"]}, {"drift": "unroutable"}, {"drift": ["reboot"]}, {"drift": [3]}],
    ids=["kind", "text", "action", "number"],
)
def test_what_is_no_table_of_actions_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        parse_actions(table, where="policy")
