"""A repository's own settings: ``repository.toml`` (edge).

    dev = true                                # throw-away keys; every command says so
    skills_hosts = ["skills.clawdie.si"]
    pkg_hosts = ["pkg.clawdie.si"]
    clawhub_url = "https://clawhub.ai"

Who may sign what does not stand here: that is signed metadata.
"""

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from signing.errors import FormatError, NotFoundError

NAME: Final = "repository.toml"
_CLAWHUB: Final = "https://clawhub.ai"


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryConfig:
    """Settings of one repository."""

    dev: bool = False
    skills_hosts: tuple[str, ...] = ("skills.clawdie.si",)
    pkg_hosts: tuple[str, ...] = ("pkg.clawdie.si",)
    clawhub_url: str = _CLAWHUB

    def render(self) -> str:
        """Return the settings as TOML."""
        return (
            f"dev = {str(self.dev).lower()}\n"
            f"skills_hosts = {_list(self.skills_hosts)}\n"
            f"pkg_hosts = {_list(self.pkg_hosts)}\n"
            f"clawhub_url = {json.dumps(self.clawhub_url)}\n"
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the settings of the repository in ``folder``.

        Raises:
            NotFoundError: there is no repository.
            FormatError: an unknown or wrong setting.
        """
        path = folder / NAME
        try:
            values: dict[str, Any] = tomllib.loads(path.read_text())
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFoundError(
                f"no repository in {folder}",
                hint="name one by --repo DIR, or make one: skillrepo init DIR --dev",
            ) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise FormatError("not TOML", where=NAME) from error
        known: dict[str, type] = {"dev": bool, "skills_hosts": list, "pkg_hosts": list, "clawhub_url": str}
        for key, value in values.items():
            if key not in known or not isinstance(value, known[key]):
                raise FormatError(f"unknown or wrong setting {key!r}", where=NAME)
        default = cls()
        return cls(
            dev=values.get("dev", False),
            skills_hosts=tuple(values.get("skills_hosts", default.skills_hosts)),
            pkg_hosts=tuple(values.get("pkg_hosts", default.pkg_hosts)),
            clawhub_url=values.get("clawhub_url", default.clawhub_url),
        )


def _list(items: tuple[str, ...]) -> str:
    return json.dumps(list(items))  # a list of strings is spelled alike in JSON and TOML
