"""From bytes to trust, step by step: what fails at each step of TUF's client workflow, and how it is called."""

import functools
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from signing.errors import (
    CouldNotVerifyError,
    DigestMismatchError,
    ExpiredError,
    FormatError,
    NotFoundError,
    RejectedError,
    RollbackError,
    ThresholdError,
)
from signing.format.digest import sha256_of
from signing.format.names import REVOCATIONS_PATH, HolderName, Pin, TargetPath
from signing.keys import HeldKey
from signing.keystore import SealedKeySigner
from signing.metadata import Topology, build_root, build_target
from signing.trusted import verify_metadata
from tests.signing.people import person
from tests.signing.repository import (
    BUNDLE,
    CURATORS,
    MALLORY,
    NOW,
    OLGA,
    ONLINE,
    PIN,
    ROOTS,
    TOPOLOGY,
    State,
    bin_of,
    held,
    signed,
    signers_of,
    spoil,
)

BIN = bin_of(PIN.bundle_path, State.fresh().files["skills"])
OTHER_BIN = "skills-1" if BIN == "skills-0" else "skills-0"
TOP = ("root", "timestamp", "snapshot", "targets")
DELEGATED = ("skills", BIN)
ALL = (*TOP, *DELEGATED)


def vouch(state: State, path: TargetPath = PIN.bundle_path, **arguments: Any):
    return state.verify(**arguments).vouch(path)


def test_an_honest_state_vouches_for_its_targets():
    target = vouch(State.fresh())
    assert (target.path, target.length, target.sha256) == (PIN.bundle_path, len(BUNDLE), sha256_of(BUNDLE))
    assert (target.role, target.role_version, target.threshold) == (BIN, 1, 2)
    assert target.signers == ("alice", "bob")
    assert target.signer_keyids == tuple(sorted(person.held.keyid for person in CURATORS))
    assert target.custom == {"name": "web-search"}
    assert target.checked_at == NOW


def test_the_state_says_which_versions_it_is():
    assert State.fresh().verify().versions == {"root": 1, "timestamp": 2, "snapshot": 2, "targets": 1}


def test_what_was_vouched_for_cannot_be_changed_afterwards():
    state = State.fresh().verify()
    with pytest.raises(TypeError):
        state.vouch(PIN.bundle_path).custom["tree_sha256"] = "0" * 64  # type: ignore[index]
    assert state.vouch(PIN.bundle_path).custom == {"name": "web-search"}


# --- signatures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ALL)
def test_unsigned_metadata_is_refused(role):
    with pytest.raises(ThresholdError) as caught:
        vouch(State.fresh().spoil(role, by=[]))
    assert caught.value.facts["role"] == role
    assert caught.value.facts["signed"] == 0
    assert set(caught.value.facts["missing"]) == {someone.held.holder for someone in signers_of(role)}


@pytest.mark.parametrize("role", ALL)
def test_metadata_signed_by_a_key_that_holds_no_role_is_refused(role):
    with pytest.raises(ThresholdError):
        vouch(State.fresh().spoil(role, by=[MALLORY]))


@pytest.mark.parametrize("role", ["root", "targets", "skills", BIN])
def test_metadata_signed_by_one_person_where_two_must_is_refused(role):
    for lonely in signers_of(role):
        with pytest.raises(ThresholdError) as caught:
            vouch(State.fresh().spoil(role, by=[lonely, MALLORY]))
        assert (caught.value.facts["signed"], caught.value.facts["threshold"]) == (1, 2)


@pytest.mark.parametrize(
    ("role", "by"),
    [
        ("root", CURATORS),
        ("targets", ROOTS),
        ("timestamp", CURATORS),
        ("snapshot", CURATORS),
        ("skills", (OLGA, ONLINE)),
        (BIN, (OLGA, ONLINE)),
        ("profiles", CURATORS),
        ("revocations", (ONLINE, OLGA)),
    ],
)
def test_the_holders_of_another_role_cannot_sign_this_one(role, by):
    path = {"profiles": PIN.profile_path, "revocations": REVOCATIONS_PATH}.get(role, PIN.bundle_path)
    with pytest.raises(ThresholdError):
        vouch(State.fresh().spoil(role, by=by), path)


