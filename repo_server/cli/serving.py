"""`skillrepo serve`."""

import contextlib
import logging
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click
from securesystemslib.signer import Signer

from repo_server.cli.context import DEV_PASSPHRASE, ONLINE, open_repository, read_passphrase
from repo_server.db.session import transaction
from repo_server.publishing.projection import project
from repo_server.repository import Repository
from signing.console import Console, console_option
from signing.errors import KeyAccessError
from signing.keystore import KEY_SUFFIX, load_key


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8080, show_default=True, help="0 chooses a free one.")
@click.option(
    "--socket",
    "socket_path",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Listen at a socket in the file system, for nginx, in the place of --host and --port.",
)
@click.option(
    "--grace",
    default=1,
    show_default=True,
    metavar="SECONDS",
    help="How long requests go on after SIGTERM, or SIGHUP for the old workers.",
)
@click.option("--workers", default=1, show_default=True)
@click.option(
    "--server", type=click.Choice(["granian", "waitress"]), help="Default: granian where it is installed."
)
@click.option("--desk", is_flag=True, help="Answer curators elsewhere too (skillrepo --repo https://…).")
@click.option(
    "--upload-quota",
    default=256,
    show_default=True,
    type=click.IntRange(min=1),
    metavar="GIB",
    help="With --desk: what a builder's token may have sent that no published build names.",
)
@click.option("--metrics", metavar="ADDRESS", help="127.0.0.1:PORT on which /metrics answers Prometheus.")
@click.option(
    "--log-json", is_flag=True, envvar="SKILLREPO_LOG_JSON", help="Log one JSON object a request, on stderr."
)
@console_option
@click.pass_context
def serve(
    ctx: click.Context,
    host: str,
    port: int,
    socket_path: Path | None,
    grace: int,
    workers: int,
    server: str | None,
    desk: bool,
    upload_quota: int,
    metrics: str | None,
    log_json: bool,
    console: Console,
) -> None:
    """Serve the skills site and the package site until SIGTERM or SIGINT.

    On a loopback address the skills site answers at / and at /skills/, the package site at /pkg/. With --desk,
    curators who show a token (skillrepo token new) stage, review, sign and publish over HTTP; publishing takes the
    online key with --online-passphrase-file, and without that is done on this machine. TLS is the proxy's part.

    On a --socket, a service that starts on the name of a living one takes it over, and SIGHUP starts new workers: nobody is
    refused either way.
    """
    from repo_server.web.app import MAX_BODY_BYTES, MAX_DESK_BODY_BYTES
    from repo_server.web.local import create_local_app
    from repo_server.web.metrics import metrics_beside, parse_address
    from repo_server.web.request_log import VARIABLE
    from repo_server.web.serve import ServerKind
    from repo_server.web.serve import serve as run_server

    if log_json:
        os.environ[VARIABLE] = "1"  # for the workers
    beside = parse_address(metrics) if metrics is not None else None
    repository = open_repository(ctx, console)
    with transaction(repository.engine) as session:
        completed = project(repository, session)  # what a killed publish left to write
    repository.engine.dispose()  # no connection crosses into the workers
    if completed:
        console.note(f"completed {completed} file(s) of the published tree")
    options = ctx.find_root().obj
    key = repository.keys / f"{ONLINE}{KEY_SUFFIX}"
    online = partial(open_online_key, key, _passphrase_file(options, repository)) if desk else None
    factory = partial(
        create_local_app,
        repository.folder,
        database=options["database"],
        online=online,
        upload_quota=upload_quota << 30,
    )
    with contextlib.ExitStack() as stack:
        if beside is not None:
            stack.enter_context(
                metrics_beside(
                    repository.folder, database=options["database"], host=beside[0], port=beside[1]
                )
            )
        run_server(
            factory,
            host=host,
            port=port,
            socket_path=socket_path,
            grace=grace,
            workers=workers,
            server=ServerKind(server) if server is not None else None,
            max_body_bytes=MAX_DESK_BODY_BYTES if desk else MAX_BODY_BYTES,
        )


def open_online_key(key: Path, passphrase_file: Path | None) -> Signer:
    """Return the online key, opened anew each time that something is published: it is not kept in memory.

    Raises:
        KeyAccessError: it, or its passphrase, is not on this machine.
    """
    if passphrase_file is None or not key.exists():
        raise KeyAccessError(
            "the online key is not at hand on the server",
            hint="skillrepo publish on the server's own machine; or serve --desk with --online-passphrase-file",
        )
    try:
        return load_key(key, passphrase=lambda _: read_passphrase(passphrase_file))
    except KeyAccessError as error:  # which file, and what is wrong with it, is the server's business
        logging.getLogger(__name__).exception("the online key cannot be opened")
        raise KeyAccessError(
            "the online key cannot be opened on the server", hint="its log says why"
        ) from error


def _passphrase_file(options: Mapping[str, Any], repository: Repository) -> Path | None:
    own: Path | None = options["online_passphrase_file"] or options["passphrase_file"]
    beside = repository.keys / DEV_PASSPHRASE
    if own is None and repository.config.dev and beside.exists():
        return beside
    return own.resolve() if own is not None else None
