"""Every check of a repository, in the order in which things are mended: files, records, what is signed, what is served (edge).

    for result in examine(CHECKS, repository_place): …

Nothing is changed, but for one blob of random bytes that is stored and removed again, where blobs are.
"""

import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final

from sqlalchemy import select

from repo_server.db import log
from repo_server.db.models import MetadataRow, TargetRow, TokenRow
from repo_server.db.session import snapshot
from repo_server.doctor.spreading import check_bucket, check_renewal
from repo_server.pkgrepo.places import served_serial
from repo_server.pkgrepo.published import newest_serials
from repo_server.publishing.behind import roles_behind
from repo_server.publishing.overview import all_roles, problems
from repo_server.publishing.state import current, current_root
from repo_server.publishing.vouched import vouched_content, vouched_targets
from repo_server.repository import Repository
from signing.checkup import Said, bad, ok, warn
from signing.errors import SkillRepoError
from signing.format.canonical import parse_json
from signing.format.digest import Sha256
from signing.format.fields import Fields
from signing.format.moment import render_moment
from signing.format.names import TargetPath, parse_holder_name
from signing.format.pkg.names import PackageRepo
from signing.keys import HeldKey, holder_of
from signing.keystore import KEY_SUFFIX
from signing.roles import ROOT, SNAPSHOT, TIMESTAMP, hashed_path

_OTHERS: Final = 0o077
_OTHERS_WRITE: Final = 0o022
_ROOM: Final = 2 << 30
_TOKENS_END_SOON: Final = timedelta(days=14)
_SHOWN: Final = 3
_ONLINE: Final = "online"
_MAX_KEY: Final = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A repository that is looked at, and when."""

    repository: Repository
    now: datetime


def check_private(examined: Examined) -> Iterator[Said]:
    """Keys, database and what nobody reviewed are readable by us only; what is published is changed by us only."""
    folder = examined.repository.folder
    private = [folder / "keys", folder / "repository.db", folder / "blobs", folder / "uploads"]
    private += sorted(folder.glob(f"keys/*{KEY_SUFFIX}"))
    seen = False
    for path in private:
        if os.path.lexists(path) and _mode(path) & _OTHERS:
            seen = True
            yield bad(f"others may read {path.relative_to(folder)}", f"chmod go= {path}")
    for path in (folder, folder / "repository.toml", folder / "trust-anchor.json", folder / "public"):
        if os.path.lexists(path) and _mode(path) & _OTHERS_WRITE:
            seen = True
            yield bad(f"others may change {path}", f"chmod go-w {path}")
    if not seen:
        yield ok("nobody else reads keys, database and candidates, or changes what is published")


def check_database(examined: Examined) -> Iterator[Said]:
    """The database answers, and its log is whole and not from the future."""
    repository = examined.repository
    with snapshot(repository.engine) as session:
        head = log.check(session)
        newest = log.newest(session)
    yield ok(f"{repository.engine.dialect.name}; the log has {head.sequence} records and is whole")
    if newest is not None and newest.time > examined.now + timedelta(minutes=5):
        yield bad(
            f"the newest record is of {render_moment(newest.time)}, which is not yet",
            "set this machine's clock right before anything is signed",
        )


def check_roles(examined: Examined) -> Iterator[Said]:
    """Every role is signed by those whom the anchor's chain names, and none ends soon."""
    repository, anchor = examined.repository, examined.repository.anchor
    with snapshot(repository.engine) as session:
        vouched_content(session, ROOT, anchor=anchor)
        roles = [role for role, _ in all_roles(session) if role not in {ROOT, SNAPSHOT, TIMESTAMP}]
        wrong = []
        for role in roles:
            try:
                vouched_targets(session, role, anchor=anchor)
            except SkillRepoError as error:
                wrong.append(f"{role}: {error}")
        ending = problems(session, now=examined.now)
    for said in wrong:
        yield bad(said, "do not sign or publish; compare with the published files and a backup")
    for said in ending:
        gone = " expired at " in said
        yield (bad if gone else warn)(said, "skillrepo status names the command")
    if not wrong and not ending:
        yield ok(f"{len(roles)} roles, each signed by its holders; none ends soon")


def check_online_key(examined: Examined) -> Iterator[Said]:
    """The online key here is the one that root names; on a machine without it nothing is published or renewed."""
    repository = examined.repository
    with snapshot(repository.engine) as session:
        root = current_root(session)
    named = root.roles[TIMESTAMP].keyids
    path = repository.keys / f"{_ONLINE}{KEY_SUFFIX}"
    if not path.exists():
        yield warn("no online key here", "skillrepo publish and refresh run on the machine that has it")
    elif _held(path).keyid not in named:
        yield bad(
            f"the online key here is not the one that root names ({named[0][:16]}…, {holder_of(root.keys[named[0]])})",
            "restore its file; or name this one: skillrepo root next --online-key",
        )
    else:
        yield ok(f"the online key is the one that root names ({named[0][:16]}…)")


