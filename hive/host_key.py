"""The key of this host: it signs birth certificates and checkpoints of the audit log (edge).

    STATE/host-key/seed             0600; 32 bytes in hex, made once; whoever reads it can speak as this host
    STATE/host-key/public.json      what operators hand to customers and auditors

It stands unsealed, because it signs while nobody is there. What it can do is little: no role of the repository is
signed by it, so a thief of it can lie about births, and bring nothing into a jail.
"""

import os
import re
import secrets
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from repo_client.entries import MissingPathError, temporary_name
from repo_client.handles import Directory
from signing.errors import HostError, KeyAccessError
from signing.format.digest import parse_sha256
from signing.format.envelope import Envelope, EnvelopeSignature
from signing.format.names import HolderName, parse_holder_name
from signing.keys import HeldKey

_FOLDER: Final = "host-key"
_SEED: Final = "seed"
_PUBLIC: Final = "public.json"
_MAX_PUBLIC: Final = 4096
_SEED_BYTES: Final = 32
_OTHERS: Final = 0o077
_MAX_NAME: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class HostKey:
    """The opened key."""

    held: HeldKey
    _seed: bytes = field(repr=False)

    @classmethod
    def open(cls, state: Path) -> Self:
        """Return the key of this host, made when it has none; its name is the machine's on that day.

        Raises:
            KeyAccessError: others may read it, or half of it is gone; it is never replaced silently.
            FormatError: it is damaged.
            HostError: the folder cannot be used.
        """
        folder = state / _FOLDER
        try:
            state.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise HostError(f"cannot make {state}: {error.strerror}") from error
        with Directory.open(state) as home:
            home.lock()  # two services that start at once make one key
            if not has_key(state):
                return cls._make(home)
        with Directory.open(folder) as keys:
            try:
                found = keys.load_file(_SEED, max_bytes=2 * _SEED_BYTES, single_link=True)
                public = _public(keys)
            except MissingPathError as error:
                raise KeyAccessError(
                    f"half of this host's key is gone from {folder}", hint="restore it from a backup"
                ) from error
        if found.mode & _OTHERS:
            raise KeyAccessError(f"others may read {folder}/{_SEED}", hint="chmod 600, and consider it known")
        seed = bytes.fromhex(
            parse_sha256(found.content.decode("ascii", "replace"), where=f"{folder}/{_SEED}")
        )
        if _held(public.holder, seed) != public:
            raise KeyAccessError(f"the two halves in {folder} are not of one key", hint="restore both")
        return cls(held=public, _seed=seed)

    @classmethod
    def _make(cls, home: Directory) -> Self:
        """Make the folder of the key, whole: whoever is killed in here leaves no half of one."""
        seed = secrets.token_bytes(_SEED_BYTES)
        held = _held(parse_holder_name(_own_name()), seed)
        temporary = temporary_name()
        try:
            with home.descend(temporary, create=True, mode=0o700) as keys:
                keys.create_file(_SEED, seed.hex().encode(), 0o600)
                keys.create_file(_PUBLIC, held.render(), 0o644)
                keys.sync()
            home.rename(temporary, _FOLDER, replace=True)  # an empty folder at most
        except BaseException:
            home.remove_tree(temporary)
            raise
        home.sync()
        return cls(held=held, _seed=seed)

    def sign(self, envelope: Envelope) -> Envelope:
        """Return ``envelope`` with this host's signature."""
        from nacl.signing import SigningKey  # noqa: PLC0415 - only the few commands that sign need it

        signature = SigningKey(self._seed).sign(envelope.signed_bytes).signature
        return envelope.with_signature(EnvelopeSignature(keyid=self.held.keyid, signature=signature))


def has_key(state: Path) -> bool:
    """Return whether this host has a key, or half of one."""
    return any(os.path.lexists(state / _FOLDER / name) for name in (_SEED, _PUBLIC))


def public_key(state: Path) -> HeldKey:
    """Return the public key of this host; none is made, because a new one has signed nothing.

    Raises:
        KeyAccessError: this host has none. FormatError: it is damaged.
    """
    try:
        with Directory.open(state / _FOLDER) as keys:
            return _public(keys)
    except MissingPathError as error:
        raise KeyAccessError(
            f"this host has no key in {state / _FOLDER}",
            hint="restore it from a backup; elsewhere, give the host's public key by --host-key",
        ) from error


def _public(keys: Directory) -> HeldKey:
    return HeldKey.parse(keys.read_file(_PUBLIC, max_bytes=_MAX_PUBLIC), where=f"{keys.label}/{_PUBLIC}")


def _held(holder: HolderName, seed: bytes) -> HeldKey:
    from nacl.signing import SigningKey  # noqa: PLC0415

    return HeldKey(holder=holder, public=bytes(SigningKey(seed).verify_key).hex())


def _own_name() -> str:
    words = re.findall(r"[a-z0-9]+", socket.gethostname().lower(), re.ASCII)
    return "-".join(["host", *words])[:_MAX_NAME].strip("-")
