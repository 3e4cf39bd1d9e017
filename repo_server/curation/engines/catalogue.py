"""The engines that this project knows: how each is made, and how each is installed."""

from typing import Final

from repo_server.curation.engines.cisco import CISCO, cisco
from repo_server.curation.engines.engine import Engine, EngineMaker
from repo_server.curation.engines.installing import Installable
from repo_server.curation.engines.settings import EngineSettings
from signing.errors import NotFoundError

ENGINES: Final[dict[str, EngineMaker]] = {CISCO.name: cisco}
INSTALLABLE: Final[dict[str, Installable]] = {CISCO.name: CISCO}


def engine_named(name: str, settings: EngineSettings) -> Engine:
    """Return the engine called ``name``, whether it is installed or not.

    Raises:
        NotFoundError: nobody here knows such an engine.
    """
    _check(name)
    return ENGINES[name](settings.folder)


def installable_named(name: str) -> Installable:
    """Return how the engine called ``name`` is installed.

    Raises:
        NotFoundError: nobody here knows such an engine.
    """
    _check(name)
    return INSTALLABLE[name]


def _check(name: str) -> None:
    if name not in ENGINES:
        raise NotFoundError(f"there is no engine {name!r}", hint=f"one of: {', '.join(sorted(ENGINES))}")
