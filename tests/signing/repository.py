"""A small signed repository built with `signing.metadata` only; each test spoils one thing and signs again.

state = State.fresh()
state.timestamp(expires=-1).close()          every later file names the earlier ones correctly
state.verify()
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from tuf.api.metadata import Metadata, TargetFile, Targets

from signing.format.canonical import canonical
from signing.format.names import REVOCATIONS_PATH, Pin
from signing.format.revocations import Revocations
from signing.keystore import SealedKeySigner
from signing.metadata import (
    Signatories,
    Topology,
    build_first,
    build_root,
    build_skills,
    build_snapshot,
    build_target,
    build_targets,
    build_timestamp,
    render,
    sign,
)
from signing.trusted import TrustedMetadata, verify_metadata
from tests.signing.people import person

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
PIN = Pin.parse("web-search==1.0")
BUNDLE = b"the bytes of a bundle"
ROOTS = (person("root-1"), person("root-2"))
CURATORS = (person("alice"), person("bob"))
OLGA, ONLINE, MALLORY = person("olga"), person("online"), person("mallory")


def held(*people: SealedKeySigner, threshold: int) -> Signatories:
    return Signatories(keys=tuple(someone.held for someone in people), threshold=threshold)


TOPOLOGY = Topology(
    root=held(*ROOTS, threshold=2),
    curators=held(*CURATORS, threshold=2),
    operators=held(OLGA, threshold=1),
    online=ONLINE.held,
    bins=2,
)


def signed(metadata: Metadata[Any], people: Iterable[SealedKeySigner]) -> bytes:
    for someone in people:
        sign(metadata, someone)
    return render(metadata)


def spoil(
    data: bytes, change: Callable[[dict[str, Any]], object], people: Iterable[SealedKeySigner]
) -> bytes:
    """Change the signed part of ``data`` and sign it again as ``people``, whether or not it makes sense."""
    document = json.loads(data)
    change(document["signed"])
    signatures = []
    for someone in people:
        # TUF's canonical JSON and ours agree on these values (ASCII, integers).
        signature = someone.sign(canonical(document["signed"]))
        signatures.append({"keyid": signature.keyid, "sig": signature.signature})
    return json.dumps({"signed": document["signed"], "signatures": signatures}).encode()


def bin_of(path: str, skills: bytes) -> str:
    delegations = Metadata[Targets].from_bytes(skills).signed.delegations
    assert delegations is not None
    assert delegations.succinct_roles is not None
    return delegations.succinct_roles.get_role_for_target(path)


DELEGATED = {"skills": CURATORS, "profiles": (OLGA,), "revocations": CURATORS[:1]}


def signers_of(role: str) -> tuple[SealedKeySigner, ...]:
    top = {"root": ROOTS, "targets": CURATORS, "snapshot": (ONLINE,), "timestamp": (ONLINE,)}
    return {**top, **DELEGATED}.get(role, CURATORS)


@dataclass
class State:
    """All bytes of one repository state."""

    anchor: bytes
    files: dict[str, bytes]
    roots: list[bytes] = field(default_factory=list)

    @classmethod
    def fresh(cls) -> "State":
        return replace(_FRESH, files=dict(_FRESH.files), roots=[])

    def spoil(
        self,
        role: str,
        change: Callable[[dict[str, Any]], object] = lambda _: None,
        *,
        by: Iterable[SealedKeySigner] | None = None,
        then_close: bool = True,
    ) -> "State":
        """Change ``role`` and sign it (as its holders, or ``by``); files above it are written to fit."""
        people = signers_of(role) if by is None else by
        if role == "root":
            self.anchor = spoil(self.anchor, change, people)
            return self
        self.files[role] = spoil(self.files[role], change, people)
        if then_close and role != "timestamp":
            self.close(keep_snapshot=role == "snapshot")
        return self

    def close(self, *, keep_snapshot: bool = False, without: Iterable[str] = ()) -> "State":
        """Write snapshot and timestamp over what is there now."""
        named = {
            role: data for role, data in self.files.items() if role not in {"snapshot", "timestamp", *without}
        }
        if not keep_snapshot:
            self.files["snapshot"] = signed(build_snapshot(named, version=2, now=NOW), [ONLINE])
        self.files["timestamp"] = signed(
            build_timestamp(self.files["snapshot"], version=2, now=NOW), [ONLINE]
        )
        return self

    def verify(self, *, now: datetime = NOW, roots: list[bytes] | None = None) -> TrustedMetadata:
        return verify_metadata(
            self.anchor, roots=self.roots if roots is None else roots, files=self.files, now=now
        )


def build(topology: Topology = TOPOLOGY, extra: Mapping[str, TargetFile] | None = None) -> State:
    skills = signed(build_skills(topology, version=1, now=NOW), CURATORS)
    files = {
        "targets": signed(build_targets(topology, version=1, now=NOW), CURATORS),
        "skills": skills,
        "profiles": signed(build_first("profiles", now=NOW), [OLGA]),
        "revocations": signed(
            build_first("revocations", build_target(REVOCATIONS_PATH, Revocations().render()), now=NOW),
            CURATORS[:1],
        ),
    }
    named = {PIN.bundle_path: build_target(PIN.bundle_path, BUNDLE, {"name": PIN.name}), **(extra or {})}
    for name in ("skills-0", "skills-1"):
        mine = [target for path, target in named.items() if bin_of(path, skills) == name]
        files[name] = signed(build_first(name, *mine, now=NOW), CURATORS)
    state = State(anchor=signed(build_root(topology, version=1, now=NOW), ROOTS), files=files)
    return state.close()


_FRESH = build()
