"""Surfaces of grids, model files, cameras."""

from __future__ import annotations

import json
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.errors import InvalidInput
from nodes.cameras import CreateCameraInfo
from nodes.mesh_files import SaveGLB
from nodes.meshes import GetMeshInfo, MeshToFile3D, VoxelToMesh, VoxelToMeshBasic
from nodes.model_views import Preview3DAdvanced, Save3DAdvanced
from nodes.shapes import File3D, Mesh, Voxel
from tests.nodes.context import node_context


def ball(radius: float = 0.6, size: int = 32) -> Tensor:
    """Densities that fall with the distance from the middle and are 0.5 at the radius."""
    axis = torch.linspace(-1, 1, size)
    x, y, z = torch.meshgrid(axis, axis, axis, indexing="ij")
    return 0.5 + radius - (x**2 + y**2 + z**2).sqrt()


def volume(vertices: Tensor, faces: Tensor) -> float:
    """Of what a closed surface holds; negative where it looks inwards."""
    a, b, c = vertices[faces].unbind(dim=1)
    return float((a * torch.linalg.cross(b, c)).sum() / 6)


def is_closed(faces: Tensor) -> bool:
    """Whether every edge has a triangle on either side, which go along it both ways."""
    edges = Counter(
        (int(face[i]), int(face[(i + 1) % 3])) for face in faces.tolist() for i in range(3)
    )
    return all(edges[b, a] == count for (a, b), count in edges.items())


@pytest.mark.parametrize("algorithm", ["surface net", "basic"])
def test_the_surface_of_a_ball_is_closed_and_looks_outwards(algorithm: str) -> None:
    (mesh,) = VoxelToMesh().run(Voxel(ball()[None]), algorithm, 0.5)
    vertices, faces = mesh.vertices[0], mesh.faces[0]
    assert is_closed(faces)
    expected = 4 / 3 * torch.pi * 0.6**3
    assert volume(vertices, faces) == pytest.approx(expected, rel=0.12)


def test_a_surface_net_lies_where_densities_pass_the_threshold() -> None:
    (mesh,) = VoxelToMesh().run(Voxel(ball()[None]), "surface net", 0.5)
    distances = torch.as_tensor(mesh.vertices[0]).norm(dim=1)
    assert distances.sub(0.6).abs().max() < 0.02


def test_what_reaches_the_end_of_the_grid_is_closed_there() -> None:
    full = torch.ones(1, 4, 4, 4)
    for algorithm in ("surface net", "basic"):
        (mesh,) = VoxelToMesh().run(Voxel(full), algorithm, 0.5)
        assert is_closed(mesh.faces[0])
        assert volume(mesh.vertices[0], mesh.faces[0]) > 0


def test_a_cube_has_six_sides_of_two_triangles() -> None:
    grid = torch.zeros(1, 3, 3, 3)
    grid[0, 1, 1, 1] = 1
    (mesh,) = VoxelToMeshBasic().run(Voxel(grid), 0.5)
    assert mesh.vertices[0].shape == (8, 3)
    assert mesh.faces[0].shape == (12, 3)
    assert mesh.vertices[0].abs().allclose(torch.tensor(1 / 3))


def test_grids_of_a_batch_have_surfaces_of_their_own() -> None:
    grids = torch.stack([ball(0.3), ball(0.6)])
    (mesh,) = VoxelToMesh().run(Voxel(grids), "surface net", 0.5)
    sizes = [volume(v, f) for v, f in zip(mesh.vertices, mesh.faces, strict=True)]
    assert 0 < sizes[0] < sizes[1]


def test_a_grid_without_a_surface_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"nothing of the grid is denser than 0\.5"):
        VoxelToMesh().run(Voxel(torch.zeros(1, 4, 4, 4)), "surface net", 0.5)


def _positions(glb: bytes) -> int:
    """How many vertices a binary glTF file has."""
    length = struct.unpack_from("<I", glb, 12)[0]
    described = json.loads(glb[20 : 20 + length])
    return int(described["accessors"][0]["count"])


