"""Pictures, angles and surfaces of where pixels lie in space."""

from __future__ import annotations

import math

import pytest
import torch

from models.errors import InvalidInput
from models.geometry.shapes import PointMaps
from nodes.point_maps import MoGeGeometryToFOV, MoGePointMapToMesh, MoGeRender
from nodes.shapes import Surface, surfaces_of
from nodes.tensors.color_maps import spectral, turbo
from nodes.tensors.point_maps import normals_of
from tests.nodes.point_map_scenes import ball, intrinsics, of_points, plane, rays

TILTED = (0.3, -0.4, -1.0)


def test_the_normals_of_a_plane_are_its_own_everywhere() -> None:
    geometry = plane(12, 9, 50.0, TILTED)
    wanted = torch.nn.functional.normalize(torch.tensor(TILTED), dim=0)
    normals = normals_of(geometry["points"], geometry["mask"])
    torch.testing.assert_close(normals, wanted.expand_as(normals), atol=1e-4, rtol=0)


def test_the_normals_of_a_ball_point_away_from_its_middle() -> None:
    geometry = ball(96)
    normals = normals_of(geometry["points"], geometry["mask"])
    wanted = geometry["points"] - torch.tensor([0.0, 0.0, 3.0])
    inside = geometry["mask"] & (wanted[..., 2] < -0.5)
    agreement = (normals * wanted)[inside.nonzero(as_tuple=True)].sum(dim=-1)
    assert inside.sum() > 500
    assert agreement.min() > 0.98
    assert (normals[~geometry["mask"]] == 0).all()


def test_normals_are_drawn_in_both_conventions() -> None:
    geometry = plane(6, 4, 40.0, TILTED)
    x, y, z = torch.nn.functional.normalize(torch.tensor(TILTED), dim=0).tolist()
    (opengl,) = MoGeRender().run(geometry, "normal_opengl")
    (directx,) = MoGeRender().run(geometry, "normal_directx")
    up = (1 - y) / 2  # green is up, and y goes down
    red, blue = (1 + x) / 2, (1 - z) / 2
    torch.testing.assert_close(opengl[0, 2, 3], torch.tensor([red, up, blue]))
    torch.testing.assert_close(directx[0, 2, 3], torch.tensor([red, 1 - up, blue]))


def test_given_normals_come_before_those_of_points() -> None:
    given = torch.tensor([0.0, 0.0, -1.0]).expand(1, 4, 6, 3)
    geometry: PointMaps = {**plane(6, 4, 40.0, TILTED), "normal": given}
    (picture,) = MoGeRender().run(geometry, "normal_opengl")
    torch.testing.assert_close(picture, torch.tensor([0.5, 0.5, 1.0]).expand_as(picture))


def _stairs(depths: list[float]) -> PointMaps:
    """A picture whose columns are so far away."""
    camera = intrinsics(len(depths), 4, 60.0)
    return of_points(rays(len(depths), 4, 60.0) * torch.tensor(depths)[:, None], camera)


def test_depth_is_drawn_by_its_inverse_and_what_is_not_known_is_black() -> None:
    geometry = _stairs([1.0, 2.0, 4.0, 9.0])
    geometry["mask"] = geometry["mask"].clone()
    geometry["mask"][:, :, 3] = False
    (grey,) = MoGeRender().run(geometry, "depth")
    (colored,) = MoGeRender().run(geometry, "depth_colored")
    torch.testing.assert_close(
        grey[0, 0, :, 0], torch.tensor([1.0, 1 / 3, 0.0, 0.0]), atol=2e-3, rtol=0
    )
    assert (grey == grey[..., :1]).all()
    torch.testing.assert_close(colored[0, 0, 0], spectral(torch.tensor(0.0)))
    torch.testing.assert_close(colored[0, 0, 2], spectral(torch.tensor(1.0)), atol=2e-2, rtol=0)
    assert (colored[0, :, 3] == 0).all()


def test_a_picture_of_which_nothing_is_known_is_black() -> None:
    geometry = _stairs([1.0, 2.0])
    geometry["mask"] = torch.zeros_like(geometry["mask"])
    for output in ("depth", "depth_colored", "mask"):
        (picture,) = MoGeRender().run(geometry, output)
        assert (picture == 0).all()


def test_the_mask_is_drawn_white() -> None:
    geometry = ball(32)
    (picture,) = MoGeRender().run(geometry, "mask")
    assert (picture == geometry["mask"][..., None].float()).all()


@pytest.mark.parametrize("output", ["depth", "normal_opengl", "mask"])
def test_what_a_geometry_lacks_is_an_error(output: str) -> None:
    with pytest.raises(InvalidInput, match="this geometry has no"):
        MoGeRender().run({"image": torch.rand(1, 2, 2, 3)}, output)


def test_color_maps_have_their_published_ends_and_middles() -> None:
    ends = torch.tensor([-1.0, 0.0, 1.0, 2.0])
    reds, blues = turbo(ends)[2:], turbo(ends)[:2]
    torch.testing.assert_close(blues, torch.tensor([[48, 18, 59.0]] * 2) / 255)
    torch.testing.assert_close(reds, torch.tensor([[122, 4, 3.0]] * 2) / 255)
    torch.testing.assert_close(
        spectral(torch.tensor([0.0, 0.5, 1.0])),
        torch.tensor([[0x9E, 0x01, 0x42], [0xFF, 0xFF, 0xBF], [0x5E, 0x4F, 0xA2]]) / 255,
    )


