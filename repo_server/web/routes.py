"""The API as one table: the application is built from it, and so is its OpenAPI document.

    Route("GET", "/skills/{name}", "list_releases", "The releases of a skill, newest first.", view, answer=…)

`register` makes Flask's rules, `openapi` the document of version 3.1. A view gets the service that it asks, and
the parts of the path by name. What a route may refuse with is one answer for all of them: a problem document.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from flask import Blueprint, Response

from repo_server.desk.problems import MEDIA_TYPE as PROBLEM

PREFIX: Final = "/api/v1"
S = TypeVar("S")
Schema = Mapping[str, Any]

PROBLEM_SCHEMA: Final[Schema] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "Stable; see docs/errors.md."},
        "error": {
            "type": "object",
            "description": "The error as --json shows it.",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "hint": {"type": "string"},
                "facts": {"type": "object"},
            },
        },
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What a request carries: media type, schema, and how many bytes at most."""

    media_type: str
    schema: Schema
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Route(Generic[S]):
    """One operation.

    Attributes:
        method, path, name, summary: as the document shows them; the path has ``{parts}``.
        view: called with the service and the parts of the path.
        answer: the schema of the JSON answer, or None when it is a file.
        parts, query: schemas of the parts of the path and of query parameters.
        body: what is handed in, if anything.
        scope: what a token must be good for; None for what everybody may ask.
        cost: how much of a token's allowance one request takes.
    """

    method: str
    path: str
    name: str
    summary: str
    view: Callable[..., Response]
    answer: Schema | None
    parts: Mapping[str, Schema] = field(default_factory=dict)
    query: Mapping[str, Schema] = field(default_factory=dict)
    body: Body | None = None
    scope: str | None = None
    cost: int = 1


Guard = Callable[[Route[S], Callable[..., Response]], Callable[..., Response]]


def register(
    blueprint: Blueprint, routes: Sequence[Route[S]], service: S, *, guard: Guard[S] | None = None
) -> None:
    """Make a rule of each route; ``guard`` wraps its view.

    A route without a guard must be one that everybody may ask.
    """
    for route in routes:
        if route.scope is not None and guard is None:
            raise ValueError(f"{route.name} needs a token, and nobody would ask for it")
        view = _bound(route.view, service)
        blueprint.add_url_rule(
            route.path.replace("{", "<").replace("}", ">"),
            endpoint=route.name,
            view_func=guard(route, view) if guard is not None else view,
            methods=[route.method],
        )


def body_limits(blueprint: Blueprint, routes: Sequence[Route[S]]) -> dict[str, int]:
    """Return how many bytes the requests of each endpoint may carry, where that is not the usual."""
    return {
        f"{blueprint.name}.{route.name}": route.body.max_bytes for route in routes if route.body is not None
    }


def openapi(routes: Sequence[Route[Any]]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of ``routes``."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(PREFIX + route.path, {})[route.method.lower()] = _operation(route)
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "skillrepo",
            "version": "1",
            "summary": "What is published; and how curators hand in, where that is served.",
            "license": {"name": "BSD-2-Clause", "identifier": "BSD-2-Clause"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": {"Problem": PROBLEM_SCHEMA}},
    }
    if any(route.scope is not None for route in routes):
        document["components"]["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "bearerFormat": "skt_"}
        }
    return document


def render_openapi(routes: Sequence[Route[Any]]) -> str:
    """Return the document as it is served and kept in docs/."""
    return json.dumps(openapi(routes), indent=1, sort_keys=True, ensure_ascii=True) + "\n"


def _bound(view: Callable[..., Response], service: object) -> Callable[..., Response]:
    def call(**parts: str) -> Response:
        return view(service, **parts)

    return call


def _operation(route: Route[Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "responses": {
            "200": {"description": "Done.", "content": _content(route.answer)},
            "default": {
                "description": "Refused, and why.",
                "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        },
    }
    parameters = [
        *(
            {"name": name, "in": "path", "required": True, "schema": schema}
            for name, schema in route.parts.items()
        ),
        *({"name": name, "in": "query", "schema": schema} for name, schema in route.query.items()),
    ]
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        content = {route.body.media_type: {"schema": route.body.schema}}
        operation["requestBody"] = {"required": True, "content": content}
    if route.scope is not None:
        operation["security"] = [{"token": []}]
        operation["description"] = f"Needs a token of the scope `{route.scope}`."
    return operation


def _content(schema: Schema | None) -> dict[str, Any]:
    if schema is None:
        return {"application/octet-stream": {}}
    return {"application/json": {"schema": schema}}
