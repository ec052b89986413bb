"""Surfaces with all that is known of them, in files."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.errors import InvalidInput
from nodes.gltf import write_glb
from nodes.mesh_files import SaveGLB
from nodes.meshes import MeshToFile3D
from nodes.shapes import Mesh, Surface, mesh_of, surfaces_of
from tests.nodes.context import node_context
from tests.nodes.glb import Glb, read_glb

TRIANGLE = Surface(
    vertices=torch.tensor([[0.0, 0, 0], [2, 0, 0], [0, 3, 0]]),
    faces=torch.tensor([[0, 1, 2]]),
)
WHOLE = replace(
    TRIANGLE,
    uvs=torch.tensor([[0.0, 0], [1, 0], [0, 1]]),
    normals=torch.tensor([[0.0, 0, 1]]).repeat(3, 1),
    tangents=torch.tensor([[1.0, 0, 0, -1]]).repeat(3, 1),
    colors=torch.rand(3, 3, generator=torch.Generator().manual_seed(0)),
    texture=torch.linspace(0, 1, 2 * 3 * 3).reshape(2, 3, 3),
    orm_texture=torch.tensor([1.0, 0.5, 0.0]).expand(4, 4, 3),
    normal_map=torch.tensor([0.5, 0.5, 1.0]).expand(5, 5, 3),
)


def written(surface: Surface) -> Glb:
    """The surface as it is read back from a file."""
    file = io.BytesIO()
    write_glb(surface, file, {"prompt": {"1": 2}})
    return read_glb(file.getvalue())


def test_vertices_and_faces_alone_need_no_material() -> None:
    read = written(TRIANGLE)
    assert set(read.attributes) == {"POSITION"}
    assert np.array_equal(read.attributes["POSITION"], TRIANGLE.vertices.numpy())
    assert read.faces.tolist() == [[0, 1, 2]]
    assert read.material == {}
    assert read.description["asset"]["extras"] == {"prompt": {"1": 2}}


def test_all_attributes_of_vertices_are_written() -> None:
    read = written(WHOLE)
    names = {"NORMAL": "normals", "TANGENT": "tangents", "TEXCOORD_0": "uvs", "COLOR_0": "colors"}
    for name, field in names.items():
        assert np.array_equal(read.attributes[name], getattr(WHOLE, field).numpy())


def test_pictures_become_textures_of_a_material() -> None:
    read = written(WHOLE)
    looks = read.material["pbrMetallicRoughness"]
    assert WHOLE.texture is not None
    levels = (WHOLE.texture * 255).to(torch.uint8).numpy()
    assert np.array_equal(read.picture(looks["baseColorTexture"]), levels)
    packed = read.picture(looks["metallicRoughnessTexture"])
    assert packed.shape == (4, 4, 3)
    assert packed[0, 0].tolist() == [255, 127, 0]
    assert read.material["occlusionTexture"] == looks["metallicRoughnessTexture"]
    assert (looks["metallicFactor"], looks["roughnessFactor"]) == (1, 1)
    assert read.picture(read.material["normalTexture"]).shape == (5, 5, 3)
    assert len(read.images) == 3
    assert "alphaMode" not in read.material


def test_a_texture_that_is_clear_somewhere_is_blended() -> None:
    clear = torch.ones(2, 2, 4)
    clear[0, 0, 3] = 0
    assert written(replace(WHOLE, texture=clear)).material["alphaMode"] == "BLEND"
    assert "alphaMode" not in written(replace(WHOLE, texture=torch.ones(2, 2, 4))).material


def test_what_has_a_texture_or_colours_alone_is_no_metal() -> None:
    textured = replace(TRIANGLE, uvs=WHOLE.uvs, texture=WHOLE.texture)
    for surface in (textured, replace(TRIANGLE, colors=WHOLE.colors)):
        assert written(surface).material["pbrMetallicRoughness"]["metallicFactor"] == 0


def test_pictures_without_uvs_are_left_out() -> None:
    read = written(replace(TRIANGLE, texture=WHOLE.texture))
    assert read.images == []


def test_each_surface_of_a_batch_has_its_own_parts(tmp_path: Path) -> None:
    other = replace(
        WHOLE,
        vertices=torch.rand(4, 3),
        faces=torch.tensor([[0, 1, 2], [0, 2, 3]]),
        uvs=torch.rand(4, 2),
        normals=torch.tensor([[0.0, 1, 0]]).repeat(4, 1),
        tangents=None,
        colors=None,
        texture=torch.zeros(7, 7, 3),
    )
    mesh = mesh_of([WHOLE, other])
    with node_context(tmp_path):
        saved = SaveGLB().run(mesh, "3d/x")
    files = [tmp_path / "output" / "3d" / entry["filename"] for entry in saved["ui"]["3d"]]
    first, second = (read_glb(file.read_bytes()) for file in files)
    assert len(first.attributes["TEXCOORD_0"]) == 3
    assert len(second.attributes["TEXCOORD_0"]) == 4
    assert "TANGENT" not in first.attributes  # the other one has none
    assert [max(image.size for image in read.images) for read in (first, second)] == [
        (5, 5),
        (7, 7),
    ]
    (model,) = MeshToFile3D().run(mesh)
    assert np.array_equal(read_glb(model.content()).faces, first.faces)


def test_surfaces_of_one_size_become_tensors_and_come_back() -> None:
    mesh = mesh_of([WHOLE, WHOLE])
    assert isinstance(mesh.vertices, torch.Tensor)
    assert mesh.vertices.shape == (2, 3, 3)
    for surface in surfaces_of(mesh):
        assert surface.orm_texture is not None
        assert surface.tangents is not None
        assert surface.tangents[0].tolist() == [1, 0, 0, -1]


def test_one_picture_serves_all_surfaces_of_a_batch() -> None:
    mesh = mesh_of([TRIANGLE, TRIANGLE])
    mesh.__dict__["texture"] = torch.ones(1, 2, 2, 3)
    assert all(surface.texture is not None for surface in surfaces_of(mesh))


@pytest.mark.parametrize(
    ("mesh", "message"),
    [
        (Mesh([torch.zeros(3, 3)], []), "1 sets of vertices and 0 of faces"),
        (Mesh(torch.zeros(1, 3, 3), torch.full((1, 1, 3), 3)), "vertices it has not"),
        (
            Mesh(torch.zeros(1, 3, 3), torch.zeros(1, 1, 3).long(), uvs=torch.zeros(1, 4, 2)),
            r"3 vertices, and uvs of shape \[4, 2\]",
        ),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(mesh: Mesh, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        surfaces_of(mesh)
