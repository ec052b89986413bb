"""Pictures put on surfaces, and whole workflows down to the file."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import torch
from torch import Tensor

from executor.messages import Emit, Finished, Ready
from executor.worker_config import WorkerConfig
from models.errors import InvalidInput
from nodes.geometry.arrays import Reals
from nodes.mesh_textures import ApplyTextureToMesh
from nodes.meshes import GetMeshInfo, MeshToFile3D
from nodes.shapes import Mesh, mesh_of, surfaces_of
from nodes.texturing.frames import tangents
from nodes.texturing.targets import normals_of, tangents_of
from tests.executor.worker.client import worker
from tests.executor.worker.harness import node
from tests.nodes.glb import Glb, read_glb
from tests.nodes.meshes.flat import square
from tests.nodes.meshes.solids import as_mesh, cube


def applied(mesh: Mesh | None = None, **pictures: Tensor) -> Mesh:
    """The square, or another mesh, with pictures."""
    pictures.setdefault("base_color", torch.rand(1, 4, 4, 3))
    (made,) = ApplyTextureToMesh().run(mesh or mesh_of([square()]), **pictures)
    return made


def grey(value: float, side: int, channels: int = 3) -> Tensor:
    return torch.full((1, side, side, channels), value)


def test_metal_roughness_and_occlusion_are_packed_into_one_picture() -> None:
    made = applied(metallic=grey(0.25, 4), roughness=grey(0.5, 8), occlusion=grey(0.75, 2, 1))
    (surface,) = surfaces_of(made)
    assert surface.orm_texture is not None
    assert surface.orm_texture.shape == (8, 8, 3)
    assert torch.allclose(surface.orm_texture, torch.tensor([0.75, 0.5, 0.25]))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("occlusion", (0.5, 1, 0)), ("roughness", (1, 0.5, 0)), ("metallic", (1, 1, 0.5))],
)
def test_what_is_missing_is_open_rough_and_no_metal(
    name: str, expected: tuple[float, float, float]
) -> None:
    (surface,) = surfaces_of(applied(mesh_of([square()]), **{name: grey(0.5, 2)}))
    assert surface.orm_texture is not None
    assert torch.allclose(surface.orm_texture, torch.tensor(expected).float())


def test_a_base_colour_alone_brings_nothing_else() -> None:
    (surface,) = surfaces_of(applied(base_color=grey(0.5, 3, 1)))
    assert surface.texture is not None
    assert surface.texture.shape == (3, 3, 3)
    assert surface.orm_texture is surface.normal_map is surface.tangents is None


def test_a_normal_map_brings_normals_and_tangents() -> None:
    made = applied(normal_map=torch.tensor([0.5, 0.5, 1.0]).expand(1, 4, 4, 3))
    (surface,) = surfaces_of(made)
    assert surface.normals is not None
    assert torch.allclose(surface.normals, torch.tensor([0.0, 0, 1]))
    assert surface.tangents is not None
    # u goes along x; up in the picture is y = normal x tangent.
    assert torch.allclose(surface.tangents, torch.tensor([1.0, 0, 0, 1]))
    info = GetMeshInfo().run(made)["result"][1]
    assert "normal_map, normals, tangents, texture, uvs" in info


def test_surfaces_without_uvs_get_no_pictures() -> None:
    with pytest.raises(InvalidInput, match="no UVs: unwrap it first"):
        applied(as_mesh(cube()))


def test_no_picture_at_all_is_refused() -> None:
    with pytest.raises(InvalidInput, match="there is none"):
        applied(base_color=torch.zeros(0, 4, 4, 3))


def test_each_surface_of_a_batch_has_its_picture_and_the_last_serves_for_more() -> None:
    colors = torch.stack([torch.full((2, 2, 3), value) for value in (0.25, 0.75)])
    made = surfaces_of(applied(mesh_of([square(), square(2), square()]), base_color=colors))
    levels = [float(surface.texture.mean()) for surface in made if surface.texture is not None]
    assert levels == [0.25, 0.75, 0.75]


def test_mirrored_uvs_turn_the_bitangent_and_not_the_tangent_plane() -> None:
    flat = square()
    assert flat.uvs is not None
    points, faces, uvs = (v.double().numpy() for v in (flat.vertices, flat.faces, flat.uvs))
    up: Reals = np.tile((0.0, 0, 1), (4, 1))
    mirrored = tangents(points, faces.astype(np.int64), uvs * (-1, 1) + (1, 0), up)
    assert np.allclose(mirrored, (-1, 0, 0, -1))


def test_tangents_are_across_normals_also_where_uvs_have_no_area() -> None:
    flat = square(2)
    assert flat.uvs is not None
    points, faces, uvs = (v.double().numpy() for v in (flat.vertices, flat.faces, flat.uvs))
    up: Reals = np.tile((0.6, 0, 0.8), (len(points), 1))
    for made in (
        tangents(points, faces.astype(np.int64), uvs * 0, up),
        tangents(points, faces.astype(np.int64), uvs, up),
    ):
        assert np.allclose(np.linalg.norm(made[:, :3], axis=1), 1)
        assert np.allclose((made[:, :3] * up).sum(axis=1), 0)
        assert set(made[:, 3]) <= {-1, 1}


def test_tangents_and_normals_that_are_there_are_kept() -> None:
    lean = torch.tensor([0.6, 0, 0.8]).repeat(4, 1)
    along = torch.tensor([0.8, 0, -0.6, -1]).repeat(4, 1)
    own = replace(square(), normals=lean, tangents=along)
    assert np.allclose(normals_of(own), (0.6, 0, 0.8))
    assert np.allclose(tangents_of(own), (0.8, 0, -0.6, -1))


PACK: Final = """
    import numpy as np
    import torch
    from comfy_api.latest import Types
    from nodes.voxel_colors import SparseGrid, VoxelColors
    from tests.nodes.meshes.solids import as_mesh, sphere


    class Balls:
        RETURN_TYPES = ("MESH", "MESH", "VOXEL")
        FUNCTION = "run"

        @classmethod
        def INPUT_TYPES(cls):
            return {"required": {}}

        def run(self):
            axis = torch.arange(-16, 16)
            places = torch.cartesian_prod(axis, axis, axis)
            color = ((places + 0.5) / 12 + 1).clamp(0, 2) / 2
            rest = torch.tensor([1.0, 0.25, 1.0]).expand(len(places), 3)
            grid = SparseGrid(
                coordinates=places,
                attributes=torch.cat([color, rest], dim=1),
                origin=(0.0, 0.0, 0.0),
                voxel_size=1 / 12,
            )
            low = as_mesh(sphere(1), sphere(2))
            points, faces = sphere(4)
            waves = 1 + 0.03 * np.sin(8 * points[:, 2:])
            high = as_mesh((points * waves, faces))
            return Types.MESH(low.vertices, low.faces), high, VoxelColors([grid])


    NODE_CLASS_MAPPINGS = {"Balls": Balls}
