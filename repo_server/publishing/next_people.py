"""Other curators or operators: what they sign, carried over to those who sign from now on (pure).

    documents = draft_people(root, published, appointed, now=…)    each role twice: as published, and as it follows
    check_people(people, before=root, after=next_root, now=…)      it says the same, under other signatures

Whoever leaves takes their signatures along, so all that curators sign (``targets``, ``skills``, every hash bin, the
withdrawals, the advisories) is signed anew by those who stay and those who come; the profiles likewise by
operators. Signers see before and after, each checked from the old root; `check_people` makes the later documents once
more from the earlier ones and compares: nothing but versions, ends and names of signers may differ.

Reviews are not signed anew, and neither is the lifting of a withdrawal: `signing.former` tells what remains of those
who left. A key that was stolen is distrusted: then nothing of it remains.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Self

from securesystemslib.signer import Key, Signer
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, Root, SuccinctRoles, Targets

from repo_server.publishing.ceremony import (
    Documents,
    Standing,
    bin_names,
    keyids_of,
    merge,
    standing,
    succinct,
)
from signing.errors import BadSignatureError, FormatError, NotFoundError
from signing.format.digest import sha256_of
from signing.format.names import REVOCATIONS_PATH, parse_holder_name
from signing.format.revocations import Revocations
from signing.former import FIELD, Former
from signing.keys import HOLDER_FIELD, envelope_signers, holder_of
from signing.metadata import Signatories, lint_targets, parse, render, sign, target_sha256
from signing.roles import ADVISORIES, PROFILES, REVOCATIONS, ROOT, SKILLS, TARGETS, TIMESTAMP, life_of
from signing.withdrawals import Curators

BEFORE: Final = "previous-"
WITHDRAWALS: Final = "withdrawals"
_CLOCK_SLACK: Final = timedelta(minutes=10)
_BY_CURATORS: Final = (SKILLS, REVOCATIONS, ADVISORIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holders:
    """The keys of one kind of people, and how many of them must sign."""

    keys: tuple[Key, ...]
    threshold: int

    @classmethod
    def of(cls, signatories: Signatories) -> Self:
        """Return the same as TUF metadata has it."""
        return cls(keys=tuple(key.to_tuf() for key in signatories.keys), threshold=signatories.threshold)

    @property
    def keyids(self) -> list[str]:
        """The ids of the keys, in the order in which they were named."""
        return [key.keyid for key in self.keys]


@dataclass(frozen=True, slots=True, kw_only=True)
class Appointed:
    """Who curates and who operates from now on, and what is left of those who did before."""

    curators: Holders
    operators: Holders
    former: Former


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """What people sign, as it was published and as it follows; by role.

    ``withdrawals`` is the list that ``revocations`` names; it is there when curators change, else empty.
    """

    before: Documents
    after: Documents
    withdrawals: bytes = b""

    @classmethod
    def of(cls, documents: Documents) -> Self | None:
        """Return what a folder holds of it besides its two roots; None where nobody comes and nobody leaves.

        Raises:
            FormatError: a role stands there once only.
        """
        once = {ROOT, WITHDRAWALS}
        after = {
            role: data for role, data in documents.items() if role not in once and not role.startswith(BEFORE)
        }
        before = {
            role.removeprefix(BEFORE): data
            for role, data in documents.items()
            if role.startswith(BEFORE) and role != f"{BEFORE}{ROOT}"
        }
        if odd := sorted(set(before) ^ set(after)):
            raise FormatError(
                f"{odd[0]!a} stands there once: every role is there as it was and as it follows"
            )
        withdrawals = documents.get(WITHDRAWALS, b"")
        if bool(withdrawals) != (REVOCATIONS in after):
            raise FormatError(
                "is there without the role that names it, or the role without it", where=WITHDRAWALS
            )
        return cls(before=before, after=after, withdrawals=withdrawals) if after else None

    def to_documents(self) -> dict[str, bytes]:
        """Return the files of the folder."""
        files = {**{f"{BEFORE}{role}": data for role, data in self.before.items()}, **self.after}
        return {**files, WITHDRAWALS: self.withdrawals} if self.withdrawals else files

    def standings(self, root: bytes) -> tuple[Standing, ...]:
        """Return how far the signatures of each role have come, under the next root."""
        return tuple(standing({**self.after, ROOT: root}, role) for role in sorted(self.after))

    def signed_by(self, signer: Signer, root: bytes) -> Self:
        """Return the same with the signatures that ``signer`` may give."""
        documents, after = {**self.after, ROOT: root}, dict(self.after)
        for role, data in self.after.items():
            if signer.public_key.keyid in keyids_of(documents, role):
                metadata = parse(data, Targets, where=role)
                sign(metadata, signer)
                after[role] = render(metadata)
        return replace(self, after=after)

    def merged(self, other: Self, root: bytes) -> Self:
        """Return the same with the good signatures of both.

        Raises:
            FormatError: the two are not copies of one draft.
        """
        if (self.before, self.withdrawals) != (other.before, other.withdrawals):
            raise FormatError("not copies of one draft", where="folder")
        together = merge({**self.after, ROOT: root}, {**other.after, ROOT: root})
        return replace(self, after={role: together[role] for role in self.after})


def appointed_by(
    published: Documents,
    withdrawals: bytes,
    *,
    curators: Signatories | None,
    operators: Signatories | None,
    distrusted: Iterable[str] = (),
) -> Appointed:
    """Return who signs from now on; who is not named here stays.

    Args:
        published: the metadata of every role that people sign.
        withdrawals: the list that ``revocations`` names.
        curators: all of them from now on.
        operators: all of them from now on.
        distrusted: names or key ids of curators whose key somebody else may have.

    Raises:
        NotFoundError: nobody who left, or leaves now, has such a name or key.
    """
    targets = targets_of(published, TARGETS)
    now_curators, now_operators = holders_of(targets, SKILLS), holders_of(targets, PROFILES)
    new_curators = Holders.of(curators) if curators is not None else now_curators
    gone = _gone(targets, new_curators)
    distrusted_keys = [key for word in distrusted for key in _named(gone, word)]
    kept = Former(keys=tuple(gone.values())).without(distrusted_keys)
    return Appointed(
        curators=new_curators,
        operators=Holders.of(operators) if operators is not None else now_operators,
        former=_former(published, withdrawals, new_curators, kept.keys),
    )


def draft_people(
    published: Documents, withdrawals: bytes, appointed: Appointed, *, now: datetime
) -> People | None:
    """Return what people sign under ``appointed``, unsigned; None where that changes nothing."""
    roles = _touched(published, appointed)
    after = {
        role: render(Metadata(_following(role, targets_of(published, role), appointed, _ending(role, now))))
        for role in roles
    }
    if not roles:
        return None
    before = {role: published[role] for role in roles}
    return People(before=before, after=after, withdrawals=withdrawals if REVOCATIONS in roles else b"")


def check_people(people: People, *, before: Root, after: Root, now: datetime) -> Appointed:
    """Return who signs from now on, when ``people`` is what `draft_people` makes, whoever wrote the files.

    Raises:
        BadSignatureError: what is said to be published is not signed by those whom ``before`` names.
        FormatError: it changes more than who signs.
    """
    old = {**people.before, ROOT: render(Metadata(before))}
    for role in people.before:
        if not standing(old, role).complete:
            raise BadSignatureError(
                f"{BEFORE}{role} is not signed by its holders", hint="do not sign; ask who made this folder"
            )
    targets = targets_of(people.after, TARGETS)
    curators = Holders(
        keys=tuple(after.keys[keyid] for keyid in after.roles[TARGETS].keyids),
        threshold=after.roles[TARGETS].threshold,
    )
    said, gone = Former.of(targets), _gone(targets_of(people.before, TARGETS), curators)
    if any(gone.get(key.keyid) != key for key in said.keys):
        raise FormatError("names somebody as a former curator who never was one", where=TARGETS)
    appointed = Appointed(
        curators=curators,
        operators=holders_of(targets, PROFILES),
        former=_former(people.before, people.withdrawals, curators, said.keys),
    )
    if set(people.after) != set(_touched(people.before, appointed)):
        raise FormatError("the folder holds other roles than those whose signers change", where="folder")
    for role, data in people.after.items():
        found = parse(data, Targets, where=role).signed
        lint_targets(found, where=role)
        if not now < found.expires <= now + life_of(role).expiry + _CLOCK_SLACK:
            raise FormatError("has another term than our rules give", where=role)
        wanted = _following(role, targets_of(people.before, role), appointed, found.expires)
        if Metadata(found).signed_bytes != Metadata(wanted).signed_bytes:
            raise FormatError("changes more than who signs it", where=role)
    _check_persons(appointed, after)
    _check_names(people)
    if lifted := _lifted_by(people, appointed):
        raise FormatError(
            f"would lift withdrawal {lifted[0][:12]}, which not enough curators have lifted",
            where=REVOCATIONS,
            hint="keep the threshold, or have its reinstatement signed or begun anew before: skillrepo reinstate",
        )
    return appointed


def _touched(published: Documents, appointed: Appointed) -> list[str]:
    """Return the roles whose signers, or what is said of former ones, change."""
    targets = targets_of(published, TARGETS)
    roles: list[str] = []
    if _differ(holders_of(targets, SKILLS), appointed.curators):
        skills = targets_of(published, SKILLS)
        roles += [SKILLS, *bin_names(skills), REVOCATIONS, *([ADVISORIES] if ADVISORIES in published else [])]
    if _differ(holders_of(targets, PROFILES), appointed.operators):
        roles.append(PROFILES)
    still = {*appointed.curators.keyids, *(key.keyid for key in appointed.former.keys)}
    if REVOCATIONS not in roles and any(key.keyid not in still for key in Former.of(targets).keys):
        roles.append(REVOCATIONS)  # its list travels along: what a stolen key had lifted is in force again
    if roles or Former.of(targets).to_fields() != appointed.former.to_fields():
        roles.append(TARGETS)
    return sorted(roles)


def _differ(one: Holders, other: Holders) -> bool:
    return set(one.keyids) != set(other.keyids) or one.threshold != other.threshold


def _following(role: str, old: Targets, appointed: Appointed, expires: datetime) -> Targets:
    """Return what follows ``old``: the same content under other signers."""
    new = Metadata[Targets].from_bytes(render(Metadata(old))).signed
    new.version, new.expires = old.version + 1, expires
    if role == SKILLS:
        bins = succinct(new)
        holders = appointed.curators
        delegations = _delegations(new)
        delegations.succinct_roles = SuccinctRoles(
            holders.keyids, holders.threshold, bins.bit_length, bins.name_prefix
        )
        delegations.keys = {key.keyid: key for key in holders.keys}
    elif role == TARGETS:
        _appoint(new, appointed)
    return new


def _appoint(targets: Targets, appointed: Appointed) -> None:
    delegations = _delegations(targets)
    roles: Mapping[str, DelegatedRole] = delegations.roles or {}
    for name in _BY_CURATORS:
        roles[name].keyids = list(appointed.curators.keyids)
    roles[SKILLS].threshold = appointed.curators.threshold
    roles[PROFILES].keyids = list(appointed.operators.keyids)
    roles[PROFILES].threshold = appointed.operators.threshold
    known = {
        **delegations.keys,
        **{key.keyid: key for key in (*appointed.curators.keys, *appointed.operators.keys)},
    }
    named = {keyid for role in roles.values() for keyid in role.keyids}
    delegations.keys = {keyid: known[keyid] for keyid in sorted(named)}
    extra: dict[str, Any] = {k: v for k, v in targets.unrecognized_fields.items() if k != FIELD}
    targets.unrecognized_fields = {**extra, **appointed.former.to_fields()}


def _former(published: Documents, withdrawals: bytes, curators: Holders, kept: Iterable[Key]) -> Former:
    """Return what is said of those who left, when the keys of ``kept`` are still trusted.

    A withdrawal stays lifted when enough of those lifted it who are trusted still, or had been confirmed before.
    """
    targets = targets_of(published, TARGETS)
    keys = tuple(sorted(kept, key=lambda key: key.keyid))
    lifted = Former.of(targets).lifted
    was, entries = Curators.of(targets), revocations_of(published, withdrawals).entries
    trusted = {key.keyid for key in keys} | set(curators.keyids)
    if thieves := [key for key in (*Former.of(targets).keys, *was.keys) if key.keyid not in trusted]:
        helped = {e.id for e in entries if e.lifted is not None and envelope_signers(e.lifted, thieves)}
        lifted -= helped  # what was confirmed once, and by a key that turned out to be stolen
    believed = Curators(
        keys=tuple(key for key in was.keys if key.keyid in trusted), threshold=was.threshold, confirmed=lifted
    )
    will = Curators(keys=curators.keys, threshold=curators.threshold, confirmed=lifted)
    again = {entry.id for entry in entries if believed.have_lifted(entry) and not will.have_lifted(entry)}
    return Former(keys=keys, lifted=lifted | again)


def _gone(targets: Targets, curators: Holders) -> dict[str, Key]:
    """Return everybody who was a curator once, up to the published ``targets``, and is none from now on."""
    keys = (*Former.of(targets).keys, *holders_of(targets, SKILLS).keys)
    return {key.keyid: key for key in keys if key.keyid not in curators.keyids}


def _named(keys: Mapping[str, Key], word: str) -> list[Key]:
    found = [key for key in keys.values() if word in {holder_of(key), key.keyid}]
    if not found:
        raise NotFoundError(
            f"nobody who leaves, or has left, is called {word!a}",
            hint="--distrust is for curators who leave: name all others by --curator-key",
        )
    return found


def _check_names(people: People) -> None:
    """A key id does not cover the name beside the key, and names count: as reviewers, and beside waivers."""
    old, new = (_delegations(targets_of(side, TARGETS)).keys for side in (people.before, people.after))
    if any(old[keyid] != new[keyid] for keyid in old.keys() & new.keys()):
        raise FormatError("gives a key another holder's name", where=TARGETS)


def _lifted_by(people: People, appointed: Appointed) -> list[str]:
    """Return the withdrawals that nobody lifted enough, and that a lower threshold would lift."""
    old = Curators.of(targets_of(people.before, TARGETS))
    new = Curators(
        keys=appointed.curators.keys,
        threshold=appointed.curators.threshold,
        confirmed=appointed.former.lifted,
    )
    entries = revocations_of(people.before, people.withdrawals).entries
    return [entry.id for entry in entries if new.have_lifted(entry) and not old.have_lifted(entry)]


def _check_persons(appointed: Appointed, root: Root) -> None:
    persons = {*appointed.curators.keyids, *appointed.operators.keyids}
    if persons & set(root.roles[TIMESTAMP].keyids):
        raise FormatError("the online key would be a person's", where=ROOT)
    for key in (*appointed.curators.keys, *appointed.operators.keys):
        parse_holder_name(key.unrecognized_fields.get(HOLDER_FIELD), where="key holder")


def revocations_of(published: Documents, withdrawals: bytes) -> Revocations:
    """Return the list that ``revocations`` names; an empty one where the role is not at hand.

    Raises:
        FormatError: ``withdrawals`` is another list.
    """
    if REVOCATIONS not in published:
        return Revocations()
    target = targets_of(published, REVOCATIONS).targets.get(REVOCATIONS_PATH)
    if target is None or target_sha256(target, where=REVOCATIONS) != sha256_of(withdrawals):
        raise FormatError("is not the list that the role names", where=WITHDRAWALS)
    return Revocations.parse(withdrawals)


def targets_of(documents: Documents, role: str) -> Targets:
    """Return the metadata of ``role``; nothing about its signatures is verified.

    Raises:
        FormatError: it is missing, or is not such metadata.
    """
    if role not in documents:
        raise FormatError(f"role {role!r} is missing", where="folder")
    return parse(documents[role], Targets, where=role).signed


def holders_of(targets: Targets, role: str) -> Holders:
    """Return to whom ``targets`` delegates ``role``.

    Raises:
        FormatError: to nobody.
    """
    delegations = _delegations(targets)
    found = (delegations.roles or {}).get(role)
    if found is None:
        raise FormatError(f"does not delegate {role!r}", where=TARGETS)
    return Holders(keys=tuple(delegations.keys[keyid] for keyid in found.keyids), threshold=found.threshold)


def _delegations(targets: Targets) -> Delegations:
    if targets.delegations is None:
        raise FormatError("delegates to nobody", where=TARGETS)
    return targets.delegations


def _ending(role: str, now: datetime) -> datetime:
    return (now + life_of(role).expiry).replace(microsecond=0)
