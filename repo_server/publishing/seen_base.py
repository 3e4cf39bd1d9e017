"""What a signer saw published last, kept on their own side (edge).

A new signature continues what is published. Whoever controls the repository's database can put a role back to an
earlier, correctly signed version; the signature would continue that one, without what was published since. So a signer
who brings their own anchor also keeps the versions that they have seen, beside it, and refuses an older state.
"""

from collections.abc import Mapping
from pathlib import Path

from sqlalchemy.orm import Session

from repo_server.desk.seen import remember
from repo_server.publishing.state import current, current_files
from repo_server.publishing.vouched import vouched_content
from signing.errors import RejectedError
from signing.format.digest import sha256_of
from signing.roles import ROOT


def remember_base(session: Session, folder: Path, *, anchor: bytes) -> None:
    """Compare what is published with what this signer saw before, and keep the versions in ``folder``.

    Raises:
        RollbackError: a role is older than what was seen.
        CouldNotVerifyError: the memory cannot be read. HostError: it cannot be written.
    """
    remember(memory_in(folder, anchor), _verified_versions(session, anchor), anchor=anchor)


def memory_in(folder: Path, anchor: bytes) -> Path:
    """Return the file of this memory on a signer's side."""
    return folder / f"seen-{sha256_of(anchor)[:16]}.json"


def _verified_versions(session: Session, anchor: bytes) -> Mapping[str, int]:
    """Return the versions that the anchor vouches for; a lie about versions must not become a memory."""
    versions = {}
    for role in (ROOT, *current_files(session)):
        try:
            vouched_content(session, role, anchor=anchor)
        except RejectedError:
            continue  # whoever signs something of this role is refused for that, with its own words
        versions[role] = current(session, role).version
    return versions
