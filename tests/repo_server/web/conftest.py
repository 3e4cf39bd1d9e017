from pathlib import Path

import pytest
from flask.testing import FlaskClient

from repo_server.web.app import create_app
from repo_server.web.config import WebConfig
from tests.repo_server.web.published import NOW, CatalogueInMemory, write_trees


@pytest.fixture
def config(tmp_path: Path) -> WebConfig:
    return write_trees(tmp_path)


@pytest.fixture
def catalogue() -> CatalogueInMemory:
    return CatalogueInMemory()


@pytest.fixture
def client(config: WebConfig, catalogue: CatalogueInMemory) -> FlaskClient:
    """The service as a visitor of skills.clawdie.si sees it."""
    client = create_app(config, catalogue=catalogue, clock=lambda: NOW).test_client()
    client.environ_base["HTTP_HOST"] = "skills.clawdie.si"
    return client
