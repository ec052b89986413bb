"""Surfaces through a whole workflow in the real worker process, to files that are read back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from executor.messages import Finished, Progress, Ready
from executor.worker_config import WorkerConfig
from tests.executor.worker.client import Client, worker
from tests.executor.worker.harness import node
from tests.nodes.glb import Glb, read_glb
from tests.nodes.meshes.solids import is_manifold, volume

# Balls of two sizes in grids, and voxels that are red on one side and blue on the other.
PACK = """
import torch
from comfy_api.latest import Types
from nodes.voxel_colors import SparseGrid, VoxelColors


class Balls:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    RETURN_TYPES = ("VOXEL", "VOXEL")
    FUNCTION = "make"

    def make(self):
        axis = torch.linspace(-1, 1, 24)
        x, y, z = torch.meshgrid(axis, axis, axis, indexing="ij")
        away = (x**2 + y**2 + z**2).sqrt()
        balls = torch.stack([0.5 - away, 0.8 - away])
        places = torch.stack([torch.arange(2), torch.zeros(2), torch.zeros(2)], dim=1).long()
        looks = torch.tensor([[1.0, 0, 0, 0, 1, 1], [0, 0, 1, 0, 1, 1]])
        sides = SparseGrid(
            coordinates=places, attributes=looks, origin=(-1, -0.5, -0.5), voxel_size=1.0
        )
        return Types.VOXEL(balls), VoxelColors([sides])


NODE_CLASS_MAPPINGS = {"Balls": Balls}
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base directory with the pack."""
    base = tmp_path_factory.mktemp("base")
    for name in ("models", "input", "output", "temp", "custom_nodes"):
        (base / name).mkdir()
    (base / "custom_nodes" / "balls.py").write_text(PACK)
    return base


@pytest.fixture(scope="module")
def client(base: Path) -> Iterator[Client]:
    """A worker over these files."""
    config = WorkerConfig(base=str(base), cpu=True)
    with worker("executor.worker", "--config", config.to_json()) as client:
        client.wait_for(Ready)
        yield client


def saved(client: Client, base: Path, **steps: dict[str, Any]) -> list[Glb]:
    """What the balls are after some steps, each of which takes the mesh of the one before."""
    graph = {
        "balls": node("Balls"),
        "mesh": node("VoxelToMesh", voxel=["balls", 0], algorithm="surface net", threshold=0.0),
    }
    last = "mesh"
    for name, step in steps.items():
        step["inputs"]["mesh"] = [last, 0]
        graph[name] = step
        last = name
    graph["save"] = node("SaveGLB", mesh=[last, 0], filename_prefix="3d/ball")
    events = client.run(graph, "save")
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.succeeded, finished.messages[-1]
    assert {event.node_id for event in events if isinstance(event, Progress)} >= set(steps)
    entries = finished.outputs["save"]["3d"]
    return [read_glb((base / "output" / "3d" / e["filename"]).read_bytes()) for e in entries]


def test_remeshed_decimated_painted_and_smooth_balls_are_read_back(
    client: Client, base: Path
) -> None:
    mode = {"sign_mode": "sdf", "sign_mode.qef": False, "sign_mode.manifold": True}
    files = saved(
        client,
        base,
        remesh=node("RemeshMesh", resolution=40, **mode),
        decimate=node(
            "DecimateMesh",
            target_face_count=1500,
            placement_mode="qem",
            **{"placement_mode.clamp_v_to_edge": False},
        ),
        paint=node("PaintMesh", voxel_colors=["balls", 1]),
        normals=node("MeshSmoothNormals", crease_angle=180.0),
    )
    assert len(files) == 2
    for file, radius in zip(files, (0.5, 0.8), strict=True):
        places, faces = file.attributes["POSITION"].astype(float), file.faces.astype(int)
        assert 1490 < len(faces) <= 1500
        assert is_manifold(faces)
        # The net of the coarse grid lies a little within the ball.
        assert volume((places, faces)) == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.05)
        outwards = places / np.linalg.norm(places, axis=1, keepdims=True)
        assert np.abs(file.attributes["NORMAL"] - outwards).max() < 0.25
        colors = file.attributes["COLOR_0"]
        assert colors[places[:, 0] < -0.01].tolist() == [[1, 0, 0]] * (places[:, 0] < -0.01).sum()
        assert colors[places[:, 0] > 0.01].tolist() == [[0, 0, 1]] * (places[:, 0] > 0.01).sum()


def test_surfaces_of_different_sizes_with_creases_are_read_back(client: Client, base: Path) -> None:
    files = saved(
        client,
        base,
        remesh=node("RemeshMesh", resolution=32, sign_mode="solid", project_back=1.0),
        normals=node("MeshSmoothNormals", crease_angle=5.0),
    )
    for file in files:
        count = len(file.attributes["POSITION"])
        assert file.faces.max() == count - 1
        assert np.allclose(np.linalg.norm(file.attributes["NORMAL"], axis=1), 1, atol=1e-5)
        assert len(np.unique(file.attributes["POSITION"], axis=0)) < count  # split at creases
