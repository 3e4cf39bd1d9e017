"""A vault in one sealed file (edge), for development and for proofs: no server, no client, the same promises.

    STATE/vault/sealed.json   {"box":"…","schema":"https://skills.clawdie.si/schema/sealed-vault/v1"}
    STATE/vault/sealed.key    32 random bytes, 0600; or elsewhere, by the setting vault_credentials

What is in the box: buckets by collection id, each with its tenant and its variables. SecretBox (XSalsa20-Poly1305,
PyNaCl) makes the file whole or nothing; so a bucket needs no marker, and one that is not there is an error.
Whoever has the key file has the secrets, and an older copy of the file is not noticed: for real tenants use a
vault.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from hive.vault.bucket import Bucket, Variable, make_bucket
from hive.vault.host_key import load_or_make_key
from hive.vault.items import is_collection_id
from repo_client.entries import MissingPathError
from repo_client.handles import Directory
from signing.errors import FormatError, HostError, KeyAccessError, NotFoundError, WrongSubjectError
from signing.format.canonical import canonical, parse_canonical
from signing.format.fields import Fields
from signing.format.names import TenantId

SCHEMA: Final = "https://skills.clawdie.si/schema/sealed-vault/v1"
KEY_NAME: Final = "sealed.key"
FILE_NAME: Final = "sealed.json"
_MAX_BYTES: Final = 8 << 20
_WHERE: Final = "sealed vault"

_Buckets = dict[str, dict[str, Any]]


class SealedVault:
    """A `Vault` in a folder of this host."""

    def __init__(self, folder: Path, key_file: Path | None = None) -> None:
        self._folder = folder
        self._key_file = key_file or folder / KEY_NAME

    def bucket(self, tenant_id: TenantId, collection_id: str) -> Bucket:
        """Return the bucket of the tenant; see `Vault.bucket`."""
        with self._locked() as folder:
            found = self._load(folder).get(collection_id)
        if found is None:
            raise NotFoundError(
                f"the sealed vault has no bucket for {tenant_id}",
                hint=f"hive vault set {tenant_id} NAME; or set vault = bw for a real one",
            )
        _check_owner(found, tenant_id)
        variables = found["variables"]
        pairs = (Variable(name, variables[name], _WHERE) for name in sorted(variables))
        return make_bucket(tenant_id, collection_id, pairs, declared=tuple(variables))

    def put(self, tenant_id: TenantId, collection_id: str, name: str, value: str) -> None:
        """Set one variable of the tenant's bucket, which is made when it is not there.

        Raises:
            FormatError, NotEntitledError: no bucket may hold it. WrongSubjectError: the bucket is another tenant's.
            KeyAccessError, HostError: the file cannot be opened or written.
        """
        if not is_collection_id(collection_id):
            raise FormatError("not the id of a collection", where=f"tenant {tenant_id}")
        make_bucket(tenant_id, collection_id, [Variable(name, value, _WHERE)], declared=(name,)).forget()
        with self._locked() as folder:
            buckets = self._load(folder)
            bucket = buckets.setdefault(collection_id, {"tenant_id": tenant_id, "variables": {}})
            _check_owner(bucket, tenant_id)
            bucket["variables"][name] = value
            self._store(folder, buckets)

    def remove(self, tenant_id: TenantId, collection_id: str, name: str | None) -> None:
        """Remove one variable of the tenant's bucket, or all of the bucket; an empty bucket is none.

        Raises:
            NotFoundError: it is not there. WrongSubjectError: the bucket is another tenant's.
            KeyAccessError, HostError: the file cannot be opened or written.
        """
        with self._locked() as folder:
            buckets = self._load(folder)
            bucket = buckets.get(collection_id)
            if bucket is None or (name is not None and name not in bucket["variables"]):
                raise NotFoundError(
                    f"the sealed vault has no such thing for {tenant_id}", hint="hive vault list"
                )
            _check_owner(bucket, tenant_id)
            if name is not None:
                del bucket["variables"][name]
            if name is None or not bucket["variables"]:
                del buckets[collection_id]
            self._store(folder, buckets)

    def names(self) -> Mapping[TenantId, tuple[str, ...]]:
        """Return the names of all variables by tenant.

        Raises:
            KeyAccessError, FormatError, HostError: the file cannot be opened.
        """
        with self._locked() as folder:
            buckets = self._load(folder)
        return {bucket["tenant_id"]: tuple(sorted(bucket["variables"])) for bucket in buckets.values()}

    def _locked(self) -> Directory:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise HostError(
                f"cannot make the vault's folder: {error.strerror}", where=str(self._folder)
            ) from None
        folder = Directory.open(self._folder)
        try:
            folder.lock()
        except BaseException:
            folder.close()
            raise
        return folder

    def _load(self, folder: Directory) -> _Buckets:
        try:
            data = folder.read_file(FILE_NAME, max_bytes=_MAX_BYTES, single_link=True)
        except MissingPathError:
            return {}
        fields = Fields.of(parse_canonical(data, where=FILE_NAME, max_bytes=_MAX_BYTES), where=FILE_NAME)
        fields.constant("schema", SCHEMA)
        box = fields.text("box", max_length=_MAX_BYTES)
        fields.done()
        return _parse(self._opened(box))

    def _store(self, folder: Directory, buckets: _Buckets) -> None:
        box = _secret_box(load_or_make_key(self._key_file)).encrypt(canonical(buckets))
        document = canonical({"schema": SCHEMA, "box": bytes(box).hex()})
        if len(document) > _MAX_BYTES:
            raise FormatError(f"more than {_MAX_BYTES} bytes", where=_WHERE)
        folder.write_file(FILE_NAME, document, mode=0o600)

    def _opened(self, box: str) -> bytes:
        if not self._key_file.exists():
            # A new key would open nothing, and the next write would bury the old secrets.
            raise KeyAccessError(f"the key of the sealed vault is gone: {self._key_file}", hint="restore it")
        secret_box = _secret_box(load_or_make_key(self._key_file))
        from nacl import exceptions  # noqa: PLC0415 - PyNaCl is not on the run-time path

        try:
            return bytes(secret_box.decrypt(bytes.fromhex(box)))
        except (exceptions.CryptoError, exceptions.TypeError, exceptions.ValueError, ValueError):
            raise KeyAccessError(
                "the sealed vault does not open: another key, or a damaged file",
                hint="restore both from a backup",
            ) from None


def _secret_box(key: bytes) -> Any:
    try:
        from nacl.secret import SecretBox  # noqa: PLC0415 - PyNaCl is not on the run-time path
    except ImportError:
        raise HostError(
            "the sealed vault needs PyNaCl, which is not installed", hint="install it, or set vault = bw"
        ) from None
    return SecretBox(key)


def _parse(plain: bytes) -> _Buckets:
    buckets = parse_canonical(plain, where=_WHERE, max_bytes=_MAX_BYTES)
    for bucket in buckets.values() if isinstance(buckets, dict) else [None]:
        if not isinstance(bucket, dict) or set(bucket) != {"tenant_id", "variables"}:
            raise FormatError("not the buckets of a sealed vault", where=_WHERE)
    return dict(buckets)


def _check_owner(bucket: Mapping[str, Any], tenant_id: TenantId) -> None:
    if bucket["tenant_id"] != tenant_id:
        raise WrongSubjectError(
            "the bucket with that collection id is another tenant's",
            hint="compare hive show-tenant with hive vault list",
        )
