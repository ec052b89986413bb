"""The names that LoRA files for Flux use, and what they change in parameters of the network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from comfy import lora as packs
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from models.handle import ModelHandle
from models.load import unet_of
from models.lora import apply_lora, load_lora
from models.protocol.flux_model import FluxControl
from models.weights import Weights
from tests.models.lora.test_parts import changes
from tests.models.tiny_flux import TinyFlux, inputs

WIDTH = 64
DOUBLE, SINGLE = "transformer_blocks.1", "single_transformer_blocks.0"


@pytest.fixture(scope="module")
def model() -> ModelHandle:
    return TinyFlux().handle()


def factors(rows: int, columns: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(rows + columns)
    return torch.randn(rows, 2, generator=generator), torch.randn(2, columns, generator=generator)


def named(layer: str, up: str, down: str, shape: tuple[int, int]) -> dict[str, Tensor]:
    return dict(zip((f"{layer}.{up}", f"{layer}.{down}"), factors(*shape), strict=True))


def kohya(layer: str, *shape: int) -> dict[str, Tensor]:
    name = f"lora_unet_{layer.replace('.', '_')}"
    return named(name, "lora_up.weight", "lora_down.weight", shape)  # type: ignore[arg-type]


def peft(layer: str, *shape: int) -> dict[str, Tensor]:
    return named(layer, "lora_B.weight", "lora_A.weight", shape)  # type: ignore[arg-type]


def xlabs(layer: str, *shape: int) -> dict[str, Tensor]:
    return named(layer, "up.weight", "down.weight", shape)  # type: ignore[arg-type]


LINEAR1 = {"attn.to_q": 64, "attn.to_k": 64, "attn.to_v": 64, "proj_mlp": 256}
QKV = {"attn.to_q": 64, "attn.to_k": 64, "attn.to_v": 64}
TEXT_QKV = {"attn.add_q_proj": 64, "attn.add_k_proj": 64, "attn.add_v_proj": 64}

# A file, the block that it changes, and how many rows of the change go to which layers of it.
FILES = {
    "kohya, double": (kohya("double_blocks.1.img_attn.qkv", 192, WIDTH), DOUBLE, QKV),
    "kohya, single": (kohya("single_blocks.0.linear1", 448, WIDTH), SINGLE, LINEAR1),
    "original names": (peft("double_blocks.1.txt_attn.qkv", 192, WIDTH), DOUBLE, TEXT_QKV),
    "of a pack": (
        peft("diffusion_model.single_blocks.0.linear2", 64, 320), SINGLE, {"proj_out": 64},
    ),
    "diffusers, double": (
        peft(f"transformer.{DOUBLE}.ff_context.net.0.proj", 256, WIDTH),
        DOUBLE,
        {"ff_context.net.0.proj": 256},
    ),
    "diffusers, single": (
        peft(f"transformer.{SINGLE}.proj_mlp", 256, WIDTH), SINGLE, {"proj_mlp": 256},
    ),
    "xlabs, picture": (xlabs("double_blocks.1.processor.qkv_lora1", 192, WIDTH), DOUBLE, QKV),
    "xlabs, prompt": (
        xlabs("double_blocks.1.processor.proj_lora2", 64, WIDTH), DOUBLE, {"attn.to_add_out": 64},
    ),
    "xlabs, single": (xlabs("single_blocks.0.processor.qkv_lora", 192, WIDTH), SINGLE, QKV),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_a_file_changes_the_layers_that_it_is_for(
    kind: str, model: ModelHandle, tmp_path: Path
) -> None:
    tensors, block, layers = FILES[kind]
    found = changes(model, tensors, tmp_path / "l.safetensors")
    up, down = tensors.values()
    pieces = torch.split(0.5 * up @ down, list(layers.values()))
    for layer, expected in zip(layers, pieces, strict=True):
        assert torch.allclose(found.pop(f"{block}.{layer}.weight"), expected, atol=1e-5), layer
    assert not found


def test_the_last_modulation_has_its_halves_in_the_order_of_diffusers(
    model: ModelHandle, tmp_path: Path
) -> None:
    tensors = peft("transformer.norm_out.linear", 128, WIDTH)
    found = changes(model, tensors, tmp_path / "l.safetensors")
    up, down = tensors.values()
    assert torch.allclose(found.pop("norm_out.linear.weight"), 0.5 * up @ down, atol=1e-5)
    assert not found


def test_a_bias_of_the_second_factor_is_one_of_the_layer(
    model: ModelHandle, tmp_path: Path
) -> None:
    tensors = peft("double_blocks.0.img_mlp.0", 256, WIDTH)
    tensors["double_blocks.0.img_mlp.0.lora_B.bias"] = torch.ones(256)
    found = changes(model, tensors, tmp_path / "l.safetensors")
    assert found.keys() == {f"transformer_blocks.0.ff.net.0.proj.{k}" for k in ("weight", "bias")}
    assert torch.allclose(found["transformer_blocks.0.ff.net.0.proj.bias"], torch.tensor(0.5))


def test_norms_of_queries_have_no_names_that_files_use(model: ModelHandle, tmp_path: Path) -> None:
    path = tmp_path / "l.safetensors"
    save_file({f"transformer.{DOUBLE}.attn.norm_q.w_norm": torch.ones(32)}, path)
    patched, _ = apply_lora(load_lora(path), model, None, strength_model=1.0, strength_text=0.0)
    assert not patched.patches


def test_packs_get_the_same_names(model: ModelHandle) -> None:
    keys = packs.model_lora_keys_unet(model.model, {})
    weight = "diffusion_model.double_blocks.1.img_attn.qkv.weight"
    assert keys["lora_unet_double_blocks_1_img_attn_qkv"] == weight
    assert keys["double_blocks.1.processor.qkv_lora1"] == weight
    assert keys[f"transformer.{DOUBLE}.attn.to_k"] == (weight, (0, 64, 64))


# Files for networks that see more channels


def control_file(path: Path) -> Path:
    """As those of FLUX.1 Canny and Depth: it sees a map, and has norms and biases of its own."""
    tensors = peft("img_in", 64, 128) | peft("double_blocks.0.img_attn.qkv", 192, WIDTH)
    tensors["img_in.lora_B.bias"] = torch.ones(64)
    tensors["double_blocks.0.img_attn.norm.key_norm.scale"] = torch.full((32,), 0.5)
    save_file(tensors, path)
    return path


def said(model: ModelHandle, x: Tensor) -> Tensor:
    arguments = inputs(TinyFlux()) | {"x": x}
    found: Tensor = model.model.diffusion_model.run(**arguments, patches=model.patches)
    return found


def test_a_file_for_a_map_makes_a_network_that_sees_one(model: ModelHandle, tmp_path: Path) -> None:
    lora = load_lora(control_file(tmp_path / "l.safetensors"))
    made, _ = apply_lora(lora, model, None, strength_model=1.0, strength_text=0.0)
    assert isinstance(made.model, FluxControl) and not isinstance(model.model, FluxControl)
    assert not lora.reported
    tensors = TinyFlux().tensors()
    up, down = factors(64, 128)
    seen = functional.pad(tensors["img_in.weight"].float(), (0, 64)) + up @ down
    qkv = tensors["double_blocks.0.img_attn.qkv.weight"].float()
    up, down = factors(192, WIDTH)
    merged = tensors | {
        "img_in.weight": seen,
        "img_in.bias": tensors["img_in.bias"].float() + 1,
        "double_blocks.0.img_attn.qkv.weight": qkv + up @ down,
        "double_blocks.0.img_attn.norm.key_norm.scale": torch.full((32,), 0.5),
    }
    expected = unet_of(Weights(path=tmp_path, tensors=merged), model.policy)
    x = torch.randn(2, 32, 6, 8, generator=torch.Generator().manual_seed(4))
    assert torch.allclose(said(made, x), said(expected, x), atol=1e-4)
    again, _ = apply_lora(lora, model, None, strength_model=0.5, strength_text=0.0)
    assert again.network is made.network
    assert said(model, x[:, :16]).shape == (2, 16, 6, 8)  # the model itself is as it was


def test_files_for_other_numbers_of_channels_go_together(
    model: ModelHandle, tmp_path: Path
) -> None:
    save_file(peft("img_in", 64, 64), tmp_path / "narrow.safetensors")
    narrow = load_lora(tmp_path / "narrow.safetensors")
    wide = load_lora(control_file(tmp_path / "wide.safetensors"))
    results = []
    for order in ((narrow, wide), (wide, narrow)):
        made = model
        for lora in order:
            made, _ = apply_lora(lora, made, None, strength_model=1.0, strength_text=0.0)
        results.append(said(made, torch.ones(2, 32, 6, 8)))
    first, second = results
    assert torch.allclose(first, second, atol=1e-4)
    only, _ = apply_lora(wide, model, None, strength_model=1.0, strength_text=0.0)
    assert not torch.allclose(first, said(only, torch.ones(2, 32, 6, 8)), atol=1e-3)


def test_nodes_keep_what_they_attached_to_a_model_that_is_widened(
    model: ModelHandle, tmp_path: Path
) -> None:
    attached = model.clone()
    attached.set_model_sampler_cfg_function(lambda args: args["cond"])
    lora = load_lora(control_file(tmp_path / "l.safetensors"))
    made, _ = apply_lora(lora, attached, None, strength_model=1.0, strength_text=0.0)
    assert "sampler_cfg_function" in made.model_options
    assert made.model_size() > model.model_size()
    same, _ = apply_lora(lora, model, None, strength_model=0.0, strength_text=0.0)
    assert same.network is model.network
