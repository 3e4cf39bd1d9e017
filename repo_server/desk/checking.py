"""What a mirror shows, checked from the curator's own anchor before any verb reads it.

Metadata: every role is there, is what its holders signed, and is of one state. Rows: releases and profiles are
exactly those that the signed metadata names, with these digests. So a server that hides the last release, to
make a new version look like the first one, or shows other files as the old ones, is noticed before a curator
reads a diff.

Not signed by anybody, and so not checked here: what a source said about a candidate that nobody reviewed yet
(publisher, licence, observations), and the words of people in the log.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session
from tuf.api.metadata import Metadata, Root, Snapshot, TargetFile, Targets, Timestamp

from repo_server.db.models import CandidateRow, MetadataRow, ProfileRow, ProposalRow, ReleaseRow
from repo_server.publishing.alone import left_behind
from repo_server.publishing.ceremony import bin_names
from repo_server.publishing.profiles import PUBLISHED
from repo_server.publishing.state import current, current_files
from repo_server.publishing.vouched import vouched_delegator, vouched_targets
from signing.errors import (
    BadSignatureError,
    CouldNotVerifyError,
    FormatError,
    NotFoundError,
    RollbackError,
    WrongSubjectError,
)
from signing.format.digest import sha256_of
from signing.format.names import Pin, ReleaseVersion, SkillName
from signing.metadata import lint_meta, parse, target_sha256
from signing.roles import PROFILES, REVOCATIONS, ROOT, SKILLS, SNAPSHOT, TARGETS, TIMESTAMP, signs_alone

_DO_NOT: Final = "do not decide or sign; ask whoever runs the server, and compare with another curator"


def check_state(session: Session, *, anchor: bytes) -> dict[str, int]:
    """Return the version of every role that people sign, after checking everything that can be checked.

    Raises:
        BadSignatureError: metadata is not what its holders signed.
        CouldNotVerifyError: a role is missing. RollbackError: roles are not of one state.
        WrongSubjectError: rows and signed metadata do not agree. FormatError: not such metadata.
    """
    try:
        roles = _vouched_roles(session, anchor)
        left = _left_behind(session, roles, anchor)
    except NotFoundError as error:
        raise CouldNotVerifyError(f"what the server shows is incomplete: {error}", hint=_DO_NOT) from error
    root = vouched_delegator(session, TARGETS, anchor=anchor)
    _check_online(session, root)
    _check_columns(session, {**roles, **left, ROOT: root})
    _check_releases(session, roles)
    _check_profiles(session, roles[PROFILES])
    # Not of what was left behind: a key that was taken away, perhaps because it was stolen, sets no memory.
    return {role: signed.version for role, signed in {**roles, ROOT: root}.items()}


def _vouched_roles(session: Session, anchor: bytes) -> dict[str, Targets]:
    skills = vouched_targets(session, SKILLS, anchor=anchor)
    wanted = (TARGETS, PROFILES, REVOCATIONS, *bin_names(skills))
    roles = {role: vouched_targets(session, role, anchor=anchor) for role in wanted} | {SKILLS: skills}
    for role in _delegated(roles[TARGETS]):
        if role in roles:
            continue
        try:
            roles[role] = vouched_targets(session, role, anchor=anchor)
        except NotFoundError:
            # Before the first build, or the first list, there is nothing; an older one that comes back `seen` notices.
            if not signs_alone(role):
                raise
        except BadSignatureError:
            if not signs_alone(role) or left_behind(session, role, anchor=anchor) is None:
                raise
    return roles


def _left_behind(session: Session, roles: Mapping[str, Targets], anchor: bytes) -> dict[str, Targets]:
    """Return what builders left who were replaced: vouched for by nobody now, and in nobody's way."""
    found = {
        role: left_behind(session, role, anchor=anchor)
        for role in _delegated(roles[TARGETS])
        if role not in roles and signs_alone(role)
    }
    return {role: left for role, left in found.items() if left is not None}


def _delegated(targets: Targets) -> tuple[str, ...]:
    delegations = targets.delegations
    return tuple((delegations.roles or {}) if delegations is not None else {})


