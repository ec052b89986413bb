"""Stable Diffusion 2.1 and XL at full size, random weights, against diffusers' evaluation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from models.load import unet_of
from models.memory import Policy
from models.sampling.prediction import EPSILON, VELOCITY
from models.weights import open_weights
from tests.models.conftest import policy

__all__ = ["policy"]

ROOT = Path(__file__).parents[3]
PREFIX = "model.diffusion_model."
# As their authors published them with diffusers.
PUBLISHED: Final[dict[str, dict[str, Any]]] = {
    "sd21_v": {
        "attention_head_dim": [5, 10, 20, 20],
        "cross_attention_dim": 1024,
        "use_linear_projection": True,
        "layers_per_block": 2,
    },
    "sdxl": {
        "block_out_channels": [320, 640, 1280],
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        "transformer_layers_per_block": [1, 2, 10],
        "attention_head_dim": [5, 10, 20],
        "cross_attention_dim": 2048,
        "use_linear_projection": True,
        "layers_per_block": 2,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}
GENERATOR = torch.Generator().manual_seed(1)
X = torch.randn(1, 4, 16, 16, generator=GENERATOR)
CONTEXT = torch.randn(1, 77, 2048, generator=GENERATOR)
POOLED = torch.randn(1, 1280, generator=GENERATOR)
SIGMA = torch.tensor([2.9])


def of_darkroom(path: Path, policy: Policy, width: int) -> tuple[Tensor, int]:
    """The clean latent, and the time that the network was told."""
    model = unet_of(open_weights(path), policy)
    expected = VELOCITY if path.stem == "sd21_v" else EPSILON
    assert model.schedule.prediction == expected
    extra = model.extra_conditioning({"pooled_output": POOLED}, X)
    clean = model.denoised(X, SIGMA, CONTEXT[..., :width], **extra)
    return clean, int(model.schedule.timestep(SIGMA))


def of_diffusers(path: Path, time: int, config: dict[str, Any]) -> Tensor:
    """The same, by diffusers' loader of single files and the formulas of both predictions."""
    from diffusers import UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    named = {PREFIX + name: tensor.float() for name, tensor in load_file(path).items()}
    with torch.device("meta"):
        unet = UNet2DConditionModel(**config)
    unet.load_state_dict(convert_ldm_unet_checkpoint(named, config), assign=True)
    sigma, context = float(SIGMA), CONTEXT[..., : config["cross_attention_dim"]]
    variance = sigma**2 + 1
    sizes = {
        "text_embeds": POOLED,
        "time_ids": torch.tensor([[128, 128, 0, 0, 128, 128]]),
    }
    with torch.no_grad():
        seen = X / variance**0.5
        output = unet.eval()(seen, time, context, added_cond_kwargs=sizes).sample
    velocity: Tensor = X / variance - output * sigma / variance**0.5
    noise: Tensor = X - sigma * output
    return velocity if path.stem == "sd21_v" else noise


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_shape_is_what_diffusers_makes_of_it(
    name: str, policy: Policy, tmp_path: Path
) -> None:
    config = PUBLISHED[name]
    path = tmp_path / f"{name}.safetensors"
    make = [sys.executable, "-m", "tests.parity.checkpoints", name, str(path), PREFIX]
    subprocess.run(make, check=True, cwd=ROOT)
    actual, time = of_darkroom(path, policy, config["cross_attention_dim"])
    expected = of_diffusers(path, time, config)
    path.unlink()
    # XL's 70 transformer blocks round more, as convolutions lie differently in memory: 3.7e-5.
    assert (actual - expected).norm() / expected.norm() < 1e-4
