"""A repository on this machine: its folder, its database, its blobs (edge).

DIR/repository.toml        settings
DIR/repository.db          every mutable decision (another database by --db)
DIR/trust-anchor.json      the first root: what clients are given, by a way they trust
DIR/blobs/ab/ab12…         content-addressed bytes, staged and published
DIR/public/skills/         the published tree of skills.clawdie.si; plain files, a projection
DIR/public/pkg/            the published tree of pkg.clawdie.si
DIR/keys/                  online keys (with --dev: everybody's throw-away keys)
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from sqlalchemy import Engine

from repo_server.config import RepositoryConfig
from repo_server.curation.engines.settings import EngineSettings
from repo_server.db.session import open_engine
from repo_server.storage.blobs import Blobs, LargeBlobs
from repo_server.storage.local import LocalBlobs
from signing.errors import CouldNotVerifyError

if TYPE_CHECKING:
    from repo_server.policy import Policy

ANCHOR_NAME: Final = "trust-anchor.json"
DATABASE_NAME: Final = "repository.db"
ENGINES_VARIABLE: Final = "SKILLREPO_ENGINES"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """An opened repository."""

    folder: Path
    config: RepositoryConfig
    engine: Engine
    blobs: Blobs
    # The same store, by what it offers for packages; None: the folder of blobs.
    large_blobs: LargeBlobs | None = None
    # The anchor that whoever uses this repository brought along; None: the repository's own copy.
    given_anchor: bytes | None = None
    # Where a signer keeps an own policy, which goes before the repository's.
    signers_folder: Path | None = None

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        database: str | None = None,
        anchor: bytes | None = None,
        signers_folder: Path | None = None,
    ) -> Self:
        """Open the repository in ``folder``.

        A signer brings the ``anchor`` along, and may keep a policy in ``signers_folder``: the copies in the
        folder lie on the machine that is not to be trusted with what gets signed.

        Raises:
            NotFoundError: there is none; FormatError: wrong settings; HostError: the database fails.
        """
        repository = cls.with_config(folder, RepositoryConfig.load(folder), database=database)
        if anchor is not None and anchor != repository.anchor:
            raise CouldNotVerifyError(
                f"the trust anchor in {folder} is not the one that you brought along",
                hint="do not sign: this is another repository, or its anchor was exchanged",
            )
        return replace(repository, given_anchor=anchor, signers_folder=signers_folder)

    @classmethod
    def with_config(cls, folder: Path, config: RepositoryConfig, *, database: str | None = None) -> Self:
        """Open ``folder`` with settings at hand; for the installation, which writes them last."""
        folder = folder.resolve()
        blobs = config.blobs.open(folder / "blobs")
        return cls(
            folder=folder,
            config=config,
            engine=open_engine(database or f"sqlite:///{folder / DATABASE_NAME}"),
            blobs=blobs,
            large_blobs=blobs,
        )

    @property
    def anchor(self) -> bytes:
        """The first root."""
        return self.given_anchor or (self.folder / ANCHOR_NAME).read_bytes()

    @property
    def policy(self) -> "Policy | None":
        """What is demanded of a release, read anew each time; None: there is no policy.

        Raises:
            FormatError, HostError: there is one that cannot be used.
        """
        from repo_server.policy import policy_for  # noqa: PLC0415 - only those who decide need it

        return policy_for(self.folder, self.signers_folder)

    @property
    def engine_settings(self) -> EngineSettings:
        """Which engines look at candidates, and where they are installed."""
        return self.config.engines.below(self.folder, chosen=os.environ.get(ENGINES_VARIABLE))

    @property
    def package_blobs(self) -> LargeBlobs:
        """The packages, in the same store: one file may be larger than the memory."""
        return self.large_blobs if self.large_blobs is not None else LocalBlobs(self.folder / "blobs")

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
