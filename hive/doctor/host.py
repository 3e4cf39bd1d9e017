"""What is examined: the settings of a host, the moment, and its database, opened without changing it (edge)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from hive.config import HiveConfig
from hive.db.session import HEAD, open_engine
from hive.gates.register import Gates
from repo_client.client import RepoClient
from signing.errors import HostError, NotFoundError, SkillRepoError

_SQLITE: Final = "sqlite:///"
_SECONDS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """This host. ``open_client`` and ``open_gates`` are how the commands of `hive` open these."""

    config: HiveConfig
    config_file: Path | None
    now: datetime
    open_client: Callable[[HiveConfig], RepoClient]
    open_gates: Callable[[HiveConfig], Gates]
    _opened: list[Engine | SkillRepoError] = field(default_factory=list, repr=False)

    @property
    def database_file(self) -> Path | None:
        """The file of the database, if it is SQLite."""
        url = self.config.db_url
        return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None

    def database(self) -> Engine:
        """Return the database; it is tried once, and whoever asks again hears the same.

        Raises:
            UsageError, NotFoundError, HostError: it is not configured, not there, or not of this version.
        """
        if not self._opened:
            try:
                self._opened.append(self._open())
            except SkillRepoError as error:
                self._opened.append(error)
        found = self._opened[0]
        if isinstance(found, SkillRepoError):
            raise found
        return found

    def close(self) -> None:
        """Let go of the database."""
        for found in self._opened:
            if isinstance(found, Engine):
                found.dispose()

    def _open(self) -> Engine:
        file = self.database_file
        if file is not None and not file.exists():
            raise NotFoundError(
                f"no database at {file}", hint="is db right? the first hive register-tenant makes it"
            )
        version = _version(self.config.db_url)
        if version == HEAD:
            return open_engine(self.config.db_url)
        if version is not None and version > HEAD:
            raise HostError("the database belongs to a newer version", hint="install that version of hive")
        # Opening it as the other commands do would migrate it, and a doctor changes nothing.
        raise HostError(
            f"the database is at version {version or 'none'}, this program at {HEAD}",
            hint="back it up, then run hive list-tenants, which brings it up to date",
        )


def _version(url: str) -> str | None:
    limit = {"connect_timeout": _SECONDS} if url.startswith("postgresql") else {}
    try:
        engine = create_engine(url, connect_args=limit)
        try:
            with engine.connect() as connection:
                if not inspect(connection).has_table("alembic_version"):
                    return None
                found = connection.scalar(text("SELECT version_num FROM alembic_version"))
        finally:
            engine.dispose()
    except (SQLAlchemyError, ImportError) as error:
        # Not its text: a driver may repeat the address, with its password.
        raise HostError(
            f"the database cannot be opened: {type(error).__name__}",
            hint="is db right, does its server run, and may this user read it?",
        ) from error
    return str(found) if found is not None else None
