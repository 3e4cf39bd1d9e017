"""Where a host keeps things and whom it trusts: options, then ``HIVE_*`` variables, then a TOML file (edge).

    db = "sqlite:////var/db/hive/hive.db"
    trust_anchor = "/usr/local/etc/hive/trust-anchor.json"
    server = "https://skills.clawdie.si"
    mirrors = "https://mirror.example/skills https://other.example/skills"
    jail_root_base = "/usr/local/bastille/jails"
    state = "/var/db/hive/state"
    abi = "FreeBSD:14:amd64"
    host = "womb1"
    pkg_server = "https://pkg.clawdie.si"
    pkg_mirrors = "https://mirror.example/pkg"
    pkg_token_file = "/usr/local/etc/hive/pkg.token"
    package_store_bytes = "21474836480"
    hive_url = "https://hive.internal:8443"
    jail_host = "bastille"
    verify = "store-entry"
    jail_uid = "1001"
    jail_gid = "1001"
    vault = "bw"
    vault_url = "https://vault.clawdie.si"
    vault_credentials = "/usr/local/etc/hive/vault.toml"

Nothing in here can weaken admission: who is trusted is the anchor, and what a tier may have is code.
"""

import platform
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Self

from hive.agents.names import AgentId, parse_agent_id
from repo_client.verify_at import VerifyAt
from signing.errors import FormatError, NotFoundError, UsageError
from signing.format.pkg.names import Abi, parse_abi

