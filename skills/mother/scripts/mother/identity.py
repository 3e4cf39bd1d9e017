"""Who I am: SOUL.md held against the lock record that the host wrote at birth.

The record tells an agent what it was given. It is no proof for others; the hive keeps its own copy.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mother.errors import MalformedError, NotAllowedError, NotFoundError, NotVerifiedError
from mother.fields import LABEL, labels_field, list_field, parse_object, text_field
from mother.files import read_regular

LOCK_RECORD = Path("/var/db/clawdie/lock.json")
IDENTITY_NAME = "SOUL.md"
MAX_LOCAL_FILE = 1 << 20  # bytes; a lock record of a large profile is a tenth of this
OTHERS_WRITE = 0o022

TENANT = re.compile(r"[a-z][a-z0-9]{0,14}", re.ASCII)
VERSION = re.compile(r"[0-9][0-9A-Za-z.!+-]{0,63}", re.ASCII)
SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_DRIFTED = "do no work; tell the operator that this jail has drifted from its lock"
_WHAT = "lock record"


@dataclass(frozen=True)
class Artefact:
    """One skill or identity layer as the lock names it."""

    name: str
    version: str
    tree_sha256: str

    def to_json(self) -> dict[str, str]:
        """Return it as it is printed, and as the hive is told of it."""
        return {"name": self.name, "version": self.version, "tree_sha256": self.tree_sha256}


@dataclass(frozen=True)
class Identity:
    """What the lock record and SOUL.md say about this agent."""

    agent: str
    tenant: str
    profile: str
    profile_version: str
    layers: tuple[Artefact, ...]
    skills: tuple[Artefact, ...]
    capabilities: frozenset[str]
    soul_sha256: str


def load_identity(home: Path, lock: Path) -> Identity:
    """Read SOUL.md and the lock record, and hold one against the other.

    Raises:
        NotFoundError: one of the two files is missing or is not a regular file.
        MalformedError: the lock record is not in its form.
        NotVerifiedError: SOUL.md is not the text that the lock record names, or others may write to either.
    """
    soul = _read(home / IDENTITY_NAME)
    record = parse_object(_read(lock), what=_WHAT)
    soul_sha256 = hashlib.sha256(soul).hexdigest()
    if text_field(record, "soul_sha256", SHA256, what=_WHAT) != soul_sha256:
        raise NotVerifiedError(f"{IDENTITY_NAME} is not the text that the lock record names", hint=_DRIFTED)
    profile = record.get("profile")
    if not isinstance(profile, dict):
        raise MalformedError(f"{_WHAT}: 'profile' is missing or not an object")
    tenant = text_field(record, "tenant", TENANT, what=_WHAT)
    return Identity(
        agent=text_field(record, "agent", TENANT, what=_WHAT) if "agent" in record else tenant,
        tenant=tenant,
        profile=text_field(profile, "name", LABEL, what=f"{_WHAT}, profile"),
        profile_version=text_field(profile, "version", VERSION, what=f"{_WHAT}, profile"),
        layers=parse_artefacts(record, "layers"),
        skills=parse_artefacts(record, "skills"),
        capabilities=labels_field(record, "capabilities", what=_WHAT),
        soul_sha256=soul_sha256,
    )


def parse_artefacts(record: dict[str, Any], name: str) -> tuple[Artefact, ...]:
    """Return the ``name`` list of a lock record, in its order."""
    found: list[Artefact] = []
    for position, item in enumerate(list_field(record, name, what=_WHAT)):
        what = f"{_WHAT}, {name}[{position}]"
        if not isinstance(item, dict):
            raise MalformedError(f"{what} is not an object")
        found.append(
            Artefact(
                text_field(item, "name", LABEL, what=what),
                text_field(item, "version", VERSION, what=what),
                text_field(item, "tree_sha256", SHA256, what=what),
            )
        )
    return tuple(found)


def choose_capabilities(identity: Identity, wanted: Sequence[str]) -> frozenset[str]:
    """Return what this agent offers: all that the lock grants, or the part asked for.

    Raises:
        NotAllowedError: something is asked for that the lock does not grant.
    """
    beyond = sorted(set(wanted) - identity.capabilities)
    if beyond:
        raise NotAllowedError(
            f"the lock does not grant: {', '.join(map(ascii, beyond))}",
            hint="capabilities come with the profile; ask the operator to change it",
        )
    return frozenset(wanted) if wanted else identity.capabilities


def _read(path: Path) -> bytes:
    data, facts = read_regular(path, limit=MAX_LOCAL_FILE, error=NotFoundError)
    # Whoever could write to both would choose who this agent is, and what it is told to be.
    if facts.st_mode & OTHERS_WRITE:
        raise NotVerifiedError(f"users other than its owner may write to {path.name!a}", hint=_DRIFTED)
    return data
