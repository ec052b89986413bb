"""Graphs that the server's tests submit."""

from __future__ import annotations

import uuid
from typing import Any

from tests.client import Client


def graph(colour: int = 0, size: int = 8) -> dict[str, Any]:
    image = {"width": size, "height": size, "batch_size": 1, "color": colour}
    return {
        "1": {"class_type": "EmptyImage", "inputs": image},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }


def fresh_graph() -> dict[str, Any]:
    """A graph whose result no cache can have."""
    return graph(uuid.uuid4().int % 0xFFFFFF)


def slow_graph(steps: int = 60) -> dict[str, Any]:
    """Some seconds of work in many nodes, so that it can be interrupted."""
    nodes = graph(uuid.uuid4().int % 0xFFFFFF, 1024)
    last = "1"
    for number in range(steps):
        side = 1536 if number % 2 else 1024
        name = f"s{number}"
        nodes[name] = {
            "class_type": "ImageScale",
            "inputs": {
                "image": [last, 0],
                "upscale_method": "lanczos",
                "width": side,
                "height": side,
                "crop": "disabled",
            },
        }
        last = name
    nodes["2"]["inputs"]["images"] = [last, 0]
    return nodes


def release(server: Client, busy: str) -> None:
    server.post("/interrupt")
    server.wait(busy)
