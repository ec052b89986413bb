"""Empty latents whose elements stand for more or fewer pixels than those of the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from models.load import Checkpoint
from models.protocol.sampling import fitted, sample_latent
from nodes.registry import NODE_CLASSES
from tests.models.protocol.test_sampling import prompt
from tests.nodes.context import node_context
from tests.parity.toy_patcher import toy_patcher


def of_16_pixels(channels: int) -> dict[str, Any]:
    """An empty latent for a picture of 96 x 64, an element of which stands for 16 x 16."""
    return {
        "samples": torch.zeros(2, channels, 4, 6),
        "downscale_ratio_spacial": 16,
        "downscale_ratio_temporal": 4,
        "kept": 1,
    }


@pytest.mark.parametrize("channels", [4, 128])
def test_a_run_makes_pictures_of_the_size_that_was_asked_for(
    tiny: Checkpoint, channels: int
) -> None:
    made = sample_latent(
        tiny.model, of_16_pixels(channels), seed=1, steps=1, cfg=1.0, sampler_name="euler",
        scheduler="normal", positive=prompt(1), negative=prompt(2),
    )  # fmt: skip
    assert (made["samples"].shape, set(made)) == ((2, 4, 8, 12), {"samples", "kept"})


def test_a_run_put_together_of_parts_does_too(tmp_path: Path, tiny: Checkpoint) -> None:
    (sigmas,) = NODE_CLASSES["BasicScheduler"]().run(tiny.model, "normal", 1, 1.0)
    (euler,) = NODE_CLASSES["KSamplerSelect"]().run("euler")
    (guider,) = NODE_CLASSES["BasicGuider"]().run(tiny.model, prompt(1))
    (noise,) = NODE_CLASSES["RandomNoise"]().run(1)
    with node_context(tmp_path):
        made, _ = NODE_CLASSES["SamplerCustomAdvanced"]().run(
            noise, guider, euler, sigmas, of_16_pixels(128)
        )
    assert (made["samples"].shape, set(made)) == ((2, 4, 8, 12), {"samples", "kept"})


def test_a_latent_that_holds_something_keeps_its_sides() -> None:
    model = toy_patcher("eps", 4)
    samples = torch.ones(1, 4, 3, 3)
    found = fitted(model, {"samples": samples, "downscale_ratio_spacial": 16, "kept": 1})
    assert torch.equal(found["samples"], samples)
    assert set(found) == {"samples", "kept"}


def test_small_latents_keep_an_element() -> None:
    latent = {"samples": torch.zeros(1, 4, 1, 5), "downscale_ratio_spacial": 1}
    assert fitted(toy_patcher("eps", 4), latent)["samples"].shape == (1, 4, 1, 1)
