"""Qwen-Image agrees with diffusers' own evaluation of the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.qwenimage.pipeline_qwenimage import QwenImagePipeline
from torch import Tensor

from models.errors import InvalidInput
from models.families.qwen_image import FAMILY
from models.families.qwen_transformer import transformer_config
from models.load import recognise
from models.lora import Lora, apply_lora, group_tensors
from models.protocol.latent_formats import Wan21
from models.protocol.sampling import fitted
from models.weights import Weights
from tests.models.tiny_qwen import PROMPT, handle, normal, tensors, transformer

TIMES = torch.tensor([0.9, 0.3])
CONTEXT = normal(2, 2, 7, PROMPT)


def packed(film: Tensor) -> Tensor:
    """As diffusers' pipelines pack it: frames one after another."""
    frames = [
        QwenImagePipeline._pack_latents(
            frame, len(frame), frame.shape[1], frame.shape[-2], frame.shape[-1]
        )
        for frame in film.unbind(2)
    ]
    return torch.cat(frames, dim=1)


def expected(module: Any, films: list[Tensor], **more: Any) -> Tensor:
    """What diffusers' network says of the first film's tokens."""
    shapes = [
        (1, film.shape[-2] // 2, film.shape[-1] // 2)
        for film in films
        for _ in range(film.shape[2])
    ]
    tokens = [packed(film) for film in films]
    with torch.no_grad():
        output: Tensor = module(
            torch.cat(tokens, dim=1),
            encoder_hidden_states=CONTEXT,
            timestep=TIMES,
            img_shapes=[shapes] * 2,
            return_dict=False,
            **more,
        )[0]
    return output[:, : tokens[0].shape[1]]


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model.", "diffusion_model."])
def test_a_transformer_is_recognised_below_prefixes(prefix: str) -> None:
    weights = Weights(path=Path("f"), tensors=tensors(transformer(), prefix))
    assert recognise(weights) is FAMILY


def test_the_configuration_comes_from_shapes() -> None:
    module = transformer(num_layers=3)
    config = transformer_config(Weights(path=Path("f"), tensors=tensors(module)))
    assert {name: module.config[name] for name in config} == config


def test_heads_of_128_have_the_axes_of_published_networks() -> None:
    module = transformer(num_layers=1, attention_head_dim=128, axes_dims_rope=(16, 56, 56))
    config = transformer_config(Weights(path=Path("f"), tensors=tensors(module)))
    assert config["axes_dims_rope"] == (16, 56, 56)


def test_a_picture_and_its_references_are_seen_as_diffusers_sees_them() -> None:
    module = transformer()
    model = handle(module)
    x = normal(3, 2, 16, 1, 6, 10)
    references = [normal(4, 2, 16, 1, 8, 4), normal(5, 2, 16, 1, 2, 6)]
    for films in ([x], [x, *references]):
        output = model.model.diffusion_model(x, TIMES, CONTEXT, ref_latents=films[1:])
        assert torch.allclose(packed(output), expected(module, films), atol=1e-5)


def test_references_may_be_told_to_be_clean() -> None:
    x, reference = normal(3, 2, 16, 1, 6, 10), normal(4, 2, 16, 1, 8, 4)
    model = handle(transformer())
    clean, plain, again = (
        model.model.diffusion_model(
            x, TIMES, CONTEXT, ref_latents=[reference], ref_latents_method=method
        )
        for method in ("index_timestep_zero", "index", None)
    )
    wanted = expected(transformer(zero_cond_t=True), [x, reference])
    assert torch.allclose(packed(clean), wanted, atol=1e-5)
    assert torch.equal(plain, again)
    assert not torch.allclose(clean, plain, atol=1e-2)


def test_layers_are_frames_and_the_whole_picture_comes_before_them() -> None:
    module = transformer(use_additional_t_cond=True, use_layer3d_rope=True)
    x, whole = normal(3, 2, 16, 3, 6, 4), normal(4, 2, 16, 1, 6, 4)
    output = handle(module).model.diffusion_model(x, TIMES, CONTEXT, ref_latents=[whole])
    wanted = expected(module, [x, whole], additional_t_cond=torch.zeros(2, dtype=torch.long))
    assert torch.allclose(packed(output), wanted, atol=1e-5)


def test_odd_sides_are_continued_to_whole_patches_and_cut_again() -> None:
    output = handle(transformer()).model.diffusion_model(normal(3, 2, 16, 1, 5, 7), TIMES, CONTEXT)
    assert output.shape == (2, 16, 1, 5, 7)


def test_a_conditioning_brings_references_in_model_space() -> None:
    model = handle(transformer())
    picture = normal(6, 1, 16, 4, 4)
    options = {"reference_latents": [picture], "reference_latents_method": "index"}
    found = model.extra_conditioning(options, normal(7, 1, 16, 1, 4, 4))
    space = Wan21()
    assert torch.equal(found["ref_latents"][0], space.process_in(picture[:, :, None]))
    assert found["ref_latents_method"] == "index"


def test_the_latent_space_is_that_of_the_autoencoder() -> None:
    space = Wan21()
    latent = normal(8, 1, 16, 2, 3, 3)
    assert torch.allclose(space.process_out(space.process_in(latent)), latent, atol=1e-6)
    mean, std = space.latents_mean.flatten(), space.latents_std.flatten()
    assert space.process_in(mean.view(1, -1, 1, 1, 1)).abs().max() < 1e-6
    assert torch.allclose(
        space.process_in((mean + std).view(1, -1, 1, 1, 1)), torch.ones(1, 16, 1, 1, 1)
    )


def test_an_empty_picture_becomes_a_film_of_one_frame() -> None:
    model = handle(transformer())
    for channels in (4, 16):
        latent = fitted(model, {"samples": torch.zeros(2, channels, 4, 6)})
        assert latent["samples"].shape == (2, 16, 1, 4, 6)


def test_packs_may_replace_a_block() -> None:
    model = handle(transformer()).clone()
    seen = []

    def replacement(args: dict[str, Any], original: dict[str, Any]) -> dict[str, Any]:
        seen.append(args["transformer_options"]["block_index"])
        found: dict[str, Any] = original["original_block"](args)
        return found

    options = {"patches_replace": {"dit": {("double_block", 1): replacement}}}
    x = normal(3, 2, 16, 1, 6, 10)
    network = model.model.diffusion_model
    plain = network(x, TIMES, CONTEXT)
    replaced = network(x, TIMES, CONTEXT, transformer_options=options)
    assert seen == [1]
    assert torch.equal(plain, replaced)


@pytest.mark.parametrize(
    "name",
    [
        "transformer.transformer_blocks.0.attn.to_q.lora_{}.weight",
        "diffusion_model.transformer_blocks.0.attn.to_q.lora_{}.weight",
        "transformer_blocks.0.attn.to_q.lora_{}.weight",
        "lora_unet_transformer_blocks_0_attn_to_q.lora_{}.weight",
    ],
)
def test_lora_files_of_trainers_fit(name: str) -> None:
    model = handle(transformer())
    kinds = ("up", "down") if "lora_unet" in name else ("B", "A")
    found = {name.format(kinds[0]): normal(1, 64, 2), name.format(kinds[1]): normal(2, 2, 64)}
    lora = Lora(path=Path("l"), groups=group_tensors(found))
    patched, _ = apply_lora(lora, model, None, strength_model=1.0, strength_text=0.0)
    assert set(patched.patches) == {"transformer_blocks.0.attn.to_q.weight"}


def test_what_does_not_fit_is_said() -> None:
    network = handle(transformer()).model.diffusion_model
    x = normal(3, 2, 16, 1, 6, 10)
    with pytest.raises(InvalidInput, match="5 channels and this model takes 24"):
        network(x, TIMES, normal(1, 2, 3, 5))
    with pytest.raises(InvalidInput, match="without a prompt"):
        network(x, TIMES)
    with pytest.raises(InvalidInput, match="a latent to refer to has 4"):
        network(x, TIMES, CONTEXT, ref_latents=[normal(1, 2, 4, 1, 2, 2)])
    with pytest.raises(InvalidInput, match="method 'offset'"):
        network(x, TIMES, CONTEXT, ref_latents=[x], ref_latents_method="offset")
