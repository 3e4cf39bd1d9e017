"""A third-party skill on its way into a paid tenant's jail, by every route that we could think of.

The free tier may take the risk in writing; the paid tier cannot, and nothing makes it one: no opt-in, no row in
the database, no variable, no file, no option.
"""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from hive import cli, optins
from hive.admission import admit
from hive.birth.carry_out import plan
from hive.db.models import OptInRow
from hive.db.session import transaction
from hive.external import ExternalBundle, OptIn, read_external
from hive.policy import POLICY
from hive.tenants import Tier, load_row
from signing.console import run
from signing.errors import ConflictError, NotFirstPartyError, NotFoundError, RejectedError
from signing.format.manifest import Kind
from signing.format.names import Pin, parse_tenant_id
from tests.attacks.forge import Forge
from tests.attacks.scene import Scene
from tests.support.open_gates import open_required_gates
from tests.support.world import jail_files, now, skill_md

OUTSIDE = "csv-summarizer==1.0.1"
SOURCE = "clawhub:@northwind-tools/csv-summarizer@1.0.1"


def consent(external: ExternalBundle, tenant: str, **other) -> OptIn:
    given = {
        "tenant_id": parse_tenant_id(tenant),
        "source": SOURCE,
        "pin": external.pin,
        "bundle_sha256": external.sha256,
        "owner": "olga",
        "reason": "wanted",
        "expires_at": now() + timedelta(days=30),
    }
    return OptIn(**{**given, **other})


def add(scene: Scene, tenant: str, data: bytes, **other) -> None:
    with transaction(scene.mother.engine) as session:
        optins.add(
            session,
            scene.mother.external_dir,
            scene.tenant(tenant),
            data,
            opt_in=consent(read_external(data), tenant, **other),
            now=other.pop("now", now()),
        )


def plant(scene: Scene, tenant: str, external: ExternalBundle, data: bytes, **other) -> None:
    """Write the row and the file without asking anybody: the attacker has the host's database and disk."""
    folder = scene.mother.external_dir
    folder.mkdir(parents=True, exist_ok=True)
    (folder / external.sha256).write_bytes(data)
    row = {
        "tenant_id": tenant,
        "source": SOURCE,
        "name": external.pin.name,
        "version": external.pin.version,
        "bundle_sha256": external.sha256,
        "owner": "olga",
        "reason": "wanted",
        "expires_at": now() + timedelta(days=30),
        "created_at": now(),
    }
    with transaction(scene.mother.engine) as session:
        session.add(OptInRow(**{**row, **other}))


@pytest.fixture
def outside(forge: Forge) -> bytes:
    return forge.archive(OUTSIDE)[1]


def no_outside_bytes(scene: Scene) -> None:
    assert not [path for path in jail_files(scene.mother) if "csv-summarizer" in path]


# --- the paid tier ---------------------------------------------------------------------------------


def test_a_paid_tenant_cannot_opt_in(scene: Scene, outside: bytes) -> None:
    with pytest.raises(NotFirstPartyError) as caught:
        add(scene, "acme", outside)
    assert caught.value.code == "not-first-party"
    with transaction(scene.mother.engine) as session:
        assert optins.load(session, parse_tenant_id("acme")) == []
    assert not scene.mother.external_dir.exists()
    assert [record.event for record in scene.events()] == ["tenant.registered"]


def test_an_opt_in_planted_in_the_database_does_not_help_a_paid_tenant(scene: Scene, outside: bytes) -> None:
    plant(scene, "acme", read_external(outside), outside)
    refusal = scene.refused(NotFirstPartyError, code="not-first-party")
    assert "paid tier" in str(refusal.error)
    with pytest.raises(NotFirstPartyError):
        plan(scene.mother, parse_tenant_id("acme"))


