"""What the doctor says of a policy that has to be signed, and of the token for packages."""

from datetime import timedelta

from hive.policy_loading import load_host_policy
from tests.hive.doctor.conftest import Clinic
from tests.support.signed_policy import PolicyPlace
from tests.support.world import now

TELLING = '[notify]\nwebhook = "https://chat.example/hive"\n'


def test_a_policy_that_has_to_be_signed(clinic: Clinic) -> None:
    place = PolicyPlace(clinic.folder, clinic.scene.world.signers)
    place.sign(TELLING, life=timedelta(days=60))
    clinic.setting(policy=str(place.policy), policy_signatures=str(place.signatures))
    assert clinic.outcome("policy") == "bad"  # not verified here yet

    def verify() -> None:
        load_host_policy(
            clinic.host.config,
            engine=clinic.scene.mother.engine,
            open_client=lambda _: clinic.scene.mother.client,
            now=now(),
        )

    verify()
    assert clinic.outcome("policy") == "ok"
    place.policy.write_text("")
    assert clinic.outcome("policy") == "bad"
    place.sign(TELLING, serial=2, life=timedelta(days=13))
    verify()
    assert clinic.outcome("policy") == "warn"
    assert any("signed again before" in said.says for said in clinic.said("policy"))
    clinic.setting(policy_signatures=None)
    assert clinic.outcome("policy") == "bad"


def test_signatures_that_others_may_replace(clinic: Clinic) -> None:
    place = PolicyPlace(clinic.folder, clinic.scene.world.signers)
    place.sign()
    clinic.setting(policy_signatures=str(place.signatures))
    before = clinic.outcome("settings")
    place.signatures.chmod(0o666)
    assert (before, clinic.outcome("settings")) == ("ok", "bad")


def test_a_token_for_packages_that_others_may_read(clinic: Clinic) -> None:
    token = clinic.folder / "pkg.token"
    token.write_text("skt_5f3a91c07be2_hunter2hunter2\n")
    clinic.setting(pkg_token_file=str(token))
    for mode, outcome in ((0o600, "ok"), (0o640, "bad")):
        token.chmod(mode)
        assert clinic.outcome("private") == outcome
    assert "hunter2" not in str(clinic.said("private"))
