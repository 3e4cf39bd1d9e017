"""Another online key, as holders appoint it: nothing of it is forged."""

from pathlib import Path

from repo_server.db.session import snapshot, transaction
from repo_server.publishing.next_root import accept_next_root, draft_next, sign_next
from repo_server.publishing.projection import project
from repo_server.publishing.state import current
from signing.format.names import HolderName
from signing.keystore import KEY_SUFFIX, load_key, new_key
from signing.roles import ROOT
from tests.support.world import CHEAP, PASSPHRASE, World, now


def appoint_online(world: World, folder: Path) -> None:
    """Let a new root appoint another online key, and publish with it."""
    held = new_key(folder, HolderName("online"), passphrase=PASSPHRASE, cost=CHEAP)
    signer = load_key(folder / f"online{KEY_SUFFIX}", passphrase=lambda _: PASSPHRASE)
    with snapshot(world.repository.engine) as session:
        root = current(session, ROOT).content
    signed = sign_next(draft_next(root, online=held, now=now()), world.signers["root-1"], now=now())
    with transaction(world.repository.engine) as session:
        accept_next_root(world.repository, session, signed, signer, now=now())
        project(world.repository, session)
    world.signers = world.signers | {"online": signer}