def copied(signature: dict[str, str], **changes: str) -> dict[str, str]:
    return {**signature, **changes}


@pytest.mark.parametrize("role", ["targets", BIN])
@pytest.mark.parametrize(
    "change",
    [
        lambda first, second: [first],
        lambda first, second: [first, copied(second, sig=first["sig"])],
        lambda first, second: [first, copied(first, keyid=second["keyid"])],
        lambda first, second: [first, copied(second, sig="")],
        lambda first, second: [first, copied(second, sig="zz")],
        lambda first, second: [first, copied(second, sig=second["sig"][:-2])],
        lambda first, second: [first, copied(second, keyid="0" * 64)],
    ],
    ids=["dropped", "copied", "renamed", "empty", "not hexadecimal", "short", "unknown id"],
)
def test_one_signature_does_not_become_two(role, change):
    state = State.fresh()
    document = json.loads(state.files[role])
    document["signatures"] = change(*document["signatures"])
    state.files[role] = json.dumps(document).encode()
    state.close()
    with pytest.raises(ThresholdError):
        vouch(state)


def test_the_same_signature_twice_is_not_metadata():
    state = State.fresh()
    document = json.loads(state.files["timestamp"])
    document["signatures"] *= 2
    state.files["timestamp"] = json.dumps(document).encode()
    with pytest.raises(FormatError):
        state.verify()


@pytest.mark.parametrize("role", ["root", "timestamp"])
def test_every_flipped_byte_that_matters_is_refused(role):
    """Root and timestamp are not named by a digest: their signatures alone protect them."""
    fresh = State.fresh()
    data = fresh.anchor if role == "root" else fresh.files[role]
    for at in range(0, len(data), 5):
        mutated = bytearray(data)
        mutated[at] ^= 0x01
        state = State.fresh()
        if role == "root":
            state.anchor = bytes(mutated)
        else:
            state.files[role] = bytes(mutated)
        try:
            state.verify()
        except RejectedError:
            continue
        assert json.loads(bytes(mutated))["signed"] == json.loads(data)["signed"], at


# --- freshness ------------------------------------------------------------------------------------------


def expire(document: dict[str, Any]) -> None:
    document["expires"] = f"{NOW - timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize("role", ALL)
def test_expired_metadata_is_refused_in_every_role(role):
    with pytest.raises(ExpiredError) as caught:
        vouch(State.fresh().spoil(role, expire))
    assert caught.value.facts["role"] == role


@pytest.mark.parametrize("role", ["profiles", "revocations"])
def test_expired_profiles_and_revocations_are_refused(role):
    path = PIN.profile_path if role == "profiles" else REVOCATIONS_PATH
    with pytest.raises(ExpiredError):
        vouch(State.fresh().spoil(role, expire), path)


def test_metadata_is_expired_at_the_moment_of_its_expiry():
    state = State.fresh()
    end = NOW + timedelta(hours=24)
    assert vouch(state, now=end - timedelta(seconds=1))
    with pytest.raises(ExpiredError):
        vouch(state, now=end)


def test_a_role_that_is_not_asked_for_may_have_expired():
    assert vouch(State.fresh().spoil("profiles", expire))


# --- mix and match --------------------------------------------------------------------------------------


def test_another_version_than_its_parent_names_is_refused():
    def state_with(change: Callable[[dict[str, Any]], object], parent: str) -> State:
        return State.fresh().spoil(parent, change)

    with pytest.raises(RollbackError, match="snapshot"):
        vouch(state_with(lambda d: d["meta"]["snapshot.json"].update(version=3), "timestamp"))
    for role in ("targets", "skills", BIN):
        with pytest.raises(RollbackError, match=role):
            vouch(state_with(lambda d, role=role: d["meta"][f"{role}.json"].update(version=9), "snapshot"))


@pytest.mark.parametrize("role", ["snapshot", "targets", *DELEGATED])
def test_an_older_file_under_a_newer_parent_is_refused(role):
    state = State.fresh()
    old = state.files[role]
    if role == "snapshot":
        state.spoil("targets", lambda d: d.update(version=2))
    else:
        state.spoil(role, lambda d: d.update(version=2))
    state.files[role] = old
    with pytest.raises(DigestMismatchError):
        vouch(state)


