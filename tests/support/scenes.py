"""One working import from each source, so that the same faults can be tried on all of them.

``tests/support/loopback_MODULE.py`` belongs to the source ``repo_server/curation/sources/MODULE.py`` and defines
``SCENE``. A source without a scene fails tests/repo_server/curation/test_source_faults.py.
"""

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, cast

from repo_server.curation.sources import SourceSettings, source_of


class Server(Protocol):
    """A loopback server, started by entering it."""

    @property
    def url(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Scene:
    """A server that answers for every base of the source, and an address that can be imported from it.

    ``{url}`` in the address stands for the server's. ``optional`` are the beginnings of paths whose absence (404)
    is nothing to tell the reviewer; of other evidence the absence is told or recorded. ``unpinned`` are the beginnings
    of paths of files that nothing vouches for: other bytes there are another skill, not an error.
    """

    server: Callable[[], AbstractContextManager[Any]]
    address: str
    optional: tuple[str, ...] = ()
    unpinned: tuple[str, ...] = ()

    def settings(self, url: str) -> SourceSettings:
        """Return the settings under which the source asks nobody but ``url``."""
        scheme = self.address.partition(":")[0]
        return SourceSettings(bases=dict.fromkeys(source_of(scheme).bases, url))


def scene_of(scheme: str) -> Scene:
    """Return the scene of a source."""
    module = importlib.import_module(f"tests.support.loopback_{scheme.replace('-', '_')}")
    return cast("Scene", module.SCENE)
