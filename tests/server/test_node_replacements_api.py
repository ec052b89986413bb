"""Old node classes: what clients are told, and what becomes of them in a prompt."""

from __future__ import annotations

import pytest

from tests.client import Client

EMPTY = {
    "class_type": "EmptyImage",
    "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0},
}
SAVE = {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}}


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_the_table_is_served(server: Client, prefix: str) -> None:
    table = server.get(f"{prefix}/node_replacements").json()
    assert table["ImageBatch"] == [
        {
            "new_node_id": "BatchImagesNode",
            "old_node_id": "ImageBatch",
            "old_widget_ids": None,
            "input_mapping": [
                {"new_id": "images.image0", "old_id": "image1"},
                {"new_id": "images.image1", "old_id": "image2"},
            ],
            "output_mapping": None,
        }
    ]
    assert server.get("/features").json()["node_replacements"] is True


def test_a_prompt_with_an_old_class_runs_with_the_new_one(server: Client) -> None:
    old = {
        "class_type": "ResizeImagesByLongerEdge",
        "inputs": {"images": ["1", 0], "longer_edge": 32},
        "_meta": {"title": "Smaller"},
    }
    entry = server.run({"1": EMPTY, "2": old, "3": SAVE})
    assert entry["prompt"][2]["2"] == {
        "class_type": "ImageScaleToMaxDimension",
        "inputs": {"image": ["1", 0], "largest_size": 32, "upscale_method": "lanczos"},
        "_meta": {"title": "Smaller"},
    }
    assert "3" in entry["outputs"]


def test_an_old_class_whose_successor_is_not_here_is_unknown(server: Client) -> None:
    old = {"class_type": "ImageBatch", "inputs": {"image1": ["1", 0], "image2": ["1", 0]}}
    reply = server.post("/prompt", {"prompt": {"1": EMPTY, "2": old, "3": SAVE}})
    assert reply.status == 400
    assert reply.json()["error"]["type"] == "invalid_prompt"
