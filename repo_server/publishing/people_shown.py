"""Other curators or operators, for the eyes of those who sign it, and for the log (pure)."""

from typing import Any

from tuf.api.metadata import Targets

from repo_server.publishing.next_people import (
    Appointed,
    People,
    holders_of,
    revocations_of,
    targets_of,
)
from signing.format.names import REVOCATIONS_PATH
from signing.former import Former
from signing.keys import holder_of
from signing.roles import PROFILES, REVOCATIONS, SKILLS, TARGETS, is_bin, is_pkg
from signing.withdrawals import Curators


def describe_people(people: People, appointed: Appointed) -> list[str]:
    """Return who comes and leaves, and what is signed anew, for the eyes of those who sign it."""
    targets, lines = targets_of(people.before, TARGETS), []
    for name, role, new in (
        ("curators", SKILLS, appointed.curators),
        ("operators", PROFILES, appointed.operators),
    ):
        old = holders_of(targets, role)
        former = {key.keyid for key in appointed.former.keys}
        for key in old.keys:
            if key.keyid not in new.keyids:
                what = _leaving(name, trusted=key.keyid in former)
                lines.append(f"{name}: {holder_of(key)} {what}  key id {key.keyid}")
        lines += [
            f"{name}: {holder_of(key)} COMES   key id {key.keyid}"
            for key in new.keys
            if key.keyid not in old.keyids
        ]
        if old.threshold != new.threshold:
            lines.append(f"{name}: THRESHOLD {old.threshold} becomes {new.threshold}")
    for key in Former.of(targets).keys:
        if key.keyid not in {*appointed.curators.keyids, *(item.keyid for item in appointed.former.keys)}:
            lines.append(f"former curator {holder_of(key)} IS NOT TRUSTED ANY MORE  key id {key.keyid}")
    lines += [f"withdrawal {entry[:12]} IS IN FORCE AGAIN" for entry in in_force_again(people, appointed)]
    confirmed = sorted(appointed.former.lifted - Former.of(targets).lifted)
    lines += [f"withdrawal {entry[:12]} stays lifted, though who lifted it leaves" for entry in confirmed]
    lines += _unchanged(targets)
    lines.append(f"operators: {appointed.operators.threshold} of")
    lines += [f"  {holder_of(key):16} key id {key.keyid}" for key in appointed.operators.keys]
    return [*lines, *_content(people)]


def _unchanged(targets: Targets) -> list[str]:
    """Return whom else ``targets`` appoint: an older one, put back by somebody, would bring back a key that was replaced."""
    delegations = targets.delegations
    if delegations is None or delegations.roles is None:
        return []
    lines = [f"as of targets {targets.version}:"]
    lines += [
        f"  {role}: {holder_of(delegations.keys[keyid])}  key id {keyid}"
        for role, item in delegations.roles.items()
        if is_pkg(role)
        for keyid in item.keyids
    ]
    lines += [f"  former curator {holder_of(key)}  key id {key.keyid}" for key in Former.of(targets).keys]
    return lines


def in_force_again(people: People, appointed: Appointed) -> tuple[str, ...]:
    """Return the ids of withdrawals that were lifted and are not any more: only a distrusted key had lifted them."""
    old = Curators.of(targets_of(people.before, TARGETS))
    new = Curators(
        keys=appointed.curators.keys,
        threshold=appointed.curators.threshold,
        confirmed=appointed.former.lifted,
    )
    entries = revocations_of(people.before, people.withdrawals).entries
    return tuple(entry.id for entry in entries if old.have_lifted(entry) and not new.have_lifted(entry))


def _leaving(name: str, *, trusted: bool) -> str:
    if name == "operators":
        return "LEAVES"
    return (
        "LEAVES (their reviews go on to count)"
        if trusted
        else "LEAVES AND IS NOT TRUSTED: no review of theirs counts"
    )


def _content(people: People) -> list[str]:
    """Return what the new signatures vouch for, in numbers that a signer can compare with what they know."""
    bins = [targets_of(people.after, role) for role in people.after if is_bin(role)]
    lines = [f"signed anew: {', '.join(role for role in people.after if not is_bin(role))}"]
    if bins:
        releases = sum(path.endswith("/review.dsse.json") for item in bins for path in item.targets)
        lines.append(f"  {len(bins)} hash bins with {releases} release{'s' * (releases != 1)}")
    if PROFILES in people.after:
        profiles = len(targets_of(people.after, PROFILES).targets)
        lines.append(f"  {profiles} profile{'s' * (profiles != 1)}")
    if REVOCATIONS in people.after:
        found = targets_of(people.after, REVOCATIONS)
        lines.append(f"  the withdrawals as of version {found.version - 1}: sha256 {_list_sha256(found)}")
    return lines


def _list_sha256(revocations: Targets) -> str:
    target = revocations.targets.get(REVOCATIONS_PATH)
    return target.hashes.get("sha256", "none") if target is not None else "none"


def facts_of(people: People, appointed: Appointed) -> dict[str, Any]:
    """Return what the log keeps of it: key ids, for names can be taken twice."""
    targets = targets_of(people.before, TARGETS)
    curators = holders_of(targets, SKILLS)
    trusted = {*appointed.curators.keyids, *(key.keyid for key in appointed.former.keys)}
    known = {*curators.keyids, *(key.keyid for key in Former.of(targets).keys)}
    return {
        "curators": sorted(appointed.curators.keyids),
        "curator_threshold": appointed.curators.threshold,
        "operators": sorted(appointed.operators.keyids),
        "operator_threshold": appointed.operators.threshold,
        "former_curators": sorted(key.keyid for key in appointed.former.keys),
        "distrusted": sorted(known - trusted),
        "roles": [role for role in people.after if not is_bin(role)],
    }
