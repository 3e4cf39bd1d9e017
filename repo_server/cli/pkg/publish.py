"""`skillrepo pkg publish` and `pkg renew`: what a build host does."""

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from repo_server.cli.context import clock
from repo_server.cli.pkg.desks import open_builder, open_package_desk, pkg_site_option, state_folder
from repo_server.cli.pkg.signers import key_option, open_pkg_signer, passphrase_option
from signing.console import Console, console_option
from signing.errors import UsageError
from signing.format.moment import render_moment
from signing.format.pkg.names import PackageRepo, parse_abi, parse_channel

if TYPE_CHECKING:
    from repo_server.pkgrepo.submitting import Outcome

_SHOWN: Final = 8
_MAX_KEYS: Final = 4


@click.command("publish")
@click.option(
    "--packages",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of a finished build; of poudriere: .../packages/MASTERNAME.",
)
@click.option("--abi", required=True, metavar="ABI", help="As in FreeBSD:14:amd64.")
@click.option("--channel", required=True, metavar="NAME", help="As in latest or quarterly.")
@click.option(
    "--build", "records", type=click.Path(path_type=Path), help="Folder of the build's log, with .data.json."
)
@key_option(multiple=True)
@passphrase_option
@click.option("--as", "holder", envvar="SKILLREPO_AS", help="The builder whose key signs the index.")
@click.option("--allow-failed", "--publish-failed", is_flag=True, help="Also when ports failed in the build.")
@click.option("--allow-downgrade", metavar="REASON", help="Versions may go back; why is signed and stays.")
@click.option("--refuse-vulnerable", is_flag=True, help="Not when a package has a known vulnerability.")
@click.option("--rehash", is_flag=True, help="Read every package file, also those that are known unchanged.")
@click.option("--grace", type=click.IntRange(0, 366), default=14, show_default=True, metavar="DAYS")
@pkg_site_option
@console_option
@click.pass_context
def publish(ctx: click.Context, /, console: Console, **given: Any) -> None:
    """Check a finished build, sign it, send what is missing, publish it, and look at what is served then.

    Run it again whenever in doubt: what is published already is found unchanged. --key names the key for pkg's own
    catalogue, twice for two signatures. Packages that are not in the build any more are kept for --grace days.

    Exit: 0 published, or nothing to do; 12 the gate refuses the build; 4 another build was published meanwhile.
    """
    from repo_server.pkgrepo.facts import FactsCache
    from repo_server.pkgrepo.gate import GatePolicy
    from repo_server.pkgrepo.locking import publishing
    from repo_server.pkgrepo.poudriere import open_source, read_build
    from repo_server.pkgrepo.submitting import Keys, Wanted
    from repo_server.pkgrepo.submitting import publish as publish_build

    repo = PackageRepo(
        parse_abi(given["abi"], where="--abi"), parse_channel(given["channel"], where="--channel")
    )
    if len(given["keys"]) > _MAX_KEYS:
        raise UsageError(f"at most {_MAX_KEYS} keys sign a catalogue", hint="leave some --key out")
    desk, repository, site = open_package_desk(ctx, console, pkg_site=given["pkg_site"])
    name, builder = open_builder(ctx, repository, given["holder"])
    keys = Keys(
        holder=name,
        builder=builder,
        pkg=[
            open_pkg_signer(ctx, key, passphrase_file=given["key_passphrase_file"]) for key in given["keys"]
        ],
    )
    folder = state_folder(repo)
    tell = _teller(console)
    with publishing(folder, repo, tell=console.note), open_source(given["packages"]) as source:
        record = read_build(source, environment=os.environ, records=given["records"])
        console.note(record.check_whole(allow_failed=given["allow_failed"]))
        cache = FactsCache() if given["rehash"] else FactsCache.load(folder / "facts")
        outcome = publish_build(
            desk,
            source,
            record,
            Wanted(
                repo=repo,
                repository=site,
                policy=GatePolicy(refuse_vulnerable=given["refuse_vulnerable"]),
                downgrade=given["allow_downgrade"],
                grace=timedelta(days=given["grace"]),
            ),
            keys,
            cache=cache,
            clock=clock,
            tell=tell,
        )
        cache.store(folder / "facts")
    for line in _warnings(outcome):
        console.note(line)
    console.answer(outcome.to_json(), _said(outcome))


@click.command("renew")
@click.argument("repo", metavar="ABI/CHANNEL")
@click.option("--as", "holder", envvar="SKILLREPO_AS", help="The builder whose key signs.")
@pkg_site_option
@console_option
@click.pass_context
def renew(ctx: click.Context, repo: str, holder: str | None, pkg_site: str | None, console: Console) -> None:
    """Sign what is published in ABI/CHANNEL for another term, without a build.

    A role lives 30 days, and `pkg publish` renews it when 10 are left; this is for a host that builds less often.
    """
    from repo_server.pkgrepo.locking import publishing
    from repo_server.pkgrepo.submitting import Keys
    from repo_server.pkgrepo.submitting import renew as renew_role

    wanted = PackageRepo.parse(repo)
    desk, repository, _ = open_package_desk(ctx, console, pkg_site=pkg_site)
    name, builder = open_builder(ctx, repository, holder)
    with publishing(state_folder(wanted), wanted, tell=console.note):
        index, expires = renew_role(desk, wanted, Keys(holder=name, builder=builder, pkg=()), clock=clock)
    end = render_moment(expires.replace(microsecond=0))
    console.answer(
        {"repository": str(wanted), "serial": index.serial, "expires": end},
        f"{wanted} serial {index.serial} holds until {end}",
    )


def _teller(console: Console) -> Any:
    """Return who says how far it is: only to a person; a log has no use for it."""
    if console.as_json or not sys.stderr.isatty():
        return lambda _: None
    return console.note


def _warnings(outcome: "Outcome") -> list[str]:
    from repo_server.curation.textsafe import excerpt, visible

    found = outcome.gate.warnings
    lines = [
        f"warning: {item.where}: {excerpt(visible(item.message, keep=''), limit=200)}"
        for item in found[:_SHOWN]
    ]
    if len(found) > _SHOWN:
        lines.append(f"warning: and {len(found) - _SHOWN} more: --json lists them")
    if outcome.pkg_site_checked is False:
        lines.append("warning: the package site takes a token: what it serves to pkg was not looked at")
    return lines


def _said(outcome: "Outcome") -> str:
    index = outcome.index
    head = f"{index.repo} serial {index.serial}, {len(index.packages)} packages: {outcome.state}"
    if outcome.state != "published":
        return head
    changes = outcome.gate.changes.to_json()
    counts = ", ".join(f"{len(names)} {kind}" for kind, names in changes.items() if names)
    return f"{head}\n{counts or 'no package changed'}; {outcome.sent} files sent, {outcome.sent_bytes} bytes"
