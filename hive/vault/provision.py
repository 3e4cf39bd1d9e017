"""Bringing a tenant's secrets into its jail, and taking them out again.

    bucket (whole, or an error) ─► own variables ─► file ─► intention recorded ─► 0600 file, at once ─► recorded

Nothing is written before everything is there, so an error leaves the jail as it was; a kill leaves the old file
or the new one, and the same command finishes. Only a tenant whose registry row has no bucket is provisioned
without one. Provisioning and withdrawing a tenant exclude each other, and how the tenant stands is asked
inside: what was quarantined meanwhile gets nothing.
"""

import enum
import hmac
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from hive.agents.names import AgentId
from hive.db.secret_tables import SecretsState
from hive.db.session import transaction
from hive.here import check_own
from hive.jails.host import JailHost
from hive.tenants import Tenant, TenantStatus, load_row
from hive.vault import env_file, ledger
from hive.vault.bucket import RESERVED, Bucket
from hive.vault.dotenv import render
from hive.vault.host_key import KEY_NAME, load_or_make_key
from hive.vault.ledger import digest_of
from hive.vault.secret import Secret
from hive.vault.vault import Vault
from repo_client.entries import UnsafePathError
from repo_client.updater import locked
from signing.errors import (
    FormatError,
    NotEntitledError,
    NotFoundError,
    QuarantinedError,
    SkillRepoError,
    UsageError,
)
from signing.format.names import TenantId

Own = Callable[[TenantId], Mapping[str, Secret]]

# A birth provisions the tenant that it births; everybody else those that no birth works on.
WHILE_BIRTHING: Final = frozenset({TenantStatus.BIRTHING})
STANDING: Final = frozenset({TenantStatus.REGISTERED, TenantStatus.BORN, TenantStatus.ACTIVE})


