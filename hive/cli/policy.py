"""`hive policy`: what holds here, what would admission say by it, and what is known of a digest?"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from hive import audit
from hive.admission import Evidence, judge
from hive.cli.context import clock, open_client, open_database, settings
from hive.cli.policy_signed import allow_unsigned, holding, show
from hive.config import HiveConfig
from hive.db.session import snapshot
from hive.explaining import SHORTEST, is_policy, mentions
from hive.external import ExternalBundle, read_external
from hive.policy import Policy
from hive.policy_file import HostPolicy
from hive.tenants import Tenant, TenantStatus, Tier
from repo_client.packages import PackageStore, Progress
from signing.console import Console, console_option
from signing.errors import (
    CouldNotVerifyError,
    FormatError,
    NotFoundError,
    RejectedError,
    SkillRepoError,
    UsageError,
    VulnerableError,
)
from signing.format.archive import MAX_ARCHIVE_BYTES
from signing.format.digest import Sha256
from signing.format.names import Pin, parse_tenant_id
from signing.format.pkg.index import IndexedPackage
from signing.format.pkg.names import PackageRepo, parse_package_name, parse_package_version
from signing.format.pkg.version import VersionKey
from signing.package_evidence import VerifiedAdvisories, VerifiedPackageSet

# As `skillrepo profile new --package` spells it: FreeBSD:14:amd64/latest:nginx
_PACKAGE: Final = re.compile(r"(?P<repo>[^/]+/[^/:]+):(?P<name>[^/:=]+)(?:==(?P<version>[^/]+))?", re.ASCII)
_SHOWN: Final = 12
_DIGEST: Final = re.compile(rf"[0-9a-f]{{{SHORTEST},64}}", re.ASCII)
_OF_BUNDLES: Final = frozenset({"bundle", "tree", "review"})


@click.group()
def policy() -> None:
    """Show, test and explain the policy of this host."""


policy.add_command(show)
policy.add_command(allow_unsigned)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What admission is asked by: the policy that holds now, and a tier."""

    config: HiveConfig
    policy: Policy
    tier: Tier


@policy.command("test")
@click.argument("what", metavar="[BUNDLE|NAME==VERSION|ABI/CHANNEL:PACKAGE[==VERSION]]", required=False)
@click.option(
    "--profile", metavar="NAME==VERSION", help="Everything that this profile pins, as a birth asks."
)
@click.option("--tier", required=True, type=click.Choice([tier.value for tier in Tier]))
@console_option
@click.pass_context
def test(ctx: click.Context, what: str | None, profile: str | None, tier: str, console: Console) -> None:
    """Say whether something would be admitted for a tenant of a tier, and why not.

    A file is first-party only if the repository vouches for exactly these bytes under their name and version. A package
    is fetched and compared with the signed index; without a version, the newest. With --profile, its skills, identity
    layers and packages for this host's ABI are admitted like those of a birth: the first that is refused refuses it.
    """
    if (what is None) == (profile is None):
        raise UsageError(
            "what is tested?", hint="BUNDLE, NAME==VERSION, ABI/CHANNEL:PACKAGE, or --profile NAME==VERSION"
        )
    config = settings(ctx)
    asked = _Asked(config=config, policy=holding(config).policy, tier=Tier(tier))
    if profile is not None:
        _answer_profile(console, asked, Pin.parse(profile, where="--profile"))
        return
    assert what is not None  # noqa: S101 - one of the two
    package = _PACKAGE.fullmatch(what)
    if package is not None and not Path(what).is_file():
        _answer_package(console, asked, package)
        return
    record = _judged_bundle(asked, what)
    console.answer(
        record,
        f"admitted: {record['pin']} for the {tier} tier, once a profile pins it\n"
        f"  signed by {', '.join(record['signed_by'])}, reviewed by {', '.join(record['reviewed_by'])}\n"
        f"  tree sha256 {record['tree_sha256']}",
    )


