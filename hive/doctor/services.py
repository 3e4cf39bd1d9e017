"""Who has to answer, and what their settings say: repository, hive, vault, policy (edge)."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from hive import policy_memory, trust
from hive.agents.client import Endpoint, HiveClient
from hive.agents.errors import TokenRefusedError
from hive.agents.serve import Address
from hive.db.session import snapshot, transaction
from hive.doctor.host import Host
from hive.policy_loading import RENEW, load_remembered, this_host
from hive.tenants import Tier, list_all
from hive.vault.bw_answers import check_version
from hive.vault.bw_command import BwProgram
from hive.vault.bw_settings import BwSettings, load_credentials
from hive.vault.choose import BW, vault_kind
from repo_client.client import Standing
from repo_client.fetcher import FetchLimits
from signing.checkup import Said, bad, ok, warn
from signing.errors import FormatError
from signing.format.moment import parse_moment
from signing.roles import REVOCATIONS, ROOT, SNAPSHOT, TARGETS, TIMESTAMP

_SECONDS: Final = 10.0
# How long before its end a role has been renewed where all is well.
_RENEWED: Final = {
    ROOT: timedelta(days=30),
    TARGETS: timedelta(days=14),
    REVOCATIONS: timedelta(days=3),
    SNAPSHOT: timedelta(days=3),
    TIMESTAMP: timedelta(hours=12),
}
_LIMITS: Final = FetchLimits(gap=10, deadline=60)


def check_anchor(host: Host) -> Iterator[Said]:
    """The trust anchor is one, and the one that this host trusts."""
    client = host.open_client(host.config)
    with snapshot(host.database()) as session:
        trust.check_anchor(session, client.anchor_sha256)
        pinned = trust.load(session) is not None
    yield ok(
        f"{client.anchor_sha256[:16]}, {'pinned in the database' if pinned else 'pinned by the first birth'}"
    )


def check_server(host: Host) -> Iterator[Said]:
    """The repository answers, with a state that is fresh, trusted, and not older than any that this host has seen."""
    client = host.open_client(host.config)
    with tempfile.TemporaryDirectory(prefix="hive-doctor-") as folder:
        copy = Path(folder) / "metadata"
        if client.metadata_dir.exists():
            # In a copy: what a doctor learns must not become what this host remembers.
            shutil.copytree(client.metadata_dir, copy, symlinks=True)
        looking = replace(client, metadata_dir=copy, store_dir=Path(folder) / "store", limits=_LIMITS)
        with looking.session(host.now) as session:
            standing = session.standing()
        ends = {role: _end_of(copy / f"{role}.json") for role in _RENEWED}
    _compare(host, standing)
    for role, end in ends.items():
        if end is not None and end - host.now < _RENEWED[role]:
            yield warn(
                f"its {role} metadata ends {end:%Y-%m-%d %H:%M} UTC and was not renewed: nothing is admitted from then on",
                "tell those who run the repository: skillrepo refresh, or a signature of the role's holders",
            )
    yield ok(f"answers; root {standing.root}, timestamp {standing.timestamp}, snapshot {standing.snapshot}")


def check_hive(host: Host) -> Iterator[Said]:
    """The hive that agents are told of answers."""
    url = host.config.hive_url
    if url is None:
        yield warn("no hive_url: jails get no HIVE_TOKEN, and no birth becomes active", "set hive_url")
    else:
        endpoint = Endpoint.parse(url)
        _ask(endpoint)
        yield ok("hive_url answers")


def check_listen(host: Host) -> Iterator[Said]:
    """The hive that is to run on this host does."""
    listen = host.config.listen
    if listen is None:
        yield ok("no setting listen: hive serve is not expected here")
        return
    address = Address.parse(listen)
    _ask(Endpoint.parse(f"unix:{address.path}" if address.path is not None else f"http://{listen}"))
    yield ok("hive serve answers on this host")


def check_vault(host: Host) -> Iterator[Said]:
    """The vault is configured, its credentials are ours alone, and `bw` is a version whose traps we know."""
    config = host.config
    if vault_kind(config) != BW:
        with snapshot(host.database()) as session:
            paying = sum(tenant.tier is Tier.PAID and not tenant.scratch for tenant in list_all(session))
        sealed = "the sealed vault, which is for development"
        yield warn(f"{sealed}; {paying} tenants pay", 'vault = "bw"') if paying else ok(sealed)
        return
    settings = BwSettings.of(config)
    credentials = load_credentials(settings.credentials_file)
    with tempfile.TemporaryDirectory(prefix="hive-doctor-") as folder:
        # In a folder of its own: neither the login nor its lock is touched.
        program = BwProgram.open(
            settings.program, Path(folder) / "bw", ca_file=credentials.ca_file, seconds=1
        )
        with contextlib.closing(program):
            said = program.run("--version", seconds=_SECONDS * 3)
    version = check_version(said.out)
    yield ok(f"bw {version}; whether the server lets us in, the next hive provision says")


def check_policy(host: Host) -> Iterator[Said]:
    """The policy holds, is signed where it has to be, and somebody is told of findings."""
    path = host.config.policy_path
    found = load_remembered(host.config, engine=host.database(), now=host.now)
    with snapshot(host.database()) as session:
        signed = policy_memory.load(session, this_host())
    command = found.notifier.command
    if command and not os.access(command[0], os.X_OK):
        yield bad(f"{command[0]} cannot be run", "mend [notify] in the policy file")
    elif not command and not found.notifier.webhook:
        yield warn("nobody is told what sweeps find", "add [notify] to the policy file")
    if signed is not None and signed.demanded and signed.expires_at - host.now < RENEW:
        yield warn(
            f"the policy has to be signed again before {signed.expires_at:%Y-%m-%d}",
            "skillrepo host-policy sign, with a higher serial",
        )
    yield ok("the floor alone" if path is None else f"{path}: policy {found.policy.sha256[:16]}")


def _end_of(file: Path) -> datetime | None:
    """Return when metadata that was just verified ends; None when it is not at hand."""
    if not file.exists():
        return None
    return parse_moment(json.loads(file.read_bytes())["signed"]["expires"], where=file.name)


class _UndoError(Exception):
    """Thrown to leave a transaction without having written."""


def _compare(host: Host, standing: Standing) -> None:
    """Hold a state against the newest that this host remembers, without remembering it.

    Raises:
        RollbackError, CouldNotVerifyError: see `hive.trust.remember`.
    """
    with contextlib.suppress(_UndoError), transaction(host.database()) as session:
        trust.remember(session, standing)
        raise _UndoError


def _ask(endpoint: Endpoint) -> None:
    """Ask a hive with a token that is none; who says that it is none is a hive that answers.

    Raises:
        SkillRepoError: it cannot be reached, or is something else.
    """
    try:
        HiveClient(endpoint, lambda: "none", timeout=_SECONDS).call(
            "/v1/agents/heartbeat", {"agent": "doctor"}
        )
    except TokenRefusedError:
        return
    raise FormatError("something answers that takes any token: it is no hive", where="hive_url")
