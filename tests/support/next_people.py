"""Other curators or operators, as `skillrepo root next`, `root sign` and `root publish` make them."""

from collections.abc import Iterable
from typing import Any

from repo_server.db.session import snapshot, transaction
from repo_server.publishing.ceremony import Documents
from repo_server.publishing.handing_over import draft_handover
from repo_server.publishing.next_root import accept_next_root, draft_next, sign_next
from repo_server.publishing.projection import project
from repo_server.publishing.state import current
from signing.keys import HeldKey
from signing.keystore import SealedKeySigner
from signing.metadata import Signatories
from signing.roles import ROOT
from tests.support.world import World, now


def drafted(
    world: World,
    *,
    curators: Iterable[HeldKey] = (),
    operators: Iterable[HeldKey] = (),
    threshold: int = 2,
    distrust: Iterable[str] = (),
) -> dict[str, bytes]:
    people, others = tuple(curators), tuple(operators)
    with snapshot(world.repository.engine) as session:
        handover = draft_handover(
            world.repository,
            session,
            curators=Signatories(keys=people, threshold=threshold) if people else None,
            operators=Signatories(keys=others, threshold=1) if others else None,
            distrusted=list(distrust),
            now=now(),
        )
        return draft_next(
            current(session, ROOT).content,
            curators=handover.appointed.curators if handover.people is not None else None,
            people=handover.people,
            now=now(),
        )


def signed(world: World, documents: Documents, *signers: SealedKeySigner) -> Documents:
    for signer in (world.signers["root-1"], *signers):
        documents = sign_next(documents, signer, now=now())
    return documents


def accept(world: World, documents: Documents) -> None:
    with transaction(world.repository.engine) as session:
        accept_next_root(world.repository, session, documents, world.signers["online"], now=now())
    with transaction(world.repository.engine) as session:
        project(world.repository, session)


def hand_over(world: World, *signers: SealedKeySigner, **changes: Any) -> Documents:
    documents = signed(world, drafted(world, **changes), *signers)
    accept(world, documents)
    return documents
