"""What a package needs, and in which order: whatever the graph, dependencies stand first, or it is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signing.errors import FormatError, NotFoundError
from signing.format.digest import sha256_of
from signing.format.pkg.closure import MAX_CLOSURE, Candidates, closure, in_order, open_dependencies
from signing.format.pkg.index import IndexedPackage
from signing.format.pkg.names import PackageName, PackagePin, PackageVersion
from signing.format.pkg.pins import check_complete


def package(name: str, *deps: str, version: str = "1.0") -> IndexedPackage:
    pins = []
    for dep in deps:
        wanted, _, number = dep.partition("-")
        pins.append(PackagePin(PackageName(wanted), PackageVersion(number or "1.0")))
    return IndexedPackage(
        name=PackageName(name),
        version=PackageVersion(version),
        origin=f"test/{name}",
        path=f"All/{name}-{version}.pkg",
        sha256=sha256_of(f"{name} {version}".encode()),
        size=1,
        abi="FreeBSD:14:*",
        deps=tuple(pins),
    )


def names(packages: tuple[IndexedPackage, ...]) -> list[str]:
    return [item.name for item in packages]


@st.composite
def graphs(draw: st.DrawFn) -> list[IndexedPackage]:
    """Packages that need only earlier ones, in any order and under names that do not follow that order."""
    count = draw(st.integers(1, 12))
    labels = draw(st.permutations([f"p{number}" for number in range(count)]))
    packages = [
        package(label, *draw(st.lists(st.sampled_from(labels[:at]), unique=True) if at else st.just([])))
        for at, label in enumerate(labels)
    ]
    return draw(st.permutations(packages))


@given(graphs(), st.data())
def test_dependencies_stand_first_and_nothing_is_missing(
    packages: list[IndexedPackage], data: st.DataObject
) -> None:
    everything = [item.name for item in packages]
    wanted = data.draw(st.lists(st.sampled_from(everything), min_size=1))
    found = closure(packages, wanted)
    check_complete(found)
    assert set(wanted) <= set(names(found))
    assert len(set(names(found))) == len(found)
    assert open_dependencies(found) == ()
    needed = set(wanted)
    for item in reversed(found):  # and nothing is there that nobody needs
        assert item.name in needed
        needed |= {dep.name for dep in item.deps}


@given(graphs(), st.data())
def test_the_order_depends_on_the_set_alone(packages: list[IndexedPackage], data: st.DataObject) -> None:
    wanted = [item.name for item in packages]
    shuffled = data.draw(st.permutations(packages))
    again = data.draw(st.permutations(wanted))
    assert closure(packages, wanted) == closure(shuffled, [*again, *again])


@given(graphs(), st.data())
def test_a_circle_is_refused_wherever_it_is(packages: list[IndexedPackage], data: st.DataObject) -> None:
    order = closure(packages, [item.name for item in packages])
    end = data.draw(st.integers(0, len(order) - 1))
    first, last = order[0], order[end]
    above = {first.name}
    for item in order[: end + 1]:
        if {dep.name for dep in item.deps} & above:
            above.add(item.name)
    if last.name not in above:
        return  # no path from it: then it is no circle
    closed = package(first.name, last.name)
    with pytest.raises(FormatError, match="needs itself"):
        closure([closed if item.name == first.name else item for item in packages], [last.name])


@given(graphs(), st.data())
def test_what_is_missing_is_named(packages: list[IndexedPackage], data: st.DataObject) -> None:
    everything = [item.name for item in packages]
    gone = data.draw(st.sampled_from(everything))
    left = [item for item in packages if item.name != gone]
    asking = {item.pin for item in left if gone in {dep.name for dep in item.deps}}
    assert {asker for asker, _ in open_dependencies(left)} == asking
    with pytest.raises(NotFoundError, match=f"package {gone}"):
        closure(left, everything)


def test_a_package_that_needs_itself() -> None:
    with pytest.raises(FormatError, match="needs itself"):
        closure([package("a", "a")], [PackageName("a")])


def test_in_order_alone_refuses_what_is_not_among_them() -> None:
    item = package("a", "b")
    with pytest.raises(FormatError, match="b is needed and not there"):
        in_order({item.name: item})


def test_the_named_version_is_taken_else_the_newest() -> None:
    old, new = package("lib", version="1.9"), package("lib", version="1.10")
    assert names(closure([old, new], [PackageName("lib")])) == ["lib"]
    assert closure([old, new], [PackageName("lib")])[0] is new
    assert closure([old, new, package("app", "lib-1.9")], [PackageName("app")])[0] is old
    assert closure([old, new, package("app", "lib-1.8")], [PackageName("app")])[0] is new
    assert Candidates([old, new]).choose(PackageName("other")) is None


@pytest.mark.parametrize("length", [1_500, MAX_CLOSURE])
def test_a_long_chain_meets_no_limit_of_recursion_and_costs_its_length(length: int) -> None:
    chain = [package("p0"), *(package(f"p{n}", f"p{n - 1}") for n in range(1, length))]
    found = closure(chain, [PackageName(f"p{length - 1}")])
    assert names(found) == [f"p{n}" for n in range(length)]


def test_a_chain_without_end_is_cut() -> None:
    chain = [package("p0"), *(package(f"p{n}", f"p{n - 1}") for n in range(1, MAX_CLOSURE + 1))]
    with pytest.raises(NotFoundError):
        closure(chain, [PackageName(f"p{MAX_CLOSURE}")])


@settings(max_examples=50)
@given(graphs(), st.data())
def test_an_altered_order_is_noticed(packages: list[IndexedPackage], data: st.DataObject) -> None:
    order = list(closure(packages, [item.name for item in packages]))
    needing = [item for item in order if item.deps]
    if not needing:
        return
    item = data.draw(st.sampled_from(needing))
    late = data.draw(st.sampled_from([dep.name for dep in item.deps]))
    without = [other for other in order if other.name != late]
    with pytest.raises(FormatError, match="not pinned before it"):
        check_complete(without)
    moved = [*without, next(other for other in order if other.name == late)]
    with pytest.raises(FormatError, match="not pinned before it"):
        check_complete(moved)
