"""What a vault offers to the rest of the hive: whole buckets, one tenant at a time."""

from typing import Protocol

from hive.vault.bucket import Bucket
from signing.format.names import TenantId


class Vault(Protocol):
    """A vault for one batch of tenants: what it asks of its server it asks once, at the first bucket."""

    def bucket(self, tenant_id: TenantId, collection_id: str) -> Bucket:
        """Return the bucket of the tenant, complete and as it is now; never an empty one for "could not look".

        Raises:
            RejectedError: what was found is not acceptable, not this tenant's, or not complete.
            NotFoundError: there is no such bucket, or this host may not read it.
            TransportError: the server cannot be reached, is too slow, or says "later".
            KeyAccessError: the vault does not accept this host's credentials.
            ConflictError: another process uses the vault.
            HostError: the client failed, or is one that we do not trust to tell the truth.
        """
