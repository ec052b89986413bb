"""Z-Image agrees with diffusers' own evaluation of the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from models.devices import HOME
from models.errors import CheckpointUnreadable, InvalidInput, UnsupportedLayout
from models.families.z_image import FAMILY
from models.families.z_image_transformer import build_transformer, transformer_config
from models.load import recognise, unet_of
from models.lora import DeltaPatch
from models.model_files import checkpoint_tensors
from models.protocol.sampling import sample_latent
from models.protocol.z_image_positions import Positions
from models.sampling.noise import prepare_noise
from models.weights import Weights, open_weights
from tests.models.gguf_files import write_gguf
from tests.models.lora.test_parts import changes
from tests.models.tiny_z_image import PROMPT, WIDTH, handle, normal, tensors, transformer

TIMES = torch.tensor([0.9, 0.3])
CONTEXT = normal(2, 2, 7, PROMPT)
X = normal(3, 2, 16, 6, 10)
QKV = "layers.1.attention.qkv"


def expected(module: Any, x: Tensor, times: Tensor, prompts: list[Tensor]) -> Tensor:
    """What diffusers' network says of pictures [B, C, h, w], called as its pipeline calls it."""
    with torch.no_grad():
        output = module(list(x[:, :, None].unbind()), 1 - times, prompts, return_dict=False)[0]
    return -torch.stack(output)[:, :, 0]


def weights(found: dict[str, Tensor]) -> Weights:
    return Weights(path=Path("f"), tensors=found)


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model.", "diffusion_model."])
def test_a_transformer_is_recognised_below_prefixes(prefix: str) -> None:
    file = weights(tensors(transformer(), prefix))
    assert recognise(file) is FAMILY
    network = build_transformer(file, torch.float32)
    assert network is not None
    assert f"{QKV}.weight" in network


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
    module = transformer(n_layers=3, n_refiner_layers=2)
    config = transformer_config(weights(tensors(module)))
    assert {name: module.config[name] for name in config} == config


def test_heads_of_128_have_the_axes_of_published_networks() -> None:
    module = transformer(dim=128, n_heads=1, n_kv_heads=1, axes_dims=[32, 48, 48], n_layers=1)
    assert transformer_config(weights(tensors(module)))["axes_dims"] == [32, 48, 48]


def test_published_names_and_shapes_give_the_published_network() -> None:
    with torch.device("meta"):
        module = ZImageTransformer2DModel()  # whose defaults are those of Turbo
    file = weights(tensors(module))
    config = transformer_config(file)
    assert {name: module.config[name] for name in config} == config
    network = build_transformer(file, torch.bfloat16)
    assert network is not None
    assert set(network.names()) == file.tensors.keys() - {"norm_final.weight"}


def test_it_says_what_diffusers_says() -> None:
    module = transformer()
    output = handle(module).model.diffusion_model(X, TIMES, CONTEXT)
    assert torch.equal(output, expected(module, X, TIMES, list(CONTEXT)))


@pytest.mark.parametrize("length", [32, 40])
def test_prompts_of_other_lengths_are_filled_up_as_in_diffusers(length: int) -> None:
    module, context = transformer(), normal(5, 2, length, PROMPT)
    output = handle(module).model.diffusion_model(X, TIMES, context)
    assert torch.equal(output, expected(module, X, TIMES, list(context)))


def test_pictures_may_have_more_rows_than_diffusers_has_positions_for() -> None:
    module = transformer(axes_lens=[1024, 512, 512])
    x = normal(4, 1, 16, 1030, 2)
    output = handle(module).model.diffusion_model(x, TIMES[:1], CONTEXT[:1])
    wide = transformer(axes_lens=[1024, 1024, 512])
    assert torch.equal(output, expected(wide, x, TIMES[:1], list(CONTEXT[:1])))


def test_odd_sides_are_continued_to_whole_patches_and_cut_again() -> None:
    module, x = transformer(), normal(4, 2, 16, 5, 7)
    output = handle(module).model.diffusion_model(x, TIMES, CONTEXT)
    whole = functional.pad(x, (0, 1, 0, 1), "circular")
    wanted = expected(module, whole, TIMES, list(CONTEXT))[..., :5, :7]
    assert torch.equal(output, wanted)


