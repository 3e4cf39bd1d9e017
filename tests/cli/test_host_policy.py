"""An operator signs the policy of a jail host at home; the host goes by it, and by nothing else from then on."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.session import Desk
from tests.cli.warm import WarmDesk

pytestmark = pytest.mark.slow

SIGN = ("skillrepo", "--repo", "r", "host-policy", "sign", "policy.toml")
SETTINGS = """db = "hive.db"
server = "{server}"
trust_anchor = "r/trust-anchor.json"
policy = "policy.toml"
policy_signatures = "policy.dsse.json"
"""


@pytest.fixture
def desk(tmp_path: Path, put_repository: Callable[[Path], None]) -> Desk:
    put_repository(tmp_path)
    return Desk(tmp_path)


def test_from_the_operators_desk_to_the_host(desk: Desk) -> None:
    with WarmDesk(desk) as warm:
        _story(desk, warm)


def _story(desk: Desk, warm: WarmDesk) -> None:
    policy, signatures = desk.folder / "policy.toml", desk.folder / "policy.dsse.json"
    policy.write_text('reviewers = 2\nengines = ["skillrepo"]\n')
    assert warm.json(*SIGN, "--as", "operator-1", status=2)["error"]["code"] == "usage"
    assert not signatures.exists()
    for wrong in (("--as", "curator-1", "--serial", "1", "--host", "*", "--days", "30"),):
        assert warm.json(*SIGN, *wrong, status=12)["error"]["code"] == "not-entitled"
        assert not signatures.exists()
    done = warm.run(
        *SIGN, "--as", "operator-1", "--serial", "1", "--host", "*", "--days", "30", "--json", status=0
    )
    assert (done.document["serial"], done.document["signed_by"], done.document["complete"]) == (
        1,
        ["operator-1"],
        True,
    )
    assert "reviewers = 2" in done.stderr  # what is signed is shown
    assert "every host" in done.stderr
    before = signatures.read_bytes()
    policy.write_text("reviewers = 1\n")
    said = warm.json(*SIGN, "--as", "operator-1", status=4)["error"]
    assert "--serial 2" in said["hint"]
    assert signatures.read_bytes() == before
    policy.write_text('reviewers = 2\nengines = ["skillrepo"]\n')

    with desk.serving("skillrepo", "--repo", "r", "serve", "--port", "0") as server:
        (desk.folder / "hive.toml").write_text(SETTINGS.format(server=server))
        hive = ("hive", "--config", "hive.toml")
        shown = warm.json(*hive, "policy", "show")
        assert (shown["signed"]["serial"], shown["signed"]["signed_by"]) == (1, ["operator-1"])
        text = warm.run(*hive, "policy", "show").stdout
        assert "signed    by operator-1 (1 of at least 1 operators)" in text
        assert "for every host" in text
        policy.write_text("")
        refused = warm.run(*hive, "policy", "show", status=11)
        assert "error[digest-mismatch]" in refused.stderr
        assert "skillrepo host-policy sign" in refused.stderr
        signatures.unlink()
        assert "has to be signed here" in warm.run(*hive, "policy", "show", status=11).stderr


def test_what_is_no_policy_is_not_signed(desk: Desk) -> None:
    new = ("--as", "operator-1", "--serial", "1", "--host", "*", "--days", "30")
    with WarmDesk(desk) as warm:
        assert warm.json(*SIGN, *new, status=3)["error"]["code"] == "not-found"
        (desk.folder / "policy.toml").write_text("no toml")
        assert warm.json(*SIGN, *new, status=10)["error"]["code"] == "malformed"
        (desk.folder / "policy.toml").write_text("reviewers = 1\n")
        for host in ("Big", "a b", "*.example", ""):
            wrong = [host if word == "*" else word for word in new]
            assert warm.json(*SIGN, *wrong, status=10)["error"]["code"] == "malformed"
        (desk.folder / "policy.dsse.json").write_text("{}")
        assert warm.json(*SIGN, *new, status=10)["error"]["code"] == "malformed"
        assert (desk.folder / "policy.dsse.json").read_text() == "{}"


def test_an_escape_in_the_file_is_shown_as_what_it_is(desk: Desk) -> None:
    (desk.folder / "policy.toml").write_text("reviewers = 1 # \u202e\x7f\n".replace("\x7f", "\u200b"))
    words = ("--as", "operator-1", "--serial", "1", "--host", "*", "--days", "30")
    with WarmDesk(desk) as warm:
        said = warm.run(*SIGN, *words).stderr
    assert "<U+202E>" in said
    assert "\u202e" not in said
