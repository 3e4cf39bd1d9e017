"""One warm process for all sessions."""

from collections.abc import Iterator

import pytest

from tests.cli.session import WarmDesk


@pytest.fixture(scope="session", autouse=True)
def _warm() -> Iterator[None]:
    yield
    WarmDesk.close()
