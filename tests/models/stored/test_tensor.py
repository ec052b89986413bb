"""A tensor in fewer bits computes like the tensor of its values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.lora import DeltaPatch
from models.stored import StoredTensor, values_of
from models.stored.changed import Changed
from models.stored.encoded import Encoded, Plain, Scaled, ScaledBlocks


@dataclass(frozen=True)
class Add:
    """A patch that adds a number."""

    amount: float

    def apply(self, weight: Tensor) -> Tensor:
        return weight + self.amount


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def float8(*shape: int) -> Tensor:
    return numbers(*shape).to(torch.float8_e4m3fn)


ENCODED: list[Encoded] = [
    Plain(float8(64, 32)),
    Plain(numbers(64, 32).to(torch.float8_e5m2)),
    Plain(numbers(64, 32).half()),
    Plain(numbers(64, 32).bfloat16()),
    Scaled(float8(64, 32), 0.375),
    ScaledBlocks(float8(64, 32), numbers(64, 1, seed=1), (1, 32)),
    ScaledBlocks(float8(64, 32), numbers(4, 2, seed=1), (16, 16)),
]
ids = [f"{type(e).__name__}-{str(e.raw.dtype).removeprefix('torch.')}" for e in ENCODED]


def expected(encoded: Encoded) -> Tensor:
    """The values, by arithmetic of this test."""
    values = encoded.raw.float()
    if isinstance(encoded, Scaled):
        return values * encoded.scale
    if isinstance(encoded, ScaledBlocks):
        rows, columns = encoded.block
        return values * torch.kron(encoded.scales, torch.ones(rows, columns))
    return values


@pytest.mark.parametrize("encoded", ENCODED, ids=ids)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_values_are_rounded_once(encoded: Encoded, dtype: torch.dtype) -> None:
    stored = StoredTensor(encoded, dtype)
    assert stored.dtype == dtype and stored.shape == (64, 32)
    assert torch.equal(stored.values(), expected(encoded).to(dtype))
    assert torch.equal(values_of(stored, torch.float32), expected(encoded))
    assert torch.equal(stored.to(torch.float64) + 0, expected(encoded).double())


COMPUTATIONS: list[Callable[[Tensor], Any]] = [
    lambda w: F.linear(numbers(2, 3, 32), w),
    lambda w: F.linear(numbers(2, 3, 32), w, numbers(64)),
    lambda w: F.conv2d(numbers(1, 8, 6, 6), w.reshape(64, 8, 2, 2)),
    lambda w: F.embedding(torch.tensor([[3, 0], [63, 3]]), w),
    lambda w: w.t() @ numbers(64, 2),
    lambda w: w[5:9],
    lambda w: w[5:9, 3:],
    lambda w: w[2],
    lambda w: w.chunk(3)[2],
    lambda w: torch.tensor_split(w, 4)[1],
    lambda w: torch.split_with_sizes(w, [16, 48])[1],
    lambda w: torch.cat([w[32:], w[:32]]),
    lambda w: torch.cat([w, numbers(2, 32)]),
    lambda w: w.unsqueeze(0).expand(2, 64, 32).sum(0),
    lambda w: w.clone().mul_(2),
    lambda w: w.view(64, 32),
    lambda w: w.mean(),
]


@pytest.mark.parametrize("encoded", ENCODED, ids=ids)
@pytest.mark.parametrize("compute", COMPUTATIONS, ids=map(str, range(len(COMPUTATIONS))))
def test_any_computation_gives_that_of_the_values(
    encoded: Encoded, compute: Callable[[Tensor], Any]
) -> None:
    found = compute(StoredTensor(encoded, torch.float32))
    assert torch.equal(found + 0, compute(expected(encoded)))


def test_rows_share_the_memory_of_the_whole() -> None:
    whole = Plain(float8(64, 32))
    part = StoredTensor(whole, torch.float32)[16:32]
    assert isinstance(part, StoredTensor)
    assert part.encoded.raw.data_ptr() == whole.raw.data_ptr() + 16 * 32
    assert part.nbytes == 16 * 32


def test_rows_of_blocks_keep_their_scales() -> None:
    encoded = ScaledBlocks(float8(64, 32), numbers(4, 2, seed=1), (16, 16))
    for start, stop, is_kept in ((16, 48, True), (8, 48, False)):
        part = StoredTensor(encoded, torch.float32)[start:stop]
        assert isinstance(part, StoredTensor) is is_kept
        assert torch.equal(part + 0, expected(encoded)[start:stop])


def test_a_module_moves_and_changes_its_type_without_decoding() -> None:
    layer = nn.Linear(32, 64)
    encoded = Plain(float8(64, 32))
    layer.weight = nn.Parameter(StoredTensor(encoded, torch.float32), requires_grad=False)
    assert isinstance(layer.weight, nn.Parameter)
    layer.to(torch.bfloat16)
    assert isinstance(layer.weight, StoredTensor) and layer.weight.dtype == torch.bfloat16
    assert layer.weight.encoded.raw.data_ptr() == encoded.raw.data_ptr()
    x = numbers(3, 32).bfloat16()
    assert torch.equal(layer(x), F.linear(x, expected(encoded).bfloat16(), layer.bias))
    layer.to("meta")
    assert layer.weight.is_meta and layer.weight.encoded.raw.is_meta


def test_data_can_be_replaced_as_offloading_does() -> None:
    parameter = nn.Parameter(StoredTensor(Plain(float8(64, 32)), torch.float32), False)
    other = Plain(numbers(64, 32).half())
    parameter.data = StoredTensor(Changed.of(other, [Add(1.0)]), torch.bfloat16)
    assert parameter.dtype == torch.bfloat16
    assert torch.equal(parameter + 0, (other.raw.float() + 1).bfloat16())
    data = parameter.data
    assert isinstance(data, StoredTensor) and data.encoded is parameter.encoded  # type: ignore[attr-defined]


def test_changes_are_made_whenever_it_is_read() -> None:
    encoded = Plain(float8(64, 32))
    stored = StoredTensor(encoded, torch.float32).computed_in(torch.bfloat16, [Add(1e-3), Add(2.0)])
    wanted = (encoded.raw.float() + 1e-3 + 2.0).bfloat16()
    assert torch.equal(stored.values(), wanted)
    assert torch.equal(stored[3:5] + 0, wanted[3:5])
    ids = torch.tensor([1, 2])
    assert torch.equal(F.embedding(ids, stored), wanted[ids])


def test_changes_of_rows_are_computed_alone_where_they_can_be() -> None:
    encoded = Plain(float8(64, 32))
    lora = DeltaPatch({"up": numbers(64, 4), "down": numbers(4, 32)}, 0.5)
    for changes, is_alone in (((lora, lora), True), ((lora, Add(1.0)), False)):
        whole = StoredTensor(encoded, torch.float32).computed_in(torch.float32, changes)
        part = whole[8:40][8:16]
        assert isinstance(part, StoredTensor) and isinstance(part.encoded, Changed)
        assert part.encoded.whole.shape == ((8, 32) if is_alone else (64, 32))
        torch.testing.assert_close(part + 0, whole.values()[16:24])


def test_gradients_flow_through_it() -> None:
    weight = StoredTensor(Plain(float8(64, 32)), torch.float32)
    x = numbers(2, 32).requires_grad_()
    (gradient,) = torch.autograd.grad(F.linear(x, weight).sum(), x)
    assert torch.allclose(gradient, weight.values().sum(0).expand(2, -1))


def test_writing_to_it_says_what_to_do_instead() -> None:
    stored = StoredTensor(Plain(float8(64, 32)), torch.float32)
    with pytest.raises(TypeError, match="patch it"):
        stored.mul_(2)


@torch.inference_mode()
def test_what_moves_it_leaves_the_bits_alone_in_inference_mode_as_well() -> None:
    kept = StoredTensor(Plain(float8(64, 32)), torch.float32)
    layer = nn.Linear(32, 64, bias=False)
    layer.weight = nn.Parameter(kept, requires_grad=False)
    layer.to("cpu:0")
    found = (layer.weight, layer.weight.data, kept.to("cpu:0"), kept.to(torch.float16), kept[:8])
    assert {type(tensor) for tensor in found} == {StoredTensor}
    assert torch.equal(layer(torch.eye(32)), expected(kept.encoded).T)