@pytest.mark.parametrize("guidance", [0.0, 2.0])
def test_a_run_is_that_of_diffusers_pipeline_with_prompts_of_different_lengths(
    guidance: float,
) -> None:
    module = transformer()
    positive, negative = normal(6, 1, 35, PROMPT), normal(7, 1, 5, PROMPT)
    latent = torch.zeros(2, 16, 6, 8)
    pipeline = ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),  # as published with Turbo
        vae=None, text_encoder=None, tokenizer=None, transformer=module,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    wanted = pipeline(
        prompt_embeds=[positive[0]] * 2, negative_prompt_embeds=[negative[0]] * 2,
        latents=prepare_noise(latent, 11), height=48, width=64, num_inference_steps=4,
        guidance_scale=guidance, output_type="latent",
    ).images  # fmt: skip
    model = handle(module)
    made = sample_latent(
        model, {"samples": latent}, seed=11, positive=[[positive, {}]],
        negative=[[negative, {}]], steps=4, cfg=guidance + 1, sampler_name="euler",
        scheduler="simple",
    )["samples"]  # fmt: skip
    in_model_space = model.model.process_latent_in(made)
    assert torch.allclose(in_model_space, wanted, rtol=1e-3, atol=1e-3 * float(wanted.std()))


def test_both_ways_through_a_run_agree() -> None:
    model = handle(transformer())
    changed = model.clone()
    changed.set_model_sampler_post_cfg_function(lambda args: args["denoised"])
    options: dict[str, Any] = {
        "positive": [[normal(6, 1, 9, PROMPT), {}], [normal(7, 1, 40, PROMPT), {}]],
        "negative": [[normal(8, 1, 3, PROMPT), {}]],
    }
    short, long = (
        sample_latent(
            each, {"samples": torch.zeros(2, 16, 6, 8)}, seed=1, steps=2, cfg=3.0,
            sampler_name="euler", scheduler="simple", **options,
        )["samples"]
        for each in (model, changed)
    )  # fmt: skip
    assert changed.is_customised and not model.is_customised
    assert torch.allclose(short, long, rtol=1e-4, atol=1e-4 * float(short.std()))


def test_only_the_picture_is_moved_by_options() -> None:
    network = handle(transformer()).model.diffusion_model
    plain, same, moved = (
        network(X, TIMES, CONTEXT, transformer_options={"rope_options": options})
        for options in (None, {"scale_y": 1.0}, {"scale_y": 2.0, "shift_x": 1.0})
    )
    assert torch.equal(plain, same)
    assert not torch.allclose(plain, moved, atol=1e-2)
    positions = Positions([8, 12, 12])
    ids = torch.tensor([[1, 0, 0], [33, 2, 1], [0, 0, 0]])
    before = positions(ids)
    positions.picture, positions.options = 33, {"scale_y": 2.0, "shift_x": 1.0}
    elsewhere = torch.tensor([[1, 0, 0], [33, 4, 2], [0, 0, 0]])
    found, positions.options = positions(ids), None
    assert torch.equal(found, positions(elsewhere))
    assert torch.equal(found[::2], before[::2])


def test_packs_may_compute_attention() -> None:
    network = handle(transformer()).model.diffusion_model
    seen = []

    def override(attention: Any, q: Tensor, k: Tensor, v: Tensor, heads: int, **more: Any) -> Any:
        seen.append(heads)
        return attention(q, k, v, heads, **more)

    options = {"optimized_attention_override": override}
    overridden = network(X, TIMES, CONTEXT, transformer_options=options)
    assert seen == [3] * 4  # two refiners, two layers
    assert torch.equal(overridden, network(X, TIMES, CONTEXT))


def factors(layer: str, kind: str, rows: int) -> dict[str, Tensor]:
    up, down = ("lora_up", "lora_down") if kind == "kohya" else ("lora_B", "lora_A")
    return {
        f"{layer}.{up}.weight": normal(rows, rows, 2),
        f"{layer}.{down}.weight": normal(rows + 1, 2, WIDTH),
    }


