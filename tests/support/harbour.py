"""A scene with packages: demo-base and demo-agent at serial 1, pinned by base==2, and the paid tenant ``boat``."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hive.db.session import transaction
from hive.tenants import load_row
from signing.format.names import parse_tenant_id
from tests.attacks.scene import Refusal, Scene, open_scene
from tests.support.packages import AGENT, BASE, Shelf, index_of, listed
from tests.support.world import PACKAGES, World, jail_files


@dataclass
class Harbour:
    scene: Scene
    shelf: Shelf

    @property
    def root(self) -> Path:
        return self.scene.mother.state / "jails/boat/root"

    @property
    def store(self) -> Path:
        return self.scene.mother.state / "packages"

    def born(self) -> dict[str, Any]:
        return self.scene.born("boat")

    def arrange(self, *datas: bytes, **lies: Any) -> None:
        """Publish these packages, each listed as an honest builder does but for ``lies``, and pin them for ``boat``."""
        self.shelf.stock(*datas)
        self.shelf.publish_index(index_of([listed(data, **lies) for data in datas], serial=2))
        self.pinned("base==3", datas)

    def pinned(self, pin: str, datas: Sequence[bytes], **other: Any) -> None:
        """Let ``boat`` be born by a profile of its own that pins ``datas``."""
        self.shelf.pin(pin, datas, **other)
        self.point(pin)

    def point(self, pin: str) -> None:
        """Let ``boat`` name this profile."""
        with transaction(self.scene.mother.engine) as session:
            load_row(session, parse_tenant_id("boat")).profile = pin

    def refused(self, *expected: Any, **how: Any) -> Refusal:
        """The birth of ``boat`` is refused, and no file of a package stands in any jail."""
        refusal = self.scene.refused(*expected, name="boat", **how)
        assert not [path for path in jail_files(self.scene.mother) if "demo" in path]
        assert self.open_packages() == []
        return refusal

    def open_packages(self) -> list[str]:
        """Every package under this mother's state that this process holds open: after a birth there is none."""
        return [
            path for path in open_files() if ".pkg" in path and path.startswith(f"{self.scene.mother.state}/")
        ]

    def events(self, event: str) -> list[dict[str, Any]]:
        return [record.facts for record in self.scene.events("boat") if record.event == event]


def open_files() -> list[str]:
    found = []
    for entry in Path("/proc/self/fd").iterdir() if Path("/proc/self/fd").exists() else []:
        with suppress(OSError):
            found.append(str(entry.readlink()))
    return found


def stock(scene: Scene) -> Shelf:
    shelf = Shelf(scene)
    shelf.publish([BASE, AGENT])
    shelf.advise()
    shelf.pin("base==2", [BASE, AGENT])
    return shelf


@contextmanager
def open_harbour(world: World, state: Path) -> Iterator[Harbour]:
    with open_scene(world, state) as scene:
        scene.mother = replace(scene.mother, abi=PACKAGES.abi)
        shelf = stock(scene)
        scene.register("boat", profile="base==2")
        yield Harbour(scene, shelf)
