"""Profiles and locks: a complete, ordered list of pinned bytes."""

import json

import pytest

from signing.errors import FormatError
from signing.format.digest import sha256_of
from signing.format.manifest import Kind
from signing.format.profile import MAX_ITEMS, Lock, Profile, parse_capability
from tests.signing.format.samples import pinned, places, profile, spelled, spoiled, walk

PROFILE = profile()
RENDERED = PROFILE.render()


@pytest.mark.parametrize(
    "given",
    [PROFILE, profile(souls=()), profile(capabilities=()), profile(skills=(pinned("a==1"),))],
    ids=["full", "no souls", "no capabilities", "one skill"],
)
def test_a_printed_profile_is_read_back_unchanged(given):
    assert Profile.parse(given.render()) == given


def test_a_profile_of_nothing_is_refused():
    """Otherwise a birth of nothing would be "everything admitted"."""
    with pytest.raises(FormatError, match="pins no skill"):
        profile(skills=())
    with pytest.raises(FormatError, match="pins no skill"):
        Profile.parse(spoiled(RENDERED, lambda d: d.update(skills=[])))


@pytest.mark.parametrize(
    "changes",
    [
        {"skills": (pinned("a==1"), pinned("a==1"))},
        {"skills": (pinned("a==1"), pinned("a==2"))},
        {"souls": (pinned("web-search==1.2.0"),)},
        {"souls": (pinned("calm==1"), pinned("calm==2"))},
        {"skills": (pinned("b==1"), pinned("a==1"))},
        {"capabilities": ("work.web", "work.general")},
        {"capabilities": ("work.web", "work.web")},
    ],
    ids=[
        "twice",
        "two versions",
        "skill and soul",
        "two souls",
        "unsorted",
        "capabilities",
        "capability twice",
    ],
)
def test_a_profile_with_two_answers_is_refused(changes):
    with pytest.raises(FormatError):
        profile(**changes)


def test_souls_keep_their_order():
    souls = (pinned("zeal==1"), pinned("calm==1"))
    assert Profile.parse(profile(souls=souls).render()).souls == souls


def test_items_say_which_kind_they_must_be():
    assert [kind for kind, _ in PROFILE.items()] == [Kind.SKILL, Kind.SKILL, Kind.SOUL]


@pytest.mark.parametrize("at", places(json.loads(RENDERED)), ids=lambda at: spelled("profile", at))
def test_an_unknown_key_is_refused_at_its_place(at):
    with pytest.raises(FormatError, match="unknown key") as caught:
        Profile.parse(spoiled(RENDERED, lambda document: walk(document, at).update(optional=True)))
    assert caught.value.where == spelled("profile", at)


@pytest.mark.parametrize(
    ("at", "key"),
    [(at, key) for at in places(json.loads(RENDERED)) for key in walk(json.loads(RENDERED), at)],
    ids=lambda part: spelled("", part) if isinstance(part, tuple) else part,
)
def test_a_missing_key_is_refused_at_its_place(at, key):
    with pytest.raises(FormatError) as caught:
        Profile.parse(spoiled(RENDERED, lambda document: walk(document, at).pop(key)))
    assert caught.value.where == spelled("profile", (*at, key))


SPOILS = {
    "a version range": (lambda d: d["skills"][0].update(version=">=1"), "profile.skills[0].version"),
    "another spelling": (lambda d: d["skills"][0].update(version="2.00"), "profile.skills[0].version"),
    "no digest": (lambda d: d["skills"][1].update(tree_sha256=None), "profile.skills[1].tree_sha256"),
    "capability": (lambda d: d.update(capabilities=["Work"]), "profile.capabilities[0]"),
    "schema of a lock": (
        lambda d: d.update(schema="https://skills.clawdie.si/schema/lock/v1"),
        "profile.schema",
    ),
}


@pytest.mark.parametrize(("spoil", "where"), SPOILS.values(), ids=SPOILS)
def test_a_malformed_profile_is_refused_at_its_place(spoil, where):
    with pytest.raises(FormatError) as caught:
        Profile.parse(spoiled(RENDERED, spoil))
    assert caught.value.where == where


def test_too_many_skills_are_refused():
    rows = [pinned(f"s{number:03}==1").to_json() for number in range(MAX_ITEMS + 1)]
    with pytest.raises(FormatError, match="more than 200"):
        Profile.parse(spoiled(RENDERED, lambda d: d.update(skills=rows)))


@pytest.mark.parametrize(
    "text",
    ["", "Work", "work.", ".work", "work..x", "work general", "work\n", "wörk", "1work", "*", "a" * 65, None],
)
def test_other_spellings_of_a_capability_are_refused(text):
    with pytest.raises(FormatError):
        parse_capability(text)


# --- locks ----------------------------------------------------------------------------------------------


def test_a_lock_is_a_function_of_the_profile_alone():
    assert Lock.of(Profile.parse(RENDERED)).render() == Lock.of(PROFILE).render()
    assert Lock.of(PROFILE).profile_sha256 == sha256_of(RENDERED)


def test_a_lock_changes_with_every_field_of_the_profile():
    others = [
        profile(skills=(pinned("web-search==1.2.0"),)),
        profile(souls=()),
        profile(capabilities=()),
        profile(pin=pinned("support-agent==4").pin),
    ]
    assert len({Lock.of(given).sha256 for given in (PROFILE, *others)}) == 5