DEFAULT_STORE_BYTES: Final = 20 << 30
_SQLITE: Final = "sqlite:///"
_RELEASE: Final = re.compile(r"([1-9][0-9]{0,2})\.[0-9]+-.*", re.ASCII)
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,15}", re.ASCII)
# What uname calls a machine, and pkg its packages for it.
_ARCHITECTURES: Final = {"amd64": "amd64", "arm64": "aarch64", "i386": "i386", "riscv": "riscv64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class HiveConfig:
    """Settings of a host; what is None was not given."""

    db: str | None = None
    trust_anchor: str | None = None
    server: str | None = None
    mirrors: str | None = None
    jail_root_base: str | None = None
    state: str | None = None
    abi: str | None = None
    host: str | None = None
    pkg_server: str | None = None
    pkg_mirrors: str | None = None
    pkg_token_file: str | None = None
    package_store_bytes: str | None = None
    hive_url: str | None = None
    listen: str | None = None
    jail_host: str | None = None
    bastille: str | None = None
    bastille_release: str | None = None
    bastille_network: str | None = None
    jail_uid: str | None = None
    jail_gid: str | None = None
    verify: str | None = None
    limits: str | None = None
    on_failure: str | None = None
    vault: str | None = None
    vault_url: str | None = None
    vault_organization: str | None = None
    vault_credentials: str | None = None
    bw: str | None = None
    policy: str | None = None
    policy_signatures: str | None = None
    gates: str | None = None

    @classmethod
    def load(cls, path: Path | None, given: Mapping[str, Any]) -> Self:
        """Return the settings of the file ``path`` with those that were ``given`` put over them.

        Raises:
            NotFoundError, FormatError: the file is missing, or has an unknown or wrong setting.
            UsageError: a token would be shown to another server than the one beside it in the file.
        """
        values: dict[str, str] = {}
        if path is not None:
            values = _read(path)
        known = {field.name for field in fields(cls)}
        for key, value in values.items():
            if key not in known or not isinstance(value, str):
                raise FormatError(f"unknown or wrong setting {key!r}", where=str(path))
        given_texts = {key: str(given[key]) for key in known if given.get(key) is not None}
        _check_token(values, given_texts)
        return cls(**{**values, **given_texts})

    @property
    def db_url(self) -> str:
        """The address of the database; a bare path means SQLite."""
        db = self.need("db", "--db URL or HIVE_DB (a path means SQLite)")
        return db if "://" in db else f"{_SQLITE}{Path(db).resolve()}"

    @property
    def state_dir(self) -> Path:
        """Where trusted metadata, verified trees and locks are kept."""
        if self.state is not None:
            return Path(self.state)
        if self.db_url.startswith(_SQLITE):
            return Path(self.db_url.removeprefix(_SQLITE)).with_suffix(".state")
        return Path(self.need("state", "--state DIR or HIVE_STATE"))

    @property
    def host_abi(self) -> Abi | None:
        """The ABI of the jails here: as it was given, else that of the running FreeBSD; elsewhere None.

        Raises:
            FormatError: what was given is none.
        """
        if self.abi is not None:
            return parse_abi(self.abi, where="abi")
        return abi_of(platform.system(), platform.release(), platform.machine())

    @property
    def host_name(self) -> AgentId | None:
        """What this machine is called among those that share its database. Only the settings file names it.

        Raises:
            FormatError: not in the one spelling.
        """
        return parse_agent_id(self.host, where="host") if self.host is not None else None

    @property
    def policy_path(self) -> Path | None:
        """The host's policy file, if it has one. Only the settings file names it: no option, no variable."""
        return Path(self.policy) if self.policy is not None else None

    @property
    def policy_signatures_path(self) -> Path | None:
        """The operators' signatures of that file; naming them demands them."""
        return Path(self.policy_signatures) if self.policy_signatures is not None else None

    @property
    def limits_path(self) -> Path | None:
        """The file of what jails may use, if there is one. Only the settings file names it."""
        return Path(self.limits) if self.limits is not None else None

    @property
    def verify_at(self) -> VerifyAt:
        """When the skills that jails are shown are compared: at each birth, or when they were put into the store.

        Only the settings file names it. It says nothing about the paid tier (`hive.jails.materialise.take_ready`).

        Raises:
            FormatError: neither of the two.
        """
        try:
            return VerifyAt(self.verify) if self.verify is not None else VerifyAt.BIRTH
        except ValueError as error:
            raise FormatError(
                f"{self.verify!a} is neither 'birth' nor 'store-entry'", where="verify"
            ) from error

    @property
    def store_bytes(self) -> int:
        """How large the store of packages may become.

        Raises:
            FormatError: not a number of bytes.
        """
        if self.package_store_bytes is None:
            return DEFAULT_STORE_BYTES
        if not _NUMBER.fullmatch(self.package_store_bytes):
            raise FormatError("not a number of bytes", where="package_store_bytes")
        return int(self.package_store_bytes)

    def need(self, name: str, how: str) -> str:
        """Return a setting.

        Raises:
            UsageError: it was not given.
        """
        value = getattr(self, name)
        if value is None:
            raise UsageError(f"no {name.replace('_', ' ')}", hint=f"give {how}")
        return str(value)


def _check_token(values: Mapping[str, str], given: Mapping[str, str]) -> None:
    """Return None unless an option or a variable could lead the token of the file to another server."""
    if "pkg_token_file" not in values:
        return
    if "pkg_server" not in values:
        raise UsageError("pkg_token_file without pkg_server", hint="name both in the settings file")
    if given.get("pkg_server", values["pkg_server"]) != values["pkg_server"]:
        raise UsageError(
            "pkg_token_file is for the package server of the settings file, and another one is given",
            hint="leave out --pkg-server and HIVE_PKG_SERVER, or name another settings file",
        )


def abi_of(system: str, release: str, machine: str) -> Abi | None:
    """Return the ABI of a machine as uname describes it; None when it is no FreeBSD that we know."""
    match = _RELEASE.fullmatch(release)
    architecture = _ARCHITECTURES.get(machine)
    if system != "FreeBSD" or match is None or architecture is None:
        return None
    return parse_abi(f"FreeBSD:{match[1]}:{architecture}")


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise NotFoundError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise FormatError("not TOML", where=str(path)) from error
