"""repo.json: printed and read back it is the same; whatever could be read in two ways is refused."""

import gc
import json
import re
import weakref
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signing.errors import FormatError
from signing.format.canonical import canonical
from signing.format.digest import Sha256, sha256_of
from signing.format.pkg.index import (
    CATALOGUE_NAMES,
    CatalogueFile,
    IndexedPackage,
    Intent,
    IntentKind,
    RepoIndex,
    fits,
)
from signing.format.pkg.names import PackageName, PackagePin, PackageRepo, PackageVersion

REPO = PackageRepo.parse("FreeBSD:14:amd64/latest")
NEEDED = ("data.pkg", "meta.conf", "packagesite.pkg")
# An index takes long to draw.
# On a busy machine making the examples takes longer than the tests.
few = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])

digests = st.binary(max_size=4).map(sha256_of)
package_names = st.from_regex(r"[a-z][a-z0-9+._-]{0,8}", fullmatch=True).map(PackageName)
package_versions = st.from_regex(r"[0-9][a-z0-9.+_,~]{0,6}", fullmatch=True).map(PackageVersion)


@st.composite
def packages(draw: st.DrawFn) -> IndexedPackage:
    name, version = draw(package_names), draw(package_versions)
    return IndexedPackage(
        name=name,
        version=version,
        origin=f"test/{name}",
        path=f"All/{name}-{version}.pkg",
        sha256=sha256_of(f"{name} {version} {draw(st.integers(0, 9))}".encode()),  # bytes are one package
        size=draw(st.integers(0, 1 << 33)),
        abi=draw(st.sampled_from(["FreeBSD:14:amd64", "FreeBSD:14:*", "FreeBSD:*:amd64", "FreeBSD:*:*"])),
        deps=tuple(draw(st.lists(st.builds(PackagePin, package_names, package_versions), max_size=3))),
    )


def key(item: IndexedPackage) -> tuple[str, str, str]:
    return (item.name, item.version, item.sha256)


@st.composite
def indexes(draw: st.DrawFn) -> RepoIndex:
    listed = draw(st.lists(packages(), max_size=6, unique_by=lambda item: item.path.casefold()))
    files = draw(st.sets(st.sampled_from(sorted(CATALOGUE_NAMES)))) | set(NEEDED)
    intents = st.builds(
        Intent,
        kind=st.sampled_from(IntentKind),
        by=st.just("alice"),
        reason=st.text(min_size=1, max_size=20).filter(str.strip).filter(_can_be_written),
        serial=st.integers(0, 2**53 - 1),
    )
    return RepoIndex(
        repository="pkg.clawdie.si",
        repo=REPO,
        serial=draw(st.integers(1, 2**53 - 1)),
        created=datetime(2026, 11, 22, 12, 0, draw(st.integers(0, 59)), tzinfo=UTC),
        build={"git_hash": "8c", "master": "143amd64", "name": "today", "system": "poudriere"},
        catalogue=tuple(
            CatalogueFile(name=name, size=draw(st.integers(0, 1 << 33)), sha256=draw(digests))
            for name in sorted(files)
        ),
        packages=tuple(sorted(listed, key=key)),
        kept=tuple(sorted(draw(st.lists(packages(), max_size=4, unique_by=key)), key=key)),
        fingerprints=tuple(sorted(draw(st.sets(digests, max_size=3)))),
        intent=draw(st.none() | intents),
    )


def _can_be_written(text: str) -> bool:
    try:
        canonical({"reason": text})
    except FormatError:
        return False
    return True


@few
@given(indexes())
def test_a_printed_index_is_read_back_unchanged(index: RepoIndex) -> None:
    data = index.render()
    again = RepoIndex.parse(data)
    assert again == index
    assert again.render() == data


@few
@given(indexes())
def test_every_package_is_found_by_its_bytes_and_listed_ones_first(index: RepoIndex) -> None:
    found = index.by_sha256()
    assert set(found) == {item.sha256 for item in index.all_packages()}
    for item in index.packages:
        assert found[item.sha256] in index.packages


@few
@given(indexes(), st.data())
def test_another_order_is_refused(index: RepoIndex, data: st.DataObject) -> None:
    what = data.draw(st.sampled_from(["packages", "kept", "catalogue", "fingerprints"]))
    items = json.loads(index.render())[what]
    shuffled = data.draw(st.permutations(items))
    if shuffled == items:
        return
    refused(index, lambda value: value.update({what: shuffled}), "sorted")