@pytest.mark.parametrize("role", ["snapshot", "targets", *DELEGATED])
@pytest.mark.parametrize(
    "change", [lambda data: data + b" ", lambda data: data[:-1], lambda data: data[:-1] + b"]"]
)
def test_other_bytes_than_the_parent_names_are_refused(role, change):
    state = State.fresh()
    state.files[role] = change(state.files[role])
    with pytest.raises(DigestMismatchError):
        vouch(state)


@pytest.mark.parametrize(
    "change",
    [
        lambda meta: meta.pop("length"),
        lambda meta: meta.pop("hashes"),
        lambda meta: meta.update(hashes={"md5": "0" * 32}),
        lambda meta: meta["hashes"].update(sha512="0" * 128),
    ],
    ids=["no length", "no hash", "md5", "extra sha512"],
)
@pytest.mark.parametrize("name", ["snapshot.json", "targets.json", "skills.json", f"{BIN}.json"])
def test_a_parent_that_does_not_name_length_and_sha256_is_refused(name, change):
    parent = "timestamp" if name == "snapshot.json" else "snapshot"
    with pytest.raises(FormatError):
        vouch(State.fresh().spoil(parent, lambda document: change(document["meta"][name])))


# --- missing parts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", *DELEGATED])
def test_missing_metadata_is_could_not_verify(role):
    state = State.fresh()
    del state.files[role]
    with pytest.raises(CouldNotVerifyError, match="not at hand"):
        vouch(state)


@pytest.mark.parametrize("role", ["targets", *DELEGATED])
def test_a_role_that_the_snapshot_forgets_is_could_not_verify(role):
    with pytest.raises(CouldNotVerifyError):
        vouch(State.fresh().close(without=[role]))


@pytest.mark.parametrize("role", ["skills", "profiles", "revocations"])
def test_a_role_that_targets_does_not_delegate_is_could_not_verify(role):
    path = {"profiles": PIN.profile_path, "revocations": REVOCATIONS_PATH}.get(role, PIN.bundle_path)
    state = State.fresh().spoil("targets", lambda d: d["delegations"]["roles"].pop(_index(d, role)))
    with pytest.raises(CouldNotVerifyError, match="not delegated"):
        vouch(state, path)
    with pytest.raises(CouldNotVerifyError):
        state.verify().holders(role)


def _index(document: dict[str, Any], role: str) -> int:
    return [row["name"] for row in document["delegations"]["roles"]].index(role)


def test_targets_without_delegations_vouches_for_nothing():
    state = State.fresh().spoil("targets", lambda d: d.pop("delegations"))
    for path in (PIN.bundle_path, PIN.profile_path, REVOCATIONS_PATH):
        with pytest.raises(CouldNotVerifyError):
            vouch(state, path)
    with pytest.raises(CouldNotVerifyError):
        state.verify().holders("skills")


def test_skills_without_bins_vouches_for_nothing():
    with pytest.raises(CouldNotVerifyError, match="hash bins"):
        vouch(State.fresh().spoil("skills", lambda d: d.pop("delegations")))


def test_no_files_at_all_is_could_not_verify():
    with pytest.raises(CouldNotVerifyError):
        verify_metadata(State.fresh().anchor, roots=[], files={}, now=NOW)


def test_what_has_to_be_fetched_is_known_without_trusting_it():
    state = State.fresh()
    everything = dict(state.files)
    del state.files[BIN], state.files["skills"], state.files["profiles"]
    trusted = state.verify()
    assert trusted.next_role(PIN.profile_path) == "profiles"
    assert trusted.next_role(PIN.bundle_path) == "skills"
    trusted = trusted.with_role("skills", everything["skills"])
    assert trusted.next_role(PIN.bundle_path) == BIN
    trusted = trusted.with_role(BIN, everything[BIN])
    assert trusted.next_role(PIN.bundle_path) is None
    assert trusted.next_role(PIN.profile_path) == "profiles"
    assert trusted.vouch(PIN.bundle_path).role == BIN
    assert trusted.files == {role: data for role, data in everything.items() if role != "profiles"}


def test_a_role_that_is_added_later_is_checked_like_the_others():
    state = State.fresh()
    good = state.files.pop(BIN)
    trusted = state.verify()
    with pytest.raises(DigestMismatchError):
        trusted.with_role(BIN, good + b" ")
    with pytest.raises(DigestMismatchError):
        trusted.with_role(OTHER_BIN, good)
    assert trusted.next_role(PIN.bundle_path) == BIN


