"""A jail host with its settings file, and `hive` run in this process: words in; answer, conversation and status out."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hive.cli import cli
from hive.db.session import open_engine
from hive.jails.directory import DirectoryHost
from signing.console import run
from tests.support.bucketed import HIVE_URL, OWNER
from tests.support.world import PlainServer, World


class HiveDesk:
    def __init__(
        self,
        folder: Path,
        world: World,
        server: PlainServer,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._capsys, self._monkeypatch = folder, capsys, monkeypatch
        self.server, self.err = server, ""
        (folder / "anchor.json").write_bytes(world.anchor)
        self.settings = {
            "db": str(folder / "hive.db"),
            "state": str(folder / "state"),
            "trust_anchor": str(folder / "anchor.json"),
            "server": server.url,
            "jail_root_base": str(folder / "jails"),
            "jail_uid": str(OWNER[0]),
            "jail_gid": str(OWNER[1]),
            "hive_url": HIVE_URL,
        }
        self.engine = open_engine(f"sqlite:///{folder / 'hive.db'}")
        world.engines.append(self.engine)

    @property
    def host(self) -> DirectoryHost:
        return DirectoryHost(self.folder / "jails")

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def hive(self, *words: str, status: int = 0, given: str = "") -> str:
        config = self.folder / "hive.toml"
        config.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in self.settings.items()))
        stdin = SimpleNamespace(buffer=io.BytesIO(given.encode()), isatty=lambda: False)
        self._monkeypatch.setattr(sys, "stdin", stdin)
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            run(cli, "hive", ["--config", str(config), *words])
        out, self.err = self._capsys.readouterr()
        assert ended.value.code == status, out + self.err
        return str(out)

    def json(self, *words: str, status: int = 0, given: str = "") -> dict[str, Any]:
        document = json.loads(self.hive(*words, "--json", status=status, given=given))
        assert isinstance(document, dict)
        assert document["ok"] is (status == 0)
        return document

    def tenant(self, name: str = "acme", *, bucket: bool = True) -> None:
        """Register a tenant of the free tier, which passes without gates, with a bucket of two."""
        more = ["--collection-id", f"c-{name}"] if bucket else []
        self.hive("register-tenant", name, "--tier", "free", "--profile", "base==1", *more)
        for variable in ("ONE", "TWO") if bucket else ():
            self.hive("vault", "set", name, variable, given=f"planted-{variable}")

    def status_of(self, name: str = "acme") -> str:
        return str(self.json("show-tenant", name)["status"])

    def events(self) -> list[str]:
        return [record["event"] for record in self.json("audit", "show")["records"]]

    def env(self, name: str = "acme") -> Path:
        return self.folder / f"jails/{name}/root/usr/home/agent/.env"

    def secrets_in_jails(self) -> list[Path]:
        return [
            path
            for path in (self.folder / "jails").rglob("*")
            if path.is_file() and b"planted" in path.read_bytes()
        ]
