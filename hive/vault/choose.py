"""Which vault this host uses: ``vault = "bw"`` in production, the sealed file where nothing is set."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Final

from hive.config import HiveConfig
from hive.vault.bw import BwVault
from hive.vault.bw_settings import BwSettings
from hive.vault.sealed import SealedVault
from hive.vault.vault import Vault
from signing.errors import UsageError

BW: Final = "bw"
SEALED: Final = "sealed"


def open_vault(config: HiveConfig, clock: Callable[[], datetime]) -> AbstractContextManager[Vault]:
    """Return the vault of this host for one batch of tenants; nothing is asked of it before the first bucket.

    Raises:
        UsageError, FormatError: a setting is missing or wrong.
    """
    if vault_kind(config) == BW:
        return BwVault(BwSettings.of(config), clock)
    return nullcontext(sealed_vault(config))


def vault_kind(config: HiveConfig) -> str:
    """Return which vault is configured.

    Raises:
        UsageError: one that we do not know.
    """
    kind = config.vault or SEALED
    if kind not in {BW, SEALED}:
        raise UsageError(f"there is no vault {kind!a}", hint="set vault to bw or sealed")
    return kind


def sealed_vault(config: HiveConfig) -> SealedVault:
    """Return the sealed vault of this host."""
    key_file = Path(config.vault_credentials) if config.vault_credentials is not None else None
    return SealedVault(config.state_dir / "vault", key_file)
