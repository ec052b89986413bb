"""Files of other keys: neither shown, nor listed, nor read by nodes, nor written over."""

from __future__ import annotations

import http.client
import io
import os
import threading
import urllib.parse
import uuid
from typing import Any

import pytest
from PIL import Image

from tests.attacks.conftest import KeyedServer
from tests.client import Client, Reply, wait_until
from tests.server.graphs import fresh_graph


def picture(colour: str = "red") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(out, "PNG")
    return out.getvalue()


def image_of(graph_id: str, client: Client) -> dict[str, str]:
    """What the preview node of a job that has run shows."""
    image: dict[str, str] = client.wait(graph_id)["outputs"]["2"]["images"][0]
    return image


def look(client: Client, image: dict[str, str]) -> Reply:
    return client.get("/view?" + urllib.parse.urlencode(image))


def view(client: Client, image: dict[str, str], **more: str) -> int:
    return look(client, image | more).status


def upload(client: Client, name: str, content: bytes, **fields: str) -> dict[str, str]:
    reply = client.upload("/upload/image", name, content, **fields)
    assert reply.status == 200, reply.body
    stored: dict[str, str] = reply.json()
    return {"filename": stored["name"], "subfolder": stored["subfolder"], "type": stored["type"]}


def load(name: str) -> dict[str, Any]:
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": name}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }


def saving(prefix: str) -> dict[str, Any]:
    nodes = fresh_graph()
    nodes["2"] = {
        "class_type": "SaveImage",
        "inputs": {"images": ["1", 0], "filename_prefix": prefix},
    }
    return nodes


@pytest.mark.parametrize("graph", [fresh_graph(), saving("ann/kept")], ids=["temp", "output"])
def test_results_are_shown_to_their_owner_and_to_admins(
    keyed: KeyedServer, graph: dict[str, Any]
) -> None:
    ann = keyed.client("ann")
    with ann.listen() as listener:
        prompt_id = ann.submit(graph)
        shown = listener.wait_for("executed", prompt_id)["output"]["images"][0]
        assert view(ann, shown) == 200  # at once, before the job is in the history
        assert view(ann, shown, preview="webp;80") == 200
        listener.wait_for_end(prompt_id)
    assert view(keyed.client("root"), shown) == 200
    for name in ("bob", "rita"):
        client = keyed.client(name)
        assert view(client, shown) == 404
        missing = look(client, shown | {"filename": "missing.png"})
        text = look(client, shown).body.decode()
        assert text.replace(shown["filename"], "missing.png") == missing.body.decode()
        for extra in ({"preview": "webp;80"}, {"channel": "rgb"}):
            assert view(client, shown, **extra) == 404
        named = shown["filename"] + f" [{shown['type']}]"
        assert view(client, {"filename": named, "subfolder": shown["subfolder"]}) == 404


def test_results_from_before_there_were_keys_are_the_admins(keyed: KeyedServer) -> None:
    (keyed.base / "output" / "old.png").write_bytes(picture())
    old = {"filename": "old.png", "subfolder": "", "type": "output"}
    assert view(keyed.client("ann"), old) == 404
    assert view(keyed.client("root"), old) == 200
    refused(keyed.client("ann"), load("old.png [output]"))


def test_input_files_that_nobody_uploaded_are_everybodys(keyed: KeyedServer) -> None:
    (keyed.base / "input" / "example.png").write_bytes(picture())
    for name in ("ann", "bob"):
        client = keyed.client(name)
        assert view(client, {"filename": "example.png", "type": "input"}) == 200
        assert client.run(load("example.png"))["outputs"]


def choices(client: Client) -> list[str]:
    info = client.get("/object_info/LoadImage").json()["LoadImage"]
    names: list[str] = info["input"]["required"]["image"][0]
    whole = client.get("/object_info").json()["LoadImage"]
    assert whole["input"] == info["input"]
    return names


