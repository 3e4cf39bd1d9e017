"""The self-test of containment proves something, or says that it does not."""

import contextlib
from pathlib import Path

import pytest

from hive.gates import self_test
from hive.gates.self_test import Duration, attack_containment, program_digest, render_report
from signing.errors import HostError

QUICK = Duration(until_won=30.0, withstood=1.0)


def test_the_attacker_wins_against_the_naive_and_not_against_ours(tmp_path: Path) -> None:
    report = attack_containment(tmp_path, QUICK)
    assert report["naive"]["escaped"] == 1
    assert report["contained"]["escaped"] == 0
    assert report["contained"]["written"] > 0
    assert report["contained"]["refused"] > 0
    assert report["program_sha256"] == program_digest()
    assert len(report["planted"]) == 5
    assert list(tmp_path.iterdir()) == []
    assert render_report(report) == render_report(dict(reversed(report.items())))


def test_an_installer_that_escapes_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(root: Path, content: bytes) -> None:
        with contextlib.suppress(OSError):
            self_test._naive(root, content)

    monkeypatch.setattr(self_test, "_contained", careless)
    with pytest.raises(HostError, match="no tenant may live here"):
        attack_containment(tmp_path, Duration(until_won=30.0, withstood=10.0))
    assert list(tmp_path.iterdir()) == []


def test_an_attacker_who_never_wins_proves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_test, "_naive", self_test._contained)
    with pytest.raises(HostError, match="nothing is proven"):
        attack_containment(tmp_path, Duration(until_won=0.5, withstood=0.5))
    assert list(tmp_path.iterdir()) == []