@pytest.mark.parametrize("role", DELEGATED)
def test_a_role_that_is_added_later_needs_its_holders(role):
    state = State.fresh().spoil(role, by=[MALLORY, CURATORS[0]])
    later = {name: state.files.pop(name) for name in ("skills", BIN)}
    trusted = state.verify()
    with pytest.raises(ThresholdError) as caught:
        functools.reduce(lambda known, item: known.with_role(*item), later.items(), trusted)
    assert caught.value.facts["role"] == role
    assert role not in trusted.files


def test_a_role_that_the_snapshot_does_not_name_cannot_be_added():
    state = State.fresh()
    data = state.files.pop("profiles")
    state.close()
    trusted = state.verify()
    with pytest.raises(CouldNotVerifyError, match="not part of the snapshot"):
        trusted.named("profiles")
    with pytest.raises(CouldNotVerifyError, match="not part of the snapshot"):
        trusted.with_role("profiles", data)


# --- the wrong role names it ----------------------------------------------------------------------------


def row(path: str, data: bytes = BUNDLE) -> dict[str, Any]:
    return {path: {"length": len(data), "hashes": {"sha256": sha256_of(data)}}}


def test_a_target_in_the_wrong_bin_is_not_found():
    state = State.fresh()
    state.spoil(BIN, lambda d: d["targets"].clear(), then_close=False)
    state.spoil(OTHER_BIN, lambda d: d["targets"].update(row(PIN.bundle_path)))
    with pytest.raises(NotFoundError):
        vouch(state)


@pytest.mark.parametrize("role", ["targets", "skills", "profiles", "revocations"])
def test_a_bundle_named_by_a_role_that_does_not_own_it_is_not_found(role):
    path = Pin.parse("evil==1").bundle_path
    with pytest.raises(NotFoundError):
        vouch(State.fresh().spoil(role, lambda d: d["targets"].update(row(path))), path)


def test_curators_cannot_publish_a_profile_and_operators_no_skill():
    profile, bundle = Pin.parse("evil==1").profile_path, Pin.parse("evil==1").bundle_path
    state = State.fresh().spoil("skills", lambda d: d["targets"].update(row(profile)))
    with pytest.raises(NotFoundError):
        vouch(state, profile)
    state = State.fresh().spoil("profiles", lambda d: d["targets"].update(row(bundle)))
    with pytest.raises(NotFoundError):
        vouch(state, bundle)


@pytest.mark.parametrize("path", ["", "root.json", "skills/a/../x", "/etc/passwd", "revocations.json\n"])
def test_a_path_that_no_role_owns_is_a_format_error(path):
    with pytest.raises(FormatError):
        vouch(State.fresh(), TargetPath(path))


@pytest.mark.parametrize(
    "hashes", [{"md5": "0" * 32}, {"sha256": "0" * 64, "sha512": "0" * 128}], ids=["md5", "extra sha512"]
)
def test_a_weakly_named_target_spoils_its_whole_role(hashes):
    def weaken(document: dict[str, Any]) -> None:
        document["targets"]["skills/other/1/other-1.tar.gz"] = {"length": 1, "hashes": hashes}

    with pytest.raises(FormatError):
        vouch(State.fresh().spoil(BIN, weaken))


def test_a_custom_field_that_is_no_object_says_nothing():
    state = State.fresh().spoil(BIN, lambda d: d["targets"][PIN.bundle_path].update(custom=["x"]))
    assert vouch(state).custom == {}


# --- one key under two ids ------------------------------------------------------------------------------


def second_id(someone: SealedKeySigner) -> SealedKeySigner:
    """The same private key, whose public half is spelled in another way and so hashes to another id."""
    twin = HeldKey(holder=HolderName("twin"), public=someone.held.public.upper())
    assert twin.keyid != someone.held.keyid
    return SealedKeySigner(twin, someone._signing_key)


def key_row(someone: SealedKeySigner) -> dict[str, Any]:
    return {someone.held.keyid: someone.public_key.to_dict()}


