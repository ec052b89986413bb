"""Wan agrees with diffusers' own evaluation of the same weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.conditioning import Conditioning
from models.errors import InvalidInput, UnsupportedLayout
from models.families.wan import FAMILY
from models.families.wan_transformer import transformer_config
from models.handle import ModelHandle
from models.load import recognise, unet_of
from models.lora import Lora, apply_lora, group_tensors
from models.memory import choose_policy
from models.model_files import checkpoint_tensors
from models.protocol.latent_formats import Wan21, Wan22
from models.vision import VisionOutput
from nodes.video_conditioning.wan import WanImageToVideo
from nodes.video_conditioning.wan_control import WanFunControlToVideo, WanPhantomSubjectToVideo
from tests.models.tiny_wan import (
    IMAGE,
    PROMPT,
    handle,
    normal,
    of_pictures,
    tensors,
    transformer,
    weights,
)
from tests.nodes.video_conditioning.film_vae import as_vae, picture, wan_vae

TIMES = torch.tensor([900.0, 300.0])
CONTEXT = normal(2, 2, 7, PROMPT)
WIDTH, HEIGHT, LENGTH = 32, 16, 9


@torch.no_grad()
def expected(module: Any, x: Tensor, image: Tensor | None = None) -> Tensor:
    """What diffusers' network says."""
    output: Tensor = module(
        x,
        timestep=TIMES[: len(x)],
        encoder_hidden_states=CONTEXT[: len(x)],
        encoder_hidden_states_image=image,
        return_dict=False,
    )[0]
    return output


def called(model: ModelHandle, x: Tensor, options: dict[str, Any]) -> Tensor:
    """What a model says of a latent with the options of a conditioning, as samplers ask it."""
    found = dict(model.extra_conditioning(options, x))
    concat = found.pop("c_concat", None)
    seen = x if concat is None else torch.cat([x, concat], dim=1)
    output: Tensor = model.model.diffusion_model(seen, TIMES[: len(x)], CONTEXT[: len(x)], **found)
    return output


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model.", "diffusion_model."])
def test_a_transformer_is_recognised_below_prefixes(prefix: str) -> None:
    assert recognise(weights(transformer(), prefix)) is FAMILY


def test_a_transformer_of_diffusers_is_recognised() -> None:
    module = transformer()
    found = dataclasses.replace(weights(module), tensors=dict(module.state_dict()))
    model = unet_of(found, choose_policy(cpu=True))
    x = normal(3, 2, 16, 2, 4, 6)
    output = model.model.diffusion_model(x, TIMES, CONTEXT)
    assert torch.allclose(output, expected(module, x), atol=1e-5)


@pytest.mark.parametrize("make", [transformer, of_pictures])
def test_the_configuration_comes_from_shapes(make: Any) -> None:
    module = make(num_layers=3)
    found = dataclasses.replace(weights(module), tensors=dict(module.state_dict()))
    config = transformer_config(found)
    assert {name: module.config[name] for name in config} == config


def test_a_film_is_seen_as_diffusers_sees_it() -> None:
    module = transformer()
    x = normal(3, 2, 16, 3, 4, 6)
    output = handle(module).model.diffusion_model(x, TIMES, CONTEXT)
    assert torch.allclose(output, expected(module, x), atol=1e-5)


def test_odd_sides_are_continued_to_whole_patches_and_cut_again() -> None:
    x = normal(3, 2, 16, 1, 5, 7)
    output = handle(transformer()).model.diffusion_model(x, TIMES, CONTEXT)
    assert output.shape == x.shape


def test_a_film_begins_with_a_picture_as_with_diffusers() -> None:
    from diffusers import UniPCMultistepScheduler, WanImageToVideoPipeline

    network, module = wan_vae(), of_pictures()
    first = picture(1, WIDTH, HEIGHT)
    seen = VisionOutput(penultimate_hidden_states=normal(5, 1, 4, IMAGE))
    prompt: Conditioning = [[CONTEXT[:1], {}]]
    positive, _, latent = WanImageToVideo().run(
        prompt, prompt, as_vae(network), WIDTH, HEIGHT, LENGTH, 1, first, seen
    )
    x = torch.randn_like(latent["samples"])
    pipeline = WanImageToVideoPipeline(None, None, network, UniPCMultistepScheduler())
    with torch.no_grad():
        pixels = first.movedim(-1, 1) * 2 - 1
        condition = pipeline.prepare_latents(pixels, 1, 16, HEIGHT, WIDTH, LENGTH, device="cpu")[1]
    wanted = expected(module, torch.cat([x, condition], dim=1), seen["penultimate_hidden_states"])
    output = called(handle(module), x, positive[0][1])
    assert torch.allclose(output, wanted, atol=1e-4)


def test_pictures_of_the_first_and_last_frame_have_positions() -> None:
    module = of_pictures(pos_embed_seq_len=8)
    assert "img_emb.emb_pos" in tensors(module)
    x, image = normal(3, 1, 36, 2, 4, 6), normal(5, 2, 4, IMAGE)
    network = handle(module).model.diffusion_model
    both = image.reshape(1, 8, IMAGE)  # one after the other
    output = network(x, TIMES[:1], CONTEXT[:1], clip_fea=both)
    assert torch.allclose(output, expected(module, x, image), atol=1e-5)
    with pytest.raises(InvalidInput, match="first frame and of the last"):
        network(x, TIMES[:1], CONTEXT[:1], clip_fea=both[:, :4])
    with pytest.raises(InvalidInput, match="image encoders of 20 channels"):
        network(x, TIMES[:1], CONTEXT[:1], clip_fea=both[..., :3])


