"""The outputs of a single job as clients get them."""

from __future__ import annotations

from server.job_outputs import normalise


def test_the_name_of_a_3d_file_becomes_an_item_and_nothing_is_left_out() -> None:
    outputs = {"1": {"result": ["Scene.glb", None, "some text"], "odd": 5}, "2": None}
    item = {"filename": "Scene.glb", "type": "output", "subfolder": "", "mediaType": "3d"}
    assert normalise(outputs) == {"1": {"result": [item, "some text"], "odd": 5}, "2": None}