@policy.command("explain")
@click.argument("digest", metavar="DIGEST")
@console_option
@click.pass_context
def explain(ctx: click.Context, digest: str, console: Console) -> None:
    """Say what DIGEST is to this host: its policy, or what its log says of it; and what admission would say now.

    The first 12 digits are enough. Admission is asked about bundles, when the repository can be asked.
    """
    if not _DIGEST.fullmatch(digest):
        raise FormatError(f"a sha256 in lower case, or its first {SHORTEST} digits or more", where="DIGEST")
    config = settings(ctx)
    with snapshot(open_database(config)) as session:
        audit.check(session)
        found = mentions(digest, audit.read(session))
    holds: HostPolicy | SkillRepoError
    try:
        holds = holding(config)
    except SkillRepoError as error:  # what the log says of a digest is still worth knowing
        console.note(f"the policy of this host does not hold: {error.code}: {error}")
        holds = error
    ours = isinstance(holds, HostPolicy) and is_policy(digest, holds)
    pins = {str(item.facts["pin"]) for item in found if item.role in _OF_BUNDLES and "pin" in item.facts}
    verdicts = [_verdict(config, holds, pin, tier) for pin in sorted(pins)[:_SHOWN] for tier in Tier]
    if not found and not ours:
        raise NotFoundError(
            f"this host knows nothing of {digest}", hint="neither its policy nor its audit log names it"
        )
    lines = ["it is the policy of this host"] if ours else []
    lines += [_mentioned(item.to_json()) for item in found[-_SHOWN:]]
    lines += [f"now, {item['tier']} tier: {item['pin']} {item['says']}" for item in verdicts]
    console.answer(
        {
            "digest": digest,
            "policy_of_this_host": ours,
            "records": [item.to_json() for item in found],
            "now": verdicts,
        },
        "\n".join(lines),
    )


def _verdict(config: HiveConfig, holds: HostPolicy | SkillRepoError, pin: str, tier: Tier) -> dict[str, Any]:
    """Return what admission would say now; that it cannot be asked is an answer too, and no admission."""
    answer = {"pin": pin, "tier": tier.value}
    try:
        if isinstance(holds, SkillRepoError):
            raise holds
        _judged(_Asked(config=config, policy=holds.policy, tier=tier), Pin.parse(pin))
    except SkillRepoError as error:
        refused = isinstance(error, RejectedError | NotFoundError)
        word = "would be refused" if refused else "cannot be asked about"
        return {**answer, "admitted": False, "code": error.code, "says": f"{word}: {error.message}"}
    return {**answer, "admitted": True, "code": None, "says": "would be admitted, once a profile pins it"}


def _mentioned(item: Mapping[str, Any]) -> str:
    about = " ".join(str(item[key]) for key in ("kind", "pin", "tenant") if item[key] is not None)
    return f"{item['sequence']:5}  {item['event']:18} the {item['as']} of {about or 'this host'}"


def _judged_bundle(asked: _Asked, bundle: str) -> dict[str, Any]:
    path = Path(bundle)
    if path.is_file():
        external = read_external(_read(path))
        return _judged(asked, external.pin, external)
    if "==" not in bundle:
        raise UsageError(
            f"{bundle} is neither a file nor NAME==VERSION",
            hint="a package is named like FreeBSD:14:amd64/latest:nginx",
        )
    return _judged(asked, Pin.parse(bundle))


def _judged(asked: _Asked, pin: Pin, external: ExternalBundle | None = None) -> dict[str, Any]:
    """Return what admission says now of ``pin``: of the bytes of a file, or of what is published under that name."""
    now = clock()
    with open_client(asked.config).session(now) as session:
        revocations = session.revocations()
        try:
            release = session.release(pin)
        except NotFoundError:
            if external is None:
                raise
            release = None
    evidence: Evidence | None = external
    if release is not None and (external is None or external.sha256 == release.bundle.target.sha256):
        evidence = release
    if evidence is None:  # a name without a release was refused above
        raise CouldNotVerifyError(f"nothing is known about {pin}")
    verdict = judge(
        evidence,
        tenant=_somebody(asked.tier, pin, now),
        profile_sha256=None,  # the next profile to be signed
        revocations=revocations,
        opt_ins=(),
        policy=asked.policy,
        now=now,
    )
    return _of_nobody(verdict)


def _answer_package(console: Console, asked: _Asked, named: re.Match[str]) -> None:
    repo, client, config = PackageRepo.parse(named["repo"]), open_client(asked.config), asked.config
    with client.session(clock()) as session:
        revocations, advisories, packages = (
            session.revocations(),
            session.advisories(),
            session.packages(repo),
        )
    wanted = _listed(packages, named["name"], named["version"])
    store = PackageStore(folder=config.state_dir / "packages", max_bytes=config.store_bytes)
    with client.package(wanted, packages=packages, store=store, progress=_told(console)) as evidence:
        now = clock()
        pin = evidence.package.pin
        verdict = judge(
            evidence,
            tenant=_somebody(asked.tier, Pin.parse("any==1"), now),
            profile_sha256=None,  # the next profile to be signed
            revocations=revocations,
            opt_ins=(),
            policy=asked.policy,
            now=now,
        )
        _check_vulnerabilities(evidence.package.name, evidence.package.version, advisories)
    record = {**_of_nobody(verdict), "advisories_sha256": advisories.target.sha256}
    needs = sorted(f"{item.name}-{item.version}" for item in evidence.package.deps)
    console.answer(
        {**record, "needs": needs},
        f"admitted: {pin} of {repo} for the {asked.tier.value} tier, once a profile pins it\n"
        f"  serial {record['serial']}, signed by {', '.join(record['signed_by'])}\n"
        f"  sha256 {record['sha256']}" + (f"\n  needs {', '.join(needs)}" if needs else ""),
    )


