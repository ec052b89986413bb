"""Gaussians as files, read again by readers that are written apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nodes.gaussians import Gaussians, gaussians_of
from nodes.splats import SplatToFile3D
from tests.nodes.gaussian_scenes import cloud, read_ksplat, read_ply, read_spz


def _written(format: str, degree: int, count: int = 40) -> tuple[bytes, Gaussians]:
    splat = cloud(count, degree)
    (file,) = SplatToFile3D().run(splat, format)
    assert file.format == format
    return file.content(), gaussians_of(splat)


def _same_rotation(found: np.ndarray, wanted: torch.Tensor, least: float) -> None:
    agreement = np.abs((found * wanted.numpy()).sum(axis=1))
    assert agreement.min() > least


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_ply_has_the_properties_of_the_paper(degree: int) -> None:
    data, gaussians = _written("ply", degree)
    columns = read_ply(data)
    rest = 3 * ((degree + 1) ** 2 - 1)
    assert list(columns) == [
        *("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"),
        *(f"f_rest_{i}" for i in range(rest)),
        *("opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
    ]
    positions = np.stack([columns[name] for name in "xyz"], axis=1)
    np.testing.assert_array_equal(positions, gaussians.positions.numpy())
    opacity = 1 / (1 + np.exp(-columns["opacity"]))
    np.testing.assert_allclose(opacity, gaussians.opacities.numpy(), atol=1e-5)
    scales = np.exp(np.stack([columns[f"scale_{i}"] for i in range(3)], axis=1))
    np.testing.assert_allclose(scales, gaussians.scales.numpy(), rtol=1e-5)
    _same_rotation(
        np.stack([columns[f"rot_{i}"] for i in range(4)], axis=1), gaussians.rotations, 1 - 1e-6
    )
    harmonics = gaussians.harmonics.numpy()
    for color in range(3):
        np.testing.assert_array_equal(columns[f"f_dc_{color}"], harmonics[:, 0, color])
        for k in range(1, (degree + 1) ** 2):
            name = f"f_rest_{color * ((degree + 1) ** 2 - 1) + k - 1}"
            np.testing.assert_array_equal(columns[name], harmonics[:, k, color])


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_spz_is_as_precise_as_its_bytes(degree: int) -> None:
    data, gaussians = _written("spz", degree)
    parts = read_spz(data)
    np.testing.assert_allclose(parts["positions"], gaussians.positions.numpy(), atol=2**-13 + 1e-7)
    np.testing.assert_allclose(parts["opacities"], gaussians.opacities.numpy(), atol=1 / 500)
    harmonics = gaussians.harmonics.numpy()
    np.testing.assert_allclose(parts["dc"], harmonics[:, 0], atol=0.6 / 255 / 0.15)
    ratio = parts["scales"] / gaussians.scales.numpy()
    assert np.abs(np.log(ratio)).max() <= 1 / 32 + 1e-4
    _same_rotation(parts["rotations"], gaussians.rotations, 0.998)
    inside = np.abs(harmonics[:, 1:]) < 0.9
    assert np.abs(parts["rest"] - harmonics[:, 1:])[inside].max(initial=0) <= 8.6 / 128


def test_spz_of_a_wide_scene_keeps_all_places() -> None:
    splat = cloud(10)
    splat.positions = splat.positions * 20_000
    (file,) = SplatToFile3D().run(splat, "spz")
    parts = read_spz(file.content())
    np.testing.assert_allclose(parts["positions"], splat.positions.numpy(), rtol=1e-3, atol=0.01)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_ksplat_has_floats_and_colors(degree: int) -> None:
    data, gaussians = _written("ksplat", degree)
    parts = read_ksplat(data)
    np.testing.assert_array_equal(parts["positions"], gaussians.positions.numpy())
    np.testing.assert_allclose(parts["scales"], gaussians.scales.numpy(), rtol=1e-6)
    _same_rotation(parts["rotations"], gaussians.rotations, 1 - 1e-6)
    harmonics = gaussians.harmonics.numpy()
    colors = np.clip(harmonics[:, 0] * 0.28209479 + 0.5, 0, 1)
    np.testing.assert_allclose(parts["colors"][:, :3], colors, atol=1 / 500)
    np.testing.assert_allclose(parts["colors"][:, 3], gaussians.opacities.numpy(), atol=1 / 500)
    kept = [harmonics[:, 1:4], harmonics[:, 4:9]][: min(degree, 2)]
    wanted = [part.transpose(0, 2, 1).reshape(len(part), -1) for part in kept]
    np.testing.assert_array_equal(
        parts["rest"], np.concatenate([np.zeros((40, 0), np.float32), *wanted], axis=1)
    )


def test_the_same_scene_is_the_same_file() -> None:
    assert _written("spz", 1)[0] == _written("spz", 1)[0]
