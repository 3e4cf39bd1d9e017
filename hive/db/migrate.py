"""Bringing a database to the schema of this version, by Alembic (edge)."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, text

_LOCK: Final = 0x686976650001  # any number, as long as all of this project's programs take the same


def upgrade(engine: Engine, url: str) -> None:
    """Run the migrations that ``engine``'s database lacks, in one transaction."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":  # SQLite's writers queue by themselves
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
