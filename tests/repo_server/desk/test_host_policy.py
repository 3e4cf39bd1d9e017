"""An operator far from the repository signs the policy of a host: own keys, own anchor, and the server is not believed."""

from pathlib import Path

import pytest

from signing.format.envelope import Envelope
from signing.format.host_policy import PolicyStatement
from tests.cli.session import Desk
from tests.cli.warm import WarmDesk
from tests.repo_server.desk.test_commands import _warm, curator, desk, machine, server
from tests.support.world import World

__all__ = ["_warm", "desk", "machine", "server"]

pytestmark = pytest.mark.slow

NEW = ("--serial", "1", "--host", "jails1.example", "--days", "30", "--yes")


def test_from_another_machine(server: World, tmp_path: Path, machine: Desk, desk: WarmDesk) -> None:
    repo, passphrase = str(server.repository.folder), str(server.folder / "online-passphrase")
    policy, signatures = tmp_path / "policy.toml", tmp_path / "policy.dsse.json"
    policy.write_text("reviewers = 2\n")
    sign = ("host-policy", "sign", "policy.toml")
    serve = ("skillrepo", "--repo", repo, "--online-passphrase-file", passphrase, "serve", "--desk")
    with machine.serving(*serve, "--port", "0") as url:
        olga, alice = (curator(desk, tmp_path, server, name, url) for name in ("olga", "alice"))
        refused = alice.json(*sign, *NEW, "--as", "alice", status=12)
        assert refused["error"]["code"] == "not-entitled"
        assert not signatures.exists()
        assert olga.json(*sign, "--as", "olga", status=2)["error"]["code"] == "usage"
        done = olga.json(*sign, *NEW, "--as", "olga")
        assert (done["signed_by"], done["threshold"], done["complete"]) == (["olga"], 1, True)
    envelope = Envelope.parse(signatures.read_bytes())
    assert PolicyStatement.of(envelope).host == "jails1.example"
    assert [item.keyid for item in envelope.signatures] == [server.signers["olga"].held.keyid]
