"""Draws the loss curves of a training log: `python -m models.starter.curves LOG PICTURE`."""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path

from PIL import Image, ImageDraw

STAGES = {"vae": "l1", "refine": "l1", "diffusion": "loss", "polish": "l1"}
WIDTH, HEIGHT, MARGIN = 300, 190, 26
LINE = re.compile(r"(vae|refine|diffusion|polish) (\d+) (?:l1|loss) ([\d.]+)")

Points = list[tuple[int, float]]


def read_curves(log: str) -> dict[str, Points]:
    """Each stage's (step, error) points; what a resumed run did again replaces the first try."""
    curves: dict[str, dict[int, float]] = {}
    for stage, step, value in LINE.findall(log):
        curve = curves.setdefault(stage, {})
        for later in [s for s in curve if s > int(step)]:
            del curve[later]
        curve[int(step)] = float(value)
    return {stage: sorted(curve.items()) for stage, curve in curves.items()}


def draw_curves(curves: dict[str, Points]) -> Image.Image:
    """One panel for each stage, errors on a logarithmic scale."""
    picture = Image.new("RGB", (WIDTH * max(len(curves), 1), HEIGHT), "white")
    pen = ImageDraw.Draw(picture)
    for number, (stage, points) in enumerate(curves.items()):
        _draw_panel(pen, number * WIDTH, stage, points)
    return picture


def _draw_panel(pen: ImageDraw.ImageDraw, left: int, stage: str, points: Points) -> None:
    low, high = min(value for _, value in points), max(value for _, value in points)
    span, last = math.log(high / low) or 1.0, points[-1][0]
    line = [
        (
            left + MARGIN + (WIDTH - 2 * MARGIN) * step / last,
            MARGIN + (HEIGHT - 2 * MARGIN) * math.log(high / value) / span,
        )
        for step, value in points
    ]
    frame = (left + MARGIN, MARGIN, left + WIDTH - MARGIN, HEIGHT - MARGIN)
    pen.rectangle(frame, outline=(200, 200, 208))
    pen.line(line, fill=(44, 102, 226), width=2)
    pen.text((left + MARGIN, 8), f"{stage}: {STAGES[stage]} {high:.3f} to {low:.3f}", "black")
    pen.text((left + MARGIN, HEIGHT - MARGIN + 6), f"{last} steps", "black")


def main() -> None:
    """Read a log, write a picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path)
    parser.add_argument("picture", type=Path)
    given = parser.parse_args()
    draw_curves(read_curves(given.log.read_text())).save(given.picture)


if __name__ == "__main__":
    main()
