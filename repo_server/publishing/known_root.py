"""What a holder of root knows by themselves, on a machine without the repository (pure).

    check_known(documents, key, known=[anchor, the root that this key signed last])

The folder of a next root says itself which root is the old one, and that one's signatures say only that it agrees with
itself: whoever writes both can show a whole forgery as "nobody comes and nobody leaves". And a true old root of years
ago, followed by another successor than the one it got, is a second chain for every client that begins at the anchor.
So a holder signs what follows a root that they know: by their own copy of the anchor, by what they signed last, or
because their own signature stands on it.
"""

from collections.abc import Iterable
from typing import Final

from securesystemslib.signer import Key
from tuf.api.metadata import Metadata, Root

from repo_server.publishing.ceremony import Documents
from repo_server.publishing.next_root import PREVIOUS, Succession
from signing.errors import BadSignatureError, CouldNotVerifyError, RollbackError
from signing.keys import holder_of
from signing.metadata import parse
from signing.roles import ROOT

_DO_NOT: Final = "do not sign; ask who made this folder, and what is published now"


def check_known(documents: Documents, holder: Key, *, known: Iterable[bytes]) -> None:
    """Return None when the old root in the folder is one that the holder of this key knows.

    Args:
        documents: the folder of a next root.
        holder: the key that is about to sign.
        known: roots from the holder's own side; the newest counts.

    Raises:
        CouldNotVerifyError: nothing that the holder knows leads to it.
        BadSignatureError: it does not follow the root that the holder knows.
        RollbackError: it is older than that.
    """
    succession = Succession.of(documents)
    old = succession.previous
    roots = [parse(data, Root, where="trust anchor") for data in known]
    newest = max(roots, key=lambda root: root.signed.version, default=None)
    if newest is None or newest.signed.version + 1 < old.signed.version:
        if not _signed_by(old, holder):
            raise CouldNotVerifyError(
                f"nothing that {holder_of(holder)} knows leads to root {old.signed.version}",
                hint="put the root that is published now beside your key (trust-anchor.json), from a place you trust",
            )
    elif succession.following.signed_bytes == newest.signed_bytes:
        return  # this key signed it before
    elif old.signed.version < newest.signed.version:
        raise RollbackError(
            f"this follows root {old.signed.version}, and {holder_of(holder)} knows root {newest.signed.version}"
            " already",
            hint=_DO_NOT,
        )
    elif old.signed.version == newest.signed.version:
        if old.signed_bytes != newest.signed_bytes:
            raise BadSignatureError(
                f"{PREVIOUS} is not the root {old.signed.version} that {holder_of(holder)} knows",
                hint=_DO_NOT,
            )
    elif not newest.signed.get_verification_result(ROOT, old.signed_bytes, old.signatures).verified:
        raise BadSignatureError(
            f"{PREVIOUS} does not follow the root {newest.signed.version} that {holder_of(holder)} knows",
            hint=_DO_NOT,
        )


def _signed_by(root: Metadata[Root], holder: Key) -> bool:
    """Return whether this very key signed ``root``; its name beside another key is nothing."""
    result = root.signed.get_verification_result(ROOT, root.signed_bytes, root.signatures)
    return any(
        key.keyval == holder.keyval and key.keytype == holder.keytype for key in result.signed.values()
    )
