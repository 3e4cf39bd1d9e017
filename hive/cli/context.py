"""What the commands of `hive` share: settings, database, client, clock (edge)."""

from datetime import UTC, datetime
from pathlib import Path

import click
from sqlalchemy import Engine

from hive.config import HiveConfig
from hive.db.session import open_engine
from repo_client.anchor import load_anchor
from repo_client.client import RepoClient
from repo_client.updater import Server


def clock() -> datetime:
    """Return the present moment."""
    return datetime.now(UTC)


def settings(ctx: click.Context, **more: object) -> HiveConfig:
    """Return the settings of this call."""
    options = ctx.find_root().obj
    return HiveConfig.load(options["config_file"], {**options, **more})


def open_database(config: HiveConfig) -> Engine:
    """Return the database, made when it is a missing SQLite file."""
    url = config.db_url
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    return open_engine(url)


def open_client(config: HiveConfig) -> RepoClient:
    """Return the verifying client.

    Raises:
        UsageError: anchor or server are not named. NotFoundError, CouldNotVerifyError: the anchor is no anchor.
    """
    anchor = load_anchor(Path(config.need("trust_anchor", "--trust-anchor FILE or HIVE_TRUST_ANCHOR")))
    server = Server.parse(config.need("server", "--server URL or HIVE_SERVER"))
    state = config.state_dir
    return RepoClient(
        anchor=anchor, server=server, metadata_dir=state / "metadata", store_dir=state / "store"
    )
