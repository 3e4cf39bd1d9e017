"""Publishing the list of vulnerabilities, here or behind https: plan, sign, hand in (edge).

desk.plan(data, now=…)         what it changes; nothing is signed
desk.hand_in(data, signer, …)  the next metadata, signed, and published
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from securesystemslib.signer import Signer
from tuf.api.metadata import Targets

from repo_server.db.session import snapshot
from repo_server.desk.client import DeskClient, Upload
from repo_server.pkgrepo.advisories import (
    AdvisoriesChange,
    changes_of,
    plan_advisories,
    sign_advisories,
    take_advisories,
)
from repo_server.pkgrepo.served import ServedSite
from repo_server.publishing.alone import next_metadata
from repo_server.repository import Repository
from signing.format.pkg.names import ADVISORIES_PATH, PackageRepo
from signing.format.pkg.vuxml import parse_vuxml
from signing.metadata import build_target, render, sign
from signing.roles import ADVISORIES

_SECONDS: Final = 900.0
# Which repository is looked at makes no difference: the list is one for all. This one needs no packages.
_ANY: Final = PackageRepo.parse("FreeBSD:14:amd64/latest")


class AdvisoryDesk(Protocol):
    """Where the list is handed in."""

    def plan(self, data: bytes, *, allow_lost: bool, now: datetime) -> AdvisoriesChange:
        """See `repo_server.pkgrepo.advisories.plan_advisories`."""

    def hand_in(self, data: bytes, signer: Signer, *, now: datetime) -> None:
        """Sign and publish ``data``.

        Raises:
            ConflictError: another list was published meanwhile. ThresholdError: not a curator's key.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAdvisoryDesk:
    """The repository is on this machine."""

    repository: Repository
    online: Callable[[], Signer]

    def plan(self, data: bytes, *, allow_lost: bool, now: datetime) -> AdvisoriesChange:
        """See `AdvisoryDesk`."""
        del now
        with snapshot(self.repository.engine) as session:
            return plan_advisories(self.repository, session, data, allow_lost=allow_lost)

    def hand_in(self, data: bytes, signer: Signer, *, now: datetime) -> None:
        """See `AdvisoryDesk`."""
        with snapshot(self.repository.engine) as session:
            metadata = sign_advisories(self.repository, session, data, signer, now=now)
        take_advisories(self.repository, metadata, data, self.online(), now=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteAdvisoryDesk:
    """The repository of a server, believed as far as the curator's own anchor vouches for it."""

    client: DeskClient
    site: ServedSite

    def plan(self, data: bytes, *, allow_lost: bool, now: datetime) -> AdvisoriesChange:
        """See `AdvisoryDesk`."""
        old = self.site.state(_ANY, now=now).advisories(also_ended=True)
        return changes_of(data, parse_vuxml(data), old, allow_lost=allow_lost)

    def hand_in(self, data: bytes, signer: Signer, *, now: datetime) -> None:
        """See `AdvisoryDesk`."""
        published: Targets | None = self.site.state(_ANY, now=now).signed_targets(ADVISORIES)
        metadata = next_metadata(published, ADVISORIES, build_target(ADVISORIES_PATH, data), now=now)
        sign(metadata, signer)
        boundary = secrets.token_hex(16)
        upload = Upload(
            content=_multipart({"metadata": render(metadata), "list": data}, boundary),
            media_type=f"multipart/form-data; boundary={boundary}",
        )
        self.client.ask("POST", "/advisories", upload=upload, seconds=_SECONDS)


def _multipart(parts: dict[str, bytes], boundary: str) -> bytes:
    pieces = []
    for name, data in parts.items():
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        pieces += [head.encode(), data, b"\r\n"]
    return b"".join([*pieces, f"--{boundary}--\r\n".encode()])
