"""The description of the API agrees with the routes, is valid, and its examples are true to it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from server.api_document import path_shape, read_document
from server.app import API_PREFIX, route_scopes
from server.scopes import Scope
from server.settings import build_settings
from tests.client import Client
from tests.conftest import ROOT
from tests.server.twin import Twin

DOCUMENT: Final = read_document(route_scopes())
METHODS: Final = ("get", "post", "put", "patch", "delete")
OPERATIONS: Final = [
    (method.upper(), path, operation)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if method in METHODS
]
Route = tuple[str, str]


def _shape(path: str) -> str:
    """A path whose parameters have no names."""
    return re.sub(r"\{[^}]*\}", "{}", path)


def _described() -> set[Route]:
    """What the description names, without /api: jobs are shown with it, as their clients do."""
    return {(method, re.sub("^/api(?=/)", "", _shape(path))) for method, path, _ in OPERATIONS}


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> set[Route]:
    """All (method, path) that the application answers, without HEAD."""
    base = tmp_path_factory.mktemp("routes")
    twin = Twin(build_settings({"base_directory": str(base)}, {}))
    twin.start()
    try:
        return set(_routes(twin.app))
    finally:
        twin.stop()


def _routes(app: web.Application) -> Iterator[Route]:
    for route in app.router.routes():
        assert route.resource is not None
        if route.method not in ("HEAD", "OPTIONS"):
            yield route.method, _shape(route.resource.canonical)


def _is_twin(route: Route, registered: set[Route]) -> bool:
    """Whether it is another route under /api."""
    method, path = route
    return path.startswith(API_PREFIX) and (method, path.removeprefix(API_PREFIX)) in registered


def test_routes_and_description_agree(registered: set[Route]) -> None:
    described = _described()
    own = {route for route in registered if not _is_twin(route, registered)}
    assert own - described == set(), "routes that the description lacks"
    assert described - own == set(), "described, but not there"


def test_every_route_exists_below_the_prefix_too(registered: set[Route]) -> None:
    own = {route for route in registered if not _is_twin(route, registered)}
    twins = {(method, API_PREFIX + path) for method, path in own}
    assert twins - registered == set()


def test_the_description_is_valid() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_it_is_of_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert DOCUMENT["info"]["version"] == project["version"]


def test_two_files_cannot_describe_the_same_thing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "openapi.yaml").write_text("paths: {/queue: {get: {summary: one}}}")
    (tmp_path / "second.yaml").write_text("paths: {/queue: {get: {summary: two}}}")
    monkeypatch.setattr("server.api_document._FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"second\.yaml: 'summary' is there twice"):
        read_document(route_scopes())


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_every_call_says_what_it_is_for(method: str, path: str, operation: Any) -> None:
    assert operation["summary"]
    assert set(operation["tags"]) <= {tag["name"] for tag in DOCUMENT["tags"]}
    named = set(re.findall(r"\{(\w+)\}", path))
    parameters = [_resolve(parameter) for parameter in operation.get("parameters", [])]
    assert {p["name"] for p in parameters if p["in"] == "path"} == named
    for name, media in _media(operation):
        if name == "application/json":
            assert "schema" in media
            assert "example" in media or "examples" in media, f"{method} {path} shows no example"


def test_no_two_calls_have_the_same_name() -> None:
    names = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(set(names)) == len(names)


def test_every_component_is_used() -> None:
    text = repr(DOCUMENT)
    for kind, components in DOCUMENT["components"].items():
        for name in components if kind != "securitySchemes" else ():
            reference = f"#/components/{kind}/{name}'"
            # The JSON in a binary frame is all that nothing refers to.
            assert reference in text or name == "PreviewMetadata", reference


def test_every_call_says_which_key_it_needs() -> None:
    for method, path, operation in OPERATIONS:
        scope = route_scopes()[method, path_shape(path)]
        if scope is Scope.OPEN:
            assert operation["security"] == []
            continue
        none, *named = operation["security"]
        assert none == {}, "servers without keys ask for none"
        assert {name for way in named for name in way} == set(
            DOCUMENT["components"]["securitySchemes"]
        )
        assert all(scopes == [scope.word] for way in named for scopes in way.values())
        assert {"401", "403"} <= set(operation["responses"]), f"{method} {path}"


def _resolve(value: Any) -> Any:
    while "$ref" in value:
        found: Any = DOCUMENT
        for part in value["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        value = found
    return value


def _media(operation: Any) -> Iterator[tuple[str, Any]]:
    bodies = list(operation["responses"].values())
    if "requestBody" in operation:
        bodies.append(operation["requestBody"])
    for body in bodies:
        yield from _resolve(body).get("content", {}).items()


def _examples(value: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(where, schema, example) of all examples: of bodies, parameters, headers and schemas."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _examples(item, f"{where}/{index}")
    if not isinstance(value, dict):
        return
    schema = value.get("schema")
    if schema is not None and "example" in value:
        yield where, schema, value["example"]
    for name, example in (value.get("examples") or {}).items() if schema is not None else ():
        yield f"{where}/{name}", schema, example["value"]
    if schema is None and isinstance(value.get("examples"), list):
        for index, example in enumerate(value["examples"]):
            yield f"{where}/{index}", value, example
    for key, item in value.items():
        if key not in ("example", "examples"):
            yield from _examples(item, f"{where}/{key}")


EXAMPLES: Final = list(_examples(DOCUMENT))


@pytest.mark.parametrize(
    ("schema", "example"), [row[1:] for row in EXAMPLES], ids=[row[0] for row in EXAMPLES]
)
def test_an_example_is_what_its_schema_says(schema: Any, example: Any) -> None:
    whole = {"allOf": [schema], "components": DOCUMENT["components"]}
    Draft202012Validator(whole).validate(example)


def test_every_message_of_the_socket_has_an_example() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    messages = [name for name in schemas if name.startswith("Message")]
    assert [name for name in messages if not schemas[name].get("examples")] == []
    listed = {ref["$ref"].rpartition("/")[2] for ref in schemas["WebSocketMessage"]["oneOf"]}
    assert listed == set(messages)
    mapping = schemas["WebSocketMessage"]["discriminator"]["mapping"]
    kinds = {
        name: f"#/components/schemas/{schema}"
        for schema in messages
        for name in [schemas[schema]["properties"]["type"]["const"]]
    }
    assert mapping == kinds


def test_the_guide_mentions_every_route() -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    named = re.findall(r"`([A-Z]+) (/[^\s`?]*)", text)
    mentioned = {(method, re.sub("^/api(?=/)", "", _shape(path))) for method, path in named}
    assert _described() - mentioned == set()


def test_it_is_served_with_a_tag(server: Client) -> None:
    for path in ("/openapi.json", "/api/openapi.json"):
        reply = server.get(path)
        assert reply.headers["content-type"] == "application/json; charset=utf-8"
        assert reply.json() == DOCUMENT
        again = server.get(path, {"If-None-Match": reply.headers["etag"]})
        assert (again.status, again.body) == (304, b"")
        assert again.headers["etag"] == reply.headers["etag"]
        assert server.get(path, {"If-None-Match": '"another"'}).status == 200


def test_the_page_gets_all_its_parts_from_this_server(server: Client) -> None:
    page = server.get("/api-docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
    assert "unsafe" not in policy
    text = page.body.decode()
    assert "//" not in text, "nothing comes from elsewhere"
    assert not re.search(r"<script[^>]*>[^<]|\son\w+=|style=", text)
    parts = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert {"openapi.json", "api-docs/swagger-ui.css", "api-docs/swagger-ui-bundle.js"} < set(parts)
    for prefix in ("/", "/api/"):
        for part in parts:
            assert server.get(prefix + part).status == 200, part
    assert len(server.get("/api-docs/swagger-ui-bundle.js").body) > 1_000_000


def test_the_page_has_no_other_parts(server: Client) -> None:
    for name in ("index.html", "swagger-initializer.js", "..%2fapp.py", "..", "%00"):
        assert server.get(f"/api-docs/{name}").status == 404, name
