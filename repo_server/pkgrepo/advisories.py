"""The list of known vulnerabilities: VuXML from outside, looked at and signed by a curator, published as a target.

    plan_advisories(…, data)     what the new list says that the published one does not, and the other way round
    sign_advisories(…, signer)   the role's next metadata
    accept_advisories(…)         checked from the anchor, published

The feed is not signed by its makers. Whoever signs it says: this is what I fetched, and it looks like the last one.
So what vanished from it is counted, and a feed that lost many of its advisories is refused until somebody means it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from securesystemslib.signer import Signer
from sqlalchemy.orm import Session

from repo_server.db import log
from repo_server.db.models import TargetRow
from repo_server.db.session import transaction
from repo_server.publishing.alone import check_next, next_metadata, published_alone
from repo_server.publishing.online import OnlineState, sign_state
from repo_server.publishing.state import add_versions
from repo_server.repository import Repository
from signing.errors import ConflictError, RollbackError
from signing.format.digest import Sha256, check_sha256, sha256_of
from signing.format.pkg.names import ADVISORIES_PATH
from signing.format.pkg.vuxml import Advisories, parse_vuxml
from signing.metadata import build_target, render, sign
from signing.roles import ADVISORIES

# Entries are cancelled now and then; a list that lost more than one in fifty was more likely cut off.
MAX_LOST_SHARE: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvisoriesChange:
    """What a new list changes."""

    total: int
    added: tuple[str, ...]
    lost: tuple[str, ...]
    sha256: Sha256

    def to_json(self) -> dict[str, Any]:
        """Return the change as ``--json`` answers it."""
        return {
            "advisories": self.total,
            "added": list(self.added),
            "lost": list(self.lost),
            "sha256": self.sha256,
        }


def published_advisories(
    repository: Repository, session: Session, *, holding_at: datetime | None = None
) -> Advisories | None:
    """Return the list that is published; None before the first, or when it does not hold at ``holding_at`` any more.

    Without ``holding_at``, one past its end counts too: whoever brings a newer one compares the two.

    Raises:
        BadSignatureError, FormatError, NotFoundError: the database or the blobs are not what was signed.
    """
    targets = published_alone(repository, session, ADVISORIES)
    if targets is None or ADVISORIES_PATH not in targets.targets:
        return None
    if holding_at is not None and targets.is_expired(holding_at):
        return None
    digest = Sha256(targets.targets[ADVISORIES_PATH].hashes["sha256"])
    data = repository.blobs.load(digest)
    check_sha256(data, digest, where=ADVISORIES_PATH)
    return parse_vuxml(data)


def plan_advisories(
    repository: Repository, session: Session, data: bytes, *, allow_lost: bool = False
) -> AdvisoriesChange:
    """Return what publishing ``data`` changes.

    Raises:
        FormatError: it is not VuXML.
        RollbackError: it lost many advisories, and nobody allowed that.
    """
    return changes_of(
        data, parse_vuxml(data), published_advisories(repository, session), allow_lost=allow_lost
    )


def changes_of(data: bytes, new: Advisories, old: Advisories | None, *, allow_lost: bool) -> AdvisoriesChange:
    """Return what publishing ``data``, which says ``new``, changes.

    Raises:
        RollbackError: too many advisories are gone, and ``allow_lost`` is not given.
    """
    before = {advisory.vid for advisory in old.entries} if old is not None else set()
    after = {advisory.vid for advisory in new.entries}
    lost = tuple(sorted(before - after))
    if not allow_lost and len(lost) * MAX_LOST_SHARE > len(before):
        raise RollbackError(
            f"{len(lost)} of {len(before)} advisories are gone, first: {lost[0]}",
            where="vuln.xml",
            hint="fetch the feed again; if it is meant: --allow-lost",
        )
    return AdvisoriesChange(
        total=len(after), added=tuple(sorted(after - before)), lost=lost, sha256=sha256_of(data)
    )


def sign_advisories(
    repository: Repository, session: Session, data: bytes, signer: Signer, *, now: datetime
) -> bytes:
    """Keep ``data`` and return the next metadata of the role, signed.

    Raises:
        BadSignatureError, FormatError: what is published is not what a curator signed.
    """
    repository.blobs.store(data)
    published = published_alone(repository, session, ADVISORIES)
    metadata = next_metadata(published, ADVISORIES, build_target(ADVISORIES_PATH, data), now=now)
    sign(metadata, signer)
    return render(metadata)


def accept_advisories(
    repository: Repository, session: Session, metadata: bytes, online: Signer, *, now: datetime
) -> OnlineState:
    """Publish the list that ``metadata`` names; its bytes are here already. The caller writes the tree.

    Raises:
        ThresholdError: no curator signed it. NotFoundError: its bytes are not here.
        ConflictError, WrongSubjectError, FormatError: see `repo_server.publishing.alone.check_next`.
    """
    targets, target, signers = check_next(repository, session, ADVISORIES, metadata, now=now)
    digest = Sha256(target.hashes["sha256"])
    advisories = parse_vuxml(repository.blobs.load(digest))
    if repository.package_blobs.size_of(digest) != target.length:
        raise ConflictError("is not as long as the metadata says", where=ADVISORIES_PATH)
    session.merge(TargetRow(path=ADVISORIES_PATH, sha256=digest, length=target.length))
    add_versions(session, [(ADVISORIES, targets.version, metadata)], now=now)
    state = sign_state(session, online, now=now)
    facts = {
        "sha256": digest,
        "advisories": len(advisories.entries),
        "signed_by": list(signers),
        "snapshot": state.snapshot,
    }
    log.append(session, event="advisories.published", facts=facts, now=now)
    return state


def take_advisories(
    repository: Repository, metadata: bytes, data: bytes, online: Signer, *, now: datetime
) -> OnlineState:
    """Keep ``data``, publish it as `accept_advisories` does, and write the published tree.

    Raises:
        FormatError: ``data`` is not such a list. SkillRepoError: see `accept_advisories`.
        HostError: the tree cannot be written.
    """
    from repo_server.publishing.projection import project  # noqa: PLC0415 - which knows of us

    parse_vuxml(data)  # first: what is no list takes no room
    repository.blobs.store(data)
    with transaction(repository.engine) as session:
        state = accept_advisories(repository, session, metadata, online, now=now)
    with transaction(repository.engine) as session:
        project(repository, session)
    return state
