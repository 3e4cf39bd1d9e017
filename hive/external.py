"""External bundles and the consent to them: the free tier's way in, at the operator's own, recorded risk.

An `ExternalBundle` says nothing about trust: it is well-formed, and its digest is known. An `OptIn` names that
digest, so consent to one set of bytes is not consent to what the same source offers tomorrow.
"""

import io
from dataclasses import InitVar, dataclass
from datetime import datetime
from typing import Final, final

from signing.errors import NotFirstPartyError, SkillRepoError
from signing.format.archive import Bundle, read_bundle
from signing.format.digest import Sha256, sha256_of
from signing.format.names import Pin, TenantId
from signing.format.pkg.archive import read_package
from signing.sealed import unchangeable


class _Seal:
    """The one instance of this class opens the constructor; it does not leave this module."""


_SEAL: Final = _Seal()


@unchangeable
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalBundle:
    """A bundle that nobody we trust vouches for; ``sha256`` is the digest of the bytes it was read from."""

    pin: Pin
    sha256: Sha256
    bundle: Bundle
    seal: InitVar[_Seal]

    def __post_init__(self, seal: _Seal) -> None:
        if seal is not _SEAL:
            raise TypeError("ExternalBundle comes from read_external()")


def read_external(data: bytes) -> ExternalBundle:
    """Return the bundle written as ``data``.

    Raises:
        NotFirstPartyError: it is a package; there is no consent to those, for any tier.
        FormatError, DigestMismatchError: it is no bundle, or its manifest lies.
    """
    _check_no_package(data)
    bundle = read_bundle(data)
    return ExternalBundle(pin=bundle.manifest.pin, sha256=sha256_of(data), bundle=bundle, seal=_SEAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class OptIn:
    """A recorded consent to one external bundle, for one tenant, until a date."""

    tenant_id: TenantId
    source: str
    pin: Pin
    bundle_sha256: Sha256
    owner: str
    reason: str
    expires_at: datetime

    def covers(self, external: ExternalBundle, tenant_id: TenantId, now: datetime) -> bool:
        """Return whether this consent is about exactly these bytes, this tenant and this moment."""
        return (
            self.tenant_id == tenant_id
            and self.pin == external.pin
            and self.bundle_sha256 == external.sha256
            and now < self.expires_at
        )


def _check_no_package(data: bytes) -> None:
    try:
        package = read_package(io.BytesIO(data)).manifest.pin
    except SkillRepoError:
        return
    raise NotFirstPartyError(
        f"{package} is a package: packages come from our own builds, for every tier",
        hint="build it with poudriere, publish it (skillrepo pkg publish), then pin it in the profile",
    )
