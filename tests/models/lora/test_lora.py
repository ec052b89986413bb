from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from models.devices import HOME
from models.errors import CheckpointUnreadable
from models.load import Checkpoint
from models.lora import apply_lora, load_lora, scaled_delta, unet_names

LAYER = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
UP, DOWN = torch.randn(16, 2), torch.randn(2, 16)


def patched(tiny: Checkpoint, tensors: dict[str, Tensor], tmp_path: Path) -> Tensor:
    """The layer's weight after a file with these tensors was applied with strength 0.5."""
    save_file({k: v.contiguous() for k, v in tensors.items()}, tmp_path / "l.safetensors")
    lora = load_lora(tmp_path / "l.safetensors")
    model, _ = apply_lora(lora, tiny.model, tiny.text, strength_model=0.5, strength_text=0.0)
    model.network.place(HOME)
    model.network.patch(model.patches)
    try:
        weight: Tensor = model.network.module.get_submodule(LAYER).weight.clone()
    finally:
        model.network.patch({})
    return weight


def original(tiny: Checkpoint) -> Tensor:
    return tiny.model.network.stored(f"{LAYER}.weight").float()


@pytest.mark.parametrize(
    ("up", "down"),
    [
        (f"lora_unet_{LAYER.replace('.', '_')}.lora_up.weight", "lora_down"),
        ("lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q.lora_up.weight", "lora_down"),
        (f"unet.{LAYER}.lora_B.weight", "lora_A"),
        (
            "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.lora_B.weight",
            "lora_A",
        ),
        (f"unet.{LAYER.replace('.to_q', '.processor.to_q')}_lora.up.weight", "_lora.down"),
    ],
)
def test_every_way_of_naming_finds_the_layer(
    up: str, down: str, tiny: Checkpoint, tmp_path: Path
) -> None:
    down_name = up.replace("lora_up", down).replace("lora_B", down).replace("_lora.up", down)
    weight = patched(tiny, {up: UP, down_name: DOWN}, tmp_path)
    assert torch.allclose(weight, original(tiny) + 0.5 * UP @ DOWN, atol=1e-5)


def test_alpha_scales_by_the_rank(tiny: Checkpoint, tmp_path: Path) -> None:
    name = f"unet.{LAYER}"
    tensors = {f"{name}.lora_B.weight": UP, f"{name}.lora_A.weight": DOWN}
    weight = patched(tiny, {**tensors, f"{name}.alpha": torch.tensor(1.0)}, tmp_path)
    assert torch.allclose(weight, original(tiny) + 0.25 * UP @ DOWN, atol=1e-5)


def test_convolutions_are_flattened() -> None:
    up, down = torch.randn(5, 2, 1, 1), torch.randn(2, 3, 3, 3)
    delta = scaled_delta({"up": up, "down": down}).reshape(5, 3, 3, 3)
    assert torch.allclose(delta, torch.einsum("or,rikl->oikl", up[:, :, 0, 0], down), atol=1e-5)


def test_a_middle_convolution_is_between_two_of_size_one() -> None:
    up, mid, down = torch.randn(5, 2, 1, 1), torch.randn(2, 2, 3, 3), torch.randn(2, 4, 1, 1)
    delta = scaled_delta({"up": up, "mid": mid, "down": down})
    x = torch.randn(1, 4, 6, 6)
    conv = torch.nn.functional.conv2d
    steps = conv(conv(conv(x, down), mid), up)
    assert torch.allclose(conv(x, delta), steps, atol=1e-3)


def test_hadamard_and_kronecker_products() -> None:
    a, b, c, d = torch.randn(6, 2), torch.randn(2, 4), torch.randn(6, 2), torch.randn(2, 4)
    loha = {"hada_w1_a": a, "hada_w1_b": b, "hada_w2_a": c, "hada_w2_b": d}
    expected = (a @ b) * (c @ d)
    assert torch.allclose(scaled_delta(loha), expected)
    assert torch.allclose(scaled_delta({**loha, "alpha": torch.tensor(1.0)}), expected / 2)
    full = {"lokr_w1": torch.randn(2, 2), "lokr_w2": torch.randn(3, 2)}
    both = scaled_delta({**full, "alpha": torch.tensor(7.0)})
    assert torch.allclose(both, torch.kron(full["lokr_w1"], full["lokr_w2"]))
    half = {"lokr_w1": full["lokr_w1"], "lokr_w2_a": a, "lokr_w2_b": b}
    scaled = scaled_delta({**half, "alpha": torch.tensor(1.0)})
    assert torch.allclose(scaled, torch.kron(full["lokr_w1"], a @ b) / 2)