def check_tree(examined: Examined) -> Iterator[Said]:
    """What clients are given is what was decided: every file is there, the timestamp is the newest."""
    repository = examined.repository
    tree = repository.skills_root
    with snapshot(repository.engine) as session:
        rows = session.execute(select(MetadataRow.role, MetadataRow.version)).all()
        targets = session.execute(select(TargetRow.path, TargetRow.sha256)).all()
        newest = current(session, TIMESTAMP).content
        serials = newest_serials(session)
    missing = [
        f"{version}.{role}.json"
        for role, version in rows
        if role != TIMESTAMP and not (tree / "metadata" / f"{version}.{role}.json").is_file()
    ]
    missing += [
        path
        for path, digest in targets
        if not (tree / "targets" / hashed_path(TargetPath(path), Sha256(digest))).is_file()
    ]
    mend = "skillrepo refresh writes what is missing; --repair compares every file too"
    well = True
    if missing:
        well = False
        yield bad(f"{len(missing)} published file(s) are missing, first: {', '.join(missing[:_SHOWN])}", mend)
    timestamp = tree / "metadata/timestamp.json"
    if not timestamp.is_file() or timestamp.read_bytes() != newest:
        well = False
        yield bad("the published timestamp is not the newest", mend)
    for row in serials:
        served = served_serial(repository.pkg_root, PackageRepo.parse(row.repo))
        if served != row.serial:
            well = False
            yield bad(f"{row.repo} serves serial {served}, and {row.serial} was published", mend)
    if well:
        yield ok(f"{len(rows)} metadata files and {len(targets)} targets are there, the newest timestamp too")


def check_restored(examined: Examined) -> Iterator[Said]:
    """Nothing is published that the database does not know: an older one was restored, and clients remember the newer."""
    with snapshot(examined.repository.engine) as session:
        behind = roles_behind(examined.repository, session)
    for role, (published, known) in behind.items():
        yield bad(
            f"{role} version {published} is published, and {known} is the newest in the database",
            "an older database was restored: skillrepo resume, before anything is published (docs/restore.md)",
        )
    if not behind:
        yield ok("the database knows everything that is published")


def check_blobs(examined: Examined) -> Iterator[Said]:
    """What is stored comes back, by its digest, in part, and in a list; nothing else is asked of a store."""
    repository = examined.repository
    store, data = repository.package_blobs, secrets.token_bytes(4096)
    digest = store.store(data)
    try:
        if store.load(digest) != data or store.size_of(digest) != len(data):
            yield bad("a stored blob comes back as another one", "do not use this store")
            return
        with store.open(digest) as stream:
            stream.read(1000)
            if stream.read(96) != data[1000:1096]:
                yield bad("a part of a blob is not that part", "do not use this store")
                return
        if digest not in {found for found, _ in store.untouched(since=examined.now + timedelta(days=1))}:
            yield bad("a stored blob is not listed", "without a list nothing is ever collected")
            return
    finally:
        store.remove(digest)
    where = repository.config.blobs.where
    yield ok(f"{where}: kept, loaded, read in part, listed, removed; no precondition of it is relied on")
    if store.size_of(digest) is not None:
        yield bad("a removed blob is still there", "is the bucket versioned? collecting frees nothing there")


def check_space(examined: Examined) -> Iterator[Said]:
    """There is room to publish, and to keep a log."""
    free = shutil.disk_usage(examined.repository.folder).free
    if free < _ROOM:
        yield bad(
            f"{free >> 20} MiB are left", "make room: skillrepo pkg gc --dry-run says what it would free"
        )
    else:
        yield ok(f"{free >> 30} GiB are left")


def check_policy(examined: Examined) -> Iterator[Said]:
    """The policy, where there is one, can be used: with a broken one nothing is signed."""
    policy = examined.repository.policy
    yield ok(f"policy {policy.digest[:16]}…" if policy is not None else "no policy.toml: the floor holds")


def check_tokens(examined: Examined) -> Iterator[Said]:
    """Nobody's token ends unseen, and none that ended is of use."""
    with snapshot(examined.repository.engine) as session:
        rows = list(session.scalars(select(TokenRow).where(TokenRow.revoked_at.is_(None))))
    living = [row for row in rows if row.expires_at > examined.now]
    ending = sorted(row.name for row in living if row.expires_at - examined.now < _TOKENS_END_SOON)
    if ending:
        yield warn(
            f"{len(ending)} token(s) end within two weeks: {', '.join(ending[:_SHOWN])}",
            "skillrepo token new",
        )
    else:
        yield ok(f"{len(living)} token(s) in use")


def _held(path: Path) -> HeldKey:
    """Return whose key a sealed key file holds, which it says unsealed; the public half beside it may be another's."""
    data = parse_json(path.read_bytes()[:_MAX_KEY], where=path.name, max_bytes=_MAX_KEY)
    fields = Fields.of(data, where=path.name)
    holder = parse_holder_name(fields.take("holder"), where=fields.place("holder"))
    return HeldKey(holder=holder, public=fields.text("public", max_length=64))


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


CHECKS: Final[Mapping[str, Callable[[Examined], Iterator[Said]]]] = MappingProxyType(
    {
        "private": check_private,
        "database": check_database,
        "roles": check_roles,
        "online-key": check_online_key,
        "tree": check_tree,
        "renewal": check_renewal,
        "bucket": check_bucket,
        "restored": check_restored,
        "blobs": check_blobs,
        "space": check_space,
        "policy": check_policy,
        "tokens": check_tokens,
    }
)
