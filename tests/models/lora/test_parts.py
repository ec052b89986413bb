"""LoRA on networks whose parameters are parts of the weights that files know."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from comfy import lora as packs
from safetensors.torch import save_file
from torch import Tensor

from models.devices import HOME
from models.errors import CheckpointUnreadable
from models.handle import ModelHandle
from models.load import unet_of
from models.lora import apply_lora, load_lora
from models.memory import Policy
from models.weights import open_weights
from tests.models import tiny_sd3

WIDTH = 16
FUSED = "joint_blocks.1.x_block.attn.qkv"
BLOCK = "transformer_blocks.1"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, policy: Policy) -> ModelHandle:
    path = tmp_path_factory.mktemp("sd3") / "a.safetensors"
    tiny_sd3.save_transformer(path, tiny_sd3.transformer(tiny_sd3.CONFIG))
    return unet_of(open_weights(path), policy)


def factors(rows: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(rows)
    return torch.randn(rows, 2, generator=generator), torch.randn(2, WIDTH, generator=generator)


def kohya(layer: str, rows: int) -> dict[str, Tensor]:
    up, down = factors(rows)
    return {f"{layer}.lora_up.weight": up, f"{layer}.lora_down.weight": down}


def peft(layer: str, rows: int) -> dict[str, Tensor]:
    up, down = factors(rows)
    return {f"{layer}.lora_B.weight": up, f"{layer}.lora_A.weight": down}


def changes(model: ModelHandle, tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """What a file changes in parameters of the network, by their names there."""
    save_file(tensors, path)
    patched, _ = apply_lora(load_lora(path), model, None, strength_model=0.5, strength_text=0.0)
    model.network.place(HOME)
    before = {name: tensor.clone() for name, tensor in model.network.module.state_dict().items()}
    model.network.patch(patched.patches)
    after = {name: tensor.clone() for name, tensor in model.network.module.state_dict().items()}
    model.network.patch({})
    return {n: after[n] - before[n] for n in before if not torch.equal(after[n], before[n])}


@pytest.mark.parametrize(
    "tensors",
    [
        kohya(f"lora_unet_{FUSED.replace('.', '_')}", 3 * WIDTH),
        peft(f"diffusion_model.{FUSED}", 3 * WIDTH),
    ],
    ids=["kohya", "peft"],
)
def test_what_a_fused_projection_gains_goes_to_each_of_its_parts(
    tensors: dict[str, Tensor], model: ModelHandle, tmp_path: Path
) -> None:
    found = changes(model, tensors, tmp_path / "l.safetensors")
    up, down = factors(3 * WIDTH)
    for name, rows in zip("qkv", (0.5 * up @ down).chunk(3), strict=True):
        assert torch.allclose(found.pop(f"{BLOCK}.attn.to_{name}.weight"), rows, atol=1e-5)
    assert not found


@pytest.mark.parametrize(
    "tensors",
    [
        peft(f"transformer.{BLOCK}.attn.to_k", WIDTH),
        peft(f"base_model.model.{BLOCK}.attn.to_k", WIDTH),
        kohya(f"lora_transformer_{BLOCK.replace('.', '_')}_attn_to_k", WIDTH),
        kohya(f"lycoris_{BLOCK.replace('.', '_')}_attn_to_k", WIDTH),
    ],
    ids=["diffusers", "peft", "OneTrainer", "SimpleTuner"],
)
def test_a_layer_of_diffusers_changes_its_rows_alone(
    tensors: dict[str, Tensor], model: ModelHandle, tmp_path: Path
) -> None:
    found = changes(model, tensors, tmp_path / "l.safetensors")
    up, down = factors(WIDTH)
    assert torch.allclose(found.pop(f"{BLOCK}.attn.to_k.weight"), 0.5 * up @ down, atol=1e-5)
    assert not found


def test_halves_that_have_changed_places_are_found(model: ModelHandle, tmp_path: Path) -> None:
    theirs = changes(model, peft("transformer.norm_out.linear", 32), tmp_path / "a.safetensors")
    ours = changes(
        model,
        peft("diffusion_model.final_layer.adaLN_modulation.1", 32),
        tmp_path / "b.safetensors",
    )
    up, down = factors(32)
    delta = 0.5 * up @ down
    name = "norm_out.linear.weight"
    assert torch.allclose(theirs[name], delta, atol=1e-5)
    assert torch.allclose(ours[name], torch.cat(delta.chunk(2)[::-1]), atol=1e-5)


def test_biases_of_parts_change_too(model: ModelHandle, tmp_path: Path) -> None:
    tensors = {f"transformer.{BLOCK}.attn.to_v.diff_b": torch.ones(WIDTH)}
    found = changes(model, tensors, tmp_path / "l.safetensors")
    assert torch.allclose(found.pop(f"{BLOCK}.attn.to_v.bias"), torch.tensor(0.5))
    assert not found


def test_a_layer_of_another_size_is_refused(model: ModelHandle, tmp_path: Path) -> None:
    tensors = peft(f"transformer.{BLOCK}.attn.to_q", 3 * WIDTH)
    with pytest.raises(CheckpointUnreadable, match=r"does not fit a weight of shape \(16, 16\)"):
        changes(model, tensors, tmp_path / "l.safetensors")


def test_packs_find_parts_as_weights_with_offsets(model: ModelHandle) -> None:
    keys = packs.model_lora_keys_unet(model.model, {})
    weight = f"diffusion_model.{FUSED}.weight"
    assert keys[f"lora_unet_{FUSED.replace('.', '_')}"] == weight
    assert keys[f"transformer.{BLOCK}.attn.to_k"] == (weight, (0, WIDTH, WIDTH))
    tensors = peft(f"transformer.{BLOCK}.attn.to_k", WIDTH)
    tensors[f"transformer.{BLOCK}.attn.to_k.diff_b"] = torch.ones(WIDTH)
    made = model.clone()
    assert len(made.add_patches(packs.load_lora(tensors, keys))) == 2
    made.network.place(HOME)
    made.network.patch(made.patches)
    changed = made.network.module.transformer_blocks[1].attn.to_k.weight.clone()
    made.network.patch({})
    up, down = factors(WIDTH)
    before = made.network.module.transformer_blocks[1].attn.to_k.weight
    assert torch.allclose(changed - before, up @ down, atol=1e-5)
