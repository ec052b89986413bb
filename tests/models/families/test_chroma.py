"""Chroma agrees with diffusers' own evaluation of the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ChromaPipeline, FlowMatchEulerDiscreteScheduler
from diffusers.loaders.single_file_utils import convert_chroma_transformer_checkpoint_to_diffusers
from torch import Tensor
from torch.nn import functional

from models.devices import HOME
from models.errors import InvalidInput
from models.families.chroma import FAMILY
from models.families.chroma_transformer import build_transformer, transformer_config
from models.load import recognise, unet_of
from models.model_files import checkpoint_tensors
from models.parts import Part, parts_of_conversion
from models.protocol.sampling import sample_latent
from models.sampling.noise import prepare_noise
from models.weights import Weights, open_weights
from tests.models.gguf_files import write_gguf
from tests.models.lora.test_parts import changes
from tests.models.tiny_chroma import PROMPT, WIDTH, built, handle, tensors, transformer
from tests.models.tiny_z_image import normal

TIMES = torch.tensor([0.9, 0.3])
CONTEXT = normal(2, 2, 7, PROMPT)
X = normal(3, 2, 16, 6, 10)


def expected(module: Any, x: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
    """What diffusers' network says of pictures [B, C, h, w], called as its pipeline calls it."""
    height, width = x.shape[-2:]
    places = ChromaPipeline._prepare_latent_image_ids(
        len(x), height // 2, width // 2, x.device, x.dtype
    )
    with torch.no_grad():
        output: Tensor = module(
            ChromaPipeline._pack_latents(x, *x.shape),
            context,
            TIMES[: len(x)],
            img_ids=places,
            txt_ids=torch.zeros(context.shape[1], 3),
            attention_mask=mask,
            return_dict=False,
        )[0]
    pictures: Tensor = ChromaPipeline._unpack_latents(output, height * 8, width * 8, 8)
    return pictures


def weights(found: dict[str, Tensor]) -> Weights:
    return Weights(path=Path("f"), tensors=found)


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model.", "diffusion_model."])
def test_a_transformer_is_recognised_below_prefixes(prefix: str) -> None:
    file = weights(tensors(transformer(), prefix))
    assert recognise(file) is FAMILY
    network = build_transformer(file, torch.float32)
    assert network is not None
    assert "double_blocks.1.img_attn.qkv.weight" in network


@pytest.mark.parametrize("prefix", ["", "transformer."])
def test_a_file_in_the_layout_of_diffusers_is_the_same_network(prefix: str) -> None:
    module = transformer()
    model = handle(module)
    found = {prefix + name: tensor.clone() for name, tensor in module.state_dict().items()}
    other = handle(module, found)
    assert other.family is FAMILY
    assert set(other.network.names()) == set(model.network.names())
    assert torch.equal(*(m.model.diffusion_model(X, TIMES, CONTEXT) for m in (model, other)))


def test_the_configuration_comes_from_shapes() -> None:
    module = transformer(num_layers=1, num_single_layers=3, approximator_layers=1)
    config = transformer_config(weights(tensors(module)))
    assert config.pop("out_channels") == 64
    assert {name: module.config[name] for name in config} == config


def test_published_names_and_shapes_give_the_published_network() -> None:
    with torch.device("meta"):
        module = built()  # whose defaults are those of Chroma1-HD
    file = weights(tensors(module))
    config = transformer_config(file)
    assert config.pop("out_channels") == 64
    assert {name: module.config[name] for name in config} == config
    network = build_transformer(file, torch.bfloat16)
    assert network is not None
    assert set(network.names()) == file.tensors.keys()
    converted = parts_of_conversion(
        convert_chroma_transformer_checkpoint_to_diffusers, file.tensors
    )
    assert {n: network.parts.get(n, Part(n)) for n in module.state_dict()} == converted


def test_it_says_what_diffusers_says() -> None:
    module = transformer()
    output = handle(module).model.diffusion_model(X, TIMES, CONTEXT)
    assert torch.allclose(output, expected(module, X, CONTEXT), atol=1e-5)


def test_pads_that_are_left_out_are_those_that_diffusers_masks() -> None:
    module = transformer()
    padded = torch.cat([CONTEXT, normal(4, 2, 5, PROMPT)], dim=1)
    is_seen = torch.arange(12 + 15)[None].expand(2, -1)
    mask = (is_seen < 7) | (is_seen >= 12)  # the prompt, then the picture
    output = handle(module).model.diffusion_model(X, TIMES, CONTEXT)
    assert torch.allclose(output, expected(module, X, padded, mask), atol=1e-4)


def test_odd_sides_are_continued_to_whole_patches_and_cut_again() -> None:
    module, x = transformer(), normal(4, 2, 16, 5, 7)
    output = handle(module).model.diffusion_model(x, TIMES, CONTEXT)
    whole = functional.pad(x, (0, 1, 0, 1), "circular")
    assert torch.allclose(output, expected(module, whole, CONTEXT)[..., :5, :7], atol=1e-5)


