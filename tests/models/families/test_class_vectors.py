"""Stable Diffusion XL and 2 against diffusers' own evaluation of the same weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from models.errors import InvalidInput
from models.handle import ModelHandle
from models.load import unet_of
from models.memory import Policy
from models.protocol.base_model import BaseModel
from models.protocol.class_vectors import SDXL, SDXLRefiner
from models.protocol.concat import EditModel, InpaintModel
from models.protocol.sampling import sample_latent
from models.weights import Weights
from tests.models.tiny import TinyModel

POOLED = 16
BASE = TinyModel(channels=(8, 16, 32), depths=(0, 1, 2), middle_depth=2, is_linear=True,
                 context=24, label=POOLED + 6 * 256)  # fmt: skip
REFINER = TinyModel(channels=(8, 16, 16), depths=(0, 2, 0), middle_depth=2, is_linear=True,
                    context=16, label=POOLED + 5 * 256)  # fmt: skip
SECOND = TinyModel(channels=(16, 32), depths=(1, 1), is_linear=True)
SIZES = {"width": 832, "height": 1216, "crop_w": 12, "crop_h": 34, "target_width": 640,
         "target_height": 768}  # fmt: skip
GENERATOR = torch.Generator().manual_seed(3)
X = torch.randn(2, 4, 8, 8, generator=GENERATOR)
PROMPT = torch.randn(1, POOLED, generator=GENERATOR)
CLOSE = 1e-4  # of latents up to 10, as networks round in another order


def handle(model: TinyModel, policy: Policy) -> ModelHandle:
    said = model.config["unet"] | {"prediction_type": "epsilon"}
    metadata = {"darkroom.config": json.dumps({"unet": said})}
    return unet_of(Weights(path=Path("m"), tensors=model.unet(), metadata=metadata), policy)


def diffusers_unet(model: TinyModel, **more: Any) -> Any:
    """The same weights in a UNet as diffusers' loader of single files makes it."""
    from diffusers import UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    config = {
        "block_out_channels": model.channels,
        "layers_per_block": model.blocks,
        "down_block_types": [f"{'CrossAttn' if d else ''}DownBlock2D" for d in model.depths],
        "up_block_types": [f"{'CrossAttn' if d else ''}UpBlock2D" for d in reversed(model.depths)],
        "transformer_layers_per_block": [*(d or 1 for d in model.depths[:-1]), model.middle_depth],
        "cross_attention_dim": model.context,
        "attention_head_dim": model.heads,
        "norm_num_groups": model.groups,
        "use_linear_projection": True,
        **more,
    }
    named = {f"model.diffusion_model.{name}": t.float() for name, t in model.unet().items()}
    unet = UNet2DConditionModel(**config)
    unet.load_state_dict(convert_ldm_unet_checkpoint(named, config))
    return unet.eval()


def pipeline_of(model: TinyModel) -> Any:
    unet = diffusers_unet(
        model,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=model.label,
    )
    return SimpleNamespace(unet=unet, config=SimpleNamespace(requires_aesthetics_score=True))


def clean(unet: Any, handle: ModelHandle, context: Tensor, sigma: float, **more: Any) -> Tensor:
    """The clean latent, with the formulas of the parity data."""
    time = int((handle.schedule.sigmas.log() - torch.tensor(sigma).log()).abs().argmin())
    with torch.no_grad():
        noise = unet(X / (sigma**2 + 1) ** 0.5, time, context, **more).sample
    found: Tensor = X - sigma * noise
    return found


def test_sdxl_is_what_diffusers_makes_of_its_sizes(policy: Policy) -> None:
    from diffusers import StableDiffusionXLPipeline

    model, pipeline = handle(BASE, policy), pipeline_of(BASE)
    time_ids = StableDiffusionXLPipeline._get_add_time_ids(
        pipeline, (1216, 832), (34, 12), (768, 640), torch.float32, POOLED
    )
    context = torch.randn(2, 77, BASE.context, generator=torch.Generator().manual_seed(4))
    added = {"text_embeds": PROMPT.expand(2, -1), "time_ids": time_ids.expand(2, -1)}
    expected = clean(pipeline.unet, model, context, 3.0, added_cond_kwargs=added)
    extra = model.extra_conditioning({"pooled_output": PROMPT, **SIZES}, X)
    actual = model.denoised(X, torch.tensor([3.0, 3.0]), context, y=extra["y"].expand(2, -1))
    assert torch.allclose(actual, expected, atol=CLOSE)


@pytest.mark.parametrize(("side", "score"), [("positive", 6.0), ("negative", 2.5)])
def test_the_refiner_is_what_diffusers_makes_of_its_score(
    policy: Policy, side: str, score: float
) -> None:
    from diffusers import StableDiffusionXLImg2ImgPipeline

    model, pipeline = handle(REFINER, policy), pipeline_of(REFINER)
    positive, negative = StableDiffusionXLImg2ImgPipeline._get_add_time_ids(
        pipeline, (64, 64), (0, 0), (64, 64), 6.0, 2.5, (64, 64), (0, 0), (64, 64),
        torch.float32, POOLED,
    )  # fmt: skip
    time_ids = positive if side == "positive" else negative
    assert float(time_ids[0, -1]) == score
    context = torch.randn(2, 77, REFINER.context, generator=torch.Generator().manual_seed(4))
    added = {"text_embeds": PROMPT.expand(2, -1), "time_ids": time_ids.expand(2, -1)}
    expected = clean(pipeline.unet, model, context, 0.7, added_cond_kwargs=added)
    extra = model.extra_conditioning({"pooled_output": PROMPT, "prompt_type": side}, X)
    actual = model.denoised(X, torch.tensor([0.7, 0.7]), context, y=extra["y"].expand(2, -1))
    assert torch.allclose(actual, expected, atol=CLOSE)


