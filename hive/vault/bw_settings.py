"""How this host reaches its vault (edge): the server, the organisation, and a file with the credentials.

    client_id = "user.00000000-0000-4000-8000-000000000000"
    client_secret = "…"
    password = "…"                                             # the account's master password
    ca_file = "/usr/local/etc/hive/vault-ca.pem"               # optional: an own certificate authority

The file is this host's bootstrap credential. It is read only while nobody else can read it, what it holds goes
into the environment of one child at a time, and into nothing else.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from hive.config import HiveConfig
from hive.private_files import read_secret
from hive.vault.bw_answers import account_of
from hive.vault.items import is_vault_id
from hive.vault.secret import Secret
from signing.errors import FormatError, HostError, KeyAccessError, UsageError

_SECRET_KEYS: Final = ("client_id", "client_secret", "password")
# One spelling: `bw` drops a trailing slash, keeps the case, and takes anything at all for an address; what it
# then says it talks to is compared with this text, letter by letter.
_ADDRESS: Final = re.compile(
    r"https://[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?(?::[1-9][0-9]{0,4})?(?:/[A-Za-z0-9._~-]+)*", re.ASCII
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What is in the credentials file."""

    client_id: Secret
    client_secret: Secret
    password: Secret
    account: str
    ca_file: Path | None

    @property
    def withheld(self) -> tuple[bytes, ...]:
        """What no message may hold."""
        return (self.client_secret.reveal(), self.password.reveal())

    def forget(self) -> None:
        """Overwrite them; see `Secret.forget`."""
        for secret in (self.client_id, self.client_secret, self.password):
            secret.forget()


@dataclass(frozen=True, slots=True, kw_only=True)
class BwSettings:
    """Everything that driving `bw` needs to know."""

    program: str
    url: str
    organization_id: str
    credentials_file: Path
    folder: Path

    @classmethod
    def of(cls, config: HiveConfig) -> Self:
        """Return the settings of this host.

        Raises:
            UsageError: one is missing, or the private folder would lie where jails are.
            FormatError: one is not in its one spelling.
        """
        url = config.need("vault_url", "the setting vault_url, like https://vault.clawdie.si")
        if not _ADDRESS.fullmatch(url):
            raise FormatError(
                "not an https address in its one spelling", where="vault_url", hint="https://vault.clawdie.si"
            )
        organization = config.need(
            "vault_organization", "the setting vault_organization, the organisation's id"
        )
        if not is_vault_id(organization):
            raise FormatError("not the id of an organisation", where="vault_organization")
        program = config.bw or "bw"
        if "/" in program and not Path(program).is_absolute():
            # Else it would be whatever stands below the folder that somebody works in.
            raise FormatError("neither a name nor an absolute path", where="bw", hint="/usr/local/bin/bw")
        folder = (config.state_dir / "bw").absolute()
        if config.jail_root_base is not None:
            jails = Path(config.jail_root_base).resolve()
            if folder.resolve().is_relative_to(jails):
                raise UsageError(
                    "the vault's folder would lie below the jails",
                    hint="keep --state elsewhere: it holds this host's API key",
                )
        return cls(
            program=program,
            url=url,
            organization_id=organization,
            credentials_file=Path(
                config.need("vault_credentials", "the setting vault_credentials, a file with mode 0600")
            ),
            folder=folder,
        )


def load_credentials(path: Path) -> Credentials:
    """Return the credentials in ``path``.

    Raises:
        KeyAccessError: there is no such file, it is not ours alone, or not whole.
        HostError: its ca_file is not there.
    """
    values = _parse(read_secret(path), path)
    unknown = sorted(set(values) - {*_SECRET_KEYS, "ca_file"})
    missing = [key for key in _SECRET_KEYS if not values.get(key)]
    wrong = [key for key in values if not isinstance(values[key], str) or "\0" in values[key]]
    if unknown or missing or wrong:
        raise KeyAccessError(
            f"{path.name} must hold exactly client_id, client_secret and password, and maybe ca_file, as texts",
            hint="see docs/vault.md",
            keys=sorted({*unknown, *missing, *wrong} & {*_SECRET_KEYS, "ca_file"}),
        )
    ca_file = Path(values["ca_file"]) if "ca_file" in values else None
    if ca_file is not None and not (ca_file.is_absolute() and ca_file.is_file()):
        # node goes on without it and says so to nobody who listens.
        raise HostError("ca_file is not a file with an absolute path", where=path.name)
    client_id, client_secret, password = (Secret(values[key].encode()) for key in _SECRET_KEYS)
    return Credentials(
        client_id=client_id,
        client_secret=client_secret,
        password=password,
        account=account_of(client_id.reveal()),
        ca_file=ca_file,
    )


def _parse(data: bytes, path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(data.decode())
    except ValueError:
        # From nothing: errors of parsers carry the document.
        raise KeyAccessError("not TOML", where=str(path), hint="see docs/vault.md") from None
