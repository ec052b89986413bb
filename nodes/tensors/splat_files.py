"""Gaussians as files: PLY, SPZ and KSPLAT.

PLY has the properties of Kerbl et al. 2023; SPZ is version 2 of Niantic's format
(github.com/nianticlabs/spz); KSPLAT is that of M. Kellogg's GaussianSplats3D, uncompressed.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nodes.gaussians import Gaussians
from nodes.tensors.spherical_harmonics import base_colors

_Array = NDArray[Any]

_SPZ_MAGIC: Final = 0x5053474E  # "NGSP"
_SPZ_VERSION: Final = 2
_SPZ_FINEST: Final = 12  # bits behind the point of positions, which have 24
_SPZ_COLOR: Final = 0.15  # of a coefficient, in a byte of 0..1 around 0.5
_KSPLAT_HEADER: Final = 4096
_KSPLAT_SECTION: Final = 1024
_KSPLAT_RANGE: Final = 1.5  # of harmonics in bytes; ours are whole numbers' floats
_LEAST: Final = 1e-6  # opacity and its complement


def _parts(gaussians: Gaussians) -> dict[str, NDArray[np.float32]]:
    """Arrays of all that files have."""
    quaternions = gaussians.rotations.cpu().numpy().astype(np.float32)
    return {
        "positions": gaussians.positions.cpu().numpy().astype(np.float32),
        "scales": gaussians.scales.cpu().clamp(min=1e-12).numpy().astype(np.float32),
        "rotations": np.where(quaternions[:, :1] < 0, -quaternions, quaternions),
        "opacities": gaussians.opacities.cpu().clamp(0, 1).numpy().astype(np.float32),
        "harmonics": gaussians.harmonics.cpu().numpy().astype(np.float32),
        "colors": base_colors(gaussians.harmonics).cpu().numpy().astype(np.float32),
    }


def ply_of(gaussians: Gaussians) -> bytes:
    """Binary little-endian PLY with logits of opacity, logarithms of scales, and harmonics."""
    parts = _parts(gaussians)
    count, coefficients, _ = parts["harmonics"].shape
    rest = parts["harmonics"][:, 1:].transpose(0, 2, 1).reshape(count, -1)  # all red ones first
    opacity = parts["opacities"].clip(_LEAST, 1 - _LEAST)[:, None]
    columns = {
        ("x", "y", "z"): parts["positions"],
        ("nx", "ny", "nz"): np.zeros((count, 3), np.float32),
        tuple(f"f_dc_{i}" for i in range(3)): parts["harmonics"][:, 0],
        tuple(f"f_rest_{i}" for i in range(3 * (coefficients - 1))): rest,
        ("opacity",): np.log(opacity / (1 - opacity)),
        tuple(f"scale_{i}" for i in range(3)): np.log(parts["scales"]),
        tuple(f"rot_{i}" for i in range(4)): parts["rotations"],
    }
    names = [name for group in columns for name in group]
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {count}"]
    header += [f"property float {name}" for name in names] + ["end_header\n"]
    table = np.concatenate(list(columns.values()), axis=1).astype("<f4")
    return "\n".join(header).encode() + table.tobytes()


def spz_of(gaussians: Gaussians) -> bytes:
    """SPZ, version 2: positions of 24 bits, all else bytes."""
    parts = _parts(gaussians)
    count, coefficients, _ = parts["harmonics"].shape
    bits = _fraction_bits(parts["positions"])
    header = struct.pack("<IIIBBBB", _SPZ_MAGIC, _SPZ_VERSION, count, gaussians.degree, bits, 0, 0)
    places = np.round(parts["positions"].astype(np.float64) * (1 << bits)).astype("<i4")
    sections = [
        places.view(np.uint8).reshape(count, 3, 4)[:, :, :3],
        _bytes(parts["opacities"] * 255),
        _bytes(parts["harmonics"][:, 0] * (_SPZ_COLOR * 255) + 0.5 * 255),
        _bytes((np.log(parts["scales"]) + 10) * 16),
        _bytes(parts["rotations"][:, 1:] * 127.5 + 127.5),
    ]
    if coefficients > 1:
        # Five bits for degree 1, four for others, as Niantic's own writer has it.
        first = _in_steps(parts["harmonics"][:, 1:4], 8)
        sections += [np.concatenate((first, _in_steps(parts["harmonics"][:, 4:], 16)), axis=1)]
    return gzip.compress(header + b"".join(s.tobytes() for s in sections), mtime=0)


def _fraction_bits(positions: NDArray[np.float32]) -> int:
    """So many that the farthest position still fits into 24 bits."""
    farthest = float(np.abs(positions).max())
    bits = _SPZ_FINEST
    while bits > 0 and farthest * (1 << bits) > (1 << 23) - 1:
        bits -= 1
    return bits


def _bytes(values: _Array) -> NDArray[np.uint8]:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def _in_steps(values: _Array, step: int) -> NDArray[np.uint8]:
    whole = np.round(values * 128).astype(np.int64) + 128
    return np.clip((whole + step // 2) // step * step, 0, 255).astype(np.uint8)


def ksplat_of(gaussians: Gaussians) -> bytes:
    """KSPLAT of compression level 0, with harmonics of up to degree 2."""
    parts = _parts(gaussians)
    count, degree = len(parts["positions"]), min(gaussians.degree, 2)
    fields: list[tuple[str, str, tuple[int, ...]]] = [
        ("position", "<f4", (3,)),
        ("scale", "<f4", (3,)),
        ("rotation", "<f4", (4,)),
        ("color", "u1", (4,)),
        ("harmonics", "<f4", (3 * ((degree + 1) ** 2 - 1),)),
    ]
    table = np.zeros(count, np.dtype(fields))
    table["position"], table["scale"] = parts["positions"], parts["scales"]
    table["rotation"] = parts["rotations"]
    table["color"][:, :3] = _bytes(parts["colors"] * 255)
    table["color"][:, 3] = _bytes(parts["opacities"] * 255)
    harmonics = [
        parts["harmonics"][:, start:end].transpose(0, 2, 1).reshape(count, -1)
        for start, end in ((1, 4), (4, 9))[:degree]
    ]
    table["harmonics"] = np.concatenate([np.zeros((count, 0), np.float32), *harmonics], axis=1)
    data = table.tobytes()
    centre = (0.0, 0.0, 0.0)
    header = bytearray(_KSPLAT_HEADER)
    struct.pack_into("<4B4IHxx", header, 0, 0, 1, 0, 0, 1, 1, count, count, 0)
    struct.pack_into("<5f", header, 24, *centre, -_KSPLAT_RANGE, _KSPLAT_RANGE)
    section = bytearray(_KSPLAT_SECTION)
    struct.pack_into("<2I", section, 0, count, count)
    struct.pack_into("<I", section, 28, len(data))
    struct.pack_into("<H", section, 40, degree)
    return bytes(header) + bytes(section) + data


WRITERS: Final[Mapping[str, Callable[[Gaussians], bytes]]] = {
    "ply": ply_of,
    "ksplat": ksplat_of,
    "spz": spz_of,
}
