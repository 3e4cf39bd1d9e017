"""Our own rules on TUF metadata: what python-tuf accepts and we do not."""

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from signing.errors import FormatError
from signing.format.digest import sha256_of
from signing.keys import HeldKey
from signing.metadata import (
    MAX_METADATA_BYTES,
    MAX_TARGET_BYTES,
    Signatories,
    Topology,
    build_first,
    build_root,
    build_skills,
    build_snapshot,
    build_target,
    build_targets,
    build_timestamp,
    lint_meta,
    lint_root,
    lint_targets,
    parse,
    parse_signed,
    render,
    sign,
    signed_bytes,
    target_sha256,
    with_targets,
)
from tests.signing.people import person
from tests.signing.repository import NOW, TOPOLOGY, State, held

ALICE, BOB, OLGA = person("alice"), person("bob"), person("olga")
PATH = "skills/web-search/1.0/web-search-1.0.tar.gz"
SHA = sha256_of(b"x")


def root() -> Root:
    return build_root(TOPOLOGY, version=1, now=NOW).signed


def targets() -> Targets:
    return build_targets(TOPOLOGY, version=1, now=NOW).signed


# --- who may hold a role --------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [-1, 0, 3])
def test_a_threshold_that_is_nothing_or_cannot_be_met_is_refused(threshold):
    with pytest.raises(FormatError, match="threshold"):
        held(ALICE, BOB, threshold=threshold)


def test_a_role_that_nobody_holds_is_refused():
    with pytest.raises(FormatError):
        Signatories(keys=(), threshold=1)


def test_one_key_under_two_names_is_refused():
    twin = HeldKey(holder=OLGA.held.holder, public=ALICE.held.public)
    with pytest.raises(FormatError, match="one key stands there twice"):
        Signatories(keys=(ALICE.held, twin), threshold=2)


def test_one_name_for_two_keys_is_refused():
    with pytest.raises(FormatError, match="same holder"):
        held(ALICE, person("other", holder="alice"), threshold=2)


# --- lint of root ---------------------------------------------------------------------------------------


def test_the_roots_that_we_build_pass():
    lint_root(root())
    assert root().consistent_snapshot is True


def test_root_without_consistent_snapshots_is_refused():
    spoiled = root()
    spoiled.consistent_snapshot = False
    with pytest.raises(FormatError, match="consistent"):
        lint_root(spoiled)


@pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp"])
@pytest.mark.parametrize("threshold", [0, 9])
def test_root_with_a_threshold_of_nothing_or_above_its_keys_is_refused(role, threshold):
    spoiled = root()
    spoiled.roles[role].threshold = threshold
    with pytest.raises(FormatError, match="threshold"):
        lint_root(spoiled)


def test_root_that_counts_a_key_which_is_not_there_is_refused():
    spoiled = root()
    spoiled.roles["timestamp"].keyids.append("0" * 64)
    spoiled.roles["timestamp"].threshold = 2
    with pytest.raises(FormatError, match="not there"):
        lint_root(spoiled)


def test_one_root_key_under_two_ids_is_refused():
    spoiled = root()
    twin = HeldKey(holder=OLGA.held.holder, public=person("root-1").held.public.upper()).to_tuf()
    spoiled.add_key(twin, "root")
    with pytest.raises(FormatError, match="lower-case"):
        lint_root(spoiled)


# --- lint of targets ------------------------------------------------------------------------------------


def named(**hashes: str) -> Targets:
    return Targets(targets={PATH: TargetFile(1, hashes, PATH)})


