"""Nodes read and replace no files of other keys, however they come by the names."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any

import pytest

from tests.attacks.conftest import KeyedServer
from tests.attacks.test_keys_and_files import image_of, look, picture, upload
from tests.client import Client, PromptFailed, wait_until
from tests.server.graphs import fresh_graph, slow_graph

OF_OTHERS = "that this key may use"
WEBCAM = {"width": 0, "height": 0, "capture_on_queue": True}


def preview(*link: Any) -> dict[str, Any]:
    return {"class_type": "PreviewImage", "inputs": {"images": list(link)}}


def text(value: str) -> dict[str, Any]:
    return {"class_type": "PrimitiveString", "inputs": {"value": value}}


# Nodes whose outputs fit any input: they carry a text to where a choice is expected.
CARRIERS = [
    {"class_type": "ComfyPassOrNoneNode", "inputs": {"anything": ["name", 0]}},
    {
        "class_type": "ComfySwitchNode",
        "inputs": {"switch": True, "on_false": ["name", 0], "on_true": ["name", 0]},
    },
]


def carried(name: str, carrier: dict[str, Any], reader: str, input_name: str) -> dict[str, Any]:
    more = WEBCAM if reader == "WebcamCapture" else {}
    return {
        "name": text(name),
        "carrier": carrier,
        "1": {"class_type": reader, "inputs": {input_name: ["carrier", 0]} | more},
        "2": preview("1", 0),
    }


def failure(client: Client, graph: dict[str, Any]) -> str:
    """Why a graph that was queued failed."""
    with pytest.raises(PromptFailed) as failed:
        client.run(graph)
    return str(failed.value)


@pytest.fixture
def private(keyed: KeyedServer) -> str:
    """A picture that Ann has uploaded."""
    name = f"{uuid.uuid4()}.png"
    upload(keyed.client("ann"), name, picture())
    return name


@pytest.mark.parametrize("carrier", CARRIERS, ids=lambda carrier: str(carrier["class_type"]))
@pytest.mark.parametrize("reader", ["LoadImage", "LoadImageOutput", "WebcamCapture"])
def test_a_name_that_another_node_gives_reads_no_file_of_others(
    keyed: KeyedServer, private: str, carrier: dict[str, Any], reader: str
) -> None:
    graph = carried(private, carrier, reader, "image")
    # Ann first: what she was given from the cache is not given to Bob.
    assert keyed.client("ann").run(graph)["outputs"]
    assert OF_OTHERS in failure(keyed.client("bob"), graph)
    assert keyed.client("root").run(graph)["outputs"]


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("WebcamCapture", {"image": "FILE"} | WEBCAM),
        (
            "Load3D",
            {
                "model_file": "3d/x.glb",
                "image": {"image": "FILE", "mask": "FILE", "normal": "FILE", "recording": ""},
                "width": 64,
                "height": 64,
            },
        ),
    ],
)
def test_names_that_front_ends_give_are_looked_at(
    keyed: KeyedServer, private: str, name: str, inputs: dict[str, Any]
) -> None:
    model = keyed.base / "input" / "3d" / "x.glb"
    model.parent.mkdir(exist_ok=True)
    model.write_bytes(b"glTF")
    given = json.loads(json.dumps(inputs).replace("FILE", private))
    graph = {"1": {"class_type": name, "inputs": given}, "2": preview("1", 0)}
    reply = keyed.client("bob").post("/prompt", {"prompt": graph})
    assert reply.status == 400
    (error,) = reply.json()["node_errors"]["1"]["errors"]
    assert (error["type"], error["extra_info"]["input_name"]) == (
        "custom_validation_failed",
        "image",
    )
    assert keyed.client("ann").run(graph)["outputs"]


def test_what_was_painted_by_others_is_not_read(keyed: KeyedServer, private: str) -> None:
    sizes = {"width": 64, "height": 64, "bg_color": "#000000"}
    graph = {"1": {"class_type": "Painter", "inputs": {"mask": private} | sizes}}
    graph["2"] = preview("1", 0)
    ann, bob = keyed.client("ann"), keyed.client("bob")
    assert ann.run(graph)["outputs"]
    assert OF_OTHERS in failure(bob, graph)


def test_saved_files_hold_no_digest_of_what_is_of_others(keyed: KeyedServer, private: str) -> None:
    """What IS_CHANGED says gets into the graph that is saved, also for nodes that run later."""
    bob = keyed.client("bob")
    sizes = {"width": 64, "height": 64, "bg_color": "#000000"}
    graph = fresh_graph()
    graph["3"] = {"class_type": "Painter", "inputs": {"mask": private} | sizes}
    graph["4"] = preview("3", 0)
    entry = bob.wait(bob.submit(graph))
    assert OF_OTHERS in str(entry["status"])
    (image,) = entry["outputs"]["2"]["images"]
    digest = hashlib.sha256(picture()).hexdigest()
    saved = look(bob, image).body
    assert b"Painter" in saved
    assert digest.encode() not in saved


def test_a_folder_is_looked_at_when_it_is_read(keyed: KeyedServer) -> None:
    """Not only when the graph is submitted: others may put files there meanwhile."""
    ann, bob, folder = keyed.client("ann"), keyed.client("bob"), f"set-{uuid.uuid4()}"
    upload(bob, "mine.png", picture(), subfolder=folder)
    graph = {
        "1": {"class_type": "LoadImageDataSetFromFolder", "inputs": {"folder": folder}},
        "2": preview("1", 0),
    }
    assert bob.run(graph)["outputs"]
    running = ann.submit(slow_graph(400))
    wait_until(lambda: ann.get("/queue").json()["queue_running"], what="Ann's job runs")
    waiting = bob.submit(graph)
    upload(ann, "hers.png", picture("blue"), subfolder=folder)
    assert ann.post("/interrupt", {"prompt_id": running}).status == 200
    assert OF_OTHERS in str(bob.wait(waiting)["status"])
    assert OF_OTHERS in failure(
        bob, carried(folder, CARRIERS[0], "LoadImageDataSetFromFolder", "folder")
    )


def dataset(folder: str, colour: int) -> dict[str, Any]:
    sizes = {"width": 8, "height": 8, "batch_size": 1, "color": colour}
    return {
        "1": {"class_type": "EmptyImage", "inputs": sizes},
        "2": {
            "class_type": "SaveImageTextDataSetToFolder",
            "inputs": {
                "images": ["1", 0],
                "texts": "a word",
                "folder_name": folder,
                "filename_prefix": "image",
            },
        },
    }


def test_a_dataset_of_others_is_not_replaced(keyed: KeyedServer) -> None:
    ann, bob, folder = keyed.client("ann"), keyed.client("bob"), f"set-{uuid.uuid4()}"
    ann.run(dataset(folder, 1))
    saved = keyed.base / "output" / folder
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    assert set(before) == {"image_00000000.png", "image_00000000.txt"}
    assert OF_OTHERS in failure(bob, dataset(folder, 2))
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before
    entry = {"filename": "image_00000000.png", "subfolder": folder, "type": "output"}
    assert [look(client, entry).status for client in (ann, bob)] == [200, 404]
    ann.run(dataset(folder, 3))
    assert look(ann, entry).body != before["image_00000000.png"]
    assert look(ann, entry).status == 200


def test_a_training_dataset_is_its_owners(keyed: KeyedServer) -> None:
    ann, bob, folder = keyed.client("ann"), keyed.client("bob"), f"set-{uuid.uuid4()}"
    save: dict[str, Any] = {
        "1": {
            "class_type": "EmptyLatentImage",
            "inputs": {"width": 16, "height": 16, "batch_size": 1},
        },
        "2": {
            "class_type": "SaveTrainingDataset",
            "inputs": {
                "latents": ["1", 0],
                "conditioning": ["3", 0],
                "folder_name": folder,
                "shard_size": 1000,
            },
        },
        "3": {"class_type": "ComfyPassOrNoneNode", "inputs": {"anything": ["1", 0]}},
    }
    ann.run(save)
    read = {
        "1": {"class_type": "LoadTrainingDataset", "inputs": {"folder_name": folder}},
        "2": {
            "class_type": "SaveLatent",
            "inputs": {"samples": ["1", 0], "filename_prefix": "read"},
        },
    }
    assert ann.run(read)["outputs"]
    assert OF_OTHERS in failure(bob, read)
    assert OF_OTHERS in failure(bob, save)


def test_ones_own_results_can_be_read_again(keyed: KeyedServer) -> None:
    ann = keyed.client("ann")
    shown = image_of(ann.submit(fresh_graph()), ann)
    name = f"{shown['filename']} [{shown['type']}]"
    assert ann.run(carried(name, CARRIERS[0], "LoadImage", "image"))["outputs"]


def test_a_saved_model_tells_its_workflow_to_its_owner_only(keyed: KeyedServer) -> None:
    """Its weights are all's to use, as those of every model."""
    ann, name = keyed.client("ann"), f"{uuid.uuid4()}"
    ann.run(
        {
            "1": {
                "class_type": "CheckpointLoaderSimple",
                "inputs": {"ckpt_name": "darkroom_starter.safetensors"},
            },
            "2": {
                "class_type": "VAESave",
                "inputs": {"vae": ["1", 2], "filename_prefix": f"vae/{name}"},
            },
        }
    )
    file = f"{name}_00001_.safetensors"
    replies = {
        who: keyed.client(who).get("/view_metadata/vae", filename=file)
        for who in ("ann", "root", "bob")
    }
    assert {who: reply.status for who, reply in replies.items()} == {
        "ann": 200,
        "root": 200,
        "bob": 404,
    }
    assert "prompt" in replies["ann"].json()
    missing = keyed.client("bob").get("/view_metadata/vae", filename="missing.safetensors")
    assert replies["bob"].body.decode() == missing.body.decode().replace(
        "missing.safetensors", file
    )
    assert file in keyed.client("bob").get("/models/vae").json()
    (keyed.base / "output" / "vae" / f"{name}_00001_.png").write_bytes(picture())
    for who, status in (("ann", 200), ("bob", 404)):
        shown = keyed.client(who).get(f"/experiment/models/preview/vae/1/{file}")
        assert shown.status == status