"""


def workflow() -> dict[str, Any]:
    """Two balls of few faces, with all that can be baked for them, in files."""
    return {
        "balls": node("Balls"),
        "unwrap": node("UnwrapMesh", mesh=["balls", 0], segmenter="pec", resolution=256, padding=1,
                       weld_distance=0.0002),
        "atlas": node("RenderUVAtlas", mesh=["unwrap", 0], resolution=128),
        "shown": node("PreviewImage", images=["atlas", 0]),
        "normals": node("BakeNormalMapFromMesh", low_poly=["unwrap", 0], high_poly=["balls", 1],
                        resolution=128, cage_distance=0.25, ignore_backfaces=True),
        "occlusion": node("BakeAmbientOcclusion", low_poly=["unwrap", 0], high_poly=["balls", 1],
                          resolution=64, samples=16, max_distance=0.5, strength=1.0, bias=0.01),
        "colors": node("BakeTextureFromVoxel", mesh=["unwrap", 0], voxel_colors=["balls", 2],
                       texture_size=128, reference_mesh=["balls", 1]),
        "apply": node("ApplyTextureToMesh", mesh=["unwrap", 0], base_color=["colors", 0],
                      metallic=["colors", 1], roughness=["colors", 2], occlusion=["occlusion", 0],
                      normal_map=["normals", 0]),
        "save": node("SaveGLB", mesh=["apply", 0], filename_prefix="3d/ball"),
    }  # fmt: skip


def check_ball(read: Glb) -> None:
    """That a file has a ball whose colour is its place, and the map of one with waves."""
    points, uvs = read.attributes["POSITION"], read.attributes["TEXCOORD_0"]
    assert {"NORMAL", "TANGENT"} <= set(read.attributes)
    assert uvs.min() >= 0
    assert uvs.max() <= 1
    looks = read.material["pbrMetallicRoughness"]
    color = read.picture(looks["baseColorTexture"])
    packed = read.picture(looks["metallicRoughnessTexture"])
    bumps = read.picture(read.material["normalTexture"])
    assert color.shape == packed.shape == bumps.shape == (128, 128, 3)
    at = tuple(np.clip(np.floor(uvs[:, ::-1] * 128), 0, 127).astype(int).T)
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    assert np.abs(color[at] / 255 - (unit + 1) / 2).max() < 0.12
    assert packed[..., 2].min() == 255  # metal
    assert packed[..., 1].max() == 63
    assert packed[..., 0].mean() > 240  # open
    assert bumps[..., 2].min() > 200
    assert bumps[..., 0].min() < 120


def test_a_workflow_in_a_worker_makes_files_with_everything(tmp_path: Path) -> None:
    (tmp_path / "custom_nodes").mkdir()
    (tmp_path / "custom_nodes" / "balls.py").write_text(textwrap.dedent(PACK))
    config = WorkerConfig(base=str(tmp_path), cpu=True)
    with worker("executor.worker", "--config", config.to_json()) as client:
        client.wait_for(Ready)
        events = client.run(workflow(), "save", "shown")
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.succeeded, finished.messages
    entries = finished.outputs["save"]["3d"]
    files = [tmp_path / "output" / "3d" / entry["filename"] for entry in entries]
    few, more = (read_glb(file.read_bytes()) for file in files)
    assert (len(few.faces), len(more.faces)) == (80, 320)
    check_ball(few)
    check_ball(more)
    assert few.description["asset"]["extras"]["prompt"]["save"]["class_type"] == "SaveGLB"
    assert len(finished.outputs["shown"]["images"]) == 2
    assert any(isinstance(event, Emit) and b"progress" in event.text for event in events)


def test_the_first_textured_surface_becomes_a_model_in_memory() -> None:
    (model,) = MeshToFile3D().run(applied(normal_map=grey(0.5, 4)))
    read = read_glb(model.content())
    assert {"POSITION", "NORMAL", "TANGENT", "TEXCOORD_0"} == set(read.attributes)
    assert set(read.material) == {"pbrMetallicRoughness", "normalTexture"}
