"""`skillrepo serve`."""

from functools import partial

import click

from repo_server.cli.context import open_repository
from repo_server.db.session import transaction
from repo_server.publishing.projection import project
from signing.console import Console, console_option


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8080, show_default=True, help="0 chooses a free one.")
@click.option("--workers", default=1, show_default=True)
@click.option(
    "--server", type=click.Choice(["granian", "waitress"]), help="Default: granian where it is installed."
)
@console_option
@click.pass_context
def serve(
    ctx: click.Context, host: str, port: int, workers: int, server: str | None, console: Console
) -> None:
    """Serve the skills site and the package site until SIGTERM or SIGINT.

    On a loopback address the skills site answers at / and at /skills/, the package site at /pkg/.
    """
    from repo_server.web.local import create_local_app
    from repo_server.web.serve import ServerKind
    from repo_server.web.serve import serve as run_server

    repository = open_repository(ctx, console)
    with transaction(repository.engine) as session:
        completed = project(repository, session)  # what a killed publish left to write
    repository.engine.dispose()  # no connection crosses into the workers
    if completed:
        console.note(f"completed {completed} file(s) of the published tree")
    factory = partial(create_local_app, repository.folder, database=ctx.find_root().obj["database"])
    kind = ServerKind(server) if server is not None else None
    run_server(factory, host=host, port=port, workers=workers, server=kind)
