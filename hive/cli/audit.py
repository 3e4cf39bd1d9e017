"""`hive audit`."""

import json
from pathlib import Path
from typing import Any, Final

import click

from hive import audit as records
from hive import remembered_head
from hive.certificate import kept
from hive.certificate import load as load_certificate
from hive.checkpoints import check_contains, checkpoint, digests_of, read_checkpoint, verify_log
from hive.cli.context import clock, open_database, open_here, settings
from hive.cli.vulns import vulns
from hive.config import HiveConfig
from hive.db.session import snapshot, transaction
from hive.host_key import HostKey, public_key
from hive.jails.choose import open_host
from hive.tenants import load_row
from hive.vault.owner import owner_of
from hive.vault.provision import Provisioner, Standing
from hive.why import Jail, answer_why
from repo_client.handles import Directory
from signing.console import Console, console_option
from signing.errors import ConflictError, UsageError
from signing.format.chain import BrokenChainError, Head, Record
from signing.format.digest import parse_sha256, sha256_of
from signing.format.moment import render_moment
from signing.format.names import TenantId, parse_tenant_id
from signing.keys import HeldKey

_MAX_CHECKPOINT: Final = 1 << 16
_LONGEST_REASON: Final = 500


@click.group()
def audit() -> None:
    """Who let what into which jail, and on what evidence."""


audit.add_command(vulns)


@audit.command("verify")
@click.option("--head", help="The digest noted earlier: it must still be in the chain.")
@click.option(
    "--checkpoint",
    "against",
    type=click.Path(path_type=Path),
    help="A checkpoint kept elsewhere: it must be in there.",
)
@click.option(
    "--host-key",
    "host_keys",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Public keys whose checkpoints count, for a copy of the database elsewhere; default: this host's.",
)
@console_option
@click.pass_context
def verify(
    ctx: click.Context, head: str | None, against: Path | None, host_keys: tuple[Path, ...], console: Console
) -> None:
    """Check all that is stored of the log, and print its head. Note it elsewhere: a chain cannot prove its own end."""
    config = settings(ctx)
    expected = parse_sha256(head, where="--head") if head is not None else None
    keys = [HeldKey.parse(_read(path), where=str(path)) for path in host_keys] or None
    with snapshot(open_database(config)) as session:
        written, signed = verify_log(session, config.state_dir, keys=keys)
    if against is not None:
        kept, at = read_checkpoint(_read(against), keys or [public_key(config.state_dir)])
        check_contains(digests_of(written), kept)
        console.note(f"holds the checkpoint of {at:%Y-%m-%d %H:%M} UTC (record {kept.sequence})")
    if expected is not None and expected not in {record.head.digest for record in written}:
        raise BrokenChainError(
            "the noted head is not in the chain", hint="records were cut off; compare with a backup"
        )
    found = written[-1].head if written else Head()
    console.answer(
        {"records": found.sequence, "head": found.digest, "checkpoints": signed},
        f"{found.sequence} records, chain intact, {signed} checkpoints\nhead {found.digest}",
    )


@audit.command("resume")
@click.option("--reason", required=True, help="What happened; it stands in the audit log.")
@console_option
@click.pass_context
def resume(ctx: click.Context, reason: str, console: Console) -> None:
    """Go on with a log that came back from a backup, or whose newest record is from a clock that ran ahead.

    Until then sweeps and admissions refuse. What is missing is not brought back: look it up in a checkpoint or export.
    """
    if not reason.strip() or len(reason) > _LONGEST_REASON:
        raise UsageError("a reason has to be given, in a few words", hint="--reason TEXT")
    config, now = settings(ctx), clock()
    with transaction(open_database(config)) as session:
        records.check(session)
        written = records.read(session)
        lost = remembered_head.missing(config.state_dir, written)
        newest = written[-1].time if written else now
        if not lost and newest <= now + records.CLOCK_SLACK:
            raise ConflictError("nothing is missing, and the clock is not behind: nothing is to be resumed")
        facts = {"reason": reason, "newest": render_moment(newest), "lost": lost}
        head = records.resume(session, facts=facts, now=now).head
    remembered_head.remember(config.state_dir, head)
    console.answer(
        {"records": head.sequence, "head": head.digest, **facts},
        f"resumed with record {head.sequence}"
        + (f"; lost: {lost}" if lost else "")
        + "\nnext: hive audit verify --checkpoint FILE, hive doctor",
    )


@audit.command("key")
@console_option
@click.pass_context
def key(ctx: click.Context, console: Console) -> None:
    """Print this host's public key: for auditors, and for customers who check their birth certificate."""
    held = HostKey.open(settings(ctx).state_dir).held
    console.answer(
        {"holder": held.holder, "keyid": held.keyid, "public_key": held.render().decode()},
        held.render().decode(),
    )


@audit.command("checkpoint")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write it to this file; keep it on another machine."
)
@console_option
@click.pass_context
def sign_checkpoint(ctx: click.Context, out: Path | None, console: Console) -> None:
    """Sign the head of the log with this host's key. Whoever holds a copy can prove that nothing was cut off."""
    config = settings(ctx)
    with transaction(open_database(config)) as session:
        head, envelope = checkpoint(session, HostKey.open(config.state_dir), now=clock())
    if out is not None:
        _write(out, envelope.render())
    console.answer(
        {"records": head.sequence, "head": head.digest, "checkpoint": envelope.render().decode()},
        f"signed: {head.sequence} records, head {head.digest}"
        if out is not None
        else envelope.render().decode(),
    )


