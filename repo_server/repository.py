"""A repository on this machine: its folder, its database, its blobs (edge).

DIR/repository.toml        settings
DIR/repository.db          every mutable decision (another database by --db)
DIR/trust-anchor.json      the first root: what clients are given, by a way they trust
DIR/blobs/ab/ab12…         content-addressed bytes, staged and published
DIR/public/skills/         the published tree of skills.clawdie.si; plain files, a projection
DIR/public/pkg/            the published tree of pkg.clawdie.si
DIR/keys/                  online keys (with --dev: everybody's throw-away keys)
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from sqlalchemy import Engine

from repo_server.config import RepositoryConfig
from repo_server.db.session import open_engine
from repo_server.storage.blobs import Blobs
from repo_server.storage.local import LocalBlobs
from signing.errors import CouldNotVerifyError

ANCHOR_NAME: Final = "trust-anchor.json"
DATABASE_NAME: Final = "repository.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """An opened repository."""

    folder: Path
    config: RepositoryConfig
    engine: Engine
    blobs: Blobs
    # The anchor that whoever uses this repository brought along; None: the repository's own copy.
    given_anchor: bytes | None = None

    @classmethod
    def open(cls, folder: Path, *, database: str | None = None, anchor: bytes | None = None) -> Self:
        """Open the repository in ``folder``.

        A signer brings the ``anchor`` along: the copy in the folder lies on the machine that is not to be
        trusted with what gets signed.

        Raises:
            NotFoundError: there is none; FormatError: wrong settings; HostError: the database fails.
        """
        repository = cls.with_config(folder, RepositoryConfig.load(folder), database=database)
        if anchor is not None and anchor != repository.anchor:
            raise CouldNotVerifyError(
                f"the trust anchor in {folder} is not the one that you brought along",
                hint="do not sign: this is another repository, or its anchor was exchanged",
            )
        return replace(repository, given_anchor=anchor)

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
        return self.given_anchor or (self.folder / ANCHOR_NAME).read_bytes()

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
