"""The first metadata of a repository: drafted from public keys, signed by separate holders (pure).

    documents = draft(topology, now=…)             every role that people sign: root, targets, skills, its bins, …
    documents = sign_documents(documents, signer)  on each holder's own machine; adds what that key may sign
    missing_signatures(documents)                  who has not signed yet, by name
    check_complete(documents)                      or ThresholdError

A document is TUF metadata under the name of its role. Each is checked against the role above it: root by
root, targets by root, delegated roles by targets, hash bins by skills. The private keys never meet.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from securesystemslib.signer import Signer
from tuf.api.metadata import Metadata, Role, Root, SuccinctRoles, Targets, VerificationResult

from signing.errors import FormatError, ThresholdError
from signing.format.names import REVOCATIONS_PATH, parse_holder_name
from signing.format.revocations import Revocations
from signing.keys import HOLDER_FIELD, holder_of
from signing.metadata import (
    SERIALIZER,
    Topology,
    build_first,
    build_root,
    build_skills,
    build_target,
    build_targets,
    lint_root,
    lint_targets,
    parse,
    render,
    sign,
)
from signing.roles import (
    ADVISORIES,
    DELEGATED_PATHS,
    PROFILES,
    REVOCATIONS,
    ROOT,
    SKILLS,
    TARGETS,
    TIMESTAMP,
    is_pkg,
    life_of,
    paths_of,
)

Documents = Mapping[str, bytes]
_CLOCK_SLACK: Final = timedelta(minutes=10)
# Packages and advisories have no metadata before there is something to say: an empty list would have to be renewed.
_DRAFTED: Final = frozenset({ROOT, TARGETS, SKILLS, PROFILES, REVOCATIONS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far the signatures of one role have come."""

    role: str
    signed: tuple[str, ...]
    missing: tuple[str, ...]
    threshold: int

    @property
    def complete(self) -> bool:
        """Whether enough holders have signed."""
        return len(self.signed) >= self.threshold


def draft(topology: Topology, *, now: datetime) -> dict[str, bytes]:
    """Return the unsigned first documents of a repository with ``topology``."""
    skills = build_skills(topology, version=1, now=now)
    documents = {
        ROOT: render(build_root(topology, version=1, now=now)),
        TARGETS: render(build_targets(topology, version=1, now=now)),
        SKILLS: render(skills),
        PROFILES: render(build_first(PROFILES, now=now)),
        REVOCATIONS: render(_first_revocations(now)),
    }
    for name in bin_names(skills.signed):
        documents[name] = render(build_first(name, now=now))
    return documents


def sign_documents(
    documents: Documents, signer: Signer, *, now: datetime
) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Return the documents with every signature that ``signer`` may give, and the roles it signed.

    Raises:
        FormatError: the draft is not one that `draft` makes; nothing is signed.
    """
    check_draft(documents, now=now)
    signed_roles = []
    result = dict(documents)
    for role, data in documents.items():
        if signer.public_key.keyid not in keyids_of(documents, role):
            continue
        # A key may be named by someone else's draft: what is signed is judged by our rules first.
        if role == ROOT:
            root = parse(data, Root, where=role)
            lint_root(root.signed)
            sign(root, signer)
            result[role] = render(root)
        else:
            targets = parse(data, Targets, where=role)
            lint_targets(targets.signed, where=role)
            sign(targets, signer)
            result[role] = render(targets)
        signed_roles.append(role)
    return result, tuple(signed_roles)


def check_draft(documents: Documents, *, now: datetime) -> None:
    """Return None when the documents are what `draft` makes for some topology, whoever wrote the files.

    Raises:
        FormatError: another path, threshold, term, key or target than our rules give.
    """
    root = parse(_need(documents, ROOT), Root, where=ROOT).signed
    targets = parse(_need(documents, TARGETS), Targets, where=TARGETS).signed
    skills = parse(_need(documents, SKILLS), Targets, where=SKILLS).signed
    lint_root(root)
    bins = succinct(skills)
    expected = {*_DRAFTED, *bins.get_roles()}
    if set(documents) != expected:
        raise FormatError(f"{min(expected ^ set(documents))} is missing or unknown", where="ceremony")
    delegations = targets.delegations
    roles = (delegations.roles or {}) if delegations is not None else {}
    if not set(DELEGATED_PATHS) <= set(roles) or any(
        role.paths != paths_of(name) for name, role in roles.items()
    ):
        raise FormatError("delegates other roles or paths than ours", where=TARGETS)
    curators = root.roles[TARGETS]
    rules = {
        SKILLS: roles[SKILLS].keyids == curators.keyids and roles[SKILLS].threshold == curators.threshold,
        REVOCATIONS: roles[REVOCATIONS].keyids == curators.keyids and roles[REVOCATIONS].threshold == 1,
        ADVISORIES: roles[ADVISORIES].keyids == curators.keyids and roles[ADVISORIES].threshold == 1,
        "builders": _one_key_each(roles),
        "hash bins": bins.keyids == curators.keyids and bins.threshold == curators.threshold,
        "terminating": all(role.terminating for role in roles.values()),
        "first versions": root.version == 1,
    }
    for what, holds in rules.items():
        if not holds:
            raise FormatError(f"{what}: not as our rules have it", where="ceremony")
    for name, data in documents.items():
        signed = root if name == ROOT else parse(data, Targets, where=name).signed
        if signed.version != 1 or not now < signed.expires <= now + life_of(name).expiry + _CLOCK_SLACK:
            raise FormatError("has another version or term than our rules give", where=name)
        if isinstance(signed, Targets):
            lint_targets(signed, where=name)
            if set(signed.targets) != ({REVOCATIONS_PATH} if name == REVOCATIONS else set()):
                raise FormatError("names targets already", where=name)
    for key in {**root.keys, **(delegations.keys if delegations is not None else {})}.values():
        parse_holder_name(key.unrecognized_fields.get(HOLDER_FIELD), where="key holder")


def describe_draft(documents: Documents) -> list[str]:
    """Return who will hold what, with full key ids, for the eyes of those who sign it."""
    root = parse(_need(documents, ROOT), Root, where=ROOT).signed
    targets = parse(_need(documents, TARGETS), Targets, where=TARGETS).signed
    keys = {**root.keys, **(targets.delegations.keys if targets.delegations is not None else {})}
    roles: dict[str, Role] = {name: root.roles[name] for name in (ROOT, TARGETS, TIMESTAMP)}
    roles |= (targets.delegations.roles or {}) if targets.delegations is not None else {}
    lines = []
    for name, role in roles.items():
        lines.append(f"{name}: {role.threshold} of")
        lines += [f"  {holder_of(keys[keyid]):16} key id {keyid}" for keyid in role.keyids]
    return [*lines, f"root expires {root.expires:%Y-%m-%d}"]


def standings(documents: Documents) -> list[Standing]:
    """Return how far every role's signatures have come."""
    return [standing(documents, role) for role in documents]


