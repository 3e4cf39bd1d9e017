"""A machine with the stand-in of Bastille: its programs as executables, and what one sees of it from the host."""

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hive.jails.bastille import BastilleHost
from hive.jails.bastille_commands import Bastille, Patience
from hive.jails.limits_file import LimitsTable
from hive.jails.network import JailNetwork
from hive.packages.commands import CommandLimits
from hive.packages.running import Programs, Way
from tests.support import bastille_stand_in

SUPPORT = str(Path(bastille_stand_in.__file__).parent)
NETWORK = "lo1:10.17.89.0/29"
QUICK = Patience(create=20.0, change=20.0, ask=20.0)
HURRIED = Patience(create=1.0, change=1.0, stop=1.0, ask=1.0, others=0.5)


@dataclass
class BastilleMachine:
    folder: Path

    @classmethod
    def make(cls, folder: Path) -> "BastilleMachine":
        machine = cls(folder)
        for part in ("jails", f"releases/{bastille_stand_in.RELEASE}/bin"):
            (folder / "prefix" / part).mkdir(parents=True)
        machine.prefix.chmod(0o750)
        for name in ("bastille", "jls", "jexec", "pkg", "jail", "rctl", "mount"):
            program = folder / name
            # Imported, not run, so that it is compiled once and not at every call.
            program.write_text(
                f"#!{sys.executable} -SE\nimport sys\nsys.path.insert(0, {SUPPORT!r})\n"
                f"import bastille_stand_in\nbastille_stand_in.main({str(folder)!r}, {name!r}, sys.argv[1:])\n"
            )
            program.chmod(0o755)
        return machine

    @property
    def prefix(self) -> Path:
        return self.folder / "prefix"

    def host(
        self,
        patience: Patience = QUICK,
        network: str = NETWORK,
        way: Way = Way.HOST,
        limits_table: LimitsTable | None = None,
    ) -> BastilleHost:
        programs = Programs(
            jls=str(self.folder / "jls"), jexec=str(self.folder / "jexec"), pkg=str(self.folder / "pkg")
        )
        bastille = Bastille(
            prefix=self.prefix,
            program=str(self.folder / "bastille"),
            jail=str(self.folder / "jail"),
            mount=str(self.folder / "mount"),
            umount=shutil.which("umount") or "/sbin/umount",
            rctl=str(self.folder / "rctl"),
            programs=programs,
            patience=patience,
        )
        return BastilleHost(
            bastille=bastille,
            release=bastille_stand_in.RELEASE,
            network=JailNetwork.parse(network),
            way=way,
            installing=CommandLimits(gap=10, finish=10),
            limits_table=limits_table or LimitsTable(),
        )

    def misbehave(self, **how: str) -> None:
        """From now on these commands go wrong like this, and no others."""
        (self.folder / "misbehave.json").write_text(json.dumps(how))

    @property
    def kernel(self) -> dict[str, Any]:
        """What runs."""
        return bastille_stand_in.Machine(self.folder).kernel()

    @property
    def rules(self) -> list[str]:
        """What rctl keeps."""
        return bastille_stand_in.Machine(self.folder).rules()

    @property
    def rc(self) -> list[list[str]]:
        """What ran of the tenants' own at starts and stops, and the rules that held then."""
        file = self.folder / "rc.json"
        return json.loads(file.read_text()) if file.exists() else []

    @property
    def calls(self) -> list[list[str]]:
        """The words of every call, in order."""
        return [call["words"] for call in self._noted()]

    @property
    def changes(self) -> list[list[str]]:
        """The calls of Bastille that were to change something."""
        return [words[1:] for words in self.calls if words[0] == "bastille" and words[1] != "list"]

    @property
    def environments(self) -> list[dict[str, str]]:
        return [call["environment"] for call in self._noted()]

    @property
    def forbidden(self) -> bool:
        """Whether a command was called that is never to be called."""
        return (self.folder / "forbidden").exists()

    def outsider(self, name: str) -> Path:
        """Make a jail by hand, as somebody does who knows nothing of the hive."""
        bastille_stand_in.Machine(self.folder).do_create([name, bastille_stand_in.RELEASE, "inherit"], "")
        return self.prefix / "jails" / name

    def _noted(self) -> list[dict[str, Any]]:
        file = self.folder / "calls"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
