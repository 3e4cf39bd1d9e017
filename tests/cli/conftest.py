"""One warm process and one development repository for all sessions."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.session import Desk
from tests.cli.warm import WarmDesk


@pytest.fixture(scope="session", autouse=True)
def _warm() -> Iterator[None]:
    yield
    WarmDesk.close()


@pytest.fixture(scope="session")
def _dev_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with WarmDesk(Desk(tmp_path_factory.mktemp("dev"))) as warm:
        warm.run("skillrepo", "init", "r", "--dev", "--bins", "2")
    return warm.folder / "r"


@pytest.fixture(scope="session")
def put_repository(_dev_repository: Path) -> Callable[[Path], None]:
    """Puts what `skillrepo init r --dev --bins 2` makes into a folder, which is quicker than to run it there."""

    def put(folder: Path) -> None:
        shutil.copytree(_dev_repository, folder / "r")

    return put
