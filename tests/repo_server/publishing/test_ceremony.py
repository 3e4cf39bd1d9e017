"""The first metadata: holders sign copies apart, nothing incomplete or altered becomes a repository."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import Root, Targets

from repo_server.config import RepositoryConfig
from repo_server.db import log
from repo_server.db.session import snapshot
from repo_server.publishing.ceremony import (
    Documents,
    check_complete,
    draft,
    merge,
    sign_documents,
    standing,
    standings,
)
from repo_server.publishing.install import install
from repo_server.repository import Repository
from signing.errors import ConflictError, FormatError, KeyAccessError, SkillRepoError, ThresholdError
from signing.format.names import HolderName
from signing.keys import HeldKey
from signing.keystore import KEY_SUFFIX, SealedKeySigner, load_key, new_key
from signing.metadata import Signatories, Topology, build_target, parse, render
from tests.support.world import CHEAP, PASSPHRASE, now

ROOTS = ("ruth", "rolf", "rita")
CURATORS = ("alice", "bob")
OPERATORS = ("olga", "otto")
EVERYBODY = (*ROOTS, *CURATORS, *OPERATORS)


@dataclass(frozen=True)
class People:
    held: Mapping[str, HeldKey]
    signers: Mapping[str, SealedKeySigner]

    def signatories(self, *names: str, threshold: int = 2) -> Signatories:
        return Signatories(keys=tuple(self.held[name] for name in names), threshold=threshold)

    def topology(self) -> Topology:
        return Topology(
            root=self.signatories(*ROOTS),
            curators=self.signatories(*CURATORS),
            operators=self.signatories(*OPERATORS),
            online=self.held["online"],
            bins=2,
        )

    def signed_by(self, documents: Documents, *names: str) -> dict[str, bytes]:
        signed = dict(documents)
        for name in names:
            signed, _ = sign_documents(signed, self.signers[name], now=now())
        return signed


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    folder = tmp_path_factory.mktemp("people")
    names = (*EVERYBODY, "online", "mallory")
    held = {name: new_key(folder, HolderName(name), passphrase=PASSPHRASE, cost=CHEAP) for name in names}
    signers = {
        name: load_key(folder / f"{name}{KEY_SUFFIX}", passphrase=lambda _: PASSPHRASE) for name in names
    }
    return People(held, signers)


@pytest.fixture
def drafted(people: People) -> dict[str, bytes]:
    return draft(people.topology(), now=now())


def install_in(folder: Path, documents: Documents, people: People, *, online: str = "online") -> Repository:
    return install(
        folder,
        config=RepositoryConfig(),
        documents=documents,
        online=people.signers[online],
        now=now(),
    )


def test_holders_sign_copies_apart_and_the_merged_ceremony_is_complete(
    people: People, drafted: dict[str, bytes], tmp_path: Path
) -> None:
    copies = [people.signed_by(drafted, name) for name in ("ruth", "rita", *CURATORS, *OPERATORS)]
    merged: dict[str, bytes] = drafted
    for copy in copies:
        merged = merge(merged, copy)
    check_complete(merged)
    repository = install_in(tmp_path / "repo", merged, people)
    with snapshot(repository.engine) as session:
        first = log.read(session)[0]
    repository.engine.dispose()
    assert first.event == "repository.created"
    assert first.facts["root_holders"] == sorted(ROOTS)
    assert repository.anchor == merged["root"]


def test_merging_twice_or_in_another_order_gives_the_same_signatures(
    people: People, drafted: dict[str, bytes]
) -> None:
    ruth, rolf = people.signed_by(drafted, "ruth"), people.signed_by(drafted, "rolf")
    one = merge(merge(ruth, rolf), rolf)
    other = merge(rolf, ruth)
    assert standing(one, "root").signed == standing(other, "root").signed == ("rolf", "ruth")


def test_status_says_who_is_missing(people: People, drafted: dict[str, bytes]) -> None:
    documents = people.signed_by(drafted, "ruth", "alice", "otto")
    found = {item.role: item for item in standings(documents)}
    assert (found["root"].signed, found["root"].missing) == (("ruth",), ("rita", "rolf"))
    assert (found["targets"].signed, found["targets"].missing) == (("alice",), ("bob",))
    assert found["revocations"].complete  # any one curator
    assert (found["profiles"].missing, found["profiles"].threshold) == (("olga",), 2)
    assert not found["skills-0"].complete


@pytest.mark.parametrize("absent", EVERYBODY)
def test_an_incomplete_ceremony_leaves_no_repository(
    people: People, drafted: dict[str, bytes], tmp_path: Path, absent: str
) -> None:
    present = [name for name in EVERYBODY if name not in {absent, "rita"} or (absent in ROOTS)]
    if absent in ROOTS:  # two of three are enough, one is not
        present = [name for name in present if name not in ROOTS or name == absent]
    documents = people.signed_by(drafted, *present)
    with pytest.raises(ThresholdError) as refused:
        install_in(tmp_path / "repo", documents, people)
    assert refused.value.facts["signed"] == 1
    assert not (tmp_path / "repo").exists()


def test_a_key_without_a_role_signs_nothing(people: People, drafted: dict[str, bytes]) -> None:
    documents, signed = sign_documents(drafted, people.signers["mallory"], now=now())
    assert signed == ()
    assert documents == drafted


def test_every_holder_signs_only_the_roles_that_are_theirs(people: People, drafted: dict[str, bytes]) -> None:
    assert sign_documents(drafted, people.signers["ruth"], now=now())[1] == ("root",)
    assert set(sign_documents(drafted, people.signers["olga"], now=now())[1]) == {"profiles"}
    assert set(sign_documents(drafted, people.signers["alice"], now=now())[1]) == {
        "targets",
        "skills",
        "revocations",
        "skills-0",
        "skills-1",
    }


def test_a_tampered_draft_is_refused_in_merge(people: People, drafted: dict[str, bytes]) -> None:
    tampered = dict(drafted)
    root = parse(drafted["root"], Root, where="root")
    root.signed.roles["root"].threshold = 1
    tampered["root"] = render(root)
    with pytest.raises(FormatError, match="not copies of one draft"):
        merge(drafted, people.signed_by(tampered, "ruth"))


@pytest.mark.parametrize("change", ["dropped", "added"])
def test_copies_with_other_roles_are_refused_in_merge(drafted: dict[str, bytes], change: str) -> None:
    other = dict(drafted)
    if change == "dropped":
        del other["skills-1"]
    else:
        other["skills-2"] = drafted["skills-1"]
    with pytest.raises(FormatError, match="not copies of one draft"):
        merge(drafted, other)
    with pytest.raises(FormatError):
        check_complete(other)


def test_a_copy_with_a_broken_signature_does_not_take_the_good_one_away(
    people: People, drafted: dict[str, bytes]
) -> None:
    good = people.signed_by(drafted, "ruth", "rolf")
    broken = {}
    for role, data in good.items():
        metadata = parse(data, Root if role == "root" else Targets, where=role)
        for signature in metadata.signatures.values():
            signature.signature = "00" * 64
        broken[role] = render(metadata)
    assert standing(merge(good, broken), "root").signed == ("rolf", "ruth")
    assert standing(merge(broken, good), "root").signed == ("rolf", "ruth")


def test_a_signature_moved_to_another_role_counts_for_nothing(
    people: People, drafted: dict[str, bytes]
) -> None:
    signed = people.signed_by(drafted, *EVERYBODY)
    bins = parse(signed["skills-0"], Targets, where="skills-0")
    profiles = parse(signed["profiles"], Targets, where="profiles")
    profiles.signatures.clear()
    profiles.signatures.update(bins.signatures)
    signed["profiles"] = render(profiles)
    with pytest.raises(ThresholdError) as refused:
        check_complete(signed)
    assert refused.value.facts["role"] == "profiles"


def test_two_holders_of_one_key_are_refused(people: People) -> None:
    twin = HeldKey(holder=HolderName("twin"), public=people.held["ruth"].public)
    with pytest.raises(FormatError, match="twice"):
        Signatories(keys=(people.held["ruth"], twin), threshold=2)


def test_two_keys_of_one_holder_are_refused(people: People) -> None:
    twin = HeldKey(holder=HolderName("ruth"), public=people.held["rolf"].public)
    with pytest.raises(FormatError, match="same holder"):
        Signatories(keys=(people.held["ruth"], twin), threshold=2)


@pytest.mark.parametrize("threshold", [-1, 0, 4])
def test_a_threshold_that_the_keys_cannot_meet_is_refused(people: People, threshold: int) -> None:
    with pytest.raises(FormatError, match="cannot be met"):
        people.signatories(*ROOTS, threshold=threshold)


def test_a_lowered_threshold_in_a_draft_is_not_signed_unseen(
    people: People, drafted: dict[str, bytes]
) -> None:
    targets = parse(drafted["targets"], Targets, where="targets")
    assert targets.signed.delegations is not None
    assert targets.signed.delegations.roles is not None
    targets.signed.delegations.roles["skills"].threshold = 0
    tampered = {**drafted, "targets": targets.to_bytes()}
    with pytest.raises(FormatError):
        sign_documents(tampered, people.signers["alice"], now=now())


@pytest.mark.parametrize(
    "what", ["paths", "term", "one curator", "not terminating", "a target", "another version"]
)
def test_a_draft_that_is_not_ours_is_signed_by_nobody(
    people: People, drafted: dict[str, bytes], what: str
) -> None:
    role = "profiles" if what in {"a target", "another version", "term"} else "targets"
    metadata = parse(drafted[role], Targets, where=role)
    delegations = metadata.signed.delegations
    if delegations is not None and delegations.roles is not None:
        skills = delegations.roles["skills"]
        skills.paths = ["*"] if what == "paths" else skills.paths
        skills.threshold = 1 if what == "one curator" else skills.threshold
        skills.terminating = what != "not terminating"
    if what == "term":
        metadata.signed.expires = now() + timedelta(days=4000)
    if what == "another version":
        metadata.signed.version = 7
    if what == "a target":
        metadata.signed.targets["profiles/a/1.json"] = build_target("profiles/a/1.json", b"{}")
    tampered = {**drafted, role: metadata.to_bytes()}
    for name in EVERYBODY:
        with pytest.raises(FormatError):
            sign_documents(tampered, people.signers[name], now=now())


def test_a_foreign_online_key_is_refused(people: People, drafted: dict[str, bytes], tmp_path: Path) -> None:
    documents = people.signed_by(drafted, *EVERYBODY)
    with pytest.raises(KeyAccessError):
        install_in(tmp_path / "repo", documents, people, online="mallory")
    assert not (tmp_path / "repo").exists()


def test_a_repository_is_not_made_over_another(
    people: People, drafted: dict[str, bytes], tmp_path: Path
) -> None:
    documents = people.signed_by(drafted, *EVERYBODY)
    install_in(tmp_path / "repo", documents, people).engine.dispose()
    before = (tmp_path / "repo/repository.db").read_bytes()
    with pytest.raises(ConflictError):
        install_in(tmp_path / "repo", documents, people)
    assert (tmp_path / "repo/repository.db").read_bytes() == before


def test_a_database_that_holds_a_repository_already_is_refused(
    people: People, drafted: dict[str, bytes], tmp_path: Path
) -> None:
    """A database named by --db is not ours to empty."""
    documents = people.signed_by(drafted, *EVERYBODY)
    shared = f"sqlite:///{tmp_path / 'shared.db'}"
    arguments = {
        "config": RepositoryConfig(),
        "documents": documents,
        "online": people.signers["online"],
        "now": now(),
        "database": shared,
    }
    install(tmp_path / "one", **arguments).engine.dispose()  # type: ignore[arg-type]
    with pytest.raises(ConflictError):
        install(tmp_path / "two", **arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "two/repository.toml").exists()


def test_drafts_of_different_days_are_not_one_draft(people: People, drafted: dict[str, bytes]) -> None:
    later = draft(people.topology(), now=now() + timedelta(days=1))
    with pytest.raises(FormatError):
        merge(drafted, later)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"signed": 1}', b"[" * 100_000])
def test_documents_that_are_no_metadata_are_refused(drafted: dict[str, bytes], data: bytes) -> None:
    broken = {**drafted, "skills-0": data}
    with pytest.raises(SkillRepoError):
        check_complete(broken)
    with pytest.raises(FormatError):
        merge(broken, broken)
