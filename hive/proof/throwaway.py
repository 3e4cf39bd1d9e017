"""Throw-away buckets: made for one proof, or set aside for proofs by whoever keeps the vault (edge).

What makes a bucket throw-away is in it: all its variables are called ``SCRATCH_…``. So a customer's bucket, whose
collection id was copied by mistake, is never brought into a scratch jail.
"""

import secrets
from pathlib import Path
from typing import Final

from hive.vault.bucket import Bucket
from hive.vault.sealed import SealedVault
from hive.vault.vault import Vault
from signing.errors import NotEntitledError
from signing.format.names import TenantId

PREFIX: Final = "SCRATCH_"


def make_sealed(folder: Path, tenant_id: TenantId, collection_id: str) -> SealedVault:
    """Return a vault of its own in ``folder``, with a bucket of secrets that nobody has seen."""
    vault = SealedVault(folder)
    vault.put(tenant_id, collection_id, f"{PREFIX}TOKEN", secrets.token_urlsafe(32))
    # With everything that the file's form has to escape.
    text = f'it\'s "quoted" $HERE \\ `there` {secrets.token_hex(8)}'
    vault.put(tenant_id, collection_id, f"{PREFIX}TEXT", text)
    return vault


def open_bucket(vault: Vault, tenant_id: TenantId, collection_id: str) -> Bucket:
    """Return the tenant's bucket, which is throw-away.

    Raises:
        NotEntitledError: it is not. Others: see `Vault.bucket`.
    """
    bucket = vault.bucket(tenant_id, collection_id)
    strangers = [name for name in bucket.names if not name.startswith(PREFIX)]
    if strangers or not bucket.names:
        bucket.forget()
        raise NotEntitledError(
            f"the bucket is not throw-away: {strangers[0] if strangers else 'nothing'} is in it",
            hint=f"set one aside for proofs, whose variables are all called {PREFIX}…",
        )
    return bucket
