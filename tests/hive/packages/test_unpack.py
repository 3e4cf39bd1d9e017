"""Unpacking into a jail that holds something already: kept, refused, and taken back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from hive.birth.admit_all import admit_all
from hive.packages import placing, records
from hive.packages.install import install_package
from hive.packages.staging import PackageConflictError
from signing.errors import HostError, RejectedError
from signing.format.canonical import parse_canonical
from signing.format.names import parse_tenant_id
from tests.support.harbour import Harbour
from tests.support.world import now

BOAT = parse_tenant_id("boat")
CONFIG = "usr/local/etc/demo-agent.conf"


@contextmanager
def admitted(harbour: Harbour) -> Iterator[Any]:
    mother = harbour.scene.mother
    with admit_all(
        harbour.scene.tenant("boat"),
        mother.client,
        opt_ins=[],
        external_dir=mother.external_dir,
        pantry=mother.pantry,
        clock=mother.clock,
    ) as given:
        mother.host.create(BOAT, mark="ours")
        yield given.packages


def listing(harbour: Harbour) -> list[str]:
    return sorted(str(path.relative_to(harbour.root)) for path in harbour.root.rglob("*"))


def put(harbour: Harbour, path: str, content: str) -> None:
    (harbour.root / path).parent.mkdir(parents=True, exist_ok=True)
    (harbour.root / path).write_text(content)


def install(harbour: Harbour, admission: Any) -> Any:
    return install_package(harbour.scene.mother.host, BOAT, admission, now=now())


def test_a_configuration_file_that_is_nobodys_is_kept(harbour: Harbour) -> None:
    with admitted(harbour) as (base, agent):
        put(harbour, CONFIG, "mine")
        for admission in (base, agent):
            harbour.scene.mother.host.check_package(BOAT, install(harbour, admission))
        assert (harbour.root / CONFIG).read_text() == "mine"
        record = parse_canonical((harbour.root / records.record_path("demo-agent")).read_bytes())
        assert f"{CONFIG}.pkgnew" in {item["path"] for item in record["files"]}
        assert (harbour.root / f"{CONFIG}.pkgnew").is_file()


@pytest.mark.parametrize(
    "path", ["usr/local/bin/demo-base", "usr/local/bin/demo-base-link", "usr/local/share/demo/data.txt"]
)
def test_what_stands_in_the_way_stays_and_nothing_else_is_left(harbour: Harbour, path: str) -> None:
    with admitted(harbour) as (base, _):
        put(harbour, path, "mine")
        before = listing(harbour)
        with pytest.raises(PackageConflictError):
            install(harbour, base)
        assert (harbour.root / path).read_text() == "mine"
        # The folder of records is ours, and empty: no record, no staging folder.
        assert [name for name in listing(harbour) if name not in before] == [
            "var",
            "var/db",
            "var/db/clawdie",
            "var/db/clawdie/packages",
        ]


def test_a_link_of_the_tenant_on_the_way_is_not_followed(harbour: Harbour, tmp_path: Any) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    with admitted(harbour) as (base, _):
        (harbour.root / "usr").symlink_to(outside)
        with pytest.raises(RejectedError) as caught:
            install(harbour, base)
    assert caught.value.code == "unsafe-path"
    assert list(outside.iterdir()) == []


def test_the_same_package_twice(harbour: Harbour) -> None:
    """The second one takes back what it placed, and nothing of the first."""
    with admitted(harbour) as (base, _):
        receipt = install(harbour, base)
        before = listing(harbour)
        with pytest.raises(PackageConflictError):
            install(harbour, base)
        assert listing(harbour) == before
        harbour.scene.mother.host.check_package(BOAT, receipt)


def test_a_disk_that_fails_while_names_are_given(harbour: Harbour, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise HostError("the disk is full")

    with admitted(harbour) as (base, _):
        monkeypatch.setattr(placing, "make_link", failing)
        with pytest.raises(HostError, match="full"):
            install(harbour, base)
        assert [name for name in listing(harbour) if "demo" in name or "bin" in name] == []
        monkeypatch.undo()
        harbour.scene.mother.host.check_package(BOAT, install(harbour, base))
