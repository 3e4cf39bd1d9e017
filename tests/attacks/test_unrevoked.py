"""Whoever holds one curator's key (and the online key) takes a withdrawal back: it needs the threshold, and shows."""

from dataclasses import replace

import pytest

from signing.errors import QuarantinedError, RejectedError, RevokedError, RollbackError, YankedError
from signing.format.digest import sha256_of
from signing.format.envelope import Envelope, EnvelopeSignature
from signing.format.names import Pin
from signing.format.revocations import MAX_ENTRIES, MAX_LIST_BYTES
from signing.format.scope import NamedRelease
from signing.format.withdrawal import Harm, NamedProfile, Withdrawal, Withdrawn
from tests.attacks.forge import Forge
from tests.attacks.scene import Scene


def offer(scene: Scene, forge: Forge) -> None:
    forge.state()
    forge.answer(scene.server)


@pytest.fixture
def revoked(scene: Scene, forge: Forge) -> Withdrawal:
    entry = forge.revoke(name="web-search", version="1.0")
    offer(scene, forge)
    return entry


def seen(scene: Scene) -> bytes:
    return (scene.metadata / "seen-withdrawals").read_bytes()


# --- a list that lost an entry -----------------------------------------------------------------------


def test_a_list_that_lost_an_entry_is_refused(scene: Scene, forge: Forge, revoked: Withdrawal) -> None:
    """Newer, correctly signed by bob, and shorter: no version number shows what it lacks."""
    scene.refused(RevokedError, code="revoked")
    memory = seen(scene)
    forge.withdrawals(by=["bob"])
    offer(scene, forge)
    refusal = scene.refused(RollbackError, code="rollback")
    assert "lost or changed an entry" in refusal.error.message
    assert not refusal.fetched(".tar.gz")
    assert seen(scene) == memory
    forge.withdrawals(revoked)  # and the honest list is taken again
    offer(scene, forge)
    scene.refused(RevokedError, code="revoked")


@pytest.mark.parametrize(
    "alter",
    [
        {"state": Withdrawn.YANKED, "severity": None},
        {"severity": Harm.LOW},
        {"reason": "nothing much"},
        {"by": "alice"},
    ],
    ids="+".join,
)
def test_a_weakened_entry_is_a_lost_one(
    scene: Scene, forge: Forge, revoked: Withdrawal, alter: dict[str, object]
) -> None:
    scene.refused(RevokedError)
    forge.withdrawals(replace(revoked, **alter), by=["bob"])
    offer(scene, forge)
    scene.refused(RollbackError, code="rollback")


def test_an_entry_in_another_place_is_a_lost_one(scene: Scene, forge: Forge, revoked: Withdrawal) -> None:
    scene.refused(RevokedError)
    other = replace(revoked, reason="an entry before it")
    forge.withdrawals(other, revoked, by=["bob"])
    offer(scene, forge)
    scene.refused(RollbackError, code="rollback")


def test_the_host_notices_when_the_client_has_forgotten(
    scene: Scene, forge: Forge, revoked: Withdrawal
) -> None:
    """The folder's memory is gone; the database of the host remembers what a birth was decided by."""
    forge.revoke(name="calendar")
    forge.withdrawals(forge.listed().entries[1])  # nothing about web-search: a host that saw only this
    offer(scene, forge)
    scene.born()
    (scene.metadata / "seen-withdrawals").unlink()
    scene.register("other")
    forge.withdrawals(by=["bob"])
    offer(scene, forge)
    refusal = scene.refused(RollbackError, code="rollback", name="other")
    assert "lost or changed an entry" in refusal.error.message


def test_who_never_saw_the_list_cannot_know(scene: Scene, forge: Forge, revoked: Withdrawal) -> None:
    """What a client without memory cannot know (docs/decisions/0014): this birth is let through, and it shows."""
    forge.withdrawals(by=["bob"])
    offer(scene, forge)
    scene.born()


@pytest.mark.parametrize("damage", [b"", b"{", b"null", b'{"count":1}', bytes(300)], ids=range(5))
def test_a_damaged_memory_refuses(scene: Scene, forge: Forge, revoked: Withdrawal, damage: bytes) -> None:
    scene.refused(RevokedError)
    (scene.metadata / "seen-withdrawals").write_bytes(damage)
    scene.refused(RejectedError, code="could-not-verify")
    assert seen(scene) == damage