def test_dora_sets_the_length_of_rows(tiny: Checkpoint, tmp_path: Path) -> None:
    name = f"unet.{LAYER}"
    tensors = {
        f"{name}.lora_B.weight": torch.zeros(16, 2),
        f"{name}.lora_A.weight": DOWN,
        f"{name}.dora_scale": torch.full((16, 1), 3.0),
    }
    weight = patched(tiny, tensors, tmp_path)
    full = original(tiny) + 2 * (weight - original(tiny))  # strength 0.5 goes half of the way
    assert torch.allclose(full.norm(dim=1), torch.full((16,), 3.0), atol=1e-4)


def test_strength_zero_changes_nothing(tiny: Checkpoint, tmp_path: Path) -> None:
    name = f"unet.{LAYER}"
    save_file({f"{name}.diff": torch.ones(16, 16)}, tmp_path / "l.safetensors")
    lora = load_lora(tmp_path / "l.safetensors")
    model, text = apply_lora(lora, tiny.model, None, strength_model=0.0, strength_text=1.0)
    assert model.patches == {} and text is None


def test_a_lora_on_the_text_encoder_changes_the_conditioning(
    tiny: Checkpoint, tmp_path: Path
) -> None:
    name = "lora_te_text_model_encoder_layers_0_mlp_fc1"
    save_file(
        {f"{name}.diff": torch.ones(64, 16), f"{name}.diff_b": torch.ones(64)},
        tmp_path / "l.safetensors",
    )
    lora = load_lora(tmp_path / "l.safetensors")
    _, text = apply_lora(lora, tiny.model, tiny.text, strength_model=1.0, strength_text=1.0)
    assert text is not None and tiny.text is not None
    assert set(text.encoders["l"].patches) == {
        "encoder.layers.0.mlp.fc1.weight",
        "encoder.layers.0.mlp.fc1.bias",
    }
    chunks = text.chunks("a cat")
    assert not torch.allclose(text.encode_chunks(chunks)[0], tiny.text.encode_chunks(chunks)[0])


def test_names_that_fit_nothing_are_counted(
    tiny: Checkpoint, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_file({"lora_unet_other.diff": torch.ones(2)}, tmp_path / "l.safetensors")
    with caplog.at_level(logging.WARNING):
        apply_lora(
            load_lora(tmp_path / "l.safetensors"),
            tiny.model, tiny.text, strength_model=1.0, strength_text=1.0,
        )  # fmt: skip
    assert "1 of 1 entries" in caplog.text and "lora_unet_other" in caplog.text


def test_a_lora_for_another_model_is_refused(tiny: Checkpoint, tmp_path: Path) -> None:
    tensors = {
        f"unet.{LAYER}.lora_B.weight": torch.zeros(9, 2),
        f"unet.{LAYER}.lora_A.weight": DOWN,
    }
    with pytest.raises(CheckpointUnreadable, match="does not fit"):
        patched(tiny, tensors, tmp_path)


def test_half_of_a_pair_is_refused(tiny: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(CheckpointUnreadable, match="malformed"):
        patched(tiny, {f"unet.{LAYER}.lora_B.weight": UP}, tmp_path)


def test_a_file_without_lora_is_refused(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "l.safetensors")
    with pytest.raises(CheckpointUnreadable, match="no LoRA"):
        load_lora(tmp_path / "l.safetensors")


def test_each_layer_has_several_names(tiny: Checkpoint) -> None:
    names = unet_names(tiny.model.network)
    assert names["unet.conv_in"] == names["diffusion_model.input_blocks.0.0"] == "conv_in"