class Standing(enum.StrEnum):
    """How the secrets in a jail compare with what this host wrote there."""

    AS_WRITTEN = "as-written"
    NONE = "none"
    MISSING = "missing"
    ALTERED = "altered"
    UNFINISHED = "unfinished"
    LEFT_OVER = "left-over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioned:
    """What came of it. ``names`` is empty when there was nothing to bring."""

    tenant_id: TenantId
    names: tuple[str, ...]
    changed: bool
    path: str

    def to_json(self) -> dict[str, Any]:
        """Return it as ``--json`` answers it."""
        return {
            "tenant_id": self.tenant_id,
            "names": list(self.names),
            "changed": self.changed,
            "path": self.path,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioner:
    """Everything that provisioning needs from this host.

    ``owner`` is uid and gid of the jails' user; withdrawing works without one, everything else does not. ``here`` is what
    this host is called where several share the database: of another's jail nothing is brought, withdrawn or said.
    """

    engine: Engine
    host: JailHost
    state: Path
    owner: tuple[int, int] | None
    clock: Callable[[], datetime]
    here: AgentId | None = None

    def provision(
        self,
        vault: Vault,
        tenant_id: TenantId,
        *,
        own: Own | None = None,
        rotated: bool = False,
        allowed: frozenset[TenantStatus] = STANDING,
    ) -> Provisioned:
        """Bring the tenant's bucket, and the hive's ``own`` variables, into its jail.

        Args:
            vault: where the bucket is.
            tenant_id: whose.
            own: gives the hive's variables; called when the bucket has arrived and nobody else provisions the tenant,
                for it may rotate a token.
            rotated: for the record: a token was rotated.
            allowed: how the tenant may stand.

        Raises:
            RejectedError: the bucket, the tenant or the jail is not acceptable; nothing was written.
            NotFoundError: no such tenant, jail or bucket.
            TransportError, KeyAccessError, ConflictError, HostError: it could not be done; the old file stands.
        """
        tenant = self._load(tenant_id)
        try:
            return self._provision(vault, tenant, own, rotated=rotated, allowed=allowed)
        except SkillRepoError as error:
            with transaction(self.engine) as session:
                ledger.note_refused(session, tenant_id, error, now=self.clock())
            raise

    def withdraw(self, tenant_id: TenantId) -> bool:
        """Remove the secrets from the tenant's jail, however the tenant stands; return whether there were any.

        Raises:
            NotFoundError: no such tenant. ElsewhereError: its jail is another host's.
            UnsafePathError, HostError: the jail does not let us; stop it first. Nothing is called withdrawn then.
        """
        self._load(tenant_id)
        with self._alone(tenant_id):
            removed = False
            if self.host.exists(tenant_id):
                with self.host.open_root(tenant_id) as root:
                    removed = env_file.remove(root)
            with transaction(self.engine) as session:
                ledger.note_withdrawn(session, tenant_id, removed=removed, now=self.clock())
        return removed

    def standing(self, tenant_id: TenantId) -> Standing:
        """Return how the secrets in the jail compare with what was written; nothing is changed.

        Raises:
            NotFoundError: no such tenant. HostError: the jail cannot be read.
        """
        with transaction(self.engine) as session:
            _tenant(session, tenant_id, self.here)
            known = ledger.load(session, tenant_id)
        altered, content = False, None
        if self.host.exists(tenant_id):
            try:
                with self.host.open_root(tenant_id) as root:
                    content = env_file.load(root, owner=self._jail_user)
            except (UnsafePathError, FormatError):
                altered = True
        if known is not None and known.state is SecretsState.PENDING:
            return Standing.UNFINISHED
        if known is None or known.state is SecretsState.WITHDRAWN:
            return Standing.LEFT_OVER if altered or content is not None else Standing.NONE
        if not altered and content is None:
            return Standing.MISSING
        whole = content is not None and hmac.compare_digest(
            digest_of(self._key(), tenant_id, content), known.digest
        )
        return Standing.AS_WRITTEN if whole else Standing.ALTERED

    def _provision(
        self,
        vault: Vault,
        tenant: Tenant,
        own: Own | None,
        *,
        rotated: bool,
        allowed: frozenset[TenantStatus],
    ) -> Provisioned:
        tenant_id = tenant.tenant_id
        _check_standing(tenant, allowed)
        if not self.host.exists(tenant_id):
            raise NotFoundError(f"no jail {tenant_id}", where=self.host.describe(tenant_id))
        bucket = None
        if tenant.collection_id is not None:
            bucket = vault.bucket(tenant_id, tenant.collection_id)
        elif own is None:
            return _nothing(tenant_id)
        with self._alone(tenant_id), _forgotten(bucket):
            # Asked for in here: of two that rotate the token at once, the newer one is also written last.
            content, names = _content(bucket, own(tenant_id) if own is not None else {})
            if not names:
                # The one way to bring nothing: the registry says that there is no bucket.
                return _nothing(tenant_id)
            changed = self._bring(tenant, content, names, rotated=rotated, allowed=allowed)
        path = f"{self.host.describe(tenant_id)}/{env_file.ENV_PATH}"
        return Provisioned(tenant_id=tenant_id, names=names, changed=changed, path=path)

    def _bring(
        self,
        tenant: Tenant,
        content: bytes,
        names: tuple[str, ...],
        *,
        rotated: bool,
        allowed: frozenset[TenantStatus],
    ) -> bool:
        """Make ``content`` the tenant's file, alone, and return whether it had to be written."""
        tenant_id = tenant.tenant_id
        with transaction(self.engine) as session:
            _check_standing(_tenant(session, tenant_id, self.here), allowed)
            news = ledger.intend(
                session,
                tenant_id,
                collection_id=tenant.collection_id,
                names=names,
                digest=digest_of(self._key(), tenant_id, content),
                now=self.clock(),
            )
        with self.host.open_root(tenant_id) as root:
            changed = env_file.install(root, content, owner=self._jail_user)
        # Through a new walk: what was written is where the agent will look, and as it was written.
        with self.host.open_root(tenant_id) as root:
            if not env_file.is_as_written(root, content, owner=self._jail_user):
                raise UnsafePathError(
                    "the file in the jail is not what was just written",
                    where=env_file.ENV_PATH,
                    hint="stop the jail and look at it; rotate its secrets",
                )
        if changed or news:
            with transaction(self.engine) as session:
                ledger.note_provisioned(session, tenant_id, names, rotated=rotated, now=self.clock())
        return changed

    @property
    def _jail_user(self) -> tuple[int, int]:
        if self.owner is None:
            raise UsageError("secrets need an owner", hint="set jail_uid and jail_gid")
        return self.owner

    def _key(self) -> bytes:
        return load_or_make_key(self.state / KEY_NAME)

    def _load(self, tenant_id: TenantId) -> Tenant:
        with transaction(self.engine) as session:
            return _tenant(session, tenant_id, self.here)

    @contextmanager
    def _alone(self, tenant_id: TenantId) -> Iterator[None]:
        with locked(self.state / "secrets" / tenant_id):
            yield


def _nothing(tenant_id: TenantId) -> Provisioned:
    return Provisioned(tenant_id=tenant_id, names=(), changed=False, path="")


@contextmanager
def _forgotten(bucket: Bucket | None) -> Iterator[None]:
    """Forget the bucket at the end, also when nothing comes of it."""
    try:
        yield
    finally:
        if bucket is not None:
            bucket.forget()


def _content(bucket: Bucket | None, own: Mapping[str, Secret]) -> tuple[bytes, tuple[str, ...]]:
    """Return the file and the names in it; the values are forgotten then, as far as they are held here."""
    secrets: dict[str, Secret] = dict(own)
    strangers = [name for name in secrets if not name.startswith(RESERVED)]
    if strangers:
        raise FormatError(f"the hive's own variables are called {RESERVED}…", where=strangers[0])
    if bucket is not None:
        secrets.update(bucket.variables)  # none of which begins like those of the hive
    try:
        content = render({name: secret.reveal() for name, secret in secrets.items()})
    finally:
        for secret in secrets.values():
            secret.forget()
    return content, tuple(sorted(secrets))


def _tenant(session: Session, tenant_id: TenantId, here: AgentId | None) -> Tenant:
    tenant = Tenant.of(load_row(session, tenant_id))
    check_own(tenant, here)
    return tenant


def _check_standing(tenant: Tenant, allowed: frozenset[TenantStatus]) -> None:
    if tenant.status in allowed:
        return
    kind = QuarantinedError if tenant.status is TenantStatus.QUARANTINED else NotEntitledError
    raise kind(
        f"tenant {tenant.tenant_id} is {tenant.status}; it gets no secrets",
        hint="hive show-tenant says why; a failed birth is continued by hive birth",
    )