@pytest.mark.parametrize(
    ("layer", "kind", "rows", "changed"),
    [
        ("diffusion_model.layers.1.attention.qkv", "peft", 288, ["to_q", "to_k", "to_v"]),
        ("lora_unet_layers_1_attention_qkv", "kohya", 288, ["to_q", "to_k", "to_v"]),
        ("diffusion_model.layers.1.attention.to_k", "peft", 96, ["to_k"]),
        ("transformer.layers.1.attention.to_v", "peft", 96, ["to_v"]),
        ("layers.1.attention.to_q", "peft", 96, ["to_q"]),
        ("lora_unet_layers_1_attention_to_q", "kohya", 96, ["to_q"]),
        ("diffusion_model.layers.1.attention.out", "peft", 96, ["to_out.0"]),
        ("transformer.layers.1.attention.to_out.0", "peft", 96, ["to_out.0"]),
        ("lora_unet_layers_1_attention_to_out_0", "kohya", 96, ["to_out.0"]),
    ],
)
def test_lora_files_of_trainers_fit(
    layer: str, kind: str, rows: int, changed: list[str], tmp_path: Path
) -> None:
    found = factors(layer, kind, rows)
    up, down = found.values()
    made = changes(handle(transformer()), found, tmp_path / "l.safetensors")
    assert set(made) == {f"layers.1.attention.{name}.weight" for name in changed}
    whole = torch.cat([made[f"layers.1.attention.{name}.weight"] for name in changed])
    assert torch.allclose(whole, 0.5 * up @ down, atol=1e-5)


def test_a_model_is_saved_under_the_names_of_its_authors() -> None:
    module = transformer()
    model = handle(module)
    patched = model.with_patches({f"{QKV}.weight": [DeltaPatch({"diff": torch.ones(288, 96)}, 2)]})
    saved = checkpoint_tensors(patched)
    published = tensors(module, "model.diffusion_model.")
    del published["model.diffusion_model.norm_final.weight"]
    assert saved.keys() == published.keys()
    changed = f"model.diffusion_model.{QKV}.weight"
    assert torch.allclose(saved[changed], published[changed] + 2)


def in_8_bits(
    found: dict[str, Tensor], *, scaled: bool
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A file with matrices in float8, with scales or without, and the values that are in it."""
    made, values = dict(found), dict(found)
    for name, tensor in found.items():
        if tensor.ndim == 2:
            scale = tensor.abs().max() / 448 if scaled else torch.tensor(1.0)
            made[name] = (tensor / scale).to(torch.float8_e4m3fn)
            values[name] = made[name].float() * scale
            if scaled and name.endswith(".weight"):
                made[name.replace(".weight", ".scale_weight")] = scale
            elif scaled:
                made[name] = values[name] = tensor
    return made, values


@pytest.mark.parametrize("kind", ["plain", "scaled", "gguf"])
def test_a_network_in_few_bits_says_what_its_values_say(kind: str, tmp_path: Path) -> None:
    path = tmp_path / ("f.gguf" if kind == "gguf" else "f.safetensors")
    if kind == "gguf":
        values = write_gguf(path, tensors(transformer()), "Q8_0", "lumina2")
    else:
        made, values = in_8_bits(tensors(transformer()), scaled=kind == "scaled")
        save_file(made, path)
    model = handle(None, values)
    other = unet_of(open_weights(path), model.policy)
    assert other.family is FAMILY
    expected = model.model.diffusion_model(X, TIMES, CONTEXT)
    actual = other.model.diffusion_model(X, TIMES, CONTEXT)
    assert torch.allclose(actual, expected, atol=1e-4 * float(expected.std()))
    patch = {f"{QKV}.weight": [DeltaPatch({"diff": torch.ones(288, 96)}, 1)]}
    changed = other.with_patches(patch)
    patched = changed.model.diffusion_model.run(X, TIMES, CONTEXT, patches=changed.patches)
    assert not torch.allclose(patched, actual, atol=1e-3)


def test_tokens_of_gguf_files_may_lack_their_side_of_one() -> None:
    found = tensors(transformer())
    flat = {name: t[0] if name.endswith("_pad_token") else t for name, t in found.items()}
    rows, lines = (handle(None, each).model.diffusion_model for each in (found, flat))
    assert torch.equal(rows(X, TIMES, CONTEXT), lines(X, TIMES, CONTEXT))


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
    with pytest.raises(InvalidInput, match="5 channels and this model takes 64"):
        network(X, TIMES, normal(1, 2, 3, 5))
    with pytest.raises(InvalidInput, match="without a prompt"):
        network(X, TIMES)
    found = tensors(transformer())
    missing = {name: tensor for name, tensor in found.items() if name != "x_pad_token"}
    with pytest.raises(CheckpointUnreadable, match="x_pad_token"):
        handle(None, missing)
    found["layers.0.attention.q_norm.weight"] = torch.ones(24)
    with pytest.raises(UnsupportedLayout, match="heads of 24"):
        handle(None, found)
