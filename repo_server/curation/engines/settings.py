"""Which engines look at candidates: the table ``[engines]`` of ``repository.toml``.

[engines]
use = ["cisco"]                   # none unless named
folder = "/var/db/engines"        # where they are installed; default: DIR/engines
seconds = 120                     # for one candidate
memory_mib = 2048                 # of one process
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

from repo_server.curation.engines.engine import EngineLimits
from signing.errors import FormatError

MAX_ENGINES: Final = 10
_RANGES: Final = {"seconds": (1, 3_600), "memory_mib": (64, 65_536)}
_DEFAULT_FOLDER: Final = Path("engines")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """Settings of the engines of one repository."""

    use: tuple[str, ...] = ()
    folder: Path = _DEFAULT_FOLDER
    seconds: int = 120
    memory_mib: int = 2_048

    @property
    def limits(self) -> EngineLimits:
        """How much one run may take."""
        return EngineLimits(seconds=self.seconds, memory_bytes=self.memory_mib << 20)

    def below(self, repository: Path, *, chosen: str | None = None) -> Self:
        """Return the settings with the folder as an absolute path.

        Args:
            repository: the repository's folder, from which a relative one is meant.
            chosen: a folder that goes before the configured one (``SKILLREPO_ENGINES``).
        """
        return replace(self, folder=(repository / (chosen or self.folder)).resolve())

    def render(self) -> str:
        """Return the settings as TOML, to stand at the end of a file; nothing when they are the defaults."""
        if self == type(self)():
            return ""
        return (
            "\n[engines]\n"
            f"use = {json.dumps(list(self.use))}\n"
            f"folder = {json.dumps(str(self.folder))}\n"
            f"seconds = {self.seconds}\n"
            f"memory_mib = {self.memory_mib}\n"
        )

    @classmethod
    def from_toml(cls, value: object, *, where: str = "engines") -> Self:
        """Return the settings that the table ``value`` holds.

        Raises:
            FormatError: an unknown or wrong setting.
        """
        if not isinstance(value, dict):
            raise FormatError("not a table", where=where)
        default = cls()
        given: dict[str, Any] = {**value}
        use, folder = given.pop("use", list(default.use)), given.pop("folder", str(default.folder))
        if not isinstance(use, list) or not all(isinstance(name, str) for name in use):
            raise FormatError("not a list of names", where=f"{where}.use")
        if len(use) > MAX_ENGINES or len(set(use)) != len(use):
            raise FormatError(f"names one twice, or more than {MAX_ENGINES}", where=f"{where}.use")
        if not isinstance(folder, str) or not folder:
            raise FormatError("not a folder", where=f"{where}.folder")
        numbers = {key: given.pop(key, getattr(default, key)) for key in _RANGES}
        for key, (least, most) in _RANGES.items():
            number = numbers[key]
            if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
                raise FormatError(f"not a number from {least} to {most}", where=f"{where}.{key}")
        if given:
            raise FormatError(f"unknown setting {min(given)!r}", where=where)
        return cls(use=tuple(use), folder=Path(folder), **numbers)
