"""Pictures that are baked for the UVs of surfaces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from models.errors import InvalidInput
from nodes.context import Interrupted
from nodes.geometry.arrays import Reals
from nodes.mesh_baking import BakeAmbientOcclusion, BakeNormalMapFromMesh, BakeTextureFromVoxel
from nodes.shapes import Mesh, Surface, mesh_of
from nodes.texturing.occlusion import directions
from nodes.texturing.targets import tangents_of, target_of
from nodes.texturing.texels import texels_of
from nodes.texturing.unwrapping import unwrap
from nodes.voxel_colors import SparseGrid, VoxelColors
from tests.nodes.context import RecordingReporter, node_context
from tests.nodes.meshes.flat import corner, hilly, places, square, surface
from tests.nodes.meshes.solids import Solid, cube, sphere

SIZE = 64


@pytest.fixture(autouse=True)
def reporter(tmp_path: Path) -> Iterator[RecordingReporter]:
    """What the nodes of a test report."""
    made = RecordingReporter()
    with node_context(tmp_path, reporter=made):
        yield made


def with_atlas(solid: Solid, size: int = SIZE) -> Surface:
    return unwrap(
        surface(solid),
        cut_first=True,
        resolution=size,
        padding=2,
        weld_distance=0.0,
        check=lambda: None,
    )


def hill(x: Reals, y: Reals) -> Reals:
    return 0.3 * np.exp(-4 * (x**2 + y**2))


def normals_of_hill(size: int) -> Reals:
    """What a normal map of the hill on the square has."""
    x, y = places(size)
    z = hill(x, y)
    normals = np.stack([8 * x * z, 8 * y * z, np.ones_like(z)], axis=-1)
    lengths: Reals = np.linalg.norm(normals, axis=-1, keepdims=True)
    return normals / lengths


def baked_normals(low: Surface, high: Mesh, cage: float = 0.5, fronts_only: bool = True) -> Reals:
    """Normals of the map, [SIZE, SIZE, 3]."""
    node = BakeNormalMapFromMesh()
    (picture,) = node.run(mesh_of([low]), high, SIZE, cage, fronts_only)
    normals: Reals = picture[0].double().numpy() * 2 - 1
    return normals


def test_a_normal_map_leans_where_a_hill_does() -> None:
    normals = baked_normals(square(), hilly(hill))
    assert np.abs(normals - normals_of_hill(SIZE)).max() < 0.02
    half = SIZE // 2
    assert normals[half, 3 * SIZE // 4, 0] > 0.2  # right of it: to the right
    assert normals[SIZE // 4, half, 1] > 0.2  # above it in the picture: up (+Y)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_normal_map_is_relative_to_the_atlas(mirrored: bool) -> None:
    flat = square()
    assert flat.uvs is not None
    u, v = flat.uvs.unbind(dim=1)
    turned = torch.stack([v, u] if mirrored else [1 - v, u], dim=1)  # a quarter clockwise
    normals = baked_normals(replace(flat, uvs=turned), hilly(hill))
    expected = normals_of_hill(SIZE)
    if mirrored:
        in_place = expected.transpose(1, 0, 2)
        along_u, up = -in_place[..., 1], -in_place[..., 0]
    else:
        in_place = np.rot90(expected, -1)
        along_u, up = in_place[..., 1], -in_place[..., 0]
    assert np.abs(normals[..., 0] - along_u).max() < 0.02
    assert np.abs(normals[..., 1] - up).max() < 0.02


def test_a_surface_that_is_its_own_detail_has_a_flat_map() -> None:
    low = with_atlas(sphere(3))
    assert np.abs(baked_normals(low, mesh_of([low])) - (0, 0, 1)).max() < 0.02


def test_what_a_shader_makes_of_the_map_are_the_normals_of_the_dense_surface() -> None:
    low = with_atlas(sphere(1))  # 80 faces, and 20,480
    picture = baked_normals(low, mesh_of([surface(sphere(5))]))
    target, along = target_of(low, SIZE), tangents_of(low)
    (texels,) = texels_of(target.shown, target.uvs, target.faces, SIZE * SIZE)
    up = target.looks(texels)
    tangent = texels.mix(along, target.faces)
    across = tangent[:, :3] / np.linalg.norm(tangent[:, :3], axis=1, keepdims=True)
    other = np.cross(up, across) * np.sign(tangent[:, 3:])
    x, y, z = picture.reshape(-1, 3)[texels.places].T[..., None]
    seen = across * x + other * y + up * z
    seen /= np.linalg.norm(seen, axis=1, keepdims=True)
    points = target.points(texels)
    # Rays go along the normals of the simple sphere, so that they meet the dense one elsewhere.
    slope = (points * up).sum(axis=1, keepdims=True)
    inside = (points**2).sum(axis=1, keepdims=True)
    expected = points + up * (np.sqrt(slope**2 + 1 - inside) - slope)
    assert np.abs(seen - expected).max() < 0.03


def test_backs_of_faces_are_looked_through_if_wanted() -> None:
    flat, over = square(), square()
    back = over.faces.flip(1) + 4
    tilted = over.vertices + torch.tensor([0.0, 0, 0.2])
    both = Mesh(torch.cat([flat.vertices, tilted])[None], torch.cat([flat.faces, back])[None])
    assert np.abs(baked_normals(flat, both) - (0, 0, 1)).max() < 1e-5
    assert baked_normals(flat, both, fronts_only=False)[..., 2].max() < -0.99


def test_where_nothing_is_near_the_map_is_flat() -> None:
    far = replace(square(), vertices=square().vertices + torch.tensor([0.0, 0, 3]))
    assert np.abs(baked_normals(square(), mesh_of([far])) - (0, 0, 1)).max() < 1e-6


def occlusion(low: Surface, high: Mesh | None = None, **changed: Any) -> Tensor:
    """The grey picture [SIZE, SIZE]."""
    options = {"samples": 64, "max_distance": 2.0, "strength": 1.0, "bias": 0.001} | changed
    mesh = mesh_of([low])
    (picture,) = BakeAmbientOcclusion().run(mesh, high or mesh, SIZE, **options)
    assert picture.shape == (1, SIZE, SIZE, 3)
    assert picture[..., 0].equal(picture[..., 2])
    grey: Tensor = picture[0, ..., 0]
    return grey


def floor() -> Surface:
    """The floor of the corner alone: u goes away from the wall."""
    points = torch.from_numpy(corner()[0][:4]).float()
    uvs = torch.stack([points[:, 0] / 2, (1 - points[:, 1]) / 2], dim=1)
    return Surface(vertices=points, faces=torch.tensor([[0, 1, 2], [0, 2, 3]]), uvs=uvs)


def test_a_corner_is_darker_than_what_is_outside_of_it() -> None:
    grey = occlusion(floor(), mesh_of([surface(corner())])).mean(dim=0)
    columns = grey.reshape(8, -1).mean(dim=1)  # away from the wall
    assert (columns.diff() > 0).all()
    assert columns[0] < 0.65  # an endless wall hides half of the sky at its foot
    assert columns[-1] > 0.9


def test_occlusion_is_as_large_as_an_endless_wall_hides() -> None:
    points, faces = corner()
    endless = surface((points * (1, 50, 1), faces))
    grey = occlusion(floor(), mesh_of([endless]), samples=256)
    middle = grey[SIZE // 2 - 4 : SIZE // 2 + 4].mean(dim=0)
    distance = (torch.arange(SIZE) + 0.5) / SIZE * 2
    height = (4 - distance**2).sqrt()  # rays end after 2
    expected = 1 - (1 - distance / (distance**2 + height**2).sqrt()) / 2
    near = distance < 0.6  # where the end of the rays matters little
    assert (middle - expected)[near].abs().max() < 0.05


def test_nothing_hides_the_sky_from_a_cube_or_a_sphere() -> None:
    for solid in (cube(), sphere(3)):
        assert occlusion(with_atlas(solid)).min() == 1


def test_occlusion_is_that_of_the_dense_surface_though_the_simple_one_is_inside_of_it() -> None:
    low = with_atlas(sphere(1))
    assert occlusion(low, mesh_of([surface(sphere(4))])).min() > 0.99


def test_strength_and_distance_make_occlusion_weaker() -> None:
    wall = mesh_of([surface(corner())])
    whole = occlusion(floor(), wall)
    assert occlusion(floor(), wall, strength=0.0).min() == 1
    assert torch.allclose(occlusion(floor(), wall, strength=0.5), (1 + whole) / 2)
    near = occlusion(floor(), wall, max_distance=0.25)
    assert near[:, SIZE // 4 :].min() == 1
    assert near[:, :2].max() < 0.8


def test_occlusion_is_the_same_every_time() -> None:
    wall = mesh_of([surface(corner())])
    assert occlusion(floor(), wall).equal(occlusion(floor(), wall))


def test_directions_are_as_dense_as_the_cosine() -> None:
    ways = directions(64)
    assert np.allclose(np.linalg.norm(ways, axis=-1), 1, atol=1e-5)
    assert ways[..., 2].min() >= 0
    assert ways.mean(axis=(0, 1)) == pytest.approx([0, 0, 2 / 3], abs=0.01)


def halves(count: int = 32, reach: int = 2) -> SparseGrid:
    """Around the square: left red and metal, right blue and smooth."""
    axis = torch.arange(count)
    coordinates = torch.cartesian_prod(axis, axis, torch.arange(-reach, reach))
    left = (coordinates[:, 0] < count // 2).float()
    attributes = torch.stack([left, 0 * left, 1 - left, left, left, torch.ones_like(left)], dim=1)
    return SparseGrid(
        coordinates=coordinates,
        attributes=attributes,
        origin=(-1.0, -1.0, 0.0),
        voxel_size=2 / count,
    )


def test_a_texture_has_the_colours_of_the_voxels_around() -> None:
    node = BakeTextureFromVoxel()
    color, metallic, roughness = node.run(mesh_of([square()]), VoxelColors([halves()]), SIZE)
    middle = SIZE // 2
    assert torch.allclose(color[0, :, : middle - 2], torch.tensor([1.0, 0, 0]), atol=1e-6)
    assert torch.allclose(color[0, :, middle + 2 :], torch.tensor([0.0, 0, 1]), atol=1e-6)
    between = color[0, 0, middle - 1 : middle + 1]
    assert torch.allclose(between, torch.tensor([[0.75, 0, 0.25], [0.25, 0, 0.75]]), atol=1e-6)
    assert metallic.shape == roughness.shape == (1, SIZE, SIZE, 3)
    assert metallic[0, :, : middle - 2].min() == 1
    assert roughness[0, :, middle + 2 :].max() == 0


def test_places_between_few_voxels_take_those_that_are_there() -> None:
    one = SparseGrid(
        coordinates=torch.tensor([[0, 0, 0]]),
        attributes=torch.full((1, 6), 0.25),
        origin=(-1.0, -1.0, -0.5),
        voxel_size=1.0,
    )
    color, _, _ = BakeTextureFromVoxel().run(mesh_of([square()]), VoxelColors([one]), SIZE)
    assert torch.allclose(color, torch.tensor(0.25))


def test_texels_far_from_all_voxels_have_what_the_nearest_texel_has() -> None:
    grid = halves(64)
    edge = grid.coordinates[:, 0] < 4  # all that is there: a strip on the left
    strip = replace(grid, coordinates=grid.coordinates[edge], attributes=grid.attributes[edge])
    color, _, _ = BakeTextureFromVoxel().run(mesh_of([square()]), VoxelColors([strip]), SIZE)
    assert torch.allclose(color, torch.tensor([1.0, 0, 0]), atol=1e-6)


def test_voxels_that_are_nowhere_near_are_refused() -> None:
    far = replace(halves(), origin=(50.0, 0.0, 0.0))
    with pytest.raises(InvalidInput, match="nothing is near the mesh"):
        BakeTextureFromVoxel().run(mesh_of([square()]), VoxelColors([far]), SIZE)


def test_texels_are_moved_onto_the_surface_that_the_voxels_belong_to() -> None:
    low = replace(square(), vertices=square().vertices - torch.tensor([0.0, 0, 0.0625]))
    layers = halves(32, reach=2)  # two above 0, two below, of 0.0625 each
    above = (layers.coordinates[:, 2] >= 0).float()
    attributes = layers.attributes.clone()
    attributes[:, 1] = above
    colors = VoxelColors([replace(layers, attributes=attributes)])
    upper = replace(square(), vertices=square().vertices + torch.tensor([0.0, 0, 0.03125]))
    plain, _, _ = BakeTextureFromVoxel().run(mesh_of([low]), colors, SIZE)
    moved, _, _ = BakeTextureFromVoxel().run(mesh_of([low]), colors, SIZE, mesh_of([upper]))
    assert plain[..., 1].max() < 0.01
    assert moved[..., 1].min() > 0.99


def test_seams_have_the_same_colour_on_both_sides() -> None:
    size = 2 * SIZE  # texels are smaller than what the colour changes over
    low = with_atlas(sphere(3), size)
    axis = torch.arange(-20, 20)
    coordinates = torch.cartesian_prod(axis, axis, axis)
    places_of = (coordinates + 0.5) / 16
    shell = (places_of.norm(dim=1) - 1).abs() < 0.15
    color = (places_of[shell] + 1) / 2
    grid = SparseGrid(
        coordinates=coordinates[shell],
        attributes=torch.cat([color, color], dim=1),
        origin=(0.0, 0.0, 0.0),
        voxel_size=1 / 16,
    )
    picture, _, _ = BakeTextureFromVoxel().run(mesh_of([low]), VoxelColors([grid]), size)
    assert low.uvs is not None
    grid_of = low.uvs[None, None] * 2 - 1
    read = torch.nn.functional.grid_sample(
        picture.movedim(-1, 1), grid_of, "bilinear", "border", align_corners=False
    )[0, :, 0].T
    # What a linear filter reads at each vertex, those on seams too, is the colour of its place.
    assert (read - (low.vertices + 1) / 2).abs().max() < 0.02


def test_batches_are_baked_one_by_one_and_the_last_dense_surface_serves_for_more(
    reporter: RecordingReporter,
) -> None:
    low = mesh_of([square(), floor(), square()])
    high = mesh_of([square(), surface(corner())])
    (grey,) = BakeAmbientOcclusion().run(low, high, SIZE, 16, 2.0, 1.0, 0.001)
    assert grey.shape == (3, SIZE, SIZE, 3)
    assert grey[0].min() == 1
    assert grey[1].min() < 0.8
    values = [value for _, value, _ in reporter.reports]
    assert values == sorted(values)
    assert reporter.reports[-1][1:] == (3, 3)
    color, _, _ = BakeTextureFromVoxel().run(low, VoxelColors([halves()]), SIZE)
    assert color.shape == (3, SIZE, SIZE, 3)


def every_baker(mesh: Mesh) -> Iterator[Any]:
    whole = mesh_of([square()])
    yield lambda: BakeAmbientOcclusion().run(mesh, whole, SIZE, 4, 0.5, 1.0, 0.01)
    yield lambda: BakeNormalMapFromMesh().run(mesh, whole, SIZE, 0.05, True)
    yield lambda: BakeTextureFromVoxel().run(mesh, VoxelColors([halves()]), SIZE)


def test_surfaces_without_usable_uvs_are_refused() -> None:
    flat = square()
    bare = mesh_of([replace(flat, uvs=None)])
    assert flat.uvs is not None
    degenerate = mesh_of([replace(flat, uvs=flat.uvs * 0 + 0.31)])
    for bake in every_baker(bare):
        with pytest.raises(InvalidInput, match="no UVs: unwrap it first"):
            bake()
    for bake in every_baker(degenerate):
        with pytest.raises(InvalidInput, match=r"show no face in a picture of 64 x 64.*anew"):
            bake()


def test_vertices_that_are_nowhere_are_refused() -> None:
    good, bad = square(), square()
    bad.vertices[2, 1] = torch.nan
    for low, high in ((good, bad), (bad, good)):
        with pytest.raises(InvalidInput, match="nowhere"):
            occlusion(low, mesh_of([high]))
        with pytest.raises(InvalidInput, match="nowhere"):
            baked_normals(low, mesh_of([high]))
        with pytest.raises(InvalidInput, match="nowhere"):
            grid, node = VoxelColors([halves()]), BakeTextureFromVoxel()
            node.run(mesh_of([low]), grid, SIZE, mesh_of([high]))


def test_a_dense_surface_without_faces_is_refused() -> None:
    flat = mesh_of([square()])
    empty = mesh_of([replace(square(), faces=torch.zeros(0, 3, dtype=torch.long))])
    with pytest.raises(InvalidInput, match="details are taken of has no faces"):
        occlusion(square(), empty)
    with pytest.raises(InvalidInput, match="details are taken of has no faces"):
        baked_normals(square(), empty)
    with pytest.raises(InvalidInput, match="details are taken of has no faces"):
        BakeTextureFromVoxel().run(flat, VoxelColors([halves()]), SIZE, empty)
    with pytest.raises(InvalidInput, match="empty batch"):
        BakeAmbientOcclusion().run(mesh_of([]), flat, SIZE, 4, 0.5, 1.0, 0.01)


def test_bakers_stop_when_they_are_interrupted(reporter: RecordingReporter) -> None:
    reporter.interrupted = True
    for bake in every_baker(mesh_of([square()])):
        with pytest.raises(Interrupted):
            bake()
