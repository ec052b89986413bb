"""What a real server with real nodes answers has the form that the API's description gives it."""

from __future__ import annotations

import uuid
from typing import Any, Final
from urllib.parse import quote, urlencode

import pytest
from jsonschema import Draft202012Validator

from server.api_document import read_document
from server.app import route_scopes
from tests.client import Client
from tests.server.conftest import Place
from tests.server.graphs import fresh_graph, graph

DOCUMENT: Final = read_document(route_scopes())
GETS: Final = [
    (path, item["get"])
    for path, item in DOCUMENT["paths"].items()
    if "get" in item and path not in ("/ws", "/interrupt")
]


def resolve(value: Any) -> Any:
    while "$ref" in value:
        found: Any = DOCUMENT
        for part in value["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        value = found
    return value


@pytest.fixture(scope="module")
def used_server(process_place: Place) -> Client:
    """A real server that has done something: jobs of all ends, files, an empty model."""
    server = Client(process_place.address)
    server.run(fresh_graph())
    broken = graph()
    name = f"{uuid.uuid4().hex}.png"
    server.upload("/upload/image", name, b"no picture")
    broken["1"] = {"class_type": "LoadImage", "inputs": {"image": name}}
    server.wait(server.submit(broken))
    server.upload("/upload/image", "ComfyUI_00001_.png", b"picture", type="output")
    return server


def example_of(path: str, operation: Any) -> str:
    """The path with the examples of all parameters."""
    query = {}
    for parameter in (resolve(parameter) for parameter in operation.get("parameters", [])):
        if parameter["in"] == "path":
            value = quote(str(parameter["example"]), safe="")
            path = path.replace(f"{{{parameter['name']}}}", value)
        elif parameter["in"] == "query" and parameter.get("required"):
            query[parameter["name"]] = parameter["example"]
    return f"{path}?{urlencode(query)}" if query else path


@pytest.mark.parametrize(("path", "operation"), GETS, ids=[path for path, _ in GETS])
def test_the_example_is_answered_as_described(
    used_server: Client, path: str, operation: Any
) -> None:
    reply = used_server.get(example_of(path, operation))
    responses = operation["responses"]
    assert str(reply.status) in responses, reply.body[:200]
    content = resolve(responses[str(reply.status)]).get("content", {})
    kind = reply.headers.get("content-type", "").partition(";")[0]
    assert kind in content or "*/*" in content or not content
    if kind == "application/json" and kind in content:
        schema = {"allOf": [content[kind]["schema"]], "components": DOCUMENT["components"]}
        Draft202012Validator(schema).validate(reply.json())


def test_history_and_jobs_of_all_ends_are_as_described(used_server: Client) -> None:
    jobs = used_server.get("/api/jobs").json()["jobs"]
    assert {"completed", "failed"} <= {job["status"] for job in jobs}
    components = DOCUMENT["components"]
    for job in jobs:
        detail = used_server.get(f"/api/jobs/{quote(job['id'], safe='')}").json()
        schema = {"$ref": "#/components/schemas/JobDetail"}
        Draft202012Validator({"allOf": [schema], "components": components}).validate(detail)


def test_every_node_class_lists_its_inputs_in_order(used_server: Client) -> None:
    classes = used_server.get("/object_info").json()
    assert {"KSampler", "CheckpointLoaderSimple", "SaveImage"} <= set(classes)
    for name, info in classes.items():
        assert info["name"] == name
        assert info["display_name"] is None or info["display_name"], name
        order = {section: list(inputs) for section, inputs in info["input"].items()}
        assert info["input_order"] == order, name
        assert len(info["output"]) == len(info["output_name"]) == len(info["output_is_list"]), name


def test_an_unknown_class_is_an_empty_object(used_server: Client) -> None:
    reply = used_server.get("/object_info/NoSuchClass")
    assert (reply.status, reply.body) == (200, b"{}")
