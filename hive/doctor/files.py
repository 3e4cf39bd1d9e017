"""Who may read and write what is this host's alone (edge)."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sqlalchemy import func, make_url, select

from hive.agents.token_file import KEY_NAME as TOKEN_KEY
from hive.db.agent_tables import TokenRow
from hive.db.certificate_tables import CertificateRow, CheckpointRow
from hive.db.secret_tables import ProvisioningRow
from hive.db.session import snapshot
from hive.doctor.host import Host
from hive.host_key import has_key
from hive.vault.host_key import KEY_NAME as SECRETS_KEY
from hive.vault.sealed import KEY_NAME as SEALED_KEY
from signing.checkup import Said, bad, ok, warn

_OTHERS: Final = 0o077
_OTHERS_WRITE: Final = 0o022


def check_settings(host: Host) -> Iterator[Said]:
    """The settings file and those that it names are written by nobody else: they say whom this host trusts."""
    config = host.config
    named = {"settings": host.config_file, "policy": config.policy_path}
    named |= {"policy's signatures": config.policy_signatures_path}
    named |= {"trust anchor": _path(config.trust_anchor), "gates": _path(config.gates)}
    if host.config_file is None:
        yield warn(
            "no settings file: options and variables alone say what holds",
            "name one by --config or HIVE_CONFIG",
        )
    for name, path in named.items():
        if path is not None:
            yield _unwritable(name, path)
    if _with_password(config.db) and host.config_file is not None:
        yield _private("settings with the database's password", host.config_file)


def check_private(host: Host) -> Iterator[Said]:
    """Database, state and keys are readable by their owner only."""
    state = host.config.state_dir
    if host.database_file is not None and host.database_file.exists():
        yield _private("database", host.database_file)
    if not state.exists():
        yield warn(f"no state folder {state}", "the first birth makes it; or is the setting state right?")
        return
    yield _private("state", state, folder=True)
    for path in (
        state / TOKEN_KEY,
        state / SECRETS_KEY,
        state / "host-key" / "seed",
        state / "vault" / SEALED_KEY,
    ):
        if os.path.lexists(path):
            yield _private("key", path)
    if host.config.vault_credentials is not None:
        yield _private("vault credentials", Path(host.config.vault_credentials))
    if host.config.pkg_token_file is not None:
        yield _private("token for packages", Path(host.config.pkg_token_file))


def check_keys(host: Host) -> Iterator[Said]:
    """No key is gone that something rests on: a new one would be made, and nothing of before would fit it."""
    state, gone = host.config.state_dir, False
    key = state / "host-key"
    if (key / "public.json").exists() != os.path.lexists(key / "seed"):
        gone = True
        yield bad(f"half of this host's key is gone from {key}", "restore both halves from a backup")
    with snapshot(host.database()) as session:
        unrevoked = select(func.count()).select_from(TokenRow).where(TokenRow.revoked_at.is_(None))
        agents = session.scalar(unrevoked) or 0
        signed = (session.scalar(select(func.count()).select_from(CheckpointRow)) or 0) + (
            session.scalar(select(func.count()).select_from(CertificateRow)) or 0
        )
        provisioned = session.scalar(select(func.count()).select_from(ProvisioningRow)) or 0
    if agents and not os.path.lexists(state / TOKEN_KEY):
        gone = True
        yield bad(
            f"{agents} agents have tokens, and {state / TOKEN_KEY} is gone",
            "restore it from a backup; without one, rotate every token",
        )
    if signed and not has_key(state):
        gone = True
        yield bad(
            f"{signed} certificates and checkpoints were signed here, and {key} is gone",
            "restore it from a backup; the next signature would be by a new key that no customer knows",
        )
    if provisioned and not os.path.lexists(state / SECRETS_KEY):
        gone = True
        yield bad(
            f"secrets of {provisioned} tenants were provisioned, and {state / SECRETS_KEY} is gone",
            "restore it from a backup; without it every .env counts as altered: hive provision each anew",
        )
    if not gone:
        yield ok("no key is missing")


def _with_password(db: str | None) -> bool:
    return db is not None and "://" in db and make_url(db).password is not None


def _path(text: str | None) -> Path | None:
    return Path(text) if text is not None else None


def _unwritable(name: str, path: Path) -> Said:
    try:
        facts, folder = path.stat(), path.parent.stat()
    except OSError as error:
        return _unseen(name, path, error)
    ours = {0, os.geteuid()}
    if facts.st_mode & _OTHERS_WRITE or facts.st_uid not in ours:
        return bad(f"{name}: others may write {path}", f"chown root {path} && chmod go-w {path}")
    replaceable = folder.st_mode & _OTHERS_WRITE and not folder.st_mode & stat.S_ISVTX
    if replaceable or folder.st_uid not in ours:
        return bad(
            f"{name}: others may replace {path}", f"chown root {path.parent} && chmod go-w {path.parent}"
        )
    return ok(f"{name}: {path}")


def _private(name: str, path: Path, *, folder: bool = False) -> Said:
    try:
        facts = path.lstat()
    except OSError as error:
        return _unseen(name, path, error)
    right = stat.S_ISDIR(facts.st_mode) if folder else stat.S_ISREG(facts.st_mode)
    if not right:
        return bad(
            f"{name}: {path} is a link or no {'folder' if folder else 'file'}", "put the thing itself there"
        )
    if facts.st_mode & _OTHERS or facts.st_uid != os.geteuid():
        return bad(
            f"{name}: {path} has mode {stat.S_IMODE(facts.st_mode):04o} and belongs to user {facts.st_uid}",
            f"chown it to who runs hive, chmod {'0700' if folder else '0600'}, and take a key for known",
        )
    return ok(f"{name}: {path}")


def _unseen(name: str, path: Path, error: OSError) -> Said:
    return bad(
        f"{name}: {path} cannot be looked at: {error.strerror}",
        "correct the setting, restore it, or run this as root",
    )
