"""`hive policy test`: what would admission say?"""

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from hive.admission import Evidence, judge
from hive.cli.context import clock, open_client, settings
from hive.external import read_external
from hive.policy import POLICY
from hive.tenants import Tenant, TenantStatus, Tier
from signing.console import Console, console_option
from signing.errors import CouldNotVerifyError, FormatError, NotFoundError, UsageError
from signing.format.archive import MAX_ARCHIVE_BYTES
from signing.format.digest import sha256_of
from signing.format.names import Pin, parse_tenant_id


@click.group()
def policy() -> None:
    """Test the admission policy; changes nothing."""


@policy.command("test")
@click.argument("bundle", metavar="BUNDLE|NAME==VERSION")
@click.option("--tier", required=True, type=click.Choice([tier.value for tier in Tier]))
@console_option
@click.pass_context
def test(ctx: click.Context, bundle: str, tier: str, console: Console) -> None:
    """Say whether BUNDLE (a file, or NAME==VERSION) would be admitted for a tenant of a tier, and why not.

    A file is first-party only if the repository vouches for exactly these bytes under their name and version.
    """
    now = clock()
    path = Path(bundle)
    data = _read(path) if path.is_file() else None
    if data is None and "==" not in bundle:
        raise UsageError(f"{bundle} is neither a file nor NAME==VERSION")
    external = read_external(data) if data is not None else None
    pin = external.pin if external is not None else Pin.parse(bundle)
    with open_client(settings(ctx)).session(now) as session:
        revocations = session.revocations()
        try:
            release = session.release(pin)
        except NotFoundError:
            if external is None:
                raise
            release = None
    evidence: Evidence | None = external
    if release is not None and (data is None or sha256_of(data) == release.bundle.target.sha256):
        evidence = release
    if evidence is None:  # a name without a release was refused above
        raise CouldNotVerifyError(f"nothing is known about {pin}")
    verdict = judge(
        evidence,
        tenant=_somebody(Tier(tier), pin, now),
        profile_sha256=None,  # the next profile to be signed
        revocations=revocations,
        opt_ins=(),
        policy=POLICY,
        now=now,
    )
    record: dict[str, Any] = {key: value for key, value in verdict.items() if key != "tenant"}
    console.answer(
        record,
        f"admitted: {pin} for the {tier} tier, once a profile pins it\n"
        f"  signed by {', '.join(record['signed_by'])}, reviewed by {', '.join(record['reviewed_by'])}\n"
        f"  tree sha256 {record['tree_sha256']}",
    )


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