@few
@given(indexes(), st.data())
def test_a_thing_that_is_named_twice_is_refused(index: RepoIndex, data: st.DataObject) -> None:
    what = data.draw(st.sampled_from(["packages", "kept", "catalogue", "fingerprints"]))
    items = json.loads(index.render())[what]
    if not items:
        return
    at = data.draw(st.integers(0, len(items) - 1))
    refused(index, lambda value: value[what].insert(at, items[at]), "sorted|more than")


KEYS = (
    *("schema", "repository", "abi", "channel", "serial", "created", "build"),
    *("catalogue", "packages", "kept", "fingerprints", "intent"),
)


@few
@given(indexes(), st.sampled_from(KEYS))
def test_a_missing_key_and_an_unknown_one_are_refused(index: RepoIndex, name: str) -> None:
    refused(index, lambda value: value.pop(name), "missing")
    refused(index, lambda value: value.update({f"x-{name}": 1}), "unknown key")


@few
@given(indexes())
def test_bytes_that_are_not_canonical_are_refused(index: RepoIndex) -> None:
    value = json.loads(index.render())
    for data in (json.dumps(value).encode(), index.render() + b"\n", index.render().replace(b":", b": ", 1)):
        with pytest.raises(FormatError):
            RepoIndex.parse(data)


def refused(index: RepoIndex, change: Callable[[dict[str, Any]], object], said: str) -> None:
    value = json.loads(index.render())
    change(value)
    with pytest.raises(FormatError, match=said):
        RepoIndex.parse(canonical(value))


def demo(name: str = "demo", version: str = "1.0", **other: Any) -> IndexedPackage:
    facts: dict[str, Any] = {
        "name": PackageName(name),
        "version": PackageVersion(version),
        "origin": f"test/{name}",
        "path": f"All/{name}-{version}.pkg",
        "sha256": sha256_of(f"{name} {version}".encode()),
        "size": 1,
        "abi": "FreeBSD:14:*",
        "deps": (),
    }
    return IndexedPackage(**{**facts, **other})


def simple(*listed: IndexedPackage, **other: Any) -> RepoIndex:
    facts: dict[str, Any] = {
        "repository": "pkg.clawdie.si",
        "repo": REPO,
        "serial": 1,
        "created": datetime(2026, 11, 22, tzinfo=UTC),
        "build": {"git_hash": "8c", "master": "143amd64", "name": "today", "system": "poudriere"},
        "catalogue": tuple(CatalogueFile(name=name, size=1, sha256=sha256_of(b"x")) for name in NEEDED),
        "packages": listed,
    }
    return RepoIndex(**{**facts, **other})


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ((demo(path="All/demo.pkg"), demo("other", path="All/demo.pkg")), "one path twice"),
        ((demo(path="All/Demo.pkg"), demo("other", path="All/demo.pkg")), "differ in case only"),
        ((demo(path="data.pkg"),), "one path twice"),
        ((demo(path="META.conf"),), "differ in case only"),
        ((demo(path="repo.json"),), "names the index"),
        ((demo(path="All"), demo("other", path="All/other.pkg")), "a file that is a folder too"),
        ((demo(path="data.pkg/demo.pkg"),), "a file that is a folder too"),
        ((demo(abi="FreeBSD:15:*"),), "not for FreeBSD:14:amd64"),
        ((demo(abi="FreeBSD:14:aarch64"),), "not for FreeBSD:14:amd64"),
    ],
    ids=[
        "same",
        "case",
        "catalogue",
        "catalogue-case",
        "index",
        "folder",
        "below-a-file",
        "major",
        "machine",
    ],
)
def test_a_path_is_one_package_and_a_package_is_for_this_machine(
    listed: tuple[IndexedPackage, ...], said: str
) -> None:
    with pytest.raises(FormatError, match=said):
        simple(*listed)


@pytest.mark.parametrize("kept", [False, True], ids=["listed", "kept"])
def test_the_same_bytes_are_not_two_packages(kept: bool) -> None:
    """What is revoked or waived by name would have another name."""
    one, other = demo(), demo("other", path="All/other-1.0.pkg")
    other = replace(other, sha256=one.sha256, size=one.size)
    with pytest.raises(FormatError, match="the same file as"):
        simple(one, kept=(other,)) if kept else simple(one, other)


