"""A repository on this machine: its folder, its database, its blobs (edge).

DIR/repository.toml        settings
DIR/repository.db          every mutable decision (another database by --db)
DIR/trust-anchor.json      the first root: what clients are given, by a way they trust
DIR/blobs/ab/ab12…         content-addressed bytes, staged and published
DIR/public/skills/         the published tree of skills.clawdie.si; plain files, a projection
DIR/public/pkg/            the published tree of pkg.clawdie.si
DIR/keys/                  online keys (with --dev: everybody's throw-away keys)
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from sqlalchemy import Engine

from repo_server.config import RepositoryConfig
from repo_server.db.session import open_engine
from repo_server.storage.local import LocalBlobs

ANCHOR_NAME: Final = "trust-anchor.json"
DATABASE_NAME: Final = "repository.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """An opened repository."""

    folder: Path
    config: RepositoryConfig
    engine: Engine
    blobs: LocalBlobs

    @classmethod
    def open(cls, folder: Path, *, database: str | None = None) -> Self:
        """Open the repository in ``folder``.

        Raises:
            NotFoundError: there is none; FormatError: wrong settings; HostError: the database fails.
        """
        return cls.with_config(folder, RepositoryConfig.load(folder), database=database)

    @classmethod
    def with_config(cls, folder: Path, config: RepositoryConfig, *, database: str | None = None) -> Self:
        """Open ``folder`` with settings at hand; for the installation, which writes them last."""
        folder = folder.resolve()
        return cls(
            folder=folder,
            config=config,
            engine=open_engine(database or f"sqlite:///{folder / DATABASE_NAME}"),
            blobs=LocalBlobs(folder / "blobs"),
        )

    @property
    def anchor(self) -> bytes:
        """The first root."""
        return (self.folder / ANCHOR_NAME).read_bytes()

    @property
    def skills_root(self) -> Path:
        """The published tree of the skills site."""
        return self.folder / "public" / "skills"

    @property
    def pkg_root(self) -> Path:
        """The published tree of the package site."""
        return self.folder / "public" / "pkg"

    @property
    def keys(self) -> Path:
        """The keys that live beside the repository."""
        return self.folder / "keys"
