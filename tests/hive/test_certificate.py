"""Certificates of real births, checked by the customer's command: the statement, the bill of materials, the jail."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from hive import optins
from hive.certificate import issue, load
from hive.db.certificate_tables import BirthEvidenceRow
from hive.db.models import AuditRow
from hive.db.session import transaction
from hive.external import OptIn, read_external
from hive.host_key import HostKey
from hive.jails.materialise import SOUL_PATH
from hive.tenants import Tier
from repo_client.births import check_jail
from repo_client.cli import cli
from signing.birth import VerifiedBirth, verify_birth
from signing.console import run
from signing.errors import CouldNotVerifyError, FormatError, NotFoundError
from signing.format.birth import CertificateFile
from signing.format.canonical import canonical
from signing.format.chain import BrokenChainError
from signing.format.names import parse_tenant_id
from tests.attacks.scene import Scene, open_scene
from tests.support.harbour import open_harbour
from tests.support.hurry import in_a_hurry
from tests.support.world import World, now

SKILLS = "usr/home/agent/skills"


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield


def certified(scene: Scene, name: str) -> bytes:
    key = HostKey.open(scene.mother.state)
    with transaction(scene.mother.engine) as session:
        issue(session, scene.tenant(name), key, now=now())
        return load(session, parse_tenant_id(name))


def verified(scene: Scene, data: bytes) -> VerifiedBirth:
    keys = [HostKey.open(scene.mother.state).held]
    return verify_birth(data, anchor=scene.world.anchor, host_keys=keys)


class Customer:
    """What the customer was given, and the command."""

    def __init__(self, scene: Scene, folder: Path) -> None:
        folder.mkdir()
        self.scene, self.folder = scene, folder
        self.data = certified(scene, "acme")
        (folder / "cert").write_bytes(self.data)
        (folder / "anchor").write_bytes(scene.world.anchor)
        (folder / "key").write_bytes(HostKey.open(scene.mother.state).held.render())

    @property
    def root(self) -> Path:
        return self.scene.mother.state / "jails/acme/root"

    def ask(self, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
        options = ("--trust-anchor", str(self.folder / "anchor"), "--host-key", str(self.folder / "key"))
        arguments = ["--json", "verify-birth", str(self.folder / "cert"), *options, *words]
        with pytest.raises(SystemExit) as ended:
            run(cli, "skillrepo-client", arguments)
        return int(str(ended.value)), json.loads(capsys.readouterr().out)


@pytest.fixture
def customer(world: World, tmp_path: Path) -> Iterator[Customer]:
    with open_scene(world, tmp_path / "host") as scene:
        scene.born()
        yield Customer(scene, tmp_path / "customer")


def test_the_customers_command_checks_certificate_and_jail(
    customer: Customer, capsys: pytest.CaptureFixture[str]
) -> None:
    bom = customer.folder / "bom.json"
    status, said = customer.ask(capsys, "--root", str(customer.root), "--bom", str(bom))
    assert (status, said["tenant"], said["tier"], said["jail_checked"]) == (0, "acme", "paid", True)
    assert (said["skills"], said["packages"], said["own_risk"]) == (["web-search==1.0"], 0, [])
    assert bom.read_bytes() == CertificateFile.parse(customer.data).bom


def test_without_a_jail_it_says_that_none_was_looked_at(
    customer: Customer, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said = customer.ask(capsys)
    assert (status, said["jail_checked"]) == (0, False)


def test_everything_that_is_wrong_with_a_jail_is_named_at_once(
    customer: Customer, capsys: pytest.CaptureFixture[str]
) -> None:
    root = customer.root
    for folder in ("web-search", "."):
        (root / SKILLS / folder).chmod(0o755)
    (root / "usr/home/agent").chmod(0o755)
    skill = root / SKILLS / "web-search/SKILL.md"
    skill.chmod(0o644)
    skill.write_text("changed")
    (root / SKILLS / "extra").mkdir()
    (root / SKILLS / "linked").symlink_to("/etc")
    (root / "usr/home/agent/SOUL.md").unlink()
    status, said = customer.ask(capsys, "--root", str(root))
    assert status != 0
    problems = (
        said["error"]["problems"] if "problems" in said["error"] else said["error"]["facts"]["problems"]
    )
    assert [problem.partition(": ")[0] for problem in problems] == [
        "usr/home/agent/SOUL.md",
        SKILLS,
        f"{SKILLS}/web-search",
    ]
    assert "extra" in problems[1]
    assert "linked" in problems[1]


def test_a_refused_certificate_writes_no_bill(customer: Customer, capsys: pytest.CaptureFixture[str]) -> None:
    bom = customer.folder / "bom.json"
    (customer.folder / "cert").write_bytes(customer.data[:-9])
    status, said = customer.ask(capsys, "--bom", str(bom))
    assert (status != 0, said["error"]["code"], bom.exists()) == (True, "malformed", False)


def test_a_birth_with_packages_is_certified(world: World, tmp_path: Path) -> None:
    with open_harbour(world, tmp_path / "host") as harbour:
        harbour.born()
        data = certified(harbour.scene, "boat")
        found = verified(harbour.scene, data)
        assert found.lock.packages is not None
        assert sorted(str(item.pin) for item in found.lock.packages.items) == [
            "demo-agent-1.2.1_1",
            "demo-base-1.0.0",
        ]
        bom = json.loads(found.bom)
        assert sorted(item["name"] for item in bom["components"] if item["type"] == "library") == [
            "demo-agent",
            "demo-base",
        ]


def test_a_free_birth_says_what_is_at_own_risk(world: World, tmp_path: Path) -> None:
    with open_scene(world, tmp_path / "host") as scene:
        scene.register("guest", tier=Tier.FREE)
        archive = scene.forge().archive("csv-summarizer==1.0.1")[1]
        external = read_external(archive)
        given = OptIn(
            tenant_id=parse_tenant_id("guest"),
            source="clawhub:@northwind-tools/csv-summarizer@1.0.1",
            pin=external.pin,
            bundle_sha256=external.sha256,
            owner="olga",
            reason="wanted",
            expires_at=now() + timedelta(days=30),
        )
        with transaction(scene.mother.engine) as session:
            folder = scene.mother.external_dir
            optins.add(session, folder, scene.tenant("guest"), archive, opt_in=given, now=now())
        scene.born("guest")
        found = verified(scene, certified(scene, "guest"))
        assert [str(pin) for pin in found.own_risk] == ["csv-summarizer==1.0.1"]
        assert sorted(pin.name for pin, _ in found.skills) == ["csv-summarizer", "web-search"]
        root = scene.mother.state / "jails/guest/root"
        assert check_jail(root, found) == 4


def test_the_bill_is_cyclonedx_as_its_readers_expect(customer: Customer) -> None:
    bom = json.loads(CertificateFile.parse(customer.data).bom)
    assert (bom["bomFormat"], bom["specVersion"], bom["version"]) == ("CycloneDX", "1.6", 1)
    assert UUID(bom["serialNumber"].removeprefix("urn:uuid:"))
    (component,) = bom["components"]
    assert (component["type"], component["purl"]) == ("data", "pkg:generic/web-search@1.0")
    assert component["hashes"][0]["alg"] == "SHA-256"
    assert len(component["hashes"][0]["content"]) == 64
    references = {component["bom-ref"], bom["metadata"]["component"]["bom-ref"]}
    assert len(references) == 2
    for dependency in bom["dependencies"]:
        assert {dependency["ref"], *dependency["dependsOn"]} <= references


def test_nothing_is_certified_without_evidence_or_by_an_altered_log(world: World, tmp_path: Path) -> None:
    with open_scene(world, tmp_path / "host") as scene:
        with pytest.raises(CouldNotVerifyError, match="nothing is kept"):
            certified(scene, "acme")
        scene.born()
        with transaction(scene.mother.engine) as session:
            row = session.scalars(select(AuditRow).where(AuditRow.sequence == 2)).one()
            row.record = row.record.replace(b"acme", b"boat")
        with pytest.raises(BrokenChainError):
            certified(scene, "acme")
        with transaction(scene.mother.engine) as session, pytest.raises(NotFoundError):
            load(session, parse_tenant_id("acme"))


SPOILT: dict[str, Callable[[dict[str, Any]], object]] = {
    "roots that are no text": lambda document: document.update(roots=[3]),
    "a file that is not base64": lambda document: document["files"].update(timestamp="%%%"),
    "a profile that is a list": lambda document: document.update(profile=[]),
    "no identity": lambda document: document["written"].pop(SOUL_PATH),
    "one version more": lambda document: document["versions"].update(more=1),
    "nothing": lambda document: document.clear(),
}


@pytest.mark.parametrize("spoil", SPOILT)
def test_damaged_evidence_certifies_nothing(world: World, tmp_path: Path, spoil: str) -> None:
    with open_scene(world, tmp_path / "host") as scene:
        scene.born()
        with transaction(scene.mother.engine) as session:
            row = session.get_one(BirthEvidenceRow, "acme")
            document = json.loads(row.evidence)
            SPOILT[spoil](document)
            row.evidence = canonical(document)
        with pytest.raises(FormatError):
            certified(scene, "acme")