def test_a_profile_that_pins_what_is_not_published(scene: Scene, forge: Forge, outside: bytes) -> None:
    """An operator pins the outside bundle by its true digests, and puts it where ours would stand."""
    bundle, archive = forge.archive(OUTSIDE)
    item = replace(
        forge.release(OUTSIDE, archive, bundle.manifest.tree_digest, by=["olga"]), pin=Pin.parse(OUTSIDE)
    )
    honest = scene.forge()
    honest.profile("base==2", item)
    honest.state()
    honest.answer(scene.server)
    url = next(path for path in forge.answers if path.endswith(".tar.gz"))
    scene.server.lies[url] = archive
    scene.register("other", profile="base==2")
    refusal = scene.refused(NotFoundError, code="not-found", name="other")
    assert not refusal.fetched("csv-summarizer")
    assert archive == outside


def test_an_outside_bundle_in_the_clients_store_is_not_ours(scene: Scene, forge: Forge) -> None:
    """Wherever it lies on the host, it is not what the profile pins."""
    bundle, archive = forge.archive("web-search==1.0", {"SKILL.md": skill_md("web-search", "evil")})
    digest = bundle.manifest.tree_digest
    folder = scene.mother.client.store_dir / digest[:2] / digest
    folder.mkdir(parents=True)
    (folder / "MANIFEST.json").write_bytes(bundle.manifest.render())
    (folder / "SKILL.md").write_bytes(bundle.contents["SKILL.md"])
    scene.born()
    assert not [data for data in jail_files(scene.mother).values() if b"evil" in data]
    assert archive


@pytest.mark.parametrize("tier", [Tier.PAID, "paid", "PAID", "gold", "", None, 0, True])
def test_no_spelling_of_a_tier_lets_an_outside_bundle_in_without_consent(
    scene: Scene, outside: bytes, tier: object
) -> None:
    """A tier flipped in memory to anything but free finds no rule, and no rule is a refusal."""
    external = read_external(outside)
    tenant = scene.tenant()
    with scene.mother.client.session(now()) as session:
        revocations, profile = session.revocations(), session.profile(Pin.parse("base==1"))
    forged = replace(tenant, tier=tier)
    with pytest.raises((NotFirstPartyError, AssertionError)):
        admit(
            external,
            tenant=forged,
            profile=profile,
            kind=Kind.SKILL,
            revocations=revocations,
            opt_ins=[consent(external, "acme")],
            policy=POLICY,
            now=now(),
        )


def test_a_tier_flipped_to_free_in_memory_has_still_no_consent(scene: Scene, outside: bytes) -> None:
    with scene.mother.client.session(now()) as session:
        revocations, profile = session.revocations(), session.profile(Pin.parse("base==1"))
    with pytest.raises(NotFirstPartyError, match="no valid opt-in"):
        admit(
            read_external(outside),
            tenant=replace(scene.tenant(), tier=Tier.FREE),
            profile=profile,
            kind=Kind.SKILL,
            revocations=revocations,
            opt_ins=[],
            policy=POLICY,
            now=now(),
        )


def test_a_tier_that_nobody_knows_in_the_database(scene: Scene, outside: bytes) -> None:
    plant(scene, "acme", read_external(outside), outside)
    with transaction(scene.mother.engine) as session:
        load_row(session, parse_tenant_id("acme")).tier = "gold"
    with pytest.raises(RejectedError):
        scene.born()
    assert jail_files(scene.mother) == {}


# --- the free tier: exactly these bytes, this tenant, until then -----------------------------------


def test_a_free_tenant_takes_the_risk_in_writing(scene: Scene, outside: bytes) -> None:
    scene.register("free", tier=Tier.FREE)
    add(scene, "free", outside)
    receipt = scene.born("free")
    assert receipt["own_risk"] == [OUTSIDE]
    record = next(
        record
        for record in scene.events("free")
        if record.facts.get("pin") == OUTSIDE and record.event == "admission"
    )
    assert record.facts["risk"] == "operator's own risk"
    assert record.facts["opt_in"]["owner"] == "olga"


