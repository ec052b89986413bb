"""Scales in files become part of the weights that they are for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.errors import CheckpointUnreadable
from models.stored import StoredTensor, values_of
from models.stored.scales import with_scales
from models.weights import open_weights
from tests.models.tiny import save

WEIGHT = torch.randn(64, 96, generator=torch.Generator().manual_seed(0)).to(torch.float8_e4m3fn)
ROWS = torch.rand(64, generator=torch.Generator().manual_seed(1)) + 0.5
BLOCKS = torch.rand(4, 6, generator=torch.Generator().manual_seed(2)) + 0.5


def folded(**tensors: Tensor) -> dict[str, Tensor]:
    named = {name.replace("__", "."): tensor for name, tensor in tensors.items()}
    return with_scales(Path("f"), named)


@pytest.mark.parametrize("name", ["scale_weight", "weight_scale"])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_one_number_scales_a_weight(name: str, shape: tuple[int, ...]) -> None:
    found = folded(a__weight=WEIGHT, **{f"a__{name}": torch.full(shape, 0.3)})
    assert set(found) == {"a.weight"}
    assert torch.equal(values_of(found["a.weight"], torch.float32), WEIGHT.float() * 0.3)


@pytest.mark.parametrize("shape", [(64,), (64, 1)])
def test_each_row_may_have_a_scale(shape: tuple[int, ...]) -> None:
    found = folded(a__weight=WEIGHT, a__weight_scale=ROWS.reshape(shape).bfloat16())
    wanted = WEIGHT.float() * ROWS.bfloat16().float()[:, None]
    assert torch.equal(values_of(found["a.weight"], torch.float32), wanted)


def test_each_block_may_have_a_scale() -> None:
    found = folded(a__weight=WEIGHT, a__weight_scale_inv=BLOCKS)
    wanted = WEIGHT.float() * torch.kron(BLOCKS, torch.ones(16, 16))
    assert torch.equal(values_of(found["a.weight"], torch.float32), wanted)


def test_blocks_at_the_edge_may_be_smaller() -> None:
    weight = WEIGHT[:, :40].contiguous()
    scales = BLOCKS[:, :3]  # of 16 x 16, and 16 x 8 in the last column
    found = folded(a__weight=weight, a__weight_scale_inv=scales)
    wanted = weight.float() * torch.kron(scales, torch.ones(16, 16))[:, :40]
    assert torch.equal(values_of(found["a.weight"], torch.float32), wanted)


def test_whole_numbers_are_scaled_too() -> None:
    whole = torch.randint(-128, 128, (64, 96)).to(torch.int8)
    found = folded(a__weight=whole, a__weight_scale=ROWS)
    wanted = whole.float() * ROWS[:, None]
    assert torch.equal(values_of(found["a.weight"], torch.float32), wanted)


def test_everything_else_stays_and_what_is_not_used_goes() -> None:
    bias = torch.zeros(64)
    found = folded(
        a__weight=WEIGHT, a__scale_weight=torch.tensor(2.0), a__scale_input=torch.tensor(1.0),
        a__bias=bias, b__weight=WEIGHT, b__input_scale=torch.tensor(1.0),
        model__diffusion_model__scaled_fp8=torch.empty(2).to(torch.float8_e4m3fn),
    )  # fmt: skip
    assert set(found) == {"a.weight", "a.bias", "b.weight"}
    assert isinstance(found["a.weight"], StoredTensor)
    assert found["a.bias"] is bias and found["b.weight"] is WEIGHT


def test_a_wide_weight_needs_no_scale() -> None:
    wide = WEIGHT.half()
    assert folded(a__weight=wide, a__weight_scale=torch.tensor(2.0))["a.weight"] is wide


@pytest.mark.parametrize(
    ("weight", "scale", "reason"),
    [
        (torch.zeros(64, 48, dtype=torch.uint8), ROWS, "'a.weight' is quantised in a way"),
        (WEIGHT, torch.ones(5), r"'a.weight' do not fit it \(\(5,\) for \(64, 96\)\)"),
        (WEIGHT[0], torch.ones(96), r"'a.weight' do not fit it"),
        (WEIGHT[0, 0], torch.ones(3), r"'a.weight' do not fit it"),
        (WEIGHT[:0], torch.ones(3), r"'a.weight' do not fit it"),
        (WEIGHT, torch.empty(0), "the scale of 'a.weight' is malformed"),
        (WEIGHT, torch.ones(64, dtype=torch.int32), "the scale of 'a.weight' is malformed"),
    ],
)  # fmt: skip
def test_scales_that_cannot_be_used_are_named(weight: Tensor, scale: Tensor, reason: str) -> None:
    with pytest.raises(CheckpointUnreadable, match=reason):
        folded(a__weight=weight, a__weight_scale=scale)


def test_files_of_bitsandbytes_are_refused_by_name() -> None:
    name = "a.weight.quant_state.bitsandbytes__nf4"
    tensors = {"a.weight": torch.zeros(8, 1, dtype=torch.uint8), name: torch.zeros(4)}
    with pytest.raises(CheckpointUnreadable, match="it is quantised by bitsandbytes"):
        with_scales(Path("f"), tensors)


def test_files_are_read_with_their_scales(tmp_path: Path) -> None:
    path = save(
        tmp_path / "m.safetensors",
        {"a.weight": WEIGHT, "a.scale_weight": torch.tensor(0.5), "b": torch.ones(2)},
    )
    opened = open_weights(path)
    assert opened.shape("a.weight") == (64, 96)
    assert torch.equal(values_of(opened.tensors["a.weight"], torch.float32), WEIGHT.float() / 2)


def told(text: str) -> Tensor:
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)


def test_what_says_how_a_weight_was_scaled_goes() -> None:
    how = told('{"format": "float8_e4m3fn"}')
    found = folded(a__weight=WEIGHT, a__weight_scale=torch.tensor(0.5), a__comfy_quant=how)
    assert set(found) == {"a.weight"}


@pytest.mark.parametrize(
    "text",
    ['{"format": "int8_tensorwise", "convrot": true}', '{"format": "nvfp4"}', "{}", "float8"],
)
def test_other_ways_of_quantising_are_refused(text: str) -> None:
    with pytest.raises(CheckpointUnreadable, match="quantised"):
        folded(a__weight=WEIGHT, a__weight_scale=torch.tensor(0.5), a__comfy_quant=told(text))