@pytest.mark.parametrize(
    ("axis", "wanted"),
    [
        ("horizontal", 60.0),
        ("vertical", 2 * math.degrees(math.atan(math.tan(math.radians(30)) * 3 / 4))),
        ("diagonal", 2 * math.degrees(math.atan(math.tan(math.radians(30)) * 5 / 4))),
    ],
)
def test_the_field_of_view_is_that_of_the_camera(axis: str, wanted: float) -> None:
    geometry = plane(8, 6, 60.0, TILTED)
    fov, focal = MoGeGeometryToFOV().run(geometry, axis, "degrees")
    radians, _ = MoGeGeometryToFOV().run(geometry, axis, "radians")
    assert fov == pytest.approx(wanted, rel=1e-5)
    assert radians == pytest.approx(math.radians(wanted), rel=1e-5)
    assert focal == pytest.approx(4 / math.tan(math.radians(30)), rel=1e-5)


def test_a_panorama_has_no_field_of_view() -> None:
    geometry = plane(8, 6, 60.0, TILTED)
    del geometry["intrinsics"]
    with pytest.raises(InvalidInput, match="no intrinsics"):
        MoGeGeometryToFOV().run(geometry, "vertical", "degrees")


def _surface(
    geometry: PointMaps, *, decimation: int = 1, jump: float = 1.0, texture: bool = False
) -> Surface:
    (mesh,) = MoGePointMapToMesh().run(geometry, 0, decimation, jump, texture)
    return surfaces_of(mesh)[0]


def test_a_plane_becomes_a_surface_that_faces_the_camera() -> None:
    geometry = plane(6, 5, 40.0, TILTED)
    surface = _surface(geometry, texture=True)
    vertices, faces = surface.vertices, surface.faces
    assert vertices.shape == (30, 3)
    assert faces.shape == (2 * 5 * 4, 3)
    points = geometry["points"][0].reshape(-1, 3)
    torch.testing.assert_close(vertices, points * torch.tensor([1.0, -1.0, -1.0]))
    a, b, c = vertices[faces].unbind(dim=1)
    facing = torch.linalg.cross(b - a, c - a)
    assert ((facing * -a).sum(dim=-1) > 0).all()  # the camera is the origin
    assert surface.uvs is not None
    torch.testing.assert_close(surface.uvs[0], torch.tensor([0.5 / 6, 0.5 / 5]))
    torch.testing.assert_close(surface.uvs[29], torch.tensor([5.5 / 6, 4.5 / 5]))
    assert surface.texture is not None
    assert (surface.texture == geometry["image"][0]).all()


def test_without_texture_there_is_none() -> None:
    assert _surface(plane(6, 5, 40.0, TILTED)).texture is None


def test_decimation_takes_every_so_manyth_pixel() -> None:
    geometry = plane(9, 7, 40.0, TILTED)
    surface = _surface(geometry, decimation=2)
    kept = geometry["points"][0, ::2, ::2].reshape(-1, 3) * torch.tensor([1.0, -1.0, -1.0])
    torch.testing.assert_close(surface.vertices, kept)


def test_the_surface_is_torn_where_depth_jumps() -> None:
    geometry = _stairs([1.0, 1.0, 1.0, 1.6, 1.6])
    torn, whole = _surface(geometry, jump=0.3), _surface(geometry)
    assert len(whole.faces) - len(torn.faces) == 2 * 3  # the faces between two columns
    depth = -torn.vertices[torn.faces][..., 2]
    assert (depth.amax(dim=1) == depth.amin(dim=1)).all()


def test_nothing_lies_on_what_is_not_known() -> None:
    geometry = ball(40)
    distance = (_surface(geometry, jump=0.2).vertices - torch.tensor([0.0, 0.0, -3.0])).norm(dim=-1)
    torch.testing.assert_close(distance, torch.ones_like(distance), atol=1e-4, rtol=0)


def test_a_panorama_is_closed_behind_the_viewer() -> None:
    width, height = 8, 5
    turn = (torch.arange(width) + 0.5) / width * 2 * math.pi
    points = torch.stack(
        (
            turn.sin().expand(height, -1),
            torch.arange(height)[:, None].expand(-1, width),
            turn.cos().expand(height, -1),
        ),
        dim=-1,
    )
    geometry: PointMaps = {"points": points[None].float(), "image": torch.rand(1, 5, 8, 3)}
    surface = _surface(geometry)
    assert len(surface.faces) == 2 * width * (height - 1)
    assert surface.uvs is not None
    assert surface.uvs.max() == pytest.approx(1 + 0.5 / width)


def test_pictures_that_are_not_there_and_empty_surfaces_are_errors() -> None:
    geometry = plane(6, 5, 40.0, TILTED)
    with pytest.raises(InvalidInput, match="no picture 3"):
        MoGePointMapToMesh().run(geometry, 3, 1, 1.0, True)
    geometry["mask"] = torch.zeros_like(geometry["mask"])
    with pytest.raises(InvalidInput, match="no surface is left"):
        MoGePointMapToMesh().run(geometry, 0, 1, 1.0, True)
