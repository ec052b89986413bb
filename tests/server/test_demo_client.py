"""The demo's client against a small server that plays ComfyUI's protocol."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from server.demo_client import DemoClient, DrawingFailed, Workflow

WORKFLOW: Workflow = {"1": {"class_type": "SaveImage", "inputs": {}}}
IMAGE = {"filename": "a_00001_.png", "subfolder": "", "type": "output"}
END = ("executing", {"node": None, "prompt_id": "job"})


class Script:
    """A server that answers with what the test says."""

    def __init__(self, *events: tuple[str, dict[str, Any]]) -> None:
        self.events = events
        self.accepts = True
        self.images = [IMAGE]
        self.nodes_asked = 0
        self.app = web.Application()
        self.app.add_routes(
            [
                web.get("/ws", self.socket),
                web.post("/prompt", self.prompt),
                web.get("/history/job", self.history),
                web.get("/object_info/KSampler", self.object_info),
                web.get("/system_stats", self.system_stats),
            ]
        )

    async def prompt(self, request: web.Request) -> web.Response:
        assert (await request.json())["prompt"] == WORKFLOW
        if not self.accepts:
            return web.json_response({"error": {"type": "invalid_prompt"}}, status=400)
        return web.json_response({"prompt_id": "job", "number": 0, "node_errors": {}})

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "status", "data": {"sid": "x"}})
        await socket.send_bytes(b"\0\0\0\1preview")
        for kind, body in self.events:
            await socket.send_json({"type": kind, "data": body})
        await socket.close()
        return socket

    async def system_stats(self, _: web.Request) -> web.Response:
        return web.json_response({})

    async def history(self, _: web.Request) -> web.Response:
        preview = {"filename": "b.png", "subfolder": "", "type": "temp"}
        outputs = {"2": {"images": [preview]}, "9": {"images": self.images}}
        return web.json_response({"job": {"outputs": outputs}})

    async def object_info(self, _: web.Request) -> web.Response:
        self.nodes_asked += 1
        return web.json_response({"KSampler": {}} if self.nodes_asked > 1 else {})


async def draw(script: Script) -> tuple[list[str], list[tuple[str, float, float]]]:
    steps: list[tuple[str, float, float]] = []

    def show(node: str, value: float, maximum: float) -> None:
        steps.append((node, value, maximum))

    async with TestServer(script.app) as server, aiohttp.ClientSession() as session:
        client = DemoClient(session, str(server.make_url("")).rstrip("/"))
        await client.wait_until_it_answers()
        await client.wait_for_node("KSampler")
        images = await client.draw(WORKFLOW, show)
    return [image.filename for image in images], steps


async def test_it_returns_the_saved_pictures_and_shows_the_steps() -> None:
    step = ("progress", {"prompt_id": "job", "node": "3", "value": 1, "max": 20})
    assert await draw(Script(step, END)) == (["a_00001_.png"], [("3", 1, 20)])


async def test_it_waits_until_the_worker_has_published_its_nodes() -> None:
    script = Script(END)
    await draw(script)
    assert script.nodes_asked == 2


async def test_messages_of_other_prompts_are_passed_over() -> None:
    other = ("execution_error", {"prompt_id": "other"})
    assert (await draw(Script(other, END)))[0] == ["a_00001_.png"]


async def test_a_failing_node_is_named() -> None:
    error = {
        "node_id": "4",
        "node_type": "CheckpointLoaderSimple",
        "exception_message": "no file\n",
    }
    script = Script(("execution_error", {"prompt_id": "job", **error}), END)
    with pytest.raises(DrawingFailed, match=r"node 4 \(CheckpointLoaderSimple\) failed: no file$"):
        await draw(script)


async def test_a_refused_workflow_shows_the_answer() -> None:
    script = Script()
    script.accepts = False
    with pytest.raises(DrawingFailed, match=r"refused.*invalid_prompt"):
        await draw(script)


async def test_an_interrupted_prompt_is_a_failure() -> None:
    with pytest.raises(DrawingFailed, match="interrupted"):
        await draw(Script(("execution_interrupted", {"prompt_id": "job"}), END))


async def test_a_connection_that_closes_early_is_a_failure() -> None:
    with pytest.raises(aiohttp.ClientError, match="closed"):
        await draw(Script())


async def test_a_server_with_keys_is_not_waited_for() -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({}, status=401)

    app = web.Application()
    app.router.add_get("/system_stats", refuse)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        client = DemoClient(session, str(server.make_url("")).rstrip("/"))
        with pytest.raises(DrawingFailed, match="--key KEY"):
            await client.wait_until_it_answers()
