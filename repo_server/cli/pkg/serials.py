"""`skillrepo pkg serials`: what there is to go back to."""

import click

from repo_server.cli.context import open_repository
from signing.console import Console, console_option
from signing.format.moment import render_moment
from signing.format.pkg.names import PackageRepo


@click.command("serials")
@click.argument("repo", metavar="[ABI/CHANNEL]", required=False)
@console_option
@click.pass_context
def serials(ctx: click.Context, repo: str | None, console: Console) -> None:
    """List the serials that are retained, the newest first; * is the one that is served."""
    from repo_server.db.session import snapshot
    from repo_server.pkgrepo.places import served_serial
    from repo_server.pkgrepo.serials import rows_of

    wanted = PackageRepo.parse(repo) if repo is not None else None
    repository = open_repository(ctx, console)
    with snapshot(repository.engine) as session:
        rows = rows_of(session, wanted)
    items = [
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
    lines = [
        f"{'*' if item['served'] else ' '} {item['repository']}  {item['serial']:>6}  {item['packages']:>6} packages"
        f"  made {item['created']}"
        for item in items
    ]
    console.answer({"serials": items}, "\n".join(lines) or "no serials")
