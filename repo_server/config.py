"""A repository's own settings: ``repository.toml`` (edge).

    dev = true                                # throw-away keys; every command says so
    skills_hosts = ["skills.clawdie.si"]
    pkg_hosts = ["pkg.clawdie.si"]

    [sources]                                 # only what is not where everybody's is
    clawhub = "https://clawhub.example"
    github-api = "https://git.example/api/v3"

    [pkg]
    access = "tokens"                         # packages only for who shows a token; "open" is the default

    [blobs]                                   # an object store in place of blobs/ (repo_server.storage.choose)
    url = "s3://clawdie-blobs/skills"

    [published]                               # a bucket that the published tree is copied to (repo_server.publishing.spreading)
    url = "s3://clawdie-published"

    [engines]                                 # other people's scanners, installed by skillrepo engine install
    use = ["cisco"]

Who may sign what does not stand here: that is signed metadata.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

from repo_server.curation.engines.settings import EngineSettings
from repo_server.pkgrepo.access import Access
from repo_server.storage.choose import BlobSettings
from signing.errors import FormatError, NotFoundError

NAME: Final = "repository.toml"
_KEY: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryConfig:
    """Settings of one repository. ``sources`` is the base URL of each server of a source that is not the usual one."""

    dev: bool = False
    skills_hosts: tuple[str, ...] = ("skills.clawdie.si",)
    pkg_hosts: tuple[str, ...] = ("pkg.clawdie.si",)
    sources: Mapping[str, str] = field(default_factory=dict)
    engines: EngineSettings = field(default_factory=EngineSettings)
    pkg_access: Access = Access.OPEN
    blobs: BlobSettings = field(default_factory=BlobSettings)
    published: BlobSettings = field(default_factory=BlobSettings)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", MappingProxyType(dict(self.sources)))

    def render(self) -> str:
        """Return the settings as TOML."""
        sources = "".join(f"{key} = {json.dumps(url)}\n" for key, url in sorted(self.sources.items()))
        return (
            f"dev = {str(self.dev).lower()}\n"
            f"skills_hosts = {_list(self.skills_hosts)}\n"
            f"pkg_hosts = {_list(self.pkg_hosts)}\n"
            + (f"\n[sources]\n{sources}" if sources else "")
            + self.pkg_access.render()
            + self.blobs.render()
            + self.published.render("published")
            + self.engines.render()
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
        known: dict[str, type] = {"dev": bool, "skills_hosts": list, "pkg_hosts": list}
        known |= {"sources": dict, "engines": dict, "pkg": dict, "blobs": dict, "published": dict}
        for key, value in values.items():
            if key not in known or not isinstance(value, known[key]):
                raise FormatError(f"unknown or wrong setting {key!r}", where=NAME)
        default = cls()
        return cls(
            dev=values.get("dev", False),
            skills_hosts=tuple(values.get("skills_hosts", default.skills_hosts)),
            pkg_hosts=tuple(values.get("pkg_hosts", default.pkg_hosts)),
            sources=_sources(values.get("sources", {})),
            engines=EngineSettings.from_toml(values.get("engines", {}), where=f"{NAME}: engines"),
            blobs=BlobSettings.from_toml(values.get("blobs", {}), where=f"{NAME}: blobs"),
            published=BlobSettings.from_toml(values.get("published", {}), where=f"{NAME}: published"),
            pkg_access=Access.from_toml(values.get("pkg", {}), where=f"{NAME}: pkg"),
        )


def _list(items: tuple[str, ...]) -> str:
    return json.dumps(list(items))  # a list of strings is spelled alike in JSON and TOML


def _sources(values: dict[str, Any]) -> dict[str, str]:
    """Return the table of base URLs; whether a source reads a key is known only where sources are used."""
    for key, url in values.items():
        if not _KEY.fullmatch(key) or not isinstance(url, str) or not url.startswith(("https://", "http://")):
            raise FormatError(
                f"wrong setting {key!r}", where=f"{NAME}: sources", hint='write name = "https://host"'
            )
    return values