def test_the_consent_of_another_tenant(scene: Scene, outside: bytes) -> None:
    scene.register("free", tier=Tier.FREE)
    scene.register("poor", tier=Tier.FREE)
    add(scene, "free", outside)
    assert scene.born("poor")["own_risk"] == []
    no_outside_bytes(scene)
    external = read_external(outside)
    assert not consent(external, "free").covers(external, parse_tenant_id("poor"), now())


def test_a_consent_that_has_ended(scene: Scene, outside: bytes) -> None:
    scene.register("free", tier=Tier.FREE)
    add(scene, "free", outside, expires_at=now() + timedelta(minutes=5))
    scene.at(now() + timedelta(minutes=6))
    refusal = scene.refused(NotFirstPartyError, name="free")
    assert "has ended" in str(refusal.error)


def test_other_bytes_than_those_consented_to(scene: Scene, forge: Forge, outside: bytes) -> None:
    """The source offers something else today, under the same name and version and on the same disk."""
    scene.register("free", tier=Tier.FREE)
    add(scene, "free", outside)
    kept = next(scene.mother.external_dir.iterdir())
    kept.chmod(0o600)
    kept.write_bytes(forge.archive(OUTSIDE, {"SKILL.md": skill_md("csv-summarizer", "evil")})[1])
    refusal = scene.refused(NotFirstPartyError, code="not-first-party", name="free")
    assert "no valid opt-in for these bytes" in str(refusal.error)


def test_a_consent_with_the_name_of_a_first_party_skill(scene: Scene, forge: Forge) -> None:
    scene.register("free", tier=Tier.FREE)
    add(scene, "free", forge.archive("web-search==9.0")[1])
    scene.refused(ConflictError, code="conflict", name="free")


def test_an_outside_soul_is_no_skill(scene: Scene, forge: Forge) -> None:
    scene.register("free", tier=Tier.FREE)
    add(scene, "free", forge.archive(OUTSIDE, kind=Kind.SOUL)[1])
    scene.refused(RejectedError, code="wrong-subject", name="free")


def test_a_revoked_outside_bundle(scene: Scene, forge: Forge, outside: bytes) -> None:
    scene.register("free", tier=Tier.FREE)
    add(scene, "free", outside)
    forge.revoke(name="csv-summarizer")
    forge.state()
    forge.answer(scene.server)
    scene.refused(RejectedError, code="revoked", name="free")


# --- variables, files, options ---------------------------------------------------------------------

WISHES = [
    *(
        f"HIVE_{name}"
        for name in (
            "ALLOW_EXTERNAL",
            "ALLOW_THIRD_PARTY",
            "ALLOW_UNSIGNED",
            "ALLOW_UNVERIFIED",
            "INSECURE",
            "UNSAFE",
            "DEV",
            "DEBUG",
            "TEST",
            "TESTING",
            "SKIP_VERIFY",
            "NO_VERIFY",
            "SKIP_ADMISSION",
            "ADMISSION",
            "POLICY",
            "POLICY_FILE",
            "TIER",
            "DEFAULT_TIER",
            "PAID_FIRST_PARTY_ONLY",
            "FIRST_PARTY_ONLY",
            "OPT_IN",
            "OPT_INS",
            "REVIEWERS",
            "EVIDENCE_LIFE",
            "FORCE",
            "BREAK_GLASS",
            "DRY_RUN",
            "AUDIT_MODE",
            "PERMISSIVE",
            "OFFLINE",
            "MODE",
            "ENFORCE",
            "TRUSTED_SOURCES",
            "EXTERNAL_DIR",
            "IGNORE_REVOCATIONS",
            "REVOCATIONS",
        )
    ),
    "SKILLREPO_INSECURE",
    "SKILLREPO_DEV",
    "SKILLREPO_ALLOW_EXTERNAL",
    "TUF_INSECURE",
    "PYTHONOPTIMIZE",
]