def test_without_a_picture_nothing_is_given() -> None:
    module = transformer(in_channels=36)
    x = normal(3, 1, 16, 2, 4, 6)
    wanted = expected(module, torch.cat([x, x.new_zeros(1, 20, 2, 4, 6)], dim=1))
    assert torch.allclose(called(handle(module), x, {}), wanted, atol=1e-5)


def test_films_to_follow_come_without_a_mask() -> None:
    module, vae = transformer(in_channels=48), as_vae(wan_vae())
    prompt: Conditioning = [[CONTEXT[:1], {}]]
    film, first = picture(9, WIDTH, HEIGHT), picture(1, WIDTH, HEIGHT, seed=1)
    positive, _, latent = WanFunControlToVideo().run(
        prompt, prompt, vae, WIDTH, HEIGHT, LENGTH, 1, start_image=first, control_video=film
    )
    x, space = torch.randn_like(latent["samples"]), Wan21()
    begin = torch.zeros_like(x)
    begin[:, :, :1] = space.process_in(vae.encode(first))
    seen = torch.cat([x, space.process_in(vae.encode(film)), begin], dim=1)
    output = called(handle(module), x, positive[0][1])
    assert torch.allclose(output, expected(module, seen), atol=1e-4)


def test_pictures_of_subjects_go_after_the_last_frame() -> None:
    module, vae = transformer(), as_vae(wan_vae())
    prompt: Conditioning = [[CONTEXT[:1], {}]]
    subjects = picture(2, WIDTH, HEIGHT)
    positive, _, _, latent = WanPhantomSubjectToVideo().run(
        prompt, prompt, vae, WIDTH, HEIGHT, LENGTH, 1, subjects
    )
    x, space = torch.randn_like(latent["samples"]), Wan21()
    after = [space.process_in(vae.encode(one[None])) for one in subjects]
    wanted = expected(module, torch.cat([x, *after], dim=2))[:, :, :3]
    assert torch.allclose(called(handle(module), x, positive[0][1]), wanted, atol=1e-4)


def test_the_small_model_has_the_latents_of_22() -> None:
    small = handle(transformer(in_channels=48, out_channels=48))
    assert isinstance(small.latent_format, Wan22)
    assert type(handle(transformer()).latent_format) is Wan21


def test_networks_are_told_times_up_to_1000() -> None:
    schedule = handle(transformer()).own_schedule
    assert schedule.timestep(torch.tensor(0.5)) == 500


def test_it_is_saved_under_the_names_of_its_authors() -> None:
    module = of_pictures(pos_embed_seq_len=8)
    saved = checkpoint_tensors(handle(module))
    assert saved.keys() == tensors(module, "model.diffusion_model.").keys()


@pytest.mark.parametrize(
    "name",
    [
        "diffusion_model.blocks.0.self_attn.q.lora_{}.weight",
        "transformer.blocks.0.attn1.to_q.lora_{}.weight",
        "lora_unet_blocks_0_self_attn_q.lora_{}.weight",
    ],
)
def test_lora_files_of_trainers_fit(name: str) -> None:
    model = handle(transformer())
    kinds = ("up", "down") if "lora_unet" in name else ("B", "A")
    found = {name.format(kinds[0]): normal(1, 24, 2), name.format(kinds[1]): normal(2, 2, 24)}
    lora = Lora(path=Path("l"), groups=group_tensors(found))
    patched, _ = apply_lora(lora, model, None, strength_model=1.0, strength_text=0.0)
    assert set(patched.patches) == {"blocks.0.attn1.to_q.weight"}


def test_other_variants_say_what_they_are() -> None:
    found = weights(transformer())
    more = found.tensors | {"vace_blocks.0.self_attn.q.weight": torch.zeros(1)}
    with pytest.raises(UnsupportedLayout, match="'vace_blocks' is of a variant"):
        unet_of(dataclasses.replace(found, tensors=more), choose_policy(cpu=True))


def test_what_does_not_fit_is_said() -> None:
    model = handle(transformer())
    network = model.model.diffusion_model
    x = normal(3, 2, 16, 2, 4, 6)
    with pytest.raises(InvalidInput, match="5 channels and this model takes 24"):
        network(x, TIMES, normal(1, 2, 3, 5))
    with pytest.raises(InvalidInput, match="without a prompt"):
        network(x, TIMES)
    with pytest.raises(InvalidInput, match="sides and channels"):
        network(x, TIMES, CONTEXT, time_dim_concat=normal(1, 1, 16, 1, 2, 2))
    first = handle(transformer(in_channels=36))
    with pytest.raises(InvalidInput, match="beside the noisy one"):
        called(first, x, {"concat_latent_image": normal(1, 1, 16, 5, 4, 6)})
    with pytest.raises(InvalidInput, match="mask of a film must be"):
        called(first, x, {"concat_mask": torch.ones(1, 1, 2, 4, 6)})
    with pytest.raises(InvalidInput, match="7 more channels"):
        called(handle(transformer(in_channels=23)), x, {})
