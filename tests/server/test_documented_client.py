"""A client as ComfyUI's documentation describes one works unchanged.

It opens a WebSocket, posts a graph, waits for `executing` with node null, reads the history and
fetches the pictures. Written for this test; libraries and order of calls are those of the example.
"""

from __future__ import annotations

import io
import json
import urllib.parse
import urllib.request
import uuid
from typing import Any

import websocket
from PIL import Image

from tests.conftest import ServerProcess

PROMPT = {
    "3": {
        "class_type": "EmptyImage",
        "inputs": {"width": 24, "height": 16, "batch_size": 2, "color": 0x3366CC},
    },
    "9": {
        "class_type": "SaveImage",
        "inputs": {"images": ["3", 0], "filename_prefix": "documented"},
    },
}


class DocumentedClient:
    def __init__(self, host: str) -> None:
        self.host = host
        self.id = str(uuid.uuid4())

    def queue_prompt(self, prompt: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps({"prompt": prompt, "client_id": self.id}).encode("utf-8")
        # No content type is set: urllib then says application/x-www-form-urlencoded.
        request = urllib.request.Request(f"http://{self.host}/prompt", data=body)
        with urllib.request.urlopen(request) as answer:
            reply: dict[str, Any] = json.loads(answer.read())
            return reply

    def get_image(self, filename: str, subfolder: str, folder_type: str) -> bytes:
        query = urllib.parse.urlencode(
            {"filename": filename, "subfolder": subfolder, "type": folder_type}
        )
        with urllib.request.urlopen(f"http://{self.host}/view?{query}") as answer:
            content: bytes = answer.read()
            return content

    def get_history(self, prompt_id: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://{self.host}/history/{prompt_id}") as answer:
            history: dict[str, Any] = json.loads(answer.read())
            return history

    def get_images(
        self, socket: websocket.WebSocket, prompt: dict[str, Any]
    ) -> dict[str, list[bytes]]:
        prompt_id = self.queue_prompt(prompt)["prompt_id"]
        while True:
            received = socket.recv()
            if not isinstance(received, str):
                continue  # a preview
            message = json.loads(received)
            if message["type"] == "executing":
                data = message["data"]
                if data["node"] is None and data["prompt_id"] == prompt_id:
                    break
        history = self.get_history(prompt_id)[prompt_id]
        return {
            node_id: [
                self.get_image(image["filename"], image["subfolder"], image["type"])
                for image in output.get("images", [])
            ]
            for node_id, output in history["outputs"].items()
        }


def test_it_gets_its_pictures(server_process: ServerProcess) -> None:
    client = DocumentedClient(server_process.address.removeprefix("http://"))
    socket = websocket.WebSocket()
    socket.connect(f"ws://{client.host}/ws?clientId={client.id}")
    try:
        images = client.get_images(socket, PROMPT)
    finally:
        socket.close()
    assert list(images) == ["9"]
    assert len(images["9"]) == 2
    for content in images["9"]:
        picture = Image.open(io.BytesIO(content))
        assert (picture.format, picture.size) == ("PNG", (24, 16))
        assert picture.getpixel((0, 0)) == (0x33, 0x66, 0xCC)