def refused(client: Client, graph: dict[str, Any]) -> None:
    reply = client.post("/prompt", {"prompt": graph})
    assert reply.status == 400
    (error,) = reply.json()["node_errors"]["1"]["errors"]
    assert error["type"] == "custom_validation_failed"


def test_uploads_are_their_owners(keyed: KeyedServer) -> None:
    ann, bob, root = keyed.client("ann"), keyed.client("bob"), keyed.client("root")
    name = f"{uuid.uuid4()}.png"
    stored = upload(ann, name, picture())
    assert [view(client, stored) for client in (ann, root, bob)] == [200, 200, 404]
    assert [name in choices(client) for client in (ann, root, bob)] == [True, True, False]
    assert ann.run(load(name))["outputs"]
    for spelling in (name, f"{name} [input]", f"./{name}", str(keyed.base / "input" / name)):
        refused(bob, load(spelling))
    # Not only nodes of ours: whatever names a file by its kind or its whole path.
    refused(
        bob,
        {
            "1": {"class_type": "RoutesPackShout", "inputs": {"text": f"{name} [input]"}},
            "2": {"class_type": "RoutesPackShow", "inputs": {"text": ["1", 0]}},
        },
    )


def test_an_upload_is_nobodys_at_no_moment(keyed: KeyedServer) -> None:
    """Who asks all the time for a name sees nothing between a file and its record."""
    ann, name, ended = keyed.client("ann"), f"{uuid.uuid4()}.png", threading.Event()
    statuses: set[int] = set()
    path = "/view?" + urllib.parse.urlencode({"filename": name, "type": "input"})
    address = urllib.parse.urlsplit(keyed.process.address)

    def ask() -> None:
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
        while not ended.is_set():
            connection.request("GET", path, headers={"X-API-Key": keyed.keys["bob"]})
            with connection.getresponse() as answer:
                answer.read()
                statuses.add(answer.status)
        connection.close()

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    wait_until(lambda: statuses, what="Bob asks")
    for colour in ("red", "green", "blue") * 5:
        upload(ann, name, picture(colour), overwrite="true")
    ended.set()
    for asker in askers:
        asker.join()
    assert statuses == {404}


def test_folders_of_others_are_not_offered_nor_told(keyed: KeyedServer) -> None:
    ann, bob = keyed.client("ann"), keyed.client("bob")
    hers, his = f"ann-{uuid.uuid4()}", f"bob-{uuid.uuid4()}"
    upload(ann, "a.png", picture(), subfolder=hers)
    upload(bob, "b.png", picture(), subfolder=his)
    reader = "LoadImageDataSetFromFolder"
    for client, own, other in ((ann, hers, his), (bob, his, hers)):
        offered = client.get(f"/object_info/{reader}").body.decode()
        assert own in offered
        assert other not in offered
        graph: dict[str, Any] = {
            "1": {"class_type": reader, "inputs": {"folder": "missing"}},
            "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
        }
        reply = client.post("/prompt", {"prompt": graph})
        assert reply.status == 400
        assert own in reply.body.decode()
        assert other not in reply.body.decode()
        graph |= {"3": fresh_graph()["1"], "4": fresh_graph()["2"]}
        graph["4"]["inputs"]["images"] = ["3", 0]
        reply = client.post("/prompt", {"prompt": graph})
        assert reply.status == 200, "the other output is made"
        assert own in str(reply.json()["node_errors"])
        assert other not in str(reply.json()["node_errors"])


def test_uploads_of_others_are_not_written_over(keyed: KeyedServer) -> None:
    ann, bob, root = keyed.client("ann"), keyed.client("bob"), keyed.client("root")
    name = f"{uuid.uuid4()}.png"
    stored = upload(ann, name, picture("red"))
    assert bob.upload("/upload/image", name, picture("blue"), overwrite="true").status == 409
    # The same content gives Bob a file of his own, not Ann's.
    other = upload(bob, name, picture("red"))
    assert other["filename"] == name.replace(".png", " (1).png")
    assert [view(bob, other), view(ann, other)] == [200, 404]
    assert upload(bob, name, picture("red")) == other
    assert upload(ann, name, picture("red")) == stored
    assert look(ann, stored).body == picture("red")
    upload(ann, name, picture("green"), overwrite="true")
    assert look(ann, stored).body == picture("green")
    upload(root, name, picture("white"), overwrite="true")
    assert [view(client, stored) for client in (root, ann)] == [200, 404]
    (keyed.base / "input" / "shared.png").write_bytes(picture())
    assert bob.upload("/upload/image", "shared.png", picture(), overwrite="true").status == 409


