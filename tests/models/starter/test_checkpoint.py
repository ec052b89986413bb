"""The checkpoint that ships: its size, its metadata, and that it draws what it is asked."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open

from models.load import Checkpoint, load_checkpoint
from models.memory import choose_policy
from models.sampling.sample import sample_latent
from models.starter.checker import look
from models.starter.evaluate import CHECKPOINT, Drawing, ask, draw
from models.starter.shapes import Scene
from models.starter.shapes import draw as draw_scene

TWELVE_STEPS = Drawing(sampler="dpmpp_2m", scheduler="karras", steps=12)


@pytest.fixture(scope="module")
def starter() -> Checkpoint:
    return load_checkpoint(CHECKPOINT, choose_policy(cpu=True))


def test_the_file_is_small_and_says_what_it_is() -> None:
    assert CHECKPOINT.stat().st_size <= 24_000_000
    with safe_open(CHECKPOINT, "pt") as file:
        metadata = file.metadata()
        names = set(file.keys())
    assert json.loads(metadata["darkroom.config"])["vae"] == {"norm_num_groups": 8}
    assert metadata["modelspec.license"] == "Apache-2.0"
    for prefix in ("model.diffusion_model.", "first_stage_model.", "cond_stage_model."):
        assert any(name.startswith(prefix) for name in names), prefix


def test_most_pictures_show_the_named_shape_in_the_named_colour(starter: Checkpoint) -> None:
    questions = [ask(number) for number in range(500, 508)]
    met = [q.is_met(look(draw(starter, q.prompt, q.seed, TWELVE_STEPS))) for q in questions]
    assert sum(met) >= 6


def test_the_same_seed_draws_the_same_picture(starter: Checkpoint) -> None:
    few = Drawing(steps=3)
    first, again, other = (draw(starter, "a pink cat", seed, few) for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any()


@pytest.mark.parametrize(("width", "height"), [(192, 128), (160, 160)])
def test_other_sizes_can_be_drawn(starter: Checkpoint, width: int, height: int) -> None:
    picture = draw(starter, "a red star", 1, Drawing(steps=2, width=width, height=height))
    assert picture.shape == (height, width, 3)


def test_odd_long_and_weighted_prompts_do_no_harm(starter: Checkpoint) -> None:
    prompt = "(a big red heart:1.1) on a white background, " + "masterpiece zeppelin, " * 40
    sight = look(draw(starter, prompt, 2, Drawing(steps=12, negative="blurry, ugly")))
    assert sight.color == "red"


def test_a_picture_survives_the_autoencoder(starter: Checkpoint) -> None:
    assert starter.vae is not None
    picture = draw_scene(
        Scene(shape="star", color="blue", ground="yellow"), np.random.default_rng(0)
    )
    pixels = torch.from_numpy(picture)[None].float() / 255
    decoded = starter.vae.decode(starter.vae.encode(pixels))
    assert (decoded - pixels).abs().mean() < 0.03
    sight = look((decoded[0] * 255).to(torch.uint8).numpy())
    assert (sight.shape, sight.color, sight.ground) == ("star", "blue", "yellow")


def test_image_to_image_recolours_a_figure_where_it_stands(starter: Checkpoint) -> None:
    assert starter.vae is not None and starter.text is not None
    scene = Scene(shape="circle", color="blue", ground="white", place="left", style="flat")
    picture = draw_scene(scene, np.random.default_rng(0))
    latent = starter.vae.encode(torch.from_numpy(picture)[None].float() / 255)
    result = sample_latent(
        starter.model,
        {"samples": latent},
        seed=3,
        steps=16,
        cfg=5.0,
        sampler_name="euler",
        scheduler="normal",
        positive=starter.text.encode_text("a red circle on the left on a white background"),
        negative=starter.text.encode_text(""),
        denoise=0.75,
    )
    drawn = (starter.vae.decode(result["samples"])[0] * 255).to(torch.uint8).numpy()
    assert look(drawn).color == "red"
    reddish = np.nonzero(drawn[..., 0].astype(int) - drawn[..., 2] > 90)
    assert reddish[1].mean() < 64