def standing(documents: Documents, role: str) -> Standing:
    """Return how far the signatures of ``role`` have come.

    Raises:
        FormatError: a document is not what its name says.
    """
    result = _result(documents, role)
    return Standing(
        role=role,
        signed=tuple(sorted(holder_of(key) for key in result.signed.values())),
        missing=tuple(sorted(holder_of(key) for key in result.unsigned.values())),
        threshold=result.threshold,
    )


def check_complete(documents: Documents) -> None:
    """Return None when every role has its threshold.

    Raises:
        ThresholdError: the first that has not, with the names of who is missing.
        FormatError: roles are missing, or one is there that nobody delegates.
    """
    skills = parse(_need(documents, SKILLS), Targets, where=SKILLS).signed
    expected = {*_DRAFTED, *bin_names(skills)}
    if set(documents) != expected:
        odd = sorted(expected ^ set(documents))
        raise FormatError(f"role {odd[0]!r} is missing or unknown", where="ceremony")
    for item in standings(documents):
        if not item.complete:
            raise ThresholdError(
                item.role, signed=len(item.signed), threshold=item.threshold, missing=item.missing
            )


def merge(documents: Documents, others: Documents) -> dict[str, bytes]:
    """Return the documents with the signatures of both; what is signed must be the same.

    Raises:
        FormatError: the two are not copies of one draft.
    """
    if set(documents) != set(others):
        raise FormatError("not copies of one draft", where="ceremony")
    result = {}
    for role, data in documents.items():
        mine, theirs = _any(data, role), _any(others[role], role)
        if mine.signed_bytes != theirs.signed_bytes:
            raise FormatError(f"role {role!r} differs: not copies of one draft", where="ceremony")
        # A copy that was damaged on its way must not take away a signature that is good.
        good = set(_result(documents, role).signed)
        for keyid, signature in theirs.signatures.items():
            if keyid not in good:
                mine.signatures[keyid] = signature
        result[role] = mine.to_bytes(SERIALIZER)
    return result


def bin_names(skills: Targets) -> tuple[str, ...]:
    """Return the names of the hash bins that ``skills`` delegates to."""
    return tuple(succinct(skills).get_roles())


def succinct(skills: Targets) -> SuccinctRoles:
    """Return the delegation to hash bins.

    Raises:
        FormatError: there is none.
    """
    if skills.delegations is None or skills.delegations.succinct_roles is None:
        raise FormatError("delegates to no hash bins", where=SKILLS)
    return skills.delegations.succinct_roles


def _one_key_each(roles: Mapping[str, Role]) -> bool:
    builders = [role for name, role in roles.items() if is_pkg(name)]
    keyids = [keyid for role in builders for keyid in role.keyids]
    return all(len(role.keyids) == role.threshold == 1 for role in builders) and len(set(keyids)) == len(
        keyids
    )


def _first_revocations(now: datetime) -> Metadata[Targets]:
    # There is always a list: a client that finds none must be able to refuse.
    target = build_target(REVOCATIONS_PATH, Revocations().render())
    return build_first(REVOCATIONS, target, now=now)


def _result(documents: Documents, role: str) -> VerificationResult:
    metadata = _any(documents[role], role)
    try:
        return _parent(documents, role).get_verification_result(
            role, metadata.signed_bytes, metadata.signatures
        )
    except ValueError as error:
        raise FormatError(f"nobody delegates {role!r}", where="ceremony") from error


def _parent(documents: Documents, role: str) -> Root | Targets:
    if role in {ROOT, TARGETS}:
        return parse(_need(documents, ROOT), Root, where=ROOT).signed
    above = TARGETS if role in DELEGATED_PATHS else SKILLS
    return parse(_need(documents, above), Targets, where=above).signed


def keyids_of(documents: Documents, role: str) -> set[str]:
    """Return the ids of the keys that may sign ``role``, as the role above it says.

    Raises:
        FormatError: that one is missing, or delegates no such role.
    """
    try:
        return set(_parent(documents, role).get_delegated_role(role).keyids)
    except ValueError as error:
        raise FormatError(f"nobody delegates {role!r}", where="ceremony") from error


def _any(data: bytes, role: str) -> "Metadata[Root] | Metadata[Targets]":
    return parse(data, Root, where=role) if role == ROOT else parse(data, Targets, where=role)


def _need(documents: Documents, role: str) -> bytes:
    if role not in documents:
        raise FormatError(f"role {role!r} is missing", where="ceremony")
    return documents[role]
