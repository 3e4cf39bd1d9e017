"""`hive audit`."""

import json
from pathlib import Path
from typing import Any, Final

import click
from sqlalchemy.orm import Session

from hive import audit as records
from hive.certificate import kept
from hive.certificate import load as load_certificate
from hive.checkpoints import check_all, check_contains, checkpoint, count, digests_of, read_checkpoint
from hive.cli.context import clock, open_database, settings
from hive.cli.vulns import vulns
from hive.db.session import transaction
from hive.host_key import HostKey
from hive.jails.choose import open_host
from hive.tenants import STANDING, list_all, load_row
from hive.why import answer_why
from repo_client.handles import Directory
from signing.console import Console, console_option
from signing.format.chain import BrokenChainError, Record
from signing.format.digest import parse_sha256, sha256_of
from signing.format.moment import render_moment
from signing.format.names import parse_tenant_id

_MAX_CHECKPOINT: Final = 1 << 16


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
@console_option
@click.pass_context
def verify(ctx: click.Context, head: str | None, against: Path | None, console: Console) -> None:
    """Check the hash chain and print its head. Note the head elsewhere: a chain cannot prove its own end."""
    config = settings(ctx)
    expected = parse_sha256(head, where="--head") if head is not None else None
    with transaction(open_database(config)) as session:
        found = records.check(session)
        written = records.read(session)
        _check_complete(session, written)
        signed = count(session)
        if signed or against is not None:
            keys = [HostKey.open(config.state_dir).held]
            check_all(session, keys)
            if against is not None:
                kept, at = read_checkpoint(_read(against), keys)
                check_contains(digests_of(written), kept)
                console.note(f"holds the checkpoint of {at:%Y-%m-%d %H:%M} UTC (record {kept.sequence})")
    digests = {record.head.digest for record in written}
    if expected is not None and expected not in digests:
        raise BrokenChainError(
            "the noted head is not in the chain", hint="records were cut off; compare with a backup"
        )
    console.answer(
        {"records": found.sequence, "head": found.digest, "checkpoints": signed},
        f"{found.sequence} records, chain intact, {signed} checkpoints\nhead {found.digest}",
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
    with transaction(open_database(settings(ctx))) as session:
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
    with transaction(open_database(config)) as session:
        records.check(session)
        load_row(session, tenant)
        told = records.read(session, tenant=tenant)
        evidence = kept(session, tenant)
    with open_host(config).open_root(tenant) as root:
        found = answer_why(path, root, told, written=evidence.written)
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


def _write(path: Path, data: bytes) -> None:
    with Directory.open(path.absolute().parent) as folder:
        folder.write_file(path.name, data, mode=0o644)


def _read(path: Path) -> bytes:
    with Directory.open(path.absolute().parent) as folder:
        return folder.read_file(path.name, max_bytes=_MAX_CHECKPOINT)


def _check_complete(session: Session, written: list[Record]) -> None:
    """Raise BrokenChainError when the registry knows of something that the log does not: its end was cut off."""
    said = {(record.event, record.facts.get("tenant")) for record in written}
    for tenant in list_all(session):
        wanted = [{"tenant.registered"}]
        if tenant.status in STANDING:
            wanted.append({"birth.born", "birth.active"})
        for events in wanted:
            if not any((event, tenant.tenant_id) in said for event in events):
                raise BrokenChainError(
                    f"the log has no {' or '.join(sorted(events))} of {tenant.tenant_id}",
                    hint="records were cut off; compare with a backup",
                )


@audit.command("show")
@click.option("--tenant", help="Only what is about this tenant.")
@console_option
@click.pass_context
def show(ctx: click.Context, tenant: str | None, console: Console) -> None:
    """Show the records, oldest first."""
    with transaction(open_database(settings(ctx))) as session:
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
