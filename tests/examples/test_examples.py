"""Every example runs against the starter model on a real server, and the pictures are looked at."""

from __future__ import annotations

import colorsys
import io
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from models.starter.checker import figure_pixels, look
from tests.client import Client

EXAMPLES = Path(__file__).parents[2] / "examples"
INPUTS = EXAMPLES / "input"
WORKFLOWS = sorted(path.stem for path in EXAMPLES.glob("*.json"))
DEADLINE_S = 300.0
HUES = {"red": 356, "yellow": 48, "green": 131, "blue": 221}  # degrees, of the model's colours
HUE_WIDTH = 18

Pixels = npt.NDArray[np.uint8]  # h w 3


def load(name: str) -> dict[str, Any]:
    workflow: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    return workflow


def input_picture(name: str) -> Pixels:
    with Image.open(INPUTS / name) as image:
        return np.asarray(image.convert("RGB"))


def inputs_of(workflow: dict[str, Any]) -> set[str]:
    loaders = ("LoadImage", "LoadImageMask")
    return {n["inputs"]["image"] for n in workflow.values() if n["class_type"] in loaders}


def draw(server: Client, name: str) -> list[Pixels]:
    """Upload what the example loads, run it, and return its pictures."""
    workflow = load(name)
    for file in inputs_of(workflow):
        reply = server.upload("/upload/image", file, (INPUTS / file).read_bytes(), overwrite="true")
        assert reply.status == 200
    entry = server.run(workflow, DEADLINE_S)
    opened = [Image.open(io.BytesIO(content)) for content in server.images(entry)]
    return [np.asarray(image.convert("RGB")) for image in opened]


def count(picture: Pixels, color: str) -> int:
    """Vivid pixels of that hue."""
    vivid = 0
    for red, green, blue in picture.reshape(-1, 3) / 255:
        hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
        distance = abs((hue * 360 - HUES[color] + 180) % 360 - 180)
        vivid += distance < HUE_WIDTH and saturation > 0.5 and value > 0.4
    return vivid


def difference(one: Pixels, other: Pixels) -> float:
    """Mean absolute difference, 0..255."""
    return float(np.abs(one.astype(np.int16) - other).mean())


def test_text_to_image_draws_what_the_text_says(server: Client) -> None:
    (picture,) = draw(server, "text_to_image")
    assert picture.shape == (128, 128, 3)
    sight = look(picture)
    assert (sight.color, sight.shape, sight.ground) == ("red", "star", "blue")


def test_a_batch_gives_different_pictures_of_the_same_thing(server: Client) -> None:
    pictures = draw(server, "batch")
    assert len(pictures) == 4
    assert all(difference(a, b) > 1 for a, b in itertools.combinations(pictures, 2))
    sights = [look(picture) for picture in pictures]
    assert [sight.color for sight in sights].count("green") >= 3
    assert [sight.shape for sight in sights].count("heart") >= 3


def test_image_to_image_takes_the_new_colour_and_keeps_the_place(server: Client) -> None:
    (picture,) = draw(server, "image_to_image")
    start = input_picture("red_circle.png")
    assert look(start).color == "red"
    assert look(picture).color == "green"
    before, after = figure_pixels(start), figure_pixels(picture)
    assert (before & after).sum() / (before | after).sum() > 0.6


def test_inpainting_changes_the_masked_half_and_keeps_the_other(server: Client) -> None:
    (picture,) = draw(server, "inpaint")
    start = input_picture("two_figures.png")
    kept, redrawn = slice(0, 56), slice(64, 128)  # 8 pixels beside the edge belong to neither
    assert difference(picture[:, kept], start[:, kept]) < 8  # the VAE's own error
    assert difference(picture[:, redrawn], start[:, redrawn]) > 20
    assert count(start[:, redrawn], "blue") > 1000
    assert count(picture[:, redrawn], "blue") < 100
    assert count(picture[:, redrawn], "yellow") > 300
    assert count(picture[:, kept], "red") > 1000


def test_two_stages_give_a_larger_picture_of_the_same_thing(server: Client) -> None:
    (picture,) = draw(server, "two_stage")
    assert picture.shape == (160, 160, 3)
    small = np.asarray(Image.fromarray(picture).resize((128, 128)))
    sight = look(small)
    assert (sight.color, sight.shape) == ("orange", "cat")


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_example_comes_with_its_inputs_and_is_described(name: str) -> None:
    workflow = load(name)
    assert all({"class_type", "inputs"} <= node.keys() for node in workflow.values())
    assert [file for file in inputs_of(workflow) if not (INPUTS / file).is_file()] == []
    assert f"[{name}.json]({name}.json)" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


def test_the_example_client_saves_the_picture(server: Client, tmp_path: Path) -> None:
    script, workflow = EXAMPLES / "run.py", EXAMPLES / "image_to_image.json"
    command = [sys.executable, str(script), str(workflow), "--server", server.address]
    done = subprocess.run(
        [*command, "--save", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (saved,) = tmp_path.iterdir()
    assert str(saved) in done.stdout
    with Image.open(saved) as image:
        assert image.size == (128, 128)
