"""The one door by which the policy of this host comes in, for births, sweeps, tests and screens (edge).

    load_host_policy        the file as it stands, verified now where it has to be signed; or an error
    load_for_sweep          … or what was verified here last: a sweep only takes away, and must not be stopped by a file
    remembered_policy       the file, compared with what was verified here last; asks nobody

It has to be signed when the setting ``policy_signatures`` names a file, and from then on: see `hive.policy_memory`.

    STATE/policy.verified     the bytes that were verified last, for sweeps. Here and not in the database: it names a
                              command that sweeps run, and whoever can write a database must not choose that
"""

import socket
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from hive import audit, policy_memory, trust
from hive.config import HiveConfig
from hive.db.session import snapshot, transaction
from hive.policy_file import HostPolicy, floor_policy, parse_policy, read_policy, read_signatures
from repo_client.client import RepoClient
from repo_client.entries import MissingPathError, UnsafePathError
from repo_client.handles import Directory
from signing.errors import (
    CouldNotVerifyError,
    DigestMismatchError,
    ExpiredError,
    RejectedError,
    SkillRepoError,
    UsageError,
)
from signing.format.digest import sha256_of
from signing.format.host_policy import MAX_POLICY_BYTES

# So long before its end people are told that a policy has to be signed again.
RENEW: Final = timedelta(days=14)
REFUSED: Final = "policy.refused"
_KEPT: Final = "policy.verified"


def this_host() -> str:
    """Return what this machine calls itself; a policy that is not for every host is for one of this name."""
    return socket.gethostname().lower()


def load_host_policy(
    config: HiveConfig,
    *,
    engine: Engine | None,
    open_client: Callable[[HiveConfig], RepoClient],
    now: datetime,
    remembering: bool = True,
) -> HostPolicy:
    """Return the policy of this host, as it holds now.

    Args:
        config: names the files.
        engine: this host's database; None where there is none yet, and so no memory.
        open_client: opens what trust is refreshed with, when the policy has to be signed.
        now: the moment for which ends are judged.
        remembering: whether a signed policy is remembered, and a refused one recorded; whoever only asks does neither.

    Raises:
        NotFoundError, FormatError, HostError: the file cannot be read, is none, or others may write it.
        VerificationError: it has to be signed, and is not, for this host and this moment; the class says why.
        TransportError: who the operators are cannot be asked.
        UsageError: signatures are named, and no policy.
    """
    try:
        return _load(config, engine, open_client, now, remembering=remembering)
    except RejectedError as error:
        if remembering and engine is not None:
            with transaction(engine) as session:
                audit.append(session, event=REFUSED, facts={"error": error.to_document()}, now=now)
        raise


def load_for_sweep(
    config: HiveConfig, *, engine: Engine, open_client: Callable[[HiveConfig], RepoClient], now: datetime
) -> tuple[HostPolicy, SkillRepoError | None]:
    """Return what a sweep goes by, and what is wrong with the policy file, if anything.

    A signed policy that cannot be verified now, for whatever reason, does not blind the sweep: it goes by the one that was
    verified here last, also beyond its end. Nothing is let in by it.

    Raises:
        SkillRepoError: as for `load_host_policy`, when none was ever verified here, or none is demanded.
    """
    try:
        return _load(config, engine, open_client, now, remembering=True), None
    except SkillRepoError as error:  # recorded by births: a sweep finds the same every few minutes
        with snapshot(engine) as session:
            row = policy_memory.load(session, this_host())
        if row is None or not row.demanded:
            raise
        kept = _kept(config)
        # Another one than the newest is what a crash between the two left, or somebody put there.
        if kept is None or sha256_of(kept) != row.file_sha256:
            raise
        return parse_policy(kept, where=f"policy with serial {row.serial}"), error


def load_remembered(config: HiveConfig, *, engine: Engine, now: datetime) -> HostPolicy:
    """Return the policy of this host as `remembered_policy` does, in a look at the database of its own."""
    with snapshot(engine) as session:
        return remembered_policy(config, session, now)


def remembered_policy(config: HiveConfig, session: Session, now: datetime) -> HostPolicy:
    """Return the policy of this host without asking the repository: a signed one has to be the one verified here last.

    For screens, and for an activation, which lets nothing new in. What is let in is decided by `load_host_policy`.

    Raises:
        SkillRepoError: it cannot be read, was not verified here, or is not in force any more.
    """
    if config.policy_signatures_path is None:
        policy_memory.check_unsigned(session, this_host())
        return _unsigned(config)
    row = policy_memory.load(session, this_host())
    if row is None or config.policy_path is None:
        raise CouldNotVerifyError(
            "the policy has to be signed, and was not verified here yet",
            hint="hive sweep does, and hive policy show says what is wrong",
        )
    data = read_policy(config.policy_path)
    if sha256_of(data) != row.file_sha256:
        raise DigestMismatchError(
            f"the policy file is not the one that was verified last (serial {row.serial})",
            hint="the next hive sweep verifies it, and hive policy show says whether it is signed",
        )
    if now >= row.expires_at:
        raise ExpiredError(
            f"the policy with serial {row.serial} ended at {row.expires_at:%Y-%m-%d %H:%M} UTC",
            hint="sign the file again, with a higher serial: skillrepo host-policy sign",
        )
    return parse_policy(data, where=str(config.policy_path))


def _load(
    config: HiveConfig,
    engine: Engine | None,
    open_client: Callable[[HiveConfig], RepoClient],
    now: datetime,
    *,
    remembering: bool,
) -> HostPolicy:
    if config.policy_signatures_path is None:
        if engine is not None:
            with snapshot(engine) as session:
                policy_memory.check_unsigned(session, this_host())
        return _unsigned(config)
    if config.policy_path is None:
        raise UsageError("policy_signatures without policy", hint="name both in the settings file")
    data, signatures = read_policy(config.policy_path), read_signatures(config.policy_signatures_path)
    client = open_client(config)
    if engine is not None:
        with snapshot(engine) as session:
            trust.check_anchor(session, client.anchor_sha256)
    # The database is not held while the repository is asked.
    with client.session(now) as asked:
        standing = asked.standing()
        verified = asked.host_policy(data, signatures, host=this_host())
    found = parse_policy(verified.data, where=str(config.policy_path), signed=verified)
    if engine is None:
        return found
    with transaction(engine) if remembering else snapshot(engine) as session:
        trust.check_not_older(session, standing)  # whom this host trusts first is a birth's to pin
        if remembering:
            policy_memory.remember(session, this_host(), verified, found.policy, now=now)
        else:
            policy_memory.check_newer(session, this_host(), verified)
    if remembering:
        _keep(config, verified.data)
    return found


def _keep(config: HiveConfig, data: bytes) -> None:
    with Directory.open(config.state_dir) as state:
        if _read_kept(state) != data:
            state.write_file(_KEPT, data, mode=0o600)


def _kept(config: HiveConfig) -> bytes | None:
    try:
        with Directory.open(config.state_dir) as state:
            return _read_kept(state)
    except SkillRepoError:
        return None


def _read_kept(state: Directory) -> bytes | None:
    try:
        return state.read_file(_KEPT, max_bytes=MAX_POLICY_BYTES, single_link=True)
    except (MissingPathError, UnsafePathError):
        return None


def _unsigned(config: HiveConfig) -> HostPolicy:
    if config.policy_path is None:
        return floor_policy()
    return parse_policy(read_policy(config.policy_path), where=str(config.policy_path))
