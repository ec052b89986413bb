"""How long it takes to draw Gaussians: a surface of so many of them, as large as the picture.

python benchmarks/render_splats.py [--counts 100000 1000000] [--side 1024] [--runs 3]
"""

from __future__ import annotations

import argparse
import math
import resource
import statistics
import time

import torch
from torch.nn import functional

from nodes.gaussians import Gaussians
from nodes.tensors.spherical_harmonics import colors_from
from nodes.tensors.splat_rendering import composite, project
from nodes.tensors.view_cameras import camera_before

_SHARPEN = 2.0  # the usual one of RenderSplat


def bumpy_ball(count: int) -> Gaussians:
    """Gaussians on a closed surface, which cover it about five times."""
    drawn = torch.Generator().manual_seed(0)
    looks = functional.normalize(torch.randn(count, 3, generator=drawn), dim=-1)
    bumps = 1 + 0.2 * (6 * looks[:, :1]).sin() * (5 * looks[:, 1:2]).cos()
    apart = math.sqrt(4 * math.pi / count)
    turned = torch.randn(count, 4, generator=drawn)
    return Gaussians(
        positions=looks * bumps,
        scales=apart * (torch.rand(count, 3, generator=drawn) + 0.3),
        rotations=functional.normalize(turned, dim=-1),
        opacities=torch.rand(count, generator=drawn) * 0.6 + 0.4,
        harmonics=looks[:, None] * 1.7,
    )


def seconds(scene: Gaussians, side: int) -> float:
    """One picture, of colours, on the CPU or on CUDA."""
    camera = camera_before(scene.positions, 1.0)
    start = time.perf_counter()
    with torch.inference_mode():
        seen = project(scene, camera, side, side, 1.0, _SHARPEN)
        chosen = scene.where(seen.numbers)
        towards = functional.normalize(chosen.positions - camera.place.to(chosen.positions), dim=-1)
        colors = colors_from(chosen.harmonics, towards).clamp(0, 1)
        composite(seen, colors, side, side, _SHARPEN)[0].cpu()
    return time.perf_counter() - start


def main() -> None:
    """Print seconds a picture for each count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(f"{device}, {torch.get_num_threads()} threads, {options.side} x {options.side}")
    for count in options.counts:
        scene = bumpy_ball(count).to(device)
        times = [seconds(scene, options.side) for _ in range(options.runs)]
        least, middle = min(times), statistics.median(times)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{count:>9,} Gaussians: {middle:.1f} s (least {least:.1f}), peak {peak:,.0f} MiB")


if __name__ == "__main__":
    main()