@audit.command("export")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="One record a line, as they are chained."
)
@console_option
@click.pass_context
def export(ctx: click.Context, out: Path, console: Console) -> None:
    """Write the whole log, after checking it, and sign its head."""
    config = settings(ctx)
    with transaction(open_database(config)) as session:
        head, envelope = checkpoint(session, HostKey.open(config.state_dir), now=clock())
        lines = [record.render() for record in records.read(session)]
    _write(out, b"".join(line + b"\n" for line in lines))
    _write(out.with_name(f"{out.name}.checkpoint"), envelope.render())
    console.answer(
        {"records": head.sequence, "head": head.digest, "file": str(out)},
        f"{head.sequence} records in {out}, their head signed in {out.name}.checkpoint",
    )


@audit.command("certificate")
@click.argument("tenant_id", metavar="TENANT")
@click.option("--out", required=True, type=click.Path(path_type=Path))
@console_option
@click.pass_context
def certificate(ctx: click.Context, tenant_id: str, out: Path, console: Console) -> None:
    """Write the birth certificate of TENANT, for its customer."""
    with snapshot(open_database(settings(ctx))) as session:
        data = load_certificate(session, parse_tenant_id(tenant_id))
    _write(out, data)
    console.answer(
        {"tenant": tenant_id, "sha256": sha256_of(data), "file": str(out)},
        f"{out}: the certificate of {tenant_id}; its customer checks it by: skillrepo-client verify-birth",
    )


@audit.command("why")
@click.argument("tenant_id", metavar="TENANT")
@click.argument("path")
@click.option("--jail-root-base", envvar="HIVE_JAIL_ROOT_BASE", help="Folder of the jails.")
@console_option
@click.pass_context
def why(ctx: click.Context, tenant_id: str, path: str, jail_root_base: str | None, console: Console) -> None:
    """Say who let the file PATH into the jail of TENANT, and on what evidence."""
    config = settings(ctx, jail_root_base=jail_root_base)
    tenant = parse_tenant_id(tenant_id)
    with snapshot(open_database(config)) as session:
        records.check(session)
        load_row(session, tenant)
        told = records.read(session, tenant=tenant)
        evidence = kept(session, tenant)
    host, standing = open_host(config), _secrets(config, tenant)
    with host.open_root(tenant) as root, host.open_shelf(tenant) as shelf:
        jail = Jail(root=root, shelf=shelf, written=evidence.written, secrets=standing)
        found = answer_why(path, jail, told)
    lines = [f"{'admitted' if found.admitted else 'NOT ADMITTED'}: {found.path}: {found.why}"]
    console.answer(
        {
            "path": found.path,
            "admitted": found.admitted,
            "why": found.why,
            "records": [_document(record) for record in found.records],
        },
        "\n".join([*lines, *(_line(record) for record in found.records)]),
    )


def _secrets(config: HiveConfig, tenant: TenantId) -> Standing | None:
    if config.jail_uid is None:
        return None
    engine = open_database(config)
    provisioner = Provisioner(
        engine=engine,
        host=open_host(config),
        state=config.state_dir,
        owner=owner_of(config),
        clock=clock,
        here=open_here(config, engine),
    )
    return provisioner.standing(tenant)


def _write(path: Path, data: bytes) -> None:
    with Directory.open(path.absolute().parent) as folder:
        folder.write_file(path.name, data, mode=0o644)


def _read(path: Path) -> bytes:
    with Directory.open(path.absolute().parent) as folder:
        return folder.read_file(path.name, max_bytes=_MAX_CHECKPOINT)


@audit.command("show")
@click.option("--tenant", help="Only what is about this tenant.")
@console_option
@click.pass_context
def show(ctx: click.Context, tenant: str | None, console: Console) -> None:
    """Show the records, oldest first."""
    with snapshot(open_database(settings(ctx))) as session:
        found = records.read(session, tenant=tenant)
    console.answer(
        {"records": [_document(record) for record in found]},
        "\n".join(_line(record) for record in found) or "none",
    )


def _document(record: Record) -> dict[str, Any]:
    return {
        "sequence": record.sequence,
        "time": render_moment(record.time),
        "event": record.event,
        "facts": record.facts,
    }


def _line(record: Record) -> str:
    facts = record.facts
    what = ""
    if record.event == "admission":
        way = (
            facts.get("risk")
            or f"{facts.get('role')} v{facts.get('role_version')} signed by {_names(facts, 'signed_by')}"
        )
        tree = facts.get("tree_sha256")
        digest = f"tree {tree[:12]}" if tree is not None else f"sha256 {facts['sha256'][:12]}"
        what = f"{facts['pin']} ({facts['kind']})  {digest}  {way}"
    elif "error" in facts:
        what = f"{facts['error']['code']}: {facts['error']['message']}"
    else:
        what = " ".join(f"{key}={json.dumps(value)}" for key, value in facts.items() if key != "tenant")
    return f"{record.sequence:5}  {render_moment(record.time)}  {facts.get('tenant', '-'):15} {record.event:18} {what}"


def _names(facts: dict[str, Any], key: str) -> str:
    return ", ".join(str(name) for name in facts.get(key, []))
