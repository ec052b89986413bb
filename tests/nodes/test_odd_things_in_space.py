"""Surfaces, Gaussians, maps, poses, tracks and losses that are odd, or something else altogether.

Each gives a result, or an error that says what is wrong; none ends in one of torch.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from models.errors import InvalidInput
from nodes.context import Interrupted, current_context
from nodes.depth_maps import DA3Render
from nodes.gaussians import gaussians_of
from nodes.loss_pictures import loss_picture
from nodes.mesh_textures import RenderUVAtlas
from nodes.meshes import GetMeshInfo, MeshToFile3D
from nodes.point_maps import MoGeGeometryToFOV, MoGePointMapToMesh, MoGeRender
from nodes.poses import SDPoseDrawKeypoints
from nodes.shapes import Mesh, surfaces_of
from nodes.splats import SplatToMesh
from nodes.tensors.splat_surfaces import opacity_grid
from nodes.tensors.tracks import read_tracks
from nodes.tensors.view_cameras import camera_of
from nodes.training import LossGraphNode, SaveLoRA
from nodes.triposplat import TripoSplatPreprocessImage
from nodes.video_conditioning.wan_move import WanMoveConcatTrack, WanMoveVisualizeTracks
from tests.nodes.context import RecordingReporter, node_context
from tests.nodes.gaussian_scenes import camera, cloud
from tests.nodes.meshes.solids import as_mesh, cube

NOT_THAT = ["text", 5, {}, [], torch.zeros(1, 3)]


@pytest.mark.parametrize("thing", [*NOT_THAT, None])
def test_what_is_something_else_is_refused_by_its_type(tmp_path: Path, thing: Any) -> None:
    depth = {"output": "depth", "normalization": "raw", "apply_sky_clip": False}
    picture = torch.zeros(1, 4, 4, 3)
    other: Any = 0 if thing is None else thing  # None: no tracks
    with node_context(tmp_path):
        for work in (
            lambda: GetMeshInfo().run(thing),
            lambda: MoGeRender().run(thing, "depth"),
            lambda: MoGeRender().run(thing, "normal_opengl"),
            lambda: MoGeGeometryToFOV().run(thing, "vertical", "degrees"),
            lambda: DA3Render().run(thing, depth),
            lambda: WanMoveConcatTrack().run(thing),
            lambda: WanMoveVisualizeTracks().run(picture, 24, 6, 0.5, 2, other),
            lambda: LossGraphNode().run(thing, "loss"),
        ):
            with pytest.raises(InvalidInput):
                work()
        if thing != {}:
            with pytest.raises(InvalidInput, match="tensors by name"):
                SaveLoRA().run(thing, "lora")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"uvs": 5}, "the uvs of a mesh are tensors, not int"),
        ({"colors": "red"}, "the colors of a mesh are tensors, not str"),
        ({"unlit": True}, "the unlit of a mesh are tensors, not bool"),
        ({"texture": torch.zeros(1, 4, 4)}, "the texture of a surface is a picture"),
        ({"texture": torch.zeros(1, 4, 4, 5)}, "the texture of a surface is a picture"),
    ],
)
def test_parts_of_a_mesh_that_are_something_else_are_named(
    more: dict[str, Any], message: str
) -> None:
    mesh = as_mesh(cube())
    with pytest.raises(InvalidInput, match=message):
        surfaces_of(Mesh(mesh.vertices, mesh.faces, **more))


def test_no_file_and_no_atlas_is_made_of_an_empty_batch(tmp_path: Path) -> None:
    with node_context(tmp_path):
        for work in (MeshToFile3D().run, lambda mesh: RenderUVAtlas().run(mesh, 64)):
            with pytest.raises(InvalidInput, match="empty batch"):
                work(Mesh([], []))


def test_files_have_no_places_that_are_no_numbers(tmp_path: Path) -> None:
    vertices, faces = torch.full((1, 3, 3), math.nan), torch.tensor([[[0, 1, 2]]])
    with node_context(tmp_path), pytest.raises(InvalidInput, match="no finite numbers"):
        MeshToFile3D().run(Mesh(vertices, faces))
    colors = Mesh(torch.eye(3)[None], faces, colors=torch.full((1, 3, 3), math.nan))
    with node_context(tmp_path):
        (file,) = MeshToFile3D().run(colors)
    assert b"NaN" not in file.content()


def test_gaussians_that_are_none_or_out_of_reach_are_refused(tmp_path: Path) -> None:
    empty, far = cloud(0), cloud(50)
    far.positions = far.positions * 3e38
    with node_context(tmp_path):
        for gaussians in (empty, far):
            with pytest.raises(InvalidInput, match="there are no Gaussians"):
                SplatToMesh().run(gaussians, 64, 5, 0, 0.4, 0, 0.0, 2.0)


def test_the_grid_of_many_gaussians_can_be_interrupted(tmp_path: Path) -> None:
    reporter = RecordingReporter()
    reporter.interrupted = True
    with node_context(tmp_path, reporter=reporter), pytest.raises(Interrupted):
        opacity_grid(gaussians_of(cloud(9)), 64, 5, current_context().check_interrupted)


@pytest.mark.parametrize("number", [math.inf, math.nan])
@pytest.mark.parametrize("part", ["roll", "zoom"])
def test_cameras_that_are_no_numbers_are_refused(part: str, number: float) -> None:
    with pytest.raises(InvalidInput, match=r"camera|finite"):
        camera_of(camera(**{part: number}))


def test_masks_of_maps_fit_them_or_are_refused() -> None:
    points = torch.ones(1, 4, 6, 3)
    geometry: Any = {"points": points, "depth": points[..., 0], "mask": torch.ones(1, 4, 6)}
    (drawn,) = MoGeRender().run(geometry, "depth")
    assert drawn.shape == (1, 4, 6, 3)
    other = geometry | {"mask": torch.ones(1, 3, 6)}
    with pytest.raises(InvalidInput, match="the mask of a geometry"):
        MoGeRender().run(other, "normal_opengl")
    with pytest.raises(InvalidInput, match="the mask of a geometry"):
        MoGePointMapToMesh().run(other, 0, 1, 0.1, texture=False)
    flat = geometry | {"intrinsics": torch.zeros(1, 3, 3)}
    with pytest.raises(InvalidInput, match="focal length"):
        MoGeGeometryToFOV().run(flat, "vertical", "degrees")


def test_depth_that_is_no_number_has_a_colour(tmp_path: Path) -> None:
    geometry: Any = {"depth": torch.full((1, 4, 6), math.nan)}
    how = {"output": "depth_colored", "normalization": "min_max", "apply_sky_clip": False}
    (drawn,) = DA3Render().run(geometry, how)
    assert drawn.isfinite().all()
    with pytest.raises(InvalidInput, match="different shapes"):
        DA3Render().run(geometry | {"sky": torch.zeros(1, 3, 6)}, how)


@pytest.mark.parametrize(
    "keypoints",
    [
        5,
        torch.zeros(2, 3),
        [{"canvas_width": 8, "canvas_height": 8, "people": 5}],
        [
            {
                "canvas_width": 8,
                "canvas_height": 8,
                "people": [{"pose_keypoints_2d": [10**400, 1, 1]}],
            }
        ],
    ],
)
def test_what_is_no_pose_is_refused(tmp_path: Path, keypoints: Any) -> None:
    with node_context(tmp_path), pytest.raises(ValueError, match=r"list|people"):
        SDPoseDrawKeypoints().run(keypoints)


def test_a_frame_of_very_many_people_can_be_interrupted(tmp_path: Path) -> None:
    class Stops(RecordingReporter):
        asked = 0

        def check_interrupted(self) -> None:
            self.asked += 1
            self.interrupted = self.asked > 2
            super().check_interrupted()

    frame = {"canvas_width": 8, "canvas_height": 8, "people": [{}] * 5}
    reporter = Stops()
    with node_context(tmp_path, reporter=reporter), pytest.raises(Interrupted):
        SDPoseDrawKeypoints().run([frame])
    assert reporter.asked == 3


def test_coordinates_beyond_numbers_are_no_track() -> None:
    with pytest.raises(InvalidInput, match="tracks are JSON"):
        read_tracks('[[{"x": 1' + "0" * 400 + ', "y": 2}]]')


def test_nothing_is_cut_out_of_no_picture() -> None:
    for picture, mask in (
        (torch.zeros(0, 4, 4, 3), torch.ones(1, 4, 4)),
        (torch.zeros(1, 4, 4, 3), torch.ones(0, 4, 4)),
    ):
        with pytest.raises(InvalidInput, match="the batch is empty"):
            TripoSplatPreprocessImage().run(picture, mask, 1, 256)


def test_steps_without_a_number_are_left_out_of_a_picture_of_losses() -> None:
    assert loss_picture([1.0, math.nan, math.inf, 0.5]).size == loss_picture([1.0, 0.5]).size
    with pytest.raises(ValueError, match="no loss to draw"):
        loss_picture([math.nan])
