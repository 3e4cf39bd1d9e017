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

from hive.config import HiveConfig
from hive.policy_loading import this_host
from signing.format.digest import sha256_of
from signing.format.host_policy import PolicyStatement
from signing.keystore import SealedKeySigner
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
