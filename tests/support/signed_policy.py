"""The policy of a host as its operator signs it, in files beside each other.

place = PolicyPlace(folder, signers={"olga": world.signers["olga"]})
place.sign("reviewers = 2\n", serial=3)              # for this host, for a day, by olga
load_host_policy(place.config(), …)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hive import audit, policy_memory
from hive.config import HiveConfig
from hive.db.session import snapshot, transaction
from hive.policy_file import HostPolicy
from hive.policy_loading import load_for_sweep, load_host_policy, load_remembered, this_host
from signing.errors import FormatError, RejectedError, SkillRepoError
from signing.format.digest import sha256_of
from signing.format.host_policy import PolicyStatement
from signing.keystore import SealedKeySigner
from tests.attacks.scene import Scene
from tests.support.world import now

DEMANDING = "evidence_minutes = 9\n"


@dataclass
class PolicyPlace:
    folder: Path
    signers: Mapping[str, SealedKeySigner]
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def policy(self) -> Path:
        return self.folder / "policy.toml"

    @property
    def signatures(self) -> Path:
        return self.folder / "policy.dsse.json"

    def config(self, **other: Any) -> HiveConfig:
        """The settings of a host that demands signatures; ``policy_signatures=None`` does not."""
        named = {"policy": str(self.policy), "policy_signatures": str(self.signatures)}
        return HiveConfig(**{**self.settings, **named, **other})

    def sign(
        self,
        text: str = DEMANDING,
        *,
        serial: int = 1,
        host: str | None = None,
        life: timedelta = timedelta(days=1),
        at: datetime | None = None,
        by: tuple[str, ...] = ("olga",),
    ) -> None:
        issued = (at or now()).replace(microsecond=0)
        envelope = PolicyStatement(
            sha256=sha256_of(text.encode()),
            host=host if host is not None else this_host(),
            serial=serial,
            issued_at=issued,
            expires_at=issued + life,
        ).envelope()
        for name in by:
            envelope = self.signers[name].sign_envelope(envelope)
        self.policy.write_text(text)
        self.signatures.write_bytes(envelope.render())

    def kept(self) -> tuple[bytes, bytes]:
        """Both files, to be put back later."""
        return self.policy.read_bytes(), self.signatures.read_bytes()

    def put_back(self, kept: tuple[bytes, bytes]) -> None:
        self.policy.write_bytes(kept[0])
        self.signatures.write_bytes(kept[1])


class PolicyHost:
    """A jail host with its database, its repository, and the two files."""

    def __init__(self, scene: Scene, place: PolicyPlace) -> None:
        self.scene, self.place = scene, place

    def load(self, *, at: datetime | None = None, **settings: Any) -> HostPolicy:
        return load_host_policy(
            self.place.config(**settings),
            engine=self.scene.mother.engine,
            open_client=lambda _: self.scene.mother.client,
            now=at or now(),
        )

    def sweep(
        self, *, at: datetime | None = None, **settings: Any
    ) -> tuple[HostPolicy, SkillRepoError | None]:
        return load_for_sweep(
            self.place.config(**settings),
            engine=self.scene.mother.engine,
            open_client=lambda _: self.scene.mother.client,
            now=at or now(),
        )

    def shown(self, *, at: datetime | None = None, **settings: Any) -> HostPolicy:
        return load_remembered(
            self.place.config(**settings), engine=self.scene.mother.engine, now=at or now()
        )

    @property
    def kept(self) -> Path:
        """Where the state folder has the policy that was verified last."""
        return self.scene.mother.state / "policy.verified"

    @property
    def seen(self) -> tuple[bool, int, str] | None:
        """What this host remembers: whether a signature is demanded, the serial, and the policy."""
        with snapshot(self.scene.mother.engine) as session:
            row = policy_memory.load(session, this_host())
        if row is None:
            assert not self.kept.exists()
            return None
        assert row.file_sha256 == sha256_of(self.kept.read_bytes())
        return row.demanded, row.serial, self.kept.read_text()

    def events(self) -> list[audit.Record]:
        with snapshot(self.scene.mother.engine) as session:
            audit.check(session)
            return [record for record in audit.read(session) if record.event.startswith("policy.")]

    def allow_unsigned(self) -> None:
        with transaction(self.scene.mother.engine) as session:
            policy_memory.allow_unsigned(session, this_host(), reason="the operators are away", now=now())

    def refused(
        self, expected: type[SkillRepoError], *, at: datetime | None = None, **settings: Any
    ) -> SkillRepoError:
        """Nothing is loaded and nothing remembered; what was refused stands in the log, once."""
        before, events = self.seen, self.events()
        with pytest.raises(expected) as caught:
            self.load(at=at, **settings)
        assert self.seen == before
        more = [record for record in self.events() if record not in events]
        rejected = isinstance(caught.value, RejectedError)
        assert [record.event for record in more] == (["policy.refused"] if rejected else [])
        assert not rejected or more[0].facts["error"]["code"] == caught.value.code
        assert caught.value.hint or isinstance(caught.value, FormatError)
        return caught.value
