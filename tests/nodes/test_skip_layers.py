"""Nodes that skip blocks, on a tiny transformer: their formulas, and where they act."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.conditioning import Conditioning
from models.errors import InvalidInput
from models.handle import ModelHandle
from models.load import unet_of
from models.memory import Policy
from models.protocol.sampling import sample_latent
from models.weights import Weights, open_weights
from nodes.skip_layers import (
    SkipLayerGuidanceDiT,
    SkipLayerGuidanceDiTSimple,
    SkipLayerGuidanceSD3,
)
from nodes.unet_patches import FreeU
from tests.models import tiny_sd3
from tests.models.conftest import policy
from tests.models.tiny import TinyModel

__all__ = ["policy"]

CFG = 4.0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, policy: Policy) -> ModelHandle:
    path = tmp_path_factory.mktemp("sd3") / "a.safetensors"
    tiny_sd3.save_transformer(path, tiny_sd3.transformer(tiny_sd3.CONFIG))
    return unet_of(open_weights(path), policy)


def prompt(seed: int) -> Conditioning:
    generator = torch.Generator().manual_seed(seed)
    pooled = torch.randn(1, tiny_sd3.POOLED, generator=generator)
    context = torch.randn(1, 7, tiny_sd3.PROMPT, generator=generator)
    return [[context, {"pooled_output": pooled}]]


def sample(model: Any, **changes: Any) -> Tensor:
    options: dict[str, Any] = {
        "seed": 3, "steps": 1, "cfg": CFG, "sampler_name": "euler", "scheduler": "normal",
        "positive": prompt(1), "negative": prompt(2), **changes,
    }  # fmt: skip
    latent = {"samples": torch.zeros(1, 16, 8, 8)}
    result: Tensor = sample_latent(model, latent, **options)["samples"]
    in_model_space: Tensor = model.latent_format.scale_in(result)
    return in_model_space


def skipping(model: ModelHandle, *blocks: int) -> ModelHandle:
    made = model.clone()
    for block in blocks:
        made.set_model_patch_replace(lambda args, _: args, "dit", "double_block", block)
    return made


def test_the_prediction_moves_away_from_that_with_skipped_blocks(model: ModelHandle) -> None:
    """In one Euler step from pure noise the result is the guided prediction."""
    [guided] = SkipLayerGuidanceSD3().run(model, "0, 1", 3.0, 0.0, 1.0)
    positive, worse = sample(model, cfg=1.0), sample(skipping(model, 0, 1), cfg=1.0)
    assert torch.allclose(sample(guided), sample(model) + 3.0 * (positive - worse), atol=1e-4)
    assert not torch.allclose(positive, worse, atol=1e-2)


def test_the_general_node_rescales_by_the_positive_prediction(model: ModelHandle) -> None:
    [plain] = SkipLayerGuidanceDiT().run(model, "1", "", 2.0, 0.0, 1.0, 0.0)
    [rescaled] = SkipLayerGuidanceDiT().run(model, "1", "9", 2.0, 0.0, 1.0, 0.25)
    [special] = SkipLayerGuidanceSD3().run(model, "1", 2.0, 0.0, 1.0)
    strong, positive = sample(plain), sample(model, cfg=1.0)
    assert torch.equal(strong, sample(special))
    ratio = 0.25 * positive.std() / strong.std() + 0.75
    assert torch.allclose(sample(rescaled), strong * ratio, atol=1e-4)


def test_the_simple_node_weakens_the_negative_side_alone(model: ModelHandle) -> None:
    [made] = SkipLayerGuidanceDiTSimple().run(model, "0,2", "", 0.0, 1.0)
    positive = sample(model, cfg=1.0)
    negative = sample(skipping(model, 0, 2), cfg=1.0, positive=prompt(2))
    assert torch.allclose(sample(made), negative + CFG * (positive - negative), atol=1e-4)
    assert torch.equal(sample(made, cfg=1.0), positive)


@pytest.mark.parametrize(
    "made",
    [
        lambda m: SkipLayerGuidanceSD3().run(m, "none", 3.0, 0.0, 1.0),
        lambda m: SkipLayerGuidanceSD3().run(m, "1", 0.0, 0.0, 1.0),
        lambda m: SkipLayerGuidanceSD3().run(m, "1", 3.0, 0.5, 0.9),
        lambda m: SkipLayerGuidanceDiTSimple().run(m, "1", "", 0.5, 0.9),
    ],
    ids=["no layers", "no strength", "out of range", "simple, out of range"],
)
def test_nothing_changes_without_layers_strength_or_out_of_range(
    made: Any, model: ModelHandle
) -> None:
    [patched] = made(model)
    assert torch.allclose(sample(patched), sample(model), atol=1e-5)


def test_patches_of_the_other_architecture_are_refused_by_name(
    model: ModelHandle, policy: Policy
) -> None:
    with pytest.raises(InvalidInput, match="way up of a UNet"):
        FreeU().run(model, 1.1, 1.2, 0.9, 0.2)
    tiny = TinyModel()
    metadata = {"darkroom.config": json.dumps(tiny.config)}
    unet = unet_of(Weights(path=Path("u"), tensors=tiny.unet(), metadata=metadata), policy)
    (skipping_unet,) = SkipLayerGuidanceSD3().run(unet, "0", 3.0, 0.0, 1.0)
    words: Any = [[torch.zeros(1, 77, tiny.context), {}]]
    with pytest.raises(InvalidInput, match="no layers for patches of the kind 'dit'"):
        sample_latent(
            skipping_unet, {"samples": torch.zeros(1, 4, 8, 8)}, seed=1, steps=1, cfg=2.0,
            sampler_name="euler", scheduler="normal", positive=words, negative=words,
        )  # fmt: skip