@pytest.mark.parametrize(
    "hashes",
    [
        {"md5": "0" * 32},
        {"sha512": "0" * 128},
        {"sha256": SHA, "sha512": "0" * 128},
        {"md5": "0" * 32, "sha256": SHA},
        {"sha256": SHA.upper()},
        {"sha256": SHA[:-1]},
        {"SHA256": SHA},
    ],
    ids=[
        "md5 only",
        "sha512 only",
        "extra sha512",
        "extra md5",
        "upper case",
        "short",
        "algorithm in upper case",
    ],
)
def test_a_target_named_by_anything_but_one_sha256_is_refused(hashes):
    with pytest.raises(FormatError) as caught:
        lint_targets(named(**hashes), where="skills-0")
    assert caught.value.where == f"skills-0: {PATH}"
    with pytest.raises(FormatError):
        target_sha256(named(**hashes).targets[PATH], where="x")


def test_a_target_larger_than_the_limit_is_refused():
    large = Targets(targets={PATH: TargetFile(MAX_TARGET_BYTES + 1, {"sha256": SHA}, PATH)})
    with pytest.raises(FormatError, match="larger than"):
        lint_targets(large, where="skills-0")


def test_one_delegated_key_under_two_ids_is_refused():
    spoiled = targets()
    assert spoiled.delegations is not None
    twin = HeldKey(holder=OLGA.held.holder, public=ALICE.held.public.upper()).to_tuf()
    spoiled.delegations.keys[twin.keyid] = twin
    with pytest.raises(FormatError, match="lower-case"):
        lint_targets(spoiled, where="targets")


@pytest.mark.parametrize("threshold", [0, 3])
def test_a_delegation_with_a_threshold_of_nothing_or_above_its_keys_is_refused(threshold):
    spoiled = targets()
    assert spoiled.delegations is not None
    assert spoiled.delegations.roles is not None
    spoiled.delegations.roles["skills"].threshold = threshold
    with pytest.raises(FormatError, match="threshold"):
        lint_targets(spoiled, where="targets")


@pytest.mark.parametrize("threshold", [0, 3])
def test_bins_with_a_threshold_of_nothing_or_above_their_keys_are_refused(threshold):
    spoiled = build_skills(TOPOLOGY, version=1, now=NOW).signed
    assert spoiled.delegations is not None
    assert spoiled.delegations.succinct_roles is not None
    spoiled.delegations.succinct_roles.threshold = threshold
    with pytest.raises(FormatError, match="threshold"):
        lint_targets(spoiled, where="skills")


def test_a_delegation_to_a_key_that_is_not_there_is_refused():
    role = DelegatedRole("skills", [ALICE.held.keyid], 1, terminating=True, paths=["skills/*/*/*"])
    spoiled = Targets(delegations=Delegations({}, {"skills": role}))
    with pytest.raises(FormatError, match="not there"):
        lint_targets(spoiled, where="targets")


def test_what_we_build_passes():
    lint_targets(targets(), where="targets")
    lint_targets(build_skills(TOPOLOGY, version=1, now=NOW).signed, where="skills")


def test_the_top_level_names_no_file_itself_and_every_delegation_ends_the_search():
    built = targets()
    assert built.targets == {}
    assert built.delegations is not None
    assert {role.terminating for role in (built.delegations.roles or {}).values()} == {True}


def test_publishing_needs_two_curators_and_revoking_one():
    built = targets()
    assert built.delegations is not None
    roles = built.delegations.roles or {}
    assert (roles["skills"].threshold, roles["revocations"].threshold) == (2, 1)
    assert set(roles["skills"].keyids) == set(roles["revocations"].keyids)


def test_a_number_of_bins_that_is_no_power_of_two_is_refused():
    odd = Topology(
        root=TOPOLOGY.root,
        curators=TOPOLOGY.curators,
        operators=TOPOLOGY.operators,
        online=TOPOLOGY.online,
        bins=3,
    )
    with pytest.raises(FormatError):
        build_skills(odd, version=1, now=NOW)


