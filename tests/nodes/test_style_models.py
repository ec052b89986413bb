"""Pictures in prompts: SigLIP, Redux and the node that joins them, against diffusers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.flux.modeling_flux import ReduxImageEncoder
from safetensors.torch import save_file
from torch import Tensor
from transformers import SiglipVisionConfig, SiglipVisionModel

from executor.folders import Folders
from models.errors import InvalidInput
from models.memory import Policy
from models.vision import SIGLIP, VisionOutput, clip_pixels
from nodes.part_loaders import CLIPVisionEncode, CLIPVisionLoader, StyleModelLoader
from nodes.style_models import StyleModelApply
from tests.models.conftest import policy
from tests.models.tiny_flux import TinyFlux, inputs
from tests.nodes.context import node_context

__all__ = ["policy"]

METADATA = {"darkroom.config": json.dumps({"image_encoder": {"num_attention_heads": 2}})}
WIDTH, PROMPT = 16, 24


@pytest.fixture
def folders(tmp_path: Path, policy: Policy) -> Iterator[Folders]:
    with node_context(tmp_path, policy=policy) as made:
        yield made


def siglip(*, head: bool) -> SiglipVisionModel:
    torch.manual_seed(4)
    config = SiglipVisionConfig(
        hidden_size=WIDTH, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        image_size=32, patch_size=8, vision_use_head=head,
    )  # fmt: skip
    return SiglipVisionModel(config).eval()


def file_names(encoder: SiglipVisionModel) -> dict[str, Tensor]:
    """As files have them, whatever the release of transformers calls them."""
    names = encoder.state_dict().items()
    return {f"vision_model.{k.removeprefix('vision_model.')}": v.clone() for k, v in names}


@pytest.mark.parametrize("head", [True, False])
def test_siglip_says_what_that_of_transformers_does(head: bool, folders: Folders) -> None:
    encoder = siglip(head=head)
    save_file(file_names(encoder), folders.models_root / "clip_vision" / "s.safetensors", METADATA)
    (vision,) = CLIPVisionLoader().run("s.safetensors")
    picture = torch.rand(2, 40, 64, 3)
    (said,) = CLIPVisionEncode().run(vision, picture, "center")
    with torch.no_grad():
        expected = encoder(clip_pixels(picture, 32, crop=True, colours=SIGLIP))
    assert said.last_hidden_state.shape == (2, 16, WIDTH)
    assert torch.allclose(said.last_hidden_state, expected.last_hidden_state, atol=1e-5)
    assert ("image_embeds" in said) == head


def test_colours_of_siglip_are_from_minus_one_to_one() -> None:
    pixels = clip_pixels(torch.tensor([0.0, 0.2, 1.0]).expand(1, 4, 4, 3), 4, crop=True,
                         colours=SIGLIP)  # fmt: skip
    assert torch.allclose(pixels[0, :, 0, 0], torch.tensor([-1.0, -0.6, 1.0]), atol=1e-6)


def test_tokens_of_redux_follow_those_of_the_prompt(folders: Folders) -> None:
    torch.manual_seed(5)
    redux = ReduxImageEncoder(redux_dim=WIDTH, txt_in_features=PROMPT)
    tensors = {name: tensor.clone() for name, tensor in redux.state_dict().items()}
    save_file(tensors, folders.models_root / "style_models" / "r.safetensors")
    (style,) = StyleModelLoader().run("r.safetensors")
    seen = torch.randn(2, 3, WIDTH)
    prompt, options = torch.randn(1, 5, PROMPT), {"pooled_output": torch.zeros(1, 4)}
    ([[context, kept]],) = StyleModelApply().run(
        [[prompt, options]], style, VisionOutput(last_hidden_state=seen), 0.5, "multiply"
    )
    with torch.no_grad():
        expected = redux(seen).image_embeds.flatten(0, 1)
    assert torch.equal(context[:, :5], prompt)
    assert torch.allclose(context[0, 5:], 0.5 * expected, atol=1e-6)
    assert kept == options
    with pytest.raises(InvalidInput, match="image encoders of width 16 say, and this one has 8"):
        style.get_cond(VisionOutput(last_hidden_state=seen[..., :8]))
    with pytest.raises(InvalidInput, match="prompts of 5 and 24 channels"):
        StyleModelApply().run(
            [[prompt[..., :5], options]],
            style,
            VisionOutput(last_hidden_state=seen),
            1.0,
            "multiply",
        )


class Ones:
    def get_cond(self, input: object) -> Tensor:
        return torch.ones(1, 2, PROMPT)


def test_a_strength_of_attention_is_told_to_the_model() -> None:
    entry: list[Any] = [torch.zeros(1, 3, PROMPT), {}]
    for strength in (0.5, 0.0):
        ([entry],) = StyleModelApply().run([entry], Ones(), VisionOutput(), strength, "attn_bias")
    context, options = entry
    half = math.log(0.5)
    assert context.shape == (1, 7, PROMPT)
    wanted = torch.tensor([[0.0, 0.0, 0.0, half, half, -math.inf, -math.inf]])
    assert torch.equal(options["attention_bias"], wanted)
    ([[_, unchanged]],) = StyleModelApply().run(
        [[context, {}]], Ones(), VisionOutput(), 1.0, "attn_bias"
    )
    assert unchanged == {}


def test_flux_heeds_the_attention_that_pictures_get() -> None:
    model = TinyFlux(context=PROMPT)
    handle = model.handle()
    arguments = inputs(model, batch=1)
    prompt = arguments["context"]
    ([[context, options]],) = StyleModelApply().run(
        [[prompt, {"pooled_output": arguments["y"]}]], Ones(), VisionOutput(), 0.0, "attn_bias"
    )
    longer = torch.cat([context, prompt], dim=1)  # as of ConditioningConcat
    conds = handle.model.extra_conds(
        **options, cross_attn=longer, noise=arguments["x"], device=torch.device("cpu")
    )
    bias = conds["attention_bias"].cond
    assert bias.shape == (1, 12) and bias[0, -5:].count_nonzero() == 0
    network = handle.model.diffusion_model
    ignored = network(**(arguments | {"context": longer, "attention_bias": bias}))
    without = network(**(arguments | {"context": torch.cat([prompt, prompt], dim=1)}))
    assert torch.allclose(ignored, without, atol=1e-5)