def _check_online(session: Session, root: Root | Targets) -> None:
    """Check what the online key signs: whoever has the server has that key too, so this only finds accidents."""
    snapshot = parse(current(session, SNAPSHOT).content, Snapshot, where=SNAPSHOT)
    timestamp = parse(current(session, TIMESTAMP).content, Timestamp, where=TIMESTAMP)
    _check_signed(root, SNAPSHOT, snapshot)
    _check_signed(root, TIMESTAMP, timestamp)
    files = current_files(session)
    named = {role: lint_meta(meta, where=role) for role, meta in snapshot.signed.meta.items()}
    here = {f"{role}.json": (len(content), sha256_of(content)) for role, content in files.items()}
    newest = lint_meta(timestamp.signed.snapshot_meta, where=TIMESTAMP)
    content = current(session, SNAPSHOT).content
    if named != here or newest != (len(content), sha256_of(content)):
        raise RollbackError("what the server shows is mixed from several states", hint=_DO_NOT)


def _check_signed(
    root: Root | Targets, role: str, metadata: Metadata[Snapshot] | Metadata[Timestamp]
) -> None:
    result = root.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
    if not result.verified:
        raise BadSignatureError(
            f"the {role} that the server shows is not signed as root demands", hint=_DO_NOT
        )


def _check_columns(session: Session, roles: Mapping[str, Root | Targets]) -> None:
    """Check the columns that other code reads instead of the signed bytes beside them."""
    known = {*roles, SNAPSHOT, TIMESTAMP}
    for row in session.scalars(select(MetadataRow)):
        # Every root of the chain was read; of each other role there is one row, or all of them of targets.
        if row.role == TARGETS:
            shown = parse(row.content, Targets, where=TARGETS).signed.version
        else:
            shown = row.version if row.role == ROOT or row.role not in roles else roles[row.role].version
        if row.role not in known or row.version != shown:
            raise FormatError(f"{row.role} is shown under another version than its own", where="state")
    if current(session, ROOT).version != roles[ROOT].version:
        raise FormatError("root is shown under another version than its own", where="state")
    for proposal in session.scalars(select(ProposalRow)):
        role = proposal.role
        if (
            role not in roles
            or proposal.version != parse(proposal.content, Targets, where=role).signed.version
        ):
            raise FormatError(f"the proposal for {role} is shown under another version", where="state")


def _check_releases(session: Session, roles: Mapping[str, Targets]) -> None:
    named: dict[str, TargetFile] = {}
    for role, targets in roles.items():
        if role.startswith(f"{SKILLS}-"):
            named |= targets.targets
    rows = {
        Pin(SkillName(row.name), ReleaseVersion(row.version)): row
        for row in session.scalars(select(ReleaseRow))
    }
    paths = {path for pin in rows for path in (pin.bundle_path, pin.review_path)}
    if odd := sorted(paths ^ set(named)):
        raise WrongSubjectError(
            f"the server's list of releases and what curators signed differ in {odd[0]}", hint=_DO_NOT
        )
    for pin, row in rows.items():
        bundle = named[pin.bundle_path]
        custom = bundle.custom if isinstance(bundle.custom, dict) else {}
        signed = (
            target_sha256(bundle, where=str(pin)),
            target_sha256(named[pin.review_path], where=str(pin)),
            bundle.length,
            custom.get("kind"),
            custom.get("tree_sha256"),
        )
        if signed != (row.bundle_sha256, row.review_sha256, row.bundle_bytes, row.kind, row.tree_sha256):
            raise WrongSubjectError(
                f"the server shows {pin} as something else than curators signed", hint=_DO_NOT
            )
        _check_candidate(session, row)


def _check_candidate(session: Session, release: ReleaseRow) -> None:
    row = session.get_one(CandidateRow, release.candidate_id)
    shown = (row.name, row.version, row.kind, row.bundle_sha256, row.bundle_tree_sha256, row.review_sha256)
    signed = (
        release.name,
        release.version,
        release.kind,
        release.bundle_sha256,
        release.tree_sha256,
        release.review_sha256,
    )
    if shown != signed:
        raise WrongSubjectError(
            f"the server shows the candidate of {release.name}=={release.version} as something else",
            hint=_DO_NOT,
        )


def _check_profiles(session: Session, signed: Targets) -> None:
    rows = session.scalars(select(ProfileRow).where(ProfileRow.state == PUBLISHED))
    shown = {
        str(Pin(SkillName(row.name), ReleaseVersion(row.version)).profile_path): row.sha256 for row in rows
    }
    named = {path: str(target_sha256(target, where=path)) for path, target in signed.targets.items()}
    if shown != named:
        raise WrongSubjectError(
            "the server's list of published profiles is not what operators signed", hint=_DO_NOT
        )
