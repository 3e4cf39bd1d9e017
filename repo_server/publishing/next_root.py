"""The next root: the same for another year, another online key, other holders of root, other curators, operators.

    documents = draft_next(published, root=…, online=…, now=…)     the publisher's machine; what is not given stays
    documents = sign_next(documents, signer, now=…)                each holder of root, on a machine of their own
    check_next_root(documents, now=…)                              complete, and nothing but that
    accept_next_root(session, …)                                   the publisher's machine: published with a fresh snapshot

Clients follow from root to root, so a new one is signed by enough holders of the old and enough of the new (TUF
specification 5.3.4). The folder holds both; a holder who signs sees what changes. The old one has to be the one that
the holder signed: a forged old one would make a whole forgery look like a small change.

When curators or operators change, the folder also holds all that these sign: `repo_server.publishing.next_people`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from securesystemslib.signer import Signer
from sqlalchemy.orm import Session
from tuf.api.metadata import Metadata, Root

from repo_server.db import log
from repo_server.publishing.behind import check_not_behind
from repo_server.publishing.ceremony import Documents, Standing
from repo_server.publishing.handing_over import accept_people
from repo_server.publishing.next_people import Appointed, Holders, People, check_people
from repo_server.publishing.online import OnlineState, sign_state
from repo_server.publishing.people_shown import describe_people, facts_of
from repo_server.publishing.standing import mark_releases
from repo_server.publishing.state import add_versions
from repo_server.publishing.vouched import vouched_content
from repo_server.repository import Repository
from signing.errors import (
    BadSignatureError,
    ConflictError,
    FormatError,
    KeyAccessError,
    NotEntitledError,
    ThresholdError,
)
from signing.format.digest import sha256_of
from signing.format.names import parse_holder_name
from signing.keys import HOLDER_FIELD, HeldKey, holder_of
from signing.metadata import SERIALIZER, Signatories, lint_root, parse, render, sign
from signing.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, life_of

PREVIOUS: Final = "previous-root"
_CLOCK_SLACK: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Succession:
    """A root and the one that follows it."""

    previous: Metadata[Root]
    following: Metadata[Root]
    people: People | None = None

    @classmethod
    def of(cls, documents: Documents) -> "Succession":
        """Return what a folder of documents holds.

        Raises:
            FormatError: it is not the folder of a next root.
        """
        if not {ROOT, PREVIOUS} <= set(documents):
            raise FormatError(f"must hold {PREVIOUS}.json and {ROOT}.json", where="folder")
        return cls(
            previous=parse(documents[PREVIOUS], Root, where=PREVIOUS),
            following=parse(documents[ROOT], Root, where=ROOT),
            people=People.of(documents),
        )

    def standings(self) -> tuple[Standing, ...]:
        """Return how far the signatures of the old holders of root have come, of the new ones, and of each other role."""
        roots = (self._standing(self.previous.signed, "old"), self._standing(self.following.signed, "new"))
        return (*roots, *self.people.standings(render(self.following))) if self.people is not None else roots

    def _standing(self, root: Root, which: str) -> Standing:
        result = root.get_verification_result(ROOT, self.following.signed_bytes, self.following.signatures)
        return Standing(
            role=f"{which} {ROOT}",
            signed=tuple(sorted(holder_of(key) for key in result.signed.values())),
            missing=tuple(sorted(holder_of(key) for key in result.unsigned.values())),
            threshold=result.threshold,
        )


def is_next(documents: Documents) -> bool:
    """Return whether these documents are a next root, and not a first ceremony."""
    return PREVIOUS in documents


def draft_next(
    published: bytes,
    *,
    root: Signatories | None = None,
    online: HeldKey | None = None,
    curators: Holders | None = None,
    people: People | None = None,
    now: datetime,
) -> dict[str, bytes]:
    """Return the published root and an unsigned one that follows it; who is not given stays.

    ``people`` is what `draft_people` made for other curators or operators, and ``curators`` all of these then.

    Raises:
        FormatError: a key would have two tasks.
    """
    following = Metadata[Root].from_bytes(published).signed
    following.version += 1
    following.expires = (now + life_of(ROOT).expiry).replace(microsecond=0)
    if root is not None:
        following.roles[ROOT].keyids = []
        for key in root.keys:
            following.add_key(key.to_tuf(), ROOT)
        following.roles[ROOT].threshold = root.threshold
    if curators is not None:
        following.roles[TARGETS].keyids = []
        for curator in curators.keys:
            following.add_key(curator, TARGETS)
        following.roles[TARGETS].threshold = curators.threshold
    if online is not None:
        for role in (SNAPSHOT, TIMESTAMP):
            following.roles[role].keyids = []
            following.add_key(online.to_tuf(), role)
    named = {keyid for role in following.roles.values() for keyid in role.keyids}
    following.keys = {keyid: key for keyid, key in following.keys.items() if keyid in named}
    others = people.to_documents() if people is not None else {}
    documents = {PREVIOUS: published, ROOT: render(Metadata(following)), **others}
    check_rules(Succession.of(documents), now=now)
    return documents


def sign_next(documents: Documents, signer: Signer, *, now: datetime) -> dict[str, bytes]:
    """Return the documents with the signature of ``signer``.

    Raises:
        NotEntitledError: this key signs neither the old nor the new root.
        BadSignatureError: the old root is not one that its holders signed.
        FormatError: the draft changes more than a next root may; nothing is signed.
    """
    succession = Succession.of(documents)
    check_rules(succession, now=now)
    keyid = signer.public_key.keyid
    holders = {
        *succession.previous.signed.roles[ROOT].keyids,
        *succession.following.signed.roles[ROOT].keyids,
    }
    result = dict(documents)
    if succession.people is not None:
        result |= succession.people.signed_by(signer, documents[ROOT]).to_documents()
    if keyid in holders:
        sign(succession.following, signer)
        result[ROOT] = render(succession.following)
    elif result == dict(documents):
        raise NotEntitledError(f"{holder_of(signer.public_key)} signs neither the old nor the new root")
    return result


def merge_next(documents: Documents, others: Documents) -> dict[str, bytes]:
    """Return the documents with the good signatures of both.

    Raises:
        FormatError: the two are not copies of one draft.
    """
    mine, theirs = Succession.of(documents), Succession.of(others)
    result = dict(documents)
    if mine.people is not None and theirs.people is not None:
        result |= mine.people.merged(theirs.people, documents[ROOT]).to_documents()
    if (mine.people is None) != (theirs.people is None) or (
        mine.previous.signed_bytes,
        mine.following.signed_bytes,
    ) != (
        theirs.previous.signed_bytes,
        theirs.following.signed_bytes,
    ):
        raise FormatError("not copies of one draft", where=ROOT)
    good = {keyid for root in (theirs.previous, theirs.following) for keyid in _signed(root.signed, theirs)}
    for keyid in sorted(good):
        mine.following.signatures[keyid] = theirs.following.signatures[keyid]
    return {**result, ROOT: mine.following.to_bytes(SERIALIZER)}


def describe_next(documents: Documents) -> list[str]:
    """Return what changes, and who holds what then, for the eyes of those who sign it."""
    succession = Succession.of(documents)
    old, new = succession.previous.signed, succession.following.signed
    lines = [f"root {old.version} becomes {new.version}, expires {new.expires:%Y-%m-%d}"]
    for name in (ROOT, TIMESTAMP):
        before, after = set(old.roles[name].keyids), set(new.roles[name].keyids)
        lines += [
            f"{name}: {holder_of(old.keys[keyid])} LEAVES  key id {keyid}" for keyid in sorted(before - after)
        ]
        lines += [
            f"{name}: {holder_of(new.keys[keyid])} COMES   key id {keyid}" for keyid in sorted(after - before)
        ]
        if old.roles[name].threshold != new.roles[name].threshold:
            lines.append(f"{name}: THRESHOLD {old.roles[name].threshold} becomes {new.roles[name].threshold}")
    if (handed := _appointed(succession)) is not None:
        lines += describe_people(*handed)
    if len(lines) == 1:
        lines.append("nobody comes and nobody leaves")
    for name in (ROOT, TARGETS, TIMESTAMP):
        role = new.roles[name]
        lines.append(f"{name}: {role.threshold} of")
        lines += [f"  {holder_of(new.keys[keyid]):16} key id {keyid}" for keyid in role.keyids]
    return lines


def _appointed(succession: Succession) -> tuple[People, Appointed] | None:
    """Return who curates and operates under the next root; None where that does not change."""
    if succession.people is None:
        return None
    old, new = succession.previous.signed, succession.following.signed
    # When it was drafted: whether it has ended since is not the question here.
    drafted = new.expires - life_of(ROOT).expiry
    return succession.people, check_people(succession.people, before=old, after=new, now=drafted)


def _handed_over(succession: Succession) -> dict[str, Any]:
    handed = _appointed(succession)
    return facts_of(*handed) if handed is not None else {}


def _signed(root: Root, succession: Succession) -> list[str]:
    following = succession.following
    return list(root.get_verification_result(ROOT, following.signed_bytes, following.signatures).signed)


def check_rules(succession: Succession, *, now: datetime) -> None:
    """Return None when the draft is what `draft_next` makes, whoever wrote the files.

    Raises:
        BadSignatureError: the old root is not one that its holders signed.
        FormatError: another version, term or task than our rules give.
    """
    old, new = succession.previous, succession.following.signed
    lint_root(old.signed)
    lint_root(new)
    if not old.signed.get_verification_result(ROOT, old.signed_bytes, old.signatures).verified:
        raise BadSignatureError(
            "the old root is not signed by its holders", hint="do not sign; ask who made this folder"
        )
    if succession.people is not None:
        check_people(succession.people, before=old.signed, after=new, now=now)
    people = {*new.roles[ROOT].keyids, *new.roles[TARGETS].keyids}
    online = set(new.roles[TIMESTAMP].keyids)
    rules = {
        "version": new.version == old.signed.version + 1,
        "term": now < new.expires <= now + life_of(ROOT).expiry + _CLOCK_SLACK,
        # Whoever may sign targets by root is whom targets names for everything below: `check_people` has compared them.
        "curators": succession.people is not None or new.roles[TARGETS] == old.signed.roles[TARGETS],
        "online key": len(new.roles[TIMESTAMP].keyids) == new.roles[TIMESTAMP].threshold == 1
        and new.roles[SNAPSHOT] == new.roles[TIMESTAMP],
        "the online key is of no person": online.isdisjoint(people),
        # A key id does not cover the name beside the key, and names count: as reviewers, and beside waivers.
        "names": all(
            old.signed.keys[keyid] == new.keys[keyid] for keyid in old.signed.keys.keys() & new.keys.keys()
        ),
        "keys": online | people == set(new.keys)
        and new.unrecognized_fields == old.signed.unrecognized_fields,
    }
    for what, holds in rules.items():
        if not holds:
            raise FormatError(f"{what}: not as our rules have it", where=ROOT)
    for key in new.keys.values():
        parse_holder_name(key.unrecognized_fields.get(HOLDER_FIELD), where="key holder")


def check_next_root(documents: Documents, *, now: datetime) -> Succession:
    """Return the old and the new root, which enough holders of both have signed.

    Raises:
        ThresholdError: somebody is missing. BadSignatureError, FormatError: see `check_rules`.
    """
    succession = Succession.of(documents)
    check_rules(succession, now=now)
    for item in succession.standings():
        if not item.complete:
            raise ThresholdError(
                item.role, signed=len(item.signed), threshold=item.threshold, missing=item.missing
            )
    return succession


def accept_next_root(
    repository: Repository, session: Session, documents: Documents, online: Signer, *, now: datetime
) -> OnlineState | None:
    """Publish the next root with a snapshot and a timestamp by its online key; None when it is published already.

    Raises:
        ConflictError: another root was published meanwhile, or something else that people sign.
        KeyAccessError: ``online`` is not the key that the new root names.
        ThresholdError, BadSignatureError, FormatError: see `check_next_root`.
    """
    check_not_behind(repository, session)
    published = parse(vouched_content(session, ROOT, anchor=repository.anchor), Root, where=ROOT).signed_bytes
    # Signed bytes: a copy with one more good signature is the same root.
    if published == Succession.of(documents).following.signed_bytes:
        return None
    succession = check_next_root(documents, now=now)
    if succession.previous.signed_bytes != published:
        raise ConflictError(
            "another root was published since this one was drafted", hint="draft it anew: skillrepo root next"
        )
    new = succession.following.signed
    if online.public_key.keyid not in new.roles[TIMESTAMP].keyids:
        raise KeyAccessError(
            "this is not the online key that the new root names", hint="name its key file by --online"
        )
    add_versions(session, [(ROOT, new.version, documents[ROOT])], now=now)
    if succession.people is not None:
        accept_people(session, succession.people, now=now)
        mark_releases(repository, session)  # who may lift a withdrawal changed, so what is withdrawn may have
    state = sign_state(session, online, now=now, force_snapshot=True)
    log.append(session, event="root.published", facts=_facts(succession, documents[ROOT]), now=now)
    return state


def _facts(succession: Succession, content: bytes) -> dict[str, Any]:
    old, new = succession.previous.signed, succession.following.signed
    return {
        "version": new.version,
        "sha256": sha256_of(content),
        "root_holders": sorted(holder_of(new.keys[keyid]) for keyid in new.roles[ROOT].keyids),
        "online_keyid": new.roles[TIMESTAMP].keyids[0],
        "online_changed": new.roles[TIMESTAMP].keyids != old.roles[TIMESTAMP].keyids,
        "signed_by": list(succession.standings()[0].signed),
        **_handed_over(succession),
    }