def test_kept_packages_are_for_this_machine_too() -> None:
    with pytest.raises(FormatError, match="not for FreeBSD:14:amd64"):
        simple(kept=(demo(abi="FreeBSD:13:amd64"),))


@pytest.mark.parametrize(
    "path",
    [
        "/All/demo.pkg",
        "../demo.pkg",
        "All/../demo.pkg",
        "All//demo.pkg",
        ".hidden",
        "All/.hidden",
        "a\\b",
        "a b",
        "",
        "a\0b",
        "All/",
    ],
    ids=ascii,
)
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    refused(simple(demo()), lambda value: value["packages"][0].update({"path": path}), "path of a package")


@pytest.mark.parametrize("missing", NEEDED)
def test_a_catalogue_without_pkg_s_own_files_is_none(missing: str) -> None:
    refused(
        simple(),
        lambda value: value.update({"catalogue": [f for f in value["catalogue"] if f["name"] != missing]}),
        "lacks",
    )


@pytest.mark.parametrize("serial", [0, -1, 2**53, 1.0, "1", True, None], ids=repr)
def test_a_serial_is_a_number_from_one_on(serial: object) -> None:
    data = simple().render().replace(b'"serial":1}', f'"serial":{json.dumps(serial)}}}'.encode())
    with pytest.raises(FormatError):
        RepoIndex.parse(data)


@pytest.mark.parametrize("part", ["by", "reason"])
def test_an_intent_is_somebody_s_and_has_a_reason(part: str) -> None:
    meant = Intent(kind=IntentKind.ROLLBACK, by="alice", reason="1.2 loses data", serial=1)
    index = simple(serial=3, intent=meant)
    assert RepoIndex.parse(index.render()).intent == meant
    refused(index, lambda value: value["intent"].update({part: ""}), "somebody must mean it")
    refused(index, lambda value: value["intent"].update({"kind": "upgrade"}), "is not an intent")


def test_a_rebuilt_version_is_kept_beside_the_new_bytes() -> None:
    old = replace(demo(), sha256=Sha256("0" * 64))
    index = simple(demo(), kept=(old,))
    assert set(index.by_sha256()) == {demo().sha256, old.sha256}


def test_a_star_stands_for_any_machine_and_for_nothing_else() -> None:
    assert fits("FreeBSD:*:*", REPO)
    assert fits("FreeBSD:14:amd64", REPO)
    assert not fits("FreeBSD:1:amd64", REPO)


def test_bytes_that_are_read_already_give_the_same_index_and_nothing_is_held_for_them() -> None:
    data = simple(demo(), serial=7).render()
    index = RepoIndex.parse(data)
    assert RepoIndex.parse(bytes(bytearray(data))) is index
    assert RepoIndex.parse(data.replace(b'"serial":7', b'"serial":8')).serial == 8
    reference = weakref.ref(index)
    del index
    gc.collect()
    assert reference() is None
    assert RepoIndex.parse(data).serial == 7


def test_a_refused_index_is_refused_each_time() -> None:
    data = simple(demo(), serial=7).render().replace(b'"serial":7', b'"serial":0')
    for _ in range(2):
        with pytest.raises(FormatError, match="begin with 1"):
            RepoIndex.parse(data)


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        (b'"size":', b'"sizes":', r"packages\[0\]\.size: missing"),
        (b'"origin":"', b'"origin":"/', r"packages\[0\]\.origin: "),
        (b'"sha256":"', b'"sha256":"X', r"\.sha256: "),
        (b'"abi":"FreeBSD:14:*"', b'"abi":"amd64"', r"packages\[0\]\.abi: "),
    ],
    ids=["size", "origin", "sha256", "abi"],
)
def test_what_is_wrong_in_a_long_list_is_named_with_its_place(old: bytes, new: bytes, place: str) -> None:
    head, mark, tail = simple(demo(), serial=7).render().partition(b'"packages":')
    data = head + mark + tail.replace(old, new, 1)
    with pytest.raises(FormatError) as refusal:
        RepoIndex.parse(data)
    assert re.search(place, str(refusal.value))
