"""A reviewed candidate, and a private Sigstore of a CI."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select

from repo_server.attesting.ci import VerifiedAttestation, ci_statement
from repo_server.attesting.identity import Anybody, ExpectedSigner
from repo_server.attesting.kept import accept_attestation
from repo_server.curation.candidates import find
from repo_server.curation.examination import load_review
from repo_server.db.models import AttestationRow, LogRow
from repo_server.db.session import snapshot, transaction
from signing.format.review import Review
from tests.support import private_sigstore
from tests.support.hurry import in_a_hurry
from tests.support.private_sigstore import IDENTITY, ISSUER
from tests.support.world import World

SIGNER = ExpectedSigner(identity=IDENTITY, issuer=ISSUER)


@pytest.fixture(scope="package", autouse=True)
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield


@dataclass
class Reviewed:
    """A repository with one candidate that alice approved, and what may be kept with it."""

    world: World
    candidate: str
    review: Review

    @property
    def payload(self) -> bytes:
        """What the CI is to sign."""
        return ci_statement(self.review).render()

    def offer(
        self,
        evidence: bytes,
        *,
        trusted_root: bytes,
        signer: ExpectedSigner | Anybody = SIGNER,
        now: datetime | None = None,
    ) -> VerifiedAttestation:
        """Hand evidence in, as `skillrepo attest` does with what it made."""
        repository = self.world.repository
        with transaction(repository.engine) as session:
            _, verified = accept_attestation(
                repository,
                session,
                find(session, self.candidate),
                evidence,
                signer=signer,
                trusted_root=trusted_root,
                now=now or private_sigstore.now(),
            )
        return verified

    def kept(self) -> tuple[int, int, int]:
        """How many attestations, records of the log, and blobs there are."""
        with snapshot(self.world.repository.engine) as session:
            rows = session.scalar(select(func.count()).select_from(AttestationRow)) or 0
            records = session.scalar(select(func.count()).select_from(LogRow)) or 0
        blobs = sum(path.is_file() for path in (self.world.repository.folder / "blobs").rglob("*"))
        return rows, records, blobs


def reviewed(world: World, pin: str = "csv-summarizer==1.0") -> Reviewed:
    candidate = world.import_skill(pin)
    world.review(candidate)
    with snapshot(world.repository.engine) as session:
        _, review = load_review(world.repository, find(session, candidate))
    return Reviewed(world, candidate, review)


@pytest.fixture(scope="session")
def _reviewed_template(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World.build(tmp_path_factory.mktemp("attesting"), bins=2)
    reviewed(world)
    return world


@pytest.fixture(scope="module")
def untouched(_reviewed_template: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reviewed]:
    """For tests after which everything must be as before: one copy serves them all."""
    world = _reviewed_template.copy_to(tmp_path_factory.mktemp("untouched") / "world")
    yield reviewed(world)
    world.close()


@pytest.fixture
def desk(_reviewed_template: World, tmp_path: Path) -> Iterator[Reviewed]:
    """A copy of one's own."""
    world = _reviewed_template.copy_to(tmp_path / "world")
    yield reviewed(world)
    world.close()