# --- a lifting that does not count -------------------------------------------------------------------


@pytest.mark.parametrize(
    "signers",
    [[], ["bob"], ["bob", "mallory"], ["bob", "online"], ["bob", "olga", "root-1"]],
    ids="+".join,
)
def test_one_curator_lifts_nothing(
    scene: Scene, forge: Forge, revoked: Withdrawal, signers: list[str]
) -> None:
    scene.refused(RevokedError)
    forge.withdrawals(forge.lifting(revoked, by=signers))
    offer(scene, forge)
    scene.refused(RevokedError, code="revoked")


def test_enough_curators_lift(scene: Scene, forge: Forge, revoked: Withdrawal) -> None:
    scene.refused(RevokedError)
    forge.withdrawals(forge.lifting(revoked, by=["alice", "bob"]))
    offer(scene, forge)
    scene.born()


def test_a_lifting_of_another_entry_is_none(scene: Scene, forge: Forge, revoked: Withdrawal) -> None:
    """Signed by both, for a false alarm of last year; bob puts it beside today's entry."""
    earlier = replace(revoked, reason="a false alarm")
    forge.withdrawals(revoked, forge.lifting(earlier, by=["alice", "bob"]))
    offer(scene, forge)
    scene.refused(RevokedError, code="revoked")
    forge.withdrawals(
        forge.lifting(revoked, by=["alice", "bob"], about=earlier),
        forge.lifting(earlier, by=["alice", "bob"]),
    )
    offer(scene, forge)
    scene.refused(RevokedError, code="revoked")


def test_a_review_s_signatures_are_no_lifting(scene: Scene, forge: Forge, revoked: Withdrawal) -> None:
    """Both curators signed *something*: the envelope of another kind of statement lifts nothing."""
    review = forge.review("web-search==1.0", sha256_of(b"x"), sha256_of(b"y"), by=["alice", "bob"])
    forge.withdrawals(revoked.with_lifting(Envelope.parse(review)))
    offer(scene, forge)
    scene.refused(RevokedError, code="revoked")


def test_signatures_from_another_lifting_do_not_fit(scene: Scene, forge: Forge, revoked: Withdrawal) -> None:
    """Alice's signature is taken from her reinstatement of another entry."""
    other = replace(revoked, reason="a false alarm")
    hers = forge.lifting(other, by=["alice"]).lifted
    mine = forge.lifting(revoked, by=["bob"]).lifted
    assert hers is not None
    assert mine is not None
    envelope = mine.with_signature(EnvelopeSignature(**_parts(hers.signatures[0])))
    forge.withdrawals(revoked.with_lifting(envelope))
    offer(scene, forge)
    scene.refused(RevokedError, code="revoked")


def _parts(signature: EnvelopeSignature) -> dict[str, object]:
    return {"keyid": signature.keyid, "signature": signature.signature}


# --- what withdrawals do -----------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["bundle", "tree", "version", "name", "publisher"])
@pytest.mark.parametrize(
    ("state", "error"),
    [
        (Withdrawn.REVOKED, RevokedError),
        (Withdrawn.QUARANTINED, QuarantinedError),
        (Withdrawn.YANKED, YankedError),
    ],
    ids=["revoked", "quarantined", "yanked"],
)
def test_what_is_still_listed_is_refused(
    scene: Scene, forge: Forge, by: str, state: Withdrawn, error: type[RejectedError]
) -> None:
    """`skills` names it, correctly signed, fresh; the profile pins it. The list says no."""
    target = forge.read(forge.owner(Pin.parse("web-search==1.0").bundle_path)).signed.targets[
        Pin.parse("web-search==1.0").bundle_path
    ]
    release = NamedRelease(
        pin=Pin.parse("web-search==1.0"),
        bundle_sha256=target.hashes["sha256"],
        tree_sha256=target.custom["tree_sha256"],
    )
    what = {
        "bundle": {"sha256": release.bundle_sha256},
        "tree": {"sha256": release.tree_sha256},
        "version": {"name": "web-search", "version": "1.0"},
        "name": {"name": "web-search"},
        "publisher": {"publisher": "clawhub:@owner", "releases": (release,)},
    }[by]
    entry = forge.revoke(state=state, **what)
    offer(scene, forge)
    refusal = scene.refused(error, code=state.value)
    assert refusal.error.facts["withdrawal"] == entry.id
    assert scene.events()[-1].facts["error"]["facts"]["withdrawal"] == entry.id


