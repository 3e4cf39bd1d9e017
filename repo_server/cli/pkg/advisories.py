"""`skillrepo pkg advisories`: the list of known vulnerabilities, signed by a curator."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from repo_server.cli.context import (
    acting_as,
    clock,
    confirm,
    load_signer,
    open_online_signer,
    open_repository,
    open_signer,
)
from repo_server.cli.pkg.desks import keys_folder, open_served_site
from signing.console import Console, console_option
from signing.errors import FormatError, UsageError
from signing.format.names import parse_holder_name
from signing.keystore import KEY_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Callable

    from securesystemslib.signer import Signer

    from repo_server.pkgrepo.advisory_desk import AdvisoryDesk

_SHOWN: Final = 10


@click.command("advisories")
@click.argument("feed", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--as", "holder", envvar="SKILLREPO_AS", help="The curator whose key signs.")
@click.option(
    "--allow-lost", is_flag=True, help="Also when many of the published advisories are gone from it."
)
@click.option("--yes", is_flag=True, help="Do not ask before signing.")
@console_option
@click.pass_context
def advisories(
    ctx: click.Context, feed: Path, holder: str | None, allow_lost: bool, yes: bool, console: Console
) -> None:
    """Sign FILE (vuln.xml, uncompressed) as the list of known vulnerabilities and publish it.

    Births with packages need a list that is younger than 30 days. Nobody signs the feed at its source: whoever signs
    here says that it was fetched whole, so what it lost since last time is counted first.
    """
    from repo_server.curation.textsafe import visible

    data = _read(feed)
    name, signer_of, desk = _opened(ctx, console, holder)
    change = desk.plan(data, allow_lost=allow_lost, now=clock())
    lines = [f"{change.total} advisories: {len(change.added)} new, {len(change.lost)} gone"]
    lines += [f"  - {visible(vid, keep='')}" for vid in change.lost[:_SHOWN]]
    if len(change.lost) > _SHOWN:
        lines.append(f"  … and {len(change.lost) - _SHOWN} more")
    console.note("\n".join([*lines, f"  sha256 {change.sha256}"]))
    confirm(f"sign this as {name}?", console, yes=yes)
    desk.hand_in(data, signer_of(), now=clock())
    console.answer(
        {**change.to_json(), "signed_by": name}, f"published, signed by {name}: {change.total} advisories"
    )


def _opened(
    ctx: click.Context, console: Console, holder: str | None
) -> "tuple[str, Callable[[], Signer], AdvisoryDesk]":
    if not isinstance(ctx.find_root().obj["repo"], str):
        from repo_server.pkgrepo.advisory_desk import LocalAdvisoryDesk

        repository = open_repository(ctx, console, to_sign=True)
        name = acting_as(holder, repository, "curator")
        local = LocalAdvisoryDesk(repository=repository, online=lambda: open_online_signer(ctx, repository))
        return name, lambda: open_signer(ctx, repository, name), local
    from repo_server.cli.remote import token_of
    from repo_server.desk.client import DeskAddress, DeskClient
    from repo_server.pkgrepo.advisory_desk import RemoteAdvisoryDesk

    if not holder:
        raise UsageError("who are you?", hint=f"name your key by --as NAME (NAME{KEY_SUFFIX} in --keys DIR)")
    mine = parse_holder_name(holder)
    options = ctx.find_root().obj
    address = DeskAddress.parse(options["repo"])
    remote = RemoteAdvisoryDesk(
        client=DeskClient(address, token_of(options["token_file"])),
        site=open_served_site(ctx, pkg_site=str(address)),
    )
    return mine, lambda: load_signer(ctx, keys_folder(ctx, None) / f"{mine}{KEY_SUFFIX}"), remote


def _read(path: Path) -> bytes:
    from signing.format.pkg.vuxml import MAX_FEED_BYTES

    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FEED_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > MAX_FEED_BYTES:
        raise FormatError(f"larger than {MAX_FEED_BYTES} bytes", where=str(path))
    return data
