"""Buckets by way of the Bitwarden client, driven so that it cannot be wrong quietly (edge).

    version ─► status ─► config server ─► status: our server ─► login ─► unlock ─► sync ─► status ─► collections
                                                                          then per bucket: items ─► read_items

No credential is sent before the client names our server. One login is kept, and one sync serves a batch: the
server counts both. The numbers below are the traps of reference/vault-bw §4, in which `bw` exits 0 and is wrong.
"""

import contextlib
from collections.abc import Callable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self

from hive.vault.bucket import Bucket
from hive.vault.bw_answers import (
    Listed,
    Status,
    check_collection,
    check_version,
    failure,
    parse_answer,
    parse_collections,
    parse_session_key,
    parse_status,
)
from hive.vault.bw_command import BwProgram
from hive.vault.bw_settings import BwSettings, Credentials, load_credentials
from hive.vault.items import is_vault_id, read_items
from hive.vault.secret import Secret
from signing.errors import (
    ConflictError,
    FormatError,
    HostError,
    KeyAccessError,
    SkillRepoError,
    TransportError,
)
from signing.format.names import TenantId

_PASSWORD: Final = "HIVE_BW_PASSWORD"  # noqa: S105 - the name of a variable


class BwVault:
    """A `Vault` that asks `bw`: nothing before the first bucket, and everything but its items only once.

    A context manager: the lock on `bw` is held from the first bucket until the end.
    """

    def __init__(self, settings: BwSettings, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._clock = clock
        self._open: _Unlocked | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = None
        self._stack.close()

    def bucket(self, tenant_id: TenantId, collection_id: str) -> Bucket:
        """Return the bucket of the tenant; see `Vault.bucket`."""
        if not is_vault_id(collection_id):
            # Asked before the client is: for an id that is none it lists nothing, or ("null") what is in no bucket.
            raise FormatError("the registered collection id is none", where=f"tenant {tenant_id}")
        if self._open is None:
            self._open = self._begin()
        return self._open.bucket(tenant_id, collection_id)

    def _begin(self) -> "_Unlocked":
        credentials = load_credentials(self._settings.credentials_file)
        with contextlib.ExitStack() as stack:
            stack.callback(credentials.forget)
            program = BwProgram.open(
                self._settings.program, self._settings.folder, ca_file=credentials.ca_file
            )
            stack.callback(program.close)
            driver = _Driver(program, self._settings, credentials)
            stack.callback(driver.lock)
            check_version(driver.said("--version"))
            driver.log_in()
            unlocked = driver.unlock(self._clock)
            self._stack = stack.pop_all()
            return unlocked


class _Driver:
    """The steps up to a synced, unlocked client."""

    def __init__(self, program: BwProgram, settings: BwSettings, credentials: Credentials) -> None:
        self._program = program
        self._settings = settings
        self._credentials = credentials
        self._session: Secret | None = None

    def said(self, *arguments: str, secrets: Mapping[str, Secret] | None = None, shown: bool = True) -> bytes:
        """Return what ``bw ARGUMENTS`` printed on its standard output.

        Raises:
            SkillRepoError: it failed; see `failure`.
        """
        given = dict(secrets or {})
        if self._session is not None:
            given["BW_SESSION"] = self._session
        said = self._program.run(*arguments, secrets=given)
        if said.status != 0:
            withheld = (*self._credentials.withheld, *(secret.reveal() for secret in given.values()))
            raise failure(arguments[0], said.words, status=said.status, withheld=withheld, shown=shown)
        return said.out

    def log_in(self) -> None:
        """Be logged in at our server as our account; an existing login is kept.

        Raises:
            ConflictError: the client would talk to another server. No credential was sent.
            KeyAccessError, TransportError, HostError: the login failed.
        """
        status = self._status()
        kept = status.account == self._credentials.account and status.last_sync is not None
        if status.state != "unauthenticated" and not kept:
            # Somebody else's, or of a client that was killed before its first sync: 4, that can never be unlocked.
            self._forget_login()
            status = self._status()
        if status.state == "unauthenticated":
            # The server cannot be changed while logged in, and 9: a damaged state is emptied without a word,
            # after which the client would log in at bitwarden.com.
            self.said("config", "server", self._settings.url)
            status = self._status()
        if status.server != self._settings.url:
            raise ConflictError(
                "bw would talk to another server than the configured one; no credential was sent",
                hint="hive vault logout, then try again; look at who changed it",
            )
        if status.state == "unauthenticated":
            # Not --quiet: then it would not say why it failed. What it says when it succeeds is dropped here.
            self.said(
                "login",
                "--apikey",
                secrets={
                    "BW_CLIENTID": self._credentials.client_id,
                    "BW_CLIENTSECRET": self._credentials.client_secret,
                },
            )
            # 3: it ends well when its sync failed, and 4: can never be unlocked then.
            if self._status().last_sync is None:
                self._forget_login()
                raise TransportError(
                    "bw login ended well, and its sync failed",
                    hint="look at the vault's server, then try again",
                )

    def unlock(self, clock: Callable[[], datetime]) -> "_Unlocked":
        """Return the client unlocked and synced just now.

        Raises:
            KeyAccessError, TransportError, HostError: it cannot be had.
        """
        try:
            said = self.said(
                "unlock", "--passwordenv", _PASSWORD, "--raw", secrets={_PASSWORD: self._credentials.password}
            )
            self._session = Secret(parse_session_key(said))
            begun = clock().replace(microsecond=0)
            # 5: everything else answers from the cache when the server is gone; only this one says so.
            self.said("sync", "--force")
        except (KeyAccessError, TransportError) as error:
            self._after_refusal(error)
            raise
        status = self._status()
        if status.state != "unlocked" or status.server != self._settings.url:
            raise HostError("bw is not unlocked at our server after a sync that ended well", hint="try again")
        if status.account != self._credentials.account:
            raise HostError("bw is logged in as another account than before", hint="hive vault logout")
        if status.last_sync is None or status.last_sync < begun:
            raise TransportError(
                "bw sync ended well, and what it holds is older",
                hint="look at this host's clock, then try again",
            )
        return _Unlocked(self, parse_collections(self.said("list", "collections")), self._settings)

    def lock(self) -> None:
        """Throw the session key away, here and in the client's folder; without the key that one opens nothing."""
        if self._session is None:
            return
        with contextlib.suppress(SkillRepoError):
            self.said("lock")
        self._session.forget()
        self._session = None

    def _after_refusal(self, error: SkillRepoError) -> None:
        """Drop a login that the server does not honour, or that can never be unlocked; else keep it.

        A login costs one of few requests, so an unreachable server or a used-up rate limit is no reason.
        """
        with contextlib.suppress(SkillRepoError):
            if self._session is None or isinstance(error, KeyAccessError):
                self._forget_login()

    def _forget_login(self) -> None:
        self._session = None
        self.said("logout")

    def _status(self) -> Status:
        return parse_status(self.said("status"))


class _Unlocked:
    """A client that holds what the server held a moment ago."""

    def __init__(self, driver: _Driver, collections: tuple[Listed, ...], settings: BwSettings) -> None:
        self._driver = driver
        self._collections = collections
        self._settings = settings

    def bucket(self, tenant_id: TenantId, collection_id: str) -> Bucket:
        """Return the bucket of the tenant; see `Vault.bucket`."""
        organization_id = self._settings.organization_id
        # 2: the items of a collection that is not there or not readable are an empty list, too.
        check_collection(
            self._collections,
            tenant_id=tenant_id,
            collection_id=collection_id,
            organization_id=organization_id,
        )
        # 6: it happened that a list came back empty right after a sync. The marker makes that a refusal.
        items = self._items(collection_id) or self._items(collection_id)
        return read_items(
            items, tenant_id=tenant_id, collection_id=collection_id, organization_id=organization_id
        )

    def _items(self, collection_id: str) -> Any:
        # 1: with --organizationid beside it the two are joined by OR. 8: `get item NAME` looks at all buckets.
        said = self._driver.said("list", "items", "--collectionid", collection_id, shown=False)
        return parse_answer(said, what="list items")


def forget_login(settings: BwSettings) -> None:
    """Log this host out of its vault: afterwards the client's folder holds neither API key nor ciphertext.

    Raises:
        HostError, ConflictError: the client failed, or is in use.
    """
    program = BwProgram.open(settings.program, settings.folder, ca_file=None)
    try:
        said = program.run("logout")
        if said.status != 0 and "not logged in" not in said.words.lower():
            raise failure("logout", said.words, status=said.status, withheld=(), shown=True)
    finally:
        program.close()