def test_sd_2_is_what_diffusers_makes_of_it(policy: Policy) -> None:
    model = handle(SECOND, policy)
    context = torch.randn(2, 77, SECOND.context, generator=torch.Generator().manual_seed(4))
    expected = clean(diffusers_unet(SECOND), model, context, 5.0)
    assert model.extra_conditioning({"pooled_output": PROMPT}, X) == {}
    actual = model.denoised(X, torch.tensor([5.0, 5.0]), context)
    assert torch.allclose(actual, expected, atol=CLOSE)


def vector(model: BaseModel, **options: Any) -> Tensor:
    """The `y` of a CONDITIONING, for a latent of 8 x 16."""
    given: dict[str, Any] = {"width": 128, "height": 64, **options}
    found = model.extra_conds(device=torch.device("cpu"), noise=torch.zeros(1, 4, 8, 16), **given)
    result: Tensor = found["y"].cond
    return result


def test_sizes_that_are_not_said_are_the_latents(policy: Policy) -> None:
    model = handle(BASE, policy).model
    assert isinstance(model, SDXL) and model.adm_channels == BASE.label and model.is_adm()
    whole: dict[str, Any] = {"crop_w": 0, "crop_h": 0, "target_width": 128, "target_height": 64}
    assert torch.equal(vector(model, pooled_output=PROMPT),
                       vector(model, pooled_output=PROMPT, **whole))  # fmt: skip
    target = vector(model, pooled_output=PROMPT, width=700)
    assert torch.equal(target, vector(model, pooled_output=PROMPT, width=700, target_width=700))


def test_a_prompt_without_pooled_output_counts_as_zeros(policy: Policy) -> None:
    model = handle(BASE, policy).model
    assert torch.equal(vector(model), vector(model, pooled_output=torch.zeros(1, POOLED)))


def test_a_prompt_of_another_model_is_refused(policy: Policy) -> None:
    model = handle(REFINER, policy).model
    assert isinstance(model, SDXLRefiner)
    with pytest.raises(InvalidInput, match="the pooled prompt has 7 channels and this model"):
        vector(model, pooled_output=torch.zeros(1, 7))


def conditioning(model: TinyModel, seed: int, **options: Any) -> list[list[Any]]:
    generator = torch.Generator().manual_seed(seed)
    context = torch.randn(1, 77, model.context, generator=generator)
    pooled = torch.randn(1, POOLED, generator=generator)
    return [[context, {"pooled_output": pooled, **options}]]


def sampled(model: ModelHandle, positive: Any, negative: Any) -> Tensor:
    latent = {"samples": torch.zeros(2, 4, 8, 8)}
    options = {"steps": 2, "cfg": 5.0, "sampler_name": "euler", "scheduler": "normal"}
    result = sample_latent(model, latent, seed=1, positive=positive, negative=negative, **options)
    found: Tensor = result["samples"]
    return found


@pytest.mark.parametrize("tiny", [BASE, REFINER], ids=["base", "refiner"])
@pytest.mark.parametrize("area", [{}, {"area": (4, 4, 2, 2)}], ids=["whole", "area"])
def test_the_short_way_and_the_long_way_agree(
    tiny: TinyModel, area: dict[str, Any], policy: Policy
) -> None:
    model = handle(tiny, policy)
    positive = conditioning(tiny, 1, **SIZES) + conditioning(tiny, 2, **area)
    negative = conditioning(tiny, 3)
    short = sampled(model, positive, negative)
    changed = model.clone()
    changed.set_model_sampler_post_cfg_function(lambda args: args["denoised"])
    assert changed.is_customised and not model.is_customised
    assert torch.allclose(sampled(changed, positive, negative), short, atol=1e-5)
    elsewhere = conditioning(tiny, 1) + conditioning(tiny, 2, **area)
    assert not torch.allclose(sampled(model, elsewhere, negative), short, atol=1e-3)


@pytest.mark.parametrize(("channels", "kind"), [(9, InpaintModel), (8, EditModel)])
def test_a_network_that_sees_a_picture_is_told_sizes_too(
    channels: int, kind: type[BaseModel], policy: Policy
) -> None:
    tiny = replace(BASE, in_channels=channels)
    model = handle(tiny, policy)
    assert isinstance(model.model, kind) and isinstance(model.model, SDXL)
    known = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(9))
    mask = torch.zeros(1, 1, 64, 64)
    seen = {"concat_latent_image": known, "concat_mask": mask}
    results = [
        sampled(model, conditioning(tiny, 1, **options), conditioning(tiny, 3, **options))
        for options in (seen, seen | SIZES, {"concat_latent_image": -known, "concat_mask": mask})
    ]
    assert not torch.allclose(results[0], results[1], atol=1e-3)
    assert not torch.allclose(results[0], results[2], atol=1e-3)