def hold_alone(alone: SealedKeySigner, role: str) -> Callable[[dict[str, Any]], None]:
    """Let one private key meet a threshold of two by two ids, in root."""

    def change(document: dict[str, Any]) -> None:
        twin = second_id(alone)
        document["keys"].update({**key_row(alone), **key_row(twin)})
        document["roles"][role].update(keyids=[alone.held.keyid, twin.held.keyid], threshold=2)

    return change


@pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp"])
def test_one_key_under_two_ids_in_root_is_refused(role):
    alone = ROOTS[0]
    by = [*ROOTS, second_id(alone)] if role == "root" else ROOTS
    with pytest.raises(FormatError):
        State.fresh().spoil("root", hold_alone(alone, role), by=by).verify()


def test_one_key_under_two_ids_in_a_delegation_is_refused():
    alice = CURATORS[0]

    def change(document: dict[str, Any]) -> None:
        twin = second_id(alice)
        document["delegations"]["keys"].update(key_row(twin))
        document["delegations"]["roles"][_index(document, "skills")].update(
            keyids=[alice.held.keyid, twin.held.keyid]
        )

    state = State.fresh().spoil("targets", change, then_close=False)
    state.spoil("skills", by=[alice, second_id(alice)])
    with pytest.raises(FormatError, match="lower-case"):
        vouch(state)


def test_one_key_under_two_ids_in_the_bins_is_refused():
    alice = CURATORS[0]

    def change(document: dict[str, Any]) -> None:
        twin = second_id(alice)
        document["delegations"]["keys"] = {**key_row(alice), **key_row(twin)}
        document["delegations"]["succinct_roles"].update(keyids=[alice.held.keyid, twin.held.keyid])

    state = State.fresh().spoil("skills", change, then_close=False)
    state.spoil(BIN, by=[alice, second_id(alice)])
    with pytest.raises(FormatError, match="lower-case"):
        vouch(state)


# --- roots ----------------------------------------------------------------------------------------------

NEW_ROOTS = (person("root-3"), person("root-4"))


def next_root(
    version: int, *, holders: tuple[SealedKeySigner, ...] = NEW_ROOTS, by: tuple[SealedKeySigner, ...]
) -> bytes:
    topology = Topology(
        root=held(*holders, threshold=2),
        curators=TOPOLOGY.curators,
        operators=TOPOLOGY.operators,
        online=TOPOLOGY.online,
        bins=2,
    )
    return signed(build_root(topology, version=version, now=NOW), by)


def test_a_root_signed_by_the_old_and_the_new_holders_is_followed():
    trusted = State.fresh().verify(roots=[next_root(2, by=(*ROOTS, *NEW_ROOTS))])
    assert trusted.versions["root"] == 2
    assert trusted.vouch(PIN.bundle_path)


@pytest.mark.parametrize(
    "by",
    [
        (),
        ROOTS,
        NEW_ROOTS,
        (ROOTS[0], *NEW_ROOTS),
        (*ROOTS, NEW_ROOTS[0]),
        (ROOTS[0], NEW_ROOTS[0]),
        (MALLORY, *NEW_ROOTS),
        (*CURATORS, *NEW_ROOTS),
    ],
    ids=["nobody", "old only", "new only", "one old", "one new", "one of each", "mallory", "curators"],
)
def test_a_root_without_both_thresholds_is_refused(by):
    with pytest.raises(ThresholdError) as caught:
        State.fresh().verify(roots=[next_root(2, by=by)])
    assert caught.value.facts["role"] == "root"


def test_an_anchor_that_does_not_sign_itself_is_refused():
    state = State.fresh()
    state.anchor = next_root(1, by=ROOTS)
    with pytest.raises(ThresholdError):
        state.verify()


def test_a_gap_in_the_chain_of_roots_is_could_not_verify():
    with pytest.raises(CouldNotVerifyError, match="root 2 is missing"):
        State.fresh().verify(roots=[next_root(3, by=(*ROOTS, *NEW_ROOTS))])


def test_a_gap_later_in_the_chain_is_could_not_verify():
    roots = [next_root(2, by=(*ROOTS, *NEW_ROOTS)), next_root(4, by=NEW_ROOTS)]
    with pytest.raises(CouldNotVerifyError, match="root 3 is missing"):
        State.fresh().verify(roots=roots)


