"""Draws a workflow through a server's public API, as any client would."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypedDict

import aiohttp

ShowProgress: TypeAlias = Callable[[str, float, float], None]  # node id, value, maximum

POLL_S = 0.1
ANSWER_WAIT_S = 180.0  # a first start imports PyTorch from a cold disk
SILENCE_WAIT_S = 300.0  # longest time without any message while the picture is drawn


class WorkflowNode(TypedDict):
    """A node of a workflow in API format."""

    class_type: str
    inputs: dict[str, Any]


Workflow: TypeAlias = dict[str, WorkflowNode]


class DrawingFailed(Exception):
    """The server did not draw the workflow; the text says why."""


@dataclass(frozen=True, kw_only=True)
class SavedImage:
    """Where a picture lies below the output folder, as history names it."""

    filename: str
    subfolder: str


class DemoClient:
    """Talks to one server. The address is like `http://127.0.0.1:8188`."""

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self._session = session
        self._address = address

    async def wait_until_it_answers(self) -> float:
        """Seconds until GET /system_stats is answered with 200."""
        started = time.monotonic()
        while time.monotonic() - started < ANSWER_WAIT_S:
            try:
                async with self._session.get(f"{self._address}/system_stats") as response:
                    if response.status == 200:
                        return time.monotonic() - started
                    if response.status in (401, 403):
                        raise DrawingFailed(
                            "the server has API keys: give --key KEY, one that may submit"
                        )
            except aiohttp.ClientConnectionError:
                pass  # not listening yet
            await asyncio.sleep(POLL_S)
        raise DrawingFailed(f"the server did not answer within {ANSWER_WAIT_S:.0f} s")

    async def wait_for_node(self, class_type: str) -> None:
        """Return once the server knows a node class, which the worker tells it on a first start."""
        deadline = time.monotonic() + ANSWER_WAIT_S
        while time.monotonic() < deadline:
            async with self._session.get(f"{self._address}/object_info/{class_type}") as response:
                if response.status == 200 and class_type in await response.json():
                    return
            await asyncio.sleep(POLL_S)
        raise DrawingFailed(f"the worker published no nodes within {ANSWER_WAIT_S:.0f} s")

    async def draw(self, workflow: Workflow, show: ShowProgress) -> list[SavedImage]:
        """Submit, wait for the end, and return the pictures that were saved, in order."""
        client_id = uuid.uuid4().hex
        url = f"{self._address}/ws?clientId={client_id}"
        async with self._session.ws_connect(url, max_msg_size=0) as socket:
            prompt_id = await self._submit(workflow, client_id)
            await _follow(socket, prompt_id, show)
        return await self._saved_images(prompt_id)

    async def _submit(self, workflow: Workflow, client_id: str) -> str:
        body = {"prompt": workflow, "client_id": client_id}
        async with self._session.post(f"{self._address}/prompt", json=body) as response:
            if response.status != 200:
                raise DrawingFailed(f"the workflow was refused: {await response.text()}")
            answer = await response.json()
        return str(answer["prompt_id"])

    async def _saved_images(self, prompt_id: str) -> list[SavedImage]:
        async with self._session.get(f"{self._address}/history/{prompt_id}") as response:
            record = (await response.json()).get(prompt_id, {})
        return [
            SavedImage(filename=image["filename"], subfolder=image["subfolder"])
            for output in record.get("outputs", {}).values()
            for image in output.get("images", ())
            if image["type"] == "output"
        ]


async def _follow(
    socket: aiohttp.ClientWebSocketResponse, prompt_id: str, show: ShowProgress
) -> None:
    """Read messages until the prompt is over; raises DrawingFailed, or aiohttp.ClientError."""
    while True:
        try:
            message = await socket.receive(timeout=SILENCE_WAIT_S)
        except TimeoutError:
            raise DrawingFailed(f"nothing was heard for {SILENCE_WAIT_S:.0f} s") from None
        if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED):
            raise aiohttp.ServerDisconnectedError("the server closed the connection")
        if message.type is not aiohttp.WSMsgType.TEXT:
            continue  # a preview
        event = message.json()
        data = event["data"]
        if data.get("prompt_id") != prompt_id:
            continue
        if event["type"] == "progress":
            show(str(data["node"]), data["value"], data["max"])
        elif event["type"] == "execution_error":
            reason = str(data["exception_message"]).strip()
            raise DrawingFailed(f"node {data['node_id']} ({data['node_type']}) failed: {reason}")
        elif event["type"] == "execution_interrupted":
            raise DrawingFailed("the prompt was interrupted")
        elif event["type"] == "executing" and data["node"] is None:
            return
