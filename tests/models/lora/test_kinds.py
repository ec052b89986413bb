"""Adapters beside LoRA: what they make of a weight."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from models.devices import HOME
from models.errors import CheckpointUnreadable
from models.load import Checkpoint
from models.lora import DeltaPatch, RotationPatch, apply_lora, load_lora, scaled_delta

GENERATOR = torch.Generator().manual_seed(5)


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=GENERATOR)


def test_glora_adds_a_product_with_the_weight() -> None:
    weight = normal(6, 4)
    a1, a2, b1, b2 = normal(2, 4), normal(4, 2), normal(2, 4), normal(6, 2)
    parts = {"glora_a1": a1, "glora_a2": a2, "glora_b1": b1, "glora_b2": b2}
    expected = weight @ a2 @ a1 + b2 @ b1
    assert torch.allclose(scaled_delta(parts, weight), expected, atol=1e-5)
    scaled = scaled_delta({**parts, "alpha": torch.tensor(1.0)}, weight)
    assert torch.allclose(scaled, expected / 2, atol=1e-5)
    swapped = {"glora_a1": a2, "glora_a2": a1, "glora_b1": b2, "glora_b2": b1}
    assert torch.allclose(scaled_delta(swapped, weight), expected, atol=1e-5)


@pytest.mark.parametrize("blocks", [(2, 4, 4), (2, 2, 4, 4)])
@pytest.mark.parametrize("shape", [(8, 5), (8, 3, 3, 3)])
def test_rotations_keep_lengths(blocks: tuple[int, ...], shape: tuple[int, ...]) -> None:
    weight = normal(*shape)
    parts = {"oft_blocks": normal(*blocks) * 0.3}
    turned = RotationPatch(parts, 1.0).apply(weight)
    assert not torch.allclose(turned, weight, atol=1e-2)
    assert torch.allclose(turned.flatten(1).norm(dim=0), weight.flatten(1).norm(dim=0), atol=1e-4)
    assert torch.allclose(RotationPatch(parts, 0.0).apply(weight), weight, atol=1e-6)
    rescaled = {**parts, "oft_rescale": torch.full((8, 1), 2.0)}
    assert torch.allclose(RotationPatch(rescaled, 1.0).apply(weight), 2 * turned, atol=1e-4)


def test_a_rotation_is_the_cayley_transform_of_a_skew_block() -> None:
    block = torch.tensor([[[0.0, 0.5], [0.0, 0.0]]])
    turned = RotationPatch({"oft_blocks": block}, 1.0).apply(torch.eye(2))
    # Q = [[0, q], [-q, 0]] stands for a turn by 2 atan q.
    angle = 2 * torch.tensor(0.5).atan()
    assert torch.allclose(turned[0, 0], angle.cos(), atol=1e-6)
    assert torch.allclose(turned[0, 1].abs(), angle.sin(), atol=1e-6)


def test_a_constraint_limits_a_rotation() -> None:
    parts = {"oft_blocks": normal(2, 4, 4), "alpha": torch.tensor(1e-6)}
    weight = normal(8, 5)
    assert torch.allclose(RotationPatch(parts, 1.0).apply(weight), weight, atol=1e-3)


def test_patches_of_the_same_tensors_are_equal() -> None:
    parts = {"diff": normal(2, 2)}
    assert DeltaPatch(parts, 0.5) == DeltaPatch(parts, 0.5)
    assert DeltaPatch(parts, 0.5) != DeltaPatch(parts, 0.6)
    assert DeltaPatch(parts, 0.5) != DeltaPatch(dict(parts), 0.5)
    assert len({DeltaPatch(parts, 0.5), DeltaPatch(parts, 0.5)}) == 1


NAME = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"


def test_a_file_that_has_not_changed_touches_no_weight_again(
    tiny: Checkpoint, tmp_path: Path
) -> None:
    path = tmp_path / "l.safetensors"
    save_file({f"{NAME}.diff": torch.ones(16, 16)}, path)
    network = tiny.model.network
    network.place(HOME)
    layer = network.module.get_submodule(
        "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    )

    def weight_with(strength: float) -> Tensor:
        model, _ = apply_lora(
            load_lora(path), tiny.model, None, strength_model=strength, strength_text=0.0
        )
        network.patch(model.patches)
        found: Tensor = layer.weight
        return found

    try:
        first = weight_with(0.5)
        assert weight_with(0.5) is first
        assert torch.allclose(weight_with(1.0), first + 0.5, atol=1e-6)
        save_file({f"{NAME}.diff": torch.full((16, 16), 3.0), "x.diff": torch.ones(1)}, path)
        assert torch.allclose(weight_with(0.5), first + 1.0, atol=1e-6)
    finally:
        network.patch({})


@pytest.mark.parametrize(
    "tensors",
    [
        {f"{NAME}.oft_blocks": torch.zeros(3, 4, 4)},
        {f"{NAME}.set_weight": torch.zeros(3, 4)},
        {f"{NAME}.w_norm": torch.zeros(5)},
    ],
)
def test_adapters_for_other_shapes_are_refused(
    tensors: dict[str, Tensor], tiny: Checkpoint, tmp_path: Path
) -> None:
    save_file(tensors, tmp_path / "l.safetensors")
    with pytest.raises(CheckpointUnreadable, match="does not fit"):
        apply_lora(
            load_lora(tmp_path / "l.safetensors"),
            tiny.model, None, strength_model=1.0, strength_text=0.0,
        )  # fmt: skip


def test_whole_weights_and_norms(tiny: Checkpoint, tmp_path: Path) -> None:
    norm = "lora_unet_down_blocks_0_attentions_0_norm"
    tensors = {
        f"{NAME}.set_weight": torch.full((16, 16), 2.0),
        f"{norm}.w_norm": torch.ones(16),
        f"{norm}.b_norm": torch.ones(16),
    }
    save_file(tensors, tmp_path / "l.safetensors")
    model, _ = apply_lora(
        load_lora(tmp_path / "l.safetensors"),
        tiny.model, None, strength_model=0.5, strength_text=0.0,
    )  # fmt: skip
    network = tiny.model.network
    prefix = "down_blocks.0.attentions.0"
    query = f"{prefix}.transformer_blocks.0.attn1.to_q.weight"
    assert torch.all(network.merged(query, model.patches[query]) == 2.0)
    for kind in ("weight", "bias"):
        name = f"{prefix}.norm.{kind}"
        changed = network.merged(name, model.patches[name]).float()
        assert torch.allclose(changed, network.stored(name).float() + 0.5, atol=1e-3)