def test_roots_up_to_the_anchors_version_are_skipped():
    state = State.fresh()
    roots = [state.anchor, next_root(1, by=()), next_root(2, by=(*ROOTS, *NEW_ROOTS)), state.anchor]
    assert state.verify(roots=roots).versions["root"] == 2


def test_the_old_holders_have_no_say_after_rotation():
    roots = [next_root(2, by=(*ROOTS, *NEW_ROOTS)), next_root(3, holders=ROOTS, by=ROOTS)]
    with pytest.raises(ThresholdError):
        State.fresh().verify(roots=roots)


def test_an_expired_root_in_the_middle_is_fine_and_at_the_end_is_not():
    expired = spoil(next_root(2, by=()), expire, (*ROOTS, *NEW_ROOTS))
    with pytest.raises(ExpiredError):
        State.fresh().verify(roots=[expired])
    assert State.fresh().verify(roots=[expired, next_root(3, by=NEW_ROOTS)]).versions["root"] == 3


def test_one_key_under_two_ids_in_a_middle_root_cannot_appoint_the_next():
    """The last root is clean; the one before it let a single person be two."""
    alone = MALLORY
    middle = spoil(next_root(2, by=()), hold_alone(alone, "root"), (*ROOTS, alone, second_id(alone)))
    last = spoil(next_root(3, by=()), lambda _: None, (alone, second_id(alone), *NEW_ROOTS))
    with pytest.raises(FormatError, match="lower-case"):
        State.fresh().verify(roots=[middle, last])


def test_root_without_consistent_snapshots_is_refused():
    with pytest.raises(FormatError, match="consistent"):
        State.fresh().spoil("root", lambda d: d.update(consistent_snapshot=False)).verify()


def test_a_rotated_online_key_needs_a_timestamp_signed_by_the_new_one():
    new = person("online-2")

    def change(document: dict[str, Any]) -> None:
        document["keys"].update(key_row(new))
        for role in ("timestamp", "snapshot"):
            document["roles"][role]["keyids"] = [new.held.keyid]

    rotated = spoil(next_root(2, holders=ROOTS, by=()), change, ROOTS)
    state = State.fresh()
    with pytest.raises(ThresholdError, match="timestamp"):
        state.verify(roots=[rotated])
    state.spoil("snapshot", by=[new]).spoil("timestamp", by=[new])
    assert state.verify(roots=[rotated]).versions["root"] == 2


# --- the offered bytes are anything ---------------------------------------------------------------------


@pytest.mark.parametrize("role", TOP)
@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"\xff\xfe", b"[" * 50_000, b'{"signed":1,"signatures":2}'],
    ids=["0", "{}", "ff", "deep", "1"],
)
def test_nonsense_instead_of_metadata_is_a_refusal(role, data):
    state = State.fresh()
    if role == "root":
        state.anchor = data
    else:
        state.files[role] = data
    with pytest.raises(RejectedError):
        state.verify()


@pytest.mark.parametrize("role", ["snapshot", "targets", "skills", BIN])
def test_nonsense_that_the_parent_names_correctly_is_a_format_error(role):
    """As far as digests go, everything fits: the online key is the attacker's."""
    state = State.fresh()
    state.spoil(role)
    nonsense = b'{"signed":{"_type":"targets"},"signatures":[]}'
    facts = {"length": len(nonsense), "hashes": {"sha256": sha256_of(nonsense)}}
    parent = "timestamp" if role == "snapshot" else "snapshot"
    state.files[role] = nonsense
    state.files[parent] = spoil(
        state.files[parent], lambda d: d["meta"][f"{role}.json"].update(facts), [ONLINE]
    )
    if parent == "snapshot":
        state.close(keep_snapshot=True)
    with pytest.raises(FormatError):
        vouch(state)


def test_a_bundle_published_twice_with_two_bytes_is_one_answer_per_state():
    other = build_target(PIN.bundle_path, b"other bytes")
    state = State.fresh().spoil(BIN, lambda d: d["targets"].update({PIN.bundle_path: other.to_dict()}))
    trusted = state.verify()
    assert (
        trusted.vouch(PIN.bundle_path).sha256
        == trusted.vouch(PIN.bundle_path).sha256
        == sha256_of(b"other bytes")
    )
