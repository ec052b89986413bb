"""How often the starter model draws what it is asked: `python -m models.starter.evaluate`.

Most prompts are worded otherwise than the training captions; a checker judges by pixels alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from models.load import Checkpoint, load_checkpoint
from models.memory import choose_policy
from models.sampling.sample import sample_latent
from models.starter.checker import Sight, look
from models.starter.palette import FIGURE_COLORS, GROUND_COLORS, is_readable
from models.starter.shapes import SHAPES

CHECKPOINT = Path(__file__).with_name("darkroom_starter.safetensors")
FIRST_SEED = 4_000_000  # no training picture or step is seeded from here on
FORMS = (
    "a {color} {shape} on a {ground} background",
    "{ground} background with a {color} {shape}",
    "one smiling {color} {shape}, plain {ground} background",
    "a cute {color} {shape} in front of a {ground} background",
    "please draw a {color} {shape}",
    "a beautiful picture of a big {color} {shape} on {ground}",
    "{color} {shape} against {ground}, simple, high quality",
    "my favourite {color} {shape}, glossy, {ground} background",
)

Pixels = npt.NDArray[np.uint8]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drawing:
    """How pictures are made."""

    sampler: str = "euler"
    scheduler: str = "normal"
    steps: int = 20
    cfg: float = 5.0
    negative: str = ""
    width: int = 128
    height: int = 128


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """A prompt, its seed, and what must be seen in the picture."""

    prompt: str
    seed: int
    shape: str
    color: str
    ground: str  # empty if the prompt names none

    def is_met(self, sight: Sight) -> bool:
        """Whether the named colour and the named shape are there."""
        return (sight.shape, sight.color) == (self.shape, self.color)


def ask(number: int) -> Question:
    """The evaluation's question `number`."""
    rng = np.random.default_rng((FIRST_SEED, number))
    while True:
        shape = SHAPES[rng.integers(len(SHAPES))]
        color = tuple(FIGURE_COLORS)[rng.integers(len(FIGURE_COLORS))]
        ground = tuple(GROUND_COLORS)[rng.integers(len(GROUND_COLORS))]
        if is_readable(color, ground):
            break
    form = FORMS[number % len(FORMS)]
    prompt = form.format(color=color, shape=shape, ground=ground)
    named = ground if "{ground}" in form else ""
    return Question(prompt=prompt, seed=FIRST_SEED + number, shape=shape, color=color, ground=named)


def draw(checkpoint: Checkpoint, prompt: str, seed: int, drawing: Drawing) -> Pixels:
    """Text to image with the library that the nodes use; uint8 h w 3."""
    assert checkpoint.text is not None and checkpoint.vae is not None
    empty = torch.zeros(1, 4, drawing.height // 8, drawing.width // 8)
    latent = sample_latent(
        checkpoint.model,
        {"samples": empty},
        seed=seed,
        steps=drawing.steps,
        cfg=drawing.cfg,
        sampler_name=drawing.sampler,
        scheduler=drawing.scheduler,
        positive=checkpoint.text.encode_text(prompt),
        negative=checkpoint.text.encode_text(drawing.negative),
    )
    picture = checkpoint.vae.decode(latent["samples"])[0]
    pixels: Pixels = (picture * 255).clamp(0, 255).to(torch.uint8).numpy()
    return pixels


def sheet(pictures: list[Pixels], columns: int) -> Image.Image:
    """Pictures of one size side by side."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    whole = Image.new("RGB", (columns * width, rows * height), "white")
    for i, picture in enumerate(pictures):
        whole.paste(Image.fromarray(picture), (i % columns * width, i // columns * height))
    return whole


def main() -> None:
    """Draw, judge, print each miss and the figure."""
    defaults = Drawing()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--sheet", type=Path, help="where to write a sheet of all pictures")
    parser.add_argument("--sampler", default=defaults.sampler)
    parser.add_argument("--scheduler", default=defaults.scheduler)
    parser.add_argument("--steps", type=int, default=defaults.steps)
    parser.add_argument("--cfg", type=float, default=defaults.cfg)
    given = parser.parse_args()
    drawing = Drawing(
        sampler=given.sampler, scheduler=given.scheduler, steps=given.steps, cfg=given.cfg
    )
    checkpoint = load_checkpoint(given.checkpoint, choose_policy(cpu=True))
    pictures, right, grounds, named = [], 0, 0, 0
    begun = time.monotonic()
    for number in range(given.pairs):
        question = ask(number)
        pictures.append(draw(checkpoint, question.prompt, question.seed, drawing))
        sight = look(pictures[-1])
        right += question.is_met(sight)
        named += bool(question.ground)
        grounds += bool(question.ground) and sight.ground == question.ground
        if not question.is_met(sight):
            print(f"miss {number}: {question.prompt!r} shows a {sight.color} {sight.shape}")
    seconds = (time.monotonic() - begun) / max(given.pairs, 1)
    print(f"colour and shape right: {right}/{given.pairs} = {right / given.pairs:.1%}")
    print(f"ground right: {grounds}/{named}; {seconds:.1f} s a picture")
    if given.sheet is not None:
        sheet(pictures, 20).save(given.sheet, quality=80)


if __name__ == "__main__":
    main()
