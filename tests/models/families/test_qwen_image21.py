"""Qwen-Image 2.1 agrees with diffusers' own evaluation of the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLQwenImage21
from torch import Tensor

from models.errors import InvalidInput
from models.families.qwen21_transformer import transformer_config
from models.families.qwen_image21 import FAMILY
from models.load import load_vae, recognise
from models.memory import Policy
from models.protocol.latent_formats import QwenImage21 as Latents
from models.protocol.sampling import fitted
from models.training import Course, train
from models.weights import Weights
from tests.models.conftest import policy
from tests.models.film.test_wan_vae import original_names
from tests.models.text.language_models import write
from tests.models.tiny_qwen import PROMPT, handle, normal, tensors, transformer21

__all__ = ["policy"]

TIMES = torch.tensor([0.9, 0.3])
CONTEXT = normal(2, 2, 9, PROMPT)
X = normal(3, 2, 64, 1, 4, 6)


def fused(module: Any) -> dict[str, Tensor]:
    """Its weights as they are published elsewhere: with both halves of feed-forwards in one."""
    found = tensors(module)
    for name in [name for name in found if name.endswith("img_mlp.gate_layer.weight")]:
        up = found.pop(name.replace("gate_layer", "proj"))
        found[name.replace("gate_layer", "gate_up")] = torch.cat([found.pop(name), up])
    return found


def expected(module: Any, slots: Tensor, *pictures: Tensor) -> Tensor:
    """What diffusers' network says of the last picture's tokens."""
    shapes = [(1, *picture.shape[-2:]) for picture in pictures]
    appended = torch.ones(2, pictures[-1][0, 0].numel() // 4, dtype=torch.bool)
    tokens = [picture.flatten(2).transpose(1, 2) for picture in pictures]
    with torch.no_grad():
        output: Tensor = module(
            torch.cat(tokens, dim=1),
            CONTEXT,
            TIMES,
            img_shapes=[shapes] * 2,
            img_mask=torch.cat([slots, appended], dim=1),
            return_dict=False,
        )[0]
    return output[:, -tokens[-1].shape[1] :]


def slots_at(*places: slice) -> Tensor:
    slots = torch.zeros(2, 9, dtype=torch.bool)
    for place in places:
        slots[:, place] = True
    return slots


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
@pytest.mark.parametrize("names", [tensors, fused])
def test_a_transformer_is_recognised_in_both_layouts(names: Any, prefix: str) -> None:
    module = transformer21()
    found = {prefix + name: tensor for name, tensor in names(module).items()}
    weights = Weights(path=Path("f"), tensors=found)
    assert recognise(weights) is FAMILY
    config = transformer_config(weights.below(prefix) if prefix else weights)
    assert {name: module.config[name] for name in config} == config


@pytest.mark.parametrize("names", [tensors, fused])
def test_pictures_in_a_prompt_are_seen_as_diffusers_sees_them(names: Any) -> None:
    module = transformer21()
    model = handle(module, names(module))
    first, second = normal(4, 2, 64, 1, 2, 4), normal(5, 2, 64, 1, 2, 2)
    cases = [((), slots_at()), ((first,), slots_at(slice(3, 5)))]
    cases.append(((first, second), slots_at(slice(1, 3), slice(6, 7))))
    cases.append(((first, second), slots_at(slice(4, 7))))  # one right after the other
    for references, slots in cases:
        output = model.model.diffusion_model(
            X, TIMES, CONTEXT, ref_latents=references, picture_slots=slots
        )
        wanted = expected(module, slots, *(r[:, :, 0] for r in references), X[:, :, 0])
        assert torch.allclose(output.flatten(2).transpose(1, 2), wanted, atol=1e-5)


def test_odd_sides_are_continued_and_cut_again() -> None:
    output = handle(transformer21()).model.diffusion_model(
        normal(3, 2, 64, 1, 3, 5), TIMES, CONTEXT
    )
    assert output.shape == (2, 64, 1, 3, 5)


def test_pictures_without_their_places_are_refused() -> None:
    network = handle(transformer21()).model.diffusion_model
    picture = normal(4, 2, 64, 1, 2, 4)
    with pytest.raises(InvalidInput, match=r"places for 4 pixels .* is given 8"):
        network(X, TIMES, CONTEXT, ref_latents=[picture], picture_slots=slots_at(slice(0, 1)))
    with pytest.raises(InvalidInput, match="multiples of 32"):
        network(X, TIMES, CONTEXT, ref_latents=[picture[..., :1]])
    with pytest.raises(InvalidInput, match="64 channels and one frame"):
        network(X, TIMES, CONTEXT, ref_latents=[picture[:, :4]])
    with pytest.raises(InvalidInput, match="5 channels and this model takes 24"):
        network(X, TIMES, normal(1, 2, 3, 5))
    with pytest.raises(InvalidInput, match="not films of 2 frames"):
        network(normal(3, 2, 64, 2, 4, 6), TIMES, CONTEXT)


def test_a_conditioning_brings_pictures_and_their_places() -> None:
    model = handle(transformer21())
    picture = normal(6, 1, 64, 1, 2, 2)
    options = {"reference_latents": [picture], "picture_slots": slots_at(slice(0, 1))[:1]}
    found = model.extra_conditioning(options, X[:1])
    assert torch.equal(found["ref_latents"][0], Latents().process_in(picture))
    assert found["picture_slots"].sum() == 1
    without = model.extra_conditioning({"reference_latents": [picture]}, X[:1])
    assert "ref_latents" not in without


def test_an_empty_latent_of_4_channels_is_one_of_8_pixels() -> None:
    latent = fitted(handle(transformer21()), {"samples": torch.zeros(1, 4, 128, 96)})
    assert latent["samples"].shape == (1, 64, 1, 64, 48)


def test_it_can_be_trained() -> None:
    module = transformer21()
    with torch.inference_mode():
        model = handle(module, fused(module))
        result = train(
            model, [normal(1, 2, 64, 1, 4, 4)], [[[normal(2, 1, 5, PROMPT), {}]]],
            Course(steps=2), progress=lambda *_: None,
        )  # fmt: skip
    assert any("gate_layer" in name for name in result.tensors)


@pytest.mark.parametrize("names", [dict, original_names])
def test_its_autoencoder_takes_pictures_with_transparency(
    names: Any, tmp_path: Path, policy: Policy
) -> None:
    torch.manual_seed(0)
    module = AutoencoderKLQwenImage21(
        base_dim=4, decoder_base_dim=8, z_dim=6, dim_mult=[1, 2, 2], num_res_blocks=1,
        temperal_downsample=[False, True], latents_mean=[0.0] * 6, latents_std=[1.0] * 6,
        scale_factor_spatial=4,
    ).eval()  # fmt: skip
    path = write(tmp_path / "v.safetensors", names(tensors(module)))
    vae = load_vae(path, policy)
    pictures = torch.rand(2, 16, 24, 4)
    latents = vae.encode(pictures)
    assert latents.shape == (2, 6, 1, 4, 6)
    film = pictures.movedim(-1, 1)[:, :, None] * 2 - 1
    with torch.no_grad():
        wanted = module.encode(film).latent_dist.mode()
        decoded = module.decode(wanted, return_dict=False)[0]
    assert torch.allclose(latents, wanted, atol=1e-5)
    assert torch.allclose(vae.decode(latents), (decoded[:, :, 0].movedim(1, -1) + 1) / 2, atol=1e-5)
    opaque = torch.cat([pictures[..., :3], torch.ones(2, 16, 24, 1)], dim=-1)
    assert torch.equal(vae.encode(pictures[..., :3]), vae.encode(opaque))
