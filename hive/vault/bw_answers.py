"""What `bw` says, and what that means. Its exit status alone means little (reference/vault-bw §4).

    {"serverUrl":"https://vault.clawdie.si","lastSync":"2026-11-22T10:00:00.000Z","userEmail":"…",
     "userId":"…","status":"unlocked"}

Words of the client and of its server are recognised, not repeated: they are shown only where no known reason
fits, without the credentials of this host, and never of a command that prints secrets.
"""

import base64
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, Self
from urllib.parse import quote, quote_plus

from hive.vault.items import is_vault_id
from signing.errors import (
    FormatError,
    HostError,
    KeyAccessError,
    NotFoundError,
    SkillRepoError,
    TransportError,
)
from signing.format.canonical import parse_json
from signing.format.names import TenantId

MAX_ANSWER_BYTES: Final = 16 << 20
SESSION_KEY_LENGTH: Final = 88
_OLDEST, _NEWEST = (2026, 6, 0), (2026, 8, 0)
_VERSION: Final = re.compile(r"([0-9]{4})\.([0-9]{1,2})\.([0-9]{1,3})", re.ASCII)
_SESSION_KEY: Final = re.compile(r"[A-Za-z0-9+/]{86}==", re.ASCII)
_SHOWN: Final = 200

State = Literal["unauthenticated", "locked", "unlocked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Where the client stands: with which server and account, since when, and how far in."""

    state: State
    server: str | None
    account: str | None
    last_sync: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A collection as the client lists it."""

    name: str
    collection_id: str
    organization_id: str

    @classmethod
    def parse(cls, value: object, *, where: str) -> Self:
        """Return the collection of ``value``.

        Raises:
            FormatError: it is none.
        """
        if not isinstance(value, dict) or not all(
            isinstance(value.get(key), str) for key in ("name", "id", "organizationId")
        ):
            raise FormatError("not a collection", where=where)
        return cls(name=value["name"], collection_id=value["id"], organization_id=value["organizationId"])


def check_version(said: bytes) -> str:
    """Return the version of the client when it is one whose behaviour is known.

    Raises:
        HostError: it is another one.
    """
    text = said.decode("ascii", "replace").strip()
    match = _VERSION.fullmatch(text)
    number = tuple(map(int, match.groups())) if match else None
    if number is None or not _OLDEST <= number <= _NEWEST:
        raise HostError(
            f"bw {f'is {text}' if match else 'does not tell its version'}; 2026.6.0 to 2026.8.0 are allowed."
            " From 2026.9.0 on it asks the server at every unlock: that uses up the rate limit,"
            " fails against servers that do not know the question, and lists came back empty",
            hint="npm install @bitwarden/cli@2026.6.0, and name it by the setting bw",
        )
    return text


def parse_status(said: bytes) -> Status:
    """Return what `bw status` says.

    Raises:
        HostError: it does not say it in the form that we know.
    """
    values = parse_answer(said, what="status")
    state = values.get("status") if isinstance(values, dict) else None
    if state not in {"unauthenticated", "locked", "unlocked"}:
        raise _unknown("status")
    server, account, synced = (values.get(key) for key in ("serverUrl", "userId", "lastSync"))
    if not all(isinstance(value, str | None) for value in (server, account, synced)):
        raise _unknown("status")
    return Status(state=state, server=server, account=account, last_sync=_moment(synced))


def parse_session_key(said: bytes) -> bytes:
    """Return the session key that `bw unlock --raw` printed.

    Raises:
        TransportError: it printed none, which is what it does after a login whose sync failed.
    """
    text = said.decode("ascii", "replace").strip()
    if len(text) != SESSION_KEY_LENGTH or not _SESSION_KEY.fullmatch(text):
        raise TransportError(
            "bw unlock ended well and printed no session key; its last login was without a sync",
            hint="try again: the next run logs in anew",
        )
    return text.encode()


def parse_collections(said: bytes) -> tuple[Listed, ...]:
    """Return the collections that this account can see.

    Raises:
        HostError: not in the form that we know.
    """
    values = parse_answer(said, what="list collections")
    if not isinstance(values, list):
        raise _unknown("list collections")
    try:
        return tuple(Listed.parse(value, where=f"collections[{i}]") for i, value in enumerate(values))
    except FormatError:
        raise _unknown("list collections") from None


def parse_answer(said: bytes, *, what: str) -> Any:
    """Return the JSON that the client printed.

    Raises:
        HostError: it is none. Nothing of it is repeated: it may hold secrets.
    """
    try:
        return parse_json(said, where=what, max_bytes=MAX_ANSWER_BYTES)
    except FormatError:
        raise _unknown(what) from None


def check_collection(
    listed: Collection[Listed], *, tenant_id: TenantId, collection_id: str, organization_id: str
) -> None:
    """Return None when exactly one collection has the tenant's name, the registry's id and our organisation.

    A list of the items of a collection that cannot be read is as empty as that of an empty one, so this is
    asked before.

    Raises:
        NotFoundError: the account sees no such collection, or more than one.
    """
    named = [item for item in listed if item.name == tenant_id]
    numbered = [item for item in listed if item.collection_id == collection_id]
    if len(named) != 1 or named != numbered or named[0].organization_id != organization_id:
        raise NotFoundError(
            f"this host's account sees {len(named)} collections named {tenant_id},"
            f" and {'one' if numbered else 'none'} with the registered id;"
            " exactly one with both must be there, in our organisation",
            hint="compare hive show-tenant with the vault; give the account read access to the collection",
        )


def account_of(client_id: bytes) -> str:
    """Return the account of an API key's client id.

    Raises:
        KeyAccessError: not a personal API key; `bw` takes no other.
    """
    kind, _, account = client_id.decode("ascii", "replace").partition(".")
    if kind != "user" or not is_vault_id(account):
        raise KeyAccessError(
            "client_id is not that of a personal API key (user.<id>)",
            hint="take the API key of the service account; bw refuses keys of organisations",
        )
    return account


# What is said, as recognised by a part of it, and what it means. The first that fits counts.
_KNOWN: Final[tuple[tuple[re.Pattern[str], type[SkillRepoError], str, str], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE), kind, message, hint)
    for pattern, kind, message, hint in (
        (
            r"rate limit|too many (?:login )?requests|\b429\b",
            TransportError,
            "the vault's rate limit is used up",
            "try later: it allows one login or sync a minute after a burst of ten; provision many at once",
        ),
        (
            r"client_(?:id|secret)",
            KeyAccessError,
            "the vault does not accept the API key",
            "compare client_id and client_secret in the credentials file with the account",
        ),
        (
            r"cryptography error|decryption operation failed|master password",
            KeyAccessError,
            "the vault cannot be unlocked: the master password is wrong",
            "compare the password in the credentials file with the account",
        ),
        (
            r"self-signed|certificate|insecure url",
            TransportError,
            "the vault's certificate is not trusted",
            "name its authority by ca_file in the credentials file",
        ),
        (
            r"fetcherror|econnrefused|enotfound|etimedout|eai_again|socket hang up|failed to fetch",
            TransportError,
            "the vault does not answer",
            "try again when it does; nothing was taken from the cache",
        ),
        (
            r"not logged in|vault is locked",
            TransportError,
            "the vault has ended this host's login",
            "try again: the next run logs in anew",
        ),
    )
)


def failure(step: str, said: str, *, status: int, withheld: Collection[bytes], shown: bool) -> SkillRepoError:
    """Return the error for a `bw` that failed.

    Args:
        step: the command, for the message.
        said: what it printed, errors first.
        status: its exit status.
        withheld: credentials, which are cut out of whatever is shown.
        shown: whether words that are not known may be shown; False for commands that print secrets.
    """
    for pattern, kind, message, hint in _KNOWN:
        if pattern.search(said):
            return kind(f"bw {step}: {message}", hint=hint)
    if step == "sync":
        return TransportError(
            "bw sync failed", hint="look at the vault's server; nothing was taken from the cache"
        )
    words = f": {_excerpt(said, withheld)}" if shown and said.strip() else ""
    return HostError(f"bw {step} failed with status {status}{words}", hint="see docs/vault.md")


def _excerpt(said: str, withheld: Collection[bytes]) -> str:
    for secret in withheld:
        for spelled in _spellings(secret.decode("utf-8", "replace")):
            said = said.replace(spelled, "…")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    reason = next((line for line in lines if "Error" in line), lines[-1])
    return ascii(reason[:_SHOWN])[1:-1]


def _spellings(secret: str) -> list[str]:
    """Return how a secret looks in a message, in a form, in JSON and in a header; the longest first."""
    encoded = base64.b64encode(secret.encode("utf-8", "replace")).decode()
    found = {secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], encoded}
    return sorted(filter(None, found), key=len, reverse=True)


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _unknown("status") from None
    if moment.tzinfo is None:
        raise _unknown("status")
    return moment


def _unknown(what: str) -> HostError:
    return HostError(f"bw {what} printed something else than it should", hint="see docs/vault.md")
