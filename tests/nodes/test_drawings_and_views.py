"""Drawings, and what the front end makes for nodes: webcam pictures, views of 3D models."""

from __future__ import annotations

import json
import re
import struct
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from nodes.animations import SaveAnimatedWEBP, SaveSVGNode
from nodes.comparisons import ImageCompare
from nodes.context import NodeSettings
from nodes.front_end_files import Load3D, Preview3D, WebcamCapture
from nodes.mesh_files import SaveGLB
from tests.nodes.context import node_context

SVG = '<?xml version="1.0"?>\n<svg width="1" viewBox="0 0 1 1"><rect/></svg>'


def drawing(text: str = SVG) -> Any:
    return SimpleNamespace(data=[BytesIO(text.encode())])


def test_a_drawing_carries_the_workflow_whatever_its_text(tmp_path: Path) -> None:
    prompt = {"1": {"inputs": {"text": "]]> <b>"}}}
    with node_context(tmp_path) as folders:
        result = SaveSVGNode().run(drawing(), "svg/x", prompt=prompt)
        text = (folders.output / "svg" / "x_00001_.svg").read_text()
    assert result["ui"]["images"][0]["filename"] == "x_00001_.svg"
    found = re.search(r"<metadata>(.*)</metadata>", text, re.DOTALL)
    assert found is not None
    parts = re.findall(r"<!\[CDATA\[(.*?)\]\]>", found[1], re.DOTALL)
    assert json.loads("".join(parts)) == {"prompt": prompt}
    assert text.replace(f"\n{found[0]}\n", "") == SVG


@pytest.mark.parametrize(("settings", "text"), [(True, SVG), (False, "no drawing")])
def test_a_drawing_without_place_or_leave_for_metadata_is_kept_as_it_is(
    tmp_path: Path, settings: bool, text: str
) -> None:
    with node_context(tmp_path, settings=NodeSettings(disable_metadata=settings)) as folders:
        SaveSVGNode().run(drawing(text), "x", prompt={"1": {}})
        assert (folders.output / "x_00001_.svg").read_text() == text


def test_one_image_is_no_animation(tmp_path: Path) -> None:
    with node_context(tmp_path):
        result = SaveAnimatedWEBP().run(torch.zeros(1, 4, 4, 3), "x", 6.0, True, 80, "fastest")
    assert result["ui"]["animated"] == (False,)


def picture(path: Path, shade: int, alpha: int = 255) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.new("RGBA", (6, 4), (shade, shade, shade, alpha)).save(path)


def test_a_webcam_picture_is_read_from_where_it_was_uploaded(tmp_path: Path) -> None:
    with node_context(tmp_path) as folders:
        picture(folders.temp / "webcam" / "1.png", 255)
        (image,) = WebcamCapture().run("webcam/1.png [temp]", 0, 0, True)
    assert image.shape == (1, 4, 6, 3)
    assert image.min() == 1


def test_a_model_comes_with_the_views_that_the_front_end_made(tmp_path: Path) -> None:
    with node_context(tmp_path) as folders:
        for name, shade, alpha in (("a", 255, 255), ("b", 0, 0), ("c", 51, 255)):
            picture(folders.temp / f"{name}.png", shade, alpha)
        views: dict[str, Any] = {
            "image": "a.png [temp]",
            "mask": "b.png [temp]",
            "normal": "c.png [temp]",
        }
        views |= {"camera_info": {"zoom": 1}, "recording": ""}
        image, mask, path, normal, camera, video, model = Load3D().run("3d/x.glb", views, 6, 4)
    assert (image.min(), mask.min(), normal.max()) == (1, 1, pytest.approx(0.2))
    assert (path, camera, video) == ("3d/x.glb", {"zoom": 1}, None)
    assert (model.source, model.format) == (tmp_path / "input" / "3d" / "x.glb", "glb")


def test_a_model_is_shown_before_a_background(tmp_path: Path) -> None:
    with node_context(tmp_path) as folders:
        result = Preview3D().run("x.glb", {"zoom": 2}, torch.ones(2, 4, 4, 3))["ui"]["result"]
        name = result[2].removeprefix("temp/")
        assert (folders.temp / name).is_file()
        assert result[:2] == ["x.glb", {"zoom": 2}]
        assert Preview3D().run("x.glb")["ui"]["result"] == ["x.glb", None, None]


def test_compared_images_are_shown_by_side(tmp_path: Path) -> None:
    with node_context(tmp_path) as folders:
        shown = ImageCompare().run(image_a=torch.zeros(2, 4, 4, 3))["ui"]
        names = [entry["filename"] for entry in shown["a_images"]]
        assert [name.startswith("comfy.compare.a_temp_") for name in names] == [True, True]
        assert all((folders.temp / name).is_file() for name in names)
        assert shown["b_images"] == []


def test_a_surface_is_a_gltf_file_with_the_workflow(tmp_path: Path) -> None:
    corners = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, -3]]])
    mesh = SimpleNamespace(vertices=corners, faces=torch.tensor([[[0, 1, 2], [0, 2, 3]]]))
    with node_context(tmp_path) as folders:
        result = SaveGLB().run(mesh, "mesh/x", prompt={"1": {}})
        content = (folders.output / "mesh" / "x_00001_.glb").read_bytes()
    assert result["ui"]["3d"] == [
        {"filename": "x_00001_.glb", "subfolder": "mesh", "type": "output"}
    ]
    magic, version, total, size, kind = struct.unpack_from("<4sIII4s", content)
    assert (magic, version, total, kind) == (b"glTF", 2, len(content), b"JSON")
    described = json.loads(content[20 : 20 + size])
    assert described["asset"]["extras"] == {"prompt": {"1": {}}}
    binary = content[20 + size + 8 :]
    assert described["buffers"] == [{"byteLength": len(binary)}]
    points, indices = described["accessors"]
    assert (points["min"], points["max"]) == ([0, 0, -3], [1, 2, 0])
    first, second = described["bufferViews"]
    found = torch.frombuffer(bytearray(binary[: first["byteLength"]]), dtype=torch.float32)
    assert torch.equal(found.reshape(-1, 3), corners[0])
    start = second["byteOffset"]
    faces = struct.unpack(f"<{indices['count']}I", binary[start : start + second["byteLength"]])
    assert faces == (0, 1, 2, 0, 2, 3)
