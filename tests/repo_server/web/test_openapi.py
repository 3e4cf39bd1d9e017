"""The OpenAPI document: made from the routes, kept in docs, and kept to by the application."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from repo_server.web.api import READ_ROUTES
from repo_server.web.desk import DESK_ROUTES
from repo_server.web.limiter import Limiter
from repo_server.web.pkg_desk import PKG_DESK_ROUTES
from repo_server.web.routes import PREFIX, openapi, render_openapi
from tests.repo_server.desk.scene import Scene
from tests.support.world import World

ROOT = Path(__file__).parents[3]
ALL = [*READ_ROUTES, *DESK_ROUTES, *PKG_DESK_ROUTES]
EXAMPLES = 12


def roomy(world: World, folder: Path) -> Scene:
    scene = Scene(world, folder)
    plenty = {name: Limiter(capacity=1e9, per_second=1e9) for name in ("requests", "failures")}
    scene.build(**plenty)
    return scene


def test_the_document_in_docs_is_the_one_that_is_served(world: World, tmp_path: Path) -> None:
    kept = (ROOT / "docs" / "openapi.json").read_text()
    assert kept == render_openapi(ALL), "write docs/openapi.json again: repo_server.web.routes.render_openapi"
    app = roomy(world, tmp_path).app
    assert app is not None
    client = app.test_client()
    client.environ_base["HTTP_HOST"] = "skills.clawdie.si"
    response = client.get(f"{PREFIX}/openapi.json")
    assert (response.status_code, response.get_data(as_text=True)) == (200, kept)
    assert response.headers["ETag"]


def test_every_rule_stands_in_the_document(world: World, tmp_path: Path) -> None:
    app = roomy(world, tmp_path).app
    assert app is not None
    rules = {
        (method, rule.rule.replace("<", "{").replace(">", "}"))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(PREFIX)
        for method in rule.methods or ()
    } - {("GET", f"{PREFIX}/openapi.json")}
    described = {(method.upper(), path) for path, item in openapi(ALL)["paths"].items() for method in item}
    assert {(method, path) for method, path in rules if method != "HEAD"} - {
        ("GET", f"{PREFIX}/openapi.json")
    } == described


def test_the_document_is_openapi() -> None:
    document: dict[str, Any] = json.loads(render_openapi(ALL))
    names = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(names) == len(set(names)) == len(ALL)
    for route in ALL:
        operation = document["paths"][PREFIX + route.path][route.method.lower()]
        assert ("security" in operation) == (route.scope is not None) == ("/desk/" in route.path)
        assert set(route.parts) == {part[1:-1] for part in route.path.split("/") if part.startswith("{")}


@pytest.mark.slow
@pytest.mark.parametrize("name", [route.name for route in ALL])
def test_answers_are_what_the_document_says(world: World, tmp_path: Path, name: str) -> None:
    """schemathesis makes requests from the document, good and bad ones, and compares the answers with it."""
    import schemathesis
    from schemathesis import GenerationMode

    route = next(item for item in ALL if item.name == name)
    scene = roomy(world, tmp_path)
    world.import_skill("notes==1.0")
    headers = {"Authorization": f"Bearer {scene.token('alice')}"}
    schema = schemathesis.openapi.from_wsgi(f"{PREFIX}/openapi.json", scene.app)
    operation = schema[PREFIX + route.path][route.method]
    good = _statuses(operation.as_strategy(generation_mode=GenerationMode.POSITIVE), headers)
    # The bad requests are bad in their token too, now and then; the good ones never are.
    assert good
    assert not {401, 429} & set(good)
    if route.parts or route.query or route.body:  # what takes nothing cannot be asked wrongly
        bad = _statuses(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE), headers)
        assert min(bad) >= 200


def _statuses(cases: Any, headers: dict[str, str]) -> list[int]:
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    wanted = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]
    statuses: list[int] = []

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def ask(case: Any) -> None:
        response = case.call(headers=headers)
        case.validate_response(response, checks=wanted)
        statuses.append(response.status_code)

    ask()
    return statuses