def _listed(packages: VerifiedPackageSet, name: str, version: str | None) -> Sha256:
    """Return the digest of the package that is meant: that version, or the newest."""
    wanted = parse_package_name(name, where="package")
    found = [item for item in packages.index.packages if item.name == wanted]
    if version is not None:
        of_version = parse_package_version(version, where="package")
        found = [
            item
            for item in packages.index.all_packages()
            if (item.name, item.version) == (wanted, of_version)
        ]
    if not found:
        raise NotFoundError(
            f"{packages.repo} serial {packages.index.serial} holds no {name}{f'-{version}' if version else ''}",
            hint="is it the right ABI and channel?",
        )
    return max(found, key=lambda item: VersionKey.of(item.version)).sha256


def _check_vulnerabilities(name: str, version: str, advisories: VerifiedAdvisories) -> None:
    """Raise VulnerableError for what the next profile would have to waive; `hive.admission` asks the same of a profile."""
    for advisory in advisories.advisories.affecting(name, version):
        raise VulnerableError(
            f"{name}-{version} is vulnerable: {advisory.topic} ({advisory.vid})",
            hint="pin a version that is not; or waive it in the profile, with an owner, a reason and an end",
            package=f"{name}-{version}",
            vid=advisory.vid,
            cves=list(advisory.cves),
        )


def _answer_profile(console: Console, asked: _Asked, pin: Pin) -> None:
    from hive.birth.admit_all import admit_all
    from hive.packages.bringing import Pantry

    config, tier = asked.config, asked.tier
    store = PackageStore(folder=config.state_dir / "packages", max_bytes=config.store_bytes)
    with admit_all(
        _somebody(tier, pin, clock()),
        open_client(config),
        opt_ins=(),
        external_dir=config.state_dir / "external",
        pantry=Pantry(store=store, abi=config.host_abi, progress=_told(console)),
        clock=clock,
        policy=asked.policy,
    ) as admitted:
        bundles = [_of_nobody(item.record) for item in admitted.admissions]
        packages = [_of_nobody(item.record) for item in admitted.packages]
        lock = admitted.lock.sha256
    lines = [f"admitted: everything that {pin} pins, for the {tier.value} tier", f"  lock {lock}"]
    lines += [f"  {item['kind']:7} {item['pin']}" for item in bundles]
    lines += _few(packages)
    console.answer(
        {
            "profile": str(pin),
            "tier": tier.value,
            "abi": config.host_abi,
            "lock_sha256": lock,
            "verdict": "admitted",
            "items": [*bundles, *packages],
        },
        "\n".join(lines),
    )


def _told(console: Console) -> Progress:
    """Return what says which package came; those that this host has are not fetched."""

    def tell(package: IndexedPackage, received: int) -> None:
        if received == package.size:
            console.note(f"fetched {package.pin}: {received} bytes")

    return tell


def _few(packages: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each of the first packages, and how many more there are; whatever was waived is always named."""
    lines = [f"  package {item['pin']}" for item in packages[:_SHOWN]]
    if len(packages) > _SHOWN:
        lines.append(f"  … and {len(packages) - _SHOWN} more packages: --json lists them")
    return lines + [
        f"  waived  {waiver['vid']} in {item['pin']}, by {waiver['owner']} until {waiver['expires_at']}"
        for item in packages
        for waiver in item.get("waived", ())
    ]


def _of_nobody(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a decision without its tenant, who does not exist."""
    return {key: value for key, value in record.items() if key != "tenant"}


def _somebody(tier: Tier, profile: Pin, now: datetime) -> Tenant:
    return Tenant(
        tenant_id=parse_tenant_id("any"),
        tier=tier,
        profile=profile,
        collection_id=None,
        scratch=True,
        status=TenantStatus.REGISTERED,
        reason="",
        created_at=now,
    )


def _read(path: Path) -> bytes:
    with path.open("rb") as stream:
        data = stream.read(MAX_ARCHIVE_BYTES + 1)
    if len(data) > MAX_ARCHIVE_BYTES:
        raise FormatError(f"larger than {MAX_ARCHIVE_BYTES} bytes", where=str(path))
    return data