def test_a_run_is_that_of_diffusers_pipeline_with_prompts_of_different_lengths() -> None:
    module = transformer()
    positive, negative = normal(6, 1, 9, PROMPT), normal(7, 1, 5, PROMPT)
    latent = torch.zeros(2, 16, 6, 8)
    noise = prepare_noise(latent, 11)
    pipeline = ChromaPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(), vae=None, text_encoder=None, tokenizer=None,
        transformer=module,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    wanted = pipeline(
        prompt_embeds=positive.expand(2, -1, -1), negative_prompt_embeds=negative.expand(2, -1, -1),
        latents=ChromaPipeline._pack_latents(noise, *noise.shape), height=48, width=64,
        prompt_attention_mask=torch.ones(2, 9, dtype=torch.bool),
        negative_prompt_attention_mask=torch.ones(2, 5, dtype=torch.bool),
        num_inference_steps=4, guidance_scale=3.0, output_type="latent",
    ).images  # fmt: skip
    model = handle(module)
    made = sample_latent(
        model, {"samples": latent}, seed=11, positive=[[positive, {}]],
        negative=[[negative, {}]], steps=4, cfg=3.0, sampler_name="euler", scheduler="simple",
    )["samples"]  # fmt: skip
    packed = ChromaPipeline._pack_latents(model.model.process_latent_in(made), *made.shape)
    assert torch.allclose(packed, wanted, rtol=1e-3, atol=1e-3 * float(wanted.std()))


def test_packs_may_replace_blocks() -> None:
    network = handle(transformer()).model.diffusion_model
    seen = []

    def replacement(args: dict[str, Any], original: dict[str, Any]) -> dict[str, Any]:
        seen.append(args["transformer_options"]["block"])
        found: dict[str, Any] = original["original_block"](args)
        return found

    def twice(args: dict[str, Any], original: dict[str, Any]) -> dict[str, Any]:
        return {"img": 2 * original["original_block"](args)["img"]}

    places = [("double_block", 1), ("single_block", 0)]
    plain = network(X, TIMES, CONTEXT)
    for functions in ([replacement, replacement], [replacement, twice]):
        options = {"patches_replace": {"dit": dict(zip(places, functions, strict=True))}}
        replaced = network(X, TIMES, CONTEXT, transformer_options=options)
        assert torch.equal(replaced, plain) is (functions[1] is replacement)
    assert seen == [*places, places[0]]
    assert torch.equal(network(X, TIMES, CONTEXT), plain)


@pytest.mark.parametrize(
    ("layer", "rows", "changed"),
    [
        ("diffusion_model.double_blocks.1.img_attn.qkv", 192, ["to_q", "to_k", "to_v"]),
        ("lora_unet_double_blocks_1_img_attn_qkv", 192, ["to_q", "to_k", "to_v"]),
        ("transformer.transformer_blocks.1.attn.to_k", 64, ["to_k"]),
    ],
)
def test_lora_files_of_trainers_fit(
    layer: str, rows: int, changed: list[str], tmp_path: Path
) -> None:
    up, down = normal(1, rows, 2), normal(2, 2, WIDTH)
    found = {f"{layer}.lora_up.weight": up, f"{layer}.lora_down.weight": down}
    made = changes(handle(transformer()), found, tmp_path / "l.safetensors")
    names = [f"transformer_blocks.1.attn.{name}.weight" for name in changed]
    assert set(made) == set(names)
    assert torch.allclose(torch.cat([made[name] for name in names]), 0.5 * up @ down, atol=1e-5)


def test_a_model_is_saved_under_the_names_of_its_author() -> None:
    saved = checkpoint_tensors(handle(transformer()))
    published = tensors(transformer(), "model.diffusion_model.")
    assert saved.keys() == published.keys()
    assert all(torch.equal(saved[name], published[name]) for name in saved)


def test_a_network_of_a_gguf_file_says_what_its_values_say(tmp_path: Path) -> None:
    path = tmp_path / "f.gguf"
    values = write_gguf(path, tensors(transformer()), "Q8_0", "flux")
    model = handle(None, values)
    other = unet_of(open_weights(path), model.policy)
    assert other.family is FAMILY
    expected, actual = (m.model.diffusion_model(X, TIMES, CONTEXT) for m in (model, other))
    assert torch.allclose(actual, expected, atol=1e-5)


def test_weights_can_come_layer_by_layer() -> None:
    model = handle(transformer())
    network = model.model.diffusion_model
    whole = network(X, TIMES, CONTEXT)
    model.network.stream(HOME, 0)
    with torch.no_grad():
        streamed = network.call(model.network.module, X, TIMES, CONTEXT)
    assert model.network.is_streaming
    assert torch.equal(streamed, whole)


def test_what_does_not_fit_is_said() -> None:
    network = handle(transformer()).model.diffusion_model
    with pytest.raises(InvalidInput, match="5 channels and this model takes 24"):
        network(X, TIMES, normal(1, 2, 3, 5))
    with pytest.raises(InvalidInput, match="without a prompt"):
        network(X, TIMES)
