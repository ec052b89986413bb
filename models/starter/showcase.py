"""Draws the sheet for the documentation: `python -m models.starter.showcase FILE`."""

from __future__ import annotations

import argparse
from pathlib import Path

from models.load import load_checkpoint
from models.memory import choose_policy
from models.starter.evaluate import CHECKPOINT, Drawing, draw, sheet

PROMPTS = (
    "a happy red star on a sky blue background",
    "a cute orange cat on a mint background",
    "a smiling pink heart on a white background",
    "a happy yellow moon in the night sky",
    "a kawaii white cloud on a blue background",
    "a big purple flower on a yellow background",
    "a glossy green diamond on a black background",
    "an outlined teal circle on a pink polka dot background",
    "a blue cat at sunset",
    "two red hearts on a pink background",
    "a small yellow star in the night sky",
    "a cheerful green triangle on an orange background",
    "a white cat on a lavender background",
    "three blue stars on a white background",
    "a purple square on a striped yellow background",
    "a red heart and a blue star on a white background",
)


def main() -> None:
    """Draw each prompt with its number as the seed, in two rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    given = parser.parse_args()
    checkpoint = load_checkpoint(given.checkpoint, choose_policy(cpu=True))
    pictures = [draw(checkpoint, prompt, i, Drawing()) for i, prompt in enumerate(PROMPTS)]
    sheet(pictures, len(PROMPTS) // 2).save(given.file, quality=85)


if __name__ == "__main__":
    main()