# --- snapshot and timestamp -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "meta",
    [
        MetaFile(1),
        MetaFile(1, 10),
        MetaFile(1, None, {"sha256": SHA}),
        MetaFile(1, 10, {"md5": "0" * 32}),
        MetaFile(1, 10, {"sha256": SHA, "sha512": "0" * 128}),
        MetaFile(1, 10, {"sha256": SHA.upper()}),
    ],
    ids=["version only", "no hash", "no length", "md5", "extra sha512", "upper case"],
)
def test_a_file_named_without_length_or_with_anything_but_sha256_is_refused(meta):
    with pytest.raises(FormatError):
        lint_meta(meta, where="snapshot")


def test_snapshot_and_timestamp_give_version_length_and_sha256():
    files = State.fresh().files
    snapshot = build_snapshot({"targets": files["targets"]}, version=7, now=NOW)
    assert lint_meta(snapshot.signed.meta["targets.json"], where="x") == (
        len(files["targets"]),
        sha256_of(files["targets"]),
    )
    timestamp = build_timestamp(render(snapshot), version=8, now=NOW).signed.snapshot_meta
    assert (timestamp.version, timestamp.length) == (7, len(render(snapshot)))


def test_a_snapshot_over_something_else_is_not_built():
    with pytest.raises(FormatError):
        build_snapshot({"targets": State.fresh().files["timestamp"]}, version=1, now=NOW)
    with pytest.raises(FormatError):
        build_timestamp(State.fresh().files["targets"], version=1, now=NOW)


# --- one path, one artefact -----------------------------------------------------------------------------


def test_other_bytes_under_a_published_path_are_refused():
    base = Targets(targets={PATH: build_target(PATH, b"first")})
    with pytest.raises(FormatError, match="published with other bytes") as caught:
        with_targets(base, {PATH: build_target(PATH, b"other")}, role="skills-0", now=NOW)
    assert caught.value.where == "skills-0"
    assert base.targets[PATH] == build_target(PATH, b"first")


def test_another_claim_about_the_same_bytes_is_refused():
    base = Targets(targets={PATH: build_target(PATH, b"first", {"name": "a"})})
    with pytest.raises(FormatError, match="published with other bytes"):
        with_targets(base, {PATH: build_target(PATH, b"first", {"name": "b"})}, role="skills-0", now=NOW)


def test_the_same_target_again_is_no_change_and_the_base_is_left_alone():
    base = Targets(version=4, targets={PATH: build_target(PATH, b"first")})
    other = PATH.replace("1.0", "1.1")
    successor = with_targets(
        base,
        {PATH: build_target(PATH, b"first"), other: build_target(other, b"new")},
        role="skills-0",
        now=NOW,
    ).signed
    assert (successor.version, base.version) == (5, 4)
    assert set(successor.targets) == {PATH, other}
    assert set(base.targets) == {PATH}
    assert successor.expires == NOW + timedelta(days=180)


def test_the_revocation_list_may_be_replaced_when_that_is_said():
    base = Targets(targets={"revocations.json": build_target("revocations.json", b"old")})
    new = build_target("revocations.json", b"new")
    successor = with_targets(base, {"revocations.json": new}, role="revocations", now=NOW, replace=True)
    assert successor.signed.targets["revocations.json"] == new


def test_an_addition_that_breaks_our_rules_is_refused():
    weak = TargetFile(1, {"md5": "0" * 32}, PATH)
    with pytest.raises(FormatError):
        with_targets(Targets(), {PATH: weak}, role="skills-0", now=NOW)


# --- signing --------------------------------------------------------------------------------------------


def test_signing_keeps_the_other_signatures():
    """python-tuf's own default drops them."""
    metadata = build_first("skills-0", now=NOW)
    sign(metadata, ALICE)
    first = dict(metadata.signatures)
    sign(metadata, BOB)
    assert set(metadata.signatures) == {ALICE.held.keyid, BOB.held.keyid}
    assert metadata.signatures[ALICE.held.keyid] == first[ALICE.held.keyid]
    sign(metadata, ALICE)
    assert len(metadata.signatures) == 2


# --- parsing --------------------------------------------------------------------------------------------

