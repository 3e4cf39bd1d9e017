"""What the commands of `hive` share: settings, database, client, clock (edge)."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from sqlalchemy import Engine

from hive.agents.names import AgentId
from hive.config import HiveConfig
from hive.db.session import open_engine, snapshot
from hive.private_files import read_secret
from signing.errors import NotFoundError, UsageError
from signing.format.digest import sha256_of

if TYPE_CHECKING:  # a third of the start of a command that neither asks the repository nor signs
    from repo_client.access_token import AccessToken
    from repo_client.client import RepoClient
    from repo_client.updater import Server


def clock() -> datetime:
    """Return the present moment."""
    return datetime.now(UTC)


def settings(ctx: click.Context, **more: object) -> HiveConfig:
    """Return the settings of this call."""
    options = ctx.find_root().obj
    return HiveConfig.load(options["config_file"], {**options, **more})


def open_database(config: HiveConfig, *, create: bool = False) -> Engine:
    """Return the database; with ``create``, a missing SQLite file is made.

    Raises:
        NotFoundError: there is none. A mistyped path must not answer "no tenants, chain intact".
    """
    url = config.db_url
    if url.startswith("sqlite:///"):
        path = Path(url.removeprefix("sqlite:///"))
        if create:
            path.parent.mkdir(parents=True, exist_ok=True)
        elif not path.exists():
            raise NotFoundError(f"no database at {path}", hint="the first hive register-tenant makes it")
    # Here, because whoever needs it first would make it with the usual mode, and it holds keys.
    config.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return open_engine(url)


def open_here(config: HiveConfig, engine: Engine) -> AgentId | None:
    """Return what this machine is called among those that share the database; None where it is alone.

    Raises:
        UsageError: it did not join, or has no name where others have. NotEntitledError: the name is another machine's.
        KeyAccessError, FormatError: it has a name, and its key cannot be used.
    """
    from hive.here import check_host
    from hive.host_key import HostKey, has_key

    here, key = config.host_name, None
    if here is not None and has_key(config.state_dir):
        key = HostKey.open(config.state_dir).held.keyid
    with snapshot(engine) as session:
        check_host(session, here, key)
    return here


def open_client(config: HiveConfig) -> "RepoClient":
    """Return the verifying client.

    Raises:
        UsageError: anchor or server are not named. NotFoundError, CouldNotVerifyError: the anchor is no anchor.
    """
    from repo_client.anchor import load_anchor
    from repo_client.client import RepoClient
    from repo_client.updater import Server

    anchor = load_anchor(Path(config.need("trust_anchor", "--trust-anchor FILE or HIVE_TRUST_ANCHOR")))
    server = Server.parse(
        config.need("server", "--server URL or HIVE_SERVER"), mirrors=(config.mirrors or "").split()
    )
    state = config.state_dir
    # One memory per anchor: another repository's metadata must not push out what was seen of this one.
    metadata_dir = state / "metadata" / sha256_of(anchor)[:16]
    pkg_server = None
    if config.pkg_server is not None:
        pkg_server = Server.parse(config.pkg_server, mirrors=(config.pkg_mirrors or "").split())
    elif config.pkg_mirrors is not None:
        raise UsageError("pkg_mirrors without pkg_server", hint="name both in the settings file")
    return RepoClient(
        anchor=anchor,
        server=server,
        metadata_dir=metadata_dir,
        store_dir=state / "store",
        pkg_server=pkg_server,
        pkg_token=_pkg_token(config, pkg_server),
    )


def _pkg_token(config: HiveConfig, server: "Server | None") -> "Callable[[], AccessToken] | None":
    from repo_client.access_token import AccessToken

    if config.pkg_token_file is None:
        return None
    if server is None:
        raise UsageError("pkg_token_file without pkg_server", hint="name both in the settings file")
    path, origin = Path(config.pkg_token_file), server.origin
    return lambda: AccessToken.parse(read_secret(path), origin=origin, where=str(path))