def command(scene: Scene, *words: str, config: Path | None = None) -> int:
    state = scene.mother.state
    options = [
        "--json",
        "--db",
        str(state / "hive.db"),
        "--state",
        str(state),
        "--server",
        scene.server.url,
        "--trust-anchor",
        str(scene.world.folder / "repo/trust-anchor.json"),
    ]
    if config is not None:
        options += ["--config", str(config)]
    with pytest.raises(SystemExit) as ended:
        run(cli.cli, "hive", [*options, *words])
    return int(ended.value.code or 0)


@pytest.mark.parametrize("value", ["1", "true", "free", "0", "", "off"])
def test_no_variable_weakens_a_paid_tenants_rule(
    scene: Scene,
    outside: bytes,
    monkeypatch: pytest.MonkeyPatch,
    value: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plant(scene, "acme", read_external(outside), outside)
    open_required_gates(scene.mother.engine, scene.mother.state, now=now())
    for name in WISHES:
        monkeypatch.setenv(name, value)
    status = command(scene, "birth", "acme", "--jail-root-base", str(scene.mother.state / "jails"))
    answer = json.loads(capsys.readouterr().out)
    assert (status, answer["error"]["code"]) == (12, "not-first-party")
    assert jail_files(scene.mother) == {}
    assert scene.tenant().status.value == "failed"


@pytest.mark.parametrize(
    "line",
    [
        "allow_external = true",
        'tier = "free"',
        "reviewers = 0",
        "first_party_only = false",
        "insecure = true",
        "[admission]\nenforce = false",
        "[policy]\npaid = 'anything'",
        "opt_ins = ['*']",
    ],
)
def test_no_file_weakens_a_paid_tenants_rule(
    scene: Scene, outside: bytes, tmp_path: Path, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(scene, "acme", read_external(outside), outside)
    config = tmp_path / "hive.toml"
    config.write_text(f"{line}\n")
    status = command(
        scene, "birth", "acme", "--jail-root-base", str(scene.mother.state / "jails"), config=config
    )
    assert (status, json.loads(capsys.readouterr().out)["error"]["code"]) == (10, "malformed")
    assert scene.server.requests == []
    assert jail_files(scene.mother) == {}


def test_no_name_of_a_policy_weakens_a_paid_tenants_rule(
    scene: Scene, outside: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The setting names a file, and a host that cannot read its policy has none, not a mild one."""
    plant(scene, "acme", read_external(outside), outside)
    config = tmp_path / "hive.toml"
    config.write_text('policy = "permissive"\n')
    status = command(
        scene, "birth", "acme", "--jail-root-base", str(scene.mother.state / "jails"), config=config
    )
    assert (status, json.loads(capsys.readouterr().out)["error"]["code"]) == (3, "not-found")
    assert scene.server.requests == []
    assert jail_files(scene.mother) == {}
    assert scene.tenant().status.value == "registered"


@pytest.mark.parametrize(
    "option", ["--force", "--insecure", "--allow-external", "--no-verify", "--tier=free"]
)
def test_no_option_weakens_a_paid_tenants_rule(
    scene: Scene, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = command(scene, "birth", "acme", "--jail-root-base", str(scene.mother.state / "jails"), option)
    assert (status, json.loads(capsys.readouterr().out)["error"]["code"]) == (2, "usage")
    assert scene.server.requests == []


def test_the_policy_tester_says_no_to_an_outside_file(
    scene: Scene, outside: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "csv-summarizer.tar.gz"
    file.write_bytes(outside)
    for tier in ("paid", "free"):
        status = command(scene, "policy", "test", str(file), "--tier", tier)
        assert (status, json.loads(capsys.readouterr().out)["error"]["code"]) == (12, "not-first-party")


def test_an_outside_file_with_the_name_of_a_published_release_is_not_that_release(
    scene: Scene, forge: Forge, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "web-search.tar.gz"
    file.write_bytes(forge.archive("web-search==1.0", {"SKILL.md": skill_md("web-search", "evil")})[1])
    status = command(scene, "policy", "test", str(file), "--tier", "paid")
    assert (status, json.loads(capsys.readouterr().out)["error"]["code"]) == (12, "not-first-party")