KINDS = {"root": Root, "targets": Targets, "snapshot": Snapshot, "timestamp": Timestamp}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", KINDS)
def test_metadata_of_another_type_is_refused(kind, other):
    state = State.fresh()
    data = {**state.files, "root": state.anchor}[kind]
    if kind == other:
        assert parse(data, KINDS[other], where=kind).signed.type == kind
        return
    with pytest.raises(FormatError, match=f"is {kind} metadata, not {other}"):
        parse(data, KINDS[other], where=kind)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"signed":' * 5_000,
        b'{"signed":{},"signatures":[]}',
    ],
    ids=["empty", "{}", "[]", "null", "ff", "deep", "deep objects", "hollow"],
)
def test_what_is_not_metadata_is_a_format_error(data):
    with pytest.raises(FormatError) as caught:
        parse(data, Targets, where="skills-0")
    assert caught.value.where == "skills-0"


def test_metadata_larger_than_the_limit_is_refused_unread():
    with pytest.raises(FormatError, match="larger than"):
        parse(bytes(MAX_METADATA_BYTES + 1), Targets, where="skills-0")


@pytest.mark.parametrize("value", ["1.5", "NaN", "Infinity", '"\\ud800"', '{"\\ud800":1}'])
@pytest.mark.parametrize("role", ["root", "timestamp", "skills"])
def test_a_value_that_has_no_canonical_spelling_is_a_format_error(role, value):
    """It parses; python-tuf would fail only where signatures are checked, with an error of its own."""
    state = State.fresh()
    data = {**state.files, "root": state.anchor}[role]
    spoiled = data.replace(b'"signed":{', b'"signed":{"x-extra":' + value.encode() + b",", 1)
    assert spoiled != data
    with pytest.raises(FormatError):
        parse(spoiled, KINDS.get(role, Targets), where=role)


TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])), st.text('\\"/\x00\n\t\x1f\x7f\u2028é', max_size=6)
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)


@given(extra=VALUES, custom=st.dictionaries(TEXTS, VALUES, max_size=3))
def test_what_signatures_are_about_is_what_python_tuf_says(extra, custom):
    """Two spellings of what is signed would be two answers to whether it is."""
    target = TargetFile(1, {"sha256": SHA}, PATH, {"custom": custom})
    data = json.dumps({
        "signatures": [],
        "signed": {**json.loads(render(build_first("skills-0", target, now=NOW)))["signed"], "x-extra": extra},
    }).encode()  # fmt: skip
    metadata, about = parse_signed(data, Targets, where="skills-0")
    assert about == signed_bytes(metadata.signed) == metadata.signed_bytes


@pytest.mark.parametrize(
    "spoil", [{"length": 0}, {"sha": "0" * 63}, {"sha": "G" * 64}, {"sha": "0" * 65}], ids=str
)
def test_one_bad_target_among_many_is_found(spoil):
    named = {f"{PATH}{number}": TargetFile(1, {"sha256": SHA}, f"{PATH}{number}") for number in range(50)}
    named[f"{PATH}31"].hashes["sha256"] = spoil.get("sha", SHA)
    named[f"{PATH}31"].length = MAX_TARGET_BYTES + 1 if "length" in spoil else 1
    named[f"{PATH}32"].hashes["sha256"] = SHA[: 64 + 64 - len(spoil.get("sha", SHA))]
    with pytest.raises(FormatError) as caught:
        lint_targets(Targets(targets=named), where="skills-0")
    assert f"{PATH}31" in (caught.value.where or "")


def test_every_truncation_is_a_format_error():
    data = State.fresh().files["timestamp"]
    for length in range(len(data)):
        with pytest.raises(FormatError):
            parse(data[:length], Timestamp, where="timestamp")


def test_printed_metadata_is_compact_and_read_back_unchanged():
    for data in State.fresh().files.values():
        assert b"\n" not in data
        document = json.loads(data)
        assert set(document) == {"signed", "signatures"}
