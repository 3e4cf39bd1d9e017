"""Where a curator's verbs happen: on this machine's repository, or on one behind https.

Every verb looks, decides and signs against a `Repository` on this machine. Where the repository itself is
elsewhere, that is a mirror: as little to be trusted as the server it was copied from, and checked by the same
code from the same trust anchor. What a verb changed is then handed in, and the server takes it or refuses.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from securesystemslib.signer import Signer

from repo_server.curation.candidates import Origin
from repo_server.curation.seconding import Differing
from repo_server.curation.tree import SourceTree
from repo_server.db.models import CandidateRow
from repo_server.repository import Repository
from signing.format.digest import Sha256
from signing.format.manifest import Kind
from signing.format.names import Pin
from signing.format.pkg.names import PackageRepo
from signing.keys import HeldKey


class Desk(Protocol):
    """What a verb needs besides the repository it reads."""

    @property
    def repository(self) -> Repository:
        """The repository, or the mirror of it, that this verb reads and writes."""

    def stage(
        self, tree: SourceTree, *, pin: Pin, kind: Kind, origin: Origin, now: datetime
    ) -> dict[str, Any]:
        """Keep ``tree`` as a candidate and return its description.

        Raises:
            ConflictError: this version is published with other files.
        """

    def hand_in_review(
        self, candidate: str, *, replaces: Sha256 | None, differing: Differing | None = None
    ) -> None:
        """Make the review that the repository here holds for ``candidate`` count.

        ``differing`` is what its signer says about engines, for the log.

        Raises:
            ConflictError: somebody else decided in between. RejectedError: it is not taken.
        """

    def prepare_proposals(self, subject: str) -> None:
        """See to it that the proposals of ``subject`` exist, and are here."""

    def hand_in_signatures(self, subject: str, *, keyid: str) -> None:
        """Make the signatures that ``keyid`` gave on the proposals of ``subject`` here count.

        Raises:
            ConflictError: what they were given on is gone. RejectedError: they are not taken.
        """

    def hand_in_attestation(self, candidate: str, evidence: Sha256) -> None:
        """Make the CI's evidence that the repository here holds for ``candidate`` count.

        Raises:
            RejectedError: it is not taken.
        """

    def hand_in_profile(self, pin: Pin) -> None:
        """Make the draft of the profile ``pin`` that the repository here holds count.

        Raises:
            ConflictError: this version is published with other pins. RejectedError: it is not taken.
        """

    def drop_profile(self, pin: Pin, *, now: datetime) -> None:
        """Give up the draft of ``pin`` and its signatures.

        Raises:
            NotFoundError: there is none. ConflictError: it is published.
        """

    def propose_builder(self, repo: PackageRepo, key: HeldKey) -> None:
        """See to it that ``key`` is proposed as the builder of ``repo``, and the proposal is here.

        Raises:
            ConflictError: another change of ``targets`` waits. WrongSubjectError: another key is proposed.
        """

    def drop_builder(self, repo: PackageRepo) -> None:
        """Give up the proposed appointment for ``repo`` and its signatures; none is fine."""

    def fetch_log(self) -> None:
        """See to it that the repository's log is here."""

    def publish(self, *, now: datetime) -> dict[str, Any]:
        """Publish everything that has enough signatures, and return what that was."""


@dataclass(frozen=True, slots=True)
class LocalDesk:
    """The repository is on this machine: what a verb did has happened."""

    repository: Repository
    online: Callable[
        [], Signer
    ]  # only publishing needs the online key, and only then its passphrase is asked for

    def stage(
        self, tree: SourceTree, *, pin: Pin, kind: Kind, origin: Origin, now: datetime
    ) -> dict[str, Any]:
        """See `Desk`."""
        from repo_server.curation.candidates import stage  # noqa: PLC0415
        from repo_server.curation.examination import describe  # noqa: PLC0415
        from repo_server.db.session import transaction  # noqa: PLC0415

        with transaction(self.repository.engine) as session:
            row: CandidateRow = stage(
                self.repository, session, tree, pin=pin, kind=kind, origin=origin, now=now
            )
            return describe(row)

    def hand_in_review(
        self, candidate: str, *, replaces: Sha256 | None, differing: Differing | None = None
    ) -> None:
        """Nothing is left to do."""

    def prepare_proposals(self, subject: str) -> None:
        """Nothing is left to do."""

    def hand_in_signatures(self, subject: str, *, keyid: str) -> None:
        """Nothing is left to do."""

    def hand_in_attestation(self, candidate: str, evidence: Sha256) -> None:
        """Nothing is left to do."""

    def hand_in_profile(self, pin: Pin) -> None:
        """Nothing is left to do."""

    def drop_profile(self, pin: Pin, *, now: datetime) -> None:
        """See `Desk`."""
        from repo_server.db.session import transaction  # noqa: PLC0415
        from repo_server.publishing.profiles import drop_profile  # noqa: PLC0415

        with transaction(self.repository.engine) as session:
            drop_profile(session, pin, now=now)

    def propose_builder(self, repo: PackageRepo, key: HeldKey) -> None:
        """Nothing is left to do: whoever signs it proposes it."""

    def drop_builder(self, repo: PackageRepo) -> None:
        """See `Desk`."""
        from repo_server.db.session import transaction  # noqa: PLC0415
        from repo_server.publishing.builders import drop_builder  # noqa: PLC0415

        with transaction(self.repository.engine) as session:
            drop_builder(session, repo)

    def fetch_log(self) -> None:
        """Nothing is left to do."""

    def publish(self, *, now: datetime) -> dict[str, Any]:
        """See `Desk`."""
        from repo_server.publishing.publish import publish  # noqa: PLC0415

        return publish(self.repository, self.online(), now=now).to_json()