def test_a_mask_for_a_picture_of_others_is_refused(keyed: KeyedServer) -> None:
    ann, bob = keyed.client("ann"), keyed.client("bob")
    name = f"{uuid.uuid4()}.png"
    stored = upload(ann, name, picture())
    reference = f'{{"filename": "{name}", "type": "input"}}'
    mask = io.BytesIO()
    Image.new("RGBA", (8, 8)).save(mask, "PNG")
    for client, status in ((bob, 404), (ann, 200)):
        reply = client.upload(
            "/upload/mask", f"mask-{name}", mask.getvalue(), original_ref=reference
        )
        assert reply.status == status
    assert view(ann, stored) == 200


def test_a_name_takes_nothing_from_others(keyed: KeyedServer) -> None:
    """An upload that is called as a choice of some node leaves others that choice."""
    ann, bob = keyed.client("ann"), keyed.client("bob")
    upload(ann, "bilinear", picture())
    info = bob.get("/object_info/ImageScale").json()["ImageScale"]["input"]["required"]
    assert "bilinear" in str(info["upscale_method"])
    graph = fresh_graph()
    size = {"width": 4, "height": 4, "crop": "disabled"}
    graph["3"] = {
        "class_type": "ImageScale",
        "inputs": {"image": ["1", 0], "upscale_method": "bilinear"} | size,
    }
    graph["2"]["inputs"]["images"] = ["3", 0]
    assert bob.run(graph)["outputs"]


def test_a_cached_picture_is_made_anew_for_another(keyed: KeyedServer) -> None:
    """The same graph gives each key a file of its own, which it may see."""
    ann, bob = keyed.client("ann"), keyed.client("bob")
    graph = fresh_graph()
    first = image_of(ann.submit(graph), ann)
    again = image_of(ann.submit(graph), ann)
    second = image_of(bob.submit(graph), bob)
    assert first == again, "one's own results are kept"
    assert first != second
    assert [view(bob, second), view(bob, first), view(ann, first)] == [200, 404, 200]


def test_what_a_node_shows_makes_nobody_the_owner(keyed: KeyedServer) -> None:
    """A node that shows a name which it was given does not give the file of that name away."""
    old = keyed.base / "output" / "old_scene.glb"
    old.write_bytes(b"glTF")
    os.utime(old, (1_000_000, 1_000_000))
    bob = keyed.client("bob")
    graph = {
        "1": {
            "class_type": "Preview3D",
            "inputs": {"model_file": "old_scene.glb"},
        },
    }
    assert "old_scene.glb" in str(bob.run(graph)["outputs"])
    assert view(bob, {"filename": "old_scene.glb", "type": "output"}) == 404


def test_each_key_has_its_own_settings_and_files(keyed: KeyedServer) -> None:
    ann, bob = keyed.client("ann"), keyed.client("bob")
    assert ann.post("/userdata/private.json", {"a": 1}).status == 200
    assert ann.post("/settings", {"Some.Setting": "ann's"}).status == 200
    for headers in ({}, {"comfy-user": "ann"}, {"comfy-user": "key-ann"}):
        assert bob.get("/userdata/private.json", headers).status == 404
        assert bob.get("/settings", headers).json().get("Some.Setting") is None
    assert ann.get("/userdata/private.json").status == 200
    assert ann.get("/settings/Some.Setting").json() == "ann's"
    forged = {"X-Darkroom-User": "key-ann"}
    assert bob.post("/routes_pack/echo", {}, forged).json()["user"] == "key-bob"