def test_a_surface_becomes_a_file_that_is_kept_and_shown(tmp_path: Path) -> None:
    (mesh,) = VoxelToMesh().run(Voxel(ball()[None]), "basic", 0.5)
    (model,) = MeshToFile3D().run(mesh)
    camera = {"fov": 35}
    with node_context(tmp_path):
        kept = Save3DAdvanced().run(model, "3d/x", {"camera_info": camera}, width=8, height=9)
        shown = Preview3DAdvanced().run(model, viewport_state={}, camera_info=camera)
        SaveGLB().run(mesh, "3d/y")
    assert kept["ui"]["3d"] == [{"filename": "x_00001_.glb", "subfolder": "3d", "type": "output"}]
    assert kept["result"] == (model, None, camera, 8, 9)
    files = [tmp_path / "output" / "3d" / f"{name}_00001_.glb" for name in "xy"]
    assert [_positions(file.read_bytes()) for file in files] == [len(mesh.vertices[0])] * 2
    (entry,) = shown["ui"]["3d"]
    assert entry["type"] == "temp"
    assert (tmp_path / "temp" / entry["filename"]).read_bytes() == model.content()


def test_a_model_file_is_copied_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text("v 0 0 0\n")
    with node_context(tmp_path):
        Save3DAdvanced().run(File3D(tmp_path / "a.obj"), "a")
        with pytest.raises(InvalidInput, match="not as 'exe'"):
            Save3DAdvanced().run(File3D(b"", "exe"), "a")
    assert (tmp_path / "output" / "a_00001_.obj").read_text() == "v 0 0 0\n"


def test_a_mesh_is_described() -> None:
    mesh = Mesh(torch.zeros(1, 1200, 3), torch.zeros(1, 7, 3), uvs=torch.zeros(1, 1200, 2))
    described = GetMeshInfo().run(mesh)
    text = "1,200 vertices, 7 faces\nwith uvs"
    assert described == {"ui": {"text": (text,)}, "result": (mesh, text)}


@pytest.mark.parametrize(
    ("mode", "place"),
    [
        ({"mode": "orbit", "mode.yaw": 90, "mode.pitch": 0, "mode.distance": 2}, (3, 0, 0)),
        ({"mode": "orbit", "mode.yaw": 0, "mode.pitch": 89, "mode.distance": 2}, (1, 2, 0)),
        (
            {"mode": "look_at", "mode.position_x": 1, "mode.position_y": 2, "mode.position_z": 3},
            (1, 2, 3),
        ),
    ],
)
def test_a_camera_is_placed(mode: dict[str, Any], place: tuple[float, ...]) -> None:
    (camera,) = CreateCameraInfo().run_flat(**mode, target_x=1.0, fov=50.0)
    assert list(camera["position"].values()) == pytest.approx(place, abs=0.05)
    assert camera["target"] == {"x": 1, "y": 0, "z": 0}
    assert (camera["fov"], camera["zoom"]) == (50, 1)
    assert "quaternion" not in camera


def test_a_camera_is_turned_by_a_quaternion() -> None:
    position = {f"mode.position_{axis}": 1.0 for axis in "xyz"}
    turn = {f"mode.quat_{axis}": value for axis, value in zip("xyzw", (0, 1, 0, 0), strict=True)}
    (camera,) = CreateCameraInfo().run_flat(mode="quaternion", **position, **turn)
    assert camera["quaternion"] == {"x": 0, "y": 1, "z": 0, "w": 0}


def test_a_model_file_is_kept_as_it_is_where_surfaces_are_written(tmp_path: Path) -> None:
    with node_context(tmp_path):
        saved = SaveGLB().run(File3D(b"solid", "stl"), "3d/z")
        with pytest.raises(InvalidInput, match="exe"):
            SaveGLB().run(File3D(b"", "exe"), "3d/z")
    assert saved["ui"]["3d"] == [{"filename": "z_00001_.stl", "subfolder": "3d", "type": "output"}]
    assert (tmp_path / "output" / "3d" / "z_00001_.stl").read_bytes() == b"solid"
