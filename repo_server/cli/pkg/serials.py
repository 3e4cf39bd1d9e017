"""`skillrepo pkg serials`: what there is to go back to."""

from typing import Any

import click

from repo_server.cli.context import clock, open_repository
from repo_server.cli.pkg.desks import open_served_site
from signing.console import Console, console_option
from signing.errors import UsageError
from signing.format.moment import render_moment
from signing.format.pkg.names import PackageRepo


@click.command("serials")
@click.argument("repo", metavar="[ABI/CHANNEL]", required=False)
@console_option
@click.pass_context
def serials(ctx: click.Context, repo: str | None, console: Console) -> None:
    """List the serials that are retained, the newest first; * is the one that is served.

    Of a repository behind https: those of the present builder of ABI/CHANNEL, checked from your own anchor.
    """
    wanted = PackageRepo.parse(repo) if repo is not None else None
    items = (
        _served(ctx, wanted) if isinstance(ctx.find_root().obj["repo"], str) else _here(ctx, console, wanted)
    )
    lines = [
        f"{'*' if item['served'] else ' '} {item['repository']}  {item['serial']:>6}  {item['packages']:>6} packages"
        f"  made {item['created']}"
        for item in items
    ]
    console.answer({"serials": items}, "\n".join(lines) or "no serials")


def _here(ctx: click.Context, console: Console, wanted: PackageRepo | None) -> list[dict[str, Any]]:
    from repo_server.db.session import snapshot
    from repo_server.pkgrepo.places import served_serial
    from repo_server.pkgrepo.serials import rows_of

    repository = open_repository(ctx, console)
    with snapshot(repository.engine) as session:
        rows = rows_of(session, wanted)
    return [
        {
            "repository": row.repo,
            "serial": row.serial,
            "served": served_serial(repository.pkg_root, PackageRepo.parse(row.repo)) == row.serial,
            "packages": row.packages,
            "created": render_moment(row.created_at),
            "published": render_moment(row.published_at.replace(microsecond=0)),
            "signed_by": row.signed_by.split(","),
            "index_sha256": row.index_sha256,
        }
        for row in rows
    ]


def _served(ctx: click.Context, wanted: PackageRepo | None) -> list[dict[str, Any]]:
    """Return the serials that the server still shows; when it took each of them, only its own database knows."""
    from signing.format.digest import sha256_of
    from signing.keys import holder_of

    if wanted is None:
        raise UsageError("which serials?", hint="behind https, name the repository: ABI/CHANNEL")
    # Nothing is asked of the package site here.
    site = open_served_site(ctx, pkg_site=ctx.find_root().obj["repo"])
    state = site.state(wanted, now=clock())
    if state.left_behind() is not None:
        return []  # of a builder that was replaced: there is no way back to any of them
    delegations = state.trusted.targets.delegations
    role = (delegations.roles or {}).get(wanted.role) if delegations is not None else None
    keyids = role.keyids if role is not None else []
    builders = [holder_of(state.trusted.targets.get_key(keyid)) for keyid in keyids]
    return [
        {
            "repository": str(wanted),
            "serial": index.serial,
            "served": position == 0,
            "packages": len(index.packages),
            "created": render_moment(index.created),
            "published": None,
            "signed_by": builders,
            "index_sha256": sha256_of(index.render()),
        }
        for position, index in enumerate(state.serials())
    ]
