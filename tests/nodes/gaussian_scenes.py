"""Scenes of Gaussians, a renderer that is slow and simple, and readers of files."""

from __future__ import annotations

import gzip
import math
import struct
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nodes.gaussians import Gaussians, Splat

CONSTANT = 0.28209479177387814


def scene(
    positions: list[list[float]],
    *,
    scale: float | list[list[float]] = 0.1,
    opacity: float | list[float] = 0.8,
    colors: list[list[float]] | None = None,
    rotations: list[list[float]] | None = None,
) -> Splat:
    """Gaussians of plain colours."""
    count = len(positions)
    scales = torch.tensor(scale) if isinstance(scale, list) else torch.full((count, 3), scale)
    given = torch.tensor(colors or [[1.0, 1.0, 1.0]] * count)
    return Splat(
        positions=torch.tensor(positions),
        scales=scales,
        rotations=torch.tensor(rotations or [[1.0, 0.0, 0.0, 0.0]] * count),
        opacities=torch.tensor(opacity if isinstance(opacity, list) else [opacity] * count),
        harmonics=((given - 0.5) / CONSTANT)[:, None],
    )


def cloud(count: int, degree: int = 0, seed: int = 0) -> Splat:
    """Gaussians of all shapes around the origin."""
    drawn = torch.Generator().manual_seed(seed)
    return Splat(
        positions=torch.randn(count, 3, generator=drawn) * 0.4,
        scales=torch.rand(count, 3, generator=drawn) * 0.15 + 0.01,
        rotations=functional.normalize(torch.randn(count, 4, generator=drawn), dim=-1),
        opacities=torch.rand(count, generator=drawn),
        harmonics=torch.randn(count, (degree + 1) ** 2, 3, generator=drawn) * 0.3,
    )


def drawn_one_by_one(
    gaussians: Gaussians, place: Tensor, focal: float, width: int, height: int, power: float
) -> tuple[Tensor, Tensor]:
    """What a camera at a place sees along -z: [H, W, 3] times opacity, and opacity [H, W].

    Every pixel and every Gaussian for itself, after Kerbl et al. 2023.
    """
    picture, through = torch.zeros(height, width, 3), torch.ones(height, width)
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    seen = (gaussians.positions - place) @ flip
    for i in seen[:, 2].argsort().tolist():
        sx, sy, sz = seen[i].tolist()
        w, a, b, c = gaussians.rotations[i].tolist()
        turn = torch.tensor(
            [
                [1 - 2 * (b * b + c * c), 2 * (a * b - c * w), 2 * (a * c + b * w)],
                [2 * (a * b + c * w), 1 - 2 * (a * a + c * c), 2 * (b * c - a * w)],
                [2 * (a * c - b * w), 2 * (b * c + a * w), 1 - 2 * (a * a + b * b)],
            ]
        )
        covariance = turn @ torch.diag(gaussians.scales[i] ** 2) @ turn.T
        jacobian = torch.tensor(
            [[focal / sz, 0, -focal * sx / sz**2], [0, focal / sz, -focal * sy / sz**2]]
        )
        flat = jacobian @ flip @ covariance @ flip.T @ jacobian.T + 0.3 * torch.eye(2)
        offset = torch.stack(
            (x - (focal * sx / sz + width / 2), y - (focal * sy / sz + height / 2)), dim=-1
        )
        distance = torch.einsum("hwi,ij,hwj->hw", offset, torch.linalg.inv(flat), offset)
        opacity = (gaussians.opacities[i] * torch.exp(-0.5 * distance**power)).clamp(max=0.99)
        opacity = torch.where(opacity < 1 / 255, 0, opacity)
        color = (gaussians.harmonics[i, 0] * CONSTANT + 0.5).clamp(0, 1)
        picture += (opacity * through)[..., None] * color
        through = through * (1 - opacity)
    return picture, 1 - through


def camera(distance: float = 4.0, **more: Any) -> dict[str, Any]:
    """One that looks along -z at the origin."""
    return {
        "position": {"x": 0.0, "y": 0.0, "z": distance},
        "target": {"x": 0.0, "y": 0.0, "z": 0.0},
        "zoom": 1.0,
        "fov": math.degrees(2 * math.atan(0.25)),  # the focal length is twice the height
        "cameraType": "perspective",
        **more,
    }


def read_ply(data: bytes) -> dict[str, NDArray[np.float32]]:
    """The columns of a PLY of floats."""
    header, _, body = data.partition(b"end_header\n")
    lines = header.decode().splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    count = int(lines[2].removeprefix("element vertex "))
    names = [line.removeprefix("property float ") for line in lines[3:]]
    table = np.frombuffer(body, "<f4").reshape(count, len(names))
    return {name: table[:, i] for i, name in enumerate(names)}


def read_spz(data: bytes) -> dict[str, NDArray[Any]]:
    """The parts of an SPZ of version 2, decoded as its documentation says."""
    raw = gzip.decompress(data)
    magic, version, count, degree, bits, _, _ = struct.unpack_from("<IIIBBBB", raw)
    assert (raw[:4], magic, version) == (b"NGSP", 0x5053474E, 2)
    at = 16

    def take(size: int) -> NDArray[np.uint8]:
        nonlocal at
        at += count * size
        return np.frombuffer(raw, np.uint8, count * size, at - count * size).reshape(count, size)

    fixed = take(9).reshape(count, 3, 3).astype(np.int64)
    whole = fixed[..., 0] | fixed[..., 1] << 8 | fixed[..., 2] << 16
    whole = np.where(whole >= 1 << 23, whole - (1 << 24), whole)
    alpha, color, scale, turned = take(1), take(3), take(3), take(3)
    rest = take(3 * ((degree + 1) ** 2 - 1)).reshape(count, -1, 3)
    assert at == len(raw)
    xyz = turned / 127.5 - 1
    w = np.sqrt(np.clip(1 - np.square(xyz).sum(axis=1, keepdims=True), 0, None))
    return {
        "positions": whole / (1 << bits),
        "opacities": alpha[:, 0] / 255,
        "dc": (color / 255 - 0.5) / 0.15,
        "scales": np.exp(scale / 16 - 10),
        "rotations": np.concatenate((w, xyz), axis=1),
        "rest": (rest.astype(float) - 128) / 128,
    }


def read_ksplat(data: bytes) -> dict[str, NDArray[Any]]:
    """The parts of a KSPLAT of one section and compression level 0, as its own reader has them."""
    assert (data[0], data[1]) == (0, 1)
    sections, used, most, count = struct.unpack_from("<4I", data, 4)
    assert (sections, used, most) == (1, 1, count)
    assert struct.unpack_from("<H", data, 20) == (0,)
    section = data[4096 : 4096 + 1024]
    assert struct.unpack_from("<2I", section) == (count, count)
    (degree,) = struct.unpack_from("<H", section, 40)
    harmonics = 3 * ((degree + 1) ** 2 - 1)
    size = 44 + 4 * harmonics
    assert struct.unpack_from("<I", section, 28) == (count * size,)
    rows = np.frombuffer(data, np.uint8, offset=5120).reshape(count, size)
    floats = np.ascontiguousarray(rows[:, :40]).view("<f4")
    return {
        "positions": floats[:, :3],
        "scales": floats[:, 3:6],
        "rotations": floats[:, 6:10],  # w first
        "colors": rows[:, 40:44] / 255,
        "rest": np.ascontiguousarray(rows[:, 44:]).view("<f4"),
    }