def test_a_profile_of_before_goes_on_with_what_is_yanked(scene: Scene, forge: Forge) -> None:
    digest = next(iter(forge.read("profiles").signed.targets.values())).hashes["sha256"]
    kept = NamedProfile(pin=Pin.parse("base==1"), sha256=digest)
    entry = forge.revoke(state=Withdrawn.YANKED, name="web-search", kept_by=(kept,))
    offer(scene, forge)
    scene.born()
    record = next(item for item in scene.events() if item.event == "admission")
    assert record.facts["yanked"] == [
        {"withdrawal": entry.id, "by": "bob", "at": record.facts["yanked"][0]["at"], "reason": entry.reason}
    ]


def test_another_profile_of_the_same_name_does_not(scene: Scene, forge: Forge) -> None:
    kept = NamedProfile(pin=Pin.parse("base==1"), sha256=sha256_of(b"another"))
    forge.revoke(state=Withdrawn.YANKED, name="web-search", kept_by=(kept,))
    offer(scene, forge)
    scene.refused(YankedError, code="yanked")


def test_a_grave_withdrawal_counts_beside_a_light_one(scene: Scene, forge: Forge) -> None:
    digest = next(iter(forge.read("profiles").signed.targets.values())).hashes["sha256"]
    kept = NamedProfile(pin=Pin.parse("base==1"), sha256=digest)
    forge.revoke(state=Withdrawn.YANKED, name="web-search", kept_by=(kept,))
    forge.revoke(state=Withdrawn.QUARANTINED, name="web-search")
    offer(scene, forge)
    scene.refused(QuarantinedError, code="quarantined")


# --- denial ------------------------------------------------------------------------------------------


def test_one_curator_can_stop_births_and_everybody_sees_who(scene: Scene, forge: Forge) -> None:
    """There is no entry that means everything; a list that names everything is signed, and can be lifted."""
    entries = [forge.revoke(name=name) for name in ("web-search", "calendar", "pdf-tools")]
    offer(scene, forge)
    refusal = scene.refused(RevokedError, code="revoked")
    assert refusal.error.facts["by"] == "bob"
    forge.withdrawals(*(forge.lifting(entry, by=["alice", "bob"]) for entry in entries))
    offer(scene, forge)
    scene.born()


def test_a_list_that_is_too_long_is_not_fetched(scene: Scene, forge: Forge) -> None:
    data = b" " * (MAX_LIST_BYTES + 1)
    forge.add("revocations.json", data, by=["bob"])
    offer(scene, forge)
    refusal = scene.refused(RejectedError, code="malformed")
    assert not refusal.targets


def test_a_list_of_too_many_entries_is_refused(scene: Scene, forge: Forge, revoked: Withdrawal) -> None:
    document = forge.listed().render()
    entry = document[document.index(b"[") + 1 : document.rindex(b"]")]
    many = document[: document.index(b"[") + 1] + b",".join([entry] * (MAX_ENTRIES + 1)) + b"]"
    forge.add("revocations.json", many + document[document.rindex(b"]") + 1 :], by=["bob"])
    offer(scene, forge)
    scene.refused(RejectedError, code="malformed")


def test_an_old_list_in_a_new_state_is_refused(scene: Scene, forge: Forge, revoked: Withdrawal) -> None:
    """Replay: the list of before the revocation, brought back by the online key under a newer snapshot."""
    scene.refused(RevokedError)
    memory, old = seen(scene), scene.forge()
    versions = scene.remembered()
    old.state(
        snapshot=[lambda signed: setattr(signed, "version", versions["snapshot"] + 1)],
        timestamp=[lambda signed: setattr(signed, "version", versions["timestamp"] + 1)],
    )
    old.answer(scene.server)
    refusal = scene.refused(RollbackError, code="rollback")
    assert not refusal.targets
    assert seen(scene) == memory
