"""Measures how long large pictures take to resize: python benchmarks/scale_images.py

Beside ImageScale stands what resizing with Lanczos cannot do without: Pillow's own work on pictures
that are already in 8 bits.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image

from nodes.images import ImageScale


def seconds(work: Callable[[], object], runs: int) -> list[float]:
    """Wall time of each run, after one that does not count."""
    work()
    taken = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=4096, help="of the square picture made")
    parser.add_argument("--from-side", type=int, default=1024)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    side, small = arguments.side, arguments.from_side
    image = torch.rand(1, small, small, 3, generator=torch.Generator().manual_seed(0))
    levels = (image[0] * 255).to(torch.uint8).numpy()

    def pillow() -> object:
        picture = Image.fromarray(levels).resize((side, side), Image.Resampling.LANCZOS)
        return np.array(picture)

    works: dict[str, Callable[[], object]] = {
        f"ImageScale {method}": lambda method=method: ImageScale().run(  # type: ignore[misc]
            image, method, side, side, "disabled"
        )
        for method in ("lanczos", "bicubic", "bilinear", "area")
    }
    print(f"{small} x {small} to {side} x {side}, {torch.get_num_threads()} threads")
    for name, work in {"Pillow lanczos": pillow, **works}.items():
        taken = seconds(work, arguments.runs)
        print(
            f"{name}: median {statistics.median(taken):.3f} s "
            f"({min(taken):.3f} to {max(taken):.3f})"
        )


if __name__ == "__main__":
    main()
